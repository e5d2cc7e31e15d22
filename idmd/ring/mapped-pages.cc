// SPDX-License-Identifier: Apache-2.0
#include "idmd/ring/mapped-pages.h"

#include <sys/mman.h>

#include <kj/debug.h>

#include "idmd/ring/ring-layout.h"

namespace bulkhead::ring {

MappedPages::MappedPages(int fd, uint64_t offset, uint32_t pages, Access access) {
  size_t size = static_cast<size_t>(pages) * kPageBytes;
  int protection = access == Access::readWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = mmap(nullptr, size, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) KJ_FAIL_SYSCALL("mapping the ring", errno, pages);
  memory = kj::arrayPtr(static_cast<kj::byte*>(address), size);
}

MappedPages::~MappedPages() {
  if (memory != nullptr) munmap(memory.begin(), memory.size());
}

}  // namespace bulkhead::ring

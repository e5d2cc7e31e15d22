// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/array.h>

#include <cstdint>

namespace bulkhead::ring {

// Whole pages of a descriptor, mapped shared, unmapped when this object goes.
class MappedPages {
 public:
  enum class Access : uint8_t { readOnly, readWrite };

  // `offset` in bytes; the descriptor may be closed afterwards. Throws with the errno: for grants
  // that is where the hypervisor's refusal of any one of them shows.
  MappedPages(int fd, uint64_t offset, uint32_t pages, Access access);
  ~MappedPages();
  MappedPages(MappedPages&& other) : memory(other.memory) { other.memory = nullptr; }
  KJ_DISALLOW_COPY(MappedPages);

  kj::ArrayPtr<kj::byte> bytes() { return memory; }

 private:
  kj::ArrayPtr<kj::byte> memory;
};

}  // namespace bulkhead::ring

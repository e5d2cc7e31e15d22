// SPDX-License-Identifier: Apache-2.0
// What libsquashfs needs around it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/debug.h>
#include <kj/string.h>

extern "C" {
#include <sqfs/io.h>
#include <sqfs/predef.h>
}

namespace bulkhead {

// Throws where a call of libsquashfs failed; a full disk is `exhausted`.
void checkSqfs(int result, kj::StringPtr what);

// libsquashfs counts no references: each object has one owner.
template <typename T>
class Sqfs {
 public:
  Sqfs() = default;
  explicit Sqfs(T* object) : object(object) { KJ_REQUIRE(object != nullptr, "libsquashfs failed"); }
  ~Sqfs() { reset(); }
  KJ_DISALLOW_COPY_AND_MOVE(Sqfs);

  void operator=(T* fresh) {
    KJ_REQUIRE(fresh != nullptr, "libsquashfs failed");
    reset();
    object = fresh;
  }
  T** out() { return &object; }
  T* get() const { return object; }

 private:
  T* object = nullptr;

  void reset() {
    if (object == nullptr) return;
    auto* base = reinterpret_cast<sqfs_object_t*>(object);
    base->destroy(base);
    object = nullptr;
  }
};

// An open file as libsquashfs wants to see it. The descriptor is borrowed.
struct SqfsFile {
  sqfs_file_t base{};
  int fd;
  uint64_t size;

  SqfsFile(int fd, uint64_t size);
  KJ_DISALLOW_COPY_AND_MOVE(SqfsFile);
};

}  // namespace bulkhead

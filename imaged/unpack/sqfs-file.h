// SPDX-License-Identifier: Apache-2.0
// What libsquashfs needs around it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <kj/array.h>
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
  T* release() {
    T* given = object;
    object = nullptr;
    return given;
  }

 private:
  T* object = nullptr;

  void reset() {
    if (object == nullptr) return;
    auto* base = reinterpret_cast<sqfs_object_t*>(object);
    base->destroy(base);
    object = nullptr;
  }
};

// An open file as libsquashfs wants to see it. The descriptor is borrowed. What is written one
// after the other goes out in large pieces, the last of them with truncate(), and the disk is put
// to work at once, so that little is left for the sync at the end.
class SqfsFile : public sqfs_file_t {
 public:
  SqfsFile(int fd, uint64_t size);
  KJ_DISALLOW_COPY_AND_MOVE(SqfsFile);

  // Bytes up to the end, what is not written yet included.
  uint64_t size() const { return end; }

 private:
  int fd;
  uint64_t end;
  kj::Array<kj::byte> pending;  // made with the first write
  uint64_t pendingAt = 0;
  size_t pendingSize = 0;

  // Each gives 0, or what libsquashfs calls the error.
  int read(uint64_t offset, kj::ArrayPtr<kj::byte> out);
  int write(uint64_t offset, kj::ArrayPtr<const kj::byte> in);
  int resize(uint64_t size);
  int flush();
  int writeOut(uint64_t offset, kj::ArrayPtr<const kj::byte> in) const;
};

}  // namespace bulkhead

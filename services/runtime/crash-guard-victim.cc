// SPDX-License-Identifier: Apache-2.0
// Commits one violation, named by its argument. Built twice: as every daemon is, and without any
// of the measures, so that the tests see what each of them is good for.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/thread.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#ifdef VICTIM_GUARDED
#include "services/runtime/crash-guard.h"
#endif

namespace {

// Keeps the compiler from seeing through a value.
template <typename T>
T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

[[gnu::noinline]] int overflowStack(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : overflowStack(depth + 1) + frame[0];
}

void heapOverflow() {
  constexpr size_t size = 16;
  auto* block = static_cast<char*>(malloc(size));
  auto* text = opaque("a text that is a good deal longer than the block");
  memcpy(block, text, opaque(size_t{17}));
  free(block);
}

void doubleFree() {
  void* block = opaque(malloc(16));
  // Others between the two, or even the C library would see it.
  void* between = opaque(malloc(16));
  free(block);
  free(between);
  free(opaque(block));
}

void mismatchedDelete() {
  auto* block = opaque(malloc(16));
  delete static_cast<char*>(block);
}

void headerOverwritten() {
  auto* block = opaque(static_cast<char*>(malloc(64)));
  // A small index that is off by some: no check of the library's sees it.
  for (int i = -16; i < 0; ++i) block[opaque(i)] ^= opaque(char{1});
  free(opaque(block));
}

struct Shape {
  virtual ~Shape() = default;
  [[gnu::noinline]] virtual void draw() {}
  char space[48] = {};
};

void useAfterFree() {
  auto* shape = opaque(new Shape);
  delete shape;
  opaque(shape)->draw();
}

// Whether what an attacker allocates next takes the place of an object just freed.
void reuse() {
  auto* shape = opaque(new Shape);
  delete shape;
  auto* other = opaque(new char[sizeof(Shape)]);
  if (static_cast<void*>(opaque(other)) == opaque(shape)) _exit(1);
}

// Whether a new block still holds what an earlier owner left there.
void leftovers() {
  for (int round = 0; round < 1000; ++round) {
    auto* block = opaque(static_cast<char*>(malloc(1024)));
    for (int i = 64; i < 1024; ++i) {
      if (block[i] == 'x') _exit(1);
    }
    memset(block, 'x', 1024);
    free(opaque(block));
  }
}

[[gnu::noinline]] void stackSmash(size_t length) {
  char frame[16];
  auto* start = opaque(&frame[0]);
  for (size_t i = 0; i < length; ++i) start[i] = 'x';
  asm volatile("" : : "r"(start) : "memory");
}

void spanOutOfRange() {
  int numbers[4] = {};
  std::span<int> span(numbers);
  printf("%d\n", span[opaque(size_t{4})]);
}

void vectorOutOfRange() {
  std::vector<int> numbers(4);
  printf("%d\n", numbers[opaque(size_t{4})]);
}

void emptyOptional() {
  std::optional<int> nothing;
  if (opaque(0) == 1) nothing = 1;
  printf("%d\n", *nothing);
}

void threadOverflow() {
  kj::Thread thread([] {
#ifdef VICTIM_GUARDED
    bulkhead::CrashGuard::ThreadStack stack;
#endif
    overflowStack(1);
  });
}

void goneMemory() {
  char name[] = "/tmp/crash-guard-XXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  auto* page = static_cast<volatile char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
  opaque(page[0]);
}

void fail(const char* violation) {
  auto is = [&](const char* name) { return strcmp(violation, name) == 0; };
  if (is("heap-overflow")) heapOverflow();
  if (is("double-free")) doubleFree();
  if (is("mismatched-delete")) mismatchedDelete();
  if (is("header-overwritten")) headerOverwritten();
  if (is("use-after-free")) useAfterFree();
  if (is("reuse")) reuse();
  if (is("leftovers")) leftovers();
  if (is("stack-smash")) stackSmash(opaque(size_t{64}));
  if (is("stack-overflow")) overflowStack(1);
  if (is("thread-stack-overflow")) threadOverflow();
  if (is("span")) spanOutOfRange();
  if (is("vector")) vectorOutOfRange();
  if (is("optional")) emptyOptional();
  if (is("abort")) abort();
  if (is("kj-exception")) KJ_FAIL_REQUIRE("the \"reason\"\nof a kj exception", 42);
  if (is("thread-exception")) std::thread([] { KJ_FAIL_ASSERT("said in a thread"); }).join();
  if (is("std-exception")) throw std::runtime_error("the reason of a std exception");
  if (is("other-exception")) throw 42;
  if (is("terminate")) std::terminate();
  if (is("null")) opaque(*opaque(static_cast<volatile int*>(nullptr)));
  if (is("not-canonical")) opaque(*reinterpret_cast<volatile int*>(opaque(0x1234567812345678ul)));
  if (is("read-only")) *const_cast<volatile char*>(opaque("constant")) = 'x';
  if (is("gone-memory")) goneMemory();
  if (is("trap")) __builtin_trap();
  if (is("division")) opaque(opaque(7) / opaque(0));
  if (is("sent")) raise(SIGSEGV);
}

}  // namespace

int main(int, char** argv) {
#ifdef VICTIM_GUARDED
  bulkhead::CrashGuard::install("victim");
#endif
  fail(argv[1]);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "hvd/console-history.h"

#include <algorithm>
#include <cstring>

#include "services/runtime/files.h"

namespace bulkhead::hvd {
namespace {

constexpr size_t kChunk = 16u << 10;
constexpr kj::byte kEscape = 0x1b;

// Skips one terminal sequence (ECMA-48 section 5.4) whose ESC is at `at`; returns where it ends.
size_t skipSequence(kj::ArrayPtr<const kj::byte> bytes, size_t at) {
  ++at;
  if (at >= bytes.size() || bytes[at] != '[') return at + 1;
  for (++at; at < bytes.size(); ++at) {
    if (bytes[at] >= 0x40 && bytes[at] <= 0x7e) return at + 1;
  }
  return at;
}

}  // namespace

void ConsoleHistory::append(kj::ArrayPtr<const kj::byte> bytes) {
  if (bytes.size() == 0) return;
  for (auto b : bytes) ring[total++ % kCapacity] = b;
  stored = std::min(kCapacity, stored + bytes.size());
  wake();
}

void ConsoleHistory::close() {
  isClosed = true;
  wake();
}

void ConsoleHistory::wake() {
  auto woken = kj::mv(waiters);
  waiters = kj::Vector<kj::Own<kj::PromiseFulfiller<void>>>();
  for (auto& waiter : woken) waiter->fulfill();
}

kj::Array<kj::byte> ConsoleHistory::copyFrom(uint64_t position, size_t limit) const {
  position = std::max(position, begin());
  if (position >= total) return nullptr;
  auto count = static_cast<size_t>(std::min<uint64_t>(limit, total - position));
  auto result = kj::heapArray<kj::byte>(count);
  for (size_t i = 0; i < count; ++i) result[i] = ring[(position + i) % kCapacity];
  return result;
}

kj::Promise<void> ConsoleHistory::whenChanged() {
  auto paf = kj::newPromiseAndFulfiller<void>();
  waiters.add(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

kj::String ConsoleHistory::tail(size_t limit) const {
  auto bytes = copyFrom(begin(), kCapacity);
  kj::Vector<char> text;
  for (size_t i = 0; i < bytes.size();) {
    auto b = bytes[i];
    if (b == kEscape) {
      i = skipSequence(bytes, i);
      continue;
    }
    ++i;
    if (b == '\n' || b == '\t' || (b >= ' ' && b <= '~')) {
      text.add(static_cast<char>(b));
    } else if (b >= 0x80) {
      text.add('?');
    }
  }
  size_t start = text.size() - std::min(limit, text.size());
  return kj::heapString(text.slice(start, text.size()));
}

kj::Promise<void> ConsoleHistory::stream(kj::Own<ConsoleHistory> history,
                                         schema::ByteStream::Client sink,
                                         schema::ConsoleMode mode) {
  uint64_t position = history->begin();
  uint64_t until = history->end();
  for (;;) {
    auto bytes = history->copyFrom(position, kChunk);
    if (bytes.size() > 0) {
      // Where the sink was too slow, the oldest kept byte is later than `position`.
      position = std::max(position, history->begin()) + bytes.size();
      auto request = sink.writeRequest();
      request.setBytes(bytes);
      co_await request.send();
      if (mode == schema::ConsoleMode::HISTORY && position >= until) break;
      continue;
    }
    if (mode == schema::ConsoleMode::HISTORY || history->closed()) break;
    co_await history->whenChanged();
  }
  co_await sink.endRequest().send().ignoreResult();
}

schema::Handle::Client streamConsole(kj::Own<ConsoleHistory> history,
                                     schema::ByteStream::Client sink, schema::ConsoleMode mode) {
  auto task = ConsoleHistory::stream(kj::mv(history), kj::mv(sink), mode)
                  .eagerlyEvaluate([](kj::Exception&&) {});
  // A sink that fails ends its own stream and nothing else.
  return makeHandle([task = kj::mv(task)]() {});
}

}  // namespace bulkhead::hvd

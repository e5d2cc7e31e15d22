// SPDX-License-Identifier: Apache-2.0
#include "hvd/console.h"

#include <gtest/gtest.h>

#include <string>

namespace bulkhead::hvd {
namespace {

std::string text(kj::ArrayPtr<const kj::byte> bytes) {
  return std::string(bytes.asChars().begin(), bytes.size());
}

kj::ArrayPtr<const kj::byte> bytesOf(const std::string& text) {
  return kj::arrayPtr(text.data(), text.size()).asBytes();
}

struct RingTest : testing::Test {
  xencons_interface page{};
  kj::Own<ConsoleHistory> history = kj::refcounted<ConsoleHistory>();

  ~RingTest() noexcept override {}

  void say(const std::string& words) {
    for (char c : words) page.out[page.out_prod++ % sizeof page.out] = c;
  }
  std::string heard() { return text(history->copyFrom(0, SIZE_MAX)); }
};

TEST_F(RingTest, TakesWhatTheGuestWrote) {
  ConsoleRing ring(page);
  say("hello ");
  EXPECT_EQ(ring.drain(*history), 6u);
  say("world");
  EXPECT_EQ(ring.drain(*history), 5u);
  EXPECT_EQ(ring.drain(*history), 0u);
  EXPECT_EQ(heard(), "hello world");
  EXPECT_EQ(page.out_cons, page.out_prod);
}

TEST_F(RingTest, WrapsAround) {
  page.out_cons = page.out_prod = UINT32_MAX - 3;
  ConsoleRing ring(page);
  say(std::string(2000, 'a') + "b");
  EXPECT_EQ(ring.drain(*history), 2001u);
  EXPECT_EQ(heard(), std::string(2000, 'a') + "b");
}

TEST_F(RingTest, TakesAFullRing) {
  ConsoleRing ring(page);
  say(std::string(2048, 'x'));
  EXPECT_EQ(ring.drain(*history), 2048u);
}

TEST_F(RingTest, DropsNonsense) {
  ConsoleRing ring(page);
  page.out_prod = 2049;
  EXPECT_EQ(ring.drain(*history), 0u);
  page.out_prod = 5;
  EXPECT_EQ(ring.drain(*history), 0u);
  // Sane again from here on.
  say("ok");
  EXPECT_EQ(ring.drain(*history), 2u);
  EXPECT_EQ(heard(), "ok");
}

TEST_F(RingTest, TrustsItsOwnIndexOnly) {
  ConsoleRing ring(page);
  say("abc");
  ring.drain(*history);
  page.out_cons = 0;
  EXPECT_EQ(ring.drain(*history), 0u);
  say("d");
  ring.drain(*history);
  EXPECT_EQ(heard(), "abcd");
}

TEST(ConsoleHistory, KeepsTheLast64KiB) {
  auto history = kj::refcounted<ConsoleHistory>();
  for (int i = 0; i < 100; ++i)
    history->append(bytesOf(std::string(1000, static_cast<char>('a' + i % 26))));
  EXPECT_EQ(history->end(), 100'000u);
  EXPECT_EQ(history->begin(), 100'000u - 65536);
  EXPECT_EQ(history->copyFrom(0, SIZE_MAX).size(), 65536u);
  EXPECT_EQ(text(history->copyFrom(99'999, 10)), std::string(1, static_cast<char>('a' + 99 % 26)));
}

TEST(ConsoleHistory, MakesItsTailSafe) {
  auto history = kj::refcounted<ConsoleHistory>();
  history->append(bytesOf("a\x1b[31mred\x1b[0m\x1b]0;title\x07\r\nb\tc\xff\x80 end\x1b["));
  EXPECT_EQ(history->tail(100), "ared0;title\nb\tc?? end");
  EXPECT_EQ(history->tail(3), "end");
  EXPECT_EQ(history->tail(0), "");
}

class Sink final : public schema::ByteStream::Server {
 public:
  explicit Sink(std::string& into) : into(into) {}
  kj::Promise<void> write(WriteContext context) override {
    into += text(context.getParams().getBytes());
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext) override {
    into += "|";
    return kj::READY_NOW;
  }

 private:
  std::string& into;
};

TEST(ConsoleHistory, StreamsToFollowers) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto history = kj::refcounted<ConsoleHistory>();
  history->append(bytesOf("one "));
  std::string past, all;
  auto first = ConsoleHistory::stream(kj::addRef(*history), kj::heap<Sink>(past),
                                      schema::ConsoleMode::HISTORY);
  auto second = ConsoleHistory::stream(kj::addRef(*history), kj::heap<Sink>(all),
                                       schema::ConsoleMode::FOLLOW);
  first.wait(waitScope);
  EXPECT_EQ(past, "one |");
  EXPECT_FALSE(second.poll(waitScope));
  history->append(bytesOf("two"));
  EXPECT_FALSE(second.poll(waitScope));
  EXPECT_EQ(all, "one two");
  history->close();
  second.wait(waitScope);
  EXPECT_EQ(all, "one two|");
}

}  // namespace
}  // namespace bulkhead::hvd

// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/shutdown-watch.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/async-io.h>
#include <kj/debug.h>

namespace bulkhead::zone {
namespace {

// The other end of the device: what xenstored answers (xen/io/xs_wire.h).
class FakeXenbus {
 public:
  FakeXenbus() {
    int ends[2];
    KJ_SYSCALL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    ours = kj::AutoCloseFd(ends[0]);
    theirs = kj::AutoCloseFd(ends[1]);
  }

  kj::AutoCloseFd takeClientEnd() { return kj::mv(theirs); }

  void send(uint32_t type, kj::StringPtr payload) {
    uint32_t header[4] = {type, 1, 0, static_cast<uint32_t>(payload.size())};
    // The device hands out bytes, not messages: header and payload come by separate reads.
    KJ_SYSCALL(write(ours, header, sizeof header));
    if (payload.size() == 0) return;
    KJ_SYSCALL(write(ours, payload.begin(), payload.size()));
  }

  // Type and payload of the next request; type 0 when there is none.
  std::pair<uint32_t, std::string> received() {
    char buffer[256];
    ssize_t n = recv(ours, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 16) return {0, ""};
    uint32_t type;
    memcpy(&type, buffer, sizeof type);
    return {type, std::string(buffer + 16, static_cast<size_t>(n) - 16)};
  }

 private:
  kj::AutoCloseFd ours;
  kj::AutoCloseFd theirs;
};

constexpr uint32_t kRead = 2, kWatch = 4, kWrite = 11, kEvent = 15, kError = 16;
const std::string kNode("control/shutdown\0", 17);

TEST(ShutdownWatchTest, WaitsForARequestAndAcknowledgesIt) {
  auto io = kj::setupAsyncIo();
  FakeXenbus xenbus;
  auto asked = whenShutdownIsAsked(io.unixEventPort, xenbus.takeClientEnd());
  EXPECT_EQ(xenbus.received(), std::make_pair(kWatch, kNode + std::string("shutdown\0", 9)));
  xenbus.send(kEvent, "control/shutdown");  // every new watch fires once
  xenbus.send(kWatch, "OK");
  EXPECT_FALSE(asked.poll(io.waitScope));
  EXPECT_EQ(xenbus.received(), std::make_pair(kRead, kNode));
  xenbus.send(kError, "ENOENT");
  EXPECT_FALSE(asked.poll(io.waitScope));
  xenbus.send(kEvent, "control/shutdown");
  EXPECT_FALSE(asked.poll(io.waitScope));
  EXPECT_EQ(xenbus.received().first, kRead);
  xenbus.send(kRead, "poweroff");
  EXPECT_FALSE(asked.poll(io.waitScope));
  EXPECT_EQ(xenbus.received(), std::make_pair(kWrite, kNode));
  xenbus.send(kWrite, "OK");
  ASSERT_TRUE(asked.poll(io.waitScope));
  EXPECT_STREQ(asked.wait(io.waitScope).cStr(), "poweroff");
}

TEST(ShutdownWatchTest, FailsWhereXenstoreRefusesTheWatch) {
  auto io = kj::setupAsyncIo();
  FakeXenbus xenbus;
  auto asked = whenShutdownIsAsked(io.unixEventPort, xenbus.takeClientEnd());
  xenbus.send(kError, "EACCES");
  EXPECT_ANY_THROW(asked.wait(io.waitScope));
}

}  // namespace
}  // namespace bulkhead::zone

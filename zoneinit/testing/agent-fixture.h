// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "services/runtime/failure.h"
#include "zoneinit/testing/agent-client.h"
#include "zoneinit/testing/test-zone.h"

namespace bulkhead::zone {

kj::Array<kj::StringPtr> words(std::initializer_list<kj::StringPtr> list);

// The real /init and agent in namespaces of their own, over a socket in place of the ring. One zone
// for all tests of the program: what one leaves behind disturbs the next, as it should.
class ZoneAgentTest : public testing::Test {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

 protected:
  struct Shared {
    explicit Shared(kj::StringPtr path)
        : folder(kj::str(path)), image(path), io(kj::setupAsyncIo()), zone(path) {}
    kj::String folder;
    TestImage image;
    kj::AsyncIoContext io;
    ZoneUnderTest zone;
  };
  static Shared* shared;

  ZoneAgentTest();
  ~ZoneAgentTest() noexcept override {}

  // What the zone said, where the test failed.
  void TearDown() override;

  // The failure that `action` ends in.
  template <typename Action>
  Failure failureFrom(Action action) {
    try {
      action();
    } catch (...) {
      return failureOf(kj::getCaughtExceptionAsKj());
    }
    ADD_FAILURE() << "nothing failed";
    return failure(FailureCode::INTERNAL, "", "");
  }

  kj::WaitScope& ws;
  kj::Own<Connection> connection;
  AgentClient client;
};

}  // namespace bulkhead::zone

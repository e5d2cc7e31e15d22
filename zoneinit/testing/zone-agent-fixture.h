// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>

#include "services/runtime/failure.h"
#include "zoneinit/testing/agent-client.h"
#include "zoneinit/testing/test-zone.h"

namespace bulkhead::zone {

using Spec = schema::WorkloadSpec::Builder;
using ProcessBuilder = schema::ProcessSpec::Builder;

kj::Array<kj::StringPtr> words(std::initializer_list<kj::StringPtr> list);

// One zone for all tests: what one leaves behind disturbs the next, as it should. Each test has a
// session of its own.
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
  ~ZoneAgentTest() noexcept override;

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

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include <kj/async-io.h>

#include <gtest/gtest.h>

#include "schemas/hypervisor.capnp.h"
#include "services/runtime/connection.h"
#include "tests/xen/host.h"

namespace bulkhead::xentest {

// Collects what a console says and lets a test wait for a piece of text.
class ConsoleText final : public schema::ByteStream::Server {
 public:
  kj::Promise<void> write(WriteContext context) override;
  kj::Promise<void> end(EndContext) override { return kj::READY_NOW; }

  // Resolves when the text has been said, now or earlier. One wait at a time.
  kj::Promise<void> whenSaid(std::string wanted);

  std::string text;

 private:
  std::string pattern;
  kj::Own<kj::PromiseFulfiller<void>> fulfiller;

  void check();
};

// An hvd of the test's own beside the host's: the installed program, with its own state and socket,
// so that a test can kill it at any moment. Its guests run the packaged zone kernel with an init
// that obeys test=... on the command line. After each test nothing may be left on the host.
class HvdTest : public testing::Test {
 public:
  ~HvdTest() noexcept override {}

 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  void start();
  void killHard();

  schema::Hypervisor::Client hypervisor() { return bootstrap; }

  template <typename T>
  T await(kj::Promise<T> promise) {
    return io.provider->getTimer().timeoutAfter(kHang, kj::mv(promise)).wait(io.waitScope);
  }
  void await(kj::Promise<void> promise) {
    io.provider->getTimer().timeoutAfter(kHang, kj::mv(promise)).wait(io.waitScope);
  }

  using Order = capnp::Request<schema::Hypervisor::CreateDomainParams,
                               schema::Hypervisor::CreateDomainResults>;
  Order order(schema::Virtualization kind, kj::StringPtr arguments, unsigned memoryMiB = 256);

  struct Guest {
    schema::Domain::Client domain;
    ConsoleText* console;  // lives as long as the handle
    schema::Handle::Client handle;
  };

  // Creates the domain, which stays paused, and listens to its console.
  Guest create(Order order);
  Guest listenTo(schema::Domain::Client domain);
  void unpause(Guest& guest);

  // Waits until the guest has said it; what it said instead goes into the failure.
  void expectSaid(Guest& guest, const std::string& words);
  void destroy(schema::Domain::Client domain);

  kj::AsyncIoContext io = kj::setupAsyncIo();
  std::string directory;

 private:
  static constexpr kj::Duration kHang = 240 * kj::SECONDS;

  std::unique_ptr<NothingLeft> nothing;
  pid_t process = -1;
  kj::Own<Connection> connection;
  schema::Hypervisor::Client bootstrap = nullptr;
};

}  // namespace bulkhead::xentest

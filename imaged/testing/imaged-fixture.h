// SPDX-License-Identifier: Apache-2.0
// For tests: imaged with its workers, in their sandboxes, in a directory of their own.
#pragma once

#include <gtest/gtest.h>
#include <kj/async-io.h>

#include "imaged/testing/processes.h"
#include "imaged/testing/test-image.h"
#include "schemas/image.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead::testing {

class ImagedTest : public ::testing::Test {
 public:
  ~ImagedTest() noexcept override {}

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  TemporaryDirectory directory;

  // Starts the three programs. `config` is imaged.toml's text.
  void startImaged(kj::StringPtr config);

  bool isRunning() const { return connection.get() != nullptr; }

  // Ends imaged by a signal; `startImaged` may follow.
  int stopImaged(int signal);

  // Ends it and its workers as a kernel short of memory would.
  void killAll();

  void TearDown() override;

  schema::ImageStore::Client store();
  schema::Image::Client pull(kj::StringPtr reference,
                             schema::PullPolicy policy = schema::PullPolicy::IF_ABSENT);

  // The failure a pull ends with; the test fails where it does not.
  Failure pullFailure(kj::StringPtr reference,
                      schema::PullPolicy policy = schema::PullPolicy::IF_ABSENT);

  // The packed root's listing by unsquashfs, one "mode owner size path" a line.
  kj::String listRoot(schema::Image::Client image);
  // One file of the packed root.
  kj::String readRoot(schema::Image::Client image, kj::StringPtr path);

  uint fetchWorkers() const { return fetch->started(); }
  uint unpackWorkers() const { return unpack->started(); }

  // What the three programs have written to standard error so far.
  kj::String logged() const;

 private:
  kj::Own<AcceptUnit> fetch;
  kj::Own<AcceptUnit> unpack;
  kj::Own<RunningProcess> imaged;
  kj::Own<Connection> connection;
  kj::AutoCloseFd log;

  kj::String saveRoot(schema::Image::Client image);
};

}  // namespace bulkhead::testing

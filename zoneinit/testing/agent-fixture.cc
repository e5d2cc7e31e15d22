// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/testing/agent-fixture.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <iostream>

#include <kj/debug.h>

namespace bulkhead::zone {

kj::Array<kj::StringPtr> words(std::initializer_list<kj::StringPtr> list) {
  return kj::heapArray<kj::StringPtr>(list);
}

ZoneAgentTest::Shared* ZoneAgentTest::shared = nullptr;

void ZoneAgentTest::SetUpTestSuite() {
  ASSERT_EQ(geteuid(), 0u) << "these tests make namespaces and mounts: run them as root";
  // Mounts of the tests stay in here.
  KJ_SYSCALL(unshare(CLONE_NEWNS));
  mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  char path[] = "/tmp/bulkhead-zone-XXXXXX";
  KJ_REQUIRE(mkdtemp(path) != nullptr);
  shared = new Shared(path);
}

void ZoneAgentTest::TearDownTestSuite() {
  auto folder = kj::str(shared->folder);
  delete shared;
  shared = nullptr;
  EXPECT_EQ(system(kj::str("rm -rf ", folder).cStr()), 0);
}

ZoneAgentTest::ZoneAgentTest()
    : ws(shared->io.waitScope),
      connection(shared->zone.connect(*shared->io.lowLevelProvider)),
      client(ws, connection->bootstrap<schema::ZoneAgent>(), shared->image.disk()) {}

void ZoneAgentTest::TearDown() {
  if (HasFailure()) std::cerr << shared->zone.console().cStr();
}

}  // namespace bulkhead::zone

// SPDX-License-Identifier: Apache-2.0
#include "hvd/domain-nodes.h"

#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <set>
#include <string>

#include "hvd/fake-xenstored.h"

namespace bulkhead::hvd {
namespace {

// The tree of a domain with one disk and one interface, as xenstore-ls would show it.
constexpr const char* kGolden = R"(/local
/local/domain
/local/domain/0
/local/domain/0/backend
/local/domain/0/backend/vbd
/local/domain/0/backend/vbd/7
/local/domain/0/backend/vbd/7/51712 [n0 r7]
/local/domain/0/backend/vbd/7/51712/bootable = 0
/local/domain/0/backend/vbd/7/51712/dev = xvda
/local/domain/0/backend/vbd/7/51712/device-type = disk
/local/domain/0/backend/vbd/7/51712/frontend = /local/domain/7/device/vbd/51712
/local/domain/0/backend/vbd/7/51712/frontend-id = 7
/local/domain/0/backend/vbd/7/51712/hotplug-status = connected
/local/domain/0/backend/vbd/7/51712/mode = r
/local/domain/0/backend/vbd/7/51712/online = 1
/local/domain/0/backend/vbd/7/51712/physical-device = 7:1f
/local/domain/0/backend/vbd/7/51712/removable = 0
/local/domain/0/backend/vbd/7/51712/state = 1
/local/domain/0/backend/vbd/7/51712/type = phy
/local/domain/3
/local/domain/3/backend
/local/domain/3/backend/vif
/local/domain/3/backend/vif/7
/local/domain/3/backend/vif/7/2 [n3 r7]
/local/domain/3/backend/vif/7/2/frontend = /local/domain/7/device/vif/2
/local/domain/3/backend/vif/7/2/frontend-id = 7
/local/domain/3/backend/vif/7/2/handle = 2
/local/domain/3/backend/vif/7/2/mac = 02:00:00:00:00:01
/local/domain/3/backend/vif/7/2/online = 1
/local/domain/3/backend/vif/7/2/script
/local/domain/3/backend/vif/7/2/state = 1
/local/domain/7 [n0 r7]
/local/domain/7/attr [n7]
/local/domain/7/console [n0 r7]
/local/domain/7/console/backend-id = 0
/local/domain/7/console/limit = 65536
/local/domain/7/console/port = 2
/local/domain/7/console/ring-ref = 1000
/local/domain/7/console/type = bulkhead
/local/domain/7/control [n0 r7]
/local/domain/7/control/feature-poweroff [n7]
/local/domain/7/control/feature-reboot [n7]
/local/domain/7/control/feature-suspend [n7]
/local/domain/7/control/platform-feature-multiprocessor-suspend = 1
/local/domain/7/control/platform-feature-xs_reset_watches = 1
/local/domain/7/control/shutdown [n7]
/local/domain/7/control/sysrq [n7]
/local/domain/7/cpu
/local/domain/7/cpu/0
/local/domain/7/cpu/0/availability = online
/local/domain/7/cpu/1
/local/domain/7/cpu/1/availability = offline
/local/domain/7/data [n7]
/local/domain/7/device [n0 r7]
/local/domain/7/device/vbd
/local/domain/7/device/vbd/51712 [n7 r0]
/local/domain/7/device/vbd/51712/backend = /local/domain/0/backend/vbd/7/51712
/local/domain/7/device/vbd/51712/backend-id = 0
/local/domain/7/device/vbd/51712/device-type = disk
/local/domain/7/device/vbd/51712/state = 1
/local/domain/7/device/vbd/51712/virtual-device = 51712
/local/domain/7/device/vif
/local/domain/7/device/vif/2 [n7 r3]
/local/domain/7/device/vif/2/backend = /local/domain/3/backend/vif/7/2
/local/domain/7/device/vif/2/backend-id = 3
/local/domain/7/device/vif/2/handle = 2
/local/domain/7/device/vif/2/mac = 02:00:00:00:00:01
/local/domain/7/device/vif/2/mtu = 9000
/local/domain/7/device/vif/2/state = 1
/local/domain/7/device/vif/2/trusted = 0
/local/domain/7/domid = 7
/local/domain/7/drivers [n7]
/local/domain/7/error [n7]
/local/domain/7/feature [n7]
/local/domain/7/memory
/local/domain/7/memory/static-max = 262144
/local/domain/7/memory/target = 262144
/local/domain/7/memory/videoram = 0
/local/domain/7/name = web
/local/domain/7/store
/local/domain/7/store/port = 1
/local/domain/7/store/ring-ref = 2000
/local/domain/7/vm = /vm/11111111-2222-4333-8444-555555555555
/vm
/vm/11111111-2222-4333-8444-555555555555 [n0 r7]
/vm/11111111-2222-4333-8444-555555555555/name = web
/vm/11111111-2222-4333-8444-555555555555/uuid = 11111111-2222-4333-8444-555555555555
)";

struct DomainNodesTest : testing::Test {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::TimerImpl clock{kj::origin<kj::TimePoint>()};
  FakeXenstored daemon{kj::mv(pipe.ends[1])};
  XenstoreClient client{kj::mv(pipe.ends[0]), clock};
  Uuid uuid = Uuid::parse("11111111-2222-4333-8444-555555555555").orDefault(Uuid());
  kj::Array<DiskPlan> disks = kj::arr(DiskPlan{51712, kj::str("xvda"), Access::READ_ONLY, 7, 31});
  kj::Array<VifConfig> vifs = kj::arr(VifConfig{2, kj::str("02:00:00:00:00:01"), 3, 9000});

  ~DomainNodesTest() noexcept override {}

  kj::Array<NodeChange> nodes() {
    DomainPlan plan{7, uuid, kj::str("web"), 262144, 1, 2, 1000, 2, 2000, 1, disks, vifs};
    return domainNodes(plan);
  }
};

TEST_F(DomainNodesTest, WritesTheGoldenTree) {
  // Something an earlier domain of this number left behind.
  daemon.tree["/local/domain/7"];
  daemon.tree["/local/domain/7/data/idm/event-channel"].value = "13";
  client.commit(nodes()).wait(waitScope);
  EXPECT_EQ(daemon.listing(), kGolden);
}

TEST_F(DomainNodesTest, SecuresEachDirectoryBeforeItsChildren) {
  std::set<std::string> written;
  for (auto& change : nodes()) {
    std::string path = change.path.cStr();
    if (change.kind == NodeChange::Kind::secure) {
      for (auto& other : written) {
        EXPECT_FALSE(other.starts_with(path + "/")) << other << " before " << path;
      }
    } else if (change.kind == NodeChange::Kind::write) {
      written.insert(path);
    }
  }
}

TEST_F(DomainNodesTest, PurgesAllOfIt) {
  client.commit(nodes()).wait(waitScope);
  uint32_t backends[] = {3};
  client.commit(purgeNodes(7, uuid, backends)).wait(waitScope);
  EXPECT_EQ(daemon.listing(),
            "/local\n/local/domain\n/local/domain/0\n/local/domain/0/backend\n"
            "/local/domain/0/backend/vbd\n/local/domain/3\n/local/domain/3/backend\n"
            "/local/domain/3/backend/vif\n/vm\n");
}

TEST_F(DomainNodesTest, LeavesVifsUnconnected) {
  for (auto& change : vifNodes(7, vifs[0])) {
    EXPECT_FALSE(change.path.asPtr().endsWith("hotplug-status"));
  }
}

}  // namespace
}  // namespace bulkhead::hvd

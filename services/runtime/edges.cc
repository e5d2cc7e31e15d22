// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/edges.h"

#include <stdlib.h>

namespace bulkhead {
namespace {

constexpr kj::StringPtr kRun = "/run/bulkhead"_kj;

const EdgeInfo kEdges[] = {
    {Edge::platform, "platform", "/run/bulkhead/platform.sock", "zoned", ""},
    {Edge::hypervisor, "hvd", "/run/bulkhead/hvd.sock", "hvd", "bulkhead-zoned"},
    {Edge::images, "imaged", "/run/bulkhead/imaged.sock", "imaged", "bulkhead-zoned"},
    {Edge::network, "netd", "/run/bulkhead/netd.sock", "netd", "bulkhead-zoned"},
    {Edge::rings, "idmd", "/run/bulkhead/idmd.sock", "idmd", "bulkhead-zoned"},
    {Edge::fetch, "fetch", "/run/bulkhead/fetch.sock", "imaged-fetch", "bulkhead-imaged"},
    {Edge::unpack, "unpack", "/run/bulkhead/unpack.sock", "imaged-unpack", "bulkhead-imaged"},
    {Edge::link, "link", "/run/bulkhead/link.sock", "idmd-link", "bulkhead-idmd"},
    {Edge::netAgent, "netagent", "/run/bulkhead/netagent.sock", "netd-agent", "bulkhead-netd"},
};

}  // namespace

kj::ArrayPtr<const EdgeInfo> edges() { return kEdges; }

const EdgeInfo& info(Edge edge) { return edges()[static_cast<size_t>(edge)]; }

kj::String socketPath(Edge edge) {
  auto path = info(edge).path;
  const char* directory = getenv("BULKHEAD_RUN");
  if (directory == nullptr) return kj::str(path);
  return kj::str(directory, path.slice(kRun.size()));
}

}  // namespace bulkhead

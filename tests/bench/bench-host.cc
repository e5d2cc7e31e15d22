// SPDX-License-Identifier: Apache-2.0
// The part of a benchmark that runs on the Xen host: prints its rows as JSON.

#include <capnp/compat/json.h>
#include <stdio.h>

#include <map>

#include "tests/bench/rows.h"

namespace bulkhead::bench {
namespace {

kj::String toJson(const Rows& rows) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<capnp::json::Value>().initArray(static_cast<unsigned>(rows.size()));
  unsigned i = 0;
  for (auto& row : rows) {
    auto object = list[i++].initObject(row.peerValue ? 6 : 3);
    object[0].setName("name");
    object[0].initValue().setString(row.name.c_str());
    object[1].setName("value");
    object[1].initValue().setNumber(row.value);
    object[2].setName("unit");
    object[2].initValue().setString(row.unit.c_str());
    if (!row.peerValue) continue;
    object[3].setName("peer");
    object[3].initValue().setString(row.peer.c_str());
    object[4].setName("peer_value");
    object[4].initValue().setNumber(*row.peerValue);
    object[5].setName("ratio");
    object[5].initValue().setNumber(row.value / *row.peerValue);
  }
  return capnp::JsonCodec().encodeRaw(message.getRoot<capnp::json::Value>().asReader());
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  using namespace bulkhead::bench;
  const std::map<std::string, Rows (*)()> benches = {{"zone-start", measureZoneStart},
                                                     {"zone-kernel", measureZoneKernel},
                                                     {"layer-start", measureLayerStart},
                                                     {"idle", measureIdle}};
  auto found = argc == 2 ? benches.find(argv[1]) : benches.end();
  if (found == benches.end()) {
    fprintf(stderr, "usage: bench-host zone-start|zone-kernel|layer-start|idle\n");
    return 2;
  }
  puts(toJson(found->second()).cStr());
  return 0;
}

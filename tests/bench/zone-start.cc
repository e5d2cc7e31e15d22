// SPDX-License-Identifier: Apache-2.0
// From the request to the first byte of output, phase by phase, beside `xl`.

#include <capnp/compat/json.h>
#include <capnp/message.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "tests/bench/rows.h"
#include "tests/bench/xl-peer.h"
#include "tests/xen/host.h"

namespace bulkhead::bench {
namespace {

using xentest::run;
using xentest::Running;

constexpr char kImage[] = "localhost:5000/busybox";
constexpr int kRuns = 3;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

using Phases = std::vector<std::pair<std::string, double>>;

// The phases that zoned recorded for a zone, in milliseconds.
Phases phasesOf(const std::string& zone) {
  auto shown = run({"bulkhead", "zone", "info", zone, "--output", "json"});
  if (shown.code != 0) throw std::runtime_error("zone info: " + shown.err);
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::json::Value>();
  capnp::JsonCodec().decodeRaw(kj::StringPtr(shown.out.c_str()), root);
  Phases phases;
  for (auto field : root.asReader().getObject()) {
    if (field.getName() != "phases") continue;
    for (auto entry : field.getValue().getArray()) {
      std::string name;
      double nanoseconds = 0;
      for (auto member : entry.getObject()) {
        auto value = member.getValue();
        if (member.getName() == "name") name = value.getString().cStr();
        if (member.getName() == "nanoseconds") {
          // 64-bit numbers are strings in Cap'n Proto's JSON.
          nanoseconds = value.isString() ? std::stod(value.getString().cStr()) : value.getNumber();
        }
      }
      phases.emplace_back(name, nanoseconds / 1e6);
    }
  }
  return phases;
}

struct OurTimes {
  double firstByte;
  double destroy;
  std::map<std::string, double> phases;
  std::vector<std::string> order;
};

OurTimes measureOurs(const std::string& type) {
  OurTimes times{};
  {
    double start = millisecondsNow();
    Running client({"bulkhead", "run", "--" + type, kImage, "echo", "up"});
    if (!client.outputHas("up")) throw std::runtime_error("the zone printed nothing");
    times.firstByte = millisecondsNow() - start;
    client.wait();
  }
  auto launched = run(
      {"bulkhead", "zone", "launch", "--" + type, "--name", "bench", kImage, "sleep", "100000"});
  if (launched.code != 0) throw std::runtime_error("zone launch: " + launched.err);
  for (auto& [name, value] : phasesOf("bench")) {
    times.phases[name] = value;
    times.order.push_back(name);
  }
  double start = millisecondsNow();
  run({"bulkhead", "zone", "destroy", "bench"});
  times.destroy = millisecondsNow() - start;
  return times;
}

void measureType(const std::string& type, PeerGuest guest, Rows& rows) {
  guest.type = type == "pv" ? "pv" : "pvh";
  std::vector<double> firstByte, destroy, xlCreate, xlFirstByte, xlDestroy;
  std::map<std::string, std::vector<double>> phases;
  std::vector<std::string> order;
  for (int i = 0; i < kRuns; ++i) {
    auto ours = measureOurs(type);
    auto xl = measureXl(guest);
    firstByte.push_back(ours.firstByte);
    destroy.push_back(ours.destroy);
    xlCreate.push_back(xl.create + xl.unpause);
    xlFirstByte.push_back(xl.firstByte);
    xlDestroy.push_back(xl.destroy);
    for (auto& [name, value] : ours.phases) phases[name].push_back(value);
    order = ours.order;
  }
  auto label = [&](const std::string& what) { return type + ": " + what; };
  for (auto& name : order) rows.push_back({label(name), median(phases[name]), "ms"});
  double domain = median(phases["domain"]);
  rows.push_back({label("create to unpause, with a disk"), domain, "ms", "xl create -p, xl unpause",
                  median(xlCreate)});
  rows.push_back({label("request to first byte of output"), median(firstByte), "ms",
                  "xl create, busybox initrd", median(xlFirstByte)});
  rows.push_back({label("destroy"), median(destroy), "ms", "xl destroy", median(xlDestroy)});
}

}  // namespace

Rows measureZoneStart() {
  Rows rows;
  auto guest = preparePeer("/root/peer");
  run({"bulkhead", "image", "pull", kImage});
  // The first zone after boot pays for what dom0 does once; it is measured by nobody.
  run({"bulkhead", "run", "--pv", kImage, "true"});
  measureType("pv", guest, rows);
  measureType("pvh", guest, rows);
  return rows;
}

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/oci-config.h"

#include "services/runtime/failure.h"
#include "zoneinit/runtime/checked-text.h"

namespace bulkhead::zone {
namespace {

constexpr JsonSource kConfiguration{"config.json"_kj, "the configuration"_kj, 1 << 20};
constexpr size_t kMostTexts = 4096;
constexpr size_t kMostFew = 256;
constexpr uint64_t kMostId = UINT32_MAX;

// Properties that change what a process is allowed or gets, and that nothing here would heed:
// better refused than forgotten.
void refuseAll(const CheckedJson& object, std::initializer_list<kj::StringPtr> names,
               kj::StringPtr why) {
  for (auto name : names) {
    KJ_IF_MAYBE (value, object.find(name)) {
      value->refuseUnsupported(why);
    }
  }
}

void readUser(const CheckedJson& user, schema::ProcessSpec::Builder process) {
  uint64_t uid = 0, gid = 0;
  KJ_IF_MAYBE (value, user.find("uid")) {
    uid = value->number(kMostId);
  }
  KJ_IF_MAYBE (value, user.find("gid")) {
    gid = value->number(kMostId);
  }
  process.setUser(kj::str(uid, ':', gid));
  KJ_IF_MAYBE (value, user.find("umask")) {
    process.getUmask().setBits(static_cast<uint16_t>(value->number(0777)));
  }
  KJ_IF_MAYBE (value, user.find("additionalGids")) {
    auto groups = value->elements(kMostFew);
    auto list = process.initAdditionalGroups(static_cast<uint>(groups.size()));
    for (uint i = 0; i < list.size(); ++i) list.set(i, kj::str(groups[i].number(kMostId)));
  }
}

kj::StringPtr withoutPrefix(kj::StringPtr capability) {
  return capability.startsWith("CAP_") ? capability.slice(4) : capability;
}

// After an execve(2) only two of the five sets decide: the bounding set for root, the ambient set
// for everybody else (capabilities(7), "Transformation of capabilities during execve()").
void readCapabilities(kj::Maybe<CheckedJson> sets, schema::Capabilities::Builder out) {
  out.initDrop(1).set(0, "ALL");
  KJ_IF_MAYBE (given, sets) {
    auto read = [&](kj::StringPtr name,
                    kj::FunctionParam<capnp::List<capnp::Text>::Builder(uint)> init) {
      KJ_IF_MAYBE (set, given->find(name)) {
        auto names = set->elements(kMostFew);
        auto list = init(static_cast<uint>(names.size()));
        for (uint i = 0; i < list.size(); ++i) list.set(i, withoutPrefix(names[i].text()));
      }
    };
    read("bounding", [&](uint size) { return out.initAdd(size); });
    read("ambient", [&](uint size) { return out.initAmbient(size); });
  }
}

void readLimits(const CheckedJson& limits, schema::ProcessSpec::Builder process) {
  auto given = limits.elements(kMostFew);
  auto list = process.initLimits(static_cast<uint>(given.size()));
  for (uint i = 0; i < list.size(); ++i) {
    list[i].setName(given[i].need("type").text());
    list[i].setSoft(given[i].need("soft").number(UINT64_MAX));
    list[i].setHard(given[i].need("hard").number(UINT64_MAX));
  }
}

void readTerminal(const CheckedJson& process, schema::ProcessSpec::Builder out) {
  KJ_IF_MAYBE (terminal, process.find("terminal")) {
    if (terminal->truth() == CheckedJson::Truth::no) return;
    auto size = out.initTerminal();
    size.setRows(24);
    size.setColumns(80);
    KJ_IF_MAYBE (given, process.find("consoleSize")) {
      auto height = given->need("height").number(UINT16_MAX),
           width = given->need("width").number(UINT16_MAX);
      if (height == 0 || width == 0) return;
      size.setRows(static_cast<uint16_t>(height));
      size.setColumns(static_cast<uint16_t>(width));
    }
  }
}

void readProcess(const CheckedJson& process, schema::ProcessSpec::Builder out) {
  refuseAll(process, {"selinuxLabel", "scheduler", "ioPriority", "execCPUAffinity"},
            "is not to be had in a zone");
  readTerminal(process, out);
  readOciTexts(process.need("args"), kMostTexts, [&](uint n) { return out.initArguments(n); });
  KJ_IF_MAYBE (value, process.find("env")) {
    readOciTexts(*value, kMostTexts, [&](uint n) { return out.initEnvironment(n); });
  }
  out.setWorkingDirectory(process.need("cwd").text());
  out.setUser("0:0");  // numbers alone, so that no group of the image's joins them
  KJ_IF_MAYBE (value, process.find("user")) {
    readUser(*value, out);
  }
  readCapabilities(process.find("capabilities"), out.initCapabilities());
  KJ_IF_MAYBE (value, process.find("rlimits")) {
    readLimits(*value, out);
  }
  out.setPrivileges(schema::ProcessSpec::Privileges::GAINABLE);
  KJ_IF_MAYBE (value, process.find("noNewPrivileges")) {
    if (value->truth() == CheckedJson::Truth::yes) {
      out.setPrivileges(schema::ProcessSpec::Privileges::NEVER_GAINED);
    }
  }
  KJ_IF_MAYBE (value, process.find("oomScoreAdj")) {
    out.setOomScoreAdjust(static_cast<int16_t>(value->integer(1000)));
  }
  KJ_IF_MAYBE (value, process.find("apparmorProfile")) {
    out.setAppArmorProfile(value->text());
  }
}

void readRoot(const CheckedJson& root, kj::StringPtr bundle, schema::WorkloadSpec::Builder spec) {
  spec.setRootDirectory(bundlePath(bundle, root.need("path").text()));
  KJ_IF_MAYBE (value, root.find("readonly")) {
    spec.setReadOnlyRoot(value->truth() == CheckedJson::Truth::yes);
  }
}

void refuseHooks(const CheckedJson& hooks) {
  for (auto& kind : hooks.members(kMostFew)) {
    if (kind.value.elements(kMostFew).size() == 0) continue;
    kind.value.refuseUnsupported("asks for hooks, which are programs of a host",
                                 "a zone runs none; do what they do before it is created");
  }
}

}  // namespace

kj::String bundlePath(kj::StringPtr bundle, kj::StringPtr path) {
  return path.startsWith("/") ? kj::str(path) : kj::str(bundle, '/', path);
}

void readOciTexts(const CheckedJson& array, size_t most,
                  kj::FunctionParam<capnp::List<capnp::Text>::Builder(uint)> init) {
  auto texts = array.elements(most);
  auto list = init(static_cast<uint>(texts.size()));
  for (uint i = 0; i < list.size(); ++i) list.set(i, texts[i].text());
}

void readOciConfig(kj::ArrayPtr<const kj::byte> json, kj::StringPtr bundle,
                   schema::WorkloadSpec::Builder spec) {
  if (!bundle.startsWith("/")) invalid(printable(bundle, 256), "a bundle has an absolute path");
  CheckedJsonDocument document(kConfiguration, json);
  auto root = document.root();
  auto version = root.need("ociVersion");
  if (!version.text().startsWith("1.")) {
    version.refuseUnsupported("is not 1.something", "this runtime follows version 1");
  }
  refuseAll(root, {"solaris", "windows", "vm", "zos", "freebsd"}, "belongs to another platform");
  KJ_IF_MAYBE (value, root.find("hooks")) {
    refuseHooks(*value);
  }
  readRoot(root.need("root"), bundle, spec);
  readProcess(root.need("process"), spec.initProcess());
  auto settings = spec.initSettings();
  KJ_IF_MAYBE (value, root.find("hostname")) {
    spec.setHostname(value->text());
  }
  KJ_IF_MAYBE (value, root.find("domainname")) {
    settings.setDomainName(value->text());
  }
  KJ_IF_MAYBE (value, root.find("mounts")) {
    readOciMounts(*value, bundle, settings);
  }
  KJ_IF_MAYBE (value, root.find("linux")) {
    readOciLinux(*value, spec);
  } else {
    invalid("config.json", "lacks \"linux\"", "this runtime is one for Linux");
  }
}

}  // namespace bulkhead::zone

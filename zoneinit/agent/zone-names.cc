// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/agent/zone-names.h"

#include <kj/vector.h>

#include "services/runtime/failure.h"
#include "zoneinit/agent/route-socket.h"
#include "zoneinit/runtime/spec.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kMostNames = 1024;
constexpr kj::StringPtr kLoopbackNames =
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"_kj;

void checkName(kj::StringPtr name, kj::StringPtr field) {
  bool good = name.size() > 0 && name.size() <= 253;
  for (char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_');
  }
  if (!good) fail(FailureCode::INVALID, field, kj::str("no name: ", printable(name, 64)));
}

void checkAddress(kj::StringPtr address, kj::StringPtr field) {
  if (parseIp(address) == nullptr) {
    fail(FailureCode::INVALID, field, kj::str("no address: ", printable(address, 64)));
  }
}

}  // namespace

NameFiles makeNameFiles(schema::ZoneConfig::Reader config) {
  if (config.getNameservers().size() > kMostNames || config.getHosts().size() > kMostNames ||
      config.getSearchDomains().size() > kMostNames) {
    fail(FailureCode::INVALID, "configuration", kj::str("more than ", kMostNames, " entries"));
  }
  kj::Vector<kj::String> resolver;
  for (auto address : config.getNameservers()) {
    checkAddress(address, "nameservers");
    resolver.add(kj::str("nameserver ", address, "\n"));
  }
  if (config.getSearchDomains().size() > 0) {
    kj::Vector<kj::String> domains;
    for (auto domain : config.getSearchDomains()) {
      checkName(domain, "searchDomains");
      domains.add(kj::str(domain));
    }
    resolver.add(kj::str("search ", kj::strArray(domains, " "), "\n"));
  }
  kj::Vector<kj::String> hosts;
  hosts.add(kj::str(kLoopbackNames));
  for (auto entry : config.getHosts()) {
    checkName(entry.getKey(), "hosts");
    checkAddress(entry.getValue(), "hosts");
    hosts.add(kj::str(entry.getValue(), "\t", entry.getKey(), "\n"));
  }
  return {kj::strArray(resolver, ""), kj::strArray(hosts, ""), kj::str(config.getHostname(), "\n")};
}

NameFiles defaultNameFiles(kj::StringPtr hostname) {
  return {kj::str(), kj::str(kLoopbackNames), kj::str(hostname, "\n")};
}

}  // namespace bulkhead::zone

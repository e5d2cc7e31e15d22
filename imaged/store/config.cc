// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/io.h>
#include <toml++/toml.hpp>

#include "imaged/reference.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr size_t kMostFile = 1u << 20;

kj::Maybe<kj::String> readFile(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (raw < 0) {
    if (errno == ENOENT) return nullptr;
    KJ_FAIL_SYSCALL("open", errno, path);
  }
  return kj::FdInputStream(kj::AutoCloseFd(raw)).readAllText(kMostFile);
}

class Parser {
 public:
  explicit Parser(kj::StringPtr path) : path(path) {}

  ImagedConfig parse(const toml::table& root) {
    ImagedConfig config;
    for (const auto& [key, node] : root) {
      auto name = key.str();
      if (name == "default-registry") {
        config.defaultRegistry = text(node, name);
        Reference::parse(kj::str(config.defaultRegistry, "/x"), config.defaultRegistry);
      } else if (name == "layout-directories") {
        for (const auto& item : array(node, name)) {
          auto directory = text(item, name);
          Reference::parse(kj::str("oci:", directory), "");
          config.layoutDirectories.add(kj::mv(directory));
        }
      } else if (name == "max-image-bytes") {
        config.maxImageBytes = count(node, name);
      } else if (name == "max-image-entries") {
        config.maxImageEntries = count(node, name);
      } else if (name == "store") {
        readStore(node, config);
      } else if (name == "registry") {
        for (const auto& [host, table] : tableOf(node, name)) {
          readRegistry(kj::heapString(host.str().data(), host.str().size()), table, config);
        }
      } else {
        reject(node, name, "is not a key of this file");
      }
    }
    return config;
  }

 private:
  kj::StringPtr path;

  [[noreturn]] void reject(const toml::node& node, std::string_view key, kj::StringPtr why) {
    fail(FailureCode::INVALID, path,
         kj::str("line ", node.source().begin.line, ": ", kj::heapString(key.data(), key.size()),
                 " ", why));
  }
  kj::String text(const toml::node& node, std::string_view key) {
    if (auto* string = node.as_string()) {
      return kj::heapString(string->get().data(), string->get().size());
    }
    reject(node, key, "is not a string");
  }
  const toml::array& array(const toml::node& node, std::string_view key) {
    if (auto* found = node.as_array()) return *found;
    reject(node, key, "is not an array");
  }
  const toml::table& tableOf(const toml::node& node, std::string_view key) {
    if (auto* found = node.as_table()) return *found;
    reject(node, key, "is not a table");
  }
  uint64_t count(const toml::node& node, std::string_view key) {
    auto* number = node.as_integer();
    if (number == nullptr || number->get() < 1) reject(node, key, "is not a number above 0");
    return static_cast<uint64_t>(number->get());
  }

  void readStore(const toml::node& node, ImagedConfig& config) {
    for (const auto& [key, value] : tableOf(node, "store")) {
      auto* number = value.as_integer();
      if (key.str() != "quota") reject(value, key.str(), "is not a key of the store");
      if (number == nullptr || number->get() < 0)
        reject(value, key.str(), "is not a size in bytes");
      config.storeQuota = static_cast<uint64_t>(number->get());
    }
  }

  void readRegistry(kj::String host, const toml::node& node, ImagedConfig& config) {
    if (Reference::parse(kj::str(host, "/x:y"), "").registry != host) {
      reject(node, "registry", kj::str("'", host, "' is not a registry's name"));
    }
    RegistryConfig registry;
    for (const auto& [key, value] : tableOf(node, "registry")) {
      if (key.str() == "insecure-http") {
        auto* flag = value.as_boolean();
        if (flag == nullptr) reject(value, key.str(), "is neither true nor false");
        registry.scheme =
            flag->get() ? schema::Registry::Scheme::HTTP : schema::Registry::Scheme::HTTPS;
      } else if (key.str() == "ca-file") {
        auto file = text(value, key.str());
        KJ_IF_MAYBE (pem, readFile(file)) {
          registry.certificates = kj::mv(*pem);
        } else {
          reject(value, key.str(), "names a file that is not there");
        }
      } else {
        reject(value, key.str(), "is not a key of a registry");
      }
    }
    config.registries.insert(kj::mv(host), kj::mv(registry));
  }
};

}  // namespace

ImagedConfig ImagedConfig::load(kj::StringPtr path) {
  KJ_IF_MAYBE (content, readFile(path)) {
    return parse(*content, path);
  }
  return ImagedConfig();
}

ImagedConfig ImagedConfig::parse(kj::StringPtr content, kj::StringPtr path) {
  try {
    auto root = toml::parse(std::string_view(content.begin(), content.size()));
    return Parser(path).parse(root);
  } catch (const toml::parse_error& error) {
    auto why = error.description();
    fail(FailureCode::INVALID, path,
         kj::str("line ", error.source().begin.line, ": ", kj::heapString(why.data(), why.size())));
  }
}

void ImagedConfig::describeRegistry(kj::StringPtr host, schema::Registry::Builder out) const {
  out.setHost(host);
  KJ_IF_MAYBE (registry, registries.find(host)) {
    out.setScheme(registry->scheme);
    out.setCaBundle(registry->certificates.asBytes());
  }
}

}  // namespace bulkhead

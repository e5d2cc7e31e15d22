// SPDX-License-Identifier: Apache-2.0
#include "hvd/fake-xenstored.h"

#include <cstring>

#include <kj/debug.h>

#include "hvd/xen-headers.h"

namespace bulkhead::hvd {
namespace {

// The strings of a payload, each ended by NUL; the rest as the last.
std::vector<std::string> split(const std::string& payload) {
  std::vector<std::string> result(1);
  for (size_t i = 0; i < payload.size(); ++i) {
    if (payload[i] != '\0') {
      result.back() += payload[i];
    } else if (i + 1 < payload.size()) {
      result.emplace_back();
    }
  }
  return result;
}

bool below(const std::string& path, const std::string& base) {
  return path == base || path.starts_with(base + "/");
}

}  // namespace

FakeXenstored::FakeXenstored(kj::Own<kj::AsyncIoStream> streamParam) : stream(kj::mv(streamParam)) {
  server = serve().eagerlyEvaluate([](kj::Exception&&) {});
}

kj::Promise<void> FakeXenstored::serve() {
  char buffer[65536];
  for (;;) {
    size_t got = co_await stream->tryRead(buffer, 1, sizeof buffer);
    if (got == 0) co_return;
    input.append(buffer, got);
    size_t requests = 0;
    xsd_sockmsg header;
    while (input.size() >= sizeof header) {
      memcpy(&header, input.data(), sizeof header);
      if (input.size() < sizeof header + header.len) break;
      auto payload = input.substr(sizeof header, header.len);
      input.erase(0, sizeof header + header.len);
      ++requests;
      handle(header.type, header.req_id, header.tx_id, payload);
    }
    batches.push_back(requests);
  }
}

kj::Promise<void> FakeXenstored::flush() {
  while (!output.empty()) {
    std::string batch;
    batch.swap(output);
    co_await stream->write(batch.data(), batch.size());
  }
  writing = false;
}

void FakeXenstored::sendRaw(const std::string& bytes) {
  output += bytes;
  if (writing) return;
  writing = true;
  writer = flush().eagerlyEvaluate([](kj::Exception&&) {});
}

void FakeXenstored::reply(uint32_t type, uint32_t id, uint32_t transaction,
                          const std::string& payload) {
  xsd_sockmsg header{type, id, transaction, static_cast<uint32_t>(payload.size())};
  sendRaw(std::string(reinterpret_cast<const char*>(&header), sizeof header) + payload);
}

void FakeXenstored::write(const std::string& path, const std::string& value) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    tree.try_emplace(path.substr(0, at));
  }
  tree[path].value = value;
  fire(path);
}

void FakeXenstored::fire(const std::string& path) {
  for (auto& [token, watched] : watches) {
    if (below(path, watched)) {
      auto payload = path;
      payload += '\0';
      payload += token;
      payload += '\0';
      reply(XS_WATCH_EVENT, 0, 0, payload);
    }
  }
}

std::string FakeXenstored::listing() const {
  std::string result;
  for (auto& [path, node] : tree) {
    result += path;
    if (!node.value.empty()) result += " = " + node.value;
    if (!node.permissions.empty()) result += " [" + node.permissions + "]";
    result += '\n';
  }
  return result;
}

void FakeXenstored::handle(uint32_t type, uint32_t id, uint32_t transaction,
                           const std::string& payload) {
  auto words = split(payload);
  const auto& path = words[0];
  auto error = [&](const char* name) {
    reply(XS_ERROR, id, transaction, std::string(name) + '\0');
  };
  auto ok = [&]() { reply(type, id, transaction, std::string("OK") + '\0'); };
  switch (type) {
    case XS_READ:
      if (!tree.contains(path)) return error("ENOENT");
      return reply(type, id, transaction, tree[path].value);
    case XS_DIRECTORY: {
      if (!tree.contains(path)) return error("ENOENT");
      std::string names;
      for (auto& [other, node] : tree) {
        if (below(other, path) && other != path &&
            other.find('/', path.size() + 1) == std::string::npos) {
          names += other.substr(path.size() + 1) + '\0';
        }
      }
      return reply(type, id, transaction, names);
    }
    case XS_WRITE:
      write(path, payload.size() > path.size() ? payload.substr(path.size() + 1) : "");
      return ok();
    case XS_MKDIR:
      if (!tree.contains(path)) write(path, "");
      return ok();
    case XS_SET_PERMS: {
      if (!tree.contains(path)) return error("ENOENT");
      auto& permissions = tree[path].permissions;
      permissions.clear();
      for (size_t i = 1; i < words.size(); ++i) permissions += (i > 1 ? " " : "") + words[i];
      return ok();
    }
    case XS_RM:
      if (!tree.contains(path)) return error("ENOENT");
      std::erase_if(tree, [&](auto& entry) { return below(entry.first, path); });
      fire(path);
      return ok();
    case XS_TRANSACTION_START:
      return reply(type, id, transaction, std::to_string(nextTransaction++) + '\0');
    case XS_TRANSACTION_END:
      if (path == "T" && failCommits > 0) {
        --failCommits;
        return error("EAGAIN");
      }
      return ok();
    case XS_WATCH:
      watches[words.at(1)] = path;
      ok();
      return fire(path);
    case XS_UNWATCH:
      watches.erase(words.at(1));
      return ok();
    case XS_INTRODUCE:
      introduced.push_back(words.at(0) + " " + words.at(1) + " " + words.at(2));
      return ok();
    case XS_RELEASE:
      return error("EINVAL");
    default:
      return error("ENOSYS");
  }
}

}  // namespace bulkhead::hvd

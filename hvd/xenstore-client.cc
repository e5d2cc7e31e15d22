// SPDX-License-Identifier: Apache-2.0
#include "hvd/xenstore-client.h"

#include <cstring>

#include <kj/debug.h>

#include "hvd/xen-headers.h"
#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr size_t kQueuedEvents = 256;
constexpr unsigned kCommitAttempts = 64;
constexpr kj::Duration kPatience = 5 * kj::SECONDS;

[[noreturn]] void refused(kj::StringPtr what, kj::StringPtr error) {
  fail(FailureCode::INTERNAL, "xenstore", kj::str(what, ": ", printable(error, 32)));
}

kj::String withNul(kj::StringPtr text) { return kj::heapString(text.begin(), text.size() + 1); }

kj::String joined(kj::StringPtr first, kj::StringPtr second) {
  return kj::str(first, '\0', second);
}

}  // namespace

kj::String NodePermissions::wire() const {
  auto first = kj::str('n', owner);
  KJ_IF_MAYBE (domid, reader) {
    return withNul(joined(first, kj::str('r', *domid)));
  }
  return withNul(first);
}

bool NodePermissions::operator==(const NodePermissions& other) const {
  return owner == other.owner && reader.orDefault(owner) == other.reader.orDefault(other.owner);
}

NodeChange writeNode(kj::StringPtr path, kj::StringPtr value) {
  return {NodeChange::Kind::write, kj::str(path), kj::str(value), {}};
}

NodeChange secureNode(kj::StringPtr path, NodePermissions permissions) {
  return {NodeChange::Kind::secure, kj::str(path), kj::String(), permissions};
}

NodeChange removeNode(kj::StringPtr path) {
  return {NodeChange::Kind::remove, kj::str(path), kj::String(), {}};
}

class XenstoreClient::WatchImpl final : public Watch {
 public:
  WatchImpl(XenstoreClient& client, kj::StringPtr path, uint64_t token)
      : client(client), path(kj::str(path)), token(token) {
    client.watches.insert(token, this);
    auto payload = withNul(joined(path, kj::str(token)));
    registered = client.require(XS_WATCH, kj::mv(payload), "WATCH")
                     .ignoreResult()
                     .eagerlyEvaluate([this](kj::Exception&& e) { breakWith(kj::mv(e)); });
  }

  ~WatchImpl() noexcept(false) override {
    client.watches.erase(token);
    if (client.broken != nullptr) return;
    // Nobody waits for the answer: a late event of an ended watch finds no receiver and is dropped.
    client.request(XS_UNWATCH, withNul(joined(path, kj::str(token)))).detach([](kj::Exception&&) {
    });
  }

  kj::Promise<kj::String> next() override {
    if (!events.empty()) {
      auto event = kj::mv(events.front());
      events.pop_front();
      return event;
    }
    KJ_IF_MAYBE (exception, failed) {
      return kj::cp(*exception);
    }
    auto paf = kj::newPromiseAndFulfiller<kj::String>();
    waiting = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  void skipPending() override { events.clear(); }

  void push(kj::String changed) {
    if (waiting.get() != nullptr && waiting->isWaiting()) {
      waiting->fulfill(kj::mv(changed));
      waiting = nullptr;
      return;
    }
    if (events.size() >= kQueuedEvents) {
      events.clear();
      changed = kj::str(path);
    }
    events.push_back(kj::mv(changed));
  }

  void breakWith(kj::Exception&& exception) {
    if (waiting.get() != nullptr) waiting->reject(kj::cp(exception));
    failed = kj::mv(exception);
  }

 private:
  XenstoreClient& client;
  kj::String path;
  uint64_t token;
  std::deque<kj::String> events;
  kj::Own<kj::PromiseFulfiller<kj::String>> waiting;
  kj::Maybe<kj::Exception> failed;
  kj::Promise<void> registered = nullptr;
};

XenstoreClient::XenstoreClient(kj::Own<kj::AsyncIoStream> streamParam,
                               const kj::MonotonicClock& clock)
    : stream(kj::mv(streamParam)), clock(clock) {
  reader = readAll().eagerlyEvaluate([this](kj::Exception&& e) { breakWith(kj::mv(e)); });
}

XenstoreClient::~XenstoreClient() noexcept(false) {
  KJ_ASSERT(watches.size() == 0, "a watch outlives its client");
}

kj::Promise<XenstoreClient::Reply> XenstoreClient::request(uint32_t type,
                                                           kj::ArrayPtr<const char> payload,
                                                           uint32_t transaction) {
  KJ_IF_MAYBE (exception, broken) {
    return kj::cp(*exception);
  }
  if (payload.size() > XENSTORE_PAYLOAD_MAX) {
    fail(FailureCode::INVALID, "xenstore", "a request of more than 4096 bytes");
  }
  uint32_t id = nextRequest++;
  xsd_sockmsg header{type, id, transaction, static_cast<uint32_t>(payload.size())};
  outgoing.addAll(kj::arrayPtr(reinterpret_cast<const kj::byte*>(&header), sizeof header));
  outgoing.addAll(payload.asBytes());
  auto paf = kj::newPromiseAndFulfiller<Reply>();
  pending.emplace_back(id, Pending{kj::mv(paf.fulfiller), clock.now()});
  if (!writing) {
    writing = true;
    // Begins after the caller's turn, so that what it asks for in one go leaves in one go.
    writer = kj::evalLater([this]() {
               return writeAll();
             }).eagerlyEvaluate([this](kj::Exception&& e) { breakWith(kj::mv(e)); });
  }
  return kj::mv(paf.promise);
}

kj::Promise<kj::String> XenstoreClient::require(uint32_t type, kj::String payload,
                                                kj::StringPtr what, uint32_t transaction) {
  auto description = kj::str(what, ' ', kj::StringPtr(payload.cStr()));
  auto reply = co_await request(type, payload, transaction);
  if (reply.isError) refused(description, reply.payload);
  co_return kj::mv(reply.payload);
}

kj::Promise<kj::Maybe<kj::String>> XenstoreClient::read(kj::StringPtr path) {
  auto payload = withNul(path);
  auto reply = co_await request(XS_READ, payload);
  if (!reply.isError) co_return kj::Maybe<kj::String>(kj::mv(reply.payload));
  if (reply.payload != "ENOENT") refused(kj::str("READ ", payload.cStr()), reply.payload);
  co_return nullptr;
}

kj::Promise<kj::Vector<kj::String>> XenstoreClient::list(kj::StringPtr path) {
  auto payload = withNul(path);
  auto reply = co_await request(XS_DIRECTORY, payload);
  kj::Vector<kj::String> result;
  if (reply.isError) {
    if (reply.payload != "ENOENT") refused(kj::str("DIRECTORY ", payload.cStr()), reply.payload);
    co_return result;
  }
  size_t start = 0;
  for (size_t i = 0; i < reply.payload.size(); ++i) {
    if (reply.payload[i] != '\0') continue;
    result.add(kj::heapString(reply.payload.slice(start, i)));
    start = i + 1;
  }
  co_return result;
}

kj::Promise<void> XenstoreClient::apply(const NodeChange& change, uint32_t transaction) {
  switch (change.kind) {
    case NodeChange::Kind::write:
      return require(XS_WRITE, joined(change.path, change.value), "WRITE", transaction)
          .ignoreResult();
    case NodeChange::Kind::secure: {
      // MKDIR of a node that exists changes nothing and succeeds.
      auto made = require(XS_MKDIR, withNul(change.path), "MKDIR", transaction).ignoreResult();
      auto secured = require(XS_SET_PERMS, joined(change.path, change.permissions.wire()),
                             "SET_PERMS", transaction)
                         .ignoreResult();
      return kj::joinPromises(kj::arr(kj::mv(made), kj::mv(secured)));
    }
    case NodeChange::Kind::remove: {
      auto path = kj::str(change.path);
      return request(XS_RM, withNul(path), transaction).then([path = kj::mv(path)](Reply reply) {
        if (reply.isError && reply.payload != "ENOENT") {
          refused(kj::str("RM ", path), reply.payload);
        }
      });
    }
  }
  KJ_UNREACHABLE;
}

kj::Promise<bool> XenstoreClient::tryCommit(kj::ArrayPtr<const NodeChange> changes) {
  auto started = co_await require(XS_TRANSACTION_START, withNul(""), "TRANSACTION_START");
  uint32_t transaction = KJ_REQUIRE_NONNULL(kj::StringPtr(started.cStr()).tryParseAs<uint32_t>(),
                                            "not a transaction id");
  auto acts = kj::heapArrayBuilder<kj::Promise<void>>(changes.size());
  for (auto& change : changes) acts.add(apply(change, transaction));
  kj::Maybe<kj::Exception> failed;
  try {
    co_await kj::joinPromises(acts.finish());
  } catch (...) {
    failed = kj::getCaughtExceptionAsKj();
  }
  KJ_IF_MAYBE (exception, failed) {
    co_await request(XS_TRANSACTION_END, withNul("F"), transaction);
    kj::throwFatalException(kj::mv(*exception));
  }
  auto ended = co_await request(XS_TRANSACTION_END, withNul("T"), transaction);
  if (!ended.isError) co_return true;
  if (ended.payload != "EAGAIN") refused("TRANSACTION_END", ended.payload);
  co_return false;
}

kj::Promise<void> XenstoreClient::commit(kj::Array<NodeChange> changes) {
  for (unsigned attempt = 0; attempt < kCommitAttempts; ++attempt) {
    if (co_await tryCommit(changes)) co_return;
  }
  fail(FailureCode::BUSY, "xenstore", "others kept changing what a transaction touches");
}

kj::Promise<void> XenstoreClient::introduce(uint32_t domid, uint64_t frame, uint32_t eventPort) {
  auto arguments = joined(kj::str(domid), joined(kj::str(frame), withNul(kj::str(eventPort))));
  return require(XS_INTRODUCE, kj::mv(arguments), "INTRODUCE").ignoreResult();
}

kj::Promise<void> XenstoreClient::release(uint32_t domid) {
  auto reply = co_await request(XS_RELEASE, withNul(kj::str(domid)));
  if (reply.isError && reply.payload != "ENOENT" && reply.payload != "EINVAL") {
    refused(kj::str("RELEASE ", domid), reply.payload);
  }
}

kj::Own<XenstoreClient::Watch> XenstoreClient::watch(kj::StringPtr path) {
  return kj::heap<WatchImpl>(*this, path, nextToken++);
}

bool XenstoreClient::healthy() const {
  if (broken != nullptr) return false;
  return pending.empty() || clock.now() - pending.front().second.since < kPatience;
}

kj::Promise<void> XenstoreClient::writeAll() {
  while (!outgoing.empty()) {
    auto batch = outgoing.releaseAsArray();
    outgoing = kj::Vector<kj::byte>();
    co_await stream->write(batch.begin(), batch.size());
  }
  writing = false;
}

kj::Promise<void> XenstoreClient::readAll() {
  for (;;) {
    xsd_sockmsg header;
    co_await stream->read(&header, sizeof header);
    KJ_REQUIRE(header.len <= XENSTORE_PAYLOAD_MAX, "a reply longer than the protocol allows");
    auto payload = kj::heapString(header.len);
    if (header.len > 0) co_await stream->read(payload.begin(), header.len);
    handle(header.type, header.req_id, kj::mv(payload));
  }
}

void XenstoreClient::handle(uint32_t type, uint32_t id, kj::String payload) {
  if (type == XS_WATCH_EVENT) {
    // Two strings: the path that changed, and the token that `watch` gave.
    kj::StringPtr path = payload.cStr();
    KJ_REQUIRE(path.size() < payload.size(), "a watch event without a token");
    kj::StringPtr token = payload.slice(path.size() + 1).cStr();
    KJ_IF_MAYBE (number, token.tryParseAs<uint64_t>()) {
      KJ_IF_MAYBE (watch, watches.find(*number)) {
        (*watch)->push(kj::str(path));
      }
    }
    return;
  }
  // xenstored answers in order; a deferred reply is the exception.
  for (auto it = pending.begin(); it != pending.end(); ++it) {
    if (it->first != id) continue;
    auto fulfiller = kj::mv(it->second.fulfiller);
    pending.erase(it);
    if (type == XS_ERROR) {
      fulfiller->fulfill(Reply{true, kj::str(payload.cStr())});
    } else {
      fulfiller->fulfill(Reply{false, kj::mv(payload)});
    }
    return;
  }
  KJ_FAIL_REQUIRE("a reply to a request that was never sent", id);
}

void XenstoreClient::breakWith(kj::Exception&& exception) {
  if (broken != nullptr) return;
  auto typed = failure(FailureCode::UNREACHABLE, "xenstored",
                       kj::str("the connection is lost: ", exception.getDescription()),
                       "running zones go on; restart the host when convenient")
                   .toException();
  broken = kj::cp(typed);
  for (auto& entry : pending) entry.second.fulfiller->reject(kj::cp(typed));
  pending.clear();
  for (auto& entry : watches) entry.value->breakWith(kj::cp(typed));
}

}  // namespace bulkhead::hvd

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/map.h>
#include <kj/string.h>
#include <kj/timer.h>
#include <kj/vector.h>

#include <cstdint>
#include <deque>

namespace bulkhead::hvd {

// Who may do what with a node: the wire's list of "n0", "r5" (docs/misc/xenstore.txt). The owner
// may always read and write; here the others may only read.
struct NodePermissions {
  uint32_t owner = 0;
  kj::Maybe<uint32_t> reader;

  // The payload of SET_PERMS behind the path: each entry ends with NUL.
  kj::String wire() const;
  bool operator==(const NodePermissions& other) const;
};

// One act of a transaction.
struct NodeChange {
  enum class Kind {
    write,   // creates parents where needed, which inherit permissions
    secure,  // creates the node if it does not exist, then sets its permissions
    remove,  // with everything below; a node that does not exist is a success
  };
  Kind kind;
  kj::String path;
  kj::String value;             // for write
  NodePermissions permissions;  // for secure
};

NodeChange writeNode(kj::StringPtr path, kj::StringPtr value);
NodeChange secureNode(kj::StringPtr path, NodePermissions permissions);
NodeChange removeNode(kj::StringPtr path);

// Asynchronous client of xenstored over its Unix socket (xen/io/xs_wire.h, docs/misc/xenstore.txt).
// Requests are pipelined: they go out together, and replies are matched by request id. When the
// daemon breaks the protocol or goes away, every request under way and every later one fails with
// `unreachable`, and so does every watch: xenstored keeps its state in memory and does not come
// back while the host runs.
class XenstoreClient {
 public:
  explicit XenstoreClient(kj::Own<kj::AsyncIoStream> stream, const kj::MonotonicClock& clock);
  ~XenstoreClient() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(XenstoreClient);

  // None when the node does not exist. The value is as somebody wrote it, binary included.
  kj::Promise<kj::Maybe<kj::String>> read(kj::StringPtr path);

  // Names of the children; empty when the node does not exist.
  kj::Promise<kj::Vector<kj::String>> list(kj::StringPtr path);

  // All of the changes or none, in order. Retried while others commit in between.
  kj::Promise<void> commit(kj::Array<NodeChange> changes);

  // Tells xenstored of a new domain: its ring's frame and event channel (INTRODUCE).
  kj::Promise<void> introduce(uint32_t domid, uint64_t frame, uint32_t eventPort);

  // Tells xenstored that the domain is gone for good (RELEASE). One it does not know is a success.
  kj::Promise<void> release(uint32_t domid);

  // Changes at or below a path. Destroying it ends the watch.
  class Watch {
   public:
    virtual ~Watch() noexcept(false) = default;

    // Resolves with the path that changed, once for each event in order; the first comes at once,
    // for the path itself. More than 256 unread events are folded into one for the path itself:
    // events are hints to look. One caller at a time.
    virtual kj::Promise<kj::String> next() = 0;

    // Forgets the events that `next` has not given yet.
    virtual void skipPending() = 0;
  };
  kj::Own<Watch> watch(kj::StringPtr path);

  // Whether xenstored answers: connected, and no request has waited for five seconds.
  bool healthy() const;

 private:
  struct Reply {
    bool isError;
    kj::String payload;  // or the error's name: "ENOENT"
  };
  struct Pending {
    kj::Own<kj::PromiseFulfiller<Reply>> fulfiller;
    kj::TimePoint since;
  };
  class WatchImpl;

  kj::Own<kj::AsyncIoStream> stream;
  const kj::MonotonicClock& clock;
  uint32_t nextRequest = 1;
  uint64_t nextToken = 1;
  std::deque<std::pair<uint32_t, Pending>> pending;  // in the order they were sent
  kj::HashMap<uint64_t, WatchImpl*> watches;
  kj::Vector<kj::byte> outgoing;
  bool writing = false;
  kj::Maybe<kj::Exception> broken;
  kj::Promise<void> writer = nullptr;
  kj::Promise<void> reader = nullptr;

  kj::Promise<Reply> request(uint32_t type, kj::ArrayPtr<const char> payload,
                             uint32_t transaction = 0);
  kj::Promise<kj::String> require(uint32_t type, kj::String payload, kj::StringPtr what,
                                  uint32_t transaction = 0);
  kj::Promise<bool> tryCommit(kj::ArrayPtr<const NodeChange> changes);
  kj::Promise<void> apply(const NodeChange& change, uint32_t transaction);
  kj::Promise<void> writeAll();
  kj::Promise<void> readAll();
  void handle(uint32_t type, uint32_t id, kj::String payload);
  void breakWith(kj::Exception&& exception);
};

}  // namespace bulkhead::hvd

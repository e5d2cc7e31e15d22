// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/server.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/map.h>
#include <kj/timer.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

uid_t userByName(kj::StringPtr name) {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  int error = getpwnam_r(name.cStr(), &entry, buffer, sizeof buffer, &found);
  KJ_REQUIRE(error == 0 && found != nullptr, "no such user: install the package's sysusers file",
             name);
  return found->pw_uid;
}

// The groups the peer had when it connected. A peer with more of them than fit counts as having
// none beyond its own: less authority, never more.
void readGroups(kj::AsyncIoStream& stream, PeerIdentity& peer) {
  ucred credentials{};
  uint length = sizeof credentials;
  stream.getsockopt(SOL_SOCKET, SO_PEERCRED, &credentials, &length);
  peer.group = credentials.gid;
  constexpr size_t kMost = 1024;
  std::vector<gid_t> groups(kMost);
  length = kMost * sizeof(gid_t);
  KJ_IF_MAYBE (error, kj::runCatchingExceptions([&]() {
                 stream.getsockopt(SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
               })) {
    (void)error;
    length = 0;
  }
  groups.resize(length / sizeof(gid_t));
  peer.groups = std::move(groups);
}

class Server final : private kj::TaskSet::ErrorHandler {
 public:
  Server(kj::Own<kj::ConnectionReceiver> receiver, kj::Timer& timer, PeerPolicy policy,
         ConnectionLimits limits, Log& log, Bootstrap bootstrap)
      : receiver(kj::mv(receiver)),
        timer(timer),
        policy(policy),
        limits(limits),
        log(log),
        bootstrap(kj::mv(bootstrap)),
        connections(*this) {}

  kj::Promise<void> run() {
    for (;;) {
      bool failed = false;
      try {
        auto accepted = co_await receiver->acceptAuthenticated();
        admit(kj::mv(accepted));
      } catch (...) {
        log.error("accepting a connection failed",
                  {field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
        failed = true;
      }
      // Out of descriptors, most likely: nothing tells when one is free again, so wait a moment
      // before the listener is tried once more.
      if (failed) co_await timer.afterDelay(100 * kj::MILLISECONDS);
    }
  }

 private:
  kj::Own<kj::ConnectionReceiver> receiver;
  kj::Timer& timer;
  PeerPolicy policy;
  ConnectionLimits limits;
  Log& log;
  Bootstrap bootstrap;
  unsigned open = 0;
  kj::HashMap<uid_t, unsigned> openByUser;
  kj::TaskSet connections;

  void admit(kj::AuthenticatedStream accepted) {
    auto* local = dynamic_cast<kj::LocalPeerIdentity*>(accepted.peerIdentity.get());
    KJ_REQUIRE(local != nullptr, "the peer has no local identity");
    auto credentials = local->getCredentials();
    uid_t user = KJ_REQUIRE_NONNULL(credentials.uid, "the kernel names no user");
    PeerIdentity peer{user, static_cast<gid_t>(-1), credentials.pid.orDefault(0)};
    if (policy.admitsAnyone()) readGroups(*accepted.stream, peer);
    if (!policy.admits(peer)) {
      log.warning("refused a connection: not the user this socket is for",
                  {field("PEER_UID", user)});
      return;
    }
    auto& mine = openByUser.findOrCreate(
        user, [&]() { return kj::HashMap<uid_t, unsigned>::Entry{user, 0}; });
    if (open >= limits.connections || mine >= limits.connectionsPerUser) {
      log.warning("refused a connection: too many are open", {field("PEER_UID", user)});
      return;
    }
    ++open;
    ++mine;
    auto stream = accepted.stream.downcast<kj::AsyncCapabilityStream>();
    connections.add(serveConnection(kj::mv(stream), peer));
  }

  kj::Promise<void> serveConnection(kj::Own<kj::AsyncCapabilityStream> stream, PeerIdentity peer) {
    KJ_DEFER({
      --open;
      --KJ_ASSERT_NONNULL(openByUser.find(peer.user));
    });
    Connection connection(kj::mv(stream), limits, bootstrap(peer));
    co_await connection.onDisconnect();
  }

  void taskFailed(kj::Exception&& exception) override {
    if (isDisconnected(exception)) return;
    log.warning("a connection ended with an error", {field("ERROR", exception.getDescription())});
  }
};

kj::Promise<void> runServer(kj::Own<Server> server) { co_await server->run(); }

}  // namespace

PeerPolicy PeerPolicy::of(Edge edge) {
  auto peer = info(edge).peer;
  if (peer.size() == 0) return anyone();
  if (getenv("BULKHEAD_RUN") != nullptr) return only(geteuid());
  return only(userByName(peer));
}

bool PeerPolicy::admits(const PeerIdentity& peer) const {
  KJ_IF_MAYBE (only, user) {
    return peer.user == *only;
  }
  return true;
}

kj::Promise<void> serve(kj::LowLevelAsyncIoProvider& provider, kj::Timer& timer,
                        kj::AutoCloseFd listener, PeerPolicy policy, ConnectionLimits limits,
                        Log& log, Bootstrap bootstrap) {
  auto receiver = provider.wrapListenSocketFd(kj::mv(listener));
  return runServer(
      kj::heap<Server>(kj::mv(receiver), timer, policy, limits, log, kj::mv(bootstrap)));
}

kj::Promise<void> serveOne(kj::LowLevelAsyncIoProvider& provider, kj::AutoCloseFd fd,
                           ConnectionLimits limits, capnp::Capability::Client bootstrap) {
  Connection connection(provider.wrapUnixSocketFd(kj::mv(fd)), limits, kj::mv(bootstrap));
  co_await connection.onDisconnect();
}

}  // namespace bulkhead

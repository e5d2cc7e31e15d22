// SPDX-License-Identifier: Apache-2.0
// For tests: a registry that answers what it is told to, wrong or right.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <kj/io.h>
#include <kj/string.h>

#include "imaged/testing/certificate.h"
#include "imaged/testing/test-image.h"

using SSL_CTX = struct ssl_ctx_st;  // as in openssl/types.h
using SSL = struct ssl_st;

namespace bulkhead::testing {

// How a scripted server speaks TLS.
struct ServerTls {
  kj::StringPtr certificate;        // PEM
  kj::StringPtr key;                // PEM
  kj::StringPtr clientCertificate;  // PEM; not empty: who cannot show it is turned away
  enum class Version { any, oldest } version = Version::any;  // oldest: TLS 1.1 and no other
};

// An HTTP/1.1 server on a loopback port; every connection takes one request, any number at a time.
class ScriptedRegistry {
 public:
  struct Request {
    std::string method;
    std::string path;     // with its query
    std::string headers;  // as they came, with the request's line
    std::string body;
    bool has(const char* text) const { return headers.find(text) != std::string::npos; }
  };

  // What goes out, byte by byte.
  using Answer = std::function<std::string(const Request&)>;

  // One client, for answers that are more than bytes.
  class Client {
   public:
    virtual ~Client() noexcept(false) {}

    // False where the client has gone.
    virtual bool send(const std::string& bytes) = 0;

    // Until the client has gone or the test is over.
    virtual void hang() = 0;

    // The same for some time; false where it is over.
    virtual bool waitFor(int milliseconds) = 0;
  };
  using Conversation = std::function<void(const Request&, Client&)>;

  ScriptedRegistry() : ScriptedRegistry(kj::Maybe<ServerTls>()) {}
  explicit ScriptedRegistry(kj::Maybe<ServerTls> tls);
  ~ScriptedRegistry();
  KJ_DISALLOW_COPY_AND_MOVE(ScriptedRegistry);

  kj::String host() const { return kj::str("localhost:", port); }

  // For a path, its query left out; the last one set counts.
  void on(std::string path, Answer answer);
  void converse(std::string path, Conversation conversation);

  // Instead of reading a request: everybody who connects is left alone.
  void sayNothing() { mute = true; }

  // Takes whole connections to be passed on as they come (a proxy's CONNECT).
  void tunnelTo(uint16_t target) { tunnel = target; }
  uint16_t portNumber() const { return port; }

  // Serves an image as it is, under /v2/REPOSITORY with one tag.
  void serve(const TestImage& image, kj::StringPtr repository, kj::StringPtr tag);

  std::vector<Request> requests() const;

  // Those of them whose path begins so.
  std::vector<Request> requestsFor(const std::string& path) const;

 private:
  class Plain;
  class Encrypted;
  class Served;
  kj::AutoCloseFd listener;
  kj::AutoCloseFd wakeRead;
  kj::AutoCloseFd wakeWrite;
  SSL_CTX* context = nullptr;
  uint16_t port = 0;
  std::atomic<bool> mute = false;
  std::atomic<uint16_t> tunnel = 0;
  mutable std::mutex mutex;
  std::map<std::string, Conversation> conversations;
  std::vector<Request> seen;
  std::set<int> descriptors;  // of connections
  bool over = false;          // no more of them
  std::list<std::thread> clients;
  std::thread thread;

  void run();
  void serveConnection(kj::AutoCloseFd fd);
  void serveClient(Plain& client);
  void passOn(Plain& client);
};

// A whole answer. `headers` end with CRLF each.
std::string httpAnswer(int status, const std::string& body, const std::string& headers = "");
std::string textOf(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace bulkhead::testing

// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/scripted-registry.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include <kj/debug.h>

namespace bulkhead::testing {
namespace {

X509* certificateOf(kj::StringPtr pem) {
  BIO* memory = BIO_new_mem_buf(pem.begin(), static_cast<int>(pem.size()));
  KJ_DEFER(BIO_free(memory));
  X509* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  KJ_REQUIRE(certificate != nullptr);
  return certificate;
}

SSL_CTX* makeContext(const ServerTls& tls) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  X509* certificate = certificateOf(tls.certificate);
  KJ_DEFER(X509_free(certificate));
  BIO* memory = BIO_new_mem_buf(tls.key.begin(), static_cast<int>(tls.key.size()));
  KJ_DEFER(BIO_free(memory));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(memory, nullptr, nullptr, nullptr);
  KJ_DEFER(EVP_PKEY_free(key));
  KJ_REQUIRE(SSL_CTX_use_certificate(context, certificate) == 1);
  KJ_REQUIRE(SSL_CTX_use_PrivateKey(context, key) == 1);
  if (tls.version == ServerTls::Version::oldest) {
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  }
  if (tls.clientCertificate.size() > 0) {
    X509* wanted = certificateOf(tls.clientCertificate);
    KJ_DEFER(X509_free(wanted));
    static constexpr unsigned char kSession[] = "test";
    SSL_CTX_set_session_id_context(context, kSession, sizeof kSession);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), wanted);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

int connectTo(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace

std::string httpAnswer(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " x\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}

std::string textOf(kj::ArrayPtr<const kj::byte> bytes) {
  return std::string(bytes.asChars().begin(), bytes.size());
}

// A client without TLS, and what is the same with it.
class ScriptedRegistry::Plain : public Client {
 public:
  Plain(kj::AutoCloseFd fd, int wake) : fd(kj::mv(fd)), wake(wake) {}

  bool send(const std::string& bytes) override {
    size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t n = put(bytes.data() + sent, bytes.size() - sent);
      if (n <= 0) return false;
      sent += static_cast<size_t>(n);
    }
    return true;
  }
  void hang() override {
    while (waitFor(-1)) {
    }
  }
  bool waitFor(int milliseconds) override {
    pollfd watched[2] = {{fd.get(), POLLRDHUP, 0}, {wake, POLLIN, 0}};
    return poll(watched, 2, milliseconds) == 0;
  }

  // Nothing more comes from here; what the client still says is thrown away.
  virtual void finish() {
    shutdown(fd, SHUT_WR);
    std::string rest;
    while (readable() && get(rest) > 0) rest.clear();
  }

  // Whether there is something, or its end; false where the test is over.
  virtual bool readable() {
    pollfd watched[2] = {{fd.get(), POLLIN, 0}, {wake, POLLIN, 0}};
    return poll(watched, 2, -1) > 0 && watched[1].revents == 0;
  }
  ssize_t get(std::string& into) {
    char buffer[16384];
    ssize_t n = take(buffer, sizeof buffer);
    if (n > 0) into.append(buffer, static_cast<size_t>(n));
    return n;
  }
  int descriptor() const { return fd; }
  int wakeDescriptor() const { return wake; }

 protected:
  virtual ssize_t put(const char* bytes, size_t size) {
    return ::send(fd, bytes, size, MSG_NOSIGNAL);
  }
  virtual ssize_t take(char* into, size_t size) { return ::read(fd, into, size); }

 private:
  kj::AutoCloseFd fd;
  int wake;
};

class ScriptedRegistry::Encrypted final : public Plain {
 public:
  Encrypted(kj::AutoCloseFd fdParam, int wake, SSL_CTX* context)
      : Plain(kj::mv(fdParam), wake), tls(SSL_new(context)) {
    SSL_set_fd(tls, descriptor());
  }
  ~Encrypted() noexcept(false) override { SSL_free(tls); }

  bool accept() { return SSL_accept(tls) == 1; }
  bool readable() override { return SSL_pending(tls) > 0 || Plain::readable(); }
  void finish() override {
    SSL_shutdown(tls);
    Plain::finish();
  }

 private:
  SSL* tls;

  ssize_t put(const char* bytes, size_t size) override {
    return SSL_write(tls, bytes, static_cast<int>(size));
  }
  ssize_t take(char* into, size_t size) override {
    return SSL_read(tls, into, static_cast<int>(size));
  }
};

// A connection as long as somebody serves it. Reading and writing end with the registry, also where
// the other side, whose event loop may be the one that waits here, does not.
class ScriptedRegistry::Served {
 public:
  Served(ScriptedRegistry& registry, int fd) : registry(registry), fd(fd) {
    std::lock_guard lock(registry.mutex);
    registry.descriptors.insert(fd);
    if (registry.over) shutdown(fd, SHUT_RDWR);
  }
  ~Served() {
    std::lock_guard lock(registry.mutex);
    registry.descriptors.erase(fd);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Served);

 private:
  ScriptedRegistry& registry;
  int fd;
};

ScriptedRegistry::ScriptedRegistry(kj::Maybe<ServerTls> tls) {
  KJ_IF_MAYBE (wanted, tls) {
    context = makeContext(*wanted);
  }
  int raw;
  KJ_SYSCALL(raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  listener = kj::AutoCloseFd(raw);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  KJ_SYSCALL(bind(listener, reinterpret_cast<sockaddr*>(&address), size));
  KJ_SYSCALL(listen(listener, 64));
  KJ_SYSCALL(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size));
  port = ntohs(address.sin_port);
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  wakeRead = kj::AutoCloseFd(ends[0]);
  wakeWrite = kj::AutoCloseFd(ends[1]);
  thread = std::thread([this]() { run(); });
}

ScriptedRegistry::~ScriptedRegistry() {
  wakeWrite = nullptr;
  thread.join();
  {
    std::lock_guard lock(mutex);
    over = true;
    for (int fd : descriptors) shutdown(fd, SHUT_RDWR);
  }
  for (auto& client : clients) client.join();
  SSL_CTX_free(context);
}

void ScriptedRegistry::on(std::string path, Answer answer) {
  converse(std::move(path),
           [answer](const Request& request, Client& client) { client.send(answer(request)); });
}

void ScriptedRegistry::converse(std::string path, Conversation conversation) {
  std::lock_guard lock(mutex);
  conversations[path] = std::move(conversation);
}

void ScriptedRegistry::serve(const TestImage& image, kj::StringPtr repository, kj::StringPtr tag) {
  auto base = std::string("/v2/") + repository.cStr();
  auto manifest = std::string(image.manifest().cStr());
  auto type = std::string("Content-Type: application/vnd.oci.image.manifest.v1+json\r\n");
  auto answer = [=](const Request&) { return httpAnswer(200, manifest, type); };
  on(base + "/manifests/" + tag.cStr(), answer);
  on(base + "/manifests/" + image.manifestDigest().toString().cStr(), answer);
  for (const auto& blob : image.blobs()) {
    auto body = textOf(blob.value);
    on(base + "/blobs/" + blob.key.cStr(), [=](const Request&) { return httpAnswer(200, body); });
  }
}

std::vector<ScriptedRegistry::Request> ScriptedRegistry::requests() const {
  std::lock_guard lock(mutex);
  return seen;
}

std::vector<ScriptedRegistry::Request> ScriptedRegistry::requestsFor(
    const std::string& path) const {
  std::vector<Request> result;
  for (const auto& request : requests()) {
    if (request.path.rfind(path, 0) == 0) result.push_back(request);
  }
  return result;
}

void ScriptedRegistry::run() {
  for (;;) {
    pollfd watched[2] = {{listener.get(), POLLIN, 0}, {wakeRead.get(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) return;
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    clients.emplace_back([this, fd]() { serveConnection(kj::AutoCloseFd(fd)); });
  }
}

void ScriptedRegistry::serveConnection(kj::AutoCloseFd fd) {
  if (context == nullptr || mute) {
    Plain client(kj::mv(fd), wakeRead);
    Served served(*this, client.descriptor());
    if (mute) return client.hang();
    return serveClient(client);
  }
  Encrypted client(kj::mv(fd), wakeRead, context);
  Served served(*this, client.descriptor());
  if (client.accept()) serveClient(client);
}

void ScriptedRegistry::serveClient(Plain& client) {
  std::string text;
  size_t end = std::string::npos;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    if (!client.readable() || client.get(text) <= 0) return;
    // The first byte of a TLS record: somebody means another port.
    if (text[0] == 0x16) {
      client.send(httpAnswer(400, ""));
      return client.finish();
    }
  }
  auto start = text.find(' ') + 1;
  Request request{text.substr(0, start - 1), text.substr(start, text.find(' ', start) - start),
                  text.substr(0, end + 4), text.substr(end + 4)};
  auto length = request.headers.find("Content-Length: ");
  size_t wanted = length == std::string::npos ? 0 : std::stoul(request.headers.substr(length + 16));
  while (request.body.size() < wanted) {
    if (!client.readable() || client.get(request.body) <= 0) return;
  }
  auto path = request.path.substr(0, request.path.find('?'));
  Conversation conversation;
  {
    std::lock_guard lock(mutex);
    seen.push_back(request);
    auto found = conversations.find(path);
    if (found != conversations.end()) conversation = found->second;
  }
  if (request.method == "CONNECT" && tunnel != 0) return passOn(client);
  if (conversation) {
    conversation(request, client);
  } else {
    client.send(httpAnswer(404, ""));
  }
  client.finish();
}

void ScriptedRegistry::passOn(Plain& client) {
  kj::AutoCloseFd target(connectTo(tunnel));
  if (target.get() < 0 || !client.send("HTTP/1.1 200 tunnel\r\n\r\n")) return;
  for (;;) {
    pollfd watched[3] = {{client.descriptor(), POLLIN, 0},
                         {target.get(), POLLIN, 0},
                         {client.wakeDescriptor(), POLLIN, 0}};
    if (poll(watched, 3, -1) < 0 || watched[2].revents != 0) return;
    std::string bytes;
    if (watched[0].revents != 0) {
      if (client.get(bytes) <= 0) return;
      if (::send(target, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
    }
    if (watched[1].revents != 0) {
      char buffer[16384];
      ssize_t n = ::read(target, buffer, sizeof buffer);
      if (n <= 0 || !client.send(std::string(buffer, static_cast<size_t>(n)))) return;
    }
  }
}

}  // namespace bulkhead::testing

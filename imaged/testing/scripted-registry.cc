// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/scripted-registry.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>

namespace bulkhead::testing {

std::string httpAnswer(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " x\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}

std::string textOf(kj::ArrayPtr<const kj::byte> bytes) {
  return std::string(bytes.asChars().begin(), bytes.size());
}

ScriptedRegistry::ScriptedRegistry() {
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
}

void ScriptedRegistry::on(std::string path, Answer answer) {
  std::lock_guard lock(mutex);
  answers[path] = std::move(answer);
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

void ScriptedRegistry::run() {
  for (;;) {
    pollfd watched[2] = {{listener.get(), POLLIN, 0}, {wakeRead.get(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) return;
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    kj::AutoCloseFd own(fd);
    serveConnection(fd);
  }
}

void ScriptedRegistry::serveConnection(int fd) {
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos) {
    char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) return;
    text.append(buffer, static_cast<size_t>(n));
  }
  auto start = text.find(' ') + 1;
  Request request{text.substr(start, text.find(' ', start) - start), text};
  auto path = request.path.substr(0, request.path.find('?'));
  Answer answer;
  {
    std::lock_guard lock(mutex);
    seen.push_back(request);
    auto found = answers.find(path);
    if (found != answers.end()) answer = found->second;
  }
  auto out = answer ? answer(request) : httpAnswer(404, "");
  size_t sent = 0;
  while (sent < out.size()) {
    ssize_t n = send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;
    sent += static_cast<size_t>(n);
  }
  shutdown(fd, SHUT_WR);
  char rest[4096];
  while (read(fd, rest, sizeof rest) > 0) {
  }
}

}  // namespace bulkhead::testing

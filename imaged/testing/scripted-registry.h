// SPDX-License-Identifier: Apache-2.0
// For tests: a registry that answers what it is told to, wrong or right.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <kj/io.h>
#include <kj/string.h>

#include "imaged/testing/test-image.h"

namespace bulkhead::testing {

// An HTTP/1.1 server on a loopback port; every connection takes one request.
class ScriptedRegistry {
 public:
  struct Request {
    std::string path;     // with its query
    std::string headers;  // as they came
    bool has(const char* text) const { return headers.find(text) != std::string::npos; }
  };

  // What goes out, byte by byte.
  using Answer = std::function<std::string(const Request&)>;

  ScriptedRegistry();
  ~ScriptedRegistry();
  KJ_DISALLOW_COPY_AND_MOVE(ScriptedRegistry);

  kj::String host() const { return kj::str("localhost:", port); }

  // For a path, its query left out.
  void on(std::string path, Answer answer);

  // Serves an image as it is, under /v2/REPOSITORY with one tag.
  void serve(const TestImage& image, kj::StringPtr repository, kj::StringPtr tag);

  std::vector<Request> requests() const;

 private:
  kj::AutoCloseFd listener;
  kj::AutoCloseFd wakeRead;
  kj::AutoCloseFd wakeWrite;
  uint16_t port = 0;
  mutable std::mutex mutex;
  std::map<std::string, Answer> answers;
  std::vector<Request> seen;
  std::thread thread;

  void run();
  void serveConnection(int fd);
};

// A whole answer. `headers` end with CRLF each.
std::string httpAnswer(int status, const std::string& body, const std::string& headers = "");
std::string textOf(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace bulkhead::testing

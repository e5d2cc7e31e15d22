// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>
#include <kj/vector.h>

#include <map>
#include <string>
#include <vector>

namespace bulkhead::hvd {

// xenstored for unit tests: a tree in memory behind one connection, speaking the real wire protocol
// (docs/misc/xenstore.txt). Transactions see the live tree; `failCommits` makes commits lose races.
class FakeXenstored {
 public:
  explicit FakeXenstored(kj::Own<kj::AsyncIoStream> stream);

  struct Node {
    std::string value;
    std::string permissions;  // "n0 r5"; empty: inherited
  };
  std::map<std::string, Node> tree;

  // Commits still to be refused with EAGAIN.
  int failCommits = 0;

  // Requests of each turn of the loop, to see what was pipelined: numbers of requests per read.
  std::vector<size_t> batches;

  // "domid frame port" of each INTRODUCE.
  std::vector<std::string> introduced;

  // Sends a watch event as if the path had changed.
  void fire(const std::string& path);

  // Sends bytes as they are: for a daemon gone mad.
  void sendRaw(const std::string& bytes);

  // "path = value [permissions]" lines in order.
  std::string listing() const;

 private:
  kj::Own<kj::AsyncIoStream> stream;
  std::string input;
  std::string output;
  bool writing = false;
  std::map<std::string, std::string> watches;  // token to path
  uint32_t nextTransaction = 1;
  kj::Promise<void> server = nullptr;
  kj::Promise<void> writer = nullptr;

  kj::Promise<void> serve();
  kj::Promise<void> flush();
  void handle(uint32_t type, uint32_t id, uint32_t transaction, const std::string& payload);
  void reply(uint32_t type, uint32_t id, uint32_t transaction, const std::string& payload);
  void write(const std::string& path, const std::string& value);
};

}  // namespace bulkhead::hvd

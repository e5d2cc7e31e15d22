// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace bulkhead::xentest {

// How a command on the host ended and what it printed.
struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

// Runs a program to its end with the given standard input. Kills it, with code 124, after
// `deadline`: only a hang takes that long.
Outcome run(const std::vector<std::string>& command, const std::string& input = "",
            std::chrono::seconds deadline = std::chrono::seconds(240));

// A program that goes on by itself; killed with SIGKILL when this is destroyed.
class Running {
 public:
  explicit Running(const std::vector<std::string>& command);
  ~Running();
  Running(const Running&) = delete;

  void kill(int signal);
  int wait();

  // Reads its output until it holds `text`, or returns false at its end.
  bool outputHas(const std::string& text);

 private:
  int process = -1;
  int output = -1;
  std::string seen;
};

std::string readFile(const std::string& path);

// A zone launched in the background; destroyed with this object.
class Zone {
 public:
  // `bulkhead zone launch --name NAME OPTIONS... IMAGE COMMAND...`, waited for until it is ready.
  Zone(const std::string& name, const std::vector<std::string>& options,
       const std::vector<std::string>& imageAndCommand);
  ~Zone();
  Zone(const Zone&) = delete;

  Outcome exec(const std::vector<std::string>& command);
  std::string name;
  Outcome launched;
};

// What a zone could leave behind in dom0. Two of them are equal when nothing came and nothing
// stayed.
struct Leftovers {
  std::set<std::string> domains;
  std::set<std::string> loopDevices;
  std::set<std::string> links;     // of the host's and the zones' network namespace
  std::set<std::string> xenstore;  // paths below /local/domain and /vm, without dom0's own values
  std::set<std::string> mounts;
  std::set<std::string> workers;  // worker units that run

  static Leftovers now();
  bool operator==(const Leftovers&) const = default;
  std::string describeChange(const Leftovers& before) const;
};

// Waits for `condition`, asking again each time something may have changed; false after `deadline`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::seconds deadline = std::chrono::seconds(60));

// Checks at the end of a test that nothing was left behind.
class NothingLeft {
 public:
  NothingLeft() : before(Leftovers::now()) {}
  ~NothingLeft();

 private:
  Leftovers before;
};

}  // namespace bulkhead::xentest

// SPDX-License-Identifier: Apache-2.0
#include "tests/xen/host.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

namespace bulkhead::xentest {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    read = ends[0];
    write = ends[1];
  }
};

int spawn(const std::vector<std::string>& command, int input, int output, int error) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (auto& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  pid_t child = fork();
  if (child == 0) {
    dup2(input, 0);
    dup2(output, 1);
    dup2(error, 2);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  return child;
}

int codeOf(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return 128 + WTERMSIG(status);
}

// False at the end of the stream.
bool readSome(int fd, std::string& into) {
  char buffer[4096];
  ssize_t n = read(fd, buffer, sizeof buffer);
  if (n > 0) into.append(buffer, static_cast<size_t>(n));
  return n > 0;
}

std::set<std::string> lines(const std::string& text) {
  std::set<std::string> result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) result.insert(line);
  }
  return result;
}

std::string change(const char* what, const std::set<std::string>& before,
                   const std::set<std::string>& after) {
  std::string text;
  for (auto& each : after) {
    if (!before.contains(each)) text += std::string("  + ") + what + ": " + each + "\n";
  }
  for (auto& each : before) {
    if (!after.contains(each)) text += std::string("  - ") + what + ": " + each + "\n";
  }
  return text;
}

// Paths only: values of dom0's own nodes change all the time.
std::set<std::string> xenstorePaths() {
  std::set<std::string> result;
  for (auto* root : {"/local/domain", "/vm"}) {
    std::istringstream stream(run({"xenstore-ls", "-f", root}).out);
    for (std::string line; std::getline(stream, line);) {
      result.insert(line.substr(0, line.find(" = ")));
    }
  }
  return result;
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  return stream << "exit code " << outcome.code << "\nstdout: " << outcome.out
                << "\nstderr: " << outcome.err;
}

Outcome run(const std::vector<std::string>& command, const std::string& input,
            std::chrono::seconds deadline) {
  signal(SIGPIPE, SIG_IGN);
  Pipe in, out, err;
  pid_t child = spawn(command, in.read, out.write, err.write);
  close(in.read);
  close(out.write);
  close(err.write);
  if (!input.empty() && write(in.write, input.data(), input.size()) < 0) perror("write");
  close(in.write);

  Outcome outcome;
  auto end = Clock::now() + deadline;
  pollfd watched[2] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
  while (watched[0].fd >= 0 || watched[1].fd >= 0) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0 || poll(watched, 2, static_cast<int>(left)) == 0) {
      kill(child, SIGKILL);
      outcome.err += "\n(killed: no end within the deadline)";
      waitpid(child, nullptr, 0);
      outcome.code = 124;
      break;
    }
    if (watched[0].revents != 0 && !readSome(out.read, outcome.out)) watched[0].fd = -1;
    if (watched[1].revents != 0 && !readSome(err.read, outcome.err)) watched[1].fd = -1;
  }
  close(out.read);
  close(err.read);
  if (outcome.code != 124) {
    int status = 0;
    waitpid(child, &status, 0);
    outcome.code = codeOf(status);
  }
  return outcome;
}

Running::Running(const std::vector<std::string>& command) {
  Pipe out;
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  process = spawn(command, null, out.write, null);
  close(null);
  close(out.write);
  output = out.read;
}

Running::~Running() {
  if (process > 0) {
    ::kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
  }
  close(output);
}

void Running::kill(int signal) { ::kill(process, signal); }

int Running::wait() {
  int status = 0;
  waitpid(process, &status, 0);
  process = -1;
  return codeOf(status);
}

bool Running::outputHas(const std::string& text) {
  while (seen.find(text) == std::string::npos) {
    if (!readSome(output, seen)) return false;
  }
  return true;
}

std::string readFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Zone::Zone(const std::string& zoneName, const std::vector<std::string>& options,
           const std::vector<std::string>& imageAndCommand)
    : name(zoneName) {
  std::vector<std::string> command = {"bulkhead", "zone", "launch", "--name", name};
  command.insert(command.end(), options.begin(), options.end());
  command.insert(command.end(), imageAndCommand.begin(), imageAndCommand.end());
  launched = run(command);
  EXPECT_EQ(launched.code, 0) << launched;
}

Zone::~Zone() {
  auto destroyed = run({"bulkhead", "zone", "destroy", name});
  EXPECT_EQ(destroyed.code, 0) << destroyed;
}

Outcome Zone::exec(const std::vector<std::string>& command) {
  std::vector<std::string> whole = {"bulkhead", "zone", "exec", name, "--"};
  whole.insert(whole.end(), command.begin(), command.end());
  return run(whole);
}

Leftovers Leftovers::now() {
  Leftovers result;
  result.domains = lines(run({"xl", "list"}).out);
  // CPU seconds of dom0 are no leftover.
  std::set<std::string> names;
  for (auto& line : result.domains) names.insert(line.substr(0, line.find("   ")));
  result.domains = names;
  result.loopDevices = lines(run({"losetup", "-a", "--output", "NAME,BACK-FILE"}).out);
  std::string agent = run({"systemctl", "show", "-P", "MainPID", "bulkhead-netagent"}).out;
  agent = agent.substr(0, agent.find('\n'));
  auto names4 = R"(for l in /sys/class/net/*; do echo "${l##*/}"; done)";
  result.links = lines(run({"sh", "-c", names4}).out);
  result.links.merge(lines(
      run({"nsenter", "-t", agent, "-n", "sh", "-c", "cut -d: -f1 -s /proc/self/net/dev"}).out));
  result.xenstore = xenstorePaths();
  // Directories of all domains, made with the first one.
  for (auto kept : {"/vm", "/local/domain/0/backend", "/local/domain/0/backend/vbd",
                    "/local/domain/0/backend/vif"}) {
    result.xenstore.erase(kept);
  }
  result.mounts = lines(readFile("/proc/self/mounts"));
  // How many of each kind: their numbers go up for ever, and one link is always kept ahead.
  for (auto kind : {"link", "unpack", "fetch"}) {
    auto units = lines(run({"systemctl", "list-units", "--plain", "--no-legend", "--state=active",
                            std::string("bulkhead-") + kind + "@*"})
                           .out);
    result.workers.insert(std::to_string(units.size()) + " " + kind);
  }
  return result;
}

std::string Leftovers::describeChange(const Leftovers& before) const {
  return change("domain", before.domains, domains) +
         change("loop device", before.loopDevices, loopDevices) +
         change("link", before.links, links) + change("xenstore", before.xenstore, xenstore) +
         change("mount", before.mounts, mounts) + change("worker", before.workers, workers);
}

bool eventually(const std::function<bool()>& condition, std::chrono::seconds deadline) {
  auto end = Clock::now() + deadline;
  while (Clock::now() < end) {
    if (condition()) return true;
    // What is waited for here (a unit's restart, a node's removal by the kernel) has no event a
    // shell-level test could wait on.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return condition();
}

NothingLeft::~NothingLeft() {
  Leftovers after;
  bool same = eventually(
      [&]() {
        after = Leftovers::now();
        return after == before;
      },
      std::chrono::seconds(20));
  EXPECT_TRUE(same) << "left behind, or lost:\n" << after.describeChange(before);
}

}  // namespace bulkhead::xentest

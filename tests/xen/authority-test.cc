// SPDX-License-Identifier: Apache-2.0
// What every running process really holds, against the table of authority that the README shows.
// A difference in either direction fails.

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include <map>
#include <regex>
#include <sstream>

#include "tests/xen/host.h"

namespace bulkhead::xentest {
namespace {

struct Authority {
  std::string user;
  std::string groups;
  std::string capabilities;
  std::string sandbox;
  std::set<std::string> descriptors;
  bool operator==(const Authority&) const = default;
};

std::ostream& operator<<(std::ostream& stream, const Authority& held) {
  stream << "| " << held.user << " | " << held.groups << " | " << held.capabilities << " | "
         << held.sandbox << " | ";
  const char* separator = "";
  for (auto& each : held.descriptors) {
    stream << separator << each;
    separator = ", ";
  }
  return stream << " |";
}

std::string trimmed(const std::string& text) {
  auto begin = text.find_first_not_of(" `");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" `") - begin + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(trimmed(part));
  return parts;
}

// The rows between the README's two markers; `./dev test` puts the page beside this program.
std::map<std::string, Authority> documented() {
  std::map<std::string, Authority> table;
  char self[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  std::string directory(self, length > 0 ? static_cast<size_t>(length) : 0);
  directory.resize(directory.rfind('/') + 1);
  std::istringstream readme(readFile(directory + "README.md"));
  bool inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line == "<!-- authority: begin -->") inside = true;
    if (line == "<!-- authority: end -->") inside = false;
    if (!inside || !line.starts_with("| `")) continue;
    auto cells = split(line, '|');
    Authority row{cells.at(2), cells.at(3), cells.at(4), cells.at(5), {}};
    for (auto& each : split(cells.at(6), ',')) row.descriptors.insert(each);
    table[cells.at(1)] = row;
  }
  return table;
}

std::string statusField(const std::string& pid, const std::string& name) {
  std::istringstream status(readFile("/proc/" + pid + "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) {
      auto begin = line.find_first_not_of(" \t", name.size() + 1);
      return begin == std::string::npos ? "" : line.substr(begin);
    }
  }
  return "(no " + name + ")";
}

std::string nameOf(const std::string& number, const char* database) {
  auto entry = run({"getent", database, number}).out;
  return entry.substr(0, entry.find(':'));
}

// The kernel's socket tables of every network namespace in use: an accepted socket is listed in the
// namespace of whoever connected.
class SocketTables {
 public:
  SocketTables() {
    std::set<std::string> seen;
    std::istringstream pids(run({"pgrep", "."}).out);
    for (std::string pid; pids >> pid;) {
      char space[PATH_MAX];
      ssize_t length = readlink(("/proc/" + pid + "/ns/net").c_str(), space, sizeof space);
      if (length <= 0 || !seen.insert(std::string(space, static_cast<size_t>(length))).second) {
        continue;
      }
      for (auto* table : kTables) text[table] += readFile("/proc/" + pid + "/net/" + table);
    }
  }

  std::string kindOf(const std::string& inode) const {
    for (auto& [table, lines] : text) {
      if (lines.find(" " + inode) != std::string::npos) return table + " socket";
    }
    return "unknown socket";
  }

 private:
  static constexpr const char* kTables[] = {"netlink", "tcp", "tcp6", "udp", "unix"};
  std::map<std::string, std::string> text;
};

// Descriptors by kind: numbers differ from run to run, kinds must not.
std::string kindOf(const SocketTables& sockets, const std::string& target) {
  if (target.starts_with("socket:[")) return sockets.kindOf(target.substr(8, target.size() - 9));
  if (target.starts_with("pipe:[")) return "pipe";
  if (target.starts_with("anon_inode:")) return target.substr(11);
  if (target.starts_with("/memfd:bulkhead-boot")) return "sealed boot files";
  if (target.starts_with("net:[")) return "network namespace";
  static const std::regex store("(/var/lib/bulkhead/[a-z]+)(/.*)?");
  std::smatch match;
  if (std::regex_match(target, match, store)) return match[1];
  static const std::regex loop("/dev/loop[0-9]+");
  if (std::regex_match(target, loop)) return "/dev/loop";
  return target;
}

Authority heldBy(const std::string& pid, const SocketTables& sockets) {
  Authority held;
  std::istringstream uids(statusField(pid, "Uid"));
  std::string real, effective;
  uids >> real >> effective;
  held.user = nameOf(effective, "passwd");
  std::set<std::string> groups;
  std::istringstream numbers(statusField(pid, "Groups"));
  for (std::string number; numbers >> number;) groups.insert(nameOf(number, "group"));
  groups.erase(held.user);
  for (auto& each : groups) held.groups += (held.groups.empty() ? "" : " ") + each;
  if (held.groups.empty()) held.groups = "-";

  auto bits = [&](const char* set) { return std::stoull(statusField(pid, set), nullptr, 16); };
  unsigned long long all =
      bits("CapEff") | bits("CapPrm") | bits("CapInh") | bits("CapBnd") | bits("CapAmb");
  constexpr unsigned long long kNetAdmin = 1ull << 12;
  held.capabilities = all == 0 ? "none" : all == kNetAdmin ? "CAP_NET_ADMIN" : std::to_string(all);
  bool locked = statusField(pid, "NoNewPrivs") == "1" && statusField(pid, "Seccomp") == "2";
  held.sandbox = locked ? "locked" : "OPEN";

  auto directory = "/proc/" + pid + "/fd";
  DIR* listing = opendir(directory.c_str());
  if (listing == nullptr) return held;
  while (auto* entry = readdir(listing)) {
    char target[PATH_MAX];
    auto path = directory + "/" + entry->d_name;
    ssize_t length = readlink(path.c_str(), target, sizeof target);
    if (length <= 0) continue;
    held.descriptors.insert(kindOf(sockets, std::string(target, static_cast<size_t>(length))));
  }
  closedir(listing);
  return held;
}

// The process of a daemon, or the longest-running of a kind of worker: younger ones may wait for a
// zone still and hold less.
std::string pidOf(const std::string& process) {
  auto found = run({"pgrep", "-o", "-f", "^/usr/lib/bulkhead/" + process + "$"}).out;
  return found.substr(0, found.find('\n'));
}

TEST(Authority, EveryProcessHoldsWhatTheReadmeSaysAndNothingElse) {
  Zone zone("held", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto table = documented();
  ASSERT_GE(table.size(), 7u) << "the README's table of authority was not found";
  SocketTables sockets;
  for (auto& [process, row] : table) {
    auto pid = pidOf(process);
    ASSERT_NE(pid, "") << process << " does not run";
    EXPECT_EQ(heldBy(pid, sockets), row) << process;
  }
}

TEST(Authority, NoProcessIsMissingFromTheTable) {
  Zone zone("named", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto table = documented();
  std::istringstream running(run({"sh", "-c", "ps -eo args | grep '^/usr/lib/bulkhead/'"}).out);
  for (std::string line; std::getline(running, line);) {
    auto name = line.substr(line.rfind('/') + 1);
    EXPECT_TRUE(table.contains(trimmed(name))) << line;
  }
}

TEST(Authority, SystemdRatesEveryServiceTwoOrLess) {
  auto units = run(
      {"sh", "-c", "ls /usr/lib/systemd/system/ | grep '^bulkhead-.*\\.service$' | sed 's/@/@x/'"});
  std::istringstream names(units.out);
  int checked = 0;
  for (std::string unit; std::getline(names, unit); ++checked) {
    auto rated = run({"systemd-analyze", "security", "--no-pager", unit}).out;
    std::smatch match;
    ASSERT_TRUE(std::regex_search(rated, match, std::regex("exposure level for .*: ([0-9.]+)")))
        << unit << "\n"
        << rated;
    EXPECT_LE(std::stod(match[1]), 2.0) << unit;
  }
  EXPECT_GE(checked, 9);
}

TEST(Authority, SocketsAdmitOnlyTheirPeer) {
  struct Expected {
    const char* path;
    const char* owner;
    const char* mode;
  };
  for (auto& [path, owner, mode] :
       {Expected{"platform", "root", "666"}, Expected{"hvd", "bulkhead-zoned", "600"},
        Expected{"imaged", "bulkhead-zoned", "600"}, Expected{"netd", "bulkhead-zoned", "600"},
        Expected{"idmd", "bulkhead-zoned", "600"}, Expected{"fetch", "bulkhead-imaged", "600"},
        Expected{"unpack", "bulkhead-imaged", "600"}, Expected{"link", "bulkhead-idmd", "600"},
        Expected{"netagent", "bulkhead-netd", "600"}}) {
    auto shown = run({"stat", "-c", "%U %a", std::string("/run/bulkhead/") + path + ".sock"}).out;
    EXPECT_EQ(shown, std::string(owner) + " " + mode + "\n") << path;
  }
}

}  // namespace
}  // namespace bulkhead::xentest

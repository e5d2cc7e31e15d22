// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr unsigned kLinesPerSecond = 200;
constexpr char kJournal[] = "/run/systemd/journal/socket";

kj::Maybe<kj::AutoCloseFd> connectJournal() {
  int raw = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (raw < 0) return nullptr;
  kj::AutoCloseFd fd(raw);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, kJournal, sizeof kJournal);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return nullptr;
  return kj::mv(fd);
}

}  // namespace

Secret::~Secret() noexcept(false) {
  if (value.size() > 0) explicit_bzero(value.begin(), value.size());
}

Log::Log(kj::StringPtr name) : service(kj::str(name)) {
  // Under a test harness, stderr is where a person looks.
  if (getenv("JOURNAL_STREAM") != nullptr) journal = connectJournal();
}

bool Log::admit() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec != second) {
    second = now.tv_sec;
    linesThisSecond = 0;
  }
  if (linesThisSecond >= kLinesPerSecond) {
    ++droppedLines;
    return false;
  }
  ++linesThisSecond;
  return true;
}

void Log::write(LogLevel level, kj::StringPtr message, std::initializer_list<LogField> fields) {
  if (!admit()) return;
  auto text = printable(message, 4096);
  KJ_IF_MAYBE (fd, journal) {
    // The journal's native protocol: KEY=value lines; printable() left no newline in any of them.
    kj::Vector<kj::String> lines;
    lines.add(kj::str("MESSAGE=", text));
    lines.add(kj::str("PRIORITY=", static_cast<int>(level)));
    lines.add(kj::str("SYSLOG_IDENTIFIER=", service));
    for (auto& each : fields) lines.add(kj::str(each.key, "=", printable(each.value, 4096)));
    auto datagram = kj::str(kj::strArray(lines, "\n"), "\n");
    if (send(*fd, datagram.begin(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      ++droppedLines;
    }
    return;
  }
  kj::Vector<kj::String> parts;
  parts.add(kj::str("<", static_cast<int>(level), ">", service, ": ", text));
  for (auto& each : fields) parts.add(kj::str(each.key, "=", printable(each.value, 1024)));
  auto line = kj::str(kj::strArray(parts, " "), "\n");
  if (::write(STDERR_FILENO, line.begin(), line.size()) < 0) ++droppedLines;
}

}  // namespace bulkhead

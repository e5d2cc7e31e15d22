// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>
#include <kj/time.h>

#include <initializer_list>

namespace bulkhead {

// Severities of syslog(3), RFC 5424 section 6.2.1.
enum class LogLevel : int { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

// A value that must never be shown. It converts to nothing, so that it cannot reach a log, an error
// text or a command line by accident; whoever needs the bytes has to say so.
class Secret {
 public:
  explicit Secret(kj::String value) : value(kj::mv(value)) {}
  ~Secret() noexcept(false);
  Secret(Secret&&) = default;
  Secret& operator=(Secret&&) = default;

  // For the one call that hands it to the protocol it belongs to.
  kj::StringPtr reveal() const { return value; }
  bool empty() const { return value.size() == 0; }

 private:
  kj::String value;
};

inline kj::StringPtr KJ_STRINGIFY(const Secret&) { return "(secret)"; }

// A structured field; the key is upper case as journald wants it ("ZONE", "IMAGE").
struct LogField {
  kj::StringPtr key;
  kj::String value;
};

template <typename T>
LogField field(kj::StringPtr key, T&& value) {
  return {key, kj::str(kj::fwd<T>(value))};
}

// Structured log lines to the journal, or to stderr where there is none. Never blocks and never
// fails: a line that does not fit into the journal's socket is counted and dropped. All text is
// made printable; bursts beyond 200 lines in a second are counted and dropped, so that no peer can
// fill a disk through us.
class Log {
 public:
  // Opens the journal's socket now, since the sandbox will not allow it later.
  explicit Log(kj::StringPtr service);

  void write(LogLevel level, kj::StringPtr message, std::initializer_list<LogField> fields = {});
  void error(kj::StringPtr message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::error, message, fields);
  }
  void warning(kj::StringPtr message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::warning, message, fields);
  }
  void info(kj::StringPtr message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::info, message, fields);
  }

  // Lines dropped since the start.
  uint64_t dropped() const { return droppedLines; }

 private:
  kj::String service;
  kj::Maybe<kj::AutoCloseFd> journal;
  int64_t second = 0;
  unsigned linesThisSecond = 0;
  uint64_t droppedLines = 0;

  bool admit();
};

}  // namespace bulkhead

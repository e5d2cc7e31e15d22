// SPDX-License-Identifier: Apache-2.0
// The policy text, read: one file into rules and includes. README.md describes the format.
#pragma once

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>

#include <cstdint>

namespace bulkhead::policy {

// Everything wrong with a policy, each as "FILE:LINE: sentence". Reading goes on after a
// complaint, so that one run of the compiler shows them all.
class Complaints {
 public:
  void add(kj::StringPtr file, unsigned line, kj::StringPtr sentence);

  bool empty() const { return texts.empty(); }
  kj::ArrayPtr<const kj::String> all() const { return texts; }

 private:
  kj::Vector<kj::String> texts;
};

// (argument & mask) == value
struct Condition {
  unsigned argument;
  uint64_t mask;
  uint64_t value;

  bool operator==(const Condition&) const = default;
};

// A conjunction: sorted by argument, at most one condition for each, never empty.
using Clause = kj::Array<Condition>;

// One line: a system call and when it is allowed (error 0) or answered with an errno.
// No clause: always.
struct Rule {
  kj::String file;
  unsigned line;
  kj::String syscall;
  int number;
  uint16_t error;
  kj::Array<Clause> clauses;
};

// `@include NAME`
struct Include {
  kj::String name;
  unsigned line;
};

struct PolicyFile {
  kj::Vector<Include> includes;
  kj::Vector<Rule> rules;
};

// Reads one file. Lines that are wrong are complained about and left out; `name` is only for the
// complaints and for Rule::file.
PolicyFile readPolicyFile(kj::StringPtr name, kj::StringPtr text, Complaints& complaints);

}  // namespace bulkhead::policy

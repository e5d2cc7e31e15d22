// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/policy.h"

namespace bulkhead::policy {
namespace {

// A condition that compares nothing, for arguments a clause does not mention.
Condition conditionOn(unsigned argument, kj::ArrayPtr<const Condition> clause) {
  for (const auto& condition : clause) {
    if (condition.argument == argument) return condition;
  }
  return Condition{argument, 0, 0};
}

// Whether every call that `inner` matches is matched by `outer` too.
bool covers(kj::ArrayPtr<const Condition> outer, kj::ArrayPtr<const Condition> inner) {
  for (const auto& wide : outer) {
    auto narrow = conditionOn(wide.argument, inner);
    if ((wide.mask & ~narrow.mask) != 0) return false;
    if ((narrow.value & wide.mask) != wide.value) return false;
  }
  return true;
}

// Whether one call can match both.
bool intersects(kj::ArrayPtr<const Condition> left, kj::ArrayPtr<const Condition> right) {
  for (const auto& condition : left) {
    auto other = conditionOn(condition.argument, right);
    if (((condition.value ^ other.value) & condition.mask & other.mask) != 0) return false;
  }
  return true;
}

kj::String place(const Rule& rule) { return kj::str(rule.file, ':', rule.line); }

class Reader {
 public:
  Reader(FileSource& source, Complaints& complaints) : source(source), complaints(complaints) {}

  void read(kj::StringPtr name, kj::StringPtr includedFrom, unsigned line) {
    for (const auto& file : policy.files) {
      if (file == name) {
        complaints.add(includedFrom, line, kj::str("'", name, "' is included already"));
        return;
      }
    }
    kj::String text;
    KJ_IF_MAYBE (found, source(name)) {
      text = kj::mv(*found);
    } else {
      complaints.add(includedFrom, line, kj::str("there is no policy file '", name, "'"));
      return;
    }
    policy.files.add(kj::str(name));
    auto file = readPolicyFile(name, text, complaints);
    for (const auto& include : file.includes) read(include.name, name, include.line);
    for (auto& rule : file.rules) policy.rules.add(kj::mv(rule));
  }

  Policy finish() {
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      checkClausesOf(policy.rules[i]);
      for (size_t j = 0; j < i; ++j) {
        if (policy.rules[i].number == policy.rules[j].number) {
          checkPair(policy.rules[j], policy.rules[i]);
        }
      }
    }
    return kj::mv(policy);
  }

 private:
  FileSource& source;
  Complaints& complaints;
  Policy policy;

  void complain(const Rule& rule, kj::StringPtr sentence) {
    complaints.add(rule.file, rule.line, sentence);
  }

  void checkClausesOf(const Rule& rule) {
    for (size_t i = 0; i < rule.clauses.size(); ++i) {
      for (size_t j = 0; j < rule.clauses.size(); ++j) {
        if (i == j || !covers(rule.clauses[j], rule.clauses[i])) continue;
        // Of two equal clauses only the second is one too many.
        if (j > i && covers(rule.clauses[i], rule.clauses[j])) continue;
        complain(rule, kj::str("alternative ", i + 1, " of '", rule.syscall,
                               "' is never reached: alternative ", j + 1, " covers it"));
      }
    }
  }

  void checkPair(const Rule& first, const Rule& second) {
    bool firstAlways = first.clauses.size() == 0;
    bool secondAlways = second.clauses.size() == 0;
    if (firstAlways && secondAlways) {
      complain(second, kj::str("'", second.syscall, "' has a rule already, at ", place(first)));
    } else if (firstAlways) {
      complain(second, kj::str("this rule is never reached: '", second.syscall,
                               "' has an unconditional rule at ", place(first)));
    } else if (secondAlways) {
      complain(first, kj::str("this rule is never reached: '", first.syscall,
                              "' has an unconditional rule at ", place(second)));
    } else {
      checkOverlap(first, second);
    }
  }

  void checkOverlap(const Rule& first, const Rule& second) {
    for (const auto& early : first.clauses) {
      for (const auto& late : second.clauses) {
        if (first.error != second.error) {
          if (intersects(early, late)) {
            complain(second, kj::str("a call of '", second.syscall,
                                     "' can match both this rule and the one at ", place(first),
                                     ", which answers differently"));
            return;
          }
        } else if (covers(early, late)) {
          complain(second, kj::str("this rule of '", second.syscall,
                                   "' is never reached: the one at ", place(first), " covers it"));
          return;
        } else if (covers(late, early)) {
          complain(first, kj::str("this rule of '", first.syscall,
                                  "' is never reached: the one at ", place(second), " covers it"));
          return;
        }
      }
    }
  }
};

}  // namespace

Policy readPolicy(kj::StringPtr name, FileSource& source, Complaints& complaints) {
  Reader reader(source, complaints);
  reader.read(name, name, 0);
  return reader.finish();
}

}  // namespace bulkhead::policy

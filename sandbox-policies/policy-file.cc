// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/policy-file.h"

#include <cctype>

#include "sandbox-policies/policy-expression.h"
#include "sandbox-policies/policy-names.h"

namespace bulkhead::policy {
namespace {

kj::ArrayPtr<const char> trim(kj::ArrayPtr<const char> text) {
  while (text.size() > 0 && isspace(static_cast<unsigned char>(text.front()))) {
    text = text.slice(1, text.size());
  }
  while (text.size() > 0 && isspace(static_cast<unsigned char>(text.back()))) {
    text = text.slice(0, text.size() - 1);
  }
  return text;
}

kj::Maybe<size_t> indexOf(kj::ArrayPtr<const char> text, char wanted) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == wanted) return i;
  }
  return nullptr;
}

// A bare number says nothing to a reader: the reason must then carry its symbolic name, which is
// a word of three or more capitals (IOCTL_NR, FUTEX...).
bool hasSymbolicName(kj::ArrayPtr<const char> reason) {
  size_t run = 0;
  for (char c : reason) {
    bool part = isupper(static_cast<unsigned char>(c)) || (run > 0 && (c == '_' || isdigit(c)));
    run = part ? run + 1 : 0;
    if (run >= 3) return true;
  }
  return false;
}

// Reads the lines of one file; every complaint goes out with its line number.
class FileReader {
 public:
  FileReader(kj::StringPtr name, Complaints& complaints) : name(name), complaints(complaints) {}

  PolicyFile read(kj::ArrayPtr<const char> text) {
    for (line = 1; text.size() > 0; ++line) {
      size_t length = text.size();
      size_t rest = length;
      KJ_IF_MAYBE (newline, indexOf(text, '\n')) {
        length = *newline;
        rest = *newline + 1;
      }
      readLine(trim(text.slice(0, length)));
      text = text.slice(rest, text.size());
    }
    return kj::mv(file);
  }

 private:
  kj::StringPtr name;
  Complaints& complaints;
  unsigned line = 0;
  PolicyFile file;
  kj::String previous;

  void complain(kj::StringPtr sentence) { complaints.add(name, line, sentence); }

  void readLine(kj::ArrayPtr<const char> text) {
    if (text.size() == 0 || text.front() == '#') return;

    auto statement = text;
    kj::ArrayPtr<const char> reason;
    KJ_IF_MAYBE (hash, indexOf(text, '#')) {
      statement = trim(text.slice(0, *hash));
      reason = trim(text.slice(*hash + 1, text.size()));
    }
    if (reason.size() == 0) {
      complain("the reason is missing: end the line with '# why this process needs it'");
    }

    if (statement.front() == '@') {
      readInclude(statement);
    } else {
      readRule(statement, reason);
    }
  }

  void readInclude(kj::ArrayPtr<const char> statement) {
    constexpr auto keyword = "@include "_kj;
    if (statement.size() <= keyword.size() ||
        statement.slice(0, keyword.size()) != keyword.asArray()) {
      complain("after '@' only 'include FILE' is understood");
      return;
    }
    if (file.rules.size() > 0) {
      complain("an include must stand before the first rule");
      return;
    }
    auto target = trim(statement.slice(keyword.size(), statement.size()));
    file.includes.add(Include{kj::heapString(target), line});
  }

  void readRule(kj::ArrayPtr<const char> statement, kj::ArrayPtr<const char> reason) {
    size_t colon;
    KJ_IF_MAYBE (index, indexOf(statement, ':')) {
      colon = *index;
    } else {
      complain("a rule is written 'SYSCALL: allow', 'SYSCALL: errno NAME' or 'SYSCALL: CONDITION'");
      return;
    }
    auto syscall = kj::heapString(trim(statement.slice(0, colon)));
    checkOrder(syscall);

    int number;
    KJ_IF_MAYBE (known, syscallNumber(syscall)) {
      number = *known;
    } else {
      complain(kj::str("there is no system call '", syscall, "' on x86-64"));
      return;
    }

    auto body = trim(statement.slice(colon + 1, statement.size()));
    KJ_IF_MAYBE (verdict, readVerdict(syscall, body, reason)) {
      file.rules.add(Rule{kj::str(name), line, kj::mv(syscall), number, verdict->error,
                          kj::mv(verdict->clauses)});
    }
  }

  void checkOrder(kj::StringPtr syscall) {
    if (syscall < previous) {
      complain(
          kj::str("rules are sorted by name: '", syscall, "' belongs before '", previous, "'"));
    } else {
      previous = kj::str(syscall);
    }
  }

  struct Verdict {
    uint16_t error;
    kj::Array<Clause> clauses;
  };

  kj::Maybe<Verdict> readVerdict(kj::StringPtr syscall, kj::ArrayPtr<const char> body,
                                 kj::ArrayPtr<const char> reason) {
    ExpressionReader reader(body);
    try {
      uint16_t error = 0;
      if (reader.takeWord("allow")) {
        reader.expectEnd("after 'allow'");
        return Verdict{0, nullptr};
      }
      if (reader.takeWord("errno")) {
        auto errorName = reader.expectWord("the name of an errno after 'errno'");
        KJ_IF_MAYBE (value, errnoValue(errorName)) {
          error = *value;
        } else {
          complain(
              kj::str("the errno '", errorName, "' is not in the table of policy-constants.cc"));
          return nullptr;
        }
        if (reader.atEnd()) return Verdict{error, nullptr};
        if (!reader.takeWord("if"))
          reader.expectEnd("after the errno; a condition begins with 'if'");
      }
      auto clauses = reader.readCondition(syscall);
      if (reader.sawBareNumber() && !hasSymbolicName(reason)) {
        complain("a number needs its symbolic name in the reason");
      }
      return Verdict{error, kj::mv(clauses)};
    } catch (ExpressionError& e) {
      complain(e.sentence);
      return nullptr;
    }
  }
};

}  // namespace

void Complaints::add(kj::StringPtr file, unsigned line, kj::StringPtr sentence) {
  texts.add(kj::str(file, ':', line, ": ", sentence));
}

PolicyFile readPolicyFile(kj::StringPtr name, kj::StringPtr text, Complaints& complaints) {
  return FileReader(name, complaints).read(text.asArray());
}

}  // namespace bulkhead::policy

// SPDX-License-Identifier: Apache-2.0
// The right-hand side of a rule: conditions over arguments, turned into clauses.
#pragma once

#include "sandbox-policies/policy-file.h"

namespace bulkhead::policy {

// What is wrong with a line. Thrown and caught within the compiler only.
struct ExpressionError {
  kj::String sentence;
};

// Reads one right-hand side from left to right. `text` must outlive the reader.
//
//   condition   := conjunction { "||" conjunction }
//   conjunction := comparison { "&&" comparison }
//   comparison  := ARG [ "&" value ] test
//   test        := "==" value | "in" "{" value { "," value } "}" | "in" [ "~" ] value
//   value       := term { "|" term }          term := NAME | NUMBER | "(" value ")"
//   ARG         := "arg0" ... "arg5"
class ExpressionReader {
 public:
  explicit ExpressionReader(kj::ArrayPtr<const char> text) : text(text) {}

  // Consumes `word` if it stands next.
  bool takeWord(kj::StringPtr word);

  // Consumes the next word; throws ExpressionError saying that `what` was expected.
  kj::String expectWord(kj::StringPtr what);

  bool atEnd();

  // Throws ExpressionError unless everything is consumed.
  void expectEnd(kj::StringPtr where);

  // Reads a whole condition to the end, in disjunctive form. The width of each argument comes
  // from the table in policy-names.h. Throws ExpressionError.
  kj::Array<Clause> readCondition(kj::StringPtr syscall);

  // Whether a number above 9 was written where a name could stand.
  bool sawBareNumber() const { return bareNumber; }

 private:
  kj::ArrayPtr<const char> text;
  bool bareNumber = false;

  // Alternatives that one comparison stands for: one, or as many as the braces hold.
  using Alternatives = kj::Vector<Condition>;

  void skipSpace();
  bool takeSymbol(kj::StringPtr symbol);
  kj::String describeNext();
  kj::Vector<Clause> readConjunction(kj::StringPtr syscall);
  Alternatives readComparison(kj::StringPtr syscall);
  uint64_t readValue();
  uint64_t readTerm();
  uint64_t readValueWithin(uint64_t width);
};

}  // namespace bulkhead::policy

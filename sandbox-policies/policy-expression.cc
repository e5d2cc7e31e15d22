// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/policy-expression.h"

#include <cctype>

#include "sandbox-policies/policy-names.h"

namespace bulkhead::policy {
namespace {

template <typename... Parts>
[[noreturn]] void fail(Parts&&... parts) {
  throw ExpressionError{kj::str(kj::fwd<Parts>(parts)...)};
}

bool isWordPart(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; }

kj::Maybe<uint64_t> parseNumber(kj::StringPtr word) {
  uint64_t base = 10;
  auto digits = word.asArray();
  if (word.startsWith("0x")) {
    base = 16;
    digits = digits.slice(2, digits.size());
  } else if (word.size() > 1 && word.startsWith("0")) {
    base = 8;
  }
  if (digits.size() == 0) return nullptr;
  uint64_t value = 0;
  for (char c : digits) {
    uint64_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a') + 10;
    } else {
      return nullptr;
    }
    if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
        __builtin_add_overflow(value, digit, &value)) {
      return nullptr;
    }
  }
  return value;
}

// Joins one more comparison to a conjunction. Two on the same argument become one with both
// masks: the kernel's filters, as libseccomp builds them, compare each argument once.
Clause join(kj::ArrayPtr<const Condition> clause, const Condition& added) {
  kj::Vector<Condition> result;
  bool placed = false;
  for (const auto& condition : clause) {
    if (condition.argument == added.argument) {
      if (((condition.value ^ added.value) & condition.mask & added.mask) != 0) {
        fail("the conditions on arg", added.argument, " can never hold together");
      }
      result.add(
          Condition{added.argument, condition.mask | added.mask, condition.value | added.value});
      placed = true;
      continue;
    }
    if (!placed && added.argument < condition.argument) {
      result.add(added);
      placed = true;
    }
    result.add(condition);
  }
  if (!placed) result.add(added);
  return result.releaseAsArray();
}

}  // namespace

void ExpressionReader::skipSpace() {
  while (text.size() > 0 && isspace(static_cast<unsigned char>(text.front()))) {
    text = text.slice(1, text.size());
  }
}

bool ExpressionReader::atEnd() {
  skipSpace();
  return text.size() == 0;
}

bool ExpressionReader::takeSymbol(kj::StringPtr symbol) {
  skipSpace();
  if (text.size() < symbol.size() || text.slice(0, symbol.size()) != symbol.asArray()) return false;
  text = text.slice(symbol.size(), text.size());
  return true;
}

bool ExpressionReader::takeWord(kj::StringPtr word) {
  skipSpace();
  if (text.size() > word.size() && isWordPart(text[word.size()])) return false;
  return takeSymbol(word);
}

kj::String ExpressionReader::describeNext() {
  skipSpace();
  return text.size() == 0 ? kj::str("the end of the line") : kj::str("'", text, "'");
}

kj::String ExpressionReader::expectWord(kj::StringPtr what) {
  skipSpace();
  size_t length = 0;
  while (length < text.size() && isWordPart(text[length])) ++length;
  if (length == 0) fail("expected ", what, ", found ", describeNext());
  auto word = kj::heapString(text.slice(0, length));
  text = text.slice(length, text.size());
  return word;
}

void ExpressionReader::expectEnd(kj::StringPtr where) {
  if (!atEnd()) fail("unexpected ", describeNext(), ' ', where);
}

kj::Array<Clause> ExpressionReader::readCondition(kj::StringPtr syscall) {
  kj::Vector<Clause> result;
  do {
    for (auto& clause : readConjunction(syscall)) result.add(kj::mv(clause));
  } while (takeSymbol("||"));
  expectEnd("after the condition");
  return result.releaseAsArray();
}

kj::Vector<Clause> ExpressionReader::readConjunction(kj::StringPtr syscall) {
  kj::Vector<Clause> clauses;
  clauses.add(nullptr);
  do {
    auto alternatives = readComparison(syscall);
    kj::Vector<Clause> next;
    for (const auto& clause : clauses) {
      for (const auto& alternative : alternatives) next.add(join(clause, alternative));
    }
    clauses = kj::mv(next);
  } while (takeSymbol("&&"));
  return clauses;
}

ExpressionReader::Alternatives ExpressionReader::readComparison(kj::StringPtr syscall) {
  auto word = expectWord("'allow', 'errno' or a condition on arg0 to arg5");
  if (word.size() != 4 || !word.startsWith("arg") || word[3] < '0' || word[3] > '5') {
    fail("expected 'allow', 'errno' or a condition on arg0 to arg5, found '", word, "'");
  }
  auto argument = static_cast<unsigned>(word[3] - '0');
  uint64_t width = 0;
  bool pointer = false;
  KJ_IF_MAYBE (known, argumentWidth(syscall, argument)) {
    width = known->mask;
    pointer = known->kind == ArgumentWidth::Kind::pointer;
  } else if (hasArgumentTable(syscall)) {
    fail("'", syscall, "' has no ", word);
  } else {
    fail("the argument widths of '", syscall, "' are not known: add it to policy-names.cc");
  }

  Alternatives result;
  if (takeSymbol("&")) {
    auto mask = readValueWithin(width);
    if (mask == 0) fail("the mask on ", word, " is zero, so the condition always holds");
    width = mask;
  }
  if (takeSymbol("==")) {
    result.add(Condition{argument, width, readValueWithin(width)});
  } else if (takeWord("in")) {
    if (takeSymbol("{")) {
      do {
        result.add(Condition{argument, width, readValueWithin(width)});
      } while (takeSymbol(","));
      if (!takeSymbol("}")) fail("expected ',' or '}', found ", describeNext());
    } else {
      bool inverted = takeSymbol("~");
      auto value = readValueWithin(width);
      auto forbidden = inverted ? value : width & ~value;
      if (forbidden == 0) fail("the condition on ", word, " always holds");
      result.add(Condition{argument, forbidden, 0});
    }
  } else {
    fail("expected '==', 'in' or a mask after ", word, ", found ", describeNext());
  }
  if (pointer) {
    for (const auto& condition : result) {
      if (condition.mask == ~uint64_t{0} && condition.value == 0) continue;
      fail(word, " of '", syscall, "' is a pointer: a filter can only tell whether it is 0");
    }
  }
  return result;
}

uint64_t ExpressionReader::readValueWithin(uint64_t width) {
  auto value = readValue();
  if ((value & ~width) != 0) {
    fail("the value 0x", kj::hex(value),
         " has bits that are not compared: the argument or its mask ", "is narrower");
  }
  return value;
}

uint64_t ExpressionReader::readValue() {
  auto value = readTerm();
  for (;;) {
    skipSpace();
    bool single = text.size() > 0 && text[0] == '|' && !(text.size() > 1 && text[1] == '|');
    if (!single) return value;
    takeSymbol("|");
    value |= readTerm();
  }
}

uint64_t ExpressionReader::readTerm() {
  if (takeSymbol("(")) {
    auto value = readValue();
    if (!takeSymbol(")")) fail("expected ')', found ", describeNext());
    return value;
  }
  auto word = expectWord("a constant");
  if (isdigit(static_cast<unsigned char>(word[0]))) {
    KJ_IF_MAYBE (number, parseNumber(word)) {
      // A file mode in octal is its own name.
      if (*number > 9 && (word[0] != '0' || word[1] == 'x')) bareNumber = true;
      return *number;
    }
    fail("'", word, "' is not a number (decimal, octal after 0, lower-case hexadecimal after 0x)");
  }
  KJ_IF_MAYBE (value, constantValue(word)) return *value;
  fail("the constant '", word, "' is not in the table of policy-constants.cc");
}

}  // namespace bulkhead::policy

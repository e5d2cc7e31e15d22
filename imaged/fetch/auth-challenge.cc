// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/auth-challenge.h"

namespace bulkhead {
namespace {

constexpr size_t kMost = 16;

// RFC 9110, 5.6.2.
bool isToken(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return kj::StringPtr("!#$%&'*+-.^_`|~").findFirst(c) != nullptr;
}

class Parser {
 public:
  explicit Parser(kj::StringPtr text) : text(text) {}

  bool parse(kj::Vector<AuthChallenge>& challenges) {
    for (;;) {
      skipSpaceAndCommas();
      if (at == text.size()) return challenges.size() > 0;
      auto word = token();
      if (word.size() == 0) return false;
      skipSpace();
      if (at < text.size() && text[at] == '=' && challenges.size() > 0) {
        if (!parameter(challenges.back(), kj::mv(word))) return false;
        if (!endOfItem()) return false;
        continue;
      }
      if (challenges.size() == kMost) return false;
      AuthChallenge challenge;
      challenge.scheme = kj::mv(word);
      challenges.add(kj::mv(challenge));
    }
  }

 private:
  kj::StringPtr text;
  size_t at = 0;

  void skipSpace() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
  }
  void skipSpaceAndCommas() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == ',')) ++at;
  }

  // After a parameter: a comma or the end.
  bool endOfItem() {
    skipSpace();
    return at == text.size() || text[at] == ',';
  }

  kj::String token() {
    size_t start = at;
    while (at < text.size() && isToken(text[at])) ++at;
    auto word = kj::str(text.slice(start, at));
    for (char& c : word.asArray()) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return word;
  }

  bool parameter(AuthChallenge& challenge, kj::String key) {
    ++at;  // the '='
    skipSpace();
    kj::Vector<char> value;
    if (at < text.size() && text[at] == '"') {
      ++at;
      for (;;) {
        if (at == text.size()) return false;
        char c = text[at++];
        if (c == '"') break;
        if (c == '\\') {
          if (at == text.size()) return false;
          c = text[at++];
        }
        auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) return false;
        value.add(c);
      }
    } else {
      while (at < text.size() && isToken(text[at])) value.add(text[at++]);
      if (value.size() == 0) return false;
    }
    if (challenge.parameters.size() == kMost) return false;
    if (challenge.parameters.find(key) != nullptr) return false;
    challenge.parameters.insert(kj::mv(key), kj::heapString(value));
    return true;
  }
};

}  // namespace

kj::StringPtr AuthChallenge::parameter(kj::StringPtr name) const {
  KJ_IF_MAYBE (value, parameters.find(name)) {
    return *value;
  }
  return "";
}

kj::Maybe<kj::Vector<AuthChallenge>> parseChallenges(kj::StringPtr header) {
  kj::Vector<AuthChallenge> challenges;
  if (!Parser(header).parse(challenges)) return nullptr;
  return kj::mv(challenges);
}

}  // namespace bulkhead

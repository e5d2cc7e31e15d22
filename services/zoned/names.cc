// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/names.h"

#include <stdint.h>
#include <sys/random.h>

#include <span>

#include <kj/debug.h>

namespace bulkhead {
namespace {

constexpr kj::StringPtr kAdjectives[] = {
    "amber"_kj,  "brave"_kj, "brisk"_kj, "calm"_kj,    "clear"_kj,  "crisp"_kj,
    "dusty"_kj,  "early"_kj, "fair"_kj,  "fleet"_kj,   "gentle"_kj, "glad"_kj,
    "hardy"_kj,  "keen"_kj,  "kind"_kj,  "lively"_kj,  "lucid"_kj,  "mellow"_kj,
    "merry"_kj,  "misty"_kj, "noble"_kj, "patient"_kj, "plain"_kj,  "proud"_kj,
    "quick"_kj,  "quiet"_kj, "rapid"_kj, "ready"_kj,   "silent"_kj, "sober"_kj,
    "steady"_kj, "sunny"_kj, "swift"_kj, "tidy"_kj,    "vivid"_kj,  "warm"_kj};

constexpr kj::StringPtr kNouns[] = {
    "badger"_kj, "beaver"_kj, "bison"_kj,  "crane"_kj,   "curlew"_kj,  "dolphin"_kj,
    "eider"_kj,  "falcon"_kj, "ferret"_kj, "finch"_kj,   "gannet"_kj,  "gull"_kj,
    "hare"_kj,   "heron"_kj,  "ibex"_kj,   "jackdaw"_kj, "kestrel"_kj, "lark"_kj,
    "lynx"_kj,   "marten"_kj, "merlin"_kj, "newt"_kj,    "osprey"_kj,  "otter"_kj,
    "petrel"_kj, "plover"_kj, "puffin"_kj, "raven"_kj,   "seal"_kj,    "shrike"_kj,
    "skua"_kj,   "stoat"_kj,  "tern"_kj,   "vole"_kj,    "walrus"_kj,  "wren"_kj};

uint32_t randomNumber() {
  uint32_t number;
  ssize_t n;
  KJ_SYSCALL(n = getrandom(&number, sizeof number, 0));
  KJ_ASSERT(n == static_cast<ssize_t>(sizeof number));
  return number;
}

}  // namespace

bool isValidName(kj::StringPtr text) {
  if (text.size() == 0 || text.size() > kMaxNameBytes || text[0] == '-') return false;
  for (char c : text) {
    bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!allowed) return false;
  }
  return true;
}

kj::String inventName(kj::FunctionParam<bool(kj::StringPtr)> taken) {
  constexpr uint kPlainTries = 16;
  for (uint attempt = 0;; ++attempt) {
    auto number = randomNumber();
    auto adjective = std::span(kAdjectives)[number % std::size(kAdjectives)];
    auto noun = std::span(kNouns)[(number >> 8) % std::size(kNouns)];
    auto name = attempt < kPlainTries ? kj::str(adjective, '-', noun)
                                      : kj::str(adjective, '-', noun, '-', number >> 16);
    if (!taken(name)) return name;
  }
}

}  // namespace bulkhead

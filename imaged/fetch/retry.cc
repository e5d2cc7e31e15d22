// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/retry.h"

#include <openssl/rand.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

constexpr uint kTries = 3;
constexpr auto kFirstWait = 250 * kj::MILLISECONDS;
// No registry needs longer, and none may keep us longer than this.
constexpr auto kMostRetryAfter = 10 * kj::SECONDS;

// RFC 9110, 15: those that say "not now", rather than "never".
bool isTransient(long status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

bool mayHelp(const HttpOutcome& outcome) {
  if (outcome.is<HttpProblem>()) {
    return outcome.get<HttpProblem>().again == HttpProblem::Again::yes;
  }
  return isTransient(outcome.get<HttpResponse>().status);
}

}  // namespace

kj::Duration Retry::left() const { return kj::max(deadline - timer.now(), 0 * kj::NANOSECONDS); }

// Between half and all of 250 ms, 1 s, 2.25 s: many zones of many hosts start at the same time.
kj::Duration Retry::backOff() const {
  uint8_t random = 0;
  KJ_REQUIRE(RAND_bytes(&random, 1) == 1, "OpenSSL has no random numbers");
  auto most = kFirstWait * (tries * tries);
  return most / 2 + most / 512 * random;
}

kj::Maybe<kj::Promise<void>> Retry::again(const HttpOutcome& outcome) {
  if (!mayHelp(outcome) || ++tries >= kTries) return nullptr;
  auto wait = backOff();
  if (outcome.is<HttpResponse>()) {
    // The form with a date is answered by our own back-off: clocks differ.
    KJ_IF_MAYBE (seconds, outcome.get<HttpResponse>().retryAfter.tryParseAs<uint64_t>()) {
      constexpr uint64_t most = kMostRetryAfter / kj::SECONDS;
      wait = kj::min(*seconds, most) * kj::SECONDS;
    }
  }
  if (wait >= left()) return nullptr;
  return timer.afterDelay(wait);
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
// Bad input ends in a clear error that names the thing and the next step, and leaves nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/xen/host.h"

namespace bulkhead::xentest {
namespace {

using testing::HasSubstr;

constexpr int kOurError = 125;

// Runs `bulkhead run ARGUMENTS`, expects our own error, and the words in it.
void expectError(const std::vector<std::string>& arguments, const std::vector<std::string>& words,
                 int code = kOurError) {
  NothingLeft nothing;
  std::vector<std::string> command = {"bulkhead", "run"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto outcome = run(command);
  EXPECT_EQ(outcome.code, code) << outcome;
  for (auto& word : words) EXPECT_THAT(outcome.err, HasSubstr(word));
  EXPECT_EQ(outcome.out, "");
}

TEST(BadInput, UnknownImage) {
  expectError({"localhost:5000/no-such-image"}, {"localhost:5000/no-such-image", "hint:"});
}

TEST(BadInput, UnknownTag) {
  expectError({"localhost:5000/busybox:no-such-tag"}, {"no-such-tag", "hint:"});
}

TEST(BadInput, MalformedReference) { expectError({"UPPER//case"}, {"UPPER//case"}); }

TEST(BadInput, UnreachableRegistry) {
  expectError({"localhost:5999/busybox"}, {"localhost:5999", "hint:"});
}

TEST(BadInput, DigestMismatch) {
  // One flipped byte in the registry's own storage of a layer that only this image has.
  auto corrupted =
      run({"sh", "-c",
           "set -e; cd /var/lib/docker-registry/docker/registry/v2; "
           "d=$(cat repositories/corrupt/_manifests/tags/latest/current/link | cut -d: -f2); "
           "l=$(tr ',' '\\n' < blobs/sha256/$(echo $d | cut -c1-2)/$d/data | grep -o "
           "'sha256:[0-9a-f]*' | tail -n 1 | cut -d: -f2); "
           "f=blobs/sha256/$(echo $l | cut -c1-2)/$l/data; "
           "printf 'X' | dd of=$f bs=1 seek=100 conv=notrunc 2>/dev/null"});
  ASSERT_EQ(corrupted.code, 0) << corrupted;
  expectError({"localhost:5000/corrupt"}, {"digest", "sha256:"});
}

TEST(BadInput, ImageForAnotherArchitecture) {
  expectError({"localhost:5000/foreign"}, {"arm64", "amd64"});
}

TEST(BadInput, NoEntrypoint) { expectError({"--pv", "localhost:5000/noentry"}, {"command"}); }

TEST(BadInput, CommandNotFound) {
  expectError({"--pv", "localhost:5000/busybox", "no-such-command"}, {"no-such-command"}, 127);
}

TEST(BadInput, CommandNotExecutable) {
  expectError({"--pv", "localhost:5000/busybox", "/etc/passwd"}, {"/etc/passwd"}, 126);
}

TEST(BadInput, TooLittleMemoryForTheZone) {
  expectError({"--memory", "16", "localhost:5000/busybox"}, {"memory", "16"});
}

TEST(BadInput, MoreMemoryThanTheHostHas) {
  expectError({"--memory", "900000", "localhost:5000/busybox"}, {"memory", "MiB"});
}

TEST(BadInput, DuplicateName) {
  NothingLeft nothing;
  Zone zone("twice", {"--pv"}, {"localhost:5000/busybox", "sleep", "100000"});
  auto second = run({"bulkhead", "zone", "launch", "--name", "twice", "localhost:5000/busybox"});
  EXPECT_EQ(second.code, kOurError) << second;
  EXPECT_THAT(second.err, HasSubstr("twice"));
  EXPECT_THAT(second.err, HasSubstr("hint:"));
}

TEST(BadInput, AGuestThatPanics) {
  expectError(
      {"--pv", "--kernel-options", "rdinit=/no-such-init panic=1", "localhost:5000/busybox"},
      {"Kernel panic", "kernel ended", "hint:"});
}

TEST(BadInput, AGuestThatNeverOffersItsRing) {
  expectError({"--pv", "--system", "localhost:5000/silent", "localhost:5000/busybox"},
              {"ring", "hint:"});
}

TEST(BadInput, AnImageOfAnotherTypeThanItsPlace) {
  expectError({"--extension", "localhost:5000/busybox", "localhost:5000/busybox"},
              {"localhost:5000/busybox", "container, not extension", "hint:"});
  expectError({"--system", "localhost:5000/extension", "localhost:5000/busybox"},
              {"localhost:5000/extension", "extension, not system", "hint:"});
}

TEST(BadInput, UnknownZone) {
  for (auto* command : {"exec", "logs", "wait"}) {
    std::vector<std::string> whole = {"bulkhead", "zone", command, "no-such-zone"};
    if (std::string(command) == "exec") whole.insert(whole.end(), {"--", "true"});
    auto outcome = run(whole);
    EXPECT_EQ(outcome.code, kOurError) << outcome;
    EXPECT_THAT(outcome.err, HasSubstr("no-such-zone"));
  }
}

TEST(BadInput, AUserWithoutAccess) {
  auto outcome = run({"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "bulkhead",
                      "zone", "list"});
  EXPECT_EQ(outcome.code, kOurError) << outcome;
  EXPECT_THAT(outcome.err, HasSubstr("hint:"));
}

}  // namespace
}  // namespace bulkhead::xentest

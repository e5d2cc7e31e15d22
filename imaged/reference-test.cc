// SPDX-License-Identifier: Apache-2.0
#include "imaged/reference.h"

#include "imaged/testing/failures.h"

namespace bulkhead {
namespace {

using testing::failureFrom;

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

kj::String canonical(kj::StringPtr text) { return Reference::parse(text, "docker.io").canonical(); }

TEST(Reference, DefaultsAreFilledIn) {
  EXPECT_EQ(canonical("debian"), "docker.io/library/debian:latest");
  EXPECT_EQ(canonical("debian:13"), "docker.io/library/debian:13");
  EXPECT_EQ(canonical("team/app"), "docker.io/team/app:latest");
  EXPECT_EQ(canonical("index.docker.io/team/app"), "docker.io/team/app:latest");
  EXPECT_EQ(canonical("app@sha512:" HEX HEX), "docker.io/library/app@sha512:" HEX HEX);
  EXPECT_EQ(canonical("localhost/app"), "localhost/app:latest");
  EXPECT_EQ(canonical("localhost:5000/a/b/c:v1"), "localhost:5000/a/b/c:v1");
  EXPECT_EQ(canonical("Registry.Example/app"), "registry.example/app:latest");
  EXPECT_EQ(canonical("[::1]:5000/app:1"), "[::1]:5000/app:1");
  EXPECT_EQ(canonical("app@sha256:" HEX), "docker.io/library/app@sha256:" HEX);
  EXPECT_EQ(canonical("app:1@sha256:" HEX), "docker.io/library/app:1@sha256:" HEX);
  EXPECT_EQ(Reference::parse("app:1", "r.example").canonical(), "r.example/app:1");
}

TEST(Reference, LayoutsAreDirectories) {
  auto plain = Reference::parse("oci:/srv/images/app", "docker.io");
  EXPECT_EQ(plain.source, Reference::Source::layout);
  EXPECT_EQ(plain.directory, "/srv/images/app");
  EXPECT_EQ(plain.tag, "");
  auto tagged = Reference::parse("oci:/srv/images/app:1.2", "docker.io");
  EXPECT_EQ(tagged.directory, "/srv/images/app");
  EXPECT_EQ(tagged.tag, "1.2");
  EXPECT_EQ(tagged.canonical(), "oci:/srv/images/app:1.2");
}

TEST(Reference, NothingElseIsOne) {
  const char* wrong[] = {"",
                         ":",
                         "@",
                         "/",
                         "a//b",
                         "a/",
                         "/a",
                         "A/b",
                         "a/B",
                         "a:",
                         "a:-x",
                         "a:.x",
                         "a b",
                         "a\nb",
                         "a/../b",
                         "a/..",
                         "..",
                         "a__b___c",
                         "a._b",
                         "-a",
                         "a-",
                         "registry.example:0/app",
                         "registry.example:65536/app",
                         "registry.example:/app",
                         "http://registry.example/app",
                         "user@registry.example/app",
                         "registry..example/app",
                         "[::1/app",
                         "[x]/app",
                         "app@sha256:short",
                         ("app@" HEX),
                         "app:1@",
                         "oci:",
                         "oci:app",
                         "oci:/",
                         "oci:/a/../b",
                         "oci:/a/./b",
                         "oci:/a//b",
                         "oci:/a/",
                         "oci:/a:",
                         "oci:/a\x01",
                         "\x1b[0m"};
  for (const char* text : wrong) {
    EXPECT_EQ(failureFrom([&]() { Reference::parse(text, "docker.io"); }).code,
              FailureCode::INVALID)
        << text;
  }
  auto longTag = kj::str("a:", kj::heapString(129));
  EXPECT_EQ(failureFrom([&]() { Reference::parse(longTag, "docker.io"); }).code,
            FailureCode::INVALID);
}

TEST(Reference, LoopbackIsKnown) {
  EXPECT_TRUE(isLoopbackHost("localhost"));
  EXPECT_TRUE(isLoopbackHost("127.8.9.1"));
  EXPECT_TRUE(isLoopbackHost("::1"));
  EXPECT_FALSE(isLoopbackHost("localhost.example"));
  EXPECT_FALSE(isLoopbackHost("128.0.0.1"));
  EXPECT_EQ(Reference::parse("[::1]:5000/a", "").registryHost(), "::1");
  EXPECT_EQ(Reference::parse("localhost:5000/a", "").registryHost(), "localhost");
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
// The shipped programs against a registry that is slow, cuts, and sends something else.
#include <atomic>

#include "imaged/testing/registry-fixture.h"

namespace bulkhead::testing {
namespace {

class HostileTransferTest : public RegistryTest {
 public:
  ~HostileTransferTest() noexcept override {}

 protected:
  // A whole blob announced, and so many bytes of it sent.
  static std::string cut(const std::string& bytes, size_t at) {
    return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\n" +
           bytes.substr(0, at);
  }
  static std::string partial(const std::string& bytes, size_t from) {
    return httpAnswer(206, bytes.substr(from),
                      "Content-Range: bytes " + std::to_string(from) + "-" +
                          std::to_string(bytes.size() - 1) + "/" + std::to_string(bytes.size()) +
                          "\r\n");
  }
  static size_t rangeOf(const Request& request) {
    auto at = request.headers.find("Range: bytes=");
    return at == std::string::npos ? 0 : std::stoul(request.headers.substr(at + 13));
  }

  // How long a pull took.
  static kj::Duration timed(kj::FunctionParam<void()> action) {
    auto& clock = kj::systemPreciseMonotonicClock();
    auto before = clock.now();
    action();
    return clock.now() - before;
  }
};

TEST_F(HostileTransferTest, R10_LayerShorterThanAnnounced) {
  layerIs(httpAnswer(200, layerBytes().substr(1)));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileTransferTest, R10_LayerLongerThanAnnounced) {
  layerIs(httpAnswer(200, layerBytes() + "x"));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileTransferTest, R17_ACutConnectionIsResumed) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<int>(0);
  registry.on(layerPath(), [=](const Request& request) {
    if ((*tries)++ == 0) {
      return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\n" +
             bytes.substr(0, 40);
    }
    if (!request.has("Range: bytes=40-")) return httpAnswer(500, "");
    return httpAnswer(206, bytes.substr(40),
                      "Content-Range: bytes 40-" + std::to_string(bytes.size() - 1) + "/" +
                          std::to_string(bytes.size()) + "\r\n");
  });
  expectPull();
}

TEST_F(HostileTransferTest, R17_AResumeThatIsAnsweredInFullStartsOver) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<int>(0);
  registry.on(layerPath(), [=](const Request&) {
    if ((*tries)++ > 0) return httpAnswer(200, bytes);
    return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\nzzz";
  });
  expectPull();
}

TEST_F(HostileTransferTest, R17_AResumeWithAnotherRangeIsRefused) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<int>(0);
  registry.on(layerPath(), [=](const Request&) {
    if ((*tries)++ > 0) return httpAnswer(206, bytes, "Content-Range: bytes 0-9/10\r\n");
    return "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\nzzz";
  });
  pullFailure(name);
}

TEST_F(HostileTransferTest, ABusyRegistryIsAskedAgain) {
  auto body = std::string(image.manifest().cStr());
  auto tries = std::make_shared<int>(0);
  registry.on("/v2/app/manifests/1", [=](const Request&) {
    return (*tries)++ < 2 ? httpAnswer(*tries == 1 ? 503 : 429, "", "Retry-After: 0\r\n")
                          : httpAnswer(200, body);
  });
  expectPull();
}

TEST_F(HostileTransferTest, ARegistryThatStaysBrokenIsUnreachable) {
  registry.on("/v2/app/manifests/1", [](const Request&) { return httpAnswer(503, ""); });
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_TRUE(says(failed, "503"));
}

TEST_F(HostileTransferTest, NobodyListens) {
  name = kj::str("localhost:1/app:1");
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_TRUE(says(failed, "localhost:1"));
}

TEST_F(HostileTransferTest, R10_ChunksWithoutAnEnd) {
  registry.converse(layerPath(), [](const Request&, Client& client) {
    client.send("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (client.send("1000\r\n" + std::string(4096, 'x') + "\r\n")) {
    }
  });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileTransferTest, R10_TheAnnouncedLengthIsNotTheSentOne) {
  // It says what is right and sends less, and says more than it has.
  auto bytes = layerBytes();
  layerIs(cut(bytes, bytes.size() - 1));
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
  layerIs("HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(bytes.size() + 9) + "\r\n\r\n" +
          bytes.substr(1));
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
}

TEST_F(HostileTransferTest, R11_AByteASecond) {
  configure("stall-seconds = 1");
  auto bytes = layerBytes();
  registry.converse(layerPath(), [=](const Request&, Client& client) {
    client.send(cut(bytes, 0));
    for (char c : bytes) {
      if (!client.send(std::string(1, c)) || !client.waitFor(1000)) return;
    }
  });
  auto elapsed = timed([&]() { EXPECT_EQ(code(), FailureCode::TIMEOUT); });
  EXPECT_LT(elapsed, 20 * kj::SECONDS);
}

TEST_F(HostileTransferTest, R11_OthersAreNotHeldUp) {
  configure("stall-seconds = 2");
  registry.serve(image, "slow", "1");
  registry.converse("/v2/slow/manifests/1", [](const Request&, Client& client) { client.hang(); });
  auto slow = store().pullRequest();
  slow.setReference(kj::str(registry.host(), "/slow:1"));
  auto waiting = slow.send().ignoreResult();
  EXPECT_FALSE(waiting.poll(io.waitScope));
  expectPull();
  EXPECT_FALSE(waiting.poll(io.waitScope));
  EXPECT_EQ(failureFrom([&]() { waiting.wait(io.waitScope); }).code, FailureCode::TIMEOUT);
}

TEST_F(HostileTransferTest, R11_TenYearsAreTenSeconds) {
  auto body = manifestText();
  auto tries = std::make_shared<std::atomic<int>>(0);
  registry.on(manifestPath(), [=](const Request&) {
    if ((*tries)++ > 0) return httpAnswer(200, body);
    return httpAnswer(429, "", "Retry-After: 315360000\r\n");
  });
  auto elapsed = timed([&]() { expectPull(); });
  EXPECT_GE(elapsed, 10 * kj::SECONDS);
  EXPECT_LT(elapsed, 20 * kj::SECONDS);
}

TEST_F(HostileTransferTest, R11_ARegistryThatStaysBusySaysSo) {
  registry.on(manifestPath(),
              [](const Request&) { return httpAnswer(429, "", "Retry-After: 0\r\n"); });
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_TRUE(says(failed, "mirror"));
  EXPECT_EQ(registry.requests().size(), 3u);
}

TEST_F(HostileTransferTest, R11_TenThousandRedirects) {
  registry.on("/away", [](const Request& request) {
    auto number = std::stoul("0" + request.path.substr(request.path.find('?') + 1));
    return httpAnswer(307, "", "Location: /away?" + std::to_string(number + 1) + "\r\n");
  });
  registry.on(layerPath(),
              [](const Request&) { return httpAnswer(307, "", "Location: /away?1\r\n"); });
  EXPECT_EQ(code(), FailureCode::INVALID);
  EXPECT_EQ(registry.requestsFor("/away").size(), 5u);
}

TEST_F(HostileTransferTest, R17_CutAtEveryByte) {
  // One image whose layers are each cut once, one byte later than the one before.
  TestImage many;
  for (int i = 0; i < 100; ++i) {
    many.layer(TarBuilder().file(kj::str("f", i), kj::str("content ", i)).finish());
  }
  registry.serve(many, "app", "1");
  auto blobs = many.blobs();
  size_t at = 0;
  for (const auto& blob : blobs) {
    auto digest = std::string(blob.key.cStr());
    auto bytes = textOf(blob.value);
    if (std::string(many.manifest().cStr()).find("gzip\",\"digest\":\"" + digest) ==
        std::string::npos) {
      continue;
    }
    size_t place = at++ % bytes.size();
    auto tries = std::make_shared<std::atomic<int>>(0);
    registry.on("/v2/app/blobs/" + digest, [=](const Request& request) {
      if ((*tries)++ == 0) return cut(bytes, place);
      if (place == 0) return httpAnswer(200, bytes);
      return rangeOf(request) == place ? partial(bytes, place) : httpAnswer(500, "");
    });
  }
  EXPECT_EQ(at, 100u);
  succeeds = true;
  EXPECT_EQ(readRoot(pull(name), "f99"), "content 99");
}

TEST_F(HostileTransferTest, R17_AResumeWithOtherBytesStartsOverOnce) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<std::atomic<int>>(0);
  registry.on(layerPath(), [=](const Request& request) {
    switch ((*tries)++) {
      case 0:
        return cut(bytes, 10);
      case 1:
        return partial(bytes.substr(0, 10) + std::string(bytes.size() - 10, 'x'), 10);
      default:
        return rangeOf(request) == 0 ? httpAnswer(200, bytes) : httpAnswer(500, "");
    }
  });
  expectPull();
  EXPECT_EQ(registry.requestsFor(layerPath()).size(), 3u);
}

TEST_F(HostileTransferTest, R17_OtherBytesForEverAreAnError) {
  auto bytes = layerBytes();
  auto tries = std::make_shared<std::atomic<int>>(0);
  registry.on(layerPath(), [=](const Request& request) {
    if (rangeOf(request) == 0) return cut(bytes, 10);
    ++*tries;
    return partial(std::string(bytes.size(), 'x'), rangeOf(request));
  });
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
  EXPECT_EQ(*tries, 2);
}

TEST_F(HostileTransferTest, TheRateIsOneForAllLayers) {
  configure("max-bytes-per-second = 262144");
  TestImage large;
  for (char c : {'a', 'b'}) {
    // What does not compress.
    std::string noise;
    uint32_t state = static_cast<uint32_t>(c);
    while (noise.size() < 300'000) {
      state = state * 1664525 + 1013904223;
      noise.push_back(static_cast<char>('!' + (state >> 24) % 90));
    }
    large.layer(TarBuilder().file(kj::str(c), kj::heapString(noise.c_str())).finish(),
                TestImage::Compression::none);
  }
  registry.serve(large, "app", "1");
  succeeds = true;
  // 600 kB at 256 KiB a second; what is in libcurl's buffers at first does not count.
  EXPECT_GE(timed([&]() { pull(name); }), 1 * kj::SECONDS);
}

TEST_F(HostileTransferTest, MirrorsAreAskedFirstAndInOrder) {
  ScriptedRegistry broken;
  ScriptedRegistry mirror;
  for (const auto& path : {manifestPath(), configPath(), layerPath()}) {
    broken.on(path, [](const Request&) { return httpAnswer(503, "", "Retry-After: 0\r\n"); });
  }
  mirror.serve(image, "hub/app", "1");
  auto section = [](ScriptedRegistry& of) {
    return kj::str("[registry.\"", of.host(), "\"]\ninsecure-http = true\n");
  };
  configure(kj::str("mirrors = [\"", broken.host(), "\", \"", mirror.host(), "/hub\"]"),
            kj::str(section(broken), section(mirror)));
  expectPull();
  EXPECT_GT(broken.requests().size(), 0u);
  EXPECT_EQ(mirror.requests().size(), 3u);
  EXPECT_EQ(registry.requests().size(), 0u);
}

TEST_F(HostileTransferTest, TheRegistryItselfIsTheLastMirror) {
  ScriptedRegistry empty;
  configure(kj::str("mirrors = [\"", empty.host(), "\", \"localhost:1\"]"),
            kj::str("[registry.\"", empty.host(), "\"]\ninsecure-http = true\n"));
  expectPull();
  EXPECT_EQ(empty.requests().size(), 3u);
  // Nobody has it, and the error tells of all.
  name = kj::str(registry.host(), "/missing:1");
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::NOT_FOUND);
  EXPECT_TRUE(says(failed, empty.host().cStr()));
  EXPECT_TRUE(says(failed, "localhost:1"));
}

TEST_F(HostileTransferTest, AMirrorThatLiesIsNotPassedOver) {
  ScriptedRegistry mirror;
  mirror.serve(image, "app", "1");
  auto bytes = layerBytes();
  mirror.on(layerPath(), [=](const Request&) { return httpAnswer(200, bytes.substr(1) + "x"); });
  configure(kj::str("mirrors = [\"", mirror.host(), "\"]"),
            kj::str("[registry.\"", mirror.host(), "\"]\ninsecure-http = true\n"));
  EXPECT_EQ(code(), FailureCode::DIGEST_MISMATCH);
}

TEST_F(HostileTransferTest, AMirrorIsGivenNoPasswordOfTheRegistry) {
  ScriptedRegistry mirror;
  mirror.on(manifestPath(), [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  configure(kj::str("mirrors = [\"", mirror.host(), "\"]"),
            kj::str("[registry.\"", mirror.host(), "\"]\ninsecure-http = true\n"));
  registry.on(manifestPath(), [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  EXPECT_EQ(pullFailureAs("user", "secret").code, FailureCode::UNAUTHENTICATED);
  EXPECT_EQ(mirror.requests().size(), 1u);
  EXPECT_FALSE(mirror.requests()[0].has("Authorization"));
  EXPECT_TRUE(registry.requests().back().has("Authorization: Basic"));
}

TEST_F(HostileTransferTest, OneWorkerServesAPull) {
  expectPull();
  EXPECT_EQ(fetchWorkers(), 1u);
}

}  // namespace
}  // namespace bulkhead::testing

// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/fetch-worker.h"

#include <sys/mman.h>
#include <unistd.h>

#include <kj/async-io.h>
#include <kj/debug.h>

#include "imaged/testing/certificate.h"
#include "imaged/testing/failures.h"
#include "imaged/testing/scripted-registry.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using testing::httpAnswer;
using testing::ScriptedRegistry;
using Request = ScriptedRegistry::Request;

class FetchWorkerTest : public ::testing::Test {
 public:
  ~FetchWorkerTest() noexcept override {}
  static void SetUpTestSuite() { HttpClient::prepare(); }

 protected:
  kj::AsyncIoContext io = kj::setupAsyncIo();
  ScriptedRegistry registry;
  testing::TestCertificate certificate = testing::TestCertificate::make("localhost");
  schema::FetchWorker::Client worker =
      kj::heap<FetchWorkerImpl>(io.unixEventPort, io.provider->getTimer(), nullptr);

  static std::string digestOf(const std::string& bytes) {
    return Digest::of(kj::arrayPtr(bytes.data(), bytes.size()).asBytes()).toString().cStr();
  }
  static std::string path(const std::string& bytes) { return "/v2/app/blobs/" + digestOf(bytes); }

  auto blobRequest(const std::string& bytes, const ScriptedRegistry& of,
                   schema::Registry::Scheme scheme) {
    auto request = worker.fetchBlobRequest();
    auto wanted = request.initRequest();
    auto from = wanted.initRegistry();
    from.setHost(of.host());
    from.setScheme(scheme);
    from.setCaBundle(certificate.certificate.asBytes());
    wanted.setRepository("app");
    wanted.setDigest(digestOf(bytes).c_str());
    wanted.setSize(bytes.size());
    return request;
  }
  auto blobRequest(const std::string& bytes) {
    return blobRequest(bytes, registry, schema::Registry::Scheme::HTTP);
  }
  FailureCode askFailure(const std::string& bytes) {
    return failureFrom([&]() { blobRequest(bytes).send().wait(io.waitScope); }).code;
  }
  static kj::AutoCloseFd memory() {
    int raw;
    KJ_SYSCALL(raw = memfd_create("blob", MFD_CLOEXEC));
    return kj::AutoCloseFd(raw);
  }
};

TEST_F(FetchWorkerTest, WithoutAFileItOnlyAsks) {
  registry.on(path("x"), [](const Request&) { return httpAnswer(200, ""); });
  blobRequest("x").send().wait(io.waitScope);
  // Whoever is sent on to where it lies has been let in.
  registry.on(path("x"), [](const Request&) {
    return httpAnswer(307, "", "Location: https://storage.example/x\r\n");
  });
  blobRequest("x").send().wait(io.waitScope);
  for (const auto& request : registry.requests()) EXPECT_EQ(request.method, "HEAD");

  registry.on(path("x"), [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  EXPECT_EQ(askFailure("x"), FailureCode::UNAUTHENTICATED);
  registry.on(path("x"), [](const Request&) { return httpAnswer(403, ""); });
  EXPECT_EQ(askFailure("x"), FailureCode::UNAUTHENTICATED);
  EXPECT_EQ(askFailure("y"), FailureCode::NOT_FOUND);
  registry.on(path("x"), [](const Request&) { return httpAnswer(500, "", "Retry-After: 0\r\n"); });
  EXPECT_EQ(askFailure("x"), FailureCode::UNREACHABLE);
}

TEST_F(FetchWorkerTest, BlobsSideBySideShareOneToken) {
  auto realm = std::string("http://") + registry.host().cStr() + "/token";
  auto challenge = "WWW-Authenticate: Bearer realm=\"" + realm + "\"\r\n";
  registry.on("/token", [](const Request&) { return httpAnswer(200, "{\"token\":\"t\"}"); });
  kj::Vector<kj::AutoCloseFd> files;
  kj::Vector<kj::Promise<void>> fetches;
  for (int i = 0; i < 4; ++i) {
    auto bytes = "blob " + std::to_string(i);
    registry.on(path(bytes), [=](const Request& request) {
      return request.has("Authorization: Bearer t\r\n") ? httpAnswer(200, bytes)
                                                        : httpAnswer(401, "", challenge);
    });
    auto request = blobRequest(bytes);
    files.add(memory());
    request.setInto(makeFile(duplicate(files.back())));
    fetches.add(request.send().ignoreResult());
  }
  kj::joinPromises(fetches.releaseAsArray()).wait(io.waitScope);
  EXPECT_EQ(registry.requestsFor("/token").size(), 1u);
  for (int i = 0; i < 4; ++i) {
    char text[16] = {};
    KJ_SYSCALL(pread(files[static_cast<size_t>(i)], text, sizeof text, 0));
    EXPECT_EQ(std::string(text), "blob " + std::to_string(i));
  }
}

TEST_F(FetchWorkerTest, ASlowBlobDoesNotHoldUpAnother) {
  testing::ServerTls tls{certificate.certificate, certificate.key, "",
                         testing::ServerTls::Version::any};
  ScriptedRegistry encrypted(tls);
  for (auto* server : {&registry, &encrypted}) {
    auto scheme =
        server == &registry ? schema::Registry::Scheme::HTTP : schema::Registry::Scheme::HTTPS;
    server->converse(path("slow"),
                     [](const Request&, ScriptedRegistry::Client& client) { client.hang(); });
    server->on(path("fast"), [](const Request&) { return httpAnswer(200, "fast"); });
    auto slow = blobRequest("slow", *server, scheme);
    slow.setInto(makeFile(memory()));
    auto waiting = slow.send().ignoreResult();
    auto fast = blobRequest("fast", *server, scheme);
    fast.setInto(makeFile(memory()));
    auto response = fast.send().wait(io.waitScope);
    EXPECT_EQ(Digest::fromBytes(response.getVerified()).toString(), digestOf("fast").c_str());
    EXPECT_FALSE(waiting.poll(io.waitScope));
  }
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
// Debian's docker-registry with TLS, with HTTP Basic, and with a token server.
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include <kj/debug.h>
#include <kj/encoding.h>

#include "imaged/testing/debian-registry.h"
#include "imaged/testing/registry-fixture.h"

namespace bulkhead::testing {
namespace {

// "p" as bcrypt has it.
constexpr kj::StringPtr kPasswordFile =
    "u:$2b$05$abcdefghijklmnopqrstuuqwWMzKt5N8p.u2GX5MuH1t19BMWuLOW\n"_kj;

kj::String base64Url(kj::ArrayPtr<const kj::byte> bytes) { return kj::encodeBase64Url(bytes); }

kj::Array<kj::byte> derOf(kj::StringPtr pem) {
  BIO* memory = BIO_new_mem_buf(pem.begin(), static_cast<int>(pem.size()));
  KJ_DEFER(BIO_free(memory));
  X509* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  KJ_DEFER(X509_free(certificate));
  unsigned char* der = nullptr;
  int size = i2d_X509(certificate, &der);
  KJ_REQUIRE(size > 0);
  KJ_DEFER(OPENSSL_free(der));
  return kj::heapArray<kj::byte>(der, static_cast<size_t>(size));
}

// RFC 7518, 3.4: the two numbers of an ECDSA signature, one behind the other.
kj::Array<kj::byte> rawSignature(kj::ArrayPtr<const kj::byte> der) {
  const unsigned char* at = der.begin();
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  KJ_REQUIRE(signature != nullptr);
  KJ_DEFER(ECDSA_SIG_free(signature));
  auto raw = kj::heapArray<kj::byte>(64);
  KJ_REQUIRE(BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw.begin(), 32) == 32);
  KJ_REQUIRE(BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw.begin() + 32, 32) == 32);
  return raw;
}

class DebianRegistryTest : public ImagedTest {
 public:
  ~DebianRegistryTest() noexcept override {}

 protected:
  static constexpr int kLayers = 6;
  TestCertificate certificate = TestCertificate::make("localhost");

  // "team/app:1" lies in the registry's directory.
  void push() {
    TestImage image;
    for (int i = 0; i < kLayers; ++i) {
      image.layer(TarBuilder().file(kj::str("f", i), kj::str("content ", i)).finish());
    }
    auto layout = directory.makeDirectory("layout");
    image.writeLayout(layout, "1");
    DebianRegistry(directory).push(layout, "1", "team/app:1");
  }
  kj::String tls() {
    writeFile(directory.path("cert.pem"), certificate.certificate.asBytes());
    writeFile(directory.path("key.pem"), certificate.key.asBytes());
    return kj::str("  tls:\n    certificate: ", directory.path("cert.pem"),
                   "\n    key: ", directory.path("key.pem"), "\n");
  }
  void configure(const DebianRegistry& registry, kj::StringPtr more = "") {
    if (isRunning()) stopImaged(SIGTERM);
    startImaged(kj::str("[registry.\"", registry.host(), "\"]\nca-file = \"",
                        directory.path("cert.pem"), "\"\n", more, "\n"));
  }
  kj::String login(kj::StringPtr password) {
    auto path = directory.path("credentials.toml");
    writeFile(path, kj::str("user = \"u\"\npassword = \"", password, "\"\n").asBytes());
    KJ_SYSCALL(chmod(path.cStr(), 0600));
    return kj::str("credentials-file = \"", path, "\"");
  }
  void expectPull(const DebianRegistry& registry) {
    auto image = pull(kj::str(registry.host(), "/team/app:1"), schema::PullPolicy::ALWAYS);
    EXPECT_EQ(readRoot(image, kj::str("f", kLayers - 1)), kj::str("content ", kLayers - 1));
  }

  // A token as the registry wants it (RFC 7519), signed by the key of `certificate`.
  std::string tokenFor(kj::StringPtr repository) const {
    auto header = kj::str("{\"typ\":\"JWT\",\"alg\":\"ES256\",\"x5c\":[\"",
                          kj::encodeBase64(derOf(certificate.certificate)), "\"]}");
    auto now = time(nullptr);
    auto claims =
        kj::str("{\"iss\":\"test\",\"sub\":\"u\",\"aud\":\"registry\",\"exp\":", now + 300,
                ",\"nbf\":", now - 60, ",\"iat\":", now, ",\"jti\":\"1\",\"access\":[",
                "{\"type\":\"repository\",\"name\":\"", repository, "\",\"actions\":[\"pull\"]}]}");
    auto text = kj::str(base64Url(header.asBytes()), ".", base64Url(claims.asBytes()));
    SigningKey key{kj::str(certificate.key), kj::String()};
    return kj::str(text, ".", base64Url(rawSignature(key.sign(text.asBytes())))).cStr();
  }
};

TEST_F(DebianRegistryTest, WithTlsAndBasic) {
  push();
  writeFile(directory.path("htpasswd"), kPasswordFile.asBytes());
  DebianRegistry registry(directory,
                          kj::str(tls(), "auth:\n  htpasswd:\n    realm: test\n    path: ",
                                  directory.path("htpasswd"), "\n"));
  configure(registry);
  auto name = kj::str(registry.host(), "/team/app:1");
  EXPECT_EQ(pullFailure(name).code, FailureCode::UNAUTHENTICATED);
  configure(registry, login("wrong"));
  EXPECT_EQ(pullFailure(name).code, FailureCode::UNAUTHENTICATED);
  configure(registry, login("p"));
  expectPull(registry);
}

TEST_F(DebianRegistryTest, WithTlsAndATokenServer) {
  push();
  ServerTls serverTls{certificate.certificate, certificate.key, "", ServerTls::Version::any};
  ScriptedRegistry tokens(serverTls);
  tokens.on("/token", [this](const ScriptedRegistry::Request& request) {
    bool right = request.has("Authorization: Basic dTpw\r\n") &&
                 request.path.find("service=registry") != std::string::npos &&
                 request.path.find("scope=repository%3Ateam%2Fapp%3Apull") != std::string::npos;
    if (!right) return httpAnswer(401, "");
    return httpAnswer(200, "{\"token\":\"" + tokenFor("team/app") + "\",\"expires_in\":300}");
  });
  DebianRegistry registry(
      directory, kj::str(tls(), "auth:\n  token:\n    realm: https://", tokens.host(),
                         "/token\n    service: registry\n    issuer: test\n    rootcertbundle: ",
                         directory.path("cert.pem"), "\n"));
  configure(registry, login("wrong"));
  EXPECT_EQ(pullFailure(kj::str(registry.host(), "/team/app:1")).code,
            FailureCode::UNAUTHENTICATED);
  configure(registry, login("p"));
  expectPull(registry);
  // One wrong question, and one token for all of the pull.
  EXPECT_EQ(tokens.requests().size(), 2u);
}

TEST_F(DebianRegistryTest, AWholePullIsOneConnection) {
  // The registry speaks HTTP/2. A proxy sees how many connections that makes.
  push();
  DebianRegistry registry(directory, tls());
  ScriptedRegistry proxy;
  proxy.tunnelTo(registry.portNumber());
  configure(registry, kj::str("proxy = \"http://", proxy.host(), "\""));
  expectPull(registry);
  EXPECT_EQ(proxy.requests().size(), 1u);
}

}  // namespace
}  // namespace bulkhead::testing

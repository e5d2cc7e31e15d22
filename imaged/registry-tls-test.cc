// SPDX-License-Identifier: Apache-2.0
// TLS, client certificates, proxies, and what crosses from one server to another.
#include <signal.h>

#include "imaged/testing/registry-fixture.h"

namespace bulkhead::testing {
namespace {

class RegistryTlsTest : public RegistryTest {
 public:
  ~RegistryTlsTest() noexcept override {}

 protected:
  TestCertificate certificate = TestCertificate::make("localhost");

  // `server` has "app:1", and imaged knows `known` as its authority.
  void use(ScriptedRegistry& server, kj::StringPtr known, kj::StringPtr more = "") {
    server.serve(image, "app", "1");
    name = kj::str(server.host(), "/app:1");
    reach(server, known, more);
  }
  void reach(ScriptedRegistry& server, kj::StringPtr known, kj::StringPtr more = "") {
    stopImaged(SIGTERM);
    startImaged(kj::str("[registry.\"", server.host(), "\"]\nca-file = \"",
                        secretFile("ca.pem", known), "\"\n", more, "\n"));
  }
  ServerTls tls(ServerTls::Version version = ServerTls::Version::any) {
    return {certificate.certificate, certificate.key, "", version};
  }
  void expectNoTrust() {
    auto failed = pullFailure(name);
    EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
    EXPECT_TRUE(says(failed, "no trustworthy TLS connection")) << failed.describe().cStr();
  }
};

TEST_F(RegistryTlsTest, WithItsOwnAuthority) {
  ScriptedRegistry server(tls());
  use(server, certificate.certificate);
  expectPull();
}

TEST_F(RegistryTlsTest, R20_ACertificateThatNobodyVouchesFor) {
  ScriptedRegistry server(tls());
  use(server, TestCertificate::make("localhost").certificate);
  expectNoTrust();
}

TEST_F(RegistryTlsTest, R20_ACertificateThatIsOver) {
  certificate = TestCertificate::expired("localhost");
  ScriptedRegistry server(tls());
  use(server, certificate.certificate);
  expectNoTrust();
}

TEST_F(RegistryTlsTest, R20_ACertificateForAnotherName) {
  certificate = TestCertificate::make("registry.example");
  ScriptedRegistry server(tls());
  use(server, certificate.certificate);
  expectNoTrust();
}

TEST_F(RegistryTlsTest, R20_TlsOfTheLastCentury) {
  ScriptedRegistry server(tls(ServerTls::Version::oldest));
  use(server, certificate.certificate);
  expectNoTrust();
}

TEST_F(RegistryTlsTest, R20_ARegistryWithoutTls) {
  // Plain HTTP where nothing is said of it.
  reach(registry, certificate.certificate);
  expectNoTrust();
  EXPECT_EQ(registry.requests().size(), 0u);
}

TEST_F(RegistryTlsTest, R20_ARedirectAwayFromTls) {
  ScriptedRegistry server(tls());
  use(server, certificate.certificate);
  auto header = std::string("Location: http://") + registry.host().cStr() + "/x\r\n";
  server.on(layerPath(), [=](const Request&) { return httpAnswer(307, "", header); });
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::DENIED);
  EXPECT_EQ(registry.requests().size(), 0u);
}

TEST_F(RegistryTlsTest, R11_AServerThatSaysNothing) {
  ScriptedRegistry server(tls());
  use(server, certificate.certificate, "stall-seconds = 1");
  server.sayNothing();
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
}

TEST_F(RegistryTlsTest, R11_SilenceAfterTls) {
  ScriptedRegistry server(tls());
  use(server, certificate.certificate, "stall-seconds = 1");
  server.converse(manifestPath(), [](const Request&, Client& client) { client.hang(); });
  EXPECT_EQ(code(), FailureCode::TIMEOUT);
}

TEST_F(RegistryTlsTest, R5_TokensAndCookiesStayWhereTheyAreFrom) {
  ScriptedRegistry server(tls());
  ScriptedRegistry storage(tls());
  use(server, certificate.certificate);
  auto realm = std::string("https://") + server.host().cStr() + "/token";
  auto there = std::string("https://") + storage.host().cStr() + "/blob";
  auto bytes = layerBytes();
  server.on("/token", [](const Request&) { return httpAnswer(200, "{\"token\":\"abc\"}"); });
  server.on(layerPath(), [=](const Request& request) {
    if (!request.has("Authorization: Bearer abc")) return httpAnswer(401, "", bearer(realm));
    return httpAnswer(307, "", "Set-Cookie: session=secret\r\nLocation: " + there + "?sig=1\r\n");
  });
  storage.on("/blob", [=](const Request&) { return httpAnswer(200, bytes); });
  expectPull();
  ASSERT_EQ(storage.requests().size(), 1u);
  auto request = storage.requests()[0];
  EXPECT_EQ(request.path, "/blob?sig=1");
  EXPECT_FALSE(request.has("Authorization"));
  EXPECT_FALSE(request.has("Cookie"));
}

TEST_F(RegistryTlsTest, BasicAndATokenServerOverTls) {
  ScriptedRegistry server(tls());
  ScriptedRegistry tokens(tls());
  server.serve(image, "app", "1");
  name = kj::str(server.host(), "/app:1");
  auto body = manifestText();
  auto realm = std::string("https://") + tokens.host().cStr() + "/token";
  server.on(manifestPath(), [=](const Request& request) {
    return request.has("Authorization: Bearer right\r\n") ? httpAnswer(200, body)
                                                          : httpAnswer(401, "", bearer(realm));
  });
  tokens.on("/token", [](const Request& request) {
    return request.has("Authorization: Basic dTpw\r\n") ? httpAnswer(200, "{\"token\":\"right\"}")
                                                        : httpAnswer(401, "");
  });
  auto login = secretFile("credentials.toml", "user = \"u\"\npassword = \"p\"\n");
  reach(server, certificate.certificate, kj::str("credentials-file = \"", login, "\""));
  expectPull();
  server.on(manifestPath(), [=](const Request& request) {
    return request.has("Authorization: Basic dTpw\r\n")
               ? httpAnswer(200, body)
               : httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  expectPull(schema::PullPolicy::ALWAYS);
}

TEST_F(RegistryTlsTest, AClientCertificateOpensTheRegistry) {
  auto client = TestCertificate::make("client");
  auto wanted = tls();
  wanted.clientCertificate = client.certificate;
  ScriptedRegistry server(wanted);
  use(server, certificate.certificate);
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
  use(server, certificate.certificate,
      kj::str("client-certificate = \"", secretFile("client.pem", client.certificate),
              "\"\nclient-key = \"", secretFile("client.key", client.key), "\"\n"));
  expectPull();
}

TEST_F(RegistryTlsTest, AClientCertificateIsForTheRegistryOnly) {
  auto client = TestCertificate::make("client");
  ScriptedRegistry server(tls());
  auto wanted = tls();
  wanted.clientCertificate = client.certificate;
  ScriptedRegistry storage(wanted);
  use(server, certificate.certificate,
      kj::str("client-certificate = \"", secretFile("client.pem", client.certificate),
              "\"\nclient-key = \"", secretFile("client.key", client.key), "\"\n"));
  auto header = std::string("Location: https://") + storage.host().cStr() + "/blob\r\n";
  server.on(layerPath(), [=](const Request&) { return httpAnswer(307, "", header); });
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
  EXPECT_EQ(storage.requests().size(), 0u);
}

TEST_F(RegistryTlsTest, ThroughAProxy) {
  ScriptedRegistry server(tls());
  ScriptedRegistry proxy;
  proxy.tunnelTo(server.portNumber());
  auto login = secretFile("proxy.toml", "user = \"u\"\npassword = \"p\"\n");
  use(server, certificate.certificate,
      kj::str("proxy = \"http://", proxy.host(), "\"\nproxy-credentials-file = \"", login, "\""));
  expectPull();
  auto seen = proxy.requests();
  ASSERT_GT(seen.size(), 0u);
  EXPECT_EQ(seen[0].method, "CONNECT");
  EXPECT_TRUE(seen[0].has("Proxy-Authorization: Basic dTpw"));
  for (const auto& request : server.requests()) EXPECT_FALSE(request.has("Proxy-Authorization"));
}

TEST_F(RegistryTlsTest, AProxyThatIsNotThere) {
  ScriptedRegistry server(tls());
  use(server, certificate.certificate, "proxy = \"http://localhost:1\"");
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
  EXPECT_EQ(server.requests().size(), 0u);
}

TEST_F(RegistryTlsTest, R8_AProxyDoesNotReachWhatWeMayNot) {
  ScriptedRegistry server(tls());
  ScriptedRegistry proxy;
  proxy.tunnelTo(server.portNumber());
  use(server, certificate.certificate, kj::str("proxy = \"http://", proxy.host(), "\""));
  for (auto target :
       {"https://169.254.169.254/x", "https://[fd00:ec2::254]/x", "https://127.0.0.1/x"}) {
    auto header = std::string("Location: ") + target + "\r\n";
    server.on(manifestPath(), [=](const Request&) { return httpAnswer(302, "", header); });
    EXPECT_EQ(code(), FailureCode::DENIED) << target;
  }
}

}  // namespace
}  // namespace bulkhead::testing

// SPDX-License-Identifier: Apache-2.0
// Who we say we are, and to whom.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include <kj/debug.h>

#include "imaged/testing/registry-fixture.h"
#include "services/runtime/testing/listening-socket.h"

namespace bulkhead::testing {
namespace {

class RegistryLoginTest : public RegistryTest {
 public:
  ~RegistryLoginTest() noexcept override {}

 protected:
  // Everything of "app" only for whoever shows this Authorization.
  void guard(std::string wanted, std::string challenge) {
    for (const auto& path : {manifestPath(), configPath(), layerPath()}) {
      auto body = path == manifestPath() ? manifestText()
                  : path == configPath() ? std::string(image.config().cStr())
                                         : layerBytes();
      registry.on(path, [=](const Request& request) {
        if (request.has(("Authorization: " + wanted + "\r\n").c_str())) {
          return httpAnswer(200, body);
        }
        return httpAnswer(401, "", challenge);
      });
    }
  }
  std::string tokenService() const {
    return std::string("http://") + registry.host().cStr() + "/token";
  }
  void guardByToken() {
    guard("Bearer right", bearer(tokenService(), ",service=\"registry\",scope=\"everything\""));
  }
  void credentials(kj::StringPtr content) {
    configure(kj::str("credentials-file = \"", secretFile("credentials.toml", content), "\""));
  }
};

TEST_F(RegistryLoginTest, TokensAreFetchedAndStayAtHome) {
  auto body = std::string(image.manifest().cStr());
  auto realm = std::string("http://") + registry.host().cStr() + "/token";
  registry.on("/v2/app/manifests/1", [=](const Request& request) {
    if (request.has("Authorization: Bearer abc")) return httpAnswer(200, body);
    return httpAnswer(401, "",
                      "WWW-Authenticate: Bearer realm=\"" + realm + "\",service=\"s&x\"\r\n");
  });
  registry.on("/token", [](const Request&) { return httpAnswer(200, "{\"token\":\"abc\"}"); });
  expectPull();
  for (const auto& request : registry.requests()) {
    if (request.path.rfind("/token", 0) != 0) continue;
    EXPECT_NE(request.path.find("scope=repository%3Aapp%3Apull"), std::string::npos);
    EXPECT_NE(request.path.find("service=s%26x"), std::string::npos);
  }
}

TEST_F(RegistryLoginTest, R6_TokensFromStrangePlacesAreRefused) {
  for (auto realm :
       {"http://169.254.169.254/token", "http://example.org/token",
        "https://user:x@example.org/token", "https://127.0.0.1/token",
        "https://[fd00:ec2::254]/token", "file:///etc/passwd", "https://169.254.1.1/token",
        "https://[fe80::1]/token", "https://100.100.100.200/token", "https://[::1]/token",
        "https://[::ffff:169.254.169.254]/token"}) {
    auto header = std::string("WWW-Authenticate: Bearer realm=\"") + realm + "\"\r\n";
    registry.on("/v2/app/manifests/1", [=](const Request&) { return httpAnswer(401, "", header); });
    EXPECT_EQ(code(), FailureCode::DENIED) << realm;
  }
}

TEST_F(RegistryLoginTest, WithoutCredentialsItIsUnauthenticated) {
  registry.on("/v2/app/manifests/1", [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  EXPECT_EQ(code(), FailureCode::UNAUTHENTICATED);
}

TEST_F(RegistryLoginTest, R6_ThePasswordGoesToTheRegistryOnly) {
  auto body = std::string(image.manifest().cStr());
  registry.on("/v2/app/manifests/1", [=](const Request& request) {
    if (request.has("Authorization: Basic dTpw")) return httpAnswer(200, body);
    return httpAnswer(401, "", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  });
  auto request = store().pullRequest();
  request.setReference(name);
  auto password = request.initOptions().initCredentials().initPassword();
  password.setUser("u");
  password.setPassword("p");
  request.send().wait(io.waitScope);

  registry.on("/v2/app/manifests/1", [](const Request&) {
    return httpAnswer(401, "", "WWW-Authenticate: Bearer realm=\"https://example.org/token\"\r\n");
  });
  auto again = store().pullRequest();
  again.setReference(name);
  auto options = again.initOptions();
  options.setPolicy(schema::PullPolicy::ALWAYS);
  auto second = options.initCredentials().initPassword();
  second.setUser("u");
  second.setPassword("p");
  auto failed = failureFrom([&]() { again.send().wait(io.waitScope); });
  EXPECT_EQ(failed.code, FailureCode::DENIED);
  EXPECT_TRUE(says(failed, "example.org"));
  succeeds = true;
}

TEST_F(RegistryLoginTest, R20_PlainHttpOnlyWhereItIsConfigured) {
  // Another name of the same machine, about which nothing is said.
  name = kj::str("127.0.0.1:", registry.host().slice(10), "/app:1");
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
}

TEST_F(RegistryLoginTest, BasicFromTheCredentialsFile) {
  guard("Basic dTpw", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  credentials("user = \"u\"\npassword = \"p\"\n");
  expectPull();
}

TEST_F(RegistryLoginTest, UserAndPasswordForAToken) {
  guardByToken();
  registry.on("/token", [](const Request& request) {
    return request.has("Authorization: Basic dTpw\r\n") ? httpAnswer(200, "{\"token\":\"right\"}")
                                                        : httpAnswer(401, "");
  });
  credentials("user = \"u\"\npassword = \"p\"\n");
  expectPull();
  // One token serves the whole pull: resolving it and every layer.
  EXPECT_EQ(registry.requestsFor("/token").size(), 1u);
  EXPECT_EQ(pullFailureAs("u", "wrong").code, FailureCode::UNAUTHENTICATED);
}

TEST_F(RegistryLoginTest, AnIdentityTokenIsExchanged) {
  guardByToken();
  registry.on("/token", [](const Request& request) {
    bool right = request.method == "POST" && request.path == "/token" &&
                 request.has("Content-Type: application/x-www-form-urlencoded") &&
                 request.body ==
                     "grant_type=refresh_token&client_id=bulkhead-imaged&"
                     "scope=repository%3Aapp%3Apull&service=registry&refresh_token=a%2Bb%26c";
    return right ? httpAnswer(200, "{\"access_token\":\"right\",\"expires_in\":300}")
                 : httpAnswer(400, "{\"error\":\"invalid_grant\"}");
  });
  credentials("identity-token = \"a+b&c\"\n");
  expectPull();
  credentials("identity-token = \"other\"\n");
  auto failed = pullFailure(name, schema::PullPolicy::ALWAYS);
  EXPECT_EQ(failed.code, FailureCode::UNAUTHENTICATED);
  EXPECT_TRUE(says(failed, "token"));
}

TEST_F(RegistryLoginTest, ARegistryTokenIsShownAsItIs) {
  guardByToken();
  credentials("registry-token = \"right\"\n");
  expectPull();
  EXPECT_EQ(registry.requestsFor("/token").size(), 0u);
  // One that is not taken is not followed by a question for another.
  credentials("registry-token = \"wrong\"\n");
  EXPECT_EQ(code(schema::PullPolicy::ALWAYS), FailureCode::UNAUTHENTICATED);
  EXPECT_EQ(registry.requestsFor("/token").size(), 0u);
}

TEST_F(RegistryLoginTest, DockersConfigurationIsImported) {
  guard("Basic dTpw", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  auto file =
      secretFile("config.json", kj::str("{\"auths\":{\"https://", registry.host(),
                                        "/v2/\":{\"auth\":\"dTpw\"},\"other.example\":{}}}"));
  stopImaged(SIGTERM);
  startImaged(kj::str("docker-config = \"", file, "\"\n[registry.\"", registry.host(),
                      "\"]\ninsecure-http = true\n"));
  expectPull();
}

TEST_F(RegistryLoginTest, WhatACallerGivesComesBeforeTheFile) {
  guard("Basic dTpw", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  credentials("user = \"u\"\npassword = \"p\"\n");
  EXPECT_EQ(pullFailureAs("u", "other").code, FailureCode::UNAUTHENTICATED);
}

TEST_F(RegistryLoginTest, R6_ATokenServiceElsewhereMustBeConfigured) {
  guard("Bearer right", bearer("https://tokens.example/token"));
  credentials("identity-token = \"secret-identity\"\n");
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::DENIED);
  EXPECT_TRUE(says(failed, "tokens.example"));
  EXPECT_TRUE(says(failed, "token-hosts"));
}

TEST_F(RegistryLoginTest, R6_ATokenServiceIsNotFollowedElsewhere) {
  guardByToken();
  ScriptedRegistry elsewhere;
  auto header = std::string("Location: http://") + elsewhere.host().cStr() + "/token\r\n";
  registry.on("/token", [=](const Request&) { return httpAnswer(307, "", header); });
  credentials("user = \"u\"\npassword = \"p\"\n");
  EXPECT_EQ(code(), FailureCode::UNREACHABLE);
  EXPECT_EQ(elsewhere.requests().size(), 0u);
}

TEST_F(RegistryLoginTest, R9_ATokenHasAnEnd) {
  guardByToken();
  registry.on("/token", [](const Request&) {
    return httpAnswer(200, "{\"token\":\"" + std::string(1u << 20, 'x') + "\"}");
  });
  EXPECT_EQ(code(), FailureCode::EXHAUSTED);
  for (auto wrong : {"{}", "[]", "{\"token\":\"a b\"}", "{\"token\":\"\"}", "{\"token\":7}",
                     "{\"token\":\"x\",\"expires_in\":-1}", "no JSON"}) {
    auto body = std::string(wrong);
    registry.on("/token", [=](const Request&) { return httpAnswer(200, body); });
    EXPECT_EQ(code(), FailureCode::INVALID) << wrong;
  }
}

TEST_F(RegistryLoginTest, ABusyTokenServiceIsAskedAgain) {
  guardByToken();
  auto tries = std::make_shared<std::atomic<int>>(0);
  registry.on("/token", [=](const Request&) {
    return (*tries)++ == 0 ? httpAnswer(429, "", "Retry-After: 0\r\n")
                           : httpAnswer(200, "{\"token\":\"right\"}");
  });
  expectPull();
  EXPECT_EQ(*tries, 2);
}

TEST_F(RegistryLoginTest, ATokenServiceThatStaysBroken) {
  guardByToken();
  registry.on("/token", [](const Request&) { return httpAnswer(500, ""); });
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_TRUE(says(failed, "token service"));
}

TEST_F(RegistryLoginTest, ARegistryThatNeverTakesItsOwnToken) {
  guardByToken();
  registry.on("/token", [](const Request&) { return httpAnswer(200, "{\"token\":\"wrong\"}"); });
  EXPECT_EQ(code(), FailureCode::UNAUTHENTICATED);
  EXPECT_EQ(registry.requestsFor("/token").size(), 1u);
}

TEST_F(RegistryLoginTest, AChallengeThatIsNone) {
  for (auto challenge : {"WWW-Authenticate: Bearer\r\n", "WWW-Authenticate: Bearer realm=\r\n",
                         "WWW-Authenticate: Negotiate\r\n", ""}) {
    guard("Bearer right", challenge);
    auto failed = code();
    EXPECT_TRUE(failed == FailureCode::UNAUTHENTICATED || failed == FailureCode::INVALID)
        << challenge;
  }
}

TEST_F(RegistryLoginTest, ATokenThatEndsDuringAPullIsRenewed) {
  // The registry forgets the first token once the manifest is had.
  auto issued = std::make_shared<std::atomic<int>>(0);
  auto challenge = bearer(tokenService());
  registry.on("/token", [=](const Request&) {
    return httpAnswer(200, "{\"token\":\"t" + std::to_string(++*issued) + "\"}");
  });
  auto give = [=](std::string body, std::string token) {
    return [=](const Request& request) {
      return request.has(("Bearer " + token + "\r\n").c_str()) ? httpAnswer(200, body)
                                                               : httpAnswer(401, "", challenge);
    };
  };
  registry.on(manifestPath(), give(manifestText(), "t1"));
  registry.on(configPath(), give(image.config().cStr(), "t1"));
  registry.on(layerPath(), give(layerBytes(), "t2"));
  expectPull();
  EXPECT_EQ(*issued, 2);
}

TEST_F(RegistryLoginTest, AMistakeInTheConfigurationEndsWithASentence) {
  // A second imaged, which does not come up.
  auto path = directory.path("wrong.toml");
  writeFile(path, "\n[registry.\"r.example\"]\nstall-seconds = 0\n"_kj.asBytes());
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd read(ends[0]);
  kj::AutoCloseFd write(ends[1]);
  auto listener = listenAt(directory.path("second.sock"));
  Program program;
  program.command.add(kj::str(IMAGED));
  program.environment.add(kj::str("STATE_DIRECTORY=", directory.makeDirectory("second")));
  program.environment.add(kj::str("BULKHEAD_IMAGED_CONFIG=", path));
  program.descriptors.add(listener.get());
  program.descriptorNames = kj::str("imaged");
  program.standardError = write.get();
  RunningProcess process(start(program));
  write = nullptr;
  auto said = kj::FdInputStream(kj::mv(read)).readAllText();
  int status = process.stop(SIGTERM);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  auto sentence =
      kj::str(path, ": line 3: registry.\"r.example\".stall-seconds is not a number it ",
              "may be (a number from 1 to 3600)");
  EXPECT_NE(strstr(said.cStr(), sentence.cStr()), nullptr) << said.cStr();
  expectPull();
}

TEST_F(RegistryLoginTest, SecretsAreNeverShown) {
  // Everything that can go wrong with a password, and no word of it anywhere.
  auto check = [&](const Failure& failed) {
    for (auto secret : {"hunter2", "aHVudGVyMg", "dTpodW50ZXIy", "the-token"}) {
      EXPECT_FALSE(says(failed, secret)) << failed.describe().cStr();
      EXPECT_EQ(std::string(logged().cStr()).find(secret), std::string::npos);
    }
  };
  credentials("user = \"u\"\npassword = \"hunter2\"\n");
  guard("never", "WWW-Authenticate: Basic realm=\"x\"\r\n");
  check(pullFailure(name));
  guard("never", bearer(tokenService()));
  check(pullFailure(name));
  registry.on("/token",
              [](const Request&) { return httpAnswer(200, "{\"token\":\"the-token\"}"); });
  check(pullFailure(name));
  registry.on("/token", [](const Request&) { return httpAnswer(500, "hunter2"); });
  check(pullFailure(name));
  registry.on("/token", [](const Request&) { return httpAnswer(200, "{\"token\": the-token"); });
  check(pullFailure(name));
  guard("never", bearer("https://elsewhere.example/token"));
  check(pullFailure(name));
  credentials("identity-token = \"the-token\"\n");
  check(pullFailure(name));
  check(pullFailureAs("u", "hunter2"));
  check(pullFailureAs("u:x", "hunter2"));
  check(pullFailureAs("u", "hunter2\n"));
}

}  // namespace
}  // namespace bulkhead::testing

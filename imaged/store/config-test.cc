// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/config.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <regex>
#include <string>

#include <capnp/message.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/io.h>

#include "imaged/public-key.h"
#include "imaged/testing/certificate.h"
#include "imaged/testing/failures.h"
#include "imaged/testing/test-image.h"

namespace bulkhead {
namespace {

using testing::failureFrom;
using testing::says;

#define REGISTRY "[registry.\"r.example\"]\n"
#define SIGNATURE "[signature.\"r.example\"]\n"

class ConfigTest : public ::testing::Test {
 public:
  ~ConfigTest() noexcept override {}

 protected:
  testing::TemporaryDirectory directory;
  testing::TestCertificate certificate = testing::TestCertificate::make("r.example");
  capnp::MallocMessageBuilder message;

  kj::String file(kj::StringPtr name, kj::StringPtr content, mode_t mode = 0600) {
    auto path = directory.path(name);
    testing::writeFile(path, content.asBytes());
    KJ_SYSCALL(chmod(path.cStr(), mode));
    return path;
  }
  static kj::AutoCloseFd openFile(kj::StringPtr path) {
    int raw;
    KJ_SYSCALL(raw = open(path.cStr(), O_RDONLY | O_CLOEXEC), path);
    return kj::AutoCloseFd(raw);
  }
  static ImagedConfig parse(kj::StringPtr text) { return ImagedConfig::parse(text, "imaged.toml"); }

  // That it fails, and says all of this.
  static void expectError(kj::StringPtr text, std::initializer_list<const char*> words) {
    auto failed = failureFrom([&]() { parse(text); });
    EXPECT_EQ(failed.code, FailureCode::INVALID) << text.cStr();
    EXPECT_TRUE(says(failed, "imaged.toml")) << failed.describe().cStr();
    for (auto word : words) EXPECT_TRUE(says(failed, word)) << failed.describe().cStr() << word;
  }
  schema::Registry::Reader describe(const ImagedConfig& config, kj::StringPtr reference) {
    auto out = message.initRoot<schema::Registry>();
    config.describeRegistry(Reference::parse(reference, config.defaultRegistry), out);
    return out.asReader();
  }
  kj::String credentials(kj::StringPtr content, mode_t mode = 0600) {
    return kj::str(REGISTRY "credentials-file = \"", file("credentials.toml", content, mode),
                   "\"\n");
  }
};

TEST_F(ConfigTest, NothingMeansTheDefaults) {
  auto config = parse("");
  EXPECT_EQ(config.defaultRegistry, "docker.io");
  auto out = describe(config, "debian:13");
  EXPECT_EQ(out.getHost(), "docker.io");
  EXPECT_EQ(out.getScheme(), schema::Registry::Scheme::HTTPS);
  EXPECT_TRUE(out.getCredentials().isNone());
  EXPECT_EQ(out.getMirrors().size(), 0u);
  EXPECT_EQ(ImagedConfig::load(directory.path("missing.toml")).defaultRegistry, "docker.io");
}

TEST_F(ConfigTest, EverythingOfARegistryReachesTheWorker) {
  auto ca = file("ca.pem", certificate.certificate);
  auto key = file("client.key", certificate.key);
  auto config = parse(kj::str(
      "proxy = \"http://proxy.example:3128\"\n" REGISTRY
      "mirrors = [\"m.example:5000\", "
      "\"h.example/hub\"]\ninsecure-http = true\nca-file = \"",
      ca, "\"\nclient-certificate = \"", ca, "\"\nclient-key = \"", key,
      "\"\ncredentials-file = \"", file("c.toml", "identity-token = \"abc\"\n"),
      "\"\ntoken-hosts = [\"auth.example\"]\nmax-bytes-per-second = 1000000\nstall-seconds = 7\n"
      "[registry.\"h.example\"]\nproxy = \"none\"\n"));
  auto out = describe(config, "r.example/team/app:1");
  EXPECT_EQ(out.getScheme(), schema::Registry::Scheme::HTTP);
  EXPECT_EQ(out.getCaBundle(), certificate.certificate.asBytes());
  EXPECT_EQ(out.getClientCertificate(), certificate.certificate.asBytes());
  EXPECT_EQ(out.getClientKey(), certificate.key.asBytes());
  EXPECT_EQ(out.getCredentials().getIdentityToken(), "abc");
  EXPECT_EQ(out.getTokenHosts()[0], "auth.example");
  EXPECT_EQ(out.getProxy(), "http://proxy.example:3128");
  EXPECT_EQ(out.getBytesPerSecond(), 1'000'000u);
  EXPECT_EQ(out.getStallSeconds(), 7u);
  ASSERT_EQ(out.getMirrors().size(), 2u);
  EXPECT_EQ(out.getMirrors()[0].getHost(), "m.example:5000");
  EXPECT_EQ(out.getMirrors()[0].getScheme(), schema::Registry::Scheme::HTTPS);
  EXPECT_EQ(out.getMirrors()[0].getProxy(), "http://proxy.example:3128");
  EXPECT_TRUE(out.getMirrors()[0].getCredentials().isNone());
  EXPECT_EQ(out.getMirrors()[1].getHost(), "h.example");
  EXPECT_EQ(out.getMirrors()[1].getRepositoryPrefix(), "hub");
  EXPECT_EQ(out.getMirrors()[1].getProxy(), "");
}

TEST_F(ConfigTest, TheInstalledFileIsRightInEveryLine) {
  auto config = ImagedConfig::load(INSTALLED_CONFIG);
  EXPECT_EQ(config.defaultRegistry, "docker.io");
  EXPECT_EQ(config.layoutDirectories.size(), 1u);
  EXPECT_EQ(config.registries.size(), 0u);

  // And so is what it shows as an example, once the files are there.
  auto text = std::string(kj::FdInputStream(openFile(INSTALLED_CONFIG)).readAllText().cStr());
  text = std::regex_replace(text, std::regex("\n#([a-z\\[])"), "\n$1");
  text = std::regex_replace(text, std::regex("/etc/bulkhead/(credentials/|keys/)?"),
                            kj::str(directory.path(), "/").cStr());
  file("docker-config.json", "{\"auths\":{}}");
  file("proxy.toml", "user = \"u\"\npassword = \"p\"\n");
  file("registry.example.toml", "registry-token = \"t\"\n");
  file("registry.example.pem", certificate.certificate);
  file("client.pem", certificate.certificate);
  file("client.key", certificate.key);
  file("team.pub", testing::SigningKey::make(testing::SigningKey::Kind::ed25519).open);
  auto shown = parse(text.c_str());
  EXPECT_EQ(shown.registries.size(), 1u);
  EXPECT_EQ(shown.signaturesByScope.size(), 1u);
  EXPECT_EQ(shown.proxy.address, "http://proxy.example:3128");
}

TEST_F(ConfigTest, MistakesNameLineKeyAndWhatIsAllowed) {
  expectError("\n\ncolour = 1\n", {"line 3: colour", "not a key", "default-registry"});
  expectError("default-registry = 7\n", {"line 1: default-registry", "not a string"});
  expectError("default-registry = \"A B\"\n", {"line 1: default-registry", "HOST:PORT"});
  expectError("default-registry = \n", {"line 1"});
  expectError("max-image-bytes = 0\n", {"line 1: max-image-bytes", "from 1 to"});
  expectError("layout-directories = \"/x\"\n", {"layout-directories is not a list"});
  expectError("layout-directories = [\"x\"]\n", {"layout-directories", "absolute"});
  expectError("[store]\nquota = -1\n", {"line 2: store.quota", "from 0 to"});
  expectError("[store]\ncompression = \"xz\"\n", {"line 2: store.compression", "lz4 or zstd"});
  expectError("[store]\nsize = 1\n", {"line 2: store.size", "quota"});
  expectError("proxy = \"socks5://p.example:1\"\n", {"line 1: proxy", "http://HOST:PORT"});
  expectError("proxy = \"http://u:p@p.example:1\"\n", {"line 1: proxy", "proxy-credentials-file"});
  expectError("proxy-credentials-file = \"/x\"\n", {"without a proxy"});
  expectError("registry = 1\n", {"line 1: registry is not a table"});
  expectError("registry.x = 1\n", {"registry.x is not a table"});
  expectError("[registry.\"A/b\"]\n", {"registry", "'A/b'", "HOST:PORT"});
  expectError("\n" REGISTRY "colour = 1\n",
              {"line 3: registry.\"r.example\".colour", "not a key", "insecure-http", "mirrors"});
  expectError(REGISTRY "insecure-http = \"yes\"\n", {"insecure-http", "true, false"});
  expectError(REGISTRY "stall-seconds = 0\n", {"stall-seconds", "from 1 to 3600"});
  expectError(REGISTRY "max-bytes-per-second = 1\n", {"max-bytes-per-second", "from 65536 to"});
  expectError(REGISTRY "mirrors = [\"https://m.example\"]\n", {"mirrors", "HOST[:PORT]/PREFIX"});
  expectError(REGISTRY "token-hosts = [\"a/b\"]\n", {"token-hosts", "HOST:PORT"});
  expectError(REGISTRY "ca-file = \"/nowhere.pem\"\n", {"line 2", "ca-file", "/nowhere.pem"});
  expectError(kj::str(REGISTRY "ca-file = \"", file("x", "x"), "\"\n"),
              {"ca-file", "BEGIN CERTIFICATE"});
  expectError(REGISTRY "client-key = \"/x\"\n", {"client-certificate", "go together"});
}

TEST_F(ConfigTest, AClientKeyBelongsToItsCertificateAndToNobodyElse) {
  auto pem = file("client.pem", certificate.certificate);
  auto section = [&](kj::StringPtr key) {
    return kj::str(REGISTRY "client-certificate = \"", pem, "\"\nclient-key = \"", key, "\"\n");
  };
  expectError(section(file("o.key", testing::TestCertificate::make("o.example").key)),
              {"client-key", "not the client certificate's"});
  expectError(section(pem), {"client-key", "BEGIN PRIVATE KEY"});
  expectError(section(file("r.key", certificate.key, 0644)), {"client-key", "others than imaged"});
}

TEST_F(ConfigTest, CredentialFilesAreForImagedAlone) {
  for (mode_t mode : {0644u, 0604u, 0620u, 0602u, 0700u, 0666u}) {
    expectError(credentials("registry-token = \"abc\"\n", mode),
                {"credentials-file", "others than imaged", "chmod 400"});
  }
  for (mode_t mode : {0400u, 0600u, 0440u}) {
    auto config = parse(credentials("registry-token = \"abc\"\n", mode));
    EXPECT_EQ(describe(config, "r.example/x").getCredentials().getRegistryToken(), "abc");
  }
  expectError(REGISTRY "credentials-file = \"/nowhere\"\n", {"credentials-file", "cannot be read"});
  expectError(kj::str(REGISTRY "credentials-file = \"", directory.path(), "\"\n"),
              {"credentials-file", "others than imaged"});
}

TEST_F(ConfigTest, CredentialFilesHoldOneKindAndAreNeverShown) {
  for (auto wrong :
       {"", "user = \"hunter2\"\n", "password = \"hunter2\"\n",
        "user = \"hunter2\"\npassword = 7\n",
        "user = \"u\"\npassword = \"hunter2\"\nregistry-token = \"hunter2\"\n",
        "user = \"hunter2:x\"\npassword = \"hunter2\"\n", "registry-token = hunter2\n", "hunter2",
        "identity-token = \"hunter2\"\nx = \"hunter2\"\n", "registry-token = \"hunter2\\n\"\n"}) {
    auto failed = failureFrom([&]() { parse(credentials(wrong)); });
    EXPECT_EQ(failed.code, FailureCode::INVALID) << wrong;
    EXPECT_TRUE(says(failed, "credentials-file")) << failed.describe().cStr();
    EXPECT_FALSE(says(failed, "hunter2")) << failed.describe().cStr();
  }
  auto config = parse(credentials("user = \"u\"\npassword = \"p:q\"\n"));
  auto password = describe(config, "r.example/x").getCredentials().getPassword();
  EXPECT_EQ(password.getUser(), "u");
  EXPECT_EQ(password.getPassword(), "p:q");
}

TEST_F(ConfigTest, ProxyCredentialsAreAPassword) {
  auto text = [&](kj::StringPtr content) {
    return kj::str("proxy = \"http://p.example:1\"\nproxy-credentials-file = \"",
                   file("proxy.toml", content), "\"\n");
  };
  auto config = parse(text("user = \"u\"\npassword = \"p\"\n"));
  EXPECT_EQ(describe(config, "debian").getProxyCredentials().getPassword().getUser(), "u");
  expectError(text("registry-token = \"t\"\n"), {"proxy-credentials-file", "user and password"});
}

TEST_F(ConfigTest, DockersFile) {
  auto basic = kj::encodeBase64("user:pass:word"_kj.asBytes());
  auto path = file("config.json",
                   kj::str("{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"", basic,
                           "\"},\"r.example:5000\":{\"identitytoken\":\"idt\",\"auth\":\"x\"},"
                           "\"r.example/team\":{\"registrytoken\":\"rt\"},"
                           "\"http://old.example/v2/\":{\"username\":\"u\",\"password\":\"p\"},"
                           "\"empty.example\":{}},\"HttpHeaders\":{}}"));
  auto config = parse(kj::str("docker-config = \"", path, "\"\n"));
  auto docker = describe(config, "debian").getCredentials().getPassword();
  EXPECT_EQ(docker.getUser(), "user");
  EXPECT_EQ(docker.getPassword(), "pass:word");
  EXPECT_EQ(describe(config, "r.example:5000/x").getCredentials().getIdentityToken(), "idt");
  EXPECT_EQ(describe(config, "r.example/team/app").getCredentials().getRegistryToken(), "rt");
  EXPECT_TRUE(describe(config, "r.example/teamwork").getCredentials().isNone());
  EXPECT_EQ(describe(config, "old.example/x").getCredentials().getPassword().getUser(), "u");
  EXPECT_TRUE(describe(config, "empty.example/x").getCredentials().isNone());
}

TEST_F(ConfigTest, DockersFileMayBeWrong) {
  auto text = [&](kj::StringPtr content, mode_t mode = 0600) {
    return kj::str("docker-config = \"", file("config.json", content, mode), "\"\n");
  };
  expectError(text("{"), {"line 1: docker-config", "not JSON"});
  expectError(text("{\"auths\":[]}"), {"docker-config", "not an object"});
  expectError(text("{\"auths\":{\"r.example\":{\"auth\":\"aHVudGVyMg==\"}}}"),
              {"docker-config", "USER:PASSWORD"});
  expectError(text("{\"auths\":{\"r.example\":{\"auth\":\"%%%\"}}}"), {"USER:PASSWORD"});
  expectError(text("{\"credsStore\":\"desktop\"}"), {"docker-config", "credsStore", "auths"});
  expectError(text("{}", 0644), {"docker-config", "others than imaged"});
  auto failed =
      failureFrom([&]() { parse(text("{\"auths\":{\"r\":{\"auth\":\"aHVudGVyMg\" x}}}")); });
  EXPECT_FALSE(says(failed, "aHVudGVyMg"));
}

TEST_F(ConfigTest, SignaturePolicies) {
  auto key = testing::SigningKey::make(testing::SigningKey::Kind::p256);
  auto path = file("key.pub", key.open, 0644);
  auto config =
      parse(kj::str("[signature.default]\npolicy = \"reject\"\n"
                    "[signature.\"r.example/team\"]\npolicy = \"sigstoreSigned\"\n"
                    "key-files = [\"",
                    path,
                    "\"]\nsigned-identity = \"o.example/app\"\n"
                    "[signature.\"docker.io\"]\npolicy = \"insecureAcceptAnything\"\n"));
  auto policy = [&](kj::StringPtr name) {
    auto out = message.initRoot<schema::SignaturePolicy>();
    config.describeSignatures(Reference::parse(name, "docker.io"), out);
    return out.asReader();
  };
  using Kind = schema::SignaturePolicy::Kind;
  EXPECT_EQ(policy("r.example/other").getKind(), Kind::REJECT);
  EXPECT_EQ(policy("r.example/teams").getKind(), Kind::REJECT);
  EXPECT_EQ(policy("debian").getKind(), Kind::INSECURE_ACCEPT_ANYTHING);
  auto team = policy("r.example/team/app");
  EXPECT_EQ(team.getKind(), Kind::SIGSTORE_SIGNED);
  EXPECT_EQ(team.getKeys()[0], key.open.asBytes());
  EXPECT_EQ(team.getIdentity(), "o.example/app");

  // What was found out once is worth what the policy of today says it is.
  capnp::MallocMessageBuilder verdicts;
  auto verdict = verdicts.initRoot<schema::SignatureVerdict>();
  auto accepts = [&](kj::StringPtr name) {
    return config.acceptsVerdict(Reference::parse(name, "docker.io"), verdict.asReader());
  };
  EXPECT_TRUE(accepts("debian"));
  EXPECT_TRUE(accepts("oci:/srv/layout"));
  EXPECT_FALSE(accepts("r.example/other"));
  EXPECT_FALSE(accepts("r.example/team/app"));
  verdict.setKind(schema::SignatureVerdict::Kind::VERIFIED);
  verdict.setIdentity("o.example/app");
  verdict.setKeyFingerprint(Digest::of("another key"_kj.asBytes()).toString());
  EXPECT_FALSE(accepts("r.example/team/app"));
  verdict.setKeyFingerprint(PublicKey::parse(key.open.asBytes(), "test").fingerprint().toString());
  EXPECT_TRUE(accepts("r.example/team/app"));
  verdict.setIdentity("r.example/team/app");
  EXPECT_FALSE(accepts("r.example/team/app"));
}

TEST_F(ConfigTest, SignaturePoliciesMayBeWrong) {
  expectError(SIGNATURE, {"policy is missing", "sigstoreSigned"});
  expectError(SIGNATURE "policy = \"signed\"\n",
              {"line 2: signature.\"r.example\".policy", "reject"});
  expectError(SIGNATURE "policy = \"sigstoreSigned\"\n", {"key-files is missing"});
  expectError(
      kj::str(SIGNATURE "policy = \"reject\"\nkey-files = [\"",
              file("k", testing::SigningKey::make(testing::SigningKey::Kind::p256).open), "\"]\n"),
      {"line 3", "key-files means nothing"});
  expectError(kj::str(SIGNATURE "policy = \"sigstoreSigned\"\nkey-files = [\"",
                      file("c", certificate.key), "\"]\n"),
              {"key-files", "BEGIN PUBLIC KEY"});
  expectError(SIGNATURE "policy = \"sigstoreSigned\"\nkey-files = [\"/nowhere\"]\n",
              {"key-files", "/nowhere"});
  expectError("[signature.\"not a scope\"]\npolicy = \"reject\"\n", {"'not a scope'", "default"});
  expectError(SIGNATURE "policy = \"reject\"\nsigned-identity = \"r.example\"\n",
              {"signed-identity", "HOST/REPOSITORY"});
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
// imaged, imaged-fetch and imaged-unpack, as they are shipped, against Debian's registry.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kj/debug.h>

#include "imaged/testing/certificate.h"
#include "imaged/testing/debian-registry.h"
#include "imaged/testing/failures.h"
#include "imaged/testing/imaged-fixture.h"
#include "imaged/testing/tar-builder.h"
#include "imaged/testing/test-kernel.h"

namespace bulkhead::testing {
namespace {

class ProcessTest : public ImagedTest {
 protected:
  kj::String layout(const TestImage& image, kj::StringPtr name) {
    auto path = directory.makeDirectory(kj::str("layouts/", name));
    image.writeLayout(path, "1");
    return path;
  }

  kj::String config(kj::StringPtr registry) {
    return kj::str("layout-directories = [\"", directory.makeDirectory("layouts"), "\"]\n",
                   "[registry.\"", registry, "\"]\ninsecure-http = true\n");
  }

  static TestImage container() {
    TestImage image;
    image.process = kj::str(
        "{\"Entrypoint\":[\"/bin/app\"],\"Cmd\":[\"-v\"],\"Env\":[\"A=b\"],\"WorkingDir\":\"/srv\","
        "\"User\":\"7:8\",\"StopSignal\":\"SIGINT\",\"Labels\":{\"k\":\"v\"}}");
    image.layer(TarBuilder()
                    .directory("bin")
                    .file("bin/app", "one", 0755)
                    .file("bin/gone", "x")
                    .directory("etc")
                    .file("etc/a", "lower")
                    .finish());
    image.layer(TarBuilder().file("bin/.wh.gone", "").file("etc/a", "upper").finish(),
                TestImage::Compression::zstd);
    image.layer(TarBuilder().hardLink("etc/b", "etc/a").symlink("app", "bin/app").finish(),
                TestImage::Compression::none);
    return image;
  }

  uint held() { return store().listRequest().send().wait(io.waitScope).getImages().size(); }
};

TEST_F(ProcessTest, PullsFromARegistry) {
  DebianRegistry registry(directory);
  registry.push(layout(container(), "app"), "1", "team/app:1");
  startImaged(config(registry.host()));
  auto name = kj::str(registry.host(), "/team/app:1");
  auto image = pull(name);

  auto listing = listRoot(image);
  EXPECT_NE(strstr(listing.cStr(), "/bin/app"), nullptr) << listing.cStr();
  EXPECT_EQ(strstr(listing.cStr(), "gone"), nullptr) << listing.cStr();
  EXPECT_EQ(readRoot(image, "etc/b"), "upper");

  auto infoResponse = image.infoRequest().send().wait(io.waitScope);
  auto info = infoResponse.getInfo();
  EXPECT_EQ(info.getType(), schema::ImageType::CONTAINER);
  EXPECT_EQ(info.getLayers(), 3u);
  EXPECT_EQ(info.getCreatedUnixSeconds(), 1767323045);
  EXPECT_EQ(info.getPlatform().getArchitecture(), "amd64");
  EXPECT_TRUE(info.getReference().startsWith(kj::str(name, "@sha256:")));

  auto configResponse = image.configRequest().send().wait(io.waitScope);
  auto process = configResponse.getConfig();
  EXPECT_EQ(process.getEntrypoint()[0], "/bin/app");
  EXPECT_EQ(process.getCommand()[0], "-v");
  EXPECT_EQ(process.getEnvironment()[0], "A=b");
  EXPECT_EQ(process.getWorkingDirectory(), "/srv");
  EXPECT_EQ(process.getUser(), "7:8");
  EXPECT_EQ(process.getStopSignal(), "SIGINT");
  EXPECT_EQ(process.getLabels()[0].getValue(), "v");

  auto request = image.documentRequest();
  request.setKind(schema::Image::DocumentKind::MANIFEST);
  auto document = request.send().wait(io.waitScope);
  EXPECT_EQ(Digest::of(document.getBytes()).toString(), info.getManifestDigest());
}

TEST_F(ProcessTest, TlsNeedsATrustedCertificate) {
  auto certificate = TestCertificate::make("localhost");
  writeFile(directory.path("cert.pem"), certificate.certificate.asBytes());
  writeFile(directory.path("key.pem"), certificate.key.asBytes());
  DebianRegistry registry(directory,
                          kj::str("  tls:\n    certificate: ", directory.path("cert.pem"),
                                  "\n    key: ", directory.path("key.pem"), "\n"));
  registry.push(layout(container(), "app"), "1", "app:1");
  auto name = kj::str(registry.host(), "/app:1");
  startImaged("");
  auto failed = pullFailure(name);
  EXPECT_EQ(failed.code, FailureCode::UNREACHABLE);
  EXPECT_NE(strstr(failed.message.cStr(), "TLS"), nullptr) << failed.message.cStr();
  stopImaged(SIGTERM);

  startImaged(kj::str("[registry.\"", registry.host(), "\"]\nca-file = \"",
                      directory.path("cert.pem"), "\"\n"));
  EXPECT_EQ(readRoot(pull(name), "etc/b"), "upper");
}

TEST_F(ProcessTest, WhatIsHereIsNotFetchedAgain) {
  DebianRegistry registry(directory);
  registry.push(layout(container(), "app"), "1", "app:1");
  startImaged(config(registry.host()));
  auto name = kj::str(registry.host(), "/app:1");
  pull(name);
  uint before = fetchWorkers();
  pull(name);
  EXPECT_EQ(fetchWorkers(), before);
  // Asking whether the tag moved costs one worker, and no layer.
  pull(name, schema::PullPolicy::ALWAYS);
  EXPECT_EQ(fetchWorkers(), before + 1);
}

TEST_F(ProcessTest, TheStoreSurvivesAKill) {
  DebianRegistry registry(directory);
  registry.push(layout(container(), "app"), "1", "app:1");
  startImaged(config(registry.host()));
  auto name = kj::str(registry.host(), "/app:1");
  pull(name);
  stopImaged(SIGKILL);
  writeFile(directory.path("state/tmp/left-over"), "x"_kj.asBytes());
  startImaged(config(registry.host()));
  auto image = pull(name, schema::PullPolicy::NEVER);
  EXPECT_NE(access(directory.path("state/tmp/left-over").cStr(), F_OK), 0);
  EXPECT_EQ(readRoot(image, "etc/b"), "upper");
}

TEST_F(ProcessTest, RemovingKeepsWhatIsHeld) {
  startImaged(config("localhost:1"));
  auto path = layout(container(), "app");
  auto name = kj::str("oci:", path, ":1");
  auto image = pull(name);
  EXPECT_EQ(held(), 1u);
  auto request = store().removeRequest();
  request.setReference(name);
  request.send().wait(io.waitScope);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(readRoot(image, "etc/b"), "upper");
  auto gone = pullFailure(name, schema::PullPolicy::NEVER);
  EXPECT_EQ(gone.code, FailureCode::NOT_FOUND);
}

TEST_F(ProcessTest, LayoutsOnlyBelowTheConfiguredDirectories) {
  startImaged(config("localhost:1"));
  auto outside = directory.makeDirectory("elsewhere");
  container().writeLayout(outside, "1");
  EXPECT_EQ(pullFailure(kj::str("oci:", outside, ":1")).code, FailureCode::DENIED);
  KJ_SYSCALL(symlink(outside.cStr(), directory.path("layouts/link").cStr()));
  EXPECT_EQ(pullFailure(kj::str("oci:", directory.path("layouts/link"), ":1")).code,
            FailureCode::NOT_FOUND);
}

TEST_F(ProcessTest, ImportsALayoutThatTheCallerOpens) {
  startImaged(config("localhost:1"));
  auto outside = directory.makeDirectory("elsewhere");
  container().writeLayout(outside, "1");
  int raw;
  KJ_SYSCALL(raw = open(outside.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto request = store().importLayoutRequest();
  request.setLayout(makeDirectory(kj::AutoCloseFd(raw)));
  request.setReference("example.org/app:1");
  auto image = request.send().wait(io.waitScope).getImage();
  EXPECT_EQ(readRoot(image, "etc/a"), "upper");
  auto again = pull("example.org/app:1");
  EXPECT_EQ(readRoot(again, "etc/a"), "upper");
}

TEST_F(ProcessTest, BootFilesOfAKernelAndASystem) {
  startImaged(config("localhost:1"));
  auto text = [](kj::ArrayPtr<const kj::byte> bytes) { return kj::heapString(bytes.asChars()); };
  auto addons = modulesSquashfs("6.12.0-zone");
  TestImage kernel;
  kernel.annotations = kj::str("{\"org.bulkhead.image.type\":\"kernel\"}");
  kernel.layer(TarBuilder()
                   .file("kernel/image", text(kernelElf("6.12.0-zone")))
                   .file("kernel/metadata", "KERNEL_VERSION=6.12.0-zone\nX=y\n")
                   .file("kernel/addons.squashfs", text(addons))
                   .file("kernel/boot.cpio", "12345")
                   .finish());
  TestImage system;
  system.annotations = kj::str("{\"org.bulkhead.image.type\":\"system\"}");
  system.layer(TarBuilder().file("init", "#!", 0755).directory("bin").finish());
  TestImage extension;
  extension.annotations = kj::str("{\"org.bulkhead.image.type\":\"extension\"}");
  extension.layer(TarBuilder().file("bin/extra", "more").finish());
  auto extensionImage = pull(kj::str("oci:", layout(extension, "extension"), ":1"));
  auto kernelImage = pull(kj::str("oci:", layout(kernel, "kernel"), ":1"));
  auto systemImage = pull(kj::str("oci:", layout(system, "system"), ":1"));

  auto request = store().bootFilesRequest();
  request.setKernel(kernelImage);
  request.setSystem(systemImage);
  auto response = request.send().wait(io.waitScope);
  auto files = response.getFiles();
  EXPECT_EQ(files.getKernelVersion(), "6.12.0-zone");
  auto read = [&](schema::File::Client file) {
    auto fd = KJ_REQUIRE_NONNULL(file.getFd().wait(io.waitScope));
    std::string text(size_t{1} << 16, 0);
    ssize_t n;
    KJ_SYSCALL(n = pread(fd, text.data(), text.size(), 0));
    text.resize(static_cast<size_t>(n));
    return text;
  };
  auto elf = read(files.getKernel());
  EXPECT_EQ(elf.substr(0, 4), "\177ELF");
  EXPECT_NE(elf.find("Linux version 6.12.0-zone"), std::string::npos);
  EXPECT_EQ(read(files.getAddons()).size(), addons.size());
  auto initrd = read(files.getInitrd());
  EXPECT_EQ(initrd.substr(0, 8), std::string("12345\0\0\0", 8));
  EXPECT_EQ(initrd.substr(8, 6), "070701");
  EXPECT_NE(initrd.find("TRAILER!!!"), std::string::npos);
  EXPECT_EQ(initrd.size() % 4, 0u);

  // Extensions follow the system image, each an archive of its own.
  auto extended = store().bootFilesRequest();
  extended.setKernel(kernelImage);
  extended.setSystem(systemImage);
  auto list = extended.initExtensions(2);
  list.set(0, extensionImage);
  list.set(1, extensionImage);
  auto longer = read(extended.send().wait(io.waitScope).getFiles().getInitrd());
  EXPECT_EQ(longer.substr(0, initrd.size()), initrd);
  auto first = longer.find("bin/extra");
  EXPECT_GT(first, initrd.size());
  EXPECT_NE(longer.find("bin/extra", first + 1), std::string::npos);

  auto wrong = store().bootFilesRequest();
  wrong.setKernel(kernelImage);
  wrong.setSystem(systemImage);
  wrong.initExtensions(1).set(0, systemImage);
  EXPECT_THROW(wrong.send().wait(io.waitScope), kj::Exception);
  auto tooMany = store().bootFilesRequest();
  tooMany.setKernel(kernelImage);
  tooMany.setSystem(systemImage);
  auto many = tooMany.initExtensions(17);
  for (uint i = 0; i < many.size(); ++i) many.set(i, extensionImage);
  EXPECT_EQ(testing::failureFrom([&]() { tooMany.send().wait(io.waitScope); }).code,
            FailureCode::EXHAUSTED);

  // What a domain builder is to check and then use cannot be changed in between by anybody.
  schema::File::Client bootFiles[] = {files.getKernel(), files.getInitrd()};
  for (auto& file : bootFiles) {
    int fd = KJ_REQUIRE_NONNULL(file.getFd().wait(io.waitScope));
    EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    EXPECT_LT(pwrite(fd, "x", 1, 0), 0);
  }

  auto swapped = store().bootFilesRequest();
  swapped.setKernel(systemImage);
  swapped.setSystem(kernelImage);
  try {
    swapped.send().wait(io.waitScope);
    FAIL() << "a system image passed as a kernel";
  } catch (const kj::Exception& e) {
    EXPECT_EQ(failureOf(e).code, FailureCode::INVALID);
  }
}

TEST_F(ProcessTest, AMissingImageIsNotFound) {
  DebianRegistry registry(directory);
  startImaged(config(registry.host()));
  auto failed = pullFailure(kj::str(registry.host(), "/nothing/here:1"));
  EXPECT_EQ(failed.code, FailureCode::NOT_FOUND);
  EXPECT_NE(strstr(failed.subject.cStr(), "nothing/here:1"), nullptr);
  EXPECT_GT(failed.hint.size(), 0u);
}

TEST_F(ProcessTest, AnotherPlatformIsRefused) {
  startImaged(config("localhost:1"));
  auto image = container();
  image.architecture = "s390x";
  auto failed = pullFailure(kj::str("oci:", layout(image, "s390x"), ":1"));
  EXPECT_EQ(failed.code, FailureCode::WRONG_PLATFORM);
  EXPECT_NE(strstr(failed.describe().cStr(), "s390x"), nullptr);
}

}  // namespace
}  // namespace bulkhead::testing

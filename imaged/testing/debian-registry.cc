// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/debian-registry.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include <kj/debug.h>

namespace bulkhead::testing {
namespace {

// From its own log: "listening on 127.0.0.1:PORT".
uint16_t readPort(int fd) {
  std::string text;
  for (;;) {
    char buffer[512];
    ssize_t n;
    KJ_SYSCALL(n = ::read(fd, buffer, sizeof buffer));
    KJ_REQUIRE(n > 0, "the registry ended", text.c_str());
    text.append(buffer, static_cast<size_t>(n));
    auto at = text.find("listening on 127.0.0.1:");
    if (at == std::string::npos) continue;
    auto digits = text.substr(at + 23);
    auto end = digits.find_first_not_of("0123456789");
    if (end == std::string::npos) continue;
    return static_cast<uint16_t>(std::stoul(digits.substr(0, end)));
  }
}

}  // namespace

DebianRegistry::DebianRegistry(const TemporaryDirectory& directory, kj::StringPtr more) {
  writeFile(directory.path("registry.yml"),
            kj::str("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ",
                    directory.makeDirectory("registry"), "\nhttp:\n  addr: 127.0.0.1:0\n", more)
                .asBytes());
  int ends[2];
  KJ_SYSCALL(pipe2(ends, O_CLOEXEC));
  kj::AutoCloseFd read(ends[0]);
  kj::AutoCloseFd write(ends[1]);
  Program program;
  program.command.add(kj::str("docker-registry"));
  program.command.add(kj::str("serve"));
  program.command.add(directory.path("registry.yml"));
  program.environment.add(kj::str("OTEL_TRACES_EXPORTER=none"));
  program.standardError = write.get();
  process = kj::heap<RunningProcess>(start(program));
  write = nullptr;
  port = readPort(read);
  log = kj::mv(read);
}

void DebianRegistry::push(kj::StringPtr layout, kj::StringPtr tag, kj::StringPtr name) {
  runCommand({"skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false",
              kj::str("oci:", layout, ":", tag), kj::str("docker://", host(), "/", name)});
}

}  // namespace bulkhead::testing

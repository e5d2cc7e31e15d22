// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/imaged-fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/runtime/testing/listening-socket.h"

namespace bulkhead::testing {

void ImagedTest::startImaged(kj::StringPtr config) {
  auto run = directory.makeDirectory("run");
  auto state = directory.makeDirectory("state");
  writeFile(directory.path("imaged.toml"), config.asBytes());
  kj::Vector<kj::String> environment;
  environment.add(kj::str("BULKHEAD_RUN=", run));
  environment.add(kj::str("STATE_DIRECTORY=", state));
  environment.add(kj::str("BULKHEAD_IMAGED_CONFIG=", directory.path("imaged.toml")));
  if (fetch.get() == nullptr) {
    int raw;
    KJ_SYSCALL(
        raw = open(directory.path("log").cStr(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    log = kj::AutoCloseFd(raw);
    fetch = kj::heap<AcceptUnit>(kj::str(run, "/fetch.sock"), IMAGED_FETCH, environment, log);
    unpack = kj::heap<AcceptUnit>(kj::str(run, "/unpack.sock"), IMAGED_UNPACK, environment, log);
  }
  auto socket = kj::str(run, "/imaged.sock");
  unlink(socket.cStr());
  auto listener = listenAt(socket);
  Program program;
  program.command.add(kj::str(IMAGED));
  program.environment = kj::mv(environment);
  program.descriptors.add(listener.get());
  program.descriptorNames = kj::str("imaged");
  program.standardError = log.get();
  imaged = kj::heap<RunningProcess>(start(program));
  connection = connectTo(*io.lowLevelProvider, socket);
}

int ImagedTest::stopImaged(int signal) {
  connection = nullptr;
  return imaged->stop(signal);
}

void ImagedTest::killAll() {
  stopImaged(SIGKILL);
  fetch->killWorkers();
  unpack->killWorkers();
}

void ImagedTest::TearDown() {
  if (imaged.get() == nullptr) return;
  int status = stopImaged(SIGTERM);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "imaged ended with " << status;
  fetch->stop();
  unpack->stop();
  EXPECT_EQ(fetch->killed(), 0u) << "a fetch worker was killed";
  EXPECT_EQ(unpack->killed(), 0u) << "an unpack worker was killed";
  if (HasFailure()) fputs(logged().cStr(), stderr);
}

kj::String ImagedTest::logged() const {
  off_t size = lseek(log, 0, SEEK_END);
  auto text = kj::heapString(static_cast<size_t>(size));
  ssize_t count;
  KJ_SYSCALL(count = pread(log, text.begin(), text.size(), 0));
  return kj::heapString(text.begin(), static_cast<size_t>(count));
}

schema::ImageStore::Client ImagedTest::store() {
  return connection->bootstrap<schema::ImageStore>();
}

schema::Image::Client ImagedTest::pull(kj::StringPtr reference, schema::PullPolicy policy) {
  auto request = store().pullRequest();
  request.setReference(reference);
  request.initOptions().setPolicy(policy);
  return request.send().wait(io.waitScope).getImage();
}

Failure ImagedTest::pullFailure(kj::StringPtr reference, schema::PullPolicy policy) {
  try {
    pull(reference, policy);
  } catch (const kj::Exception& e) {
    return failureOf(e);
  }
  ADD_FAILURE() << "the pull of " << reference.cStr() << " did not fail";
  return failure(FailureCode::INTERNAL, "", "");
}

kj::String ImagedTest::saveRoot(schema::Image::Client image) {
  auto response = image.rootFileSystemRequest().send().wait(io.waitScope);
  auto fd = KJ_REQUIRE_NONNULL(response.getFile().getFd().wait(io.waitScope));
  off_t size = lseek(fd, 0, SEEK_END);
  EXPECT_EQ(size % 4096, 0);
  auto bytes = kj::heapArray<kj::byte>(static_cast<size_t>(size));
  ssize_t count;
  KJ_SYSCALL(count = pread(fd, bytes.begin(), bytes.size(), 0));
  KJ_REQUIRE(static_cast<size_t>(count) == bytes.size());
  auto path = directory.path("root.squashfs");
  writeFile(path, bytes);
  return path;
}

kj::String ImagedTest::listRoot(schema::Image::Client image) {
  auto path = saveRoot(image);
  return runForOutput({"unsquashfs", "-lln", "-d", "", path});
}

kj::String ImagedTest::readRoot(schema::Image::Client image, kj::StringPtr file) {
  auto path = saveRoot(image);
  return runForOutput({"unsquashfs", "-cat", path, file});
}

}  // namespace bulkhead::testing

// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/testing/zoned-fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <kj/debug.h>

#include "services/runtime/pipe.h"
#include "services/runtime/server.h"
#include "services/runtime/testing/listening-socket.h"

namespace bulkhead::testing {
namespace {

kj::AsyncIoContext setupLoop() {
  kj::UnixEventPort::captureChildExit();
  signal(SIGPIPE, SIG_IGN);
  return kj::setupAsyncIo();
}

kj::String temporaryDirectory() {
  char path[] = "/tmp/zoned-test-XXXXXX";
  KJ_REQUIRE(mkdtemp(path) != nullptr);
  // All sockets of this test, ours and those of the processes it starts.
  setenv("BULKHEAD_RUN", path, 1);
  for (auto part : {"/state", "/config"}) {
    KJ_SYSCALL(mkdir(kj::str(path, part).cStr(), 0700));
  }
  return kj::str(kj::StringPtr(path));
}

}  // namespace

void Child::signal(int number) {
  KJ_IF_MAYBE (alive, pid) {
    KJ_SYSCALL(kill(*alive, number));
  }
}

ZonedProcess::ZonedProcess()
    : io(setupLoop()),
      timer(io.provider->getTimer()),
      directory(temporaryDirectory()),
      world(*io.lowLevelProvider),
      platformListener(listenAt(kj::str(directory, "/platform.sock"))) {
  for (auto edge : {Edge::hypervisor, Edge::images, Edge::network, Edge::rings}) serveMock(edge);
}

ZonedProcess::~ZonedProcess() noexcept {
  if (zoned != nullptr) killZoned();
  std::error_code ignored;
  std::filesystem::remove_all(directory.cStr(), ignored);
}

capnp::Capability::Client ZonedProcess::bootstrapOf(Edge edge) {
  switch (edge) {
    case Edge::hypervisor:
      return world.hypervisor();
    case Edge::images:
      return world.images();
    case Edge::network:
      return world.network();
    default:
      return world.rings();
  }
}

void ZonedProcess::serveMock(Edge edge) {
  auto path = socketPath(edge);
  unlink(path.cStr());
  services.insert(
      static_cast<uint>(edge),
      serve(*io.lowLevelProvider, timer, listenAt(path), PeerPolicy::anyone(), {}, log,
            [bootstrap = bootstrapOf(edge)](const PeerIdentity&) mutable { return bootstrap; })
          .eagerlyEvaluate([](kj::Exception&& e) { KJ_LOG(ERROR, e); }));
}

void ZonedProcess::restart(Edge edge) {
  services.erase(static_cast<uint>(edge));
  serveMock(edge);
}

void ZonedProcess::startZoned() {
  pid_t pid;
  KJ_SYSCALL(pid = fork());
  if (pid == 0) {
    dup2(platformListener, 3);
    fcntl(3, F_SETFD, 0);
    setenv("LISTEN_PID", kj::str(getpid()).cStr(), 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDNAMES", "platform", 1);
    setenv("STATE_DIRECTORY", kj::str(directory, "/state").cStr(), 1);
    setenv("CONFIGURATION_DIRECTORY", kj::str(directory, "/config").cStr(), 1);
    // The loop blocks signals that it waits for; the child starts afresh.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execl(ZONED_BINARY, "zoned", nullptr);
    _exit(127);
  }
  zoned = kj::heap<Child>(io.unixEventPort, pid);
}

void ZonedProcess::killZoned() {
  KJ_IF_MAYBE (child, zoned) {
    (*child)->signal(SIGKILL);
    (*child)->whenEnded().wait(io.waitScope);
  }
  zoned = nullptr;
}

ZonedProcess::Running ZonedProcess::begin(std::initializer_list<kj::StringPtr> arguments,
                                          kj::StringPtr input, InputEnd end) {
  auto in = makePipe();
  auto out = makePipe();
  auto err = makePipe();
  kj::Vector<char*> argv;
  argv.add(const_cast<char*>("bulkhead"));
  for (auto argument : arguments) argv.add(const_cast<char*>(argument.cStr()));
  argv.add(nullptr);
  pid_t pid;
  KJ_SYSCALL(pid = fork());
  if (pid == 0) {
    dup2(in.read, 0);
    dup2(out.write, 1);
    dup2(err.write, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    // By descriptor: the other user may not be let into the directories above the build.
    int program = open(BULKHEAD_BINARY, O_RDONLY | O_CLOEXEC);
    if (runAs != geteuid() && (setgroups(0, nullptr) != 0 || setresuid(runAs, runAs, runAs) != 0)) {
      _exit(126);
    }
    fexecve(program, argv.begin(), environ);
    _exit(127);
  }
  auto child = kj::heap<Child>(io.unixEventPort, pid);
  kj::FdOutputStream(in.write.get()).write(input.begin(), input.size());
  if (end == InputEnd::afterText) in.write = nullptr;
  auto outStream = io.lowLevelProvider->wrapInputFd(kj::mv(out.read));
  auto errStream = io.lowLevelProvider->wrapInputFd(kj::mv(err.read));
  auto collect = [](kj::Own<kj::AsyncInputStream> o, kj::Own<kj::AsyncInputStream> e,
                    kj::Promise<int> ended) -> kj::Promise<CommandResult> {
    auto output = o->readAllText();
    auto errors = e->readAllText();
    int status = co_await ended;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    co_return CommandResult{code, co_await output, co_await errors};
  };
  auto result = collect(kj::mv(outStream), kj::mv(errStream), child->whenEnded());
  return {kj::mv(child), result.eagerlyEvaluate(nullptr), kj::mv(in.write)};
}

CommandResult ZonedProcess::run(std::initializer_list<kj::StringPtr> arguments,
                                kj::StringPtr input) {
  auto running = begin(arguments, input);
  return running.result.wait(io.waitScope);
}

void ZonedProcess::until(kj::Function<bool()> condition) {
  auto deadline = timer.now() + 20 * kj::SECONDS;
  while (!condition()) {
    ASSERT_LT((timer.now() - deadline) / kj::MILLISECONDS, 0) << "the condition never held";
    timer.afterDelay(5 * kj::MILLISECONDS).wait(io.waitScope);
  }
}

void ZonedProcess::configure(kj::StringPtr file, kj::StringPtr text) {
  int raw;
  KJ_SYSCALL(raw = open(kj::str(directory, "/config/", file).cStr(),
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  kj::AutoCloseFd fd(raw);
  kj::FdOutputStream(fd.get()).write(text.begin(), text.size());
}

}  // namespace bulkhead::testing

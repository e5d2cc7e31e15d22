// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/launch.h"
#include "zoneinit/runtime/mount-fd.h"
#include "zoneinit/runtime/root-walk.h"

namespace bulkhead::zone {
namespace {

constexpr kj::StringPtr kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"_kj;

// Processes with their pipes and observers that one container may have us hold at a time.
constexpr uint kMostProcesses = 256;

// The names of a process's environment with what every program may expect added.
class Environment {
 public:
  Environment(const ProcessSpec& spec, const UserIdentity& user, kj::StringPtr hostname) {
    for (auto& entry : spec.environment) entries.add(kj::str(entry));
    addIfMissing("PATH", kDefaultPath);
    addIfMissing("HOME", user.home);
    addIfMissing("HOSTNAME", hostname);
    if (spec.terminal != nullptr) addIfMissing("TERM", "xterm");
    for (auto& entry : entries) pointers.add(entry.cStr());
    pointers.add(nullptr);
  }

  kj::ArrayPtr<const char* const> asPointers() const { return pointers; }

  const char* path() const { return KJ_ASSERT_NONNULL(find("PATH")).cStr(); }

 private:
  kj::Vector<kj::String> entries;
  kj::Vector<const char*> pointers;

  // The last one counts, as in most programs' own environ.
  kj::Maybe<kj::StringPtr> find(kj::StringPtr key) const {
    kj::Maybe<kj::StringPtr> found;
    for (auto& entry : entries) {
      if (entry.startsWith(key) && entry.size() > key.size() && entry[key.size()] == '=') {
        found = entry.slice(key.size() + 1);
      }
    }
    return found;
  }

  void addIfMissing(kj::StringPtr key, kj::StringPtr value) {
    if (find(key) == nullptr) entries.add(kj::str(key, "=", value));
  }
};

kj::Vector<const char*> pointersTo(kj::ArrayPtr<const kj::String> texts) {
  kj::Vector<const char*> pointers;
  for (auto& text : texts) pointers.add(text.cStr());
  pointers.add(nullptr);
  return pointers;
}

kj::Maybe<kj::StringPtr> asPointer(const kj::Maybe<kj::String>& text) {
  return text.map([](const kj::String& value) -> kj::StringPtr { return value; });
}

UserIdentity findUser(int root, kj::StringPtr user) {
  auto passwd = readFileInRoot(root, "etc/passwd", kUserFileLimit);
  auto group = readFileInRoot(root, "etc/group", kUserFileLimit);
  return resolveUser(user, asPointer(passwd), asPointer(group));
}

kj::AutoCloseFd newPseudoTerminals() {
  // gid 5 is tty wherever there is such a group.
  KJ_IF_MAYBE (mount,
               newMount(
                   "devpts",
                   {{"newinstance", nullptr}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}},
                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) {
    return kj::mv(*mount);
  }
  KJ_FAIL_SYSCALL("mounting devpts", errno);
}

}  // namespace

Container::Container(RuntimeContext& contextParam, ContainerSpec specParam,
                     kj::StringPtr zoneHostname, const NameFiles& files)
    : context(contextParam),
      spec(kj::mv(specParam)),
      hostname(spec.hostname.size() > 0 ? kj::str(spec.hostname) : kj::str(zoneHostname)),
      ring(spec.logBytes),
      tasks(*this) {
  cgroup = kj::heap<Cgroup>(context.cgroups, spec.id,
                            CgroupLimits{spec.memoryLimitBytes, spec.pidsLimit});
  root = kj::heap<ContainerRoot>(context.paths, spec.id, spec.rootDisk);
  pseudoTerminals = newPseudoTerminals();
  writeFiles(files);
}

Container::~Container() noexcept(false) {}

Container::State Container::state() const {
  KJ_IF_MAYBE (main, mainProcess) {
    return (*main)->hasEnded() ? State::exited : State::running;
  }
  return started ? State::exited : State::created;
}

void Container::writeFiles(const NameFiles& files) {
  KJ_IF_MAYBE (tree, root) {
    // A container's own name belongs in its files, whatever the zone is called.
    NameFiles own{kj::str(files.resolver), kj::str(files.hosts, "127.0.1.1\t", hostname, "\n"),
                  kj::str(hostname, "\n")};
    (*tree)->writeNameFiles(own);
  }
}

void Container::writeNameFiles(const NameFiles& files) { writeFiles(files); }

kj::Promise<kj::Own<Process>> Container::launchProcess(ProcessSpec process, ProcessSinks sinks,
                                                       InputMode input, kj::Maybe<int> joinProcess,
                                                       kj::Maybe<int> program) {
  if (running >= kMostProcesses) {
    fail(FailureCode::EXHAUSTED, spec.id, kj::str("has ", running, " processes already"));
  }
  kj::Own<Process> result;
  kj::Promise<void> setUp = nullptr;
  {
    auto& tree = *KJ_ASSERT_NONNULL(root);
    auto& group = *KJ_ASSERT_NONNULL(cgroup);
    auto user = findUser(tree.fd(), process.user);
    Environment environment(process, user, hostname);
    auto arguments = pointersTo(process.arguments);
    kj::Maybe<StandardStreams> made;
    KJ_IF_MAYBE (size, process.terminal) {
      made = StandardStreams::terminal(pseudoTerminals, *size);
    } else {
      made = StandardStreams::pipes(input);
    }
    auto& streams = KJ_ASSERT_NONNULL(made);
    bool terminal = process.terminal != nullptr;

    ChildPlan plan{};
    plan.arguments = arguments;
    plan.environment = environment.asPointers();
    plan.searchPath = environment.path();
    plan.program = program;
    plan.workingDirectory = process.workingDirectory.cStr();
    plan.user = &user;
    plan.capabilities = process.capabilities;
    for (size_t i = 0; i < 3; ++i) plan.streams[i] = streams.child[i].get();
    plan.terminal = terminal;
    KJ_IF_MAYBE (target, joinProcess) {
      plan.join = JoinPlan{*target};
    } else {
      plan.container =
          ContainerPlan{MountPlan{tree.path().cStr(), tree.nameFilesPath().cStr(), spec.rootAccess,
                                  pseudoTerminals.get(), terminal ? streams.child[0].get() : -1},
                        hostname.cStr(), spec.networkMode};
    }
    auto launched = launch(kj::mv(plan), group.fd());
    bool isMain = joinProcess == nullptr;
    result = kj::refcounted<Process>(context.eventPort, launched.number, kj::mv(launched.process),
                                     kj::mv(streams.parent), kj::mv(sinks),
                                     isMain ? kj::Maybe<LogRing&>(ring) : nullptr,
                                     [&group]() { return group.outOfMemoryKills(); });
    if (isMain) mainProcess = kj::addRef(*result);
    setUp = setUpResult(context.eventPort, kj::mv(launched.report), process.arguments[0]);
  }
  ++running;
  bool isMain = joinProcess == nullptr;
  tasks.add(result->run()
                .then([this, isMain]() {
                  --running;
                  if (isMain) ring.close();
                })
                .attach(kj::addRef(*result)));
  co_await setUp;
  co_return kj::mv(result);
}

kj::Promise<kj::Own<Process>> Container::start(ProcessSinks sinks, InputMode input) {
  auto self = kj::addRef(*this);
  if (root == nullptr) fail(FailureCode::NOT_FOUND, spec.id, "the container was destroyed");
  if (started) fail(FailureCode::BUSY, spec.id, "the container was started before");
  started = true;
  try {
    co_return co_await launchProcess(kj::mv(spec.process), kj::mv(sinks), input, nullptr);
  } catch (...) {
    // Nobody will ever see output of it.
    if (mainProcess == nullptr) ring.close();
    throw;
  }
}

kj::Own<Process> Container::process() {
  KJ_IF_MAYBE (main, mainProcess) {
    return kj::addRef(**main);
  }
  fail(FailureCode::BUSY, spec.id, "the container was not started");
}

int Container::runningProcess() {
  KJ_IF_MAYBE (main, mainProcess) {
    if (!(*main)->hasEnded()) return (*main)->pidfd();
  }
  fail(FailureCode::BUSY, spec.id, "the container does not run");
}

kj::Promise<kj::Own<Process>> Container::execute(ProcessSpec process, ProcessSinks sinks,
                                                 InputMode input) {
  auto self = kj::addRef(*this);
  co_return co_await launchProcess(kj::mv(process), kj::mv(sinks), input, runningProcess());
}

kj::Promise<kj::Own<Process>> Container::executeProgram(int program, ProcessSpec process,
                                                        ProcessSinks sinks, InputMode input) {
  auto self = kj::addRef(*this);
  co_return co_await launchProcess(kj::mv(process), kj::mv(sinks), input, runningProcess(),
                                   program);
}

kj::Promise<ExitStatus> Container::stop(kj::Duration grace) {
  auto self = kj::addRef(*this);
  auto main = process();
  main->signal(spec.stopSignal);
  co_await main->whenEnded().exclusiveJoin(context.timer.afterDelay(grace));
  if (!main->hasEnded()) {
    KJ_IF_MAYBE (group, cgroup) {
      (*group)->kill();
    }
  }
  co_return co_await main->wait();
}

kj::Promise<void> Container::destroy() {
  auto self = kj::addRef(*this);
  KJ_IF_MAYBE (group, cgroup) {
    (*group)->kill();
    KJ_IF_MAYBE (main, mainProcess) {
      co_await (*main)->whenEnded();
    }
    // Another call may have been quicker while this one waited.
    KJ_IF_MAYBE (still, cgroup) {
      co_await (*still)->whenEmpty();
    }
  }
  root = nullptr;
  pseudoTerminals = nullptr;
  cgroup = nullptr;
  ring.close();
}

void Container::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "a container's output was lost", spec.id, exception);
  ring.close();
}

}  // namespace bulkhead::zone

// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/default-system-calls.h"
#include "zoneinit/runtime/device-tree.h"
#include "zoneinit/runtime/launch.h"
#include "zoneinit/runtime/mount-fd.h"
#include "zoneinit/runtime/namespaces.h"
#include "zoneinit/runtime/planned-mount.h"
#include "zoneinit/runtime/system-call-profile.h"
#include "zoneinit/runtime/user-namespace.h"

namespace bulkhead::zone {
namespace {

// Processes with their pipes and observers that one container may have us hold at a time.
constexpr uint kMostProcesses = 256;

// Seconds where emulated; only a child that somebody holds takes this long.
constexpr kj::Duration kSetUpDeadline = 60 * kj::SECONDS;

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

Container::Container(RuntimeContext& contextParam, Neighbours& neighboursParam,
                     ContainerSpec specParam, kj::StringPtr zoneHostname, const NameFiles& files)
    : context(contextParam),
      neighbours(neighboursParam),
      spec(kj::mv(specParam)),
      hostname(spec.hostname.size() > 0 ? kj::str(spec.hostname) : kj::str(zoneHostname)),
      ring(spec.logBytes),
      tasks(*this) {
  adoptUsers();
  if (spec.settings.userMappings.size() > 0) userNamespace = makeUserNamespace(spec.settings);
  cgroup = kj::heap<Cgroup>(context.cgroups, spec.id,
                            CgroupLimits{spec.memoryLimitBytes, spec.pidsLimit}, spec.settings);
  root = kj::heap<ContainerRoot>(context.paths, spec, owners());
  pseudoTerminals = newPseudoTerminals();
  // A wrong profile is found now, not when everything else is there.
  filterFor(spec.process.authority.capabilities);
  writeFiles(files);
}

// Who shares another workload's users has its mappings as well.
void Container::adoptUsers() {
  auto& choice = spec.settings.namespaces[static_cast<size_t>(NamespaceKind::user)];
  if (choice.from != NamespaceChoice::From::workload) return;
  KJ_IF_MAYBE (other, neighbours.findContainer(choice.workload)) {
    auto& theirs = other->spec.settings;
    spec.settings.userMappings = kj::heapArray(theirs.userMappings.asPtr());
    spec.settings.groupMappings = kj::heapArray(theirs.groupMappings.asPtr());
    if (theirs.userMappings.size() == 0) choice.from = NamespaceChoice::From::zone;
  } else {
    fail(FailureCode::NOT_FOUND, choice.workload, "there is no workload of this id");
  }
}

// Making one takes milliseconds; nearly all processes of a container have the same capabilities.
kj::Maybe<const SystemCallFilter&> Container::filterFor(CapabilityMask capabilities) {
  auto& settings = spec.settings;
  if (settings.confinement == Confinement::privileged) return nullptr;
  if (settings.systemCalls.is<EverySystemCall>()) return nullptr;
  if (filter == nullptr || filterMask != capabilities) {
    KJ_IF_MAYBE (profile, settings.systemCalls.tryGet<SystemCallProfile>()) {
      filter = customSystemCalls(profile->json, capabilities);
    } else {
      filter = defaultSystemCalls(capabilities);
    }
    filterMask = capabilities;
  }
  return filter.map([](const SystemCallFilter& made) -> const SystemCallFilter& { return made; });
}

OwnerMap Container::owners() const {
  OwnerMap map;
  map.userNamespace = userNamespace.get();
  if (map.userNamespace < 0) return map;
  map.root = outsideId(spec.settings.userMappings, 0);
  map.rootGroup = outsideId(spec.settings.groupMappings, 0);
  return map;
}

int Container::processOf(kj::StringPtr workload) {
  KJ_IF_MAYBE (other, neighbours.findContainer(workload)) {
    KJ_IF_MAYBE (live, other->liveProcess()) {
      return live->pidfd();
    }
    fail(FailureCode::BUSY, workload, "the workload whose namespaces are to be shared does not run",
         "start it first");
  }
  fail(FailureCode::NOT_FOUND, workload, "there is no workload of this id");
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

StartSurroundings Container::surroundings() {
  return {KJ_ASSERT_NONNULL(root)->fd(), pseudoTerminals, hostname, spec.settings};
}

kj::Own<Process> Container::launchIn(int group, ProcessStart& start, ProcessSinks sinks,
                                     kj::Maybe<LogRing&> log, kj::Maybe<SetUpReport>& report) {
  start.plan.systemCalls = filterFor(start.plan.capabilities);
  auto launched = launch(start.plan, group);
  report = kj::mv(launched.report);
  // Who asks how a process ended may do so when the container is gone.
  auto whole = KJ_ASSERT_NONNULL(cgroup)->duplicate();
  return kj::refcounted<Process>(context.eventPort, launched.number, kj::mv(launched.process),
                                 start.takeStreams(), kj::mv(sinks), log,
                                 [whole = kj::mv(whole)]() { return outOfMemoryKills(whole); });
}

kj::Promise<void> Container::keepRunning(kj::Own<Process> process) {
  ++running;
  KJ_DEFER(--running);
  co_await process->run();
}

kj::Promise<void> Container::keepTime(kj::Own<Process> process, kj::Duration timeout,
                                      kj::AutoCloseFd group) {
  co_await process->whenEnded().exclusiveJoin(context.timer.afterDelay(timeout));
  if (process->hasEnded()) co_return;
  process->noteTimeout(timeout);
  killCgroup(group);
}

// The part stays while anything lives in it, and counts as long.
kj::Promise<void> Container::keepPart(kj::Own<Process> process, kj::Duration timeout,
                                      kj::Own<Cgroup> part) {
  ++running;
  KJ_DEFER(--running);
  co_await keepTime(kj::mv(process), timeout, part->duplicate());
  co_await part->whenEmpty();
}

// Before it changes its user, others in the container may stop a child that is being set up.
kj::Promise<void> Container::setUp(Process& process, SetUpReport report, kj::StringPtr command) {
  auto name = kj::str(command);
  auto held = kj::addRef(process);
  auto late = context.timer.afterDelay(kSetUpDeadline).then([this, &process, &name]() {
    process.signal(SIGKILL);
    fail(FailureCode::TIMEOUT, name,
         kj::str("the process was not set up within ", kSetUpDeadline / kj::SECONDS, " s of ",
                 spec.id));
  });
  co_await setUpResult(context.eventPort, kj::mv(report), name).exclusiveJoin(kj::mv(late));
}

kj::Promise<kj::Own<Process>> Container::launchFirst(ProcessSpec process, ProcessSinks sinks,
                                                     InputMode input) {
  auto& tree = *KJ_ASSERT_NONNULL(root);
  auto& group = *KJ_ASSERT_NONNULL(cgroup);
  auto& settings = spec.settings;
  kj::Maybe<SetUpReport> report;
  {
    ProcessStart start(surroundings(), process, input);
    bool terminal = start.plan.terminal;
    auto devices = makeDeviceTree(context.paths, settings, owners(),
                                  terminal ? Console::terminal : Console::none);
    auto mounts = planMounts(context.paths, settings.mounts, userNamespace);
    auto joined =
        joinedNamespaces(settings, [this](kj::StringPtr workload) { return processOf(workload); });
    start.plan.birth = joined.birth;
    // Mounts are made before another's users are joined, and shall be theirs.
    auto mountOwner = joined.users >= 0 ? owners() : OwnerMap();
    bool ownName = settings.choice(NamespaceKind::hostName).from == NamespaceChoice::From::own;
    start.plan.container =
        ContainerPlan{MountPlan{tree.path().cStr(), tree.nameFilesPath().cStr(), spec.rootAccess,
                                devices, pseudoTerminals, terminal ? start.plan.streams[0] : -1,
                                mounts, &settings, mountOwner},
                      ownName ? hostname.cStr() : nullptr,
                      ownName ? settings.domainName.cStr() : "",
                      freshNamespaces(settings),
                      joined.joins,
                      joined.users};
    mainProcess = launchIn(group.fd(), start, kj::mv(sinks), ring, report);
  }
  auto first = this->process();
  tasks.add(keepRunning(kj::addRef(*first)).then([this]() { ring.close(); }));
  // Where the process namespace is shared, nobody else would end what it leaves.
  tasks.add(first->whenEnded().then([this]() {
    KJ_IF_MAYBE (still, cgroup) {
      (*still)->kill();
    }
  }));
  KJ_IF_MAYBE (timeout, process.timeout) {
    tasks.add(keepTime(kj::addRef(*first), *timeout, group.duplicate()));
  }
  co_await setUp(*first, kj::mv(KJ_ASSERT_NONNULL(report)), process.arguments[0]);
  co_return kj::mv(first);
}

kj::Promise<kj::Own<Process>> Container::launchFurther(ProcessSpec process, ProcessSinks sinks,
                                                       InputMode input, kj::Maybe<int> program) {
  auto self = kj::addRef(*this);
  auto& first = runningProcess();
  if (running >= kMostProcesses) {
    fail(FailureCode::EXHAUSTED, spec.id, kj::str("has ", running, " processes already"));
  }
  kj::Own<Process> result;
  kj::Maybe<SetUpReport> report;
  {
    ProcessStart start(surroundings(), process, input);
    start.plan.birth = first.pidfd();
    start.plan.program = program;
    start.plan.join = NamespaceJoin{first.pidfd(), enteredNamespaces(spec.settings)};
    auto& whole = *KJ_ASSERT_NONNULL(cgroup);
    KJ_IF_MAYBE (timeout, process.timeout) {
      // A cgroup of its own, to be killed with everything it started and nothing else.
      auto part = kj::heap<Cgroup>(whole, kj::str("exec-", nextPart++));
      result = launchIn(part->fd(), start, kj::mv(sinks), nullptr, report);
      tasks.add(keepPart(kj::addRef(*result), *timeout, kj::mv(part)));
    } else {
      auto place = whole.placeBeside(first.number());
      result = launchIn(place, start, kj::mv(sinks), nullptr, report);
    }
  }
  tasks.add(keepRunning(kj::addRef(*result)));
  co_await setUp(*result, kj::mv(KJ_ASSERT_NONNULL(report)), process.arguments[0]);
  co_return kj::mv(result);
}

kj::Promise<kj::Own<Process>> Container::start(ProcessSinks sinks, InputMode input) {
  auto self = kj::addRef(*this);
  if (root == nullptr) fail(FailureCode::NOT_FOUND, spec.id, "the container was destroyed");
  if (started) fail(FailureCode::BUSY, spec.id, "the container was started before");
  started = true;
  try {
    co_return co_await launchFirst(kj::mv(spec.process), kj::mv(sinks), input);
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

kj::Maybe<Process&> Container::liveProcess() {
  KJ_IF_MAYBE (main, mainProcess) {
    if (!(*main)->hasEnded()) return **main;
  }
  return nullptr;
}

Process& Container::runningProcess() {
  KJ_IF_MAYBE (live, liveProcess()) {
    return *live;
  }
  fail(FailureCode::BUSY, spec.id, "the container does not run");
}

kj::Promise<kj::Own<Process>> Container::execute(ProcessSpec process, ProcessSinks sinks,
                                                 InputMode input) {
  return launchFurther(kj::mv(process), kj::mv(sinks), input, nullptr);
}

kj::Promise<kj::Own<Process>> Container::executeProgram(int program, ProcessSpec process,
                                                        ProcessSinks sinks, InputMode input) {
  return launchFurther(kj::mv(process), kj::mv(sinks), input, program);
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

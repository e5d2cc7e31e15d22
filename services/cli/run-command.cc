// SPDX-License-Identifier: Apache-2.0
#include "services/cli/run-command.h"

#include <unistd.h>

#include <kj/io.h>

#include "services/cli/process-session.h"
#include "services/cli/progress-display.h"
#include "services/cli/terminal.h"
#include "services/cli/texts.h"
#include "services/cli/zone-text.h"

namespace bulkhead {
namespace {

// How long a zoned that went away is waited for: 30 s in all.
constexpr uint kRestartTries = 150;
constexpr kj::Duration kRestartWait = 200 * kj::MILLISECONDS;

kj::StringPtr ptr(const std::string& text) { return kj::StringPtr(text.c_str(), text.size()); }

void fillEnvironment(schema::ProcessSpec::Builder process, const std::vector<std::string>& wanted) {
  kj::Vector<kj::String> entries;
  for (auto& text : wanted) {
    KJ_IF_MAYBE (entry, environmentEntry(ptr(text))) {
      entries.add(kj::mv(*entry));
    }
  }
  auto list = process.initEnvironment(countOf(entries));
  for (unsigned i = 0; i < list.size(); ++i) list.set(i, entries[i]);
}

schema::PullPolicy pullPolicyOf(const std::string& text) {
  if (text == "always") return schema::PullPolicy::ALWAYS;
  if (text == "never") return schema::PullPolicy::NEVER;
  return schema::PullPolicy::IF_ABSENT;
}

void fillSpec(schema::ZoneSpec::Builder spec, const LaunchOptions& options) {
  spec.setName(ptr(options.name));
  spec.setImage(ptr(options.image));
  spec.setPullPolicy(pullPolicyOf(options.pull));
  spec.setKernelImage(ptr(options.kernelImage));
  spec.setSystemImage(ptr(options.systemImage));
  setTexts(spec.initExtensionImages(countOf(options.extensionImages)), options.extensionImages);
  spec.setKernelOptions(ptr(options.kernelOptions));
  if (!options.memory.empty()) spec.setMemoryMiB(memoryMiBOf(ptr(options.memory)));
  if (options.vcpus > UINT16_MAX) fail(FailureCode::INVALID, "--vcpus", "is too large");
  spec.setVcpus(static_cast<uint16_t>(options.vcpus));
  if (options.pv) spec.setVirtualization(schema::Virtualization::PV);
  if (options.pvh) spec.setVirtualization(schema::Virtualization::PVH);
  if (options.network == "none") spec.setNetwork(schema::ZoneSpec::NetworkMode::NONE);
  spec.setHostname(ptr(options.hostname));
  auto process = spec.initProcess();
  setTexts(process.initArguments(countOf(options.command)), options.command);
  fillEnvironment(process, options.environment);
  process.setWorkingDirectory(ptr(options.workingDirectory));
  process.setUser(ptr(options.user));
  if (options.terminal) fillTerminalSize(process.initTerminal());
  setTexts(spec.initEntrypoint(countOf(options.entrypoint)), options.entrypoint);
  spec.setReadOnlyRoot(options.readOnly);
  fillContainer(spec, options.container);
  auto labels = spec.initLabels(countOf(options.labels));
  for (unsigned i = 0; i < labels.size(); ++i) {
    auto text = ptr(options.labels[i]);
    auto equals = text.findFirst('=').orDefault(text.size());
    labels[i].setKey(kj::str(text.slice(0, equals)));
    labels[i].setValue(equals < text.size() ? text.slice(equals + 1) : ""_kj);
  }
}

// One `run`: the zone, and how far it has come.
class Run {
 public:
  Run(CommandContext& context, const LaunchOptions& options)
      : context(context), options(options), attachment{options.input, options.terminal} {}

  int run() {
    kj::Maybe<kj::Exception> failed;
    kj::Maybe<int> interruptedBy;
    int code = kOwnFailure;
    try {
      code = execute();
    } catch (const Interrupted& interruption) {
      interruptedBy = interruption.signal;
    } catch (...) {
      failed = kj::getCaughtExceptionAsKj();
    }
    raw = nullptr;
    display.clear();
    if (options.timings && ready) printTimings();
    bool remove = !options.keep || interruptedBy != nullptr;
    if (remove && made) removeZone();
    KJ_IF_MAYBE (exception, failed) {
      kj::throwFatalException(kj::mv(*exception));
    }
    KJ_IF_MAYBE (signal, interruptedBy) {
      throw Interrupted{*signal};
    }
    return code;
  }

 private:
  CommandContext& context;
  const LaunchOptions& options;
  Attachment attachment;
  ProgressDisplay display;
  kj::Maybe<kj::Own<RawTerminal>> raw;
  schema::Zone::Client zone = nullptr;
  kj::String id;
  bool made = false;
  bool ready = false;

  int execute() {
    auto request = context.client.session().createZoneRequest();
    auto spec = request.initSpec();
    fillSpec(spec, options);
    spec.setDeferStart(true);
    spec.setRemoval(options.keep ? schema::ZoneSpec::Removal::MANUAL
                                 : schema::ZoneSpec::Removal::WHEN_EXITED);
    request.setProgress(display.sink());
    zone = context.wait(kj::Promise<CreateResponse>(request.send())).getZone();
    made = true;
    id = idOf(context.wait(infoOf(zone)).getInfo());
    context.wait(zone.whenReadyRequest().send().ignoreResult());
    ready = true;
    display.clear();
    if (attachment.terminal && attachment.input) raw = kj::heap<RawTerminal>();
    auto start = zone.startRequest();
    fillStdio(start.initStdio(), attachment);
    try {
      // A signal that arrives now stays pending, and then goes to the process.
      auto process = context.run(kj::Promise<StartResponse>(start.send())).getProcess();
      return context.run(followProcess(context, process, attachment));
    } catch (const kj::Exception& exception) {
      if (!isDisconnected(exception)) throw;
    }
    return waitThroughRestart();
  }

  // zoned went away while the workload ran, which goes on: the new zoned tells how it ends.
  int waitThroughRestart() {
    kj::StringPtr notice =
        "bulkhead: zoned restarted; the zone runs on, its further output is in its log only\n";
    kj::FdOutputStream(STDERR_FILENO).write(notice.begin(), notice.size());
    auto& timer = context.io.provider->getTimer();
    for (uint attempt = 1;; ++attempt) {
      try {
        return exitFromRecord();
      } catch (const kj::Exception& exception) {
        bool away = failureOf(exception).code == FailureCode::UNREACHABLE;
        if (!away || attempt == kRestartTries) throw;
      }
      context.wait(timer.afterDelay(kRestartWait));
    }
  }

  int exitFromRecord() {
    zone = context.client.findZone(id);
    if (context.wait(infoOf(zone)).getInfo().getState() == schema::ZoneInfo::State::READY) {
      fail(FailureCode::CANCELLED, options.image.c_str(),
           "zoned restarted before the container was started", "run it again");
    }
    auto ended = context.wait(kj::Promise<WaitResponse>(zone.waitRequest().send()));
    if (!ended.getInfo().hasExit()) {
      fail(ended.getInfo().getErrorCode(), options.image.c_str(), ended.getInfo().getError());
    }
    return exitCodeOf(ended.getInfo().getExit());
  }

  void removeZone() {
    // A further signal must not leave the zone behind: it is waited for without listening.
    try {
      zone.destroyRequest().send().ignoreResult().wait(context.io.waitScope);
    } catch (const kj::Exception& exception) {
      if (isDisconnected(exception)) return;
      printFailure(exception);
    }
  }

  void printTimings() {
    try {
      auto info = infoOf(zone).wait(context.io.waitScope);
      auto text = context.format == OutputFormat::json
                      ? kj::str(zoneJson(info.getInfo()).encode(), '\n')
                      : timingsText(info.getInfo());
      kj::FdOutputStream(STDERR_FILENO).write(text.begin(), text.size());
    } catch (const kj::Exception&) {
      // The zone is gone, and its times with it.
    }
  }

  using CreateResponse = capnp::Response<schema::Session::CreateZoneResults>;
  using StartResponse = capnp::Response<schema::Zone::StartResults>;
  using WaitResponse = capnp::Response<schema::Zone::WaitResults>;
  using InfoResponse = capnp::Response<schema::Zone::InfoResults>;

  static kj::Promise<InfoResponse> infoOf(schema::Zone::Client& of) {
    return of.infoRequest().send();
  }
};

}  // namespace

int runCommand(CommandContext& context, const LaunchOptions& options) {
  DescriptorGuard guard;
  return Run(context, options).run();
}

int launchCommand(CommandContext& context, const LaunchOptions& options) {
  ProgressDisplay display;
  auto request = context.client.session().createZoneRequest();
  auto spec = request.initSpec();
  fillSpec(spec, options);
  if (options.removeWhenExited) spec.setRemoval(schema::ZoneSpec::Removal::WHEN_EXITED);
  request.setProgress(display.sink());
  auto zone = request.send().getZone();
  auto described =
      options.noWait
          ? zone.infoRequest().send().then([](auto&& r) { return kj::mv(r); }).ignoreResult()
          : zone.whenReadyRequest().send().ignoreResult();
  try {
    context.wait(kj::mv(described));
  } catch (const Interrupted&) {
    zone.destroyRequest().send().ignoreResult().wait(context.io.waitScope);
    throw;
  } catch (const kj::Exception& exception) {
    // Nothing of a zone that failed is left but its record, which would keep the name.
    if (!isDisconnected(exception) && !options.keep) {
      zone.destroyRequest()
          .send()
          .ignoreResult()
          .catch_([](kj::Exception&&) {})
          .wait(context.io.waitScope);
    }
    throw;
  }
  display.clear();
  auto info = zone.infoRequest().send().wait(context.io.waitScope);
  if (context.format == OutputFormat::json) {
    context.print(zoneJson(info.getInfo()));
  } else {
    context.print(kj::str(printable(info.getInfo().getName()), '\n'));
  }
  if (options.timings) {
    auto text = timingsText(info.getInfo());
    kj::FdOutputStream(STDERR_FILENO).write(text.begin(), text.size());
  }
  return 0;
}

int execCommand(CommandContext& context, const ExecOptions& options) {
  DescriptorGuard guard;
  Attachment attachment{options.input, options.terminal};
  auto request = context.client.findZone(ptr(options.zone)).execRequest();
  auto spec = request.initSpec();
  setTexts(spec.initArguments(countOf(options.command)), options.command);
  fillEnvironment(spec, options.environment);
  spec.setWorkingDirectory(ptr(options.workingDirectory));
  spec.setUser(ptr(options.user));
  spec.setTimeoutMilliseconds(timeoutMillisecondsOf(ptr(options.timeout)));
  if (options.terminal) fillTerminalSize(spec.initTerminal());
  fillStdio(request.initStdio(), attachment);
  using Response = capnp::Response<schema::Zone::ExecResults>;
  kj::Maybe<kj::Own<RawTerminal>> raw;
  if (attachment.terminal && attachment.input) raw = kj::heap<RawTerminal>();
  auto process = context.run(kj::Promise<Response>(request.send())).getProcess();
  return context.run(followProcess(context, process, attachment));
}

uint32_t memoryMiBOf(kj::StringPtr text) {
  // A number alone is MiB here.
  bool number = text.size() > 0;
  for (char c : text) number = number && c >= '0' && c <= '9';
  auto mebibytes = bytesOf("--memory", number ? kj::str(text, "M") : kj::str(text)) >> 20;
  if (mebibytes == 0 || mebibytes > UINT32_MAX) {
    fail(FailureCode::INVALID, "--memory", kj::str("'", printable(text, 32), "' is no size"),
         "give MiB, or a number with M or G, such as 512M");
  }
  return static_cast<uint32_t>(mebibytes);
}

}  // namespace bulkhead

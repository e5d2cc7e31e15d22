// SPDX-License-Identifier: Apache-2.0
// bulkhead: the command. Here are the words it understands; what they do is in the other files.
#include <signal.h>

#include <CLI/CLI.hpp>

#include "services/cli/completion.h"
#include "services/cli/copy-command.h"
#include "services/cli/host-commands.h"
#include "services/cli/image-commands.h"
#include "services/cli/run-command.h"
#include "services/cli/zone-commands.h"

namespace bulkhead {
namespace {

using Action = std::function<int(CommandContext&)>;

// What parsing left over: the words that the command does not treat as options.
std::vector<std::string> restOf(const CLI::App& app, const char* missing) {
  auto rest = app.remaining();
  if (!rest.empty() && rest[0] == "--") rest.erase(rest.begin());
  if (rest.empty()) throw CLI::RequiredError(missing);
  if (rest[0].size() > 1 && rest[0][0] == '-') throw CLI::ExtrasError({rest[0]});
  // `exec ZONE -- COMMAND` is what people write who know kubectl.
  if (rest.size() > 1 && rest[1] == "--") rest.erase(rest.begin() + 1);
  return rest;
}

void addLaunchOptions(CLI::App& app, LaunchOptions& options) {
  app.add_option("--name", options.name, "name of the zone (made up when missing)");
  app.add_option("-m,--memory", options.memory, "memory in MiB, or with M or G (default 256M)");
  app.add_option("--vcpus", options.vcpus, "virtual CPUs, 1 to 64 (default 1)");
  auto* pv = app.add_flag("--pv", options.pv, "paravirtual zone");
  app.add_flag("--pvh", options.pvh, "hardware-assisted zone (the default where possible)")
      ->excludes(pv);
  app.add_option("--network", options.network, "default, or none")
      ->check(CLI::IsMember({"default", "none"}));
  app.add_option("-e,--env", options.environment, "KEY=value, or KEY to pass on one's own")
      ->allow_extra_args(false);
  app.add_option("-w,--workdir", options.workingDirectory, "working directory in the container");
  app.add_option("-u,--user", options.user, "user[:group], names or numbers");
  app.add_option("--entrypoint", options.entrypoint, "replaces the image's entry point")
      ->allow_extra_args(false);
  app.add_option("--hostname", options.hostname, "host name (default: the zone's name)");
  app.add_option("-l,--label", options.labels, "KEY=value kept with the zone")
      ->allow_extra_args(false);
  app.add_option("--pull", options.pull, "missing (default), always or never")
      ->check(CLI::IsMember({"missing", "always", "never"}));
  app.add_option("--kernel", options.kernelImage, "kernel image instead of the configured one");
  app.add_option("--system", options.systemImage, "system image instead of the configured one");
  app.add_option("--extension", options.extensionImages,
                 "image added to the system image, instead of the configured ones")
      ->allow_extra_args(false);
  app.add_option("--kernel-options", options.kernelOptions, "added to the kernel's command line");
  app.add_flag("--read-only", options.readOnly, "root file system read-only");
  addContainerOptions(app, options.container);
  app.add_flag("--timings", options.timings, "how long each step took, on standard error");
}

constexpr const char* kCopyHelp =
    "One side is ZONE:PATH, for a container that runs. A destination that is a directory gets the\n"
    "source below its own name; one that is not there becomes the source's copy, if the directory\n"
    "above it is there; a file is replaced by a file. SOURCE/. stands for what is in a directory.\n"
    "With - an archive (tar) is read from standard input and unpacked below the directory\n"
    "ZONE:PATH, or written to standard output.\n"
    "Modes and times are kept. Into a container owners are kept as numbers when root copies, else\n"
    "all is its root's. Out of one all is yours, and set-user-ID and set-group-ID bits, devices\n"
    "and named pipes are left out. Links are copied as links; nothing is written through one.\n"
    "Hard links become files of their own, extended attributes are not copied.\n"
    "Examples:\n  bulkhead zone cp ./conf web:/etc/app\n"
    "  bulkhead zone cp ./conf/. web:/etc/app\n"
    "  bulkhead zone cp web:/var/log/app ./logs\n"
    "  tar -c . | bulkhead zone cp - web:/srv\n"
    "  bulkhead zone cp web:/srv - | gzip > srv.tar.gz";

class Words {
 public:
  Words() {
    app.require_subcommand(1);
    app.fallthrough();
    app.name("bulkhead");
    addOutput(app);
    app.footer(
        "Exit codes: the container's own for run, zone exec and zone wait; 125 when "
        "Bulkhead failed,\n126 and 127 when the command cannot be run or found, 128+N for "
        "signal N.\n`bulkhead COMMAND --help` says more about a command.");
    addRun();
    addZone();
    addImages();
    addHost();
  }

  // Throws CLI::ParseError for words it does not understand.
  Action parse(int argc, char** argv) {
    app.parse(argc, argv);
    return action;
  }

  CLI::App app{"Bulkhead runs containers in zones: each with a kernel of its own, on Xen."};
  std::string output = "table";

 private:
  Action action;
  LaunchOptions launch;
  ExecOptions exec;
  LogsOptions logs;
  StopOptions stopped;
  CopyOptions copied;
  PullCommandOptions pull;
  PruneCommandOptions prune;
  ExportCommandOptions exported{{}, "-", {}};
  ImportCommandOptions imported;
  std::string name;
  std::vector<std::string> names;
  bool flag = false;

  // Everything after the first word that is no option belongs to the container, options included;
  // so parsing stops there and nothing is handed up to the words before.
  void takeRest(CLI::App& sub, const std::string& usage) {
    sub.prefix_command();
    sub.fallthrough(false);
    sub.usage(usage);
    addOutput(sub);
  }

  void addOutput(CLI::App& to) {
    to.add_option("-o,--output", output, "table (default) or json")
        ->check(CLI::IsMember({"table", "json"}));
  }

  CLI::App& add(CLI::App& to, const char* word, const char* help, Action what,
                const char* examples = "") {
    auto& sub = *to.add_subcommand(word, help);
    sub.footer(examples);
    sub.final_callback([this, what]() { action = what; });
    return sub;
  }

  // A word that takes zones, or one.
  void addForZones(CLI::App& to, const char* word, const char* help,
                   int (*command)(CommandContext&, const std::vector<std::string>&)) {
    add(to, word, help,
        [this, command](CommandContext& context) { return command(context, names); })
        .add_option("ZONE", names)
        ->required();
  }

  void addForZone(CLI::App& to, const char* word, const char* help,
                  int (*command)(CommandContext&, const std::string&)) {
    add(to, word, help, [this, command](CommandContext& context) { return command(context, name); })
        .add_option("ZONE", name)
        ->required();
  }

  void addRun() {
    auto& run = *app.add_subcommand("run", "run a container in a zone of its own");
    takeRest(run, "Usage: bulkhead run [OPTIONS] IMAGE [COMMAND ARGS...]");
    addLaunchOptions(run, launch);
    auto* rm =
        run.add_flag("--rm", launch.removeWhenExited, "remove the zone at the end (default)");
    run.add_flag("--keep", launch.keep, "keep the zone and its log at the end")->excludes(rm);
    run.add_flag("-i,--interactive", launch.input, "standard input goes to the container");
    run.add_flag("-t,--tty", launch.terminal, "give the container a terminal");
    run.footer(
        "Examples:\n"
        "  bulkhead run debian:13 uname -a\n"
        "  bulkhead run -it --memory 512M debian:13 bash\n"
        "  bulkhead run --read-only --tmpfs /tmp:size=64M --cap-drop ALL busybox true\n"
        "  bulkhead run --namespace user=own --ulimit nofile=1024 busybox id\n"
        "  echo hello | bulkhead run -i busybox cat");
    run.final_callback([this, &run]() {
      takeImage(run);
      action = [this](CommandContext& context) { return runCommand(context, launch); };
    });
  }

  void takeImage(CLI::App& from) {
    auto rest = restOf(from, "IMAGE");
    launch.image = rest[0];
    launch.command.assign(rest.begin() + 1, rest.end());
  }

  void addZone() {
    auto& zone =
        *app.add_subcommand("zone", "zones: launch, list, exec, logs, cp, stats, stop, destroy");
    zone.require_subcommand(1);

    auto& start = *zone.add_subcommand("launch", "launch a zone and leave it running");
    takeRest(start, "Usage: bulkhead zone launch [OPTIONS] IMAGE [COMMAND ARGS...]");
    addLaunchOptions(start, launch);
    start.add_flag("--rm", launch.removeWhenExited, "remove the zone when its container has ended");
    start.add_flag("--keep", launch.keep, "keep the record of a launch that failed");
    start.add_flag("--no-wait", launch.noWait, "do not wait until the zone is ready");
    start.footer("Example:\n  bulkhead zone launch --name web nginx");
    start.final_callback([this, &start]() {
      takeImage(start);
      action = [this](CommandContext& context) { return launchCommand(context, launch); };
    });

    auto& list = add(zone, "list", "list zones", [this](CommandContext& context) {
      return listZonesCommand(context, flag ? ListDetail::namesOnly : ListDetail::all);
    });
    list.add_flag("-q,--quiet", flag, "names only");

    auto& run = *zone.add_subcommand("exec", "run a further process in a zone");
    takeRest(run, "Usage: bulkhead zone exec [OPTIONS] ZONE COMMAND [ARGS...]");
    run.add_flag("-i,--interactive", exec.input, "standard input goes to the process");
    run.add_flag("-t,--tty", exec.terminal, "give the process a terminal");
    run.add_option("-e,--env", exec.environment, "KEY=value, or KEY to pass on one's own")
        ->allow_extra_args(false);
    run.add_option("-w,--workdir", exec.workingDirectory, "working directory");
    run.add_option("-u,--user", exec.user, "user[:group], names or numbers");
    run.add_option("--timeout", exec.timeout, "kill it, and all it started, when it runs longer");
    run.footer("Example:\n  bulkhead zone exec -it web sh");
    run.final_callback([this, &run]() {
      auto rest = restOf(run, "ZONE");
      if (rest.size() < 2) throw CLI::RequiredError("COMMAND");
      exec.zone = rest[0];
      exec.command.assign(rest.begin() + 1, rest.end());
      action = [this](CommandContext& context) { return execCommand(context, exec); };
    });

    auto& log = add(
        zone, "logs", "show what a zone's container wrote",
        [this](CommandContext& context) { return logsCommand(context, logs); },
        "TIME is 2026-01-02T03:04:05Z, or how long ago: 10m, 1h30m, 45s. A line counts as of when "
        "its\nfirst byte was read, by the zone's clock.\n"
        "Examples:\n  bulkhead zone logs -f --tail 20 web\n"
        "  bulkhead zone logs --since 1h30m --until 10m -t web");
    log.add_option("ZONE", logs.zone)->required();
    log.add_flag("-f,--follow", logs.follow, "go on until the container ends, or --until");
    log.add_option("--tail", logs.tail, "of the last so many lines");
    log.add_option("--since", logs.since, "lines of that time and later")->type_name("TIME");
    log.add_option("--until", logs.until, "lines of that time and earlier")->type_name("TIME");
    log.add_flag("-t,--timestamps", logs.timestamps, "when each line began, in front of it");

    auto& copy = add(
        zone, "cp", "copy files into a zone's container, or out of it",
        [this](CommandContext& context) { return copyCommand(context, copied); }, kCopyHelp);
    copy.add_option("SOURCE", copied.source, "PATH, ZONE:PATH or -")->required();
    copy.add_option("DESTINATION", copied.destination, "ZONE:PATH, PATH or -")->required();

    addForZones(zone, "destroy", "end zones and leave nothing of them", destroyCommand);
    auto& stop = add(
        zone, "stop", "end zones' containers: their stop signal, and SIGKILL after a while",
        [this](CommandContext& context) { return stopCommand(context, stopped); },
        "Example:\n  bulkhead zone stop --time 30 web db");
    stop.add_option("ZONE", stopped.zones)->required();
    stop.add_option("-t,--time", stopped.graceSeconds, "seconds until SIGKILL (default 10)");
    addForZones(zone, "pause", "let zones stand still", pauseCommand);
    addForZones(zone, "unpause", "let paused zones go on", unpauseCommand);
    add(
        zone, "stats", "show what zones use: processors, memory, disks, and what they wait for",
        [this](CommandContext& context) { return statsCommand(context, names); },
        "Examples:\n  bulkhead zone stats\n  bulkhead zone stats --output json web")
        .add_option("ZONE", names, "all that run when missing");
    addForZone(zone, "top", "show what runs in a zone", topCommand);
    addForZone(zone, "wait", "wait until a zone's container has ended; its exit code is ours",
               waitCommand);
    addForZone(zone, "info", "show one zone in all detail", zoneInfoCommand);
    auto& console =
        add(zone, "console", "show a zone's kernel messages", [this](CommandContext& context) {
          return consoleCommand(context, name, flag ? ConsoleReach::follow : ConsoleReach::history);
        });
    console.add_option("ZONE", name)->required();
    console.add_flag("-f,--follow", flag, "go on until the zone ends");
  }

  void addImages() {
    auto& image = *app.add_subcommand(
        "image", "images: pull, list, inspect, history, verify, export, import, remove, prune");
    image.require_subcommand(1);
    addPull(image);
    auto& list = add(
        image, "list", "list images",
        [this](CommandContext& context) {
          return listImagesCommand(context, flag ? ImageDetail::referencesOnly : ImageDetail::all);
        },
        "SHARED is what an image has in common with others; it is stored once.");
    list.add_flag("-q,--quiet", flag, "references only");
    add(
        image, "inspect", "show one image in all detail",
        [this](CommandContext& context) { return inspectImageCommand(context, name); },
        "Example:\n  bulkhead image inspect -o json debian:13")
        .add_option("IMAGE", name)
        ->required();
    add(
        image, "history", "show how an image was made, as it says itself",
        [this](CommandContext& context) { return imageHistoryCommand(context, name); },
        "Example:\n  bulkhead image history debian:13")
        .add_option("IMAGE", name)
        ->required();
    add(
        image, "verify", "read and hash all that is stored of images (default: of all of them)",
        [this](CommandContext& context) { return verifyImagesCommand(context, names); },
        "The exit code is 1 where something is damaged; the next pull brings it anew.\n"
        "Example:\n  bulkhead image verify debian:13")
        .add_option("IMAGE", names);
    addImageTransfer(image);
    add(
        image, "remove", "forget images (administrators)",
        [this](CommandContext& context) { return removeImagesCommand(context, names); },
        "What a zone runs on stays until that zone ends.\n"
        "Example:\n  bulkhead image remove debian:12 debian:11")
        .add_option("IMAGE", names)
        ->required();
    add(
        image, "prune", "remove images that have no name and no user (administrators)",
        [this](CommandContext& context) { return pruneImagesCommand(context, prune); },
        "Example:\n  bulkhead image prune --all")
        .add_flag("-a,--all", prune.all, "also those that have a name");
    add(image, "usage", "show what the images cost (administrators)", imageUsageCommand);
  }

  void addPull(CLI::App& image) {
    auto& get = add(
        image, "pull", "get an image from its registry",
        [this](CommandContext& context) { return pullCommand(context, pull); },
        "Examples:\n  bulkhead image pull debian:13\n"
        "  BULKHEAD_REGISTRY_PASSWORD=... bulkhead image pull --user me registry.example/app");
    get.add_option("IMAGE", pull.reference)->required();
    get.add_flag("--always", pull.always, "ask the registry even when the image is here");
    get.add_option("--user", pull.user, "user at the registry");
    get.add_option("--platform", pull.platform, "OS/ARCHITECTURE[/VARIANT] (default: this host's)");
  }

  void addImageTransfer(CLI::App& image) {
    auto& out = add(
        image, "export", "write an image as an OCI layout, bit for bit as it was pulled",
        [this](CommandContext& context) { return exportImageCommand(context, exported); },
        "Examples:\n  bulkhead image export debian:13 --file debian.tar\n"
        "  bulkhead image export debian:13 --directory debian-layout\n"
        "  bulkhead image export debian:13 | ssh other bulkhead image import - debian:13");
    out.add_option("IMAGE", exported.reference)->required();
    auto* directory = out.add_option("-d,--directory", exported.directory,
                                     "an empty directory, made where it is missing");
    out.add_option("-f,--file", exported.file, "a tar archive (default -: standard output)")
        ->excludes(directory);
    auto& in = add(
        image, "import", "take an image from an archive or a layout (administrators)",
        [this](CommandContext& context) { return importImageCommand(context, imported); },
        "SOURCE is a tar archive of an OCI layout or of `docker save`, a layout directory, or - "
        "for\n"
        "standard input.\n"
        "Examples:\n  bulkhead image import app.tar localhost/app:1\n"
        "  docker save app | bulkhead image import - localhost/app:1");
    in.add_option("SOURCE", imported.source)->required();
    in.add_option("IMAGE", imported.reference)->required();
  }

  void addHost() {
    auto& host = *app.add_subcommand("host", "this host: status");
    host.require_subcommand(1);
    add(host, "status", "the hypervisor and what it has left", hostStatusCommand);
    add(app, "version", "versions of the command and of zoned", versionCommand);
    auto& completion = *app.add_subcommand("completion", "print a completion script");
    completion.require_subcommand(1);
    add(completion, "bash", "for bash: source <(bulkhead completion bash)",
        [](CommandContext& context) {
          context.print(kBashCompletion);
          return 0;
        });
  }
};

// Ends as the signal would have ended us, so that a shell's loop stops as well.
[[noreturn]] void endBy(int number) {
  signal(number, SIG_DFL);
  sigset_t all;
  sigemptyset(&all);
  sigaddset(&all, number);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  raise(number);
  _exit(kSignalBase + number);
}

int mainOf(int argc, char** argv) {
  Words words;
  Action action;
  try {
    action = words.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return words.app.exit(error) == 0 ? 0 : kOwnFailure;
  }
  int interruptedBy = 0;
  try {
    CommandContext context;
    if (words.output == "json") context.format = OutputFormat::json;
    return action(context);
  } catch (const Interrupted& interruption) {
    interruptedBy = interruption.signal;
  } catch (...) {
    auto exception = kj::getCaughtExceptionAsKj();
    printFailure(exception);
    return exitCodeOf(failureOf(exception).code);
  }
  endBy(interruptedBy);
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) { return bulkhead::mainOf(argc, argv); }

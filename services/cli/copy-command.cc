// SPDX-License-Identifier: Apache-2.0
#include "services/cli/copy-command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/cli/archive-process.h"
#include "services/cli/terminal.h"
#include "services/runtime/files.h"
#include "services/runtime/pipe.h"
#include "services/tar/tree-pack.h"

namespace bulkhead {
namespace {

using MaybeFailure = kj::Maybe<kj::Exception>;

// The path without the slashes, and the "." behind them, that it ends with.
kj::StringPtr withoutEnd(kj::StringPtr path, kj::String& holder) {
  size_t end = path.size();
  for (;;) {
    if (end > 1 && path[end - 1] == '/') {
      --end;
    } else if (end > 2 && path[end - 1] == '.' && path[end - 2] == '/') {
      --end;
    } else {
      break;
    }
  }
  holder = kj::str(path.slice(0, end));
  return holder;
}

// The directory that the last part of a path lies in.
kj::String parentOf(kj::StringPtr path) {
  KJ_IF_MAYBE (slash, path.findLast('/')) {
    return kj::str(*slash == 0 ? "/"_kj.asArray() : path.slice(0, *slash));
  }
  return kj::str(".");
}

[[noreturn]] void failLocal(kj::StringPtr path, int error) {
  fail(error == ENOENT ? FailureCode::NOT_FOUND : FailureCode::INVALID, path, strerror(error));
}

// Of what is on this machine, links followed.
PathKind localKind(kj::StringPtr path) {
  struct stat info{};
  if (stat(path.cStr(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? PathKind::directory : PathKind::file;
  }
  if (errno != ENOENT) failLocal(path, errno);
  return PathKind::missing;
}

schema::Zone::Client zoneOf(CommandContext& context, const CopyEnd& end) {
  return context.client.findZone(end.zone);
}

kj::Promise<void> getFiles(CommandContext& context, const CopyEnd& from, kj::StringPtr path,
                           schema::File::Client archive) {
  auto request = zoneOf(context, from).getFilesRequest();
  request.setPath(path);
  request.setArchive(kj::mv(archive));
  return request.send().ignoreResult();
}

kj::Promise<void> putFiles(CommandContext& context, const CopyEnd& to, kj::StringPtr directory,
                           schema::File::Client archive) {
  auto request = zoneOf(context, to).putFilesRequest();
  request.setDirectory(directory);
  request.setArchive(kj::mv(archive));
  return request.send().ignoreResult();
}

// Asks for a directory as an archive of what is in it, and looks no further than whether one comes.
kj::Promise<PathKind> zoneKind(CommandContext& context, const CopyEnd& end) {
  auto pipe = makePipe();
  auto input = context.io.lowLevelProvider->wrapInputFd(
      kj::mv(pipe.read), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  auto path = kj::str(end.path, end.path.endsWith("/") ? "." : "/.");
  auto call = getFiles(context, end, path, makeFile(kj::mv(pipe.write)));
  kj::byte first[1];
  auto begun = input->tryRead(first, 1, 1).then([](size_t count) -> kj::Promise<void> {
    if (count == 0) return kj::NEVER_DONE;
    return kj::READY_NOW;
  });
  MaybeFailure failed;
  try {
    co_await call.exclusiveJoin(kj::mv(begun));
  } catch (...) {
    failed = kj::getCaughtExceptionAsKj();
  }
  KJ_IF_MAYBE (exception, failed) {
    if (isFailure(*exception, FailureCode::NOT_FOUND)) {
      // The zone itself may be what is not there.
      co_await zoneOf(context, end).infoRequest().send();
      co_return PathKind::missing;
    }
    if (isFailure(*exception, FailureCode::INVALID)) co_return PathKind::file;
    kj::throwFatalException(kj::mv(*exception));
  }
  co_return PathKind::directory;
}

kj::Promise<MaybeFailure> settled(kj::Promise<void> call) {
  return call
      .then([]() { return MaybeFailure(nullptr); },
            [](kj::Exception&& exception) { return MaybeFailure(kj::mv(exception)); })
      .eagerlyEvaluate(nullptr);
}

void intoZone(CommandContext& context, kj::StringPtr source, const CopyEnd& to) {
  // A link is copied as one, unless a slash follows it.
  struct stat info{};
  if (lstat(source.cStr(), &info) != 0) failLocal(source, errno);
  bool directory = S_ISDIR(info.st_mode);
  auto target = copyTarget(lastPart(source), to.path, context.wait(zoneKind(context, to)));
  if (target.kind == TopEntry::Kind::directory && !directory) {
    fail(FailureCode::INVALID, to.path, "there is no such directory in the container",
         "make it first, or name the file without a slash");
  }
  if (target.kind == TopEntry::Kind::noDirectory && directory) {
    fail(FailureCode::INVALID, to.path, "a directory cannot replace a file");
  }
  auto pipe = makePipe();
  auto owners = geteuid() == 0 ? PackOwners::kept : PackOwners::root;
  ArchiveProcess packer(context, kj::mv(pipe.write), ArchiveProcess::Stream::output,
                        [&]() { packTree(source, target.name, owners, STDOUT_FILENO); });
  auto call = settled(putFiles(context, to, target.directory, makeFile(kj::mv(pipe.read))));
  auto packed = packer.failure();
  auto consumer = context.wait(kj::mv(call));
  auto producer = context.wait(kj::mv(packed));
  throwCause(kj::mv(producer), kj::mv(consumer));
}

void outOfZone(CommandContext& context, const CopyEnd& from, kj::StringPtr destination) {
  auto name = lastPart(from.path);
  auto target = copyTarget(name, destination, localKind(destination));
  if (localKind(target.directory) != PathKind::directory) {
    fail(FailureCode::NOT_FOUND, target.directory, "there is no such directory");
  }
  auto pipe = makePipe();
  ArchiveProcess unpacker(context, kj::mv(pipe.read), ArchiveProcess::Stream::input, [&]() {
    confineTo(target.directory);
    unpackTree(STDIN_FILENO, target.directory, UnpackAs::caller,
               TopEntry{kj::mv(name), kj::mv(target.name), target.kind});
  });
  auto call = settled(getFiles(context, from, from.path, makeFile(kj::mv(pipe.write))));
  auto unpacked = unpacker.failure();
  auto producer = context.wait(kj::mv(call));
  auto consumer = context.wait(kj::mv(unpacked));
  throwCause(kj::mv(producer), kj::mv(consumer));
}

void streamIntoZone(CommandContext& context, const CopyEnd& to) {
  if (isatty(STDIN_FILENO) == 1) {
    fail(FailureCode::INVALID, "-", "no archive comes from a terminal",
         "lead a file or a pipe into standard input");
  }
  DescriptorGuard guard;
  context.wait(putFiles(context, to, to.path, shareFd(STDIN_FILENO)));
}

void streamOutOfZone(CommandContext& context, const CopyEnd& from) {
  if (isatty(STDOUT_FILENO) == 1) {
    fail(FailureCode::INVALID, "-", "an archive is nothing for a terminal",
         "lead the output into a file or a pipe");
  }
  DescriptorGuard guard;
  context.wait(getFiles(context, from, from.path, shareFd(STDOUT_FILENO)));
}

}  // namespace

CopyEnd parseCopyEnd(kj::StringPtr text) {
  CopyEnd end;
  if (text == "-") {
    end.kind = CopyEnd::Kind::stream;
    return end;
  }
  if (!text.startsWith("/") && !text.startsWith(".")) {
    KJ_IF_MAYBE (colon, text.findFirst(':')) {
      end.kind = CopyEnd::Kind::zone;
      end.zone = kj::str(text.slice(0, *colon));
      auto path = text.slice(*colon + 1);
      if (end.zone.size() == 0 || path.size() == 0) {
        fail(FailureCode::INVALID, text, "names no path in a zone", "write it as ZONE:PATH");
      }
      end.path = path.startsWith("/") ? kj::str(path) : kj::str("/", path);
      return end;
    }
  }
  if (text.size() == 0) fail(FailureCode::INVALID, "cp", "an empty path names nothing");
  end.path = kj::str(text);
  return end;
}

CopyTarget copyTarget(kj::StringPtr sourceName, kj::StringPtr destination, PathKind kind) {
  if (kind == PathKind::directory) {
    return {kj::str(destination), kj::str(sourceName), TopEntry::Kind::any};
  }
  kj::String holder;
  auto plain = withoutEnd(destination, holder);
  bool slash = plain.size() != destination.size();
  auto demanded = kind == PathKind::file ? TopEntry::Kind::noDirectory
                  : slash                ? TopEntry::Kind::directory
                                         : TopEntry::Kind::any;
  return {parentOf(plain), lastPart(plain), demanded};
}

int copyCommand(CommandContext& context, const CopyOptions& options) {
  using Kind = CopyEnd::Kind;
  auto from = parseCopyEnd(options.source.c_str());
  auto to = parseCopyEnd(options.destination.c_str());
  if ((from.kind == Kind::zone) == (to.kind == Kind::zone)) {
    fail(FailureCode::INVALID, "cp", "copies between a zone and this machine",
         "name one side as ZONE:PATH; to copy between zones, lead one command's - into another's");
  }
  if (from.kind == Kind::stream) {
    streamIntoZone(context, to);
  } else if (to.kind == Kind::stream) {
    streamOutOfZone(context, from);
  } else if (to.kind == Kind::zone) {
    intoZone(context, from.path, to);
  } else {
    outOfZone(context, from, to.path);
  }
  return 0;
}

}  // namespace bulkhead

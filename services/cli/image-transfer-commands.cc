// SPDX-License-Identifier: Apache-2.0
// `image export` and `image import`: what they open is opened with the user's own authority.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include "services/cli/image-commands.h"
#include "services/cli/image-text.h"
#include "services/cli/progress-display.h"
#include "services/client/image-layout.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

using ImportResponse = capnp::Response<schema::ImageKeeper::ImportArchiveResults>;
using FinishResponse = capnp::Response<schema::ImageImport::FinishResults>;
using InfoResponse = capnp::Response<schema::Image::InfoResults>;

[[noreturn]] void failFile(const std::string& path, int error) {
  fail(error == ENOENT ? FailureCode::NOT_FOUND : FailureCode::INVALID, path.c_str(),
       strerror(error));
}

// "registry/repository:tag@digest": the tag, or nothing.
kj::String tagOf(kj::StringPtr reference) {
  auto end = reference.findFirst('@').orDefault(reference.size());
  size_t begin = 0;
  for (size_t i = 0; i < end; ++i) {
    if (reference[i] == '/') begin = i;
  }
  for (size_t i = begin; i < end; ++i) {
    if (reference[i] == ':') return kj::str(reference.slice(i + 1, end));
  }
  return kj::String();
}

kj::AutoCloseFd makeEmptyDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) failFile(path, errno);
  int raw = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (raw < 0) failFile(path, errno);
  kj::AutoCloseFd directory(raw);
  DIR* stream = fdopendir(duplicate(directory).release());
  if (stream == nullptr) failFile(path, errno);
  KJ_DEFER(closedir(stream));
  while (dirent* entry = readdir(stream)) {
    if (entry->d_name[0] == '.') continue;
    fail(FailureCode::ALREADY_EXISTS, path.c_str(), "the directory is not empty",
         "name one that does not exist yet");
  }
  return directory;
}

kj::Promise<InfoResponse> importFrom(CommandContext& context, const ImportCommandOptions& options,
                                     int source, ProgressDisplay& display) {
  auto request =
      context.client.session().imageKeeperRequest().send().getKeeper().importArchiveRequest();
  request.setReference(options.reference.c_str());
  if (context.format == OutputFormat::json) display.mute();
  request.setProgress(display.sink());
  auto& provider = *context.io.lowLevelProvider;
  kj::Own<kj::AsyncOutputStream> output;
  kj::Maybe<schema::ImageImport::Client> work;
  {
    // The pipe ends for its reader when nobody holds this end any more, the answer included.
    auto response = co_await request.send();
    auto fd = co_await takeFd(response.getInput(), "archive");
    output = provider.wrapOutputFd(kj::mv(fd), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                   kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
    work = response.getWork();
  }
  auto finished = KJ_ASSERT_NONNULL(work).finishRequest().send();
  // Where the import fails the pipe breaks; what it failed with is the better error.
  co_await sendArchive(provider, source, kj::mv(output)).catch_([](kj::Exception&& e) {
    bool broken = isDisconnected(e);
    if (!broken) kj::throwFatalException(kj::mv(e));
  });
  auto image = co_await finished;
  co_return co_await image.getImage().infoRequest().send();
}

}  // namespace

int exportImageCommand(CommandContext& context, const ExportCommandOptions& options) {
  auto find = context.client.session().findImageRequest();
  find.setReference(options.reference.c_str());
  auto image = find.send().getImage();
  auto info = context.wait(kj::Promise<InfoResponse>(image.infoRequest().send()));
  auto tag = tagOf(info.getInfo().getReference());
  if (!options.directory.empty()) {
    auto directory = makeEmptyDirectory(options.directory);
    context.wait(writeLayoutDirectory(image, kj::mv(tag), directory));
    return 0;
  }
  if (options.file == "-") {
    if (isatty(STDOUT_FILENO) == 1) {
      fail(FailureCode::INVALID, "-", "an archive is nothing for a terminal",
           "name a file, or lead the output into a pipe");
    }
    context.wait(writeLayoutArchive(image, kj::mv(tag), STDOUT_FILENO));
    return 0;
  }
  int raw = open(options.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (raw < 0) failFile(options.file, errno);
  kj::AutoCloseFd file(raw);
  bool complete = false;
  KJ_DEFER(if (!complete) unlink(options.file.c_str()));
  context.wait(writeLayoutArchive(image, kj::mv(tag), file));
  complete = true;
  return 0;
}

int importImageCommand(CommandContext& context, const ImportCommandOptions& options) {
  kj::AutoCloseFd source;
  if (options.source == "-") {
    source = duplicate(STDIN_FILENO);
  } else {
    int raw = open(options.source.c_str(), O_RDONLY | O_CLOEXEC);
    if (raw < 0) failFile(options.source, errno);
    source = kj::AutoCloseFd(raw);
  }
  ProgressDisplay display(ProgressDisplay::Elsewhere::plainLines);
  auto response = context.wait(importFrom(context, options, source, display));
  display.clear();
  printImage(context, response.getInfo());
  return 0;
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/stdio.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"
#include "services/zoned/launch.h"
#include "services/zoned/spec.h"

namespace bulkhead {
namespace {

schema::ByteStream::Client writerFor(schema::Link::Client& link, kj::AutoCloseFd fd) {
  auto request = link.writerRequest();
  request.setFile(makeFile(kj::mv(fd)));
  return request.send().getStream();
}

// The streams of a process whose output goes to the given descriptors.
void fillStdio(schema::Stdio::Builder stdio, schema::Link::Client& link, StdioFds& fds) {
  KJ_IF_MAYBE (output, fds.output) {
    stdio.setStdout(writerFor(link, kj::mv(*output)));
  }
  KJ_IF_MAYBE (error, fds.error) {
    stdio.setStderr(writerFor(link, kj::mv(*error)));
  }
  stdio.setStdin(fds.input == nullptr ? schema::Stdio::StdinMode::CLOSED
                                      : schema::Stdio::StdinMode::PIPED);
}

// Lets the link process read the client's descriptor for as long as the process runs.
void feedInput(Zone& zone, schema::Link::Client link, schema::Process::Client process,
               StdioFds& fds) {
  KJ_IF_MAYBE (input, fds.input) {
    auto request = link.pumpRequest();
    request.setFile(makeFile(kj::mv(*input)));
    request.setInto(process.stdinRequest().send().getStream());
    // When the process has ended nobody reads any more: its end stops the pump. How the pump
    // itself ended is of no interest: the process sees the end of its input.
    auto ended = process.waitRequest().send().ignoreResult();
    auto pump = request.send().ignoreResult().exclusiveJoin(kj::mv(ended));
    zone.background.add(pump.catch_([](kj::Exception&&) {}));
  }
}

}  // namespace

kj::Promise<StdioFds> takeStdio(schema::StdioFiles::Reader files) {
  StdioFds fds;
  if (files.hasStdin()) fds.input = co_await takeFd(files.getStdin(), "stdin");
  if (files.hasStdout()) fds.output = co_await takeFd(files.getStdout(), "stdout");
  if (files.hasStderr()) fds.error = co_await takeFd(files.getStderr(), "stderr");
  co_return kj::mv(fds);
}

kj::Promise<void> startWithStdio(Zone& zone, StdioFds fds) {
  auto link = KJ_ASSERT_NONNULL(zone.holdings.link);
  capnp::MallocMessageBuilder message;
  auto stdio = message.initRoot<schema::Stdio>();
  fillStdio(stdio, link, fds);
  co_await startWorkload(zone, stdio.asReader());
  feedInput(zone, link, KJ_ASSERT_NONNULL(zone.holdings.process), fds);
}

kj::Promise<schema::Process::Client> execWithStdio(Zone& zone, schema::ProcessSpec::Reader spec,
                                                   StdioFds fds) {
  auto link = KJ_ASSERT_NONNULL(zone.holdings.link);
  auto request = KJ_ASSERT_NONNULL(zone.holdings.workload).execRequest();
  mergeExec(zone.record.spec().getProcess().asReader(), spec, request.initSpec());
  fillStdio(request.initStdio(), link, fds);
  auto response = co_await request.send();
  auto process = response.getProcess();
  feedInput(zone, kj::mv(link), process, fds);
  co_return process;
}

kj::Promise<void> logsToStdio(Zone& zone, schema::LogOptions::Reader options, StdioFds fds) {
  auto link = KJ_ASSERT_NONNULL(zone.holdings.link);
  auto request = KJ_ASSERT_NONNULL(zone.holdings.workload).logsRequest();
  request.setOptions(options);
  KJ_IF_MAYBE (output, fds.output) {
    request.setStdout(writerFor(link, kj::mv(*output)));
  }
  KJ_IF_MAYBE (error, fds.error) {
    request.setStderr(writerFor(link, kj::mv(*error)));
  }
  co_await request.send();
}

kj::Promise<void> putFilesFrom(Zone& zone, kj::StringPtr directory, kj::AutoCloseFd archive) {
  auto link = KJ_ASSERT_NONNULL(zone.holdings.link);
  auto request = KJ_ASSERT_NONNULL(zone.holdings.workload).putFilesRequest();
  request.setDirectory(directory);
  auto opened = co_await request.send();
  auto pump = link.pumpRequest();
  pump.setFile(makeFile(kj::mv(archive)));
  pump.setInto(opened.getArchive());
  co_await pump.send();
}

kj::Promise<void> getFilesTo(Zone& zone, kj::StringPtr path, kj::AutoCloseFd archive) {
  auto link = KJ_ASSERT_NONNULL(zone.holdings.link);
  auto request = KJ_ASSERT_NONNULL(zone.holdings.workload).getFilesRequest();
  request.setPath(path);
  request.setInto(writerFor(link, kj::mv(archive)));
  co_await request.send();
}

}  // namespace bulkhead

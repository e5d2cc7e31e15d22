// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>

#include "services/zoned/zone.h"

namespace bulkhead {

// A client's descriptors, as our own duplicates: they outlive the client's connection.
struct StdioFds {
  kj::Maybe<kj::AutoCloseFd> input;
  kj::Maybe<kj::AutoCloseFd> output;
  kj::Maybe<kj::AutoCloseFd> error;
};

kj::Promise<StdioFds> takeStdio(schema::StdioFiles::Reader files);

// Each of these hands the descriptors to the zone's link process, so that bytes pass between the
// client and the link and through nothing else. The zone must be linked (Zone::whenLinked).

// Starts the zone's workload; the zone is `running` when this resolves.
kj::Promise<void> startWithStdio(Zone& zone, StdioFds fds);

// Starts a further process in the workload.
kj::Promise<schema::Process::Client> execWithStdio(Zone& zone, schema::ProcessSpec::Reader spec,
                                                   StdioFds fds);

// Copies the workload's log; resolves at its end.
kj::Promise<void> logsToStdio(Zone& zone, schema::LogOptions::Reader options, StdioFds fds);

// Unpacks the archive that a client's descriptor holds below a directory of the container; resolves
// when all is in place. Fails with `busy` where the workload does not run.
kj::Promise<void> putFilesFrom(Zone& zone, kj::StringPtr directory, kj::AutoCloseFd archive);

// Packs a path of the container into a client's descriptor.
kj::Promise<void> getFilesTo(Zone& zone, kj::StringPtr path, kj::AutoCloseFd archive);

}  // namespace bulkhead

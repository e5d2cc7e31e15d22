// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

#include "hvd/domain-config.h"
#include "hvd/journal.capnp.h"
#include "hvd/worker.h"
#include "services/runtime/log.h"
#include "services/runtime/uuid.h"

namespace bulkhead::hvd {

struct JournalDisk {
  kj::String name;
  uint32_t device;
  kj::Maybe<uint32_t> loop;
};

// What is remembered of one domain (hvd/journal.capnp).
struct JournalRecord {
  using State = journal::Record::State;

  Uuid uuid;
  kj::String name;
  State state = State::CREATING;
  uint32_t domid = 0;
  bool pvh = false;
  uint32_t memoryMiB = 0;
  uint32_t maxMemoryMiB = 0;
  uint32_t vcpus = 0;
  uint32_t maxVcpus = 0;
  uint64_t consoleFrame = 0;
  uint32_t consolePort = 0;
  kj::Vector<VifConfig> vifs;
  kj::Vector<JournalDisk> disks;

  kj::String encode() const;

  // Throws for anything that `encode` did not write.
  static JournalRecord decode(kj::ArrayPtr<const char> json);
};

// The records in hvd's state directory. Writing is durable when its promise resolves, and blocks a
// thread of the journal's own. Acts on one record must not overlap.
class Journal {
 public:
  // Opens the directory and reads all records. A file that is not a whole record is logged, renamed
  // to *.bad and passed over. Starts its thread with the first write, hence after the sandbox.
  Journal(kj::StringPtr directory, Log& log);
  KJ_DISALLOW_COPY_AND_MOVE(Journal);

  // What was there at the start; once.
  kj::Vector<JournalRecord> takeRecords() { return kj::mv(records); }

  // The UUID of this installation, made at its first start.
  const Uuid& hostId() const { return host; }

  // Replaces the record of the same UUID.
  kj::Promise<void> write(const JournalRecord& record);
  kj::Promise<void> remove(const Uuid& uuid);

 private:
  kj::AutoCloseFd directory;
  Uuid host;
  kj::Vector<JournalRecord> records;
  kj::Own<Worker> worker;

  Worker& thread();
  void readAll(Log& log);
  void readHostId();
  void replace(kj::StringPtr file, kj::ArrayPtr<const char> content) const;
  void unlink(kj::StringPtr file) const;
};

}  // namespace bulkhead::hvd

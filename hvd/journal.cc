// SPDX-License-Identifier: Apache-2.0
#include "hvd/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr size_t kRecordLimit = 64u << 10;
constexpr kj::StringPtr kSuffix = ".json"_kj;
constexpr kj::StringPtr kHostIdFile = "host-id"_kj;

kj::String fileOf(const Uuid& uuid) { return kj::str(uuid, kSuffix); }

kj::AutoCloseFd openAt(int directory, kj::StringPtr name, int flags) {
  int fd;
  KJ_SYSCALL(fd = openat(directory, name.cStr(), flags | O_CLOEXEC | O_NOFOLLOW, 0600), name);
  return kj::AutoCloseFd(fd);
}

kj::String readFile(int directory, kj::StringPtr name) {
  auto fd = openAt(directory, name, O_RDONLY);
  auto buffer = kj::heapArray<char>(kRecordLimit + 1);
  size_t size = kj::FdInputStream(fd.get()).tryRead(buffer.begin(), buffer.size(), buffer.size());
  KJ_REQUIRE(size <= kRecordLimit, "a file of the journal is too large", name);
  return kj::heapString(buffer.begin(), size);
}

}  // namespace

kj::String JournalRecord::encode() const {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<journal::Record>();
  out.setUuid(uuid.text());
  out.setName(name);
  out.setState(state);
  out.setDomid(domid);
  out.setPvh(pvh);
  out.setMemoryMiB(memoryMiB);
  out.setMaxMemoryMiB(maxMemoryMiB);
  out.setVcpus(vcpus);
  out.setMaxVcpus(maxVcpus);
  out.setConsoleFrame(consoleFrame);
  out.setConsolePort(consolePort);
  auto outVifs = out.initVifs(static_cast<unsigned>(vifs.size()));
  for (unsigned i = 0; i < vifs.size(); ++i) {
    outVifs[i].setIndex(vifs[i].index);
    outVifs[i].setMac(vifs[i].mac);
    outVifs[i].setBackendDomain(vifs[i].backendDomain);
  }
  auto outDisks = out.initDisks(static_cast<unsigned>(disks.size()));
  for (unsigned i = 0; i < disks.size(); ++i) {
    outDisks[i].setName(disks[i].name);
    outDisks[i].setDevice(disks[i].device);
    outDisks[i].setLoop(-1);
    KJ_IF_MAYBE (loop, disks[i].loop) {
      outDisks[i].setLoop(static_cast<int32_t>(*loop));
    }
  }
  capnp::JsonCodec codec;
  codec.setPrettyPrint(true);
  return kj::str(codec.encode(out.asReader()), '\n');
}

JournalRecord JournalRecord::decode(kj::ArrayPtr<const char> json) {
  capnp::JsonCodec codec;
  codec.setRejectUnknownFields(true);
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<journal::Record>();
  codec.decode(json, root);
  auto in = root.asReader();
  JournalRecord record;
  record.uuid = KJ_REQUIRE_NONNULL(Uuid::parse(in.getUuid()), "not a UUID");
  record.name = kj::str(in.getName());
  record.state = in.getState();
  record.domid = in.getDomid();
  record.pvh = in.getPvh();
  record.memoryMiB = in.getMemoryMiB();
  record.maxMemoryMiB = in.getMaxMemoryMiB();
  record.vcpus = in.getVcpus();
  record.maxVcpus = in.getMaxVcpus();
  record.consoleFrame = in.getConsoleFrame();
  record.consolePort = in.getConsolePort();
  for (auto vif : in.getVifs()) {
    record.vifs.add(VifConfig{vif.getIndex(), kj::str(vif.getMac()), vif.getBackendDomain(), 0});
  }
  for (auto disk : in.getDisks()) {
    JournalDisk entry{kj::str(disk.getName()), disk.getDevice(), nullptr};
    if (disk.getLoop() >= 0) entry.loop = static_cast<uint32_t>(disk.getLoop());
    record.disks.add(kj::mv(entry));
  }
  return record;
}

Journal::Journal(kj::StringPtr path, Log& log) {
  int fd;
  KJ_SYSCALL(fd = open(path.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
  directory = kj::AutoCloseFd(fd);
  readHostId();
  readAll(log);
}

void Journal::readHostId() {
  if (faccessat(directory.get(), kHostIdFile.cStr(), F_OK, 0) != 0) {
    host = Uuid::random();
    replace(kHostIdFile, kj::str(host, '\n'));
    return;
  }
  auto text = readFile(directory.get(), kHostIdFile);
  KJ_REQUIRE(text.size() == 37 && text[36] == '\n', "host-id is not a UUID");
  text[36] = '\0';
  host = KJ_REQUIRE_NONNULL(Uuid::parse(text.cStr()), "host-id is not a UUID");
}

void Journal::readAll(Log& log) {
  int copy;
  KJ_SYSCALL(copy = openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* listing = fdopendir(copy);
  if (listing == nullptr) KJ_FAIL_SYSCALL("fdopendir", errno);
  KJ_DEFER(closedir(listing));
  kj::Vector<kj::String> names;
  while (auto* entry = readdir(listing)) {
    kj::StringPtr name(entry->d_name);
    if (name.endsWith(kSuffix)) names.add(kj::str(name));
  }
  for (auto& name : names) {
    try {
      auto record = JournalRecord::decode(readFile(directory.get(), name));
      KJ_REQUIRE(name == fileOf(record.uuid), "the record belongs to another file");
      records.add(kj::mv(record));
    } catch (...) {
      log.error(
          "a journal record is damaged and was set aside",
          {field("FILE", name), field("ERROR", kj::getCaughtExceptionAsKj().getDescription())});
      auto bad = kj::str(name, ".bad");
      KJ_SYSCALL(renameat(directory.get(), name.cStr(), directory.get(), bad.cStr()));
    }
  }
}

Worker& Journal::thread() {
  if (worker.get() == nullptr) worker = kj::heap<Worker>();
  return *worker;
}

kj::Promise<void> Journal::write(const JournalRecord& record) {
  return thread().run(
      [this, file = fileOf(record.uuid), content = record.encode()]() { replace(file, content); });
}

kj::Promise<void> Journal::remove(const Uuid& uuid) {
  return thread().run([this, file = fileOf(uuid)]() { unlink(file); });
}

void Journal::replace(kj::StringPtr file, kj::ArrayPtr<const char> content) const {
  auto temporary = kj::str(file, ".new");
  {
    auto fd = openAt(directory.get(), temporary, O_WRONLY | O_CREAT | O_TRUNC);
    kj::FdOutputStream(fd.get()).write(content.begin(), content.size());
    KJ_SYSCALL(fsync(fd.get()));
  }
  KJ_SYSCALL(renameat2(directory.get(), temporary.cStr(), directory.get(), file.cStr(), 0));
  KJ_SYSCALL(fsync(directory.get()));
}

void Journal::unlink(kj::StringPtr file) const {
  if (unlinkat(directory.get(), file.cStr(), 0) != 0 && errno != ENOENT) {
    KJ_FAIL_SYSCALL("unlinkat", errno, file);
  }
  KJ_SYSCALL(fsync(directory.get()));
}

}  // namespace bulkhead::hvd

// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/record.h"

#include <time.h>

#include <kj/debug.h>

namespace bulkhead {

ZoneExit ZoneExit::from(schema::ExitStatus::Reader status) {
  bool signalled = status.isSignal();
  // The agent is the zone's: numbers beyond what they can mean are cut, not believed.
  int32_t value = signalled ? status.getSignal() & 127 : status.getCode() & 255;
  return {signalled ? Kind::signal : Kind::code, value, status.getOutOfMemory(),
          printable(status.getReason(), 512)};
}

void ZoneExit::writeTo(schema::ExitStatus::Builder status) const {
  if (kind == Kind::signal) {
    status.setSignal(value);
  } else {
    status.setCode(value);
  }
  status.setOutOfMemory(outOfMemory);
  status.setReason(reason);
}

kj::StringPtr ZoneRecord::hostname() {
  kj::StringPtr wanted = spec().getHostname().asReader();
  return wanted.size() > 0 ? wanted : name.asPtr();
}

void ZoneRecord::writeTo(schema::ZoneInfo::Builder info) {
  info.setId(id.data());
  info.setName(name);
  info.setState(state);
  info.setOwner(owner);
  info.setImage(spec().getImage().asReader());
  info.setCreatedUnixNanoseconds(createdNanoseconds);
  info.setReadyUnixNanoseconds(readyNanoseconds);
  KJ_IF_MAYBE (status, exit) {
    status->writeTo(info.initExit());
  }
  KJ_IF_MAYBE (problem, failure) {
    info.setError(problem->describe());
    info.setErrorCode(problem->code);
  }
  info.setDomid(domid);
  info.setVirtualization(virtualization);
  info.setMemoryMiB(spec().getMemoryMiB());
  info.setVcpus(spec().getVcpus());
  auto addressList = info.initAddresses(static_cast<uint>(addresses.size()));
  for (uint i = 0; i < addressList.size(); ++i) addressList.set(i, addresses[i]);
  info.setKernelVersion(kernelVersion);
  auto phaseList = info.initPhases(static_cast<uint>(phases.size()));
  for (uint i = 0; i < phaseList.size(); ++i) {
    phaseList[i].setName(phases[i].name);
    phaseList[i].setNanoseconds(phases[i].nanoseconds);
  }
  info.setLabels(spec().getLabels().asReader());
  auto digests = info.initImageDigests(static_cast<uint>(imageDigests.size()));
  for (uint i = 0; i < digests.size(); ++i) digests.set(i, imageDigests[i]);
}

void ZoneRecord::readFrom(schema::ZoneInfo::Reader info) {
  KJ_IF_MAYBE (known, Uuid::from(info.getId())) {
    id = *known;
  } else {
    fail(FailureCode::CORRUPT, "zone store", "a record has no UUID");
  }
  name = kj::str(info.getName());
  owner = info.getOwner();
  state = info.getState();
  createdNanoseconds = info.getCreatedUnixNanoseconds();
  readyNanoseconds = info.getReadyUnixNanoseconds();
  if (info.hasExit()) exit = ZoneExit::from(info.getExit());
  domid = info.getDomid();
  virtualization = info.getVirtualization();
  for (kj::StringPtr address : info.getAddresses()) addresses.add(kj::str(address));
  kernelVersion = kj::str(info.getKernelVersion());
  for (kj::StringPtr digest : info.getImageDigests()) imageDigests.add(kj::str(digest));
  for (auto phase : info.getPhases()) {
    phases.add(Phase{kj::str(phase.getName()), phase.getNanoseconds()});
  }
}

uint64_t unixNanoseconds() {
  timespec now;
  KJ_SYSCALL(clock_gettime(CLOCK_REALTIME, &now));
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace bulkhead

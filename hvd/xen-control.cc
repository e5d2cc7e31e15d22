// SPDX-License-Identifier: Apache-2.0
#include "hvd/xen-control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cstddef>

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead::hvd {
namespace {

constexpr size_t kErrorTextLimit = 1024;
constexpr unsigned kListBatch = 256;

DomainFacts factsOf(const xc_domaininfo_t& info) {
  DomainFacts facts{};
  facts.domid = info.domain;
  static_assert(sizeof info.handle == sizeof facts.handle);
  memcpy(facts.handle, info.handle, sizeof facts.handle);
  facts.pvh = (info.flags & XEN_DOMINF_hvm_guest) != 0;
  facts.paused = (info.flags & XEN_DOMINF_paused) != 0;
  facts.dying = (info.flags & XEN_DOMINF_dying) != 0;
  if ((info.flags & XEN_DOMINF_shutdown) != 0) {
    facts.shutdownReason = (info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
  }
  facts.ownedKiB = info.tot_pages * 4;
  facts.maxKiB = info.max_pages * 4;
  facts.vcpus = info.nr_online_vcpus;
  facts.cpuNanoseconds = info.cpu_time;
  return facts;
}

}  // namespace

XenErrorLog::XenErrorLog() : base{{&XenErrorLog::message, nullptr, nullptr}, this} {}

kj::String XenErrorLog::take() {
  auto result = printable(text, kErrorTextLimit);
  text.clear();
  return result;
}

void XenErrorLog::message(xentoollog_logger* logger, xentoollog_level level, int error, const char*,
                          const char* format, va_list arguments) {
  if (level < XTL_ERROR) return;
  auto& self = *reinterpret_cast<Base*>(logger)->owner;
  if (self.text.size() >= kErrorTextLimit) return;
  char line[512];
  int length = vsnprintf(line, sizeof line, format, arguments);
  if (length < 0) return;
  if (!self.text.empty()) self.text.addAll("; "_kj);
  self.text.addAll(kj::StringPtr(line));
  if (error > 0) {
    char buffer[128];
    self.text.addAll(": "_kj);
    self.text.addAll(kj::StringPtr(strerror_r(error, buffer, sizeof buffer)));
  }
}

XenControl::XenControl()
    : handle(xc_interface_open(errors.logger(), errors.logger(), XC_OPENFLAG_NON_REENTRANT)) {
  if (handle == nullptr) {
    fail(FailureCode::DENIED, "hypervisor",
         kj::str("its device nodes cannot be opened: ", errors.take()),
         "run on a Xen host, as a member of the group of /dev/xen/privcmd");
  }
}

XenControl::~XenControl() noexcept(false) { xc_interface_close(handle); }

int XenControl::check(int result, kj::StringPtr what) {
  if (result >= 0) return result;
  int error = errno;
  char buffer[128];
  auto said = errors.take();
  auto text = kj::str(what, ": ", strerror_r(error, buffer, sizeof buffer),
                      said.size() > 0 ? " (" : "", said, said.size() > 0 ? ")" : "");
  if (error == ENOMEM) {
    fail(FailureCode::INSUFFICIENT_MEMORY, "host", text, "stop a zone or ask for less memory");
  }
  if (error == ENODATA || error == ENOSPC) fail(FailureCode::EXHAUSTED, "hypervisor", text);
  fail(FailureCode::INTERNAL, "hypervisor", text);
}

kj::Vector<DomainFacts> XenControl::domains() {
  kj::Vector<DomainFacts> result;
  auto batch = kj::heapArray<xc_domaininfo_t>(kListBatch);
  uint32_t first = 1;
  for (;;) {
    int count =
        check(xc_domain_getinfolist(handle, first, kListBatch, batch.begin()), "listing domains");
    for (auto& info : batch.slice(0, static_cast<size_t>(count))) {
      result.add(factsOf(info));
      first = info.domain + 1u;
    }
    if (static_cast<unsigned>(count) < kListBatch) return result;
  }
}

kj::Maybe<DomainFacts> XenControl::domain(uint32_t domid) {
  xc_domaininfo_t info;
  int count = check(xc_domain_getinfolist(handle, domid, 1, &info), "looking up a domain");
  if (count != 1 || info.domain != domid) return nullptr;
  return factsOf(info);
}

xc_physinfo_t XenControl::machine() {
  xc_physinfo_t info{};
  check(xc_physinfo(handle, &info), "asking for the machine's resources");
  return info;
}

void XenControl::pause(uint32_t domid) { check(xc_domain_pause(handle, domid), "pausing"); }

void XenControl::unpause(uint32_t domid) { check(xc_domain_unpause(handle, domid), "unpausing"); }

void XenControl::destroy(uint32_t domid) {
  int result = xc_domain_destroy(handle, domid);
  if (result < 0 && errno == ESRCH) {
    errors.take();
    return;
  }
  check(result, "destroying");
}

}  // namespace bulkhead::hvd

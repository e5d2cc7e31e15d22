// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/system-call-program.h"

#include <errno.h>
#include <linux/audit.h>
#include <stddef.h>
#include <string.h>

#include <kj/debug.h>
#include <kj/vector.h>

#include "sandbox-policies/seccomp-export.h"
#include "services/runtime/failure.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kNoSuchCall = SCMP_ACT_ERRNO(ENOSYS);

sock_filter statement(uint32_t code, uint32_t value) {
  return BPF_STMT(static_cast<uint16_t>(code), value);
}

sock_filter jump(uint32_t code, uint32_t value, uint8_t yes, uint8_t no) {
  return BPF_JUMP(static_cast<uint16_t>(code), value, yes, no);
}

// What runs before libseccomp's own instructions. A new C library tries a new call and goes on with
// an old one only after ENOSYS. Numbers of x32, which has a high bit set, are above as well.
void refuseYounger(kj::Vector<sock_filter>& program, uint32_t youngest) {
  program.add(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
  program.add(jump(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 2));
  program.add(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  program.add(jump(BPF_JMP | BPF_JGT | BPF_K, youngest, 0, 1));
  program.add(statement(BPF_RET | BPF_K, kNoSuchCall));
}

bool permits(uint32_t action) { return action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG; }

}  // namespace

SystemCallProgram::SystemCallProgram(uint32_t otherwiseParam)
    : context(seccomp_init(otherwiseParam)), otherwise(otherwiseParam) {
  KJ_REQUIRE(context != nullptr, "libseccomp cannot make a filter");
  policy::checkSeccomp(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, kNoSuchCall),
                       "an architecture's action");
}

SystemCallProgram::~SystemCallProgram() { seccomp_release(context); }

void SystemCallProgram::add(uint32_t action, kj::StringPtr name,
                            kj::ArrayPtr<const scmp_arg_cmp> conditions) {
  // Negative: none, or one that only other architectures have.
  int number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.cStr());
  if (number < 0) return;
  auto unsignedNumber = static_cast<uint32_t>(number);
  youngest = kj::max(youngest.orDefault(unsignedNumber), unsignedNumber);
  if (action == otherwise) return;
  int result = seccomp_rule_add_exact_array(
      context, action, number, static_cast<unsigned>(conditions.size()), conditions.begin());
  empty = false;
  if (result == 0) return;
  fail(FailureCode::INVALID, kSystemCallsSubject,
       result == -EEXIST
           ? kj::str("rules for ", name, " want different things of the same call")
           : kj::str("libseccomp refuses a rule for ", name, ": ", strerror(-result)));
}

kj::Array<sock_filter> SystemCallProgram::exported() {
  // Sorted into a binary tree: the cost of a call does not grow with its number.
  if (!empty)
    policy::checkSeccomp(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "sorting");
  return policy::exportFilter(context);
}

kj::Array<sock_filter> SystemCallProgram::finish() {
  kj::Vector<sock_filter> program;
  KJ_IF_MAYBE (number, youngest) {
    if (!permits(otherwise)) refuseYounger(program, *number);
  }
  program.addAll(exported());
  if (program.size() > BPF_MAXINSNS) {
    fail(FailureCode::INVALID, kSystemCallsSubject,
         kj::str("the filter is too long: ", program.size(), " instructions, and the kernel takes ",
                 BPF_MAXINSNS),
         "fewer rules with conditions make it shorter");
  }
  return program.releaseAsArray();
}

}  // namespace bulkhead::zone

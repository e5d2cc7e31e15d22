// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>
#include <seccomp.h>

#include <cstdint>

#include <kj/array.h>
#include <kj/string.h>

namespace bulkhead::zone {

// What failures of filters and their profiles name as their subject.
constexpr kj::StringPtr kSystemCallsSubject = "systemCalls"_kj;

// A seccomp(2) program for x86_64 under construction, with libseccomp. Actions are SCMP_ACT_*.
// Other architectures' calls are refused with ENOSYS: zone kernels run none of them.
class SystemCallProgram {
 public:
  // Calls without a rule get `otherwise`.
  explicit SystemCallProgram(uint32_t otherwise);
  ~SystemCallProgram();
  KJ_DISALLOW_COPY_AND_MOVE(SystemCallProgram);

  // A rule for calls of this name whose arguments meet all conditions, one for each argument at the
  // most. A call that x86_64 or libseccomp does not know is passed over, and so is a rule that says
  // what holds without it. A rule without conditions takes the place of all others for its call.
  // Fails with `invalid` for one that contradicts an earlier rule.
  void add(uint32_t action, kj::StringPtr name, kj::ArrayPtr<const scmp_arg_cmp> conditions = {});

  // The program. Where calls without a rule are refused, those younger than the youngest that was
  // named in a rule get ENOSYS, so that programs fall back to what older kernels have. Fails with
  // `invalid` for one of more instructions than the kernel takes.
  kj::Array<sock_filter> finish();

 private:
  scmp_filter_ctx context;
  uint32_t otherwise;
  kj::Maybe<uint32_t> youngest;  // highest number of a call that add() was told of
  bool empty = true;             // libseccomp has no rule

  kj::Array<sock_filter> exported();
};

}  // namespace bulkhead::zone

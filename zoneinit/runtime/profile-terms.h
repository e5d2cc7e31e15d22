// SPDX-License-Identifier: Apache-2.0
// The words of a profile and what they mean to seccomp(2). All fail with `invalid`, naming the
// field, for a word that is none.
#pragma once

#include <seccomp.h>

#include <cstdint>

#include <kj/common.h>
#include <kj/string.h>

#include "zoneinit/runtime/profile-json.h"

namespace bulkhead::zone {

// The error an object gives for its action: the number of the specification, or the name that some
// engines write besides, which counts where both are given.
kj::Maybe<uint16_t> readError(const ProfileValue& object, kj::StringPtr numberField,
                              kj::StringPtr nameField);

// SCMP_ACT_*, with the error where the action returns one; EPERM when none is given. Fails with
// `invalid` for an error with any other action, and with `unsupported` for SCMP_ACT_NOTIFY and
// SCMP_ACT_TRACE.
uint32_t readAction(const ProfileValue& field, kj::Maybe<uint16_t> error);

scmp_compare readOperator(const ProfileValue& field);

// Any that libseccomp knows.
void checkArchitecture(const ProfileValue& field);

// SECCOMP_FILTER_FLAG_*. Fails with `unsupported` for the one that belongs to SCMP_ACT_NOTIFY.
uint32_t readFlag(const ProfileValue& field);

}  // namespace bulkhead::zone

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace bulkhead::xentest {

// Runs a shell script; throws std::runtime_error with what it said when it fails.
void shell(const std::string& script);

// Unpacks the kernel image of an OCI layout with a single layer into `directory`, as
// kernel/image, kernel/boot.cpio and so on. Throws when the layout holds no kernel.
void extractKernel(const std::string& layout, const std::string& directory);

// Writes `directory`/initrd for the kernel unpacked there: static busybox, and `init`, a script of
// its shell, behind the modules the kernel needs first.
void makeBusyboxInitrd(const std::string& directory, const std::string& init);

// The kernel that the packages bring.
inline constexpr char kZoneKernelLayout[] = "/usr/lib/bulkhead/images/zone-kernel";

}  // namespace bulkhead::xentest

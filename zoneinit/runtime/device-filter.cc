// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/device-filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <iterator>

#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>

namespace bulkhead::zone {
namespace {

struct Device {
  int32_t type;
  int32_t major;
  int32_t minor;  // -1: any
  int32_t access;
};
constexpr int32_t kReadWrite = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// Documentation/admin-guide/devices.txt of the kernel; 136 to 143 are the pseudo-terminals.
constexpr Device character(int32_t major, int32_t minor) {
  return {BPF_DEVCG_DEV_CHAR, major, minor, kReadWrite};
}
constexpr Device kAllowed[] = {character(1, 3), character(1, 5),   character(1, 7),
                               character(1, 8), character(1, 9),   character(5, 0),
                               character(5, 2), character(136, -1)};

Device allowedBy(const DeviceSpec& spec) {
  return {spec.type == DeviceSpec::Type::block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR,
          static_cast<int32_t>(spec.major), static_cast<int32_t>(spec.minor),
          ((spec.access & kDeviceRead) != 0 ? BPF_DEVCG_ACC_READ : 0) |
              ((spec.access & kDeviceWrite) != 0 ? BPF_DEVCG_ACC_WRITE : 0)};
}

bpf_insn instruction(int code, uint8_t destination, uint8_t source, int offset, int32_t immediate) {
  bpf_insn result{};
  result.code = static_cast<uint8_t>(code);
  result.dst_reg = destination & 15;
  result.src_reg = source & 15;
  result.off = static_cast<int16_t>(offset);
  result.imm = immediate;
  return result;
}

bpf_insn load(uint8_t destination, size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, destination, BPF_REG_1, static_cast<int>(offset),
                     0);
}

bpf_insn skipUnless(uint8_t reg, int32_t value, int skip) {
  return instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, skip, value);
}

kj::Vector<bpf_insn> program(kj::ArrayPtr<const DeviceSpec> devices) {
  constexpr uint8_t kResult = BPF_REG_0, kType = BPF_REG_2, kMajor = BPF_REG_3, kMinor = BPF_REG_4,
                    kAccess = BPF_REG_5;
  kj::Vector<bpf_insn> code;
  auto answer = [&](int32_t verdict) {
    code.add(instruction(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, verdict));
    code.add(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  };
  code.add(load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  code.add(load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  code.add(load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  // Access in the upper half, type of device in the lower. Making a node is harmless: whether it
  // can be opened is decided when it is.
  code.add(instruction(BPF_ALU64 | BPF_MOV | BPF_X, kAccess, kType, 0, 0));
  code.add(instruction(BPF_ALU64 | BPF_RSH | BPF_K, kAccess, 0, 0, 16));
  code.add(skipUnless(kAccess, BPF_DEVCG_ACC_MKNOD, 2));
  answer(1);
  code.add(instruction(BPF_ALU64 | BPF_AND | BPF_K, kType, 0, 0, 0xffff));
  auto allow = [&](const Device& device) {
    bool any = device.minor < 0;
    code.add(skipUnless(kType, device.type, any ? 4 : 5));
    code.add(skipUnless(kMajor, device.major, any ? 3 : 4));
    if (!any) code.add(skipUnless(kMinor, device.minor, 3));
    // A bit of what is wanted that is not given.
    code.add(instruction(BPF_JMP | BPF_JSET | BPF_K, kAccess, 0, 2, ~device.access));
    answer(1);
  };
  for (auto& device : kAllowed) allow(device);
  for (auto& device : devices) allow(allowedBy(device));
  answer(0);
  return code;
}

}  // namespace

void attachDeviceFilter(int cgroup, kj::ArrayPtr<const DeviceSpec> devices) {
  auto code = program(devices);
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uintptr_t>(code.begin());
  load.insn_cnt = static_cast<uint32_t>(code.size());
  load.license = reinterpret_cast<uintptr_t>("Apache-2.0");
  int raw = static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
  KJ_REQUIRE(raw >= 0, "the kernel takes no device program", strerror(errno));
  kj::AutoCloseFd fd(raw);
  bpf_attr attach{};
  attach.target_fd = static_cast<uint32_t>(cgroup);
  attach.attach_bpf_fd = static_cast<uint32_t>(raw);
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  long result = syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach);
  KJ_REQUIRE(result == 0, "the kernel attaches no device program", strerror(errno));
}

}  // namespace bulkhead::zone

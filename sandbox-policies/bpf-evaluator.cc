// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/bpf-evaluator.h"

#include <kj/debug.h>

#include <cstring>
#include <span>

namespace bulkhead {
namespace {

// The state of one run: two registers and sixteen words of scratch memory.
class Machine {
 public:
  Machine(kj::ArrayPtr<const sock_filter> program, const seccomp_data& call)
      : program(program), call(call) {}

  uint32_t run() {
    for (size_t at = 0;;) {
      KJ_REQUIRE(at < program.size(), "the filter runs off its end", at);
      const auto& step = program[at];
      switch (BPF_CLASS(step.code)) {
        case BPF_RET:
          return returned(step);
        case BPF_JMP:
          // Jumps only go forward, so every run ends.
          at += 1 + size_t{distance(step)};
          break;
        default:
          execute(step);
          ++at;
      }
    }
  }

 private:
  kj::ArrayPtr<const sock_filter> program;
  const seccomp_data& call;
  uint32_t accumulator = 0;
  uint32_t index = 0;
  uint32_t scratch[BPF_MEMWORDS] = {};

  [[noreturn]] void unknown(const sock_filter& step) {
    KJ_FAIL_REQUIRE("not an instruction of a seccomp filter", step.code);
  }

  uint32_t returned(const sock_filter& step) {
    switch (step.code) {
      case BPF_RET | BPF_K:
        return step.k;
      case BPF_RET | BPF_A:
        return accumulator;
      default:
        unknown(step);
    }
  }

  void execute(const sock_filter& step) {
    switch (BPF_CLASS(step.code)) {
      case BPF_LD:
        accumulator = loaded(step);
        break;
      case BPF_LDX:
        index = loaded(step);
        break;
      case BPF_ST:
        word(step.k) = accumulator;
        break;
      case BPF_STX:
        word(step.k) = index;
        break;
      case BPF_ALU:
        accumulator = computed(step);
        break;
      case BPF_MISC:
        if (BPF_MISCOP(step.code) == BPF_TAX) {
          index = accumulator;
        } else {
          accumulator = index;
        }
        break;
      default:
        unknown(step);
    }
  }

  uint32_t loaded(const sock_filter& step) {
    switch (step.code & ~uint16_t{0x07}) {
      case BPF_W | BPF_ABS: {
        KJ_REQUIRE(step.k % 4 == 0 && step.k < sizeof(seccomp_data), "load out of bounds", step.k);
        uint32_t value;
        memcpy(&value, std::as_bytes(std::span(&call, 1)).subspan(step.k, sizeof value).data(),
               sizeof value);
        return value;
      }
      case BPF_W | BPF_IMM:
        return step.k;
      case BPF_W | BPF_MEM:
        return word(step.k);
      case BPF_W | BPF_LEN:
        return sizeof(seccomp_data);
      default:
        unknown(step);
    }
  }

  uint32_t& word(uint32_t position) {
    KJ_REQUIRE(position < BPF_MEMWORDS, "scratch memory out of bounds", position);
    return std::span(scratch)[position];
  }

  uint32_t operand(const sock_filter& step) { return BPF_SRC(step.code) == BPF_X ? index : step.k; }

  uint32_t computed(const sock_filter& step) {
    uint32_t right = operand(step);
    switch (BPF_OP(step.code)) {
      case BPF_ADD:
        return accumulator + right;
      case BPF_SUB:
        return accumulator - right;
      case BPF_MUL:
        return accumulator * right;
      case BPF_DIV:
        return right == 0 ? 0 : accumulator / right;
      case BPF_AND:
        return accumulator & right;
      case BPF_OR:
        return accumulator | right;
      case BPF_XOR:
        return accumulator ^ right;
      case BPF_LSH:
        return right > 31 ? 0 : accumulator << right;
      case BPF_RSH:
        return right > 31 ? 0 : accumulator >> right;
      case BPF_NEG:
        return 0 - accumulator;
      default:
        unknown(step);
    }
  }

  uint32_t distance(const sock_filter& step) {
    uint32_t right = operand(step);
    bool taken;
    switch (BPF_OP(step.code)) {
      case BPF_JA:
        return step.k;
      case BPF_JEQ:
        taken = accumulator == right;
        break;
      case BPF_JGT:
        taken = accumulator > right;
        break;
      case BPF_JGE:
        taken = accumulator >= right;
        break;
      case BPF_JSET:
        taken = (accumulator & right) != 0;
        break;
      default:
        unknown(step);
    }
    return taken ? step.jt : step.jf;
  }
};

}  // namespace

uint32_t evaluateFilter(kj::ArrayPtr<const sock_filter> program, const seccomp_data& call) {
  return Machine(program, call).run();
}

}  // namespace bulkhead

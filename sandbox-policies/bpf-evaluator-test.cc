// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/bpf-evaluator.h"

#include <kj/exception.h>

#include <gtest/gtest.h>

#include <cstddef>

namespace bulkhead {
namespace {

constexpr seccomp_data sample{.nr = 7,
                              .arch = 0xc000003e,
                              .instruction_pointer = 1,
                              .args = {0x1122334455667788, 2, 3, 4, 5, 6}};

TEST(BpfEvaluator, ReturnsConstantAndAccumulator) {
  const sock_filter constant[] = {BPF_STMT(BPF_RET | BPF_K, 42)};
  EXPECT_EQ(evaluateFilter(constant, sample), 42u);

  const sock_filter number[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                BPF_STMT(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(evaluateFilter(number, sample), 7u);
}

TEST(BpfEvaluator, LoadsBothHalvesOfAnArgument) {
  const sock_filter low[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
                             BPF_STMT(BPF_RET | BPF_A, 0)};
  const sock_filter high[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 4),
                              BPF_STMT(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(evaluateFilter(low, sample), 0x55667788u);
  EXPECT_EQ(evaluateFilter(high, sample), 0x11223344u);
}

struct AluCase {
  uint16_t operation;
  uint32_t left, right, result;
};

class BpfEvaluatorAlu : public testing::TestWithParam<AluCase> {};

TEST_P(BpfEvaluatorAlu, Computes) {
  const auto& c = GetParam();
  const auto code = static_cast<uint16_t>(BPF_ALU | c.operation | BPF_K);
  const sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_IMM, c.left),
                                 BPF_STMT(code, c.right), BPF_STMT(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(evaluateFilter(program, sample), c.result);
}

INSTANTIATE_TEST_SUITE_P(
    All, BpfEvaluatorAlu,
    testing::Values(AluCase{BPF_ADD, 0xffffffff, 2, 1}, AluCase{BPF_SUB, 1, 2, 0xffffffff},
                    AluCase{BPF_MUL, 6, 7, 42}, AluCase{BPF_DIV, 7, 2, 3},
                    AluCase{BPF_DIV, 7, 0, 0}, AluCase{BPF_AND, 6, 3, 2}, AluCase{BPF_OR, 6, 3, 7},
                    AluCase{BPF_XOR, 6, 3, 5}, AluCase{BPF_LSH, 1, 31, 0x80000000},
                    AluCase{BPF_LSH, 1, 32, 0}, AluCase{BPF_RSH, 8, 3, 1},
                    AluCase{BPF_RSH, 8, 33, 0}, AluCase{BPF_NEG, 1, 0, 0xffffffff}));

struct JumpCase {
  uint16_t operation;
  uint32_t left, right;
  uint32_t taken;
};

class BpfEvaluatorJump : public testing::TestWithParam<JumpCase> {};

TEST_P(BpfEvaluatorJump, TakesTheRightBranch) {
  const auto& c = GetParam();
  const auto code = static_cast<uint16_t>(BPF_JMP | c.operation | BPF_K);
  const sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_IMM, c.left),
                                 BPF_JUMP(code, c.right, 1, 0), BPF_STMT(BPF_RET | BPF_K, 0),
                                 BPF_STMT(BPF_RET | BPF_K, 1)};
  EXPECT_EQ(evaluateFilter(program, sample), c.taken);
}

INSTANTIATE_TEST_SUITE_P(All, BpfEvaluatorJump,
                         testing::Values(JumpCase{BPF_JEQ, 5, 5, 1}, JumpCase{BPF_JEQ, 5, 6, 0},
                                         JumpCase{BPF_JGT, 6, 5, 1}, JumpCase{BPF_JGT, 5, 5, 0},
                                         JumpCase{BPF_JGE, 5, 5, 1}, JumpCase{BPF_JGE, 4, 5, 0},
                                         JumpCase{BPF_JSET, 6, 2, 1}, JumpCase{BPF_JSET, 4, 2, 0}));

TEST(BpfEvaluator, KeepsScratchMemoryAndIndex) {
  const sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 9),
                                 BPF_STMT(BPF_ST, 3),
                                 BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
                                 BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 1),
                                 BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
                                 BPF_STMT(BPF_MISC | BPF_TAX, 0),
                                 BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 0),
                                 BPF_STMT(BPF_MISC | BPF_TXA, 0),
                                 BPF_STMT(BPF_RET | BPF_A, 0)};
  EXPECT_EQ(evaluateFilter(program, sample), 10u);
}

TEST(BpfEvaluator, RefusesWhatTheKernelWouldNotLoad) {
  const sock_filter noEnd[] = {BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 1)};
  const sock_filter farJump[] = {BPF_STMT(BPF_JMP | BPF_JA, 9), BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_filter farLoad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data)),
                                 BPF_STMT(BPF_RET | BPF_A, 0)};
  const sock_filter oddLoad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2),
                                 BPF_STMT(BPF_RET | BPF_A, 0)};
  const sock_filter byteLoad[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
                                  BPF_STMT(BPF_RET | BPF_A, 0)};
  const sock_filter farScratch[] = {BPF_STMT(BPF_ST, BPF_MEMWORDS), BPF_STMT(BPF_RET | BPF_K, 0)};
  EXPECT_THROW(evaluateFilter(noEnd, sample), kj::Exception);
  EXPECT_THROW(evaluateFilter(farJump, sample), kj::Exception);
  EXPECT_THROW(evaluateFilter(farLoad, sample), kj::Exception);
  EXPECT_THROW(evaluateFilter(oddLoad, sample), kj::Exception);
  EXPECT_THROW(evaluateFilter(byteLoad, sample), kj::Exception);
  EXPECT_THROW(evaluateFilter(farScratch, sample), kj::Exception);
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "sandbox-policies/policy-output.h"

#include <seccomp.h>

#include <cstring>

#include <kj/debug.h>

#include "sandbox-policies/seccomp-export.h"

#ifdef BULKHEAD_SANITIZED
// libseccomp forgets parts of its tree where one rule takes the place of another. The compiler runs
// for a moment; what matters to LeakSanitizer is the rest.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libseccomp.so"; }
#endif

namespace bulkhead::policy {
namespace {

// Owns a libseccomp filter under construction.
class Filter {
 public:
  explicit Filter(uint32_t defaultAction) : context(seccomp_init(defaultAction)) {
    KJ_REQUIRE(context != nullptr, "libseccomp cannot make a filter");
  }
  ~Filter() { seccomp_release(context); }
  KJ_DISALLOW_COPY_AND_MOVE(Filter);

  void set(scmp_filter_attr attribute, uint32_t value) {
    checkSeccomp(seccomp_attr_set(context, attribute, value), "an attribute");
  }

  void add(const Rule& rule) {
    uint32_t action = rule.error == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(rule.error);
    if (rule.clauses.size() == 0) {
      checkSeccomp(seccomp_rule_add_exact(context, action, rule.number, 0), rule.syscall);
    }
    for (const auto& clause : rule.clauses) {
      kj::Vector<scmp_arg_cmp> comparisons;
      for (const auto& condition : clause) {
        comparisons.add(
            scmp_arg_cmp{condition.argument, SCMP_CMP_MASKED_EQ, condition.mask, condition.value});
      }
      checkSeccomp(seccomp_rule_add_exact_array(context, action, rule.number,
                                                static_cast<unsigned>(comparisons.size()),
                                                comparisons.begin()),
                   rule.syscall);
    }
  }

  kj::Array<sock_filter> exportProgram() { return exportFilter(context); }

 private:
  scmp_filter_ctx context;
};

kj::String conditionText(const Condition& condition) {
  return kj::str("{", condition.argument, ", 0x", kj::hex(condition.mask), ", 0x",
                 kj::hex(condition.value), "}");
}

// The clauses of rule `index`, as the constants rule<index>Clause<n> and rule<index>Clauses.
kj::String clausesText(size_t index, const Rule& rule) {
  kj::Vector<kj::String> lines;
  kj::Vector<kj::String> names;
  for (size_t i = 0; i < rule.clauses.size(); ++i) {
    auto conditions = kj::strArray(KJ_MAP(c, rule.clauses[i]) { return conditionText(c); }, ", ");
    auto name = kj::str("rule", index, "Clause", i);
    lines.add(kj::str("constexpr PolicyCondition ", name, "[] = {", conditions, "};\n"));
    names.add(kj::str("{", name, "}"));
  }
  if (names.size() == 0) return kj::String();
  return kj::str(kj::strArray(lines, ""), "constexpr PolicyClause rule", index, "Clauses[] = {",
                 kj::strArray(names, ", "), "};\n");
}

kj::String ruleText(size_t index, const Rule& rule) {
  auto clauses = rule.clauses.size() == 0 ? kj::str("nullptr") : kj::str("rule", index, "Clauses");
  return kj::str("    {", rule.number, ", \"", rule.syscall, "\", \"", rule.file, "\", ", rule.line,
                 ", ", rule.error, ", ", clauses, "},\n");
}

kj::String instructionText(const sock_filter& instruction) {
  return kj::str("    {0x", kj::hex(instruction.code), ", ", instruction.jt, ", ", instruction.jf,
                 ", 0x", kj::hex(instruction.k), "},\n");
}

}  // namespace

kj::Array<sock_filter> buildProgram(const Policy& policy, DefaultAction action) {
  Filter filter(action == DefaultAction::trap ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
  filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // Sorted into a binary tree: the cost of a call does not grow with its number.
  filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const auto& rule : policy.rules) filter.add(rule);
  return filter.exportProgram();
}

kj::String identifierFor(kj::StringPtr process) {
  auto identifier = kj::str(process, "_policy");
  for (char& c : identifier) {
    if (c == '-') c = '_';
  }
  return identifier;
}

kj::String headerText(kj::StringPtr process) {
  return kj::str("// Made by policy-compiler from ", process,
                 ".policy.\n"
                 "#pragma once\n\n"
                 "#include \"sandbox-policies/seccomp-policy.h\"\n\n"
                 "namespace bulkhead {\n\n"
                 "extern const SeccompPolicy ",
                 identifierFor(process),
                 ";\n\n"
                 "}  // namespace bulkhead\n");
}

kj::String sourceText(kj::StringPtr process, const Policy& policy,
                      kj::ArrayPtr<const sock_filter> program) {
  kj::Vector<kj::String> clauses;
  kj::Vector<kj::String> rules;
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    clauses.add(clausesText(i, policy.rules[i]));
    rules.add(ruleText(i, policy.rules[i]));
  }
  auto instructions = KJ_MAP(instruction, program) { return instructionText(instruction); };
  return kj::str(
      "// Made by policy-compiler from ", process,
      ".policy.\n"
      "#include \"sandbox-policies/",
      process,
      "-policy.h\"\n\n"
      "namespace bulkhead {\nnamespace {\n\n",
      kj::strArray(clauses, ""), "\nconstexpr PolicyRule rules[] = {\n", kj::strArray(rules, ""),
      "};\n\nconstexpr sock_filter program[] = {\n", kj::strArray(instructions, ""),
      "};\n\n}  // namespace\n\n"
      "constinit const SeccompPolicy ",
      identifierFor(process), "{\"", process, "\", program, rules};\n\n}  // namespace bulkhead\n");
}

}  // namespace bulkhead::policy

// SPDX-License-Identifier: Apache-2.0
// policy-compiler: one process's policy text into a C++ header and source, at build time.
#include "sandbox-policies/policy-output.h"

#include <kj/filesystem.h>
#include <kj/main.h>

namespace bulkhead::policy {
namespace {

class CompilerMain {
 public:
  explicit CompilerMain(kj::ProcessContext& context) : context(context) {}

  kj::MainFunc getMain() {
    return kj::MainBuilder(context, "Bulkhead policy-compiler",
                           "Compiles PROCESS.policy and what it includes into PROCESS-policy.h, "
                           "PROCESS-policy.cc and a dependency file in the output directory.")
        .addOptionWithArg({'o', "output"}, KJ_BIND_METHOD(*this, setOutput), "DIRECTORY",
                          "Where the files are written (the current directory).")
        .addOptionWithArg({'I', "include"}, KJ_BIND_METHOD(*this, setIncludes), "DIRECTORY",
                          "Where included files are looked for if not beside FILE.")
        .addOption({"trap"}, KJ_BIND_METHOD(*this, setTrap),
                   "Unknown calls raise SIGSYS, which the crash guard explains. Never ship it.")
        .expectArg("FILE", KJ_BIND_METHOD(*this, compile))
        .build();
  }

 private:
  kj::ProcessContext& context;
  kj::Own<kj::Filesystem> filesystem = kj::newDiskFilesystem();
  kj::Path output = filesystem->getCurrentPath().clone();
  kj::Maybe<kj::Path> includes;
  DefaultAction action = DefaultAction::killProcess;

  kj::MainBuilder::Validity setOutput(kj::StringPtr directory) {
    output = filesystem->getCurrentPath().evalNative(directory);
    return true;
  }

  kj::MainBuilder::Validity setIncludes(kj::StringPtr directory) {
    includes = filesystem->getCurrentPath().evalNative(directory);
    return true;
  }

  kj::MainBuilder::Validity setTrap() {
    action = DefaultAction::trap;
    return true;
  }

  kj::MainBuilder::Validity compile(kj::StringPtr argument) {
    auto path = filesystem->getCurrentPath().evalNative(argument);
    auto folder = path.parent().clone();
    auto name = kj::str(path.basename()[0]);
    if (!name.endsWith(".policy")) return kj::str("a policy file ends in .policy");
    auto process = kj::heapString(name.asArray().slice(0, name.size() - strlen(".policy")));

    kj::Vector<kj::String> read;
    FileSource source = [&](kj::StringPtr file) -> kj::Maybe<kj::String> {
      if (file.findFirst('/') != nullptr) return nullptr;
      auto found = readFrom(folder, file, read);
      if (found != nullptr) return found;
      KJ_IF_MAYBE (directory, includes) return readFrom(*directory, file, read);
      return nullptr;
    };
    Complaints complaints;
    auto policy = readPolicy(name, source, complaints);
    if (!complaints.empty()) {
      for (const auto& complaint : complaints.all()) {
        context.error(complaint);
      }
      return true;
    }

    auto program = buildProgram(policy, action);
    auto generated = kj::str(process, "-policy.cc");
    write(kj::str(process, "-policy.h"), headerText(process));
    write(generated, sourceText(process, policy, program));
    write(kj::str(process, "-policy.d"), kj::str(output.append(generated).toNativeString(true),
                                                 ": ", kj::strArray(read, " "), "\n"));
    return true;
  }

  // Reads a file of `directory` and notes it for the dependency file.
  kj::Maybe<kj::String> readFrom(kj::PathPtr directory, kj::StringPtr file,
                                 kj::Vector<kj::String>& read) {
    auto path = directory.append(file);
    KJ_IF_MAYBE (opened, filesystem->getRoot().tryOpenFile(path)) {
      read.add(path.toNativeString(true));
      return (*opened)->readAllText();
    }
    return nullptr;
  }

  void write(kj::StringPtr name, kj::StringPtr text) {
    filesystem->getRoot()
        .openFile(output.append(name),
                  kj::WriteMode::CREATE | kj::WriteMode::MODIFY | kj::WriteMode::CREATE_PARENT)
        ->writeAll(text);
  }
};

}  // namespace
}  // namespace bulkhead::policy

KJ_MAIN(bulkhead::policy::CompilerMain)

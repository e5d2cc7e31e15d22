// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/spec.h"

#include <string.h>

#include "services/runtime/failure.h"
#include "services/zoned/names.h"
#include "zoneinit/runtime/spec.h"

namespace bulkhead {
namespace {

constexpr size_t kMaxReference = 1024;
constexpr uint kMostExtensions = 16;
constexpr size_t kMaxKernelOptions = 512;
constexpr size_t kMaxPath = 4095;
constexpr size_t kMaxArguments = 4096;
constexpr size_t kMaxArgumentBytes = 1u << 20;
constexpr size_t kMaxLabels = 64;
constexpr size_t kMaxLabelBytes = 4096;
constexpr uint16_t kMaxTerminal = 10000;
constexpr int64_t kMostUser = 0x7ffffffe;

[[noreturn]] void invalid(kj::StringPtr field, kj::StringPtr message, kj::StringPtr hint = "") {
  fail(FailureCode::INVALID, field, message, hint);
}

bool isPrintableAscii(kj::StringPtr text) {
  for (char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

void checkReference(kj::StringPtr field, kj::StringPtr text) {
  if (text.size() > kMaxReference) invalid(field, "is longer than 1024 bytes");
  if (!isPrintableAscii(text) || text.findFirst(' ') != nullptr) {
    invalid(field, "holds characters that no image reference has");
  }
}

void checkText(kj::StringPtr field, kj::StringPtr text, size_t limit) {
  if (text.size() > limit) invalid(field, kj::str("is longer than ", limit, " bytes"));
  if (memchr(text.begin(), 0, text.size()) != nullptr) invalid(field, "holds a zero byte");
}

size_t checkTexts(kj::StringPtr field, capnp::List<capnp::Text>::Reader texts) {
  if (texts.size() > kMaxArguments) invalid(field, "has more than 4096 entries");
  size_t bytes = 0;
  for (kj::StringPtr text : texts) {
    checkText(field, text, kMaxArgumentBytes);
    bytes += text.size() + 1;
  }
  if (bytes > kMaxArgumentBytes) invalid(field, "is longer than 1 MiB in all");
  return bytes;
}

// A number is a number of a user, in range, or an error; it never becomes a name.
void checkUserPart(kj::StringPtr part) {
  if (part.size() == 0 || part.size() > 255) invalid("user", "has an empty or too long part");
  if (!isPrintableAscii(part)) invalid("user", "holds characters that no user name has");
  if (part[0] != '-' && part[0] != '+' && (part[0] < '0' || part[0] > '9')) return;
  bool digitsOnly = true;
  for (char c : part) digitsOnly = digitsOnly && c >= '0' && c <= '9';
  if (digitsOnly) {
    KJ_IF_MAYBE (number, part.tryParseAs<int64_t>()) {
      if (*number <= kMostUser) return;
    }
  }
  invalid("user", "is not a number from 0 to 2147483646");
}

void checkUser(kj::StringPtr user) {
  if (user.size() == 0) return;
  KJ_IF_MAYBE (colon, user.findFirst(':')) {
    checkUserPart(kj::str(user.slice(0, *colon)));
    checkUserPart(user.slice(*colon + 1));
  } else {
    checkUserPart(user);
  }
}

void checkLabels(capnp::List<schema::KeyValue>::Reader labels) {
  if (labels.size() > kMaxLabels) invalid("labels", "there are more than 64");
  for (auto label : labels) {
    kj::StringPtr key = label.getKey();
    if (key.size() == 0 || key.size() > 128 || !isPrintableAscii(key)) {
      invalid("labels", "a key is empty, too long or not printable");
    }
    checkText("labels", label.getValue(), kMaxLabelBytes);
  }
}

template <typename Enum>
void checkEnum(kj::StringPtr field, Enum value, Enum last) {
  if (static_cast<uint16_t>(value) > static_cast<uint16_t>(last)) {
    invalid(field, "has a value that this version does not know");
  }
}

kj::ArrayPtr<const char> keyOf(kj::StringPtr variable) {
  KJ_IF_MAYBE (equals, variable.findFirst('=')) {
    return variable.slice(0, *equals);
  }
  return variable;
}

// An environment in which a later value of a key takes the place of an earlier one.
class Environment {
 public:
  void set(kj::StringPtr variable) {
    auto key = keyOf(variable);
    for (auto& entry : entries) {
      if (keyOf(entry) == key) {
        entry = kj::str(variable);
        return;
      }
    }
    entries.add(kj::str(variable));
  }

  void setIfAbsent(kj::StringPtr variable) {
    auto key = keyOf(variable);
    for (auto& entry : entries) {
      if (keyOf(entry) == key) return;
    }
    entries.add(kj::str(variable));
  }

  void writeTo(schema::ProcessSpec::Builder process) const {
    auto list = process.initEnvironment(static_cast<uint>(entries.size()));
    for (uint i = 0; i < list.size(); ++i) list.set(i, entries[i]);
  }

 private:
  kj::Vector<kj::String> entries;
};

void writeTexts(kj::ArrayPtr<const kj::StringPtr> texts, capnp::List<capnp::Text>::Builder out) {
  for (uint i = 0; i < out.size(); ++i) out.set(i, texts[i]);
}

void append(kj::Vector<kj::StringPtr>& to, capnp::List<capnp::Text>::Reader from) {
  for (kj::StringPtr text : from) to.add(text);
}

// What a process may do and use, as opposed to what it is.
void copyAuthority(schema::ProcessSpec::Reader from, schema::ProcessSpec::Builder to) {
  to.setCapabilities(from.getCapabilities());
  to.setAdditionalGroups(from.getAdditionalGroups());
  to.setPrivileges(from.getPrivileges());
  to.setLimits(from.getLimits());
  to.setOomScoreAdjust(from.getOomScoreAdjust());
  to.setAppArmorProfile(from.getAppArmorProfile());
  if (from.getUmask().isBits()) to.getUmask().setBits(from.getUmask().getBits());
}

}  // namespace

void checkProcess(schema::ProcessSpec::Reader process) {
  checkTexts("arguments", process.getArguments());
  checkTexts("environment", process.getEnvironment());
  for (kj::StringPtr variable : process.getEnvironment()) {
    auto equals = variable.findFirst('=');
    if (equals.orDefault(0) == 0) {
      invalid("environment", kj::str(printable(variable, 64), " is not of the form KEY=value"));
    }
  }
  kj::StringPtr directory = process.getWorkingDirectory();
  checkText("workingDirectory", directory, kMaxPath);
  if (directory.size() > 0 && directory[0] != '/') {
    invalid("workingDirectory", "is not an absolute path");
  }
  checkUser(process.getUser());
  auto terminal = process.getTerminal();
  if ((terminal.getRows() == 0) != (terminal.getColumns() == 0) ||
      terminal.getRows() > kMaxTerminal || terminal.getColumns() > kMaxTerminal) {
    invalid("terminal", "is not a size from 1x1 to 10000x10000");
  }
  zone::readAuthority(process);
}

void normalizeSpec(schema::ZoneSpec::Reader spec, const ZonedConfig& config,
                   schema::ZoneSpec::Builder normal) {
  kj::StringPtr name = spec.getName();
  if (name.size() > 0 && !isValidName(name)) {
    invalid("name", kj::str("'", printable(name, 80), "' does not name a zone"),
            "use a-z, 0-9 and '-', 63 characters at most, not '-' first");
  }
  kj::StringPtr hostname = spec.getHostname();
  if (hostname.size() > 0 && !isValidName(hostname)) {
    invalid("hostname", kj::str("'", printable(hostname, 80), "' is not a host name"),
            "use a-z, 0-9 and '-', 63 characters at most, not '-' first");
  }
  if (spec.getImage().size() == 0) invalid("image", "is missing");
  checkReference("image", spec.getImage());
  checkReference("kernelImage", spec.getKernelImage());
  checkReference("systemImage", spec.getSystemImage());
  auto extensions = spec.getExtensionImages();
  if (extensions.size() > kMostExtensions) {
    invalid("extensionImages", kj::str("are more than ", kMostExtensions));
  }
  for (auto extension : extensions) {
    if (extension.size() == 0) invalid("extensionImages", "holds an empty name");
    checkReference("extensionImages", extension);
  }
  checkEnum("pullPolicy", spec.getPullPolicy(), schema::PullPolicy::NEVER);
  checkEnum("virtualization", spec.getVirtualization(), schema::Virtualization::PVH);
  checkEnum("network", spec.getNetwork(), schema::ZoneSpec::NetworkMode::NONE);
  checkEnum("removal", spec.getRemoval(), schema::ZoneSpec::Removal::WHEN_EXITED);
  if (spec.getKernelOptions().size() > kMaxKernelOptions ||
      !isPrintableAscii(spec.getKernelOptions())) {
    invalid("kernelOptions", "is longer than 512 bytes or not printable ASCII");
  }
  uint32_t memory = spec.getMemoryMiB() == 0 ? config.memoryMiB : spec.getMemoryMiB();
  if (memory < kLeastMemoryMiB || memory > kMostMemoryMiB) {
    invalid("memoryMiB",
            kj::str(memory, " MiB is not from ", kLeastMemoryMiB, " to ", kMostMemoryMiB),
            "give the zone at least 48 MiB; 256 MiB suit most images");
  }
  uint16_t vcpus = spec.getVcpus() == 0 ? config.vcpus : spec.getVcpus();
  if (vcpus > kMostVcpus) invalid("vcpus", kj::str(vcpus, " is not from 1 to ", kMostVcpus));
  checkTexts("entrypoint", spec.getEntrypoint());
  checkProcess(spec.getProcess());
  checkLabels(spec.getLabels());
  zone::readContainerSettings(spec.getContainer(),
                              spec.getNetwork() == schema::ZoneSpec::NetworkMode::NONE
                                  ? zone::NetworkMode::none
                                  : zone::NetworkMode::zone);
  if (spec.getStopSignal().size() > 0) zone::parseSignal(spec.getStopSignal());

  normal.setName(name);
  normal.setImage(spec.getImage());
  normal.setPullPolicy(spec.getPullPolicy());
  normal.setKernelImage(spec.getKernelImage().size() == 0 ? config.kernelImage.asPtr()
                                                          : spec.getKernelImage());
  normal.setSystemImage(spec.getSystemImage().size() == 0 ? config.systemImage.asPtr()
                                                          : spec.getSystemImage());
  if (extensions.size() > 0) {
    normal.setExtensionImages(extensions);
  } else {
    auto configured = normal.initExtensionImages(static_cast<uint>(config.extensionImages.size()));
    for (uint i = 0; i < configured.size(); ++i) configured.set(i, config.extensionImages[i]);
  }
  normal.setMemoryMiB(memory);
  normal.setVcpus(vcpus);
  normal.setVirtualization(spec.getVirtualization());
  normal.setNetwork(spec.getNetwork());
  normal.setHostname(hostname);
  normal.setProcess(spec.getProcess());
  normal.setEntrypoint(spec.getEntrypoint());
  normal.setRemoval(spec.getRemoval());
  normal.setLabels(spec.getLabels());
  normal.setKernelOptions(spec.getKernelOptions());
  normal.setReadOnlyRoot(spec.getReadOnlyRoot());
  normal.setDeferStart(spec.getDeferStart());
  normal.setContainer(spec.getContainer());
  normal.setStopSignal(spec.getStopSignal());
}

void mergeProcess(kj::StringPtr image, schema::ContainerConfig::Reader config,
                  schema::ZoneSpec::Reader spec, kj::StringPtr hostname,
                  schema::ProcessSpec::Builder merged) {
  auto wanted = spec.getProcess();
  kj::Vector<kj::StringPtr> arguments;
  if (spec.getEntrypoint().size() > 0) {
    append(arguments, spec.getEntrypoint());
    append(arguments, wanted.getArguments());
  } else {
    append(arguments, config.getEntrypoint());
    append(arguments,
           wanted.getArguments().size() > 0 ? wanted.getArguments() : config.getCommand());
  }
  if (arguments.size() == 0) {
    fail(FailureCode::NO_ENTRYPOINT, image, "the image names no command",
         "give one after the image's name");
  }
  writeTexts(arguments, merged.initArguments(static_cast<uint>(arguments.size())));

  Environment environment;
  for (kj::StringPtr variable : config.getEnvironment()) environment.set(variable);
  environment.setIfAbsent("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  environment.setIfAbsent(kj::str("HOSTNAME=", hostname));
  if (wanted.getTerminal().getRows() > 0) environment.setIfAbsent("TERM=xterm");
  for (kj::StringPtr variable : wanted.getEnvironment()) environment.set(variable);
  environment.writeTo(merged);

  if (wanted.getWorkingDirectory().size() > 0) {
    merged.setWorkingDirectory(wanted.getWorkingDirectory());
  } else if (config.getWorkingDirectory().startsWith("/")) {
    merged.setWorkingDirectory(config.getWorkingDirectory());
  } else {
    // Images exist whose directory lacks the slash; it is meant from the root.
    merged.setWorkingDirectory(kj::str('/', config.getWorkingDirectory()));
  }
  merged.setUser(wanted.getUser().size() > 0 ? wanted.getUser() : config.getUser());
  merged.setTerminal(wanted.getTerminal());
  merged.setTimeoutMilliseconds(wanted.getTimeoutMilliseconds());
  copyAuthority(wanted, merged);
  // The image's part is a stranger's: what it says must pass the same checks as the client's.
  try {
    checkProcess(merged.asReader());
  } catch (const kj::Exception& exception) {
    auto problem = failureOf(exception);
    fail(FailureCode::INVALID, image,
         kj::str("the image's configuration: ", problem.subject, " ", problem.message));
  }
}

void mergeExec(schema::ProcessSpec::Reader first, schema::ProcessSpec::Reader wanted,
               schema::ProcessSpec::Builder merged) {
  merged.setArguments(wanted.getArguments());
  Environment environment;
  for (kj::StringPtr variable : first.getEnvironment()) environment.set(variable);
  if (wanted.getTerminal().getRows() > 0) environment.setIfAbsent("TERM=xterm");
  for (kj::StringPtr variable : wanted.getEnvironment()) environment.set(variable);
  environment.writeTo(merged);
  merged.setWorkingDirectory(wanted.getWorkingDirectory().size() > 0 ? wanted.getWorkingDirectory()
                                                                     : first.getWorkingDirectory());
  merged.setUser(wanted.getUser().size() > 0 ? wanted.getUser() : first.getUser());
  merged.setTerminal(wanted.getTerminal());
  merged.setTimeoutMilliseconds(wanted.getTimeoutMilliseconds());
  copyAuthority(first, merged);
}

}  // namespace bulkhead

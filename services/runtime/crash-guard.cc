// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/crash-guard.h"

#include <elf.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/exception.h>

#include <cxxabi.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <typeinfo>

namespace bulkhead {
namespace {

// What the handler needs must be in place before it runs and cannot be handed to it, so it lives
// here: written by install() and by the terminate handler, read by the handler.
struct State {
  char service[32];
  char buildId[41];  // 20 bytes of SHA-1 in hexadecimal
  char reason[256];  // of std::terminate; empty otherwise
};
constinit State state{.service = "", .buildId = "unknown", .reason = ""};

constexpr size_t handlerStackSize = 64 * 1024;

// One line, put together without the heap. What does not fit is cut.
class Line {
 public:
  void add(const char* text) {
    while (*text != '\0') addByte(*text++);
  }

  // Text from elsewhere: made printable, so that it cannot forge a second line.
  void addQuoted(const char* text) {
    addByte('"');
    for (; *text != '\0'; ++text) {
      bool plain = *text >= ' ' && *text <= '~' && *text != '"';
      addByte(plain ? *text : '?');
    }
    addByte('"');
  }

  void addNumber(uint64_t value, unsigned base) {
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0) addByte(digits[--count]);
  }

  void send() {
    bytes[length++] = '\n';  // addByte leaves room for it
    // Nobody is left to tell if this fails.
    [[maybe_unused]] auto written = ::write(STDERR_FILENO, bytes, length);
  }

 private:
  char bytes[640];
  size_t length = 0;

  void addByte(char byte) {
    if (length < sizeof(bytes) - 1) bytes[length++] = byte;
  }
};

struct Fault {
  int number;
  const char* name;
};

constexpr Fault faults[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGILL, "SIGILL"},
    {SIGFPE, "SIGFPE"},   {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"},
};

const char* nameOf(int number) {
  for (const auto& fault : faults) {
    if (fault.number == number) return fault.name;
  }
  return "?";
}

// A fault just below the stack pointer, or just above it in a large frame, is a full stack: the
// compiler touches each new page of a frame in turn.
bool isStackOverflow(const siginfo_t& info, const void* context) {
  auto pointer =
      static_cast<uint64_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
  auto address = reinterpret_cast<uint64_t>(info.si_addr);
  constexpr uint64_t window = 16 * 4096;
  return address + window > pointer && address < pointer + window;
}

const char* reasonOf(const siginfo_t& info, const void* context) {
  bool sent = info.si_code <= 0;
  switch (info.si_signo) {
    case SIGSEGV:
      if (sent) return "sent by a process";
      if (info.si_code == SI_KERNEL) return "address not canonical";
      if (isStackOverflow(info, context)) return "stack overflow";
      return info.si_code == SEGV_MAPERR ? "address not mapped" : "access not permitted";
    case SIGBUS:
      return sent ? "sent by a process" : "memory behind the address is gone";
    case SIGILL:
      return sent ? "sent by a process" : "trap or illegal instruction";
    case SIGFPE:
      return sent ? "sent by a process" : "arithmetic error";
    case SIGABRT:
      return state.reason[0] != '\0' ? state.reason : "abort: a check failed, see the line before";
    default:
      return "";
  }
}

void handle(int number, siginfo_t* info, void* context) {
  Line line;
  line.add("bulkhead-crash service=");
  line.add(state.service);
  line.add(" signal=");
  line.add(nameOf(number));
  line.add(" reason=");
  if (number == SIGSYS) {
    line.add("\"system call ");
    line.addNumber(static_cast<unsigned>(info->si_syscall), 10);
    line.add(" is not in the policy\"");
  } else {
    line.addQuoted(reasonOf(*info, context));
  }
  line.add(" address=0x");
  line.addNumber(number == SIGABRT ? 0 : reinterpret_cast<uint64_t>(info->si_addr), 16);
  line.add(" build=");
  line.add(state.buildId);
  line.send();
  // SA_RESETHAND has restored the default action; the signal is blocked until this returns, and
  // then ends the process.
  syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), number);
}

// Keeps the text for the handler.
void keepReason(kj::ArrayPtr<const char> text) {
  size_t length = kj::min(text.size(), sizeof(state.reason) - 1);
  memcpy(state.reason, text.begin(), length);
  state.reason[length] = '\0';
}

// Takes the exception's own words along, then goes the way of every abort.
[[noreturn]] void onTerminate() {
  auto* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    keepReason("std::terminate without an exception"_kj);
    abort();
  }
  try {
    throw;
  } catch (const kj::Exception& e) {
    // Not kj::str(e): that would add a stack trace, for which kj may start a program.
    keepReason(kj::str("uncaught kj::Exception at ", e.getFile(), ':', e.getLine(), ": ",
                       e.getDescription()));
  } catch (const std::exception& e) {
    keepReason(kj::str("uncaught ", type->name(), ": ", e.what()));
  } catch (...) {
    keepReason(kj::str("uncaught ", type->name()));
  }
  abort();
}

// Finds the NT_GNU_BUILD_ID note of the program itself, which is the first object listed.
int readBuildId(dl_phdr_info* info, size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    auto notes = kj::arrayPtr(reinterpret_cast<const kj::byte*>(info->dlpi_addr + segment.p_vaddr),
                              segment.p_memsz);
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
      ElfW(Nhdr) note;
      memcpy(&note, notes.begin(), sizeof(note));
      size_t nameSize = (size_t{note.n_namesz} + 3) & ~size_t{3};
      size_t size = sizeof(note) + nameSize + ((size_t{note.n_descsz} + 3) & ~size_t{3});
      if (size > notes.size()) break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= (sizeof(state.buildId) - 1) / 2) {
        auto id = notes.slice(sizeof(note) + nameSize, sizeof(note) + nameSize + note.n_descsz);
        char* out = state.buildId;
        for (kj::byte byte : id) {
          *out++ = "0123456789abcdef"[byte >> 4];
          *out++ = "0123456789abcdef"[byte & 15];
        }
        *out = '\0';
        return 1;
      }
      notes = notes.slice(size, notes.size());
    }
  }
  return 1;  // only the program itself
}

// A stack with a guard page below it, so that the handler cannot run over anything.
void* makeHandlerStack() {
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, page + handlerStackSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) KJ_FAIL_SYSCALL("mmap", errno);
  KJ_SYSCALL(mprotect(memory, page, PROT_NONE));
  stack_t stack{};
  stack.ss_sp = static_cast<char*>(memory) + page;
  stack.ss_size = handlerStackSize;
  KJ_SYSCALL(sigaltstack(&stack, nullptr));
  return memory;
}

}  // namespace

void CrashGuard::install(kj::StringPtr service) {
  size_t length = kj::min(service.size(), sizeof(state.service) - 1);
  memcpy(state.service, service.begin(), length);
  state.service[length] = '\0';
  dl_iterate_phdr(readBuildId, nullptr);

  makeHandlerStack();
  struct sigaction action{};
  action.sa_sigaction = handle;
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND);
  // One fault at a time: a second one meanwhile finds the default action.
  sigfillset(&action.sa_mask);
  for (const auto& fault : faults) KJ_SYSCALL(sigaction(fault.number, &action, nullptr));
  std::set_terminate(onTerminate);
}

CrashGuard::ThreadStack::ThreadStack() : memory(makeHandlerStack()) {}

CrashGuard::ThreadStack::~ThreadStack() noexcept(false) {
  stack_t off{};
  off.ss_flags = SS_DISABLE;
  KJ_SYSCALL(sigaltstack(&off, nullptr));
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  KJ_SYSCALL(munmap(memory, page + handlerStackSize));
}

}  // namespace bulkhead

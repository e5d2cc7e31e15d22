// SPDX-License-Identifier: Apache-2.0
#include "services/cli/progress-display.h"

#include <unistd.h>

#include <kj/io.h>

#include "services/cli/table.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr uint64_t kBarWidth = 24;

void draw(kj::StringPtr text) {
  kj::FdOutputStream(STDERR_FILENO).write(text.begin(), text.size());
}

}  // namespace

ProgressDisplay::ProgressDisplay() : terminal(isatty(STDERR_FILENO) == 1) {}

ProgressDisplay::~ProgressDisplay() noexcept { clear(); }

void ProgressDisplay::show(schema::Progress::Reader progress) {
  if (!terminal) return;
  draw(kj::str("\r\x1b[K", progressLine(progress)));
  drawn = true;
}

void ProgressDisplay::clear() {
  if (!drawn) return;
  draw("\r\x1b[K");
  drawn = false;
}

kj::String progressLine(schema::Progress::Reader progress) {
  auto phase = printable(progress.getPhase(), 24);
  auto subject = printable(progress.getSubject(), 40);
  if (progress.getTotal() == 0) {
    return progress.getDone() == 0
               ? kj::str(phase, ' ', subject)
               : kj::str(phase, ' ', subject, ' ', sizeText(progress.getDone()));
  }
  auto share = static_cast<double>(progress.getDone()) / static_cast<double>(progress.getTotal());
  auto full = static_cast<uint64_t>(kj::min(share, 1.0) * static_cast<double>(kBarWidth));
  auto bar = kj::heapArray<char>(kBarWidth);
  for (uint64_t i = 0; i < kBarWidth; ++i) bar[i] = i < full ? '=' : ' ';
  return kj::str(phase, ' ', subject, " [", bar, "] ", sizeText(progress.getDone()), " / ",
                 sizeText(progress.getTotal()));
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "services/cli/progress-display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <kj/io.h>

#include "services/client/client.h"

namespace bulkhead {
namespace {

constexpr size_t kMostRows = 24;

void draw(kj::StringPtr text) {
  kj::FdOutputStream(STDERR_FILENO).write(text.begin(), text.size());
}

struct Extent {
  size_t columns = 79;
  size_t rows = kMostRows;
};

// The last column stays free: terminals differ in what follows it.
Extent extentOfTerminal() {
  winsize window{};
  Extent extent;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0) return extent;
  if (window.ws_col > 1) extent.columns = window.ws_col - 1u;
  if (window.ws_row > 2) extent.rows = kj::min(kMostRows, window.ws_row - 2u);
  return extent;
}

// Back to where the first of so many lines begins, and clear from there on.
kj::String eraser(size_t lines) {
  return lines > 1 ? kj::str("\r\x1b[", lines - 1, "A\x1b[J") : kj::str("\r\x1b[J");
}

}  // namespace

ProgressDisplay::ProgressDisplay(Elsewhere elsewhere)
    : link(kj::refcounted<Link>()), terminal(isatty(STDERR_FILENO) == 1), elsewhere(elsewhere) {
  link->display = *this;
}

ProgressDisplay::~ProgressDisplay() noexcept {
  link->display = nullptr;
  clear();
}

schema::ProgressSink::Client ProgressDisplay::sink() {
  return makeProgressSink([link = kj::addRef(*link)](schema::Progress::Reader progress) {
    KJ_IF_MAYBE (display, link->display) {
      display->show(progress);
    }
  });
}

void ProgressDisplay::show(schema::Progress::Reader progress) {
  if (muted) return;
  auto news = model.update(progress, kj::systemPreciseMonotonicClock().now());
  if (!terminal) {
    if (elsewhere == Elsewhere::plainLines) {
      for (auto& line : news) draw(kj::str(line, '\n'));
    }
    return;
  }
  auto extent = extentOfTerminal();
  auto lines = model.lines(extent.columns, extent.rows);
  draw(kj::str(drawn > 0 ? eraser(drawn) : kj::String(), kj::strArray(lines, "\n")));
  drawn = lines.size();
}

void ProgressDisplay::clear() {
  if (drawn > 0) draw(eraser(drawn));
  drawn = 0;
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "services/cli/progress-lines.h"

#include "services/cli/table.h"
#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

constexpr uint64_t kBarWidth = 24;
constexpr size_t kNameWidth = 19;  // "sha256:" and twelve digits
constexpr uint64_t kPerCent = 100;

uint64_t share(uint64_t done, uint64_t total, uint64_t whole) {
  if (total == 0) return 0;
  auto part = static_cast<double>(done) / static_cast<double>(total) * static_cast<double>(whole);
  return kj::min(static_cast<uint64_t>(part), whole);
}

kj::String padded(kj::String text, size_t width) {
  kj::Vector<char> out;
  for (size_t i = text.size(); i < width; ++i) out.add(' ');
  return kj::str(out, text);
}

kj::String cut(kj::String text, size_t columns) {
  if (text.size() <= columns) return text;
  return kj::str(text.slice(0, columns));
}

}  // namespace

kj::String progressBar(uint64_t done, uint64_t total) {
  auto bar = kj::heapArray<char>(kBarWidth);
  auto full = share(done, total, kBarWidth);
  for (uint64_t i = 0; i < kBarWidth; ++i) bar[i] = i < full ? '=' : ' ';
  return kj::str('[', bar, ']');
}

uint64_t ProgressLines::Layer::bytesPerSecond() const {
  auto milliseconds = (last - begun) / kj::MILLISECONDS;
  if (milliseconds < 100 || done <= first) return 0;
  return (done - first) * 1000 / static_cast<uint64_t>(milliseconds);
}

kj::String ProgressLines::Layer::line(size_t columns) const {
  auto percent = padded(kj::str(complete() ? kPerCent : share(done, total, kPerCent), '%'), 4);
  auto sizes =
      complete() ? kj::str(sizeText(total)) : kj::str(sizeText(done), " / ", sizeText(total));
  auto speed = bytesPerSecond();
  auto rate = speed > 0 && !complete() ? kj::str("  ", sizeText(speed), "/s") : kj::String();
  return cut(kj::str(name, ' ', progressBar(done, total), ' ', percent, "  ", sizes, rate),
             columns);
}

kj::String ProgressLines::statusLine() const {
  auto text = kj::str(printable(phase, 24), ' ', printable(subject, 60));
  if (total == 0) return done == 0 ? kj::mv(text) : kj::str(text, ' ', sizeText(done));
  return kj::str(printable(phase, 24), ' ', progressBar(done, total), ' ',
                 padded(kj::str(share(done, total, kPerCent), '%'), 4), "  ",
                 printable(subject, 40));
}

kj::Vector<kj::String> ProgressLines::update(schema::Progress::Reader progress, kj::TimePoint now) {
  kj::Vector<kj::String> news;
  auto ended = [&](const Layer& layer) {
    news.add(kj::str("fetched ", layer.name, "  ", sizeText(layer.total)));
  };
  bool isLayer = progress.getPhase() == "fetch" && progress.getTotal() > 0;
  if (!isLayer) {
    if (phase != progress.getPhase() || subject != progress.getSubject()) {
      news.add(
          kj::str(printable(progress.getPhase(), 24), ' ', printable(progress.getSubject(), 128)));
    }
    phase = kj::str(progress.getPhase());
    subject = kj::str(progress.getSubject());
    done = progress.getDone();
    total = progress.getTotal();
    // Reports may be lost on the way, the last ones of a layer as well: packing begins when all
    // of them are here.
    if (phase == "pack") {
      for (auto& layer : layers) {
        if (layer.complete()) continue;
        layer.done = layer.total;
        ended(layer);
      }
    }
    return news;
  }
  auto name = printable(progress.getSubject(), kNameWidth);
  if (name.endsWith("...")) name = kj::str(name.slice(0, name.size() - 3));
  for (auto& layer : layers) {
    if (layer.name != name) continue;
    bool before = layer.complete();
    layer.done = kj::max(layer.done, progress.getDone());
    layer.last = now;
    if (layer.complete() && !before) ended(layer);
    return news;
  }
  auto& layer = layers.add(
      Layer{kj::mv(name), progress.getDone(), progress.getTotal(), progress.getDone(), now, now});
  if (layer.complete()) ended(layer);
  return news;
}

kj::Vector<kj::String> ProgressLines::lines(size_t columns, size_t rows) const {
  bool hasStatus = phase.size() > 0;
  size_t room = rows > (hasStatus ? 1 : 0) ? rows - (hasStatus ? 1 : 0) : 0;
  size_t tooMany = layers.size() > room ? layers.size() - room : 0;
  kj::Vector<kj::String> result;
  for (const auto& layer : layers) {
    if (layer.complete() && tooMany > 0) {
      --tooMany;
      continue;
    }
    if (result.size() < room) result.add(layer.line(columns));
  }
  if (hasStatus) result.add(cut(statusLine(), columns));
  return result;
}

}  // namespace bulkhead

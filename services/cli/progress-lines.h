// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>
#include <kj/time.h>
#include <kj/vector.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

// What is under way, as lines of text: one for each layer on its way, one for the step that all of
// it is in. Knows nothing of terminals.
class ProgressLines {
 public:
  // Takes a report in; returns lines for whoever reads them one after the other, which are those of
  // what has just ended or begun.
  kj::Vector<kj::String> update(schema::Progress::Reader progress, kj::TimePoint now);

  // The present state, at most `columns` wide and `rows` high; what is done gives way first.
  kj::Vector<kj::String> lines(size_t columns, size_t rows) const;

 private:
  struct Layer {
    kj::String name;
    uint64_t done = 0;
    uint64_t total = 0;
    uint64_t first = 0;  // bytes that were there with the first report
    kj::TimePoint begun;
    kj::TimePoint last;

    bool complete() const { return done >= total; }
    uint64_t bytesPerSecond() const;
    kj::String line(size_t columns) const;
  };
  kj::Vector<Layer> layers;
  kj::String phase;
  kj::String subject;
  uint64_t done = 0;
  uint64_t total = 0;

  kj::String statusLine() const;
};

// "[=========               ]"
kj::String progressBar(uint64_t done, uint64_t total);

}  // namespace bulkhead

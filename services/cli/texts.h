// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <capnp/list.h>

namespace bulkhead {

// The number of entries a list of a message gets.
template <typename List>
unsigned countOf(const List& list) {
  return static_cast<unsigned>(list.size());
}

// Fills a list that was made with as many entries.
inline void setTexts(capnp::List<capnp::Text>::Builder out, const std::vector<std::string>& texts) {
  for (unsigned i = 0; i < out.size(); ++i) out.set(i, texts[i]);
}

}  // namespace bulkhead

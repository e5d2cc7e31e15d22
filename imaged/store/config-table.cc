// SPDX-License-Identifier: Apache-2.0
#include "imaged/store/config-table.h"

#include "services/runtime/failure.h"

namespace bulkhead {
namespace {

kj::String str(std::string_view text) { return kj::heapString(text.data(), text.size()); }

std::string_view view(kj::StringPtr text) { return {text.begin(), text.size()}; }

}  // namespace

ConfigTable::File::File(kj::StringPtr text, kj::StringPtr pathParam, Content content)
    : path(kj::str(pathParam)) {
  try {
    table = toml::parse(view(text));
  } catch (const toml::parse_error& error) {
    auto why = content == Content::open ? str(error.description()) : kj::str("this is not TOML");
    fail(FailureCode::INVALID, path, kj::str("line ", error.source().begin.line, ": ", why));
  }
}

void ConfigTable::rejectAt(uint line, kj::StringPtr key, kj::StringPtr why,
                           kj::StringPtr allowed) const {
  fail(FailureCode::INVALID, path, kj::str("line ", line, ": ", prefix, key, " ", why), allowed);
}

void ConfigTable::reject(kj::StringPtr key, kj::StringPtr why, kj::StringPtr allowed) const {
  const auto* node = content.get(view(key));
  rejectAt(node == nullptr ? content.source().begin.line : node->source().begin.line, key, why,
           allowed);
}

void ConfigTable::rejectWith(kj::StringPtr key, const kj::Exception& exception) const {
  auto problem = failureOf(exception);
  reject(key, kj::str("is wrong: ", problem.message), problem.hint);
}

const toml::node* ConfigTable::find(kj::StringPtr key) {
  known.add(kj::str(key));
  return content.get(view(key));
}

bool ConfigTable::has(kj::StringPtr key) const { return content.contains(view(key)); }

kj::String ConfigTable::textOf(const toml::node& node, kj::StringPtr key) const {
  const auto* string = node.as_string();
  if (string == nullptr) reject(key, "is not a string", "text in quotes");
  auto result = str(string->get());
  for (char c : result) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) reject(key, "holds a control character");
  }
  return result;
}

kj::Maybe<kj::String> ConfigTable::text(kj::StringPtr key) {
  const auto* node = find(key);
  if (node == nullptr) return nullptr;
  return textOf(*node, key);
}

kj::Maybe<bool> ConfigTable::flag(kj::StringPtr key) {
  const auto* node = find(key);
  if (node == nullptr) return nullptr;
  const auto* value = node->as_boolean();
  if (value == nullptr) reject(key, "is neither true nor false", "true, false");
  return value->get();
}

kj::Maybe<uint64_t> ConfigTable::number(kj::StringPtr key, uint64_t least, uint64_t most) {
  const auto* node = find(key);
  if (node == nullptr) return nullptr;
  const auto* value = node->as_integer();
  bool fits = value != nullptr && value->get() >= 0 &&
              static_cast<uint64_t>(value->get()) >= least &&
              static_cast<uint64_t>(value->get()) <= most;
  if (!fits) {
    reject(key, "is not a number it may be", kj::str("a number from ", least, " to ", most));
  }
  return static_cast<uint64_t>(value->get());
}

kj::Vector<kj::String> ConfigTable::texts(kj::StringPtr key) {
  kj::Vector<kj::String> result;
  const auto* node = find(key);
  if (node == nullptr) return result;
  const auto* list = node->as_array();
  if (list == nullptr) reject(key, "is not a list", "strings in brackets");
  for (const auto& item : *list) result.add(textOf(item, key));
  return result;
}

kj::Maybe<ConfigTable> ConfigTable::table(kj::StringPtr key) {
  const auto* node = find(key);
  if (node == nullptr) return nullptr;
  const auto* below = node->as_table();
  if (below == nullptr) reject(key, "is not a table", kj::str("a section [", key, "]"));
  return ConfigTable(*below, path, kj::str(prefix, key, "."));
}

kj::Vector<ConfigTable::Named> ConfigTable::tables(kj::StringPtr key) {
  kj::Vector<Named> result;
  const auto* node = find(key);
  if (node == nullptr) return result;
  const auto* all = node->as_table();
  if (all == nullptr) {
    reject(key, "is not a table", kj::str("sections of the form [", key, ".\"NAME\"]"));
  }
  for (const auto& [name, entry] : *all) {
    auto text = str(name.str());
    const auto* below = entry.as_table();
    if (below == nullptr) {
      rejectAt(entry.source().begin.line, kj::str(key, ".", text), "is not a table",
               kj::str("sections of the form [", key, ".\"NAME\"]"));
    }
    auto place = kj::str(prefix, key, ".\"", text, "\".");
    result.add(Named{kj::mv(text), ConfigTable(*below, path, kj::mv(place))});
  }
  return result;
}

void ConfigTable::finish() const {
  for (const auto& [key, node] : content) {
    bool asked = false;
    for (const auto& name : known) asked = asked || name == str(key.str());
    if (asked) continue;
    rejectAt(node.source().begin.line, str(key.str()), "is not a key that is known here",
             kj::strArray(known, ", "));
  }
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <kj/exception.h>
#include <kj/map.h>
#include <kj/string.h>
#include <kj/vector.h>
#include <toml++/toml.hpp>

namespace bulkhead {

// A table of a configuration file, read key by key. Every error is `invalid`, its subject the file,
// and says line, key, what is wrong and what is allowed; it never shows a value, since that may be
// a secret.
class ConfigTable {
 public:
  // Parses a whole file; `path` is for errors.
  class File;

  // The value of a key; none where it is not there.
  kj::Maybe<kj::String> text(kj::StringPtr key);
  kj::Maybe<bool> flag(kj::StringPtr key);
  kj::Maybe<uint64_t> number(kj::StringPtr key, uint64_t least, uint64_t most);

  // A list of strings; empty where it is not there.
  kj::Vector<kj::String> texts(kj::StringPtr key);

  // A section; none where it is not there.
  kj::Maybe<ConfigTable> table(kj::StringPtr key);

  // The tables of a table, by their names; none where it is not there.
  struct Named;
  kj::Vector<Named> tables(kj::StringPtr key);

  // Whether it is there.
  bool has(kj::StringPtr key) const;

  // To be called when all keys have been asked for: any other is an error.
  void finish() const;

  // `key` itself is wrong, or what it names. `allowed` says what would be right.
  [[noreturn]] void reject(kj::StringPtr key, kj::StringPtr why, kj::StringPtr allowed = "") const;

  // Runs `check`; what it fails with becomes this key's error.
  template <typename Check>
  auto checked(kj::StringPtr key, Check&& check) const;

 private:
  const toml::table& content;
  kj::StringPtr path;
  kj::String prefix;  // "registry.docker.io."
  kj::Vector<kj::String> known;

  ConfigTable(const toml::table& content, kj::StringPtr path, kj::String prefix)
      : content(content), path(path), prefix(kj::mv(prefix)) {}

  const toml::node* find(kj::StringPtr key);
  kj::String textOf(const toml::node& node, kj::StringPtr key) const;
  [[noreturn]] void rejectAt(uint line, kj::StringPtr key, kj::StringPtr why,
                             kj::StringPtr allowed) const;
  [[noreturn]] void rejectWith(kj::StringPtr key, const kj::Exception& exception) const;
};

struct ConfigTable::Named {
  kj::String name;
  ConfigTable table;
};

class ConfigTable::File {
 public:
  enum class Content { open, secret };

  // Fails with `invalid` where the text is no TOML; of a secret file the error shows nothing of it.
  File(kj::StringPtr text, kj::StringPtr path, Content content = Content::open);

  ConfigTable root() const { return ConfigTable(table, path, kj::String()); }

 private:
  kj::String path;
  toml::table table;
};

template <typename Check>
auto ConfigTable::checked(kj::StringPtr key, Check&& check) const {
  try {
    return check();
  } catch (...) {
    rejectWith(key, kj::getCaughtExceptionAsKj());
  }
}

}  // namespace bulkhead

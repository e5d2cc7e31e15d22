// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include <kj/array.h>
#include <kj/memory.h>
#include <kj/string.h>

struct sqlite3;
struct sqlite3_stmt;

namespace bulkhead {

class Statement;

// One SQLite database that this process alone uses. Everything is durable when a call returns.
// Errors of the library are `corrupt` failures that name the file.
class Database {
 public:
  explicit Database(kj::StringPtr path);
  ~Database() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Database);

  // Runs SQL without parameters or results, several statements if need be.
  void execute(kj::StringPtr sql);

  Statement prepare(kj::StringPtr sql);

  // Runs `body` in a transaction: all of it happens or none.
  template <typename Body>
  void transaction(Body&& body) {
    execute("BEGIN IMMEDIATE");
    try {
      body();
    } catch (...) {
      execute("ROLLBACK");
      throw;
    }
    execute("COMMIT");
  }

  [[noreturn]] void failWith(kj::StringPtr doing) const;

 private:
  kj::String path;
  sqlite3* handle = nullptr;

  // Complete before anything is opened: what fails afterwards is closed by the destructor.
  struct Unopened {};
  Database(kj::String path, Unopened) : path(kj::mv(path)) {}
};

// One prepared statement. Parameters count from 1, columns from 0, as in the library.
class Statement {
 public:
  Statement(Database& database, sqlite3_stmt* handle) : database(database), handle(handle) {}
  Statement(Statement&& other) noexcept : database(other.database), handle(other.handle) {
    other.handle = nullptr;
  }
  ~Statement() noexcept(false);
  KJ_DISALLOW_COPY(Statement);

  Statement& bind(int index, int64_t value);
  Statement& bind(int index, kj::StringPtr value);
  Statement& bind(int index, kj::ArrayPtr<const kj::byte> value);

  // Advances to the next row; false at the end.
  bool step();

  // For a statement without rows.
  void run();

  int64_t integer(int column) const;
  kj::String text(int column) const;
  kj::Array<kj::byte> blob(int column) const;

 private:
  Database& database;
  sqlite3_stmt* handle;
};

}  // namespace bulkhead

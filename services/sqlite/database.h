// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sqlite3.h>

#include <kj/array.h>
#include <kj/string.h>

#include <cstdint>

namespace bulkhead {

class Database;

// A prepared statement. Parameters and columns are numbered as SQLite does: from 1 and from 0.
class Statement {
 public:
  // The database must live longer.
  Statement(Database& database, kj::StringPtr sql);
  ~Statement();
  KJ_DISALLOW_COPY_AND_MOVE(Statement);

  Statement& bind(int parameter, int64_t value);
  Statement& bind(int parameter, kj::StringPtr value);
  Statement& bind(int parameter, kj::ArrayPtr<const kj::byte> value);
  Statement& bindNull(int parameter);

  // Whether there is a row to look at. After the last row the statement can be bound anew.
  bool step();

  // For a statement without rows: runs it, and leaves it ready for the next time.
  void run();

  bool isNull(int column) const;
  int64_t number(int column) const;
  // Valid until the next step.
  kj::StringPtr text(int column) const;
  kj::ArrayPtr<const kj::byte> blob(int column) const;

 private:
  Database& database;
  sqlite3_stmt* statement = nullptr;

  void check(int code);
};

// A SQLite file of one process. A committed transaction survives a power cut; errors are typed
// failures with the file's path: `exhausted` when the disk is full, `corrupt` when the file is not
// what it should be.
class Database {
 public:
  // Opens or creates `path`, checks it, and takes it for this process alone. Everything that
  // SQLite opens is open afterwards: no further file access by name is needed.
  explicit Database(kj::StringPtr path);
  ~Database();
  KJ_DISALLOW_COPY_AND_MOVE(Database);

  // Runs SQL without parameters or results, several statements if need be.
  void execute(kj::StringPtr sql);

  // Runs `changes` and commits, or leaves everything as it was when it throws.
  template <typename Func>
  void transaction(Func&& changes) {
    execute("BEGIN IMMEDIATE");
    try {
      changes();
      execute("COMMIT");
    } catch (...) {
      rollback();
      throw;
    }
  }

 private:
  friend class Statement;

  kj::String path;
  sqlite3* handle = nullptr;

  [[noreturn]] void failWith(int code, kj::StringPtr message) const;
  void rollback();
};

}  // namespace bulkhead

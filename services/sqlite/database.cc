// SPDX-License-Identifier: Apache-2.0
#include "services/sqlite/database.h"

#include <kj/debug.h>

#include "services/runtime/failure.h"

namespace bulkhead {

Statement::Statement(Database& databaseParam, kj::StringPtr sql) : database(databaseParam) {
  check(sqlite3_prepare_v3(database.handle, sql.cStr(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
}

Statement::~Statement() { sqlite3_finalize(statement); }

void Statement::check(int code) {
  if (code != SQLITE_OK) database.failWith(code, sqlite3_errmsg(database.handle));
}

Statement& Statement::bind(int parameter, int64_t value) {
  check(sqlite3_bind_int64(statement, parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, kj::StringPtr value) {
  check(sqlite3_bind_text(statement, parameter, value.begin(), static_cast<int>(value.size()),
                          SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind(int parameter, kj::ArrayPtr<const kj::byte> value) {
  check(sqlite3_bind_blob(statement, parameter, value.begin(), static_cast<int>(value.size()),
                          SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bindNull(int parameter) {
  check(sqlite3_bind_null(statement, parameter));
  return *this;
}

bool Statement::step() {
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return true;
  // The message has to be read before the statement is reset.
  auto message = kj::str(sqlite3_errmsg(database.handle));
  sqlite3_reset(statement);
  if (code != SQLITE_DONE) database.failWith(code, message);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

bool Statement::isNull(int column) const {
  return sqlite3_column_type(statement, column) == SQLITE_NULL;
}

int64_t Statement::number(int column) const { return sqlite3_column_int64(statement, column); }

kj::StringPtr Statement::text(int column) const {
  auto* begin = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
  if (begin == nullptr) return "";
  return kj::StringPtr(begin);
}

kj::ArrayPtr<const kj::byte> Statement::blob(int column) const {
  auto* begin = static_cast<const kj::byte*>(sqlite3_column_blob(statement, column));
  return kj::arrayPtr(begin, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
}

Database::Database(kj::StringPtr pathParam) : path(kj::str(pathParam)) {
  int code = sqlite3_open_v2(
      path.cStr(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
      nullptr);
  KJ_ON_SCOPE_FAILURE(sqlite3_close(handle));
  if (code != SQLITE_OK) failWith(code, sqlite3_errmsg(handle));
  // A write-ahead log with full syncs is durable at every commit; held exclusively it needs no
  // shared memory, and kept at its size it is never removed or created again.
  execute("PRAGMA locking_mode=EXCLUSIVE");
  execute("PRAGMA journal_mode=WAL");
  execute("PRAGMA synchronous=FULL");
  execute("PRAGMA temp_store=MEMORY");
  execute("PRAGMA trusted_schema=OFF");
  execute("PRAGMA foreign_keys=ON");
  int keepLog = 1;
  sqlite3_file_control(handle, "main", SQLITE_FCNTL_PERSIST_WAL, &keepLog);
  Statement check(*this, "PRAGMA quick_check(1)");
  while (check.step()) {
    if (check.text(0) != "ok") failWith(SQLITE_CORRUPT, check.text(0));
  }
}

Database::~Database() { sqlite3_close(handle); }

void Database::failWith(int code, kj::StringPtr message) const {
  switch (code & 0xff) {
    case SQLITE_FULL:
      fail(FailureCode::EXHAUSTED, path, message, "make room on the disk");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      fail(FailureCode::CORRUPT, path, message,
           "restore it, or move it away while the service is stopped");
    default:
      fail(FailureCode::INTERNAL, path, message, "check the disk and the file's permissions");
  }
}

void Database::execute(kj::StringPtr sql) {
  int code = sqlite3_exec(handle, sql.cStr(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) failWith(code, sqlite3_errmsg(handle));
}

void Database::rollback() {
  // Some errors have rolled back already; then there is nothing to do.
  if (sqlite3_get_autocommit(handle) == 0) {
    sqlite3_exec(handle, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

}  // namespace bulkhead

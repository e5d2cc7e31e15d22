// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/sqlite.h"

#include <sqlite3.h>

#include "services/runtime/failure.h"

namespace bulkhead {

Database::Database(kj::StringPtr path) : Database(kj::str(path), Unopened()) {
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.cStr(), &handle, kFlags, nullptr) != SQLITE_OK) failWith("open");
  // Alone on the file: no shared memory is needed, so nothing is mapped that could fault.
  execute(
      "PRAGMA locking_mode=EXCLUSIVE;"
      "PRAGMA journal_mode=TRUNCATE;"
      "PRAGMA synchronous=FULL;"
      "PRAGMA temp_store=MEMORY;"
      "PRAGMA mmap_size=0;"
      "PRAGMA trusted_schema=OFF;"
      "PRAGMA foreign_keys=ON;");
}

Database::~Database() noexcept(false) { sqlite3_close_v2(handle); }

void Database::failWith(kj::StringPtr doing) const {
  fail(FailureCode::CORRUPT, path,
       kj::str("the store failed (", doing, "): ", sqlite3_errmsg(handle)),
       "check the disk; the file may be moved away while zoned is stopped");
}

void Database::execute(kj::StringPtr sql) {
  if (sqlite3_exec(handle, sql.cStr(), nullptr, nullptr, nullptr) != SQLITE_OK) failWith(sql);
}

Statement Database::prepare(kj::StringPtr sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle, sql.begin(), static_cast<int>(sql.size()), &statement, nullptr) !=
      SQLITE_OK) {
    failWith(sql);
  }
  return Statement(*this, statement);
}

Statement::~Statement() noexcept(false) { sqlite3_finalize(handle); }

Statement& Statement::bind(int index, int64_t value) {
  if (sqlite3_bind_int64(handle, index, value) != SQLITE_OK) database.failWith("bind");
  return *this;
}

Statement& Statement::bind(int index, kj::StringPtr value) {
  if (sqlite3_bind_text(handle, index, value.begin(), static_cast<int>(value.size()),
                        SQLITE_TRANSIENT) != SQLITE_OK) {
    database.failWith("bind");
  }
  return *this;
}

Statement& Statement::bind(int index, kj::ArrayPtr<const kj::byte> value) {
  if (sqlite3_bind_blob(handle, index, value.begin(), static_cast<int>(value.size()),
                        SQLITE_TRANSIENT) != SQLITE_OK) {
    database.failWith("bind");
  }
  return *this;
}

bool Statement::step() {
  switch (sqlite3_step(handle)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      database.failWith("step");
  }
}

void Statement::run() {
  while (step()) {
  }
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle, column); }

kj::String Statement::text(int column) const {
  auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle, column));
  auto size = static_cast<size_t>(sqlite3_column_bytes(handle, column));
  if (data == nullptr) return kj::String();
  return kj::str(kj::ArrayPtr<const char>(data, size));
}

kj::Array<kj::byte> Statement::blob(int column) const {
  auto* data = static_cast<const kj::byte*>(sqlite3_column_blob(handle, column));
  auto size = static_cast<size_t>(sqlite3_column_bytes(handle, column));
  if (data == nullptr) return nullptr;
  return kj::heapArray(kj::arrayPtr(data, size));
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "services/zoned/store.h"

#include <span>

#include <capnp/serialize.h>

namespace bulkhead {
namespace {

// Applied in order; the number of those applied is SQLite's user_version. Never edited once
// released: a change is a further entry.
constexpr kj::StringPtr kMigrations[] = {
    "CREATE TABLE zones ("
    "  id BLOB PRIMARY KEY,"
    "  owner INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  created INTEGER NOT NULL,"
    "  info BLOB NOT NULL,"  // ZoneInfo, a flat message
    "  spec BLOB NOT NULL,"  // ZoneSpec, a flat message
    "  failure_code INTEGER,"
    "  failure_subject TEXT,"
    "  failure_message TEXT,"
    "  failure_hint TEXT,"
    "  UNIQUE (owner, name)) STRICT;"
    "CREATE TABLE steps ("
    "  zone BLOB NOT NULL REFERENCES zones(id) ON DELETE CASCADE,"
    "  step TEXT NOT NULL,"
    "  PRIMARY KEY (zone, step)) STRICT;"_kj,
};

kj::Array<kj::byte> flatten(capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  return kj::heapArray(words.asBytes());
}

// The bytes of a blob as words, aligned.
kj::Array<capnp::word> wordsOf(kj::ArrayPtr<const kj::byte> bytes) {
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  memcpy(words.begin(), bytes.begin(), words.asBytes().size());
  return words;
}

}  // namespace

kj::StringPtr stepName(Step step) {
  switch (step) {
    case Step::network:
      return "network";
    case Step::domain:
      return "domain";
  }
  return "unknown";
}

Store::Store(kj::StringPtr directory) : database(kj::str(directory, "/zones.db")) { migrate(); }

int64_t Store::currentVersion() { return static_cast<int64_t>(kj::size(kMigrations)); }

void Store::migrate() {
  int64_t version;
  {
    Statement query(database, "PRAGMA user_version");
    query.step();
    version = query.number(0);
  }
  if (version < 0 || version > currentVersion()) {
    fail(FailureCode::CORRUPT, "zones.db",
         kj::str("was written by a later version of zoned (layout ", version, ", this one knows ",
                 currentVersion(), ")"),
         "install that version again");
  }
  for (auto migration : std::span(kMigrations).subspan(static_cast<size_t>(version))) {
    database.transaction([&]() {
      database.execute(migration);
      database.execute(kj::str("PRAGMA user_version = ", ++version));
    });
  }
}

void Store::put(ZoneRecord& record) {
  capnp::MallocMessageBuilder info;
  record.writeTo(info.initRoot<schema::ZoneInfo>());
  auto infoBytes = flatten(info);
  auto specBytes = flatten(*record.specMessage);
  Statement statement(
      database,
      "INSERT INTO zones (id, owner, name, created, info, spec, failure_code, failure_subject,"
      " failure_message, failure_hint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
      " ON CONFLICT (id) DO UPDATE SET info = ?5, spec = ?6, failure_code = ?7,"
      " failure_subject = ?8, failure_message = ?9, failure_hint = ?10");
  statement.bind(1, record.id.data())
      .bind(2, static_cast<int64_t>(record.owner))
      .bind(3, record.name)
      .bind(4, static_cast<int64_t>(record.createdNanoseconds))
      .bind(5, infoBytes)
      .bind(6, specBytes);
  KJ_IF_MAYBE (problem, record.failure) {
    statement.bind(7, static_cast<int64_t>(problem->code))
        .bind(8, problem->subject)
        .bind(9, problem->message)
        .bind(10, problem->hint);
  }
  statement.run();
}

void Store::forget(const Uuid& zone) {
  Statement(database, "DELETE FROM zones WHERE id = ?1").bind(1, zone.data()).run();
}

void Store::begin(const Uuid& zone, Step step) {
  Statement(database, "INSERT OR IGNORE INTO steps (zone, step) VALUES (?1, ?2)")
      .bind(1, zone.data())
      .bind(2, stepName(step))
      .run();
}

void Store::undone(const Uuid& zone, Step step) {
  Statement(database, "DELETE FROM steps WHERE zone = ?1 AND step = ?2")
      .bind(1, zone.data())
      .bind(2, stepName(step))
      .run();
}

bool Store::begun(const Uuid& zone, Step step) {
  return Statement(database, "SELECT 1 FROM steps WHERE zone = ?1 AND step = ?2")
      .bind(1, zone.data())
      .bind(2, stepName(step))
      .step();
}

kj::Vector<ZoneRecord> Store::load() {
  Statement query(database,
                  "SELECT info, spec, failure_code IS NOT NULL, failure_code, failure_subject,"
                  " failure_message, failure_hint FROM zones ORDER BY created, id");
  kj::Vector<ZoneRecord> records;
  while (query.step()) {
    ZoneRecord record;
    auto infoWords = wordsOf(query.blob(0));
    capnp::FlatArrayMessageReader info(infoWords);
    auto specWords = wordsOf(query.blob(1));
    capnp::FlatArrayMessageReader spec(specWords);
    record.specMessage->setRoot(spec.getRoot<schema::ZoneSpec>());
    record.readFrom(info.getRoot<schema::ZoneInfo>());
    if (query.number(2) != 0) {
      record.failure = failure(static_cast<FailureCode>(query.number(3)), query.text(4),
                               query.text(5), query.text(6));
    }
    records.add(kj::mv(record));
  }
  return records;
}

}  // namespace bulkhead

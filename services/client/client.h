// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/async-io.h>

#include "schemas/platform.capnp.h"
#include "services/runtime/connection.h"
#include "services/runtime/uuid.h"

namespace bulkhead {

// A program's connection to this host's zoned. Everything a user may do hangs on `session()`:
//
//     auto io = kj::setupAsyncIo();
//     Client client(*io.lowLevelProvider);
//     auto zone = client.createZone([](auto spec) { spec.setImage("debian:13"); });
//     zone.whenReadyRequest().send().wait(io.waitScope);
//
// Calls answer promises; code that blocks calls `wait` on them. Errors carry a typed failure:
// `failureOf(exception)` (services/runtime/failure.h). When zoned restarts, calls that were under
// way fail with DISCONNECTED; `session()` then gives a new session and zones are found again by
// their id. Not to be shared between threads.
class Client {
 public:
  // Connects on the first use. `provider` must outlive the client.
  explicit Client(kj::LowLevelAsyncIoProvider& provider);

  // The user's session. Calls on it fail with `denied` when the access policy gives this user
  // nothing, and with `unreachable` when zoned does not run.
  schema::Session::Client session();

  // The version of the zoned that answers.
  kj::Promise<kj::String> version();

  // Starts making a zone; `fill` is called with the ZoneSpec::Builder to fill in. `progress` may be
  // null. Dropping the zone of a specification with `deferStart` and removal `whenExited` destroys
  // it; any other lives on.
  template <typename Fill>
  schema::Zone::Client createZone(Fill&& fill,
                                  kj::Maybe<schema::ProgressSink::Client> progress = nullptr) {
    auto request = session().createZoneRequest();
    fill(request.initSpec());
    KJ_IF_MAYBE (sink, progress) {
      request.setProgress(kj::mv(*sink));
    }
    return request.send().getZone();
  }

  // By name, UUID or the start of one. Calls on it fail with `notFound` where there is none.
  schema::Zone::Client findZone(kj::StringPtr nameOrId);

 private:
  Peer<schema::Platform> platform;
};

// A progress sink that calls back. `report` may be called until the capability is dropped.
schema::ProgressSink::Client makeProgressSink(kj::Function<void(schema::Progress::Reader)> report);

// A zone's UUID in its canonical text form; empty when the record has none.
kj::String idOf(schema::ZoneInfo::Reader info);

// A `File` for a descriptor that stays the caller's: the capability holds a duplicate.
schema::File::Client shareFd(int fd);

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "services/client/client.h"

#include <fcntl.h>

#include <kj/debug.h>

#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

class CallingSink final : public schema::ProgressSink::Server {
 public:
  explicit CallingSink(kj::Function<void(schema::Progress::Reader)> call) : call(kj::mv(call)) {}

  kj::Promise<void> report(ReportContext context) override {
    call(context.getParams().getProgress());
    return kj::READY_NOW;
  }

 private:
  kj::Function<void(schema::Progress::Reader)> call;
};

}  // namespace

Client::Client(kj::LowLevelAsyncIoProvider& provider) : platform(provider, Edge::platform) {}

schema::Session::Client Client::session() {
  try {
    return platform.get().sessionRequest().send().getSession();
  } catch (const kj::Exception& exception) {
    if (!isDisconnected(exception)) throw;
    fail(FailureCode::UNREACHABLE, socketPath(Edge::platform), "zoned does not answer",
         "is it running? systemctl status bulkhead-zoned.socket");
  }
}

kj::Promise<kj::String> Client::version() {
  auto response = co_await platform.get().versionRequest().send();
  co_return kj::str(response.getVersion());
}

schema::Zone::Client Client::findZone(kj::StringPtr nameOrId) {
  auto request = session().findZoneRequest();
  request.setNameOrId(nameOrId);
  return request.send().getZone();
}

schema::ProgressSink::Client makeProgressSink(kj::Function<void(schema::Progress::Reader)> report) {
  return kj::heap<CallingSink>(kj::mv(report));
}

kj::String idOf(schema::ZoneInfo::Reader info) {
  KJ_IF_MAYBE (id, Uuid::from(info.getId())) {
    return id->text();
  }
  return kj::String();
}

schema::File::Client shareFd(int fd) { return makeFile(duplicate(fd)); }

}  // namespace bulkhead

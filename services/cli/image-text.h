// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <kj/vector.h>

#include "schemas/image.capnp.h"
#include "services/cli/json.h"
#include "services/cli/table.h"

namespace bulkhead {

// How images are shown; field names of the JSON forms are stable.
Json imageJson(schema::ImageInfo::Reader image);
Json imageDetailsJson(schema::ImageInfo::Reader image, schema::ImageDetails::Reader details);
Json verifyJson(schema::VerifyReport::Reader report);
Json usageJson(schema::StoreUsage::Reader usage);

// One image in all detail, a field a line.
kj::String imageDetails(schema::ImageInfo::Reader image, schema::ImageDetails::Reader details);

// What an image's configuration says of how it was made, oldest first.
struct HistoryEntry {
  kj::String created;  // as the image has it; RFC 3339
  kj::String createdBy;
  kj::String comment;
  kj::Maybe<uint> layer;  // none where the step changed no file
};

// From the configuration's bytes, which are a stranger's: at most 4096 entries are read. Fails with
// `invalid`.
kj::Vector<HistoryEntry> parseHistory(kj::ArrayPtr<const kj::byte> configuration);

Json historyJson(kj::ArrayPtr<const HistoryEntry> history, schema::ImageDetails::Reader details);
kj::String historyText(kj::ArrayPtr<const HistoryEntry> history,
                       schema::ImageDetails::Reader details);

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/string.h>

namespace bulkhead {

// Checks of what a configuration names, so that a mistake is an error where it was made and not one
// of TLS later. They fail with `invalid`.

// One certificate at least.
void requireCertificates(kj::StringPtr pem, kj::StringPtr path);

// A key that no passphrase guards, and that belongs to the first certificate.
void requireKeyOf(kj::StringPtr certificate, kj::StringPtr key, kj::StringPtr path);

}  // namespace bulkhead

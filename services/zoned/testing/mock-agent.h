// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/zoned/testing/mock-world.h"

namespace bulkhead::testing {

// A link to the mock's zone, with the agent behind it. Dropping it closes the ring, after which the
// zone offers a new one.
schema::Link::Client makeMockLink(MockWorld& world, kj::Own<MockWorld::MockDomain> domain);

}  // namespace bulkhead::testing

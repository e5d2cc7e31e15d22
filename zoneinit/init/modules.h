// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::init {

// Loads /modules/boot/*.ko in the order of their names, then removes the files, which are in
// memory. A kernel that has everything built in brings no such folder. A module that does not load
// is said and passed over: what needed it will say so better.
void loadBootModules();

}  // namespace bulkhead::init

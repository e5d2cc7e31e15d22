// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bulkhead::init {

// Makes the console this process's standard streams where the kernel has not done so, which it
// only does when the first file system has the node. Before that, and without a console,
// messages are lost, which is no reason to stop.
void openConsole();

// One line on the console, "zone-init: " before it, as printf(3).
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

// For what the zone cannot go on without: says why, with errno's text, and powers the zone off.
[[noreturn]] void giveUp(const char* what);

}  // namespace bulkhead::init

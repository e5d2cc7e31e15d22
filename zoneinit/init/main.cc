// SPDX-License-Identifier: Apache-2.0
//
// /init: the zone's first process. Makes the system, then keeps the agent and reaps orphans for
// ever. Does nothing else, so that nothing can go wrong in it.
#include <unistd.h>

#include "zoneinit/init/agent-keeper.h"
#include "zoneinit/init/console.h"
#include "zoneinit/init/modules.h"
#include "zoneinit/init/mounts.h"
#include "zoneinit/init/settings.h"

int main(int, char**, char** environment) {
  using namespace bulkhead::init;
  if (getpid() != 1) {
    say("this is a zone's first process and nothing else");
    return 1;
  }
  makeRootMovable();
  mountSystem();
  openConsole();
  say("starting");
  protectSelf();
  applySettings();
  loadBootModules();
  mountModuleDisk();
  makeRootReadOnly();
  keepAgent(environment);
}

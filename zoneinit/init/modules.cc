// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/init/modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zoneinit/init/console.h"

namespace bulkhead::init {
namespace {

constexpr char kFolder[] = "/modules/boot";

bool endsWith(const char* name, const char* suffix) {
  size_t length = strlen(name), wanted = strlen(suffix);
  return length > wanted && strcmp(name + length - wanted, suffix) == 0;
}

int isModule(const dirent* entry) {
  return endsWith(entry->d_name, ".ko") || endsWith(entry->d_name, ".ko.xz") ||
         endsWith(entry->d_name, ".ko.zst");
}

void load(int folder, const char* name) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    say("cannot open module %s: %s", name, strerror(errno));
    return;
  }
  int flags = endsWith(name, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;
  if (syscall(SYS_finit_module, fd, "", flags) != 0 && errno != EEXIST) {
    say("cannot load module %s: %s", name, strerror(errno));
  }
  close(fd);
}

}  // namespace

void loadBootModules() {
  dirent** names = nullptr;
  int count = scandir(kFolder, &names, isModule, alphasort);
  if (count < 0) return;
  int folder = open(kFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < count; ++i) {
    load(folder, names[i]->d_name);
    unlinkat(folder, names[i]->d_name, 0);
    free(names[i]);
  }
  free(names);
  close(folder);
  say("%d modules loaded", count);
}

}  // namespace bulkhead::init

// SPDX-License-Identifier: Apache-2.0
#include "zoneinit/runtime/container-root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>
#include <kj/vector.h>

#include "services/runtime/failure.h"
#include "zoneinit/runtime/fail-step.h"
#include "zoneinit/runtime/mount-fd.h"

namespace bulkhead::zone {
namespace {

constexpr uint32_t kSquashfsMagic = 0x73717368;  // at byte 0
constexpr uint32_t kErofsMagic = 0xe0f5e1e2;     // at byte 1024
constexpr uint16_t kExt4Magic = 0xef53;          // at byte 1080

void makeDirectory(kj::StringPtr path) {
  if (mkdir(path.cStr(), 0755) != 0 && errno != EEXIST) failStep(path, "making a directory");
}

[[noreturn]] void failMount(const char* type, kj::StringPtr subject) {
  if (errno == ENODEV) {
    fail(FailureCode::UNSUPPORTED, subject, kj::str("this kernel has no file system ", type),
         "use a kernel image with that module");
  }
  failStep(subject, kj::str("mounting ", type));
}

void attachAt(int mount, kj::StringPtr target, kj::StringPtr subject) {
  if (!attachMount(mount, target.cStr())) failStep(subject, "attaching a mount");
}

kj::AutoCloseFd mountNew(const char* type, std::initializer_list<MountOption> options,
                         unsigned attributes, kj::StringPtr subject) {
  KJ_IF_MAYBE (mount, newMount(type, options, attributes)) {
    return kj::mv(*mount);
  }
  failMount(type, subject);
}

uint32_t magicAt(int fd, off_t offset) {
  uint32_t value = 0;
  if (pread(fd, &value, sizeof value, offset) != sizeof value) return 0;
  return value;
}

// What the block device holds, by its superblock; the kernel's own parser only ever sees a type
// that was recognised.
const char* imageType(int fd, kj::StringPtr disk) {
  if (magicAt(fd, 0) == kSquashfsMagic) return "squashfs";
  if (magicAt(fd, 1024) == kErofsMagic) return "erofs";
  if ((magicAt(fd, 1080) & 0xffff) == kExt4Magic) return "ext4";
  fail(FailureCode::UNSUPPORTED, disk, "the disk holds no squashfs, EROFS or ext4 file system");
}

void writeFile(kj::StringPtr path, kj::StringPtr content) {
  int raw = open(path.cStr(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (raw < 0) failStep(path, "writing a file");
  kj::AutoCloseFd fd(raw);
  kj::FdOutputStream(fd.get()).write(content.begin(), content.size());
}

constexpr unsigned kImageAttributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;

kj::AutoCloseFd mountDirectory(kj::StringPtr path) {
  int raw = open(path.cStr(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (raw < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    fail(FailureCode::NOT_FOUND, path, "the zone has no such directory");
  }
  if (raw < 0) failStep(path, "opening the directory");
  kj::AutoCloseFd fd(raw);
  KJ_IF_MAYBE (mount, bindMount(fd, kImageAttributes | MOUNT_ATTR_RDONLY)) {
    return kj::mv(*mount);
  }
  failStep(path, "opening the directory as a mount");
}

}  // namespace

kj::AutoCloseFd mountDisk(const RuntimePaths& paths, kj::StringPtr disk, DiskAccess access) {
  auto device = kj::str(paths.devices, "/", disk);
  int raw = open(device.cStr(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (raw < 0) {
    if (errno == ENOENT || errno == ENXIO) {
      fail(FailureCode::NOT_FOUND, disk, "the zone has no such disk");
    }
    failStep(disk, "opening the disk");
  }
  kj::AutoCloseFd fd(raw);
  struct stat info{};
  KJ_SYSCALL(fstat(fd, &info));
  unsigned attributes = kImageAttributes;
  if (access == DiskAccess::readOnly) attributes |= MOUNT_ATTR_RDONLY;
  if (S_ISDIR(info.st_mode)) {
    KJ_IF_MAYBE (mount, bindMount(fd, attributes)) {
      return kj::mv(*mount);
    }
    failStep(disk, "opening the directory as a mount");
  }
  if (!S_ISBLK(info.st_mode)) fail(FailureCode::INVALID, disk, "this is no disk");
  auto type = imageType(fd, disk);
  if (access == DiskAccess::readWrite) {
    return mountNew(type, {{"source", device.cStr()}}, attributes, disk);
  }
  return mountNew(type, {{"source", device.cStr()}, {"ro", nullptr}}, attributes, disk);
}

ContainerRoot::ContainerRoot(const RuntimePaths& paths, const ContainerSpec& spec,
                             const OwnerMap& owners)
    : base(kj::str(paths.state, "/", spec.id)),
      lower(kj::str(base, "/lower")),
      scratch(kj::str(base, "/scratch")),
      root(kj::str(base, "/root")),
      names(kj::str(base, "/names")) {
  KJ_ON_SCOPE_FAILURE(unmountAll());
  mountAll(paths, spec, owners);
}

void ContainerRoot::mountAll(const RuntimePaths& paths, const ContainerSpec& spec,
                             const OwnerMap& owners) {
  for (auto& path : {paths.state.asPtr(), base.asPtr(), lower.asPtr(), scratch.asPtr(),
                     root.asPtr(), names.asPtr()}) {
    makeDirectory(path);
  }
  kj::StringPtr subject = spec.rootDirectory.size() > 0 ? spec.rootDirectory : spec.rootDisk;
  auto image = spec.rootDirectory.size() > 0 ? mountDirectory(subject)
                                             : mountDisk(paths, subject, DiskAccess::readOnly);
  if (owners.userNamespace >= 0 && !mapOwners(image, owners.userNamespace)) {
    fail(FailureCode::UNSUPPORTED, subject,
         kj::str("its file system cannot show other owners: ", strerror(errno)));
  }
  attachAt(image, lower, subject);
  // As large as the kernel's default, half of the zone's memory.
  constexpr kj::StringPtr kUpper = "the container's upper layer"_kj;
  auto memory = mountNew("tmpfs", {{"mode", "0700"}}, MOUNT_ATTR_NODEV, kUpper);
  for (auto name : {"upper", "work"}) {
    if (mkdirat(memory, name, 0755) != 0) failStep(kUpper, "making a directory");
  }
  // The upper layer is written by the container's users themselves, with the numbers they have
  // outside; only what an image brings needs mapping.
  if (fchownat(memory, "upper", owners.root, owners.rootGroup, 0) != 0) {
    failStep(kUpper, "changing its owner");
  }
  attachAt(memory, scratch, kUpper);
  auto upper = kj::str(scratch, "/upper"), work = kj::str(scratch, "/work");
  // Device nodes that an image brings, or a container makes, open nothing: its /dev is ours.
  constexpr kj::StringPtr kRoot = "the container's root"_kj;
  auto overlay = mountNew(
      "overlay", {{"lowerdir", lower.cStr()}, {"upperdir", upper.cStr()}, {"workdir", work.cStr()}},
      MOUNT_ATTR_NODEV, kRoot);
  attachAt(overlay, root, kRoot);
  int opened = open(root.cStr(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) failStep(root, "opening the container's root");
  rootFd = kj::AutoCloseFd(opened);
}

ContainerRoot::~ContainerRoot() noexcept(false) {
  rootFd = nullptr;
  unmountAll();
}

void ContainerRoot::unmountAll() {
  for (auto& path : {root.asPtr(), scratch.asPtr(), lower.asPtr()}) {
    umount2(path.cStr(), MNT_DETACH);
    rmdir(path.cStr());
  }
  for (auto name : {"resolv.conf", "hosts", "hostname"}) {
    unlink(kj::str(names, "/", name).cStr());
  }
  rmdir(names.cStr());
  rmdir(base.cStr());
}

void ContainerRoot::writeNameFiles(const NameFiles& files) {
  writeFile(kj::str(names, "/resolv.conf"), files.resolver);
  writeFile(kj::str(names, "/hosts"), files.hosts);
  writeFile(kj::str(names, "/hostname"), files.hostname);
}

void clearLeftoverRoots(const RuntimePaths& paths) {
  DIR* listing = opendir(paths.state.cStr());
  if (listing == nullptr) return;
  KJ_DEFER(closedir(listing));
  kj::Vector<kj::String> found;
  while (dirent* entry = readdir(listing)) {
    if (entry->d_name[0] != '.' && entry->d_type == DT_DIR) found.add(kj::str(entry->d_name));
  }
  for (auto& name : found) {
    auto base = kj::str(paths.state, "/", name);
    for (auto part : {"root", "scratch", "lower"}) {
      auto path = kj::str(base, "/", part);
      while (umount2(path.cStr(), MNT_DETACH) == 0) {
      }
      rmdir(path.cStr());
    }
    for (auto file : {"resolv.conf", "hosts", "hostname"}) {
      unlink(kj::str(base, "/names/", file).cStr());
    }
    rmdir(kj::str(base, "/names").cStr());
    rmdir(base.cStr());
  }
}

}  // namespace bulkhead::zone

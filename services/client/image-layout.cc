// SPDX-License-Identifier: Apache-2.0
#include "services/client/image-layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <capnp/compat/json.h>
#include <kj/debug.h>

#include "services/client/tar-format.h"
#include "services/runtime/failure.h"
#include "services/runtime/files.h"

namespace bulkhead {
namespace {

constexpr size_t kChunk = 256u << 10;
constexpr kj::StringPtr kLayoutFile = "{\"imageLayoutVersion\":\"1.0.0\"}"_kj;
constexpr kj::StringPtr kManifestType = "application/vnd.oci.image.manifest.v1+json"_kj;

// Where the files of a layout go.
class LayoutOutput {
 public:
  virtual ~LayoutOutput() noexcept(false) {}
  virtual void begin(kj::StringPtr path, uint64_t size) = 0;
  virtual void append(kj::ArrayPtr<const kj::byte> bytes) = 0;
  virtual void endFile() = 0;
  virtual void finish() = 0;

  void add(kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
    begin(path, bytes.size());
    append(bytes);
    endFile();
  }
};

class DirectoryOutput final : public LayoutOutput {
 public:
  explicit DirectoryOutput(int directory) : directory(directory) {}

  void begin(kj::StringPtr path, uint64_t) override {
    for (size_t i = 0; i < path.size(); ++i) {
      if (path[i] != '/') continue;
      auto folder = kj::str(path.slice(0, i));
      if (mkdirat(directory, folder.cStr(), 0777) != 0 && errno != EEXIST) {
        KJ_FAIL_SYSCALL("mkdirat", errno, folder);
      }
    }
    // Two layers may be one blob.
    int raw;
    KJ_SYSCALL(raw = openat(directory, path.cStr(),
                            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666),
               path);
    file = kj::AutoCloseFd(raw);
  }
  void append(kj::ArrayPtr<const kj::byte> bytes) override {
    kj::FdOutputStream(file.get()).write(bytes.begin(), bytes.size());
  }
  void endFile() override { file = nullptr; }
  void finish() override {}

 private:
  int directory;
  kj::AutoCloseFd file;
};

class ArchiveOutput final : public LayoutOutput {
 public:
  explicit ArchiveOutput(int output) : output(output) {}

  void begin(kj::StringPtr path, uint64_t bytes) override {
    append(tarHeader(path, bytes));
    size = bytes;
  }
  void append(kj::ArrayPtr<const kj::byte> bytes) override {
    output.write(bytes.begin(), bytes.size());
  }
  void endFile() override {
    const kj::byte zeros[kTarRecord] = {};
    output.write(zeros, tarPadding(size));
  }
  void finish() override { append(tarEnd()); }

 private:
  kj::FdOutputStream output;
  uint64_t size = 0;
};

// "sha256:12ab" as the path of a blob.
kj::String blobPath(kj::StringPtr digest) {
  auto colon = KJ_REQUIRE_NONNULL(digest.findFirst(':'), "this is no digest", digest);
  return kj::str("blobs/", digest.slice(0, colon), "/", digest.slice(colon + 1));
}

// What the manifest says it is; where it says nothing, the specification does.
kj::String mediaTypeOf(kj::ArrayPtr<const kj::byte> manifest) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  capnp::JsonCodec().decodeRaw(manifest.asChars(), root);
  auto value = root.asReader();
  if (value.isObject()) {
    for (auto field : value.getObject()) {
      if (field.getName() == "mediaType" && field.getValue().isString()) {
        return kj::str(field.getValue().getString());
      }
    }
  }
  return kj::str(kManifestType);
}

kj::String encodeIndex(kj::StringPtr mediaType, kj::StringPtr digest, uint64_t size,
                       kj::StringPtr tag) {
  capnp::MallocMessageBuilder message;
  auto put = [](capnp::JsonValue::Field::Builder field, kj::StringPtr name) {
    field.setName(name);
    return field.initValue();
  };
  auto index = message.initRoot<capnp::JsonValue>().initObject(2);
  put(index[0], "schemaVersion").setNumber(2);
  auto entry = put(index[1], "manifests").initArray(1)[0].initObject(tag.size() > 0 ? 4 : 3);
  put(entry[0], "mediaType").setString(mediaType);
  put(entry[1], "digest").setString(digest);
  put(entry[2], "size").setNumber(static_cast<double>(size));
  if (tag.size() > 0) {
    auto annotation = put(entry[3], "annotations").initObject(1);
    put(annotation[0], "org.opencontainers.image.ref.name").setString(tag);
  }
  return capnp::JsonCodec().encodeRaw(message.getRoot<capnp::JsonValue>());
}

void copyFile(int from, uint64_t size, LayoutOutput& out, kj::StringPtr path) {
  auto buffer = kj::heapArray<kj::byte>(kChunk);
  out.begin(path, size);
  for (uint64_t position = 0; position < size;) {
    ssize_t count = pread(from, buffer.begin(), kj::min(uint64_t{kChunk}, size - position),
                          static_cast<off_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) KJ_FAIL_SYSCALL("pread", errno, path);
    if (count == 0) fail(FailureCode::CORRUPT, path, "the stored layer is shorter than it was");
    out.append(buffer.slice(0, static_cast<size_t>(count)));
    position += static_cast<uint64_t>(count);
  }
  out.endFile();
}

kj::Promise<void> writeLayout(schema::Image::Client image, kj::String tag,
                              kj::Own<LayoutOutput> out) {
  auto details = co_await image.detailsRequest().send();
  auto info = co_await image.infoRequest().send();
  auto manifestRequest = image.documentRequest();
  manifestRequest.setKind(schema::Image::DocumentKind::MANIFEST);
  auto manifest = co_await manifestRequest.send();
  auto configRequest = image.documentRequest();
  configRequest.setKind(schema::Image::DocumentKind::CONFIG);
  auto config = co_await configRequest.send();

  out->add("oci-layout", kLayoutFile.asBytes());
  auto digest = info.getInfo().getManifestDigest();
  auto bytes = manifest.getBytes();
  out->add("index.json", encodeIndex(mediaTypeOf(bytes), digest, bytes.size(), tag).asBytes());
  out->add(blobPath(digest), bytes);
  out->add(blobPath(details.getDetails().getConfigDigest()), config.getBytes());
  auto layers = details.getDetails().getLayers();
  for (uint i = 0; i < layers.size(); ++i) {
    bool again = false;
    for (uint j = 0; j < i; ++j) again = again || layers[j].getDigest() == layers[i].getDigest();
    if (again) continue;
    auto request = image.layerRequest();
    request.setNumber(i);
    auto file = co_await takeFd(request.send().getFile(), layers[i].getDigest());
    copyFile(file, layers[i].getSize(), *out, blobPath(layers[i].getDigest()));
  }
  out->finish();
}

kj::Vector<kj::String> namesIn(kj::AutoCloseFd directory) {
  DIR* stream = fdopendir(directory.get());
  if (stream == nullptr) KJ_FAIL_SYSCALL("fdopendir", errno);
  directory.release();
  KJ_DEFER(closedir(stream));
  kj::Vector<kj::String> names;
  while (dirent* entry = readdir(stream)) {
    if (entry->d_name[0] != '.') names.add(kj::str(static_cast<const char*>(entry->d_name)));
  }
  return names;
}

// Bytes of a file or a pipe, until its end.
kj::Promise<void> sendFile(kj::LowLevelAsyncIoProvider& provider, int source,
                           kj::AsyncOutputStream& output) {
  struct stat status;
  KJ_SYSCALL(fstat(source, &status));
  if (!S_ISREG(status.st_mode)) {
    auto input = provider.wrapInputFd(duplicate(source));
    co_await input->pumpTo(output);
    co_return;
  }
  auto buffer = kj::heapArray<kj::byte>(kChunk);
  for (;;) {
    ssize_t count = ::read(source, buffer.begin(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) KJ_FAIL_SYSCALL("read", errno);
    if (count == 0) break;
    co_await output.write(buffer.begin(), static_cast<size_t>(count));
  }
}

kj::Promise<void> sendMember(kj::LowLevelAsyncIoProvider& provider, int directory, kj::String path,
                             kj::AsyncOutputStream& output) {
  auto file = openPlainFileBeneath(directory, path);
  struct stat status;
  KJ_SYSCALL(fstat(file, &status));
  auto size = static_cast<uint64_t>(status.st_size);
  auto header = tarHeader(path, size);
  co_await output.write(header.begin(), header.size());
  co_await sendFile(provider, file, output);
  const kj::byte zeros[kTarRecord] = {};
  co_await output.write(zeros, tarPadding(size));
}

}  // namespace

kj::Promise<void> writeLayoutDirectory(schema::Image::Client image, kj::String tag, int directory) {
  return writeLayout(kj::mv(image), kj::mv(tag), kj::heap<DirectoryOutput>(directory));
}

kj::Promise<void> writeLayoutArchive(schema::Image::Client image, kj::String tag, int output) {
  return writeLayout(kj::mv(image), kj::mv(tag), kj::heap<ArchiveOutput>(output));
}

kj::Promise<void> sendArchive(kj::LowLevelAsyncIoProvider& provider, int source,
                              kj::Own<kj::AsyncOutputStream> output) {
  struct stat status;
  KJ_SYSCALL(fstat(source, &status));
  if (!S_ISDIR(status.st_mode)) {
    co_await sendFile(provider, source, *output);
    co_return;
  }
  co_await sendMember(provider, source, kj::str("index.json"), *output);
  for (kj::StringPtr algorithm : {"sha256"_kj, "sha512"_kj}) {
    auto folder = kj::str("blobs/", algorithm);
    int raw = openBeneath(source, folder, O_RDONLY | O_DIRECTORY);
    if (raw < 0) continue;
    for (auto& name : namesIn(kj::AutoCloseFd(raw))) {
      co_await sendMember(provider, source, kj::str(folder, "/", name), *output);
    }
  }
  auto end = tarEnd();
  co_await output->write(end.begin(), end.size());
}

}  // namespace bulkhead

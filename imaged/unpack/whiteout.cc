// SPDX-License-Identifier: Apache-2.0
#include "imaged/unpack/whiteout.h"

namespace bulkhead {
namespace {

constexpr kj::StringPtr kWhiteout = ".wh."_kj;
constexpr kj::StringPtr kOpaque = ".wh..wh..opq"_kj;

}  // namespace

SplitPath splitPath(kj::StringPtr path) {
  KJ_IF_MAYBE (slash, path.findLast('/')) {
    return {kj::str(path.slice(0, *slash)), kj::str(path.slice(*slash + 1))};
  }
  return {kj::String(), kj::str(path)};
}

kj::String joinPath(kj::StringPtr parent, kj::StringPtr name) {
  return parent.size() == 0 ? kj::str(name) : kj::str(parent, "/", name);
}

kj::Maybe<Whiteout> whiteoutOf(kj::StringPtr name) {
  if (!name.startsWith(kWhiteout)) return nullptr;
  if (name == kOpaque) return Whiteout{Whiteout::Kind::opaque, {}};
  auto hidden = kj::str(name.slice(kWhiteout.size()));
  if (hidden.startsWith(kWhiteout)) return Whiteout{Whiteout::Kind::record, {}};
  return Whiteout{Whiteout::Kind::one, kj::mv(hidden)};
}

}  // namespace bulkhead

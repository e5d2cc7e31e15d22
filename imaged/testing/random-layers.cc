// SPDX-License-Identifier: Apache-2.0
#include "imaged/testing/random-layers.h"

#include <map>
#include <random>
#include <set>
#include <string>

#include "imaged/testing/tar-builder.h"

namespace bulkhead::testing {
namespace {

struct Node {
  char type;
  TarBuilder::Fields fields;
};

class Maker {
 public:
  explicit Maker(uint32_t seed) : random(seed) {}

  RandomLayers make() {
    uint layers = 1 + below(5);
    for (uint i = 0; i < layers; ++i) layer(i);
    return kj::mv(result);
  }

 private:
  std::mt19937 random;
  RandomLayers result;
  std::map<std::string, Node> tree;  // as it is with the layers so far
  TarBuilder tar;
  std::set<std::string> touched;  // by the present layer

  uint below(uint most) { return static_cast<uint>(random() % most); }

  void note(const std::string& step) { result.steps.add(kj::str(step.c_str())); }

  static std::string parentOf(const std::string& path) {
    auto slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
  }

  TarBuilder::Fields fields(char type) {
    TarBuilder::Fields made;
    made.type = type;
    static constexpr uint32_t kModes[] = {0644, 0755, 0600, 04755, 02755, 01777, 0400};
    made.mode = kModes[below(7)];
    made.user = below(3) * 1000;
    made.group = below(3) * 50;
    made.modified = 1'000'000'000 + below(700'000'000);
    return made;
  }

  std::string randomPath() {
    static constexpr const char* kNames[] = {"a", "b", "c", "dir", "etc", "x.conf"};
    std::string path = kNames[below(6)];
    for (uint depth = below(4); depth > 0; --depth) path += std::string("/") + kNames[below(6)];
    return path;
  }

  bool isDirectory(const std::string& path) {
    auto at = tree.find(path);
    return path.empty() || (at != tree.end() && at->second.type == '5');
  }

  void removeBelow(const std::string& path) {
    for (auto at = tree.lower_bound(path + "/"); at != tree.end();) {
      if (at->first.compare(0, path.size() + 1, path + "/") != 0) break;
      at = tree.erase(at);
    }
  }

  void attributes(char type) {
    if ((type != '0' && type != '5') || below(4) != 0) return;
    static constexpr const char* kRecords[] = {"SCHILY.xattr.user.note=one",
                                               "SCHILY.xattr.trusted.mark=two",
                                               "SCHILY.xattr.user.more=three"};
    kj::StringPtr record = kRecords[below(3)];
    if (type == '0' && below(3) == 0) {
      // Version 2 of a file's capabilities: CAP_NET_RAW, effective.
      kj::StringPtr capability(
          "SCHILY.xattr.security.capability=\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 53);
      tar.pax({capability, record});
    } else {
      tar.pax({record});
    }
  }

  // A member of its own; the parent is a directory by now.
  void put(const std::string& path, char type) {
    if (touched.contains(path)) return;
    auto entry = fields(type);
    std::string content;
    std::string link;
    if (type == '0') {
      static constexpr uint kSizes[] = {0, 1, 300, 5000, 140'000};
      uint size = kSizes[below(below(8) == 0 ? 5 : 4)];
      content.assign(size, static_cast<char>('A' + below(26)));
    } else if (type == '2') {
      static constexpr const char* kTargets[] = {"a", "../etc", "/dir/x.conf", "no/where"};
      link = kTargets[below(4)];
      entry.mode = 0777;
    } else if (type == '1') {
      std::string target;
      for (auto& [name, node] : tree) {
        bool within = name.starts_with(path + "/");
        if (node.type != '5' && name != path && !within && below(3) == 0) target = name;
      }
      if (target.empty()) return;
      // The link says of itself what the file is, as archives of real trees do.
      entry = tree.at(target).fields;
      entry.type = '1';
      link = target;
    } else if (type == '3' || type == '4') {
      entry.deviceMajor = below(300);
      entry.deviceMinor = below(70'000);
    }
    entry.link = link.c_str();
    note("  " + std::string(1, type) + " " + path + (link.empty() ? "" : " -> " + link));
    if (type != '1') attributes(type);
    auto name = type == '5' ? path + "/" : path;
    tar.add(name.c_str(), content.c_str(), entry);
    auto real = type == '1' ? tree.at(link).type : type;
    if (real != '5' || !isDirectory(path)) removeBelow(path);
    entry.link = "";
    tree.insert_or_assign(path, Node{real, entry});
    touched.insert(path);
    if (type == '5') maybeOpaque(path);
  }

  // Sees to it that there is a directory to put something into; false where this layer already
  // put something else there.
  bool makeParents(const std::string& path) {
    auto parent = parentOf(path);
    if (parent.empty() || isDirectory(parent)) return true;
    if (touched.contains(parent) || !makeParents(parent)) return false;
    put(parent, '5');
    return isDirectory(parent);
  }

  void whiteout(const std::string& path) {
    auto parent = parentOf(path);
    if (!isDirectory(parent)) return;
    auto name = path.substr(parent.empty() ? 0 : parent.size() + 1);
    // A layer that both removes and makes the same name is one that readers differ about.
    for (auto& own : touched) {
      if (own == path || own.starts_with(path + "/")) return;
    }
    note("  wh " + path);
    auto marker = (parent.empty() ? "" : parent + "/") + ".wh." + name;
    tar.add(marker.c_str(), "", fields('0'));
    removeBelow(path);
    tree.erase(path);
    touched.insert(path);
  }

  // Where a layer hides what lower ones have in a directory, it says so before it adds to it: with
  // markers behind their neighbours, umoci leaves times of its own on directories between.
  void maybeOpaque(const std::string& path) {
    if (result.tars.size() == 0 || below(4) != 0) return;
    auto own = touched.lower_bound(path + "/");
    if (own != touched.end() && own->starts_with(path + "/")) return;
    note("  opaque " + path);
    tar.add((path + "/.wh..wh..opq").c_str(), "", fields('0'));
    removeBelow(path);
  }

  void layer(uint number) {
    note("layer " + std::to_string(number + 1));
    tar = TarBuilder();
    touched.clear();
    if (number == 0 || below(4) == 0) tar.add("./", "", fields('5'));
    uint members = 1 + below(14);
    for (uint i = 0; i < members; ++i) {
      auto path = randomPath();
      if (number > 0 && below(5) == 0) {
        whiteout(path);
        continue;
      }
      if (touched.contains(path) || !makeParents(path)) continue;
      static constexpr char kTypes[] = {'0', '0', '0', '0', '5', '5', '5',
                                        '2', '2', '1', '1', '3', '4', '6'};
      put(path, kTypes[below(14)]);
    }
    result.tars.add(tar.finish());
  }
};

}  // namespace

RandomLayers makeRandomLayers(uint32_t seed) { return Maker(seed).make(); }

}  // namespace bulkhead::testing

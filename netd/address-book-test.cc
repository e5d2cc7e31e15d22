// SPDX-License-Identifier: Apache-2.0
#include "netd/address-book.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kj/debug.h>

#include <map>
#include <random>
#include <set>

#include "services/runtime/failure.h"

namespace bulkhead::net {
namespace {

AddressRanges ranges(kj::StringPtr v4, kj::StringPtr v6 = "fd00:75::/64") {
  return {KJ_ASSERT_NONNULL(IpRange::parse(v4)), KJ_ASSERT_NONNULL(IpRange::parse(v6))};
}

IpAddress ip(kj::StringPtr text) { return KJ_ASSERT_NONNULL(IpAddress::parse(text), text); }

Uuid zone(unsigned number) {
  Uuid id;
  id.bytes[0] = 0xaa;
  id.bytes[14] = static_cast<kj::byte>(number >> 8);
  id.bytes[15] = static_cast<kj::byte>(number);
  return id;
}

template <typename Func>
FailureCode codeOf(Func&& action) {
  try {
    action();
  } catch (const kj::Exception& e) {
    return failureOf(e).code;
  }
  KJ_FAIL_REQUIRE("no failure");
}

class AddressBookTest : public testing::Test {
 public:
  ~AddressBookTest() noexcept override {}

 protected:
  char directory[32] = "/tmp/bulkhead-book-XXXXXX";
  kj::Own<AddressBook> book;

  void SetUp() override {
    KJ_ASSERT(mkdtemp(directory) != nullptr);
    open("10.75.0.0/16");
  }
  void TearDown() override {
    book = nullptr;
    unlink(kj::str(directory, "/addresses.db").cStr());
    unlink(kj::str(directory, "/addresses.db-wal").cStr());
    rmdir(directory);
  }
  void open(kj::StringPtr v4) {
    book = nullptr;
    book = kj::heap<AddressBook>(directory, ranges(v4));
  }
};

TEST_F(AddressBookTest, AZoneGetsOnePlaceAndKeepsIt) {
  auto first = book->attach(zone(1), {});
  EXPECT_EQ(first.v4.text(), "10.75.0.1");
  EXPECT_EQ(first.v6.text(), "fd00:75::1");
  EXPECT_EQ(first.index, 0u);
  EXPECT_EQ(first.mac.bytes[0], 0x02);
  auto second = book->attach(zone(1), {});
  EXPECT_EQ(second.mac, first.mac);
  EXPECT_EQ(book->used(), 1u);
  EXPECT_EQ(book->available(), 65533u);
}

TEST_F(AddressBookTest, EverythingSurvivesARestart) {
  auto before = book->attach(zone(1), {});
  book->setDomain(zone(1), 0, 42);
  book->attach(zone(2), {});
  book->release(zone(2), 0);
  open("10.75.0.0/16");
  auto& after = KJ_ASSERT_NONNULL(book->find(zone(1)));
  EXPECT_EQ(after.v4, before.v4);
  EXPECT_EQ(after.v6, before.v6);
  EXPECT_EQ(after.mac, before.mac);
  EXPECT_EQ(after.domid.orDefault(0), 42u);
  EXPECT_TRUE(book->find(zone(2)) == nullptr);
  // The released address rests, and the zone's next vif has a new index.
  EXPECT_EQ(book->attach(zone(3), {}).v4.text(), "10.75.0.3");
  EXPECT_EQ(book->attach(zone(2), {}).index, 1u);
}

TEST_F(AddressBookTest, WishesAreGrantedOrRefused) {
  LeaseRequest wish;
  wish.address = ip("10.75.9.9");
  wish.mac = MacAddress::parse("02:00:00:00:00:09");
  auto lease = book->attach(zone(1), wish);
  EXPECT_EQ(lease.v4.text(), "10.75.9.9");
  EXPECT_EQ(lease.mac.text(), "02:00:00:00:00:09");
  EXPECT_EQ(codeOf([&]() { book->attach(zone(2), wish); }), FailureCode::ALREADY_EXISTS);
  wish.address = lease.v6;
  wish.mac = nullptr;
  EXPECT_EQ(codeOf([&]() { book->attach(zone(2), wish); }), FailureCode::ALREADY_EXISTS);
  // The same zone may ask again for what it has, by either address.
  EXPECT_EQ(book->attach(zone(1), wish).v4, lease.v4);
  wish.address = ip("10.75.9.10");
  EXPECT_EQ(codeOf([&]() { book->attach(zone(1), wish); }), FailureCode::ALREADY_EXISTS);
  for (auto outside : {"10.76.0.1", "10.75.0.0", "10.75.255.255", "fd00:75::1:0:0:1", "fe80::1"}) {
    wish.address = ip(outside);
    EXPECT_EQ(codeOf([&]() { book->attach(zone(2), wish); }), FailureCode::INVALID) << outside;
  }
  LeaseRequest group;
  group.mac = MacAddress::parse("01:00:5e:00:00:01");
  EXPECT_EQ(codeOf([&]() { book->attach(zone(2), group); }), FailureCode::INVALID);
  EXPECT_EQ(book->used(), 1u);
}

TEST_F(AddressBookTest, RunsOutWithATypedFailure) {
  open("192.0.2.0/29");
  for (unsigned i = 1; i <= 6; ++i) book->attach(zone(i), {});
  EXPECT_EQ(codeOf([&]() { book->attach(zone(7), {}); }), FailureCode::EXHAUSTED);
  EXPECT_EQ(book->available(), 0u);
  book->release(zone(4), 0);
  EXPECT_EQ(book->attach(zone(7), {}).v4.text(), "192.0.2.4");
}

TEST_F(AddressBookTest, ReleaseIsForOneLease) {
  book->attach(zone(1), {});
  EXPECT_FALSE(book->release(zone(1), 5));
  EXPECT_TRUE(book->release(zone(1), 0));
  EXPECT_FALSE(book->release(zone(1), 0));
  EXPECT_EQ(codeOf([&]() { book->get(zone(1), 0); }), FailureCode::NOT_FOUND);
  book->attach(zone(1), {});
  EXPECT_EQ(codeOf([&]() { book->get(zone(1), 0); }), FailureCode::NOT_FOUND);
  EXPECT_EQ(book->get(zone(1), 1).index, 1u);
  book->release(zone(1), 1);
  book->forget(zone(1));
  EXPECT_EQ(book->zones().size(), 0u);
}

TEST_F(AddressBookTest, ADomainHasOneLease) {
  book->attach(zone(1), {});
  book->attach(zone(2), {});
  book->setDomain(zone(1), 0, 7);
  book->setDomain(zone(2), 0, 7);
  open("10.75.0.0/16");
  EXPECT_TRUE(book->get(zone(1), 0).domid == nullptr);
  EXPECT_EQ(book->get(zone(2), 0).domid.orDefault(0), 7u);
}

TEST_F(AddressBookTest, LeasesSurviveAChangeOfTheRanges) {
  book->attach(zone(1), {});
  open("10.80.0.0/16");
  EXPECT_EQ(book->attach(zone(1), {}).v4.text(), "10.75.0.1");
  // The number 1 is still in use, by the IPv6 address.
  EXPECT_EQ(book->attach(zone(2), {}).v4.text(), "10.80.0.2");
  book->release(zone(1), 0);
  LeaseRequest wish;
  wish.address = ip("10.80.0.1");
  EXPECT_EQ(book->attach(zone(3), wish).v6.text(), "fd00:75::1");
}

TEST_F(AddressBookTest, OneProcessAtATime) {
  EXPECT_EQ(codeOf([&]() { AddressBook second(directory, ranges("10.75.0.0/16")); }),
            FailureCode::INTERNAL);
}

TEST_F(AddressBookTest, ADamagedStoreIsNotTakenForAnEmptyOne) {
  book->attach(zone(1), {});
  book = nullptr;
  unlink(kj::str(directory, "/addresses.db-wal").cStr());
  int fd = ::open(kj::str(directory, "/addresses.db").cStr(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  ASSERT_EQ(write(fd, "this is no database, and never was one", 38), 38);
  close(fd);
  EXPECT_EQ(codeOf([&]() { open("10.75.0.0/16"); }), FailureCode::CORRUPT);
}

TEST_F(AddressBookTest, AMissingDirectoryIsAnError) {
  EXPECT_EQ(codeOf([&]() { AddressBook elsewhere("/nonexistent/netd", ranges("10.75.0.0/16")); }),
            FailureCode::INTERNAL);
}

// Random operations against what the interface promises, with restarts in between.
TEST_F(AddressBookTest, KeepsItsPromisesUnderRandomUse) {
  std::mt19937 random(7112025);
  struct Held {
    uint32_t index;
    kj::String v4, mac;
  };
  std::map<unsigned, Held> held;
  std::map<unsigned, uint32_t> nextIndex;
  open("192.0.2.0/28");  // 14 addresses for 20 zones
  for (int step = 0; step < 600; ++step) {
    SCOPED_TRACE(step);
    unsigned id = static_cast<unsigned>(random()) % 20;
    bool had = held.contains(id);
    switch (random() % 8) {
      case 0:
        open("192.0.2.0/28");
        break;
      case 1:
      case 2:
        ASSERT_EQ(book->release(zone(id), had ? held[id].index : 0), had);
        held.erase(id);
        break;
      default:
        if (!had && held.size() == 14) {
          ASSERT_EQ(codeOf([&]() { book->attach(zone(id), {}); }), FailureCode::EXHAUSTED);
          break;
        }
        auto& lease = book->attach(zone(id), {});
        if (had) {
          ASSERT_EQ(lease.index, held[id].index);
          ASSERT_EQ(lease.v4.text(), held[id].v4);
          ASSERT_EQ(lease.mac.text(), held[id].mac);
        } else {
          ASSERT_EQ(lease.index, nextIndex[id]++);
          held[id] = Held{lease.index, lease.v4.text(), lease.mac.text()};
        }
    }
    ASSERT_EQ(book->used(), held.size());
    ASSERT_EQ(book->available(), 14 - held.size());
    std::set<std::string> addresses;
    for (auto* lease : book->leases()) {
      ASSERT_TRUE(addresses.insert(lease->v4.text().cStr()).second);
      ASSERT_TRUE(addresses.insert(lease->v6.text().cStr()).second);
      ASSERT_TRUE(addresses.insert(lease->mac.text().cStr()).second);
    }
  }
}

}  // namespace
}  // namespace bulkhead::net

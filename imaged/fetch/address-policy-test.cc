// SPDX-License-Identifier: Apache-2.0
#include "imaged/fetch/address-policy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <kj/debug.h>

namespace bulkhead {
namespace {

bool mayConnect(const char* text, Loopback loopback = Loopback::refused) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  bool isV4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
  KJ_REQUIRE(isV4 || inet_pton(AF_INET6, text, &v6.sin6_addr) == 1, text);
  bool answer = mayConnectTo(
      isV4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6), loopback);
  // What is asked of a proxy is judged alike.
  EXPECT_EQ(mayAskFor(text, loopback), answer) << text;
  return answer;
}

TEST(AddressPolicy, R8_WhatNoRegistryMayHave) {
  for (auto text : {"0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200",
                    "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "fe80::1", "febf::1",
                    "fec0::1", "ff02::1", "fd00:ec2::254", "::ffff:169.254.169.254",
                    "::ffff:100.100.100.200", "::169.254.169.254", "64:ff9b::a9fe:a9fe"}) {
    EXPECT_FALSE(mayConnect(text)) << text;
    EXPECT_FALSE(mayConnect(text, Loopback::allowed)) << text;
  }
}

TEST(AddressPolicy, R8_TheMachineItselfOnlyWhereAllowed) {
  for (auto text : {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}) {
    EXPECT_FALSE(mayConnect(text)) << text;
    EXPECT_TRUE(mayConnect(text, Loopback::allowed)) << text;
  }
}

TEST(AddressPolicy, EverybodyElseMayBeOne) {
  for (auto text : {"192.0.2.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.100.100.201",
                    "169.253.1.1", "2001:db8::1", "fd00::1", "fd00:ec2::253", "::ffff:192.0.2.1"}) {
    EXPECT_TRUE(mayConnect(text)) << text;
  }
}

TEST(AddressPolicy, ANameIsNoAddress) {
  EXPECT_TRUE(mayAskFor("registry.example", Loopback::refused));
}

TEST(AddressPolicy, OtherFamiliesAreRefused) {
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_FALSE(mayConnectTo(&other, Loopback::allowed));
}

}  // namespace
}  // namespace bulkhead

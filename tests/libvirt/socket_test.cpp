// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/socket.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "collectors/libvirt/backoff.h"

namespace vcpu {
namespace {

using Paths = std::vector<std::string>;

TEST(LibvirtSockets, TheSystemHasTwo) {
  const Paths both{"/run/libvirt/libvirt-sock-ro",
                   "/run/libvirt/virtqemud-sock-ro"};
  EXPECT_EQ(libvirt_sockets("qemu:///system"), both);
  EXPECT_EQ(libvirt_sockets("qemu+unix:///system?mode=direct"), both);
}

TEST(LibvirtSockets, AUriMayNameItsOwn) {
  EXPECT_EQ(libvirt_sockets("qemu:///system?socket=/a/b"), Paths{"/a/b"});
  EXPECT_EQ(libvirt_sockets("qemu:///system?mode=legacy&socket=%2fa%20b#c"),
            Paths{"/a b"});
  EXPECT_EQ(libvirt_sockets("qemu:///system?x=1;socket=/a%zz%4"),
            Paths{"/a%zz%4"});
}

TEST(LibvirtSockets, OthersAreAlwaysExpected) {
  for (const char* uri :
       {"", "test:///default", "qemu:///session", "qemu+ssh://host/system",
        "xen:///system", "qemu:///system/", "test:///default?xsocket=/a"}) {
    EXPECT_TRUE(libvirt_sockets(uri).empty()) << uri;
  }
}

TEST(LibvirtSockets, OneThatExistsIsEnough) {
  EXPECT_TRUE(any_exists({}));
  EXPECT_TRUE(any_exists({"/nowhere/a", "/dev/null"}));
  EXPECT_FALSE(any_exists({"/nowhere/a", "/dev/null/b"}));
}

TEST(Backoff, DoublesUpToItsCapAndIsNeverTheSameForAll) {
  using std::chrono::milliseconds;
  Backoff backoff(milliseconds(100), milliseconds(700), 1);
  for (const int step : {100, 200, 400, 700, 700, 700}) {
    const auto wait = backoff.next();
    EXPECT_GE(wait, milliseconds(step / 2));
    EXPECT_LE(wait, milliseconds(step));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), milliseconds(100));

  Backoff other(milliseconds(1000), milliseconds(100000), 2);
  Backoff another(milliseconds(1000), milliseconds(100000), 3);
  bool differs = false;
  for (int i = 0; i < 5; ++i) differs |= other.next() != another.next();
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/osrelease.h"

#include <gtest/gtest.h>

namespace vcpu {
namespace {

TEST(Osrelease, BeginsWithTwoNumbers) {
  EXPECT_EQ(*parse_osrelease("6.1.0-18-cloud-amd64\n"), (Osrelease{6, 1}));
  EXPECT_EQ(*parse_osrelease("6.13-rc1\n"), (Osrelease{6, 13}));
}

TEST(Osrelease, IsOrderedAsItWasReleased) {
  EXPECT_LT((Osrelease{5, 18}), (Osrelease{5, 19}));
  EXPECT_LT((Osrelease{5, 19}), (Osrelease{6, 1}));
}

TEST(Osrelease, IsMalformedWithoutThem) {
  for (const char* text : {"", "6", "6.", "six.one", ".1", "-6.1", "\xff"})
    EXPECT_FALSE(parse_osrelease(text)) << text;
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/vmstat.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

TEST(Vmstat, TellsWhatWasSwapped) {
  const auto stat = parse_vmstat(
      "nr_free_pages 260096\npgpgin 1\npgpgout 2\npswpin 5321\n"
      "pswpout 18734\npswpout_zero 3\nswap_ra 9\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->swapped_in, 5321U);
  EXPECT_EQ(stat->swapped_out, 18734U);
}

TEST(Vmstat, IsEmptyWhereItIsNotCounted) {
  const auto stat = parse_vmstat("nr_free_pages 260096\n");
  ASSERT_TRUE(stat);
  EXPECT_FALSE(stat->swapped_in);
  EXPECT_FALSE(stat->swapped_out);
}

TEST(Vmstat, IsMalformedWhereACountIsNoNumber) {
  for (const std::string count :
       {"", "x", "-1", "1 2", "1.5", "18446744073709551616", "\xff"}) {
    EXPECT_FALSE(parse_vmstat("pswpin " + count + "\npswpout 1\n")) << count;
    const auto out = parse_vmstat("pswpin 1\npswpout " + count + "\n");
    ASSERT_FALSE(out) << count;
    EXPECT_EQ(out.error().context, "vmstat");
  }
}

}  // namespace
}  // namespace vcpu

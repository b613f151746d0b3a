// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/interrupts.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

constexpr const char* kMachineChecks =
    "           CPU0       CPU1\n"
    "  1:          9          0  IR-IO-APIC    1-edge   i8042\n"
    "NMI:          3          5   Non-maskable interrupts\n"
    "MCE:          2          1   Machine check exceptions\n"
    "MCP:        212        212   Machine check polls\n";

TEST(Interrupts, AddsTheMachineChecksOfAllCpus) {
  EXPECT_EQ(parse_interrupts(kMachineChecks)->machine_checks, 3U);
}

TEST(Interrupts, MayBeginWithinALine) {
  const std::string text(kMachineChecks);
  EXPECT_EQ(parse_interrupts(text.substr(text.find("edge")))->machine_checks,
            3U);
  EXPECT_EQ(parse_interrupts(text.substr(text.find("ptions")))->machine_checks,
            std::nullopt);
}

TEST(Interrupts, AreWithoutMachineChecksOnOtherArchitectures) {
  const auto interrupts =
      parse_interrupts("IPI0:  105  99   Rescheduling interrupts\n");
  ASSERT_TRUE(interrupts);
  EXPECT_FALSE(interrupts->machine_checks);
  EXPECT_FALSE(parse_interrupts("")->machine_checks);
}

TEST(Interrupts, AreMalformedWhereMachineChecksHaveNoCount) {
  for (const char* text : {"MCE:\n", "MCE: many\n", "MCE: -1\n", "MCE: \xff\n"})
    EXPECT_FALSE(parse_interrupts(text)) << text;
}

}  // namespace
}  // namespace vcpu

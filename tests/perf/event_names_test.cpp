// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/event_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "collectors/perf/pfm_events.h"

namespace vcpu {
namespace {

using testing::HasSubstr;

TEST(EventNames, EveryGenericNameIsAnEventOfItsOwn) {
  std::set<std::pair<std::uint32_t, std::uint64_t>> events;
  for (const auto& name : generic_event_names()) {
    EXPECT_EQ(event_name_problem(name), "") << name;
    EXPECT_EQ(canonical_event_name(name), name);
    const auto event = encode_event(name);
    ASSERT_TRUE(event) << name;
    EXPECT_TRUE(events.emplace(event->type, event->config).second) << name;
  }
  EXPECT_GT(events.size(), 30U);
}

TEST(EventNames, ANameIsItsOwnWhateverItWasMadeOf) {
  const auto name = canonical_event_name(std::string("cache-mi\0sses", 13));
  EXPECT_EQ(name, "cache_misses");
  EXPECT_EQ(canonical_event_name(name), name);
}

TEST(EventNames, AreAllInTheReadme) {
  std::ifstream file(VCPU_SOURCE_DIR "/README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  for (const auto& name : generic_event_names())
    EXPECT_THAT(readme, HasSubstr("`" + name + "`"));
}

TEST(EventNames, AreWhatTheKernelCallsThem) {
  EXPECT_EQ(encode_event("instructions")->type, PERF_TYPE_HARDWARE);
  EXPECT_EQ(encode_event("instructions")->config, PERF_COUNT_HW_INSTRUCTIONS);
  EXPECT_EQ(encode_event("cpu_migrations")->type, PERF_TYPE_SOFTWARE);
  EXPECT_EQ(encode_event("cpu_migrations")->config,
            PERF_COUNT_SW_CPU_MIGRATIONS);
  // perf_event_open(2): cache | operation << 8 | result << 16.
  EXPECT_EQ(encode_event("node_store_misses")->type, PERF_TYPE_HW_CACHE);
  EXPECT_EQ(encode_event("node_store_misses")->config, 0x10106U);
  EXPECT_EQ(encode_event("dtlb_load_misses")->config, 0x10003U);
}

TEST(EventNames, MayBeWrittenAsPerfListWritesThem) {
  EXPECT_EQ(canonical_event_name("cache-misses"), "cache_misses");
  EXPECT_EQ(canonical_event_name("LLC-loads"), "llc_loads");
  EXPECT_EQ(encode_event("LLC-loads")->config,
            encode_event("llc_loads")->config);
  EXPECT_EQ(event_name_problem("dTLB-load-misses"), "");
}

TEST(EventNames, OtherNamesStayAsTheyAreButFitForALabel) {
  EXPECT_EQ(canonical_event_name("INST_RETIRED:ANY_P"), "INST_RETIRED:ANY_P");
  EXPECT_EQ(canonical_event_name("a\nb\xff"), "ab\xEF\xBF\xBD");
}

TEST(EventNames, SoftwareIsWhatTheKernelCountsItself) {
  EXPECT_TRUE(is_software(*encode_event("page_faults")));
  EXPECT_FALSE(is_software(*encode_event("cycles")));
  EXPECT_FALSE(is_software(*encode_event("node_loads")));
}

TEST(EventNames, NothingIsExcluded) {
  for (const auto& name : generic_event_names()) {
    const auto event = encode_event(name);
    EXPECT_FALSE(event->exclude_guest || event->exclude_host ||
                 event->exclude_kernel || event->exclude_user)
        << name;
  }
}

class PfmEvents : public testing::Test {
 protected:
  void SetUp() override {
    const auto event = encode_by_pfm("PERF_COUNT_HW_CPU_CYCLES");
    if (!event) GTEST_SKIP() << event.error().message();
  }
};

TEST_F(PfmEvents, CountInTheGuestAsWellUnlessTheNameSaysOtherwise) {
  const auto everywhere = encode_by_pfm("PERF_COUNT_HW_CPU_CYCLES");
  ASSERT_TRUE(everywhere) << everywhere.error().message();
  EXPECT_EQ(everywhere->type, PERF_TYPE_HARDWARE);
  EXPECT_FALSE(everywhere->exclude_guest || everywhere->exclude_host ||
               everywhere->exclude_kernel || everywhere->exclude_hv);
  const auto guest = encode_by_pfm("PERF_COUNT_HW_CPU_CYCLES:mg");
  EXPECT_TRUE(guest->exclude_host);
  EXPECT_FALSE(guest->exclude_guest);
  EXPECT_TRUE(encode_by_pfm("PERF_COUNT_HW_CPU_CYCLES:u")->exclude_kernel);
}

TEST_F(PfmEvents, OfAnotherCpuAreGoodNamesAndAbsent) {
  // Two CPUs that no machine has both of.
  const std::vector<std::string> names{
      "skx::INST_RETIRED:ANY_P", "amd64_fam17h_zen1::RETIRED_INSTRUCTIONS"};
  int missing = 0;
  for (const auto& name : names) {
    EXPECT_EQ(event_name_problem(name), "") << name;
    if (const auto event = encode_event(name); !event) {
      ++missing;
      EXPECT_EQ(event.error().message(), "this CPU has no such event");
    }
  }
  EXPECT_GT(missing, 0);
}

TEST_F(PfmEvents, BadNamesAreToldWithoutAnyPmu) {
  EXPECT_EQ(event_name_problem("cylces"), "is no event that libpfm4 knows");
  EXPECT_EQ(event_name_problem("nosuchpmu::CYCLES"),
            "is no event that libpfm4 knows");
  EXPECT_THAT(event_name_problem("PERF_COUNT_HW_CPU_CYCLES:nosuch"),
              HasSubstr("is refused by libpfm4: "));
}

}  // namespace
}  // namespace vcpu

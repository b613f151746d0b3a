// SPDX-License-Identifier: Apache-2.0
#include "collectors/vcpu_sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr SchedStat kFirst{1'000, 100, 10, 5, 4, 1};
constexpr SchedStat kThen{1'500, 130, 12, 6, 4, 2};

Vm web(const std::vector<std::optional<SchedStat>>& vcpus) {
  std::vector<Thread> threads;
  for (const auto& sched : vcpus)
    threads.push_back(
        vcpu_thread("web", static_cast<int>(threads.size()), sched, 0, {0, 1}));
  Vm vm = vm_of("web", std::move(threads));
  vm.pid = 7;
  return vm;
}

class VcpuSumsTest : public testing::Test {
 protected:
  std::optional<SchedStat> see(const Vm& vm) {
    sums_.see(snapshot_of({vm}));
    return sums_.of(vm);
  }

  VcpuSums sums_;
};

TEST_F(VcpuSumsTest, BeginAtZero) {
  const auto sum = see(web({kFirst, kFirst}));
  ASSERT_TRUE(sum);
  EXPECT_EQ(sum->run_ns, 0U);
  EXPECT_EQ(sum->dispatches, 0U);
  EXPECT_EQ(sum->voluntary, 0U);
}

TEST_F(VcpuSumsTest, AreWhatAllVcpusGotSince) {
  see(web({kFirst, kFirst}));
  const auto sum = see(web({kThen, kThen}));
  EXPECT_EQ(sum->run_ns, 1'000U);
  EXPECT_EQ(sum->wait_ns, 60U);
  EXPECT_EQ(sum->dispatches, 4U);
  EXPECT_EQ(sum->voluntary, 2U);
  EXPECT_EQ(sum->involuntary, 0U);
  EXPECT_EQ(sum->migrations, 2U);
}

TEST_F(VcpuSumsTest, KeepWhatAnUnpluggedVcpuGot) {
  see(web({kFirst, kFirst}));
  see(web({kThen, kThen}));
  EXPECT_EQ(see(web({kThen}))->run_ns, 1'000U);
  // Its figures go on from where they were when it comes back.
  EXPECT_EQ(see(web({kThen, kThen}))->run_ns, 1'000U);
}

TEST_F(VcpuSumsTest, CountAllThatANewVcpuGot) {
  see(web({kFirst}));
  const auto sum = see(web({kFirst, kThen}));
  EXPECT_EQ(sum->run_ns, kThen.run_ns);
  EXPECT_EQ(sum->migrations, kThen.migrations);
}

TEST_F(VcpuSumsTest, OfAnotherRunOfTheVmBeginAnew) {
  see(web({kFirst}));
  see(web({kThen}));
  Vm again = web({kThen});
  again.start_ticks = 99;
  EXPECT_EQ(see(again)->run_ns, 0U);
}

TEST_F(VcpuSumsTest, AreEmptyWhereTheKernelTellsNothing) {
  EXPECT_EQ(see(web({std::nullopt})), std::nullopt);
}

TEST_F(VcpuSumsTest, KeepWhatIsNotToldForOnce) {
  see(web({kFirst}));
  see(web({kThen}));
  const SchedStat half{1'600, 130, 13, {}, {}, {}};
  EXPECT_EQ(see(web({half}))->voluntary, 1U);
  EXPECT_EQ(see(web({kThen}))->voluntary, 1U);
}

TEST_F(VcpuSumsTest, DoNotCountWhatIsToldLate) {
  see(web({SchedStat{1, 2, 3, {}, {}, {}}}));
  EXPECT_EQ(see(web({kThen}))->voluntary, 0U);
}

TEST(SchedSums, AreSaidInPlaceOfEachVcpu) {
  CollectorOptions options;
  options.sched.per_vcpu = false;
  const auto sched = make_sched(options);
  Families before;
  EXPECT_TRUE(sched->collect(snapshot_of({web({kFirst, kFirst})}), before));
  Families families;
  Vm vm = web({kThen, kThen});
  vm.threads[1].waiting_ns = 500'000'000;
  EXPECT_TRUE(sched->collect(snapshot_of({vm}), families));
  const auto samples = samples_of(families);
  EXPECT_THAT(
      samples,
      ElementsAre(
          R"(vcpu_domain_run_seconds_total{domain="web"} 1e-06)",
          R"(vcpu_domain_steal_seconds_total{domain="web"} 6e-08)",
          R"(vcpu_domain_dispatches_total{domain="web"} 4)",
          R"(vcpu_domain_context_switches_total{domain="web",kind="voluntary"} 2)",
          R"(vcpu_domain_context_switches_total{domain="web",kind="involuntary"} 0)",
          R"(vcpu_domain_migrations_total{domain="web"} 2)",
          R"(vcpu_domain_present_vcpus{domain="web"} 2)",
          R"(vcpu_waiting_seconds{domain="web"} 0.5)"));
  EXPECT_THAT(samples, Each(Not(HasSubstr("vcpu=\""))));
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// The eBPF programs on this kernel, with real threads that wait for real CPUs.
#include "collectors/runqueue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <list>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "collectors/bpf/runqueue_program.h"
#include "collectors/catalog.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::IsEmpty;

constexpr int kSpinMs = 1500;

const Family* find_family(const Families& families, const std::string& name) {
  for (const Family& family : families.families())
    if (family.name() == name) return &family;
  return nullptr;
}

void pin(pid_t process, int cpu) {
  const auto tids = list_numbers("/proc/" + std::to_string(process) + "/task");
  ASSERT_TRUE(tids);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  for (const int tid : *tids)
    ASSERT_EQ(::sched_setaffinity(tid, sizeof one, &one), 0);
}

TEST(RunqueueUnopened, HasNoSeriesAndSaysWhy) {
  Families families;
  const auto collector = make_runqueue({});
  ASSERT_TRUE(collector->collect(snapshot_of({}), families));
  EXPECT_THAT(samples_of(families), IsEmpty());
  EXPECT_EQ(reason_of(families, "runqueue"),
            "switched off at the start; restart to attach it");
}

TEST(RunqueueUnopened, EbpfThatIsSwitchedOffIsTheReason) {
  CollectorOptions options;
  options.ebpf = false;
  const auto collector = make_runqueue(options);
  collector->open();
  Families families;
  ASSERT_TRUE(collector->collect(snapshot_of({}), families));
  EXPECT_EQ(reason_of(families, "runqueue"),
            "eBPF is switched off (--no-ebpf)");
}

class Runqueue : public testing::Test {
 protected:
  void SetUp() override { use({}); }

  void use(const RunqueueOptions& options) {
    CollectorOptions all;
    all.runqueue = options;
    collector_ = make_runqueue(all);
    collector_->open();
    Families families;
    ASSERT_TRUE(collector_->collect(snapshot_of({}), families));
    const auto reason = reason_of(families, "runqueue");
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  // run_delay of each VM's vCPUs.
  static std::map<std::string, std::uint64_t> waited(const Snapshot& snapshot) {
    std::map<std::string, std::uint64_t> sums;
    for (const Vm& vm : snapshot.vms)
      for (const Thread& vcpu : vm.vcpus())
        sums[vm.domain] += vcpu.sched->wait_ns;
    return sums;
  }

  // A scrape, when nothing moves: a vCPU that says that it is done may still
  // wait for a CPU on its way to sleep.
  void scrape() {
    Families said;
    auto snapshot = inventory_.take(said);
    while (true) {
      ASSERT_TRUE(snapshot);
      families_ = std::make_unique<Families>();
      ASSERT_TRUE(collector_->collect(*snapshot, *families_));
      waited_ = waited(*snapshot);
      snapshot = inventory_.take(said);
      ASSERT_TRUE(snapshot);
      if (waited(*snapshot) == waited_) return;
    }
  }

  double stolen(const std::string& domain, const std::string& labels) const {
    double sum = 0;
    const Family* const family =
        find_family(*families_, "vcpu_stolen_by_seconds_total");
    if (family == nullptr) return 0;
    for (std::size_t i = 0; i < family->size(); ++i) {
      const std::string text(family->sample(i).labels);
      if (text.find("domain=\"" + domain + "\",") == 0 &&
          text.find(labels) != std::string::npos)
        sum += family->sample(i).value;
    }
    return sum;
  }

  // Sum of the waits in the histograms of a VM.
  double histogram_sum(const std::string& domain) const {
    double sum = 0;
    const Family* const family =
        find_family(*families_, "vcpu_runqueue_latency_seconds");
    if (family == nullptr) return 0;
    for (std::size_t i = 0; i < family->size(); ++i)
      if (family->sample(i).labels.find("domain=\"" + domain + "\"") == 0)
        sum += family->sample(i).value;
    return sum;
  }

  Inventory inventory_ = inventory_on({});
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<Families> families_;
  std::map<std::string, std::uint64_t> waited_;
};

// Floating vCPUs on all CPUs: they wait on one and run on another.
TEST_F(Runqueue, EveryNanosecondOfTheKernelsRunDelayIsInBothFamilies) {
  FakeVm quiet(qemu_argv("quiet", "cccccccc-0000-0000-0000-000000000001"),
               {"CPU 0/KVM", "CPU 1/KVM", "worker"});
  FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-000000000002"),
               {"CPU 0/KVM", "CPU 1/KVM", "CPU 2/KVM"});
  scrape();
  const auto before = waited_;
  const std::map<std::string, double> counted{
      {"quiet", histogram_sum("quiet")}, {"noisy", histogram_sum("noisy")}};
  quiet.start_spin(kSpinMs);
  noisy.start_spin(kSpinMs);
  quiet.finish_spin();
  noisy.finish_spin();
  scrape();
  for (const std::string domain : {"quiet", "noisy"}) {
    const double grown = seconds(waited_[domain] - before.at(domain));
    EXPECT_GT(grown, 0.1) << domain;
    // Where doubles are added, the last digit of a nanosecond may differ.
    EXPECT_NEAR(histogram_sum(domain) - counted.at(domain), grown, 1e-9)
        << domain;
    EXPECT_NEAR(stolen(domain, ""), histogram_sum(domain), 1e-8) << domain;
    EXPECT_LT(stolen(domain, "culprit_kind=\"unknown\""), 0.01 * grown)
        << domain;
  }
}

TEST_F(Runqueue, EveryKindOfThreadOfAVmIsToldApart) {
  FakeVm quiet(qemu_argv("quiet", "cccccccc-0000-0000-0000-00000000000b"),
               {"CPU 0/KVM", "CPU 1/KVM", "worker"});
  FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-00000000000c"),
               {"CPU 0/KVM", "CPU 1/KVM"});
  pin(quiet.pid(), 0);
  pin(noisy.pid(), 0);
  scrape();
  quiet.start_spin(kSpinMs);
  noisy.start_spin(kSpinMs);
  quiet.finish_spin();
  noisy.finish_spin();
  scrape();
  EXPECT_GT(stolen("quiet", "culprit_kind=\"domain\",culprit=\"noisy\""), 0.05);
  EXPECT_GT(stolen("quiet", "culprit_kind=\"own_overhead\",culprit=\"quiet\""),
            0.01);
  EXPECT_GT(stolen("noisy", "culprit_kind=\"overhead\",culprit=\"quiet\""),
            0.01);
  EXPECT_GT(stolen("noisy", "culprit_kind=\"self\",culprit=\"noisy\""), 0.01);
}

// One CPU, a victim and two aggressors: each is charged what it had.
TEST_F(Runqueue, SharesAreThoseOfTheAggressorsOwnClocks) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000003"),
                {"CPU 0/KVM"});
  FakeVm big(qemu_argv("big", "cccccccc-0000-0000-0000-000000000004"),
             {"CPU 0/KVM", "CPU 1/KVM"});
  FakeVm small(qemu_argv("small", "cccccccc-0000-0000-0000-000000000005"),
               {"CPU 0/KVM"});
  for (const FakeVm* vm : {&victim, &big, &small}) pin(vm->pid(), 0);
  scrape();
  // The victim begins first and ends last: it waits whenever another runs.
  victim.start_spin(3 * kSpinMs);
  big.start_spin(2 * kSpinMs);
  small.start_spin(kSpinMs);
  double of_small = 0;
  double of_big = 0;
  for (const auto& truth : small.finish_spin())
    of_small += static_cast<double>(truth.cpu_ns) / kNsPerSecond;
  for (const auto& truth : big.finish_spin())
    of_big += static_cast<double>(truth.cpu_ns) / kNsPerSecond;
  victim.finish_spin();
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"domain\",culprit=\"big\""),
              of_big, 0.05 * of_big);
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"domain\",culprit=\"small\""),
              of_small, 0.05 * of_small);
}

TEST_F(Runqueue, AHostTaskIsTheCulpritByTheNameOfItsProcess) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000006"),
                {"CPU 0/KVM"});
  FakeVm task({"backup-job"}, {"reader"});
  pin(victim.pid(), 0);
  pin(task.pid(), 0);
  scrape();
  victim.start_spin(kSpinMs);
  task.start_spin(kSpinMs);
  double cpu = 0;
  for (const auto& truth : task.finish_spin())
    cpu += static_cast<double>(truth.cpu_ns) / kNsPerSecond;
  victim.finish_spin();
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"host\",culprit=\"backup-job\""),
              cpu, 0.05 * cpu);
}

// Its waits count from the moment it has its name, not from the next scrape.
TEST_F(Runqueue, AVcpuBornBetweenScrapesIsCounted) {
  FakeVm vm(qemu_argv("plugged", "cccccccc-0000-0000-0000-000000000007"),
            {"CPU 0/KVM"});
  pin(vm.pid(), 0);
  scrape();
  const double counted = histogram_sum("plugged");
  const auto before = waited_;
  vm.add("CPU 1/KVM");
  pin(vm.pid(), 0);
  vm.start_spin(kSpinMs);
  vm.finish_spin();
  scrape();
  const double grown = seconds(waited_["plugged"] - before.at("plugged"));
  EXPECT_GT(grown, 1.0);
  EXPECT_NEAR(histogram_sum("plugged") - counted, grown, 1e-9);
}

TEST_F(Runqueue, OnRequestEachVcpuHasItsHistogram) {
  use({.per_vcpu = true, .culprits = false});
  FakeVm vm(qemu_argv("two", "cccccccc-0000-0000-0000-000000000008"),
            {"CPU 0/KVM", "CPU 1/KVM"});
  scrape();
  const Family* const family =
      find_family(*families_, "vcpu_runqueue_latency_seconds");
  ASSERT_NE(family, nullptr);
  ASSERT_EQ(family->size(), 2U);
  EXPECT_EQ(family->sample(1).labels, "domain=\"two\",vcpu=\"1\"");
  EXPECT_EQ(find_family(*families_, "vcpu_stolen_by_seconds_total"), nullptr);
  EXPECT_EQ(reason_of(*families_, "runqueue_quota"), "-");
}

// More culprits than an account has places for.
TEST(RunqueuePlaces, AreOneForEachCulpritAndNothingIsLostWithThem) {
  auto program = RunqueueProgram::open(true);
  if (!program) GTEST_SKIP() << program.error().message();
  constexpr int kTasks = NAMED_CULPRITS + 6;
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-00000000000d"),
                {"CPU 0/KVM"});
  pin(victim.pid(), 0);
  std::list<FakeVm> tasks;
  for (int i = 0; i < kTasks; ++i) {
    tasks.emplace_back(std::vector<std::string>{"task-" + std::to_string(i)},
                       std::vector<std::string>{"worker"});
    pin(tasks.back().pid(), 0);
  }
  for (FakeVm& task : tasks) task.start_spin(kSpinMs);
  victim.start_spin(kSpinMs);
  for (FakeVm& task : tasks) task.finish_spin();
  const pid_t tid = victim.finish_spin().at(0).tid;
  program->tell({victim.pid(), tid});
  account last{};
  account now{};
  do {  // Until it sleeps.
    last = now;
    const auto records = program->read();
    ASSERT_TRUE(records);
    ASSERT_EQ(records->count(tid), 1U);
    now = records->at(tid).account;
  } while (now.version != last.version);

  EXPECT_EQ(now.named, static_cast<__u32>(NAMED_CULPRITS));
  std::set<std::tuple<__u32, __u32, std::string>> places;
  std::uint64_t charged = std::accumulate(
      std::begin(now.by_kind), std::end(now.by_kind), std::uint64_t{0});
  for (const named_culprit& culprit : now.culprits) {
    const occupant& who = culprit.who;
    EXPECT_TRUE(places.emplace(who.kind, who.tgid, who.name).second)
        << who.name << " has two places";
    charged += culprit.ns;
  }
  EXPECT_GT(now.waited, 0U);
  EXPECT_EQ(now.charged, now.waited);
  EXPECT_EQ(charged, now.charged);
  EXPECT_GT(now.by_kind[CULPRIT_HOST], 0U) << "nobody has lost a place";
}

TEST_F(Runqueue, ClosedItSaysThatItTakesARestart) {
  collector_->close();
  Families families;
  ASSERT_TRUE(collector_->collect(snapshot_of({}), families));
  EXPECT_EQ(reason_of(families, "runqueue"),
            "switched off at the start; restart to attach it");
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// The eBPF programs on this kernel, with real threads that wait for real CPUs.
#include "collectors/runqueue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <list>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <tuple>

#include "collectors/bpf/iterator.h"
#include "collectors/bpf/runqueue_program.h"
#include "collectors/catalog.h"
#include "tests/support/cpu_group.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/packet_flood.h"
#include "tests/support/text_of.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

constexpr int kSpinMs = 1500;

const Family* find_family(const Families& families, const std::string& name) {
  for (const Family& family : families.families())
    if (family.name() == name) return &family;
  return nullptr;
}

void move(pid_t tid, int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(tid, sizeof one, &one), 0);
}

std::string tasks_of(pid_t process) {
  return "/proc/" + std::to_string(process) + "/task";
}

void pin(pid_t process, int cpu) {
  const auto tids = list_numbers(tasks_of(process));
  ASSERT_TRUE(tids);
  for (const int tid : *tids) move(tid, cpu);
}

// Of the first of them, 0: none.
pid_t thread_named(const std::string& name, const std::string& directory) {
  const auto tids = list_numbers(directory);
  if (!tids) return 0;
  for (const int tid : *tids) {
    std::string comm;
    std::ifstream file(directory + "/" + std::to_string(tid) + "/comm");
    if (std::getline(file, comm) && comm == name) return tid;
  }
  return 0;
}

// CPU time that a thread had.
double ran(pid_t tid) {
  std::ifstream text("/proc/" + std::to_string(tid) + "/schedstat");
  std::uint64_t ns = 0;
  text >> ns;
  return seconds(ns);
}

pid_t vcpu(const FakeVm& vm) { return list_numbers(tasks_of(vm.pid()))->at(1); }

// From when this returns the VM's first vCPU runs, or waits for a CPU.
void start_spin(FakeVm& vm, int milliseconds) {
  const double before = ran(vcpu(vm));
  vm.start_spin(milliseconds);
  EXPECT_TRUE(eventually([&] { return ran(vcpu(vm)) > before + 0.001; }));
}

// CPU time of all threads that were told to spin, by their own clocks.
double finish_seconds(FakeVm& vm) {
  double sum = 0;
  for (const auto& truth : vm.finish_spin())
    sum += static_cast<double>(truth.cpu_ns) / kNsPerSecond;
  return sum;
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
    // Rights may be missing; a program that no kernel takes is a fault of ours.
    ASSERT_EQ(reason.find("verifier"), std::string::npos) << reason;
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  // run_delay of the vCPUs of each VM of these tests: others may run VMs here,
  // too, and they never rest.
  static std::map<std::string, std::uint64_t> waited(const Snapshot& snapshot) {
    std::map<std::string, std::uint64_t> sums;
    for (const Vm& vm : snapshot.vms) {
      if (!vm.uuid.starts_with("cccccccc-")) continue;
      for (const Thread& vcpu : vm.vcpus())
        sums[vm.domain] += vcpu.sched->wait_ns;
    }
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

  // Whatever moves: what had been waited may be older than what is told.
  void collect_now() {
    Families said;
    const auto snapshot = inventory_.take(said);
    ASSERT_TRUE(snapshot);
    families_ = std::make_unique<Families>();
    ASSERT_TRUE(collector_->collect(*snapshot, *families_));
    waited_ = waited(*snapshot);
  }

  // The greatest figure of a single culprit.
  double most_stolen(const std::string& domain) const {
    double most = 0;
    const Family* const family =
        find_family(*families_, "vcpu_stolen_by_seconds_total");
    if (family == nullptr) return 0;
    for (std::size_t i = 0; i < family->size(); ++i)
      if (family->sample(i).labels.find("domain=\"" + domain + "\",") == 0)
        most = std::max(most, family->sample(i).value);
    return most;
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

  double unknown_of(const std::string& domain) const {
    return stolen(domain, "culprit_kind=\"unknown\"");
  }

  // Sum of the waits in the histogram of a VM, or of one with further labels.
  double histogram_sum(const std::string& domain,
                       const std::string& labels = {}) const {
    double sum = 0;
    const Family* const family =
        find_family(*families_, "vcpu_runqueue_latency_seconds");
    if (family == nullptr) return 0;
    for (std::size_t i = 0; i < family->size(); ++i)
      if (family->sample(i).labels == "domain=\"" + domain + "\"" + labels)
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
  // What they waited before they had their names is nobody's.
  const std::map<std::string, double> unknown{{"quiet", unknown_of("quiet")},
                                              {"noisy", unknown_of("noisy")}};
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
    EXPECT_LT(unknown_of(domain) - unknown.at(domain), 0.01 * grown) << domain;
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
  const double of_small = finish_seconds(small);
  const double of_big = finish_seconds(big);
  victim.finish_spin();
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"domain\",culprit=\"big\""),
              of_big, 0.05 * of_big);
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"domain\",culprit=\"small\""),
              of_small, 0.05 * of_small);
}

// Those who sleep now and then, and a program of the host beside them. Whoever
// runs makes the victim wait, as it never sleeps.
TEST_F(Runqueue, SharesAreTheirsWhateverTheirDutyCycles) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000009"),
                {"CPU 0/KVM"});
  FakeVm big(qemu_argv("big", "cccccccc-0000-0000-0000-00000000000a"),
             {"CPU 0/KVM"});
  FakeVm small(qemu_argv("small", "cccccccc-0000-0000-0000-00000000000b"),
               {"CPU 0/KVM"});
  FakeVm task({"backup-job"}, {"reader"});
  for (const FakeVm* process : {&victim, &big, &small, &task})
    pin(process->pid(), 0);
  scrape();
  victim.start_spin(3 * kSpinMs);
  big.start_spin(2 * kSpinMs, 50);
  small.start_spin(2 * kSpinMs, 15);
  task.start_spin(2 * kSpinMs, 20);
  const std::map<std::string, double> clocks{
      {"culprit_kind=\"domain\",culprit=\"big\"", finish_seconds(big)},
      {"culprit_kind=\"domain\",culprit=\"small\"", finish_seconds(small)},
      {"culprit_kind=\"host\",culprit=\"backup-job\"", finish_seconds(task)}};
  victim.finish_spin();
  scrape();
  double known = 0;
  for (const auto& [culprit, cpu] : clocks) {
    EXPECT_GT(cpu, 0.1) << culprit;
    EXPECT_NEAR(stolen("victim", culprit), cpu, 0.05 * cpu) << culprit;
    known += cpu;
  }
  // What else the machine has to do there.
  EXPECT_LT(stolen("victim", "") - known, 0.1 * known);
}

// Of CPU 0, in hundredths of a second.
std::uint64_t idle_ticks() {
  std::ifstream stat("/proc/stat");
  std::string name;
  while (stat >> name && name != "cpu0") {
  }
  std::uint64_t ticks = 0;
  for (int i = 0; i < 4; ++i) stat >> ticks;  // user, nice, system, idle
  return ticks;
}

// Woken from another CPU, a vCPU has to wait until its own is awake.
TEST_F(Runqueue, ACpuThatIsWakingUpIsIdleAndNoTask) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "there is one CPU";
  FakeVm alone(qemu_argv("alone", "cccccccc-0000-0000-0000-000000000007"),
               {"CPU 0/KVM"});
  pin(alone.pid(), 1);
  move(vcpu(alone), 0);
  scrape();
  const auto before = idle_ticks();
  const bool charged = eventually([&] {
    alone.start_spin(1);
    alone.finish_spin();
    collect_now();
    return stolen("alone", "culprit_kind=\"idle\",culprit=\"idle\"") > 0;
  });
  if (!charged && idle_ticks() - before < 100)
    GTEST_SKIP() << "others keep CPU 0 busy";
  EXPECT_TRUE(charged);
  EXPECT_EQ(stolen("alone", "swapper"), 0);
  scrape();
  EXPECT_NEAR(stolen("alone", ""), histogram_sum("alone"), 1e-8);
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
  const double cpu = finish_seconds(task);
  victim.finish_spin();
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"host\",culprit=\"backup-job\""),
              cpu, 0.05 * cpu);
}

// Packets are a CPU's own work until they are too many: then they are
// ksoftirqd's.
TEST_F(Runqueue, InterruptsThatAThreadHandlesAreACulpritOfTheirOwn) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "there is one CPU";
  const auto flood = PacketFlood::make(0, 1);
  if (!flood) GTEST_SKIP() << "no packets can be sent to another CPU here";
  const pid_t ksoftirqd = thread_named("ksoftirqd/1", "/proc");
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000071"),
                {"CPU 0/KVM"});
  pin(victim.pid(), 1);
  scrape();
  const double before = ran(ksoftirqd);
  start_spin(victim, 3 * kSpinMs);
  flood->send(std::chrono::milliseconds(kSpinMs));
  victim.finish_spin();
  const double had = ran(ksoftirqd) - before;
  scrape();
  EXPECT_GT(had, 0.05);
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"irq\",culprit=\"irq\""), had,
              0.1 * had);
}

// What the kernel does for a VM's network, in a thread that is the kernel's
// own before Linux 6.4.
TEST_F(Runqueue, AVhostThreadIsTheOverheadOfTheVmThatItServes) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000072"),
                {"CPU 0/KVM"});
  FakeVm served(qemu_argv("served", "cccccccc-0000-0000-0000-000000000073"),
                {"CPU 0/KVM"});
  if (!served.open_vhost()) GTEST_SKIP() << "there is no vhost";
  const std::string name = "vhost-" + std::to_string(served.pid());
  const pid_t vhost = std::max(thread_named(name, "/proc"),
                               thread_named(name, tasks_of(served.pid())));
  ASSERT_NE(vhost, 0) << name;
  pin(victim.pid(), 0);
  pin(served.pid(), 1);
  move(vhost, 0);
  scrape();
  const double before = ran(vhost);
  start_spin(victim, 3 * kSpinMs);
  served.kick_vhost(kSpinMs);
  victim.finish_spin();
  const double had = ran(vhost) - before;
  scrape();
  EXPECT_GT(had, 0.01);
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"overhead\",culprit=\"served\""),
              had, 0.1 * had);
  EXPECT_EQ(stolen("victim", "vhost"), 0);
}

// A VM that lives for a moment, and is looked at when it is at rest.
class RunqueueInMotion : public Runqueue {
 protected:
  void churn_vm() {
    FakeVm brief(qemu_argv("brief", "cccccccc-0000-0000-0000-000000000023"),
                 {"CPU 0/KVM"});
    pin(brief.pid(), 0);
    brief.start_spin(5);
    brief.finish_spin();
    collect_now();
    const double waited = seconds(waited_.at("brief"));
    EXPECT_NEAR(histogram_sum("brief"), waited, 1e-9);
    EXPECT_NEAR(stolen("brief", ""), waited, 1e-8);
    EXPECT_LE(most_stolen("brief"), wall());
    ++vms_;
  }

  // None falls, and none is more than all vCPUs could have waited.
  void check_both() {
    for (const std::string domain : {"moved", "noisy"}) {
      EXPECT_GE(stolen(domain, ""), last_[domain]) << domain;
      last_[domain] = stolen(domain, "");
      EXPECT_LE(most_stolen(domain), 2 * wall()) << domain;
    }
  }

  // That the exporter could have seen.
  double wall() const {
    const std::chrono::duration<double> since =
        std::chrono::steady_clock::now() - begin_;
    return since.count();
  }

  const std::chrono::steady_clock::time_point begin_ =
      std::chrono::steady_clock::now();
  std::map<std::string, double> last_;
  int vms_ = 0;
};

// Moved from CPU to CPU while they wait, beside VMs that come and go and
// threads that live for a moment.
TEST_F(RunqueueInMotion, LosesNothing) {
  FakeVm moved(qemu_argv("moved", "cccccccc-0000-0000-0000-000000000021"),
               {"CPU 0/KVM", "CPU 1/KVM"});
  FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-000000000022"),
               {"CPU 0/KVM", "CPU 1/KVM"});
  const auto threads = list_numbers(tasks_of(moved.pid()));
  ASSERT_TRUE(threads);
  scrape();
  const auto before = waited_;
  const std::map<std::string, double> counted{
      {"moved", histogram_sum("moved")}, {"noisy", histogram_sum("noisy")}};
  const std::map<std::string, double> unknown{{"moved", unknown_of("moved")},
                                              {"noisy", unknown_of("noisy")}};
  moved.start_spin(2 * kSpinMs);
  noisy.start_spin(2 * kSpinMs);
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(2 * kSpinMs);
  int rounds = 0;
  for (; std::chrono::steady_clock::now() < end; ++rounds) {
    for (const std::size_t vcpu : {1U, 2U}) move(threads->at(vcpu), rounds % 2);
    std::thread([] {
      ::pthread_setname_np(::pthread_self(), "CPU 9/KVM");
    }).join();
    if (rounds % 25 != 0) continue;
    churn_vm();
    check_both();
  }
  moved.finish_spin();
  const double of_noisy = finish_seconds(noisy);
  scrape();
  EXPECT_GT(rounds, 100);
  EXPECT_GT(vms_, 4);
  check_both();
  for (const std::string domain : {"moved", "noisy"}) {
    const double grown = seconds(waited_.at(domain) - before.at(domain));
    EXPECT_GT(grown, 0.5) << domain;
    EXPECT_NEAR(histogram_sum(domain) - counted.at(domain), grown, 1e-9)
        << domain;
    EXPECT_NEAR(stolen(domain, ""), histogram_sum(domain), 1e-8) << domain;
    EXPECT_LT(unknown_of(domain) - unknown.at(domain), 0.01 * grown) << domain;
  }
  // Both may wait at once for a CPU that one of the noisy has.
  const double by_noisy =
      stolen("moved", "culprit_kind=\"domain\",culprit=\"noisy\"");
  EXPECT_GT(by_noisy, 0);
  EXPECT_LT(by_noisy, 2 * of_noisy);
}

// This thread runs whoever else wants the CPU, while one of these lives.
class Realtime {
 public:
  ~Realtime() {
    const sched_param ordinary{};
    ::sched_setscheduler(0, SCHED_OTHER, &ordinary);
  }

  // Beside such a thread nothing of the ordinary class runs.
  static bool make(pid_t tid, int priority) {
    sched_param parameter{};
    parameter.sched_priority = priority;
    return ::sched_setscheduler(tid, SCHED_FIFO, &parameter) == 0;
  }
};

// What is told of a VM's only vCPU.
struct Told {
  double steal = 0;
  double histogram = 0;
  double stolen = 0;
  double waiting = 0;
};

class RunqueueOpenWait : public Runqueue {
 protected:
  void SetUp() override {
    Runqueue::SetUp();
    if (IsSkipped()) return;
    // This thread has to act while both CPUs are taken.
    if (!Realtime::make(0, 20) || !Realtime::make(vcpu(first_), 10) ||
        !Realtime::make(vcpu(second_), 10))
      GTEST_SKIP() << "no right to SCHED_FIFO";
    pin(victim_.pid(), 0);
    pin(first_.pid(), 0);
    pin(second_.pid(), 1);
  }

  Told look() {
    Families said;
    const auto snapshot = inventory_.take(said);
    const Vm* const vm = snapshot ? find_vm(*snapshot, "victim") : nullptr;
    if (vm == nullptr) return {};
    families_ = std::make_unique<Families>();
    EXPECT_TRUE(collector_->collect(*snapshot, *families_));
    const Thread& thread = *vm->vcpus().begin();
    return {seconds(thread.sched->wait_ns), histogram_sum("victim"),
            stolen("victim", ""), seconds(thread.waiting_ns.value_or(0))};
  }

  const Realtime realtime_;
  FakeVm victim_{qemu_argv("victim", "cccccccc-0000-0000-0000-000000000031"),
                 {"CPU 0/KVM"}};
  FakeVm first_{qemu_argv("first", "cccccccc-0000-0000-0000-000000000032"),
                {"CPU 0/KVM"}};
  FakeVm second_{qemu_argv("second", "cccccccc-0000-0000-0000-000000000033"),
                 {"CPU 0/KVM"}};
};

TEST_F(RunqueueOpenWait, CountsWhereItMovesAndWhenItEnds) {
  inventory_ =
      inventory_with(std::make_unique<BpfTaskReader>(
                         Roots{}, BpfTaskReader::open_program({}, true)),
                     {});
  scrape();
  victim_.start_spin(1500);
  ASSERT_TRUE(eventually([&] { return ran(vcpu(victim_)) > 0.01; }));
  first_.start_spin(500);
  second_.start_spin(500);
  ASSERT_TRUE(eventually([&] { return ran(vcpu(first_)) > 0.005; }));
  const Told begun = look();
  ASSERT_TRUE(eventually([&] { return ran(vcpu(first_)) > 0.12; }));
  const Told open = look();
  EXPECT_GT(open.waiting, 0.09);
  EXPECT_EQ(open.steal, begun.steal);
  EXPECT_EQ(open.histogram, begun.histogram);
  EXPECT_EQ(open.stolen, begun.stolen);

  move(vcpu(victim_), 1);
  const Told moved = look();
  EXPECT_GT(moved.steal - open.steal, 0.09);
  EXPECT_NEAR(moved.stolen - open.stolen, moved.steal - open.steal, 1e-8);
  EXPECT_EQ(moved.histogram, open.histogram);

  first_.finish_spin();
  second_.finish_spin();
  victim_.finish_spin();
  scrape();
  const Told ended = look();
  EXPECT_GT(ended.steal - moved.steal, 0.05);
  EXPECT_NEAR(ended.histogram - begun.histogram, ended.steal - begun.steal,
              1e-8);
  EXPECT_NEAR(ended.stolen, ended.histogram, 1e-8);
  EXPECT_EQ(ended.waiting, 0);
  EXPECT_GT(stolen("victim", "culprit_kind=\"domain\",culprit=\"first\""),
            0.09);
  EXPECT_GT(stolen("victim", "culprit_kind=\"domain\",culprit=\"second\""),
            0.05);
}

// Each has an account of more than a kilobyte while it lives.
TEST_F(Runqueue, ThreadsThatHaveEndedHoldNoMemory) {
  constexpr int kThreads = 40'000;
  const auto slab = [] {
    std::ifstream meminfo("/proc/meminfo");
    std::string key;
    std::string rest;
    for (std::int64_t kib = 0; meminfo >> key >> kib && getline(meminfo, rest);)
      if (key == "SUnreclaim:") return kib;
    return std::int64_t{0};
  };
  const auto before = slab();
  ASSERT_GT(before, 0);
  for (int i = 0; i < kThreads; ++i) {
    std::thread([] {
      ::pthread_setname_np(::pthread_self(), "CPU 9/KVM");
    }).join();
    // Makes room for as many again.
    if (i % (UNTOLD_ACCOUNTS / 2) == 0) collect_now();
  }
  // What is freed waits for a grace period.
  EXPECT_TRUE(eventually([&] { return slab() - before < kThreads * 3 / 4; }))
      << slab() - before << " KiB more";
}

// What a CPU quota keeps from a vCPU, as the cgroup's own cpu.stat has it.
class RunqueueQuota : public Runqueue {
 protected:
  void SetUp() override {
    Runqueue::SetUp();
    if (IsSkipped()) return;
    scrape();
    const auto reason = reason_of(*families_, "runqueue_quota");
    if (!reason.empty()) GTEST_SKIP() << reason;
    group_ = CpuGroup::make("vcpu_exporter_quota_" + std::to_string(getpid()));
    if (!group_) GTEST_SKIP() << "no CPU controller to make a group in";
  }

  // What cpu.stat says that the group was throttled between two scrapes.
  template <typename Work>
  double throttled_while(const Work& work) {
    scrape();
    const auto before = group_->throttled_ns();
    work();
    scrape();
    const double truth = seconds(group_->throttled_ns() - before);
    EXPECT_GT(truth, 0.1);
    // For the README.
    std::cout << "# quota " << quota("limited") << " s of "
              << stolen("limited", "") << " s, throttled in cpu.stat " << truth
              << " s\n";
    return truth;
  }

  double quota(const std::string& domain) const {
    return stolen(domain, "culprit_kind=\"quota\"");
  }

  std::unique_ptr<CpuGroup> group_;
};

TEST_F(RunqueueQuota, IsACulpritOfItsOwn) {
  FakeVm vm(qemu_argv("limited", "cccccccc-0000-0000-0000-000000000011"),
            {"CPU 0/KVM"});
  group_->set_quota_ms(30);
  group_->add_process(vm.pid());
  const double truth = throttled_while([&] {
    vm.start_spin(2 * kSpinMs);
    vm.finish_spin();
  });
  EXPECT_NEAR(quota("limited"), truth, 0.02 * truth);
}

TEST_F(RunqueueQuota, IsToldFromAnotherWhoHasTheCpu) {
  FakeVm limited(qemu_argv("limited", "cccccccc-0000-0000-0000-000000000012"),
                 {"CPU 0/KVM"});
  FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-000000000013"),
               {"CPU 0/KVM"});
  pin(limited.pid(), 0);
  pin(noisy.pid(), 0);
  group_->set_quota_ms(20);
  group_->add_process(limited.pid());
  const double truth = throttled_while([&] {
    noisy.start_spin(3 * kSpinMs);
    limited.start_spin(2 * kSpinMs);
    limited.finish_spin();
    noisy.finish_spin();
  });
  EXPECT_NEAR(quota("limited"), truth, 0.02 * truth);
  EXPECT_EQ(quota("noisy"), 0);
  EXPECT_NEAR(stolen("limited", ""), histogram_sum("limited"), 1e-8);
}

TEST_F(RunqueueQuota, OfTheWholeVmStopsEachVcpuOfIt) {
  // As libvirt does it: a group for each vCPU, the quota above them.
  const auto first = CpuGroup::make("vcpu0", group_.get());
  const auto second = CpuGroup::make("vcpu1", group_.get());
  ASSERT_TRUE(first && second);
  FakeVm vm(qemu_argv("limited", "cccccccc-0000-0000-0000-000000000014"),
            {"CPU 0/KVM", "CPU 1/KVM"});
  group_->set_quota_ms(30);
  group_->add_process(vm.pid());
  pin(vm.pid(), 0);
  const auto vcpus = list_numbers(tasks_of(vm.pid()));
  ASSERT_TRUE(vcpus);
  first->add_thread(vcpus->at(1));
  second->add_thread(vcpus->at(2));
  const double truth = throttled_while([&] {
    vm.start_spin(2 * kSpinMs);
    vm.finish_spin();
  });
  // Both are stopped for as long, and each waits for the other in between.
  EXPECT_NEAR(quota("limited"), 2 * truth, 0.02 * 2 * truth);
  EXPECT_GT(stolen("limited", "culprit_kind=\"self\""), 0.2);
}

// Two threads of this process that hand a byte to and fro on one CPU, and so
// leave it many thousand times a second.
class PingPong {
 public:
  explicit PingPong(int cpu) {
    EXPECT_EQ(::pipe(there_.data()), 0);
    EXPECT_EQ(::pipe(back_.data()), 0);
    first_ = std::thread([this, cpu] { pass_on(cpu, back_[0], there_[1]); });
    second_ = std::thread([this, cpu] { pass_on(cpu, there_[0], back_[1]); });
    EXPECT_EQ(::write(there_[1], "x", 1), 1);
  }

  // Returns what CPU time the two had.
  double stop() {
    stopped_ = true;
    first_.join();
    second_.join();
    for (const int fd : {there_[0], there_[1], back_[0], back_[1]}) ::close(fd);
    return static_cast<double>(cpu_ns_) / kNsPerSecond;
  }

 private:
  void pass_on(int cpu, int in, int out) {
    move(0, cpu);
    char byte = 'x';
    while (byte == 'x' && ::read(in, &byte, 1) == 1) {
      if (stopped_) byte = 'y';
      if (::write(out, &byte, 1) != 1) break;
    }
    timespec cpu_time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_time);
    cpu_ns_ += cpu_time.tv_sec * 1'000'000'000 + cpu_time.tv_nsec;
  }

  std::array<int, 2> there_{};
  std::array<int, 2> back_{};
  std::atomic<bool> stopped_ = false;
  std::atomic<std::int64_t> cpu_ns_ = 0;
  std::thread first_;
  std::thread second_;
};

TEST_F(Runqueue, AWaitOfThousandsOfSlicesIsStillCharged) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000041"),
                {"CPU 0/KVM"});
  FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-000000000042"),
               {"CPU 0/KVM"});
  pin(victim.pid(), 0);
  pin(noisy.pid(), 0);
  scrape();
  victim.start_spin(2 * kSpinMs);
  PingPong pair(0);
  noisy.start_spin(kSpinMs);
  const double noise = finish_seconds(noisy);
  const double had = pair.stop();
  victim.finish_spin();
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit=\"vcpu_tests\""), had, 0.05 * had);
  EXPECT_NEAR(stolen("victim", "culprit=\"noisy\""), noise, 0.05 * noise);
  EXPECT_LT(stolen("victim", "culprit_kind=\"unknown\""),
            0.01 * stolen("victim", ""));
}

TEST_F(Runqueue, ACulpritThatHasEndedKeepsItsName) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000051"),
                {"CPU 0/KVM"});
  pin(victim.pid(), 0);
  double had = 0;
  {
    FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-000000000052"),
                 {"CPU 0/KVM"});
    pin(noisy.pid(), 0);
    scrape();
    victim.start_spin(kSpinMs);
    noisy.start_spin(kSpinMs / 2);
    had = finish_seconds(noisy);
    victim.finish_spin();
  }
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"domain\",culprit=\"noisy\""),
              had, 0.05 * had);
}

// More of them have taken much time than an account has places for.
TEST_F(Runqueue, ACulpritIsNamedHoweverManyWereThereBefore) {
  FakeVm victim(qemu_argv("victim", "cccccccc-0000-0000-0000-000000000061"),
                {"CPU 0/KVM"});
  FakeVm noisy(qemu_argv("noisy", "cccccccc-0000-0000-0000-000000000062"),
               {"CPU 0/KVM"});
  std::list<FakeVm> tasks;
  for (int i = 0; i < NAMED_CULPRITS; ++i)
    tasks.emplace_back(std::vector<std::string>{"old-" + std::to_string(i)},
                       std::vector<std::string>{"worker"});
  std::list<FakeVm> small;
  for (const char* const name : {"small-1", "small-2"})
    small.emplace_back(std::vector<std::string>{name},
                       std::vector<std::string>{"worker"});
  for (const auto* all : {&tasks, &small})
    for (const FakeVm& task : *all) pin(task.pid(), 0);
  pin(victim.pid(), 0);
  pin(noisy.pid(), 0);
  scrape();
  victim.start_spin(kSpinMs);
  for (FakeVm& task : tasks) task.start_spin(kSpinMs);
  for (FakeVm& task : tasks) EXPECT_GT(finish_seconds(task), 0.02);
  victim.finish_spin();
  scrape();
  victim.start_spin(3 * kSpinMs);
  noisy.start_spin(2 * kSpinMs);
  for (FakeVm& task : small) task.start_spin(2 * kSpinMs, 5);
  const double noise = finish_seconds(noisy);
  for (FakeVm& task : small) task.finish_spin();
  victim.finish_spin();
  scrape();
  EXPECT_NEAR(stolen("victim", "culprit_kind=\"domain\",culprit=\"noisy\""),
              noise, 0.05 * noise);
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
  const double ran = finish_seconds(vm);
  scrape();
  const double grown = seconds(waited_["plugged"] - before.at("plugged"));
  EXPECT_GT(grown, 1.0);
  EXPECT_NEAR(histogram_sum("plugged") - counted, grown, 1e-9);
  EXPECT_NEAR(stolen("plugged", ""), histogram_sum("plugged"), 1e-8);
  // While one runs the other waits for it.
  EXPECT_NEAR(stolen("plugged", "culprit_kind=\"self\""), ran, 0.1 * ran);
}

TEST_F(Runqueue, OnRequestEachVcpuHasItsHistogram) {
  use({.per_vcpu = true, .culprits = false});
  FakeVm vm(qemu_argv("two", "cccccccc-0000-0000-0000-000000000008"),
            {"CPU 0/KVM", "CPU 1/KVM"});
  pin(vm.pid(), 0);
  vm.start_spin(kSpinMs / 2);
  vm.finish_spin();
  scrape();
  Families said;
  const auto snapshot = inventory_.take(said);
  ASSERT_TRUE(snapshot);
  const Vm* const found = find_vm(*snapshot, "two");
  ASSERT_NE(found, nullptr);
  for (const Thread& vcpu : found->vcpus()) {
    const double waited = seconds(vcpu.sched->wait_ns);
    EXPECT_GT(waited, 0.1);
    EXPECT_NEAR(
        histogram_sum("two", ",vcpu=\"" + std::to_string(vcpu.vcpu) + "\""),
        waited, 1e-9);
  }
  EXPECT_EQ(histogram_sum("two"), 0);  // None of the whole VM.
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
    auto records = program->read();
    ASSERT_TRUE(records);
    const account_record* const record = records->find(tid);
    ASSERT_NE(record, nullptr);
    ASSERT_EQ(record->account.named, static_cast<__u32>(NAMED_CULPRITS));
    std::memcpy(&now, &record->account, offsetof(account, unranked));
  } while (now.version != last.version);

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

class RunqueueJoined : public testing::Test {
 protected:
  void SetUp() override {
    auto tasks = TasksProgram::open();
    if (!tasks) GTEST_SKIP() << tasks.error().message();
    tasks_ = std::make_shared<TasksProgram>(*std::move(tasks));
    auto program = RunqueueProgram::open(true, tasks_);
    if (!program) GTEST_SKIP() << program.error().message();
    program_.emplace(*std::move(program));
  }

  // What an account says that vCPU 0 has waited; 0: there is none.
  std::uint64_t waited(pid_t tid) {
    auto records = program_->read();
    if (!records) return 0;
    const account_record* const record = records->find(tid);
    return record == nullptr ? 0 : record->account.waited;
  }

  std::size_t accounts_in_pass() {
    EXPECT_TRUE(tasks_->read());
    std::size_t count = 0;
    tasks_->last().each(ACCOUNT_RECORD,
                        [&](const record_head&, std::string_view) { ++count; });
    EXPECT_TRUE(tasks_->last().whole());
    return count;
  }

  static pid_t compete(FakeVm& vm) {
    vm.start_spin(kSpinMs);
    return vm.finish_spin().at(0).tid;
  }

  std::shared_ptr<TasksProgram> tasks_;
  std::optional<RunqueueProgram> program_;
  FakeVm vm_{qemu_argv("joined", "cccccccc-0000-0000-0000-00000000000e"),
             {"CPU 0/KVM", "CPU 1/KVM"}};
};

TEST_F(RunqueueJoined, BringsTheAccountsOfThePassThatWasExpected) {
  pin(vm_.pid(), 0);
  const pid_t tid = compete(vm_);
  program_->tell({vm_.pid(), tid});
  const auto first = waited(tid);
  EXPECT_GT(first, 0U);

  program_->expect();
  EXPECT_EQ(accounts_in_pass(), 1U);
  compete(vm_);
  EXPECT_EQ(waited(tid), first);  // Of that pass.
  EXPECT_GT(waited(tid), first);  // Of one of its own, as nobody expected it.
}

TEST_F(RunqueueJoined, MakesItsOwnPassForAVcpuThatIsNew) {
  pin(vm_.pid(), 0);
  const pid_t tid = compete(vm_);
  program_->expect();
  EXPECT_EQ(accounts_in_pass(), 0U);  // None was told.
  program_->tell({vm_.pid(), tid});
  EXPECT_GT(waited(tid), 0U);
}

TEST_F(RunqueueJoined, MakesItsOwnPassWhereTheOtherWasNotMade) {
  pin(vm_.pid(), 0);
  const pid_t tid = compete(vm_);
  program_->tell({vm_.pid(), tid});
  program_->expect();
  EXPECT_GT(waited(tid), 0U);
}

TEST_F(RunqueueJoined, BringsAnAccountThatWasTakenWhenItHasChanged) {
  pin(vm_.pid(), 0);
  const pid_t tid = compete(vm_);
  program_->tell({vm_.pid(), tid});
  std::uint64_t last = 0;
  const auto at_rest = [&] {
    const auto now = waited(tid);
    program_->taken();
    last = std::max(last, now);
    return now == 0;
  };
  ASSERT_TRUE(eventually(at_rest));
  EXPECT_GT(last, 0U);
  program_->expect();
  EXPECT_EQ(accounts_in_pass(), 0U);
  EXPECT_EQ(waited(tid), 0U);
  program_->taken();
  compete(vm_);
  EXPECT_GT(waited(tid), last);
}

TEST_F(RunqueueJoined, BringsAllAgainWhereAPassWasNotTaken) {
  const pid_t tid = compete(vm_);
  program_->tell({vm_.pid(), tid});
  const auto at_rest = [&] {
    const bool none = waited(tid) == 0;
    program_->taken();
    return none;
  };
  ASSERT_TRUE(eventually(at_rest));
  program_->expect();
  EXPECT_EQ(accounts_in_pass(), 0U);
  program_->expect();
  EXPECT_EQ(accounts_in_pass(), 1U);
  EXPECT_GT(waited(tid), 0U);
  program_->taken();
  program_->tell({vm_.pid()});
  program_->tell({vm_.pid(), tid});
  EXPECT_GT(waited(tid), 0U);  // Nobody took it while it was not told.
}

TEST_F(RunqueueJoined, CostsAPassNothingThatNobodyExpects) {
  program_->tell({vm_.pid(), compete(vm_)});
  EXPECT_EQ(accounts_in_pass(), 0U);
  program_->expect();
  EXPECT_EQ(accounts_in_pass(), 1U);
  program_.reset();
  EXPECT_EQ(accounts_in_pass(), 0U);
}

// Anybody can name his threads as vCPUs, and our control group pays for what
// the kernel keeps of them.
class RunqueueCrowd : public RunqueueJoined {
 protected:
  void SetUp() override {
    RunqueueJoined::SetUp();
    if (!program_) return;
    const std::size_t others = program_->untold();
    if (others > UNTOLD_ACCOUNTS / 2)
      GTEST_SKIP() << others << " threads of others are named as vCPUs";
  }

  static std::vector<std::string> vcpus(std::size_t count) {
    return std::vector<std::string>(count, "CPU 0/KVM");
  }

  void pass(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) ASSERT_TRUE(program_->read());
  }
};

TEST_F(RunqueueCrowd, OfNoVmLosesItsAccountsAndAVmsVcpuKeepsIts) {
  constexpr std::size_t kThreads = 300;
  FakeVm crowd({"crowd"}, vcpus(kThreads));
  for (const pid_t pid : {crowd.pid(), vm_.pid()}) pin(pid, 0);
  const pid_t named_so = compete(crowd);
  const pid_t vcpu = compete(vm_);
  program_->tell({crowd.pid(), named_so, vm_.pid(), vcpu});
  ASSERT_GT(waited(named_so), 0U);
  const auto of_vcpu = waited(vcpu);
  ASSERT_GT(of_vcpu, 0U);
  EXPECT_GE(program_->untold(), kThreads - 1);

  program_->tell({vm_.pid(), vcpu});
  pass(UNTOLD_PASSES + 1);
  EXPECT_LT(program_->untold(), kThreads - 1);
  EXPECT_EQ(waited(vcpu), of_vcpu);
  // It gets a new one if it is a VM's after all.
  program_->tell({crowd.pid(), named_so, vm_.pid(), vcpu});
  EXPECT_EQ(waited(named_so), 0U);
  compete(crowd);
  EXPECT_GT(waited(named_so), 0U);
}

TEST_F(RunqueueCrowd, HasNoMoreAccountsThanThereIsRoomFor) {
  // Each CPU may pass the bound by the one that it is about to open.
  const auto most = static_cast<std::size_t>(UNTOLD_ACCOUNTS +
                                             ::sysconf(_SC_NPROCESSORS_CONF));
  FakeVm crowd({"crowd"}, vcpus(UNTOLD_ACCOUNTS + 200));
  EXPECT_GE(program_->untold(), UNTOLD_ACCOUNTS);
  EXPECT_LE(program_->untold(), most);
  pass(2);
  EXPECT_LE(program_->untold(), most);

  FakeVm late(qemu_argv("late", "cccccccc-0000-0000-0000-00000000000f"),
              {"CPU 0/KVM", "CPU 1/KVM"});
  const auto threads = list_numbers(tasks_of(late.pid()));
  ASSERT_TRUE(threads);
  program_->tell({late.pid(), threads->at(1)});
  pass(1);
  pin(late.pid(), 0);
  EXPECT_EQ(compete(late), threads->at(1));
  EXPECT_GT(waited(threads->at(1)), 0U);
  crowd.kill();
  EXPECT_TRUE(eventually([&] {
    pass(1);
    return program_->untold() < UNTOLD_ACCOUNTS;
  }));
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

// SPDX-License-Identifier: Apache-2.0
//
// A kernel that fails: each call that a scrape of a small host makes fails
// once, in every way that it can, and the scrapes before and after it do not.
// What holds whatever happens: the page is one that a strict reader takes, no
// counter falls, no series has another value than it would have, and where one
// is missing the page says that something is.
#include "tests/support/kernel_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collectors/catalog.h"
#include "collectors/kernel/kvm_stats.h"
#include "exporter/page.h"
#include "exporter/scrape.h"
#include "tests/fuzz/common/strict_page.h"
#include "tests/support/fake_monitor.h"
#include "tests/support/host_under_test.h"
#include "tests/support/machines.h"
#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

namespace fs = std::filesystem;
using Kind = KernelFault::Kind;
using Labels = std::map<std::string, std::string>;
using Series = std::pair<std::string, Labels>;

constexpr const char* kScope =
    "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";

void write_groups(const ProcTree& tree, int steps) {
  const auto figure = [&](int begin) { return std::to_string(begin + steps); };
  tree.process_file(2000, "cgroup", "0::/fc\n");
  tree.group_file("/fc/cgroup.procs", "2000\n");
  tree.group_file("/fc/cpu.max", "max 100000\n");
  tree.group_file("/fc/cpu.weight", "100\n");
  tree.group_file(
      "/fc/cpu.stat",
      "usage_usec 99\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n");
  tree.group_file("/fc/memory.swap.current", "4096\n");
  tree.group_file("/fc/memory.numa_stat",
                  "anon N0=4096 N1=0\nshmem N0=0 N1=0\n");
  tree.process_file(1000, "cgroup",
                    std::string("0::") + kScope + "/libvirt/emulator\n");
  for (const std::string below :
       {"", "/libvirt", "/libvirt/emulator", "/libvirt/vcpu0"}) {
    const auto group = kScope + below;
    tree.group_file(group + "/cpu.max", "80000 100000\n");
    tree.group_file(group + "/cpu.weight", "200\n");
    tree.group_file(group + "/cpu.stat", "usage_usec 99\nnr_periods " +
                                             figure(900) + "\nnr_throttled " +
                                             figure(60) + "\nthrottled_usec " +
                                             figure(1250000) + "\n");
  }
  const std::string pressure =
      "some avg10=1.08 avg60=0.95 avg300=0.40 total=" + figure(1418521) +
      "\nfull avg10=0.00 avg60=0.12 avg300=0.10 total=" + figure(812339) + "\n";
  for (const std::string resource : {"cpu", "memory", "io"}) {
    ProcTree::write(tree.proc("pressure/" + resource), pressure);
    for (const std::string group : {kScope, "/fc"})
      tree.group_file(group + "/" + resource + ".pressure", pressure);
  }
  tree.group_file(kScope + std::string("/memory.swap.current"), "134217728\n");
  tree.group_file(kScope + std::string("/memory.numa_stat"),
                  "anon N0=3221225472 N1=1073741824\nshmem N0=0 N1=0\n");
  tree.group_file(kScope + std::string("/hugetlb.2MB.numa_stat"),
                  "total=50331648 N0=33554432 N1=16777216\n");
}

// A group of each controller's own hierarchy, and one without any.
void write_groups_of_version_one(const ProcTree& tree, int steps) {
  const auto figure = [&](int begin) { return std::to_string(begin + steps); };
  const std::string group = "/machine/qemu-1-old.libvirt-qemu";
  tree.process_file(3000, "cgroup",
                    "6:hugetlb:" + group + "\n5:memory:" + group +
                        "\n4:cpu,cpuacct:" + group + "/emulator\n0::/\n");
  for (const std::string below : {"", "/emulator", "/vcpu0"}) {
    const auto cpu = "/cpu" + group + below;
    tree.group_file(cpu + "/cpu.cfs_quota_us", "50000\n");
    tree.group_file(cpu + "/cpu.cfs_period_us", "100000\n");
    tree.group_file(cpu + "/cpu.shares", "2048\n");
    tree.group_file(cpu + "/cpu.stat",
                    "nr_periods " + figure(90) + "\nnr_throttled " + figure(8) +
                        "\nthrottled_time " + figure(500000) + "000\n");
  }
  tree.group_file("/memory" + group + "/memory.stat",
                  "cache 0\nswap 12288\ntotal_swap 12288\n");
  tree.group_file("/memory" + group + "/memory.numa_stat",
                  "anon=300 N0=200 N1=100\nunevictable=0 N0=0 N1=0\n"
                  "hierarchical_anon=300 N0=200 N1=100\n"
                  "hierarchical_unevictable=0 N0=0 N1=0\n");
  tree.group_file("/hugetlb" + group + "/hugetlb.2MB.numa_stat",
                  "total=8388608 N0=8388608 N1=0\n"
                  "hierarchical_total=8388608 N0=8388608 N1=0\n");
}

// KVM's statistics of the first two VMs.
void write_debugfs(const ProcTree& tree, int steps) {
  for (const std::string vm : {"1000-12", "2000-9"}) {
    for (const auto stat : kKvmStatNames) {
      // All exits are more than those of each reason.
      const int begin = stat == "exits" ? 1'000'000 : 1000;
      tree.sys_file("kernel/debug/kvm/" + vm + "/" + std::string(stat),
                    std::to_string(begin + steps) + "\n");
    }
  }
}

void write_memory(const ProcTree& tree, int steps) {
  ProcTree::write(tree.proc("meminfo"),
                  "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"
                  "SwapTotal: 4194304 kB\nSwapFree: 4063232 kB\n"
                  "PageTables: 65536 kB\n");
  ProcTree::write(tree.proc("vmstat"), "pswpin " + std::to_string(100 + steps) +
                                           "\npswpout " +
                                           std::to_string(300 + steps) + "\n");
  tree.sys_file("kernel/mm/ksm/pages_sharing", "1000\n");
  tree.sys_file("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "64\n");
  tree.sys_file("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "16\n");
}

void write_hardware(const ProcTree& tree, int steps) {
  for (int cpu = 0; cpu < 4; ++cpu) {
    // One alone, so that it shows where it is taken to be.
    write_cpu_file(tree, cpu, "topology/physical_package_id",
                   cpu == 3 ? "1\n" : "0\n");
    write_cpu_file(tree, cpu, "cpu_capacity",
                   cpu % 2 == 0 ? "512\n" : "1024\n");
    for (const std::string of : {"core", "package"})
      write_cpu_file(tree, cpu, "thermal_throttle/" + of + "_throttle_count",
                     std::to_string(30 + steps) + "\n");
    const auto policy =
        "devices/system/cpu/cpufreq/policy" + std::to_string(cpu);
    write_sys(tree, policy + "/affected_cpus", std::to_string(cpu) + "\n");
    write_sys(tree, policy + "/scaling_cur_freq",
              std::to_string(3200000 + cpu * 1000) + "\n");
  }
  for (const std::string number : {"0", "1"}) {
    const auto sensor = "class/hwmon/hwmon" + number;
    write_sys(tree, sensor + "/name", "coretemp\n");
    write_sys(tree, sensor + "/temp1_label", "Package id " + number + "\n");
    write_sys(tree, sensor + "/temp1_input", "5" + number + "500\n");
  }
  write_sys(tree, "devices/system/cpu/isolated", "3\n");
  write_sys(tree, "devices/system/cpu/nohz_full", "3\n");
  ProcTree::write(tree.proc("sys/kernel/osrelease"), "6.1.0-18-amd64\n");
  ProcTree::write(tree.proc("interrupts"),
                  "           CPU0       CPU1       CPU2       CPU3\n"
                  "MCE:          0          0         12         " +
                      std::to_string(10 + steps) +
                      "  Machine check exceptions\n");
  ProcTree::write(tree.proc("cpuinfo"), "flags\t\t: fpu svm smep sev\n");
  for (const std::string name : {"npt", "sev", "avic", "nested"})
    write_sys(tree, "module/kvm_amd/parameters/" + name, "Y\n");
  write_sys(tree, "devices/system/cpu/smt/active", "1\n");
  write_sys(tree, "devices/system/cpu/vulnerabilities/mds",
            "Mitigation: Clear CPU buffers; SMT vulnerable\n");
  write_sys(tree, "devices/system/cpu/vulnerabilities/meltdown",
            "Not affected\n");
  write_sys(tree, "hypervisor/type", "xen\n");
}

// Four CPUs, two cores, two nodes, three VMs, `steps` after the begin.
void build(ProcTree& tree, int steps) {
  const auto times = [steps](std::uint64_t more) {
    const auto passed = static_cast<std::uint64_t>(steps);
    return ThreadFigures{.run = 1'000'000'000 + passed * 100 + more,
                         .wait = 500'000'000 + passed * 10 + more,
                         .dispatches = 10 + passed,
                         .voluntary = 60 + passed,
                         .involuntary = 40 + passed,
                         .migrations = 20 + passed,
                         .cpu = static_cast<int>(more % 4)};
  };
  tree.cpus("0-3").core({0, 2}).core({1, 3}).node(0, "0,2").node(1, "1,3");
  tree.distance(0, "10 21").distance(1, "21 10");
  const auto busy = std::to_string(90000 + steps);
  const auto stolen = std::to_string(10 + steps);
  tree.stat("cpu  " + busy + " 500 4000 100000 300 0 200 " + stolen +
            " 60000 0\ncpu0 " + busy + " 500 3000 30000 200 0 100 " + stolen +
            " 40000 0\nbtime 1700000000\n");
  tree.process(1000, "qemu-system-x86",
               {"qemu-system-x86_64", "-name", "guest=web,debug-threads=on",
                "-m", "2048", "-uuid", "6e0b1c9a-5a7e-4c55-9b0a-2d8f6a1e7c01"},
               times(0))
      .thread(1001, "CPU 0/KVM", times(1))
      .thread(1002, "CPU 1/KVM", times(2))
      .thread(1003, "IO iothread1", times(3));
  tree.kernel_thread(1500, "vhost-1000", times(0));
  tree.process(2000, "firecracker", {"firecracker", "--id", "fc"}, times(1))
      .thread(2001, "fc_vcpu 0", times(2));
  tree.process(3000, "qemu-system-x86",
               {"qemu-system-x86_64", "-name", "guest=old,debug-threads=on"},
               times(2))
      .thread(3001, "CPU 0/TCG", times(3));
  const std::map<int, std::string> huge_kib{
      {1000, "49152"}, {2000, "0"}, {3000, "8192"}};
  for (const auto& [pid, kib] : huge_kib) {
    const auto path = tree.proc(std::to_string(pid)) + "/status";
    std::ofstream(path, std::ios::app)
        << "VmPTE:\t4096 kB\nVmSwap:\t8 kB\nHugetlbPages:\t" << kib << " kB\n";
  }
  write_groups(tree, steps);
  write_groups_of_version_one(tree, steps);
  write_debugfs(tree, steps);
  write_memory(tree, steps);
  write_hardware(tree, steps);
}

// Some moments of a host, and a directory that is one of them.
class Moments {
 public:
  Moments() {
    for (std::size_t i = 0; i < trees_.size(); ++i)
      build(trees_[i], static_cast<int>(i));
    auto pattern =
        (fs::temp_directory_path() / "kernel_faults.XXXXXX").string();
    top_ = ::mkdtemp(pattern.data());
    come(0);
  }
  Moments(const Moments&) = delete;
  Moments& operator=(const Moments&) = delete;
  ~Moments() {
    std::error_code ignored;
    fs::remove_all(top_, ignored);
  }

  void come(std::size_t moment) const {
    const auto host = fs::path(trees_[moment].roots().proc).parent_path();
    fs::create_directory_symlink(host, top_ + "/next");
    fs::rename(top_ + "/next", now());
  }
  std::string now() const { return top_ + "/now"; }
  Roots roots() const { return {now() + "/proc", now() + "/sys"}; }

  static constexpr std::size_t kMoments = 3;

 private:
  std::array<ProcTree, kMoments> trees_;
  std::string top_;
};

struct ReadPage {
  std::map<Series, double> values;  // Of what is measured.
  std::set<std::string> said;       // What the page says is missing.
};

bool is_about_the_scrape(const std::string& name) {
  return name.starts_with("vcpu_scrape_") || name == "vcpu_source_available";
}

// An exporter that has just been started.
class Scraped {
 public:
  explicit Scraped(const Roots& roots) {
    auto inventory = std::make_shared<Inventory>(inventory_on(roots));
    std::vector<std::unique_ptr<Collector>> collectors;
    for (const auto& entry : catalog()) {
      if (entry.name == "perf") continue;  // Of this machine's own threads.
      CollectorOptions options;
      options.roots = roots;
      options.ebpf = false;
      options.monitor = std::make_shared<FakeMonitor>();
      collectors.push_back(entry.make(options));
      collectors.back()->open();
      wanted_.emplace(entry.name);
      expected_.emplace_back(entry.name);
    }
    scrape_ = std::make_unique<Scrape>(
        [inventory](Families& said) { return inventory->take(said); },
        std::move(collectors), [] { return Scrape::Clock::time_point{}; });
  }

  ReadPage page() {
    std::vector<std::shared_ptr<const Families>> measured;
    std::vector<Part> parts;
    ReadPage page;
    scrape_->run(wanted_, [&](Part part) {
      for (const auto& reason : part.families->drops())
        page.said.insert("dropped " + reason);
      measured.push_back(part.families);
      parts.push_back(std::move(part));
    });
    const FamiliesPage text(measured, 100'000,
                            {scrape_families(parts, expected_)});
    for (const auto& sample :
         fuzz::read_page(*text.body(TextFormat::kPrometheus, false),
                         TextFormat::kPrometheus)) {
      if (!is_about_the_scrape(sample.name))
        page.values[{sample.name, sample.labels}] = sample.value;
      else if (sample.value == 0 && !sample.name.ends_with("_seconds"))
        page.said.insert(what(sample));
    }
    return page;
  }

 private:
  static std::string what(const fuzz::Sample& sample) {
    std::string text = sample.name;
    for (const auto& [name, value] : sample.labels) text += " " + value;
    return text;
  }

  std::set<std::string> wanted_;
  std::vector<std::string> expected_{Scrape::kInventory};
  std::unique_ptr<Scrape> scrape_;
};

std::string shown(const Series& series) {
  std::string text = series.first + "{";
  for (const auto& [name, value] : series.second)
    text += name + "=\"" + value + "\",";
  return text + "}";
}

bool is_counter(const Series& series) {
  return series.first.ends_with("_total");
}

bool says_more(const ReadPage& page, const ReadPage& right) {
  return std::any_of(
      page.said.begin(), page.said.end(),
      [&](const std::string& said) { return !right.said.contains(said); });
}

// A sum of what several threads or groups got so far may wait for one of them
// that could not be read, where that is said.
bool is_sum(const Series& series) {
  static const std::set<std::string> kSums{
      "vcpu_domain_thread_run_seconds_total",
      "vcpu_domain_thread_steal_seconds_total",
      "vcpu_domain_throttled_seconds_total",
      "vcpu_domain_throttled_periods_total", "vcpu_domain_periods_total",
      "vcpu_throttled_seconds_total", "vcpu_host_cpu_throttles_total",
      // Looked at every few minutes only.
      "vcpu_host_machine_checks_total"};
  return kSums.contains(series.first);
}

// What is wrong with `page`, if it should be `right`; empty: nothing.
std::string difference(const ReadPage& page, const ReadPage& right) {
  for (const auto& [series, value] : page.values) {
    const auto found = right.values.find(series);
    if (found == right.values.end())
      return shown(series) + " is not of this host";
    if (found->second != value &&
        !(says_more(page, right) && is_sum(series) && value < found->second))
      return shown(series) + " is " + std::to_string(value) + " instead of " +
             std::to_string(found->second);
  }
  return "";
}

std::string missing(const ReadPage& page, const ReadPage& right) {
  for (const auto& [series, value] : right.values)
    if (!page.values.contains(series)) return shown(series);
  return "";
}

std::string fall(const ReadPage& before, const ReadPage& after) {
  for (const auto& [series, value] : after.values) {
    const auto found = before.values.find(series);
    if (is_counter(series) && found != before.values.end() &&
        value < found->second)
      return shown(series) + " falls from " + std::to_string(found->second) +
             " to " + std::to_string(value);
  }
  return "";
}

class KernelFaultsWalk : public testing::Test {
 protected:
  using Pages = std::vector<ReadPage>;

  // Three scrapes, one at each moment, of which one has the fault.
  Pages scrapes(std::size_t when, const KernelFault& fault,
                std::vector<KernelFaults::Call>* calls = nullptr) {
    moments_.come(0);
    const KernelFaults faults(moments_.now());
    Scraped exporter(moments_.roots());
    Pages pages;
    for (std::size_t moment = 0; moment < Moments::kMoments; ++moment) {
      moments_.come(moment);
      KernelFaults::begin(moment == when ? fault : KernelFault{});
      pages.push_back(exporter.page());
      if (moment == when && calls != nullptr) *calls = KernelFaults::calls();
    }
    return pages;
  }

  static std::string named(const KernelFaults::Call& call,
                           const KernelFault& fault, const std::string& root) {
    static const std::map<KernelCall, std::string> kCalls{
        {KernelCall::kOpen, "open"}, {KernelCall::kAccess, "access"},
        {KernelCall::kRead, "read"}, {KernelCall::kPread, "pread"},
        {KernelCall::kList, "list"}, {KernelCall::kListNext, "list on"}};
    static const std::map<Kind, std::string> kKinds{
        {Kind::kError, ""},
        {Kind::kShortRead, "short"},
        {Kind::kHalf, "half"},
        {Kind::kLessTail, "less its tail"},
        {Kind::kEmpty, "empty"}};
    return std::to_string(fault.call) + " " + kCalls.at(call.call) + " " +
           call.path.substr(root.size()) + ": " + kKinds.at(fault.kind) +
           (fault.kind == Kind::kError ? ::strerrorname_np(fault.error) : "");
  }

  using Wanted = std::function<bool(const std::string& path)>;
  using Judge = std::function<std::string(const Pages&, const Pages&)>;

  // Every call of scrape `when`, in each of these ways where it can.
  void walk(std::size_t when, const std::vector<KernelFault>& ways,
            const Judge& judge, const Wanted& wanted = {}) {
    std::vector<KernelFaults::Call> calls;
    const Pages right = scrapes(when, {}, &calls);
    ASSERT_GT(calls.size(), 100U);
    EXPECT_THAT(right[when].said,
                testing::Not(testing::Contains(testing::HasSubstr("success"))));
    std::map<std::string, std::string> wrong;
    for (std::size_t k = 0; k < calls.size(); ++k) {
      for (KernelFault fault : ways) {
        if (!can(calls[k].call, fault)) continue;
        if (wanted && !wanted(calls[k].path)) continue;
        fault.call = k;
        auto problem = judge(scrapes(when, fault), right);
        if (!problem.empty())
          ADD_FAILURE() << named(calls[k], fault, moments_.now()) << ": "
                        << problem;
      }
    }
  }

  // What the kernel's documentation has of each.
  static bool can(KernelCall call, const KernelFault& fault) {
    const bool reads = call == KernelCall::kRead || call == KernelCall::kPread;
    if (fault.kind != Kind::kError) return reads;
    const bool names = call == KernelCall::kOpen || call == KernelCall::kAccess;
    switch (fault.error) {
      case EMFILE:
      case ENFILE:
        return call == KernelCall::kOpen;
      case EACCES:
        return names;
      case EINTR:
        return call != KernelCall::kAccess && call != KernelCall::kList;
      default:
        return true;
    }
  }

  Moments moments_;
};

// What is wrong with pages of which the first `when` were undisturbed.
struct Judgement {
  std::size_t when;
  bool said = true;      // What is missing has to be said.
  bool sums_too = true;  // A sum may be too small only where that is said.
  bool vcpus_alone = false;

  std::string operator()(const std::vector<ReadPage>& pages,
                         const std::vector<ReadPage>& right) const {
    for (std::size_t i = when; i < pages.size(); ++i) {
      auto wrong = i > 0 ? fall(pages[i - 1], pages[i]) : "";
      if (wrong.empty()) wrong = difference(of(pages[i]), of(right[i]));
      const auto absent = missing(pages[i], right[i]);
      if (wrong.empty() && said && !absent.empty() &&
          !says_more(pages[i], right[i]))
        wrong = absent + " is missing without a word";
      if (!wrong.empty()) return "page " + std::to_string(i) + ": " + wrong;
    }
    if (when > 0) return fall(pages[when - 1], pages[pages.size() - 1]);
    return "";
  }

  ReadPage of(const ReadPage& page) const {
    ReadPage some{{}, page.said};
    for (const auto& [series, value] : page.values) {
      if (vcpus_alone && !series.second.contains("vcpu")) continue;
      if (!sums_too && is_sum(series)) continue;
      some.values[series] = value;
    }
    return some;
  }
};

TEST_F(KernelFaultsWalk, AnInterruptedCallAndAShortReadChangeNothing) {
  const std::vector<KernelFault> ways{{.error = EINTR},
                                      {.kind = Kind::kShortRead}};
  for (const std::size_t when : {0, 1}) {
    walk(when, ways, [](const Pages& pages, const Pages& right) {
      for (std::size_t i = 0; i < pages.size(); ++i) {
        auto other = difference(pages[i], right[i]);
        if (other.empty()) other = missing(pages[i], right[i]);
        if (!other.empty()) return "page " + std::to_string(i) + ": " + other;
        if (pages[i].said != right[i].said) return std::string("says more");
      }
      return std::string();
    });
  }
}

const std::vector<KernelFault>& failures() {
  static const std::vector<KernelFault> all{{.error = ENOMEM},
                                            {.error = EMFILE},
                                            {.error = ENFILE},
                                            {.error = EACCES},
                                            {.error = EIO}};
  return all;
}

TEST_F(KernelFaultsWalk, AFailureMakesNoFigureWrongAndIsSaid) {
  walk(1, failures(), Judgement{.when = 1});
}

// What is counted from the first scrape on may then begin with the second.
// EACCES is none of these: there it is /proc mounted with hidepid, and what is
// to be seen is served.
TEST_F(KernelFaultsWalk, AFailureInTheFirstScrapeLeavesNothingBehind) {
  auto ways = failures();
  std::erase_if(ways, [](const auto& way) { return way.error == EACCES; });
  walk(0, ways, Judgement{.when = 0, .sums_too = false});
}

// What ends meanwhile is left out in silence, and with it its share of sums;
// what is read of it by then is empty.
TEST_F(KernelFaultsWalk, WhatIsGoneHidesNoOther) {
  walk(1, {{.error = ESRCH}, {.error = ENOENT}, {.kind = Kind::kEmpty}},
       Judgement{
           .when = 1, .said = false, .sums_too = false, .vcpus_alone = true});
}

// A group that was removed while one of its files was open, or being opened.
TEST_F(KernelFaultsWalk, AGroupThatIsRemovedMeanwhileMakesNoCollectorFail) {
  const auto failing = [](const Pages& pages, const Pages& /*right*/) {
    for (const std::string& said : pages[1].said)
      if (said.find("success") != std::string::npos) return said;
    return std::string();
  };
  walk(1, {{.error = ENODEV}}, failing, [](const std::string& path) {
    return path.find("/fs/cgroup/") != std::string::npos;
  });
}

// Of the tasks, the groups and the pressures, which is what counts.
TEST_F(KernelFaultsWalk, AFileThatEndsTooSoonMakesNoFigureWrong) {
  walk(1, {{.kind = Kind::kHalf}, {.kind = Kind::kLessTail}},
       Judgement{.when = 1, .said = false}, [](const std::string& path) {
         return path.find("/proc/") != std::string::npos ||
                path.find("/fs/cgroup/") != std::string::npos;
       });
}

}  // namespace
}  // namespace vcpu

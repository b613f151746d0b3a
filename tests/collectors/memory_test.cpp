// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Le;
using testing::Not;

constexpr const char* kWithSwap =
    "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nSwapTotal: 1048576 kB\n"
    "SwapFree: 524288 kB\nPageTables: 1024 kB\n";
constexpr const char* kWithoutSwap =
    "MemTotal: 4194304 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
constexpr std::uint64_t kGib = std::uint64_t{1} << 30U;

std::string bytes_of_pages(std::uint64_t pages) {
  return std::to_string(pages *
                        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
}

class Memory : public testing::Test {
 protected:
  Memory() {
    ProcTree::write(tree_.proc("meminfo"), kWithSwap);
    ProcTree::write(tree_.proc("vmstat"), "pswpin 3\npswpout 5\n");
    tree_.sys_file("kernel/mm/ksm/pages_sharing", "7\n");
    huge_pages("hugepages-2048kB", "512", "256");
  }

  void huge_pages(const std::string& pool, const std::string& pages,
                  const std::string& unused) const {
    const auto path = "kernel/mm/hugepages/" + pool;
    tree_.sys_file(path + "/nr_hugepages", pages + "\n");
    tree_.sys_file(path + "/free_hugepages", unused + "\n");
  }

  // A VM of 1 GiB whose process has 128 MiB of its own in the swap.
  void vm(pid_t pid, const std::string& domain, const std::string& cgroup) {
    tree_.process(pid, "qemu", {"qemu"});
    tree_.process_file(pid, "status", "VmPTE:\t4 kB\nVmSwap:\t131072 kB\n");
    tree_.process_file(pid, "stat", stat_with(17, 1000));
    tree_.process_file(pid, "cgroup", cgroup);
    Vm vm = vm_of(domain, {});
    vm.pid = pid;
    vm.start_ticks = 1000;
    vm.memory_bytes = kGib;
    vms_.push_back(vm);
  }

  static std::string stat_with(int major_faults, int start_ticks) {
    return "1 (qemu) S 1 1 1 0 -1 4194624 100 0 " +
           std::to_string(major_faults) + " 0 5 6 0 0 20 0 3 0 " +
           std::to_string(start_ticks) +
           " 1 5 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 17 0\n";
  }

  std::vector<std::string> collect() {
    Snapshot snapshot = snapshot_of(vms_);
    snapshot.cgroups = cgroups_of(snapshot, tree_.roots());
    said_ = {};
    EXPECT_TRUE(memory_->collect(snapshot, said_));
    return samples_of(said_);
  }

  // What is said of swap, page tables and faults of VMs.
  std::vector<std::string> use() {
    auto samples = collect();
    std::erase_if(samples, [](const std::string& sample) {
      return sample.starts_with("vcpu_host_") ||
             sample.starts_with("vcpu_domain_memory_");
    });
    return samples;
  }

  std::string reason(const std::string& source) const {
    return reason_of(said_, source);
  }

  ProcTree tree_;
  std::unique_ptr<Collector> memory_ = make_memory({.roots = tree_.roots()});
  std::vector<Vm> vms_;
  Families said_;
};

TEST_F(Memory, TellsTheHosts) {
  huge_pages("hugepages-1048576kB", "2", "1");
  EXPECT_THAT(
      collect(),
      ElementsAre(
          R"(vcpu_host_memory_bytes{kind="total"} 4294967296)",
          R"(vcpu_host_memory_bytes{kind="available"} 2147483648)",
          R"(vcpu_host_memory_bytes{kind="hugepages_total"} 3221225472)",
          R"(vcpu_host_memory_bytes{kind="hugepages_free"} 1610612736)",
          R"(vcpu_host_memory_bytes{kind="page_tables"} 1048576)",
          R"(vcpu_host_memory_bytes{kind="swap_total"} 1073741824)",
          R"(vcpu_host_memory_bytes{kind="swap_free"} 536870912)",
          R"(vcpu_host_memory_bytes{kind="ksm_saved"} )" + bytes_of_pages(7),
          "vcpu_host_memory_overcommit_ratio 0",
          R"(vcpu_host_swap_bytes_total{direction="in"} )" + bytes_of_pages(3),
          R"(vcpu_host_swap_bytes_total{direction="out"} )" +
              bytes_of_pages(5)));
  for (const auto& [source, missing_reason] : said_.sources())
    EXPECT_EQ(missing_reason, "") << source;
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Memory, SaysWhatTheKernelDoesNotHave) {
  std::filesystem::remove_all(tree_.roots().sys + "/kernel/mm");
  ProcTree::write(tree_.proc("meminfo"), kWithoutSwap);
  ProcTree::write(tree_.proc("vmstat"), "nr_free_pages 5\n");
  EXPECT_THAT(collect(),
              ElementsAre(R"(vcpu_host_memory_bytes{kind="total"} 4294967296)",
                          R"(vcpu_host_memory_bytes{kind="swap_total"} 0)",
                          R"(vcpu_host_memory_bytes{kind="swap_free"} 0)",
                          "vcpu_host_memory_overcommit_ratio 0"));
  EXPECT_EQ(reason("huge_pages"), "the kernel has none (CONFIG_HUGETLBFS)");
  EXPECT_EQ(reason("ksm"), "the kernel has none (CONFIG_KSM)");
  EXPECT_EQ(reason("swap"), "the host has no swap");
  EXPECT_THAT(reason("vmstat"), HasSubstr("CONFIG_VM_EVENT_COUNTERS"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Memory, CountsSwappingNeverBackwards) {
  collect();
  ProcTree::write(tree_.proc("vmstat"), "pswpin 2\npswpout 6\n");
  EXPECT_THAT(collect(),
              IsSupersetOf({R"(vcpu_host_swap_bytes_total{direction="in"} )" +
                                bytes_of_pages(3),
                            R"(vcpu_host_swap_bytes_total{direction="out"} )" +
                                bytes_of_pages(6)}));
}

TEST_F(Memory, KeepsTheRestWhereAFileOfTheHostIsGarbled) {
  vm(100, "web", "0::/\n");
  for (const auto& [path, lost] :
       {std::pair{tree_.proc("meminfo"), "kind=\"total\""},
        {tree_.proc("vmstat"), "direction"},
        {tree_.roots().sys + "/kernel/mm/ksm/pages_sharing", "ksm_saved"},
        {tree_.roots().sys +
             "/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
         "hugepages"}}) {
    const auto before = collect();
    EXPECT_THAT(before, Contains(HasSubstr(lost)));
    std::filesystem::rename(path, path + ".good");
    ProcTree::write(path, "pswpin garbage\n");
    const auto after = collect();
    EXPECT_THAT(after, Not(Contains(HasSubstr(lost)))) << path;
    EXPECT_THAT(after, IsSupersetOf(use())) << path;
    EXPECT_THAT(use(), Contains(HasSubstr("vcpu_domain_swap_bytes")));
    EXPECT_THAT(said_.problems(), ElementsAre(HasSubstr(path)));
    std::filesystem::rename(path + ".good", path);
  }
}

TEST_F(Memory, TakesTheSwapOfAGroupOfVersionTwo) {
  vm(100, "web", "0::/qemu.slice/100.scope\n");
  tree_.group_file("qemu.slice/100.scope/memory.swap.current", "4096\n");
  EXPECT_THAT(
      use(), ElementsAre(R"(vcpu_domain_swap_bytes{domain="web"} 4096)",
                         R"(vcpu_domain_page_table_bytes{domain="web"} 4096)",
                         R"(vcpu_domain_major_faults_total{domain="web"} 17)"));
  EXPECT_EQ(reason("swap"), "");
  EXPECT_EQ(reason("memory_cgroups"), "");
}

TEST_F(Memory, TakesTheSwapOfAGroupOfVersionOne) {
  vm(100, "web", "5:memory:/machine/qemu-1-web.libvirt-qemu\n");
  tree_.group_file("memory/machine/qemu-1-web.libvirt-qemu/memory.stat",
                   "swap 1\ntotal_swap 8192\n");
  EXPECT_THAT(use(), Contains(R"(vcpu_domain_swap_bytes{domain="web"} 8192)"));
  EXPECT_EQ(reason("memory_cgroups"), "");
}

// Groups of version 1: to read them takes long.
TEST_F(Memory, ReadsTheSwapOfManyVmsByTurns) {
  constexpr int kVms = 2 * 64;  // Every third in each scrape.
  const auto swap = [&](int vm, int bytes) {
    tree_.group_file(
        "memory/qemu.slice/" + std::to_string(100 + vm) + ".scope/memory.stat",
        "total_swap " + std::to_string(bytes) + "\n");
  };
  for (int i = 0; i < kVms; ++i) {
    const auto pid = std::to_string(100 + i);
    vm(100 + i, "vm" + pid, "5:memory:/qemu.slice/" + pid + ".scope\n");
    swap(i, 1);
  }
  const auto that_have = [&](const std::string& bytes) {
    const auto samples = use();
    return std::count_if(samples.begin(), samples.end(), [&](const auto& each) {
      return each.starts_with("vcpu_domain_swap_bytes") &&
             each.ends_with("} " + bytes);
    });
  };
  EXPECT_EQ(that_have("1"), kVms);
  for (int i = 0; i < kVms; ++i) swap(i, 2);
  EXPECT_THAT(that_have("2"), AllOf(Ge(kVms / 3), Le(64)));
  EXPECT_THAT(that_have("1"), AllOf(Ge(kVms / 3), Le(64)));
  EXPECT_EQ(that_have("2"), kVms);
  // A VM that moves to another group is not taken for what it was.
  tree_.process_file(100, "cgroup", "5:memory:/qemu.slice/9.scope\n");
  tree_.group_file("memory/qemu.slice/9.scope/memory.stat", "total_swap 3\n");
  EXPECT_EQ(that_have("3"), 1);
  EXPECT_EQ(reason("memory_cgroups"), "");
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Memory, ReadsTheSwapOfFewVmsInEveryScrape) {
  vm(100, "web", "5:memory:/qemu.slice/100.scope\n");
  for (const std::string bytes : {"1", "2", "3"}) {
    tree_.group_file("memory/qemu.slice/100.scope/memory.stat",
                     "total_swap " + bytes + "\n");
    EXPECT_THAT(use(),
                Contains(R"(vcpu_domain_swap_bytes{domain="web"} )" + bytes));
  }
}

TEST_F(Memory, TakesTheSwapOfTheProcessWhereNoGroupTells) {
  constexpr const char* kOfProcess =
      R"(vcpu_domain_swap_bytes{domain="web"} 134217728)";
  vm(100, "web", "0::/\n");
  EXPECT_THAT(use(), Contains(kOfProcess));
  EXPECT_THAT(reason("memory_cgroups"), HasSubstr("its process's is shown"));
  // One without memory.swap.current.
  tree_.process_file(100, "cgroup", "0::/qemu.slice/100.scope\n");
  EXPECT_THAT(use(), Contains(kOfProcess));
  // One of version 1 whose kernel does not account swap.
  tree_.process_file(100, "cgroup", "5:memory:/qemu.slice/100.scope\n");
  tree_.group_file("memory/qemu.slice/100.scope/memory.stat", "cache 5\n");
  EXPECT_THAT(use(), Contains(kOfProcess));
  EXPECT_THAT(reason("memory_cgroups"), HasSubstr("its process's is shown"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Memory, TellsNobodysSwapWhereThereIsNone) {
  vm(100, "web", "0::/qemu.slice/100.scope\n");
  tree_.group_file("qemu.slice/100.scope/memory.swap.current", "0\n");
  ProcTree::write(tree_.proc("meminfo"), kWithoutSwap);
  EXPECT_THAT(
      use(), ElementsAre(R"(vcpu_domain_page_table_bytes{domain="web"} 4096)",
                         R"(vcpu_domain_major_faults_total{domain="web"} 17)"));
  EXPECT_EQ(reason("memory_cgroups"), "-");
}

TEST_F(Memory, SkipsAVmThatHasEnded) {
  vm(100, "web", "0::/qemu.slice/100.scope\n");
  vm(200, "db", "0::/qemu.slice/200.scope\n");
  tree_.group_file("qemu.slice/200.scope/memory.swap.current", "4096\n");
  tree_.end_process(100);
  const std::vector<std::string> rest{
      R"(vcpu_domain_swap_bytes{domain="db"} 4096)",
      R"(vcpu_domain_page_table_bytes{domain="db"} 4096)",
      R"(vcpu_domain_major_faults_total{domain="db"} 17)"};
  EXPECT_EQ(use(), rest);
  EXPECT_EQ(reason("memory_cgroups"), "");
  EXPECT_THAT(said_.problems(), IsEmpty());
  // Its pid is another process's now.
  tree_.process_file(100, "status", "VmPTE:\t4 kB\nVmSwap:\t8 kB\n");
  tree_.process_file(100, "stat", stat_with(5, 2000));
  EXPECT_EQ(use(), rest);
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Memory, ReadsNoFileOfAProcessOfWhichThePassTold) {
  vm(100, "web", "0::/qemu.slice/100.scope\n");
  tree_.group_file("qemu.slice/100.scope/memory.swap.current", "8192\n");
  vms_[0].memory_use = MemoryUse{12288, 0, 21};
  tree_.process_file(100, "status", "garbage");
  tree_.process_file(100, "stat", "garbage");
  EXPECT_THAT(
      use(), ElementsAre(R"(vcpu_domain_swap_bytes{domain="web"} 8192)",
                         R"(vcpu_domain_page_table_bytes{domain="web"} 12288)",
                         R"(vcpu_domain_major_faults_total{domain="web"} 21)"));
  EXPECT_THAT(said_.problems(), IsEmpty());
}

TEST_F(Memory, SaysGarbageAndKeepsTheOthers) {
  vm(100, "web", "0::/qemu.slice/100.scope\n");
  vm(200, "db", "0::/qemu.slice/200.scope\n");
  tree_.process_file(100, "status", "VmPTE:\tmany\n");
  tree_.group_file("qemu.slice/200.scope/memory.swap.current", "max\n");
  EXPECT_THAT(use(),
              ElementsAre(R"(vcpu_domain_page_table_bytes{domain="db"} 4096)",
                          R"(vcpu_domain_major_faults_total{domain="db"} 17)"));
  EXPECT_THAT(said_.problems(),
              ElementsAre(HasSubstr("/100/status: cannot be understood"),
                          HasSubstr("memory.swap.current: cannot be")));
  // They have groups that count it.
  EXPECT_EQ(reason("memory_cgroups"), "");
}

TEST_F(Memory, KnowsNoMoreOfAZombieThanItsFaults) {
  vm(100, "web", "0::/\n");
  tree_.process_file(100, "status", "State:\tZ (zombie)\n");
  EXPECT_THAT(
      use(), ElementsAre(R"(vcpu_domain_major_faults_total{domain="web"} 17)"));
}

TEST_F(Memory, BelievesLibvirtBeforeTheCommandLine) {
  const LibvirtDomain domain{"u", "web", "running", {},
                             {},  {},    2 * kGib,  kGib + kGib / 2};
  vm(100, "web", "0::/\n");
  vm(200, "db", "0::/\n");
  vms_[0].libvirt = &domain;
  const auto said = collect();
  EXPECT_THAT(
      said, IsSupersetOf(
                {R"(vcpu_domain_memory_max_bytes{domain="web"} 2147483648)",
                 R"(vcpu_domain_memory_max_bytes{domain="db"} 1073741824)",
                 R"(vcpu_domain_memory_balloon_bytes{domain="web"} 1610612736)",
                 "vcpu_host_memory_overcommit_ratio 0.75"}));
  EXPECT_THAT(said, Not(Contains(HasSubstr(
                        R"(vcpu_domain_memory_balloon_bytes{domain="db")"))));
  EXPECT_EQ(reason("domain_memory_max"), "");
}

TEST_F(Memory, TakesTheCommandLineWhereLibvirtIsSilent) {
  const LibvirtDomain silent{"u", "web", "running", {}, {}, {}};
  vm(100, "web", "0::/\n");
  vms_[0].libvirt = &silent;
  const auto said = collect();
  EXPECT_THAT(
      said,
      IsSupersetOf({R"(vcpu_domain_memory_max_bytes{domain="web"} 1073741824)",
                    "vcpu_host_memory_overcommit_ratio 0.25"}));
  EXPECT_THAT(said, Not(Contains(HasSubstr("balloon"))));
}

TEST_F(Memory, TellsNoOvercommitUntilEveryMaximumIsKnown) {
  vm(100, "web", "0::/\n");
  vm(200, "db", "0::/\n");
  vms_[1].memory_bytes.reset();
  const auto said = collect();
  EXPECT_THAT(
      said,
      Contains(HasSubstr(R"(vcpu_domain_memory_max_bytes{domain="web"})")));
  EXPECT_THAT(said, Not(Contains(HasSubstr("max_bytes{domain=\"db\""))));
  EXPECT_THAT(said, Not(Contains(HasSubstr("overcommit"))));
  EXPECT_THAT(reason("domain_memory_max"), HasSubstr("its maximum memory"));
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "collectors/catalog.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

const std::string kGroup = "/machine.slice/machine-qemu\\x2d1\\x2da.scope";

// Two nodes of two CPUs with 10 within and 20 across. VM "a" runs on node 0.
class Numa : public testing::Test {
 protected:
  Numa() {
    tree_.cpus("0-3").core({2}).core({3}).node(0, "0-1").node(1, "2-3");
    tree_.distance(0, "10 20").distance(1, "20 10");
    start("a", 100, 0);
  }

  // A VM of one vCPU, in the group that libvirt gives it.
  void start(const std::string& name, pid_t pid, int cpu) {
    tree_
        .process(pid, "qemu-system-x86",
                 qemu_argv(name, "cccccccc-0000-0000-0000-00000000000" + name))
        .thread(pid + 1, "CPU 0/KVM", {.cpu = cpu});
    tree_.process_file(pid, "cgroup",
                       "0::" + group_of(name) + "/libvirt/emulator\n");
  }

  static std::string group_of(const std::string& name) {
    return "/machine.slice/machine-qemu\\x2d1\\x2d" + name + ".scope";
  }

  void memory(const std::string& anon, const std::string& shmem = "N0=0 N1=0",
              const std::string& more = "") {
    tree_.group_file(
        kGroup + "/memory.numa_stat",
        "anon " + anon + "\nfile N0=7 N1=7\nshmem " + shmem + "\n" + more);
  }

  // What of pages of 2 MiB the host has and who has how much of them.
  void huge_pages(int all, int free, int of_vm_kb) {
    const auto path =
        tree_.roots().sys + "/kernel/mm/hugepages/hugepages-2048kB/";
    ProcTree::write(path + "nr_hugepages", std::to_string(all) + "\n");
    ProcTree::write(path + "free_hugepages", std::to_string(free) + "\n");
    ProcTree::write(
        tree_.proc("100/status"),
        "Name:\tqemu\nHugetlbPages:\t" + std::to_string(of_vm_kb) + " kB\n");
  }

  // All samples but those of the distances.
  std::vector<std::string> collect() {
    families_ = Families();
    Families said;
    auto snapshot = inventory_.take(said);
    EXPECT_TRUE(snapshot);
    EXPECT_TRUE(collector_->collect(*snapshot, families_));
    auto samples = samples_of(families_);
    std::erase_if(samples, [](const auto& line) {
      return line.starts_with("vcpu_host_numa_distance");
    });
    return samples;
  }

  std::string reason(const std::string& source) {
    std::string first;
    for (const auto& [name, reason] : families_.sources())
      if (name == source && first.empty()) first = reason;
    return first;
  }

  ProcTree tree_;
  Inventory inventory_ = inventory_on(tree_.roots());
  std::unique_ptr<Collector> collector_ =
      make_numa({.roots = tree_.roots(), .numa = {}});
  Families families_;
};

TEST_F(Numa, TellsMemoryAndWhetherItIsWhereTheVmRuns) {
  memory("N0=300 N1=50", "N0=0 N1=50");
  EXPECT_THAT(
      collect(),
      ElementsAre(R"(vcpu_domain_memory_bytes{domain="a",numa_node="0"} 300)",
                  R"(vcpu_domain_memory_bytes{domain="a",numa_node="1"} 100)",
                  R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 0.25)",
                  R"(vcpu_domain_numa_distance_ratio{domain="a"} 1.25)"));
  EXPECT_EQ(reason("vm_memory_cgroup"), "");
  EXPECT_EQ(reason("vm_hugepages"), "");
  EXPECT_EQ(reason("numa_distance"), "");
  EXPECT_THAT(families_.problems(), IsEmpty());
}

TEST_F(Numa, ReadsVersionOneInPages) {
  tree_.process_file(100, "cgroup", "4:memory:" + kGroup + "\n0::/\n");
  tree_.group_file("/memory" + kGroup + "/memory.numa_stat",
                   "anon=1 N0=1 N1=0\nhierarchical_anon=3 N0=3 N1=0\n"
                   "hierarchical_unevictable=1 N0=0 N1=1\n");
  const auto page = ::sysconf(_SC_PAGESIZE);
  EXPECT_THAT(
      collect(),
      IsSupersetOf({R"(vcpu_domain_memory_bytes{domain="a",numa_node="0"} )" +
                        std::to_string(3 * page),
                    R"(vcpu_domain_memory_bytes{domain="a",numa_node="1"} )" +
                        std::to_string(page),
                    std::string("vcpu_domain_numa_misplacement_ratio{domain="
                                "\"a\"} 0.25")}));
}

TEST_F(Numa, TellsTheHostsDistances) {
  collect();
  EXPECT_THAT(samples_of(families_),
              IsSupersetOf({R"(vcpu_host_numa_distance{from="0",to="0"} 10)",
                            R"(vcpu_host_numa_distance{from="0",to="1"} 20)",
                            R"(vcpu_host_numa_distance{from="1",to="0"} 20)"}));
}

TEST_F(Numa, AVmThatSharesItsGroupIsAbsentAndHidesNoOther) {
  start("b", 200, 2);
  tree_.process_file(100, "cgroup", "0::/user.slice/session-1.scope\n");
  tree_.group_file("/user.slice/session-1.scope/cgroup.procs", "100\n101\n");
  tree_.group_file(group_of("b") + "/memory.numa_stat",
                   "anon N0=10 N1=0\nshmem N0=0 N1=0\n");
  const auto said = collect();
  EXPECT_THAT(said, Not(Contains(HasSubstr(R"(domain="a")"))));
  EXPECT_THAT(said,
              Contains(R"(vcpu_domain_numa_misplacement_ratio{domain="b"} 1)"));
  EXPECT_EQ(
      reason("vm_memory_cgroup"),
      "a VM shares its control group with other processes; start it in one "
      "of its own");
  EXPECT_THAT(families_.problems(), IsEmpty());
}

// Each would have the memory of both.
TEST_F(Numa, TwoVmsInOneContainerAreAbsent) {
  start("b", 200, 2);
  const std::string container = "/kubepods/burstable/pod0a1b/77ff";
  for (const pid_t pid : {100, 200})
    tree_.process_file(pid, "cgroup", "0::" + container + "\n");
  tree_.group_file(container + "/memory.numa_stat",
                   "anon N0=10 N1=0\nshmem N0=0 N1=0\n");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason("vm_memory_cgroup"),
              StartsWith("a VM shares its control"));
  EXPECT_THAT(families_.problems(), IsEmpty());
}

TEST_F(Numa, AVmInNoGroupThatWeSeeSaysWhichOne) {
  tree_.process_file(100, "cgroup", "0::/\n");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason("vm_memory_cgroup"), HasSubstr("the root control group"));
  tree_.process_file(100, "cgroup", "0::/../a.scope\n");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason("vm_memory_cgroup"), HasSubstr("cgroup namespace"));
}

TEST_F(Numa, AGroupWithoutTheMemoryControllerSaysSo) {
  tree_.group_file(kGroup + "/cgroup.procs", "");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_THAT(reason("vm_memory_cgroup"), HasSubstr("has no memory.numa_stat"));
}

TEST_F(Numa, AGroupThatHasGoneWithItsVmIsNoNews) {
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_EQ(reason("vm_memory_cgroup"), "");
}

TEST_F(Numa, GarbageIsAProblemOfThatVmAlone) {
  memory("N0=x");
  start("b", 200, 0);
  tree_.group_file(group_of("b") + "/memory.numa_stat",
                   "anon N0=10 N1=0\nshmem N0=0 N1=0\n");
  EXPECT_THAT(collect(),
              Contains(R"(vcpu_domain_numa_misplacement_ratio{domain="b"} 0)"));
  EXPECT_THAT(families_.problems(),
              ElementsAre(HasSubstr("memory.numa_stat: cannot be understood")));
}

TEST_F(Numa, AVmWithoutMemoryYetHasNoRatio) {
  memory("N0=0 N1=0");
  EXPECT_THAT(collect(), Not(Contains(HasSubstr("ratio"))));
}

TEST_F(Numa, OnOneNodeTheRatiosAreZeroAndOne) {
  fs::remove_all(tree_.roots().sys + "/devices/system/node");
  ProcTree::write(tree_.roots().sys + "/devices/system/node/online", "0\n");
  ProcTree::write(tree_.roots().sys + "/devices/system/node/node0/cpulist",
                  "0-3\n");
  tree_.distance(0, "10");
  memory("N0=300", "N0=0");
  EXPECT_THAT(
      collect(),
      IsSupersetOf({R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 0)",
                    R"(vcpu_domain_numa_distance_ratio{domain="a"} 1)"}));
}

TEST_F(Numa, WithoutNumaThereIsAReason) {
  fs::remove_all(tree_.roots().sys + "/devices/system/node");
  tree_.group_file(kGroup + "/cgroup.procs", "");
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_EQ(reason("numa_distance"), "this kernel knows no NUMA nodes");
}

TEST_F(Numa, WithoutDistancesThereIsTheShareAlone) {
  for (const char* node : {"0", "1"})
    fs::remove(tree_.roots().sys + "/devices/system/node/node" + node +
               "/distance");
  memory("N0=0 N1=300");
  const auto said = collect();
  EXPECT_THAT(said,
              Contains(R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 1)"));
  EXPECT_THAT(said,
              Not(Contains(StartsWith("vcpu_domain_numa_distance_ratio"))));
  EXPECT_EQ(reason("numa_distance"), "the firmware tells no node distances");
}

TEST_F(Numa, ARowOfDistancesThatDoesNotFitLeavesAReason) {
  tree_.distance(0, "10 20 30");
  memory("N0=0 N1=300");
  EXPECT_THAT(collect(), Not(Contains(HasSubstr("distance_ratio"))));
  EXPECT_EQ(reason("numa_distance"),
            "a node's distances are not those to the nodes that are online");
}

TEST_F(Numa, MemoryOnANodeWithoutCpusIsFar) {
  tree_.node(2, "").distance(0, "10 20 15").distance(1, "20 10 25");
  tree_.distance(2, "15 25 10");
  memory("N0=100 N1=0 N2=100", "N0=0 N1=0 N2=0");
  EXPECT_THAT(
      collect(),
      IsSupersetOf({R"(vcpu_domain_memory_bytes{domain="a",numa_node="2"} 100)",
                    R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 0.5)",
                    R"(vcpu_domain_numa_distance_ratio{domain="a"} 1.25)"}));
}

TEST_F(Numa, ANodeWithoutMemoryIsNotSpokenOf) {
  memory("N1=100", "N1=0");
  const auto said = collect();
  EXPECT_THAT(said, Not(Contains(HasSubstr(R"(numa_node="0")"))));
  EXPECT_THAT(said,
              Contains(R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 1)"));
}

TEST_F(Numa, CountsHugePagesThatAHugetlbGroupCounts) {
  memory("N0=1048576 N1=0");
  huge_pages(8, 4, 6144);
  tree_.group_file(kGroup + "/hugetlb.2MB.numa_stat",
                   "total=6291456 N0=0 N1=6291456\n");
  EXPECT_THAT(
      collect(),
      IsSupersetOf(
          {R"(vcpu_domain_memory_bytes{domain="a",numa_node="0"} 1048576)",
           R"(vcpu_domain_memory_bytes{domain="a",numa_node="1"} 6291456)"}));
  EXPECT_EQ(reason("vm_hugepages"), "");
}

TEST_F(Numa, CountsHugePagesThatMemoryStatHasOnce) {
  memory("N0=0 N1=0", "N0=0 N1=0", "hugetlb N0=0 N1=6291456\n");
  huge_pages(8, 4, 6144);
  const std::string on_node_1 =
      R"(vcpu_domain_memory_bytes{domain="a",numa_node="1"} 6291456)";
  EXPECT_THAT(collect(), Contains(on_node_1));
  tree_.group_file(kGroup + "/hugetlb.2MB.numa_stat",
                   "total=6291456 N0=0 N1=6291456\n");
  EXPECT_THAT(collect(), Contains(on_node_1));
}

TEST_F(Numa, HugePagesThatNobodyCountsLeaveNoRatioAndSayWhatDoes) {
  memory("N0=1000 N1=0");
  huge_pages(8, 4, 6144);
  const auto said = collect();
  EXPECT_THAT(said, Contains(R"(vcpu_domain_memory_bytes{domain="a",)"
                             R"(numa_node="0"} 1000)"));
  EXPECT_THAT(said, Not(Contains(HasSubstr("ratio"))));
  EXPECT_THAT(reason("vm_hugepages"), HasSubstr("--collector.numa.maps"));
  // Not those of another program.
  huge_pages(8, 4, 0);
  EXPECT_THAT(collect(), Contains(HasSubstr("misplacement_ratio")));
  EXPECT_EQ(reason("vm_hugepages"), "");
}

TEST_F(Numa, AsksNoVmWhereNoHugePageIsInUse) {
  memory("N0=1000 N1=0");
  huge_pages(8, 8, 6144);
  EXPECT_THAT(collect(), Contains(HasSubstr("misplacement_ratio")));
}

TEST_F(Numa, HugePagesOfWhichNotAllIsToldLeaveNothingAndAProblem) {
  memory("N0=1048576 N1=0");
  huge_pages(8, 4, 6144);
  tree_.group_file(kGroup + "/hugetlb.2MB.numa_stat", "total=6291456 N0=x\n");
  const auto nothing = [&](const std::string& problem) {
    EXPECT_THAT(collect(), Not(Contains(HasSubstr("vcpu_domain_"))));
    EXPECT_THAT(families_.problems(), ElementsAre(HasSubstr(problem)));
  };
  nothing("hugetlb.2MB.numa_stat: cannot be understood");
  tree_.process_file(100, "status", "Name:\tqemu\nHugetlbPages:\tx kB\n");
  nothing("/100/status: cannot be understood");
  tree_.sys_file("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "x\n");
  Families said;
  auto snapshot = inventory_.take(said);
  ASSERT_TRUE(snapshot);
  families_ = Families();
  const auto collected = collector_->collect(*snapshot, families_);
  ASSERT_FALSE(collected);
  EXPECT_THAT(collected.error().message(),
              HasSubstr("free_hugepages: cannot be understood"));
}

TEST_F(Numa, NoHugePagesAreInNoGroupThatIsRead) {
  memory("N0=1048576 N1=0");
  huge_pages(8, 4, 0);
  tree_.group_file(kGroup + "/hugetlb.2MB.numa_stat", "garbage\n");
  EXPECT_THAT(collect(), Contains(HasSubstr("misplacement_ratio")));
  EXPECT_THAT(families_.problems(), IsEmpty());
}

TEST_F(Numa, WithTheOptionAVmWithoutHugePagesIsNotRead) {
  collector_ = make_numa({.roots = tree_.roots(), .numa = {.maps = true}});
  start("b", 200, 0);
  tree_.process_file(200, "status", "Name:\tqemu\nHugetlbPages:\t0 kB\n");
  tree_.group_file(group_of("b") + "/memory.numa_stat",
                   "anon N0=10 N1=0\nshmem N0=0 N1=0\n");
  memory("N0=2097152 N1=0");
  huge_pages(8, 4, 6144);
  ProcTree::write(tree_.proc("100/numa_maps"),
                  "7f00 bind:1 huge N1=3 kernelpagesize_kB=2048\n");
  const std::string of_b =
      R"(vcpu_domain_numa_misplacement_ratio{domain="b"} 0)";
  EXPECT_THAT(collect(), Contains(of_b));
  EXPECT_TRUE(eventually([&] {
    collect();
    return reason("vm_hugepages").empty();
  }));
  // Had it been asked for, it would have been refused by now.
  EXPECT_THAT(collect(), Contains(of_b));
  EXPECT_EQ(reason("vm_hugepages"), "");
}

TEST_F(Numa, WithTheOptionNumaMapsTellsWhereHugePagesLie) {
  collector_ = make_numa({.roots = tree_.roots(), .numa = {.maps = true}});
  memory("N0=2097152 N1=0");
  huge_pages(8, 4, 6144);
  ProcTree::write(tree_.proc("100/numa_maps"),
                  "7f00 bind:1 huge N1=3 kernelpagesize_kB=2048\n");
  EXPECT_THAT(collect(), Not(Contains(HasSubstr("ratio"))));
  EXPECT_EQ(reason("vm_hugepages"),
            "where a VM's huge pages lie is being read");
  EXPECT_TRUE(eventually([&] { return collect().size() == 4; }));
  EXPECT_THAT(
      collect(),
      IsSupersetOf(
          {R"(vcpu_domain_memory_bytes{domain="a",numa_node="1"} 6291456)",
           R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 0.75)"}));
  EXPECT_EQ(reason("vm_hugepages"), "");
}

TEST_F(Numa, BoundCellsNeedNoMemoryFigures) {
  LibvirtView view;
  view.domains = {
      {"cccccccc-0000-0000-0000-00000000000a", "a", "running", 1, 1, {}}};
  view.domains[0].cells = {{{0}, {1}}};
  inventory_ =
      inventory_on(tree_.roots(), std::make_shared<const LibvirtView>(view));
  tree_.process_file(100, "cgroup", "0::/shared\n");
  EXPECT_THAT(
      collect(),
      ElementsAre(R"(vcpu_domain_numa_misplacement_ratio{domain="a"} 1)",
                  R"(vcpu_domain_numa_distance_ratio{domain="a"} 2)"));
}

// A real group of the memory controller, of version 1; goes with its processes.
class MemoryGroup {
 public:
  MemoryGroup() : path_("/sys/fs/cgroup/memory/vcpu_numa_test") {
    path_ += "." + std::to_string(::getpid());
    std::error_code error;
    fs::create_directory(path_, error);
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  ~MemoryGroup() {
    eventually([&] { return ::rmdir(path_.c_str()) == 0 || !made(); });
  }
  bool made() const { return fs::exists(path_ + "/cgroup.procs"); }
  void add(pid_t pid) const {
    std::ofstream(path_ + "/cgroup.procs") << pid << std::flush;
  }

 private:
  std::string path_;
};

double memory_of(const Families& families, const std::string& domain) {
  double sum = 0;
  for (const auto& line : samples_of(families)) {
    if (line.starts_with("vcpu_domain_memory_bytes{domain=\"" + domain + "\""))
      sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

// Of memory alone: of the files that are mapped, a program built with
// sanitizers has as much as a small VM.
double resident_bytes(pid_t pid) {
  double sum = 0;
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:") || line.starts_with("RssShmem:"))
      sum += std::stod(line.substr(line.find(':') + 1)) * 1024;
  }
  return sum;
}

TEST(NumaReal, TheMemoryOfAVmIsItsResidentSizeWithinFivePercent) {
  const MemoryGroup group;
  if (!group.made()) GTEST_SKIP() << "no memory group can be made here";
  FakeVm vm(qemu_argv("resident", "dddddddd-0000-0000-0000-000000000001"),
            {"CPU 0/KVM"});
  // What is touched before is charged to the group where that was.
  const double before = resident_bytes(vm.pid());
  group.add(vm.pid());
  auto inventory = inventory_on({});
  const auto collector = make_numa({});
  Families families;
  const auto agrees = [&] {
    families = Families();
    Families said;
    EXPECT_TRUE(collector->collect(*inventory.take(said), families));
    const double truth = resident_bytes(vm.pid()) - before;
    return std::abs(memory_of(families, "resident") - truth) < 0.05 * truth;
  };
  // Each kind is half of what there is by then, or more.
  vm.allocate("anon", 0, 96);
  EXPECT_TRUE(eventually(agrees)) << memory_of(families, "resident");
  vm.allocate("shared", 0, 96);
  EXPECT_TRUE(eventually(agrees)) << memory_of(families, "resident");
  vm.allocate("locked", 0, 192);
  EXPECT_TRUE(eventually(agrees)) << memory_of(families, "resident");
  EXPECT_THAT(families.problems(), IsEmpty());
}

}  // namespace
}  // namespace vcpu

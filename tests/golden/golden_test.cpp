// SPDX-License-Identifier: Apache-2.0
//
// The whole page of a host, byte for byte: whoever changes what we say sees it
// in the diff of tests/golden/host.prom. UPDATE_GOLDEN=1 writes it anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "collectors/catalog.h"
#include "exporter/exposition/prometheus_cpp.h"
#include "exporter/name_hash.h"
#include "exporter/page.h"
#include "exporter/scrape_service.h"
#include "tests/support/fake_monitor.h"
#include "tests/support/fake_vm.h"
#include "tests/support/host_under_test.h"
#include "tests/support/machines.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

constexpr const char* kGolden = VCPU_SOURCE_DIR "/tests/golden/host.prom";
constexpr const char* kWeb = "6e0b1c9a-5a7e-4c55-9b0a-2d8f6a1e7c01";
constexpr const char* kShop = "0f6c3f5e-93d4-4ad1-8d9c-4b1f2a7d6e02";
constexpr const char* kTwin = "aa11bb22-0000-4000-8000-000000000003";
constexpr const char* kScope =
    "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";

// The host's memory, of which some of "web" is in the swap.
void write_memory(const ProcTree& tree) {
  ProcTree::write(tree.proc("meminfo"),
                  "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"
                  "SwapTotal: 4194304 kB\nSwapFree: 4063232 kB\n"
                  "PageTables: 65536 kB\n");
  ProcTree::write(tree.proc("vmstat"), "pswpin 100\npswpout 300\n");
  const auto mm = tree.roots().sys + "/kernel/mm";
  ProcTree::write(mm + "/ksm/pages_sharing", "1000\n");
  ProcTree::write(mm + "/hugepages/hugepages-2048kB/nr_hugepages", "64\n");
  ProcTree::write(mm + "/hugepages/hugepages-2048kB/free_hugepages", "16\n");
  ProcTree::write(tree.proc("1000/cgroup"),
                  std::string("0::") + kScope + "/libvirt/emulator\n");
  ProcTree::write(
      tree.roots().sys + "/fs/cgroup" + kScope + "/memory.swap.current",
      "134217728\n");
  ProcTree::write(tree.proc("1000/status"), "VmPTE:\t4096 kB\nVmSwap:\t8 kB\n");
}

void quota_group(const ProcTree& tree, const std::string& path,
                 const std::string& max, const std::string& times) {
  const auto group = tree.roots().sys + "/fs/cgroup" + kScope + path;
  ProcTree::write(group + "/cpu.max", max + " 100000\n");
  ProcTree::write(group + "/cpu.weight", "200\n");
  ProcTree::write(group + "/cpu.stat", "usage_usec 99\n" + times);
}

// The groups of "web" as libvirt makes them on cgroup version 2, vCPU 0 with
// a quota, and what they and the host stood still.
void build_cgroups(const ProcTree& tree) {
  ProcTree::write(tree.proc("1000/cgroup"),
                  std::string("0::") + kScope + "/libvirt/emulator\n");
  const std::string none = "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";
  quota_group(tree, "", "max", none);
  quota_group(tree, "/libvirt", "max", none);
  quota_group(tree, "/libvirt/emulator", "max", none);
  quota_group(tree, "/libvirt/vcpu0", "80000",
              "nr_periods 900\nnr_throttled 60\nthrottled_usec 1250000\n");
  quota_group(tree, "/libvirt/vcpu1", "max", none);
  const std::string pressure =
      "some avg10=1.08 avg60=0.95 avg300=0.40 total=1418521\n"
      "full avg10=0.00 avg60=0.12 avg300=0.10 total=812339\n";
  for (const std::string resource : {"cpu", "memory", "io"}) {
    ProcTree::write(tree.proc("pressure/" + resource), pressure);
    ProcTree::write(
        tree.roots().sys + "/fs/cgroup" + kScope + "/" + resource + ".pressure",
        pressure);
  }
}

// Sensors, counters and clocks of the host; of its cores one socket's are slow.
void build_hardware(const ProcTree& tree) {
  for (int cpu = 0; cpu < 8; ++cpu) {
    const bool second = cpu % 4 >= 2;
    write_cpu_file(tree, cpu, "topology/physical_package_id",
                   second ? "1\n" : "0\n");
    write_cpu_file(tree, cpu, "cpu_capacity", second ? "512\n" : "1024\n");
    write_cpu_file(tree, cpu, "thermal_throttle/core_throttle_count", "3\n");
    write_cpu_file(tree, cpu, "thermal_throttle/package_throttle_count", "5\n");
    const auto policy =
        "devices/system/cpu/cpufreq/policy" + std::to_string(cpu);
    write_sys(tree, policy + "/affected_cpus", std::to_string(cpu) + "\n");
    write_sys(tree, policy + "/scaling_cur_freq",
              second ? "2100000\n" : "3200000\n");
  }
  for (const std::string number : {"0", "1"}) {
    const auto sensor = "class/hwmon/hwmon" + number;
    write_sys(tree, sensor + "/name", "coretemp\n");
    write_sys(tree, sensor + "/temp1_label", "Package id " + number + "\n");
    write_sys(tree, sensor + "/temp1_input", "5" + number + "500\n");
  }
  write_sys(tree, "devices/system/cpu/isolated", "3,7\n");
  write_sys(tree, "devices/system/cpu/nohz_full", "3\n");
  ProcTree::write(tree.proc("sys/kernel/osrelease"), "6.1.0-18-amd64\n");
  ProcTree::write(tree.proc("interrupts"),
                  "MCE: 0 0 0 1 0 0 0 0  Machine check exceptions\n");
}

// Half of its protections are on.
void build_security(const ProcTree& tree) {
  ProcTree::write(tree.proc("cpuinfo"), "flags\t\t: fpu svm smep sev\n");
  for (const std::string on : {"npt", "sev", "sev_es"})
    write_sys(tree, "module/kvm_amd/parameters/" + on, "Y\n");
  for (const std::string off : {"avic", "nested", "sev_snp"})
    write_sys(tree, "module/kvm_amd/parameters/" + off, "N\n");
  const std::string cpus = "devices/system/cpu/";
  write_sys(tree, cpus + "smt/active", "1\n");
  write_sys(tree, cpus + "vulnerabilities/mds",
            "Mitigation: Clear CPU buffers; SMT vulnerable\n");
  write_sys(tree, cpus + "vulnerabilities/meltdown", "Not affected\n");
  write_sys(tree, cpus + "vulnerabilities/retbleed", "Vulnerable\n");
}

// It is one's guest as well: a host that is both.
void build_guest(const ProcTree& tree) {
  write_sys(tree, "hypervisor/type", "xen\n");
}

// Two sockets of two cores with two threads each, eight VMs of five kinds.
void build_host(ProcTree& tree) {
  tree.cpus("0-7").core({0, 4}).core({1, 5}).core({2, 6}).core({3, 7});
  tree.node(0, "0-1,4-5").node(1, "2-3,6-7");
  tree.stat(
      "cpu  90000 500 4000 100000 300 0 200 10 60000 0\n"
      "cpu0 50000 500 3000 30000 200 0 100 10 40000 0\n"
      "cpu1 40000 0 1000 70000 100 0 100 0 20000 0\nbtime 1700000000\n");
  // libvirt: two vCPUs, one of them pinned, an I/O thread, vhost in the kernel.
  tree.process(1000, "qemu-system-x86", qemu_argv("web", kWeb),
               {.run = 7'000'000'000, .wait = 70'000'000})
      .thread(1001, "CPU 0/KVM",
              {.run = 100'500'000'000,
               .wait = 3'250'000'001,
               .dispatches = 812345,
               .voluntary = 700000,
               .involuntary = 112345,
               .migrations = 42,
               .cpu = 5})
      .thread(1002, "CPU 1/KVM",
              {.run = 99'000'000'000, .wait = 0, .cpu = 2, .allowed = "2"})
      .thread(1003, "IO iothread1", {.run = 1'000'000'000, .wait = 5})
      .thread(1004, "worker", {.run = 20'000'000, .wait = 30'000'000});
  tree.kernel_thread(1500, "vhost-1000", {.run = 4'000'000, .wait = 400'000});
  // Proxmox.
  tree.process(2000, "kvm",
               {"/usr/bin/kvm", "-id", "100", "-name", "shop,debug-threads=on",
                "-no-shutdown", "-smbios", std::string("type=1,uuid=") + kShop,
                "-machine", "type=pc-i440fx-7.2+pve0", "-m", "2048"},
               {.start = 2000})
      .thread(2001, "CPU 0/KVM", {.cpu = 3, .allowed = "0-7", .start = 2000});
  // Firecracker.
  tree.process(3000, "firecracker",
               {"/usr/bin/firecracker", "--id", "fn-7c2f", "--api-sock",
                "/run/fc.sock"},
               {.start = 3000})
      .thread(3001, "fc_api", {.start = 3000})
      .thread(3002, "fc_vcpu 0", {.cpu = 6, .start = 3000});
  // Cloud Hypervisor.
  tree.process(4000, "cloud-hyperviso",
               {"cloud-hypervisor", "--api-socket", "/run/ch/builder.sock"},
               {.start = 4000})
      .thread(4001, "vcpu0", {.cpu = 0, .start = 4000})
      .thread(4002, "_disk0_q0", {.start = 4000});
  // Two VMs of one name.
  tree.process(5000, "qemu-system-x86", qemu_argv("twin", kTwin))
      .thread(5001, "CPU 0/KVM", {});
  tree.process(6000, "qemu-system-x86",
               qemu_argv("twin", "bb22cc33-0000-4000-8000-000000000004"))
      .thread(6001, "CPU 0/KVM", {});
  // Names as a VMM accepts them, and worse.
  tree.process(7000, "qemu-system-x86",
               {"qemu-system-x86_64", "-name",
                "guest=evil\"quote\\slash\nline\x01\xff\xc3(\xE2\x82\xAC),,"
                "comma,debug-threads=on"})
      .thread(7001, "CPU 0/TCG", {});
  tree.process(8000, "qemu-system-x86",
               {"qemu-system-x86_64", "-name", std::string(10240, 'x')})
      .thread(8001, "CPU 0/TCG", {});
  tree.distance(0, "10 21").distance(1, "21 10");
  build_cgroups(tree);
  build_hardware(tree);
  build_security(tree);
  build_guest(tree);
}

// The group of "web" with its memory.
void place_memory(ProcTree& tree) {
  const std::string group = "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";
  ProcTree::write(tree.proc("1000/cgroup"),
                  "0::" + group + "/libvirt/emulator\n");
  ProcTree::write(tree.roots().sys + "/fs/cgroup" + group + "/memory.numa_stat",
                  "anon N0=3221225472 N1=1073741824\nshmem N0=0 N1=0\n");
}

// What the other threads of "web" got since.
void run_on(ProcTree& tree) {
  tree.process(1000, "qemu-system-x86", qemu_argv("web", kWeb),
               {.run = 9'000'000'000, .wait = 90'000'000})
      .thread(1003, "IO iothread1", {.run = 1'500'000'000, .wait = 55})
      .thread(1004, "worker", {.run = 25'000'000, .wait = 35'000'000});
  tree.kernel_thread(1500, "vhost-1000", {.run = 5'000'000, .wait = 600'000});
  write_memory(tree);
  build_cgroups(tree);
  quota_group(tree, "/libvirt/vcpu0", "80000",
              "nr_periods 950\nnr_throttled 80\nthrottled_usec 1750000\n");
}

LibvirtView libvirt_view() {
  LibvirtView view;
  view.expected = view.up = true;
  view.age_seconds = 1.5;
  view.domains = {{kWeb,
                   "web",
                   "running",
                   2,
                   4,
                   {8, 1},
                   4ULL << 30U,
                   3ULL << 30U,
                   {},
                   "booted",
                   {{"title", "Web shop"}}},
                  {kTwin, "twin", "paused", 1, 1, {8}}};
  return view;
}

// What the QEMU of "web" says of its disk, its I/O thread and its vCPU 0.
std::shared_ptr<MonitorSource> monitor_of_web() {
  auto monitor = std::make_shared<FakeMonitor>();
  auto& web = monitor->told[1000];
  web.devices = {{"vda",
                  "/images/web.img",
                  {2000, 8192000, 4'500'000'000},
                  {100, 409600, 250'000'000},
                  {7, {}, 70'000'000}}};
  web.iothreads = {{1, 32768}};
  web.kvm = kvm_stats({{KvmStat::kExits, 1000},
                       {KvmStat::kHaltExits, 400},
                       {KvmStat::kIoExits, 100},
                       {KvmStat::kMmioExits, 50},
                       {KvmStat::kIrqExits, 200},
                       {KvmStat::kIrqWindowExits, 10},
                       {KvmStat::kNmiWindowExits, 0},
                       {KvmStat::kHypercalls, 3},
                       {KvmStat::kPreemptionReported, 30},
                       {KvmStat::kPreemptionOther, 4},
                       {KvmStat::kDirectedYieldAttempted, 9},
                       {KvmStat::kDirectedYieldSuccessful, 2}});
  web.vcpus[0] = kvm_stats({{KvmStat::kHaltWaitNs, 30'000'000'000},
                            {KvmStat::kHaltPollSuccessNs, 250'000'000},
                            {KvmStat::kHaltPollFailNs, 500'000'000}});
  return monitor;
}

// One run over all collectors, as ScrapeService puts it together.
class GoldenHost {
 public:
  explicit GoldenHost(const ShownName& shown_name = {}) {
    build_host(tree_);
    auto inventory = std::make_shared<Inventory>(inventory_on(
        tree_.roots(), std::make_shared<const LibvirtView>(libvirt_view()),
        shown_name));
    std::vector<std::unique_ptr<Collector>> collectors;
    const auto monitor = monitor_of_web();
    std::set<std::string> wanted;
    std::vector<std::string> expected{Scrape::kInventory};
    for (const CatalogEntry& entry : catalog()) {
      collectors.push_back(entry.make({.roots = tree_.roots(),
                                       .block = {.paths = true},
                                       .monitor = monitor,
                                       .shown_name = shown_name}));
      wanted.emplace(entry.name);
      expected.emplace_back(entry.name);
    }
    Scrape scrape([inventory](Families& said) { return inventory->take(said); },
                  std::move(collectors),
                  [] { return Scrape::Clock::time_point{}; });
    // What threads other than vCPUs get is counted from the first scrape on.
    scrape.run(wanted, [](const Part&) {});
    run_on(tree_);
    place_memory(tree_);
    std::vector<Part> parts;
    scrape.run(wanted, [&](Part part) { parts.push_back(std::move(part)); });
    for (const Part& part : parts) {
      families_.push_back(part.families);
      for (const auto& problem : part.problems) problems_.push_back(problem);
    }
    families_.push_back(scrape_families(parts, expected));
    families_.push_back(registry_families());
  }

  void also(std::shared_ptr<const Families> families) {
    families_.push_back(std::move(families));
  }

  std::string text(TextFormat format) const {
    return *FamiliesPage(families_, 1'000'000, {}).body(format, false);
  }

  const std::vector<std::string>& problems() const { return problems_; }

  std::vector<prometheus::MetricFamily> in_prometheus_cpp() const {
    std::vector<prometheus::MetricFamily> all;
    for (const auto& some : families_)
      for (auto& family : to_prometheus(some->families()))
        all.push_back(std::move(family));
    return all;
  }

 private:
  // What the program itself counts, from a registry as in main.cpp.
  static std::shared_ptr<const Families> registry_families() {
    prometheus::Registry registry;
    prometheus::BuildGauge()
        .Name("vcpu_exporter_build_info")
        .Help("Which build of the exporter this is, always 1; from the build.")
        .Register(registry)
        .Add({{"version", "0.0.0"}, {"revision", "golden"}})
        .Set(1);
    auto families = std::make_shared<Families>();
    add_from_prometheus(registry.Collect(), *families);
    return families;
  }

  ProcTree tree_;
  std::vector<std::shared_ptr<const Families>> families_;
  std::vector<std::string> problems_;
};

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Golden, IsTheWholePageOfAHost) {
  const GoldenHost host;
  EXPECT_THAT(host.problems(), testing::IsEmpty());
  const auto text = host.text(TextFormat::kPrometheus);
  if (std::getenv("UPDATE_GOLDEN") != nullptr)
    std::ofstream(kGolden, std::ios::binary) << text;
  EXPECT_EQ(text, read(kGolden))
      << "if the change is meant: UPDATE_GOLDEN=1, then read the diff";
}

// "name{labels} value" -> its two halves.
std::pair<std::string, double> split_sample(const std::string& line) {
  const auto space = line.rfind(' ');
  return {line.substr(0, space), std::stod(line.substr(space + 1))};
}

std::shared_ptr<const Families> histograms() {
  auto families = std::make_shared<Families>();
  auto& waits = families->histogram("wait_seconds", "Wait; from the test.",
                                    std::array{1e-06, 0.25, 1.0, 1e6});
  waits.add_histogram({{"domain", "q\"b\\n\n"}},
                      std::array{1UL, 0UL, 2UL, 3UL, 4UL}, 1e7 / 3);
  waits.add_histogram({}, std::array{0UL, 0UL, 0UL, 0UL, 0UL}, 0);
  return families;
}

TEST(Golden, EqualsWhatPrometheusCppMakesOfTheSameFamilies) {
  GoldenHost host;
  host.also(histograms());
  auto ours = lines_of(host.text(TextFormat::kPrometheus));
  auto theirs = lines_of(
      prometheus::TextSerializer().Serialize(host.in_prometheus_cpp()));
  // Theirs has a histogram's buckets last.
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].rfind('#', 0) == 0) {
      EXPECT_EQ(ours[i], theirs[i]);
      continue;
    }
    // The same number: theirs is written with digits to spare.
    const auto [our_name, our_value] = split_sample(ours[i]);
    const auto [their_name, their_value] = split_sample(theirs[i]);
    EXPECT_EQ(our_name, their_name);
    EXPECT_DOUBLE_EQ(our_value, their_value) << ours[i];
  }
}

TEST(Golden, HasNoNameOfATenantsWhereTheyAreHashed) {
  constexpr std::string_view kKey = "a key that is long enough";
  const auto hash = [](std::string_view name) {
    return hash_of_name(kKey, name);
  };
  const auto hashed = lines_of(GoldenHost(hash).text(TextFormat::kPrometheus));
  const auto shown = lines_of(GoldenHost().text(TextFormat::kPrometheus));
  EXPECT_EQ(hashed.size(), shown.size());
  for (const std::string name :
       {"web", "Web shop", kWeb, "/images", "shop", kShop, "fn-7c2f", "builder",
        "twin", kTwin, "bb22cc33", "evil", "quote", ",comma", "xxxx",
        "\"100\""}) {
    const auto has_it = [&](const std::string& line) {
      return !line.starts_with('#') && line.find(name) != std::string::npos;
    };
    // Else this test would say nothing.
    EXPECT_TRUE(std::any_of(shown.begin(), shown.end(), has_it)) << name;
    for (const auto& line : hashed) EXPECT_FALSE(has_it(line)) << line;
  }
  // All that is said of one VM is said of one hash.
  const auto of_web = "domain=\"" + hash("web") + "\"";
  const auto count = [](const auto& lines, const std::string& part) {
    return std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
      return line.find(part) != std::string::npos;
    });
  };
  EXPECT_EQ(count(hashed, of_web), count(shown, "domain=\"web\""));
  EXPECT_EQ(count(hashed, "domain=\"" + hash("twin") + "@"),
            count(shown, "domain=\"twin@"));
}

TEST(Golden, HasTheSameSamplesInOpenMetrics) {
  const GoldenHost host;
  const auto samples = [&](TextFormat format) {
    std::vector<std::string> found;
    for (const auto& line : lines_of(host.text(format)))
      if (line.rfind('#', 0) != 0) found.push_back(line);
    return found;
  };
  EXPECT_EQ(samples(TextFormat::kPrometheus),
            samples(TextFormat::kOpenMetrics));
}

}  // namespace
}  // namespace vcpu

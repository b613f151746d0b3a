// SPDX-License-Identifier: Apache-2.0
#include "tests/support/made_host.h"

#include <array>
#include <cstdio>
#include <utility>
#include <vector>

#include "tests/support/fake_monitor.h"

namespace vcpu {
namespace {

constexpr std::uint64_t kStartTicks = 1000;  // As ProcTree has it.
constexpr const char* kCpuStat =
    "usage_usec 9000000\nuser_usec 8000000\nsystem_usec 1000000\n"
    "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";
constexpr const char* kPressure =
    "some avg10=1.08 avg60=0.95 avg300=0.40 total=1418521\n"
    "full avg10=0.00 avg60=0.12 avg300=0.10 total=812339\n";

// Knows of every VM, whoever is asked for, and hands out what it keeps.
class AllTold final : public MonitorSource {
 public:
  explicit AllTold(MonitorView view) : view_(std::move(view)) {}
  MonitorView look(MonitorGroup /*group*/,
                   const std::vector<MonitoredVm>& /*vms*/) override {
    return view_;
  }
  MonitorView view() override { return view_; }

 private:
  MonitorView view_;
};

std::string uuid_of(int vm) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "00000000-0000-4000-8000-%012d", vm);
  return text.data();
}

void write_cpu_group(const ProcTree& tree, const std::string& group) {
  tree.group_file(group + "/cpu.max", "max 100000\n");
  tree.group_file(group + "/cpu.weight", "100\n");
  tree.group_file(group + "/cpu.stat", kCpuStat);
}

void write_groups(const ProcTree& tree, const std::string& scope, int vcpus) {
  for (const std::string below : {"", "/libvirt", "/libvirt/emulator"})
    write_cpu_group(tree, scope + below);
  for (int vcpu = 0; vcpu < vcpus; ++vcpu)
    write_cpu_group(tree, scope + "/libvirt/vcpu" + std::to_string(vcpu));
  for (const std::string resource : {"cpu", "memory", "io"})
    tree.group_file(scope + "/" + resource + ".pressure", kPressure);
  tree.group_file(scope + "/memory.swap.current", "0\n");
  tree.group_file(scope + "/memory.numa_stat",
                  "anon N0=1073741824\nshmem N0=0\n");
}

LibvirtDomain domain_of(int vm, int vcpus) {
  LibvirtDomain domain;
  domain.uuid = uuid_of(vm);
  domain.name = "vm" + std::to_string(vm);
  domain.state = "running";
  domain.state_reason = "booted";
  domain.vcpus_current = domain.vcpus_maximum = vcpus;
  domain.pinned_cpus.assign(static_cast<std::size_t>(vcpus), 2);
  domain.memory_max_bytes = domain.memory_balloon_bytes = 1ULL << 30U;
  domain.metadata = {{"title", "Machine " + std::to_string(vm)}};
  return domain;
}

MonitorFigures figures_of(int vcpus) {
  MonitorFigures figures;
  figures.devices = {{"vda",
                      "/images/disk.img",
                      {2000, 8192000, 4'500'000'000},
                      {100, 409600, 250'000'000},
                      {7, {}, 70'000'000}}};
  figures.kvm = kvm_stats({{KvmStat::kExits, 1000},
                           {KvmStat::kHaltExits, 400},
                           {KvmStat::kIoExits, 100},
                           {KvmStat::kMmioExits, 50}});
  for (int vcpu = 0; vcpu < vcpus; ++vcpu)
    figures.vcpus[vcpu] = kvm_stats({{KvmStat::kHaltWaitNs, 30'000'000'000},
                                     {KvmStat::kHaltPollSuccessNs, 250'000'000},
                                     {KvmStat::kHaltPollFailNs, 500'000'000}});
  return figures;
}

}  // namespace

MadeHost::MadeHost(int vms, int vcpus) {
  tree_.cpus("0-1").core({0}).core({1}).node(0, "0-1").distance(0, "10");
  ProcTree::write(tree_.proc("meminfo"),
                  "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"
                  "SwapTotal: 4194304 kB\nSwapFree: 4194304 kB\n"
                  "PageTables: 65536 kB\n");
  ProcTree::write(tree_.proc("vmstat"), "pswpin 100\npswpout 300\n");
  for (const std::string resource : {"cpu", "memory", "io"})
    ProcTree::write(tree_.proc("pressure/" + resource), kPressure);
  auto libvirt = std::make_shared<LibvirtView>();
  libvirt->expected = libvirt->up = true;
  libvirt->age_seconds = 1.5;
  MonitorView monitor;
  for (int vm = 0; vm < vms; ++vm) make(vm, vcpus, *libvirt, monitor);
  libvirt_ = std::move(libvirt);
  monitor_ = std::make_shared<AllTold>(std::move(monitor));
}

void MadeHost::make(int vm, int vcpus, LibvirtView& libvirt,
                    MonitorView& monitor) {
  const std::string name = "vm" + std::to_string(vm);
  const std::string scope =
      "machine.slice/machine-qemu\\x2d" + std::to_string(vm) + ".scope";
  const pid_t pid = pid_of(vm);
  auto process = tree_.process(
      pid, "qemu-system-x86",
      {"/usr/bin/qemu-system-x86_64", "-name",
       "guest=" + name + ",debug-threads=on", "-accel", "kvm", "-machine",
       "pc-q35-7.2", "-m", "1024", "-uuid", uuid_of(vm)},
      {.cgroup = "/" + scope + "/libvirt/emulator"});
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) {
    const std::string group = "/libvirt/vcpu" + std::to_string(vcpu);
    process.thread(pid + 1 + vcpu, "CPU " + std::to_string(vcpu) + "/KVM",
                   {.allowed = "0-1", .cgroup = "/" + scope + group});
  }
  tree_.process_file(pid, "cgroup", "0::/" + scope + "/libvirt/emulator\n");
  write_groups(tree_, scope, vcpus);
  libvirt.domains.push_back(domain_of(vm, vcpus));
  monitor.vms[{pid, kStartTicks}] = {
      std::make_shared<const MonitorFigures>(figures_of(vcpus)), 4.5};
}

}  // namespace vcpu

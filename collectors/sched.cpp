// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "collectors/catalog.h"
#include "collectors/vcpu_sums.h"

namespace vcpu {
namespace {

std::size_t vcpus_of(const Snapshot& snapshot) {
  std::size_t vcpus = 0;
  for (const Vm& vm : snapshot.vms) vcpus += vm.vcpu_count;
  return vcpus;
}

// Where each vCPU is, and where it may be.
void place(const Snapshot& snapshot, Families& families) {
  auto& cpu = families.gauge(
      "vcpu_cpu",
      "Logical CPU that the vCPU last ran on; from /proc/PID/task/TID/stat.");
  auto& node =
      families.gauge("vcpu_numa_node",
                     "NUMA node of that CPU; from /sys/devices/system/node.");
  auto& pinned =
      families.gauge("vcpu_pinned_info",
                     "A vCPU whose affinity is one CPU, always 1; from "
                     "/proc/PID/task/TID/status.");
  auto& allowed =
      families.gauge("vcpu_allowed_cpus",
                     "Number of online CPUs in the vCPU's affinity mask; from "
                     "/proc/PID/task/TID/status.");
  for (Family* family : {&cpu, &node, &allowed})
    family->reserve(vcpus_of(snapshot));
  for (const Vm& vm : snapshot.vms) {
    for (const Thread& vcpu : vm.vcpus()) {
      if (vcpu.cpu) {
        cpu.add(vcpu.labels, *vcpu.cpu);
        if (const auto found = snapshot.host->node(*vcpu.cpu))
          node.add(vcpu.labels, *found);
      }
      if (!vcpu.allowed) continue;
      allowed.add(vcpu.labels, static_cast<double>(vcpu.allowed->size()));
      if (vcpu.allowed->size() == 1) {
        pinned.add(vcpu.labels,
                   {{"cpu", std::to_string(vcpu.allowed->front())}}, 1);
      }
    }
  }
}

// A wait counts as steal only when it ends or moves; a starved vCPU is seen
// here.
void say_waiting(const Snapshot& snapshot, Families& families) {
  auto& waiting = families.gauge(
      "vcpu_waiting_seconds",
      "Longest wait for a physical CPU that goes on right now among the VM's "
      "vCPUs, as of the last scheduler tick, 0 where none waits; from eBPF, "
      "sched_info.last_queued.");
  for (const Vm& vm : snapshot.vms) {
    std::optional<std::uint64_t> longest;
    for (const Thread& vcpu : vm.vcpus())
      longest = std::max(longest, vcpu.waiting_ns);
    if (longest) waiting.add(vm.labels, seconds(*longest));
  }
}

void add_switches(Family& switches, const LabelSet& labels,
                  const SchedStat& sched) {
  static const LabelSet given_up_labels{{"kind", "voluntary"}};
  static const LabelSet lost_labels{{"kind", "involuntary"}};
  if (const auto given_up = sched.voluntary)
    switches.add_joined(labels, given_up_labels,
                        static_cast<double>(*given_up));
  if (const auto lost = sched.involuntary)
    switches.add_joined(labels, lost_labels, static_cast<double>(*lost));
}

void say_each(const Snapshot& snapshot, Families& families) {
  auto& run = families.counter("vcpu_run_seconds_total",
                               "Time the vCPU ran on a physical CPU; from "
                               "/proc/PID/task/TID/schedstat, field 1.");
  auto& steal = families.counter(
      "vcpu_steal_seconds_total",
      "Time the vCPU was runnable but waited for a physical CPU, time "
      "stopped by a CPU quota included; a wait counts when it ends or moves to "
      "another CPU; from /proc/PID/task/TID/schedstat, field 2.");
  auto& dispatches =
      families.counter("vcpu_dispatches_total",
                       "Times the vCPU was put on a physical CPU; from "
                       "/proc/PID/task/TID/schedstat, field 3.");
  auto& switches = families.counter(
      "vcpu_context_switches_total",
      "Times the vCPU left its physical CPU: voluntary as it had nothing to "
      "do, involuntary as another task took its place; from "
      "/proc/PID/task/TID/status.");
  auto& migrations =
      families.counter("vcpu_migrations_total",
                       "Times the vCPU moved to another physical CPU; from "
                       "/proc/PID/task/TID/sched, se.nr_migrations.");
  const std::size_t vcpus = vcpus_of(snapshot);
  for (Family* family : {&run, &steal, &dispatches, &migrations})
    family->reserve(vcpus);
  switches.reserve(2 * vcpus);
  for (const Vm& vm : snapshot.vms) {
    for (const Thread& vcpu : vm.vcpus()) {
      if (!vcpu.sched) continue;
      run.add(vcpu.labels, seconds(vcpu.sched->run_ns));
      steal.add(vcpu.labels, seconds(vcpu.sched->wait_ns));
      dispatches.add(vcpu.labels, static_cast<double>(vcpu.sched->dispatches));
      add_switches(switches, vcpu.labels, *vcpu.sched);
      if (const auto moves = vcpu.sched->migrations)
        migrations.add(vcpu.labels, static_cast<double>(*moves));
    }
  }
  place(snapshot, families);
}

void say_sums(const Snapshot& snapshot, const VcpuSums& sums,
              Families& families) {
  auto& run = families.counter(
      "vcpu_domain_run_seconds_total",
      "Time the VM's vCPUs ran on physical CPUs since the exporter first saw "
      "the VM, unplugged ones included; from /proc/PID/task/TID/schedstat.");
  auto& steal = families.counter(
      "vcpu_domain_steal_seconds_total",
      "Time the VM's vCPUs were runnable but waited for a physical CPU since "
      "the exporter first saw the VM, time stopped by a CPU quota and "
      "unplugged ones included; from /proc/PID/task/TID/schedstat.");
  auto& dispatches = families.counter(
      "vcpu_domain_dispatches_total",
      "Times the VM's vCPUs were put on a physical CPU since the exporter "
      "first saw the VM; from /proc/PID/task/TID/schedstat.");
  auto& switches = families.counter(
      "vcpu_domain_context_switches_total",
      "Times the VM's vCPUs left their physical CPU since the exporter first "
      "saw the VM, voluntary or involuntary; from /proc/PID/task/TID/status.");
  auto& migrations = families.counter(
      "vcpu_domain_migrations_total",
      "Times the VM's vCPUs moved to another physical CPU since the exporter "
      "first saw the VM; from /proc/PID/task/TID/sched, se.nr_migrations.");
  auto& present = families.gauge(
      "vcpu_domain_present_vcpus",
      "vCPUs that the VM has a thread for; from /proc/PID/task.");
  for (const Vm& vm : snapshot.vms) {
    present.add(vm.labels, static_cast<double>(vm.vcpu_count));
    const auto sum = sums.of(vm);
    if (!sum) continue;
    run.add(vm.labels, seconds(sum->run_ns));
    steal.add(vm.labels, seconds(sum->wait_ns));
    dispatches.add(vm.labels, static_cast<double>(sum->dispatches));
    add_switches(switches, vm.labels, *sum);
    if (const auto moves = sum->migrations)
      migrations.add(vm.labels, static_cast<double>(*moves));
  }
}

class Sched final : public Collector {
 public:
  explicit Sched(const SchedOptions& options) : options_(options) {}

  std::string_view name() const override { return "sched"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    if (options_.per_vcpu) {
      say_each(snapshot, families);
    } else {
      sums_.see(snapshot);
      say_sums(snapshot, sums_, families);
    }
    say_waiting(snapshot, families);
    return {};
  }

 private:
  SchedOptions options_;
  VcpuSums sums_;
};

}  // namespace

std::unique_ptr<Collector> make_sched(const CollectorOptions& options) {
  return std::make_unique<Sched>(options.sched);
}

}  // namespace vcpu

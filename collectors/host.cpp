// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/ticks.h"
#include "collectors/catalog.h"
#include "collectors/hardware/core_classes.h"
#include "collectors/hardware/frequencies.h"
#include "collectors/hardware/machine_checks.h"
#include "collectors/hardware/packages.h"
#include "collectors/hardware/rarely.h"
#include "collectors/hardware/temperatures.h"
#include "collectors/hardware/throttles.h"
#include "collectors/kernel/cpu_list.h"
#include "collectors/kernel/proc_stat.h"

namespace vcpu {
namespace {

// Every mode once: the kernel counts a guest's time as user time as well.
CpuTicks disjoint(CpuTicks ticks) {
  ticks[kUser] -= std::min(ticks[kUser], ticks[kGuest]);
  ticks[kNice] -= std::min(ticks[kNice], ticks[kGuestNice]);
  return ticks;
}

std::uint64_t busy(const CpuTicks& ticks) {
  return ticks[kUser] + ticks[kNice] + ticks[kSystem] + ticks[kIrq] +
         ticks[kSoftirq] + ticks[kSteal];
}

constexpr const char* kNoSensor =
    "no sensor of the CPUs is known here; load coretemp (Intel) or k10temp "
    "(AMD), virtual machines have none";
constexpr const char* kSilentSensor =
    "a sensor of the CPUs does not answer; it is left out";
constexpr const char* kNoThrottles =
    "the CPUs count none here; only Intel's do, and neither a virtual machine "
    "nor every container is shown it";
constexpr const char* kNoFrequency =
    "the kernel does not scale frequencies here (no cpufreq), as in most "
    "virtual machines";
constexpr const char* kFrequencyDisturbs =
    "Linux before 5.19 interrupts each CPU to tell its frequency, and the "
    "guest that runs there";
constexpr const char* kNoMachineChecks =
    "the kernel counts none here (x86 and CONFIG_X86_MCE only), or a container "
    "hides /proc/interrupts";
constexpr const char* kNoIsolated =
    "the kernel does not tell which CPUs are isolated";
constexpr const char* kNoNohzFull = "the kernel has none (CONFIG_NO_HZ_FULL)";

// CPUs of a list that are online.
std::size_t online_of(const CpuSet& list, const CpuSet& online) {
  return static_cast<std::size_t>(
      std::count_if(list.begin(), list.end(), [&](int cpu) {
        return std::binary_search(online.begin(), online.end(), cpu);
      }));
}

// What is as it is until somebody changes the host.
struct Build {
  Result<PackageOf> package_of{PackageOf{}};
  Result<CoreClasses> classes;
  Result<CpuSet> isolated{CpuSet{}};
  Result<CpuSet> nohz_full{CpuSet{}};
  bool frequency_disturbs = false;
};

class Host final : public Collector {
 public:
  explicit Host(const Roots& roots)
      : roots_(roots),
        temperatures_(roots),
        throttles_(roots),
        frequencies_(roots),
        machine_checks_(roots) {}

  std::string_view name() const override { return "host"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    const auto stat = read_as(roots_.proc + "/stat", parse_proc_stat);
    if (!stat) return stat.error();
    add_modes(disjoint(stat->all), families);
    add_busy(*stat, families);
    const Topology& host = *snapshot.host;
    const Build& build =
        build_.get(host.online, [&] { return read_build(host); });
    say_build(build, host.online, families);
    say_temperature(build, families);
    say_throttles(build, host, families);
    say_frequency(build, host, families);
    say_machine_checks(host, families);
    return {};
  }

 private:
  void add_modes(const CpuTicks& ticks, Families& families) {
    auto& time = families.counter(
        "vcpu_host_cpu_seconds_total",
        "Time of all the host's CPUs by mode, every second in one mode only "
        "(guest is not in user); from /proc/stat.");
    for (std::size_t mode = 0; mode < kCpuModes.size(); ++mode) {
      // The kernel reads idle and iowait of a sleeping CPU inexactly, and a
      // difference of two counters may be caught between them.
      modes_.at(mode) = std::max(modes_.at(mode), ticks.at(mode));
      time.add({{"mode", kCpuModes.at(mode)}}, tick_seconds(modes_.at(mode)));
    }
  }

  void add_busy(const ProcStat& stat, Families& families) {
    auto& time = families.counter(
        "vcpu_host_cpu_busy_seconds_total",
        "Time the CPU was neither idle nor waiting for I/O; from /proc/stat.");
    for (const auto& [cpu, ticks] : stat.by_cpu) {
      auto& total = busy_[cpu];
      total = std::max(total, busy(ticks));
      time.add({{"cpu", std::to_string(cpu)}}, tick_seconds(total));
    }
  }

  Build read_build(const Topology& host) const {
    const auto cpus = roots_.sys + "/devices/system/cpu";
    return {read_package_of(roots_, host.online),
            read_core_classes(roots_, host),
            read_as(cpus + "/isolated", parse_cpu_list),
            read_as(cpus + "/nohz_full", parse_cpu_list),
            Frequencies::disturbs(roots_)};
  }

  static void say_packages(const Result<PackageOf>& package_of,
                           Families& families) {
    if (!package_of) return families.problem(package_of.error().message());
    families
        .gauge("vcpu_host_packages",
               "CPU packages (sockets) with a CPU online; from "
               "/sys/devices/system/cpu/cpuN/topology/physical_package_id.")
        .add({}, static_cast<double>(packages(*package_of).size()));
  }

  static void say_build(const Build& build, const CpuSet& online,
                        Families& families) {
    say_packages(build.package_of, families);
    auto& cores = families.gauge(
        "vcpu_host_class_cores",
        "Physical cores with a CPU online by class: performance the fastest, "
        "efficiency the slowest, middle any others; absent where all are "
        "alike. From /sys/devices/cpu_core, /sys/devices/cpu_atom and "
        "/sys/devices/system/cpu/cpuN/cpu_capacity.");
    if (!build.classes) {
      families.problem(build.classes.error().message());
    } else {
      for (const auto& [name, count] : *build.classes)
        cores.add({{"class", name}}, count);
    }
    say_list(build.isolated, online,
             families.gauge(
                 "vcpu_host_isolated_cpus",
                 "Online CPUs that the scheduler puts no task on by itself "
                 "(isolcpus); from /sys/devices/system/cpu/isolated."),
             "isolated_cpus", kNoIsolated, families);
    say_list(build.nohz_full, online,
             families.gauge(
                 "vcpu_host_nohz_full_cpus",
                 "Online CPUs that are spared the tick while one task alone "
                 "runs there (nohz_full); from "
                 "/sys/devices/system/cpu/nohz_full."),
             "nohz_full", kNoNohzFull, families);
  }

  static void say_list(const Result<CpuSet>& list, const CpuSet& online,
                       Family& count, const char* source, const char* missing,
                       Families& families) {
    if (!offered(list, source, missing, families)) return;
    count.add({}, static_cast<double>(online_of(*list, online)));
  }

  // Says of a source whether it is there, and of any other error what it is.
  template <typename T>
  static bool offered(const Result<T>& read, const char* source,
                      const char* missing, Families& families) {
    const bool gone = !read && is_gone(read.error());
    if (!read && !gone) families.problem(read.error().message());
    families.source(source, gone ? missing : "");
    return read.has_value();
  }

  void say_temperature(const Build& build, Families& families) {
    if (!build.package_of) return;  // Said: no sensor names its package.
    auto& temperature = families.gauge(
        "vcpu_host_cpu_temperature_celsius",
        "The hottest sensor of each CPU package; from /sys/class/hwmon, "
        "coretemp or k10temp, else from /sys/class/thermal.");
    const auto celsius = temperatures_.read(packages(*build.package_of));
    if (celsius && !celsius->all_answer) {
      families.source("cpu_temperature", kSilentSensor);
    } else if (!offered(celsius, "cpu_temperature", kNoSensor, families)) {
      return;
    }
    for (const auto& [package, degrees] : celsius->of_package)
      temperature.add({{"package", std::to_string(package)}}, degrees);
  }

  void say_throttles(const Build& build, const Topology& host,
                     Families& families) {
    auto& throttles = families.counter(
        "vcpu_host_cpu_throttles_total",
        "Times a core, or a package, was slowed down as it was too hot, each "
        "core and each package counted once; from "
        "/sys/devices/system/cpu/cpuN/thermal_throttle.");
    const auto counts = throttles_.read(
        host, build.package_of ? *build.package_of : PackageOf{});
    if (!offered(counts, "cpu_throttles", kNoThrottles, families)) return;
    throttles.add({{"scope", "core"}}, static_cast<double>(counts->core));
    if (counts->package)
      throttles.add({{"scope", "package"}},
                    static_cast<double>(*counts->package));
  }

  void say_frequency(const Build& build, const Topology& host,
                     Families& families) {
    if (build.frequency_disturbs)
      return families.source("cpu_frequency", kFrequencyDisturbs);
    auto& frequency = families.gauge(
        "vcpu_host_cpu_frequency_hertz",
        "The least, the mean and the highest frequency of the host's cores, of "
        "an idle core the one that was asked for; from "
        "/sys/devices/system/cpu/cpufreq/policyN/scaling_cur_freq.");
    const auto range = frequencies_.read(host);
    if (!offered(range, "cpu_frequency", kNoFrequency, families)) return;
    frequency.add({{"stat", "min"}}, range->min);
    frequency.add({{"stat", "mean"}}, range->mean);
    frequency.add({{"stat", "max"}}, range->max);
  }

  void say_machine_checks(const Topology& host, Families& families) {
    auto& checks = families.counter(
        "vcpu_host_machine_checks_total",
        "Machine check exceptions, errors of the hardware that were not merely "
        "corrected, counted by each CPU that took one and read once a minute; "
        "from /proc/interrupts, MCE.");
    const auto count = machine_checks_.read(host.online);
    if (!offered(count, "machine_checks", kNoMachineChecks, families)) return;
    checks.add({}, static_cast<double>(*count));
  }

  Roots roots_;
  CpuTicks modes_{};
  std::map<int, std::uint64_t> busy_;
  Rarely<Build> build_;
  Temperatures temperatures_;
  Throttles throttles_;
  Frequencies frequencies_;
  MachineChecks machine_checks_;
};

}  // namespace

std::unique_ptr<Collector> make_host(const CollectorOptions& options) {
  return std::make_unique<Host>(options.roots);
}

}  // namespace vcpu

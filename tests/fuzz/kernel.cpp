// SPDX-License-Identifier: Apache-2.0
//
// The parsers of the kernel's files.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <tuple>
#include <vector>

#include "collectors/base/scan.h"
#include "collectors/kernel/count.h"
#include "collectors/kernel/cpu_list.h"
#include "collectors/kernel/cpu_max.h"
#include "collectors/kernel/cpu_stat.h"
#include "collectors/kernel/cpuinfo.h"
#include "collectors/kernel/hypervisor.h"
#include "collectors/kernel/interrupts.h"
#include "collectors/kernel/kib_lines.h"
#include "collectors/kernel/meminfo.h"
#include "collectors/kernel/memory_stat.h"
#include "collectors/kernel/node_distance.h"
#include "collectors/kernel/numa_maps.h"
#include "collectors/kernel/numa_stat.h"
#include "collectors/kernel/osrelease.h"
#include "collectors/kernel/pressure.h"
#include "collectors/kernel/proc_stat.h"
#include "collectors/kernel/switch.h"
#include "collectors/kernel/task_cgroup.h"
#include "collectors/kernel/task_sched.h"
#include "collectors/kernel/task_schedstat.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/kernel/task_status.h"
#include "collectors/kernel/temperature.h"
#include "collectors/kernel/vmstat.h"
#include "collectors/kernel/vulnerability.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

constexpr std::uint64_t kKib = 1024;
constexpr std::uint64_t kNsPerUs = 1000;

using Numbers = std::vector<std::optional<std::uint64_t>>;

void expect_written(const Numbers& numbers, std::string_view text,
                    std::uint64_t unit = 1) {
  for (const auto& number : numbers) {
    if (!number) continue;
    expect(*number % unit == 0 && stands_in(*number / unit, text),
           "a number that was parsed stands in the text");
  }
}

// A file of lines says the same whatever lines of no interest come behind.
template <typename Parse, typename Values>
void expect_lines(std::string_view text, const Parse& parse,
                  const Values& values) {
  const auto alone = parse(text);
  const std::string with_more = std::string(text) + "\nzz_newer_line 7\n";
  const auto followed = parse(std::string_view(with_more));
  expect(alone.has_value() == followed.has_value(),
         "what follows a line does not break it");
  if (alone)
    expect(values(*alone) == values(*followed),
           "what follows a line does not change it");
}

void look_count(std::string_view text) {
  if (const auto count = parse_count(text)) expect_written({*count}, text);
}

void look_cpu_list(std::string_view text) {
  const auto cpus = parse_cpu_list(text);
  if (!cpus) return;
  std::string written;
  for (const int cpu : *cpus) written += std::to_string(cpu) + ",";
  if (!written.empty()) written.pop_back();
  const auto again = parse_cpu_list(written);
  expect(again && *again == *cpus, "a list that is written reads the same");
  expect(std::adjacent_find(cpus->begin(), cpus->end(),
                            std::greater_equal<>()) == cpus->end(),
         "a list ascends");
}

void look_cpu_max(std::string_view text) {
  std::string_view rest = text;
  const auto first = take_line(rest);
  for (const auto& cores :
       {parse_cpu_max(text), parse_cfs_quota(first, rest)}) {
    if (cores && *cores)
      expect(std::isfinite(**cores) && **cores >= 0, "a quota is a number");
  }
  for (const auto& weight : {parse_cpu_weight(text), parse_cpu_shares(text)})
    if (weight) expect(*weight >= 0, "a weight is not below zero");
}

void look_cpu_stat(std::string_view text) {
  const auto values = [](const CpuStat& stat) {
    return Numbers{stat.periods, stat.throttled_periods, stat.throttled_ns};
  };
  expect_lines(text, parse_cpu_stat, values);
  const auto stat = parse_cpu_stat(text);
  if (!stat) return;
  expect_written({stat->periods, stat->throttled_periods}, text);
  expect(stands_in(stat->throttled_ns, text) ||
             stands_in(stat->throttled_ns / kNsPerUs, text),
         "throttled time stands in the text");
}

void look_cpuinfo(std::string_view text) {
  const auto cpuinfo = parse_cpuinfo(text);
  for (const auto& flag : cpuinfo.flags)
    expect(!flag.empty() && text.find(flag) != std::string_view::npos,
           "a flag stands in the text");
  expect(cpuinfo.x86 || cpuinfo.flags.empty(), "flags are x86's");
}

void look_hypervisor(std::string_view text) {
  HypervisorClues clues;
  clues.has_cpuid = take_line(text) == "cpuid";
  for (std::string* clue : {&clues.cpuid, &clues.dmi_vendor, &clues.dmi_product,
                            &clues.acpi_oem, &clues.sysfs_type})
    *clue = take_line(text);
  clues.device_tree = text;
  constexpr std::array<std::string_view, 10> kKnown{
      "",       "nitro", "google", "firecracker", "vmware",
      "hyperv", "xen",   "kvm",    "tcg",         "unknown"};
  const auto found = hypervisor(clues);
  expect(std::find(kKnown.begin(), kKnown.end(), found) != kKnown.end(),
         "a hypervisor is one of those we know");
}

void look_acpi_oem(std::string_view text) {
  const auto oem = acpi_oem(text);
  expect(oem.size() <= 6 && lies_in(oem, text), "an OEM is six bytes of it");
}

void look_interrupts(std::string_view text) {
  expect_lines(text, parse_interrupts, [](const Interrupts& interrupts) {
    return interrupts.machine_checks;
  });
}

void look_kib_lines(std::string_view text) {
  std::optional<std::uint64_t> total;
  if (read_kib_lines(text, {{"MemTotal:", &total}}))
    expect_written({total}, text, kKib);
}

void look_meminfo(std::string_view text) {
  const auto values = [](const Meminfo& memory) {
    return Numbers{memory.total_bytes, memory.available_bytes,
                   memory.swap_total_bytes, memory.swap_free_bytes,
                   memory.page_tables_bytes};
  };
  expect_lines(text, parse_meminfo, values);
  if (const auto memory = parse_meminfo(text))
    expect_written(values(*memory), text, kKib);
}

void look_memory_stat(std::string_view text) {
  const auto values = [](const MemoryStat& stat) { return stat.swap_bytes; };
  expect_lines(text, parse_memory_stat, values);
  if (const auto stat = parse_memory_stat(text))
    expect_written({stat->swap_bytes}, text);
}

void look_node_distance(std::string_view text) {
  const auto distances = parse_node_distances(text);
  if (!distances) return;
  for (const int distance : *distances)
    expect(
        distance > 0 && stands_in(static_cast<std::uint64_t>(distance), text),
        "a distance stands in the text, and is not 0");
}

void expect_nodes(const NodeBytes& bytes, std::string_view text) {
  for (const auto& [node, some] : bytes)
    expect(node >= 0 && stands_in(static_cast<std::uint64_t>(node), text),
           "a node stands in the text");
}

void look_numa_maps(std::string_view text) {
  if (const auto bytes = parse_huge_numa_maps(text)) expect_nodes(*bytes, text);
}

void look_numa_stat(std::string_view text) {
  for (const int version : {1, 2}) {
    const auto stat = parse_memory_numa_stat(text, version, 4096);
    if (!stat) continue;
    expect_nodes(stat->anon_and_shmem, text);
    expect_nodes(stat->hugetlb, text);
  }
  if (const auto bytes = parse_hugetlb_numa_stat(text))
    expect_nodes(*bytes, text);
}

void look_osrelease(std::string_view text) {
  const auto release = parse_osrelease(text);
  if (!release) return;
  expect(release->major >= 0 && release->minor >= 0, "a release has no sign");
  expect_written({static_cast<std::uint64_t>(release->major),
                  static_cast<std::uint64_t>(release->minor)},
                 text);
}

void look_pressure(std::string_view text) {
  const auto values = [](const Pressure& pressure) {
    return Numbers{pressure.some_us, pressure.full_us};
  };
  expect_lines(text, parse_pressure, values);
  if (const auto pressure = parse_pressure(text))
    expect_written(values(*pressure), text);
}

void look_proc_stat(std::string_view text) {
  const auto values = [](const ProcStat& stat) {
    return std::tuple(stat.all, stat.by_cpu, stat.boot_time);
  };
  expect_lines(text, parse_proc_stat, values);
  const auto stat = parse_proc_stat(text);
  if (!stat) return;
  expect_written({stat->boot_time}, text);
  for (const auto& [cpu, ticks] : stat->by_cpu)
    expect_written({ticks[kUser], ticks[kIdle]}, text);
}

void look_switch(std::string_view text) {
  if (const auto on = parse_switch(text))
    expect(text.find(*on ? 'Y' : 'N') != std::string_view::npos ||
               text.find(*on ? '1' : '0') != std::string_view::npos,
           "a switch stands in the text");
}

void look_task_cgroup(std::string_view text) {
  for (const auto* controller : {"cpu", "memory", "hugetlb", ""}) {
    const auto group = controller_cgroup(text, controller);
    expect(lies_in(group.path, text), "a group's path lies in the text");
    expect(group.version == 1 || group.version == 2, "there are two versions");
  }
}

void look_task_sched(std::string_view text) {
  const auto values = [](const TaskSched& sched) {
    return sched.nr_migrations;
  };
  expect_lines(text, parse_task_sched, values);
  if (const auto sched = parse_task_sched(text))
    expect_written({sched->nr_migrations}, text);
}

void look_task_schedstat(std::string_view text) {
  const auto stat = parse_task_schedstat(text);
  if (!stat) return;
  expect_written({stat->run_ns, stat->wait_ns, stat->timeslices}, text);
  const auto more = parse_task_schedstat(std::string(text) + " 99\n");
  expect(more && more->timeslices == stat->timeslices,
         "a fourth number changes nothing");
}

void look_task_stat(std::string_view text) {
  const auto stat = parse_task_stat(text);
  if (!stat) return;
  expect_written(
      {stat->flags, stat->num_threads, stat->start_ticks, stat->major_faults},
      text);
  expect(text.find("(" + stat->comm + ")") != std::string_view::npos,
         "the name stands in the text, in parentheses");
  expect(stat->cpu >= 0, "a CPU has no sign");
}

void look_task_status(std::string_view text) {
  const auto status = parse_task_status(text);
  if (status) {
    expect(lies_in(status->cpus_allowed_list, text), "the mask lies in it");
    expect_written({status->voluntary, status->involuntary}, text);
  }
  const auto memory = parse_process_memory(text);
  if (memory)
    expect_written({memory->page_table_bytes, memory->swap_bytes,
                    memory->resident_bytes, memory->hugetlb_bytes},
                   text, kKib);
  expect_written({real_uid(text)}, text);
}

void look_temperature(std::string_view text) {
  const auto celsius = parse_temperature(text);
  if (!celsius) return;
  expect(std::isfinite(*celsius), "a temperature is a number");
  expect_written(
      {static_cast<std::uint64_t>(std::llround(std::abs(*celsius) * 1000))},
      text);
}

void look_vmstat(std::string_view text) {
  const auto values = [](const Vmstat& stat) {
    return Numbers{stat.swapped_in, stat.swapped_out};
  };
  expect_lines(text, parse_vmstat, values);
  if (const auto stat = parse_vmstat(text)) expect_written(values(*stat), text);
}

void look_vulnerability(std::string_view text) {
  const auto found = parse_vulnerability(text);
  if (found && found->status)
    expect(!to_string(*found->status).empty(), "a status has a name");
}

constexpr std::array kLooks{
    Look{"count", look_count},
    Look{"cpu_list", look_cpu_list},
    Look{"cpu_max", look_cpu_max},
    Look{"cpu_stat", look_cpu_stat},
    Look{"cpuinfo", look_cpuinfo},
    Look{"hypervisor", look_hypervisor},
    Look{"acpi_oem", look_acpi_oem},
    Look{"interrupts", look_interrupts},
    Look{"kib_lines", look_kib_lines},
    Look{"meminfo", look_meminfo},
    Look{"memory_stat", look_memory_stat},
    Look{"node_distance", look_node_distance},
    Look{"numa_maps", look_numa_maps},
    Look{"numa_stat", look_numa_stat},
    Look{"osrelease", look_osrelease},
    Look{"pressure", look_pressure},
    Look{"proc_stat", look_proc_stat},
    Look{"switch", look_switch},
    Look{"task_cgroup", look_task_cgroup},
    Look{"task_sched", look_task_sched},
    Look{"task_schedstat", look_task_schedstat},
    Look{"task_stat", look_task_stat},
    Look{"task_status", look_task_status},
    Look{"temperature", look_temperature},
    Look{"vmstat", look_vmstat},
    Look{"vulnerability", look_vulnerability},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz

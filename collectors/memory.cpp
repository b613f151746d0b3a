// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/kept_files.h"
#include "collectors/catalog.h"
#include "collectors/huge_pages.h"
#include "collectors/kernel/count.h"
#include "collectors/kernel/meminfo.h"
#include "collectors/kernel/memory_stat.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/kernel/task_status.h"
#include "collectors/kernel/vmstat.h"

namespace vcpu {
namespace {

using Bytes = std::optional<std::uint64_t>;

constexpr std::size_t kKeptFiles = 1024;

// A group of version 1 adds all its figures up for that of its swap: of so many
// VMs in a scrape, each in its turn.
constexpr std::size_t kSwapsPerScrape = 64;

Bytes maximum(const Vm& vm) {
  if (vm.libvirt != nullptr && vm.libvirt->memory_max_bytes)
    return vm.libvirt->memory_max_bytes;
  return vm.memory_bytes;
}

// Empty where there is no such file.
template <typename T>
Result<Bytes> bytes_of(const Result<T>& told, Bytes (*bytes)(const T&)) {
  if (told) return bytes(*told);
  if (is_gone(told.error())) return Bytes{};
  return told.error();
}

struct OfProcess {
  Bytes page_table_bytes;
  Bytes swap_bytes;
  std::uint64_t major_faults = 0;
};

class Memory final : public Collector {
 public:
  explicit Memory(Roots roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "memory"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    const auto info = read_as(roots_.proc + "/meminfo", parse_meminfo);
    if (!info) families.problem(info.error().message());
    say_limits(snapshot, families);
    const bool has_swap = !info || info->swap_total_bytes.value_or(0) > 0;
    say_use(snapshot, has_swap, families);
    say_host(info, families);
    if (info) say_overcommit(snapshot, info->total_bytes, families);
    say_swapping(families);
    kept_.close_unread();
    return {};
  }

 private:
  static void say_limits(const Snapshot& snapshot, Families& families) {
    auto& most = families.gauge(
        "vcpu_domain_memory_max_bytes",
        "Memory that the VM may use at most, plugged-in DIMMs included; from "
        "virDomainGetInfo, without libvirt from the command line of its VMM.");
    auto& balloon = families.gauge(
        "vcpu_domain_memory_balloon_bytes",
        "What the VM's balloon leaves the guest of its maximum, all of it "
        "where it has no balloon; from virDomainGetInfo.");
    bool all_known = true;
    for (const Vm& vm : snapshot.vms) {
      const auto bytes = maximum(vm);
      add(most, vm.labels, bytes);
      all_known = all_known && bytes;
      if (vm.libvirt != nullptr)
        add(balloon, vm.labels, vm.libvirt->memory_balloon_bytes);
    }
    if (snapshot.vms.empty()) return;
    families.source("domain_memory_max",
                    all_known ? ""
                              : "of a VM neither libvirt nor the command line "
                                "tells its maximum memory");
  }

  struct GroupSwap {
    std::string directory;
    Bytes bytes;  // Empty where the group does not count it.
  };
  using GroupSwaps = std::map<VmId, GroupSwap>;

  // By the VM's own group; empty where it has none that counts it. `before`: as
  // read in earlier scrapes, good enough where it is not the VM's turn.
  Result<Bytes> swap_of(const Vm& vm, const VmCgroup& groups, bool its_turn,
                        const GroupSwaps& before) {
    if (!groups.problem.empty()) return failed(groups.problem);
    const Cgroup& group = groups.memory;
    if (group.missing_reason == kGroupRefused)
      return Error{make_error_code(std::errc::permission_denied), {}};
    const auto known = before.find(vm.id());
    const bool is_known =
        known != before.end() && known->second.directory == group.directory;
    auto bytes = is_known && !its_turn ? Result<Bytes>(known->second.bytes)
                                       : read_swap(group);
    if (group.version == 1 && bytes)
      swaps_[vm.id()] = {group.directory, *bytes};
    return bytes;
  }

  Result<Bytes> read_swap(const Cgroup& group) {
    if (!group) return Bytes{};
    if (group.version == 1) {
      return bytes_of<MemoryStat>(
          kept_.read_as(group.directory + "/memory.stat", parse_memory_stat),
          [](const MemoryStat& stat) { return stat.swap_bytes; });
    }
    return bytes_of<std::uint64_t>(
        kept_.read_as(group.directory + "/memory.swap.current", parse_count),
        [](const std::uint64_t& bytes) { return Bytes(bytes); });
  }

  void say_use(const Snapshot& snapshot, bool has_swap, Families& families) {
    auto& swap = families.gauge(
        "vcpu_domain_swap_bytes",
        "Memory of the VM in the host's swap, by its own control group or, "
        "where it has none, by its process, which leaves swapped shared memory "
        "out; from memory.swap.current, memory.stat or /proc/PID/status. By "
        "cgroup version 1, with N VMs, as it was up to N / 64 scrapes ago.");
    auto& tables = families.gauge(
        "vcpu_domain_page_table_bytes",
        "Page tables of the VM's process, without those that KVM keeps for "
        "the guest (EPT, NPT); from /proc/PID/status, VmPTE.");
    auto& faults = families.counter(
        "vcpu_domain_major_faults_total",
        "Page faults of the VM's process that waited for a disk or the swap, "
        "without those that KVM leaves to a kernel worker (asynchronous page "
        "faults); from /proc/PID/stat, majflt.");
    bool all_groups = true;
    const auto before = std::exchange(swaps_, {});
    const auto turns = 1 + snapshot.vms.size() / kSwapsPerScrape;
    std::size_t turn = ++scrape_;
    for (const Vm& vm : snapshot.vms) {
      const bool its_turn = turn++ % turns == 0;
      const auto in_swap = has_swap ? swap_of(vm, snapshot.cgroups->of(vm.id()),
                                              its_turn, before)
                                    : Result<Bytes>(Bytes{});
      if (!in_swap) say_unread(in_swap.error(), "memory_cgroups", families);
      const bool by_group = in_swap && *in_swap;
      const auto process = process_of(vm, has_swap && !by_group, families);
      if (!process) continue;
      if (has_swap && in_swap) {
        add(swap, vm.labels, by_group ? *in_swap : process->swap_bytes);
        all_groups = all_groups && by_group;
      }
      add(tables, vm.labels, process->page_table_bytes);
      faults.add(vm.labels, static_cast<double>(process->major_faults));
    }
    families.source("swap", has_swap ? "" : "the host has no swap");
    if (snapshot.vms.empty() || !has_swap) return;
    families.source("memory_cgroups",
                    all_groups
                        ? ""
                        : "a VM has no memory control group of its own "
                          "that counts its swap: its process's is shown");
  }

  // Nothing where the VM has ended.
  std::optional<OfProcess> process_of(const Vm& vm, bool with_swap,
                                      Families& families) const {
    if (!vm.memory_use || with_swap) return read_process(vm, families);
    return OfProcess{
        vm.memory_use->page_table_bytes, {}, vm.memory_use->major_faults};
  }

  std::optional<OfProcess> read_process(const Vm& vm,
                                        Families& families) const {
    const auto path = roots_.proc + "/" + std::to_string(vm.pid);
    const auto memory = read_as(path + "/status", parse_process_memory);
    // Last: while this is the VM's process, what was read before was its, too.
    const auto stat = read_as(path + "/stat", parse_task_stat);
    if (stat && stat->start_ticks != vm.start_ticks) return std::nullopt;
    if (memory && stat)
      return OfProcess{memory->page_table_bytes, memory->swap_bytes,
                       stat->major_faults};
    const auto& error = memory ? stat.error() : memory.error();
    if (!is_gone(error)) families.problem(error.message());
    return std::nullopt;
  }

  void say_host(const Result<Meminfo>& info, Families& families) const {
    auto& memory = families.gauge(
        "vcpu_host_memory_bytes",
        "The host's memory: total, available without swapping, in huge pages "
        "of all sizes (total, free), page tables of processes, swap (total, "
        "free), saved by KSM (without what KSM itself needs). From "
        "/proc/meminfo, /sys/kernel/mm/hugepages and /sys/kernel/mm/ksm.");
    if (info) {
      add_kind(memory, "total", info->total_bytes);
      add_kind(memory, "available", info->available_bytes);
    }
    say_huge_pages(memory, families);
    if (info) {
      add_kind(memory, "page_tables", info->page_tables_bytes);
      add_kind(memory, "swap_total", info->swap_total_bytes);
      add_kind(memory, "swap_free", info->swap_free_bytes);
    }
    say_ksm(memory, families);
  }

  void say_huge_pages(Family& memory, Families& families) const {
    const auto pools = read_huge_pages(roots_);
    const bool offered = pools || !is_gone(pools.error());
    families.source("huge_pages",
                    offered ? "" : "the kernel has none (CONFIG_HUGETLBFS)");
    if (!offered) return;
    if (!pools) return families.problem(pools.error().message());
    std::uint64_t total = 0;
    std::uint64_t free = 0;
    for (const auto& pool : *pools) {
      total += pool.pages * pool.page_bytes;
      free += pool.free_pages * pool.page_bytes;
    }
    add_kind(memory, "hugepages_total", total);
    add_kind(memory, "hugepages_free", free);
  }

  // Not general_profit: that is younger than the kernels we know, and takes off
  // what KSM needs for pages that are not shared at all.
  void say_ksm(Family& memory, Families& families) const {
    const auto sharing =
        read_as(roots_.sys + "/kernel/mm/ksm/pages_sharing", parse_count);
    const bool offered = sharing || !is_gone(sharing.error());
    families.source("ksm", offered ? "" : "the kernel has none (CONFIG_KSM)");
    if (sharing) {
      add_kind(memory, "ksm_saved", *sharing * bytes_per_page_);
    } else if (offered) {
      families.problem(sharing.error().message());
    }
  }

  static void say_overcommit(const Snapshot& snapshot, std::uint64_t total,
                             Families& families) {
    auto& ratio = families.gauge(
        "vcpu_host_memory_overcommit_ratio",
        "Sum of the VMs' maximum memory divided by the host's memory; absent "
        "while the maximum of a VM is not known. From /proc/meminfo and the "
        "sources of vcpu_domain_memory_max_bytes.");
    if (!snapshot.whole) return;
    double sum = 0;
    for (const Vm& vm : snapshot.vms) {
      const auto bytes = maximum(vm);
      if (!bytes) return;
      sum += static_cast<double>(*bytes);
    }
    ratio.add({}, sum / static_cast<double>(total));
  }

  void say_swapping(Families& families) {
    auto& swapped = families.counter(
        "vcpu_host_swap_bytes_total",
        "Memory that the host read from its swap (in) and wrote to it (out); "
        "from /proc/vmstat, pswpin and pswpout.");
    const auto stat = read_as(roots_.proc + "/vmstat", parse_vmstat);
    if (!stat) return families.problem(stat.error().message());
    const bool counted = stat->swapped_in && stat->swapped_out;
    families.source("vmstat", counted ? ""
                                      : "the kernel does not count swapping "
                                        "(CONFIG_VM_EVENT_COUNTERS)");
    if (!counted) return;
    // The kernel adds its CPUs' counts up while one of them may go offline.
    swapped_in_ = std::max(swapped_in_, *stat->swapped_in);
    swapped_out_ = std::max(swapped_out_, *stat->swapped_out);
    add(swapped, {{"direction", "in"}}, swapped_in_ * bytes_per_page_);
    add(swapped, {{"direction", "out"}}, swapped_out_ * bytes_per_page_);
  }

  static void add(Family& family, const LabelSet& labels, Bytes bytes) {
    if (bytes) family.add(labels, static_cast<double>(*bytes));
  }

  static void add_kind(Family& memory, std::string_view kind, Bytes bytes) {
    add(memory, {{"kind", kind}}, bytes);
  }

  const Roots roots_;
  const std::uint64_t bytes_per_page_ =
      static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t swapped_in_ = 0;  // Pages.
  std::uint64_t swapped_out_ = 0;
  std::size_t scrape_ = 0;
  GroupSwaps swaps_;  // Of version 1, of which not all are read at once.
  KeptFiles kept_{kKeptFiles};
};

}  // namespace

std::unique_ptr<Collector> make_memory(const CollectorOptions& options) {
  return std::make_unique<Memory>(options.roots);
}

}  // namespace vcpu

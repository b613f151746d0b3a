// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/bpf_task_reader.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/bpf/iterator.h"
#include "collectors/bpf/other_processes.h"

namespace vcpu {
namespace {

constexpr int kBitsPerWord = 64;

// As /proc/PID/stat tells it.
std::uint64_t ticks(std::uint64_t ns) {
  static const auto ns_per_tick =
      1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return ns / ns_per_tick;
}

std::string comm_of(const task_record& task) {
  return {task.comm, ::strnlen(task.comm, sizeof task.comm)};
}

std::uint64_t place_of(std::uint64_t tgid, std::uint64_t tid) {
  return tgid << 32 | tid;
}

std::uint32_t tid_of(std::uint64_t place) {
  return static_cast<std::uint32_t>(place);
}

bool has(std::string_view mask, int cpu) {
  const auto at = static_cast<std::size_t>(cpu / kBitsPerWord) * sizeof(__u64);
  if (at + sizeof(__u64) > mask.size()) return false;
  __u64 word = 0;
  std::memcpy(&word, mask.data() + at, sizeof word);
  return (word >> (cpu % kBitsPerWord) & 1) != 0;
}

}  // namespace

Result<BpfTaskReader::Program> BpfTaskReader::open_program(const Roots& roots,
                                                           bool ebpf) {
  if (auto reason = no_ebpf_reason(ebpf, roots); !reason.empty())
    return failed(std::move(reason));
  auto program = TasksProgram::open();
  if (!program) return program.error();
  return std::make_shared<TasksProgram>(*std::move(program));
}

BpfTaskReader::BpfTaskReader(Roots roots, Result<Program> program)
    : roots_(std::move(roots)), program_(std::move(program)), procfs_(roots_) {}

void BpfTaskReader::begin(std::shared_ptr<const Topology> host) {
  host_ = std::move(host);
  procfs_.begin(host_);
}

bool BpfTaskReader::read_records() {
  missing_reason_.clear();
  records_.clear();
  sets_.clear();
  if (!program_) {
    missing_reason_ = program_.error().message();
    return false;
  }
  if (const auto read = (*program_)->read(); !read) {
    missing_reason_ = read.error().message();
    return false;
  }
  const IteratorPass& pass = (*program_)->last();
  pass.each(TASK_RECORD, [this](const record_head& head, std::string_view at) {
    if (at.size() < sizeof(task_record)) return;
    records_.push_back({place_of(head.tgid, head.tid),
                        reinterpret_cast<const task_record*>(at.data()),
                        at.substr(sizeof(task_record))});
  });
  const auto by_place = [](const Record& a, const Record& b) {
    return a.place < b.place;
  };
  // The kernel goes by tid: so do most VMs' threads.
  if (!std::is_sorted(records_.begin(), records_.end(), by_place))
    std::sort(records_.begin(), records_.end(), by_place);
  return true;
}

Result<std::vector<Process>> BpfTaskReader::processes(Families& said) {
  if (!read_records()) return procfs_.processes(said);
  std::vector<Process> processes;
  for (const auto& [place, task, mask] : records_) {
    if (place != place_of(tid_of(place), tid_of(place))) continue;
    processes.push_back({static_cast<pid_t>(tid_of(place)), comm_of(*task),
                         ticks(task->start_ns), task->num_threads,
                         task->kernel_thread != 0});
  }
  // What a VM is called is still read from there.
  said.source("procfs", hidden_processes_reason(roots_));
  return processes;
}

void BpfTaskReader::choose(const std::vector<pid_t>& pids, Families& said) {
  if (!missing_reason_.empty()) return;
  const bool all_known = std::all_of(pids.begin(), pids.end(), [&](pid_t pid) {
    return (*program_)->is_chosen(pid);
  });
  (*program_)->choose(pids);
  // The pass could not know of a VM that is new: another one.
  if (all_known || read_records()) return;
  said.problem("task_iterator: " + missing_reason_);
}

std::span<const BpfTaskReader::Record> BpfTaskReader::records_of(
    pid_t pid) const {
  const auto tgid = static_cast<std::uint64_t>(pid);
  const auto first = std::partition_point(
      records_.begin(), records_.end(),
      [&](const Record& record) { return record.place < place_of(tgid, 0); });
  const auto last =
      std::partition_point(first, records_.end(), [&](const Record& record) {
        return record.place < place_of(tgid + 1, 0);
      });
  return {first, last};
}

std::vector<Task> BpfTaskReader::threads(pid_t pid, Families& said) {
  if (!missing_reason_.empty()) return procfs_.threads(pid, said);
  auto records = records_of(pid);
  if (records.size() > kMaxThreads) {
    said.dropped("thread_limit");
    records = records.first(kMaxThreads);
  }
  std::vector<Task> tasks;
  tasks.reserve(records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    // Of many VMs they are far from the caches.
    constexpr std::size_t kAhead = 4;
    __builtin_prefetch(records[std::min(i + kAhead, records.size() - 1)].task);
    tasks.push_back(make_task(records[i]));
  }
  return tasks;
}

std::optional<ProcessFacts> BpfTaskReader::facts(pid_t pid) {
  if (!missing_reason_.empty()) return std::nullopt;
  const auto tgid = static_cast<std::uint64_t>(pid);
  const auto records = records_of(pid);
  // Its first thread, where it is itself not ended.
  if (records.empty() || records[0].place != place_of(tgid, tgid))
    return std::nullopt;
  static const auto page_bytes =
      static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const task_record& process = *records[0].task;
  ProcessFacts facts{
      {process.page_table_bytes, process.hugetlb_pages * page_bytes,
       process.ended_major_faults},
      process.groups};
  for (const Record& record : records)
    facts.memory.major_faults += record.task->major_faults;
  return facts;
}

Task BpfTaskReader::make_task(const Record& record) {
  const task_record& from = *record.task;
  Task task;
  task.tid = static_cast<pid_t>(tid_of(record.place));
  task.comm = comm_of(from);
  task.start_ticks = ticks(from.start_ns);
  task.cpu = static_cast<int>(from.cpu);
  task.sched = SchedStat{from.run_ns,    from.wait_ns,     from.dispatches,
                         from.voluntary, from.involuntary, from.migrations};
  task.waiting_ns = from.waiting_ns;
  task.allowed = allowed(record.mask);
  if (from.core_cookie != ~__u64{0})
    task.core_scheduled = from.core_cookie != 0;
  return task;
}

std::shared_ptr<const CpuSet> BpfTaskReader::allowed(std::string_view mask) {
  const auto known = sets_.find(mask);
  if (known != sets_.end()) return known->second;
  CpuSet online;
  // The kernel's mask keeps CPUs that are offline or not there at all.
  for (const int cpu : host_->online)
    if (has(mask, cpu)) online.push_back(cpu);
  auto set = std::make_shared<const CpuSet>(std::move(online));
  sets_.emplace(mask, set);
  return set;
}

void BpfTaskReader::report(Families& said) {
  said.source("task_iterator", missing_reason_);
  said.source("open_waits", missing_reason_.empty() ? "" : "not told by /proc");
  if (!missing_reason_.empty()) procfs_.report(said);
}

}  // namespace vcpu

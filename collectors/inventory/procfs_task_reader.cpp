// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/procfs_task_reader.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <utility>

#include "collectors/kernel/cpu_list.h"
#include "collectors/kernel/task_sched.h"
#include "collectors/kernel/task_schedstat.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/kernel/task_status.h"

namespace vcpu {
namespace {

// A kernel thread stays one, so only every so many passes look whether its pid
// has come to belong to somebody else.
constexpr unsigned kRecheck = 16;

constexpr const char* kHidden = "other users' processes are hidden (hidepid)";

}  // namespace

std::string hidden_processes_reason(const Roots& roots) {
  // The first process always lives, and nobody else's is ours.
  return read_file(roots.proc + "/1/stat") ? "" : kHidden;
}

ProcfsTaskReader::ProcfsTaskReader(Roots roots) : roots_(std::move(roots)) {}

void ProcfsTaskReader::begin(std::shared_ptr<const Topology> host) {
  sets_.clear();
  host_ = std::move(host);
  ++pass_;
  for (Source* source : {&stat_, &schedstat_, &status_, &sched_}) {
    source->read = false;
    source->refused = false;
    source->missing_reason.clear();
  }
}

Result<std::vector<Process>> ProcfsTaskReader::processes(Families& said) {
  const auto pids = list_numbers(roots_.proc);
  if (!pids) return pids.error();
  // The first process is there unless /proc is mounted with hidepid=2.
  hidden_ = !std::binary_search(pids->begin(), pids->end(), 1);

  std::vector<Process> processes;
  std::map<pid_t, Process> kernel_threads;
  for (const pid_t pid : *pids) {
    const auto known = kernel_threads_.find(pid);
    const bool recheck =
        static_cast<unsigned>(pid) % kRecheck == pass_ % kRecheck;
    std::optional<Process> found;
    if (known != kernel_threads_.end() && !recheck) {
      found = known->second;
    } else {
      found = process(pid, said);
    }
    if (!found) continue;
    if (found->kernel_thread) kernel_threads.emplace(pid, *found);
    processes.push_back(*std::move(found));
  }
  kernel_threads_ = std::move(kernel_threads);
  said.source("procfs", hidden_ ? kHidden : "");
  return processes;
}

std::optional<Process> ProcfsTaskReader::process(pid_t pid, Families& said) {
  const auto text =
      read_file(roots_.proc + "/" + std::to_string(pid) + "/stat");
  if (!text) {
    if (is_refused(text.error())) {
      hidden_ = true;  // hidepid=1.
    } else if (!is_gone(text.error())) {
      said.problem(text.error().message());
    }
    return std::nullopt;
  }
  const auto stat = parse_task_stat(*text);
  if (!stat) {
    said.problem(roots_.proc + "/" + std::to_string(pid) + "/" +
                 stat.error().message());
    return std::nullopt;
  }
  if (stat->ended()) return std::nullopt;
  return Process{pid, stat->comm, stat->start_ticks, stat->num_threads,
                 stat->kernel_thread()};
}

std::vector<Task> ProcfsTaskReader::threads(pid_t pid, Families& said) {
  // Held for this pass only: what is read through it is one process's, and no
  // number of VMs uses the descriptors up.
  listed_ = true;
  stat_.failed = status_.failed = false;
  const auto opened = Directory::open(roots_.proc + "/" + std::to_string(pid));
  if (!opened) {
    listed_ = is_gone(opened.error());
    if (!listed_) said.problem(opened.error().message());
    return {};
  }
  const Directory& directory = *opened;
  const auto tids = list_numbers_at(directory, "task");
  if (!tids) {
    listed_ = is_gone(tids.error());
    if (!listed_) said.problem(tids.error().message());
    return {};
  }
  const auto read = std::min(tids->size(), kMaxThreads);
  if (read < tids->size()) said.dropped("thread_limit");
  std::vector<Task> tasks;
  tasks.reserve(read);
  for (std::size_t i = 0; i < read; ++i)
    if (auto found = task(directory, (*tids)[i], said))
      tasks.push_back(*std::move(found));
  return tasks;
}

bool ProcfsTaskReader::lives(const Directory& directory, pid_t tid) {
  const auto path = "task/" + std::to_string(tid) + "/stat";
  return read_file_at(directory, path.c_str(), buffer_).has_value();
}

template <typename Parsed>
std::optional<Parsed> ProcfsTaskReader::read(
    const Directory& directory, pid_t tid, Source& source,
    Result<Parsed> (*parse)(std::string_view), Families& said) {
  std::array<char, 64> name;
  std::snprintf(name.data(), name.size(), "task/%d/%s", tid, source.file);
  const auto done = read_file_at(directory, name.data(), buffer_);
  if (!done) {
    const auto& error = done.error();
    if (!is_gone(error)) {
      source.failed = true;
      source.refused = source.refused || is_refused(error);
      source.missing_reason = error.code.message();
    } else if (source.missing_reason.empty() && lives(directory, tid)) {
      source.missing_reason = "not offered by this kernel";
    }
    if (!is_gone(error) && !is_refused(error)) said.problem(error.message());
    return std::nullopt;
  }
  auto parsed = is_whole(buffer_) ? parse(buffer_)
                                  : Result<Parsed>(malformed(source.file));
  if (!parsed) {
    // An empty text is a thread that ended between open and read.
    if (!buffer_.empty()) {
      source.failed = true;
      said.problem(directory.path() + "/" + name.data() + ": " +
                   parsed.error().code.message());
    }
    return std::nullopt;
  }
  source.read = true;
  return *std::move(parsed);
}

std::optional<Task> ProcfsTaskReader::task(const Directory& directory,
                                           pid_t tid, Families& said) {
  // First, as it says whether there is such a thread at all.
  const auto stat = read(directory, tid, stat_, parse_task_stat, said);
  if (!stat || stat->ended()) return std::nullopt;

  Task task;
  task.tid = tid;
  task.comm = stat->comm;
  task.start_ticks = stat->start_ticks;
  task.cpu = stat->cpu;
  const auto times =
      read(directory, tid, schedstat_, parse_task_schedstat, said);
  if (times)
    task.sched =
        SchedStat{times->run_ns, times->wait_ns, times->timeslices, {}, {}, {}};
  if (const auto status =
          read(directory, tid, status_, parse_task_status, said)) {
    task.allowed = allowed(status->cpus_allowed_list);
    if (!task.allowed) said.problem(directory.path() + ": bad CPU list");
    if (task.sched) {
      task.sched->voluntary = status->voluntary;
      task.sched->involuntary = status->involuntary;
    }
  }
  if (const auto sched = read(directory, tid, sched_, parse_task_sched, said);
      sched && task.sched) {
    task.sched->migrations = sched->nr_migrations;
  }
  return task;
}

std::shared_ptr<const CpuSet> ProcfsTaskReader::allowed(
    std::string_view cpu_list) {
  const auto known = sets_.find(cpu_list);
  if (known != sets_.end()) return known->second;
  const auto listed = parse_cpu_list(cpu_list);
  if (!listed) return nullptr;
  // The kernel's mask keeps CPUs that are offline or not there at all.
  CpuSet online;
  std::set_intersection(listed->begin(), listed->end(), host_->online.begin(),
                        host_->online.end(), std::back_inserter(online));
  auto set = std::make_shared<const CpuSet>(std::move(online));
  sets_.emplace(cpu_list, set);
  return set;
}

std::string ProcfsTaskReader::reason_of(const Source& source) {
  if (!source.read) return source.missing_reason;
  return source.refused ? "not of all threads: permission denied" : "";
}

void ProcfsTaskReader::report(Families& said) {
  for (const Source* source : {&stat_, &schedstat_, &status_, &sched_}) {
    // Without any thread there is nothing to say about a file of theirs; and
    // one thread that answers shows that the kernel offers it.
    if (!source->read && source->missing_reason.empty()) continue;
    said.source(std::string("task_") + source->file, reason_of(*source));
  }
}

}  // namespace vcpu

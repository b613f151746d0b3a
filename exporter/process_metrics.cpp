// SPDX-License-Identifier: Apache-2.0
#include "exporter/process_metrics.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/proc_stat.h"
#include "collectors/kernel/task_stat.h"

namespace vcpu {
namespace {

double cpu_seconds() {
  constexpr double kMicrosecond = 1e-6;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec) * kMicrosecond;
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

void add_memory(Families& families) {
  const auto text = read_file("/proc/self/statm");
  if (!text) return;
  std::string_view rest = *text;
  const auto total = take_u64(rest);
  const auto resident = take_u64(rest);
  if (!total || !resident) return;
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  families
      .gauge("process_virtual_memory_bytes",
             "Virtual memory of this exporter; from /proc/self/statm.")
      .add({}, static_cast<double>(*total) * page);
  families
      .gauge("process_resident_memory_bytes",
             "Resident memory of this exporter; from /proc/self/statm.")
      .add({}, static_cast<double>(*resident) * page);
}

void add_start(Families& families) {
  const auto own = read_file("/proc/self/stat");
  const auto host = read_file("/proc/stat");
  if (!own || !host) return;
  const auto stat = parse_task_stat(*own);
  const auto boot = parse_proc_stat(*host);
  if (!stat || !boot || !boot->boot_time) return;
  families
      .gauge("process_start_time_seconds",
             "When this exporter started, since the epoch; from "
             "/proc/self/stat.")
      .add({}, static_cast<double>(*boot->boot_time) +
                   static_cast<double>(stat->start_ticks) /
                       static_cast<double>(::sysconf(_SC_CLK_TCK)));
}

std::optional<double> open_descriptors() {
  constexpr const char* kList = "/proc/self/fd";
  // Since Linux 6.2 their number is the directory's size.
  struct stat about {};
  if (::stat(kList, &about) == 0 && about.st_size > 0)
    return static_cast<double>(about.st_size);
  const auto open = list_numbers(kList);
  if (!open) return std::nullopt;
  return static_cast<double>(open->size() - 1);  // One is the listing's own.
}

void add_descriptors(Families& families) {
  if (const auto open = open_descriptors()) {
    families
        .gauge("process_open_fds",
               "Open file descriptors of this exporter; from /proc/self/fd.")
        .add({}, *open);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families
        .gauge("process_max_fds",
               "File descriptors this exporter may open; from getrlimit.")
        .add({}, static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace

void add_process_metrics(Families& families) {
  families
      .counter("process_cpu_seconds_total",
               "CPU time of this exporter, user and system; from getrusage.")
      .add({}, cpu_seconds());
  add_descriptors(families);
  add_memory(families);
  add_start(families);
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/numa_maps_reader.h"

#include <cmath>
#include <cstdint>
#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "collectors/base/file.h"
#include "collectors/kernel/numa_maps.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/kernel/task_status.h"

namespace vcpu {
namespace {

using Clock = NumaMapsOptions::Clock;

constexpr std::string_view kNotYet =
    "where a VM's huge pages lie is being read";
constexpr std::string_view kRefused =
    "a VM's numa_maps cannot be read; start the exporter as root, or with "
    "CAP_SYS_PTRACE";
constexpr std::string_view kFailed =
    "a VM's numa_maps could not be read, it will be tried again";
constexpr std::string_view kGarbled = "a VM's numa_maps cannot be understood";
constexpr std::string_view kUnknownSize =
    "how much memory a VM has is not told, its numa_maps is left alone";
constexpr std::string_view kTooLong =
    "to read a VM's numa_maps takes too long, it is left alone";

constexpr int kTooLongInARow = 2;

struct Reading {
  std::string text;
  std::chrono::nanoseconds took{};
  std::string_view missing_reason;  // Empty where the text was read.
};

// Not the time of a wall: to have lost the CPU meanwhile is not the VM's fault.
std::chrono::nanoseconds cpu_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) +
         std::chrono::nanoseconds(time.tv_nsec);
}

// For which the kernel holds the lock, by what was measured; pages that are
// transparently huge take less.
std::chrono::nanoseconds expected_walk(const ProcessMemory& memory) {
  constexpr double kBytesPerGib = std::uint64_t{1} << 30U;
  constexpr double kNsPerGib = 7e6;
  constexpr double kNsPerHugeGib = 0.06e6;
  const auto gib = [](const std::optional<std::uint64_t>& bytes) {
    return static_cast<double>(bytes.value_or(0)) / kBytesPerGib;
  };
  return std::chrono::nanoseconds(
      std::llround(kNsPerGib * gib(memory.resident_bytes) +
                   kNsPerHugeGib * gib(memory.hugetlb_bytes)));
}

template <typename Parse>
auto read_as_at(const Directory& process, const char* name,
                const Parse& parse) {
  std::string text;
  const auto read = read_file_at(process, name, text);
  return parse_as(read ? Result<std::string>(std::move(text)) : read.error(),
                  name, parse);
}

// Through a directory that is held open, all is of one process.
Reading read_maps(const std::string& path, std::uint64_t start_ticks,
                  std::chrono::nanoseconds longest) {
  const auto process = Directory::open(path);
  const auto stat = process ? read_as_at(*process, "stat", parse_task_stat)
                            : Result<TaskStat>(process.error());
  if (!stat && !is_gone(stat.error())) return {{}, {}, kFailed};
  // It has ended, as will be seen.
  if (!stat || stat->start_ticks != start_ticks) return {{}, {}, kNotYet};
  const auto memory = read_as_at(*process, "status", parse_process_memory);
  if (!memory) return {{}, {}, kUnknownSize};
  if (expected_walk(*memory) > longest) return {{}, {}, kTooLong};
  Reading reading;
  const auto began = cpu_time();
  const auto read = read_file_at(*process, "numa_maps", reading.text);
  reading.took = cpu_time() - began;
  if (!read) reading.missing_reason = kRefused;
  return reading;
}

}  // namespace

struct NumaMapsReader::State {
  struct Entry {
    Answer answer{{}, kNotYet};
    Clock::time_point due;  // Not to be read before.
    bool queued = false;
    int too_long = 0;  // Reads in a row that were.
    bool left_alone = false;
    bool asked = true;
  };

  Roots roots;
  NumaMapsOptions options;
  std::mutex mutex;
  std::map<VmId, Entry> entries;
  std::deque<VmId> queue;
  bool reading = false;  // There is a thread.

  void take_in(const VmId& process, const Reading& read);
};

NumaMapsReader::NumaMapsReader(Roots roots, NumaMapsOptions options)
    : state_(std::make_shared<State>()) {
  state_->roots = std::move(roots);
  state_->options = std::move(options);
}

// The thread ends by itself, after the process it has in hand.
NumaMapsReader::~NumaMapsReader() {
  const std::lock_guard lock(state_->mutex);
  state_->queue.clear();
}

NumaMapsReader::Answer NumaMapsReader::of(const VmId& process) {
  const std::lock_guard lock(state_->mutex);
  const auto now = state_->options.now();
  auto& entry = state_->entries.try_emplace(process, State::Entry{.due = now})
                    .first->second;
  entry.asked = true;
  if (!entry.queued && !entry.left_alone && now >= entry.due) {
    entry.queued = true;
    state_->queue.push_back(process);
  }
  if (!state_->queue.empty() && !state_->reading) {
    try {
      std::thread(read_due, state_).detach();
      state_->reading = true;
    } catch (const std::system_error&) {
      // No thread to be had now; the queue is there at the next scrape.
    }
  }
  return entry.answer;
}

void NumaMapsReader::forget_unasked() {
  const std::lock_guard lock(state_->mutex);
  std::erase_if(state_->entries, [](const auto& item) {
    return !item.second.asked && !item.second.queued;
  });
  for (auto& [process, entry] : state_->entries) entry.asked = false;
}

void NumaMapsReader::read_due(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (!state->queue.empty()) {
    const VmId process = state->queue.front();
    state->queue.pop_front();
    lock.unlock();
    const auto reading =
        read_maps(state->roots.proc + "/" + std::to_string(process.first),
                  process.second, state->options.longest);
    lock.lock();
    state->take_in(process, reading);
  }
  state->reading = false;
}

void NumaMapsReader::State::take_in(const VmId& process, const Reading& read) {
  Entry& entry = entries[process];
  entry.queued = false;
  entry.due = options.now() + options.period;
  entry.too_long = read.took > options.longest ? entry.too_long + 1 : 0;
  entry.left_alone = entry.too_long >= kTooLongInARow;
  entry.answer = {{}, read.missing_reason};
  if (entry.left_alone) {
    entry.answer.missing_reason = kTooLong;
  } else if (read.missing_reason.empty()) {
    const auto huge = parse_as(Result<std::string_view>(read.text), "numa_maps",
                               parse_huge_numa_maps);
    if (huge && is_whole(read.text)) {
      entry.answer.huge = *huge;
    } else {
      entry.answer.missing_reason = kGarbled;
    }
  }
}

}  // namespace vcpu

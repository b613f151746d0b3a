// SPDX-License-Identifier: Apache-2.0
#include "collectors/numa_maps_reader.h"

#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "collectors/base/file.h"
#include "collectors/kernel/numa_maps.h"

namespace vcpu {
namespace {

using Clock = NumaMapsOptions::Clock;

constexpr std::string_view kNotYet =
    "where a VM's huge pages lie is being read";
constexpr std::string_view kRefused =
    "a VM's numa_maps cannot be read; start the exporter as root, or with "
    "CAP_SYS_PTRACE";
constexpr std::string_view kGarbled = "a VM's numa_maps cannot be understood";
constexpr std::string_view kTooLong =
    "to read a VM's numa_maps takes too long, it is left alone";

constexpr int kTooLongInARow = 2;

// Not the time of a wall: to have lost the CPU meanwhile is not the VM's fault.
std::chrono::nanoseconds cpu_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) +
         std::chrono::nanoseconds(time.tv_nsec);
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

  void take_in(const VmId& process, const Result<std::string>& text,
               std::chrono::nanoseconds took);
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
    const auto began = cpu_time();
    const auto text = read_file(state->roots.proc + "/" +
                                std::to_string(process.first) + "/numa_maps");
    const auto took = cpu_time() - began;
    lock.lock();
    state->take_in(process, text, took);
  }
  state->reading = false;
}

void NumaMapsReader::State::take_in(const VmId& process,
                                    const Result<std::string>& text,
                                    std::chrono::nanoseconds took) {
  Entry& entry = entries[process];
  entry.queued = false;
  entry.due = options.now() + options.period;
  entry.too_long = took > options.longest ? entry.too_long + 1 : 0;
  entry.left_alone = entry.too_long >= kTooLongInARow;
  entry.answer = {};
  if (entry.left_alone) {
    entry.answer.missing_reason = kTooLong;
  } else if (!text) {
    entry.answer.missing_reason = kRefused;
  } else if (const auto huge = parse_huge_numa_maps(*text);
             huge && is_whole(*text)) {
    entry.answer.huge = *huge;
  } else {
    entry.answer.missing_reason = kGarbled;
  }
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/command_lines.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/label_text.h"

namespace vcpu {
namespace {

// A VM's is some ten thousand bytes; anybody may make his own as long as he
// likes.
constexpr std::size_t kMaxBytes = std::size_t{256} << 10;

// One text at a time: taken apart, it may need a hundred times its room.
CommandLines::Found understand(std::string_view text) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  auto vm = identify_vmm(split_command_line(text));
  if (!vm) return {!text.empty(), std::nullopt};
  for (std::string* part :
       {&vm->name, &vm->uuid, &vm->accel, &vm->machine, &vm->proxmox_vmid})
    *part = label_text(*part);
  return {true, std::move(vm)};
}

}  // namespace

struct CommandLines::State {
  Reader reader;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<Key> queue;
  std::set<Key> awaited;  // Queued, or in the hands of a reader.
  std::map<Key, Found> known;
  std::string problem;  // Since the last request.
  int readers = 0;
};

CommandLines::CommandLines(const Roots& roots)
    : CommandLines([proc = roots.proc](pid_t pid) {
        return read_file(proc + "/" + std::to_string(pid) + "/cmdline",
                         kMaxBytes);
      }) {}

CommandLines::CommandLines(Reader reader) : state_(std::make_shared<State>()) {
  state_->reader = std::move(reader);
}

void CommandLines::read_queued(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (!state->queue.empty()) {
    const Key key = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    const auto text = state->reader(key.pid);
    auto found = understand(text ? *text : std::string_view());
    lock.lock();
    if (!text && !is_gone(text.error()))
      state->problem = text.error().message();
    // Not kept: what was forgotten meanwhile, which nobody would clean up, and
    // the empty text of a process in the middle of its exec, to be read again.
    if (state->awaited.erase(key) != 0 && found.read)
      state->known.emplace(key, std::move(found));
    state->changed.notify_all();
  }
  --state->readers;
}

// One per process that waits: none is held up by another that hangs.
void CommandLines::start_readers() {
  const auto idle = static_cast<std::size_t>(kMaxReaders - state_->readers);
  const std::size_t wanted = std::min(state_->queue.size(), idle);
  try {
    for (std::size_t i = 0; i < wanted; ++i) {
      std::thread(read_queued, state_).detach();
      ++state_->readers;
    }
  } catch (const std::system_error&) {
    // No thread to be had now; the queue is there at the next scrape.
  }
}

void CommandLines::request(const std::vector<Key>& keys,
                           std::chrono::milliseconds patience) {
  std::unique_lock lock(state_->mutex);
  const std::set<Key> wanted(keys.begin(), keys.end());
  std::erase_if(state_->known,
                [&](const auto& item) { return !wanted.contains(item.first); });
  std::erase_if(state_->awaited,
                [&](const Key& key) { return !wanted.contains(key); });
  std::erase_if(state_->queue,
                [&](const Key& key) { return !wanted.contains(key); });

  state_->problem.clear();
  std::vector<Key> fresh;
  for (const Key& key : wanted) {
    if (state_->known.contains(key) || state_->awaited.contains(key)) continue;
    state_->awaited.insert(key);
    state_->queue.push_back(key);
    fresh.push_back(key);
  }
  start_readers();
  state_->changed.wait_for(lock, patience, [&] {
    return std::all_of(fresh.begin(), fresh.end(), [&](const Key& key) {
      return !state_->awaited.contains(key);
    });
  });
}

CommandLines::Found CommandLines::find(const Key& key) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->known.find(key);
  return found == state_->known.end() ? Found{} : found->second;
}

std::size_t CommandLines::pending() const {
  const std::lock_guard lock(state_->mutex);
  return state_->awaited.size();
}

std::string CommandLines::problem() const {
  const std::lock_guard lock(state_->mutex);
  return state_->problem;
}

}  // namespace vcpu

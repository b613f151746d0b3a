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
#include <tuple>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/label_text.h"
#include "collectors/inventory/vm_limits.h"
#include "collectors/kernel/task_status.h"

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

// Whose turn it is: system users come before all others.
struct User {
  bool ordinary = true;
  std::optional<uid_t> uid;

  bool operator<(const User& other) const {
    return std::tie(ordinary, uid) < std::tie(other.ordinary, other.uid);
  }
};

User user_of(std::optional<uid_t> uid) {
  return {!uid || !is_system_user(*uid), uid};
}

}  // namespace

struct CommandLines::Waiting {
  Key key;
  User user;
};

struct CommandLines::State {
  Reader reader;
  OwnerOf owner_of;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::map<User, std::deque<Key>> queues;  // None of them is empty.
  std::set<Key> awaited;  // Queued, or in the hands of a reader.
  std::map<Key, Found> known;
  std::string problem;          // Since the last request.
  std::map<User, int> readers;  // By whom they read.
  int all_readers = 0;
  int ordinary_readers = 0;

  bool may_read(const User& user) const;
  void count_reader(const User& user, int change);
};

bool CommandLines::State::may_read(const User& user) const {
  if (all_readers >= kMaxReaders) return false;
  if (!user.ordinary) return true;
  const auto own = readers.find(user);
  return ordinary_readers < kOrdinaryReaders &&
         (own == readers.end() || own->second < kUserReaders);
}

void CommandLines::State::count_reader(const User& user, int change) {
  all_readers += change;
  if (user.ordinary) ordinary_readers += change;
  if ((readers[user] += change) == 0) readers.erase(user);
}

CommandLines::CommandLines(const Roots& roots)
    : CommandLines(
          [proc = roots.proc](pid_t pid) {
            return read_file(proc + "/" + std::to_string(pid) + "/cmdline",
                             kMaxBytes);
          },
          [proc = roots.proc](pid_t pid) -> std::optional<uid_t> {
            const auto status =
                read_file(proc + "/" + std::to_string(pid) + "/status");
            return status ? real_uid(*status) : std::nullopt;
          }) {}

CommandLines::CommandLines(Reader reader, OwnerOf owner_of)
    : state_(std::make_shared<State>()) {
  state_->reader = std::move(reader);
  state_->owner_of = std::move(owner_of);
}

// Counted as being read from now on.
std::optional<CommandLines::Waiting> CommandLines::take_next(State& state) {
  for (auto queue = state.queues.begin(); queue != state.queues.end();
       ++queue) {
    auto& [user, keys] = *queue;
    if (!state.may_read(user)) continue;
    Waiting next{std::move(keys.front()), user};
    keys.pop_front();
    if (keys.empty()) state.queues.erase(queue);
    state.count_reader(next.user, 1);
    return next;
  }
  return std::nullopt;
}

void CommandLines::read(const std::shared_ptr<State>& state,
                        const Waiting& one) {
  const auto text = state->reader(one.key.pid);
  auto found = understand(text ? *text : std::string_view());
  const std::lock_guard lock(state->mutex);
  state->count_reader(one.user, -1);
  if (!text && !is_gone(text.error())) state->problem = text.error().message();
  // Not kept: what was forgotten meanwhile, which nobody would clean up, and
  // the empty text of a process in the middle of its exec, to be read again.
  if (state->awaited.erase(one.key) != 0 && found.read)
    state->known.emplace(one.key, std::move(found));
  state->changed.notify_all();
}

void CommandLines::read_queued(const std::shared_ptr<State>& state,
                               Waiting first) {
  for (std::optional<Waiting> next = std::move(first); next;) {
    read(state, *next);
    const std::lock_guard lock(state->mutex);
    next = take_next(*state);
  }
}

// One per process that waits: none is held up by another that hangs.
void CommandLines::start_readers() {
  while (auto next = take_next(*state_)) {
    try {
      std::thread(read_queued, state_, *next).detach();
    } catch (const std::system_error&) {
      // No thread to be had now; the queue is there at the next scrape.
      state_->count_reader(next->user, -1);
      state_->queues[next->user].push_front(std::move(next->key));
      return;
    }
  }
}

void CommandLines::forget_all_but(const std::set<Key>& wanted) {
  const auto unwanted = [&](const Key& key) { return !wanted.contains(key); };
  std::erase_if(state_->known,
                [&](const auto& item) { return unwanted(item.first); });
  std::erase_if(state_->awaited, unwanted);
  for (auto& [user, queue] : state_->queues) std::erase_if(queue, unwanted);
  std::erase_if(state_->queues,
                [](const auto& item) { return item.second.empty(); });
}

void CommandLines::request(const std::vector<Key>& keys,
                           std::chrono::milliseconds patience) {
  std::unique_lock lock(state_->mutex);
  const std::set<Key> wanted(keys.begin(), keys.end());
  forget_all_but(wanted);

  state_->problem.clear();
  std::vector<Key> fresh;
  for (const Key& key : wanted) {
    if (state_->known.contains(key) || state_->awaited.contains(key)) continue;
    state_->awaited.insert(key);
    state_->queues[user_of(state_->owner_of(key.pid))].push_back(key);
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

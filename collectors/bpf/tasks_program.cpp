// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/tasks_program.h"

#ifdef VCPU_HAVE_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "collectors/bpf/iterator.h"
#include "collectors/bpf/load_log.h"
#include "collectors/bpf/told_pids.h"
#include "tasks.skel.h"

namespace vcpu {
namespace {

constexpr int kBitsPerWord = 64;

struct DestroySkeleton {
  void operator()(tasks_bpf* skeleton) const { tasks_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<tasks_bpf, DestroySkeleton>;

__u32 mask_words() {
  const int cpus = std::max(libbpf_num_possible_cpus(), 1);
  return static_cast<__u32>((cpus + kBitsPerWord - 1) / kBitsPerWord);
}

}  // namespace

struct TasksProgram::State {
  Skeleton skeleton;
  ToldPids chosen;
};

Result<TasksProgram> TasksProgram::open() {
  LoadLog log;
  Skeleton skeleton(tasks_bpf__open_opts(log.options()));
  if (!skeleton) return log.error(-errno);
  skeleton->rodata->mask_words = mask_words();
  int error = tasks_bpf__load(skeleton.get());
  if (error == 0) error = tasks_bpf__attach(skeleton.get());
  if (error != 0) return log.error(error);
  auto chosen = ToldPids::open(skeleton->maps.told_pids);
  if (!chosen) return chosen.error();
  TasksProgram program(
      std::make_unique<State>(State{std::move(skeleton), *std::move(chosen)}));
  if (const auto first = program.read(); !first) return first.error();
  return program;
}

void TasksProgram::choose(const std::vector<pid_t>& pids) {
  state_->chosen.set(pids);
}

bool TasksProgram::is_chosen(pid_t pid) const {
  return state_->chosen.contains(pid);
}

Result<void> TasksProgram::read() {
  auto done = last_.read(bpf_link__fd(state_->skeleton->links.read_tasks));
  if (done) ++passes_;
  return done;
}

bool TasksProgram::join(int program_fd) {
  const __u32 place = 0;
  const int map = bpf_map__fd(state_->skeleton->maps.joined);
  return bpf_map_update_elem(map, &place, &program_fd, BPF_ANY) == 0;
}

void TasksProgram::leave() {
  const __u32 place = 0;
  (void)bpf_map_delete_elem(bpf_map__fd(state_->skeleton->maps.joined), &place);
}

}  // namespace vcpu

#else

namespace vcpu {

struct TasksProgram::State {};

Result<TasksProgram> TasksProgram::open() {
  return failed("this program was built without eBPF");
}

void TasksProgram::choose(const std::vector<pid_t>& /*pids*/) {}

bool TasksProgram::is_chosen(pid_t /*pid*/) const { return false; }

Result<void> TasksProgram::read() {
  return failed("this program was built without eBPF");
}

bool TasksProgram::join(int /*program_fd*/) { return false; }

void TasksProgram::leave() {}

}  // namespace vcpu

#endif

namespace vcpu {

TasksProgram::TasksProgram(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
TasksProgram::~TasksProgram() = default;
TasksProgram::TasksProgram(TasksProgram&&) noexcept = default;
TasksProgram& TasksProgram::operator=(TasksProgram&&) noexcept = default;

}  // namespace vcpu

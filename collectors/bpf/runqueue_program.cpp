// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/runqueue_program.h"

#include <algorithm>

#ifdef VCPU_HAVE_BPF

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "collectors/bpf/iterator.h"
#include "collectors/bpf/load_log.h"
#include "collectors/bpf/told_pids.h"
#include "runqueue.skel.h"

namespace vcpu {
namespace {

std::uint64_t since_boot_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

struct DestroySkeleton {
  void operator()(runqueue_bpf* skeleton) const {
    runqueue_bpf__destroy(skeleton);
  }
};
using Skeleton = std::unique_ptr<runqueue_bpf, DestroySkeleton>;

// Null where it fails; `error` says why.
Skeleton load(bool with_culprits, bool with_quota, const LoadLog& log,
              int& error) {
  Skeleton skeleton(runqueue_bpf__open_opts(log.options()));
  if (!skeleton) {
    error = -errno;
    return nullptr;
  }
  skeleton->rodata->with_culprits = with_culprits ? 1 : 0;
  skeleton->rodata->attached_at = since_boot_ns();
  const int cpus = with_culprits ? libbpf_num_possible_cpus() : 1;
  bpf_map__set_max_entries(skeleton->maps.cpus,
                           static_cast<__u32>(std::max(cpus, 1)));
  bpf_program__set_autoload(skeleton->progs.on_migrate, with_culprits);
  bpf_program__set_autoload(skeleton->progs.before_unthrottle, with_quota);
  bpf_program__set_autoload(skeleton->progs.after_unthrottle, with_quota);
  error = runqueue_bpf__load(skeleton.get());
  if (error == 0) error = runqueue_bpf__attach(skeleton.get());
  if (error != 0) return nullptr;
  return skeleton;
}

}  // namespace

struct RunqueueProgram::State {
  Skeleton skeleton;
  ToldPids told;
  std::shared_ptr<TasksProgram> tasks = {};  // Joined; null: none.
  std::uint64_t passes_before = 0;           // Of them, when one was expected.
  bool expected = false;
  std::vector<char> buffer = {};

  void want(bool accounts) const {
    skeleton->bss->accounts_wanted = accounts ? 1 : 0;
  }
  bool was_brought() const {
    return expected && tasks->passes() != passes_before;
  }
  Result<std::string_view> pass() {
    want(true);
    auto records =
        read_iterator(bpf_link__fd(skeleton->links.read_accounts), buffer);
    want(false);
    return records;
  }
};

Result<RunqueueProgram> RunqueueProgram::open(
    bool with_culprits, std::shared_ptr<TasksProgram> tasks) {
  const LoadLog first_log;
  const LoadLog log;
  int error = 0;
  std::string quota_reason;
  Skeleton skeleton = load(with_culprits, with_culprits, first_log, error);
  if (!skeleton && with_culprits) {
    quota_reason =
        "the kernel does not let eBPF see unthrottle_cfs_rq; such time is "
        "charged to whoever had the CPU";
    skeleton = load(with_culprits, false, log, error);
  }
  if (!skeleton) return log.error(error);
  auto told = ToldPids::open(skeleton->maps.told_pids);
  if (!told) return told.error();
  RunqueueProgram program(
      std::make_unique<State>(State{std::move(skeleton), *std::move(told)}));
  // Opens the accounts of the vCPUs that run already.
  if (const auto first = program.read(); !first) return first.error();
  State& state = *program.state_;
  if (state.skeleton->bss->throttles_tasks == 0)
    program.quota_reason_ = std::move(quota_reason);
  const int joining = bpf_program__fd(state.skeleton->progs.read_accounts);
  if (tasks && tasks->join(joining)) state.tasks = std::move(tasks);
  return program;
}

void RunqueueProgram::tell(const std::vector<pid_t>& pids) {
  if (state_->told.set(pids)) state_->expected = false;
}

void RunqueueProgram::expect() {
  if (!state_->tasks) return;
  state_->expected = true;
  state_->passes_before = state_->tasks->passes();
  state_->want(true);
}

Result<AccountRecords> RunqueueProgram::read() {
  state_->want(false);
  const auto all = state_->was_brought()
                       ? Result<std::string_view>(state_->tasks->last())
                       : state_->pass();
  state_->expected = false;
  if (!all) return all.error();
  AccountRecords records;
  constexpr std::size_t kHead = offsetof(account_record, account.culprits);
  const bool whole =
      for_each_record(*all, ACCOUNT_RECORD, [&](std::string_view bytes) {
        const auto& record =
            *reinterpret_cast<const account_record*>(bytes.data());
        if (bytes.size() >= kHead &&
            bytes.size() >=
                kHead + record.account.named * sizeof(named_culprit))
          records.add(record);
      });
  if (!whole) return malformed("an account of a vCPU");
  records.sort();
  return records;
}

RunqueueProgram::~RunqueueProgram() {
  if (state_ && state_->tasks) state_->tasks->leave();
}

}  // namespace vcpu

#else

namespace vcpu {

struct RunqueueProgram::State {};

Result<RunqueueProgram> RunqueueProgram::open(
    bool /*with_culprits*/, std::shared_ptr<TasksProgram> /*tasks*/) {
  return failed("this program was built without eBPF");
}

void RunqueueProgram::tell(const std::vector<pid_t>& /*pids*/) {}

void RunqueueProgram::expect() {}

Result<AccountRecords> RunqueueProgram::read() {
  return failed("this program was built without eBPF");
}

RunqueueProgram::~RunqueueProgram() = default;

}  // namespace vcpu

#endif

namespace vcpu {

void AccountRecords::sort() {
  // As the kernel brings them; by /proc's ids within a namespace they may not.
  if (!std::is_sorted(records_.begin(), records_.end()))
    std::sort(records_.begin(), records_.end());
}

const account_record* AccountRecords::find(pid_t tid) {
  const auto wanted = static_cast<__u32>(tid);
  if (next_ == records_.size() || records_[next_].first != wanted) {
    const auto found = std::partition_point(
        records_.begin(), records_.end(),
        [&](const auto& record) { return record.first < wanted; });
    next_ = static_cast<std::size_t>(found - records_.begin());
  }
  if (next_ == records_.size() || records_[next_].first != wanted)
    return nullptr;
  return records_[next_++].second;
}

RunqueueProgram::RunqueueProgram(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
RunqueueProgram::RunqueueProgram(RunqueueProgram&&) noexcept = default;
RunqueueProgram& RunqueueProgram::operator=(RunqueueProgram&&) noexcept =
    default;

}  // namespace vcpu

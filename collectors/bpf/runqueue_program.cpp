// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/runqueue_program.h"

#include <algorithm>
#include <cstddef>

#ifdef VCPU_HAVE_BPF

#include <bpf/libbpf.h>

#include <cerrno>
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
  bool news_are_enough = false;  // All that was brought before was taken.
  bool of_all = true;            // The last pass.
  IteratorPass own_pass = {};

  // Until they are taken they may be lost. Where many have an account by their
  // name alone, all are looked at, so that who has ended makes room.
  void begin_pass() {
    const bool crowded = skeleton->bss->untold_accounts > UNTOLD_ACCOUNTS / 2;
    of_all = !news_are_enough || crowded;
    news_are_enough = false;
    skeleton->bss->untold_found = 0;
    skeleton->bss->accounts_wanted = of_all ? ALL_ACCOUNTS : NEW_ACCOUNTS;
  }
  void end_pass() const { skeleton->bss->accounts_wanted = NO_ACCOUNTS; }
  void count_untold() const {
    if (of_all) skeleton->bss->untold_accounts = skeleton->bss->untold_found;
  }
  bool was_brought() const {
    return expected && tasks->passes() == passes_before + 1;
  }
  Result<void> pass() {
    begin_pass();
    auto done = own_pass.read(bpf_link__fd(skeleton->links.read_accounts));
    end_pass();
    return done;
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
  State& state = *program.state_;
  // Opens the accounts of the vCPUs that run already.
  state.skeleton->bss->opens_by_name = 1;
  if (const auto first = program.read(); !first) return first.error();
  state.skeleton->bss->opens_by_name = 0;
  if (state.skeleton->bss->throttles_tasks == 0)
    program.quota_reason_ = std::move(quota_reason);
  const int joining = bpf_program__fd(state.skeleton->progs.read_accounts);
  if (tasks && tasks->join(joining)) state.tasks = std::move(tasks);
  return program;
}

void RunqueueProgram::tell(const std::vector<pid_t>& pids) {
  if (!state_->told.set(pids)) return;
  state_->expected = false;
  state_->news_are_enough = false;
}

void RunqueueProgram::expect() {
  if (!state_->tasks) return;
  state_->expected = true;
  state_->passes_before = state_->tasks->passes();
  state_->begin_pass();
}

Result<AccountRecords> RunqueueProgram::read() {
  state_->end_pass();
  const bool brought = state_->was_brought();
  state_->expected = false;
  if (!brought)
    if (auto done = state_->pass(); !done) return done.error();
  state_->count_untold();
  const IteratorPass& pass = brought ? state_->tasks->last() : state_->own_pass;
  if (!pass.whole()) return malformed("an account of a vCPU");
  AccountRecords records;
  pass.each(ACCOUNT_RECORD, [&](const record_head& head, std::string_view at) {
    records.add(head.tid, at);
  });
  records.sort();
  return records;
}

void RunqueueProgram::taken() { state_->news_are_enough = true; }

std::size_t RunqueueProgram::untold() const {
  return state_->skeleton->bss->untold_accounts;
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

void RunqueueProgram::taken() {}

std::size_t RunqueueProgram::untold() const { return 0; }

RunqueueProgram::~RunqueueProgram() = default;

}  // namespace vcpu

#endif

namespace vcpu {
namespace {

// Null where there is less of it than it says.
const account_record* whole(std::string_view bytes) {
  constexpr std::size_t kHead = offsetof(account_record, account.culprits);
  if (bytes.size() < kHead) return nullptr;
  const auto* const record =
      reinterpret_cast<const account_record*>(bytes.data());
  const std::size_t named = record->account.named;
  return bytes.size() < kHead + named * sizeof(named_culprit) ? nullptr
                                                              : record;
}

}  // namespace

void AccountRecords::sort() {
  const auto by_tid = [](const Record& a, const Record& b) {
    return a.tid < b.tid;
  };
  // As the kernel brings them; by /proc's ids within a namespace they may not.
  if (!std::is_sorted(records_.begin(), records_.end(), by_tid))
    std::sort(records_.begin(), records_.end(), by_tid);
}

const account_record* AccountRecords::find(pid_t tid) {
  const auto wanted = static_cast<__u32>(tid);
  if (next_ == records_.size() || records_[next_].tid != wanted) {
    const auto found = std::partition_point(
        records_.begin(), records_.end(),
        [&](const Record& record) { return record.tid < wanted; });
    next_ = static_cast<std::size_t>(found - records_.begin());
  }
  if (next_ == records_.size() || records_[next_].tid != wanted) return nullptr;
  return whole(records_[next_++].bytes);
}

RunqueueProgram::RunqueueProgram(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
RunqueueProgram::RunqueueProgram(RunqueueProgram&&) noexcept = default;
RunqueueProgram& RunqueueProgram::operator=(RunqueueProgram&&) noexcept =
    default;

}  // namespace vcpu

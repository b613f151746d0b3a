// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/runqueue_program.h"

#ifdef VCPU_HAVE_BPF

#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "collectors/bpf/iterator.h"
#include "runqueue.skel.h"

namespace vcpu {
namespace {

constexpr std::size_t kBitsPerWord = 64;

Error why(int error) {
  if (error == -EPERM)
    return failed("not allowed: needs CAP_BPF and CAP_PERFMON at the start");
  if (error == -EACCES || error == -EINVAL)
    return failed("this kernel's verifier refuses the eBPF programs");
  if (error == -ENOENT || error == -ESRCH)
    return failed("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
  return {std::error_code(-error, std::generic_category()),
          "eBPF cannot be loaded"};
}

std::uint64_t since_boot_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

int silent(libbpf_print_level /*level*/, const char* /*format*/,
           va_list /*arguments*/) {
  return 0;
}

struct DestroySkeleton {
  void operator()(runqueue_bpf* skeleton) const {
    runqueue_bpf__destroy(skeleton);
  }
};
using Skeleton = std::unique_ptr<runqueue_bpf, DestroySkeleton>;

// Null where it fails; `error` says why.
Skeleton load(bool with_culprits, bool with_quota, int& error) {
  Skeleton skeleton(runqueue_bpf__open());
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
  State(Skeleton a_skeleton, void* bits)
      : skeleton(std::move(a_skeleton)),
        told(static_cast<volatile __u64*>(bits)) {}
  ~State() { ::munmap(const_cast<__u64*>(told), told_bytes()); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::size_t told_words() const {
    return bpf_map__max_entries(skeleton->maps.told);
  }
  std::size_t told_bytes() const { return told_words() * sizeof(__u64); }
  void set(pid_t pid, bool on) const {
    const auto bit = static_cast<std::size_t>(pid);
    if (pid < 0 || bit / kBitsPerWord >= told_words()) return;
    const __u64 mask = __u64{1} << (bit % kBitsPerWord);
    const __u64 word = told[bit / kBitsPerWord];
    told[bit / kBitsPerWord] = on ? word | mask : word & ~mask;
  }

  Skeleton skeleton;
  volatile __u64* told;
  std::vector<pid_t> pids;
  std::string buffer;
};

Result<RunqueueProgram> RunqueueProgram::open(bool with_culprits) {
  libbpf_set_print(silent);
  int error = 0;
  std::string quota_reason;
  Skeleton skeleton = load(with_culprits, with_culprits, error);
  if (!skeleton && with_culprits) {
    quota_reason =
        "the kernel does not let eBPF see unthrottle_cfs_rq; such time is "
        "charged to whoever had the CPU";
    skeleton = load(with_culprits, false, error);
  }
  if (!skeleton) return why(error);
  const std::size_t bytes =
      bpf_map__max_entries(skeleton->maps.told) * sizeof(__u64);
  void* const bits = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                            bpf_map__fd(skeleton->maps.told), 0);
  if (bits == MAP_FAILED) return why(-errno);
  RunqueueProgram program(std::make_unique<State>(std::move(skeleton), bits));
  program.quota_reason_ = std::move(quota_reason);
  // Opens the accounts of the vCPUs that run already.
  if (const auto first = program.read(); !first) return first.error();
  return program;
}

void RunqueueProgram::tell(const std::vector<pid_t>& pids) {
  for (const pid_t pid : state_->pids) state_->set(pid, false);
  for (const pid_t pid : pids) state_->set(pid, true);
  state_->pids = pids;
}

Result<std::map<pid_t, account_record>> RunqueueProgram::read() {
  const int link = bpf_link__fd(state_->skeleton->links.read_accounts);
  if (const auto all = read_iterator(link, state_->buffer); !all)
    return all.error();
  std::map<pid_t, account_record> records;
  std::string_view rest = state_->buffer;
  constexpr std::size_t kHead = offsetof(account_record, account.culprits);
  while (rest.size() >= kHead) {
    account_record record{};
    std::memcpy(&record, rest.data(), kHead);
    const std::size_t size =
        kHead + std::min<std::size_t>(record.account.named, NAMED_CULPRITS) *
                    sizeof(named_culprit);
    if (size > rest.size()) return malformed("an account of a vCPU");
    std::memcpy(&record, rest.data(), size);
    rest.remove_prefix(size);
    records.emplace(static_cast<pid_t>(record.tid), record);
  }
  return records;
}

}  // namespace vcpu

#else

namespace vcpu {

struct RunqueueProgram::State {};

Result<RunqueueProgram> RunqueueProgram::open(bool /*with_culprits*/) {
  return failed("this program was built without eBPF");
}

void RunqueueProgram::tell(const std::vector<pid_t>& /*pids*/) {}

Result<std::map<pid_t, account_record>> RunqueueProgram::read() {
  return failed("this program was built without eBPF");
}

}  // namespace vcpu

#endif

namespace vcpu {

RunqueueProgram::RunqueueProgram(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
RunqueueProgram::~RunqueueProgram() = default;
RunqueueProgram::RunqueueProgram(RunqueueProgram&&) noexcept = default;
RunqueueProgram& RunqueueProgram::operator=(RunqueueProgram&&) noexcept =
    default;

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "exporter/seccomp_filter.h"

namespace vcpu {
namespace {

constexpr const char* kSwitchedOff = "switched off (--no-seccomp)";

}  // namespace
}  // namespace vcpu

#ifdef VCPU_HAVE_SECCOMP

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <string_view>
#include <system_error>
#include <vector>

#include "collectors/libvirt/child_process.h"

namespace vcpu {
namespace {

// By name, as not every machine has all: where there is openat(2) alone, open
// is none. Each with those that a C library may take in its place.
constexpr std::array kAllowed{
    // Memory and threads.
    "brk", "mremap", "munmap", "madvise", "membarrier", "futex",
    "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
    "arch_prctl", "gettid", "sched_yield", "sched_getaffinity",
    "sched_getparam", "sched_getscheduler", "getcpu", "exit", "exit_group",
    "getrandom",
    // Files: to read and to write, and what is asked of them.
    "read", "readv", "pread64", "preadv", "write", "writev", "close",
    "close_range", "lseek", "dup", "dup2", "dup3", "fcntl", "flock",
    "getdents64", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs",
    "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getcwd", "umask", "pipe", "pipe2", "eventfd2", "fadvise64",
    // Signals, and the end of children.
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "rt_sigpending", "rt_sigsuspend", "sigaltstack", "kill", "tkill", "tgkill",
    "restart_syscall", "wait4", "waitid", "vfork", "setpgid", "getpgid",
    "getpgrp",
    // Waiting, and the time.
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "nanosleep", "clock_nanosleep",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times",
    "timerfd_create", "timerfd_settime", "timerfd_gettime",
    // Sockets.
    "bind", "listen", "accept", "accept4", "connect", "shutdown", "sendto",
    "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "setsockopt",
    "getsockopt", "getsockname", "getpeername",
    // Who and where we are.
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
    "getresgid", "getgroups", "getsid", "uname", "sysinfo", "getrlimit",
    "getrusage", "prlimit64", "capget",
    // Gives up only, and has nothing left to.
    "capset"};

// Nobody's mistake.
constexpr std::array kFatal{
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
    "pidfd_getfd", "kcmp",
    // The kernel.
    "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "syslog", "iopl", "ioperm", "acct", "swapon",
    "swapoff", "userfaultfd", "io_uring_setup",
    // What there is to be seen.
    "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "unshare",
    "setns", "open_by_handle_at",
    // Keys, clocks, names.
    "keyctl", "add_key", "request_key", "clock_settime", "settimeofday",
    "clock_adjtime", "adjtimex", "sethostname", "setdomainname"};

using Condition = scmp_arg_cmp;

template <typename Value>
constexpr Condition is(unsigned argument, Value value) {
  return {argument, SCMP_CMP_EQ, static_cast<std::uint64_t>(value), 0};
}

// Of the bits of `mask` those of `value`, and no other.
constexpr Condition bits(unsigned argument, std::uint64_t mask,
                         std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

class Rules {
 public:
  Rules() : filter_(::seccomp_init(SCMP_ACT_ERRNO(EPERM)), ::seccomp_release) {
    if (!filter_) problem_ = -ENOMEM;
    // Sorted: the rare call that is none of the kernel's own cache of those
    // always allowed is found in ten steps, not in a hundred. libseccomp before
    // 2.5 cannot, which is no fault.
    if (filter_) ::seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  }

  void add(std::uint32_t action, int call,
           const std::vector<Condition>& conditions) {
    if (problem_ != 0 || call < 0) return;  // None of this machine's.
    problem_ = ::seccomp_rule_add_array(
        filter_.get(), action, call, static_cast<unsigned>(conditions.size()),
        conditions.data());
  }

  void add(std::uint32_t action, const char* name,
           const std::vector<Condition>& conditions = {}) {
    add(action, ::seccomp_syscall_resolve_name(name), conditions);
  }

  void allow(const char* name, const std::vector<Condition>& conditions = {}) {
    add(SCMP_ACT_ALLOW, name, conditions);
  }

  // 0, or a negative errno.
  int load() const {
    return problem_ != 0 ? problem_ : ::seccomp_load(filter_.get());
  }

 private:
  void set(scmp_filter_attr attribute, std::uint32_t value) {
    if (problem_ == 0)
      problem_ = ::seccomp_attr_set(filter_.get(), attribute, value);
  }

  std::unique_ptr<void, decltype(&::seccomp_release)> filter_;
  int problem_ = 0;
};

// To read, or to write what is there: /dev/null of our children.
void allow_opening(Rules& rules) {
  constexpr std::uint64_t kMakesOrEmpties = O_CREAT | O_TRUNC;
  rules.allow("open", {bits(1, kMakesOrEmpties, 0)});
  rules.allow("openat", {bits(2, kMakesOrEmpties, 0)});
}

// As MemoryDenyWriteExecute= of systemd has it.
void allow_mapping(Rules& rules) {
  constexpr std::uint64_t kBoth = PROT_WRITE | PROT_EXEC;
  for (const int one : {0, PROT_WRITE, PROT_EXEC})
    rules.allow("mmap", {bits(2, kBoth, static_cast<std::uint64_t>(one))});
  rules.allow("mprotect", {bits(2, PROT_EXEC, 0)});
}

// Threads and children. The one program that may be run is told by where its
// path stands, among our constants; a child, whose memory is another, can run
// none.
void allow_starting(Rules& rules) {
  constexpr std::uint64_t kNamespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  rules.allow("clone", {bits(0, kNamespaces, 0)});
  rules.allow("execve", {is(0, reinterpret_cast<std::uintptr_t>(own_program))});
}

void allow_sockets(Rules& rules) {
  for (const auto family : {AF_UNIX, AF_INET, AF_INET6})
    rules.allow("socket", {is(0, family)});
  rules.allow("socketpair", {is(0, AF_UNIX)});
}

// What is done with programs and maps that are open; none is loaded.
void allow_reading_ebpf(Rules& rules) {
  for (const auto command :
       {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
        BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_BATCH, BPF_ITER_CREATE})
    rules.allow("bpf", {is(0, command)});
}

void allow_requests(Rules& rules, bool perf) {
  for (const auto request : {TCGETS, FIONREAD, FIONBIO, FIOCLEX})
    rules.allow("ioctl", {is(1, request)});
  for (const auto option :
       {PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG, PR_GET_PDEATHSIG,
        PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_GET_DUMPABLE,
        PR_GET_SECCOMP, PR_CAPBSET_READ})
    rules.allow("prctl", {is(0, option)});
  if (!perf) return;
  rules.allow("perf_event_open");
  rules.allow("ioctl", {is(1, PERF_EVENT_IOC_ENABLE)});
}

// A C library asks for what is new and falls back on what is old, but only
// where it hears that there is no such call.
void deny_existence(Rules& rules) {
  constexpr int kBeyond = 512;  // x86-64 has other calls from there on.
  const std::uint32_t none = SCMP_ACT_ERRNO(ENOSYS);
  for (const char* const call : {"clone3", "openat2"}) rules.add(none, call);
  for (int call = kBeyond - 1; call > 0; --call) {
    const std::unique_ptr<char, decltype(&::free)> name(
        ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call), ::free);
    if (name) return;
    rules.add(none, call, {});
  }
}

std::string loaded(const SeccompOptions& options) {
  Rules rules;
  for (const char* const call : kAllowed) rules.allow(call);
  for (const char* const call : kFatal) rules.add(SCMP_ACT_KILL_PROCESS, call);
  allow_opening(rules);
  allow_mapping(rules);
  allow_starting(rules);
  allow_sockets(rules);
  allow_reading_ebpf(rules);
  allow_requests(rules, options.perf);
  deny_existence(rules);
  const int problem = rules.load();
  if (problem == 0) return "";
  return "the kernel takes no filter of system calls (CONFIG_SECCOMP_FILTER), "
         "or another filter forbids it: " +
         std::generic_category().message(-problem);
}

}  // namespace

std::string load_seccomp_filter(const SeccompOptions& options) noexcept {
  if (!options.enabled) return kSwitchedOff;
  try {
    return loaded(options);
  } catch (const std::exception&) {
    return "out of memory";
  }
}

}  // namespace vcpu

#else

namespace vcpu {

std::string load_seccomp_filter(const SeccompOptions& options) noexcept {
  return options.enabled ? "this program was built without libseccomp"
                         : kSwitchedOff;
}

}  // namespace vcpu

#endif

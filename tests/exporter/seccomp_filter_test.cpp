// SPDX-License-Identifier: Apache-2.0
#include "exporter/seccomp_filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

#include "collectors/libvirt/child_process.h"

namespace vcpu {
namespace {

constexpr int kNoFilter = 254;

// What a call made under the filter comes to: 0, an errno, or -SIGNAL.
int under_filter(const std::function<long()>& call, bool perf = false) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    SeccompOptions options;
    options.perf = perf;
    if (!load_seccomp_filter(options).empty()) ::_exit(kNoFilter);
    errno = 0;
    ::_exit(call() < 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  return ::syscall(number, a, b, c, d);
}

class SeccompFilter : public testing::Test {
 protected:
  void SetUp() override {
    if (under_filter([] { return 0; }) == kNoFilter)
      GTEST_SKIP() << "no filter is to be had here";
  }
};

TEST_F(SeccompFilter, AllowsWhatServingTakes) {
  EXPECT_EQ(under_filter([] { return ::open("/proc/self/stat", O_RDONLY); }),
            0);
  EXPECT_EQ(under_filter([] { return ::open("/dev/null", O_WRONLY); }), 0);
  EXPECT_EQ(under_filter([] { return ::socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(under_filter([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(under_filter([] {
              std::thread([] {}).join();
              return 0;
            }),
            0);
}

TEST_F(SeccompFilter, OurOwnProgramAloneIsRun) {
  const auto spawns = [](const std::string& program) {
    return [program] {
      ChildProcess child;
      // Ends by itself: it is asked for its version.
      const auto spawned = child.spawn(program, {"vcpu_tests", "--help"});
      if (!spawned) errno = spawned.error().code.value();
      return spawned ? 0L : -1L;
    };
  };
  EXPECT_EQ(under_filter(spawns(own_program)), 0);
  EXPECT_EQ(under_filter(spawns("/bin/true")), EPERM);
  // The same name elsewhere in memory.
  EXPECT_EQ(under_filter([] {
              const std::string copy = own_program;
              return ::execl(copy.c_str(), "vcpu_tests", "--help", nullptr);
            }),
            EPERM);
}

TEST_F(SeccompFilter, RefusesWhatChangesAFile) {
  constexpr int kMode = 0600;
  EXPECT_EQ(under_filter([] {
              return ::open("/tmp/vcpu_seccomp", O_WRONLY | O_CREAT, kMode);
            }),
            EPERM);
  EXPECT_EQ(under_filter(
                [] { return ::open("/proc/self/comm", O_WRONLY | O_TRUNC); }),
            EPERM);
  EXPECT_EQ(under_filter([] { return ::unlink("/nonexistent"); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::mkdir("/nonexistent/x", kMode); }),
            EPERM);
  EXPECT_EQ(under_filter([] { return ::rename("/nonexistent", "/x"); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::memfd_create("x", 0); }), EPERM);
}

TEST_F(SeccompFilter, RefusesCodeThatIsWritten) {
  constexpr int kBytes = 4096;
  const auto maps = [](int protection) {
    return [protection] {
      return ::mmap(nullptr, kBytes, protection, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0) == MAP_FAILED
                 ? -1L
                 : 0L;
    };
  };
  EXPECT_EQ(under_filter(maps(PROT_READ | PROT_WRITE)), 0);
  EXPECT_EQ(under_filter(maps(PROT_READ | PROT_EXEC)), 0);
  EXPECT_EQ(under_filter(maps(PROT_WRITE | PROT_EXEC)), EPERM);
  EXPECT_EQ(under_filter([] {
              void* const page = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return ::mprotect(page, kBytes, PROT_READ | PROT_EXEC);
            }),
            EPERM);
}

TEST_F(SeccompFilter, RefusesOtherSocketsProgramsAndRequests) {
  EXPECT_EQ(under_filter([] { return ::socket(AF_NETLINK, SOCK_RAW, 0); }),
            EPERM);
  EXPECT_EQ(under_filter([] { return ::socket(AF_PACKET, SOCK_RAW, 0); }),
            EPERM);
  EXPECT_EQ(under_filter([] { return call(SYS_bpf, BPF_PROG_LOAD); }), EPERM);
  const char typed = 'x';
  EXPECT_EQ(under_filter([&] { return ::ioctl(0, TIOCSTI, &typed); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::prctl(PR_SET_DUMPABLE, 1); }), EPERM);
  EXPECT_EQ(under_filter([] { return call(SYS_clone, CLONE_NEWUSER); }), EPERM);
}

TEST_F(SeccompFilter, AllowsPerfEventsOnlyWhereTheyAreCounted) {
  const auto opens = [] { return call(SYS_perf_event_open, 0, 0, -1, -1); };
  EXPECT_EQ(under_filter(opens), EPERM);
  EXPECT_EQ(under_filter(opens, true), EINVAL);  // The kernel looked at it.
}

TEST_F(SeccompFilter, SaysOfNewerCallsThatThereAreNone) {
  constexpr long kOfTheFuture = 500;
  EXPECT_EQ(under_filter([] { return call(SYS_clone3); }), ENOSYS);
  EXPECT_EQ(under_filter([] { return call(kOfTheFuture); }), ENOSYS);
}

TEST_F(SeccompFilter, KillsWhoTriesWhatNobodyDoesByMistake) {
  for (const long number :
       {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount,
        SYS_init_module, SYS_finit_module, SYS_kexec_load, SYS_keyctl,
        SYS_unshare, SYS_setns, SYS_chroot, SYS_reboot, SYS_io_uring_setup})
    EXPECT_EQ(under_filter([number] { return call(number); }), -SIGSYS)
        << number;
}

TEST(SeccompFilterReason, SaysThatItIsSwitchedOff) {
  EXPECT_EQ(load_seccomp_filter({false, false}), "switched off (--no-seccomp)");
  EXPECT_EQ(::prctl(PR_GET_SECCOMP), 0);
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#ifdef VCPU_HAVE_BPF

#include "collectors/bpf/load_log.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

namespace vcpu {
namespace {

// Without BTF: tests/program/test_ebpf.py.
TEST(LoadLog, AHookThatIsMissingIsNotTakenForMissingBtf) {
  if (!std::filesystem::exists("/sys/kernel/btf/vmlinux"))
    GTEST_SKIP() << "no BTF";
  for (const int error : {-ENOENT, -ESRCH})
    EXPECT_EQ(LoadLog().error(error).message(),
              "this kernel has not all that the eBPF program hooks into");
}

TEST(LoadLog, AnythingElseIsItself) {
  EXPECT_NE(LoadLog().error(-EPERM).message().find("CAP_BPF"),
            std::string::npos);
  EXPECT_EQ(LoadLog().error(-ENOMEM).code, std::errc::not_enough_memory);
}

}  // namespace
}  // namespace vcpu

#endif

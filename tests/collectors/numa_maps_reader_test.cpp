// SPDX-License-Identifier: Apache-2.0
#include "collectors/numa_maps_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <filesystem>

#include "tests/support/kernel_faults.h"
#include "tests/support/proc_tree.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr VmId kVm{100, 150};

std::string pages(int count) {
  return "7f00 bind:0 huge N0=" + std::to_string(count) +
         " kernelpagesize_kB=2048\n";
}

class NumaMapsReaderOf : public testing::Test {
 protected:
  void write(int huge_pages) {
    ProcTree::write(tree_.proc("100/numa_maps"), pages(huge_pages));
  }

  NumaMapsOptions options() {
    NumaMapsOptions options;
    options.now = [this] {
      return NumaMapsOptions::Clock::time_point(minutes(passed_));
    };
    // How long a read takes here is nobody's promise.
    options.longest = std::chrono::hours(1);
    return options;
  }

  // Asks until it was read.
  NumaMapsReader::Answer read(NumaMapsReader& reader) {
    NumaMapsReader::Answer answer;
    EXPECT_TRUE(eventually([&] {
      answer = reader.of(kVm);
      return answer.missing_reason.find("being read") == std::string::npos;
    }));
    return answer;
  }

  bool tells(NumaMapsReader& reader, int huge_pages) {
    const auto answer = reader.of(kVm);
    return answer.huge == NodeBytes{{0, huge_pages * 2097152UL}};
  }

  ProcTree tree_;
  std::atomic<int> passed_ = 0;  // Minutes.
};

TEST_F(NumaMapsReaderOf, ReadsLater) {
  write(3);
  NumaMapsReader reader(tree_.roots(), options());
  EXPECT_EQ(reader.of(kVm).missing_reason,
            "where a VM's huge pages lie is being read");
  EXPECT_THAT(read(reader).huge, ElementsAre(Pair(0, 3 * 2097152)));
}

TEST_F(NumaMapsReaderOf, AReadThatFailsIsSaidAndOverWithTheNext) {
  write(3);
  for (const KernelFault& fault :
       {KernelFault{.call = 0, .error = EMFILE},
        KernelFault{.call = 1, .error = EIO},
        KernelFault{.call = 1, .kind = KernelFault::Kind::kLessTail}}) {
    const KernelFaults faults(tree_.roots().proc);
    NumaMapsReader reader(tree_.roots(), options());
    KernelFaults::begin(fault);
    const auto answer = read(reader);
    EXPECT_THAT(answer.huge, IsEmpty());
    EXPECT_NE(answer.missing_reason, "");
    passed_ += 5;
    EXPECT_TRUE(eventually([&] { return tells(reader, 3); }));
  }
}

TEST_F(NumaMapsReaderOf, AnInterruptedOrShortReadChangesNothing) {
  write(3);
  for (const KernelFault& fault :
       {KernelFault{.call = 0, .error = EINTR},
        KernelFault{.call = 1, .error = EINTR},
        KernelFault{.call = 1, .kind = KernelFault::Kind::kShortRead}}) {
    const KernelFaults faults(tree_.roots().proc);
    KernelFaults::begin(fault);
    NumaMapsReader reader(tree_.roots(), options());
    EXPECT_THAT(read(reader).huge, ElementsAre(Pair(0, 3 * 2097152)));
  }
}

TEST_F(NumaMapsReaderOf, ReadsAgainAfterAWhileOnly) {
  write(1);
  NumaMapsReader reader(tree_.roots(), options());
  read(reader);
  write(2);
  passed_ = 4;
  // Another process is read after it would have been.
  ProcTree::write(tree_.proc("101/numa_maps"), pages(1));
  EXPECT_TRUE(tells(reader, 1));
  EXPECT_TRUE(eventually([&] {
    return reader.of({101, 1}).missing_reason.empty();
  }));
  EXPECT_TRUE(tells(reader, 1));
  passed_ = 6;
  EXPECT_TRUE(eventually([&] { return tells(reader, 2); }));
}

TEST_F(NumaMapsReaderOf, LeavesAProcessAloneThatTakesTooLongTwice) {
  write(1);
  auto strict = options();
  strict.longest = std::chrono::nanoseconds(0);
  NumaMapsReader reader(tree_.roots(), strict);
  EXPECT_EQ(read(reader).missing_reason, "");
  EXPECT_TRUE(tells(reader, 1));
  passed_ = 6;
  const auto left_alone = [&] {
    return reader.of(kVm).missing_reason.find("takes too long") !=
           std::string_view::npos;
  };
  EXPECT_TRUE(eventually(left_alone));
  std::filesystem::remove(tree_.proc("100/numa_maps"));
  passed_ = 60;
  // Else it would be refused by the time that another is.
  EXPECT_TRUE(left_alone());
  EXPECT_TRUE(eventually([&] {
    return reader.of({101, 1}).missing_reason.find("being read") ==
           std::string_view::npos;
  }));
  EXPECT_TRUE(left_alone());
}

TEST_F(NumaMapsReaderOf, SaysThatItMayNot) {
  NumaMapsReader reader(tree_.roots(), options());
  EXPECT_THAT(std::string(read(reader).missing_reason),
              HasSubstr("CAP_SYS_PTRACE"));
}

TEST_F(NumaMapsReaderOf, SaysThatItDoesNotUnderstand) {
  ProcTree::write(tree_.proc("100/numa_maps"), "7f00 bind:0 huge N0=1\n");
  NumaMapsReader reader(tree_.roots(), options());
  EXPECT_THAT(std::string(read(reader).missing_reason),
              HasSubstr("cannot be understood"));
}

TEST_F(NumaMapsReaderOf, TakesAReusedPidForAnother) {
  write(1);
  NumaMapsReader reader(tree_.roots(), options());
  read(reader);
  EXPECT_THAT(std::string(reader.of({100, 2.5}).missing_reason),
              HasSubstr("being read"));
}

TEST_F(NumaMapsReaderOf, ForgetsWhomNobodyAsksFor) {
  write(1);
  NumaMapsReader reader(tree_.roots(), options());
  read(reader);
  reader.forget_unasked();
  EXPECT_TRUE(tells(reader, 1));
  reader.forget_unasked();
  reader.forget_unasked();
  EXPECT_FALSE(tells(reader, 1));
}

}  // namespace
}  // namespace vcpu

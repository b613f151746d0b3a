// SPDX-License-Identifier: Apache-2.0
#include "collectors/numa_maps_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <future>
#include <memory>

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
constexpr VmId kOther{101, 1};

std::string pages(int count) {
  return "7f00 bind:0 huge N0=" + std::to_string(count) +
         " kernelpagesize_kB=2048\n";
}

class NumaMapsReaderOf : public testing::Test {
 protected:
  NumaMapsReaderOf() {
    for (const auto& [pid, start] : {kVm, kOther})
      tree_.process(pid, "qemu", {"qemu"}, {.start = start});
  }

  // As /proc/PID/status tells it.
  void size(int gib, int huge_gib) {
    constexpr int kKibPerGib = 1 << 20;
    tree_.process_file(kVm.first, "status",
                       "Name:\tqemu\nVmRSS:\t" +
                           std::to_string(gib * kKibPerGib) +
                           " kB\nHugetlbPages:\t" +
                           std::to_string(huge_gib * kKibPerGib) + " kB\n");
  }

  void write(int huge_pages) {
    ProcTree::write(tree_.proc("100/numa_maps"), pages(huge_pages));
  }

  NumaMapsOptions options() {
    NumaMapsOptions options;
    // The reader's thread may outlive the test.
    options.now = [minutes_passed = minutes_passed_] {
      return NumaMapsOptions::Clock::time_point(minutes(*minutes_passed));
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

  // Which of the calls of a reading that is, from 0.
  std::size_t call_of(KernelCall call, const std::string& file) {
    const KernelFaults faults(tree_.roots().proc);
    NumaMapsReader reader(tree_.roots(), options());
    KernelFaults::begin();
    read(reader);
    const auto calls = KernelFaults::calls();
    const auto found =
        std::find_if(calls.begin(), calls.end(), [&](const auto& one) {
          return one.call == call && one.path.ends_with(file);
        });
    EXPECT_NE(found, calls.end()) << file;
    return static_cast<std::size_t>(found - calls.begin());
  }

  bool tells(NumaMapsReader& reader, int huge_pages) {
    const auto answer = reader.of(kVm);
    return answer.huge == NodeBytes{{0, huge_pages * 2097152UL}};
  }

  ProcTree tree_;
  const std::shared_ptr<std::atomic<int>> minutes_passed_ =
      std::make_shared<std::atomic<int>>(0);
  std::atomic<int>& passed_ = *minutes_passed_;
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
  const auto opened = call_of(KernelCall::kOpen, "numa_maps");
  const auto read_first = call_of(KernelCall::kRead, "numa_maps");
  for (const KernelFault& fault :
       {KernelFault{.call = 0, .error = EMFILE},
        KernelFault{.call = opened, .error = EMFILE},
        KernelFault{.call = read_first, .error = EIO},
        KernelFault{.call = read_first,
        .kind = KernelFault::Kind::kLessTail}}) {
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
  const auto opened = call_of(KernelCall::kOpen, "numa_maps");
  const auto read_first = call_of(KernelCall::kRead, "numa_maps");
  for (const KernelFault& fault :
       {KernelFault{.call = opened, .error = EINTR},
        KernelFault{.call = read_first, .error = EINTR},
        KernelFault{.call = read_first,
        .kind = KernelFault::Kind::kShortRead}}) {
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
  EXPECT_TRUE(
      eventually([&] { return reader.of(kOther).missing_reason.empty(); }));
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
    return reader.of(kOther).missing_reason.find("being read") ==
           std::string_view::npos;
  }));
  EXPECT_TRUE(left_alone());
}

TEST_F(NumaMapsReaderOf, DoesNotBeginWhatIsToTakeTooLong) {
  constexpr const char* kTooLong =
      "to read a VM's numa_maps takes too long, it is left alone";
  write(1);
  auto usual = options();
  usual.longest = NumaMapsOptions{}.longest;  // 50 ms
  NumaMapsReader reader(tree_.roots(), usual);
  size(8, 0);  // 56 ms
  EXPECT_EQ(read(reader).missing_reason, kTooLong);
  EXPECT_THAT(reader.of(kVm).huge, IsEmpty());
  // It may have less by the next time.
  size(6, 0);
  passed_ = 6;
  EXPECT_TRUE(eventually([&] { return tells(reader, 1); }));
  size(6, 200);  // 54 ms
  passed_ = 12;
  EXPECT_TRUE(
      eventually([&] { return reader.of(kVm).missing_reason == kTooLong; }));
  size(0, 800);  // 48 ms
  passed_ = 18;
  EXPECT_TRUE(eventually([&] { return tells(reader, 1); }));
}

TEST_F(NumaMapsReaderOf, DoesNotBeginWhereTheSizeIsNotTold) {
  write(1);
  tree_.process_file(kVm.first, "status", "VmRSS:\tx kB\n");
  NumaMapsReader reader(tree_.roots(), options());
  EXPECT_THAT(std::string(read(reader).missing_reason),
              HasSubstr("how much memory"));
}

TEST_F(NumaMapsReaderOf, HoldsNobodyUpWhileAReadHangs) {
  const auto fifo = tree_.proc("100/numa_maps");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  auto reader = std::make_unique<NumaMapsReader>(tree_.roots(), options());
  reader->of(kVm);
  // It is opened as soon as the reader's thread wants to read it.
  int hangs = -1;
  ASSERT_TRUE(eventually([&] {
    hangs = ::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return hangs >= 0;
  }));
  auto done = std::async(std::launch::async, [&] {
    EXPECT_THAT(std::string(reader->of(kVm).missing_reason),
                HasSubstr("being read"));
    reader->of(kOther);
    reader->forget_unasked();
    reader.reset();
  });
  EXPECT_EQ(done.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  ::close(hangs);
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
  EXPECT_THAT(
      std::string(reader.of({kVm.first, kVm.second + 1}).missing_reason),
      HasSubstr("being read"));
}

TEST_F(NumaMapsReaderOf, BelievesNothingOfALaterProcessOfThatPid) {
  write(1);
  NumaMapsReader reader(tree_.roots(), options());
  const VmId ended{kVm.first, kVm.second - 1};
  EXPECT_THAT(reader.of(ended).huge, IsEmpty());
  // By the time that the next one is read, it was.
  read(reader);
  EXPECT_THAT(reader.of(ended).huge, IsEmpty());
  EXPECT_THAT(std::string(reader.of(ended).missing_reason),
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

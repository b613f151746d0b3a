// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/command_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/proc_tree.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;

using Key = CommandLines::Key;

constexpr milliseconds kNoPatience{0};
constexpr milliseconds kAShortWhile{20};
constexpr std::chrono::minutes kForever{1};

namespace fs = std::filesystem;

std::string command_line(const std::string& name) {
  std::string text = "kvm\n-name\n" + name + "\n";
  std::replace(text.begin(), text.end(), '\n', '\0');
  return text;
}

// What was found: the VM's name, or why there is none.
std::string name(const CommandLines::Found& found) {
  if (!found.read) return "not read";
  return found.vm ? found.vm->name : "no VM";
}

std::ptrdiff_t threads_of_this_process() {
  return std::distance(fs::directory_iterator("/proc/self/task"), {});
}

bool has_ended(pid_t thread) {
  return !fs::exists("/proc/self/task/" + std::to_string(thread));
}

// Processes some of which hang when asked for their command line.
class Host {
 public:
  ~Host() { release(); }

  std::string read(pid_t pid) {
    std::unique_lock lock(mutex_);
    ++reads_[pid];
    readers_.insert(::gettid());
    if (hanging_.contains(pid)) {
      ++hung_;
      released_.wait(lock, [&] { return !hanging_.contains(pid); });
      --hung_;
    }
    return empty_.contains(pid) ? "" : command_line(std::to_string(pid));
  }

  void hang(pid_t pid) {
    const std::lock_guard lock(mutex_);
    hanging_.insert(pid);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    hanging_.clear();
    released_.notify_all();
  }
  void say_nothing(pid_t pid, bool nothing) {
    const std::lock_guard lock(mutex_);
    if (nothing) {
      empty_.insert(pid);
    } else {
      empty_.erase(pid);
    }
  }
  int hung() {
    const std::lock_guard lock(mutex_);
    return hung_;
  }
  int reads(pid_t pid) {
    const std::lock_guard lock(mutex_);
    return reads_[pid];
  }
  // True once every thread that ever read here has ended.
  bool readers_have_ended() {
    const std::lock_guard lock(mutex_);
    return std::all_of(readers_.begin(), readers_.end(), has_ended);
  }

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::set<pid_t> hanging_;
  std::set<pid_t> empty_;
  std::map<pid_t, int> reads_;
  std::set<pid_t> readers_;
  int hung_ = 0;
};

constexpr uid_t kRoot = 0;
constexpr uid_t kLibvirtOfDebian = 64055;
constexpr uid_t kAnn = 1000;

CommandLines::OwnerOf all_owned_by(uid_t user) {
  return [user](pid_t /*pid*/) { return user; };
}

class CommandLinesTest : public testing::Test {
 protected:
  CommandLinesTest()
      : lines_([host = host_](pid_t pid) { return host->read(pid); },
               [this](pid_t pid) { return owner_of(pid); }) {}

  // Root, where nobody is said.
  std::optional<uid_t> owner_of(pid_t pid) const {
    const auto owner = owners_.find(pid);
    return owner == owners_.end() ? kRoot : owner->second;
  }

  // Readers let go, so that none outlives its test.
  ~CommandLinesTest() override {
    host_->release();
    EXPECT_TRUE(eventually([&] { return host_->readers_have_ended(); }));
  }

  // Asks again, as one scrape after the other does, until `condition()`.
  template <typename Condition>
  bool asked_until(const std::vector<Key>& keys, const Condition& condition) {
    return eventually([&] {
      lines_.request(keys, kNoPatience);
      return condition();
    });
  }

  // `count` processes from `first` on, all of which hang.
  std::vector<Key> hanging_processes(pid_t first, int count,
                                     std::optional<uid_t> owner) {
    std::vector<Key> keys;
    for (pid_t pid = first; pid < first + count; ++pid) {
      host_->hang(pid);
      owners_[pid] = owner;
      keys.push_back({pid, 1, "kvm"});
    }
    return keys;
  }

  std::shared_ptr<Host> host_ = std::make_shared<Host>();
  std::map<pid_t, std::optional<uid_t>> owners_;
  CommandLines lines_;
  const Key one_{1, 10, "kvm"};
  const Key two_{2, 20, "kvm"};
  const Key three_{3, 30, "kvm"};
};

TEST_F(CommandLinesTest, AreThereWhenTheRequestReturns) {
  lines_.request({one_, two_}, kForever);
  EXPECT_EQ(name(lines_.find(one_)), "1");
  EXPECT_EQ(name(lines_.find(two_)), "2");
  EXPECT_EQ(lines_.pending(), 0U);
}

TEST_F(CommandLinesTest, AreNotThereForWhatWasNotAsked) {
  lines_.request({one_}, kForever);
  EXPECT_EQ(name(lines_.find(two_)), "not read");
  EXPECT_EQ(host_->reads(2), 0);
}

TEST_F(CommandLinesTest, AreReadOncePerProcess) {
  for (int scrape = 0; scrape < 5; ++scrape) lines_.request({one_}, kForever);
  EXPECT_EQ(host_->reads(1), 1);
  EXPECT_EQ(name(lines_.find(one_)), "1");
}

TEST_F(CommandLinesTest, OfOneProcessAskedTwiceAtOnceAreReadOnce) {
  lines_.request({one_, one_}, kForever);
  EXPECT_EQ(host_->reads(1), 1);
}

TEST_F(CommandLinesTest, AreReadAnewAfterAnExec) {
  lines_.request({{1, 10, "launcher"}}, kForever);
  lines_.request({{1, 10, "kvm"}}, kForever);
  EXPECT_EQ(host_->reads(1), 2);
  EXPECT_EQ(name(lines_.find({1, 10, "kvm"})), "1");
  EXPECT_EQ(name(lines_.find({1, 10, "launcher"})), "not read");
}

TEST_F(CommandLinesTest, AreReadAnewWhenAPidIsUsedAgain) {
  lines_.request({{1, 10, "kvm"}}, kForever);
  lines_.request({{1, 11, "kvm"}}, kForever);
  EXPECT_EQ(host_->reads(1), 2);
  EXPECT_EQ(name(lines_.find({1, 10, "kvm"})), "not read");
}

TEST_F(CommandLinesTest, OfEndedProcessesAreForgotten) {
  lines_.request({one_, two_}, kForever);
  lines_.request({two_}, kForever);
  EXPECT_EQ(name(lines_.find(one_)), "not read");
  EXPECT_EQ(name(lines_.find(two_)), "2");
  lines_.request({one_, two_}, kForever);
  EXPECT_EQ(host_->reads(1), 2);
  EXPECT_EQ(host_->reads(2), 1);
}

TEST_F(CommandLinesTest, ThatAreEmptyAreReadAgain) {
  host_->say_nothing(1, true);
  lines_.request({one_}, kForever);
  EXPECT_EQ(name(lines_.find(one_)), "not read");
  EXPECT_EQ(lines_.pending(), 0U);
  host_->say_nothing(1, false);
  lines_.request({one_}, kForever);
  EXPECT_EQ(name(lines_.find(one_)), "1");
}

TEST_F(CommandLinesTest, ThatHangHoldUpARequestForItsPatienceOnly) {
  host_->hang(1);
  const auto begin = std::chrono::steady_clock::now();
  lines_.request({one_}, kAShortWhile);
  const auto waited = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(waited, kAShortWhile);
  EXPECT_LT(waited, std::chrono::seconds(20));
  EXPECT_EQ(name(lines_.find(one_)), "not read");
  EXPECT_EQ(lines_.pending(), 1U);
}

TEST_F(CommandLinesTest, ThatHangAreNotWaitedForAgain) {
  host_->hang(1);
  lines_.request({one_}, kNoPatience);
  lines_.request({one_}, kForever);  // Would take a minute.
  EXPECT_EQ(lines_.pending(), 1U);
  EXPECT_LE(host_->reads(1), 1);
}

TEST_F(CommandLinesTest, OfOthersArriveWithoutAnotherRequestWhileOneHangs) {
  host_->hang(1);
  lines_.request({one_, two_, three_}, kNoPatience);
  EXPECT_TRUE(eventually([&] { return lines_.pending() == 1; }));
  EXPECT_EQ(name(lines_.find(two_)), "2");
  EXPECT_EQ(name(lines_.find(three_)), "3");
  EXPECT_EQ(host_->hung(), 1);
}

TEST_F(CommandLinesTest, OfNewcomersAreWaitedForWhileOneHangs) {
  host_->hang(1);
  lines_.request({one_}, kNoPatience);
  ASSERT_TRUE(eventually([&] { return host_->hung() == 1; }));
  lines_.request({one_, two_}, kForever);
  EXPECT_EQ(name(lines_.find(two_)), "2");
}

TEST_F(CommandLinesTest, ThatHungArriveWhenTheyCan) {
  host_->hang(1);
  lines_.request({one_}, kNoPatience);
  ASSERT_TRUE(eventually([&] { return host_->hung() == 1; }));
  host_->release();
  EXPECT_TRUE(asked_until({one_}, [&] { return lines_.pending() == 0; }));
  EXPECT_EQ(name(lines_.find(one_)), "1");
  EXPECT_EQ(host_->reads(1), 1);
}

TEST_F(CommandLinesTest, HangInSoManyReadersAndNoMore) {
  const auto keys = hanging_processes(1, CommandLines::kMaxReaders + 4, kRoot);
  EXPECT_TRUE(asked_until(
      keys, [&] { return host_->hung() == CommandLines::kMaxReaders; }));
  const auto threads = threads_of_this_process();
  for (int scrape = 0; scrape < 20; ++scrape) lines_.request(keys, kNoPatience);
  EXPECT_LE(threads_of_this_process(), threads);
  EXPECT_EQ(host_->hung(), CommandLines::kMaxReaders);
  EXPECT_EQ(lines_.pending(), keys.size());

  host_->release();
  EXPECT_TRUE(asked_until(keys, [&] { return lines_.pending() == 0; }));
  for (const Key& key : keys)
    EXPECT_EQ(name(lines_.find(key)), std::to_string(key.pid));
}

// A user has what he can do without, and none of the others waits for him.
TEST_F(CommandLinesTest, ThatAnOrdinaryUserMakesHangHoldUpNobodyElse) {
  constexpr uid_t kBob = 1001;
  const auto hanging = hanging_processes(1, 100, kAnn);
  ASSERT_TRUE(asked_until(
      hanging, [&] { return host_->hung() == CommandLines::kUserReaders; }));
  owners_[501] = kLibvirtOfDebian;
  owners_[502] = kBob;
  auto keys = hanging;
  keys.insert(keys.end(), {{501, 1, "kvm"}, {502, 1, "kvm"}});
  EXPECT_TRUE(
      asked_until(keys, [&] { return lines_.pending() == hanging.size(); }));
  EXPECT_EQ(name(lines_.find({501, 1, "kvm"})), "501");
  EXPECT_EQ(name(lines_.find({502, 1, "kvm"})), "502");
  EXPECT_EQ(host_->hung(), CommandLines::kUserReaders);
}

// Somebody may have many users, by containers.
TEST_F(CommandLinesTest, ThatOrdinaryUsersMakeHangHoldUpNoSystemUser) {
  constexpr uid_t kFirst = 100000;
  std::vector<Key> keys;
  for (pid_t number = 0; number < 100; ++number) {
    const auto his = hanging_processes(1000 + 3 * number, 3,
                                       kFirst + static_cast<uid_t>(number));
    keys.insert(keys.end(), his.begin(), his.end());
  }
  ASSERT_TRUE(asked_until(
      keys, [&] { return host_->hung() == CommandLines::kOrdinaryReaders; }));
  const auto hanging = keys.size();
  keys.push_back({501, 1, "kvm"});
  EXPECT_TRUE(asked_until(keys, [&] { return lines_.pending() == hanging; }));
  EXPECT_EQ(name(lines_.find({501, 1, "kvm"})), "501");
  EXPECT_EQ(host_->hung(), CommandLines::kOrdinaryReaders);
}

TEST_F(CommandLinesTest, ThatHangAndAreNobodysAreOneUsers) {
  const auto keys = hanging_processes(1, 100, std::nullopt);
  ASSERT_TRUE(asked_until(
      keys, [&] { return host_->hung() == CommandLines::kUserReaders; }));
  host_->release();
  EXPECT_TRUE(asked_until(keys, [&] { return lines_.pending() == 0; }));
}

TEST_F(CommandLinesTest, ThatComeAfterTheirProcessEndedAreNotKept) {
  host_->hang(1);
  lines_.request({one_}, kNoPatience);
  ASSERT_TRUE(eventually([&] { return host_->hung() == 1; }));
  lines_.request({}, kForever);
  EXPECT_EQ(lines_.pending(), 0U);
  host_->release();
  ASSERT_TRUE(eventually([&] { return host_->readers_have_ended(); }));
  EXPECT_EQ(name(lines_.find(one_)), "not read");
}

TEST_F(CommandLinesTest, StillQueuedAreNotReadForEndedProcesses) {
  const auto hanging = hanging_processes(1, CommandLines::kMaxReaders, kRoot);
  lines_.request(hanging, kNoPatience);
  ASSERT_TRUE(
      eventually([&] { return host_->hung() == CommandLines::kMaxReaders; }));
  auto with_another = hanging;
  with_another.push_back({100, 1, "kvm"});
  lines_.request(with_another, kNoPatience);
  lines_.request(hanging, kForever);
  host_->release();
  ASSERT_TRUE(eventually([&] { return host_->readers_have_ended(); }));
  EXPECT_EQ(host_->reads(100), 0);
  EXPECT_EQ(name(lines_.find(hanging[0])), "1");
}

TEST_F(CommandLinesTest, LeaveNoThreadBehind) {
  for (int scrape = 0; scrape < 20; ++scrape)
    lines_.request({{scrape, 1, "kvm"}, {scrape + 1, 1, "kvm"}}, kForever);
  EXPECT_EQ(host_->reads(19), 1);
  EXPECT_TRUE(eventually([&] { return host_->readers_have_ended(); }));
  EXPECT_EQ(lines_.pending(), 0U);
}

TEST(CommandLines, MayGoWhileAReaderHangs) {
  const auto host = std::make_shared<Host>();
  host->hang(1);
  {
    CommandLines lines([host](pid_t pid) { return host->read(pid); },
                       all_owned_by(kRoot));
    lines.request({{1, 10, "kvm"}}, kNoPatience);
    ASSERT_TRUE(eventually([&] { return host->hung() == 1; }));
  }
  host->release();
  // The reader held the last of what belonged to the lines.
  EXPECT_TRUE(eventually([&] { return host.use_count() == 1; }));
}

// Of a hundred thousand options no more is kept than what a label can hold.
TEST(CommandLines, AreKeptShort) {
  const auto text = command_line(std::string(200'000, 'x'));
  CommandLines lines([&](pid_t /*pid*/) { return text; }, all_owned_by(kRoot));
  lines.request({{1, 10, "kvm"}}, kForever);
  EXPECT_LE(name(lines.find({1, 10, "kvm"})).size(), 256U);
}

TEST(CommandLines, SayThatAProcessIsNoVm) {
  CommandLines lines([](pid_t /*pid*/) { return std::string("bash"); },
                     all_owned_by(kRoot));
  lines.request({{1, 10, "bash"}}, kForever);
  EXPECT_EQ(name(lines.find({1, 10, "bash"})), "no VM");
}

TEST(CommandLines, ComeFromProc) {
  ProcTree tree;
  tree.process(71, "qemu-system-x86", {"qemu-system-x86_64", "-name", "a b"});
  CommandLines lines(tree.roots());
  const Key there{71, 1000, "qemu-system-x86"};
  const Key gone{72, 1000, "qemu-system-x86"};
  lines.request({there, gone}, kForever);
  EXPECT_EQ(name(lines.find(there)), "a b");
  EXPECT_EQ(name(lines.find(gone)), "not read");
  EXPECT_EQ(lines.pending(), 0U);
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/kernel_faults.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
namespace fs = std::filesystem;

bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

std::ptrdiff_t open_fds() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), {});
}

// A monitor whose child is a shell script, which reads its requests with
// `ask`. In the script "$0" is a directory that holds the frames `hello`,
// `told` and `lost`; each child adds its pid to `pids` there, each request its
// uuid to `asked`.
class LibvirtMonitorTest : public testing::Test {
 protected:
  LibvirtMonitorTest() {
    std::string pattern = (fs::temp_directory_path() / "monitor.XXXXXX");
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    write("hello", encode(MonitorFrame{MonitorOutcome::kConnected, "", {}}));
    write("lost", encode(MonitorFrame{
                      MonitorOutcome::kNoLibvirt, "connection refused", {}}));
    write("told",
          encode(MonitorFrame{MonitorOutcome::kTold,
                              "",
                              {{"block.0.name", std::string("vda")},
                               {"block.0.rd.reqs", std::uint64_t{7}}}}));
    fs::create_directories(directory_ / "proc");
    state(kWell, 'S');
    state(kSick, 'S');
    options_.program = "/bin/sh";
    options_.proc = directory_ / "proc";
    options_.deadline = seconds(30);
    options_.shortest_delay = milliseconds(1);
    options_.longest_delay = milliseconds(5);
    options_.book.period = milliseconds(10);
    options_.book.look_again = milliseconds(10);
    options_.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_ += line + "\n";
    };
  }
  ~LibvirtMonitorTest() override {
    monitor_.reset();
    fs::remove_all(directory_);
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // What /proc says of a QEMU.
  void state(const MonitoredVm& vm, char letter) const {
    const auto pid = std::to_string(vm.id.first);
    const auto directory = directory_ / "proc" / pid;
    fs::create_directories(directory);
    std::ofstream(directory / "stat.new")
        << pid << " (qemu) " << letter
        << " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 4 0 " << vm.id.second
        << " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
    fs::rename(directory / "stat.new", directory / "stat");
  }

  LibvirtMonitor& start(const std::string& script) {
    options_.argv = {"sh", "-c",
                     "echo $$ >> \"$0/pids\"; "
                     "ask() { uuid=$(head -c 37 <&4 | head -c 36); "
                     "[ -n \"$uuid\" ] || exit 0; "
                     "echo $uuid >> \"$0/asked\"; }; " +
                         script,
                     directory_.string()};
    monitor_ = std::make_unique<LibvirtMonitor>(options_);
    EXPECT_TRUE(monitor_->start());
    return *monitor_;
  }

  std::vector<pid_t> children() const {
    std::ifstream file(directory_ / "pids");
    return {std::istream_iterator<pid_t>(file), {}};
  }
  MonitorView look() {
    return monitor_->look(MonitorGroup::kBlock, {kWell, kSick});
  }
  bool told(const MonitoredVm& vm) {
    return eventually([&] { return look().vms.at(vm.id).figures != nullptr; });
  }
  // That one is asked first, each time.
  bool well_is_told_beside_poison() {
    const MonitoredVm poison{{100, 1}, "poison", kSick.uuid};
    return eventually([&] {
      return monitor_->look(MonitorGroup::kBlock, {poison, kWell})
                 .vms.at(kWell.id)
                 .figures != nullptr;
    });
  }
  bool reason_becomes(const std::string& part) {
    return eventually(
        [&] { return look().missing_reason.find(part) != std::string::npos; });
  }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

  // Answers all but the sick one.
  static constexpr const char* kOneHangs =
      "cat \"$0/hello\" >&3; while ask; do case $uuid in 11*) cat \"$0/told\" "
      ">&3;; *) exec sleep 1000;; esac; done";
  static constexpr const char* kAllAnswer =
      "cat \"$0/hello\" >&3; while ask; do cat \"$0/told\" >&3; done";

  const MonitoredVm kWell{
      {4001, 11}, "well", "11111111-f6a4-8304-79aa-97f2502e193f"};
  const MonitoredVm kSick{
      {4002, 22}, "sick", "22222222-f6a4-8304-79aa-97f2502e193f"};
  fs::path directory_;
  LibvirtMonitorOptions options_;
  std::mutex mutex_;
  std::string log_;
  std::unique_ptr<LibvirtMonitor> monitor_;
};

TEST_F(LibvirtMonitorTest, AnInterruptedOrShortReadChangesNothing) {
  for (const KernelFault::Kind kind :
       {KernelFault::Kind::kError, KernelFault::Kind::kShortRead}) {
    // Of the greeting, and of an answer.
    for (const std::size_t call : {0, 1, 2}) {
      const KernelFaults faults(directory_ / "no_file");
      KernelFaults::begin({.call = call, .error = EINTR, .kind = kind});
      start(kAllAnswer);
      EXPECT_TRUE(told(kWell));
      EXPECT_TRUE(told(kSick));
      EXPECT_GE(KernelFaults::calls().size(), 4U);
      EXPECT_EQ(children().size(), 1U);
      monitor_.reset();
      fs::remove(directory_ / "pids");
    }
  }
}

TEST_F(LibvirtMonitorTest, BeforeTheStartLibvirtIsSwitchedOff) {
  LibvirtMonitor monitor(options_);
  EXPECT_EQ(monitor.look(MonitorGroup::kBlock, {kWell}).missing_reason,
            "libvirt is switched off");
}

TEST_F(LibvirtMonitorTest, ThereIsNoChildUntilSomebodyLooks) {
  start(kAllAnswer);
  EXPECT_EQ(monitor_->view().missing_reason, "");
  EXPECT_FALSE(within(milliseconds(100), [&] { return !children().empty(); }));
  look();
  EXPECT_TRUE(eventually([&] { return children().size() == 1; }));
}

TEST_F(LibvirtMonitorTest, EveryVmIsAskedAndItsFiguresKept) {
  start(kAllAnswer);
  ASSERT_TRUE(told(kWell));
  ASSERT_TRUE(told(kSick));
  const auto view = look();
  EXPECT_EQ(view.missing_reason, "");
  EXPECT_EQ(view.vms.at(kWell.id).figures->devices.at(0).read.requests, 7U);
  EXPECT_TRUE(view.vms.at(kWell.id).age_seconds);
  EXPECT_EQ(children().size(), 1U);
}

TEST_F(LibvirtMonitorTest, AQemuThatDoesNotAnswerCostsTheChildNotTheOthers) {
  options_.deadline = milliseconds(100);
  start(kOneHangs);
  ASSERT_TRUE(reason_becomes("does not answer"));
  ASSERT_TRUE(eventually([&] { return children().size() >= 2; }));
  EXPECT_TRUE(is_gone(children()[0]));
  EXPECT_NE(log().find("the QEMU of sick does not answer within 100 ms"),
            std::string::npos)
      << log();
  EXPECT_EQ(log().find("well"), std::string::npos) << log();
  // The other's figures are news: they are asked for again and again.
  const auto asked = read("asked").size();
  EXPECT_TRUE(eventually(
      [&] { return look(), read("asked").size() > asked + std::size_t{370}; }));
  EXPECT_LT(*look().vms.at(kWell.id).age_seconds, 5.0);
  EXPECT_EQ(children().size(), 2U);
}

TEST_F(LibvirtMonitorTest, ALibvirtdThatHangsIsNotHeldAgainstAQemu) {
  options_.deadline = milliseconds(100);
  // The first child's answers stop coming; no further one is let in.
  start(
      "[ $(wc -l < \"$0/pids\") = 1 ] || exec sleep 1000; cat \"$0/hello\" "
      ">&3; ask; exec sleep 1000");
  ASSERT_TRUE(reason_becomes("no connection to libvirt for 100 ms"));
  EXPECT_EQ(log(), "");
}

TEST_F(LibvirtMonitorTest, AStoppedQemuIsNotAskedUntilItRuns) {
  for (const char letter : {'T', 't', 'D'}) {
    state(kSick, letter);
    start(kAllAnswer);
    ASSERT_TRUE(told(kWell));
    ASSERT_TRUE(reason_becomes("is stopped"));
    EXPECT_NE(log().find(std::string("state ") + letter), std::string::npos);
    EXPECT_EQ(read("asked").find("22222222"), std::string::npos);
    state(kSick, 'S');
    ASSERT_TRUE(told(kSick));
    EXPECT_EQ(look().missing_reason, "");
    monitor_.reset();
    fs::remove(directory_ / "asked");
  }
}

// Of a process that took the number over nothing follows.
TEST_F(LibvirtMonitorTest, AnotherProcessOfThatPidIsNotTheVm) {
  const MonitoredVm other{{kSick.id.first, 99}, "", ""};
  state(other, 'T');
  start(kAllAnswer);
  EXPECT_TRUE(told(kSick));
}

TEST_F(LibvirtMonitorTest, AVmWhoseQuestionEndsTheChildHoldsUpNobody) {
  start(
      "cat \"$0/hello\" >&3; while ask; do case $uuid in 22*) exit 9;; esac; "
      "cat \"$0/told\" >&3; done");
  ASSERT_TRUE(well_is_told_beside_poison()) << read("asked");
  EXPECT_NE(log().find("libvirt does not tell what the QEMU of poison says: "
                       "the monitor child ended (exit status 9)"),
            std::string::npos)
      << log();
}

TEST_F(LibvirtMonitorTest, AVmWhoseQuestionLosesLibvirtHoldsUpNobody) {
  start(
      "cat \"$0/hello\" >&3; while ask; do case $uuid in 22*) cat \"$0/lost\" "
      ">&3; exit;; esac; cat \"$0/told\" >&3; done");
  ASSERT_TRUE(well_is_told_beside_poison()) << read("asked");
}

TEST_F(LibvirtMonitorTest, AStopWhileANewChildConnectsIsHeldAgainstNobody) {
  options_.deadline = seconds(2);
  start(
      "[ $(wc -l < \"$0/pids\") = 1 ] || exec sleep 1000; cat \"$0/hello\" "
      ">&3; ask; exec sleep 1000");
  look();
  ASSERT_TRUE(eventually([&] { return children().size() == 2; }));
  monitor_->stop();
  EXPECT_EQ(log(), "");
}

TEST_F(LibvirtMonitorTest, TheFirstQuestionIsForAllThatAScrapeWants) {
  start(
      "cat \"$0/hello\" >&3; while [ -n \"$(head -c 36 <&4)\" ]; do "
      "head -c 1 <&4 | od -An -tu1 >> \"$0/groups\"; cat \"$0/told\" >&3; "
      "done");
  const auto asked = [&](std::size_t times) {
    return eventually([&] {
      std::ifstream file(directory_ / "groups");
      return static_cast<std::size_t>(
                 std::distance(std::istream_iterator<int>(file), {})) >= times;
    });
  };
  monitor_->look(MonitorGroup::kBlock, {kWell});
  ASSERT_TRUE(asked(1));
  // Those of the next scrapes are for what they look for.
  monitor_->look(MonitorGroup::kBlock, {kWell});
  ASSERT_TRUE(asked(2));
  std::ifstream file(directory_ / "groups");
  const std::vector<int> groups{std::istream_iterator<int>(file), {}};
  EXPECT_EQ(groups[0], 3);
  EXPECT_EQ(groups[1], 1);
}

// As the answer to the first look is not what the second one was made for.
TEST_F(LibvirtMonitorTest, AScrapeThatLooksForTwoGroupsHasAskedOnce) {
  options_.book.period = seconds(1);
  start(kAllAnswer);
  const auto scrape = [&] {
    monitor_->look(MonitorGroup::kBlock, {kWell});
    return monitor_->look(MonitorGroup::kKvm, {kWell});
  };
  const auto questions = [&] { return read("asked").size() / 37; };
  scrape();
  ASSERT_TRUE(eventually([&] { return questions() == 1; }));
  monitor_->look(MonitorGroup::kBlock, {kWell});
  ASSERT_TRUE(eventually([&] { return questions() == 2; }));
  // That scrape goes on.
  const auto begin = std::chrono::steady_clock::now();
  monitor_->look(MonitorGroup::kKvm, {kWell});
  ASSERT_TRUE(eventually([&] { return questions() == 3; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(1700));
}

TEST_F(LibvirtMonitorTest, WithoutLibvirtTheReasonIsItsOwn) {
  start("cat \"$0/lost\" >&3");
  EXPECT_TRUE(reason_becomes("connection refused"));
  EXPECT_TRUE(eventually([&] { return children().size() > 2; }));
}

TEST_F(LibvirtMonitorTest, AConnectionThatIsLostIsMadeAnew) {
  start(
      "cat \"$0/hello\" >&3; ask; if [ $(wc -l < \"$0/pids\") = 1 ]; then cat "
      "\"$0/lost\" >&3; exit; fi; cat \"$0/told\" >&3; while ask; do cat "
      "\"$0/told\" >&3; done");
  ASSERT_TRUE(told(kWell));
  ASSERT_TRUE(told(kSick));
  EXPECT_EQ(look().missing_reason, "");
  EXPECT_EQ(log(), "");
}

TEST_F(LibvirtMonitorTest, AChildThatTalksNonsenseIsReplaced) {
  start("echo 'cannot open shared object' >&3; exec sleep 1000");
  EXPECT_TRUE(reason_becomes("sent nonsense"));
  EXPECT_TRUE(eventually([&] { return children().size() > 1; }));
}

TEST_F(LibvirtMonitorTest, AChildThatTalksTooMuchIsReplaced) {
  start(
      "cat \"$0/hello\" >&3; ask; cat \"$0/told\" \"$0/told\" \"$0/told\" >&3; "
      "exec sleep 1000");
  EXPECT_TRUE(reason_becomes("the monitor child"));
  EXPECT_TRUE(eventually([&] { return children().size() > 1; }));
}

TEST_F(LibvirtMonitorTest, AChildThatIsKilledComesBack) {
  start(kAllAnswer);
  ASSERT_TRUE(told(kWell));
  ::kill(children()[0], SIGKILL);
  EXPECT_TRUE(eventually([&] { return look(), children().size() > 1; }));
}

TEST_F(LibvirtMonitorTest, WhenNobodyLooksAnyMoreTheChildGoes) {
  options_.idle = milliseconds(50);
  start(kAllAnswer);
  ASSERT_TRUE(told(kWell));
  EXPECT_TRUE(eventually([&] { return is_gone(children()[0]); }));
}

TEST_F(LibvirtMonitorTest, StopWaitsForNoChild) {
  for (const char* script :
       {"kill -STOP $$", "exec sleep 1000",
        "cat \"$0/hello\" >&3; trap '' TERM; ask; sleep 1000", kAllAnswer}) {
    fs::remove(directory_ / "pids");
    fs::remove(directory_ / "asked");
    start(script);
    look();
    ASSERT_TRUE(eventually([&] { return !children().empty(); }));
    const pid_t pid = children()[0];
    const auto begin = std::chrono::steady_clock::now();
    monitor_->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(2)) << script;
    EXPECT_TRUE(is_gone(pid)) << script;
  }
}

TEST_F(LibvirtMonitorTest, FiftyRestartsLeaveNothingBehind) {
  const auto before = open_fds();
  start("cat \"$0/lost\" >&3");
  ASSERT_TRUE(
      eventually([&] { return look(), children().size() >= std::size_t{50}; }));
  monitor_.reset();
  EXPECT_EQ(open_fds(), before);
  for (const pid_t pid : children()) EXPECT_TRUE(is_gone(pid)) << pid;
}

// Our own program as the child, and the driver inside the library as libvirt.
TEST_F(LibvirtMonitorTest, TheProgramItselfIsTheChild) {
  options_.program = std::string(VCPU_BINARY_DIR) + "/vcpu_exporter";
  options_.uri = "test:///default";
  monitor_ = std::make_unique<LibvirtMonitor>(options_);
  ASSERT_TRUE(monitor_->start());
  const MonitoredVm test{kWell.id, "test",
                         "6695eb01-f6a4-8304-79aa-97f2502e193f"};
  MonitorView view;
  ASSERT_TRUE(eventually([&] {
    view = monitor_->look(MonitorGroup::kBlock, {test});
    return view.missing_reason.find("for the first time") == std::string::npos;
  }));
  if (view.missing_reason.find("is not installed") != std::string::npos ||
      view.missing_reason == "built without libvirt") {
    GTEST_SKIP() << view.missing_reason;
  }
  // That driver's domain has no disks, and leaves out what it does not know.
  EXPECT_EQ(view.missing_reason, "");
  ASSERT_TRUE(view.vms.at(test.id).figures);
  EXPECT_TRUE(view.vms.at(test.id).figures->devices.empty());
}

}  // namespace
}  // namespace vcpu

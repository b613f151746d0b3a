// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/support/kernel_faults.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
namespace fs = std::filesystem;

constexpr seconds kLong{30};

// The descriptors of this process.
std::ptrdiff_t open_fds() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), {});
}

bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

// A cache whose child is a shell script. In the script "$0" is a directory that
// holds the frames `up` and `down`; each child adds its pid to `pids` there.
class LibvirtCacheTest : public testing::Test {
 protected:
  LibvirtCacheTest() {
    std::string pattern = (fs::temp_directory_path() / "libvirt.XXXXXX");
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    write("up", encode({true, "", {{kUuid, "db", "running", 2, 4, {1, 1}}}}));
    write("down", encode({false, "connection refused", {}}));
    options_.program = "/bin/sh";
    options_.uri = "test:///default";
    options_.period = milliseconds(5);
    options_.deadline = kLong;
    options_.shortest_delay = milliseconds(1);
    options_.longest_delay = milliseconds(5);
  }
  ~LibvirtCacheTest() override {
    cache_.reset();
    fs::remove_all(directory_);
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }

  LibvirtCache& start(const std::string& script) {
    options_.argv = {"sh", "-c", "echo $$ >> \"$0/pids\"; " + script,
                     directory_.string()};
    cache_ = std::make_unique<LibvirtCache>(options_);
    EXPECT_TRUE(cache_->start());
    return *cache_;
  }

  // All children so far, in their order.
  std::vector<pid_t> children() const {
    std::ifstream file(directory_ / "pids");
    return {std::istream_iterator<pid_t>(file), {}};
  }

  bool becomes(bool up) const {
    return eventually([&] { return cache_->view()->up == up; });
  }
  bool reason_becomes(const std::string& part) const {
    return eventually(
        [&] { return cache_->view()->reason.find(part) != std::string::npos; });
  }
  bool restarts(std::size_t times) const {
    return eventually([&] { return children().size() > times; });
  }

  static constexpr const char* kUuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";
  fs::path directory_;
  LibvirtCacheOptions options_;
  std::unique_ptr<LibvirtCache> cache_;
};

TEST_F(LibvirtCacheTest, BeforeTheStartLibvirtIsSwitchedOff) {
  const LibvirtCache cache(options_);
  const auto view = cache.view();
  EXPECT_FALSE(view->expected);
  EXPECT_FALSE(view->up);
  EXPECT_EQ(view->reason, "libvirt is switched off");
  EXPECT_FALSE(view->age_seconds);
  EXPECT_TRUE(cache.wait_for_answer(milliseconds(0)));
}

TEST_F(LibvirtCacheTest, AFrameMakesItUp) {
  start("cat \"$0/up\" >&3; exec sleep 1000");
  ASSERT_TRUE(cache_->wait_for_answer(kLong));
  const auto view = cache_->view();
  EXPECT_TRUE(view->expected);
  EXPECT_TRUE(view->up);
  EXPECT_EQ(view->reason, "");
  EXPECT_TRUE(view->age_seconds);
  ASSERT_EQ(view->domains.size(), 1U);
  EXPECT_EQ(view->domains[0].uuid, kUuid);
  EXPECT_EQ(view->domains[0].pinned_cpus, (std::vector<int>{1, 1}));
}

TEST_F(LibvirtCacheTest, WithoutAnAnswerTheViewSaysSo) {
  start("exec sleep 1000");
  EXPECT_FALSE(cache_->wait_for_answer(milliseconds(1)));
  const auto view = cache_->view();
  EXPECT_TRUE(view->expected);
  EXPECT_FALSE(view->up);
  EXPECT_EQ(view->reason, "libvirt has not answered yet");
}

TEST_F(LibvirtCacheTest, ADownFrameKeepsTheDomains) {
  start("cat \"$0/up\" \"$0/down\" >&3; exec sleep 1000");
  ASSERT_TRUE(reason_becomes("connection refused"));
  const auto view = cache_->view();
  EXPECT_FALSE(view->up);
  EXPECT_TRUE(view->expected);
  EXPECT_EQ(view->domains.size(), 1U);
}

TEST_F(LibvirtCacheTest, TheLastOfManyFramesCounts) {
  start(
      "for i in 1 2 3 4 5 6 7 8 9; do cat \"$0/down\" \"$0/up\" >&3; done; "
      "exec sleep 1000");
  EXPECT_TRUE(becomes(true));
}

TEST_F(LibvirtCacheTest, AnInterruptedOrShortReadChangesNothing) {
  for (const KernelFault& fault :
       {KernelFault{.call = 0, .error = EINTR},
        KernelFault{.call = 0, .kind = KernelFault::Kind::kShortRead}}) {
    const KernelFaults faults(directory_);
    KernelFaults::begin(fault);
    start("cat \"$0/up\" >&3; exec sleep 1000");
    EXPECT_TRUE(becomes(true));
    EXPECT_GE(KernelFaults::calls().size(), 2U);
    EXPECT_EQ(children().size(), 1U);
    cache_.reset();
    fs::remove(directory_ / "pids");
  }
}

TEST_F(LibvirtCacheTest, AReadThatFailsIsAnotherChild) {
  const KernelFaults faults(directory_);
  KernelFaults::begin({.call = 0, .error = EIO});
  start("cat \"$0/up\" >&3; exec sleep 1000");
  ASSERT_TRUE(restarts(1));
  EXPECT_TRUE(becomes(true));
  EXPECT_TRUE(is_gone(children()[0]));
}

TEST_F(LibvirtCacheTest, AChildThatTalksNonsenseIsReplaced) {
  start("echo 'error: cannot open shared object' >&3; exec sleep 1000");
  ASSERT_TRUE(restarts(1));
  EXPECT_TRUE(reason_becomes("sent nonsense"));
  EXPECT_TRUE(is_gone(children()[0]));
}

TEST_F(LibvirtCacheTest, ASilentChildIsReplaced) {
  options_.deadline = milliseconds(100);
  start("cat \"$0/up\" >&3; exec sleep 1000");
  ASSERT_TRUE(restarts(1));
  const auto pids = children();
  EXPECT_NE(pids[0], pids[1]);
  EXPECT_TRUE(is_gone(pids[0]));
}

TEST_F(LibvirtCacheTest, ASilentChildMakesItDownWithAReason) {
  options_.deadline = milliseconds(100);
  options_.shortest_delay = milliseconds(20000);
  options_.longest_delay = milliseconds(20000);
  start("cat \"$0/up\" >&3; exec sleep 1000");
  ASSERT_TRUE(becomes(true));
  ASSERT_TRUE(becomes(false));
  EXPECT_EQ(cache_->view()->reason, "no answer for 100 ms, child restarted");
  EXPECT_EQ(cache_->view()->domains.size(), 1U);
}

TEST_F(LibvirtCacheTest, EveryFrameExtendsTheDeadline) {
  options_.deadline = milliseconds(1000);
  start("while :; do cat \"$0/up\" >&3; echo >> \"$0/sent\"; sleep 0.02; done");
  // Each takes 20 ms: together they take half as long again as the deadline.
  EXPECT_TRUE(eventually([this] {
    std::error_code none_yet;
    const auto sent = fs::file_size(directory_ / "sent", none_yet);
    return !none_yet && sent >= 75;
  }));
  EXPECT_EQ(children().size(), 1U);
  EXPECT_TRUE(cache_->view()->up);
}

TEST_F(LibvirtCacheTest, DrippingBytesBuyNoTime) {
  options_.deadline = milliseconds(100);
  write("head", std::string("VLF2\0\0\xff\0", 8));
  start("cat \"$0/head\" >&3; while :; do printf x >&3; done");
  ASSERT_TRUE(restarts(1));
  EXPECT_TRUE(reason_becomes("no answer for 100 ms"));
}

TEST_F(LibvirtCacheTest, AChildThatIgnoresSignalsIsReplaced) {
  options_.deadline = milliseconds(100);
  start("trap '' TERM INT HUP; while :; do sleep 1000; done");
  ASSERT_TRUE(restarts(1));
  EXPECT_TRUE(is_gone(children()[0]));
}

TEST_F(LibvirtCacheTest, AChildThatEndsIsReplacedAndItsEndTold) {
  start("exit 3");
  ASSERT_TRUE(restarts(2));
  EXPECT_TRUE(reason_becomes("the libvirt child ended (exit status 3)"));
}

TEST_F(LibvirtCacheTest, AKilledChildComesBack) {
  start("cat \"$0/up\" >&3; exec sleep 1000");
  ASSERT_TRUE(becomes(true));
  ::kill(children()[0], SIGKILL);
  ASSERT_TRUE(restarts(1));
  EXPECT_TRUE(becomes(true));
}

TEST_F(LibvirtCacheTest, AProgramThatIsNotThereIsAReason) {
  options_.program = "/nowhere/vcpu_exporter";
  start("");
  EXPECT_TRUE(reason_becomes("cannot start the libvirt child: /nowhere/"));
}

// Its deadline was pause enough, and who waits for libvirt hears it first.
TEST_F(LibvirtCacheTest, AfterASilentChildThereIsNoBackOff) {
  options_.deadline = milliseconds(50);
  options_.shortest_delay = options_.longest_delay = seconds(120);
  start("exec sleep 1000");
  EXPECT_TRUE(eventually([&] { return children().size() >= 3; }));
}

TEST_F(LibvirtCacheTest, StopWaitsForNoChild) {
  for (const char* script :
       {"kill -STOP $$", "trap '' TERM; sleep 1000", "exec sleep 1000",
        "cat \"$0/up\" >&3; exec sleep 1000"}) {
    fs::remove(directory_ / "pids");
    start(script);
    ASSERT_TRUE(restarts(0));
    const pid_t pid = children()[0];
    const auto begin = std::chrono::steady_clock::now();
    cache_->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(200))
        << script;
    EXPECT_TRUE(is_gone(pid)) << script;
    EXPECT_FALSE(cache_->view()->up);
  }
}

TEST_F(LibvirtCacheTest, StopDoesNotWaitOutABackOff) {
  options_.shortest_delay = options_.longest_delay = milliseconds(20000);
  start("exit 1");
  ASSERT_TRUE(reason_becomes("ended"));
  const auto begin = std::chrono::steady_clock::now();
  cache_->stop();
  cache_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(200));
}

TEST_F(LibvirtCacheTest, AgeFollowsTheClockAndOldDomainsVanish) {
  const auto now_s = std::make_shared<std::atomic<int>>(1000);
  options_.now = [now_s] {
    return LibvirtCacheOptions::Clock::time_point(seconds(*now_s));
  };
  start("cat \"$0/up\" >&3; exec sleep 1000");
  ASSERT_TRUE(becomes(true));
  EXPECT_EQ(cache_->view()->age_seconds, 0.0);

  *now_s += 30;
  EXPECT_EQ(cache_->view()->age_seconds, 30.0);
  EXPECT_EQ(cache_->view()->domains.size(), 1U);
  EXPECT_TRUE(cache_->view()->up);

  *now_s += 1;
  EXPECT_EQ(cache_->view()->age_seconds, 31.0);
  EXPECT_TRUE(cache_->view()->domains.empty());
  EXPECT_FALSE(cache_->view()->up);
  EXPECT_EQ(cache_->view()->reason, "no answer for more than 30 s");
}

TEST_F(LibvirtCacheTest, WithoutASocketThereIsNoChild) {
  const auto socket = directory_ / "libvirt-sock-ro";
  options_.uri = "qemu:///system?socket=" + socket.string();
  start("cat \"$0/up\" >&3; while :; do cat \"$0/up\" >&3; sleep 0.01; done");
  EXPECT_TRUE(cache_->wait_for_answer(milliseconds(0)));
  EXPECT_FALSE(cache_->view()->expected);
  EXPECT_EQ(cache_->view()->reason, "no libvirt socket at " + socket.string());
  // Twenty periods: long enough for a child to show.
  EXPECT_FALSE(within(milliseconds(100), [&] { return !children().empty(); }));

  write("libvirt-sock-ro", "");
  ASSERT_TRUE(becomes(true));
  EXPECT_TRUE(cache_->view()->expected);

  // It was here: that it is missing now is worth telling.
  fs::remove(socket);
  ::kill(children()[0], SIGKILL);
  ASSERT_TRUE(restarts(1));
  EXPECT_TRUE(cache_->view()->expected);
}

TEST_F(LibvirtCacheTest, ALibvirtThatNeverAnsweredAndIsRemovedIsForgotten) {
  const auto socket = directory_ / "libvirt-sock-ro";
  write("libvirt-sock-ro", "");
  options_.uri = "qemu:///system?socket=" + socket.string();
  start("while :; do cat \"$0/down\" >&3; sleep 0.01; done");
  ASSERT_TRUE(reason_becomes("connection refused"));
  EXPECT_TRUE(cache_->view()->expected);
  fs::remove(socket);
  EXPECT_TRUE(eventually([this] { return !cache_->view()->expected; }));
  EXPECT_TRUE(eventually([this] { return is_gone(children()[0]); }));
}

TEST_F(LibvirtCacheTest, FiftyRestartsLeaveNothingBehind) {
  const auto before = open_fds();
  start("cat \"$0/up\" >&3");
  ASSERT_TRUE(restarts(50));
  cache_.reset();
  EXPECT_EQ(open_fds(), before);
  for (const pid_t pid : children()) {
    EXPECT_TRUE(::waitpid(pid, nullptr, WNOHANG) < 0 && errno == ECHILD) << pid;
  }
}

TEST_F(LibvirtCacheTest, ManyThreadsMayLook) {
  start("while :; do cat \"$0/up\" \"$0/down\" >&3; done");
  ASSERT_TRUE(cache_->wait_for_answer(kLong));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int j = 0; j < 2000; ++j) {
        const auto view = cache_->view();
        EXPECT_EQ(view->up, view->reason.empty());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Our own program as the child, and the driver inside the library as libvirt.
TEST_F(LibvirtCacheTest, TheProgramItselfIsTheChild) {
  options_.program = std::string(VCPU_BINARY_DIR) + "/vcpu_exporter";
  options_.period = milliseconds(10);
  cache_ = std::make_unique<LibvirtCache>(options_);
  ASSERT_TRUE(cache_->start());
  ASSERT_TRUE(cache_->wait_for_answer(kLong)) << cache_->view()->reason;
  const auto view = cache_->view();
  if (view->reason.find("is not installed") != std::string::npos ||
      view->reason == "built without libvirt") {
    GTEST_SKIP() << view->reason;
  }
  EXPECT_TRUE(view->up) << view->reason;
  ASSERT_EQ(view->domains.size(), 1U);
  EXPECT_EQ(view->domains[0].name, "test");
}

}  // namespace
}  // namespace vcpu

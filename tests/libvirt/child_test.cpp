// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "collectors/libvirt/child_process.h"
#include "collectors/libvirt/client.h"
#include "collectors/libvirt/monitor_protocol.h"
#include "collectors/libvirt/protocol.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;

// The program, run as the child that asks `uri` every 10 ms.
class RunningChild {
 public:
  explicit RunningChild(const std::string& uri) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      exec(ends[1], uri);
    }
    ::close(ends[1]);
    fd_ = ends[0];
  }
  RunningChild(const RunningChild&) = delete;
  RunningChild& operator=(const RunningChild&) = delete;
  ~RunningChild() {
    hang_up();
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    exit_status();
  }

  // The next `count` frames; fewer when they do not come.
  std::vector<LibvirtFrame> frames(std::size_t count) {
    std::vector<LibvirtFrame> got;
    std::array<char, 4096> chunk{};
    pollfd in{fd_, POLLIN, 0};
    while (got.size() < count && ::poll(&in, 1, 30000) == 1) {
      const auto n = ::read(fd_, chunk.data(), chunk.size());
      if (n <= 0) break;
      auto more = decoder_.feed({chunk.data(), static_cast<std::size_t>(n)});
      if (!more) break;
      got.insert(got.end(), more->begin(), more->end());
    }
    got.resize(std::min(got.size(), count));
    return got;
  }

  void hang_up() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  int exit_status() {
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void exec(int out_fd, const std::string& uri) {
    const auto program = std::string(VCPU_BINARY_DIR) + "/vcpu_exporter";
    auto words = libvirt_child_argv({kOutFd, uri, milliseconds(10)});
    const std::array<char*, 4> argv{words[0].data(), words[1].data(),
                                    words[2].data(), nullptr};
    ::dup2(out_fd, kOutFd);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }

  static constexpr int kOutFd = 100;
  pid_t pid_ = -1;
  int fd_ = -1;
  LibvirtFrameDecoder decoder_;
};

bool no_library(const std::string& reason) {
  return reason.find("is not installed") != std::string::npos ||
         reason == "built without libvirt";
}

TEST(LibvirtChildArgv, IsParsedBack) {
  const auto words =
      libvirt_child_argv({3, "qemu:///system?socket=/a b", milliseconds(5000)});
  EXPECT_EQ(words, (std::vector<std::string>{
                       "vcpu_exporter", "--internal.libvirt-child=3,5000",
                       "--libvirt.uri=qemu:///system?socket=/a b"}));
  const std::array<const char*, 3> argv{words[0].c_str(), words[1].c_str(),
                                        words[2].c_str()};
  const auto child = parse_libvirt_child(3, argv.data());
  ASSERT_TRUE(child);
  EXPECT_EQ(child->out_fd, 3);
  EXPECT_EQ(child->period, milliseconds(5000));
  EXPECT_EQ(child->uri, "qemu:///system?socket=/a b");
}

TEST(LibvirtChildArgv, NothingElseMakesAChild) {
  const auto parsed = [](const char* first, const char* second) {
    const std::array<const char*, 3> argv{"vcpu_exporter", first, second};
    return parse_libvirt_child(3, argv.data()).has_value();
  };
  EXPECT_TRUE(parsed("--internal.libvirt-child=3,1", "--libvirt.uri="));
  for (const char* bad :
       {"--once", "--internal.libvirt-child", "--internal.libvirt-child=",
        "--internal.libvirt-child=3", "--internal.libvirt-child=3,",
        "--internal.libvirt-child=,5", "--internal.libvirt-child=3,0",
        "--internal.libvirt-child=-1,5", "--internal.libvirt-child=3,5x",
        "--internal.libvirt-child=3,99999999999"}) {
    EXPECT_FALSE(parsed(bad, "--libvirt.uri=a")) << bad;
  }
  EXPECT_FALSE(parsed("--internal.libvirt-child=3,1", "--once"));
  const std::array<const char*, 1> alone{"vcpu_exporter"};
  EXPECT_FALSE(parse_libvirt_child(1, alone.data()));
}

TEST(MonitorChildArgv, IsParsedBack) {
  const auto words = monitor_child_argv({4, 3, "qemu:///system"});
  EXPECT_EQ(words, (std::vector<std::string>{"vcpu_exporter",
                                             "--internal.libvirt-monitor=4,3",
                                             "--libvirt.uri=qemu:///system"}));
  const std::array<const char*, 3> argv{words[0].c_str(), words[1].c_str(),
                                        words[2].c_str()};
  const auto child = parse_monitor_child(3, argv.data());
  ASSERT_TRUE(child);
  EXPECT_EQ(child->in_fd, 4);
  EXPECT_EQ(child->out_fd, 3);
  EXPECT_EQ(child->uri, "qemu:///system");
  EXPECT_FALSE(parse_libvirt_child(3, argv.data()));
}

// The driver inside the library: a real connection without a daemon.
TEST(LibvirtChild, TellsWhatLibvirtSays) {
  RunningChild child("test:///default");
  const auto frames = child.frames(3);
  ASSERT_EQ(frames.size(), 3U);
  if (no_library(frames[0].reason)) GTEST_SKIP() << frames[0].reason;
  for (const LibvirtFrame& frame : frames) {
    EXPECT_TRUE(frame.up) << frame.reason;
    ASSERT_EQ(frame.domains.size(), 1U);
    const LibvirtDomain& domain = frame.domains.front();
    EXPECT_EQ(domain.uuid, "6695eb01-f6a4-8304-79aa-97f2502e193f");
    EXPECT_EQ(domain.name, "test");
    EXPECT_EQ(domain.state, "running");
    EXPECT_EQ(domain.state_reason, "unknown");
    EXPECT_EQ(domain.vcpus_current, 2);
    EXPECT_EQ(domain.vcpus_maximum, 2);
    ASSERT_EQ(domain.pinned_cpus.size(), 2U);
    EXPECT_GT(domain.pinned_cpus[0], 0);
    EXPECT_EQ(domain.pinned_cpus[0], domain.pinned_cpus[1]);
    EXPECT_EQ(domain.memory_max_bytes, std::uint64_t{8} << 30U);
    EXPECT_EQ(domain.memory_balloon_bytes, std::uint64_t{2} << 30U);
  }
}

// A file that the driver inside the library takes its domains from.
class DriverFile {
 public:
  explicit DriverFile(const std::string& domain)
      : path_(testing::TempDir() + "child_test." + std::to_string(::getpid()) +
              ".xml") {
    std::ofstream(path_) << "<node><domain type='test'><name>cells</name>"
                            "<uuid>6695eb01-f6a4-8304-79aa-97f2502e1940</uuid>"
                            "<memory>1048576</memory><vcpu>4</vcpu>"
                            "<os><type>hvm</type></os>"
                         << domain << "</domain></node>";
  }
  DriverFile(const DriverFile&) = delete;
  DriverFile& operator=(const DriverFile&) = delete;
  ~DriverFile() { std::remove(path_.c_str()); }
  std::string uri() const { return "test://" + path_; }

 private:
  std::string path_;
};

TEST(LibvirtChild, TellsGuestCellsAndTheirNodes) {
  const DriverFile file(
      "<title>Cells</title><metadata><a:app "
      "xmlns:a='http://a.b'>x</a:app></metadata>"
      "<numatune><memory mode='strict' nodeset='0-1'/>"
      "<memnode cellid='1' mode='strict' nodeset='1'/></numatune>"
      "<cpu><numa><cell id='0' cpus='0-2' memory='524288'/>"
      "<cell id='1' cpus='3' memory='524288'/></numa></cpu>");
  RunningChild child(file.uri());
  const auto frames = child.frames(3);
  ASSERT_EQ(frames.size(), 3U);
  if (no_library(frames[0].reason)) GTEST_SKIP() << frames[0].reason;
  for (const LibvirtFrame& frame : frames) {
    ASSERT_TRUE(frame.up) << frame.reason;
    ASSERT_EQ(frame.domains.size(), 1U);
    EXPECT_EQ(frame.domains.front().metadata,
              (LibvirtMetadata{{"title", "Cells"}, {"{http://a.b}app", "x"}}));
    const auto& cells = frame.domains.front().cells;
    ASSERT_EQ(cells.size(), 2U);
    EXPECT_EQ(cells[0].vcpus, (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(cells[0].nodes, (std::vector<int>{0, 1}));
    EXPECT_EQ(cells[1].vcpus, (std::vector<int>{3}));
    EXPECT_EQ(cells[1].nodes, (std::vector<int>{1}));
  }
}

TEST(LibvirtChild, SendsFramesWithAReasonWhileNobodyAnswers) {
  RunningChild child("qemu:///system?socket=/nowhere/libvirt-sock-ro");
  const auto frames = child.frames(5);
  ASSERT_EQ(frames.size(), 5U);
  if (no_library(frames[0].reason)) GTEST_SKIP() << frames[0].reason;
  for (const LibvirtFrame& frame : frames) {
    EXPECT_FALSE(frame.up);
    EXPECT_NE(frame.reason.find("/nowhere/libvirt-sock-ro"), std::string::npos)
        << frame.reason;
  }
}

TEST(LibvirtChild, SaysThatTheLibraryIsMissing) {
  LibvirtClient client("test:///default", "libvirt-of-nobody.so.0");
  const auto frame = client.ask();
  EXPECT_FALSE(frame.up);
  if (frame.reason == "built without libvirt") GTEST_SKIP() << frame.reason;
  EXPECT_EQ(frame.reason.rfind("libvirt-of-nobody.so.0 is not installed", 0),
            0U)
      << frame.reason;
}

TEST(LibvirtChild, SaysThatTheLibraryIsNotLibvirt) {
  LibvirtClient client("test:///default", "libc.so.6");
  const auto frame = client.ask();
  EXPECT_FALSE(frame.up);
  if (frame.reason == "built without libvirt") GTEST_SKIP() << frame.reason;
  EXPECT_EQ(frame.reason.rfind("libc.so.6 is too old: it has no vir", 0), 0U)
      << frame.reason;
}

// The monitor child of `uri`, and what it says.
class AskedChild {
 public:
  explicit AskedChild(const std::string& uri) {
    const auto program = std::string(VCPU_BINARY_DIR) + "/vcpu_exporter";
    EXPECT_TRUE(child_.spawn_listening(
        program, monitor_child_argv({kChildInFd, kChildOutFd, uri})));
  }

  std::optional<MonitorFrame> next() {
    std::array<char, 4096> chunk{};
    pollfd in{child_.out_fd(), POLLIN, 0};
    while (::poll(&in, 1, 30000) == 1) {
      const auto n = ::read(child_.out_fd(), chunk.data(), chunk.size());
      if (n <= 0) break;
      auto frames = decoder_.feed({chunk.data(), static_cast<std::size_t>(n)});
      if (!frames) break;
      if (!frames->empty()) return frames->front();
    }
    return std::nullopt;
  }

  std::optional<MonitorFrame> ask(const std::string& uuid) {
    EXPECT_TRUE(child_.tell(encode(MonitorRequest{uuid, kAllMonitorGroups})));
    return next();
  }

  std::string how_it_ended() const { return child_.how_it_ended(); }
  pid_t pid() const { return child_.pid(); }
  bool tell(std::string_view bytes) const { return child_.tell(bytes); }

 private:
  ChildProcess child_;
  MonitorFrameDecoder decoder_;
};

constexpr const char* kTestDomain = "6695eb01-f6a4-8304-79aa-97f2502e193f";
constexpr const char* kNobody = "00000000-0000-0000-0000-0000000000ff";

TEST(MonitorChild, SaysThatItIsConnectedAndAnswers) {
  AskedChild child("test:///default");
  const auto hello = child.next();
  ASSERT_TRUE(hello);
  if (no_library(hello->reason)) GTEST_SKIP() << hello->reason;
  EXPECT_EQ(hello->outcome, MonitorOutcome::kConnected) << hello->reason;
  for (int i = 0; i < 3; ++i) {
    const auto told = child.ask(kTestDomain);
    ASSERT_TRUE(told);
    EXPECT_EQ(told->outcome, MonitorOutcome::kTold) << told->reason;
    const auto gone = child.ask(kNobody);
    ASSERT_TRUE(gone);
    EXPECT_EQ(gone->outcome, MonitorOutcome::kGone) << gone->reason;
  }
}

TEST(MonitorChild, SaysWhyItIsNotConnectedAndEnds) {
  AskedChild child("qemu:///system?socket=/nowhere/libvirt-sock-ro");
  const auto frame = child.next();
  ASSERT_TRUE(frame);
  if (no_library(frame->reason)) GTEST_SKIP() << frame->reason;
  EXPECT_EQ(frame->outcome, MonitorOutcome::kNoLibvirt);
  EXPECT_NE(frame->reason.find("/nowhere/libvirt-sock-ro"), std::string::npos);
  EXPECT_FALSE(child.next());
  EXPECT_EQ(child.how_it_ended(), "exit status 0");
}

TEST(MonitorChild, EndsOfARequestThatIsNone) {
  AskedChild child("test:///default");
  ASSERT_TRUE(child.next());
  child.tell("who are you?");
  EXPECT_FALSE(child.next());
  EXPECT_EQ(child.how_it_ended(), "exit status 0");
}

std::size_t resident_kib(const std::string& proc) {
  std::ifstream file(proc + "/status");
  const std::string status(std::istreambuf_iterator<char>(file), {});
  return std::stoul(status.substr(status.find("VmRSS:") + 6));
}

TEST(MonitorChild, DoesNotGrowOverTenThousandAnswers) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps what was freed for a while";
#endif
  AskedChild child("test:///default");
  const auto hello = child.next();
  ASSERT_TRUE(hello);
  if (no_library(hello->reason)) GTEST_SKIP() << hello->reason;
  const auto proc = "/proc/" + std::to_string(child.pid());
  const auto ask = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const auto told = child.ask(i % 2 == 0 ? kTestDomain : kNobody);
      ASSERT_TRUE(told);
    }
  };
  ask(1000);
  const auto before = resident_kib(proc);
  ask(9000);
  EXPECT_LT(resident_kib(proc), before + 512);
}

TEST(LibvirtChild, EndsWhenNobodyReads) {
  RunningChild child("test:///default");
  ASSERT_EQ(child.frames(1).size(), 1U);
  child.hang_up();
  EXPECT_EQ(child.exit_status(), 0);
}

TEST(LibvirtChild, HoldsNoCapability) {
  RunningChild child("test:///default");
  ASSERT_EQ(child.frames(1).size(), 1U);
  std::ifstream file("/proc/" + std::to_string(child.pid()) + "/status");
  const std::string status(std::istreambuf_iterator<char>(file), {});
  for (const char* line :
       {"Name:\tvcpu_libvirt\n", "CapEff:\t0000000000000000\n",
        "CapPrm:\t0000000000000000\n", "NoNewPrivs:\t1\n"}) {
    EXPECT_NE(status.find(line), std::string::npos) << line << status;
  }
}

TEST(LibvirtChild, HoldsNoDescriptorOfItsParent) {
  const int below = ::fcntl(STDERR_FILENO, F_DUPFD, 90);
  const int above = ::fcntl(STDERR_FILENO, F_DUPFD, 110);
  RunningChild child("test:///default");
  ::close(below);
  ::close(above);
  ASSERT_EQ(child.frames(1).size(), 1U);
  const auto fds = "/proc/" + std::to_string(child.pid()) + "/fd/";
  EXPECT_EQ(::access((fds + "100").c_str(), F_OK), 0);
  EXPECT_NE(::access((fds + std::to_string(below)).c_str(), F_OK), 0);
  EXPECT_NE(::access((fds + std::to_string(above)).c_str(), F_OK), 0);
}

// As when the parent dies while a call to libvirt never returns.
TEST(LibvirtChild, DiesWithTheThreadThatStartedIt) {
  std::unique_ptr<RunningChild> child;
  std::thread parent([&child] {
    child = std::make_unique<RunningChild>("test:///default");
    EXPECT_EQ(child->frames(1).size(), 1U);
  });
  parent.join();
  const int status = child->exit_status();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// What the exporter and its child keep of 10,000 answers: no more than of the
// first thousand. Of the exporter is counted what malloc has given out, not
// what pages it holds.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "collectors/libvirt/cache.h"
#include "collectors/libvirt/child.h"
#include "collectors/libvirt/child_process.h"
#include "collectors/libvirt/monitor.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
namespace fs = std::filesystem;

constexpr int kWarmUp = 1000;
constexpr int kRefreshes = 10'000;
// Less than 8 bytes of each answer; what differs is when it is counted.
constexpr std::size_t kBound = std::size_t{64} << 10;
constexpr const char* kUuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";

std::size_t given_out() {
  const auto now = ::mallinfo2();
  return now.uordblks + now.hblkhd;
}

class LibvirtMemory : public testing::Test {
 protected:
  LibvirtMemory() {
    std::string pattern = (fs::temp_directory_path() / "memory.XXXXXX");
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
  }
  ~LibvirtMemory() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }

 private:
  fs::path directory_;
};

// Each answer tells something else than the one before.
std::string answers(int count, const std::string& last) {
  std::string bytes;
  for (int i = 1; i <= count; ++i) {
    LibvirtDomain domain{kUuid, "web", i % 2 == 0 ? "running" : "paused",
                         2,     4,     {1, 1}};
    domain.state_reason = i == count ? last : std::to_string(i);
    domain.metadata = {{"title", std::string(100, 'x')}};
    bytes += encode({true, "", {domain}});
  }
  return bytes;
}

TEST_F(LibvirtMemory, OfTheCacheIsFlatOverTenThousandAnswers) {
  write("first", answers(kWarmUp, "warm"));
  write("second", answers(kRefreshes, "done"));
  LibvirtCacheOptions options;
  options.program = "/bin/sh";
  options.uri = "test:///default";
  options.deadline = seconds(60);
  options.argv = {"sh", "-c",
                  "cat \"$0\" >&3; until [ -e \"$1\" ]; do sleep 0.01; done; "
                  "cat \"$1\" >&3; exec sleep 1000",
                  path("first"), path("go")};
  LibvirtCache cache(options);
  ASSERT_TRUE(cache.start());
  const auto told = [&](const std::string& reason) {
    return eventually([&] {
      const auto view = cache.view();
      return view->domains.size() == 1 &&
             view->domains[0].state_reason == reason;
    });
  };
  ASSERT_TRUE(told("warm")) << cache.view()->reason;
  const auto before = given_out();
  fs::rename(path("second"), path("go"));
  ASSERT_TRUE(told("done")) << cache.view()->reason;
  EXPECT_LT(given_out(), before + kBound);
}

std::size_t resident_kib(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  return 0;
}

// Our own program as the child that asks libvirt, without a pause, and the
// driver inside the library as libvirt.
class AskingChild {
 public:
  AskingChild() {
    EXPECT_TRUE(process_.spawn(
        std::string(VCPU_BINARY_DIR) + "/vcpu_exporter",
        libvirt_child_argv({kChildOutFd, "test:///default", milliseconds(1)})));
  }

  // The last of so many answers.
  LibvirtFrame take(int count) {
    LibvirtFrame last;
    std::array<char, 4096> chunk{};
    while (count > 0) {
      const auto n = ::read(process_.out_fd(), chunk.data(), chunk.size());
      if (n <= 0) return {};
      auto frames = decoder_.feed({chunk.data(), static_cast<std::size_t>(n)});
      if (!frames) return {};
      count -= static_cast<int>(frames->size());
      if (!frames->empty()) last = std::move(frames->back());
    }
    return last;
  }
  std::size_t kib() const { return resident_kib(process_.pid()); }

 private:
  ChildProcess process_;
  LibvirtFrameDecoder decoder_;
};

TEST_F(LibvirtMemory, OfTheChildIsFlatOverTenThousandQuestions) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps what was freed for a while";
#endif
  AskingChild child;
  const auto warm = child.take(kWarmUp);
  if (!warm.up) GTEST_SKIP() << warm.reason;
  ASSERT_EQ(warm.domains.size(), 1U);
  const auto before = child.kib();
  ASSERT_TRUE(child.take(kRefreshes - kWarmUp).up);
  // 30 bytes of each answer.
  EXPECT_LE(child.kib(), before + 256);
}

// The child counts the requests that it has answered.
constexpr const char* kCountingChild = R"(
import os, struct, sys
hello, told, mark = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), b"MARKMARK"
os.write(3, hello)
count = 0
while len(os.read(4, 37)) == 37:
    count += 1
    os.write(3, told.replace(mark, struct.pack("<Q", count)))
)";

TEST_F(LibvirtMemory, OfTheMonitorIsFlatOverTenThousandAnswers) {
  std::uint64_t mark = 0;
  std::memcpy(&mark, "MARKMARK", sizeof mark);
  write("hello", encode(MonitorFrame{MonitorOutcome::kConnected, "", {}}));
  write("told", encode(MonitorFrame{MonitorOutcome::kTold,
                                    "",
                                    {{"block.0.name", std::string("vda")},
                                     {"block.0.rd.reqs", mark},
                                     {"iothread.1.poll-max-ns", mark}}}));
  LibvirtMonitorOptions options;
  options.program = "/usr/bin/python3";
  options.argv = {"python3", "-c", kCountingChild, path("hello"), path("told")};
  options.deadline = seconds(60);
  options.book.period = milliseconds(0);
  LibvirtMonitor monitor(options);
  ASSERT_TRUE(monitor.start());
  const MonitoredVm vm{{::getpid(), 0}, "web", kUuid};
  const auto answered = [&](std::uint64_t times) {
    return within(seconds(120), [&] {
      const auto view = monitor.look(MonitorGroup::kBlock, {vm});
      const auto& figures = view.vms.at(vm.id).figures;
      return figures && figures->devices.at(0).read.requests >= times;
    });
  };
  ASSERT_TRUE(answered(kWarmUp)) << monitor.view().missing_reason;
  const auto before = given_out();
  ASSERT_TRUE(answered(kWarmUp + kRefreshes)) << monitor.view().missing_reason;
  EXPECT_LT(given_out(), before + kBound);
}

}  // namespace
}  // namespace vcpu

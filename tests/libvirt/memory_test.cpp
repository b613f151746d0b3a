// SPDX-License-Identifier: Apache-2.0
//
// What the exporter itself keeps of 10,000 answers: no more than of the first
// thousand. Counted is what malloc has given out, not what pages it holds.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "collectors/libvirt/cache.h"
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

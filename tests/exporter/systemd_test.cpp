// SPDX-License-Identifier: Apache-2.0
#include "exporter/systemd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace vcpu {
namespace {

using testing::StartsWith;

// A real socket as systemd's end of NOTIFY_SOCKET.
class Systemd : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "notify." + std::to_string(::getpid());
    ::unlink(path_.c_str());
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ASSERT_GE(fd_, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path_.size(), sizeof(address.sun_path));
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    ASSERT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                     sizeof(address)),
              0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }

  void TearDown() override {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
    ::close(fd_);
    ::unlink(path_.c_str());
  }

  // The datagram that has arrived; "" for none.
  std::string received() const {
    std::array<char, 1000> buffer{};
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    return got < 0 ? "" : std::string(buffer.data(), buffer.data() + got);
  }

  std::string path_;
  int fd_ = -1;
};

TEST_F(Systemd, Ready) {
  EXPECT_TRUE(notify_ready("listening on :9752").has_value());
  EXPECT_EQ(received(), "READY=1\nSTATUS=listening on :9752");
}

TEST_F(Systemd, StatusIsOneLine) {
  EXPECT_TRUE(notify_ready("a\nMAINPID=1").has_value());
  EXPECT_EQ(received(), "READY=1\nSTATUS=a MAINPID=1");
}

TEST_F(Systemd, StoppingAndWatchdog) {
  EXPECT_TRUE(notify_stopping().has_value());
  EXPECT_EQ(received(), "STOPPING=1");
  EXPECT_TRUE(notify_watchdog().has_value());
  EXPECT_EQ(received(), "WATCHDOG=1");
  EXPECT_EQ(received(), "");
}

TEST_F(Systemd, ReloadingSaysWhen) {
  const auto monotonic_us = [] {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  };
  const std::int64_t before = monotonic_us();
  EXPECT_TRUE(notify_reloading().has_value());
  const std::string text = received();
  const std::string start = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_THAT(text, StartsWith(start));
  const std::int64_t said = std::stoll(text.substr(start.size()));
  EXPECT_GE(said, before);
  EXPECT_LE(said, monotonic_us());
}

TEST_F(Systemd, WithoutASocketNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(notify_ready("x").has_value());
  EXPECT_TRUE(notify_watchdog().has_value());
  EXPECT_EQ(received(), "");
}

TEST_F(Systemd, ASocketThatIsGoneIsAnError) {
  ::setenv("NOTIFY_SOCKET", "/does/not/exist", 1);
  const Result<void> result = notify_ready("x");
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message(), StartsWith("sd_notify: "));
}

TEST_F(Systemd, WatchdogInterval) {
  EXPECT_FALSE(watchdog_interval().has_value());
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::seconds(30));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::seconds(30));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_FALSE(watchdog_interval().has_value());
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "often", 1);
  EXPECT_FALSE(watchdog_interval().has_value());
}

}  // namespace
}  // namespace vcpu

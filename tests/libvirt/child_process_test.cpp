// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/child_process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>

#include "tests/support/waiting.h"

namespace vcpu {
namespace {

Result<void> run(ChildProcess& child, const std::string& script) {
  return child.spawn("/bin/sh", {"sh", "-c", script});
}

// What the child wrote, until it closed the pipe.
std::string everything(const ChildProcess& child) {
  std::string text;
  std::array<char, 512> chunk{};
  ssize_t n = 0;
  while ((n = ::read(child.out_fd(), chunk.data(), chunk.size())) > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return text;
}

// The first line that it wrote: a pid.
pid_t first_pid(const ChildProcess& child) {
  std::string text;
  char c = 0;
  while (::read(child.out_fd(), &c, 1) == 1 && c != '\n') text.push_back(c);
  return static_cast<pid_t>(std::stol(text));
}

bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

TEST(ChildProcess, WritesToUs) {
  ChildProcess child;
  ASSERT_TRUE(run(child, "echo hello >&3"));
  EXPECT_EQ(everything(child), "hello\n");
}

TEST(ChildProcess, IsToldThroughAPipeOfItsOwn) {
  ChildProcess child;
  ASSERT_TRUE(child.spawn_listening(
      "/bin/sh", {"sh", "-c", "head -c 5 <&4 >&3; cat <&4 >&3"}));
  EXPECT_TRUE(child.tell("hello"));
  std::array<char, 5> heard{};
  EXPECT_EQ(::read(child.out_fd(), heard.data(), heard.size()), 5);
  EXPECT_EQ(std::string(heard.data(), heard.size()), "hello");
}

// Nothing waits for a child, not even who tells it something.
TEST(ChildProcess, ThatDoesNotListenIsNotWaitedFor) {
  ChildProcess child;
  ASSERT_TRUE(child.spawn_listening("/bin/sh", {"sh", "-c", "sleep 1000"}));
  const std::string page(4096, 'x');
  int taken = 0;
  while (taken < 1000 && child.tell(page)) ++taken;
  EXPECT_GT(taken, 0);
  EXPECT_LT(taken, 1000);
}

TEST(ChildProcess, HasNeitherOurInputNorOurOutput) {
  ChildProcess child;
  ASSERT_TRUE(
      run(child, "readlink /proc/$$/fd/0 /proc/$$/fd/1 | tr '\\n' ' ' >&3"));
  EXPECT_EQ(everything(child), "/dev/null /dev/null ");
}

TEST(ChildProcess, TellsHowItEnded) {
  ChildProcess child;
  ASSERT_TRUE(run(child, "exit 3"));
  everything(child);
  EXPECT_EQ(child.how_it_ended(), "exit status 3");
  ASSERT_TRUE(run(child, "kill -SEGV $$"));
  everything(child);
  EXPECT_EQ(child.how_it_ended(), "signal 11");
  ASSERT_TRUE(run(child, "exec 3>&-; exec sleep 1000"));
  everything(child);
  EXPECT_EQ(child.how_it_ended(), "still running");
}

TEST(ChildProcess, AProgramThatIsNotThereIsAnError) {
  ChildProcess child;
  const auto spawned = child.spawn("/nowhere/program", {"program"});
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error().message(),
            "/nowhere/program: No such file or directory");
  EXPECT_EQ(child.out_fd(), -1);
}

TEST(ChildProcess, EndsWithAllItStarted) {
  ChildProcess child;
  ASSERT_TRUE(run(child, "sleep 1000 & echo $! >&3; wait"));
  const pid_t grandchild = first_pid(child);
  ASSERT_FALSE(is_gone(grandchild));
  child.end();
  // A zombie has no program either: reaping it is not our business.
  const auto program = "/proc/" + std::to_string(grandchild) + "/exe";
  EXPECT_TRUE(eventually([&] { return ::access(program.c_str(), F_OK) != 0; }));
}

TEST(ChildProcess, EndsWhenItIgnoresSignalsOrIsStopped) {
  for (const char* script : {"trap '' TERM INT HUP; echo $$ >&3; sleep 1000",
                             "echo $$ >&3; kill -STOP $$"}) {
    ChildProcess child;
    ASSERT_TRUE(run(child, script));
    const pid_t pid = first_pid(child);
    child.end();
    EXPECT_TRUE(is_gone(pid)) << script;
  }
}

TEST(ChildProcess, StartsWithDefaultSignals) {
  auto* const before = std::signal(SIGHUP, SIG_IGN);
  ChildProcess child;
  ASSERT_TRUE(run(child, "echo $$ >&3; kill -HUP $$; echo survived >&3"));
  first_pid(child);
  EXPECT_EQ(everything(child), "");
  EXPECT_EQ(child.how_it_ended(), "signal 1");
  std::signal(SIGHUP, before);
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_vm.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/waiting.h"

extern char** environ;

namespace vcpu {
namespace {

using Pipe = std::array<int, 2>;

Pipe make_pipe() {
  Pipe ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  return ends;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// The kernel says which system call a thread sleeps in once it has left its
// CPU.
bool is_at_rest(const std::filesystem::path& thread) {
  std::string call;
  std::ifstream(thread / "syscall") >> call;
  return call != "running";
}

}  // namespace

FakeVm::FakeVm(const std::vector<std::string>& argv,
               const std::vector<std::string>& threads) {
  const Pipe in = make_pipe();
  const Pipe out = make_pipe();
  std::string names;
  for (const auto& name : threads) names += (names.empty() ? "" : "|") + name;
  std::vector<std::string> environment{"FAKE_VMM_THREADS=" + names};
  for (char** entry = environ; *entry != nullptr; ++entry)
    environment.emplace_back(*entry);
  auto arguments = argv;

  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  const std::string program = VCPU_BINARY_DIR "/fake_vmm";
  const int error =
      ::posix_spawn(&pid_, program.c_str(), &actions, nullptr,
                    pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  to_ = ::fdopen(in[1], "w");
  from_ = ::fdopen(out[0], "r");
  if (error != 0) throw std::runtime_error("cannot start " + program);
  if (hear() != "ready") throw std::runtime_error("fake_vmm is not ready");
  await_rest();
}

FakeVm::~FakeVm() {
  kill();
  ::fclose(to_);
  ::fclose(from_);
}

void FakeVm::allocate(const std::string& kind, int node, int mebibytes) {
  obey("allocate " + kind + " " + std::to_string(node) + " " +
       std::to_string(mebibytes));
}

void FakeVm::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void FakeVm::say(const std::string& line) {
  std::fprintf(to_, "%s\n", line.c_str());
  std::fflush(to_);
}

std::string FakeVm::hear() {
  std::string line;
  for (int c = 0; (c = std::fgetc(from_)) != EOF && c != '\n';)
    line += static_cast<char>(c);
  return line;
}

void FakeVm::obey(const std::string& command) {
  say(command);
  if (hear() != "done") throw std::runtime_error("fake_vmm: " + command);
}

void FakeVm::start_spin(int milliseconds, int percent) {
  say("spin " + std::to_string(milliseconds) + " " + std::to_string(percent));
}

std::vector<FakeVm::Truth> FakeVm::finish_spin() {
  std::vector<Truth> truths;
  for (auto line = hear(); line != "done"; line = hear()) {
    if (line.empty()) throw std::runtime_error("fake_vmm ended");
    std::istringstream words(line);
    Truth truth;
    std::getline(words, truth.name, '\t');
    words >> truth.tid >> truth.wall_ns >> truth.cpu_ns;
    truths.push_back(truth);
  }
  await_rest();
  return truths;
}

void FakeVm::add(const std::string& thread) { obey("add " + thread); }
void FakeVm::remove(const std::string& thread) { obey("remove " + thread); }

bool FakeVm::open_vhost() {
  say("vhost");
  return hear() == "done";
}

void FakeVm::kick_vhost(int milliseconds) {
  obey("kick " + std::to_string(milliseconds));
}

// Else a test may take figures that are about to grow a little.
void FakeVm::await_rest() const {
  const std::filesystem::directory_iterator threads(
      "/proc/" + std::to_string(pid_) + "/task");
  for (const auto& thread : threads)
    eventually([&] { return is_at_rest(thread.path()); });
}

std::vector<std::string> qemu_argv(const std::string& name,
                                   const std::string& uuid) {
  return {"/usr/bin/qemu-system-x86_64",
          "-name",
          "guest=" + name + ",debug-threads=on",
          "-S",
          "-machine",
          "pc-q35-7.2,usb=off,dump-guest-core=off",
          "-accel",
          "kvm",
          "-m",
          "1024",
          "-uuid",
          uuid,
          "-no-user-config",
          "-nodefaults"};
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// FakeVm: a real process with real threads that looks like a VMM
// (fake_vmm.cpp), started and ended by a test.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace vcpu {

class FakeVm {
 public:
  // Runs under `argv`; returns when all threads are there, named and at rest.
  FakeVm(const std::vector<std::string>& argv,
         const std::vector<std::string>& threads);
  ~FakeVm();
  FakeVm(const FakeVm&) = delete;
  FakeVm& operator=(const FakeVm&) = delete;

  struct Truth {  // What a thread measured itself while it spun.
    std::string name;
    pid_t tid = 0;
    std::int64_t wall_ns = 0;
    std::int64_t cpu_ns = 0;
  };
  void start_spin(int milliseconds, int percent = 100);
  std::vector<Truth> finish_spin();  // Returns when they are at rest again.

  void add(const std::string& thread);
  void remove(const std::string& thread);
  // Of a kind that fake_vmm.cpp knows, on a NUMA node.
  void allocate(const std::string& kind, int node, int mebibytes);
  // Has the kernel serve a network device of it: false where there is no vhost.
  bool open_vhost();
  void kick_vhost(int milliseconds);  // Work for the device, meanwhile.
  void kill();                        // SIGKILL, and reaped.

  pid_t pid() const { return pid_; }

 private:
  void say(const std::string& line);
  std::string hear();
  void obey(const std::string& command);
  void await_rest() const;

  pid_t pid_ = -1;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

// The command line that libvirt gives QEMU, shortened.
std::vector<std::string> qemu_argv(const std::string& name,
                                   const std::string& uuid);

}  // namespace vcpu

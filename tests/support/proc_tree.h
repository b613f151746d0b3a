// SPDX-License-Identifier: Apache-2.0
//
// ProcTree: a /proc and a /sys that a test writes like sentences, in a
// directory that goes with it.
//
//   ProcTree tree;
//   tree.cpus("0-3").node(0, "0-1").node(1, "2-3").core({0, 1}).core({2, 3});
//   tree.process(100, "qemu-system-x86", {"qemu-system-x86_64", "-name", "a"})
//       .thread(101, "CPU 0/KVM", {.run = 5, .wait = 7});
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "collectors/base/roots.h"

namespace vcpu {

// What the four files of a thread say.
struct ThreadFigures {
  std::uint64_t run = 1'000'000'000;  // ns
  std::uint64_t wait = 500'000'000;   // ns
  std::uint64_t dispatches = 10;
  std::uint64_t voluntary = 6;
  std::uint64_t involuntary = 4;
  std::uint64_t migrations = 2;
  int cpu = 0;
  std::string allowed = "0-1023";
  std::uint64_t start = 1000;  // Ticks after boot.
  std::string cgroup = "/";
  uid_t uid = 0;
};

class ProcTree {
 public:
  using Figures = ThreadFigures;

  class Process {
   public:
    // Adds or overwrites a thread.
    Process& thread(pid_t tid, const std::string& comm, const Figures& figures);
    Process& end_thread(pid_t tid);
    // Overwrites one file of a thread with any text.
    Process& file(pid_t tid, const std::string& name, const std::string& text);
    Process& remove_file(pid_t tid, const std::string& name);

   private:
    friend class ProcTree;
    Process(std::string path, pid_t pid) : path_(std::move(path)), pid_(pid) {}
    std::string path_;
    pid_t pid_;
  };

  ProcTree();  // Two CPUs, one node, pid 1, boot time 1700000000.
  ~ProcTree();
  ProcTree(const ProcTree&) = delete;
  ProcTree& operator=(const ProcTree&) = delete;

  ProcTree& cpus(const std::string& online);
  ProcTree& core(const std::vector<int>& siblings);
  ProcTree& node(int node, const std::string& cpus);
  ProcTree& distance(int node, const std::string& row);  // "10 20"
  ProcTree& stat(const std::string& text);               // /proc/stat

  // A process and its main thread.
  Process process(pid_t pid, const std::string& comm,
                  const std::vector<std::string>& argv,
                  const Figures& main_thread = {});
  // Its own comm and flags, no command line: vhost-100.
  Process kernel_thread(pid_t pid, const std::string& comm,
                        const Figures& figures);
  void end_process(pid_t pid);

  // One file with any text: of a process, below /sys, below /sys/fs/cgroup.
  void process_file(pid_t pid, const std::string& name,
                    const std::string& text) const;
  void sys_file(const std::string& name, const std::string& text) const;
  void group_file(const std::string& name, const std::string& text) const;

  Roots roots() const;
  std::string proc(const std::string& name) const;

  static void write(const std::string& path, const std::string& text);

 private:
  std::string root_;
  int nodes_ = 0;
};

}  // namespace vcpu

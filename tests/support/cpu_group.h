// SPDX-License-Identifier: Apache-2.0
//
// CpuGroup: a real cgroup with a CPU quota, of either version, that a test
// makes and that goes with it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace vcpu {

class CpuGroup {
 public:
  // Below `parent`, else below the root; null where none can be made here.
  static std::unique_ptr<CpuGroup> make(const std::string& name,
                                        const CpuGroup* parent = nullptr);
  ~CpuGroup();
  CpuGroup(const CpuGroup&) = delete;
  CpuGroup& operator=(const CpuGroup&) = delete;

  // So much CPU time in each tenth of a second.
  void set_quota_ms(int milliseconds);
  void add_process(pid_t pid);
  void add_thread(pid_t tid);
  std::uint64_t throttled_ns() const;  // cpu.stat
  const std::string& directory() const { return path_; }

 private:
  CpuGroup(std::string path, bool v2) : path_(std::move(path)), v2_(v2) {}
  void write(const std::string& file, const std::string& text);

  std::string path_;
  bool v2_;
};

}  // namespace vcpu

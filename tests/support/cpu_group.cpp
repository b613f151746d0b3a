// SPDX-License-Identifier: Apache-2.0
#include "tests/support/cpu_group.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace vcpu {
namespace {

// Where the CPU controller is: of version 1, else of version 2.
std::string root(bool& v2) {
  std::ifstream mounts("/proc/self/mounts");
  std::string device;
  std::string where;
  std::string type;
  std::string options;
  std::string second;
  for (std::string rest;
       mounts >> device >> where >> type >> options && getline(mounts, rest);) {
    if (type == "cgroup2") second = where;
    if (type == "cgroup" &&
        ("," + options + ",").find(",cpu,") != std::string::npos) {
      v2 = false;
      return where;
    }
  }
  v2 = true;
  return second;
}

}  // namespace

std::unique_ptr<CpuGroup> CpuGroup::make(const std::string& name,
                                         const CpuGroup* parent) {
  bool v2 = false;
  const std::string top = parent != nullptr ? parent->path_ : root(v2);
  if (parent != nullptr) v2 = parent->v2_;
  if (top.empty()) return nullptr;
  if (v2) std::ofstream(top + "/cgroup.subtree_control") << "+cpu";
  const std::string path = top + "/" + name;
  std::error_code error;
  std::filesystem::create_directory(path, error);
  if (!std::filesystem::exists(path + (v2 ? "/cpu.max" : "/cpu.cfs_quota_us")))
    return nullptr;
  if (v2 && parent != nullptr)
    std::ofstream(path + "/cgroup.type") << "threaded";
  return std::unique_ptr<CpuGroup>(new CpuGroup(path, v2));
}

CpuGroup::~CpuGroup() {
  // Its processes are on their way out; the directory goes when they have.
  for (int tries = 0; tries < 5000 && ::rmdir(path_.c_str()) != 0; ++tries)
    ::usleep(1000);
}

void CpuGroup::write(const std::string& file, const std::string& text) {
  std::ofstream stream(path_ + "/" + file);
  stream << text << std::flush;
  EXPECT_TRUE(stream) << path_ << "/" << file;
}

void CpuGroup::set_quota_ms(int milliseconds) {
  const std::string quota = std::to_string(milliseconds * 1000);
  if (v2_) {
    write("cpu.max", quota + " 100000");
  } else {
    write("cpu.cfs_quota_us", quota);
  }
}

void CpuGroup::add_process(pid_t pid) {
  write("cgroup.procs", std::to_string(pid));
}

void CpuGroup::add_thread(pid_t tid) {
  write(v2_ ? "cgroup.threads" : "tasks", std::to_string(tid));
}

std::uint64_t CpuGroup::throttled_ns() const {
  std::ifstream stat(path_ + "/cpu.stat");
  std::string key;
  for (std::uint64_t value = 0; stat >> key >> value;) {
    if (key == "throttled_time") return value;
    if (key == "throttled_usec") return value * 1000;
  }
  ADD_FAILURE() << path_ << "/cpu.stat has no throttled time";
  return 0;
}

}  // namespace vcpu

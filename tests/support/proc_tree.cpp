// SPDX-License-Identifier: Apache-2.0
#include "tests/support/proc_tree.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace vcpu {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUserFlags = "4194624";
constexpr const char* kKernelFlags = "2129984";  // PF_KTHREAD among them.

std::string stat_line(pid_t tid, const std::string& comm,
                      const ProcTree::Figures& figures, const char* flags) {
  return std::to_string(tid) + " (" + comm + ") S 1 1 1 0 -1 " + flags +
         " 100 0 0 0 5 6 0 0 20 0 3 0 " + std::to_string(figures.start) +
         " 1000000 500 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 " +
         std::to_string(figures.cpu) + " 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
}

void write_thread(const std::string& path, pid_t tid, const std::string& comm,
                  const ProcTree::Figures& figures, const char* flags) {
  ProcTree::write(path + "/stat", stat_line(tid, comm, figures, flags));
  ProcTree::write(path + "/schedstat", std::to_string(figures.run) + " " +
                                           std::to_string(figures.wait) + " " +
                                           std::to_string(figures.dispatches) +
                                           "\n");
  ProcTree::write(path + "/status",
                  "Name:\t" + comm + "\nState:\tS (sleeping)\nUid:\t" +
                      std::to_string(figures.uid) + "\t7\t7\t7\n" +
                      "Cpus_allowed:\tff\nCpus_allowed_list:\t" +
                      figures.allowed + "\nvoluntary_ctxt_switches:\t" +
                      std::to_string(figures.voluntary) +
                      "\nnonvoluntary_ctxt_switches:\t" +
                      std::to_string(figures.involuntary) + "\n");
  ProcTree::write(
      path + "/sched",
      comm + " (" + std::to_string(tid) + ", #threads: 3)\n" +
          "---------------------------------------------------------\n" +
          "se.exec_start                                :      5381.878351\n" +
          "se.nr_migrations                             :      " +
          std::to_string(figures.migrations) + "\n");
  ProcTree::write(path + "/cgroup", "0::" + figures.cgroup + "\n");
}

}  // namespace

void ProcTree::write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

ProcTree::ProcTree() {
  auto pattern = (fs::temp_directory_path() / "proc_tree.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("mkdtemp " + pattern);
  root_ = pattern;
  cpus("0-1").core({0}).core({1}).node(0, "0-1");
  stat(
      "cpu  100 0 50 1000 5 0 2 0 0 0\ncpu0 60 0 30 500 3 0 1 0 0 0\n"
      "cpu1 40 0 20 500 2 0 1 0 0 0\nintr 1\nbtime 1700000000\n");
  process(1, "systemd", {"/sbin/init"});
}

ProcTree::~ProcTree() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

ProcTree& ProcTree::cpus(const std::string& online) {
  write(root_ + "/sys/devices/system/cpu/online", online + "\n");
  return *this;
}

ProcTree& ProcTree::core(const std::vector<int>& siblings) {
  std::string list;
  for (const int cpu : siblings)
    list += (list.empty() ? "" : ",") + std::to_string(cpu);
  for (const int cpu : siblings) {
    write(root_ + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
              "/topology/core_cpus_list",
          list + "\n");
  }
  return *this;
}

ProcTree& ProcTree::node(int node, const std::string& cpus) {
  const auto path = root_ + "/sys/devices/system/node";
  nodes_ = std::max(nodes_, node + 1);
  write(path + "/online", "0-" + std::to_string(nodes_ - 1) + "\n");
  write(path + "/node" + std::to_string(node) + "/cpulist", cpus + "\n");
  return *this;
}

ProcTree& ProcTree::distance(int node, const std::string& row) {
  write(root_ + "/sys/devices/system/node/node" + std::to_string(node) +
            "/distance",
        row + "\n");
  return *this;
}

ProcTree& ProcTree::stat(const std::string& text) {
  write(proc("stat"), text);
  return *this;
}

ProcTree::Process ProcTree::process(pid_t pid, const std::string& comm,
                                    const std::vector<std::string>& argv,
                                    const Figures& main_thread) {
  const auto path = proc(std::to_string(pid));
  std::string command_line;
  for (const auto& argument : argv) command_line += argument + '\0';
  write(path + "/cmdline", command_line);
  write_thread(path, pid, comm, main_thread, kUserFlags);
  Process process(path, pid);
  process.thread(pid, comm, main_thread);
  return process;
}

ProcTree::Process ProcTree::kernel_thread(pid_t pid, const std::string& comm,
                                          const Figures& figures) {
  const auto path = proc(std::to_string(pid));
  write(path + "/cmdline", "");
  write_thread(path, pid, comm, figures, kKernelFlags);
  write_thread(path + "/task/" + std::to_string(pid), pid, comm, figures,
               kKernelFlags);
  return {path, pid};
}

void ProcTree::end_process(pid_t pid) {
  fs::remove_all(proc(std::to_string(pid)));
}

void ProcTree::process_file(pid_t pid, const std::string& name,
                            const std::string& text) const {
  write(proc(std::to_string(pid) + "/" + name), text);
}

void ProcTree::sys_file(const std::string& name,
                        const std::string& text) const {
  write(roots().sys + "/" + name, text);
}

void ProcTree::group_file(const std::string& name,
                          const std::string& text) const {
  sys_file("fs/cgroup/" + name, text);
}

Roots ProcTree::roots() const { return {root_ + "/proc", root_ + "/sys"}; }

std::string ProcTree::proc(const std::string& name) const {
  return root_ + "/proc/" + name;
}

ProcTree::Process& ProcTree::Process::thread(pid_t tid, const std::string& comm,
                                             const Figures& figures) {
  write_thread(path_ + "/task/" + std::to_string(tid), tid, comm, figures,
               kUserFlags);
  return *this;
}

ProcTree::Process& ProcTree::Process::end_thread(pid_t tid) {
  fs::remove_all(path_ + "/task/" + std::to_string(tid));
  return *this;
}

ProcTree::Process& ProcTree::Process::file(pid_t tid, const std::string& name,
                                           const std::string& text) {
  write(path_ + "/task/" + std::to_string(tid) + "/" + name, text);
  return *this;
}

ProcTree::Process& ProcTree::Process::remove_file(pid_t tid,
                                                  const std::string& name) {
  fs::remove_all(path_ + "/task/" + std::to_string(tid) + "/" + name);
  return *this;
}

}  // namespace vcpu

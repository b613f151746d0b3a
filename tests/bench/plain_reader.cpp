// SPDX-License-Identifier: Apache-2.0
//
// plain_reader PID...: what the figures of vCPUs cost who reads them in the
// straightforward way, to compare with (side_by_side.py). For each line on its
// standard input it opens, reads and closes schedstat, sched and status of
// every vCPU thread of these processes, prints what they say as samples, and
// "# EOF".
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Threads of QEMU are named "CPU 0/KVM", "CPU 0/TCG".
bool is_vcpu(const fs::path& task) {
  return contents(task / "comm").rfind("CPU ", 0) == 0;
}

// The number at the end of the line that begins with `key`; empty where there
// is none.
std::string number_of(const std::string& text, const std::string& key) {
  const auto line = text.find('\n' + key);
  if (line == std::string::npos) return "";
  const auto end = text.find('\n', line + 1);
  const auto blank = text.find_last_of(" \t", end);
  return text.substr(blank + 1, end - blank - 1);
}

struct Figure {
  std::string_view name;
  std::string_view key;
};

void print(std::string_view name, const std::string& labels,
           std::string_view value) {
  if (!value.empty())
    std::cout << name << '{' << labels << "} " << value << '\n';
}

void print_schedstat(const std::string& text, const std::string& labels) {
  std::string_view rest = text;
  for (const auto* name : {"run_ns", "steal_ns", "dispatches"}) {
    const auto end = rest.find_first_of(" \n");
    print(name, labels, rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
}

void print_lines(const std::string& text, const std::string& labels,
                 std::initializer_list<Figure> figures) {
  for (const Figure& figure : figures)
    print(figure.name, labels, number_of(text, std::string(figure.key)));
}

void print_thread(const std::string& pid, const fs::path& task) {
  const std::string labels =
      "pid=\"" + pid + "\",tid=\"" + task.filename().string() + '"';
  print_schedstat(contents(task / "schedstat"), labels);
  print_lines(contents(task / "sched"), labels,
              {{"migrations", "se.nr_migrations"}});
  print_lines(contents(task / "status"), labels,
              {{"voluntary", "voluntary_ctxt_switches"},
               {"involuntary", "nonvoluntary_ctxt_switches"}});
}

void print_process(const std::string& pid) {
  for (const auto& task : fs::directory_iterator("/proc/" + pid + "/task"))
    if (is_vcpu(task.path())) print_thread(pid, task.path());
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> pids(argv + 1, argv + argc);
  for (std::string line; std::getline(std::cin, line);) {
    for (const std::string& pid : pids) print_process(pid);
    std::cout << "# EOF" << std::endl;
  }
}

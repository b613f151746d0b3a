// SPDX-License-Identifier: Apache-2.0
//
// A whole host: the inventory and the collectors on a tree of files that stands
// for /proc and /sys, of which the input writes some. Whatever they say, the
// page is one that a strict reader takes, and no counter falls from a scrape to
// the next of the same tree.
//
//   tree
//   == proc/100/task/101/schedstat
//   1000 2000 3
//   == sys/class/hwmon/hwmon0/name
//   coretemp
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "collectors/base/scan.h"
#include "collectors/catalog.h"
#include "exporter/exposition/text.h"
#include "exporter/page.h"
#include "exporter/scrape.h"
#include "tests/fuzz/common/fuzz.h"
#include "tests/fuzz/common/strict_page.h"
#include "tests/support/host_under_test.h"
#include "tests/support/proc_tree.h"

namespace vcpu::fuzz {
namespace {

namespace fs = std::filesystem;

// Two VMs and what the input may write over.
class Host {
 public:
  Host() {
    tree_
        .process(100, "qemu-system-x86",
                 {"/usr/bin/qemu-system-x86_64", "-name",
                  "guest=web,debug-threads=on", "-m", "2048"})
        .thread(101, "CPU 0/KVM", {.run = 5, .wait = 7})
        .thread(102, "CPU 1/KVM", {});
    tree_.process(200, "firecracker", {"/usr/bin/firecracker", "--id", "fc"})
        .thread(201, "fc_vcpu 0", {});
  }

  Roots roots() const { return tree_.roots(); }

  // False where the input names no file below proc/ or sys/.
  bool write(std::string_view name, std::string_view text) {
    const auto top = fs::path(tree_.roots().proc).parent_path();
    const bool below = name.starts_with("proc/") || name.starts_with("sys/");
    constexpr std::size_t kLongest = 200;
    if (!below || name.size() > kLongest || name.ends_with('/') ||
        name.find("..") != std::string_view::npos ||
        name.find('\0') != std::string_view::npos)
      return false;
    const auto path = (top / name).lexically_normal();
    std::error_code error;
    if (fs::is_directory(path, error)) return false;
    if (!before_.contains(path)) before_[path] = contents(path);
    try {
      ProcTree::write(path, std::string(text));
    } catch (const std::exception&) {
      return false;  // A file where a directory would have to be.
    }
    return true;
  }

  void restore() {
    for (const auto& [path, text] : before_) {
      std::error_code ignored;
      if (text) {
        ProcTree::write(path, *text);
      } else if (fs::remove(path, ignored)) {
        for (auto up = path.parent_path();
             fs::is_empty(up, ignored) && fs::remove(up, ignored);)
          up = up.parent_path();
      }
    }
    before_.clear();
  }

 private:
  static std::optional<std::string> contents(const fs::path& path) {
    const std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  ProcTree tree_;
  std::map<fs::path, std::optional<std::string>> before_;
};

// All but perf, which would open events of this machine's threads.
std::vector<std::unique_ptr<Collector>> collectors(const Roots& roots) {
  std::vector<std::unique_ptr<Collector>> all;
  for (const auto& entry : catalog()) {
    if (entry.name == "perf") continue;
    CollectorOptions options;
    options.roots = roots;
    options.ebpf = false;
    options.numa.maps = true;
    all.push_back(entry.make(options));
  }
  return all;
}

std::vector<Sample> scrape(Scrape& scrape,
                           const std::set<std::string>& wanted) {
  std::vector<std::shared_ptr<const Families>> measured;
  std::vector<Part> parts;
  scrape.run(wanted, [&](Part part) {
    measured.push_back(part.families);
    parts.push_back(std::move(part));
  });
  const FamiliesPage page(measured, 100'000, {scrape_families(parts, {})});
  read_page(*page.body(TextFormat::kOpenMetrics, false),
            TextFormat::kOpenMetrics);
  return read_page(*page.body(TextFormat::kPrometheus, false),
                   TextFormat::kPrometheus);
}

void expect_no_fall(const std::vector<Sample>& before,
                    const std::vector<Sample>& after) {
  std::map<std::pair<std::string, std::map<std::string, std::string>>, double>
      values;
  for (const auto& sample : before)
    if (sample.name.ends_with("_total"))
      values[{sample.name, sample.labels}] = sample.value;
  for (const auto& sample : after) {
    const auto had = values.find({sample.name, sample.labels});
    expect(had == values.end() || sample.value >= had->second,
           "no counter falls");
  }
}

void look_tree(std::string_view text) {
  static auto* const host = new Host;
  constexpr std::string_view kFile = "== ";
  while (!text.empty()) {
    const auto line = take_line(text);
    if (!line.starts_with(kFile)) continue;
    const auto end = text.find("\n== ");
    const auto contents =
        text.substr(0, end == std::string_view::npos ? end : end + 1);
    host->write(line.substr(kFile.size()), contents);
    text.remove_prefix(contents.size());
  }
  auto inventory = inventory_on(host->roots());
  Scrape twice([&](Families& said) { return inventory.take(said); },
               collectors(host->roots()));
  std::set<std::string> wanted;
  for (const auto& entry : catalog()) wanted.emplace(entry.name);
  const auto first = scrape(twice, wanted);
  const auto second = scrape(twice, wanted);
  expect_no_fall(first, second);
  host->restore();
}

constexpr std::array kLooks{Look{"tree", look_tree}};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz

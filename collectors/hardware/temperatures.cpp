// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/temperatures.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/temperature.h"

namespace vcpu {
namespace {

std::string word_of(const std::string& path) {
  const auto text = read_file(path);
  return text ? std::string(trim(*text)) : "";
}

// The entries of `root` that are called `prefix` and a number, by that number.
std::map<int, std::string> numbered(const std::string& root,
                                    std::string_view prefix) {
  std::map<int, std::string> found;
  const auto names = list_names(root);
  if (!names) return found;
  for (const std::string_view name : *names) {
    if (!name.starts_with(prefix)) continue;
    if (const auto number = parse_number<int>(name.substr(prefix.size())))
      found[*number] = root + "/" + std::string(name);
  }
  return found;
}

struct Package {
  int number;
  std::string file;
};

// Intel's, of a device whose temp1 is the package; CPUs before 2011 have none.
std::optional<Package> intel_package(const std::string& device) {
  constexpr std::string_view kBefore = "Package id ";
  const auto label = word_of(device + "/temp1_label");
  if (!label.starts_with(kBefore)) return std::nullopt;
  const auto number =
      parse_number<int>(std::string_view(label).substr(kBefore.size()));
  if (!number) return std::nullopt;
  return Package{*number, device + "/temp1_input"};
}

// Tctl is what the fans are controlled by: on some CPUs the real one, which is
// then temp2, and up to 27 degrees more. Old CPUs have no labels.
std::string amd_file(const std::string& device) {
  const bool has_real = word_of(device + "/temp2_label") == "Tdie";
  return device + (has_real ? "/temp2_input" : "/temp1_input");
}

using Sensors = std::vector<std::vector<std::string>>;

Sensors find_hwmon(const Roots& roots) {
  std::map<int, std::string> intel;
  Sensors amd;
  for (const auto& [number, device] :
       numbered(roots.sys + "/class/hwmon", "hwmon")) {
    const auto driver = word_of(device + "/name");
    if (driver == "coretemp") {
      if (auto package = intel_package(device))
        intel[package->number] = std::move(package->file);
    } else if (driver == "k10temp" || driver == "zenpower") {
      amd.push_back({amd_file(device)});
    }
  }
  if (intel.empty()) return amd;
  Sensors sensors;
  for (auto& [number, file] : intel) sensors.push_back({std::move(file)});
  return sensors;
}

bool is_of_cpu(std::string type) {
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return type.starts_with("cpu");
}

// Zones whose names begin with "cpu" are places of one package.
Sensors find_zones(const Roots& roots) {
  Sensors packages;
  std::vector<std::string> places;
  for (const auto& [number, zone] :
       numbered(roots.sys + "/class/thermal", "thermal_zone")) {
    const auto type = word_of(zone + "/type");
    if (type == "x86_pkg_temp") {
      packages.push_back({zone + "/temp"});
    } else if (is_of_cpu(type)) {
      places.push_back(zone + "/temp");
    }
  }
  if (packages.empty() && !places.empty())
    packages.push_back(std::move(places));
  return packages;
}

}  // namespace

void Temperatures::find_sensors() {
  sensors_ = find_hwmon(roots_);
  if (sensors_.empty()) sensors_ = find_zones(roots_);
}

Result<Temperatures::Celsius> Temperatures::read(
    const std::vector<int>& packages) {
  if (sensors_.empty()) find_sensors();
  if (sensors_.empty()) {
    return Error{make_error_code(std::errc::no_such_file_or_directory),
                 "hwmon"};
  }
  if (packages.empty() || sensors_.size() % packages.size() != 0) {
    sensors_.clear();  // One may have been missed.
    return failed("the CPUs' sensors cannot be shared out over the packages");
  }
  const auto each = sensors_.size() / packages.size();
  Celsius celsius;
  bool gone = false;
  for (std::size_t i = 0; i < sensors_.size(); ++i) {
    for (const auto& file : sensors_[i]) {
      const auto text = read_file(file);
      if (!text) {
        celsius.all_answer = false;
        gone = gone || is_gone(text.error());
        continue;
      }
      const auto here = parse_temperature(*text);
      if (!here) return malformed(file);
      const auto [known, is_first] =
          celsius.of_package.try_emplace(packages[i / each], *here);
      known->second = std::max(known->second, *here);
    }
  }
  if (gone) sensors_.clear();
  return celsius;
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// Options: what the command line says. Nothing is read and nothing is printed
// here except the file in effective_config(); main.cpp does what Options says.
//
// Thread-safe. Nothing here throws but std::bad_alloc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "exporter/config.h"

namespace vcpu {

// A collector that has a --collector.NAME and a --no-collector.NAME flag.
struct KnownCollector {
  std::string name;
  bool enabled_by_default = true;
  std::string help;  // One line.
};

enum class RunMode : std::uint8_t {
  kServe,
  kOnce,         // Print one scrape to stdout, then exit.
  kCheckConfig,  // Only effective_config() and the web config file, then exit.
};

// The settings that were given as flags, so that they win again on a reload.
// All of them have been found good: applying them cannot fail.
class Overrides {
 public:
  void set(const Setting& setting, std::vector<std::string> values);
  void set_collector(const std::string& name, bool enabled);
  void apply(Config& config) const;

 private:
  std::vector<std::pair<const Setting*, std::vector<std::string>>> settings_;
  std::map<std::string, bool> collectors_;
};

struct Options {
  RunMode mode = RunMode::kServe;
  std::string config_file;  // Empty: none.
  Overrides overrides;
  std::vector<std::string> known_collectors;
};

// Ends the program: `text`, which ends in a newline, goes to stdout where code
// is 0 (--help, --version), else to stderr, where it is a single line.
struct ExitNow {
  int code = 0;
  std::string text;
};

std::variant<Options, ExitNow> parse_options(
    int argc, const char* const* argv,
    const std::vector<KnownCollector>& known);

// Defaults, then the file, then the flags. At start, and again on each reload.
std::variant<Config, ConfigError> effective_config(const Options& options);

}  // namespace vcpu

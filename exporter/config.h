// SPDX-License-Identifier: Apache-2.0
//
// Config: everything an operator can set, from the YAML file and the flags.
// A flag given on the command line wins over the file, the file over the
// defaults below.
//
// settings() is the one list of what can be set: the file's keys, the flags
// and their help all come from it, so they cannot drift apart. The collectors'
// switches stand beside it, as which collectors exist is known elsewhere.
//
// Everything here is pure except load_config(), and that names of perf events
// are known to libpfm4 or not; thread-safe, and throws only std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "collectors/base/roots.h"
#include "collectors/inventory/vm_limits.h"
#include "collectors/options.h"

namespace vcpu {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kLogfmt, kJson };

struct Config {
  std::vector<std::string> listen_addresses{":9752"};  // HOST:PORT, distinct.
  std::string telemetry_path = "/metrics";  // Never "/" nor below "/-/".
  int max_requests = 40;                    // Scrapes in flight; 0: no cap.
  std::string web_config_file;              // Empty: none.
  Roots roots;
  bool disable_default_collectors = false;
  std::map<std::string, bool> collectors;  // Named ones; others: the default.
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kLogfmt;
  bool libvirt_enabled = true;
  std::string libvirt_uri = "qemu:///system";
  bool ebpf_enabled = true;
  SchedOptions sched;
  bool seccomp_enabled = true;
  RunqueueOptions runqueue;
  PerfOptions perf;
  NumaOptions numa;
  BlockOptions block;
  KvmOptions kvm;
  MetadataOptions metadata;
  std::int64_t max_series = 1'000'000;  // Samples per page; at least 1.
  VmLimits vm_limits;
  std::string name_key_file;  // Names are shown hashed by it; empty: as is.
  std::string user;  // To run as when started as root; empty: see privileges.h.
};

// What went wrong, where, and what to do, in one line for a person.
struct ConfigError {
  std::string message;  // "FILE:LINE: ..." where there is a line.
};

inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

// Pure: `yaml` over the defaults in `base`. `file` is for messages only.
// Refuses unknown keys, wrong types, aliases and anchors, duplicate keys, and
// more than kMaxConfigBytes. `known_collectors` are the names that exist. A
// list replaces the one in `base`; collectors are switched one by one.
std::variant<Config, ConfigError> parse_config(
    std::string_view yaml, const std::string& file, const Config& base,
    const std::vector<std::string>& known_collectors);

// The same from a file. A file that cannot be read is a ConfigError. A relative
// web.config_file, or privacy.name_key_file, is taken from the directory of
// `file`, as Prometheus does.
std::variant<Config, ConfigError> load_config(
    const std::string& file, const Config& base,
    const std::vector<std::string>& known_collectors);

// Of a file's name, with its slash; empty where there is none.
std::string directory_of(const std::string& file);

bool collector_enabled(const Config& config, const std::string& name,
                       bool enabled_by_default);

enum class SettingType : std::uint8_t { kText, kNumber, kSwitch, kList };

struct Setting {
  std::string_view section;  // In the file; empty: top level.
  std::string_view key;
  SettingType type;
  std::string_view flag;  // Without "--"; a switch has a "no-" one as well.
  std::string_view value_name;  // Of the flag, in the help.
  std::string_view help;        // One line.

  // Sets it from what stands in the file or behind the flag: one value, or
  // several for a list; a switch gets "true" or "false". Returns what is wrong
  // with them ("WHAT; what to do"), else empty.
  std::string (*assign)(Config& config, const std::vector<std::string>& values);

  // "web.telemetry_path", for messages.
  std::string name() const;
};

const std::vector<Setting>& settings();

}  // namespace vcpu

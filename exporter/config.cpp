// SPDX-License-Identifier: Apache-2.0
#include "exporter/config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <limits>
#include <set>
#include <utility>

#include "collectors/base/scan.h"
#include "collectors/base/utf8.h"
#include "collectors/perf/event_names.h"
#include "exporter/wording.h"
#include "exporter/yaml.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using Values = std::vector<std::string>;

constexpr std::string_view kCollectors = "collectors";

bool has_control(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char next = first_utf8(text);
    if (next.valid && is_control(next.code)) return true;
    text.remove_prefix(next.bytes);
  }
  return false;
}

// ---- What is wrong with a value; empty where nothing is.

template <typename Number>
std::string assign_number(Number& number, std::string_view text, Number least,
                          Number most) {
  Number parsed = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, parsed);
  if (error == std::errc{} && stop == end && parsed >= least &&
      parsed <= most) {
    number = parsed;
    return "";
  }
  return in_quotes(text) + " is not a whole number from " +
         std::to_string(least) + " to " + std::to_string(most) +
         "; write one without unit or quotes";
}

std::string assign_text(std::string& value, const std::string& text) {
  if (has_control(text)) {
    return in_quotes(text) + " contains a control character; remove it";
  }
  value = text;
  return "";
}

std::string assign_nonempty(std::string& value, const std::string& text,
                            std::string_view example) {
  if (text.empty()) {
    return "is empty; write for example " + std::string(example) +
           ", or leave it out";
  }
  return assign_text(value, text);
}

bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_host(const std::string& host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return is_ipv6(host.substr(1, host.size() - 2));
  }
  return std::all_of(host.begin(), host.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' ||
           c == '-' || c == '_';
  });
}

std::string listen_address_problem(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return in_quotes(address) +
           " has no port; write HOST:PORT, for example \":9752\" or "
           "\"127.0.0.1:9752\"";
  }
  int port = 0;
  if (!assign_number(port, address.substr(colon + 1), 0, 65535).empty()) {
    return in_quotes(address) +
           " does not end in a port from 0 to 65535; write HOST:PORT, for "
           "example \":9752\"";
  }
  if (!is_host(address.substr(0, colon))) {
    return in_quotes(address) +
           " does not begin with a host; write a name, an IPv4 address, an "
           "IPv6 address in brackets (\"[::1]:9752\"), or nothing (\":9752\")";
  }
  return "";
}

std::string assign_listen_addresses(Config& config, const Values& values) {
  if (values.empty()) {
    return "is empty; list at least one address, for example \":9752\"";
  }
  std::set<std::string_view> seen;
  for (const std::string& address : values) {
    std::string problem = listen_address_problem(address);
    if (!problem.empty()) return problem;
    if (!seen.insert(address).second) {
      return in_quotes(address) + " is there twice; remove one";
    }
  }
  config.listen_addresses = values;
  return "";
}

std::string assign_telemetry_path(Config& config, const Values& values) {
  const std::string& path = values.front();
  if (path.empty() || path.front() != '/') {
    return in_quotes(path) +
           " does not start with \"/\"; write for example "
           "/metrics";
  }
  if (path == "/") {
    return "\"/\" is the landing page; write for example /metrics";
  }
  if (path.rfind("/-/", 0) == 0) {
    return in_quotes(path) +
           " is kept for health and reload; write for example "
           "/metrics";
  }
  const bool plain = std::all_of(path.begin(), path.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '?' && c != '#' && c != '%';
  });
  if (!plain) {
    return in_quotes(path) +
           " contains a character that a path in a URL does "
           "not; use letters, digits, and any of /-_.";
  }
  config.telemetry_path = path;
  return "";
}

std::string assign_log_level(Config& config, const Values& values) {
  static const std::map<std::string_view, LogLevel> levels{
      {"debug", LogLevel::kDebug},
      {"info", LogLevel::kInfo},
      {"warn", LogLevel::kWarn},
      {"error", LogLevel::kError}};
  const auto level = levels.find(values.front());
  if (level == levels.end()) {
    return in_quotes(values.front()) +
           " is not a log level; write debug, info, warn or error";
  }
  config.log_level = level->second;
  return "";
}

std::string assign_log_format(Config& config, const Values& values) {
  const std::string& format = values.front();
  if (format != "logfmt" && format != "json") {
    return in_quotes(format) + " is not a log format; write logfmt or json";
  }
  config.log_format = format == "json" ? LogFormat::kJson : LogFormat::kLogfmt;
  return "";
}

std::string assign_switch(bool& value, const std::string& text) {
  if (text != "true" && text != "false") {
    return in_quotes(text) + " is not a switch; write true or false";
  }
  value = text == "true";
  return "";
}

std::string assign_max_requests(Config& config, const Values& values) {
  return assign_number(config.max_requests, values.front(), 0,
                       std::numeric_limits<int>::max());
}

std::string assign_max_series(Config& config, const Values& values) {
  return assign_number<std::int64_t>(config.max_series, values.front(), 1,
                                     std::numeric_limits<std::int64_t>::max());
}

std::string assign_vms(Config& config, const Values& values) {
  return assign_number(config.vm_limits.vms, values.front(), 1,
                       std::numeric_limits<int>::max());
}

std::string assign_user_vms(Config& config, const Values& values) {
  return assign_number(config.vm_limits.user_vms, values.front(), 0,
                       std::numeric_limits<int>::max());
}

std::string assign_user_threads(Config& config, const Values& values) {
  return assign_number(config.vm_limits.user_threads, values.front(), 0,
                       std::numeric_limits<int>::max());
}

std::string assign_web_config_file(Config& config, const Values& values) {
  return assign_text(config.web_config_file, values.front());
}

std::string assign_procfs(Config& config, const Values& values) {
  return assign_nonempty(config.roots.proc, values.front(), "/proc");
}

std::string assign_sysfs(Config& config, const Values& values) {
  return assign_nonempty(config.roots.sys, values.front(), "/sys");
}

std::string assign_disable_defaults(Config& config, const Values& values) {
  return assign_switch(config.disable_default_collectors, values.front());
}

std::string assign_libvirt(Config& config, const Values& values) {
  return assign_switch(config.libvirt_enabled, values.front());
}

std::string assign_libvirt_uri(Config& config, const Values& values) {
  return assign_nonempty(config.libvirt_uri, values.front(), "qemu:///system");
}

bool is_label_name(std::string_view text) {
  const auto part_of_a_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && text.front() >= 'a' &&
         std::all_of(text.begin(), text.end(), part_of_a_name);
}

// Those that the collector, or who scrapes, sets himself.
bool is_taken_label(std::string_view name) {
  constexpr std::array<std::string_view, 8> kTaken{
      "domain", "title",     "job", "instance",
      "node",   "namespace", "pod", "cluster"};
  return name.starts_with("openstack_") || name.starts_with("kubevirt_") ||
         name.starts_with("proxmox_") ||
         std::find(kTaken.begin(), kTaken.end(), name) != kTaken.end();
}

std::string assign_metadata_labels(Config& config, const Values& values) {
  constexpr std::size_t kMostLabels = 16;
  if (values.size() > kMostLabels)
    return "has more than 16 labels; choose those that are needed";
  std::vector<MetadataLabel> labels;
  for (const std::string& value : values) {
    const auto equals = value.find('=');
    const auto name = value.substr(0, equals);
    if (equals == std::string::npos || !is_label_name(name) ||
        equals + 1 == value.size())
      return in_quotes(value) +
             " is no label of metadata; write LABEL={NAMESPACE}PATH, for "
             "example \"team={http://example.org/inventory}vm/team\"";
    if (is_taken_label(name))
      return in_quotes(name) +
             " is a label with a meaning of its own; choose another name";
    const auto same = [&](const auto& label) { return label.label == name; };
    if (std::any_of(labels.begin(), labels.end(), same))
      return in_quotes(name) + " is there twice; remove one";
    labels.push_back({name, value.substr(equals + 1)});
  }
  config.metadata.labels = std::move(labels);
  return {};
}

std::string assign_block_paths(Config& config, const Values& values) {
  return assign_switch(config.block.paths, values.front());
}

std::string assign_kvm_per_vcpu(Config& config, const Values& values) {
  return assign_switch(config.kvm.per_vcpu, values.front());
}

std::string assign_ebpf(Config& config, const Values& values) {
  return assign_switch(config.ebpf_enabled, values.front());
}

std::string assign_sched_per_vcpu(Config& config, const Values& values) {
  return assign_switch(config.sched.per_vcpu, values.front());
}

std::string assign_seccomp(Config& config, const Values& values) {
  return assign_switch(config.seccomp_enabled, values.front());
}

std::string assign_runqueue_per_vcpu(Config& config, const Values& values) {
  return assign_switch(config.runqueue.per_vcpu, values.front());
}

std::string assign_runqueue_culprits(Config& config, const Values& values) {
  return assign_switch(config.runqueue.culprits, values.front());
}

// "10s", "5ms", "2m".
std::optional<milliseconds> parse_duration(std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) return std::nullopt;
  const std::string_view unit = text.substr(digits);
  const std::int64_t unit_ms = unit == "ms"  ? 1
                               : unit == "s" ? 1000
                               : unit == "m" ? 60'000
                                             : 0;
  const auto count = parse_number<std::int32_t>(text.substr(0, digits));
  if (unit_ms == 0 || !count) return std::nullopt;
  return milliseconds(*count * unit_ms);
}

std::string assign_duration(milliseconds& value, const std::string& text,
                            std::string_view example) {
  constexpr milliseconds kLeast{1};
  constexpr milliseconds kMost = std::chrono::hours(1);
  const auto parsed = parse_duration(text);
  if (!parsed || *parsed < kLeast || *parsed > kMost) {
    return in_quotes(text) +
           " is not a time from 1ms to 1h; write a whole number with ms, s or "
           "m, for example " +
           std::string(example);
  }
  value = *parsed;
  return "";
}

std::string event_problem(const std::string& name) {
  if (name.empty() || has_control(name)) return "is not the name of an event";
  const std::string problem = event_name_problem(name);
  if (problem.empty()) return "";
  return problem + did_you_mean(name, generic_event_names());
}

std::string assign_perf_events(Config& config, const Values& values) {
  if (values.empty())
    return "is empty; list at least one event, for example \"cycles\"";
  std::set<std::string> seen;
  for (const std::string& name : values) {
    const std::string problem = event_problem(name);
    if (!problem.empty()) {
      return in_quotes(name) + " " + problem +
             "; write a name of README.md, or one that papi_native_avail "
             "(package papi-tools) lists";
    }
    if (!seen.insert(canonical_event_name(name)).second)
      return in_quotes(name) + " is there twice; remove one";
  }
  config.perf.events = values;
  return "";
}

std::string assign_perf_max_descriptors(Config& config, const Values& values) {
  return assign_number(config.perf.max_descriptors, values.front(), 1,
                       std::numeric_limits<int>::max());
}

std::string assign_perf_window(Config& config, const Values& values) {
  return assign_duration(config.perf.window, values.front(), "10s");
}

std::string assign_perf_budget(Config& config, const Values& values) {
  return assign_duration(config.perf.budget, values.front(), "5ms");
}

std::string assign_numa_maps(Config& config, const Values& values) {
  return assign_switch(config.numa.maps, values.front());
}

std::string assign_name_key_file(Config& config, const Values& values) {
  return assign_text(config.name_key_file, values.front());
}

std::string assign_user(Config& config, const Values& values) {
  return assign_text(config.user, values.front());
}

// ---- The file.

// Walks the tree of a file over a Config. The first thing that is wrong ends
// it: one line is what a person reads.
class FileReader {
 public:
  FileReader(const std::string& file, Config base,
             const std::vector<std::string>& known_collectors)
      : file_(file),
        config_(std::move(base)),
        known_collectors_(known_collectors) {}

  std::variant<Config, ConfigError> read(const YamlNode& root) && {
    read_top_level(root);
    if (error_) return *std::move(error_);
    return std::move(config_);
  }

 private:
  void read_top_level(const YamlNode& root) {
    if (!expect_mapping(root, "the file")) return;
    for (const YamlNode& entry : root.children) {
      if (error_) return;
      if (is_section(entry.key)) {
        read_section(entry);
      } else if (const Setting* setting = find_setting("", entry.key)) {
        read_setting(*setting, entry);
      } else {
        refuse_key(entry, "", top_level_keys());
      }
    }
  }

  void read_section(const YamlNode& section) {
    if (!expect_mapping(section, section.key)) return;
    for (const YamlNode& entry : section.children) {
      if (error_) return;
      if (const Setting* setting = find_setting(section.key, entry.key)) {
        read_setting(*setting, entry);
      } else if (section.key == kCollectors && is_collector(entry.key)) {
        read_collector(entry);
      } else {
        refuse_key(entry, section.key + ".", section_keys(section.key));
      }
    }
  }

  void read_setting(const Setting& setting, const YamlNode& value) {
    const std::optional<Values> values =
        setting.type == SettingType::kList
            ? list_values(value, setting)
            : scalar_value(value, setting.name(), setting.type);
    if (!values) return;
    const std::string problem = setting.assign(config_, *values);
    if (!problem.empty()) fail(value, setting.name() + ": " + problem);
  }

  void read_collector(const YamlNode& value) {
    const std::string name = std::string(kCollectors) + "." + value.key;
    const auto values = scalar_value(value, name, SettingType::kSwitch);
    if (!values) return;
    const std::string problem =
        assign_switch(config_.collectors[value.key], values->front());
    if (!problem.empty()) fail(value, name + ": " + problem);
  }

  std::optional<Values> scalar_value(const YamlNode& value,
                                     const std::string& name,
                                     SettingType type) {
    if (value.kind == YamlNode::Kind::kNull) {
      fail(value, name + " has no value; write one or remove the key");
    } else if (value.kind != YamlNode::Kind::kScalar) {
      fail(value, name + " is " + std::string(kind_name(value)) +
                      "; write a single value");
    } else if (type != SettingType::kText && value.quoted) {
      fail(value, name + " is a text in quotes; remove the quotes");
    } else {
      return Values{value.text};
    }
    return std::nullopt;
  }

  std::optional<Values> list_values(const YamlNode& list,
                                    const Setting& setting) {
    const std::string name = setting.name();
    if (list.kind != YamlNode::Kind::kList) {
      fail(list, name + " is " + std::string(kind_name(list)) +
                     "; write a list, [" + std::string(setting.value_name) +
                     ", ...]");
      return std::nullopt;
    }
    Values values;
    for (const YamlNode& item : list.children) {
      const auto value =
          scalar_value(item, "an item of " + name, SettingType::kText);
      if (!value) return std::nullopt;
      values.push_back(value->front());
    }
    return values;
  }

  // A section whose keys are all commented out is an empty one.
  bool expect_mapping(const YamlNode& node, const std::string& name) {
    if (node.kind == YamlNode::Kind::kMapping) return true;
    if (node.kind != YamlNode::Kind::kNull) {
      fail(node, name + " is " + std::string(kind_name(node)) +
                     "; write NAME: VALUE lines");
    }
    return false;
  }

  static const Setting* find_setting(std::string_view section,
                                     std::string_view key) {
    const auto& all = settings();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Setting& setting) {
          return setting.section == section && setting.key == key;
        });
    return found == all.end() ? nullptr : &*found;
  }

  static bool is_section(std::string_view key) {
    const auto& all = settings();
    return !key.empty() &&
           std::any_of(all.begin(), all.end(), [&](const Setting& setting) {
             return setting.section == key;
           });
  }

  bool is_collector(const std::string& name) const {
    return std::find(known_collectors_.begin(), known_collectors_.end(),
                     name) != known_collectors_.end();
  }

  static std::vector<std::string> top_level_keys() {
    std::vector<std::string> keys;
    for (const Setting& setting : settings()) {
      keys.emplace_back(setting.section.empty() ? setting.key
                                                : setting.section);
    }
    return keys;
  }

  std::vector<std::string> section_keys(std::string_view section) const {
    std::vector<std::string> keys;
    if (section == kCollectors) keys = known_collectors_;
    for (const Setting& setting : settings()) {
      if (setting.section == section) keys.emplace_back(setting.key);
    }
    return keys;
  }

  void refuse_key(const YamlNode& entry, const std::string& prefix,
                  const std::vector<std::string>& known) {
    fail(entry, "unknown key " + in_quotes(prefix + entry.key) +
                    did_you_mean(entry.key, known) + "; correct or remove it");
  }

  void fail(const YamlNode& node, const std::string& what) {
    error_ = config_error(file_, node.line, what);
  }

  const std::string& file_;
  Config config_;
  const std::vector<std::string>& known_collectors_;
  std::optional<ConfigError> error_;
};

}  // namespace

std::string directory_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? "" : file.substr(0, slash + 1);
}

std::variant<Config, ConfigError> parse_config(
    std::string_view yaml, const std::string& file, const Config& base,
    const std::vector<std::string>& known_collectors) {
  auto parsed = parse_yaml(yaml, file);
  if (auto* error = std::get_if<ConfigError>(&parsed)) return std::move(*error);
  return FileReader(file, base, known_collectors)
      .read(std::get<YamlNode>(parsed));
}

std::variant<Config, ConfigError> load_config(
    const std::string& file, const Config& base,
    const std::vector<std::string>& known_collectors) {
  auto text = read_config_file(file);
  if (auto* error = std::get_if<ConfigError>(&text)) return std::move(*error);
  auto parsed =
      parse_config(std::get<std::string>(text), file, base, known_collectors);
  if (auto* config = std::get_if<Config>(&parsed)) {
    for (const auto path : {&Config::web_config_file, &Config::name_key_file}) {
      std::string& named = config->*path;
      const bool from_file = named != base.*path;
      if (from_file && !named.empty() && named.front() != '/')
        named.insert(0, directory_of(file));
    }
  }
  return parsed;
}

bool collector_enabled(const Config& config, const std::string& name,
                       bool enabled_by_default) {
  const auto named = config.collectors.find(name);
  if (named != config.collectors.end()) return named->second;
  return enabled_by_default && !config.disable_default_collectors;
}

std::string Setting::name() const {
  if (section.empty()) return std::string(key);
  return std::string(section) + "." + std::string(key);
}

const std::vector<Setting>& settings() {
  using Type = SettingType;
  static const std::vector<Setting> list{
      {"web", "listen_addresses", Type::kList, "web.listen-address",
       "HOST:PORT",
       "Address to listen on; may be given several times (default: :9752)",
       assign_listen_addresses},
      {"web", "telemetry_path", Type::kText, "web.telemetry-path", "PATH",
       "Path of the metrics (default: /metrics)", assign_telemetry_path},
      {"web", "max_requests", Type::kNumber, "web.max-requests", "N",
       "Scrapes in flight before 503; 0: no cap (default: 40)",
       assign_max_requests},
      {"web", "config_file", Type::kText, "web.config.file", "FILE",
       "TLS, passwords and headers, in exporter-toolkit's format "
       "(default: none)",
       assign_web_config_file},
      {kCollectors, "disable_defaults", Type::kSwitch,
       "collector.disable-defaults", "",
       "Only the collectors that are switched on by name (default: no)",
       assign_disable_defaults},
      {"path", "procfs", Type::kText, "path.procfs", "DIR",
       "Where procfs is mounted (default: /proc)", assign_procfs},
      {"path", "sysfs", Type::kText, "path.sysfs", "DIR",
       "Where sysfs is mounted (default: /sys)", assign_sysfs},
      {"log", "level", Type::kText, "log.level", "LEVEL",
       "debug, info, warn or error (default: info)", assign_log_level},
      {"log", "format", Type::kText, "log.format", "FORMAT",
       "logfmt or json, to stderr (default: logfmt)", assign_log_format},
      {"libvirt", "enabled", Type::kSwitch, "libvirt", "",
       "Ask libvirt for uuid, state and pinning (default: yes)",
       assign_libvirt},
      {"libvirt", "uri", Type::kText, "libvirt.uri", "URI",
       "libvirt to ask, read-only (default: qemu:///system)",
       assign_libvirt_uri},
      {"ebpf", "enabled", Type::kSwitch, "ebpf", "",
       "Load eBPF programs where the kernel and our rights allow it (default: "
       "yes)",
       assign_ebpf},
      {"sched", "per_vcpu", Type::kSwitch, "collector.sched.per-vcpu", "",
       "Figures of each vCPU; else sums of each VM's (default: yes)",
       assign_sched_per_vcpu},
      {"seccomp", "enabled", Type::kSwitch, "seccomp", "",
       "Give up the system calls that serving does not take (default: yes)",
       assign_seccomp},
      {"runqueue", "per_vcpu", Type::kSwitch, "collector.runqueue.per-vcpu", "",
       "A latency histogram per vCPU instead of per VM (default: no)",
       assign_runqueue_per_vcpu},
      {"runqueue", "culprits", Type::kSwitch, "collector.runqueue.culprits", "",
       "Who took the time that vCPUs waited for (default: yes)",
       assign_runqueue_culprits},
      {"perf", "events", Type::kList, "collector.perf.event", "NAME",
       "Event to count; may be given several times (default: cycles, "
       "instructions, cache_references, cache_misses, page_faults, "
       "context_switches, cpu_migrations)",
       assign_perf_events},
      {"perf", "max_descriptors", Type::kNumber,
       "collector.perf.max-descriptors", "N",
       "Events open at most; further vCPUs take turns (default: 512)",
       assign_perf_max_descriptors},
      {"perf", "window", Type::kText, "collector.perf.window", "TIME",
       "How long a vCPU's turn is (default: 10s)", assign_perf_window},
      {"perf", "budget", Type::kText, "collector.perf.budget", "TIME",
       "What a scrape may spend on events at most (default: 5ms)",
       assign_perf_budget},
      {"numa", "maps", Type::kSwitch, "collector.numa.maps", "",
       "Read where huge pages lie that no hugetlb group counts; keeps "
       "CAP_SYS_PTRACE (default: no)",
       assign_numa_maps},
      {"block", "paths", Type::kSwitch, "collector.block.paths", "",
       "Where each disk's image is, as a label (default: no)",
       assign_block_paths},
      {"kvm", "per_vcpu", Type::kSwitch, "collector.kvm.per-vcpu", "",
       "Exits per vCPU instead of per VM, where libvirt tells them (default: "
       "no)",
       assign_kvm_per_vcpu},
      {"metadata", "labels", Type::kList, "collector.metadata.label",
       "LABEL=KEY",
       "Own label of vcpu_domain_metadata_info, and the libvirt metadata that "
       "it shows; may be given several times (default: none)",
       assign_metadata_labels},
      {"limit", "series", Type::kNumber, "limit.series", "N",
       "Samples per page at most (default: 1000000)", assign_max_series},
      {"limit", "vms", Type::kNumber, "limit.vms", "N",
       "Processes that are taken for VMs at most (default: 4096)", assign_vms},
      {"limit", "user_vms", Type::kNumber, "limit.user-vms", "N",
       "Of them, those of one ordinary user (default: 256)", assign_user_vms},
      {"limit", "user_threads", Type::kNumber, "limit.user-threads", "N",
       "Threads of one ordinary user's VMs, all together (default: 4096)",
       assign_user_threads},
      {"privacy", "name_key_file", Type::kText, "privacy.name-key-file", "FILE",
       "Show names of VMs and tenants as hashes keyed by the secret in this "
       "file (default: none, names are shown)",
       assign_name_key_file},
      {"", "user", Type::kText, "user", "NAME",
       "User to become when started as root (default: vcpu_exporter where it "
       "exists, else nobody)",
       assign_user},
  };
  return list;
}

}  // namespace vcpu

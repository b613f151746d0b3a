// SPDX-License-Identifier: Apache-2.0
#include "exporter/reload.h"

#include <utility>
#include <variant>

#include "collectors/catalog.h"
#include "exporter/file_stamp.h"
#include "exporter/log.h"

namespace vcpu {
namespace {

prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name,
                         const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(
      {});
}

// The settings that hold until the program is started again.
auto fixed(const Config& config) {
  return std::tie(
      config.listen_addresses, config.telemetry_path, config.max_requests,
      config.web_config_file, config.roots.proc, config.roots.sys,
      config.libvirt_enabled, config.libvirt_uri, config.ebpf_enabled,
      config.seccomp_enabled, config.sched.per_vcpu, config.runqueue.per_vcpu,
      config.runqueue.culprits, config.perf.events, config.perf.max_descriptors,
      config.perf.window, config.perf.budget, config.numa.maps,
      config.block.paths, config.kvm.per_vcpu, config.metadata.labels,
      config.max_series, config.vm_limits.vms, config.vm_limits.user_vms,
      config.vm_limits.user_threads, config.name_key_file, config.user);
}

}  // namespace

std::set<std::string> enabled_collectors(const Config& config) {
  std::set<std::string> names;
  for (const CatalogEntry& entry : catalog()) {
    const std::string name(entry.name);
    if (collector_enabled(config, name, entry.enabled_by_default))
      names.insert(name);
  }
  return names;
}

Reloader::Reloader(Options options, Config running,
                   prometheus::Registry& registry,
                   std::function<void(const Config&)> apply)
    : options_(std::move(options)),
      running_(std::move(running)),
      apply_(std::move(apply)),
      successful_(gauge(registry, "vcpu_exporter_config_last_reload_successful",
                        "Whether the last reading of the configuration was "
                        "good; from the attempt.")),
      success_time_(
          gauge(registry,
                "vcpu_exporter_config_last_reload_success_timestamp_seconds",
                "When the configuration was last read and good, since the "
                "epoch; from our own clock.")) {
  succeeded();
}

void Reloader::succeeded() {
  successful_.Set(1);
  success_time_.SetToCurrentTime();
}

std::string Reloader::stamp() const {
  return options_.config_file.empty() ? "" : file_stamp(options_.config_file);
}

std::string Reloader::reload(ReloadLog said) {
  const std::lock_guard lock(mutex_);
  const auto read = effective_config(options_);
  const auto* const error = std::get_if<ConfigError>(&read);
  if (error == nullptr) {
    apply_(std::get<Config>(read));
    succeeded();
  } else {
    successful_.Set(0);
  }
  if (said == ReloadLog::kSaid) say(read);
  return error == nullptr ? "" : error->message;
}

void Reloader::say(const std::variant<Config, ConfigError>& read) const {
  if (const auto* error = std::get_if<ConfigError>(&read)) {
    log(LogLevel::kError, "Configuration not reloaded, the old one stays",
        {{"err", error->message}});
    return;
  }
  if (fixed(std::get<Config>(read)) != fixed(running_))
    log(LogLevel::kWarn,
        "Some changed settings take effect at the next start only: only "
        "collectors and log can change while running");
  log(LogLevel::kInfo, "Configuration reloaded");
}

}  // namespace vcpu

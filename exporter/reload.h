// SPDX-License-Identifier: Apache-2.0
//
// Reading the configuration again while running: by SIGHUP or POST /-/reload.
//
// What can change at once is taken up: which collectors run, and the log. The
// rest is logged as needing a restart. A file that is wrong changes nothing.
#pragma once

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <variant>

#include "exporter/asked_reload.h"
#include "exporter/config.h"
#include "exporter/options.h"

namespace vcpu {

// Those of the catalog that the configuration leaves on.
std::set<std::string> enabled_collectors(const Config& config);

class Reloader {
 public:
  // `apply` takes up a good configuration.
  Reloader(Options options, Config running, prometheus::Registry& registry,
           std::function<void(const Config&)> apply);

  // Empty, or what is wrong with the file. Thread-safe, never throws.
  std::string reload(ReloadLog said);

  // Another one where the file has changed.
  std::string stamp() const;

 private:
  void say(const std::variant<Config, ConfigError>& read) const;
  void succeeded();

  const Options options_;
  Config running_;
  const std::function<void(const Config&)> apply_;
  prometheus::Gauge& successful_;
  prometheus::Gauge& success_time_;
  std::mutex mutex_;
};

}  // namespace vcpu

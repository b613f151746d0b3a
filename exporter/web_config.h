// SPDX-License-Identifier: Apache-2.0
//
// The web configuration file, in the format of Prometheus' exporter-toolkit:
//
//   http_server_config:
//     headers:
//       X-Frame-Options: deny
//
// Keys are strict. TLS and basic auth are refused for now: a server that
// ignored them would be open where its owner thinks it is not.
//
// Documentation: prometheus.io/docs/prometheus/latest/configuration/https
// Oracle: promtool check web-config. Thread-safe; throws only std::bad_alloc.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "exporter/config.h"

namespace vcpu {

struct WebConfig {
  // To add to every answer. Names and values are fit for an HTTP header.
  std::map<std::string, std::string> headers;
};

// Pure. `file` is for messages only. An empty text is an empty WebConfig.
std::variant<WebConfig, ConfigError> parse_web_config(std::string_view yaml,
                                                      const std::string& file);

// The same from a file; an empty name is an empty WebConfig.
std::variant<WebConfig, ConfigError> load_web_config(const std::string& file);

}  // namespace vcpu

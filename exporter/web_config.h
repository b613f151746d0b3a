// SPDX-License-Identifier: Apache-2.0
//
// The web configuration file, in the format of Prometheus' exporter-toolkit:
//
//   tls_server_config:
//     cert_file: tls.crt
//     key_file: tls.key
//     client_auth_type: RequireAndVerifyClientCert
//     client_ca_file: clients.crt
//   basic_auth_users:
//     prometheus: $2y$10$...
//   http_server_config:
//     headers:
//       X-Frame-Options: deny
//
// Keys are strict, and what cannot be had is refused: a server that ignored it
// would be open where its owner thinks it is not. Refused beyond what
// exporter-toolkit refuses are rate_limit, TLS 1.0 and 1.1, TLS settings
// without a certificate (it would serve without TLS), client_allowed_sans of
// certificates that nobody verifies, verified ones without a client_ca_file,
// and bcrypt costs above kMaxBcryptCost. cipher_suites may name those of
// TLS 1.3 too, which then are the only ones of it. http2 may be true, as it is
// by default: it allows HTTP/2, which we do not speak, and asks for none.
//
// Documentation: prometheus.io/docs/prometheus/latest/configuration/https
// Oracle: promtool check web-config. Thread-safe; throws only std::bad_alloc.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "exporter/basic_auth.h"
#include "exporter/config.h"
#include "exporter/tls.h"

namespace vcpu {

struct WebConfig {
  // To add to every answer. Names and values are fit for an HTTP header.
  std::map<std::string, std::string> headers;
  std::optional<TlsConfig> tls;  // Nothing: HTTP without TLS.
  BasicAuthUsers users;          // None: everybody may ask.
};

// Pure: no file that it names is opened; relative names are taken from the
// directory of `file`, as exporter-toolkit does. An empty text is
// an empty WebConfig.
std::variant<WebConfig, ConfigError> parse_web_config(std::string_view yaml,
                                                      const std::string& file);

// The same from a file; an empty name is an empty WebConfig.
std::variant<WebConfig, ConfigError> load_web_config(const std::string& file);

}  // namespace vcpu

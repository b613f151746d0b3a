// SPDX-License-Identifier: Apache-2.0
//
// WebAccess: who may ask, and over what, while the program runs: the web
// configuration file with the certificates that it names, read again when
// one of these files has changed. One look a second tells; reload() looks at
// once.
//
// All or nothing: where any of it is wrong, everything stays as it was, the
// log says why, and vcpu_exporter_web_config_last_reload_successful is 0. TLS
// cannot be switched on or off while running, as that is part of the sockets.
//
// Files are read with the rights of the moment, so open() comes after
// privileges were dropped: what cannot be read later is found at the start.
// Thread-safe; throws std::bad_alloc and std::system_error only.
#pragma once

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "exporter/asked_reload.h"
#include "exporter/basic_auth.h"
#include "exporter/http_server.h"
#include "exporter/tls.h"
#include "exporter/web_config.h"

namespace vcpu {

class WebAccess {
 public:
  // No file, an empty name, is no TLS, no users, no headers. `registry`
  // outlives it; null: no metric.
  static std::variant<std::unique_ptr<WebAccess>, ConfigError> open(
      const std::string& file, prometheus::Registry* registry);

  WebAccess(const WebAccess&) = delete;
  WebAccess& operator=(const WebAccess&) = delete;
  ~WebAccess() = default;

  // Null without TLS; valid as long as this is.
  ssl_ctx_st* tls() const { return tls_ ? tls_->context() : nullptr; }
  bool asks_for_passwords() const;

  // For every answer.
  std::vector<Header> headers() const;

  // The answer for who may not ask, nothing for who may.
  std::optional<Response> refusal(const Request& request);

  // Empty, or what is wrong.
  std::string reload(ReloadLog said);

  // Another one where a file has changed.
  std::string stamp();

  // Looks for changes from now on.
  void watch();

 private:
  // What tells that a file has changed, for each file; empty: it is not there.
  using Stamps = std::vector<std::string>;

  WebAccess(std::string file, prometheus::Registry* registry);

  std::optional<ConfigError> read(ReloadLog said);
  void use(WebConfig config, const std::optional<LoadedTls>& tls,
           ReloadLog said);
  std::string reload_locked(ReloadLog said);
  static void say(const std::optional<ConfigError>& error);

  const std::string file_;
  prometheus::Gauge* successful_ = nullptr;
  BasicAuth auth_;
  std::optional<TlsSwitch> tls_;
  mutable std::mutex mutex_;  // Of config_.
  WebConfig config_;
  std::mutex reload_mutex_;  // Of what follows.
  bool opened_ = false;
  std::vector<std::string> files_;
  Stamps stamps_;  // Before they were read.
  std::condition_variable_any woken_;
  std::jthread watcher_;
};

}  // namespace vcpu

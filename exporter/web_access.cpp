// SPDX-License-Identifier: Apache-2.0
#include "exporter/web_access.h"

#include <chrono>
#include <utility>

#include "exporter/file_stamp.h"
#include "exporter/log.h"

namespace vcpu {
namespace {

constexpr std::chrono::seconds kLookInterval{1};

std::vector<std::string> files_of(const std::string& file,
                                  const WebConfig& config) {
  std::vector<std::string> files{file};
  if (!config.tls) return files;
  for (const PemSource* source :
       {&config.tls->cert, &config.tls->key, &config.tls->client_ca}) {
    if (!source->file.empty()) files.push_back(source->file);
  }
  return files;
}

std::vector<std::string> stamps_of(const std::vector<std::string>& files) {
  std::vector<std::string> stamps;
  stamps.reserve(files.size());
  for (const std::string& file : files) stamps.push_back(file_stamp(file));
  return stamps;
}

Response unauthorized() {
  Response response = text_response(
      401, "this needs a user and a password (HTTP basic authentication)");
  response.headers.push_back(
      {"WWW-Authenticate", R"(Basic realm="vcpu_exporter", charset="UTF-8")"});
  return response;
}

Response busy() {
  Response response =
      text_response(503, "too many passwords to check; try again");
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

}  // namespace

WebAccess::WebAccess(std::string file, prometheus::Registry* registry)
    : file_(std::move(file)), files_{file_} {
  if (registry == nullptr || file_.empty()) return;
  successful_ = &prometheus::BuildGauge()
                     .Name("vcpu_exporter_web_config_last_reload_successful")
                     .Help(
                         "Whether the last reading of the web configuration "
                         "and of its certificates was good; from the attempt.")
                     .Register(*registry)
                     .Add({});
}

std::variant<std::unique_ptr<WebAccess>, ConfigError> WebAccess::open(
    const std::string& file, prometheus::Registry* registry) {
  std::unique_ptr<WebAccess> access(new WebAccess(file, registry));
  if (file.empty()) return access;
  const std::lock_guard lock(access->reload_mutex_);
  if (auto error = access->read(ReloadLog::kSaid)) return *std::move(error);
  return access;
}

// A file's stamp is taken before it is read: what changes meanwhile is seen.
std::optional<ConfigError> WebAccess::read(ReloadLog said) {
  files_ = {file_};
  stamps_ = stamps_of(files_);
  auto read = load_web_config(file_);
  if (auto* error = std::get_if<ConfigError>(&read)) return std::move(*error);
  auto& config = std::get<WebConfig>(read);
  files_ = files_of(file_, config);
  const Stamps all = stamps_of(files_);
  stamps_.insert(stamps_.end(), all.begin() + 1, all.end());

  std::optional<LoadedTls> tls;
  if (config.tls) {
    auto loaded = load_tls(*config.tls, file_);
    if (auto* error = std::get_if<ConfigError>(&loaded))
      return std::move(*error);
    tls = std::get<LoadedTls>(std::move(loaded));
  }
  if (opened_ && tls.has_value() != tls_.has_value()) {
    return ConfigError{file_ +
                       ": TLS cannot be switched on or off while running; "
                       "restart the exporter for that"};
  }
  use(std::move(config), tls, said);
  return std::nullopt;
}

void WebAccess::use(WebConfig config, const std::optional<LoadedTls>& tls,
                    ReloadLog said) {
  if (tls) {
    if (said == ReloadLog::kSaid)
      for (const std::string& warning : tls->warnings)
        log(LogLevel::kWarn, warning);
    if (!tls_) tls_.emplace(*tls);
    tls_->use(*tls);
  }
  opened_ = true;
  auth_.set_users(config.users);
  if (successful_ != nullptr) successful_->Set(1);
  const std::lock_guard lock(mutex_);
  config_ = std::move(config);
}

std::string WebAccess::reload(ReloadLog said) {
  if (file_.empty()) return "";
  const std::lock_guard lock(reload_mutex_);
  return reload_locked(said);
}

std::string WebAccess::stamp() {
  const std::lock_guard lock(reload_mutex_);
  std::string stamp;
  for (const std::string& one : stamps_of(files_)) stamp += one + '\n';
  return stamp;
}

std::string WebAccess::reload_locked(ReloadLog said) {
  const auto error = read(said);
  if (successful_ != nullptr) successful_->Set(error ? 0 : 1);
  if (said == ReloadLog::kSaid) say(error);
  return error ? error->message : "";
}

void WebAccess::say(const std::optional<ConfigError>& error) {
  if (!error) return log(LogLevel::kInfo, "Web configuration reloaded");
  log(LogLevel::kError, "Web configuration not reloaded, the old one stays",
      {{"err", error->message}});
}

void WebAccess::watch() {
  if (file_.empty()) return;
  watcher_ = std::jthread([this](const std::stop_token& done) {
    std::unique_lock lock(reload_mutex_);
    while (!woken_.wait_for(lock, done, kLookInterval,
                            [&] { return done.stop_requested(); })) {
      if (stamps_of(files_) != stamps_) reload_locked(ReloadLog::kSaid);
    }
  });
}

bool WebAccess::asks_for_passwords() const {
  const std::lock_guard lock(mutex_);
  return !config_.users.empty();
}

std::vector<Header> WebAccess::headers() const {
  std::vector<Header> headers;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, value] : config_.headers)
    headers.push_back({name, value});
  return headers;
}

std::optional<Response> WebAccess::refusal(const Request& request) {
  switch (auth_.check(request.header("Authorization"))) {
    case BasicAuth::Verdict::kGood:
      return std::nullopt;
    case BasicAuth::Verdict::kBad:
      return unauthorized();
    case BasicAuth::Verdict::kBusy:
      break;
  }
  return busy();
}

}  // namespace vcpu

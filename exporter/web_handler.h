// SPDX-License-Identifier: Apache-2.0
//
// WebHandler: which path is answered how. A Request in, a Response out, and no
// socket in sight.
//
//   GET /metrics    the page; ?collect[]=a&collect[]=b or ?exclude[]=a
//   GET /           the landing page, for people
//   GET /-/healthy  200 while the process answers
//   GET /-/ready    the same: it listens only once it can answer
//   POST /-/reload  reads the configuration again: 200, or 500 with the reason
//
// HEAD wherever GET. Refusals are one line of plain text that says what would
// have been accepted.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/registry.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "exporter/http_server.h"
#include "exporter/scraper.h"
#include "exporter/senders.h"
#include "exporter/slots.h"

namespace vcpu {

struct WebHandlerOptions {
  std::string telemetry_path = "/metrics";

  // Pages being made or sent at one time; more than that gets 503, unless a
  // client that takes its page slowly can be dropped for it. 0: no cap.
  int max_requests = 40;

  // Those whom the server sends to. Null: nobody is dropped.
  std::shared_ptr<Senders> senders;

  // Taken off X-Prometheus-Scrape-Timeout-Seconds, so that the answer is there
  // before Prometheus gives up; but never more than half of it.
  std::chrono::milliseconds timeout_offset{500};

  // The answer for who may not ask, nothing for who may; called first. Empty:
  // everybody may.
  std::function<std::optional<Response>(const Request&)> refusal;

  // Reads the configuration again; what went wrong, or nothing. Called by one
  // thread at a time. Empty: there is nothing to reload.
  std::function<std::string()> reload;

  std::string version;  // For the landing page.
  std::string documentation_url =
      "https://github.com/vcpu-exporter/vcpu_exporter";

  // Where vcpu_exporter_http_requests_total{handler,code} is counted. Outlives
  // the handler. Null: nowhere.
  prometheus::Registry* registry = nullptr;

  std::function<std::chrono::steady_clock::time_point()> now =
      std::chrono::steady_clock::now;
};

// Thread-safe. May throw what the standard library throws (std::bad_alloc).
class WebHandler {
 public:
  // `scraper` outlives the handler.
  WebHandler(Scraper& scraper, WebHandlerOptions options);

  Response handle(const Request& request);

 private:
  struct Route {
    const char* name;  // The value of the label `handler`.
    bool post = false;
    std::function<Response(const Request&)> answer;
  };

  Route find_route(const std::string& path);
  Response metrics(const Request& request);
  Response landing();
  Response reload();
  std::chrono::steady_clock::time_point deadline(const Request& request) const;
  std::shared_ptr<void> take_slot();
  void count(const char* handler, int status);

  Scraper& scraper_;
  const WebHandlerOptions options_;
  Slots slots_;  // The bodies in flight have them, and may outlive the handler.
  std::mutex reload_mutex_;
  prometheus::Family<prometheus::Counter>* requests_ = nullptr;
};

}  // namespace vcpu

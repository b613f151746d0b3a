// SPDX-License-Identifier: Apache-2.0
#include "exporter/web_handler.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "collectors/base/label_text.h"
#include "exporter/exposition/negotiation.h"
#include "exporter/landing_page.h"
#include "exporter/wording.h"

namespace vcpu {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kDefaultTimeout{10};
constexpr Seconds kMaxTimeout{3600};
constexpr std::chrono::seconds kLandingPatience{2};

// For a slot: until one who has it is old enough to be called slow, and gone.
constexpr std::chrono::milliseconds kSlotPatience{150};
constexpr std::chrono::milliseconds kGoodbye{50};
constexpr std::chrono::milliseconds kNextLook{5};

std::optional<unsigned char> parse_hex_byte(std::string_view digits) {
  unsigned char byte = 0;
  const auto* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, byte, 16);
  if (digits.size() != 2 || error != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return byte;
}

// Nothing for a broken escape, and for an encoded NUL.
std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto byte = parse_hex_byte(text.substr(i + 1, 2));
    if (!byte || *byte == 0) return std::nullopt;
    decoded += static_cast<char>(*byte);
    i += 2;
  }
  return decoded;
}

// As forms are encoded: here a plus is a space.
std::optional<std::string> form_decode(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decode(spaced);
}

std::string quoted(std::string_view text) {
  return '"' + label_text(text) + '"';
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// ?collect[]=... and ?exclude[]=...
struct Selection {
  std::vector<std::string> collect;
  std::vector<std::string> exclude;
};

using Refusal = std::string;  // Why a query is not answered.

std::optional<Refusal> add_parameter(std::string_view pair,
                                     Selection& selection) {
  const auto equals = pair.find('=');
  const auto name = form_decode(pair.substr(0, equals));
  const auto value = form_decode(
      equals == std::string_view::npos ? "" : pair.substr(equals + 1));
  if (!name || !value) {
    return "the parameter " + quoted(pair) + " is not percent-encoded";
  }
  if (*name == "collect[]") {
    selection.collect.push_back(*value);
  } else if (*name == "exclude[]") {
    selection.exclude.push_back(*value);
  } else {
    return "unknown parameter " + quoted(*name) +
           "; there are collect[] and exclude[]";
  }
  return std::nullopt;
}

std::variant<Selection, Refusal> parse_query(std::string_view query) {
  Selection selection;
  while (!query.empty()) {
    const auto end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty()) continue;
    if (auto refusal = add_parameter(pair, selection)) return *refusal;
  }
  if (!selection.collect.empty() && !selection.exclude.empty()) {
    return "collect[] and exclude[] cannot be combined";
  }
  return selection;
}

// Nothing, or what is wrong with one of the `wanted` names.
std::optional<Refusal> check_names(const std::vector<std::string>& wanted,
                                   const std::vector<std::string>& enabled,
                                   const std::vector<std::string>& known) {
  for (const std::string& name : wanted) {
    if (contains(enabled, name)) continue;
    const char* const fault = contains(known, name) ? "disabled" : "unknown";
    return std::string(fault) + " collector " + quoted(name) +
           "; enabled are: " + joined(enabled);
  }
  return std::nullopt;
}

// The collectors to ask, sorted and each once, so that equal wishes are equal.
std::variant<std::vector<std::string>, Refusal> select_collectors(
    std::string_view query, const Scraper& scraper) {
  const auto parsed = parse_query(query);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) return *refusal;
  const auto& selection = std::get<Selection>(parsed);
  const auto enabled = scraper.enabled_collectors();
  const auto known = scraper.known_collectors();
  for (const auto* wanted : {&selection.collect, &selection.exclude}) {
    if (auto refusal = check_names(*wanted, enabled, known)) return *refusal;
  }
  auto chosen = selection.collect.empty() ? enabled : selection.collect;
  std::erase_if(chosen, [&](const std::string& name) {
    return contains(selection.exclude, name);
  });
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

// What is not a sane number of seconds counts as not sent.
Seconds parse_timeout(const std::string& text) {
  double value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool sane = error == std::errc{} && stop == end && value > 0 &&
                    value <= kMaxTimeout.count();
  return sane ? Seconds(value) : kDefaultTimeout;
}

}  // namespace

WebHandler::WebHandler(Scraper& scraper, WebHandlerOptions options)
    : scraper_(scraper),
      options_(std::move(options)),
      slots_(options_.max_requests) {
  if (options_.registry == nullptr) return;
  requests_ =
      &prometheus::BuildCounter()
           .Name("vcpu_exporter_http_requests_total")
           .Help(
               "Requests answered, by what was asked and status; from our "
               "own count.")
           .Register(*options_.registry);
}

Response WebHandler::handle(const Request& request) {
  const auto path = percent_decode(request.path);
  const Route route = find_route(path.value_or(""));
  const bool get = request.method == "GET" || request.method == "HEAD";
  Response response;
  if (auto refused =
          options_.refusal ? options_.refusal(request) : std::nullopt) {
    response = *std::move(refused);
  } else if (!path) {
    response = text_response(400, "the path is not percent-encoded");
  } else if (route.post ? request.method != "POST" : !get) {
    const std::string allowed = route.post ? "POST" : "GET, HEAD";
    response = text_response(405, "use " + allowed + " here");
    response.headers.push_back({"Allow", allowed});
  } else {
    response = route.answer(request);
  }
  // What is echoed must not be taken for a page by a browser.
  response.headers.push_back({"X-Content-Type-Options", "nosniff"});
  count(route.name, response.status);
  return response;
}

WebHandler::Route WebHandler::find_route(const std::string& path) {
  const auto alive = [](const Request&) { return text_response(200, "OK"); };
  if (path == options_.telemetry_path) {
    return {"metrics", false,
            [this](const Request& request) { return metrics(request); }};
  }
  if (path == "/") {
    return {"landing", false, [this](const Request&) { return landing(); }};
  }
  if (path == "/-/healthy") return {"healthy", false, alive};
  if (path == "/-/ready") return {"ready", false, alive};
  if (path == "/-/reload") {
    return {"reload", true, [this](const Request&) { return reload(); }};
  }
  return {"other", false, [this](const Request&) {
            return text_response(404, "nothing here; the metrics are at " +
                                          options_.telemetry_path);
          }};
}

Response WebHandler::metrics(const Request& request) {
  const auto slot = take_slot();
  if (!slot) {
    return text_response(503, "too many requests in flight (" +
                                  std::to_string(options_.max_requests) +
                                  "); see --web.max-requests");
  }
  auto collectors = select_collectors(request.query, scraper_);
  if (const auto* refusal = std::get_if<Refusal>(&collectors)) {
    return text_response(400, *refusal);
  }
  const auto format = negotiate_format(request.header("Accept"));
  const bool packed = wants_gzip(request.header("Accept-Encoding"));
  const auto page = scraper_.scrape(
      {std::get<std::vector<std::string>>(std::move(collectors)),
       deadline(request)});
  if (!page) {
    return text_response(503,
                         "too many scrapes of other collectors are waiting");
  }

  // The slot goes with the body: who reads slowly is still in flight.
  struct Sent {
    std::shared_ptr<void> slot;
    std::shared_ptr<const std::string> body;
  };
  auto sent = std::make_shared<Sent>(Sent{slot, page->body(format, packed)});
  Response response;
  response.content_type = content_type(format);
  response.headers.push_back({"Vary", "Accept, Accept-Encoding"});
  if (packed) response.headers.push_back({"Content-Encoding", "gzip"});
  response.body = {sent, sent->body.get()};
  return response;
}

Response WebHandler::landing() {
  // A person asks how it is now, not how it was at the last scrape.
  scraper_.scrape(
      {scraper_.enabled_collectors(), options_.now() + kLandingPatience});
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {
      {"Content-Security-Policy",
       "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"},
      {"Cache-Control", "no-store"}};
  response.body = std::make_shared<const std::string>(
      landing_page({options_.version, options_.telemetry_path,
                    options_.documentation_url, scraper_.status()}));
  return response;
}

Response WebHandler::reload() {
  if (!options_.reload) return text_response(200, "nothing to reload");
  const std::lock_guard lock(reload_mutex_);
  const std::string problem = options_.reload();
  if (!problem.empty()) return text_response(500, problem);
  return text_response(200, "reloaded");
}

std::chrono::steady_clock::time_point WebHandler::deadline(
    const Request& request) const {
  const Seconds timeout =
      parse_timeout(request.header("X-Prometheus-Scrape-Timeout-Seconds"));
  const Seconds budget =
      std::max(timeout - Seconds(options_.timeout_offset), timeout / 2);
  return options_.now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             budget);
}

// Null where all are taken by those who wait, or take what they are sent.
std::shared_ptr<void> WebHandler::take_slot() {
  auto slot = slots_.take(std::chrono::milliseconds(0));
  if (!options_.senders) return slot;
  const auto end = Senders::Clock::now() + kSlotPatience;
  while (!slot && Senders::Clock::now() < end) {
    const bool dropped = options_.senders->drop_slowest();
    slot = slots_.take(dropped ? kGoodbye : kNextLook);
  }
  return slot;
}

void WebHandler::count(const char* handler, int status) {
  if (requests_ == nullptr) return;
  requests_->Add({{"handler", handler}, {"code", std::to_string(status)}})
      .Increment();
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// What a scraper may ask: paths, queries and headers, and raw bytes on a
// socket.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "collectors/base/scan.h"
#include "collectors/base/utf8.h"
#include "exporter/basic_auth.h"
#include "exporter/exposition/negotiation.h"
#include "exporter/http_server.h"
#include "exporter/web_handler.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

class FixedPage final : public Page {
 public:
  std::shared_ptr<const std::string> body(TextFormat /*format*/,
                                          bool /*gzip*/) const override {
    return std::make_shared<const std::string>("up 1\n");
  }
};

class AnyScraper final : public Scraper {
 public:
  std::shared_ptr<const Page> scrape(const ScrapeRequest& request) override {
    const auto& wanted = request.collectors;
    const auto enabled = enabled_collectors();
    expect(std::is_sorted(wanted.begin(), wanted.end()) &&
               std::includes(enabled.begin(), enabled.end(), wanted.begin(),
                             wanted.end()),
           "only what is enabled is asked, each once");
    const auto now = std::chrono::steady_clock::now();
    expect(request.deadline <= now + std::chrono::hours(1),
           "a deadline is within the hour");
    return std::make_shared<FixedPage>();
  }
  std::vector<std::string> enabled_collectors() const override {
    return {"host", "sched"};
  }
  std::vector<std::string> known_collectors() const override {
    return {"host", "perf", "sched"};
  }
  ScrapeStatus status() override {
    return {{{"host", true, false, "<b>&\"'"}}, {{"<i>", "</i>"}}, 1, 2};
  }
};

WebHandler& handler() {
  static AnyScraper scraper;
  static WebHandler handler(scraper, {.reload = [] { return ""; }});
  return handler;
}

// "METHOD PATH QUERY", then a header a line.
Request request_of(std::string_view text) {
  Request request;
  auto line = take_line(text);
  request.method = take_word(line);
  request.path = take_word(line);
  request.query = take_word(line);
  while (!text.empty()) {
    line = take_line(text);
    const auto colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    request.headers.push_back({std::string(line.substr(0, colon)),
                               std::string(line.substr(colon + 2))});
  }
  return request;
}

bool is_shown(std::string_view text) {
  while (!text.empty()) {
    const auto next = first_utf8(text);
    if (!next.valid || is_control(next.code)) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

void look_request(std::string_view text) {
  const auto response = handler().handle(request_of(text));
  constexpr std::array<int, 4> kAnswers{200, 400, 404, 405};
  expect(std::find(kAnswers.begin(), kAnswers.end(), response.status) !=
             kAnswers.end(),
         "an answer is one of four");
  expect(!response.content_type.empty() && response.body != nullptr,
         "an answer says something");
  for (const auto& header : response.headers)
    expect(is_one_line(header.value), "a header is one line");
  if (response.status == 200) return;
  std::string_view body = *response.body;
  expect(body.ends_with('\n'), "a refusal ends");
  body.remove_suffix(1);
  expect(is_shown(body), "a refusal is one line, which can be shown");
}

bool names(std::string_view text, std::string_view word) {
  const auto at =
      std::search(text.begin(), text.end(), word.begin(), word.end(),
                  [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  return at != text.end();
}

void look_accept(std::string_view text) {
  if (negotiate_format(text) == TextFormat::kOpenMetrics)
    expect(names(text, "application/openmetrics-text"),
           "who gets OpenMetrics has named it");
  if (wants_gzip(text))
    expect(names(text, "gzip") || text.find('*') != std::string_view::npos,
           "who gets gzip has named it");
}

BasicAuth& auth() {
  static BasicAuth auth;
  static const bool has_users = [] {
    auth.set_users(
        {{"u",  // Of "U*U".
          "$2a$04$CCCCCCCCCCCCCCCCCCCCC.K7Qr0se1MxuggH4aP4YgB.U2Em1pGSK"}});
    return true;
  }();
  expect(has_users, "there is a user");
  return auth;
}

// "u:U*U" in base64, whose last two bits before the padding say nothing: as in
// Go, they may be set.
bool is_the_password(std::string_view base64) {
  return base64.size() == 8 && base64.starts_with("dTpVKl") &&
         std::string_view("UVWX").find(base64[6]) != std::string_view::npos &&
         base64[7] == '=';
}

// The value of Authorization.
void look_authorization(std::string_view text) {
  const auto verdict = auth().check(text);
  expect(verdict != BasicAuth::Verdict::kBusy, "nobody else asks");
  if (verdict == BasicAuth::Verdict::kGood)
    expect(text.size() > 6 && names(text.substr(0, 6), "basic ") &&
               is_the_password(text.substr(6)),
           "who is let in has said the password");
}

HttpServer& server() {
  // Threads that the fuzzer's end need not wait for.
  static auto* const server = new HttpServer(
      {.listen_addresses = {"127.0.0.1:0"}, .threads = 4},
      [](const Request& request) { return handler().handle(request); });
  return *server;
}

// All that comes until the other side has said everything.
std::string answer_to(std::string_view bytes) {
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server().ports()[0]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  expect(::connect(client, reinterpret_cast<const sockaddr*>(&address),
                   sizeof address) == 0,
         "the server takes connections");
  // It may hang up in the middle of what is wrong.
  while (!bytes.empty()) {
    const auto sent = ::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  ::shutdown(client, SHUT_WR);
  std::string answer;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = ::recv(client, buffer.data(), buffer.size(), 0)) > 0)
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  // Not to run out of ports: no time of waiting for what nobody will send.
  const linger now{1, 0};
  ::setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(client);
  return answer;
}

// Raw bytes; lines end as they stand there.
void look_socket(std::string_view text) {
  const auto answer = answer_to(text);
  expect(answer.empty() || answer.starts_with("HTTP/1."),
         "an answer is HTTP's");
  if (answer.starts_with("HTTP/1.1 200"))
    expect(
        answer.find("\r\nConnection: close\r\n") != std::string::npos &&
            answer.find("Content-Length: ") == answer.rfind("Content-Length: "),
        "an answer closes its connection, and has one length");
  const auto next = answer_to("GET /-/healthy HTTP/1.0\r\n\r\n");
  expect(next.find(" 200 ") != std::string::npos, "the next one is answered");
}

constexpr std::array kLooks{
    Look{"request", look_request},
    Look{"accept", look_accept},
    Look{"authorization", look_authorization},
    Look{"socket", look_socket},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz

// SPDX-License-Identifier: Apache-2.0
#include "exporter/web_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <vector>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string refusal(const std::string& yaml) {
  const auto result = parse_web_config(yaml, "w.yml");
  const auto* error = std::get_if<ConfigError>(&result);
  return error == nullptr ? "accepted" : error->message;
}

std::string with_header(const std::string& header) {
  return "http_server_config:\n  headers:\n    " + header + "\n";
}

TEST(WebConfig, Headers) {
  const auto result = parse_web_config(
      "http_server_config:\n"
      "  http2: true\n"
      "  headers:\n"
      "    X-Frame-Options: deny\n"
      "    X-Content-Type-Options: nosniff\n"
      "    X-XSS-Protection: 0\n"
      "    Content-Security-Policy: \"default-src 'none'\"\n"
      "    Strict-Transport-Security: max-age=60\n",
      "w.yml");
  EXPECT_THAT(std::get<WebConfig>(result).headers,
              ElementsAre(Pair("Content-Security-Policy", "default-src 'none'"),
                          Pair("Strict-Transport-Security", "max-age=60"),
                          Pair("X-Content-Type-Options", "nosniff"),
                          Pair("X-Frame-Options", "deny"),
                          Pair("X-XSS-Protection", "0")));
}

TEST(WebConfig, EmptyIsNone) {
  for (const char* yaml : {"", "# nothing\n", "{}", "http_server_config:\n",
                           "http_server_config:\n  headers:\n"}) {
    EXPECT_EQ(refusal(yaml), "accepted") << yaml;
  }
  EXPECT_TRUE(std::get<WebConfig>(load_web_config("")).headers.empty());
}

struct Refused {
  std::string yaml;
  const char* message;
};

TEST(WebConfig, SaysWhatIsWrongWhereAndWhatToDo) {
  const std::vector<Refused> refused{
      {"\ntls_server_config:\n  cert_file: a\n",
       "w.yml:2: tls_server_config is not supported by this version yet; put "
       "a TLS proxy in front"},
      {"basic_auth_users: {a: b}",
       "w.yml:1: basic_auth_users is not supported by this version yet; put a "
       "proxy that asks for passwords in front"},
      {"rate_limit: {burst: 1}",
       "w.yml:1: rate_limit is not supported by this version; use "
       "--web.max-requests"},
      {"http_server_confg: {}",
       "w.yml:1: unknown key \"http_server_confg\" (did you mean "
       "\"http_server_config\"?); correct or remove it"},
      {"http_server_config:\n  header: {}",
       "w.yml:2: unknown key \"header\" (did you mean \"headers\"?); correct "
       "or remove it"},
      {"http_server_config:\n  http2: 3",
       "w.yml:2: http2 is no switch; write true or false"},
      {"http_server_config: 3",
       "w.yml:1: http_server_config is a single value; write NAME: VALUE "
       "lines"},
      {with_header("Server: x"),
       "w.yml:3: header \"Server\" cannot be set; only these can: "
       "Content-Security-Policy, Strict-Transport-Security, "
       "X-Content-Type-Options, X-Frame-Options, X-XSS-Protection"},
      {with_header("X-Frame-Options: DENY"),
       "w.yml:3: header X-Frame-Options has the value \"DENY\"; write deny, "
       "sameorigin"},
      {with_header("Content-Security-Policy: \"a\\r\\nSet-Cookie: b\""),
       "w.yml:3: header Content-Security-Policy has the value "
       "\"a\\x0d\\x0aSet-Cookie: b\"; write it in one line of ASCII"},
      {with_header("Content-Security-Policy: [a]"),
       "w.yml:3: header Content-Security-Policy is a list; write a single "
       "value"},
      {with_header("X-XSS-Protection:"),
       "w.yml:3: header X-XSS-Protection is nothing; write a single value"},
  };
  for (const auto& [yaml, message] : refused) {
    EXPECT_EQ(refusal(yaml), message);
  }
  EXPECT_THAT(refusal(with_header("x-frame-options: deny")),
              HasSubstr("did you mean \"X-Frame-Options\"?"));
}

TEST(WebConfig, FileThatIsNotThere) {
  EXPECT_EQ(std::get<ConfigError>(load_web_config("/no/such.yml")).message,
            "cannot read \"/no/such.yml\": No such file or directory");
}

// exporter-toolkit itself, as it stands in promtool. What we refuse beyond it
// (TLS, users, line breaks in values) has its tests above.
TEST(WebConfig, AgreesWithPromtool) {
  if (std::system("promtool --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool is not installed";
  }
  const std::vector<std::string> files{
      "",
      "{}",
      "http_server_config:\n",
      "http_server_config: {http2: false}",
      "http_server_config: {http2: 3}",
      "http_server_config: {headers: {}}",
      "http_server_config: {headers: [a]}",
      "http_server_config: 3",
      "http_server_config: {other: 1}",
      "other: 1",
      "http_server_config:\nhttp_server_config:\n",
      "http_server_config: [",
      with_header("X-Frame-Options: deny"),
      with_header("X-Frame-Options: sameorigin"),
      with_header("X-Frame-Options: DENY"),
      with_header("x-frame-options: deny"),
      with_header("X-Content-Type-Options: nosniff"),
      with_header("X-Content-Type-Options: other"),
      with_header("X-XSS-Protection: 0"),
      with_header("Strict-Transport-Security: max-age=1"),
      with_header("Content-Security-Policy: \"default-src 'none'\""),
      with_header("Server: mine"),
      with_header("X-Frame-Options: deny\n    X-Frame-Options: deny"),
  };
  const std::string path = testing::TempDir() + "web_config_test." +
                           std::to_string(::getpid()) + ".yml";
  const std::string command =
      "promtool check web-config '" + path + "' >/dev/null 2>&1";
  for (const std::string& yaml : files) {
    std::ofstream(path) << yaml;
    const bool accepted = std::system(command.c_str()) == 0;
    const auto result = load_web_config(path);
    EXPECT_EQ(std::holds_alternative<WebConfig>(result), accepted) << yaml;
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace vcpu

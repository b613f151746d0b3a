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

std::string with_tls(const std::string& lines) {
  return "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n" + lines;
}

TlsConfig tls_of(const std::string& yaml, const std::string& file = "w.yml") {
  auto result = parse_web_config(yaml, file);
  const auto* error = std::get_if<ConfigError>(&result);
  EXPECT_EQ(error, nullptr) << error->message;
  if (error != nullptr) return {};
  return std::get<WebConfig>(result).tls.value_or(TlsConfig{});
}

TEST(WebConfig, Tls) {
  const TlsConfig tls = tls_of(
      "tls_server_config:\n"
      "  cert_file: tls.crt\n"
      "  key_file: /keys/tls.key\n"
      "  client_auth_type: RequireAndVerifyClientCert\n"
      "  client_ca_file: ../ca.crt\n"
      "  client_allowed_sans: [prometheus.example, 10.0.0.1]\n"
      "  min_version: TLS12\n"
      "  max_version: TLS13\n"
      "  cipher_suites:\n"
      "    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n"
      "    - TLS_AES_128_GCM_SHA256\n"
      "    - TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\n"
      "  curve_preferences: [X25519, CurveP256]\n"
      "  prefer_server_cipher_suites: false\n",
      "/etc/x/w.yml");
  EXPECT_EQ(tls.cert.file, "/etc/x/tls.crt");
  EXPECT_EQ(tls.cert.line, 2);
  EXPECT_EQ(tls.key.file, "/keys/tls.key");
  EXPECT_EQ(tls.client_ca.file, "/etc/x/../ca.crt");
  EXPECT_EQ(tls.client_auth, ClientAuth::kRequireAndVerify);
  EXPECT_THAT(tls.allowed_sans, ElementsAre("prometheus.example", "10.0.0.1"));
  EXPECT_THAT(tls.tls12_ciphers, ElementsAre("ECDHE-RSA-AES128-GCM-SHA256",
                                             "ECDHE-ECDSA-CHACHA20-POLY1305"));
  EXPECT_THAT(tls.tls13_ciphers, ElementsAre("TLS_AES_128_GCM_SHA256"));
  EXPECT_THAT(tls.groups, ElementsAre("X25519", "P-256"));
  EXPECT_TRUE(tls.tls12);
  EXPECT_TRUE(tls.tls13);
  EXPECT_FALSE(tls.prefer_server_ciphers);
}

TEST(WebConfig, TlsByDefault) {
  const TlsConfig tls = tls_of(with_tls(""));
  EXPECT_EQ(tls.cert.file, "a.crt");
  EXPECT_EQ(tls.client_auth, ClientAuth::kNone);
  EXPECT_TRUE(tls.tls12 && tls.tls13 && tls.prefer_server_ciphers);
  EXPECT_THAT(tls.tls12_ciphers, testing::IsEmpty());
  EXPECT_FALSE(std::get<WebConfig>(parse_web_config("", "")).tls);
  EXPECT_EQ(refusal("tls_server_config:\n"), "accepted");
  EXPECT_EQ(refusal("tls_server_config: {}\n"), "accepted");
}

TEST(WebConfig, TlsVersions) {
  EXPECT_FALSE(tls_of(with_tls("  min_version: TLS13\n")).tls12);
  EXPECT_FALSE(tls_of(with_tls("  max_version: TLS12\n")).tls13);
  // As in Go: no suite of TLS 1.2 is left.
  const auto only = with_tls("  cipher_suites: [TLS_AES_256_GCM_SHA384]\n");
  EXPECT_FALSE(tls_of(only).tls12);
  EXPECT_THAT(refusal(only + "  max_version: TLS12\n"),
              HasSubstr("leave no version of TLS"));
}

TEST(WebConfig, CertificatesInTheFileItself) {
  const TlsConfig tls =
      tls_of("tls_server_config:\n  cert: |\n    one\n    two\n  key: three\n");
  EXPECT_EQ(tls.cert.text, "one\ntwo\n");
  EXPECT_EQ(tls.cert.file, "");
  EXPECT_EQ(tls.key.text, "three");
}

TEST(WebConfig, SaysWhatIsWrongWithTls) {
  const std::vector<Refused> refused{
      {"tls_server_config: {min_version: TLS12}",
       "w.yml:1: tls_server_config: cert_file is missing; name the server's "
       "certificate"},
      {"\ntls_server_config:\n  cert_file: a\n",
       "w.yml:2: tls_server_config: key_file is missing; name the "
       "certificate's private key"},
      {with_tls("  key: b\n"),
       "w.yml:4: key and key_file are both there; leave one out"},
      {with_tls("  cert_fil: b\n"),
       "w.yml:4: unknown key \"cert_fil\" (did you mean \"cert_file\"?); "
       "correct or remove it"},
      {with_tls("  min_version: TLS10\n"),
       "w.yml:4: min_version has the value \"TLS10\"; write one of: TLS12, "
       "TLS13"},
      {with_tls("  min_version: TLS13\n  max_version: TLS12\n"),
       "w.yml:1: tls_server_config: min_version, max_version and "
       "cipher_suites leave no version of TLS; allow TLS12 or TLS13"},
      {with_tls("  client_auth_type: Required\n"),
       "w.yml:4: client_auth_type has the value \"Required\"; write one of: "
       "NoClientCert, RequestClientCert, RequireAnyClientCert, "
       "RequireClientCert, VerifyClientCertIfGiven, "
       "RequireAndVerifyClientCert"},
      {with_tls("  client_ca_file: c\n"),
       "w.yml:1: tls_server_config: client_ca_file is there without a "
       "client_auth_type; write RequireAndVerifyClientCert for it"},
      {with_tls("  client_auth_type: RequireAndVerifyClientCert\n"),
       "w.yml:1: tls_server_config: client_ca_file is missing; name the "
       "certificates of the authorities that sign clients' certificates"},
      {with_tls("  client_auth_type: RequireAnyClientCert\n"
                "  client_allowed_sans: [a]\n"),
       "w.yml:1: tls_server_config: client_allowed_sans are looked for in "
       "verified certificates only; write client_auth_type: "
       "RequireAndVerifyClientCert"},
      {with_tls("  cipher_suites: [AES128-SHA]\n"),
       "w.yml:4: cipher_suites has \"AES128-SHA\"; there are only: "
       "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, "
       "TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "
       "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
       "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "
       "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
       "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "
       "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "
       "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "
       "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "
       "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "
       "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "
       "TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_128_GCM_SHA256, "
       "TLS_RSA_WITH_AES_256_CBC_SHA, TLS_RSA_WITH_AES_256_GCM_SHA384"},
      {with_tls("  curve_preferences: [P256]\n"),
       "w.yml:4: curve_preferences has \"P256\"; there are only: CurveP256, "
       "CurveP384, CurveP521, X25519"},
      {with_tls("  curve_preferences: X25519\n"),
       "w.yml:4: curve_preferences is a single value; write a list, as [A, "
       "B]"},
      {with_tls("  prefer_server_cipher_suites: yes\n"),
       "w.yml:4: prefer_server_cipher_suites is no switch; write true or "
       "false"},
      {with_tls("  cert: [a]\n"),
       "w.yml:4: cert is a list; write a single value"},
  };
  for (const auto& [yaml, message] : refused) {
    EXPECT_EQ(refusal(yaml), message);
  }
}

constexpr const char* kHash =
    "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

TEST(WebConfig, Users) {
  const auto result = parse_web_config(
      std::string("basic_auth_users:\n  prometheus: ") + kHash + "\n", "w.yml");
  EXPECT_THAT(std::get<WebConfig>(result).users,
              ElementsAre(Pair("prometheus", kHash)));
  EXPECT_EQ(refusal("basic_auth_users:\n"), "accepted");
}

TEST(WebConfig, SaysWhatIsWrongWithUsersAndRepeatsNoSecret) {
  const std::string expensive =
      "$2y$17$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  const std::vector<Refused> refused{
      {"basic_auth_users: {a: hunter2}",
       "w.yml:1: the password of user \"a\" is no bcrypt hash; write what "
       "`htpasswd -nBC 10 \"\"` prints after the colon"},
      {"basic_auth_users: {a: " + expensive + "}",
       "w.yml:1: the password of user \"a\" has a bcrypt cost of 17; make a "
       "hash with one from 4 to 16, such as 10"},
      {"basic_auth_users:\n  a: [hunter2]\n",
       "w.yml:2: user \"a\" has a list for a password; write a bcrypt hash"},
      {"basic_auth_users:\n  a:\n",
       "w.yml:2: user \"a\" has nothing for a password; write a bcrypt hash"},
      {std::string("basic_auth_users: {\"a:b\": ") + kHash + "}",
       "w.yml:1: user \"a:b\" has a colon in the name, which no client can "
       "send; take another name"},
      {"basic_auth_users: hunter2",
       "w.yml:1: basic_auth_users is a single value; write NAME: VALUE lines"},
  };
  for (const auto& [yaml, message] : refused) {
    EXPECT_EQ(refusal(yaml), message);
  }
}

TEST(WebConfig, FileThatIsNotThere) {
  EXPECT_EQ(std::get<ConfigError>(load_web_config("/no/such.yml")).message,
            "cannot read \"/no/such.yml\": No such file or directory");
}

// exporter-toolkit itself, as it stands in promtool. What we refuse beyond it
// (see web_config.h) has its tests above; certificates have theirs in
// tests/program/test_tls.py.
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
      "tls_server_config:\n",
      "tls_server_config: {}\n",
      "tls_server_config: {other: 1}\n",
      with_tls("  min_version: SSL30\n"),
      with_tls("  cipher_suites: [AES128-SHA]\n"),
      with_tls("  curve_preferences: [P256]\n"),
      with_tls("  prefer_server_cipher_suites: maybe\n"),
      std::string("basic_auth_users: {a: ") + kHash + "}",
      "basic_auth_users: {a: hunter2}",
      "basic_auth_users: {}\n",
      "basic_auth_users: [a]\n",
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

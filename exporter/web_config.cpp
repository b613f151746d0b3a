// SPDX-License-Identifier: Apache-2.0
#include "exporter/web_config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "exporter/wording.h"
#include "exporter/yaml.h"

namespace vcpu {
namespace {

struct AllowedHeader {
  std::string_view name;
  std::vector<std::string> values;  // Empty: any.
};

// exporter-toolkit's extraHTTPHeaders, to the letter and its case.
const std::vector<AllowedHeader>& allowed_headers() {
  static const std::vector<AllowedHeader> allowed{
      {"Content-Security-Policy", {}},
      {"Strict-Transport-Security", {}},
      {"X-Content-Type-Options", {"nosniff"}},
      {"X-Frame-Options", {"deny", "sameorigin"}},
      {"X-XSS-Protection", {}},
  };
  return allowed;
}

struct NamedCipher {
  std::string_view name;     // The IANA's, as in Go's tls.CipherSuites().
  std::string_view openssl;  // Empty: the same, and of TLS 1.3.
};

constexpr std::array<NamedCipher, 17> kCiphers{{
    {"TLS_AES_128_GCM_SHA256", ""},
    {"TLS_AES_256_GCM_SHA384", ""},
    {"TLS_CHACHA20_POLY1305_SHA256", ""},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
     "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
     "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
     "ECDHE-ECDSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
     "ECDHE-RSA-CHACHA20-POLY1305"},
    {"TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"},
    {"TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"},
    {"TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"},
    {"TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"},
}};

// What may stand for a value, and what it means.
template <typename Meaning>
using Choices = std::vector<std::pair<std::string, Meaning>>;

const Choices<std::string>& groups() {
  static const Choices<std::string> all{{"CurveP256", "P-256"},
                                        {"CurveP384", "P-384"},
                                        {"CurveP521", "P-521"},
                                        {"X25519", "X25519"}};
  return all;
}

const Choices<ClientAuth>& client_auth_types() {
  static const Choices<ClientAuth> all{
      {"NoClientCert", ClientAuth::kNone},
      {"RequestClientCert", ClientAuth::kRequest},
      {"RequireAnyClientCert", ClientAuth::kRequireAny},
      {"RequireClientCert", ClientAuth::kRequireAny},  // Its former name.
      {"VerifyClientCertIfGiven", ClientAuth::kVerifyIfGiven},
      {"RequireAndVerifyClientCert", ClientAuth::kRequireAndVerify}};
  return all;
}

const Choices<int>& tls_versions() {
  static const Choices<int> all{{"TLS12", 12}, {"TLS13", 13}};
  return all;
}

template <typename Meaning>
std::vector<std::string> names_of(const Choices<Meaning>& choices) {
  std::vector<std::string> names;
  for (const auto& choice : choices) names.push_back(choice.first);
  return names;
}

std::vector<std::string> cipher_names() {
  std::vector<std::string> names;
  names.reserve(kCiphers.size());
  for (const NamedCipher& cipher : kCiphers) names.emplace_back(cipher.name);
  return names;
}

std::vector<std::string> header_names() {
  std::vector<std::string> names;
  for (const AllowedHeader& header : allowed_headers()) {
    names.emplace_back(header.name);
  }
  return names;
}

class WebFileReader {
 public:
  explicit WebFileReader(const std::string& file)
      : file_(file), directory_(directory_of(file)) {}

  std::variant<WebConfig, ConfigError> read(const YamlNode& root) && {
    read_top_level(root);
    if (error_) return *std::move(error_);
    return std::move(config_);
  }

 private:
  void read_top_level(const YamlNode& root) {
    if (!expect_mapping(root, "the file")) return;
    for (const YamlNode& entry : root.children) {
      if (error_) return;
      if (entry.key == "http_server_config") {
        read_http(entry);
      } else if (entry.key == "tls_server_config") {
        read_tls(entry);
      } else if (entry.key == "basic_auth_users") {
        read_users(entry);
      } else {
        refuse_top_level(entry);
      }
    }
  }

  void refuse_top_level(const YamlNode& entry) {
    if (entry.key == "rate_limit") {
      fail(entry,
           "rate_limit is not supported by this version; use "
           "--web.max-requests");
    } else {
      refuse_key(entry, {"http_server_config", "tls_server_config",
                         "basic_auth_users"});
    }
  }

  void read_tls(const YamlNode& tls) {
    if (!expect_mapping(tls, tls.key) || tls.children.empty()) return;
    TlsReading reading;
    for (const YamlNode& entry : tls.children) {
      if (error_) return;
      read_tls_entry(entry, reading);
    }
    if (error_ || !judge_tls(tls, reading)) return;
    config_.tls = std::move(reading.config);
  }

  struct TlsReading {
    TlsConfig config;
    int min_version = 12;
    int max_version = 13;
  };

  void read_tls_entry(const YamlNode& entry, TlsReading& reading) {
    TlsConfig& tls = reading.config;
    const std::string& key = entry.key;
    if (key == "cert_file" || key == "cert") {
      read_pem(entry, tls.cert);
    } else if (key == "key_file" || key == "key") {
      read_pem(entry, tls.key);
    } else if (key == "client_ca_file" || key == "client_ca") {
      read_pem(entry, tls.client_ca);
    } else if (key == "client_auth_type") {
      read_choice(entry, client_auth_types(), tls.client_auth);
    } else if (key == "client_allowed_sans") {
      read_texts(entry, tls.allowed_sans);
    } else if (key == "cipher_suites") {
      read_ciphers(entry, tls);
    } else if (key == "curve_preferences") {
      read_groups(entry, tls.groups);
    } else if (key == "min_version") {
      read_choice(entry, tls_versions(), reading.min_version);
    } else if (key == "max_version") {
      read_choice(entry, tls_versions(), reading.max_version);
    } else if (key == "prefer_server_cipher_suites") {
      expect_switch(entry);
      tls.prefer_server_ciphers = entry.text == "true";
    } else {
      refuse_key(entry,
                 {"cert_file", "cert", "key_file", "key", "client_auth_type",
                  "client_ca_file", "client_ca", "client_allowed_sans",
                  "cipher_suites", "curve_preferences", "min_version",
                  "max_version", "prefer_server_cipher_suites"});
    }
  }

  void read_pem(const YamlNode& entry, PemSource& source) {
    if (!expect_text(entry)) return;
    if (entry.text.empty()) return;
    if (source.given()) {
      fail(entry, entry.key + " and " + source.name +
                      " are both there; leave one out");
      return;
    }
    source = {entry.key, "", "", entry.line};
    if (entry.key.ends_with("_file")) {
      source.file = (entry.text.front() == '/' ? "" : directory_) + entry.text;
    } else {
      source.text = entry.text;
    }
  }

  template <typename Meaning>
  void read_choice(const YamlNode& entry, const Choices<Meaning>& choices,
                   Meaning& value) {
    if (!expect_text(entry) || entry.kind == YamlNode::Kind::kNull) return;
    for (const auto& [name, meaning] : choices) {
      if (name != entry.text) continue;
      value = meaning;
      return;
    }
    fail(entry, entry.key + " has the value " + in_quotes(entry.text) +
                    "; write one of: " + joined(names_of(choices)));
  }

  void read_texts(const YamlNode& entry, std::vector<std::string>& texts) {
    if (entry.kind == YamlNode::Kind::kNull) return;
    if (entry.kind != YamlNode::Kind::kList) {
      fail(entry, entry.key + " is " + std::string(kind_name(entry)) +
                      "; write a list, as [A, B]");
      return;
    }
    for (const YamlNode& item : entry.children) {
      if (item.kind != YamlNode::Kind::kScalar || item.text.empty()) {
        fail(item, entry.key + " has an item that is " +
                       std::string(kind_name(item)) + "; write single values");
        return;
      }
      texts.push_back(item.text);
    }
  }

  void read_ciphers(const YamlNode& entry, TlsConfig& tls) {
    std::vector<std::string> names;
    read_texts(entry, names);
    for (const std::string& name : names) {
      const auto* const cipher = std::find_if(
          kCiphers.begin(), kCiphers.end(),
          [&](const NamedCipher& known) { return known.name == name; });
      if (cipher == kCiphers.end()) {
        refuse_item(entry, name, cipher_names());
        return;
      }
      if (cipher->openssl.empty()) {
        tls.tls13_ciphers.push_back(name);
      } else {
        tls.tls12_ciphers.emplace_back(cipher->openssl);
      }
    }
  }

  void read_groups(const YamlNode& entry, std::vector<std::string>& chosen) {
    std::vector<std::string> names;
    read_texts(entry, names);
    for (const std::string& name : names) {
      const auto group =
          std::find_if(groups().begin(), groups().end(),
                       [&](const auto& known) { return known.first == name; });
      if (group == groups().end()) {
        refuse_item(entry, name, names_of(groups()));
        return;
      }
      chosen.push_back(group->second);
    }
  }

  void refuse_item(const YamlNode& entry, const std::string& item,
                   const std::vector<std::string>& known) {
    fail(entry, entry.key + " has " + in_quotes(item) +
                    did_you_mean(item, known) +
                    "; there are only: " + joined(known));
  }

  // What no key is wrong in by itself.
  bool judge_tls(const YamlNode& node, TlsReading& reading) {
    TlsConfig& tls = reading.config;
    tls.tls12 = reading.min_version == 12;
    tls.tls13 = reading.max_version == 13;
    // As in Go: a list without any suite of TLS 1.2 leaves it none.
    if (tls.tls12_ciphers.empty() && !tls.tls13_ciphers.empty())
      tls.tls12 = false;
    std::string problem;
    if (!tls.cert.given()) {
      problem = "cert_file is missing; name the server's certificate";
    } else if (!tls.key.given()) {
      problem = "key_file is missing; name the certificate's private key";
    } else if (!tls.tls12 && !tls.tls13) {
      problem =
          "min_version, max_version and cipher_suites leave no version of TLS; "
          "allow TLS12 or TLS13";
    } else {
      problem = client_auth_problem(tls);
    }
    if (!problem.empty()) fail(node, node.key + ": " + problem);
    return problem.empty();
  }

  static std::string client_auth_problem(const TlsConfig& tls) {
    const bool verified = tls.client_auth == ClientAuth::kVerifyIfGiven ||
                          tls.client_auth == ClientAuth::kRequireAndVerify;
    if (tls.client_ca.given() && tls.client_auth == ClientAuth::kNone) {
      return tls.client_ca.name +
             " is there without a client_auth_type; write "
             "RequireAndVerifyClientCert for it";
    }
    if (verified && !tls.client_ca.given()) {
      return "client_ca_file is missing; name the certificates of the "
             "authorities that sign clients' certificates";
    }
    if (!tls.allowed_sans.empty() && !verified) {
      return "client_allowed_sans are looked for in verified certificates "
             "only; write client_auth_type: RequireAndVerifyClientCert";
    }
    return "";
  }

  void read_users(const YamlNode& users) {
    if (!expect_mapping(users, users.key)) return;
    for (const YamlNode& user : users.children) {
      if (error_) return;
      read_user(user);
    }
  }

  // The hash is not for messages, whatever is wrong with it.
  void read_user(const YamlNode& user) {
    const std::string who = "user " + in_quotes(user.key);
    if (user.key.find(':') != std::string::npos) {
      fail(user, who +
                     " has a colon in the name, which no client can send; "
                     "take another name");
      return;
    }
    if (user.kind != YamlNode::Kind::kScalar) {
      fail(user, who + " has " + std::string(kind_name(user)) +
                     " for a password; write a bcrypt hash");
      return;
    }
    const std::string problem = bcrypt_problem(user.text);
    if (!problem.empty()) {
      fail(user, "the password of " + who + " " + problem);
      return;
    }
    config_.users[user.key] = user.text;
  }

  bool expect_text(const YamlNode& entry) {
    if (entry.kind == YamlNode::Kind::kScalar ||
        entry.kind == YamlNode::Kind::kNull) {
      return true;
    }
    fail(entry, entry.key + " is " + std::string(kind_name(entry)) +
                    "; write a single value");
    return false;
  }

  void read_http(const YamlNode& http) {
    if (!expect_mapping(http, http.key)) return;
    for (const YamlNode& entry : http.children) {
      if (error_) return;
      if (entry.key == "headers") {
        read_headers(entry);
      } else if (entry.key == "http2") {
        expect_switch(entry);
      } else {
        refuse_key(entry, {"headers", "http2"});
      }
    }
  }

  void read_headers(const YamlNode& headers) {
    if (!expect_mapping(headers, headers.key)) return;
    for (const YamlNode& header : headers.children) {
      if (error_) return;
      read_header(header);
    }
  }

  void read_header(const YamlNode& header) {
    const auto& all = allowed_headers();
    const auto allowed = std::find_if(
        all.begin(), all.end(),
        [&](const AllowedHeader& known) { return known.name == header.key; });
    if (allowed == all.end()) {
      fail(header, "header " + in_quotes(header.key) + " cannot be set" +
                       did_you_mean(header.key, header_names()) +
                       "; only these can: " + joined(header_names()));
      return;
    }
    if (!expect_header_value(header, allowed->values)) return;
    config_.headers[header.key] = header.text;
  }

  bool expect_header_value(const YamlNode& header,
                           const std::vector<std::string>& values) {
    if (header.kind != YamlNode::Kind::kScalar) {
      fail(header, "header " + header.key + " is " +
                       std::string(kind_name(header)) +
                       "; write a single value");
      return false;
    }
    // A line break would begin a header of its own.
    const bool plain =
        std::all_of(header.text.begin(), header.text.end(),
                    [](char c) { return c >= ' ' && c < '\x7f'; });
    if (!plain) {
      fail(header, "header " + header.key + " has the value " +
                       in_quotes(header.text) +
                       "; write it in one line of ASCII");
      return false;
    }
    if (!values.empty() &&
        std::find(values.begin(), values.end(), header.text) == values.end()) {
      fail(header, "header " + header.key + " has the value " +
                       in_quotes(header.text) + "; write " + joined(values));
      return false;
    }
    return true;
  }

  void expect_switch(const YamlNode& value) {
    const bool good = value.kind == YamlNode::Kind::kScalar && !value.quoted &&
                      (value.text == "true" || value.text == "false");
    if (!good) fail(value, value.key + " is no switch; write true or false");
  }

  bool expect_mapping(const YamlNode& node, const std::string& name) {
    if (node.kind == YamlNode::Kind::kMapping) return true;
    if (node.kind != YamlNode::Kind::kNull) {
      fail(node, name + " is " + std::string(kind_name(node)) +
                     "; write NAME: VALUE lines");
    }
    return false;
  }

  void refuse_key(const YamlNode& entry,
                  const std::vector<std::string>& known) {
    fail(entry, "unknown key " + in_quotes(entry.key) +
                    did_you_mean(entry.key, known) + "; correct or remove it");
  }

  void fail(const YamlNode& node, const std::string& what) {
    if (!error_) error_ = config_error(file_, node.line, what);
  }

  const std::string& file_;
  const std::string directory_;
  WebConfig config_;
  std::optional<ConfigError> error_;
};

}  // namespace

std::variant<WebConfig, ConfigError> parse_web_config(std::string_view yaml,
                                                      const std::string& file) {
  auto parsed = parse_yaml(yaml, file);
  if (auto* error = std::get_if<ConfigError>(&parsed)) return std::move(*error);
  return WebFileReader(file).read(std::get<YamlNode>(parsed));
}

std::variant<WebConfig, ConfigError> load_web_config(const std::string& file) {
  if (file.empty()) return WebConfig{};
  auto text = read_config_file(file);
  if (auto* error = std::get_if<ConfigError>(&text)) return std::move(*error);
  return parse_web_config(std::get<std::string>(text), file);
}

}  // namespace vcpu

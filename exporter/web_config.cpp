// SPDX-License-Identifier: Apache-2.0
#include "exporter/web_config.h"

#include <algorithm>
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

std::vector<std::string> header_names() {
  std::vector<std::string> names;
  for (const AllowedHeader& header : allowed_headers()) {
    names.emplace_back(header.name);
  }
  return names;
}

class WebFileReader {
 public:
  explicit WebFileReader(const std::string& file) : file_(file) {}

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
      } else {
        refuse_top_level(entry);
      }
    }
  }

  void refuse_top_level(const YamlNode& entry) {
    if (entry.key == "tls_server_config") {
      fail(entry,
           "tls_server_config is not supported by this version yet; put a TLS "
           "proxy in front");
    } else if (entry.key == "basic_auth_users") {
      fail(entry,
           "basic_auth_users is not supported by this version yet; put a "
           "proxy that asks for passwords in front");
    } else if (entry.key == "rate_limit") {
      fail(entry,
           "rate_limit is not supported by this version; use "
           "--web.max-requests");
    } else {
      refuse_key(entry, {"http_server_config", "tls_server_config",
                         "basic_auth_users"});
    }
  }

  void read_http(const YamlNode& http) {
    if (!expect_mapping(http, http.key)) return;
    for (const YamlNode& entry : http.children) {
      if (error_) return;
      if (entry.key == "headers") {
        read_headers(entry);
      } else if (entry.key == "http2") {
        // Means something only with TLS, here as in exporter-toolkit.
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
    error_ = config_error(file_, node.line, what);
  }

  const std::string& file_;
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

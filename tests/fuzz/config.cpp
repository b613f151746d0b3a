// SPDX-License-Identifier: Apache-2.0
//
// What an operator writes into files: the configuration, the web configuration.
// Whatever it is, the answer is a setting or one line that says what is wrong.
#include "exporter/config.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <variant>
#include <vector>

#include "exporter/name_hash.h"
#include "exporter/tls.h"
#include "exporter/web_config.h"
#include "exporter/yaml.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

const std::vector<std::string> kCollectors{"sched", "host", "perf"};

void expect_message(const ConfigError& error) {
  expect(!error.message.empty() && is_one_line(error.message),
         "what is wrong is said in one line");
  expect(error.message.size() < 1000, "and a short one");
}

std::size_t depth_of(const YamlNode& node) {
  std::size_t deepest = 0;
  for (const auto& child : node.children)
    deepest = std::max(deepest, depth_of(child));
  return deepest + 1;
}

void expect_lines(const YamlNode& node, int last) {
  expect(node.line >= 1 && node.line <= last, "a line is one of the file's");
  for (const auto& child : node.children) expect_lines(child, last);
}

void look_yaml(std::string_view text) {
  const auto parsed = parse_yaml(text, "file.yml");
  if (const auto* error = std::get_if<ConfigError>(&parsed))
    return expect_message(*error);
  const auto& node = std::get<YamlNode>(parsed);
  expect(depth_of(node) <= kMaxYamlDepth + 1, "it is not deeper than it may");
  const auto lines = std::count(text.begin(), text.end(), '\n') +
                     (text.ends_with('\n') ? 0 : 1);
  expect_lines(node, std::max(1, static_cast<int>(lines)));
}

void look_config(std::string_view text) {
  const auto parsed = parse_config(text, "file.yml", {}, kCollectors);
  if (const auto* error = std::get_if<ConfigError>(&parsed))
    return expect_message(*error);
  const auto& config = std::get<Config>(parsed);
  expect(!config.listen_addresses.empty(), "it listens somewhere");
  expect(config.telemetry_path.starts_with('/') && config.telemetry_path != "/",
         "the metrics have a path of their own");
  expect(config.max_series >= 1 && config.max_requests >= 0, "within bounds");
  for (const auto& [name, enabled] : config.collectors)
    expect(std::find(kCollectors.begin(), kCollectors.end(), name) !=
               kCollectors.end(),
           "a collector exists");
}

void look_web_config(std::string_view text) {
  const auto parsed = parse_web_config(text, "web.yml");
  if (const auto* error = std::get_if<ConfigError>(&parsed))
    return expect_message(*error);
  for (const auto& [name, value] : std::get<WebConfig>(parsed).headers) {
    expect(!name.empty() && is_one_line(name) && is_one_line(value),
           "a header is one line");
    expect(name.find_first_of(": \t") == std::string::npos,
           "its name ends before the colon");
  }
}

// Certificates and keys, in one text.
void look_pem(std::string_view text) {
  const std::string pem(text);
  TlsConfig config;
  config.cert = {"cert", "", pem, 1};
  config.key = {"key", "", pem, 2};
  config.client_ca = {"client_ca", "", pem, 3};
  config.client_auth = ClientAuth::kRequireAndVerify;
  const auto loaded = load_tls(config, "web.yml");
  if (const auto* error = std::get_if<ConfigError>(&loaded))
    return expect_message(*error);
  expect(std::get<LoadedTls>(loaded).context != nullptr, "there is a context");
  for (const auto& warning : std::get<LoadedTls>(loaded).warnings)
    expect(is_one_line(warning), "a warning is one line");
}

// The file that has the key for names.
void look_name_key(std::string_view text) {
  static const int file = ::memfd_create("key", MFD_CLOEXEC);
  expect(::ftruncate(file, 0) == 0 && ::fchmod(file, S_IRUSR) == 0 &&
             ::pwrite(file, text.data(), text.size(), 0) ==
                 static_cast<ssize_t>(text.size()),
         "the file is written");
  const auto loaded = load_name_hash("/proc/self/fd/" + std::to_string(file));
  if (const auto* error = std::get_if<ConfigError>(&loaded))
    return expect_message(*error);
  const std::string shown = std::get<ShownName>(loaded)("name");
  expect(shown.size() == 16 &&
             shown.find_first_not_of("0123456789abcdef") == std::string::npos,
         "a name is shown as a hash");
}

constexpr std::array kLooks{
    Look{"yaml", look_yaml},
    Look{"config", look_config},
    Look{"web_config", look_web_config},
    Look{"pem", look_pem},
    Look{"name_key", look_name_key},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz

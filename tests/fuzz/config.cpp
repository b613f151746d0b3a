// SPDX-License-Identifier: Apache-2.0
//
// What an operator writes into files: the configuration, the web configuration.
// Whatever it is, the answer is a setting or one line that says what is wrong.
#include "exporter/config.h"

#include <algorithm>
#include <array>
#include <variant>
#include <vector>

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

constexpr std::array kLooks{
    Look{"yaml", look_yaml},
    Look{"config", look_config},
    Look{"web_config", look_web_config},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz

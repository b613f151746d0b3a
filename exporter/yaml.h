// SPDX-License-Identifier: Apache-2.0
//
// The part of YAML that our files need, as plain values with their lines.
//
// Everything that makes a file mean more than it shows is refused: anchors,
// aliases, tags, duplicate keys, several documents, control characters. So is
// what only costs: files over kMaxConfigBytes, nesting beyond kMaxYamlDepth.
// Nothing here throws; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "exporter/config.h"

namespace vcpu {

inline constexpr std::size_t kMaxYamlDepth = 16;

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMapping };

  Kind kind = Kind::kNull;
  int line = 1;         // Of its key where it has one, else its own; from 1.
  std::string key;      // Where the parent is a mapping.
  std::string text;     // Of a scalar.
  bool quoted = false;  // The scalar stood in quotes, or was a block.
  std::vector<YamlNode> children;
};

// The one document in `text`; an empty text is a null node. `file` is for
// messages only.
std::variant<YamlNode, ConfigError> parse_yaml(std::string_view text,
                                               const std::string& file);

// The contents of a regular file of at most kMaxConfigBytes.
std::variant<std::string, ConfigError> read_config_file(
    const std::string& file);

// "FILE:LINE: what".
ConfigError config_error(const std::string& file, int line,
                         const std::string& what);

// "a mapping", "a list" ...: what stands there, for a message.
std::string_view kind_name(const YamlNode& node);

}  // namespace vcpu

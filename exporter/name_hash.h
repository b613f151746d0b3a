// SPDX-License-Identifier: Apache-2.0
//
// Names of tenants as keyed hashes: the first 16 hexadecimal digits of
// HMAC-SHA256 (RFC 2104) of the name, the key from a file that only the
// operators have. The same key gives the same hashes on every host and after
// every restart, so that series can be joined; without it nobody can tell, or
// try out, which name is meant.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "collectors/base/shown_name.h"
#include "exporter/config.h"

namespace vcpu {

inline constexpr std::size_t kLeastKeyBytes = 16;

// Pure, thread-safe.
std::string hash_of_name(std::string_view key, std::string_view name);

// The key is the file's text up to the end of its line. Null where `file` is
// empty: names are shown. An error where it cannot be read, or is short enough
// to be guessed. Logs a warning where every user of the machine can read it.
std::variant<ShownName, ConfigError> load_name_hash(const std::string& file);

}  // namespace vcpu

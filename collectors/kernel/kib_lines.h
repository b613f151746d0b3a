// SPDX-License-Identifier: Apache-2.0
//
// Lines of an amount of memory, as /proc/meminfo and /proc/PID/status have
// them. The kernel's "kB" are 1024 bytes.
//
//   MemTotal:       32798144 kB
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace vcpu {

struct KibLine {
  std::string_view key;                 // With its colon.
  std::optional<std::uint64_t>* bytes;  // Stays empty where there is no line.
};

// False where a wanted line holds no such amount.
bool read_kib_lines(std::string_view text,
                    std::initializer_list<KibLine> wanted);

}  // namespace vcpu

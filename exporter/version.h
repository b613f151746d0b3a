// SPDX-License-Identifier: Apache-2.0
//
// Who we are, as the build says. Constant; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace vcpu {

inline constexpr std::string_view kProgramName = "vcpu_exporter";
inline constexpr std::string_view kDescription =
    "Prometheus exporter for the scheduling health of virtual CPUs.";

std::string_view version();   // "0.1.0"
std::string_view revision();  // Of the source, "unknown" outside a repository.
std::string_view compiler();  // "g++ 12.2.0"
std::string_view platform();  // "linux/x86_64"

// For --version, as Prometheus prints it; ends in a newline.
std::string version_text();

}  // namespace vcpu

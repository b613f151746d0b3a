// SPDX-License-Identifier: Apache-2.0
//
// The two texts we speak.
#pragma once

#include <cstdint>

namespace vcpu {

enum class TextFormat : std::uint8_t {
  kPrometheus,   // text/plain; version=0.0.4
  kOpenMetrics,  // application/openmetrics-text; version=1.0.0
};

constexpr const char* content_type(TextFormat format) {
  return format == TextFormat::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

}  // namespace vcpu

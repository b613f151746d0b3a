// SPDX-License-Identifier: Apache-2.0
//
// A reader of pages that forgives nothing, written after the formats'
// documentation and not after our own writer:
// https://prometheus.io/docs/instrumenting/exposition_formats/ and
// https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "exporter/exposition/format.h"

namespace vcpu::fuzz {

struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;  // Unescaped.
  double value = 0;
};

// In the order of the page. expect() fails where the page is broken: by its
// grammar, by a series that is there twice or a family that comes in pieces.
std::vector<Sample> read_page(std::string_view page, TextFormat format);

}  // namespace vcpu::fuzz

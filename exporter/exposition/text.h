// SPDX-License-Identifier: Apache-2.0
//
// Families -> the text a scraper reads. Pure.
//
// https://prometheus.io/docs/instrumenting/exposition_formats/ and
// https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md
#pragma once

#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "exporter/exposition/format.h"

namespace vcpu {

// A family without samples is left out: absent is not zero. The bounds of a
// histogram's buckets are written as each format wants: le="1", le="1.0".
std::string render(const std::vector<const Family*>& families,
                   TextFormat format);

// The shortest text that reads back as the same number, whole numbers without
// an exponent; NaN, +Inf, -Inf.
void append_number(std::string& text, double value);

}  // namespace vcpu

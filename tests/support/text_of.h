// SPDX-License-Identifier: Apache-2.0
//
// What a collector said, as the text it becomes: what a test compares with.
#pragma once

#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "exporter/exposition/text.h"

namespace vcpu {

// The samples of all families, one line each, without HELP and TYPE.
inline std::vector<std::string> samples_of(const Families& families) {
  std::vector<std::string> lines;
  for (const Family& family : families.families()) {
    for (std::size_t i = 0; i < family.size(); ++i) {
      const auto [labels, value] = family.sample(i);
      std::string line = family.name();
      if (!labels.empty()) line += "{" + std::string(labels) + "}";
      line += ' ';
      append_number(line, value);
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

// Why a source is missing: empty where it is there, "-" where it is not spoken
// of at all.
inline std::string reason_of(const Families& families,
                             const std::string& source) {
  for (const auto& [name, reason] : families.sources())
    if (name == source) return reason;
  return "-";
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// What a collector said, as the text it becomes: what a test compares with.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "collectors/base/families.h"
#include "exporter/exposition/text.h"

namespace vcpu {

inline std::string text_of(const Families& families, TextFormat format) {
  std::vector<const Family*> all;
  for (const Family& family : families.families()) all.push_back(&family);
  return render(all, format);
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The samples of all families, one line each, without HELP and TYPE.
inline std::vector<std::string> samples_of(const Families& families) {
  auto lines = lines_of(text_of(families, TextFormat::kPrometheus));
  std::erase_if(lines, [](const auto& line) { return line[0] == '#'; });
  return lines;
}

// The same by series.
inline std::map<std::string, double> values_of(const Families& families) {
  std::map<std::string, double> values;
  for (const auto& sample : samples_of(families)) {
    const auto space = sample.rfind(' ');
    values[sample.substr(0, space)] = std::stod(sample.substr(space + 1));
  }
  return values;
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

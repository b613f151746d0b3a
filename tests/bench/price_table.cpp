// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/price_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <functional>

namespace vcpu {
namespace {

using Cells = std::array<std::string, 6>;

std::string whole(double value) { return std::to_string(std::lround(value)); }

std::string hundredths(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

Quartiles compared(const PriceRow& row,
                   const std::function<double(double, double)>& compare) {
  std::vector<double> values(row.ns.size());
  std::transform(row.ns.begin(), row.ns.end(), row.ns_without.begin(),
                 values.begin(), compare);
  return quartiles(std::move(values));
}

Cells cells(const PriceRow& row) {
  Cells said{row.tasks, row.program, whole(quartiles(row.ns).median)};
  if (row.ns_without.empty()) return said;
  const Quartiles added = compared(row, std::minus<>());
  said[3] = whole(added.median);
  said[4] = whole(added.lower) + " to " + whole(added.upper);
  said[5] = hundredths(compared(row, std::divides<>()).median);
  return said;
}

}  // namespace

Quartiles quartiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t last = values.size() - 1;
  return {values[last / 4], values[last / 2], values[last - last / 4]};
}

std::string price_table(const std::vector<PriceRow>& rows, bool markdown) {
  std::vector<Cells> lines{
      {"tasks", "program", "ns per switch", "added", "quartiles", "ratio"}};
  for (const PriceRow& row : rows) lines.push_back(cells(row));
  if (markdown) {
    Cells rule;
    rule.fill("---");
    lines.insert(lines.begin() + 1, rule);
  }
  std::string text;
  for (const Cells& line : lines) {
    std::string said = markdown ? "|" : "";
    for (std::size_t i = 0; i < line.size(); ++i) {
      std::size_t width = 0;
      for (const Cells& other : lines) width = std::max(width, other[i].size());
      if (markdown)
        said += ' ' + line[i] + " |";
      else
        said += line[i] + std::string(width + 2 - line[i].size(), ' ');
    }
    text += said.substr(0, said.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

}  // namespace vcpu

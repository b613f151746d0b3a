// SPDX-License-Identifier: Apache-2.0
//
// Figures of a measurement that was repeated, and the table that tells them:
// for people, or as Markdown. No I/O.
#pragma once

#include <string>
#include <vector>

namespace vcpu {

struct Quartiles {
  double lower = 0;
  double median = 0;
  double upper = 0;
};

Quartiles quartiles(std::vector<double> values);  // At least one.

// One row of the table, by round: nanoseconds per context switch.
struct PriceRow {
  std::string tasks;
  std::string program;
  std::vector<double> ns;
  std::vector<double> ns_without;  // Of the same rounds; empty: this is it.
};

// What a row adds is the median of the rounds' own differences.
std::string price_table(const std::vector<PriceRow>& rows, bool markdown);

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/osrelease.h"

#include <optional>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

std::optional<int> take_number(std::string_view& text) {
  const auto digits = text.substr(0, text.find_first_not_of("0123456789"));
  text.remove_prefix(digits.size());
  return parse_number<int>(digits);
}

}  // namespace

Result<Osrelease> parse_osrelease(std::string_view text) {
  const auto major = take_number(text);
  if (!major || !text.starts_with('.')) return malformed("osrelease");
  text.remove_prefix(1);
  const auto minor = take_number(text);
  if (!minor) return malformed("osrelease");
  return Osrelease{*major, *minor};
}

}  // namespace vcpu

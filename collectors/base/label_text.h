// SPDX-License-Identifier: Apache-2.0
//
// Makes any string from outside (VM names above all) fit to be a label value.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vcpu {

inline constexpr std::size_t kMaxLabelBytes = 256;

// Valid UTF-8 without control characters: every byte that is not part of a
// valid sequence becomes U+FFFD, control characters (see utf8.h) go. A text
// longer than kMaxLabelBytes is cut at a character and ends in "~" and eight
// hexadecimal digits of its hash, so that two long names stay two.
std::string label_text(std::string_view text);

}  // namespace vcpu

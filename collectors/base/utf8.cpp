// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/utf8.h"

namespace vcpu {
namespace {

constexpr Utf8Char kInvalid{U'\uFFFD', 1, false};

std::size_t sequence_bytes(unsigned char lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool is_scalar_value(char32_t code, std::size_t bytes) {
  if (bytes == 3 && code < 0x800) return false;
  if (bytes == 4 && code < 0x10000) return false;
  return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

}  // namespace

Utf8Char first_utf8(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = sequence_bytes(lead);
  if (bytes == 0 || text.size() < bytes) return kInvalid;
  char32_t code = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80) return kInvalid;
    code = (code << 6U) | (next & 0x3FU);
  }
  if (!is_scalar_value(code, bytes)) return kInvalid;
  return {code, bytes, true};
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 ||
         code == 0x2029;
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/wire.h"

namespace vcpu {
namespace {

constexpr std::size_t kUuidBytes = 36;
constexpr std::uint32_t kAnyNumber = 0xffffffff;

}  // namespace

bool is_canonical_uuid(std::string_view text) {
  if (text.size() != kUuidBytes) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = (text[i] >= '0' && text[i] <= '9') ||
                       (text[i] >= 'a' && text[i] <= 'f');
    if (dash ? text[i] != '-' : !digit) return false;
  }
  return true;
}

void put_byte(std::string& out, std::size_t value) {
  out.push_back(static_cast<char>(static_cast<unsigned char>(value)));
}

void put_u32(std::string& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    put_byte(out, (value >> shift) & 0xffU);
  }
}

void put_u64(std::string& out, std::uint64_t value) {
  put_u32(out, static_cast<std::uint32_t>(value));
  put_u32(out, static_cast<std::uint32_t>(value >> 32U));
}

void put_text(std::string& out, std::string_view text) {
  const auto kept = text.substr(0, kMaxFrameText);
  put_u32(out, static_cast<std::uint32_t>(kept.size()));
  out.append(kept);
}

std::string framed(std::string_view magic, std::string_view body) {
  std::string out(magic);
  put_u32(out, static_cast<std::uint32_t>(body.size()));
  return out.append(body);
}

std::uint32_t WireReader::byte(std::uint32_t most) {
  const auto taken = bytes(1);
  return taken.empty()
             ? 0
             : at_most(static_cast<unsigned char>(taken.front()), most);
}

std::uint32_t WireReader::number(std::uint32_t most) {
  std::uint32_t value = 0;
  unsigned shift = 0;
  for (const char c : bytes(sizeof(value))) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(c)) << shift;
    shift += 8;
  }
  return at_most(value, most);
}

std::uint64_t WireReader::long_number() {
  const std::uint64_t low = number(kAnyNumber);
  const std::uint64_t high = number(kAnyNumber);
  return low | high << 32U;
}

std::string_view WireReader::bytes(std::size_t count) {
  if (failed_ || count > rest_.size()) {
    failed_ = true;
    return {};
  }
  const auto taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

std::uint32_t WireReader::at_most(std::uint32_t value, std::uint32_t most) {
  if (value > most) failed_ = true;
  return failed_ ? 0 : value;
}

Result<std::vector<std::string>> Unframer::feed(std::string_view bytes) {
  const std::size_t header_bytes = magic_.size() + sizeof(std::uint32_t);
  pending_.append(bytes);
  std::vector<std::string> bodies;
  std::string_view rest = pending_;
  while (rest.size() >= header_bytes) {
    if (!rest.starts_with(magic_)) return malformed("libvirt frame header");
    const std::size_t length =
        WireReader(rest.substr(magic_.size())).number(kAnyNumber);
    if (length > kMaxFrameBytes) return malformed("libvirt frame length");
    if (rest.size() - header_bytes < length) break;
    bodies.emplace_back(rest.substr(header_bytes, length));
    rest.remove_prefix(header_bytes + length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return bodies;
}

}  // namespace vcpu

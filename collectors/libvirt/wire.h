// SPDX-License-Identifier: Apache-2.0
//
// The grammar that our children's frames have in common (protocol.h,
// monitor_protocol.h): a magic of 4 bytes, the length of the body, the body.
// Numbers are little-endian, a text is its length followed by its bytes.
//
// Pure. What reads trusts nothing: whatever the bytes, the outcome is bodies or
// an Error, and memory stays below kMaxFrameBytes plus the chunk fed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

inline constexpr std::size_t kMaxFrameBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxFrameText = std::size_t{64} << 10;

bool is_canonical_uuid(std::string_view text);  // 36 characters, lower case.

void put_byte(std::string& out, std::size_t value);
void put_u32(std::string& out, std::uint32_t value);
void put_u64(std::string& out, std::uint64_t value);
void put_text(std::string& out, std::string_view text);  // Cut at the limit.

// Puts the number of items, at most `most`, and the items as `encode` makes
// texts of them, those that make an empty one left out. Ends before the item
// with which `body` would be longer than a frame's may be.
template <typename Item, typename Encode>
void put_list(std::string& body, const std::vector<Item>& items,
              std::uint32_t most, Encode encode) {
  std::string list;
  std::uint32_t count = 0;
  for (const Item& item : items) {
    const std::string encoded = encode(item);
    if (encoded.empty()) continue;
    const auto bytes =
        body.size() + sizeof(count) + list.size() + encoded.size();
    if (count == most || bytes > kMaxFrameBytes) break;
    list += encoded;
    ++count;
  }
  put_u32(body, count);
  body += list;
}

std::string framed(std::string_view magic, std::string_view body);

// Takes values off the front of a body. Once something is missing or out of
// range it has failed for good, and only gives zeros and empty texts.
class WireReader {
 public:
  explicit WireReader(std::string_view body) : rest_(body) {}

  bool failed() const { return failed_; }
  bool finished() const { return !failed_ && rest_.empty(); }
  void fail() { failed_ = true; }

  std::uint32_t byte(std::uint32_t most);
  std::uint32_t number(std::uint32_t most);
  std::uint64_t long_number();
  std::string_view text() { return bytes(number(kMaxFrameText)); }

 private:
  std::string_view bytes(std::size_t count);
  std::uint32_t at_most(std::uint32_t value, std::uint32_t most);

  std::string_view rest_;
  bool failed_ = false;
};

// Bytes in, as they come; whole bodies out. Not thread-safe.
class Unframer {
 public:
  explicit Unframer(std::string_view magic) : magic_(magic) {}

  // The bodies that `bytes` completes, oldest first. After an Error (bytes that
  // cannot begin a frame) it is of no more use.
  Result<std::vector<std::string>> feed(std::string_view bytes);

 private:
  std::string magic_;
  std::string pending_;
};

// The frames that `bytes` completes, of bodies that `decode` makes them of.
// After an Error, also one of decode's, `bodies` is of no more use.
template <typename Frame>
Result<std::vector<Frame>> decode_frames(
    Unframer& bodies, std::string_view bytes,
    Result<Frame> (*decode)(std::string_view body)) {
  const auto whole = bodies.feed(bytes);
  if (!whole) return whole.error();
  std::vector<Frame> frames;
  for (const std::string& body : *whole) {
    auto frame = decode(body);
    if (!frame) return frame.error();
    frames.push_back(*std::move(frame));
  }
  return frames;
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// TextStore: many short texts that live as long as it does, and never move.
//
// A page of a large host has a hundred thousand of them: one allocation each,
// or one string that is copied whenever it grows, would cost more than all the
// rest. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace vcpu {

class TextStore {
 public:
  explicit TextStore(std::size_t block = kBlock) : block_(block) {}

  // A copy of the parts, joined. Good until the store ends, or is moved from.
  template <typename... Part>
  std::string_view add(const Part&... parts) {
    const std::size_t size = (std::size_t{0} + ... + parts.size());
    char* const text = room_for(size);
    char* end = text;
    ((end = std::copy(parts.begin(), parts.end(), end)), ...);
    return {text, size};
  }

 private:
  static constexpr std::size_t kBlock = std::size_t{16} << 10;

  char* room_for(std::size_t size) {
    if (size > left_) {
      left_ = std::max(size, block_);
      // NOLINTNEXTLINE(modernize-avoid-c-arrays)
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
      next_ = blocks_.back().get();
    }
    left_ -= size;
    return std::exchange(next_, next_ + size);
  }

  std::size_t block_;
  // NOLINTNEXTLINE(modernize-avoid-c-arrays): of any size, not set to zero.
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;  // Where the next text goes,
  std::size_t left_ = 0;  // and how long it may be.
};

}  // namespace vcpu

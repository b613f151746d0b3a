// SPDX-License-Identifier: Apache-2.0
//
// FlatMap: a map of few entries, sorted, in one piece of memory.
//
// For what is walked over and looked up at every scrape and seldom gets a new
// entry: a VM's vCPUs and threads. References are good until the next insertion
// or removal. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace vcpu {

template <typename Key, typename Value>
class FlatMap {
 public:
  using value_type = std::pair<Key, Value>;  // NOLINT: as containers' are.
  using const_iterator =                     // NOLINT
      typename std::vector<value_type>::const_iterator;

  // Null: there is none.
  Value* find(const Key& key) {
    const auto at = place_of(key);
    return at != entries_.end() && at->first == key ? &at->second : nullptr;
  }
  const Value* find(const Key& key) const {
    return const_cast<FlatMap*>(this)->find(key);
  }

  // The first entry with this key or a higher one.
  auto lower_bound(const Key& key) { return place_of(key); }

  // The key's value, a new one where there is none; and whether it is new.
  std::pair<Value&, bool> insert(const Key& key) {
    const auto at = place_of(key);
    if (at != entries_.end() && at->first == key) return {at->second, false};
    return {entries_.emplace(at, key, Value())->second, true};
  }
  Value& operator[](const Key& key) { return insert(key).first; }

  template <typename Ended>
  void erase_if(const Ended& ended) {
    std::erase_if(entries_, ended);
  }
  void clear() { entries_.clear(); }

  std::size_t size() const { return entries_.size(); }
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }

 private:
  auto place_of(const Key& key) {
    return std::partition_point(
        entries_.begin(), entries_.end(),
        [&](const value_type& entry) { return entry.first < key; });
  }
  std::vector<value_type> entries_;
};

}  // namespace vcpu

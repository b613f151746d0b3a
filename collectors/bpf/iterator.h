// SPDX-License-Identifier: Apache-2.0
//
// IteratorPass: what an eBPF iterator writes in one pass over the kernel's
// tasks, record by record (records.h).
//
// The link is opened with rights; reading it needs none since Linux 5.19, and
// CAP_BPF before. Never waits. Source: Documentation/bpf/bpf_iterators.rst.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/bpf/records.h"

namespace vcpu {

class IteratorPass {
 public:
  // All that the program writes, instead of what was here; of a pass that fails
  // nothing is left.
  Result<void> read(int link_fd);

  // The same, of these bytes.
  void set(std::string_view bytes);

  // False: after the last of the records comes what makes no sense.
  bool whole() const { return parsed_ == size_; }

  // Calls take(head, bytes) for each record of that kind, head included in the
  // bytes. They lie here until the next read(); megabytes of many tasks, which
  // have left the caches, so that who wants few of them looks at the heads.
  template <typename Take>
  void each(record_kind kind, const Take& take) const {
    for (const Place& one : places_)
      if (one.head.kind == kind)
        take(one.head,
             std::string_view(buffer_.data() + one.at, one.head.bytes));
  }

 private:
  struct Place {
    record_head head;
    std::size_t at;
  };
  void begin();
  char* room(std::size_t bytes);
  void grow(std::size_t bytes);  // And takes the records that are whole now.

  std::vector<char> buffer_;  // Grows as needed, and stays so.
  std::size_t size_ = 0;
  std::size_t parsed_ = 0;
  std::vector<Place> places_;
};

}  // namespace vcpu

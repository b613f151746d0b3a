// SPDX-License-Identifier: Apache-2.0
//
// ToldPids: the set of pids that an eBPF program is to look at, in memory that
// the kernel's side reads (told_pids.bpf.h). Setting it needs no right and no
// system call. One thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectors/base/result.h"

struct bpf_map;  // libbpf's.

namespace vcpu {

class ToldPids {
 public:
  // Of the program's map `told_pids`.
  static Result<ToldPids> open(const bpf_map* map);

  ~ToldPids();
  ToldPids(ToldPids&& other) noexcept;
  ToldPids& operator=(ToldPids&&) = delete;

  // These and no others. Whether there is one that was not told before.
  bool set(const std::vector<pid_t>& pids);

  bool contains(pid_t pid) const;

 private:
  ToldPids(volatile std::uint64_t* bits, std::size_t words)
      : bits_(bits), words_(words) {}
  void put(pid_t pid, bool told);

  volatile std::uint64_t* bits_;
  std::size_t words_;
  std::vector<pid_t> pids_;
};

}  // namespace vcpu

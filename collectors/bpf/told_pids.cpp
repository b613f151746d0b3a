// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/told_pids.h"

#ifdef VCPU_HAVE_BPF

#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vcpu {
namespace {

constexpr std::size_t kBitsPerWord = 64;

std::size_t word_of(pid_t pid) {
  return static_cast<std::size_t>(pid) / kBitsPerWord;
}

std::uint64_t bit_of(pid_t pid) {
  return std::uint64_t{1} << (static_cast<std::size_t>(pid) % kBitsPerWord);
}

}  // namespace

Result<ToldPids> ToldPids::open(const bpf_map* map) {
  const std::size_t words = bpf_map__max_entries(map);
  void* const bits =
      ::mmap(nullptr, words * sizeof(std::uint64_t), PROT_READ | PROT_WRITE,
             MAP_SHARED, bpf_map__fd(map), 0);
  if (bits == MAP_FAILED) {
    return Error{std::error_code(errno, std::generic_category()),
                 "an eBPF map cannot be mapped"};
  }
  return ToldPids(static_cast<std::uint64_t*>(bits), words);
}

ToldPids::~ToldPids() {
  if (bits_ != nullptr)
    ::munmap(const_cast<std::uint64_t*>(bits_), words_ * sizeof(std::uint64_t));
}

ToldPids::ToldPids(ToldPids&& other) noexcept
    : bits_(std::exchange(other.bits_, nullptr)),
      words_(other.words_),
      pids_(std::move(other.pids_)) {}

bool ToldPids::set(const std::vector<pid_t>& pids) {
  if (pids == pids_) return false;
  const bool news = !std::all_of(pids.begin(), pids.end(),
                                 [this](pid_t pid) { return contains(pid); });
  // Who stays told is told all the while.
  for (const pid_t pid : pids) put(pid, true);
  const auto before = std::exchange(pids_, pids);
  auto sorted = pids;
  std::sort(sorted.begin(), sorted.end());
  for (const pid_t pid : before)
    if (!std::binary_search(sorted.begin(), sorted.end(), pid)) put(pid, false);
  return news;
}

bool ToldPids::contains(pid_t pid) const {
  return pid >= 0 && word_of(pid) < words_ &&
         (bits_[word_of(pid)] & bit_of(pid)) != 0;
}

void ToldPids::put(pid_t pid, bool told) {
  if (pid < 0 || word_of(pid) >= words_) return;
  const std::uint64_t word = bits_[word_of(pid)];
  bits_[word_of(pid)] = told ? word | bit_of(pid) : word & ~bit_of(pid);
}

}  // namespace vcpu

#endif

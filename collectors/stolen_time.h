// SPDX-License-Identifier: Apache-2.0
//
// StolenTime: from the accounts that the kernel keeps for each vCPU thread
// (collectors/runqueue.h) to figures of VMs that never decrease. Pure.
//
// A culprit gets a place of its own, for as long as the victim lives, once it
// has taken kShare of what the victim waited in one pass, and kLeastNs of time.
// There are kPlaces per victim, of which programs of the host have half at
// most: whoever may start one may give it any number of names. Who has none is
// counted as kOther of its kind, and so is who bears that name. So the sum over
// a victim's culprits is what its vCPUs waited, always.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "collectors/base/flat_map.h"
#include "collectors/runqueue.h"

namespace vcpu {

class StolenTime {
 public:
  static constexpr std::size_t kPlaces = 32;
  static constexpr std::size_t kHostPlaces = kPlaces / 2;
  static constexpr double kShare = 0.01;
  static constexpr std::uint64_t kLeastNs = 1'000'000;
  static constexpr const char* kOther = "other";

  // A VM that is missing for so many passes has ended, and so has a thread, as
  // a rule: one that is back after all goes on where it was, so long as no more
  // than kMissingKept have ended.
  static constexpr std::uint64_t kPassesMissed = 10;
  static constexpr std::ptrdiff_t kMissingKept = 64;

  struct Culprit {
    culprit_kind kind = CULPRIT_UNKNOWN;
    std::string name;
    bool operator==(const Culprit& other) const {
      return kind == other.kind && name == other.name;
    }
    bool operator<(const Culprit& other) const {
      return std::tie(kind, name) < std::tie(other.kind, other.name);
    }
  };
  struct Waits {
    std::array<std::uint64_t, WAIT_BUCKETS> counts{};
    std::uint64_t ns = 0;

    Waits& operator+=(const Waits& more);
  };
  // The upper bounds of Waits::counts but for the last, in seconds.
  static std::vector<double> bounds();
  // A VM's process -> its domain label.
  using Domains = std::map<pid_t, std::string>;

  // What one vCPU's thread has waited since it was looked at last.
  void add(int vcpu, const account_record& record, const Domains& domains);

  // A thread that has waited for nothing since. Who is neither added nor told
  // here for kPassesMissed passes has ended.
  void lives(pid_t tid);

  // Ends a pass: gives places, forgets threads that have ended long since.
  void finish_pass();

  const FlatMap<int, Waits>& waits() const { return waits_; }
  const Waits& waits_of_all() const { return all_waits_; }
  const std::map<Culprit, std::uint64_t>& named() const { return named_; }
  std::uint64_t unnamed(culprit_kind kind) const { return unnamed_[kind]; }
  // Of how many threads there is a record, ended ones included.
  std::size_t remembered() const { return threads_.size(); }

 private:
  using ThreadId = std::pair<pid_t, std::uint64_t>;
  struct Seen {  // An account, as it was last.
    std::uint64_t waited = 0;
    std::uint64_t charged = 0;
    std::array<std::uint64_t, WAIT_BUCKETS> waits{};
    std::array<std::uint64_t, CULPRIT_KINDS> by_kind{};
    std::vector<named_culprit> culprits;
    std::uint64_t pass = 0;
  };
  void add_waits(int vcpu, const account& now, Seen& last);
  void add_culprits(const account& now, Seen& last, const Domains& domains);
  bool has_place_for(culprit_kind kind) const;
  void forget_ended();

  FlatMap<ThreadId, Seen> threads_;
  FlatMap<int, Waits> waits_;
  Waits all_waits_;
  std::map<Culprit, std::uint64_t> named_;
  std::array<std::uint64_t, CULPRIT_KINDS> unnamed_{};
  std::map<Culprit, std::uint64_t> growth_;  // Of this pass.
  std::uint64_t grown_ns_ = 0;
  std::uint64_t pass_ = 0;
};

}  // namespace vcpu

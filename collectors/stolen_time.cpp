// SPDX-License-Identifier: Apache-2.0
#include "collectors/stolen_time.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string_view>

#include "collectors/base/families.h"
#include "collectors/base/label_text.h"

namespace vcpu {
namespace {

std::span<const named_culprit> named_of(const account& account) {
  return {account.culprits,
          std::min<std::size_t>(account.named, NAMED_CULPRITS)};
}

bool same(const occupant& a, const occupant& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Whoever keeps its place is where it was.
const named_culprit* find(std::span<const named_culprit> culprits,
                          const occupant& who, std::size_t place) {
  if (place < culprits.size() && same(culprits[place].who, who))
    return &culprits[place];
  for (const named_culprit& one : culprits)
    if (same(one.who, who)) return &one;
  return nullptr;
}

StolenTime::Culprit culprit_of(const occupant& who,
                               const StolenTime::Domains& domains) {
  const auto kind = static_cast<culprit_kind>(who.kind);
  if (kind != CULPRIT_HOST) {
    const auto vm = domains.find(static_cast<pid_t>(who.tgid));
    if (vm != domains.end()) return {kind, vm->second};
  }
  // One that calls its threads vCPUs and is no VM is a program like others.
  const std::string_view name(who.name, TASK_NAME_LENGTH);
  return {CULPRIT_HOST, label_text(name.substr(0, name.find('\0')))};
}

}  // namespace

StolenTime::Waits& StolenTime::Waits::operator+=(const Waits& more) {
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += more.counts[i];
  ns += more.ns;
  return *this;
}

std::vector<double> StolenTime::bounds() {
  std::vector<double> seconds;
  for (int log = WAIT_FIRST_BOUND_LOG2;
       log < WAIT_FIRST_BOUND_LOG2 + WAIT_BUCKETS - 1; ++log)
    seconds.push_back(std::ldexp(1.0, log) / kNsPerSecond);
  return seconds;
}

void StolenTime::add(int vcpu, const account_record& record,
                     const Domains& domains) {
  Seen& seen = threads_[{static_cast<pid_t>(record.head.tid), record.start_ns}];
  // One that was closed meanwhile, as nobody told it for long, begins anew.
  if (record.account.waited < seen.waited ||
      record.account.charged < seen.charged)
    seen = {};
  seen.pass = pass_;
  add_waits(vcpu, record.account, seen);
  // Most vCPUs of a host have waited for nobody since the last pass.
  if (record.account.charged != seen.charged)
    add_culprits(record.account, seen, domains);
}

void StolenTime::lives(pid_t tid) {
  for (auto one = threads_.lower_bound({tid, 0});
       one != threads_.end() && one->first.first == tid; ++one)
    one->second.pass = pass_;
}

void StolenTime::add_waits(int vcpu, const account& now, Seen& last) {
  Waits& waits = waits_[vcpu];
  if (now.waited == last.waited) return;
  Waits more;
  for (std::size_t i = 0; i < WAIT_BUCKETS; ++i)
    more.counts[i] = now.waits[i] - last.waits[i];
  more.ns = now.waited - last.waited;
  waits += more;
  all_waits_ += more;
  last.waited = now.waited;
  std::copy_n(now.waits, WAIT_BUCKETS, last.waits.begin());
}

void StolenTime::add_culprits(const account& now, Seen& last,
                              const Domains& domains) {
  const auto named = named_of(now);
  grown_ns_ += now.charged - last.charged;
  // What a culprit had when it lost its place is in by_kind now, and has been
  // counted before under its name.
  std::array<std::uint64_t, CULPRIT_KINDS> counted{};
  for (std::size_t i = 0; i < last.culprits.size(); ++i) {
    const named_culprit& one = last.culprits[i];
    const named_culprit* const still = find(named, one.who, i);
    if (still == nullptr || still->ns < one.ns) counted[one.who.kind] += one.ns;
  }
  for (std::size_t i = 0; i < named.size(); ++i) {
    const named_culprit& one = named[i];
    const named_culprit* const before = find(last.culprits, one.who, i);
    const bool kept = before != nullptr && before->ns <= one.ns;
    const std::uint64_t more = one.ns - (kept ? before->ns : 0);
    if (more != 0) growth_[culprit_of(one.who, domains)] += more;
  }
  for (std::size_t kind = 0; kind < CULPRIT_KINDS; ++kind)
    unnamed_[kind] += now.by_kind[kind] - last.by_kind[kind] - counted[kind];
  last.charged = now.charged;
  std::copy_n(now.by_kind, CULPRIT_KINDS, last.by_kind.begin());
  last.culprits.assign(named.begin(), named.end());
}

bool StolenTime::has_place_for(culprit_kind kind) const {
  if (named_.size() >= kPlaces) return false;
  if (kind != CULPRIT_HOST) return true;
  const auto hosts = std::ranges::count_if(
      named_, [](const auto& one) { return one.first.kind == CULPRIT_HOST; });
  return static_cast<std::size_t>(hosts) < kHostPlaces;
}

void StolenTime::forget_ended() {
  const auto ended = [&](const auto& one) {
    return pass_ - one.second.pass > kPassesMissed;
  };
  if (std::ranges::count_if(threads_, ended) > kMissingKept)
    threads_.erase_if(ended);
}

void StolenTime::finish_pass() {
  for (const auto& [culprit, ns] : growth_) {
    const auto place = named_.find(culprit);
    const bool earned =
        ns >= kLeastNs && culprit.name != kOther &&
        static_cast<double>(ns) >= kShare * static_cast<double>(grown_ns_);
    if (place != named_.end()) {
      place->second += ns;
    } else if (earned && has_place_for(culprit.kind)) {
      named_.emplace(culprit, ns);
    } else {
      unnamed_[culprit.kind] += ns;
    }
  }
  growth_.clear();
  grown_ns_ = 0;
  forget_ended();
  ++pass_;
}

}  // namespace vcpu

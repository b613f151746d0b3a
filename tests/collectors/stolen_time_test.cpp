// SPDX-License-Identifier: Apache-2.0
#include "collectors/stolen_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "collectors/base/families.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr std::uint64_t kMs = 1'000'000;

occupant vm(std::uint32_t pid) {
  occupant who{CULPRIT_DOMAIN, pid, {}};
  std::strcpy(who.name, "qemu");
  return who;
}

// A vCPU's thread, as the kernel would tell of it.
struct Kernel {
  account_record record{};

  Kernel() {
    record.head.tid = 71;
    record.start_ns = 5;
  }
  Kernel& charge(const occupant& who, std::uint64_t ns) {
    auto& account = record.account;
    account.waited += ns;
    account.charged += ns;
    for (std::uint32_t i = 0; i < account.named; ++i) {
      if (std::memcmp(&account.culprits[i].who, &who, sizeof who) != 0)
        continue;
      account.culprits[i].ns += ns;
      return *this;
    }
    account.culprits[account.named++] = {who, ns};
    return *this;
  }
  // The last one loses its place.
  Kernel& evict() {
    auto& account = record.account;
    const auto& last = account.culprits[--account.named];
    account.by_kind[last.who.kind] += last.ns;
    return *this;
  }
};

const StolenTime::Domains kDomains{{100, "noisy"}, {200, "other-vm"}};

void pass(StolenTime& time, int vcpu, const Kernel& kernel,
          const StolenTime::Domains& domains) {
  time.add(vcpu, kernel.record, domains);
  time.finish_pass();
}

std::uint64_t sum(const StolenTime& time) {
  std::uint64_t all = 0;
  for (int kind = 0; kind < CULPRIT_KINDS; ++kind)
    all += time.unnamed(static_cast<culprit_kind>(kind));
  for (const auto& [culprit, ns] : time.named()) all += ns;
  return all;
}

TEST(StolenTime, ACulpritEarnsAPlaceByTimeAndShare) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 500 * kMs).charge(vm(200), kMs);
  pass(time, 0, kernel, kDomains);
  EXPECT_THAT(time.named(),
              ElementsAre(Pair(StolenTime::Culprit{CULPRIT_DOMAIN, "noisy"},
                               500 * kMs)));
  EXPECT_EQ(time.unnamed(CULPRIT_DOMAIN), kMs);
}

TEST(StolenTime, ItKeepsItWhenItIsQuietOrGone) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 0, kernel, kDomains);
  kernel.charge(vm(200), 50 * kMs);
  pass(time, 0, kernel, {{200, "other-vm"}});
  EXPECT_EQ(time.named().at({CULPRIT_DOMAIN, "noisy"}), 50 * kMs);
  EXPECT_EQ(time.named().at({CULPRIT_DOMAIN, "other-vm"}), 50 * kMs);
}

TEST(StolenTime, APlaceLostInTheKernelLosesAndDoublesNothing) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 0, kernel, kDomains);
  kernel.charge(vm(100), 3 * kMs).evict();
  pass(time, 0, kernel, kDomains);
  EXPECT_EQ(time.unnamed(CULPRIT_DOMAIN), 3 * kMs);
  EXPECT_EQ(sum(time), 53 * kMs);
  // Back with less than before.
  kernel.charge(vm(100), 4 * kMs);
  pass(time, 0, kernel, kDomains);
  EXPECT_EQ(sum(time), 57 * kMs);
  // Lost and back between two passes.
  kernel.evict().charge(vm(100), 2 * kMs);
  pass(time, 0, kernel, kDomains);
  EXPECT_EQ(time.named().at({CULPRIT_DOMAIN, "noisy"}), 56 * kMs);
  EXPECT_EQ(sum(time), 59 * kMs);
}

TEST(StolenTime, AThreadThatWasMissingForAPassIsNotCountedTwice) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 0, kernel, kDomains);
  time.finish_pass();
  kernel.charge(vm(100), 3 * kMs);
  pass(time, 0, kernel, kDomains);
  EXPECT_EQ(sum(time), 53 * kMs);
  EXPECT_EQ(time.waits().find(0)->ns, 53 * kMs);
}

TEST(StolenTime, AnAccountThatWasOpenedAnewIsCountedFromItsBegin) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 0, kernel, kDomains);
  Kernel anew;
  anew.charge(vm(100), 2 * kMs);
  pass(time, 0, anew, kDomains);
  anew.charge(vm(100), 3 * kMs);
  pass(time, 0, anew, kDomains);
  EXPECT_EQ(sum(time), 55 * kMs);
  EXPECT_EQ(time.waits().find(0)->ns, 55 * kMs);
}

TEST(StolenTime, ThreadsThatLiveWithoutNewsAreNotCountedTwice) {
  StolenTime time;
  std::vector<Kernel> threads(StolenTime::kMissingKept + 1);
  for (std::size_t i = 0; i < threads.size(); ++i) {
    threads[i].record.head.tid = static_cast<std::uint32_t>(71 + i);
    threads[i].charge(vm(100), 50 * kMs);
    time.add(0, threads[i].record, kDomains);
  }
  time.finish_pass();
  for (std::uint64_t pass = 0; pass < 3 * StolenTime::kPassesMissed; ++pass) {
    if (pass % StolenTime::kPassesMissed == 0)
      for (const Kernel& one : threads)
        time.lives(static_cast<pid_t>(one.record.head.tid));
    time.finish_pass();
  }
  threads[0].charge(vm(100), 3 * kMs);
  pass(time, 0, threads[0], kDomains);
  EXPECT_EQ(sum(time), 50 * kMs * threads.size() + 3 * kMs);
}

TEST(StolenTime, WhoIsCalledOtherIsOneOfTheOthers) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 0, kernel, {{100, "other"}});
  EXPECT_THAT(time.named(), IsEmpty());
  EXPECT_EQ(time.unnamed(CULPRIT_DOMAIN), 50 * kMs);
}

TEST(StolenTime, WhoIsNoVmIsAProgramOfTheHost) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(300), 50 * kMs);
  pass(time, 0, kernel, kDomains);
  EXPECT_EQ(time.named().at({CULPRIT_HOST, "qemu"}), 50 * kMs);
}

TEST(StolenTime, PlacesAreBounded) {
  StolenTime time;
  StolenTime::Domains domains;
  Kernel kernel;
  for (std::uint32_t pid = 1; pid <= 2 * StolenTime::kPlaces; ++pid) {
    domains.emplace(static_cast<pid_t>(pid), "vm" + std::to_string(pid));
    kernel.record.account.named = 0;
    kernel.record.account.by_kind[CULPRIT_DOMAIN] = (pid - 1) * 5 * kMs;
    kernel.charge(vm(pid), 5 * kMs);
    pass(time, 0, kernel, domains);
  }
  EXPECT_EQ(time.named().size(), StolenTime::kPlaces);
  EXPECT_EQ(sum(time), 2 * StolenTime::kPlaces * 5 * kMs);
}

// One task takes 5 ms in each pass.
void take_turns(StolenTime& time, Kernel& kernel,
                const std::vector<occupant>& culprits,
                const StolenTime::Domains& domains) {
  for (const occupant& who : culprits) {
    kernel.charge(who, 5 * kMs);
    pass(time, 0, kernel, domains);
    kernel.evict();
  }
}

TEST(StolenTime, ProgramsOfTheHostHaveHalfThePlacesAtMost) {
  StolenTime time;
  Kernel kernel;
  std::vector<occupant> culprits;
  for (std::size_t i = 0; i < StolenTime::kPlaces; ++i) {
    occupant task{CULPRIT_HOST, 0, {}};
    std::strcpy(task.name, ("task" + std::to_string(i)).c_str());
    culprits.push_back(task);
  }
  culprits.push_back(vm(100));
  take_turns(time, kernel, culprits, kDomains);
  EXPECT_EQ(time.named().size(), StolenTime::kHostPlaces + 1);
  EXPECT_TRUE(time.named().contains({CULPRIT_DOMAIN, "noisy"}));
  EXPECT_EQ(time.unnamed(CULPRIT_HOST),
            (StolenTime::kPlaces - StolenTime::kHostPlaces) * 5 * kMs);
  EXPECT_EQ(sum(time), (StolenTime::kPlaces + 1) * 5 * kMs);
}

TEST(StolenTime, AThreadThatIsBackAfterLongIsNotCountedTwice) {
  StolenTime time;
  Kernel kernel;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 0, kernel, kDomains);
  for (std::uint64_t i = 0; i < 2 * StolenTime::kPassesMissed; ++i)
    time.finish_pass();
  kernel.charge(vm(100), 3 * kMs);
  pass(time, 0, kernel, kDomains);
  EXPECT_EQ(sum(time), 53 * kMs);
}

TEST(StolenTime, ThreadsThatHaveEndedAreRememberedUpToABound) {
  StolenTime time;
  for (pid_t tid = 1; tid <= StolenTime::kMissingKept + 1; ++tid) {
    Kernel kernel;
    kernel.record.head.tid = static_cast<std::uint32_t>(tid);
    time.add(0, kernel.charge(vm(100), kMs).record, kDomains);
  }
  const auto missed = [&] {
    for (std::uint64_t i = 0; i < StolenTime::kPassesMissed + 1; ++i)
      time.finish_pass();
    return time.remembered();
  };
  time.finish_pass();
  EXPECT_EQ(missed(), 0U);
}

TEST(StolenTime, EachWaitIsInTheFirstBucketWhoseBoundItDoesNotExceed) {
  const auto bounds = StolenTime::bounds();
  ASSERT_EQ(bounds.size(), WAIT_BUCKETS - 1U);
  const auto expected = [&](std::uint64_t ns) {
    const auto first = std::ranges::lower_bound(bounds, seconds(ns));
    return static_cast<std::uint32_t>(first - bounds.begin());
  };
  std::vector<std::uint64_t> waits{0, 1, ~std::uint64_t{0}};
  for (std::uint64_t bound = 1 << 10; bound <= 1 << 30; bound *= 2)
    waits.insert(waits.end(), {bound - 1, bound, bound + 1});
  for (const std::uint64_t ns : waits)
    EXPECT_EQ(bucket_of(ns), expected(ns)) << ns;
  EXPECT_EQ(bucket_of(1 << 10), 0U);
  EXPECT_EQ(bucket_of((1 << 30) + 1), WAIT_BUCKETS - 1U);
}

TEST(StolenTime, AThreadThatHasEndedStaysCountedAndItsTidStartsAnew) {
  StolenTime time;
  Kernel kernel;
  kernel.record.account.waits[3] = 2;
  kernel.charge(vm(100), 50 * kMs);
  pass(time, 1, kernel, kDomains);
  time.finish_pass();
  Kernel next;
  next.record.start_ns = 6;
  next.record.account.waits[3] = 1;
  next.charge(vm(100), 10 * kMs);
  pass(time, 1, next, kDomains);
  EXPECT_EQ(time.waits().find(1)->counts[3], 3U);
  EXPECT_EQ(time.waits().find(1)->ns, 60 * kMs);
  EXPECT_EQ(sum(time), 60 * kMs);
}

}  // namespace
}  // namespace vcpu

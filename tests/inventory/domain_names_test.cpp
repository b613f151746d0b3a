// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/domain_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Process = DomainNames::Process;

constexpr uid_t kRoot = 0;
constexpr uid_t kLibvirtOfDebian = 64055;
constexpr uid_t kNobody = 65534;

constexpr const char* kA = "aaaaaaaa-1234-1234-1234-123456789abc";
constexpr const char* kB = "bbbbbbbb-1234-1234-1234-123456789abc";

TEST(DomainNames, OfNoProcessesAreNone) {
  EXPECT_THAT(DomainNames().assign({}), IsEmpty());
}

TEST(DomainNames, AreTheNamesWhereTheseDiffer) {
  EXPECT_THAT(DomainNames().assign({{"web", kA, 1, 10}, {"db", kB, 2, 5}}),
              ElementsAre("web", "db"));
}

TEST(DomainNames, GetTheUuidWhereANameIsShared) {
  EXPECT_THAT(DomainNames().assign({{"web", kA, 1, 10}, {"web", kB, 2, 5}}),
              ElementsAre("web@aaaaaaaa", "web@bbbbbbbb"));
}

TEST(DomainNames, GetThePidWhereThereIsNoUuid) {
  EXPECT_THAT(DomainNames().assign({{"web", "", 71, 10}, {"web", "", 72, 5}}),
              ElementsAre("web@71", "web@72"));
  EXPECT_THAT(DomainNames().assign({{"web", kA, 71, 10}, {"web", "", 72, 5}}),
              ElementsAre("web@aaaaaaaa", "web@72"));
}

TEST(DomainNames, AreValidWhateverStandsForAUuid) {
  EXPECT_THAT(DomainNames().assign({{"web", "a\u00e9\u00e9\u00e9\u00e9", 1, 1},
                                    {"web", "cd", 2, 2}}),
              ElementsAre("web@a\u00e9\u00e9\u00e9\ufffd", "web@cd"));
}

TEST(DomainNames, TakeAShortUuidWhole) {
  EXPECT_THAT(DomainNames().assign({{"web", "ab", 1, 1}, {"web", "cd", 2, 2}}),
              ElementsAre("web@ab", "web@cd"));
}

TEST(DomainNames, StayLongWhenTheOtherHasEnded) {
  DomainNames names;
  names.assign({{"web", kA, 1, 10}, {"web", kB, 2, 20}});
  EXPECT_THAT(names.assign({{"web", kB, 2, 20}}), ElementsAre("web@bbbbbbbb"));
  EXPECT_THAT(names.assign({}), IsEmpty());
  EXPECT_THAT(names.assign({{"web", kA, 3, 30}}), ElementsAre("web@aaaaaaaa"));
}

TEST(DomainNames, OfAVmThatComesAgainAloneStayShort) {
  DomainNames names;
  names.assign({{"web", kA, 1, 10}});
  EXPECT_THAT(names.assign({{"web", kB, 2, 20}}), ElementsAre("web"));
}

TEST(DomainNames, ShowTheOlderOfTwoProcessesOfOneVm) {
  DomainNames names;
  EXPECT_THAT(names.assign({{"web", kA, 9, 10}, {"web", kA, 8, 20}}),
              ElementsAre("web", ""));
  EXPECT_THAT(names.assign({{"web", kA, 8, 20}, {"web", kA, 9, 10}}),
              ElementsAre("", "web"));
}

TEST(DomainNames, HideNobodyBehindAnothersProcess) {
  DomainNames names;
  EXPECT_THAT(
      names.assign({{"web", kA, 9, 10, kNobody}, {"web", kA, 8, 20, kRoot}}),
      ElementsAre("web@aaaaaaaa", "web"));
}

TEST(DomainNames, OfASystemUsersVmAreChangedByNoOrdinaryUser) {
  const Process genuine{"bank", kA, 9, 10, kLibvirtOfDebian};
  DomainNames names;
  ASSERT_THAT(names.assign({genuine}), ElementsAre("bank"));
  EXPECT_THAT(
      names.assign(
          {genuine, {"bank", kA, 7, 5, kNobody}, {"bank", kB, 8, 20, kNobody}}),
      ElementsAre("bank", "bank@aaaaaaaa", "bank@bbbbbbbb"));
  EXPECT_THAT(names.assign({genuine}), ElementsAre("bank"));
}

TEST(DomainNames, AreASystemUsersWhoeverWasThereBefore) {
  const Process early{"bank", kA, 7, 5, kNobody};
  const Process second{"bank", kB, 8, 6, kNobody};
  DomainNames names;
  ASSERT_THAT(names.assign({early}), ElementsAre("bank"));
  ASSERT_THAT(names.assign({early, second}),
              ElementsAre("bank@aaaaaaaa", "bank@bbbbbbbb"));
  EXPECT_THAT(names.assign({early, {"bank", kA, 9, 10, kRoot}}),
              ElementsAre("bank@aaaaaaaa", "bank"));
  EXPECT_THAT(DomainNames().assign({{"bank@aaaaaaaa", kB, 6, 1, kNobody},
                                    {"bank", kA, 9, 10, kRoot},
                                    {"bank", kB, 8, 11, kRoot}}),
              ElementsAre("bank@aaaaaaaa@6", "bank@aaaaaaaa", "bank@bbbbbbbb"));
}

TEST(DomainNames, ThatWereASystemUsersDoNotPassToWhoHadThemLonger) {
  const Process impostor{"bank", kB, 8, 20, kNobody};
  DomainNames names;
  names.assign({{"bank", kA, 9, 10, kRoot}, impostor});
  EXPECT_THAT(names.assign({impostor}), ElementsAre("bank@bbbbbbbb"));
  EXPECT_THAT(names.assign({{"bank", kA, 10, 30, kNobody}}),
              ElementsAre("bank@aaaaaaaa"));
}

TEST(DomainNames, AreSharedAmongSystemUsersToo) {
  EXPECT_THAT(DomainNames().assign({{"bank", kA, 9, 10, kRoot},
                                    {"bank", kB, 8, 20, kLibvirtOfDebian},
                                    {"bank", kA, 7, 5, kNobody}}),
              ElementsAre("bank@aaaaaaaa", "bank@bbbbbbbb", "bank@aaaaaaaa@7"));
}

TEST(DomainNames, DoNotPassFromOneVmToAnother) {
  DomainNames names;
  ASSERT_THAT(names.assign(
                  {{"a@bbbbbbbb", "", 1, 1}, {"a", kA, 2, 2}, {"a", kB, 3, 3}}),
              ElementsAre("a@bbbbbbbb", "a@aaaaaaaa", "a@bbbbbbbb@3"));
  EXPECT_THAT(names.assign({{"a", kA, 2, 2}, {"a", kB, 3, 3}}),
              ElementsAre("a@aaaaaaaa", "a@bbbbbbbb@3"));
}

TEST(DomainNames, ShowTheYoungerWhenTheOlderHasEnded) {
  DomainNames names;
  names.assign({{"web", kA, 9, 10}, {"web", kA, 8, 20}});
  EXPECT_THAT(names.assign({{"web", kA, 8, 20}}), ElementsAre("web"));
}

TEST(DomainNames, TakeTheLowerPidForTheOlderOfOneTick) {
  EXPECT_THAT(DomainNames().assign({{"web", kA, 9, 10}, {"web", kA, 8, 10}}),
              ElementsAre("", "web"));
}

TEST(DomainNames, TakeOneUuidUnderTwoNamesForTwoVms) {
  EXPECT_THAT(DomainNames().assign({{"web", kA, 1, 10}, {"db", kA, 2, 20}}),
              ElementsAre("web", "db"));
}

TEST(DomainNames, NeverTakeVmsWithoutUuidForOne) {
  EXPECT_THAT(DomainNames().assign({{"", "", 1, 10}, {"", "", 2, 20}}),
              ElementsAre("@1", "@2"));
}

TEST(DomainNames, StayApartWhereUuidsBeginAlike) {
  const std::string other = std::string(kA).replace(9, 4, "ffff");
  EXPECT_THAT(DomainNames().assign({{"web", kA, 1, 10}, {"web", other, 2, 20}}),
              ElementsAre("web@aaaaaaaa", "web@aaaaaaaa@2"));
}

TEST(DomainNames, StayApartFromAVmThatIsCalledSo) {
  EXPECT_THAT(DomainNames().assign({{"web@aaaaaaaa", "", 3, 30},
                                    {"web", kA, 1, 10},
                                    {"web", kB, 2, 20}}),
              ElementsAre("web@aaaaaaaa@3", "web@aaaaaaaa", "web@bbbbbbbb"));
}

TEST(DomainNames, StayApartFromVmsThatAreCalledSoTwice) {
  EXPECT_THAT(DomainNames().assign({{"web@aaaaaaaa", "", 3, 1},
                                    {"web@aaaaaaaa@1", "", 4, 2},
                                    {"web", kA, 1, 10},
                                    {"web", kB, 2, 20}}),
              ElementsAre("web@aaaaaaaa", "web@aaaaaaaa@1", "web@aaaaaaaa@1@1",
                          "web@bbbbbbbb"));
}

TEST(DomainNames, AreUniqueWhateverVmsAreCalled) {
  const std::vector<std::string> names{"a",   "b",     "a@1", "a@2",
                                       "a@3", "a@1@2", "",    "a@aaaaaaaa"};
  const std::vector<std::string> uuids{"", kA, kB};
  std::mt19937 random(4);  // NOLINT: the same VMs on every run.
  DomainNames domains;
  for (int round = 0; round < 3000; ++round) {
    std::vector<Process> processes;
    for (pid_t pid = 1; pid < 8; ++pid) {
      processes.push_back({names[random() % names.size()],
                           uuids[random() % uuids.size()], pid, random() % 5,
                           random() % 2 == 0 ? kRoot : kNobody});
    }
    const auto labels = domains.assign(processes);
    ASSERT_EQ(labels.size(), processes.size());
    std::set<std::string> unique;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      // Empty: the second process of a VM, or a lone VM without a name.
      const bool hidden = labels[i].empty();
      ASSERT_TRUE(!hidden || processes[i].name.empty() ||
                  !processes[i].uuid.empty());
      ASSERT_TRUE(hidden || unique.insert(labels[i]).second) << labels[i];
    }
  }
}

// Who starts pairs of one name all day must not fill our memory.
TEST(DomainNames, ThatWereSharedAndNobodyBearsAreForgottenBeyondABound) {
  constexpr pid_t kAnn = 1;
  DomainNames domains;
  const Process lives{"lives", kA, 7, 1};
  domains.assign(
      {lives, {"lives", kB, 8, 1}, {"gone", kA, 9, 1}, {"gone", kB, 10, 1}});
  EXPECT_THAT(domains.assign({{"gone", kA, 11, 2}}),
              ElementsAre("gone@aaaaaaaa"));
  std::vector<Process> many{lives};
  for (std::size_t i = 0; i <= DomainNames::kMaxShared; ++i) {
    const auto name = "n" + std::to_string(i);
    many.push_back({name, kA, static_cast<pid_t>(100 + 2 * i), 3, kAnn});
    many.push_back({name, kB, static_cast<pid_t>(101 + 2 * i), 3, kAnn});
  }
  domains.assign(many);
  EXPECT_THAT(domains.assign({lives, {"gone", kA, 12, 4}}),
              ElementsAre("lives@aaaaaaaa", "gone"));
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_book.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const VmId kOne{100, 1};
const VmId kTwo{200, 2};
const VmId kThree{300, 3};

MonitoredVm vm(const VmId& id) {
  return {id, "vm" + std::to_string(id.first), "uuid"};
}

MonitorFigures reads(std::uint64_t requests) {
  MonitorFigures figures;
  figures.asked_qemu = true;
  figures.devices.push_back({"vda", "", {requests, {}, {}}, {}, {}});
  return figures;
}

class MonitorBookTest : public testing::Test {
 protected:
  MonitorBookTest() { look(); }

  void look() { book_.set({vm(kOne), vm(kTwo)}, now_); }

  // Who is asked now, by pid; 0: nobody.
  pid_t next() const {
    const auto who = book_.next(now_);
    return who ? who->id.first : 0;
  }
  std::string told(const VmId& id, std::uint64_t requests = 1) {
    return book_.told(id, reads(requests), now_, now_);
  }
  std::string missed(const VmId& id) {
    return book_.missed(id, seconds(3), now_);
  }
  MonitorView view() const { return book_.view(now_); }
  bool reason_has(const std::string& part) const {
    return view().missing_reason.find(part) != std::string::npos;
  }

  MonitorBook::Time now_{seconds(1000)};
  MonitorBook book_{{}, 1};
};

TEST_F(MonitorBookTest, EveryoneIsAskedAtOnceAndThenEveryTenSeconds) {
  EXPECT_EQ(next(), 100);
  told(kOne);
  EXPECT_EQ(next(), 200);
  told(kTwo);
  look();
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(book_.until_next(now_, seconds(60)), seconds(10));
  EXPECT_EQ(book_.until_next(now_, seconds(1)), seconds(1));
  now_ += seconds(10);
  EXPECT_EQ(next(), 100);
}

// 20 s where nobody looks: one question per scrape, and figures that are kept.
TEST_F(MonitorBookTest, NobodyIsAskedAgainUntilSomebodyHasLooked) {
  told(kOne);
  told(kTwo);
  now_ += seconds(15);
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(book_.until_next(now_, seconds(60)), seconds(5));
  look();
  EXPECT_EQ(next(), 100);
  told(kOne);
  EXPECT_EQ(next(), 200);
  told(kTwo);
  now_ += seconds(20);
  EXPECT_EQ(next(), 100);
}

TEST_F(MonitorBookTest, AllAreTriedWhenOfEachItIsKnownWhatCameOfIt) {
  EXPECT_FALSE(book_.all_tried());
  told(kOne);
  EXPECT_FALSE(book_.all_tried());
  missed(kTwo);
  EXPECT_TRUE(book_.all_tried());
  book_.set({vm(kOne), vm(kTwo), vm(kThree)}, now_);
  EXPECT_FALSE(book_.all_tried());
  // Of whom nobody can ask.
  book_.set({vm(kOne), vm(kTwo), {kThree, "vm300", ""}}, now_);
  EXPECT_TRUE(book_.all_tried());
}

TEST_F(MonitorBookTest, WhoWasDueFirstIsAskedFirst) {
  told(kOne);
  now_ += seconds(1);
  told(kTwo);
  now_ += seconds(20);
  book_.set({vm(kOne), vm(kTwo), vm(kThree)}, now_);
  EXPECT_EQ(next(), 100);
  told(kOne);
  EXPECT_EQ(next(), 200);
  told(kTwo);
  EXPECT_EQ(next(), 300);
}

TEST_F(MonitorBookTest, ThatNothingIsKnownYetIsSaid) {
  EXPECT_TRUE(reason_has("for the first time"));
  told(kOne);
  told(kTwo);
  EXPECT_EQ(view().missing_reason, "");
}

TEST_F(MonitorBookTest, AfterAnAnswerLibvirtHasARest) {
  const auto asked = now_;
  now_ += milliseconds(40);
  book_.told(kOne, reads(1), asked, now_);
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(book_.until_next(now_, seconds(1)), milliseconds(120));
  now_ += milliseconds(119);
  EXPECT_EQ(next(), 0);
  now_ += milliseconds(1);
  EXPECT_EQ(next(), 200);
}

TEST_F(MonitorBookTest, WhoDoesNotAnswerIsLeftAloneForGrowingPauses) {
  told(kTwo);
  milliseconds last{0};
  for (int i = 0; i < 12; ++i) {
    EXPECT_NE(missed(kOne).find("does not answer within 3 s"),
              std::string::npos);
    const auto before = now_;
    while (next() != 100) {
      if (next() == 200) told(kTwo);
      now_ += seconds(1);
      ASSERT_LT(now_ - before, seconds(601)) << "never asked again";
    }
    const auto pause = std::chrono::ceil<milliseconds>(now_ - before);
    if (i == 0) {
      EXPECT_GE(pause, seconds(15));
      EXPECT_LE(pause, seconds(31));
    }
    last = pause;
  }
  EXPECT_GE(last, seconds(300));
  EXPECT_TRUE(reason_has("does not answer"));
}

// libvirt says so of one whose monitor our own question still holds.
TEST_F(MonitorBookTest, WhoHangsIsNotTakenForBusy) {
  told(kOne, 5);
  told(kTwo);
  missed(kOne);
  milliseconds last{0};
  for (int i = 0; i < 4; ++i) {
    const auto before = now_;
    while (next() != 100) {
      if (next() == 200) told(kTwo);
      now_ += seconds(1);
      ASSERT_LT(now_ - before, seconds(601)) << "never asked again";
    }
    EXPECT_GT(now_ - before, last);
    last = std::chrono::ceil<milliseconds>(now_ - before);
    EXPECT_EQ(book_.told(kOne, {}, now_, now_), "");
    look();
    EXPECT_TRUE(reason_has("does not answer")) << view().missing_reason;
  }
  // Likewise when it was stopped meanwhile.
  book_.stopped(kOne, 'T', now_);
  book_.told(kOne, {}, now_, now_);
  EXPECT_TRUE(reason_has("does not answer")) << view().missing_reason;
  EXPECT_EQ(told(kOne), "the QEMU of vm100 answers again");
  EXPECT_EQ(view().missing_reason, "");
  // The next pause is a short one.
  missed(kOne);
  now_ += seconds(31);
  told(kTwo);
  EXPECT_EQ(next(), 100);
}

// Each may hold one of libvirtd's workers.
TEST_F(MonitorBookTest, WhileTenHangNobodyElseIsAsked) {
  std::vector<MonitoredVm> vms;
  for (int i = 0; i < 12; ++i) vms.push_back(vm({1000 + i, 1}));
  book_.set(vms, now_);
  for (int i = 0; i < 9; ++i)
    EXPECT_EQ(missed(vms[static_cast<std::size_t>(i)].id).find("no other"),
              std::string::npos);
  EXPECT_EQ(next(), 1009);
  EXPECT_NE(missed(vms[9].id).find("no other is asked"), std::string::npos);
  EXPECT_EQ(next(), 0);
  EXPECT_GE(book_.until_next(now_, seconds(60)), seconds(15));
  now_ += seconds(31);
  ASSERT_GE(next(), 1000);
  ASSERT_LT(next(), 1010);
  told(book_.next(now_)->id);
  EXPECT_EQ(next(), 1010);
}

TEST_F(MonitorBookTest, AnAnswerClosesTheMatter) {
  told(kTwo);
  for (int i = 0; i < 9; ++i) missed(kOne);
  now_ += seconds(601);
  EXPECT_EQ(told(kOne), "the QEMU of vm100 answers again");
  EXPECT_EQ(view().missing_reason, "");
  EXPECT_EQ(told(kOne), "");
  // The next pause is a short one.
  missed(kOne);
  now_ += seconds(31);
  told(kTwo);
  EXPECT_EQ(next(), 100);
}

TEST_F(MonitorBookTest, WhoHasNotAnsweredComesAfterAllOthers) {
  missed(kOne);
  now_ += seconds(31);
  EXPECT_EQ(next(), 200);
  told(kTwo);
  EXPECT_EQ(next(), 100);
}

TEST_F(MonitorBookTest, AStoppedQemuIsLookedAtEverySecondAndToldOnce) {
  told(kTwo);
  EXPECT_EQ(book_.stopped(kOne, 'T', now_),
            "the QEMU of vm100 is not asked, it is in state T");
  EXPECT_EQ(next(), 0);
  EXPECT_TRUE(reason_has("is stopped"));
  now_ += seconds(1);
  EXPECT_EQ(next(), 100);
  EXPECT_EQ(book_.stopped(kOne, 'T', now_), "");
}

TEST_F(MonitorBookTest, FiguresVanishWhenTheyAreOldAndTheirAgeGoesOn) {
  told(kOne, 5);
  EXPECT_EQ(view().vms.at(kOne).age_seconds, 0.0);
  EXPECT_FALSE(view().vms.at(kTwo).age_seconds);
  now_ += seconds(60);
  ASSERT_TRUE(view().vms.at(kOne).figures);
  EXPECT_EQ(view().vms.at(kOne).figures->devices[0].read.requests, 5U);
  now_ += milliseconds(1);
  EXPECT_FALSE(view().vms.at(kOne).figures);
  EXPECT_EQ(view().vms.at(kOne).age_seconds, 60.001);
}

TEST_F(MonitorBookTest, ABusyVmKeepsItsFiguresAndItsAgeGrows) {
  told(kOne, 5);
  told(kTwo);
  MonitorFigures busy;
  now_ += seconds(10);
  book_.told(kOne, busy, now_, now_);
  EXPECT_EQ(view().vms.at(kOne).age_seconds, 10.0);
  EXPECT_TRUE(view().vms.at(kOne).figures);
  EXPECT_EQ(view().missing_reason, "");
  look();
  EXPECT_EQ(next(), 200);
  now_ += seconds(51);
  EXPECT_FALSE(view().vms.at(kOne).figures);
  EXPECT_TRUE(reason_has("busy"));
}

// libvirt tells nothing at all of it, as of one that has nothing to tell.
TEST_F(MonitorBookTest, AVmWithoutDisksIsBusyWhenKvmsFiguresAreMissing) {
  MonitorFigures figures;
  figures.asked_qemu = true;
  book_.told(kTwo, figures, now_, now_);
  EXPECT_EQ(view().vms.at(kTwo).age_seconds, 0.0);  // It has nothing to tell.
  figures.vcpus[0][KvmStat::kExits] = 7;
  book_.told(kOne, figures, now_, now_);
  figures.vcpus.clear();
  now_ += seconds(61);
  book_.told(kOne, figures, now_, now_);
  book_.told(kTwo, figures, now_, now_);
  EXPECT_EQ(view().vms.at(kOne).age_seconds, 61.0);
  EXPECT_EQ(view().vms.at(kTwo).age_seconds, 0.0);
  EXPECT_TRUE(reason_has("busy"));
}

// As those of vhost-user are. libvirt tells as much of a busy VM.
TEST_F(MonitorBookTest, AVmWhoseDisksHaveNoCountsIsNotBusyForEver) {
  told(kTwo);
  MonitorFigures names;
  names.devices.push_back({"vda", "", {}, {}, {}});
  book_.told(kOne, names, now_, now_);
  EXPECT_TRUE(reason_has("busy"));
  for (int i = 0; i < 6; ++i) book_.told(kOne, names, now_, now_);
  EXPECT_EQ(view().missing_reason, "");
  EXPECT_EQ(view().vms.at(kOne).age_seconds, 0.0);
}

TEST_F(MonitorBookTest, ARefusalIsToldOnceAndAskedAgain) {
  told(kTwo);
  EXPECT_EQ(book_.refused(kOne, "no such group", now_),
            "libvirt does not tell what the QEMU of vm100 says: no such group");
  EXPECT_TRUE(reason_has("libvirt does not tell"));
  now_ += seconds(10);
  EXPECT_EQ(next(), 100);
  EXPECT_EQ(book_.refused(kOne, "no such group", now_), "");
}

TEST_F(MonitorBookTest, ANewRunOfAVmBeginsAnew) {
  told(kOne, 5);
  const VmId again{100, 7};
  book_.set({vm(again)}, now_);
  EXPECT_FALSE(view().vms.contains(kOne));
  EXPECT_FALSE(view().vms.at(again).age_seconds);
  EXPECT_EQ(told(kOne), "");  // An answer that comes too late is no matter.
  told(again, 3);
  EXPECT_EQ(view().vms.at(again).figures->devices[0].read.requests, 3U);
}

TEST_F(MonitorBookTest, WhomLibvirtDoesNotKnowIsNotAskedButRemembered) {
  told(kOne, 5);
  told(kTwo);
  book_.set({{kOne, "vm100", ""}, vm(kTwo)}, now_);
  now_ += seconds(10);
  EXPECT_EQ(next(), 200);
  told(kTwo);
  EXPECT_EQ(next(), 0);
  book_.set({vm(kOne), vm(kTwo)}, now_);
  EXPECT_EQ(next(), 100);
  told(kOne, 2);  // Its disk was plugged in again meanwhile.
  EXPECT_EQ(view().vms.at(kOne).figures->devices[0].read.requests, 7U);
}

// A hundred sick ones cost each of the others no more than one deadline.
TEST_F(MonitorBookTest, ManySickVmsDoNotMakeTheOthersOld) {
  MonitorBookOptions options;
  options.most_unheard = 1000;
  book_ = MonitorBook(options, 1);
  std::vector<MonitoredVm> vms;
  for (int i = 0; i < 200; ++i) vms.push_back(vm({1000 + i, 1}));
  book_.set(vms, now_);
  const auto is_sick = [](const VmId& id) { return id.first % 2 == 0; };
  const auto round = [&](seconds length) {
    double oldest = 0;
    for (const auto end = now_ + length; now_ < end;) {
      const auto who = book_.next(now_);
      if (!who) {
        now_ += milliseconds(100);
        book_.set(vms, now_);
      } else if (is_sick(who->id)) {
        now_ += seconds(3);
        missed(who->id);
      } else {
        const auto asked = now_;
        now_ += milliseconds(4);
        book_.told(who->id, reads(1), asked, now_);
      }
      for (const auto& [id, one] : view().vms)
        if (!is_sick(id) && one.age_seconds)
          oldest = std::max(oldest, *one.age_seconds);
    }
    return oldest;
  };
  round(seconds(1000));  // Until it is known who is sick.
  EXPECT_LT(round(seconds(1000)), 20.0);
}

}  // namespace
}  // namespace vcpu

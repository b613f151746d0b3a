// SPDX-License-Identifier: Apache-2.0
#include "exporter/asked_reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class AskedReloadTest : public testing::Test {
 protected:
  std::string ask_after(milliseconds pause) {
    now_ += pause;
    return asked_(now_);
  }

  std::string stamp_ = "one";
  std::string problem_;
  std::vector<ReloadLog> readings_;
  AskedReload::Clock::time_point now_{std::chrono::hours(1)};
  AskedReload asked_{[this] { return stamp_; },
                     [this](ReloadLog log) {
                       readings_.push_back(log);
                       return problem_;
                     }};
};

TEST_F(AskedReloadTest, ReadsOnceASecondWhatHasNotChangedAndSaysItOnce) {
  problem_ = "broken";
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(ask_after(milliseconds(25)), "broken");
  EXPECT_THAT(readings_, ElementsAre(ReloadLog::kSaid, ReloadLog::kSilent,
                                     ReloadLog::kSilent));
}

TEST_F(AskedReloadTest, ReadsAtOnceWhatHasChanged) {
  EXPECT_EQ(ask_after(milliseconds(0)), "");
  stamp_ = "two";
  problem_ = "broken";
  EXPECT_EQ(ask_after(milliseconds(0)), "broken");
  stamp_ = "three";
  problem_ = "";
  EXPECT_EQ(ask_after(milliseconds(0)), "");
  EXPECT_THAT(readings_, ElementsAre(ReloadLog::kSaid, ReloadLog::kSaid,
                                     ReloadLog::kSaid));
}

// As where descriptors were short.
TEST_F(AskedReloadTest, ComesBackFromWhatWasNoFaultOfAFile) {
  problem_ = "too many open files";
  EXPECT_EQ(ask_after(milliseconds(0)), problem_);
  problem_ = "";
  EXPECT_EQ(ask_after(milliseconds(1000)), "");
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace vcpu {
namespace {

const Error kRefused{std::make_error_code(std::errc::permission_denied),
                     "/proc/71/stat"};

TEST(Result, HoldsTheValueItWasGiven) {
  const Result<int> seven = 7;
  ASSERT_TRUE(seven);
  EXPECT_TRUE(seven.has_value());
  EXPECT_EQ(*seven, 7);
}

TEST(Result, HoldsTheErrorThatStoodInTheWay) {
  const Result<int> none = kRefused;
  ASSERT_FALSE(none);
  EXPECT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, std::errc::permission_denied);
  EXPECT_EQ(none.error().context, "/proc/71/stat");
}

TEST(Result, LetsTheValueBeChangedInPlace) {
  Result<std::string> text = std::string("web");
  *text += "-1";
  text->push_back('!');
  EXPECT_EQ(*text, "web-1!");
}

TEST(Result, ShowsMembersOfAConstantValue) {
  const Result<std::string> text = std::string("web");
  EXPECT_EQ(text->size(), 3U);
}

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> owner = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = *std::move(owner);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, OfNothingSucceedsUnlessTold) {
  const Result<void> done;
  EXPECT_TRUE(done);
  EXPECT_TRUE(done.has_value());
}

TEST(Result, OfNothingFailsWithItsError) {
  const Result<void> refused = kRefused;
  EXPECT_FALSE(refused);
  EXPECT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, std::errc::permission_denied);
}

TEST(Error, SaysWhereAndWhat) {
  EXPECT_EQ(kRefused.message(), "/proc/71/stat: Permission denied");
}

TEST(Error, TellsMalformedTextFromEverythingElse) {
  const Error error = malformed("stat");
  EXPECT_EQ(error.code, std::errc::bad_message);
  EXPECT_EQ(error.message(), "stat: cannot be understood");
}

}  // namespace
}  // namespace vcpu

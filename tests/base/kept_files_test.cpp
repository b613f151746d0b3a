// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/kept_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "collectors/kernel/count.h"
#include "tests/support/cpu_group.h"
#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

class KeptFilesOf : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    auto path = tree_.proc(name);
    ProcTree::write(path, text);
    return path;
  }

  // Of descriptors of this process that are open on it.
  static int opened(const std::string& path) {
    int count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      count += static_cast<int>(
          std::filesystem::read_symlink(entry.path(), error) == path);
    }
    return count;
  }

  std::string text_of(const std::string& path) {
    const auto text = kept_.read(path);
    return text ? std::string(*text) : text.error().message();
  }

  ProcTree tree_;
  KeptFiles kept_{2};
};

TEST_F(KeptFilesOf, AreReadAnewEveryTime) {
  const auto path = file("a", "one");
  EXPECT_EQ(text_of(path), "one");
  EXPECT_EQ(opened(path), 1);
  file("a", "three");
  EXPECT_EQ(text_of(path), "three");
  EXPECT_EQ(opened(path), 1);
}

TEST_F(KeptFilesOf, AreReadWithoutBeingKeptBeyondTheLimit) {
  const auto a = file("a", "1");
  const auto b = file("b", "2");
  const auto c = file("c", "3");
  EXPECT_EQ(text_of(a), "1");
  EXPECT_EQ(text_of(b), "2");
  EXPECT_EQ(text_of(c), "3");
  EXPECT_EQ(text_of(c), "3");
  EXPECT_EQ(opened(a), 1);
  EXPECT_EQ(opened(b), 1);
  EXPECT_EQ(opened(c), 0);
}

TEST_F(KeptFilesOf, AreClosedWhereAScrapeDidNotReadThem) {
  const auto a = file("a", "1");
  const auto b = file("b", "2");
  text_of(a);
  text_of(b);
  kept_.close_unread();
  text_of(b);
  kept_.close_unread();
  EXPECT_EQ(opened(a), 0);
  EXPECT_EQ(opened(b), 1);
  kept_.close_unread();
  EXPECT_EQ(opened(b), 0);
}

TEST_F(KeptFilesOf, TakeAnEighthOfTheDescriptorsAtMost) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  const rlimit few{64, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  KeptFiles kept(1000);
  ::setrlimit(RLIMIT_NOFILE, &usual);
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(kept.read(file("file" + std::to_string(i), "x")));
  EXPECT_EQ(kept.kept(), 8U);
}

TEST_F(KeptFilesOf, ThatAreMissingOrNoFilesAreErrorsWithTheirPath) {
  const auto missing = kept_.read(tree_.proc("none"));
  ASSERT_FALSE(missing);
  EXPECT_TRUE(is_gone(missing.error()));
  EXPECT_THAT(missing.error().message(), testing::HasSubstr("/none"));
  EXPECT_FALSE(kept_.read(tree_.roots().proc));  // A directory.
  EXPECT_EQ(kept_.kept(), 0U);
}

TEST_F(KeptFilesOf, AreParsed) {
  const auto good = kept_.read_as(file("a", "12\n"), parse_count);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 12U);
  const auto bad = kept_.read_as(file("b", "x\n"), parse_count);
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message(), testing::HasSubstr("/b: cannot be"));
}

// As with a VM that is started again under its name.
TEST_F(KeptFilesOf, AGroupThatWasMadeAnewUnderItsNameIsReadAsIt) {
  std::string path;
  {
    const auto group = CpuGroup::make("vcpu_kept_files_test");
    if (!group) GTEST_SKIP() << "no CPU group can be made here";
    path = group->directory() + "/cpu.stat";
    ASSERT_TRUE(kept_.read(path));
  }
  const auto gone = kept_.read(path);
  ASSERT_FALSE(gone);
  EXPECT_TRUE(is_gone(gone.error())) << gone.error().message();
  EXPECT_EQ(kept_.kept(), 0U);
  const auto again = CpuGroup::make("vcpu_kept_files_test");
  ASSERT_EQ(again->directory() + "/cpu.stat", path);
  EXPECT_TRUE(kept_.read(path));
}

}  // namespace
}  // namespace vcpu

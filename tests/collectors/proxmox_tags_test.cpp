// SPDX-License-Identifier: Apache-2.0
#include "collectors/proxmox_tags.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <memory>
#include <string>

#include "tests/support/proc_tree.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using std::chrono::minutes;

TEST(ParseProxmoxTags, AreThoseOfTheVmAndNotOfItsSnapshots) {
  EXPECT_EQ(parse_proxmox_tags("#tags: no\nname: shop\ntags: prod;web\n"
                               "[before]\ntags: old\n"),
            "prod;web");
  EXPECT_EQ(parse_proxmox_tags("tags: \n"), "");
  EXPECT_EQ(parse_proxmox_tags("name: tags: no\n[before]\ntags: old\n"), "");
  EXPECT_EQ(parse_proxmox_tags(""), "");
}

class ProxmoxTagsTest : public testing::Test {
 protected:
  ProxmoxTagsTest() {
    options_.now = [now = now_] {
      return ProxmoxTagsOptions::Clock::time_point(*now);
    };
  }
  ~ProxmoxTagsTest() override {
    end_.set_value();
    eventually([&] { return reading_->load() == 0; });
  }

  ProxmoxTags tags() {
    return ProxmoxTags(
        [reads = reads_, reading = reading_, hang = hang_, end = end_seen_,
         text = text_](const std::string& vmid) -> Result<std::string> {
          ++*reading;
          ++*reads;
          if (*hang) end.wait();
          --*reading;
          if (vmid == "404")
            return Error{{EACCES, std::generic_category()}, ""};
          return "tags: " + *text + vmid + "\n";
        },
        options_);
  }
  // What is told when all have been read.
  static std::string read(ProxmoxTags& tags, const std::string& vmid) {
    ProxmoxTags::Answer answer;
    eventually([&] {
      answer = tags.of(vmid);
      tags.read_asked();
      return answer.there;
    });
    return answer.tags;
  }

  std::shared_ptr<std::chrono::nanoseconds> now_ =
      std::make_shared<std::chrono::nanoseconds>(minutes(100));
  std::shared_ptr<std::atomic<int>> reads_ =
      std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::atomic<int>> reading_ =
      std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::atomic<bool>> hang_ =
      std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::string> text_ = std::make_shared<std::string>("prod;vm");
  std::promise<void> end_;
  std::shared_future<void> end_seen_ = end_.get_future().share();
  ProxmoxTagsOptions options_;
};

TEST_F(ProxmoxTagsTest, AreReadOnceInAWhile) {
  auto reader = tags();
  EXPECT_FALSE(reader.of("100").there);
  EXPECT_EQ(read(reader, "100"), "prod;vm100");
  EXPECT_EQ(read(reader, "101"), "prod;vm101");
  EXPECT_EQ(*reads_, 2);
  *now_ += std::chrono::seconds(59);
  EXPECT_EQ(read(reader, "101"), "prod;vm101");
  EXPECT_EQ(*reads_, 2);
  *now_ += std::chrono::seconds(2);
  (void)reader.of("101");
  reader.read_asked();
  EXPECT_TRUE(eventually([&] { return *reads_ == 3; }));  // 100 is forgotten.
}

TEST_F(ProxmoxTagsTest, ThatCannotBeReadAreMissing) {
  auto reader = tags();
  (void)reader.of("404");
  reader.read_asked();
  ASSERT_TRUE(eventually([&] { return *reads_ == 1; }));
  EXPECT_FALSE(reader.of("404").there);
}

// Anybody may start a process that says so of itself.
TEST_F(ProxmoxTagsTest, OfWhatIsNoNumberAreNone) {
  auto reader = tags();
  for (const char* vmid : {"../../shadow", "1/2", "", "-1", "12345678901"}) {
    const auto answer = reader.of(vmid);
    EXPECT_TRUE(answer.there);
    EXPECT_EQ(answer.tags, "");
  }
  reader.read_asked();
  EXPECT_EQ(*reading_, 0);
}

TEST_F(ProxmoxTagsTest, AReadThatHangsHoldsUpNobodyAndWhatIsOldVanishes) {
  auto reader = tags();
  EXPECT_EQ(read(reader, "100"), "prod;vm100");
  *hang_ = true;
  *now_ += minutes(2);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(reader.of("100").tags, "prod;vm100");
    reader.read_asked();
  }
  EXPECT_TRUE(eventually([&] { return *reads_ == 2; }));
  *now_ += minutes(4);
  EXPECT_FALSE(reader.of("100").there);
  EXPECT_EQ(*reads_, 2);
}

TEST(ProxmoxTags, AreInTheFileOfTheVm) {
  ProcTree tree;
  ProcTree::write(tree.roots().sys + "/qemu-server/100.conf",
                  "tags: prod;web\n");
  ProxmoxTags tags(tree.roots().sys);
  EXPECT_TRUE(eventually([&] {
    const auto answer = tags.of("100");
    tags.read_asked();
    return answer.tags == "prod;web";
  }));
}

}  // namespace
}  // namespace vcpu

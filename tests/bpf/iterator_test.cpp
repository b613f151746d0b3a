// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/iterator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string record(__u32 kind, const std::string& text, int excess = 0) {
  const auto bytes = static_cast<int>(sizeof(record_head) + text.size());
  const record_head head{kind, static_cast<__u32>(bytes + excess), 7, 5};
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + text;
}

struct Walk {
  explicit Walk(const std::string& records) {
    IteratorPass pass;
    pass.set(records);
    pass.each(ACCOUNT_RECORD,
              [&](const record_head& head, std::string_view at) {
                EXPECT_EQ(head.tid, 7U);
                EXPECT_EQ(head.tgid, 5U);
                texts.emplace_back(at.substr(sizeof(record_head)));
              });
    whole = pass.whole();
  }
  bool whole = false;
  std::vector<std::string> texts;
};

TEST(Records, AreTakenByTheirKind) {
  const Walk walk(record(TASK_RECORD, "task") + record(ACCOUNT_RECORD, "one") +
                  record(ACCOUNT_RECORD, "") + record(77, "unknown") +
                  record(ACCOUNT_RECORD, "three"));
  EXPECT_TRUE(walk.whole);
  EXPECT_THAT(walk.texts, ElementsAre("one", "", "three"));
}

TEST(Records, OfNoneAreWhole) {
  const Walk walk("");
  EXPECT_TRUE(walk.whole);
  EXPECT_THAT(walk.texts, IsEmpty());
}

TEST(Records, EndWhereTheyMakeNoSense) {
  const auto good = record(ACCOUNT_RECORD, "good");
  for (const auto& bad :
       {record(ACCOUNT_RECORD, "long", 1), record(ACCOUNT_RECORD, "", -1),
        record(ACCOUNT_RECORD, "", -8), std::string("cut")}) {
    const Walk walk(good + bad);
    EXPECT_FALSE(walk.whole);
    EXPECT_THAT(walk.texts, ElementsAre("good"));
  }
}

}  // namespace
}  // namespace vcpu

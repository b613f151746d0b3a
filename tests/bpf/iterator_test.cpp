// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/iterator.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/support/kernel_faults.h"
#include "tests/support/proc_tree.h"

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

#ifdef VCPU_HAVE_BPF

// A pass over a file in an iterator's stead, whose calls can fail.
class RecordsRead : public testing::Test {
 protected:
  void SetUp() override {
    ProcTree::write(tree_.proc("records"),
                    record(ACCOUNT_RECORD, "one") +
                        record(ACCOUNT_RECORD, std::string(100'000, 'x')));
    link_ = ::open(tree_.proc("records").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(link_, 0);
  }
  ~RecordsRead() override { ::close(link_); }

  std::size_t records() const {
    std::size_t count = 0;
    pass_.each(ACCOUNT_RECORD,
               [&](const record_head&, std::string_view) { ++count; });
    return count;
  }

  // How many calls a pass makes.
  std::size_t calls() {
    KernelFaults::begin();
    EXPECT_TRUE(pass_.read(link_));
    EXPECT_EQ(records(), 2U);
    return KernelFaults::calls().size();
  }

  ProcTree tree_;
  const KernelFaults faults_{tree_.roots().proc};
  int link_ = -1;
  IteratorPass pass_;
};

TEST_F(RecordsRead, AreTheSameWhenACallIsInterruptedOrGivesLess) {
  const auto all = calls();
  ASSERT_GE(all, 3U);
  // The first makes the iterator.
  for (std::size_t call = 1; call < all; ++call) {
    for (const KernelFault& fault :
         {KernelFault{.call = call, .error = EINTR},
          KernelFault{.call = call, .error = EAGAIN},
          KernelFault{.call = call, .kind = KernelFault::Kind::kShortRead}}) {
      KernelFaults::begin(fault);
      ASSERT_TRUE(pass_.read(link_)) << call;
      EXPECT_TRUE(pass_.whole());
      EXPECT_EQ(records(), 2U) << call;
    }
  }
}

TEST_F(RecordsRead, OfAPassThatFailsAreNone) {
  const auto all = calls();
  for (std::size_t call = 0; call < all; ++call) {
    for (const int error : {ENOMEM, EMFILE, EIO, EPERM}) {
      calls();
      KernelFaults::begin({.call = call, .error = error});
      const auto read = pass_.read(link_);
      ASSERT_FALSE(read) << call;
      EXPECT_EQ(read.error().code.value(), error);
      EXPECT_EQ(records(), 0U);
    }
  }
  KernelFaults::begin({.call = 1, .kind = KernelFault::Kind::kHalf});
  EXPECT_TRUE(pass_.read(link_));
  EXPECT_FALSE(pass_.whole());
}

#endif

}  // namespace
}  // namespace vcpu

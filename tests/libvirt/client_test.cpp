// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

using testing::ElementsAre;

constexpr int kRoundsPerXml = 60;

// Of tests/support/fake_libvirt.cpp, whose one domain has one guest cell.
class LibvirtClientOf : public testing::Test {
 protected:
  void bind_cell_to(const std::string& node) const {
    ProcTree::write(xml_,
                    "<domain><cpu><numa><cell id='0' cpus='0-1'/></numa></cpu>"
                    "<numatune><memory mode='strict' nodeset='" +
                        node + "'/></numatune></domain>\n");
  }

  // The nodes of the domain's cell; none where nothing is known of it.
  std::vector<int> ask() {
    const auto frame = client_.ask();
    EXPECT_TRUE(frame.up) << frame.reason;
    if (frame.domains.size() != 1 || frame.domains[0].cells.empty()) return {};
    return frame.domains[0].cells[0].nodes;
  }

  ProcTree tree_;
  const std::string xml_ = tree_.proc("web.xml");
  LibvirtClient client_{xml_, VCPU_BINARY_DIR "/libfake_libvirt.so"};
};

TEST_F(LibvirtClientOf, KeepsWhatTheXmlToldWhileItIsNotToldAndAsksAgain) {
  bind_cell_to("1");
  EXPECT_THAT(ask(), ElementsAre(1));
  std::filesystem::remove(xml_);
  for (int round = 0; round < kRoundsPerXml; ++round)
    EXPECT_THAT(ask(), ElementsAre(1)) << round;
  bind_cell_to("0");
  EXPECT_THAT(ask(), ElementsAre(0));
}

TEST_F(LibvirtClientOf, AsksForTheXmlOnlyNowAndThen) {
  bind_cell_to("1");
  EXPECT_THAT(ask(), ElementsAre(1));
  bind_cell_to("0");
  for (int round = 1; round < kRoundsPerXml; ++round)
    EXPECT_THAT(ask(), ElementsAre(1)) << round;
  EXPECT_THAT(ask(), ElementsAre(0));
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Topology, CountsSiblingsAsOneCore) {
  ProcTree tree;
  tree.cpus("0-3").core({0, 2}).core({1, 3}).node(0, "0-3");
  const auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.online, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(host.cores(), 2);
  EXPECT_EQ(host.cores_of_node(0), 2);
}

TEST(Topology, CountsACoreOnceWhenItsFirstSiblingIsOffline) {
  ProcTree tree;
  tree.cpus("1-3").core({0, 2}).core({1, 3});
  EXPECT_EQ(read_topology(tree.roots())->cores(), 2);
}

TEST(Topology, KnowsTheNodeOfACpu) {
  ProcTree tree;
  tree.cpus("0-3").core({2}).core({3}).node(0, "0-1").node(1, "2-3");
  const auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.nodes(), ElementsAre(0, 1));
  EXPECT_EQ(host.node(3), 1);
  EXPECT_EQ(host.node(9), std::nullopt);
  EXPECT_EQ(host.cores_of_node(1), 2);
}

TEST(Topology, LeavesOutANodeWithoutCpus) {
  ProcTree tree;
  tree.node(1, "");
  EXPECT_THAT(read_topology(tree.roots())->nodes(), ElementsAre(0));
}

TEST(Topology, IsWithoutNodesOnAKernelWithoutNuma) {
  ProcTree tree;
  std::filesystem::remove_all(tree.roots().sys + "/devices/system/node");
  const auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.nodes(), IsEmpty());
  EXPECT_EQ(host.cores(), 2);
}

TEST(Topology, TakesTheNameOfOldKernelsForSiblings) {
  ProcTree tree;
  for (const char* cpu : {"cpu0", "cpu1"}) {
    const auto path = tree.roots().sys + "/devices/system/cpu/" + cpu;
    std::filesystem::remove_all(path + "/topology");
    ProcTree::write(path + "/topology/thread_siblings_list", "0-1\n");
  }
  EXPECT_EQ(read_topology(tree.roots())->cores(), 1);
}

TEST(Topology, TakesEveryCpuForACoreWhereTheKernelDoesNotTell) {
  ProcTree tree;
  tree.cpus("0-7");
  EXPECT_EQ(read_topology(tree.roots())->cores(), 8);
}

TEST(Topology, IsAnErrorWithTheFileThatIsMissingOrGarbled) {
  ProcTree tree;
  tree.cpus("zero");
  const auto garbled = read_topology(tree.roots());
  ASSERT_FALSE(garbled);
  EXPECT_THAT(garbled.error().message(), HasSubstr("cpu/online"));
  EXPECT_FALSE(read_topology({"/proc", "/nonexistent"}));
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/machines.h"
#include "tests/support/proc_tree.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

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

TEST(Topology, KnowsTheDistancesOfNodesWithoutCpusToo) {
  ProcTree tree;
  tree.node(0, "0-1").node(1, "").distance(0, "10 24").distance(1, "24 10");
  const auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.nodes(), ElementsAre(0));
  EXPECT_THAT(host.distance,
              ElementsAre(Pair(Pair(0, 0), 10), Pair(Pair(0, 1), 24),
                          Pair(Pair(1, 0), 24), Pair(Pair(1, 1), 10)));
}

TEST(Topology, CountsDistancesByTheNodesThatAreOnline) {
  ProcTree tree;
  tree.node(0, "0").node(1, "").node(2, "1");
  ProcTree::write(tree.roots().sys + "/devices/system/node/online", "0,2\n");
  tree.distance(0, "10 20").distance(1, "15 10").distance(2, "20 10");
  const auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.distance,
              ElementsAre(Pair(Pair(0, 0), 10), Pair(Pair(0, 2), 20),
                          Pair(Pair(2, 0), 20), Pair(Pair(2, 2), 10)));
}

TEST(Topology, IsWithoutTheDistancesThatCannotBeUnderstood) {
  ProcTree tree;
  tree.node(0, "0").node(1, "1").distance(0, "10 20").distance(1, "20");
  EXPECT_THAT(read_topology(tree.roots())->distance, SizeIs(2));
  tree.distance(0, "10 far");
  const auto host = read_topology(tree.roots());
  ASSERT_TRUE(host);
  EXPECT_THAT(host->distance, IsEmpty());
  EXPECT_EQ(host->node(1), 1);
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

TEST(TopologyOfAMachine, CountsTheCoresOfTwoPackagesWithAndWithoutSmt) {
  ProcTree tree;
  build_xeon(tree);
  auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.online, SizeIs(64));
  EXPECT_EQ(host.cores(), 32);
  EXPECT_EQ(host.cores_of_node(1), 16);
  switch_smt_off(tree);
  host = *read_topology(tree.roots());
  EXPECT_THAT(host.online, SizeIs(32));
  EXPECT_EQ(host.cores(), 32);
  EXPECT_EQ(host.cores_of_node(1), 16);
}

TEST(TopologyReader, ReadsAnewWhenCpusGoOfflineAndNotBefore) {
  ProcTree tree;
  build_xeon(tree);
  TopologyReader reader(tree.roots());
  const auto first = reader.read();
  ASSERT_TRUE(first);
  EXPECT_EQ(*reader.read(), *first);
  switch_smt_off(tree);
  const auto after = reader.read();
  ASSERT_TRUE(after);
  EXPECT_NE(*after, *first);
  EXPECT_THAT((*after)->online, SizeIs(32));
  EXPECT_EQ(*reader.read(), *after);
}

// Read in the midst of a change, which no list of what is online tells.
TEST(TopologyReader, ReadsAnewBeforeLong) {
  ProcTree tree;
  tree.cpus("0-7");
  TopologyReader reader(tree.roots());
  EXPECT_EQ((*reader.read())->cores(), 8);
  tree.core({0, 1});
  unsigned calls = 1;
  while ((*reader.read())->cores() == 8) ++calls;
  EXPECT_EQ(calls, TopologyReader::kCallsKept + 1);
}

TEST(TopologyReader, SaysWhatCannotBeReadAndReadsItLater) {
  ProcTree tree;
  tree.cpus("zero");
  TopologyReader reader(tree.roots());
  EXPECT_FALSE(reader.read());
  tree.cpus("0-3");
  EXPECT_EQ((*reader.read())->cores(), 4);
}

TEST(TopologyOfAMachine, CountsTheCoresOfFourNodesPerPackage) {
  ProcTree tree;
  build_epyc(tree);
  const auto host = *read_topology(tree.roots());
  EXPECT_EQ(host.cores(), 64);
  EXPECT_THAT(host.nodes(), SizeIs(8));
  for (const int node : host.nodes()) EXPECT_EQ(host.cores_of_node(node), 8);
}

TEST(TopologyOfAMachine, CountsCoresWithOneThreadAndWithTwo) {
  ProcTree tree;
  build_hybrid_desktop(tree);
  const auto host = *read_topology(tree.roots());
  EXPECT_THAT(host.online, SizeIs(24));
  EXPECT_EQ(host.cores(), 16);
}

TEST(TopologyOfAMachine, CountsTheCoresOfAnArmBoardAndOfAGuest) {
  ProcTree orin;
  build_orin(orin);
  EXPECT_EQ(read_topology(orin.roots())->cores(), 12);
  ProcTree guest;
  build_kvm_guest(guest);
  EXPECT_EQ(read_topology(guest.roots())->cores(), 4);
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

// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/core_classes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/machines.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

CoreClasses classes(const ProcTree& tree) {
  return *read_core_classes(tree.roots(), *read_topology(tree.roots()));
}

TEST(ClassesOfCores, AreByCapacity) {
  ProcTree tree;
  tree.cpus("0-3");
  write_cpu_file(tree, 0, "cpu_capacity", "1024\n");
  write_cpu_file(tree, 1, "cpu_capacity", "446\n");
  write_cpu_file(tree, 2, "cpu_capacity", "446\n");
  write_cpu_file(tree, 3, "cpu_capacity", "871\n");
  EXPECT_THAT(classes(tree),
              ElementsAre(Pair("efficiency", 2), Pair("middle", 1),
                          Pair("performance", 1)));
}

TEST(ClassesOfCores, AreIntelsWhereItNamesThem) {
  ProcTree tree;
  build_hybrid_desktop(tree);
  EXPECT_THAT(classes(tree),
              ElementsAre(Pair("efficiency", 8), Pair("performance", 8)));
}

TEST(ClassesOfCores, AreNoneWhereAllAreAlikeOrNothingTells) {
  ProcTree orin;
  build_orin(orin);
  EXPECT_THAT(classes(orin), IsEmpty());
  ProcTree xeon;
  build_xeon(xeon);
  EXPECT_THAT(classes(xeon), IsEmpty());
  write_cpu_file(orin, 5, "cpu_capacity", "little\n");
  EXPECT_FALSE(read_core_classes(orin.roots(), *read_topology(orin.roots())));
}

}  // namespace
}  // namespace vcpu

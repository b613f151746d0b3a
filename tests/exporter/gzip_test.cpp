// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/gzip.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace vcpu {
namespace {

// What gzip(1), an implementation that is not ours, makes of it.
std::string unpack(const std::string& packed) {
  std::string name = testing::TempDir() + "vcpu_gzip_XXXXXX";
  const int fd = mkstemp(name.data());
  EXPECT_GE(fd, 0);
  close(fd);
  std::ofstream(name, std::ios::binary) << packed;
  const std::string plain = name + ".plain";
  const std::string command = "gzip -dc <" + name + " >" + plain;
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(plain, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::remove(name.c_str());
  std::remove(plain.c_str());
  return text;
}

TEST(Gzip, RoundTrips) {
  std::string page;
  for (int i = 0; i < 20000; ++i) {
    page += "vcpu_steal_seconds_total{vcpu=\"" + std::to_string(i) + "\"} 1\n";
  }
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(3, '\0'), page}) {
    EXPECT_EQ(unpack(gzip(text)), text);
  }
  EXPECT_LT(gzip(page).size(), page.size() / 4);
}

TEST(Gzip, SurvivesWhatDoesNotShrink) {
  std::mt19937 random(1);  // The same noise each time.
  std::string noise;
  for (int i = 0; i < 300000; ++i) noise += static_cast<char>(random() & 0xff);
  EXPECT_EQ(unpack(gzip(noise)), noise);
}

TEST(Gzip, KeepsNoMoreMemoryThanItsResult) {
  const std::string packed = gzip(std::string(1 << 20, 'a'));
  EXPECT_LT(packed.capacity(), std::size_t{1} << 16);
}

}  // namespace
}  // namespace vcpu

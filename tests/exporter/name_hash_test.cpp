// SPDX-License-Identifier: Apache-2.0
#include "exporter/name_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace vcpu {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class KeyFile : public testing::Test {
 protected:
  ~KeyFile() override { std::remove(path_.c_str()); }

  std::variant<ShownName, ConfigError> load(const std::string& text) const {
    std::ofstream(path_, std::ios::binary) << text;
    ::chmod(path_.c_str(), S_IRUSR);
    return load_name_hash(path_);
  }

  std::string problem(const std::string& text) const {
    const auto loaded = load(text);
    const auto* const error = std::get_if<ConfigError>(&loaded);
    return error == nullptr ? "" : error->message;
  }

  const std::string path_ =
      testing::TempDir() + "vcpu_name_key." + std::to_string(::getpid());
};

// RFC 4231, test cases 1 and 2.
TEST(NameHash, IsTheBeginOfHmacSha256) {
  EXPECT_EQ(hash_of_name(std::string(20, '\x0b'), "Hi There"),
            "b0344c61d8db3853");
  EXPECT_EQ(hash_of_name("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e");
}

TEST(NameHash, TellsNamesAndKeysApart) {
  EXPECT_NE(hash_of_name("k", "a"), hash_of_name("k", "b"));
  EXPECT_NE(hash_of_name("k", "a"), hash_of_name("l", "a"));
  EXPECT_THAT(hash_of_name("k", std::string("\0\xff\n", 3)),
              MatchesRegex("[0-9a-f]{16}"));
}

TEST(NameHash, WhatIsNotThereStaysSo) {
  const ShownName hash = [](std::string_view) { return std::string("h"); };
  EXPECT_EQ(as_shown(hash, ""), "");
  EXPECT_EQ(as_shown(hash, "a"), "h");
  EXPECT_EQ(as_shown({}, "a"), "a");
}

TEST_F(KeyFile, HoldsTheKeyInItsFirstLine) {
  const std::string key(kLeastKeyBytes, 'k');
  for (const std::string end : {"", "\n", "\r\n", "\nmore\n"}) {
    const auto loaded = load(key + end);
    EXPECT_EQ(std::get<ShownName>(loaded)("web"), hash_of_name(key, "web"));
  }
}

TEST_F(KeyFile, IsRefusedWhereItCouldBeGuessedOrIsNotThere) {
  EXPECT_EQ(problem(std::string(kLeastKeyBytes, 'k')), "");
  for (const std::string text :
       {"", "\n", "123456789012345", "short\nand more"})
    EXPECT_THAT(problem(text), HasSubstr("could be guessed; make one with"));
  const auto loaded = load_name_hash("/nonexistent/key");
  EXPECT_THAT(std::get<ConfigError>(loaded).message,
              HasSubstr("/nonexistent/key"));
}

TEST_F(KeyFile, IsNotNeeded) {
  EXPECT_FALSE(std::get<ShownName>(load_name_hash("")));
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// Hashes are test vectors of Openwall's crypt_blowfish, or made by htpasswd.
#include "exporter/basic_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <future>
#include <vector>

namespace vcpu {
namespace {

using Verdict = BasicAuth::Verdict;
using testing::HasSubstr;

constexpr const char* kHash =  // Of "U*U".
    "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

std::string base64(const std::string& text) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string encoded;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    unsigned bits = 0;
    for (std::size_t j = i; j < i + 3; ++j) {
      bits = bits << 8U |
             (j < text.size() ? static_cast<unsigned char>(text[j]) : 0U);
    }
    for (const unsigned shift : {18U, 12U, 6U, 0U})
      encoded += kDigits[bits >> shift & 63U];
    const std::size_t missing = i + 3 - std::min(i + 3, text.size());
    std::fill_n(encoded.end() - static_cast<std::ptrdiff_t>(missing), missing,
                '=');
  }
  return encoded;
}

Verdict ask(BasicAuth& auth, const std::string& user_and_password) {
  return auth.check("Basic " + base64(user_and_password));
}

// Whether the password is right for this hash.
bool good(const char* hash, const std::string& password) {
  BasicAuth auth;
  auth.set_users({{"u", hash}});
  return ask(auth, "u:" + password) == Verdict::kGood;
}

TEST(BasicAuth, KnowsUsersAndTheirPasswords) {
  BasicAuth auth;
  auth.set_users({{"prometheus", kHash}, {"other", kHash}});
  for (int round = 0; round < 2; ++round) {  // The second from memory.
    EXPECT_EQ(ask(auth, "prometheus:U*U"), Verdict::kGood);
    EXPECT_EQ(ask(auth, "prometheus:U*V"), Verdict::kBad);
    EXPECT_EQ(ask(auth, "nobody:U*U"), Verdict::kBad);
    EXPECT_EQ(ask(auth, ":U*U"), Verdict::kBad);
    EXPECT_EQ(ask(auth, "Prometheus:U*U"), Verdict::kBad);
    EXPECT_EQ(ask(auth, "prometheus:"), Verdict::kBad);
    EXPECT_EQ(ask(auth, "other:U*U"), Verdict::kGood);
  }
}

TEST(BasicAuth, WithoutUsersEverybodyMayAsk) {
  BasicAuth auth;
  EXPECT_EQ(auth.check(""), Verdict::kGood);
  auth.set_users({{"u", kHash}});
  EXPECT_EQ(auth.check(""), Verdict::kBad);
  auth.set_users({});
  EXPECT_EQ(auth.check(""), Verdict::kGood);
}

TEST(BasicAuth, ForgetsWhatNoLongerHolds) {
  const char* const other =  // Of "U*U*".
      "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK";
  BasicAuth auth;
  auth.set_users({{"u", kHash}});
  EXPECT_EQ(ask(auth, "u:U*U"), Verdict::kGood);
  auth.set_users({{"u", other}});
  EXPECT_EQ(ask(auth, "u:U*U"), Verdict::kBad);
  EXPECT_EQ(ask(auth, "u:U*U*"), Verdict::kGood);
  auth.set_users({{"v", other}});
  EXPECT_EQ(ask(auth, "u:U*U*"), Verdict::kBad);
}

TEST(BasicAuth, TakesWhatClientsSend) {
  BasicAuth auth;
  auth.set_users({{"u", kHash}});
  EXPECT_EQ(auth.check("basic dTpVKlU="), Verdict::kGood);
  // Bits that say nothing, as Go takes them.
  EXPECT_EQ(auth.check("Basic dTpVKlW="), Verdict::kGood);
  for (const char* header :
       {"", "Basic", "Basic ", "Basic =", "Basic ====", "Basic dTpVKlU",
        "Basic dTpVKlU=, Basic dTpVKlU=", "Basic d", "Basic dTpV\nKlU=",
        "Bearer dTpVKlU=", "Basic dQ==", "Basic !!!!", "dTpVKlU="}) {
    EXPECT_EQ(auth.check(header), Verdict::kBad) << header;
  }
}

TEST(BasicAuth, ComparesAsBcryptDoes) {
  EXPECT_TRUE(good(kHash, "U*U"));
  // Two bits of the salt's last character count.
  EXPECT_TRUE(good(
      "$2b$05$CCCCCCCCCCCCCCCCCCCCC/E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"));
  EXPECT_FALSE(good(
      "$2b$05$CCCCCCCCCCCCCCCCCCCCCOE5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"));
  for (const char* hash :
       {"$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq",
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"}) {
    EXPECT_TRUE(good(hash, "\xa3"));
  }
  // To libcrypt this $2a$ would be another hash, to all others it is not.
  EXPECT_TRUE(
      good("$2a$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
           "\xff\xff\xa3"));
  // Only 72 bytes count.
  EXPECT_TRUE(
      good("$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
           "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
           "0123456789chars after 72 are ignored"));
  EXPECT_FALSE(good(kHash, std::string("U*U\0", 4)));
  EXPECT_FALSE(good(kHash, std::string("U*U\0x", 5)));
  EXPECT_FALSE(good(kHash, std::string(100000, 'x')));
}

TEST(BasicAuth, SaysWhatIsNoHash) {
  EXPECT_EQ(bcrypt_problem(kHash), "");
  for (const char* hash :
       {"", "secret",
        "$2$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
        "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$5$CCCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe:",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW",
        "$6$abc$def"}) {
    EXPECT_THAT(bcrypt_problem(hash), HasSubstr("no bcrypt hash")) << hash;
  }
  EXPECT_THAT(
      bcrypt_problem(
          "$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
      HasSubstr("cost of 3"));
}

// Whoever knows the password is let in while others guess.
TEST(BasicAuth, ComputesOneHashAtATimeForSoManyWhoWait) {
  const char* const slow =
      "$2a$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  BasicAuth auth;
  auth.set_users({{"guessed", slow}, {"known", kHash}});
  ASSERT_EQ(ask(auth, "known:U*U"), Verdict::kGood);
  constexpr int kGuesses = 3 * BasicAuth::kMaxWaiting;
  std::barrier start(kGuesses + 1);
  std::vector<std::future<Verdict>> guesses;
  guesses.reserve(kGuesses);
  for (int i = 0; i < kGuesses; ++i) {
    guesses.push_back(std::async(std::launch::async, [&] {
      start.arrive_and_wait();
      return ask(auth, "guessed:x");
    }));
  }
  start.arrive_and_wait();
  EXPECT_EQ(ask(auth, "known:U*U"), Verdict::kGood);
  int busy = 0;
  int bad = 0;
  for (auto& guess : guesses) {
    const Verdict verdict = guess.get();
    busy += verdict == Verdict::kBusy ? 1 : 0;
    bad += verdict == Verdict::kBad ? 1 : 0;
  }
  EXPECT_EQ(busy + bad, kGuesses);
  EXPECT_GT(busy, 0);
  EXPECT_GE(bad, BasicAuth::kMaxWaiting);
  EXPECT_EQ(ask(auth, "guessed:x"), Verdict::kBad);  // There is room again.
}

}  // namespace
}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// HTTP basic authentication (RFC 7617) against bcrypt hashes.
//
// bcrypt is slow on purpose, so that a guessed password costs whoever guesses;
// it must not cost the host as much:
//   - the password that was last right for a user is known again by its HMAC,
//     under a key of this process alone: a scrape costs microseconds;
//   - one hash is computed at a time, kMaxWaiting requests wait for that, and
//     more are told to come back.
// Who asks for a user that does not exist waits as long as for one that does:
// the password is compared with the hash of some user, for one name always the
// same, and is wrong.
//
// Passwords end at 72 bytes, as bcrypt's do. Thread-safe; throws
// std::bad_alloc only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace vcpu {

// User name to bcrypt hash.
using BasicAuthUsers = std::map<std::string, std::string>;

// Empty, or what is wrong with the hash ("is ...; write ..."), which is not
// repeated.
std::string bcrypt_problem(std::string_view hash);

inline constexpr int kMaxBcryptCost = 16;  // Some 4 s.

class BasicAuth {
 public:
  enum class Verdict : std::uint8_t { kGood, kBad, kBusy };

  static constexpr int kMaxWaiting = 16;

  // Takes the place of all before; hashes without a bcrypt_problem(). Without
  // users everything is good.
  void set_users(BasicAuthUsers users);

  // `authorization`: the header's value, empty where there is none.
  Verdict check(std::string_view authorization);

 private:
  using Digest = std::array<unsigned char, 32>;

  Digest digest_of(std::string_view user, std::string_view hash,
                   std::string_view password) const;
  const std::string& hash_of_some_user(const BasicAuthUsers& users,
                                       std::string_view name) const;
  Verdict compare(const std::string& password, const std::string& hash);
  bool is_known(const std::string& user, const Digest& digest);

  Digest key_{};  // Set once, before there are users.
  bool has_key_ = false;
  std::mutex mutex_;  // Of the following two.
  std::shared_ptr<const BasicAuthUsers> users_ =
      std::make_shared<const BasicAuthUsers>();
  std::map<std::string, Digest> known_;  // What was right last.
  std::mutex bcrypt_mutex_;
  std::atomic<int> waiting_{0};
};

}  // namespace vcpu

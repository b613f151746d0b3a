// SPDX-License-Identifier: Apache-2.0
#include "exporter/basic_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <strings.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <new>
#include <optional>
#include <utility>

namespace vcpu {
namespace {

// $2y$10$ and 22 characters of salt; then the 31 of the hash itself.
constexpr std::size_t kBcryptBytes = 60;
constexpr std::size_t kSaltedBytes = 29;

struct Credentials {
  std::string user;
  std::string password;

  Credentials(std::string name, std::string secret)
      : user(std::move(name)), password(std::move(secret)) {}
  Credentials(Credentials&&) = default;
  Credentials(const Credentials&) = delete;
  Credentials& operator=(Credentials&&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  ~Credentials() { OPENSSL_cleanse(password.data(), password.size()); }
};

std::optional<std::string> base64_decode(std::string_view text) {
  const auto padding = text.size() - std::min(text.find('='), text.size());
  if (text.empty() || text.size() % 4 != 0 || padding > 2) return std::nullopt;
  std::string decoded(text.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                      reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  if (size != static_cast<int>(decoded.size())) return std::nullopt;
  decoded.resize(decoded.size() - padding);
  return decoded;
}

std::optional<Credentials> parse_authorization(std::string_view header) {
  constexpr std::string_view kScheme = "Basic ";
  if (header.size() < kScheme.size() ||
      strncasecmp(header.data(), kScheme.data(), kScheme.size()) != 0) {
    return std::nullopt;
  }
  auto decoded = base64_decode(header.substr(kScheme.size()));
  if (!decoded) return std::nullopt;
  const auto colon = decoded->find(':');
  if (colon == std::string::npos) return std::nullopt;
  Credentials credentials(decoded->substr(0, colon),
                          decoded->substr(colon + 1));
  OPENSSL_cleanse(decoded->data(), decoded->size());
  return credentials;
}

bool equal(std::string_view left, std::string_view right) {
  return left.size() == right.size() &&
         CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

// $2a$ and $2b$ mean the same; to libcrypt $2a$ is a third thing.
std::string setting_of(const std::string& hash) {
  return "$2y" + hash.substr(3, kSaltedBytes - 3);
}

bool matches(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();
  const char* const made =
      crypt_r(password.c_str(), setting_of(hash).c_str(), data.get());
  // The salt is left out: of its last character two bits count only.
  const bool same = made != nullptr && made[0] != '*' &&
                    equal(std::string_view(made).substr(kSaltedBytes),
                          std::string_view(hash).substr(kSaltedBytes));
  OPENSSL_cleanse(data.get(), sizeof *data);
  // To libcrypt a password ends at a NUL.
  return same && password.find('\0') == std::string::npos;
}

// Each with its length, so that no two lists of parts make the same bytes.
void append_part(std::string& bytes, std::string_view part) {
  bytes += std::to_string(part.size());
  bytes += ':';
  bytes += part;
}

}  // namespace

std::string bcrypt_problem(std::string_view hash) {
  constexpr std::string_view kAlphabet =
      "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool shaped =
      hash.size() == kBcryptBytes && hash.substr(0, 2) == "$2" &&
      std::string_view("aby").find(hash[2]) != std::string_view::npos &&
      hash[3] == '$' && is_digit(hash[4]) && is_digit(hash[5]) &&
      hash[6] == '$' &&
      hash.find_first_not_of(kAlphabet, 7) == std::string_view::npos;
  if (!shaped) {
    return "is no bcrypt hash; write what `htpasswd -nBC 10 \"\"` prints after "
           "the colon";
  }
  const int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
  if (cost < 4 || cost > kMaxBcryptCost) {
    return "has a bcrypt cost of " + std::to_string(cost) +
           "; make a hash with one from 4 to " +
           std::to_string(kMaxBcryptCost) + ", such as 10";
  }
  return "";
}

void BasicAuth::set_users(BasicAuthUsers users) {
  auto fresh = std::make_shared<const BasicAuthUsers>(std::move(users));
  const std::lock_guard lock(mutex_);
  // Not before it is needed: it wakes all of OpenSSL up.
  if (!fresh->empty() && !has_key_) {
    has_key_ = RAND_bytes(key_.data(), static_cast<int>(key_.size())) == 1;
    if (!has_key_) throw std::bad_alloc();
  }
  users_ = std::move(fresh);
  std::erase_if(known_, [this](const auto& known) {
    return !users_->contains(known.first);
  });
}

BasicAuth::Verdict BasicAuth::check(std::string_view authorization) {
  std::shared_ptr<const BasicAuthUsers> users;
  {
    const std::lock_guard lock(mutex_);
    users = users_;
  }
  if (users->empty()) return Verdict::kGood;
  const auto given = parse_authorization(authorization);
  if (!given) return Verdict::kBad;

  const auto user = users->find(given->user);
  const bool exists = user != users->end();
  // Made for those who exist too, as it takes a moment.
  const std::string& other = hash_of_some_user(*users, given->user);
  const std::string& hash = exists ? user->second : other;
  const Digest digest = digest_of(given->user, hash, given->password);
  if (is_known(given->user, digest)) return Verdict::kGood;
  const Verdict verdict = compare(given->password, hash);
  if (verdict != Verdict::kGood) return verdict;
  if (!exists) return Verdict::kBad;
  const std::lock_guard lock(mutex_);
  known_[given->user] = digest;
  return Verdict::kGood;
}

bool BasicAuth::is_known(const std::string& user, const Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(user);
  return known != known_.end() &&
         CRYPTO_memcmp(known->second.data(), digest.data(), digest.size()) == 0;
}

BasicAuth::Verdict BasicAuth::compare(const std::string& password,
                                      const std::string& hash) {
  const bool room = ++waiting_ <= kMaxWaiting;
  Verdict verdict = Verdict::kBusy;
  if (room) {
    const std::lock_guard lock(bcrypt_mutex_);
    verdict = matches(password, hash) ? Verdict::kGood : Verdict::kBad;
  }
  --waiting_;
  return verdict;
}

BasicAuth::Digest BasicAuth::digest_of(std::string_view user,
                                       std::string_view hash,
                                       std::string_view password) const {
  std::string bytes;
  for (const std::string_view part : {user, hash, password})
    append_part(bytes, part);
  Digest digest{};
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
       digest.data(), nullptr);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return digest;
}

const std::string& BasicAuth::hash_of_some_user(const BasicAuthUsers& users,
                                                std::string_view name) const {
  const Digest digest = digest_of(name, "", "");
  const std::size_t number = digest[0] * 256U + digest[1];
  return std::next(users.begin(),
                   static_cast<std::ptrdiff_t>(number % users.size()))
      ->second;
}

}  // namespace vcpu

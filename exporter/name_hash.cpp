// SPDX-License-Identifier: Apache-2.0
#include "exporter/name_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "exporter/log.h"
#include "exporter/wording.h"
#include "exporter/yaml.h"

namespace vcpu {
namespace {

constexpr std::size_t kShownBytes = 8;  // Two digits each.

void warn_of_rights(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || (status.st_mode & S_IROTH) == 0)
    return;
  log(LogLevel::kWarn, "Every user of this machine can read the key in " +
                           in_quotes(file) +
                           "; take that right away (chmod o-r)");
}

}  // namespace

std::string hash_of_name(std::string_view key, std::string_view name) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  // Fails for want of memory only, and then says nothing of the name.
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(name.data()), name.size(),
       digest.data(), nullptr);
  std::string text;
  for (std::size_t i = 0; i < kShownBytes; ++i) {
    text += kDigits[digest.at(i) >> 4U];
    text += kDigits[digest.at(i) & 0xFU];
  }
  return text;
}

std::variant<ShownName, ConfigError> load_name_hash(const std::string& file) {
  if (file.empty()) return ShownName{};
  auto read = read_config_file(file);
  if (auto* error = std::get_if<ConfigError>(&read)) return std::move(*error);
  auto key = std::get<std::string>(std::move(read));
  key.erase(std::min(key.size(), key.find_first_of("\r\n")));
  if (key.size() < kLeastKeyBytes)
    return ConfigError{file + ": the key in its first line has fewer than " +
                       std::to_string(kLeastKeyBytes) +
                       " bytes and could be guessed; make one with `openssl "
                       "rand -hex 32`"};
  warn_of_rights(file);
  return ShownName{[key = std::move(key)](std::string_view name) {
    return hash_of_name(key, name);
  }};
}

}  // namespace vcpu

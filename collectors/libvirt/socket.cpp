// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/socket.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace vcpu {
namespace {

// "%2F" and its like, as in every URI; what is not such an escape stays.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char code = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto* const end = digits.data() + digits.size();
    if (text[i] == '%' && digits.size() == 2 &&
        std::from_chars(digits.data(), end, code, 16).ptr == end) {
      out.push_back(static_cast<char>(code));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// The value of the query parameter `socket`; empty where there is none.
std::string socket_parameter(std::string_view uri) {
  constexpr std::string_view kKey = "socket=";
  const auto question = uri.find('?');
  if (question == std::string_view::npos) return {};
  auto query = uri.substr(question + 1);
  query = query.substr(0, query.find('#'));
  while (!query.empty()) {
    const auto parameter = query.substr(0, query.find_first_of("&;"));
    if (parameter.starts_with(kKey)) {
      return percent_decoded(parameter.substr(kKey.size()));
    }
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
  }
  return {};
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ||
         (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace

std::vector<std::string> libvirt_sockets(std::string_view uri) {
  if (auto path = socket_parameter(uri); !path.empty()) return {path};
  const auto target = uri.substr(0, uri.find_first_of("?#"));
  if (target == "qemu:///system" || target == "qemu+unix:///system") {
    return {"/run/libvirt/libvirt-sock-ro", "/run/libvirt/virtqemud-sock-ro"};
  }
  return {};
}

bool any_exists(const std::vector<std::string>& paths) {
  return paths.empty() || std::any_of(paths.begin(), paths.end(), exists);
}

}  // namespace vcpu

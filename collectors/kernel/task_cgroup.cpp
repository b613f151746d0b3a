// SPDX-License-Identifier: Apache-2.0
#include "collectors/kernel/task_cgroup.h"

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

bool lists(std::string_view controllers, std::string_view wanted) {
  while (!controllers.empty()) {
    const auto comma = controllers.find(',');
    if (controllers.substr(0, comma) == wanted) return true;
    if (comma == std::string_view::npos) break;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

CgroupPath controller_cgroup(std::string_view text,
                             std::string_view controller) {
  CgroupPath unified;
  while (!text.empty()) {
    const auto line = take_line(text);
    const auto first = line.find(':');
    if (first == std::string_view::npos) continue;
    const auto second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    if (lists(controllers, controller)) return {path, 1};
    if (controllers.empty()) unified.path = path;
  }
  return unified;
}

}  // namespace vcpu

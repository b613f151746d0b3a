// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vm_limits.h"

#include <cstddef>
#include <map>
#include <utility>

#include "collectors/inventory/precedence.h"

namespace vcpu {
namespace {

struct Used {  // By one user.
  int vms = 0;
  std::uint64_t threads = 0;
};

bool is_systems(const VmClaim& claim) {
  return claim.owner && is_system_user(*claim.owner);
}

std::string_view beyond_users(const VmClaim& claim, const Used& used,
                              const VmLimits& limits) {
  if (used.vms >= limits.user_vms) return "user_vm_limit";
  if (std::cmp_greater(used.threads + claim.threads, limits.user_threads))
    return "user_thread_limit";
  return {};
}

}  // namespace

bool is_system_user(uid_t uid) {
  constexpr uid_t kFirstPerson = 1000;
  constexpr uid_t kFirstOfDebian = 60000;
  constexpr uid_t kLastOfSystemd = 65519;
  return uid < kFirstPerson || (uid >= kFirstOfDebian && uid <= kLastOfSystemd);
}

std::vector<std::string_view> beyond_limits(const std::vector<VmClaim>& claims,
                                            const VmLimits& limits) {
  std::vector<std::string_view> beyond(claims.size());
  std::map<std::optional<uid_t>, Used> users;
  int shown = 0;
  for (const std::size_t i : by_precedence(claims, is_systems)) {
    const VmClaim& claim = claims[i];
    Used& used = users[claim.owner];
    if (!is_systems(claim)) beyond[i] = beyond_users(claim, used, limits);
    if (beyond[i].empty() && shown == limits.vms) beyond[i] = "vm_limit";
    if (!beyond[i].empty()) continue;
    ++shown;
    ++used.vms;
    used.threads += claim.threads;
  }
  return beyond;
}

}  // namespace vcpu

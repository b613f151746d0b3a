// SPDX-License-Identifier: Apache-2.0
//
// Giving up every right that we may have been started with, but for those that
// are named to be kept.
//
// Afterwards no other capability is in any set (effective, permitted,
// inheritable, ambient; as root also bounding), no_new_privs is set, and the
// user is not root. What is kept is effective and permitted, and no program
// that we start inherits it. All of it is read back from the kernel: success
// means it is so.
//
// Linux keeps these per thread, and the library only sees the calling one: call
// drop_privileges() before the first thread is started, and after all that
// needs rights is open. A process that changed its user is no longer dumpable,
// so that others who run as the same user cannot trace it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vcpu {

// A capability by its number in linux/capability.h.
using Capability = int;

// Who to become when started as root and no user is configured: the first of
// these that exists.
inline constexpr const char* kServiceUser = "vcpu_exporter";
inline constexpr const char* kFallbackUser = "nobody";

struct PrivilegeResult {
  std::string error;  // Empty: success. Else what failed and what to do; the
                      // process may be half-way and must not go on.
  uid_t uid = 0;      // Of the process now.
  std::string user;   // Its name, or the number where it has none.
  bool changed_user = false;
  std::vector<std::string> kept;  // Capabilities held now: "CAP_PERFMON".
};

// As root: becomes `user`, with that user's own groups; where `user` is empty,
// kServiceUser, else kFallbackUser. A user that does not exist, or is root, is
// an error. Not as root: `user` is not looked at, as there is no way to get
// there. Of `keep` stays what is there to be kept. Never throws.
PrivilegeResult drop_privileges(
    const std::string& user, const std::vector<Capability>& keep = {}) noexcept;

}  // namespace vcpu

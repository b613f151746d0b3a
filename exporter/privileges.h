// SPDX-License-Identifier: Apache-2.0
//
// Giving up every right that we may have been started with.
//
// Afterwards no capability is in any set (effective, permitted, inheritable,
// ambient; as root also bounding), no_new_privs is set, and the user is not
// root. All of it is read back from the kernel: success means it is so.
//
// Linux keeps these per thread, and the library only sees the calling one: call
// drop_privileges() before the first thread is started, and after all that
// needs rights is open. A process that changed its user is no longer dumpable,
// so that others who run as the same user cannot trace it.
#pragma once

#include <sys/types.h>

#include <string>

namespace vcpu {

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
};

// As root: becomes `user`, with that user's own groups; where `user` is empty,
// kServiceUser, else kFallbackUser. A user that does not exist, or is root, is
// an error. Not as root: `user` is not looked at, as there is no way to get
// there. Never throws.
PrivilegeResult drop_privileges(const std::string& user) noexcept;

}  // namespace vcpu

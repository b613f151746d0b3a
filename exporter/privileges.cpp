// SPDX-License-Identifier: Apache-2.0
#include "exporter/privileges.h"

#include <cap-ng.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <exception>
#include <initializer_list>
#include <optional>
#include <system_error>

#include "exporter/wording.h"

namespace vcpu {
namespace {

constexpr std::size_t kPasswdBytes = std::size_t{64} << 10;

struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};

std::string errno_text() { return std::generic_category().message(errno); }

std::optional<User> find_user(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::string buffer(kPasswdBytes, '\0');
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return std::nullopt;
  return User{name, entry.pw_uid, entry.pw_gid};
}

std::string user_name(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::string buffer(kPasswdBytes, '\0');
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::to_string(uid) : entry.pw_name;
}

// Who to become, or what is wrong with that.
std::optional<User> choose_user(const std::string& wanted, std::string& error) {
  std::optional<User> user;
  if (!wanted.empty()) {
    user = find_user(wanted);
    if (!user) {
      error = "user " + in_quotes(wanted) +
              " does not exist; create it or name another with --user";
    }
  } else {
    user = find_user(kServiceUser);
    if (!user) user = find_user(kFallbackUser);
    if (!user) {
      error = std::string("neither user ") + kServiceUser + " nor " +
              kFallbackUser + " exists; name one with --user";
    }
  }
  if (user && user->uid == 0) {
    error = "user " + in_quotes(user->name) +
            " is root; name one without rights with --user";
    return std::nullopt;
  }
  return user;
}

// What libcap-ng's capng_change_id() returns.
std::string_view change_step(int code) {
  switch (code) {
    case -4:
      return "setting the group";
    case -5:
    case -10:
      return "setting the supplementary groups";
    case -6:
      return "setting the user";
    case -8:
      return "clearing the bounding set";
    default:
      return "setting the capabilities";
  }
}

using Capabilities = std::vector<Capability>;

bool contains(const Capabilities& capabilities, Capability capability) {
  return std::find(capabilities.begin(), capabilities.end(), capability) !=
         capabilities.end();
}

// Those of `wanted` that there are to be kept.
Capabilities permitted(const Capabilities& wanted) {
  Capabilities kept;
  if (capng_get_caps_process() != 0) return kept;
  for (const Capability capability : wanted) {
    if (capng_have_capability(CAPNG_PERMITTED,
                              static_cast<unsigned>(capability)) != 0)
      kept.push_back(capability);
  }
  return kept;
}

// Of all that is to be, nothing else.
void select_only(const Capabilities& kept) {
  capng_clear(CAPNG_SELECT_ALL);
  for (const Capability capability : kept) {
    capng_update(CAPNG_ADD,
                 static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
                 static_cast<unsigned>(capability));
  }
}

std::string become(const User& user, const Capabilities& kept) {
  select_only(kept);
  errno = 0;
  const int code = capng_change_id(
      static_cast<int>(user.uid), static_cast<int>(user.gid),
      static_cast<capng_flags_t>(CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING |
                                 CAPNG_CLEAR_AMBIENT));
  if (code == 0) return "";
  return "cannot become user " + in_quotes(user.name) + ": " +
         std::string(change_step(code)) + ": " + errno_text() +
         "; start with CAP_SETUID, CAP_SETGID and CAP_SETPCAP, or as a user "
         "other than root";
}

// Whether the kernel says that these sets hold `kept` and nothing else.
bool all_hold_only(const std::initializer_list<capng_type_t>& sets,
                   const Capabilities& kept) {
  for (const capng_type_t set : sets) {
    for (Capability cap = 0; cap <= CAP_LAST_CAP; ++cap) {
      const bool held =
          capng_have_capability(set, static_cast<unsigned>(cap)) != 0;
      if (held != contains(kept, cap)) return false;
    }
  }
  return true;
}

// What the kernel lets a process use, and what it lets it pass on.
bool usable_are_only(const Capabilities& kept) {
  return all_hold_only({CAPNG_EFFECTIVE, CAPNG_PERMITTED}, kept) &&
         all_hold_only({CAPNG_INHERITABLE, CAPNG_AMBIENT}, {});
}

std::string clear_capabilities(const Capabilities& kept) {
  // systemd's and a container's filters forbid capset(2) even where it would
  // give up nothing.
  if (capng_get_caps_process() == 0 && usable_are_only(kept)) return "";
  select_only(kept);
  errno = 0;
  // Ambient ones go with the inheritable. The bounding set would need
  // CAP_SETPCAP, and is without effect under no_new_privs.
  if (capng_apply(CAPNG_SELECT_CAPS) == 0) return "";
  return "cannot give up the capabilities: " + errno_text();
}

std::string forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return "";
  return "cannot set no_new_privs: " + errno_text();
}

std::string verify(bool was_root, const Capabilities& kept) {
  if (capng_get_caps_process() != 0) {
    return "cannot read the capabilities back: " + errno_text();
  }
  const bool gone = usable_are_only(kept) &&
                    (!was_root || all_hold_only({CAPNG_BOUNDING_SET}, {}));
  if (!gone) return "other capabilities are held than after giving them up";
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    return "no_new_privs is not set after setting it";
  }
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  ::getresuid(&real, &effective, &saved);
  if (real == 0 || effective == 0 || saved == 0) {
    return "still root after giving it up";
  }
  return "";
}

std::string drop_root(const std::string& wanted, const Capabilities& kept,
                      std::string& name) {
  std::string error;
  const std::optional<User> user = choose_user(wanted, error);
  if (!user) return error;
  name = user->name;
  return become(*user, kept);
}

std::string name_of(Capability capability) {
  const char* const name =
      capng_capability_to_name(static_cast<unsigned>(capability));
  std::string text = "CAP_" + (name == nullptr ? std::to_string(capability)
                                               : std::string(name));
  for (char& c : text)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

PrivilegeResult drop(const std::string& wanted, const Capabilities& keep) {
  PrivilegeResult result;
  const Capabilities kept = permitted(keep);
  const bool was_root = ::geteuid() == 0 || ::getuid() == 0;
  if (was_root) {
    result.error = drop_root(wanted, kept, result.user);
  } else {
    result.user = user_name(::geteuid());
    result.error = clear_capabilities(kept);
  }
  if (result.error.empty()) result.error = forbid_new_privileges();
  if (result.error.empty()) result.error = verify(was_root, kept);
  result.uid = ::geteuid();
  result.changed_user = was_root && result.error.empty();
  for (const Capability capability : kept)
    result.kept.push_back(name_of(capability));
  return result;
}

}  // namespace

PrivilegeResult drop_privileges(const std::string& user,
                                const std::vector<Capability>& keep) noexcept {
  try {
    return drop(user, keep);
  } catch (const std::exception&) {
    PrivilegeResult result;
    result.error = "out of memory";
    return result;
  }
}

}  // namespace vcpu

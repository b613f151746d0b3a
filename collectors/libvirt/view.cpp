// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/view.h"

#include <span>

namespace vcpu {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 12> kRunning{
    "unknown",       "booted",   "migrated",           "restored",
    "from_snapshot", "unpaused", "migration_canceled", "save_canceled",
    "wakeup",        "crashed",  "postcopy",           "postcopy_failed"};
constexpr std::array<std::string_view, 15> kPaused{
    "unknown",       "user",
    "migration",     "save",
    "dump",          "ioerror",
    "watchdog",      "from_snapshot",
    "shutting_down", "snapshot",
    "crashed",       "starting_up",
    "postcopy",      "postcopy_failed",
    "api_error"};
constexpr std::array<std::string_view, 2> kShutdown{"unknown", "user"};
constexpr std::array<std::string_view, 2> kCrashed{"unknown", "panicked"};
constexpr std::array<std::string_view, 1> kOther{"unknown"};

Names names_of(std::string_view state) {
  if (state == "running") return kRunning;
  if (state == "paused") return kPaused;
  if (state == "shutdown") return kShutdown;
  if (state == "crashed") return kCrashed;
  return kOther;
}

}  // namespace

std::string_view libvirt_state_reason(std::string_view state,
                                      std::uint32_t reason) {
  const auto names = names_of(state);
  return reason < names.size() ? names[reason] : std::string_view{};
}

}  // namespace vcpu

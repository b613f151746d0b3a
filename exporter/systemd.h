// SPDX-License-Identifier: Apache-2.0
//
// What we tell systemd about ourselves (sd_notify(3)): without NOTIFY_SOCKET in
// the environment, nothing, and nothing fails.
//
// The environment is read on each call, so it must not be changed meanwhile;
// else thread-safe. Nothing here waits or throws.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "collectors/base/result.h"

namespace vcpu {

// Listening, or a reload has ended. `status` is a line for systemctl status.
Result<void> notify_ready(const std::string& status);

// A reload begins; notify_ready() must follow, however it goes.
Result<void> notify_reloading();

Result<void> notify_stopping();

// Alive. At least once per watchdog_interval().
Result<void> notify_watchdog();

// How often systemd wants to hear notify_watchdog() at least: call it twice as
// often. Nothing where it does not watch this process.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace vcpu

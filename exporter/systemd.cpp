// SPDX-License-Identifier: Apache-2.0
#include "exporter/systemd.h"

#include <systemd/sd-daemon.h>

#include <cstdint>
#include <string_view>
#include <system_error>

#include "exporter/wording.h"

namespace vcpu {
namespace {

Result<void> notify(const std::string& state) {
  const int sent = ::sd_notify(0, state.c_str());
  if (sent >= 0) return {};
  return Error{{-sent, std::generic_category()}, "sd_notify"};
}

}  // namespace

Result<void> notify_ready(const std::string& status) {
  return notify("READY=1\nSTATUS=" + one_line(status));
}

Result<void> notify_reloading() {
  // systemd tells by the time whether READY=1 belongs to this reload.
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
  return notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()));
}

Result<void> notify_stopping() { return notify("STOPPING=1"); }

Result<void> notify_watchdog() { return notify("WATCHDOG=1"); }

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t interval_us = 0;
  if (::sd_watchdog_enabled(0, &interval_us) <= 0) return std::nullopt;
  return std::chrono::microseconds(interval_us);
}

}  // namespace vcpu

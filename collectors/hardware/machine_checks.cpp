// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/machine_checks.h"

#include <algorithm>

#include "collectors/base/file.h"
#include "collectors/kernel/interrupts.h"

namespace vcpu {
namespace {

// Some thirty lines follow the last interrupt of a device, MCE's among them: of
// 1024 CPUs they are 350 KiB.
constexpr std::size_t kEndBytes = std::size_t{2} << 20;

}  // namespace

// The kernel sums up over the CPUs that are online: when these have changed,
// how much of the difference is new cannot be told.
void MachineChecks::take_in(std::uint64_t sum, const CpuSet& online) {
  if (!counted_) {
    total_ = sum;
  } else if (online == online_) {
    total_ += sum - std::min(sum, last_);
  }
  counted_ = true;
  last_ = sum;
  online_ = online;
}

Result<void> MachineChecks::look(const CpuSet& online) {
  const auto path = roots_.proc + "/interrupts";
  const auto text = read_end(path, kEndBytes);
  if (!text) return text.error();
  const auto interrupts = parse_interrupts(*text);
  if (!interrupts) return malformed(path);
  if (interrupts->machine_checks) take_in(*interrupts->machine_checks, online);
  return {};
}

Result<std::uint64_t> MachineChecks::read(const CpuSet& online) {
  const auto now = now_();
  if (!due_ || now >= *due_) {
    const auto looked = look(online);
    if (!looked) return looked.error();
    due_ = now + kPeriod;
  }
  if (!counted_)
    return Error{make_error_code(std::errc::no_such_file_or_directory), "MCE"};
  return total_;
}

}  // namespace vcpu

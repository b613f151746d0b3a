// SPDX-License-Identifier: Apache-2.0
#include "exporter/asked_reload.h"

#include <utility>

namespace vcpu {
namespace {

constexpr std::chrono::seconds kPause{1};

}  // namespace

AskedReload::AskedReload(std::function<std::string()> stamp, Reload reload)
    : stamp_of_files_(std::move(stamp)), reload_(std::move(reload)) {}

std::string AskedReload::operator()(Clock::time_point now) {
  // Before they are read: what changes meanwhile is seen the next time.
  auto stamp = stamp_of_files_();
  const bool changed = stamp_ != stamp;
  if (!changed && now - read_at_ < kPause) return problem_;
  stamp_ = std::move(stamp);
  read_at_ = now;
  problem_ = reload_(changed ? ReloadLog::kSaid : ReloadLog::kSilent);
  return problem_;
}

}  // namespace vcpu

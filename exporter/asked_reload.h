// SPDX-License-Identifier: Apache-2.0
//
// AskedReload: a reload for whoever asks, who must not make work or lines of
// the log of it. What was read less than a second ago and has not changed is
// not read again, and what is read again though it has not changed is not
// logged again. For one thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace vcpu {

// Whether a reload says in the log how it went.
enum class ReloadLog : bool { kSilent, kSaid };

class AskedReload {
 public:
  using Clock = std::chrono::steady_clock;

  // Empty, or what is wrong.
  using Reload = std::function<std::string(ReloadLog)>;

  // `stamp` is another one when a file that is read has changed.
  AskedReload(std::function<std::string()> stamp, Reload reload);

  // Empty, or what is wrong.
  std::string operator()(Clock::time_point now = Clock::now());

 private:
  const std::function<std::string()> stamp_of_files_;
  const Reload reload_;
  std::optional<std::string> stamp_;
  Clock::time_point read_at_;
  std::string problem_;
};

}  // namespace vcpu

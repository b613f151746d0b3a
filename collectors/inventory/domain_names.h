// SPDX-License-Identifier: Apache-2.0
//
// The `domain` label of every VM: its name, as long as it is the only one.
//
// Two VMs of one name both become NAME@ and the first 8 characters of their
// uuid (NAME@PID without a uuid), and stay so for as long as the exporter
// runs, whoever of them ends first: a label must not pass from one VM to
// another. Two processes of one name, one uuid and one owner are one VM caught
// in a migration on this host: the older one is shown until it ends. Of another
// owner it is somebody who calls himself so, and hides nobody.
//
// That holds among system users' VMs, and among ordinary users'. What an
// ordinary user starts, before or after, changes no label of a system user's
// VM: where both have a name, the ordinary one's alone is made longer.
//
// Keeps the names that have been shared once; beyond kMaxShared of them those
// that nobody bears now are forgotten, as anybody can make up any number. One
// scrape, one thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace vcpu {

class DomainNames {
 public:
  struct Process {
    std::string name;  // Label-safe.
    std::string uuid;
    pid_t pid = 0;
    std::uint64_t start_ticks = 0;
    uid_t owner = 0;  // Who runs it.
  };

  static constexpr std::size_t kMaxShared = 16384;

  // In the order of `processes`: the label, unique among them all; empty for
  // the second process of one VM.
  std::vector<std::string> assign(const std::vector<Process>& processes);

 private:
  using Identity = std::pair<pid_t, std::uint64_t>;
  using Names = std::set<std::string, std::less<>>;

  Names& shared_with(const Process& process);
  void learn_shared(const std::vector<Process>& processes,
                    const std::vector<std::size_t>& shown);

  Names shared_by_system_users_;
  Names shared_by_others_;                 // Or with a system user.
  std::map<Identity, std::string> given_;  // At the last scrape.
};

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/kvm_debugfs.h"

#include <string_view>

#include "collectors/base/scan.h"

namespace vcpu {

void KvmDebugfs::open() {
  auto opened = Directory::open(sys_ + "/kernel/debug/kvm");
  if (opened) directory_ = *std::move(opened);
}

Result<void> KvmDebugfs::list() {
  names_.clear();
  if (!directory_) return {};
  // By the descriptor: the path is closed to us by now.
  const auto names =
      list_directories("/proc/self/fd/" + std::to_string(directory_->fd()));
  if (!names) return names.error();
  for (const std::string& name : *names) {
    const auto pid =
        parse_number<pid_t>(std::string_view(name).substr(0, name.find('-')));
    // Of two VMs of one process always the same, so that none is taken for the
    // other.
    if (!pid) continue;
    const auto [known, is_new] = names_.try_emplace(*pid, name);
    if (!is_new && name < known->second) known->second = name;
  }
  return {};
}

Result<KvmStats> KvmDebugfs::of(const Vm& vm) const {
  KvmStats stats;
  auto known = names_.find(vm.pid);
  for (const Thread& thread : vm.threads)
    if (known == names_.end()) known = names_.find(thread.tid);
  if (known == names_.end()) return stats;
  std::string text;
  for (std::size_t i = 0; i < kKvmStatNames.size(); ++i) {
    const auto file = known->second + "/" + std::string(kKvmStatNames.at(i));
    const auto read = read_file_at(*directory_, file.c_str(), text);
    if (!read && is_gone(read.error())) continue;
    if (!read) return read.error();
    const auto count = parse_number<std::uint64_t>(trim(text));
    if (!is_whole(text) || !count)
      return malformed(directory_->path() + "/" + file);
    stats.all().at(i) = *count;
  }
  return stats;
}

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// A MonitorSource that knows what a test tells it, by pid.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collectors/libvirt/monitor.h"

namespace vcpu {

class FakeMonitor final : public MonitorSource {
 public:
  MonitorView look(MonitorGroup group,
                   const std::vector<MonitoredVm>& vms) override {
    groups.push_back(group);
    asked = vms;
    return view();
  }

  MonitorView view() override {
    MonitorView view;
    view.missing_reason = reason;
    for (const MonitoredVm& vm : asked) {
      const auto known = told.find(vm.id.first);
      if (known != told.end())
        view.vms[vm.id] = {
            std::make_shared<const MonitorFigures>(known->second), 4.5};
    }
    return view;
  }

  std::map<pid_t, MonitorFigures> told;
  std::string reason;
  std::vector<MonitorGroup> groups;
  std::vector<MonitoredVm> asked;
};

inline KvmStats kvm_stats(
    std::initializer_list<std::pair<KvmStat, std::uint64_t>> values) {
  KvmStats stats;
  for (const auto& [stat, value] : values) stats[stat] = value;
  return stats;
}

}  // namespace vcpu

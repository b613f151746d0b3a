// SPDX-License-Identifier: Apache-2.0
//
// Every collector there is, in the order of the output.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "collectors/collector.h"
#include "collectors/options.h"

namespace vcpu {

struct CatalogEntry {
  std::string_view name;
  bool enabled_by_default;
  std::string_view help;  // One line, for --help and the README.
  std::unique_ptr<Collector> (*make)(const CollectorOptions& options);
  // The capability (linux/capability.h) that it needs for as long as it runs,
  // kept where it is enabled at the start.
  std::optional<int> keeps = std::nullopt;
};

const std::vector<CatalogEntry>& catalog();

std::unique_ptr<Collector> make_domain(const CollectorOptions& options);
std::unique_ptr<Collector> make_sched(const CollectorOptions& options);
std::unique_ptr<Collector> make_runqueue(const CollectorOptions& options);
std::unique_ptr<Collector> make_perf(const CollectorOptions& options);
std::unique_ptr<Collector> make_threads(const CollectorOptions& options);
std::unique_ptr<Collector> make_density(const CollectorOptions& options);
std::unique_ptr<Collector> make_memory(const CollectorOptions& options);
std::unique_ptr<Collector> make_cgroup(const CollectorOptions& options);
std::unique_ptr<Collector> make_numa(const CollectorOptions& options);
std::unique_ptr<Collector> make_metadata(const CollectorOptions& options);
std::unique_ptr<Collector> make_host(const CollectorOptions& options);
std::unique_ptr<Collector> make_security(const CollectorOptions& options);
std::unique_ptr<Collector> make_guest(const CollectorOptions& options);
std::unique_ptr<Collector> make_block(const CollectorOptions& options);
std::unique_ptr<Collector> make_kvm(const CollectorOptions& options);
std::unique_ptr<Collector> make_libvirt(const CollectorOptions& options);

}  // namespace vcpu

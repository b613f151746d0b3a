// SPDX-License-Identifier: Apache-2.0
//
// Every collector there is, in the order of the output.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "collectors/base/roots.h"
#include "collectors/collector.h"

namespace vcpu {

struct CatalogEntry {
  std::string_view name;
  bool enabled_by_default;
  std::string_view help;  // One line, for --help and the README.
  std::unique_ptr<Collector> (*make)(const Roots& roots);
};

const std::vector<CatalogEntry>& catalog();

std::unique_ptr<Collector> make_domain(const Roots& roots);
std::unique_ptr<Collector> make_sched(const Roots& roots);
std::unique_ptr<Collector> make_threads(const Roots& roots);
std::unique_ptr<Collector> make_density(const Roots& roots);
std::unique_ptr<Collector> make_host(const Roots& roots);
std::unique_ptr<Collector> make_libvirt(const Roots& roots);

}  // namespace vcpu

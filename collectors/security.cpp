// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collectors/base/file.h"
#include "collectors/base/label_text.h"
#include "collectors/catalog.h"
#include "collectors/hardware/rarely.h"
#include "collectors/hardware/security_features.h"
#include "collectors/kernel/vulnerability.h"

namespace vcpu {
namespace {

constexpr const char* kNoFlags =
    "/proc/cpuinfo has no flags: this is no x86, or it is hidden";
constexpr const char* kNoKvm =
    "neither kvm_intel nor kvm_amd tells its parameters; load it, other CPUs "
    "have none";
constexpr const char* kNoSmt =
    "the kernel does not tell whether cores run two threads at once";
constexpr const char* kStrange =
    "what it says is new to this exporter, and is left out: /sys";
constexpr const char* kNoCoreScheduling =
    "nothing tells the vCPUs' core scheduling cookies: that takes eBPF and a "
    "kernel with CONFIG_SCHED_CORE";
constexpr const char* kNoVulnerabilities =
    "the kernel does not tell the CPU's vulnerabilities";
constexpr const char* kNoVerdict =
    "the kernel does not know of a vulnerability whether it concerns this "
    "machine, as in some virtual machines; it is left out";

// What is as it is until somebody changes the host.
struct Posture {
  SecurityFeatures features;
  std::map<std::string, Vulnerability> vulnerabilities;
  bool tells_vulnerabilities = false;
  bool all_have_verdicts = true;
  std::vector<std::string> problems;
};

void read_vulnerabilities(const Roots& roots, Posture& posture) {
  const auto root = roots.sys + "/devices/system/cpu/vulnerabilities";
  const auto names = list_names(root);
  posture.tells_vulnerabilities = names.has_value();
  if (!names && !is_gone(names.error()))
    posture.problems.push_back(names.error().message());
  if (!names) return;
  for (const auto& name : *names) {
    const auto read = read_as(std::string(root).append("/").append(name),
                              parse_vulnerability);
    if (!read) {
      posture.problems.push_back(read.error().message());
      continue;
    }
    posture.all_have_verdicts = posture.all_have_verdicts && read->status;
    posture.vulnerabilities[label_text(name)] = *read;
  }
}

Posture read_posture(const Roots& roots) {
  Posture posture;
  posture.features = read_security_features(roots);
  posture.problems = posture.features.problems;
  read_vulnerabilities(roots, posture);
  return posture;
}

using Siblings = std::map<int, CpuSet>;              // Core -> its online CPUs.
using Tenants = std::map<int, std::set<const Vm*>>;  // CPU -> VMs.

Siblings siblings(const Topology& host) {
  Siblings of_core;
  for (const auto& [cpu, core] : host.core_of) of_core[core].push_back(cpu);
  return of_core;
}

Tenants tenants(const Snapshot& snapshot) {
  Tenants of_cpu;
  for (const Vm& vm : snapshot.vms)
    for (const Thread& vcpu : vm.vcpus())
      if (vcpu.cpu) of_cpu[*vcpu.cpu].insert(&vm);
  return of_cpu;
}

// Whether there is a VM of the one and another VM of the other.
bool are_of_two(const std::set<const Vm*>& one,
                const std::set<const Vm*>& other) {
  if (one.empty() || other.empty()) return false;
  return one != other || one.size() > 1;
}

struct Pairs {
  int all = 0;
  int mixed = 0;
};

Pairs count_pairs(const Snapshot& snapshot) {
  Pairs pairs;
  auto of_cpu = tenants(snapshot);
  for (const auto& [core, cpus] : siblings(*snapshot.host)) {
    for (std::size_t i = 0; i < cpus.size(); ++i) {
      for (std::size_t j = i + 1; j < cpus.size(); ++j) {
        ++pairs.all;
        if (are_of_two(of_cpu[cpus[i]], of_cpu[cpus[j]])) ++pairs.mixed;
      }
    }
  }
  return pairs;
}

class Security final : public Collector {
 public:
  explicit Security(Roots roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "security"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    const Posture& posture = posture_.get(
        snapshot.host->online, [this] { return read_posture(roots_); });
    say_features(posture.features, families);
    say_vulnerabilities(posture, families);
    say_pairs(snapshot, families);
    say_core_scheduling(snapshot, families);
    return {};
  }

 private:
  static void say_features(const SecurityFeatures& features,
                           Families& families) {
    auto& feature = families.gauge(
        "vcpu_host_security_feature",
        "Whether a protection of the host, or a feature that bears on it, is "
        "on (1) or off (0); absent where nothing tells. From /proc/cpuinfo, "
        "/sys/module/kvm_intel, /sys/module/kvm_amd and "
        "/sys/devices/system/cpu/smt.");
    for (const auto& [name, on] : features.known)
      feature.add({{"feature", name}}, on ? 1 : 0);
    families.source("cpu_flags", features.flags ? "" : kNoFlags);
    families.source("kvm_parameters",
                    strange(features, "/module/", features.kvm ? "" : kNoKvm));
    families.source("smt",
                    strange(features, "/devices/", features.smt ? "" : kNoSmt));
  }

  // Which files below `root` have a word that is new to us, else `reason`.
  static std::string strange(const SecurityFeatures& features,
                             std::string_view root, const char* reason) {
    std::string said;
    for (const auto& file : features.strange)
      if (file.starts_with(root))
        said += (said.empty() ? kStrange : ", /sys") + file;
    return said.empty() ? reason : said;
  }

  static void say_vulnerabilities(const Posture& posture, Families& families) {
    auto& vulnerability = families.gauge(
        "vcpu_host_vulnerability",
        "The kernel's verdict on each vulnerability of the CPU, always 1; "
        "vulnerable also where a part of it is, to guests or to the host's own "
        "programs (VMX: vulnerable). From "
        "/sys/devices/system/cpu/vulnerabilities.");
    auto& smt = families.gauge(
        "vcpu_host_smt_vulnerable",
        "The kernel's verdict whether other threads of a core can make use of "
        "a vulnerability (1) or not (0), where it speaks of them; from "
        "/sys/devices/system/cpu/vulnerabilities.");
    for (const auto& [name, is] : posture.vulnerabilities) {
      if (is.status)
        vulnerability.add({{"name", name}, {"status", to_string(*is.status)}},
                          1);
      if (is.smt_vulnerable)
        smt.add({{"name", name}}, *is.smt_vulnerable ? 1 : 0);
    }
    for (const auto& problem : posture.problems) families.problem(problem);
    families.source("vulnerabilities",
                    !posture.tells_vulnerabilities ? kNoVulnerabilities
                    : posture.all_have_verdicts    ? ""
                                                   : kNoVerdict);
  }

  static void say_pairs(const Snapshot& snapshot, Families& families) {
    const Pairs pairs = count_pairs(snapshot);
    if (pairs.all == 0) return;  // No SMT.
    families
        .gauge("vcpu_host_smt_pairs",
               "Pairs of online CPUs that are threads of one core; from "
               "/sys/devices/system/cpu/cpuN/topology/core_cpus_list.")
        .add({}, pairs.all);
    // Else a VM that could not be read now seems to have no neighbour.
    if (!snapshot.whole) return;
    families
        .gauge("vcpu_host_smt_mixed_pairs",
               "Those of these pairs where a vCPU of one VM last ran on the "
               "one CPU and a vCPU of another VM on the other, be it at the "
               "same time or not, now or long ago; from "
               "/proc/PID/task/TID/stat and "
               "/sys/devices/system/cpu/cpuN/topology/core_cpus_list.")
        .add({}, pairs.mixed);
  }

  static void say_core_scheduling(const Snapshot& snapshot,
                                  Families& families) {
    std::optional<int> scheduled;
    bool any = false;
    for (const Vm& vm : snapshot.vms) {
      for (const Thread& vcpu : vm.vcpus()) {
        any = true;
        if (vcpu.core_scheduled)
          scheduled = scheduled.value_or(0) + (*vcpu.core_scheduled ? 1 : 0);
      }
    }
    if (any)
      families.source("core_scheduling", scheduled ? "" : kNoCoreScheduling);
    if (!scheduled || !snapshot.whole) return;
    families
        .gauge("vcpu_host_core_scheduled_vcpus",
               "vCPUs with a core scheduling cookie: the kernel runs nobody "
               "with another cookie, or none, on the other threads of their "
               "core. From eBPF, core_cookie.")
        .add({}, *scheduled);
  }

  const Roots roots_;
  Rarely<Posture> posture_;
};

}  // namespace

std::unique_ptr<Collector> make_security(const CollectorOptions& options) {
  return std::make_unique<Security>(options.roots);
}

}  // namespace vcpu

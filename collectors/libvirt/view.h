// SPDX-License-Identifier: Apache-2.0
//
// LibvirtView: what libvirt said last, as plain values. No libvirt header is
// needed to read it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vcpu {

// A guest NUMA cell: what the guest takes for a node.
struct LibvirtCell {
  std::vector<int> vcpus;  // Ascending.
  std::vector<int> nodes;  // Host nodes that its memory is bound to; empty: it
                           // is not.
};

// Keys and values, as domain_xml.h has them. Raw: not label-safe.
using LibvirtMetadata = std::vector<std::pair<std::string, std::string>>;

struct LibvirtDomain {
  std::string uuid;   // Canonical: 36 characters, lower case.
  std::string name;   // Raw, as libvirt gave it: not label-safe.
  std::string state;  // One of kLibvirtStates.
  std::optional<int> vcpus_current;
  std::optional<int> vcpus_maximum;
  std::vector<int> pinned_cpus;  // By vCPU: how many host CPUs its configured
                                 // pinning allows. Empty: not known.
  std::optional<std::uint64_t> memory_max_bytes = {};      // With all DIMMs.
  std::optional<std::uint64_t> memory_balloon_bytes = {};  // What the balloon
                                                           // leaves of it.
  std::vector<LibvirtCell> cells = {};  // Empty: none, or not known.
  std::string state_reason = {};  // Why it is in that state, by the names of
                                  // libvirt's enumerators; empty: not known.
  LibvirtMetadata metadata = {};
};

// The states of virDomainState, by the names of its enumerators.
inline constexpr std::array<const char*, 8> kLibvirtStates{
    "nostate",  "running", "blocked", "paused",
    "shutdown", "shutoff", "crashed", "pmsuspended"};

// Why a domain is in a state, by the number that libvirt gives for it
// (virDomainRunningReason and its like); empty where libvirt has no such.
std::string_view libvirt_state_reason(std::string_view state,
                                      std::uint32_t reason);

struct LibvirtView {
  bool expected = false;  // A libvirt is, or was, on this host.
  bool up = false;        // The last answer was good and came in time.
  std::string reason;     // Why not, where up is false: for a person.
  std::optional<double> age_seconds;   // Of `domains`; empty: never heard of.
  std::vector<LibvirtDomain> domains;  // Empty when older than the bound.
};

}  // namespace vcpu

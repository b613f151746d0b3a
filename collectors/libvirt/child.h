// SPDX-License-Identifier: Apache-2.0
//
// The libvirt children: what this program is when the cache (cache.h) or the
// monitor (monitor.h) runs it once more, to ask libvirt in a process that may
// hang or be killed at will.
//
// main() calls them before anything else, as the very first lines:
//
//   if (const auto child = vcpu::parse_libvirt_child(argc, argv)) {
//     return vcpu::run_libvirt_child(child->out_fd, child->uri, child->period);
//   }
//   if (const auto child = vcpu::parse_monitor_child(argc, argv)) {
//     return vcpu::run_monitor_child(*child);
//   }
//
// They read no configuration, open no port and log nothing: what goes wrong is
// the reason in their next frame (protocol.h, monitor_protocol.h).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace vcpu {

struct LibvirtChild {
  int out_fd = -1;
  std::string uri;
  std::chrono::milliseconds period{};
};

// The command line that makes this program the child:
// vcpu_exporter --internal.libvirt-child=FD,PERIOD_MS --libvirt.uri=URI
std::vector<std::string> libvirt_child_argv(const LibvirtChild& child);

// The inverse. Empty for every other command line.
std::optional<LibvirtChild> parse_libvirt_child(int argc,
                                                const char* const* argv);

// Asks libvirt once per period, and when it tells that a domain has begun,
// ended or changed its state, and writes each answer, or why there is none, to
// `out_fd` as a frame. Returns the exit code when nobody reads `out_fd` any
// more. Is killed with the thread that started it, and gives up all
// capabilities, new privileges and other descriptors first: never call it in a
// process that has anything else to do.
int run_libvirt_child(int out_fd, const std::string& uri,
                      std::chrono::milliseconds period);

struct MonitorChild {
  int in_fd = -1;
  int out_fd = -1;
  std::string uri;
};

// vcpu_exporter --internal.libvirt-monitor=IN_FD,OUT_FD --libvirt.uri=URI
std::vector<std::string> monitor_child_argv(const MonitorChild& child);
std::optional<MonitorChild> parse_monitor_child(int argc,
                                                const char* const* argv);

// Connects to libvirt, then answers each request that comes from `in_fd` with a
// frame to `out_fd`, until there is no more libvirt, or nobody who asks. The
// rest is as above.
int run_monitor_child(const MonitorChild& child);

}  // namespace vcpu

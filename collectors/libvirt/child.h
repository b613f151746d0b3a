// SPDX-License-Identifier: Apache-2.0
//
// The libvirt child: what this program is when the cache (cache.h) runs it a
// second time, to ask libvirt in a process that may hang or be killed at will.
//
// main() calls it before anything else, as the very first lines:
//
//   if (const auto child = vcpu::parse_libvirt_child(argc, argv)) {
//     return vcpu::run_libvirt_child(child->out_fd, child->uri, child->period);
//   }
//
// It reads no configuration, opens no port and logs nothing: what goes wrong is
// the reason in its next frame (protocol.h).
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

// Asks libvirt once per period and writes each answer, or why there is none, to
// `out_fd` as a frame. Returns the exit code when nobody reads `out_fd` any
// more. Is killed with the thread that started it, and gives up all
// capabilities, new privileges and other descriptors first: never call it in a
// process that has anything else to do.
int run_libvirt_child(int out_fd, const std::string& uri,
                      std::chrono::milliseconds period);

}  // namespace vcpu

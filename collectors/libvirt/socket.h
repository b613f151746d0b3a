// SPDX-License-Identifier: Apache-2.0
//
// Is there a libvirt on this host at all? Told by its read-only socket, so that
// a host that never had one is not reported as broken.
//
// Thread-safe: nothing here keeps state between calls.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vcpu {

// The sockets of which one must exist before `uri` can be connected to: the one
// a `?socket=PATH` names, or for qemu:///system those of libvirtd and of
// virtqemud. None for any other URI: only connecting tells.
// https://libvirt.org/uri.html
std::vector<std::string> libvirt_sockets(std::string_view uri);

// Whether one of `paths` exists, or none is needed. A path that may not be
// looked at counts as existing: connecting then says why it fails.
bool any_exists(const std::vector<std::string>& paths);

}  // namespace vcpu

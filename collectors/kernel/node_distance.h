// SPDX-License-Identifier: Apache-2.0
//
// /sys/devices/system/node/nodeN/distance: how far memory is from a node, as
// the firmware (ACPI's SLIT) says: 10 is local, 20 takes twice as long.
// https://docs.kernel.org/admin-guide/abi-stable.html, distance
//
//   10 21
#pragma once

#include <string_view>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

// One for each node that is online, in ascending order of the nodes; none is 0.
Result<std::vector<int>> parse_node_distances(std::string_view text);

}  // namespace vcpu

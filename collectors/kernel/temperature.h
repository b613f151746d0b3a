// SPDX-License-Identifier: Apache-2.0
//
// The files that hold a temperature: temp*_input of a hwmon device and `temp`
// of a thermal zone, in thousandths of a degree Celsius.
// https://docs.kernel.org/hwmon/sysfs-interface.html
// https://docs.kernel.org/driver-api/thermal/sysfs-api.html
//
//   54250
#pragma once

#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

// In degrees Celsius; may be below zero.
Result<double> parse_temperature(std::string_view text);

}  // namespace vcpu

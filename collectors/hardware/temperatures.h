// SPDX-License-Identifier: Apache-2.0
//
// How hot each package of the host's CPUs is: the hottest of its sensors.
//
//   coretemp     Intel: "Package id N", where N counts dies
//   k10temp      AMD: one device for each die or package; "Tdie" or "Tctl"
//   zenpower     the same, by another driver
//   thermal zone where there is none of these: "x86_pkg_temp", or on other
//                architectures zones whose names begin with "cpu"
//
// No sensor names its package. They are in the packages' order, and shared out
// evenly: of 4 sensors in 2 packages, two each. Cost: Intel's are read by an
// interrupt to one CPU of the package, at most once a second; that is why its
// cores' own are not read. AMD's are read without.
//
// Source: /sys/class/hwmon, https://docs.kernel.org/hwmon/coretemp.html,
// https://docs.kernel.org/hwmon/k10temp.html; /sys/class/thermal,
// https://docs.kernel.org/driver-api/thermal/sysfs-api.html
#pragma once

#include <map>
#include <string>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/base/roots.h"
#include "collectors/topology.h"

namespace vcpu {

class Temperatures {
 public:
  explicit Temperatures(Roots roots) : roots_(std::move(roots)) {}

  struct Celsius {
    std::map<int, double> of_package;
    bool all_answer = true;  // False: a sensor was silent, and is left out.
  };
  // `packages`: ascending. An error that is_gone(): no sensor is known to be a
  // CPU's. Sensors that cannot be shared out evenly are failed().
  Result<Celsius> read(const std::vector<int>& packages);

 private:
  void find_sensors();

  Roots roots_;
  // The files of each. Looked for again where there are none, where one has
  // gone, or where they cannot be shared out.
  std::vector<std::vector<std::string>> sensors_;
};

}  // namespace vcpu

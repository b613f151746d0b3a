// SPDX-License-Identifier: Apache-2.0
//
// The standard process_* metrics of this program itself.
// https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
#pragma once

#include "collectors/base/families.h"

namespace vcpu {

// Always from the real /proc/self, whatever --path.procfs says. A figure that
// cannot be had is left out. Thread-safe.
void add_process_metrics(Families& families);

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// Our families in prometheus-cpp's data model, and the other way round.
//
// The first lets a program that embeds us expose them beside its own, and lets
// a test hold our text against prometheus-cpp's serializer. The second takes up
// our own runtime counters, which live in a prometheus::Registry.
#pragma once

#include <prometheus/metric_family.h>

#include <deque>
#include <vector>

#include "collectors/base/families.h"

namespace vcpu {

std::vector<prometheus::MetricFamily> to_prometheus(
    const std::deque<Family>& families);

// Counters, gauges and histograms; left out are other types, and histograms
// whose bounds are not those of the first in their family.
void add_from_prometheus(const std::vector<prometheus::MetricFamily>& from,
                         Families& families);

}  // namespace vcpu

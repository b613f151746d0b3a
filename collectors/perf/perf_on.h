// SPDX-License-Identifier: Apache-2.0
//
// The collector perf on another source of events than the kernel, and another
// clock: how tests see it count what this machine has no PMU for.
#pragma once

#include <functional>
#include <memory>

#include "collectors/collector.h"
#include "collectors/options.h"
#include "collectors/perf/event_source.h"
#include "collectors/perf/rotation.h"

namespace vcpu {

// `open_source` is called when the collector is opened.
std::unique_ptr<Collector> make_perf_on(
    std::function<std::unique_ptr<EventSource>()> open_source,
    Rotation::Now now, const CollectorOptions& options);

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// How the collectors that live on libvirt's monitor statistics look at them:
// which VMs to ask for, and what to say of those that do not answer.
#pragma once

#include "collectors/base/families.h"
#include "collectors/libvirt/monitor.h"
#include "collectors/snapshot.h"

namespace vcpu {

// `source` null: there is none. Says source "libvirt_monitor".
MonitorView look(MonitorSource* source, MonitorGroup group,
                 const Snapshot& snapshot, Families& families);

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
//
// The figures of a thread to remember: one that ends while it is read tells but
// half of them, and what it told before must stay counted. Pure.
#pragma once

#include "collectors/snapshot.h"

namespace vcpu {

inline SchedStat last_told(const SchedStat& before, SchedStat now) {
  if (!now.voluntary) now.voluntary = before.voluntary;
  if (!now.involuntary) now.involuntary = before.involuntary;
  if (!now.migrations) now.migrations = before.migrations;
  return now;
}

}  // namespace vcpu

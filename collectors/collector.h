// SPDX-License-Identifier: Apache-2.0
//
// A Collector turns one aspect of the host into metric families. Read this
// first: one collector = one file = one name = one line in catalog.cpp.
//
// collect() reads its source now, on every scrape, and says raw figures.
//   - An object that has gone since the snapshot is skipped in silence.
//   - What this host does not offer has no series, and a source() says why.
//   - A part that failed is a problem(); the rest stays.
//   - An Error returned drops all this collector emitted, and its success is 0.
// Constructors do no I/O. Calls are never concurrent. Nothing on this path may
// wait for a VM, for libvirt, or for the network.
//
// open() comes once, before the first collect() and before any right is given
// up, to collectors that are enabled at start: what needs rights (an eBPF
// program) is opened there and read later. What cannot be opened is no failure:
// collect() says with source() what is missing. close() lets go of it all, when
// the collector is switched off while running; collect() may still come, and
// says that it takes a restart. expect() comes before the snapshot of each
// scrape that asks for it is taken, for what is to be read along with that.
#pragma once

#include <string_view>

#include "collectors/base/families.h"
#include "collectors/base/result.h"
#include "collectors/snapshot.h"

namespace vcpu {

class Collector {
 public:
  virtual ~Collector() = default;
  virtual std::string_view name() const = 0;
  virtual void open() {}
  virtual void close() {}
  virtual void expect() {}
  virtual Result<void> collect(const Snapshot& snapshot,
                               Families& families) = 0;
};

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/label_text.h"
#include "collectors/catalog.h"
#include "collectors/monitored.h"

namespace vcpu {
namespace {

struct BlockFamilies {
  Family& requests;
  Family& bytes;
  Family& time;
};

void add_operation(const LabelSet& device, const char* name,
                   const BlockOperation& operation, BlockFamilies& families) {
  const auto labels = device.with("op", name);
  if (operation.requests)
    families.requests.add(labels, static_cast<double>(*operation.requests));
  if (operation.bytes)
    families.bytes.add(labels, static_cast<double>(*operation.bytes));
  if (operation.ns) families.time.add(labels, seconds(*operation.ns));
}

void add_device(const LabelSet& labels, const BlockDevice& device,
                BlockFamilies& families) {
  add_operation(labels, "read", device.read, families);
  add_operation(labels, "write", device.write, families);
  add_operation(labels, "flush", device.flush, families);
}

void add_iothreads(const Vm& vm, const std::vector<Iothread>& iothreads,
                   Family& polling) {
  for (const Iothread& iothread : iothreads) {
    if (!iothread.poll_max_ns) continue;
    polling.add(vm.labels, {{"iothread", std::to_string(iothread.id)}},
                seconds(*iothread.poll_max_ns));
  }
}

class Block final : public Collector {
 public:
  explicit Block(const CollectorOptions& options)
      : monitor_(options.monitor),
        paths_(options.block.paths),
        shown_name_(options.shown_name) {}

  std::string_view name() const override { return "block"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    const auto view =
        look(monitor_.get(), MonitorGroup::kBlock, snapshot, families);
    BlockFamilies block{
        families.counter(
            "vcpu_domain_block_requests_total",
            "Requests of the VM's disk that ended, since the VM started; from "
            "libvirt's block statistics (QEMU's query-blockstats)."),
        families.counter("vcpu_domain_block_bytes_total",
                         "What they read or wrote; from libvirt's block "
                         "statistics (QEMU's query-blockstats)."),
        families.counter(
            "vcpu_domain_block_seconds_total",
            "How long they took, each from its arrival at QEMU to its end, all "
            "summed: divided by the requests, the mean latency; from libvirt's "
            "block statistics (QEMU's query-blockstats).")};
    auto& info = families.gauge(
        "vcpu_domain_block_info",
        "Where the image of a VM's disk is, always 1; from libvirt's block "
        "statistics.");
    auto& polling = families.gauge(
        "vcpu_domain_iothread_poll_max_seconds",
        "How long an I/O thread of the VM polls for the next request at most "
        "before it sleeps, 0: not at all; from libvirt's iothread statistics "
        "(QEMU's query-iothreads).");
    for (const Vm& vm : snapshot.vms) {
      const auto known = view.vms.find(vm.id());
      if (known == view.vms.end() || !known->second.figures) continue;
      for (const BlockDevice& device : known->second.figures->devices) {
        const auto labels = vm.labels.with("device", label_text(device.name));
        add_device(labels, device, block);
        if (paths_ && !device.path.empty())
          info.add(labels.with("path", shown_path(device)), 1);
      }
      add_iothreads(vm, known->second.figures->iothreads, polling);
    }
    return {};
  }

 private:
  std::string shown_path(const BlockDevice& device) const {
    return as_shown(shown_name_, label_text(device.path));
  }

  std::shared_ptr<MonitorSource> monitor_;
  bool paths_;
  ShownName shown_name_;
};

}  // namespace

std::unique_ptr<Collector> make_block(const CollectorOptions& options) {
  return std::make_unique<Block>(options);
}

}  // namespace vcpu

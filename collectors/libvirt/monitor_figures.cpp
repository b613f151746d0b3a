// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_figures.h"

#include <algorithm>
#include <set>
#include <utility>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

constexpr int kMostDevices = 4096;  // And vCPUs, and I/O threads.
constexpr int kMostVcpus = 16384;   // libvirt's own limit.

// "12.rd.reqs" -> 12, and the text shrinks to "rd.reqs".
std::optional<int> take_index(std::string_view& name, int most) {
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto index = parse_number<int>(name.substr(0, dot));
  if (!index || *index >= most) return std::nullopt;
  name.remove_prefix(dot + 1);
  return index;
}

void take_operation(std::string_view what, std::uint64_t value,
                    BlockOperation& operation) {
  if (what == "reqs") operation.requests = value;
  if (what == "bytes") operation.bytes = value;
  if (what == "times") operation.ns = value;
}

void take_block(std::string_view name, const MonitorField& field,
                BlockDevice& device) {
  if (const auto* const text = std::get_if<std::string>(&field.value)) {
    if (name == "name") device.name = *text;
    if (name == "path") device.path = *text;
    return;
  }
  const std::uint64_t value = *field.number();
  if (name.starts_with("rd."))
    take_operation(name.substr(3), value, device.read);
  if (name.starts_with("wr."))
    take_operation(name.substr(3), value, device.write);
  if (name.starts_with("fl."))
    take_operation(name.substr(3), value, device.flush);
}

void take_vcpu(std::string_view name, std::uint64_t value, KvmStats& stats) {
  constexpr std::string_view kSum = ".sum";
  if (!name.ends_with(kSum)) return;
  name.remove_suffix(kSum.size());
  const auto* const known =
      std::find(kKvmStatNames.begin(), kKvmStatNames.end(), name);
  if (known == kKvmStatNames.end()) return;
  stats.all().at(static_cast<std::size_t>(known - kKvmStatNames.begin())) =
      value;
}

bool told_requests(const BlockDevice& device) {
  return device.read.requests || device.write.requests || device.flush.requests;
}

void keep_first_of_each_name(std::map<int, BlockDevice>& devices,
                             MonitorFigures& figures) {
  std::set<std::string> names;
  for (auto& [index, device] : devices)
    if (!device.name.empty() && names.insert(device.name).second)
      figures.devices.push_back(std::move(device));
}

}  // namespace

MonitorFigures parse_monitor_fields(const std::vector<MonitorField>& fields) {
  MonitorFigures figures;
  std::map<int, BlockDevice> devices;
  std::map<int, Iothread> iothreads;
  for (const MonitorField& field : fields) {
    std::string_view name = field.name;
    const auto group = name.substr(0, name.find('.'));
    name.remove_prefix(std::min(name.size(), group.size() + 1));
    const auto number = field.number();
    if (group == "block") {
      if (const auto index = take_index(name, kMostDevices))
        take_block(name, field, devices[*index]);
    } else if (group == "vcpu" && number) {
      if (const auto index = take_index(name, kMostVcpus))
        take_vcpu(name, *number, figures.vcpus[*index]);
    } else if (group == "iothread" && number) {
      if (const auto index = take_index(name, kMostDevices)) {
        auto& iothread = iothreads[*index];
        iothread.id = static_cast<std::uint32_t>(*index);
        if (name == "poll-max-ns") iothread.poll_max_ns = number;
      }
    }
  }
  std::erase_if(figures.vcpus,
                [](const auto& vcpu) { return vcpu.second.empty(); });
  for (const auto& [index, iothread] : iothreads)
    figures.iothreads.push_back(iothread);
  // Without a job libvirt tells names and sizes of disks, but no counts.
  figures.asked_qemu =
      devices.empty() || !figures.vcpus.empty() || !iothreads.empty() ||
      std::any_of(devices.begin(), devices.end(),
                  [](const auto& item) { return told_requests(item.second); });
  keep_first_of_each_name(devices, figures);
  return figures;
}

void MonitorTotals::add(OperationCounts& counts, BlockOperation& operation) {
  auto& [requests, bytes, ns] = counts;
  if (operation.requests)
    operation.requests = requests.see(*operation.requests);
  if (operation.bytes) operation.bytes = bytes.see(*operation.bytes);
  if (operation.ns) operation.ns = ns.see(*operation.ns);
}

MonitorFigures MonitorTotals::add(const MonitorFigures& told) {
  MonitorFigures totals = told;
  for (BlockDevice& device : totals.devices) {
    auto& counts = devices_[device.name];
    add(counts.read, device.read);
    add(counts.write, device.write);
    add(counts.flush, device.flush);
  }
  for (auto& [index, stats] : totals.vcpus) {
    auto& counts = vcpus_[index];
    for (std::size_t i = 0; i < counts.size(); ++i) {
      auto& value = stats.all()[i];
      if (!value) continue;
      const auto before = counts[i].total();
      value = counts[i].see(*value);
      kvm_[i] = kvm_[i].value_or(0) + (*value - before);
    }
  }
  totals.kvm.all() = kvm_;
  return totals;
}

}  // namespace vcpu

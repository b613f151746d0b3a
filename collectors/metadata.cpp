// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "collectors/base/label_text.h"
#include "collectors/catalog.h"
#include "collectors/proxmox_tags.h"

namespace vcpu {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kNova = "{http://openstack.org/xmlns/libvirt/nova/";

// The label that Nova's metadata becomes, by its key behind the namespace.
constexpr std::array<std::pair<std::string_view, const char*>, 6> kNovaLabels{
    {{"instance/name", "openstack_instance"},
     {"instance/flavor@name", "openstack_flavor"},
     {"instance/owner/project", "openstack_project"},
     {"instance/owner/project@uuid", "openstack_project_id"},
     {"instance/owner/user", "openstack_user"},
     {"instance/owner/user@uuid", "openstack_user_id"}}};

constexpr const char* kNoTags =
    "of a VM of Proxmox /etc/pve/qemu-server cannot be read, or not yet: start "
    "the exporter with the group www-data";

void add(Labels& labels, const std::string& name, std::string_view value) {
  const auto same = [&](const auto& label) { return label.first == name; };
  auto text = label_text(value);
  if (text.empty() || std::any_of(labels.begin(), labels.end(), same)) return;
  labels.emplace_back(name, std::move(text));
}

void add_nova(std::string_view key, std::string_view value, Labels& labels) {
  if (!key.starts_with(kNova)) return;
  const auto path = key.substr(std::min(key.size(), key.find('}') + 1));
  for (const auto& [known, label] : kNovaLabels)
    if (path == known) add(labels, label, value);
}

// A Kubernetes namespace has no underscore in its name.
void add_kubevirt(const Vm& vm, VmCgroups& cgroups, Labels& labels) {
  const std::string_view name = vm.name;
  const auto end = name.find('_');
  if (!vm.kubevirt || end == std::string_view::npos) return;
  add(labels, "kubevirt_namespace", name.substr(0, end));
  add(labels, "kubevirt_vmi", name.substr(end + 1));
  const VmCgroup& group = cgroups.of(vm.id());
  add(labels, "kubevirt_pod_uid",
      pod_uid((group.cpu ? group.cpu : group.unified).path));
}

class Metadata final : public Collector {
 public:
  explicit Metadata(const CollectorOptions& options)
      : own_(options.metadata.labels),
        tags_(options.metadata.pve),
        shown_name_(options.shown_name) {}

  std::string_view name() const override { return "metadata"; }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    auto& info = families.gauge(
        "vcpu_domain_metadata_info",
        "What clouds and people call the VM, always 1, only of VMs of which "
        "something is known; from libvirt's domain XML, the VMM's command line "
        "and its control group, Proxmox's configuration.");
    bool any = false;
    bool all = true;
    for (const Vm& vm : snapshot.vms) {
      if (vm.kubevirt && !snapshot.cgroups->of(vm.id()).problem.empty()) {
        families.problem(snapshot.cgroups->of(vm.id()).problem);
        continue;
      }
      auto labels = labels_of(vm, *snapshot.cgroups);
      if (!vm.proxmox_vmid.empty()) {
        any = true;
        all = add_tags(vm, labels) && all;
      }
      if (labels.empty()) continue;
      LabelSet shown = vm.labels;
      for (const auto& [name, value] : labels)
        shown = shown.with(name, as_shown(shown_name_, value));
      info.add(shown, 1);
    }
    tags_.read_asked();
    if (any) families.source("proxmox_tags", all ? "" : kNoTags);
    return {};
  }

 private:
  Labels labels_of(const Vm& vm, VmCgroups& cgroups) const {
    Labels labels;
    add_kubevirt(vm, cgroups, labels);
    add(labels, "proxmox_vmid", vm.proxmox_vmid);
    if (vm.libvirt == nullptr) return labels;
    for (const auto& [key, value] : vm.libvirt->metadata) {
      if (key == "title") add(labels, "title", value);
      add_nova(key, value, labels);
      for (const MetadataLabel& own : own_)
        if (key == own.key) add(labels, own.label, value);
    }
    return labels;
  }

  // False: nobody could read them.
  bool add_tags(const Vm& vm, Labels& labels) {
    const auto answer = tags_.of(vm.proxmox_vmid);
    add(labels, "proxmox_tags", answer.tags);
    return answer.there;
  }

  std::vector<MetadataLabel> own_;
  ProxmoxTags tags_;
  ShownName shown_name_;
};

}  // namespace

std::unique_ptr<Collector> make_metadata(const CollectorOptions& options) {
  return std::make_unique<Metadata>(options);
}

}  // namespace vcpu

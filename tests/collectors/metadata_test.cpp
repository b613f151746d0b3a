// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/proc_tree.h"
#include "tests/support/text_of.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kNova = "{http://openstack.org/xmlns/libvirt/nova/1.1}";

std::vector<std::string> said_of(const Vm& vm,
                                 std::vector<MetadataLabel> own = {},
                                 ShownName shown_name = {}) {
  CollectorOptions options;
  options.shown_name = std::move(shown_name);
  options.metadata.labels = std::move(own);
  Families families;
  EXPECT_TRUE(make_metadata(options)->collect(snapshot_of({vm}), families));
  return samples_of(families);
}

Vm vm_with(LibvirtDomain& domain) {
  Vm vm = vm_of("web", {});
  vm.libvirt = &domain;
  return vm;
}

TEST(Metadata, SaysTheTagsOfProxmoxWhereTheyCanBeRead) {
  ProcTree tree;
  CollectorOptions options;
  options.metadata.pve = tree.roots().sys;
  const auto collector = make_metadata(options);
  Vm vm = vm_of("shop", {});
  vm.proxmox_vmid = "100";
  const auto said = [&] {
    Families families;
    EXPECT_TRUE(collector->collect(snapshot_of({vm}), families));
    return families;
  };
  EXPECT_THAT(reason_of(said(), "proxmox_tags"), HasSubstr("www-data"));
  ProcTree::write(tree.roots().sys + "/qemu-server/100.conf",
                  "tags: prod;\x01web\n");
  const auto other = make_metadata(options);
  Families families;
  ASSERT_TRUE(eventually([&] {
    families = Families();
    EXPECT_TRUE(other->collect(snapshot_of({vm}), families));
    return reason_of(families, "proxmox_tags").empty();
  }));
  EXPECT_THAT(
      samples_of(families),
      ElementsAre(
          R"(vcpu_domain_metadata_info{domain="shop",proxmox_vmid="100",)"
          R"(proxmox_tags="prod;web"} 1)"));
  vm.proxmox_vmid.clear();
  EXPECT_EQ(reason_of(said(), "proxmox_tags"), "-");
}

TEST(Metadata, SaysNothingOfAVmOfWhichNothingIsKnown) {
  LibvirtDomain domain;
  EXPECT_THAT(said_of(vm_with(domain)), IsEmpty());
  EXPECT_THAT(said_of(vm_of("web", {})), IsEmpty());
}

TEST(Metadata, WhatNothingIsLeftOfIsNoLabel) {
  LibvirtDomain domain;
  domain.metadata = {{"title", "\n\t\x7f"}, {"{x}a", "\n"}, {"{x}a", "b"}};
  EXPECT_THAT(
      said_of(vm_with(domain), {{"own", "{x}a"}}),
      ElementsAre(R"(vcpu_domain_metadata_info{domain="web",own="b"} 1)"));
}

TEST(Metadata, SaysWhatNovaCallsIt) {
  LibvirtDomain domain;
  domain.metadata = {
      {kNova + std::string("instance/name"), "shop \"1\""},
      {kNova + std::string("instance/flavor@name"), "m1.small"},
      {kNova + std::string("instance/flavor/memory"), "2048"},
      {kNova + std::string("instance/owner/user"), "ann"},
      {kNova + std::string("instance/owner/user@uuid"), "f6a2"},
      {kNova + std::string("instance/owner/project"), "web\n"},
      {kNova + std::string("instance/owner/project@uuid"), "8f2b"},
      {"{http://example.org}instance/name", "another's"}};
  EXPECT_THAT(
      said_of(vm_with(domain)),
      ElementsAre(
          R"(vcpu_domain_metadata_info{domain="web",openstack_instance="shop \"1\"",)"
          R"(openstack_flavor="m1.small",openstack_user="ann",)"
          R"(openstack_user_id="f6a2",openstack_project="web",)"
          R"(openstack_project_id="8f2b"} 1)"));
}

TEST(Metadata, ShowsEveryValueAsNamesAreShown) {
  LibvirtDomain domain;
  domain.metadata = {{kNova + std::string("instance/owner/user"), "ann\n"},
                     {"title", "Web shop"},
                     {"{http://a.b/c}vm/team", "blue"}};
  auto vm = vm_with(domain);
  vm.proxmox_vmid = "100";
  EXPECT_THAT(
      said_of(
          vm, {{"team", "{http://a.b/c}vm/team"}},
          [](std::string_view name) { return std::to_string(name.size()); }),
      ElementsAre(R"(vcpu_domain_metadata_info{domain="web",proxmox_vmid="3",)"
                  R"(openstack_user="3",title="8",team="4"} 1)"));
}

TEST(Metadata, SaysTheTitleAndTheFirstOfTwo) {
  LibvirtDomain domain;
  domain.metadata = {{"title", "Web shop"}, {"title", "Other"}};
  EXPECT_THAT(
      said_of(vm_with(domain)),
      ElementsAre(
          R"(vcpu_domain_metadata_info{domain="web",title="Web shop"} 1)"));
}

TEST(Metadata, SaysWhatKubeVirtAndProxmoxCallIt) {
  Vm vm = vm_of("shop_web_1", {});
  vm.name = "shop_web_1";
  EXPECT_THAT(said_of(vm), IsEmpty());
  vm.kubevirt = true;
  EXPECT_THAT(said_of(vm),
              ElementsAre(R"(vcpu_domain_metadata_info{domain="shop_web_1",)"
                          R"(kubevirt_namespace="shop",)"
                          R"(kubevirt_vmi="web_1"} 1)"));
  Vm proxmox = vm_of("shop", {});
  proxmox.proxmox_vmid = "100";
  EXPECT_THAT(
      said_of(proxmox),
      ElementsAre(
          R"(vcpu_domain_metadata_info{domain="shop",proxmox_vmid="100"} 1)"));
}

TEST(Metadata, SaysTheKubernetesPodItIsIn) {
  const ProcTree tree;
  ProcTree::write(
      tree.proc("100/cgroup"),
      "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-"
      "pod0a1b2c3d_1111_2222_3333_444455556666.slice/"
      "cri-containerd-77.scope\n");
  Vm vm = vm_of("shop_web", {});
  vm.name = "shop_web";
  vm.kubevirt = true;
  vm.pid = 100;
  auto snapshot = snapshot_of({vm});
  snapshot.cgroups = cgroups_of(snapshot, tree.roots());
  Families families;
  EXPECT_TRUE(make_metadata({})->collect(snapshot, families));
  EXPECT_THAT(
      samples_of(families),
      ElementsAre(
          R"(vcpu_domain_metadata_info{domain="shop_web",)"
          R"(kubevirt_namespace="shop",kubevirt_vmi="web",)"
          R"(kubevirt_pod_uid="0a1b2c3d-1111-2222-3333-444455556666"} 1)"));
}

TEST(Metadata, SaysOwnLabelsThatAreAskedForAndNoOthers) {
  LibvirtDomain domain;
  domain.metadata = {{"{http://a.b/c}vm/team", "blue"},
                     {"{http://a.b/c}vm/secret", "42"}};
  EXPECT_THAT(
      said_of(vm_with(domain), {{"team", "{http://a.b/c}vm/team"}}),
      ElementsAre(R"(vcpu_domain_metadata_info{domain="web",team="blue"} 1)"));
}

}  // namespace
}  // namespace vcpu

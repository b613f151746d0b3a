// SPDX-License-Identifier: Apache-2.0
//
// ProxmoxTags: the tags that people give VMs on Proxmox.
//
// /etc/pve is a file system of the cluster's, in a process of its own, and may
// hang for as long as the cluster has no quorum. So a thread of ours reads it,
// never a scrape: one VM after the other, each at most once in `period`. What
// was read longer ago than `oldest` is not told. root and the group www-data
// may read it. Thread-safe; a read that hangs holds up no scrape and no
// destructor.
//
// Source: /etc/pve/qemu-server/VMID.conf, up to its first snapshot.
// https://pve.proxmox.com/wiki/Manual:_qm.conf
//
//   name: shop
//   tags: prod;web
//   [before-upgrade]
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "collectors/base/result.h"

namespace vcpu {

// "prod;web", as it is written there; empty where it has none.
std::string_view parse_proxmox_tags(std::string_view text);

struct ProxmoxTagsOptions {
  using Clock = std::chrono::steady_clock;

  std::chrono::nanoseconds period = std::chrono::minutes(1);
  std::chrono::nanoseconds oldest = std::chrono::minutes(5);
  std::function<Clock::time_point()> now = Clock::now;
};

class ProxmoxTags {
 public:
  // The text of a VM's file; may block.
  using Reader = std::function<Result<std::string>(const std::string& vmid)>;

  explicit ProxmoxTags(const std::string& pve, ProxmoxTagsOptions options = {});
  explicit ProxmoxTags(Reader reader, ProxmoxTagsOptions options = {});

  struct Answer {
    std::string tags;    // Raw: not label-safe.
    bool there = false;  // False: nobody could read them.
  };
  // What is known now. Never waits; a `vmid` that is no number has no tags, as
  // whoever starts a process writes it.
  Answer of(const std::string& vmid);

  // Has those read that were asked for since the last call, where they are old,
  // and forgets all others.
  void read_asked();

 private:
  struct State;
  static void read_due(const std::shared_ptr<State>& state);
  const std::shared_ptr<State> state_;
};

}  // namespace vcpu

// SPDX-License-Identifier: Apache-2.0
#include "collectors/catalog.h"

#include <linux/capability.h>

namespace vcpu {

const std::vector<CatalogEntry>& catalog() {
  static const std::vector<CatalogEntry> entries{
      {"domain", true, "Which VMs run here, under which VMM, since when.",
       make_domain},
      {"sched", true,
       "Run time, steal, switches, migrations and placement of every vCPU.",
       make_sched},
      {"runqueue", true,
       "How long vCPUs wait for a CPU, and who has it meanwhile (eBPF).",
       make_runqueue},
      {"perf", false,
       "Cycles, cache misses, page faults and the like of every vCPU.",
       make_perf, CAP_PERFMON},
      {"threads", true,
       "Run time and steal of the VMs' other threads: emulator, I/O, vhost.",
       make_threads},
      {"density", true, "How densely vCPUs are packed on cores, CPUs, nodes.",
       make_density},
      {"memory", true,
       "Memory of VMs and host: maximum, balloon, swap, major faults.",
       make_memory},
      {"cgroup", true, "CPU quotas, CPU weights and pressure of VMs and host.",
       make_cgroup},
      {"numa", true, "Whether a VM's memory lies where its vCPUs run.",
       make_numa},
      {"metadata", true,
       "What OpenStack, KubeVirt, Proxmox and people call a VM.",
       make_metadata},
      {"host", true,
       "The host's CPUs: their time, heat, frequency, machine checks.",
       make_host},
      {"security", true,
       "Protections of the host, vulnerabilities of its CPUs, shared cores.",
       make_security},
      {"guest", true,
       "The steal that this machine suffers where it is itself a VM.",
       make_guest},
      {"block", true,
       "Requests, bytes and time of VMs' disks, by libvirt from QEMU.",
       make_block},
      {"kvm", true,
       "Why vCPUs leave the guest, how long they are halted (KVM's "
       "statistics).",
       make_kvm},
      {"libvirt", true, "State, vCPU counts and pinning as libvirt knows them.",
       make_libvirt},
  };
  return entries;
}

}  // namespace vcpu

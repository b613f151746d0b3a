# SPDX-License-Identifier: Apache-2.0
"""Hosts that are fixtures: a fleet needs more than the one real host. Their pages have the lines of fixtures/host.txt."""

# Host: CPUs, busy, thread density, bytes read from the swap a second, and its VMs: name, vCPUs, share of the time that they
# wait, who has the CPU, far memory, bytes in the swap.
HOSTS = {
    "kvm-02": (16, 0.97, 2.9, 0, [("ci-runner-7", 8, 0.08, None, 0.04, 0), ("gitlab", 4, 0.21, "ci-runner-7", 0.02, 0),
                                  ("registry", 2, 0.13, "ci-runner-7", 0.1, 0)]),
    "kvm-03": (32, 0.62, 1.4, 0, [("mail", 4, 0.012, "web-2", 0.46, 0), ("web-2", 8, 0.004, None, 0.05, 0)]),
    "kvm-04": (32, 0.71, 1.9, 2.6e6, [("hadoop-1", 16, 0.034, "qemu-img", 0.2, 5e9), ("hadoop-2", 16, 0.028, None, 0.12, 3e9)]),
    "kvm-05": (16, 0.88, 2.2, 0, [("erp", 8, 0.067, "backup", 0.01, 0), ("backup", 2, 0.02, None, 0.02, 3e8)]),
    "kvm-06": (64, 0.31, 0.8, 0, [("ldap", 2, 0.001, None, 0, 0), ("dns", 1, 0.002, None, 0, 0)]),
    "kvm-07": (64, 0.42, 1.1, 0, [("web-3", 8, 0.006, None, 0.33, 0), ("web-4", 8, 0.005, None, 0.07, 0)]),
    "kvm-08": (32, 0.55, 1.6, 0, [("kafka-1", 8, 0.017, "kafka-2", 0.03, 0), ("kafka-2", 8, 0.011, None, 0.02, 0)]),
}
# What is recorded of a day and of a week: idle vCPUs of VMs, and how much busier a host will be.
IDLE = {"ci-runner-7": 2, "hadoop-1": 9, "web-2": 6, "erp": 3, "backup": 1, "web-4": 4, "kafka-2": 2, "ldap": 1}
GROWTH = {"kvm-02": 0.01, "kvm-04": 0.29, "kvm-05": 0.06, "kvm-07": -0.02, "kvm-08": 0.14}
# Machines that are VMs themselves: hypervisor, steal, busy.
GUESTS = {"ec2-app-1": ("nitro", 0.002, 0.4), "ec2-app-2": ("nitro", 0.094, 0.8), "esx-legacy": ("vmware", 0.031, 0.6)}

# What exporters of other hypervisors tell, by their jobs: names and labels as dashboards/rules/platforms.libsonnet read them.
FOREIGN = {
    "telegraf": [
        'vsphere_vm_cpu_ready_summation{clustername="vsan",esxhostname="esx-01",vmname="sap",cpu="0"} 1400 ~0.2',
        'vsphere_vm_cpu_ready_summation{clustername="vsan",esxhostname="esx-01",vmname="sap",cpu="1"} 500 ~0.2',
        'vsphere_vm_cpu_ready_summation{clustername="vsan",esxhostname="esx-01",vmname="sap",cpu="instance-total"} 1900 ~0.2',
        'vsphere_vm_cpu_ready_summation{clustername="vsan",esxhostname="esx-01",vmname="print",cpu="0"} 60 ~0.2',
    ],
    "xen-orchestra": [
        'xcp_vm_runstate_full_contention{pool_name="xcp-pool",vm_name="wiki",is_control_domain="false"} 0.02 ~0.2',
        'xcp_vm_runstate_partial_contention{pool_name="xcp-pool",vm_name="wiki",is_control_domain="false"} 0.01 ~0.2',
        'xcp_vm_runstate_concurrency_hazard{pool_name="xcp-pool",vm_name="wiki",is_control_domain="false"} 0.04 ~0.2',
    ],
}
# The VMs of these hosts.
FOREIGN_VMS = {"esx-01": ["sap", "print"], "xcp-pool": ["wiki"]}


def of_host(name):
    cpus, busy, density, swap_in, vms = HOSTS[name]
    yield f"vcpu_host_logical_cpus {cpus}"
    yield f"vcpu_host_cores {cpus // 2}"
    yield f"vcpu_host_vcpus {round(density * cpus / 2)}"
    yield f"vcpu_host_thread_density_ratio {density}"
    yield f'vcpu_host_swap_bytes_total{{direction="in"}} 0 +{swap_in}'
    yield from of_cpus(cpus, busy)
    yield f"instance:vcpu_host_cpu_busy:ratio_predicted3d {busy + GROWTH.get(name, 0)} ~0.01"
    yield f"instance:vcpu_host_thread_density:ratio_predicted3d {density * (1 + GROWTH.get(name, 0))} ~0.01"
    for domain, vcpus, waits, culprit, far, swapped in vms:
        yield f'vcpu_domain_info{{domain="{domain}",uuid="",vmm="qemu",accel="kvm",machine="q35"}} 1'
        yield f'vcpu_domain_numa_misplacement_ratio{{domain="{domain}"}} {far} ~0.1'
        yield f'vcpu_domain_swap_bytes{{domain="{domain}"}} {swapped}'
        if domain in IDLE:
            yield f'instance_domain:vcpu_idle_vcpus:count1d{{domain="{domain}"}} {IDLE[domain]}'
            yield f'instance_domain:vcpu_idle_vcpus:ratio1d{{domain="{domain}"}} {IDLE[domain] / vcpus}'
        for vcpu in range(vcpus):
            yield f'vcpu_run_seconds_total{{domain="{domain}",vcpu="{vcpu}"}} 0 +0.4'
            yield f'vcpu_steal_seconds_total{{domain="{domain}",vcpu="{vcpu}"}} 0 +{waits * (1 - 0.05 * vcpu)}'
        for name_of, kind, share in [(culprit, "domain", 0.8), ("kworker", "host", 0.1)]:
            if name_of:
                yield (f'vcpu_stolen_by_seconds_total{{domain="{domain}",culprit_kind="{kind}",culprit="{name_of}"}} 0 '
                       f"+{waits * vcpus * share}")


def of_guest(name):
    hypervisor, steal, busy = GUESTS[name]
    yield f'vcpu_guest_info{{hypervisor="{hypervisor}"}} 1'
    yield "vcpu_host_logical_cpus 4"
    yield from of_cpus(4, busy)
    for cpu in range(4):
        yield f'vcpu_guest_steal_seconds_total{{cpu="{cpu}"}} 0 +{steal * (1 + 0.1 * cpu)}'
    for mode, share in [("user", busy - 0.1), ("system", 0.08), ("steal", steal), ("idle", 1 - busy)]:
        yield f'vcpu_host_cpu_seconds_total{{mode="{mode}"}} 0 +{4 * share}'


def of_cpus(cpus, busy):
    for cpu in range(min(cpus, 4)):
        yield f'vcpu_host_cpu_busy_seconds_total{{cpu="{cpu}"}} 0 ={busy}'


def lines(name):
    if name in FOREIGN:
        yield from FOREIGN[name]
        return
    yield 'vcpu_exporter_build_info{version="0.1.0",revision="fixture"} 1'
    yield 'vcpu_scrape_collector_success{collector="sched"} 1'
    yield from of_host(name) if name in HOSTS else of_guest(name)

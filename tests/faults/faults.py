# SPDX-License-Identifier: Apache-2.0
"""The faults: how each is made and cured, and which alerts are to come of it.

A fault's `play` makes it and yields, and cures it when it goes on. Expected of it are
  heard   alerts that arrive at the receiver, and that are said to be resolved after the cure
  muted   alerts that fire in Prometheus, but that Alertmanager lets another alert mute
  silent  alerts that fire in Prometheus, and that are routed to nobody
  may     alerts that may arrive as well: what they say is true, but depends on the machine
and nothing else.
"""
import dataclasses
import os
import pathlib
import signal
from typing import Callable

from stage import alert, guests, stage_pace, wait_for
import two_nodes

EVERY_FAULT = []
CROWD = ("web", "db", "batch")


def storm(domain):
    return alert("VcpuContextSwitchStorm", "warning", domain=domain)


def weight(shares):
    return f"<cputune><shares>{shares}</shares></cputune>"


@dataclasses.dataclass
class Fault:
    name: str
    play: Callable
    heard: list
    muted: list
    silent: list
    may: list
    why_not: Callable  # of the stage: why this machine cannot have it, None when it can

    @property
    def title(self):
        return self.play.__doc__.split("\n")[0]


def fault(heard, muted=(), silent=(), may=(), why_not=lambda _: None):
    def add(play):
        EVERY_FAULT.append(Fault(play.__name__.replace("_", "-"), play, heard, muted, silent, may, why_not))
        return play
    return add


@fault(heard=[alert("VcpuStealHigh", "critical", domain="web"),
              alert("VcpuNoisyNeighbour", "warning", domain="web", culprit_kind="domain", culprit="batch"),
              alert("VcpuPinsOverlap", "warning")],
       muted=[alert("VcpuStealHigh", "warning", domain="web")],
       may=[storm("web"), alert("VcpuStarved", "critical", domain="web")])
def noisy_neighbour(stage):
    """One VM takes the CPU that another one waits for."""
    cpu = stage.lab.cpus[-1]
    stage.say(f"web has 1 vCPU that works all the time, on CPU {cpu}.")
    stage.start_guest("web", vcpus=1, cpus=[cpu], more_xml=weight(50))
    stage.outweigh_others()
    stage.say(f"batch comes to CPU {cpu}, too, with 160 times the CPU weight.")
    stage.start_guest("batch", vcpus=1, cpus=[cpu], more_xml=weight(8000))
    yield
    stage.say("batch moves to another host, that is, it ends here.")
    stage.virsh("destroy", "batch")


@fault(heard=[alert("VcpuQuotaThrottled", "warning", domain="web")],
       may=[storm("web")])
def quota(stage):
    """A VM is stopped by its own CPU quota, and no neighbour is blamed."""
    stage.say("web has 1 vCPU that works all the time.")
    stage.start_guest("web", vcpus=1)
    stage.outweigh_others()
    stage.say("It is allowed a fifth of a CPU.")
    stage.virsh("schedinfo", "web", "--live", "--set", "vcpu_quota=20000")
    yield
    stage.virsh("schedinfo", "web", "--live", "--set", "vcpu_quota=-1")


@fault(heard=[alert("VcpuPinsOverlap", "warning")],
       may=[alert("VcpuPinnedPreempted", "warning", domain="web")])  # While db is not pinned, if others work on this machine.
def overlapping_pins(stage):
    """Two vCPUs may use one and the same CPU only."""
    cpu = stage.lab.cpus[-1]
    stage.say("web and db have 1 vCPU each, which sleeps.")
    for name in ("web", "db"):
        stage.start_guest(name, vcpus=1, spins=False)
        stage.virsh("vcpupin", name, 0, cpu, "--live")
    yield
    stage.virsh("vcpupin", "db", 0, stage.all_cpus(), "--live")


@fault(heard=[alert("VcpuPinnedPreempted", "warning", domain="web", vcpu="0"),
              alert("VcpuStealHigh", "critical", domain="web"),
              alert("VcpuNoisyNeighbour", "warning", domain="web", culprit_kind="host", culprit="nightly-backup")],
       muted=[alert("VcpuStealHigh", "warning", domain="web")],
       may=[storm("web")])
def pinned_preempted(stage):
    """A vCPU has a CPU to itself among VMs, but the host uses that CPU."""
    cpu = stage.lab.cpus[-1]
    stage.say(f"web has 1 vCPU that works all the time, pinned to CPU {cpu}.")
    stage.start_guest("web", vcpus=1)
    stage.virsh("vcpupin", "web", 0, cpu, "--live")
    stage.say(f"nightly-backup, a process of the host, computes on CPU {cpu}.")
    backup = stage.host_process("nightly-backup", cpu)
    yield
    stage.say("It ends, and the vCPU is let go: on so small a machine this demonstration preempts it, too.")
    backup.stop()
    stage.virsh("vcpupin", "web", 0, stage.all_cpus(), "--live")


@fault(heard=[alert("VcpuHostSaturated", "critical"), alert("VcpuThreadDensityCliff", "critical"),
              alert("VcpuSchedulingSloBurn", "critical")],
       muted=[*(alert("VcpuStealHigh", "critical", domain=name) for name in CROWD), alert("VcpuSchedulingSloBurn", "warning"),
              alert("VcpuThreadDensityHigh", "warning"), alert("VcpuReserveExhausted", "warning")],
       may=[*map(storm, CROWD), *(alert("VcpuNoisyNeighbour", "warning", domain=name) for name in CROWD)])
def overcommit(stage):
    """Three VMs, each as large as the host, all work: the host is the news, not every VM on it."""
    cpus = stage.all_cpus()
    count = len(os.sched_getaffinity(0))
    stage.say(f"web, db and batch have {count} vCPUs each, on {count} CPUs.")
    stage.run_guest(*(stage.lab.guest(name, vcpus=count) for name in CROWD), cpus=[cpus])
    yield
    stage.say("They move to other hosts, that is, they end here.")
    for name in CROWD:
        stage.virsh("destroy", name)


@fault(heard=[alert("VcpuIoLatencySurge", "warning", domain="db", device="sda")],
       may=[storm("db")])  # Its own I/O thread takes its CPU.
def throttled_disk(stage):
    """A disk answers far more slowly than it used to."""
    # QEMUs are asked for their disks every 10 s.
    stage.set_pace(stage_pace(window="25s"))
    stage.say("db reads and writes its disk without a pause.")
    stage.run_guest(guests.BareGuest("db", stage.lab.work, busy=True))
    stage.outweigh_others()
    wait_for(lambda: stage.lab.prometheus.query(
        'instance_domain_device:vcpu_domain_block_request_seconds:mean_rate1h_offset1h{domain="db"}'), 120,
        "the disk to have a past")
    stage.say("The disk is allowed 10 requests a second.")
    stage.virsh("blkdeviotune", "db", "sda", "--total-iops-sec", 10, "--live")
    yield
    stage.virsh("blkdeviotune", "db", "sda", "--total-iops-sec", 0, "--live")


def memory_is_promised_freely():
    return pathlib.Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip() != "2"


@fault(heard=[alert("VcpuMemoryOvercommitted", "warning")],
       why_not=lambda _: None if memory_is_promised_freely() else "vm.overcommit_memory is 2: no VM gets what is not there")
def memory_overcommit(stage):
    """VMs may use more memory than there is."""
    mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024 ** 2
    stage.say("web and db may use 60 % of the host's memory each; so far they use none of it.")
    stage.run_guest(*(guests.BareGuest(name, stage.lab.work, memory_mib=mib * 6 // 10) for name in ("web", "db")))
    yield
    stage.say("db moves to another host, that is, it ends here.")
    stage.virsh("destroy", "db")


@fault(heard=[alert("VcpuHostThermal", "warning", instance="kvm2:9752", package="0")])
def heat(stage):
    """A CPU gets hot (a fixture: the sensor is a file)."""
    host = stage.start_fixture_host("kvm2")
    stage.say("The sensor of kvm2's CPU says 95 degrees.")
    host.temperature(95)
    yield
    stage.say("60 degrees.")
    host.temperature(60)


@fault(heard=[alert("VcpuHostThermal", "critical", instance="kvm2:9752"),
              alert("VcpuMachineChecks", "warning", instance="kvm2:9752"),
              alert("VcpuHostSecurityPosture", "warning", instance="kvm2:9752", name="spectre_v2")])
def unsound_host(stage):
    """A host slows down for heat, its hardware reports errors, and it is vulnerable (fixtures)."""
    host = stage.start_fixture_host("kvm2", spectre_v2="Vulnerable")
    stage.say("kvm2's kernel says that it is vulnerable, its CPU slows down time and again, and takes a machine check.")
    host.begin_throttling()
    host.machine_check()
    yield
    stage.say("It is cleaned, gets a new CPU and a new kernel, and boots.")
    host.end_throttling()
    host.restart(spectre_v2="Mitigation: Retpolines")


@fault(heard=[alert("VcpuConfigNotReloaded", "warning", instance="kvm2:9752"),
              alert("VcpuCollectorFailing", "warning", instance="kvm2:9752", collector="memory")])
def exporter_unwell(stage):
    """An exporter gets a configuration that is not good, and a file of the kernel that it does not understand (a fixture)."""
    host = stage.start_fixture_host("kvm2")
    stage.say("kvm2's exporter is told a configuration with a key that does not exist (SIGHUP); its /proc/meminfo is nonsense.")
    host.configure("nonsense: 1\n")
    host.proc.replace("meminfo", "nonsense\n")
    yield
    stage.say("Both are as they were.")
    host.configure("{}\n")
    host.proc.restore("meminfo")


@fault(heard=[alert("VcpuNumaMisplaced", "warning", instance="kvm3:9752", domain=two_nodes.FAR_VM),
              alert("VcpuMemorySwapping", "critical", instance="kvm3:9752")],
       why_not=lambda stage: two_nodes.why_not_here(stage.lab.program))
def two_nodes_host(stage):
    """On a host with two NUMA nodes a VM works far from its memory, and another's is swapped (an emulated machine's own exporter)."""
    host = two_nodes.TwoNodes(stage.lab.program)
    stage.cleanups.append(host.close)
    stage.domains |= {two_nodes.FAR_VM, two_nodes.SWAPPED_VM}
    # A page takes that machine some seconds.
    stage.set_pace(stage_pace(window="15s"))
    host.start()
    wait_for(host.tells, 150, "the machine's first page")
    stage.say("kvm3's VM far computes on node 1, its memory is on node 0; mem-tight has less memory than it uses.")
    stage.watch("kvm3:9752", host.address)
    yield
    wait_for(lambda: host.tells() and host.cured.is_set(), 200, "the cure")
    stage.say("far is moved to node 0, mem-tight gets the memory that it uses.")


@fault(heard=[alert("VcpuLibvirtStale", "warning")],
       silent=[alert("VcpuSourceLost", "info", source="libvirt")])
def hanging_libvirtd(stage):
    """libvirtd hangs: VMs go on and are seen as ever, but cannot be managed."""
    stage.start_guest("web", vcpus=1, spins=False)
    wait_for(lambda: stage.lab.prometheus.query('vcpu_source_available{source="libvirt"} offset 20s == 1'), 60,
             "libvirt to have answered for a while")
    stage.say("libvirtd is stopped (SIGSTOP).")
    libvirtd = stage.lab.libvirt.daemon
    stage.cleanups.append(lambda: libvirtd.signal(signal.SIGCONT))
    libvirtd.signal(signal.SIGSTOP)
    yield
    stage.say("libvirtd goes on (SIGCONT).")
    libvirtd.signal(signal.SIGCONT)


@fault(heard=[alert("VcpuExporterDown", "critical")])
def exporter_down(stage):
    """The exporter itself is gone."""
    stage.say("The exporter is killed.")
    address = stage.lab.address
    stage.lab.exporter.kill()
    stage.cleanups.append(lambda: stage.lab.exporter.is_alive() or stage.lab.restart_exporter(address=address))
    yield
    stage.say("It is started again.")
    stage.lab.restart_exporter(address=address)

# SPDX-License-Identifier: Apache-2.0
"""What faults are made on: the lab of tests/live, in which what is shipped as a minute lasts a second."""
import os
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "live"))
import guests  # noqa: E402, F401
import lab as laboratory  # noqa: E402
import monitoring  # noqa: E402
from host_view import FixtureHost, ProcView  # noqa: E402
from private_libvirt import cgroup_partitions  # noqa: E402
from processes import Daemon, wait_for  # noqa: E402, F401

# Nothing lasts longer than 20 s: nobody waits for a day.
PACE = monitoring.in_proportion(60)


def stage_pace(window):
    """The same for all but ranges and offsets."""
    return PACE._replace(window=lambda _: window, offset=lambda _: window)


# What this machine, or all faults of a run together, may be blamed for at any time; no fault is judged by it.
OF_THE_HOST = {"VcpuGuestSteal", "VcpuHostSecurityPosture", "VcpuReserveExhausted", "VcpuSchedulingSloBurn"}
PATHS = {"critical": "/page", "warning": "/ticket"}
NOT_COMPARED = ("job", "__name__", "alertstate")


def alert(name, severity, /, **labels):
    """An alert that is expected, by the labels that matter."""
    return {"alertname": name, "severity": severity, **labels}


def is_like(expected, labels):
    return expected.items() <= labels.items()


def is_heard(expected, received):
    """The alert itself, where alerts of its severity belong."""
    return is_like(expected, received["labels"]) and received["path"] == PATHS[expected["severity"]]


def told(labels):
    """An alert's labels for a person, its name first."""
    rest = {key: value for key, value in sorted(labels.items()) if key not in ("alertname", *NOT_COMPARED)}
    return f"{labels['alertname']}({', '.join(f'{key}={value}' for key, value in rest.items())})"


class Stage:
    def __init__(self, exporter, say):
        # What watches must not wait for the guests that it watches.
        os.nice(-20)
        self.proc = ProcView()
        self.lab = laboratory.Lab(exporter, PACE, self.proc)
        self.lab.closers.insert(0, self.proc.close)
        self.print = say
        self.said = None  # when something was last told
        self.first = self.cured = 0  # of what the webhook has received for this fault, and since its cure
        self.cleanups = []
        self.domains = set()

    def say(self, line):
        self.said = time.monotonic()
        self.print(line)

    def start(self):
        self.say("Starts libvirtd, the exporter, Prometheus, Alertmanager and a receiver, all private and on loopback.")
        self.lab.start()

    def close(self):
        self.clear()
        self.lab.close()

    def addresses(self):
        return {"exporter": self.lab.address, "Prometheus": self.lab.prometheus.address,
                "Alertmanager": self.lab.alertmanager.address}

    # ---- What a fault is made of.

    def virsh(self, *arguments):
        self.say(f"$ virsh {' '.join(map(str, arguments))}")
        self.lab.libvirt.virsh(*map(str, arguments))

    def start_guest(self, name, cpus=None, **properties):
        return self.run_guest(self.lab.guest(name, **properties), cpus=cpus)

    def run_guest(self, *guests, cpus=None):
        for guest in guests:
            self.domains.add(guest.name)
            self.cleanups.append(lambda guest=guest: self.lab.destroy(guest))
        self.lab.create(*guests, cpus=cpus)
        for guest in guests:
            self.proc.show(self.lab.pid(guest))
        return guests[0]

    def outweigh_others(self):
        """From now on what else runs on this machine makes room for VMs, and is not to blame. Not where they are beside the group
        that we are in, and not where they work on all CPUs: then they would outweigh those who watch, too."""
        groups = pathlib.Path("/proc/self/cgroup").read_text(encoding="utf-8")
        if not re.search(r"(?m)^\d+:(?:\S*\bcpu\b\S*)?:/$", groups):
            return
        for partition in cgroup_partitions():
            for name, weight in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
                self.set_for_now(partition / name, weight)

    def set_for_now(self, file, value):
        if file.exists():
            before = file.read_text(encoding="ascii")
            self.cleanups.append(lambda: file.write_text(before, encoding="ascii"))
            file.write_text(value, encoding="ascii")

    def set_pace(self, pace):
        self.cleanups.append(lambda: self.lab.prometheus.set_pace(PACE))
        self.lab.prometheus.set_pace(pace)

    def start_fixture_host(self, name, **vulnerabilities):
        """An exporter for a host whose hardware is files, and no VMs; Prometheus knows it as NAME:9752."""
        host = FixtureHost(self.lab.program)
        self.cleanups.append(host.close)
        host.start(**vulnerabilities)
        self.watch(f"{name}:9752", host.address)
        return host

    def watch(self, instance, address):
        prometheus = self.lab.prometheus

        def up():
            return prometheus.query(f'up{{instance="{instance}"}} == 1')

        def forget():
            prometheus.forget(instance)
            wait_for(lambda: not up(), 30, f"{instance} to be forgotten")
        self.cleanups.append(forget)
        prometheus.watch_also(instance, address)
        wait_for(up, 30, f"{instance} to be scraped")

    @staticmethod
    def all_cpus():
        return ",".join(map(str, sorted(os.sched_getaffinity(0))))

    def host_process(self, name, cpu):
        """A process of the host that computes on one CPU; the kernel calls it by the name of its script."""
        script = self.lab.work / name
        script.write_text("#!/bin/sh\nwhile :; do :; done\n", encoding="ascii")
        script.chmod(0o755)
        process = Daemon(name, ["taskset", "-c", str(cpu), str(script)],
                         self.lab.work / f"{name}.log").start()
        self.cleanups.append(process.stop)
        return process

    def clear(self):
        """What a fault has left, its guests among it."""
        while self.cleanups:
            try:
                self.cleanups.pop()()
            except Exception as error:
                print(f"# cleaning up: {error}", flush=True)

    # ---- What comes of it.

    def begin(self):
        """A new fault: what was received before belongs to others."""
        self.first = self.cured = len(self.lab.webhook.received)
        self.domains = set()

    def begin_cure(self):
        self.cured = len(self.lab.webhook.received)

    def concerns(self, labels):
        """Whether it is about the guests of this fault or a host; others may run VMs on this machine, too."""
        return labels.get("domain") is None or labels["domain"] in self.domains

    def received(self, status):
        first = self.cured if status == "resolved" else self.first
        return [{**received, "path": path} for path, received in self.lab.webhook.received[first:]
                if received["status"] == status and self.concerns(received["labels"])]

    def heard(self, status, expected):
        """The alert as it was received, None if it was not."""
        return next((one for one in self.received(status) if is_heard(expected, one)), None)

    def firing(self):
        """The labels of what fires in Prometheus, heard of or not."""
        return [labels for labels, _ in self.lab.prometheus.query('ALERTS{alertstate="firing"}')
                if self.concerns(labels)]

    def fires(self, expected):
        return any(is_like(expected, labels) for labels in self.firing())

    def is_muted(self, expected):
        return any(is_like(expected, labels) for labels in self.lab.alertmanager.muted())

    def unresolved(self):
        """What was said to fire and not yet to have ended, by the last word on each."""
        last = {}
        for _, received in self.lab.webhook.received[self.first:]:
            last[tuple(sorted(received["labels"].items()))] = received
        return [received["labels"] for received in last.values()
                if received["status"] == "firing" and received["labels"]["alertname"] not in OF_THE_HOST]

    def is_calm(self, awaited=()):
        """Nothing fires but what is of the host, and that only where it is not what is awaited: this machine may be vulnerable
        all the while, and another is to become it."""
        return all(labels["alertname"] in OF_THE_HOST and not any(is_like(expected, labels) for expected in awaited)
                   for labels in self.firing())

# SPDX-License-Identifier: Apache-2.0
"""The lab: libvirtd, guests, exporter, Prometheus, Alertmanager and a webhook, all private, all gone after close()."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import guests
import monitoring
import scrape
from private_libvirt import PrivateLibvirt
from processes import Daemon, wait_for

TOOLS = ["busybox", "libvirtd", "prometheus", "prometheus-alertmanager", "qemu-system-x86_64", "virsh"]


def why_not_here():
    """Why this machine cannot run the lab, None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    # In a child: the lab itself enters one when it starts.
    namespace = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if namespace.returncode != 0:
        return f"no mount namespace of its own: {namespace.stderr.strip()}"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"not installed: {' '.join(missing)}"
    try:
        guests.kernel()
    except (subprocess.CalledProcessError, OSError) as error:
        return f"no guest kernel: {error}"
    return None


class Lab:
    def __init__(self, program, pace=monitoring.AT_ONCE, proc=None):
        self.pace = pace
        self.program = os.path.abspath(program)
        self.exporter_command = proc.command(self.program) if proc else [self.program]
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vcpu-live-"))
        self.closers = [lambda: shutil.rmtree(self.work)]
        self.kernel = guests.kernel()
        self.initrd = guests.make_initrd(self.work)
        # Two CPUs are overcommitted whatever the size of the host.
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        self.libvirt = None
        self.prometheus = None
        self.alertmanager = None
        self.webhook = None
        self.exporter = None
        self.exporters = 0
        self.exit_codes = []  # Of those before.
        self.address = None

    def start(self):
        self.start_exporter()

        self.webhook = monitoring.Webhook()
        self.closers.append(self.webhook.close)
        self.alertmanager = monitoring.Alertmanager(self.work, self.webhook.url, self.pace)
        self.closers.append(self.alertmanager.daemon.stop)
        self.prometheus = monitoring.Prometheus(self.work, self.address, self.alertmanager.start(), self.pace)
        self.closers.append(self.prometheus.daemon.stop)
        self.prometheus.start()

    def start_exporter(self):
        """libvirtd and the exporter, without those who watch it."""
        self.libvirt = PrivateLibvirt(self.work)
        self.closers.append(self.libvirt.close)
        self.libvirt.start()

        self.closers.append(lambda: self.exporter.stop())
        self.restart_exporter()

    def restart_exporter(self, *flags, address="127.0.0.1:0", under=()):
        """One that knows nothing yet, with a log of its own, in place of the last; `under` is a command that becomes it."""
        if self.exporter:
            self.exporter.stop()
            self.exit_codes.append(self.exporter.process.returncode)
        self.exporters += 1
        # As the systemd unit does it (Nice=-10): its guests are to wait for a CPU, not it.
        self.exporter = Daemon("exporter", ["nice", "-n", "-10", *under, *self.exporter_command,
                                            f"--web.listen-address={address}", *flags],
                               self.work / f"exporter-{self.exporters}.log")
        self.exporter.start()
        self.address = self.exporter.listening_address()

    def killed_by_the_filter_of_system_calls(self):
        """Every exporter of this lab, and every child of one, that ended so."""
        lines = [line for log in self.work.glob("exporter-*.log") for line in log.read_text(errors="replace").splitlines()]
        children = [line for line in lines if re.search(rf"\bsignal {int(signal.SIGSYS)}\b", line)]
        return children + [f"exporter {code}" for code in self.exit_codes if code == -signal.SIGSYS]

    def close(self):
        """In reverse order, each whatever the others did."""
        while self.closers:
            closer = self.closers.pop()
            try:
                closer()
            except Exception as error:
                print(f"# cleaning up: {error}", flush=True)

    def guest(self, name, **properties):
        return guests.Guest(name, self.work, self.kernel, self.initrd, **properties)

    def create(self, *new_guests, cpus=None):
        for guest in new_guests:
            guest.serial_log.unlink(missing_ok=True)
            xml = self.work / f"{guest.uuid}.xml"
            xml.write_text(guest.xml(",".join(map(str, cpus or self.cpus))), encoding="utf-8")
            self.libvirt.virsh("create", str(xml))
        for guest in new_guests:
            wait_for(guest.is_ready, 120, f"{guest.name} to boot")

    def destroy(self, *old_guests):
        for guest in old_guests:
            self.libvirt.virsh("destroy", guest.name, check=False)

    def make_run(self, guest):
        """For clean-up: the guest runs again, whatever a failed test left of it."""
        self.destroy(guest)
        self.create(guest)

    def pid(self, guest):
        return self.libvirt.pid_of(guest.uuid)

    def scrape(self):
        return scrape.scrape(self.address)

    def watch(self, *expected_guests):
        return scrape.Watch(self.address, self.exporter.pid, {(guest.name, vcpu) for guest in expected_guests
                                                              for vcpu in range(guest.vcpus)})

# SPDX-License-Identifier: Apache-2.0
"""A host with real virtual machines, for measuring: QEMUs under TCG that a libvirtd of our own runs (tests/live)."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import uuid

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / name) for name in ("live", "program")]
import guests  # noqa: E402
import private_libvirt  # noqa: E402
from processes import command_line, wait_for  # noqa: E402

TOOLS = ["libvirtd", "qemu-system-x86_64", "virsh"]
AT_ONCE = 20  # Machines that one virsh starts.
DISK_BYTES = 1 << 20


def what_is_missing():
    """Of what a host needs here, in words; empty where nothing is."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"not installed: {' '.join(missing)}"
    if os.geteuid() != 0:
        return "needs root"
    namespace = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return namespace.stderr.strip() if namespace.returncode else ""


class PausedGuest:
    """16 MiB and no operating system: its vCPUs are threads that have not run yet, so that many cost no CPU time."""

    def __init__(self, name, directory, vcpus):
        self.name = name
        self.uuid = str(uuid.uuid4())
        self.vcpus = vcpus
        self._disk = directory / f"{self.uuid}.img"
        with open(self._disk, "wb") as disk:
            disk.truncate(DISK_BYTES)

    def xml(self):
        return f"""<domain type='qemu'>
  <name>{self.name}</name>
  <uuid>{self.uuid}</uuid>
  <memory unit='MiB'>16</memory>
  <vcpu>{self.vcpus}</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><tcg><tb-cache unit='MiB'>1</tb-cache></tcg></features>
  <devices>
    <emulator>{guests.QEMU}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{self._disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""


class WorkingGuest(guests.Guest):
    """A Linux that starts a program on every vCPU each second."""

    def __init__(self, name, host, vcpus):
        super().__init__(name, host.work, guests.kernel(), host.initrd(), vcpus)
        # On a machine that is busy a guest can wait too long for its first timer, and would panic.
        self.kernel_arguments = "console=ttyS0 quiet no_timer_check work=little"

    def xml(self, _cpus=None):
        return super().xml(f"0-{os.cpu_count() - 1}")


class Host:
    """libvirtd and these machines, from __enter__ to __exit__; one in a process, as its mounts are the process's."""

    def __init__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vcpu-bench-"))
        self.libvirt = None
        self._initrd = None

    def __enter__(self):
        try:
            self.libvirt = private_libvirt.PrivateLibvirt(self.work)
            # It does not write down its calls: that costs more than some of them.
            pathlib.Path("/etc/libvirt/libvirtd.conf").write_text(private_libvirt.LIBVIRTD_CONF, encoding="ascii")
            self.libvirt.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self.libvirt:
                self.libvirt.close()
        finally:
            shutil.rmtree(self.work)

    def initrd(self):
        self._initrd = self._initrd or guests.make_initrd(self.work)
        return self._initrd

    def start(self, *flags, machines):
        """`flags` are those of "virsh create"; `machines` have a uuid and are described by xml()."""
        for first in range(0, len(machines), AT_ONCE):
            commands = []
            for machine in machines[first:first + AT_ONCE]:
                description = self.work / f"{machine.uuid}.xml"
                description.write_text(machine.xml(), encoding="utf-8")
                commands.append(" ".join(["create", str(description), *flags]))
            self.libvirt.virsh("; ".join(commands))

    def pids(self, machines):
        """Of their QEMUs, all of which are there."""
        wanted = {machine.uuid for machine in machines}

        def found():
            pids = [pid for pid in self.libvirt.qemus() if wanted & set(command_line(pid))]
            return len(pids) == len(wanted) and pids
        return wait_for(found, 30, f"{len(wanted)} QEMUs")

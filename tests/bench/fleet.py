# SPDX-License-Identifier: Apache-2.0
"""A host full of virtual machines, for measuring: processes with real threads that look like QEMU's (fake_vmm), each in
control groups of its own as libvirt makes them, of whichever controllers this machine has."""
import os
import pathlib
import resource
import subprocess
import uuid

CGROUPS = pathlib.Path("/sys/fs/cgroup")


def hierarchies():
    """Where each controller's groups are: one directory where cgroup version 2 is alone, else one per controller."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in (CGROUPS / name for name in ("cpu", "memory", "hugetlb", "unified")) if path.exists()]


class Fleet:
    """`vms` virtual machines of `vcpus` vCPUs; `quotas` of them with a CPU quota on each vCPU."""

    def __init__(self, fake_vmm, vms, vcpus, quotas=0):
        self._fake_vmm = fake_vmm
        self._vms = vms
        self._vcpus = vcpus
        self._quotas = quotas
        self._slices = [top / f"vcpu_bench.{os.getpid()}.slice" for top in hierarchies()]
        self._groups = []
        self.processes = []

    def __enter__(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * self._vms + 256)), hard))
        try:
            for top in self._slices:
                self._make(top)
            for number in range(self._vms):
                self.processes.append(self._start(number))
            for process in self.processes:
                assert process.stdout.readline() == b"ready\n"
            for number, process in enumerate(self.processes):
                self._put_into_groups(number, process.pid)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            process.stdin.close()
            process.stdout.close()
        for group in reversed(self._groups):
            group.rmdir()

    def wake(self):
        """Every vCPU has a CPU for a moment."""
        for process in self.processes:
            process.stdin.write(b"spin 0\n")
            process.stdin.flush()
        for process in self.processes:
            while process.stdout.readline() != b"done\n":
                pass

    def _start(self, number):
        names = [f"CPU {vcpu}/KVM" for vcpu in range(self._vcpus)]
        argv = ["/usr/bin/qemu-system-x86_64", "-name", f"guest=vm{number},debug-threads=on", "-accel", "kvm",
                "-m", "1024", "-uuid", str(uuid.UUID(int=number + 1))]
        return subprocess.Popen(argv, executable=self._fake_vmm, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                env={"FAKE_VMM_THREADS": "|".join(names)})

    def _make(self, group):
        group.mkdir()
        self._groups.append(group)
        controllers = group / "cgroup.controllers"
        if controllers.exists() and controllers.read_text().split():
            wanted = set(controllers.read_text().split()) & {"cpu", "memory", "io", "hugetlb"}
            (group / "cgroup.subtree_control").write_text(" ".join("+" + name for name in sorted(wanted)))

    def _put_into_groups(self, number, pid):
        for top in self._slices:
            scope = top / f"machine-qemu\\x2d{number + 1}\\x2dvm{number}.scope"
            self._make(scope)
            self._make(scope / "libvirt")
            if top.parent.name == "cpu":
                for vcpu in range(self._vcpus):
                    self._make(scope / "libvirt" / f"vcpu{vcpu}")
                    if number < self._quotas:
                        (scope / "libvirt" / f"vcpu{vcpu}" / "cpu.cfs_quota_us").write_text("50000")
            (scope / "libvirt" / "cgroup.procs").write_text(str(pid))

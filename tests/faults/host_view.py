# SPDX-License-Identifier: Apache-2.0
"""What the exporter is shown of this machine: only our own VMs, and hardware that it does not have."""
import os
import pathlib
import shutil
import signal
import tempfile
import threading

from processes import Daemon


class ProcView:
    """A procfs in which all is real, but of processes only those that are shown: others may run VMs on this machine, too."""

    def __init__(self):
        # Where everybody may look: the exporter is not root for long.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="vcpu-faults-", dir="/tmp"))
        self.path.chmod(0o755)
        for name in os.listdir("/proc"):
            if not name.isdigit() or name == "1":
                self.show(name)

    def show(self, name):
        link = self.path / str(name)
        if not link.is_symlink():
            link.symlink_to(f"/proc/{name}")

    def command(self, program):
        """An exporter that looks at it. To have its eBPF programs it must be sure that the procfs is its machine's: `self` is it."""
        return ["sh", "-c", 'ln -sfn "/proc/$$" "$0/$$" && ln -sfn "$$" "$0/self" && exec "$@"', str(self.path), program,
                f"--path.procfs={self.path}"]

    def replace(self, name, text):
        """Another text in place of the real file."""
        new = self.path / f"{name}.new"
        new.write_text(text, encoding="ascii")
        new.rename(self.path / name)

    def restore(self, name):
        """The real file again."""
        (self.path / name).unlink()
        self.show(name)

    def close(self):
        shutil.rmtree(self.path)


class FixtureHost:
    """A host without VMs whose sensors, counters and vulnerabilities are files, as the kernel's documentation has them
    (Documentation/hwmon/sysfs-interface, ABI/testing/sysfs-devices-system-cpu); all else is this machine's."""

    def __init__(self, program):
        self.program = program
        self.proc = ProcView()
        self.sys = self.proc.path / "sys.fixture"
        self.cpus = self.sys / "devices/system/cpu"
        self.cpus.mkdir(parents=True)
        for name in ("block", "fs", "kernel", "module"):
            (self.sys / name).symlink_to(f"/sys/{name}")
        (self.sys / "devices/system/node").symlink_to("/sys/devices/system/node")
        for name in ("online", "possible", "present"):
            (self.cpus / name).symlink_to(f"/sys/devices/system/cpu/{name}")
        self.numbers = [cpu.name for cpu in pathlib.Path("/sys/devices/system/cpu").glob("cpu[0-9]*")]
        for cpu in self.numbers:
            (self.cpus / cpu).mkdir()
            (self.cpus / cpu / "topology").symlink_to(f"/sys/devices/system/cpu/{cpu}/topology")
        self.write("class/hwmon/hwmon0/name", "coretemp")
        self.write("class/hwmon/hwmon0/temp1_label", "Package id 0")
        self.temperature(60)
        self.throttles(0)
        self.machine_checks(0)
        self.config = self.proc.path / "exporter.yml"
        self.config.write_text("{}\n", encoding="ascii")
        self.calm = threading.Event()
        self.heat = None
        self.exporter = None
        self.address = "127.0.0.1:0"

    def write(self, name, text):
        path = self.sys / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_text(f"{text}\n", encoding="ascii")
        new.rename(path)

    def temperature(self, celsius):
        self.write("class/hwmon/hwmon0/temp1_input", celsius * 1000)

    def throttles(self, count):
        for cpu in self.numbers:
            for scope in ("core", "package"):
                self.write(f"devices/system/cpu/{cpu}/thermal_throttle/{scope}_throttle_count", count)

    def machine_checks(self, count):
        self.proc.replace("interrupts", f"           CPU0\nMCE:          {count}   Machine check exceptions\n")

    def machine_check(self):
        self.machine_checks(1)

    def begin_throttling(self):
        def rise():
            count = 0
            while not self.calm.wait(1):
                count += 1
                self.throttles(count)
        self.heat = threading.Thread(target=rise)
        self.heat.start()

    def end_throttling(self):
        self.calm.set()
        if self.heat:
            self.heat.join()

    def start(self, **vulnerabilities):
        for name, verdict in vulnerabilities.items():
            self.write(f"devices/system/cpu/vulnerabilities/{name}", verdict)
        self.exporter = Daemon("exporter of files", [
            self.program, f"--web.listen-address={self.address}", f"--path.procfs={self.proc.path}",
            f"--path.sysfs={self.sys}", f"--config.file={self.config}", "--no-libvirt", "--no-ebpf"], self.proc.path / "log")
        self.exporter.start()
        self.address = self.exporter.listening_address()

    def configure(self, text):
        """What its operator does: another file, and SIGHUP."""
        self.config.write_text(text, encoding="ascii")
        self.exporter.signal(signal.SIGHUP)

    def restart(self, **vulnerabilities):
        self.exporter.stop()
        self.machine_checks(0)
        self.throttles(0)
        self.start(**vulnerabilities)

    def close(self):
        self.end_throttling()
        if self.exporter:
            self.exporter.stop()
        self.proc.close()

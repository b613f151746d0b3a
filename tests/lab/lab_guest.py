# SPDX-License-Identifier: Apache-2.0
"""The lab's machine: Debian's cloud kernel under QEMU's emulation, which has AMD's SVM, so it is a KVM host itself.

It has four CPUs on two NUMA nodes, cgroup v2, debugfs, tracefs, the bpf filesystem, a loopback device and nothing else:
no disk, no network. Its initrd holds the exporter, a QEMU and a kernel for inner guests, and a list of steps: pieces of
busybox shell that it runs in order, each with the functions of guest/lab.sh at hand. It needs neither KVM nor root.
"""
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("VCPU_LAB_CACHE") or HERE.parents[1] / "build" / "lab")
TOOLS = ["apt-cache", "apt-get", "busybox", "dpkg", "ldd", "qemu-system-x86_64", "setpriv", "strip"]
# What an inner guest's QEMU needs; Debian's looks for it in these places.
FIRMWARE = ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/kvmvapic.bin", "/usr/share/qemu/linuxboot_dma.bin"]
MODULES = ["kvm-amd"]
LIFE_SECONDS = 300  # From power on; what has not ended by then never will. Long tests are given more.


class NotHere(Exception):
    """Why this machine cannot have a lab."""


class StepFailed(AssertionError):
    pass


def check_tools():
    if platform.machine() != "x86_64":
        raise NotHere(f"needs x86_64, not {platform.machine()}")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    missing += [file for file in FIRMWARE if not os.path.exists(file)]
    if missing:
        raise NotHere(f"not installed: {' '.join(missing)}")


class Kernel:
    """A Debian kernel package, unpacked."""

    def __init__(self, directory):
        self.image, = directory.glob("boot/vmlinuz-*")
        self._modules = {file.stem.replace("-", "_"): file for file in directory.glob("lib/modules/**/*.ko")}

    def modules(self, *names):
        """The files of these modules and of those they need, in the order to load them."""
        files = []
        for name in names:
            file = self._modules[name.replace("-", "_")]
            needed = re.search(rb"\0depends=([^\0]*)\0", file.read_bytes())[1].decode("ascii")
            files += [*self.modules(*needed.split(",")), file] if needed else [file]
        return list(dict.fromkeys(files))


def debian_kernel(cache):
    """The kernel kept in this directory, else downloaded into it. It is not installed."""
    unpacked = sorted(cache.glob("linux-image-*"))
    if unpacked:
        return Kernel(unpacked[-1])
    try:
        cache.mkdir(parents=True, exist_ok=True)
        depends = _output_of("apt-cache", "depends", "linux-image-cloud-amd64")
        found = re.search(r"Depends: (linux-image-\S+)", depends)
        if not found:
            raise NotHere("apt knows no linux-image-cloud-amd64")
        with tempfile.TemporaryDirectory(dir=cache) as directory:
            _output_of("apt-get", "download", found[1], cwd=directory)
            archive, = pathlib.Path(directory).glob("*.deb")
            _output_of("dpkg", "-x", archive, f"{directory}/unpacked")
            # In one move: there is a whole kernel or none. Another run may have been faster.
            if not (cache / found[1]).exists():
                pathlib.Path(directory, "unpacked").rename(cache / found[1])
        return Kernel(cache / found[1])
    except subprocess.CalledProcessError as error:
        said = re.sub(r"(?m)^W: .*\n?", "", error.stderr)
        raise NotHere(f"no kernel: {error} {said.strip()[-300:]}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise NotHere(f"no kernel: {error}") from error


def _output_of(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=True).stdout


class Initrd:
    """A file tree as the kernel takes it: cpio "newc", not compressed: to unpack it is slow when emulated."""

    def __init__(self):
        self._entries = {}  # path: (mode, content)

    def add_directory(self, path):
        path = pathlib.PurePosixPath("/", path)
        for directory in (*reversed(path.parents), path):
            self._entries.setdefault(directory, (0o040755, b""))

    def add(self, path, content, mode=0o644):
        path = pathlib.PurePosixPath("/", path)
        self.add_directory(path.parent)
        self._entries[path] = (0o100000 | mode, content if isinstance(content, bytes) else content.encode("utf-8"))

    def add_file(self, source, path=None):
        """A file of ours, at the same place by default, executable where it is here."""
        self.add(path or source, pathlib.Path(source).read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def add_program(self, source, path=None):
        """A program without its debugging information, and the libraries it needs."""
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, source], check=True)
            self.add(path or source, pathlib.Path(stripped.name).read_bytes(), 0o755)
        # Of a static program it says so and fails.
        libraries = subprocess.run(["ldd", source], capture_output=True, text=True, check=False).stdout
        assert "not found" not in libraries, libraries
        for library in re.findall(r"(/\S+) \(0x", libraries):
            self.add_file(library)

    def write(self, target):
        with open(target, "wb") as out:
            for number, (path, (mode, content)) in enumerate(self._entries.items(), 1):
                self._write_entry(out, number, str(path).lstrip("/") or ".", mode, content)
            self._write_entry(out, 0, "TRAILER!!!", 0, b"")

    @staticmethod
    def _write_entry(out, number, name, mode, content):
        # Inode, mode, owner, group, links, time, size, device (2), its own device (2), length of the name, checksum.
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode("utf-8") + b"\0"
        out.write(header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4))


def inner_initrd(exporter=None):
    """What an inner guest has: nothing but a shell, and the exporter if one is given."""
    initrd = Initrd()
    for directory in ("/dev", "/proc", "/run", "/sys"):
        initrd.add_directory(directory)
    if exporter:
        initrd.add("/etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
        initrd.add("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
        initrd.add_program(exporter, "/usr/bin/vcpu_exporter")
    initrd.add_program(shutil.which("busybox"), "/bin/busybox")
    initrd.add_file(HERE / "guest" / "inner_init.sh", "/init")
    return initrd


def fake_vmm_beside(exporter):
    """tests/support/fake_vmm.cpp as it was built with the exporter."""
    program = pathlib.Path(exporter).resolve().with_name("fake_vmm")
    if not program.exists():
        raise SystemExit(f"{program} does not exist; give an exporter that was built with its tests")
    return program


def machine_initrd(kernel, exporter, steps, work, modules=()):
    """All that the machine has. Further programs and files can be added before it is written."""
    initrd = Initrd()
    for directory in ("/dev", "/proc", "/run", "/sys", "/tmp"):
        initrd.add_directory(directory)
    initrd.add("/etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    initrd.add("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    initrd.add_program(shutil.which("busybox"), "/bin/busybox")
    initrd.add_program(exporter, "/usr/bin/vcpu_exporter")
    initrd.add_program(fake_vmm_beside(exporter), "/usr/bin/fake_vmm")
    initrd.add_file(HERE / "guest" / "init.sh", "/init")
    initrd.add_file(HERE / "guest" / "lab.sh", "/lab.sh")

    files = kernel.modules(*MODULES, *modules)
    initrd.add("/modules", "".join(f"{file.name}\n" for file in files))
    for file in files:
        initrd.add_file(file, f"/modules.d/{file.name}")

    initrd.add_program(shutil.which("qemu-system-x86_64"), "/usr/bin/qemu-system-x86_64")
    for file in FIRMWARE:
        initrd.add_file(file)
    initrd.add_file(kernel.image, "/boot/vmlinuz")
    inner_initrd().write(work / "inner.initrd")
    initrd.add_file(work / "inner.initrd", "/boot/inner.initrd")

    for number, (name, script) in enumerate(steps.items()):
        initrd.add(f"/steps/{number:03}-{name}", script)
    return initrd


class Guest:
    """The machine. Stopped by its own pid, at the latest when the process that started it ends, however it ends."""

    def __init__(self, kernel, initrd, work, life_seconds=LIFE_SECONDS):
        self._life_seconds = life_seconds
        self._serial_path = work / "serial"
        self._console_path = work / "console"
        self._log_path = work / "qemu.log"
        self._serial_path.touch()
        self._serial = open(self._serial_path, "rb")
        self._command = [
            "nice", "-n", "10", "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64",
            "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "4,sockets=2", "-m", "2G",
            "-object", "memory-backend-ram,id=m0,size=1G", "-object", "memory-backend-ram,id=m1,size=1G",
            "-numa", "node,nodeid=0,cpus=0-1,memdev=m0", "-numa", "node,nodeid=1,cpus=2-3,memdev=m1",
            "-numa", "dist,src=0,dst=1,val=30", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", f"file:{self._console_path}", "-serial", f"file:{self._serial_path}",
            "-kernel", str(kernel.image), "-initrd", str(initrd), "-append", "console=ttyS0 quiet panic=-1"]
        self._process = None
        self._started = None
        self._pending = b""  # the line that is still coming in
        self._open = None  # (name, output, errors) of the step that is coming in
        self._part = None  # which of the two
        self._ended = {}  # step: (status, output, errors)
        self.seconds = {}  # step: when it was through, since power on

    def start(self):
        # An own session: Ctrl-C reaches the test alone, which then stops the machine.
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True)
        self._started = time.monotonic()

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._serial.close()

    def output(self, step):
        """What a step printed, awaited if need be."""
        while step not in self._ended:
            off = self._process.poll() is not None
            self._take_in()
            if step in self._ended:
                break
            if off:
                raise StepFailed(f"the machine went off before {step} had ended: {self._last_words()}")
            if time.monotonic() - self._started > self._life_seconds:
                raise StepFailed(f"{step} had not ended after {self._life_seconds} s: {self._last_words()}")
            time.sleep(0.05)
        status, output, errors = self._ended[step]
        if status != 0:
            raise StepFailed(f"{step} ended with status {status}: {errors[-600:]} {output[-200:]}")
        return output

    def _take_in(self):
        *lines, self._pending = (self._pending + self._serial.read()).split(b"\n")
        for line in lines:
            self._take_in_line(line.decode("utf-8", "replace"))

    def _take_in_line(self, line):
        word, _, rest = line.partition(" ")
        if word == "@@BEGIN":
            self._open = (rest, [], [])
            self._part = self._open[1]
        elif self._open is None:
            return
        elif word == "@@STDERR":
            self._part = self._open[2]
        elif word == "@@END":
            step, status = rest.split()
            assert step == self._open[0], f"{step} ended within {self._open[0]}"
            # An empty line stands before each marker, for output that does not end its last line.
            output, errors = ("\n".join(part) for part in self._open[1:])
            self._ended[step] = (int(status), output, errors)
            self.seconds[step] = time.monotonic() - self._started
            self._open = None
        else:
            self._part.append(line)

    def _last_words(self):
        """What QEMU said, and the kernel from its panic on if there is one."""
        said = self._log_path.read_text("utf-8", "replace")[-300:]
        console = self._console_path.read_text("utf-8", "replace") if self._console_path.exists() else ""
        panic = re.search(r"Kernel panic|BUG: |Oops: ", console)
        return said + (console[panic.start():][:400] if panic else console.strip()[-400:])


class LabTest(unittest.TestCase):
    """A test of what the machine's steps printed. run.py gives all of them one machine."""

    guest = None

    def output(self, step):
        return self.guest.output(step)

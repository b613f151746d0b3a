# SPDX-License-Identifier: Apache-2.0
"""A libvirtd of our own: its directories are in our mount namespace only, so the host's libvirtd is never touched."""
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import uuid

from processes import Daemon, command_line, kill, wait_for

PRIVATE_DIRECTORIES = ["/run/libvirt", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"]
SOCKET = pathlib.Path("/run/libvirt/libvirt-sock")
CLONE_NEWNS = 0x20000  # of linux/sched.h; os.unshare came with Python 3.12
URI = "qemu:///system"

LIBVIRTD_CONF = """
unix_sock_ro_perms = "0777"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
QEMU_CONF = """
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
namespaces = []
"""


def enter_private_mount_namespace():
    """From here on, what this process and its children mount is seen by nobody else. Before any thread is started."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=True)


def cgroup_partitions():
    """Where libvirt puts its VMs when there is no systemd: one directory per controller (v1), or one (v2)."""
    return set(pathlib.Path("/sys/fs/cgroup").glob("machine")) | set(pathlib.Path("/sys/fs/cgroup").glob("*/machine"))


def remove_cgroups(partition):
    """False while a killed QEMU's threads are still in there."""
    try:
        for directory, _, _ in os.walk(partition, topdown=False):
            os.rmdir(directory)
        return True
    except OSError:
        return False


def mount_private_directories(work):
    enter_private_mount_namespace()
    for directory in PRIVATE_DIRECTORIES:
        os.makedirs(directory, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory], check=True)
    # libvirtd refuses to start without this user, which only the package libvirt-daemon-system creates.
    for account_file, line in (("passwd", "libvirt-qemu:x:64055:64055::/:/bin/false\n"),
                               ("group", "libvirt-qemu:x:64055:\n")):
        text = pathlib.Path("/etc", account_file).read_text(encoding="utf-8")
        if "\nlibvirt-qemu:" not in text:
            private = work / account_file
            private.write_text(text + line, encoding="utf-8")
            subprocess.run(["mount", "--bind", private, f"/etc/{account_file}"], check=True)


class PrivateLibvirt:
    def __init__(self, work):
        self.work = work
        self.partitions_before = cgroup_partitions()
        mount_private_directories(work)
        self.calls_log = work / "libvirtd-calls.log"
        calls = f'log_filters = "1:rpc.netserverprogram"\nlog_outputs = "1:file:{self.calls_log}"\n'
        pathlib.Path("/etc/libvirt/libvirtd.conf").write_text(LIBVIRTD_CONF + calls, encoding="ascii")
        pathlib.Path("/etc/libvirt/qemu.conf").write_text(QEMU_CONF, encoding="ascii")
        # /run/libvirtd.pid, the default, lies outside the private directories.
        self.daemon = Daemon("libvirtd", [shutil.which("libvirtd"), "--pid-file", "/run/libvirt/libvirtd.pid"],
                             work / "libvirtd.log")

    def start(self):
        self.daemon.start()
        wait_for(self.answers, 30, "libvirtd to answer")

    def restart(self):
        self.daemon.stop()
        self.start()

    def answers(self):
        self.daemon.signal(0)
        return SOCKET.exists() and self.virsh("list", check=False).returncode == 0

    def virsh(self, *arguments, check=True):
        done = subprocess.run(["virsh", "--quiet", "--connect", URI, *arguments],
                              capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"virsh {' '.join(arguments)}: {done.stderr.strip()}"
        return done

    def qemus(self):
        """The pids of the QEMUs this libvirtd started, from its pid files."""
        pids = [int(file.read_text(encoding="ascii")) for file in pathlib.Path("/run/libvirt/qemu").glob("*.pid")]
        return [pid for pid in pids if any(str(self.work) in argument for argument in command_line(pid))]

    def calls(self):
        """The numbers of the calls (of src/remote/remote_protocol.x) that libvirtd has got so far, from whomever."""
        log = self.calls_log.read_text(encoding="utf-8", errors="replace")
        return [int(number) for number in
                re.findall(r"virNetServerProgramDispatch:\d+ : prog=536903814 .*? proc=(\d+)", log)]

    def pid_of(self, uuid):
        # Not by the pid file's name: libvirt 9.0 writes some characters of a domain's name there as XML entities.
        pid, = [pid for pid in self.qemus() if uuid in command_line(pid)]
        return pid

    def close(self):
        """No QEMU outlives this, whatever state it and libvirtd are in."""
        qemus = self.qemus()
        self.daemon.stop()
        for pid in qemus:
            kill(pid)
        for partition in cgroup_partitions() - self.partitions_before:
            wait_for(lambda: remove_cgroups(partition), 15, f"{partition} to be empty")


class SecondLibvirt:
    """Another libvirtd beside that one, as on another host: its own directories, host name and uuid, and no cgroups,
    as the VMs of both would have the same ones."""

    def __init__(self, work):
        self.work = work
        self.root = pathlib.Path("/run/libvirt/second")  # Not below work, where only root may look.
        self.run = self.root / "run"
        self.socket = self.run / "libvirt-sock"
        self.read_only_socket = self.run / "libvirt-sock-ro"
        mounts = ""
        for directory in PRIVATE_DIRECTORIES:
            own = self.run if directory == "/run/libvirt" else self.root / directory.strip("/").replace("/", "-")
            own.mkdir(parents=True)
            # /run/libvirt is the last, as the others lie below it.
            mounts = f"mount --bind {own} {directory} && {mounts}"
        etc = self.root / "etc-libvirt"
        (etc / "libvirtd.conf").write_text(f'{LIBVIRTD_CONF}host_uuid = "{uuid.uuid4()}"\n', encoding="ascii")
        (etc / "qemu.conf").write_text(f"{QEMU_CONF}cgroup_controllers = []\n", encoding="ascii")
        libvirtd = f"exec {shutil.which('libvirtd')} --pid-file /run/libvirt/libvirtd.pid"
        self.daemon = Daemon("second libvirtd", ["unshare", "--mount", "--uts", "sh", "-c",
                                                 f"hostname second && {mounts}{libvirtd}"],
                             work / "second-libvirtd.log")

    def start(self):
        self.daemon.start()
        wait_for(self.answers, 30, "the second libvirtd to answer")

    def answers(self):
        self.daemon.signal(0)
        return self.socket.exists() and self.virsh("list").returncode == 0

    def virsh(self, *arguments):
        return subprocess.run(["virsh", "--quiet", "--connect", f"qemu+unix:///system?socket={self.socket}",
                               *arguments], capture_output=True, text=True, timeout=60, check=False)

    def qemus(self):
        pids = [int(file.read_text(encoding="ascii")) for file in (self.run / "qemu").glob("*.pid")]
        return [pid for pid in pids if any(str(self.work) in argument for argument in command_line(pid))]

    def close(self):
        qemus = self.qemus()
        self.daemon.stop()
        for pid in qemus:
            kill(pid)

# SPDX-License-Identifier: Apache-2.0
"""A libvirtd of our own: its directories are in our mount namespace only, so the host's libvirtd is never touched."""
import collections
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
REMOTE_PROGRAM = 0x20008086  # Of src/remote/remote_protocol.x,
KEEPALIVE_PROGRAM = 0x6b656570  # of src/rpc/virkeepaliveprotocol.x.

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


class Calls:
    """What libvirtd logs of its clients' messages: numbers of programs, and of calls (of src/remote/remote_protocol.x)."""
    MESSAGE = re.compile(r"RPC_SERVER_CLIENT_(NEW|MSG_RX|MSG_TX_QUEUE): client=(\w+)"
                         r"(?: .*?prog=(\d+) .*?proc=(\d+) type=(\d) .*?serial=(\d+))?")
    CALL, REPLY = "0", "1"

    def __init__(self, log):
        self.made = []
        self.programs = set()
        self.unanswered = {}  # By client: {serial: call}.
        self.most_in_flight = 0  # Of one client.
        self.clients_that_called = collections.defaultdict(set)
        for line in log:
            if found := self.MESSAGE.search(line):
                self.take(*found.groups())

    def take(self, event, client, program, call, kind, serial):
        if event == "NEW":
            self.unanswered[client] = {}
            for callers in self.clients_that_called.values():
                callers.discard(client)
            return
        waiting = self.unanswered.setdefault(client, {})
        if event == "MSG_RX":
            self.programs.add(int(program))
        if int(program) != REMOTE_PROGRAM:
            return
        if event == "MSG_RX" and kind == self.CALL:
            self.made.append(int(call))
            self.clients_that_called[int(call)].add(client)
            waiting[serial] = int(call)
            self.most_in_flight = max(self.most_in_flight, len(waiting))
        elif event == "MSG_TX_QUEUE" and kind == self.REPLY:
            waiting.pop(serial, None)


class PrivateLibvirt:
    def __init__(self, work):
        self.work = work
        self.partitions_before = cgroup_partitions()
        mount_private_directories(work)
        self.calls_log = work / "libvirtd-calls.log"
        self.log_calls(True)
        pathlib.Path("/etc/libvirt/qemu.conf").write_text(QEMU_CONF, encoding="ascii")
        # /run/libvirtd.pid, the default, lies outside the private directories.
        self.daemon = Daemon("libvirtd", [shutil.which("libvirtd"), "--pid-file", "/run/libvirt/libvirtd.pid"],
                             work / "libvirtd.log")

    def log_calls(self, wanted):
        """From its next start on."""
        calls = f'log_filters = "2:rpc.netserverclient"\nlog_outputs = "1:file:{self.calls_log}"\n'
        pathlib.Path("/etc/libvirt/libvirtd.conf").write_text(LIBVIRTD_CONF + (calls if wanted else ""), encoding="ascii")

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

    def calls(self, skip=0):
        """What libvirtd has got and answered so far, without the first `skip` bytes of its log."""
        with open(self.calls_log, encoding="utf-8", errors="replace") as log:
            log.seek(skip)
            return Calls(log)

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

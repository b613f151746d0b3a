# SPDX-License-Identifier: Apache-2.0
"""Child processes of the lab: started, stopped and signalled by their own pid, and nothing else."""
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from waiting import wait_for  # noqa: E402, F401


class Daemon:
    def __init__(self, name, argv, log_path):
        self.name = name
        self.argv = argv
        self.log_path = log_path
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            # An own session: Ctrl-C reaches the test alone, which then stops its children in order.
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        return self

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        assert self.process.poll() is None, f"{self.name} has ended: {self.log()[-2000:]}"
        self.process.send_signal(number)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if not self.is_alive():
            return
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def listening_address(self):
        """Where it listens, from its log: it was told port 0, so that no port can be taken already."""
        def address():
            self.signal(0)
            found = re.search(r'msg="?Listening.*? address="?(127\.0\.0\.1:[1-9]\d*)', self.log())
            return found and found[1]
        return wait_for(address, 30, f"{self.name} to listen")


def process_state(pid):
    """The kernel's letter for a process (R, S, T, Z, ...), None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as cmdline:
            return cmdline.read().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(pid):
    """SIGKILL to a process that is not a child, and its end awaited."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(lambda: process_state(pid) in (None, "Z"), 15, f"process {pid} to end")

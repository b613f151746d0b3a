# SPDX-License-Identifier: Apache-2.0
"""What the tests share: the exporter as a process, virtual machines to look at, clients, and pages taken apart.

Everything listens on loopback at a port the kernel chose. Every process is stopped by its own pid, and what has to
happen is awaited by wait_for().
"""
import collections
import contextlib
import functools
import gzip
import http.client
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import waiting  # noqa: E402
from children import children_of  # noqa: E402
from waiting import NotInTime  # noqa: E402, F401

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
GZIP = {"Accept-Encoding": "gzip"}
AS_ROOT = os.geteuid() == 0

build = None  # Where the programs, and the unit tests, come from.
_work = None  # Of this run: the two programs, and whatever a test writes.


def wait_for(condition, what, timeout=20.0, pause=0.002):
    return waiting.wait_for(condition, timeout, what, pause)


@contextlib.contextmanager
def installed(build_directory):
    """Copies the programs, so that a build that goes on meanwhile does not matter."""
    global _work, build
    build = build_directory
    # Not below a TMPDIR that the user the exporter becomes may not enter.
    _work = pathlib.Path(tempfile.mkdtemp(prefix="vcpu-program-", dir="/tmp"))
    _work.chmod(0o755)
    try:
        for name in ("vcpu_exporter", "fake_vmm"):
            wait_for(lambda: _copied(build_directory / name), f"{build_directory / name}", timeout=60, pause=0.5)
        wait_for(lambda: run("--version").returncode == 0, "an exporter that runs", timeout=5, pause=0.5)
        yield
    finally:
        shutil.rmtree(_work)


def _copied(source):
    try:
        return shutil.copy(source, _work / source.name)
    except FileNotFoundError:
        return None


def exporter_path():
    return str(_work / "vcpu_exporter")


def fake_vmm_path():
    return str(_work / "fake_vmm")


@functools.cache
def is_sanitized():
    """Whether the exporter is built with AddressSanitizer, which makes it several times slower."""
    return b"__asan_init" in pathlib.Path(exporter_path()).read_bytes()


def scratch_directory():
    """A new empty directory that everybody may read."""
    path = pathlib.Path(tempfile.mkdtemp(dir=_work))
    path.chmod(0o755)
    return path


def write_file(contents, path=None):
    """Replaces the file as a whole, as an editor does; a new one where no path is given."""
    path = path or scratch_directory() / "config.yml"
    new = path.with_suffix(".new")
    new.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    new.rename(path)
    return path


# ---- The exporter.

def run(*flags, timeout=20, **popen):
    """The exporter with these flags until it ends by itself."""
    popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
    return subprocess.run([exporter_path(), *map(str, flags)], stdin=subprocess.DEVNULL, timeout=timeout,
                          encoding="utf-8", errors="surrogateescape", check=False, **popen)


class Exporter:
    """Serving from the end of __enter__ to the begin of __exit__; `under` is a command that runs it, as itself or as a child.

    `tls` is the ssl.SSLContext to ask it with, None for HTTP without TLS.
    """

    def __init__(self, *flags, under=(), env=None, tls=None):
        self.tls = tls
        self._argv = [*under, exporter_path(), "--web.listen-address=127.0.0.1:0", *map(str, flags)]
        self._env = {**os.environ, **(env or {})}
        self._log = scratch_directory() / "log"
        self.process = None
        self.port = None

    def __enter__(self):
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env)
        try:
            self.port = int(wait_for(self._port_in_log, "the line Listening"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Ends the exporter itself, whatever it runs under: unshare ignores SIGTERM, and leaves it behind when killed."""
        if self.process.poll() is None:
            end(descendant_running(exporter_path(), self.process.pid) or self.process.pid)
            try:
                self.process.wait(timeout=5)  # What it ran under ends with it.
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _port_in_log(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the exporter ended with {self.process.returncode}: {self.log()}")
        found = re.search(r"msg=Listening address=127\.0\.0\.1:([1-9]\d*) ", self.log())
        return found and found[1]

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self._log.read_text(errors="replace")

    def send(self, target="/metrics", method="GET", headers=None, slow=False):
        return Client(self.port, target, method, headers, slow, self.tls)

    def ask(self, target="/metrics", method="GET", headers=None):
        with self.send(target, method, headers) as client:
            return client.answer()

    def page(self, target="/metrics", headers=None):
        answer = self.ask(target, headers=headers)
        assert answer.status == 200, answer
        return Page(answer.text)

    def assert_scraped_soon(self, before_each=lambda: None, seconds=0.2):
        """The promise to a well-behaved client, whatever others do: of five scrapes three at least take no longer."""
        times = []
        for _ in range(5):
            before_each()
            began = time.monotonic()
            answer = self.ask()
            times.append(time.monotonic() - began)
            assert answer.status == 200, answer
        if is_sanitized():
            seconds *= 10  # It is run for its memory.
        assert statistics.median(times) < seconds, f"scrapes took {[round(took, 3) for took in times]} s"

    def page_with(self, vcpus, prefix="", headers=None):
        """The first page with so many vCPUs: on a busy machine a VM's command line may come too late for one."""
        def page():
            found = self.page(headers=headers)
            return len(found.vcpus(prefix)) >= vcpus and found
        return wait_for(page, f"{vcpus} vCPUs to be seen")

    def signal_and_wait(self, number):
        """(exit code, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        return code, time.monotonic() - began

    def open_files(self):
        return sorted(os.listdir(f"/proc/{self.pid}/fd"), key=int)

    def thread_count(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def children(self):
        return children_of(self.pid)

    def is_idle(self):
        """Every thread of it sleeps: what was sent to it has got as far as it can."""
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if state_of(f"{self.pid}/task/{tid}") != "S":
                    return False
        return True

    def wait_until_idle(self):
        wait_for(lambda: self.is_idle() and self.is_idle(), "the exporter to have nothing to do")


def program_of(pid):
    """The path of what it runs; None where it has ended, or is not ours to look at."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def descendant_running(path, pid):
    """The process itself or the first below it that runs the program, None where none does."""
    if program_of(pid) == path:
        return pid
    return next(filter(None, (descendant_running(path, child) for child in children_of(pid))), None)


def end(pid, patience=15.0):
    """By SIGTERM, or by SIGKILL where that takes too long; its end awaited."""
    with contextlib.suppress(ProcessLookupError):  # It has ended.
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], patience)[0]:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [])
        finally:
            os.close(process)


def left_over():
    """{pid: command line} of processes of this run: what runs its copies of the programs, or was told of them."""
    found = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            command_line = pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
            if str(_work) in command_line or (program_of(pid) or "").startswith(f"{_work}/"):
                found[pid] = command_line
    return found


def state_of(process):
    """The kernel's letter for a process or PID/task/TID: R, S, T, Z ..."""
    return pathlib.Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]


def status_of(process):
    """/proc/PID/status as a dict."""
    text = pathlib.Path(f"/proc/{process}/status").read_text(errors="replace")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def statuses_of_threads(pid):
    """Of those that have not ended meanwhile."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield status_of(f"{pid}/task/{tid}")


# ---- Clients.

class Answer(collections.namedtuple("Answer", "status headers body")):
    @property
    def text(self):
        return self.body.decode("utf-8")

    def header(self, name):
        """Its values, one for each time it is there."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Client:
    """One request, sent at once; its answer is read when asked for, so that many of them can be under way."""

    def __init__(self, port, target, method="GET", headers=None, slow=False, tls=None):
        self.method = method
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost",
                 *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.socket = connect(port, slow, tls)
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def take(self, count):
        """So many bytes of what is sent to it, and no more."""
        taken = b""
        while len(taken) < count:
            part = self.socket.recv(count - len(taken))
            assert part, f"the answer ended after {len(taken)} bytes"
            taken += part

    def answer(self):
        response = http.client.HTTPResponse(self.socket, method=self.method)
        response.begin()
        body = response.read()  # Raises IncompleteRead where Content-Length promised more.
        assert not response.fp or not response.fp.read(1), "there is more than Content-Length promised"
        return Answer(response.status, response.getheaders(), body)


def connect(port, slow=False, tls=None):
    """A connection, with TLS where a context for it is given; a slow one holds up its sender after some 50 kB that are not read."""
    client = socket.socket()
    client.settimeout(20)
    if slow:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # The kernel gives a sender room for so many segments; those of loopback make megabytes.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.connect(("127.0.0.1", port))
    if not tls:
        return client
    # Else the request waits for the handshake's last packet to be acknowledged.
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(client, server_hostname="localhost")


def hang_up(client):
    """Without a goodbye: what the other side sends now is answered by a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


def requests_read(port):
    """How many connections to the port the server has taken everything from that was sent."""
    count = 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, _remote, state, queues = line.split()[1:5]
        established = state == "01" and int(local.partition(":")[2], 16) == port
        count += established and int(queues.partition(":")[2], 16) == 0
    return count


# ---- Pages.

Sample = collections.namedtuple("Sample", "name labels value")


class Page:
    """A page in the text format, or in OpenMetrics where it ends like one. Broken in any way: AssertionError."""

    def __init__(self, text):
        text.encode("utf-8")  # Raises where run() has let bytes pass that are none.
        openmetrics = text.endswith("# EOF\n")
        assert text.endswith("\n"), f"the page ends in the middle of a line: {text[-200:]!r}"
        families = list((parse_openmetrics if openmetrics else parse_prometheus)(text))
        self.samples = [Sample(sample.name, dict(sample.labels), sample.value)
                        for family in families for sample in family.samples]
        self._histograms = tuple(family.name + "_" for family in families if family.type == "histogram")
        lines = [line for line in text.split("\n") if line and not line.startswith("#")]
        assert len(lines) == len(self.samples), f"{len(lines)} lines were parsed to {len(self.samples)} samples"
        names = [(sample.name, *sorted(sample.labels.items())) for sample in self.samples]
        twice = [series for series, count in collections.Counter(names).items() if count > 1]
        assert not twice, f"series that are there twice: {twice[:3]}"

    def named(self, name, **labels):
        return [sample for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()]

    def value(self, name, **labels):
        """The one value of this name and these labels, None where there is none."""
        found = self.named(name, **labels)
        assert len(found) <= 1, f"{name}{labels} is not one series: {found}"
        return found[0].value if found else None

    def collectors(self):
        """{name: success}"""
        return {sample.labels["collector"]: sample.value for sample in self.named("vcpu_scrape_collector_success")}

    def vcpus(self, prefix=""):
        """{(domain, vcpu)} of the domains whose name begins so."""
        return {(sample.labels["domain"], int(sample.labels["vcpu"]))
                for sample in self.named("vcpu_run_seconds_total") if sample.labels["domain"].startswith(prefix)}

    def totals(self):
        """{a counter of one run of one VM, or of the host, those of histograms included: value}"""
        starts = {sample.labels["domain"]: sample.value for sample in self.named("vcpu_domain_start_time_seconds")}
        return {(name, starts.get(labels.get("domain")), *sorted(labels.items())): value
                for name, labels, value in self.samples
                if name.endswith("_total") or name.removesuffix("bucket").removesuffix("sum").removesuffix("count")
                in self._histograms}


def decreased(before, after):
    return [f"{key} fell from {before[key]} to {value}" for key, value in after.items() if value < before.get(key, 0)]


def gunzipped(answer):
    assert answer.header("Content-Encoding") == ["gzip"], answer.headers
    return gzip.decompress(answer.body).decode("utf-8")


# ---- Virtual machines, and a /proc that shows these alone.

class FakeVm:
    """A process that the kernel shows as a QEMU of this name, idle unless told to spin; of another user if root is told."""

    def __init__(self, name, threads=("CPU 0/KVM", "CPU 1/KVM"), options=(), user=None, program=None):
        self.name = name if isinstance(name, bytes) else name.encode()
        argv = [b"/usr/bin/qemu-system-x86_64", b"-name", b"guest=" + self.name + b",debug-threads=on", *options]
        rights = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        self.process = subprocess.Popen(argv, executable=program or fake_vmm_path(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={"FAKE_VMM_THREADS": "|".join(threads)}, **rights)
        assert self.process.stdout.readline() == b"ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def pid(self):
        return self.process.pid

    def tell(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        while self.process.stdout.readline() not in (b"done\n", b""):
            pass

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: state_of(self.pid) == "T", "the VM to be stopped")

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class ProcView:
    """A procfs for --path.procfs that shows some processes of the real one and no others.

    hold() makes every reading of its /proc/stat, and with it every scrape, wait for let_pass().
    """

    def __init__(self, *pids):
        self.path = scratch_directory()
        for pid in (1, *pids):
            self.show(pid)
        for name in ("stat", "meminfo", "vmstat"):
            (self.path / name).symlink_to(f"/proc/{name}")

    def show(self, pid):
        (self.path / str(pid)).symlink_to(f"/proc/{pid}")

    def hold(self):
        os.mkfifo(self.path / "held", 0o644)
        (self.path / "held").rename(self.path / "stat")

    def let_pass(self):
        """Once: waits until somebody reads /proc/stat, and gives it the text."""
        gate = wait_for(self._open_gate, "a scrape to read /proc/stat")
        self.hold()  # The next reading has a gate of its own, so that it cannot get in with this one.
        self._give_text(gate)

    def let_all_pass(self):
        """Him who reads /proc/stat now, whose coming is awaited, and all after him."""
        gate = wait_for(self._open_gate, "a scrape to read /proc/stat")
        (self.path / "open").symlink_to("/proc/stat")
        (self.path / "open").rename(self.path / "stat")
        self._give_text(gate)

    @staticmethod
    def _give_text(gate):
        with open(gate, "wb") as stat:
            for line in pathlib.Path("/proc/stat").read_bytes().splitlines(keepends=True):
                if line.startswith((b"cpu", b"btime")):
                    stat.write(line)

    def _open_gate(self):
        try:
            gate = os.open(self.path / "stat", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None  # Nobody reads.
        os.set_blocking(gate, True)
        return gate

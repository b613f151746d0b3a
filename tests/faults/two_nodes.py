# SPDX-License-Identifier: Apache-2.0
"""A host with two NUMA nodes and a swap, which this machine is not: the machine of tests/lab, with its own exporter, whose pages
come out of its serial port as it makes them, and are served here to Prometheus.

One of its VMs, a process that looks like a QEMU, computes on node 1 with all its memory on node 0; the memory of another, a QEMU
that only holds it, is squeezed into less than it has and read all the time. After BAD pages both are cured, by the clock: there is
no way in.
"""
import pathlib
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "lab"), str(HERE.parent / "support")]
import lab_guest  # noqa: E402
import loopback  # noqa: E402
import test_memory  # noqa: E402

BAD, GOOD = 30, 60
FAR_VM, SWAPPED_VM = "far", "mem-tight"

START = f"""
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p /sys/fs/cgroup/{FAR_VM} /run/fake
    ln -sf /usr/bin/fake_vmm /run/fake/qemu-system-x86_64
    mkfifo /run/far.in
    FAKE_VMM_THREADS="CPU 0/KVM" setsid sh -c '
      sh -c "echo \\$\\$ >/sys/fs/cgroup/{FAR_VM}/cgroup.procs
        exec taskset -c 2-3 /run/fake/qemu-system-x86_64 -name {FAR_VM},debug-threads=on" <>/run/far.in >/run/far.said 2>&1 &
      echo $! >/run/far.pid
      wait' &  # It ends with its parent, which must not be the step.
    echo "allocate anon 0 64" >/run/far.in
    await 60 has_done /run/far.said 1
    echo "spin 1000000" >/run/far.in

    echo {test_memory.LIMIT_BYTES} >/sys/fs/cgroup/{SWAPPED_VM}/memory.max
    setsid sh -c 'while [ ! -e /run/cured ]; do
      echo "pmemsave 0 {test_memory.GUEST_BYTES} \\"/dev/null\\"" >/run/{SWAPPED_VM}.in; sleep 1; done' &
    setsid vcpu_exporter --no-libvirt --web.listen-address=127.0.0.1:9752 2>/run/exporter.log &
    await_seen 127.0.0.1:9752 /run/exporter.log {FAR_VM}
"""
PAGE = "sleep 1; wget -q -O - http://127.0.0.1:9752/metrics"
CURE = f"""
    touch /run/cured
    echo max >/sys/fs/cgroup/{SWAPPED_VM}/memory.max
    for task in /proc/$(cat /run/far.pid)/task/*; do taskset -pc 0-1 ${{task##*/}} >/dev/null; done
"""


def why_not_here(exporter):
    if not pathlib.Path(exporter).resolve().with_name("fake_vmm").exists():
        return "needs an exporter that was built with its tests, and its fake_vmm"
    try:
        lab_guest.check_tools()
        lab_guest.debian_kernel(lab_guest.CACHE)
    except lab_guest.NotHere as reason:
        return str(reason)
    return None


class TwoNodes:
    def __init__(self, exporter):
        self.directory = tempfile.TemporaryDirectory(prefix="vcpu-faults-lab-")
        work = pathlib.Path(self.directory.name)
        pages = {f"page{number}": PAGE for number in range(BAD + GOOD)}
        bad, good = list(pages.items())[:BAD], list(pages.items())[BAD:]
        steps = {"memory_guests": test_memory.STEPS["memory_guests"], "start": START, **dict(bad), "cure": CURE, **dict(good)}
        kernel = lab_guest.debian_kernel(lab_guest.CACHE)
        initrd = lab_guest.machine_initrd(kernel, exporter, steps, work, test_memory.MODULES)
        initrd.write(work / "initrd")
        self.guest = lab_guest.Guest(kernel, work / "initrd", work)
        self.page = self.problem = None
        self.cured = threading.Event()
        self.closed = False
        self.server = self.serve()
        self.address = self.server.address

    def start(self):
        self.guest.start()
        threading.Thread(target=self.take_pages, daemon=True).start()

    def take_pages(self):
        """The newest page is the one that is served."""
        try:
            self.guest.output("start")
            for number in range(BAD + GOOD):
                if number == BAD:
                    self.guest.output("cure")
                    self.cured.set()
                self.page = self.guest.output(f"page{number}")
        except Exception as error:  # Told to whom it concerns, unless it is only that we are through.
            self.problem = None if self.closed else error

    def serve(self):
        host = self

        class Handler(loopback.Handler):
            def do_GET(self):
                body = (host.page or "").encode()
                self.answer(body, 200 if body else 503, loopback.METRICS)

        return loopback.Server(Handler)

    def tells(self):
        assert not self.problem, self.problem
        return self.page

    def close(self):
        self.closed = True
        self.guest.close()
        self.server.close()
        self.directory.cleanup()

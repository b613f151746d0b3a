# SPDX-License-Identifier: Apache-2.0
"""Virtual machines that begin and end all the time."""
import contextlib
import itertools
import threading
import uuid

from program import FakeVm, ProcView
from test_vms import HOSTILE

PLACES = 16
PAUSE_SECONDS = 0.1  # From one VM's end to the next one's.
STEADY = ("steady-0", "steady-1", "steady-2")


class Host(ProcView):
    """A procfs with the machine's own files, the exporter that is run by under(), and of all VMs those of this test alone."""

    def __init__(self):
        super().__init__()
        for name in ("cmdline", "cpuinfo", "interrupts", "pressure", "sys"):
            (self.path / name).symlink_to(f"/proc/{name}")

    def under(self):
        """The command that runs another one as that which this procfs calls `self`: else it would not use eBPF."""
        return ("/bin/sh", "-c", 'ln -s $$ "$0/self" && ln -s "/proc/$$" "$0/$$" && exec "$@"', str(self.path))

    @contextlib.contextmanager
    def vm(self, *arguments, **more):
        with FakeVm(*arguments, **more) as vm:
            self.show(vm.pid)
            try:
                yield vm
            finally:
                vm.kill()
                (self.path / str(vm.pid)).unlink()


def names():
    """Without end: names that come again, two VMs of one name, names that never come again, hostile names."""
    # Not under the names by which other tests look for theirs.
    hostile = itertools.cycle(name.replace(b"evil", b"soak") for name, _ in HOSTILE)
    for number in itertools.count():
        yield f"again-{number % 5}"
        yield "twins"
        yield f"never-again-{number}"
        yield next(hostile)


class Churn(threading.Thread):
    """16 VMs, of which another one ends every tenth of a second, and three that stay; vCPUs are plugged and unplugged.

    A fake VM does not outlive the thread that started it, so all is done in this one.
    """

    def __init__(self, host):
        super().__init__(name="churn")
        self._host = host
        self._left = threading.Event()
        self.begun = 0
        self.plugged = 0
        self.problem = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._left.set()
        self.join()

    def run(self):
        try:
            with contextlib.ExitStack() as steady:
                self._run([steady.enter_context(self._vm(name, True)) for name in STEADY])
        except Exception as error:  # The test fails by it: nobody else would hear of it.
            self.problem = f"{type(error).__name__}: {error}"

    def _run(self, steady):
        places = [contextlib.ExitStack() for _ in range(PLACES)]
        with contextlib.ExitStack() as all_of_them:
            for place in places:
                all_of_them.enter_context(place)
            for number, name in enumerate(names()):
                place = places[number % PLACES]
                place.close()
                vm = place.enter_context(self._vm(name, number % 3))
                self.begun += 1
                vm.tell("spin 1")
                self._plug(vm)
                self._plug(steady[number % len(steady)])
                if self._left.wait(PAUSE_SECONDS):
                    return

    def _vm(self, name, with_uuid):
        return self._host.vm(name, options=("-uuid", str(uuid.uuid4())) if with_uuid else ())

    def _plug(self, vm):
        """In and out, and leaves vCPU 1 to be out now and then when a page is made."""
        vm.tell("add CPU 2/KVM")
        vm.tell("add worker")
        vm.tell("remove CPU 1/KVM")
        vm.tell("spin 1")
        vm.tell("remove CPU 2/KVM")
        vm.tell("remove worker")
        vm.tell("add CPU 1/KVM")
        self.plugged += 1

# SPDX-License-Identifier: Apache-2.0
"""Runs the tests beside it on one machine and prints one line for each: ok, not ok or skip NAME. Start by test.sh.

A test module test_*.py has, besides its LabTests:
  STEPS     {name: busybox shell} in the order to run them; files are taken in the order of their names
  MODULES   kernel modules to load before the first step, by name (optional)
  PROGRAMS  programs of this machine to have there, with their libraries (optional)
  FILES     {path there: path here} (optional)
  prepare   a function of (initrd, exporter, work) that adds what else is to be there (optional)
  SECONDS   that its steps take on top of what a machine lives (optional)
"""
import pathlib
import signal
import sys
import tempfile
import unittest

import lab_guest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from suites import tests_of  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def name_of(test):
    return "lab: " + test.id().rpartition(".test_")[2].lstrip("0123456789_").replace("_", " ")


class OneLineEach(unittest.TestResult):
    def addSuccess(self, test):
        print("ok", name_of(test), flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(f"not ok {name_of(test)}: {err[0].__name__}: {' '.join(str(err[1]).split())[:1500]}", flush=True)

    addError = addFailure


def modules_of(tests):
    return list(dict.fromkeys(sys.modules[type(test).__module__] for test in tests))


def prepare(tests, kernel, exporter, work):
    """The initrd with all that these tests' modules ask for."""
    modules = modules_of(tests)
    steps = {}
    for module in modules:
        twice = steps.keys() & module.STEPS.keys()
        assert not twice, f"{module.__name__} has a step of another's name: {twice}"
        steps |= module.STEPS
    initrd = lab_guest.machine_initrd(kernel, exporter, steps, work,
                                      [name for module in modules for name in getattr(module, "MODULES", ())])
    for module in modules:
        for program in getattr(module, "PROGRAMS", ()):
            initrd.add_program(program)
        for path, source in getattr(module, "FILES", {}).items():
            initrd.add_file(source, path)
        if hasattr(module, "prepare"):
            module.prepare(initrd, exporter, work)
    initrd.write(work / "initrd")
    return work / "initrd"


def interrupt(*_):
    raise KeyboardInterrupt  # Of unittest's tests nothing else ends more than one.


def main(exporter, *words):
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, interrupt)
    suite = unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py")
    tests = [test for test in tests_of(suite) if all(word in name_of(test) for word in words)]
    result = OneLineEach()
    with tempfile.TemporaryDirectory(prefix="vcpu-lab-") as directory:
        work = pathlib.Path(directory)
        try:
            lab_guest.check_tools()
            kernel = lab_guest.debian_kernel(lab_guest.CACHE)
        except lab_guest.NotHere as reason:
            for test in tests:
                print(f"skip {name_of(test)}: {' '.join(str(reason).split())}")
            return 0
        seconds = lab_guest.LIFE_SECONDS + sum(getattr(module, "SECONDS", 0) for module in modules_of(tests))
        guest = lab_guest.Guest(kernel, prepare(tests, kernel, exporter, work), work, seconds)
        try:
            guest.start()
            lab_guest.LabTest.guest = guest
            unittest.TestSuite(tests).run(result)
        finally:
            guest.close()
    print("# seconds since power on: " + ", ".join(f"{step} {at:.0f}" for step, at in guest.seconds.items()))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

# SPDX-License-Identifier: Apache-2.0
"""Runs the tests beside it and prints one line for each: "ok NAME", "not ok NAME: reason", "skip NAME: reason"."""
import pathlib
import signal
import sys
import traceback
import unittest

import program

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from suites import tests_of  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TEST_SECONDS = 60  # No test takes a quarter of it, but those that say how long they may; one that hangs fails.


class OneLineEach(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self._failed = False

    def startTest(self, test):
        super().startTest(test)
        self._failed = False
        signal.alarm(seconds_of(test))

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test):
        if not self._failed:  # A test that failed in a part of it has said so.
            print("ok", name(test), flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skip {name(test)}: {reason}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._not_ok(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._not_ok(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._not_ok(test, err, subtest._subDescription())

    def _not_ok(self, test, err, part=""):
        if self._failed:
            return
        self._failed = True
        ours = [frame for frame in traceback.extract_tb(err[2]) if pathlib.Path(frame.filename).parent == HERE]
        place = " < ".join(f"{pathlib.Path(frame.filename).name}:{frame.lineno}" for frame in reversed(ours[-3:]))
        reason = " ".join(f"{part} {err[0].__name__}: {err[1]}".split())
        print(f"not ok {name(test)}: {place}: {reason[:1500]}", flush=True)


def seconds_of(test):
    return getattr(test, "SECONDS", TEST_SECONDS)


def name(test):
    """test_http.Refusals.test_a_post_is_refused -> "program: a post is refused"."""
    method = test.id().rpartition(".")[2]
    if not isinstance(test, unittest.TestCase):  # What a class has in common: "setUpClass (test_http.Pages)".
        method = test.id().replace(".", " ")
    return "program: " + method.removeprefix("test_").replace("_", " ")


def is_meant(test, words):
    return words in name(test) or words == test.id().partition(".")[0]


def check_nothing_is_left():
    """The last test: every process of this run has ended, those that end by themselves a moment after others included."""
    try:
        program.wait_for(lambda: not program.left_over(), "the processes to end", timeout=5)
    except program.NotInTime:
        left = program.left_over()
        print("not ok program: no process is left:", "; ".join(f"{pid} {line[:200]}" for pid, line in left.items()))
        for pid in left:
            program.end(pid)
        return False
    print("ok program: no process is left")
    return True


def hung(_number, _frame):
    raise program.NotInTime("the test took more than it may")


def interrupt(*_):
    raise KeyboardInterrupt  # Of unittest's tests nothing else ends more than one; they tidy up.


def main(build_directory=HERE.parents[1] / "build" / "tests", *words):
    signal.signal(signal.SIGALRM, hung)
    signal.signal(signal.SIGTERM, interrupt)
    suite = unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py")
    chosen = unittest.TestSuite(test for test in tests_of(suite) if is_meant(test, " ".join(words)))
    result = OneLineEach()
    try:
        with program.installed(pathlib.Path(build_directory).resolve()):
            try:
                chosen.run(result)
            finally:
                nothing_is_left = check_nothing_is_left()
    except program.NotInTime as error:
        print(f"not ok program: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if result.wasSuccessful() and nothing_is_left else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

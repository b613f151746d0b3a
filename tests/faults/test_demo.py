# SPDX-License-Identifier: Apache-2.0
"""deploy/demo.sh tells its story, keeps what it made until Ctrl-C where that is asked for, and leaves nothing behind. Start by test.sh."""
import os
import pathlib
import re
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "live"))
import lab as laboratory  # noqa: E402
from processes import command_line, wait_for  # noqa: E402

DEMO = HERE.parents[1] / "deploy" / "demo.sh"
DIRECTORY = re.compile(r"/tmp/vcpu-[a-z]+-\w+")


def every_pid():
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]


def parent(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def directories_of(pid):
    """The scratch directories that its children's command lines name."""
    return {found for child in every_pid() if parent(child) == pid
            for argument in command_line(child) for found in DIRECTORY.findall(argument)}


def users_of(directories):
    return [pid for pid in every_pid()
            if any(directory in argument for argument in command_line(pid) for directory in directories)]


def told_until(demo, words):
    """What it says up to a line with these words."""
    told = ""
    for line in demo.stdout:
        told += line
        if words in line:
            return told
    raise AssertionError(f"it did not say {words}: {told}")


def end_by_interrupt(demo):
    told_until(demo, "until Ctrl-C")
    os.killpg(demo.pid, signal.SIGINT)
    return 130


def end_by_itself(demo):
    told_until(demo, "As expected.")
    return 0


ENDS = {"with Ctrl-C": (["--keep"], end_by_interrupt), "by itself": ([], end_by_itself)}


def try_it(exporter, flags, end):
    demo = subprocess.Popen([DEMO, *flags, "--exporter", exporter, "overlapping-pins"], stdout=subprocess.PIPE, text=True,
                            start_new_session=True)
    try:
        told = told_until(demo, "firing after")
        for wanted in ("Prometheus   http://127.0.0.1:", "VcpuPinsOverlap(", "vcpupin web"):
            assert wanted in told, f"it did not say {wanted}: {told}"
        directories = directories_of(demo.pid)
        qemus = [pid for pid in users_of(directories) if "qemu" in command_line(pid)[0]]
        assert len(qemus) == 2, f"not web and db: {qemus}"
        code = end(demo)
        wait_for(lambda: demo.poll() is not None, 60, "its end")
        assert demo.returncode == code, f"it ended with {demo.returncode}"
        assert not users_of(directories), f"still there: {[command_line(pid)[:3] for pid in users_of(directories)]}"
        left = [directory for directory in directories if os.path.exists(directory)]
        assert not left, f"still there: {left}"
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait()
        demo.stdout.close()


def main():
    failed = False
    for how, (flags, end) in ENDS.items():
        name = f"faults: the demonstration ends {how} and leaves nothing behind"
        if reason := laboratory.why_not_here():
            print(f"skip {name}: {reason}")
            continue
        try:
            try_it(sys.argv[1], flags, end)
            print(f"ok {name}", flush=True)
        except AssertionError as problem:
            print(f"not ok {name}: {' '.join(str(problem).split())}", flush=True)
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())

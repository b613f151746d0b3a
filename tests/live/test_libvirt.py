# SPDX-License-Identifier: Apache-2.0
"""What only QEMU knows, by way of a real libvirtd, while QEMUs and libvirtd hang. Start by test.sh."""
import atexit
import collections
import contextlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

import guests
import lab as laboratory
import private_libvirt
import scrape
import test_live
from processes import process_state, wait_for

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import systemd_unit  # noqa: E402
from children import children_of  # noqa: E402

LAB = None
BUSY = IDLE = None  # One works its disk without a pause, one does nothing.
OPERATIONS = {"read": "rd", "write": "wr", "flush": "fl"}
ANSWER_SECONDS = 3  # For so long an answer may have been under way.
FIGURES_SECONDS = 30  # Until a domain is asked again for what it is asked by itself.
MEASURES = {"requests": "reqs", "bytes": "bytes", "seconds": "times"}


def setUpModule():
    global LAB, BUSY, IDLE
    LAB = laboratory.Lab(sys.argv[1])
    atexit.register(LAB.close)
    LAB.start_exporter()
    BUSY = guests.BareGuest("disk-busy", LAB.work, busy=True)
    IDLE = guests.BareGuest("disk-idle", LAB.work)
    LAB.create(BUSY, IDLE)


# What we may ask, by the numbers of libvirt's src/remote/remote_protocol.x.
CALLS = {
    1: "CONNECT_OPEN", 2: "CONNECT_CLOSE", 14: "DOMAIN_GET_XML_DESC", 16: "DOMAIN_GET_INFO",
    24: "DOMAIN_LOOKUP_BY_UUID", 60: "CONNECT_SUPPORTS_FEATURE", 66: "AUTH_LIST",
    200: "DOMAIN_GET_VCPUS_FLAGS", 230: "DOMAIN_GET_VCPU_PIN_INFO", 316: "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY",
    317: "CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY", 344: "CONNECT_GET_ALL_DOMAIN_STATS",
}


def run_seconds(pid):
    """Of all its threads, by the kernel's schedstat: nanoseconds on a CPU."""
    files = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text(encoding="ascii").split()[0]) for file in files) / 1e9


def domstats(guest):
    """What virsh says of the guest's disk: {(measure, operation): value}, in the exporter's units."""
    text = LAB.libvirt.virsh("domstats", "--block", guest.name).stdout
    values = {}
    for operation, short in OPERATIONS.items():
        for measure, suffix in MEASURES.items():
            found = re.search(rf"block\.0\.{short}\.{suffix}=(\d+)", text)
            if found:
                values[measure, operation] = int(found[1]) / (1e9 if measure == "seconds" else 1)
    return values


def told(page, guest):
    """The same by the exporter."""
    values = {}
    for measure in MEASURES:
        for sample in page.named(f"vcpu_domain_block_{measure}_total", domain=guest.name, device="sda"):
            values[measure, sample.labels["op"]] = sample.value
    return values


def age(page, guest):
    return page.value("vcpu_libvirt_monitor_age_seconds", domain=guest.name)


def monitor_reason(page):
    sample, = page.named("vcpu_source_available", source="libvirt_monitor")
    return sample.labels["reason"]


def asked_since(guest, moment, timeout=60):
    """A page whose figures of the guest were asked for after this moment; the guest's QEMU has answered then."""
    def page_if_new():
        now = time.monotonic()
        page = LAB.scrape()
        seconds = age(page, guest)
        return page if seconds is not None and seconds < now - moment - ANSWER_SECONDS else None
    return wait_for(page_if_new, timeout, f"new figures of {guest.name}")


def mean_latency(guest):
    """Seconds per request, read or written, over what lies between two answers."""
    before = told(asked_since(guest, time.monotonic()), guest)
    after = told(asked_since(guest, time.monotonic()), guest)
    gained = {key: after[key] - before[key] for key in after}
    requests = gained["requests", "read"] + gained["requests", "write"]
    return (gained["seconds", "read"] + gained["seconds", "write"]) / requests


class HangingQemu:
    """A QEMU whose main loop opens a pipe that nobody reads: it hangs, and looks as if it slept."""

    def __init__(self, guest):
        self.pipe = LAB.work / f"{guest.uuid}.pipe"
        os.mkfifo(self.pipe)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(guest.qmp))
        for command in ({"execute": "qmp_capabilities"},
                        {"execute": "pmemsave", "arguments": {"val": 0, "size": 4096, "filename": str(self.pipe)}}):
            self.connection.sendall(json.dumps(command).encode("ascii"))

    def release(self):
        """Reads what it wants to write."""
        if self.connection is None:
            return
        with open(self.pipe, "rb") as pipe:
            pipe.read()
        self.pipe.unlink()
        self.connection.close()
        self.connection = None


class Libvirt(unittest.TestCase):
    maxDiff = None

    def assert_kept_promises(self, watch):
        self.assertEqual([], watch.problems[:5])
        print(f"# {watch.summary()}", flush=True)
        self.assertLess(watch.slowest_seconds(), test_live.SCRAPE_LIMIT_SECONDS, watch.summary())

    def wait_for_reason(self, part, timeout):
        wait_for(lambda: part in monitor_reason(LAB.scrape()), timeout, f"the reason {part!r}")

    def assert_stays_fresh(self, guest, seconds):
        """The guest's figures are told anew all the time."""
        oldest = 0

        def over():
            nonlocal oldest
            oldest = max(oldest, age(LAB.scrape(), guest))
            return time.monotonic() - began > seconds
        began = time.monotonic()
        wait_for(over, seconds + 5, "the time to be over")
        self.assertLess(oldest, 30, f"age of {guest.name}")

    @staticmethod
    def libvirt_children():
        """Their pids by name."""
        children = {}
        for pid in children_of(LAB.exporter.pid):
            with contextlib.suppress(OSError):  # It has ended meanwhile.
                children[pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()] = pid
        return children

    def test_1_requests_of_a_disk_are_told_as_virsh_does(self):
        with LAB.watch(BUSY, IDLE) as watch:
            before = domstats(BUSY)
            asked_since(IDLE, time.monotonic())
            page = asked_since(BUSY, time.monotonic())
            after = domstats(BUSY)
        figures = told(page, BUSY)
        self.assertEqual(before.keys(), figures.keys())
        for key, value in figures.items():
            self.assertLessEqual(before[key] - 1e-6, value, key)
            self.assertGreaterEqual(after[key] + 1e-6, value, key)
        for operation in ("read", "write"):
            self.assertGreater(after["requests", operation], before["requests", operation])
        self.assertEqual(1, len(page.named("vcpu_domain_iothread_poll_max_seconds", domain=BUSY.name)))
        self.assertEqual("", monitor_reason(page))
        info, = page.named("vcpu_domain_metadata_info", domain=BUSY.name)
        self.assertEqual({"domain": BUSY.name, "title": "Title of disk-busy", "openstack_instance": "shop",
                          "openstack_flavor": "m1.tiny", "openstack_project": "web", "openstack_project_id": "8f2b"},
                         info.labels)
        self.assertEqual(1, page.value("vcpu_domain_state_reason_info", domain=BUSY.name, state="running",
                                       reason="booted"))
        self.assert_kept_promises(watch)

    def test_1_once_waits_until_the_qemus_have_answered(self):
        done = subprocess.run([LAB.program, "--once"], capture_output=True, text=True, timeout=60, check=True)
        page = scrape.Page(done.stdout)
        for guest in (BUSY, IDLE):
            self.assertNotEqual({}, told(page, guest), guest.name)
        self.assertEqual("", monitor_reason(page))

    def test_1_modular_daemons_are_found_by_their_socket(self):
        """As a virtqemud has it: Debian 12 has none, a libvirtd behind its socket's name stands for it."""
        modular = private_libvirt.SOCKET.with_name("virtqemud-sock-ro")
        monolithic = private_libvirt.SOCKET.with_name("libvirt-sock-ro")
        monolithic.rename(modular)
        self.addCleanup(LAB.restart_exporter)
        self.addCleanup(modular.rename, monolithic)
        LAB.restart_exporter("--libvirt.uri=qemu:///system?mode=direct")
        wait_for(lambda: LAB.scrape().value("vcpu_libvirt_up") == 1 and told(LAB.scrape(), BUSY), 2,
                 "the disk's figures by way of that socket")

    def test_1_under_the_filter_of_the_unit_libvirt_is_asked(self):
        """A real filter: libvirt's libraries try what it refuses (set_mempolicy, memory to write code to) and do without."""
        missing = systemd_unit.missing_for_filter()
        if missing:
            self.skipTest(missing)
        [words] = systemd_unit.settings("AmbientCapabilities")
        wanted = ",".join("+" + word.removeprefix("CAP_").lower() for word in words)
        self.addCleanup(LAB.restart_exporter)
        LAB.restart_exporter("--collector.perf", under=[
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", f"--bounding-set=-all,{wanted}",
            f"--inh-caps=-all,{wanted}", f"--ambient-caps=-all,{wanted}", *systemd_unit.FILTERED])
        pid = LAB.exporter.pid
        wait_for(lambda: LAB.scrape() and len(children_of(pid)) == 2 and told(LAB.scrape(), BUSY), 60,
                 "the disk's figures by way of two children")
        for process in (pid, *children_of(pid)):
            self.assertIn("Seccomp:\t2", pathlib.Path(f"/proc/{process}/status").read_text(encoding="utf-8"))
        asked_since(BUSY, time.monotonic())
        LAB.exporter.signal(signal.SIGHUP)
        wait_for(lambda: "Configuration reloaded" in LAB.exporter.log(), 20, "the reload")
        page = asked_since(IDLE, time.monotonic())
        self.assertEqual("", monitor_reason(page))
        self.assertEqual(1, page.value("vcpu_libvirt_up"))
        self.assertEqual({1}, {sample.value for sample in page.named("vcpu_scrape_collector_success")})
        for source in ("runqueue", "task_iterator", "libvirt"):
            self.assertEqual(1, page.value("vcpu_source_available", source=source), source)

    def test_2_a_throttled_disk_of_a_booted_guest_has_the_latency_that_its_throttle_makes(self):
        """Of as many requests as are under way at any time each waits until all the others have had their turn."""
        reader = LAB.guest("disk-reader", vcpus=1, reads_disk=True)
        LAB.create(reader)
        self.addCleanup(LAB.destroy, reader)
        free = mean_latency(reader)
        per_second = 10
        LAB.libvirt.virsh("blkdeviotune", reader.name, "sda", "--total-iops-sec", str(per_second), "--live")
        mean_latency(reader)  # In this one the throttle began.
        throttled = mean_latency(reader)
        expected = guests.DISK_READERS / per_second
        print(f"# seconds per request: {free:.6f}, throttled to {per_second} per second {throttled:.3f}", flush=True)
        self.assertLess(free, expected / 5)
        self.assertAlmostEqual(expected, throttled, delta=0.2 * expected)

    def test_3_a_disk_that_is_plugged_in_again_goes_on_counting(self):
        disk = LAB.work / "disk.xml"
        disk.write_text(BUSY.disk_xml(), encoding="ascii")
        with LAB.watch(BUSY, IDLE) as watch:
            before = told(asked_since(BUSY, time.monotonic()), BUSY)
            LAB.libvirt.virsh("detach-device", BUSY.name, str(disk), "--live")
            wait_for(lambda: not told(LAB.scrape(), BUSY), 60, "the disk's series to end")
            LAB.libvirt.virsh("attach-device", BUSY.name, str(disk), "--live")
            wait_for(lambda: told(LAB.scrape(), BUSY), 60, "the disk's series to come back")
            after = told(LAB.scrape(), BUSY)
            raw = domstats(BUSY)
        for key, value in before.items():
            self.assertGreaterEqual(after[key], value, key)
        # QEMU itself has begun anew.
        self.assertLess(raw["requests", "write"], before["requests", "write"])
        self.assertEqual([], watch.problems[:5])
        LAB.make_run(BUSY)

    def test_4_a_stopped_qemu_is_not_asked_and_holds_up_nobody(self):
        pid = LAB.pid(IDLE)
        asked_since(IDLE, time.monotonic())
        with LAB.watch(BUSY, IDLE) as watch:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(os.kill, pid, signal.SIGCONT)
            wait_for(lambda: process_state(pid) == "T", 5, "the QEMU to stop")
            self.wait_for_reason("is stopped", 30)
            self.assert_stays_fresh(BUSY, 15)
            self.assertIn(f"the QEMU of {IDLE.name} is not asked, it is in state T", LAB.exporter.log())
            self.assertNotIn("does not answer", LAB.exporter.log())
            os.kill(pid, signal.SIGCONT)
            asked_since(IDLE, time.monotonic())
            self.assertEqual("", monitor_reason(LAB.scrape()))
        self.assert_kept_promises(watch)

    def test_5_a_qemu_that_hangs_is_left_alone_and_holds_up_nobody(self):
        asked_since(IDLE, time.monotonic())
        with LAB.watch(BUSY, IDLE) as watch:
            hanging = HangingQemu(IDLE)
            self.addCleanup(hanging.release)
            self.wait_for_reason("does not answer", 60)
            self.assertNotEqual("T", process_state(LAB.pid(IDLE)))
            self.assert_stays_fresh(BUSY, 20)
            self.assertEqual(1, LAB.scrape().value("vcpu_libvirt_up"))

            # It is asked again meanwhile; libvirt calls it busy then, as the first question still holds its monitor.
            def old_figures_are_gone():
                page = LAB.scrape()
                self.assertIn("does not answer", monitor_reason(page))
                self.assertEqual(0, page.value("vcpu_source_available", source="libvirt_monitor"))
                return age(page, IDLE) > 60 and not told(page, IDLE)
            wait_for(old_figures_are_gone, 90, "the old figures to vanish")
            hanging.release()
            asked_since(IDLE, time.monotonic(), timeout=180)  # The pauses have grown.
            self.assertTrue(told(LAB.scrape(), IDLE))
            self.assertEqual("", monitor_reason(LAB.scrape()))
        self.assertIn(f"the QEMU of {IDLE.name} answers again", LAB.exporter.log())
        self.assertIn(f"the QEMU of {IDLE.name} does not answer within 3 s", LAB.exporter.log())
        self.assertNotIn(f"the QEMU of {BUSY.name} does not answer", LAB.exporter.log())
        self.assert_kept_promises(watch)

    def test_6_libvirtd_is_stopped_killed_and_restarted(self):
        libvirtd = LAB.libvirt.daemon
        blamed = LAB.exporter.log().count("does not answer within")
        with LAB.watch(BUSY, IDLE) as watch:
            asked_since(BUSY, time.monotonic())
            before = self.libvirt_children()
            self.assertEqual({"vcpu_libvirt", "vcpu_monitor"}, set(before))
            replaced = set()

            def both_are_replaced():
                """After half a minute nobody knows whom to ask, and there is no second child."""
                replaced.update(name for name, pid in self.libvirt_children().items() if pid not in before.values())
                return set(before) <= replaced
            libvirtd.signal(signal.SIGSTOP)
            self.addCleanup(lambda: libvirtd.signal(signal.SIGCONT))
            stopped = time.monotonic()
            self.wait_for_reason("no connection to libvirt", 60)
            wait_for(both_are_replaced, 30, "both children to have been killed and started again")
            wait_for(lambda: time.monotonic() - stopped > 60, 70, "libvirtd to have been stopped for long")
            libvirtd.signal(signal.SIGCONT)
            began = time.monotonic()
            wait_for(lambda: LAB.scrape().value("vcpu_libvirt_up") == 1, 30, "libvirt to be up")
            seconds = time.monotonic() - began
            print(f"# from the end of libvirtd's stop to vcpu_libvirt_up: {seconds:.2f} s", flush=True)
            self.assertLess(seconds, 3)
            asked_since(BUSY, time.monotonic())
            asked_since(IDLE, time.monotonic())
            libvirtd.kill()
            wait_for(lambda: monitor_reason(LAB.scrape()), 30, "a reason")
            LAB.libvirt.start()
            asked_since(BUSY, time.monotonic())
            LAB.libvirt.restart()
            asked_since(BUSY, time.monotonic())
            asked_since(IDLE, time.monotonic())
            self.assertEqual("", monitor_reason(LAB.scrape()))
        # It was not the QEMUs' fault.
        self.assertEqual(blamed, LAB.exporter.log().count("does not answer within"))
        self.assert_kept_promises(watch)


    def test_7_a_change_is_told_at_once_and_not_in_the_next_period(self):
        LAB.libvirt.virsh("resume", IDLE.name, check=False)
        an_hour = 3_600_000
        child = subprocess.Popen([sys.argv[1], f"--internal.libvirt-child=1,{an_hour}", "--libvirt.uri=qemu:///system"],
                                 stdout=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)

        def frame():
            self.assertTrue(select.select([child.stdout], [], [], 30)[0], "nothing is told")
            return os.read(child.stdout.fileno(), 1 << 20)
        self.assertIn(b"booted", frame())
        for command, reason in (("suspend", b"user"), ("resume", b"unpaused")):
            LAB.libvirt.virsh(command, IDLE.name)
            self.assertIn(reason, frame())

    def test_8_libvirtd_gets_no_calls_but_these(self):
        before, began = LAB.libvirt.calls_log.stat().st_size, time.monotonic()
        LAB.restart_exporter()  # And nobody else talks to libvirtd meanwhile.
        asked_since(BUSY, time.monotonic())
        asked_since(IDLE, time.monotonic())
        turns = 1 + (time.monotonic() - began) // FIGURES_SECONDS
        log = LAB.libvirt.calls(skip=before)
        calls = collections.Counter(log.made)
        print("# calls: " + ", ".join(f"{CALLS.get(call, call)} {count}" for call, count in sorted(calls.items())),
              flush=True)
        self.assertLessEqual(set(calls), set(CALLS))
        self.assertLessEqual({private_libvirt.REMOTE_PROGRAM}, log.programs)
        self.assertLessEqual(log.programs, {private_libvirt.REMOTE_PROGRAM, private_libvirt.KEEPALIVE_PROGRAM})
        self.assertEqual(1, log.most_in_flight)
        self.assertIn(344, calls)
        # Each costs libvirtd more than the states of all at once.
        self.assertEqual(2, calls[24])
        for call, times in ((16, 1), (200, 2), (230, 1), (14, 1)):
            self.assertLessEqual(calls[call], 2 * turns * times, CALLS[call])

    def test_9_forty_guests_are_asked_all_the_time_and_cost_little(self):
        crowd = [guests.BareGuest(f"crowd-{i}", LAB.work) for i in range(40)]
        # To write down its calls costs libvirtd more than some of them.
        LAB.libvirt.log_calls(False)
        self.addCleanup(LAB.libvirt.restart)
        self.addCleanup(LAB.libvirt.log_calls, True)
        LAB.libvirt.restart()
        self.addCleanup(LAB.destroy, *crowd)
        LAB.create(*crowd)
        names = {guest.name for guest in crowd}

        def all_told():
            return names <= {sample.labels["domain"] for sample in
                             LAB.scrape().named("vcpu_domain_block_requests_total", op="read")}
        wait_for(all_told, 120, "the figures of all guests")
        libvirtd = LAB.libvirt.daemon.pid
        with LAB.watch(*crowd) as watch:
            wait_for(lambda: LAB.scrape() and len(children_of(LAB.exporter.pid)) == 2, 60, "both children")
            children = {pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip(): pid
                        for pid in children_of(LAB.exporter.pid)}
            self.assertEqual({"vcpu_libvirt", "vcpu_monitor"}, set(children))
            children["libvirtd"] = libvirtd
            began, ages, answers, oldest = time.monotonic(), {}, 0, 0
            before = {name: run_seconds(pid) for name, pid in children.items()}

            def over():
                """Who is younger than in the page before has answered meanwhile."""
                nonlocal ages, answers, oldest
                last, ages = ages, {sample.labels["domain"]: sample.value for sample in
                                    LAB.scrape().named("vcpu_libvirt_monitor_age_seconds")}
                answers += sum(age < last.get(name, 0) for name, age in ages.items() if name in names)
                oldest = max(oldest, *ages.values())
                return time.monotonic() - began > 60
            wait_for(over, 70, "a minute to be over")
            spent = {name: run_seconds(pid) - before[name] for name, pid in children.items()}
            seconds = time.monotonic() - began
        refreshes = answers / len(crowd)
        print("# 40 guests: " + ", ".join(f"{name} {used / seconds:.3%} of a CPU" for name, used in sorted(spent.items()))
              + f"; {refreshes:.1f} refreshes, oldest figures {oldest:.1f} s", flush=True)
        before = run_seconds(libvirtd)
        LAB.libvirt.virsh("domstats", "--nowait", "--block", "--vcpu", "--iothread", *names)
        print(f"# CPU of libvirtd per refresh of 40, with the list of all and what each is asked by itself meanwhile: "
              f"{1000 * spent['libvirtd'] / refreshes:.0f} ms; for virsh domstats of the same groups "
              f"{1000 * (run_seconds(libvirtd) - before):.0f} ms", flush=True)
        self.assertGreater(refreshes, 2)
        self.assertLess(oldest, 60)
        self.assertLess(spent.pop("libvirtd") / seconds, 0.1)
        for name, used in spent.items():
            self.assertGreater(used, 0, name)
            self.assertLess(used / seconds, 0.02, name)
        self.assertEqual([], watch.problems[:5])
        print(f"# {watch.summary()}", flush=True)

    def test_a_sigterm_ends_it_while_the_child_waits_for_a_qemu_that_hangs(self):
        # A libvirtd that has just been started has to know its QEMUs before one of them hangs.
        asked_since(IDLE, time.monotonic())
        # Else a question of the last one may hold the QEMU's monitor, and libvirt calls it busy at once.
        LAB.exporter.stop()
        self.addCleanup(LAB.restart_exporter)
        hanging = HangingQemu(IDLE)
        self.addCleanup(hanging.release)
        before = LAB.libvirt.calls_log.stat().st_size

        def hangs():
            """Statistics are asked for, by the child that looks VMs up."""
            log = LAB.libvirt.calls(skip=before)
            return any(344 in log.unanswered[client].values() for client in log.clients_that_called[24])
        LAB.restart_exporter()
        wait_for(lambda: LAB.scrape() and hangs(), 10, "the question to hang")
        children = children_of(LAB.exporter.pid)
        self.assertEqual(2, len(children))
        self.assertIn("for the first time", monitor_reason(LAB.scrape()))
        self.assertTrue(hangs())
        began = time.monotonic()
        LAB.exporter.process.terminate()
        self.assertEqual(0, LAB.exporter.process.wait(timeout=30), LAB.exporter.log())
        self.assertLess(time.monotonic() - began, 2)
        self.assertNotIn("does not answer", LAB.exporter.log())
        for child in children:
            wait_for(lambda child=child: process_state(child) is None, 10, f"child {child} to end")

    def test_z_the_filter_of_system_calls_holds_and_has_killed_nobody(self):
        self.assertEqual(1, LAB.scrape().value("vcpu_source_available", source="seccomp"))
        self.assertEqual([], LAB.killed_by_the_filter_of_system_calls())


def main():
    return test_live.run(Libvirt, sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

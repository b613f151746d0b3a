# SPDX-License-Identifier: Apache-2.0
"""Many clients, slow clients, and clients that go away."""
import contextlib
import itertools
import select
import time
import unittest

from program import Exporter, FakeVm, Page, ProcView, connect, hang_up, requests_read, wait_for


def big_vm():
    """A VM whose page, of about a megabyte, does not fit into the buffers of a slow connection."""
    return FakeVm('"' * 250, [f"CPU {vcpu}/KVM" for vcpu in range(150)])


class SharedPages(unittest.TestCase):
    def setUp(self):
        self.view = ProcView()
        self.exporter = self.enterContext(Exporter("--path.procfs", self.view.path, "--web.max-requests=50"))
        self.view.hold()

    def test_fifty_scrapes_at_once_share_one_run(self):
        clients = [self.enterContext(self.exporter.send()) for _ in range(50)]
        # All fifty are in: whoever comes now is refused.
        wait_for(lambda: self.exporter.ask("/metrics?collect[]=nosuch").status == 503, "fifty scrapes in flight")
        self.exporter.wait_until_idle()
        self.view.let_pass()  # One run.
        bodies = {client.answer().body for client in clients}
        self.assertEqual(len(bodies), 1)
        Page(bodies.pop().decode())

    def test_a_scrape_after_another_is_a_run_of_its_own(self):
        bodies = []
        for _ in range(2):
            with self.exporter.send() as client:
                self.view.let_pass()
                bodies.append(client.answer().body)
        self.assertNotEqual(*bodies)

    def test_scrapes_of_different_collectors_share_nothing(self):
        with self.exporter.send("/metrics?collect[]=host") as one, self.exporter.send("/metrics") as other:
            for _ in range(2):
                self.view.let_pass()
            self.assertEqual(set(Page(one.answer().text).collectors()), {"inventory", "host"})
            self.assertIn("density", Page(other.answer().text).collectors())

    def test_a_scrape_gets_what_is_there_before_its_timeout(self):
        began = time.monotonic()
        page = self.exporter.page(headers={"X-Prometheus-Scrape-Timeout-Seconds": "1"})
        self.assertLess(time.monotonic() - began, 1)
        collectors = page.collectors()
        self.assertEqual([collectors.pop(late) for late in ("host", "security", "guest", "block", "kvm")], [0] * 5)
        self.assertEqual(page.named("vcpu_host_cpu_seconds_total"), [])
        self.assertEqual({name: success for name, success in collectors.items() if name != "libvirt"},
                         dict.fromkeys(("inventory", "domain", "sched", "runqueue", "threads", "density", "memory",
                                        "cgroup", "numa", "metadata"), 1.0))
        self.assertTrue(page.named("vcpu_host_vcpus"))
        self.view.let_pass()
        self.exporter.wait_until_idle()
        with self.exporter.send() as client:
            self.view.let_pass()
            self.assertEqual(set(Page(client.answer().text).collectors().values()), {1.0})


class Impatience(unittest.TestCase):
    def setUp(self):
        vm = self.enterContext(big_vm())
        self.view = ProcView(vm.pid)
        self.exporter = self.enterContext(Exporter("--path.procfs", self.view.path))
        names = sorted(self.exporter.page_with(150).collectors().keys() - {"inventory"})
        self.subsets = itertools.combinations(names, 6)

    def ask_and_leave(self, count):
        """For one set of collectors after the other, while none of these scrapes can begin."""
        self.view.hold()
        with self.exporter.send() as held:
            self.exporter.wait_until_idle()
            for chosen in itertools.islice(self.subsets, count):
                target = "/metrics?" + "&".join(f"collect[]={name}" for name in chosen)
                self.exporter.page(target, headers={"X-Prometheus-Scrape-Timeout-Seconds": "0.001"})
            self.view.let_all_pass()
            held.answer()

    def test_scrapes_that_nobody_waits_for_any_more_hold_up_no_other(self):
        def before_each():
            self.ask_and_leave(100)
        self.exporter.assert_scraped_soon(before_each)
        page = self.exporter.page()
        self.assertEqual(len(page.vcpus('"')), 150)
        self.assertEqual([name for name, success in page.collectors().items() if not success and name != "libvirt"], [])


class TooMany(unittest.TestCase):
    def slot_is_free(self):
        """Without starting a scrape: a bad query is refused by 400 only where there was room for it."""
        status = self.exporter.ask("/metrics?collect[]=nosuch").status
        self.assertIn(status, (400, 503))
        return status == 400

    def test_scrapes_beyond_the_cap_are_refused_until_there_is_room(self):
        view = ProcView()
        self.exporter = self.enterContext(Exporter("--path.procfs", view.path, "--web.max-requests=2"))
        view.hold()
        clients = [self.enterContext(self.exporter.send()) for _ in range(2)]
        wait_for(lambda: not self.slot_is_free(), "two scrapes in flight")
        refused = self.exporter.ask()
        self.assertEqual(refused.status, 503)
        self.assertRegex(refused.text, r"\A[^\n]*--web\.max-requests[^\n]*\n\Z")
        for target in ("/", "/-/healthy", "/-/ready"):
            self.assertEqual(self.exporter.ask(target).status, 200)
        view.let_pass()
        self.assertEqual([client.answer().status for client in clients], [200, 200])
        wait_for(self.slot_is_free, "room")

    def test_a_client_that_reads_nothing_gives_way_to_who_needs_its_place(self):
        vm = self.enterContext(big_vm())
        exporter = self.enterContext(Exporter("--path.procfs", ProcView(vm.pid).path, "--web.max-requests=1"))
        exporter.page_with(150)
        slow = self.enterContext(exporter.send(slow=True))
        slow.take(1000)
        self.assertEqual(exporter.ask("/-/healthy").status, 200)
        # Sooner than it would be dropped for itself.
        wait_for(lambda: exporter.ask().status == 200, "the slow client to give way", timeout=1)
        with self.assertRaises((AssertionError, ConnectionError)):
            slow.take(500_000)  # The page is longer.


class Sipping(unittest.TestCase):
    """Clients that take their page by the drop, so that it is never done, and never given up for taking nothing."""

    def setUp(self):
        vm = self.enterContext(big_vm())
        self.exporter = self.enterContext(Exporter("--path.procfs", ProcView(vm.pid).path))
        self.exporter.page_with(150)

    def sip(self, clients):
        for client in clients:
            with contextlib.suppress(ConnectionError, AssertionError):  # It was refused, or dropped.
                client.take(100)

    def assert_scrapes_are_served_beside(self, count):
        clients = [self.enterContext(self.exporter.send(slow=True)) for _ in range(count)]
        self.sip(clients)
        self.exporter.wait_until_idle()
        self.exporter.assert_scraped_soon(before_each=lambda: self.sip(clients))

    def test_forty_clients_that_sip_keep_no_scrape_out(self):
        self.assert_scrapes_are_served_beside(40)

    def test_two_hundred_clients_that_sip_keep_no_scrape_out(self):
        self.assert_scrapes_are_served_beside(200)


class RudeClients(unittest.TestCase):
    def test_two_hundred_slow_clients_delay_no_scrape(self):
        exporter = self.enterContext(Exporter())
        exporter.page()
        slow = [self.enterContext(connect(exporter.port)) for _ in range(200)]
        for client in slow:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: loc")
        wait_for(lambda: requests_read(exporter.port) >= len(slow), "200 requests to have begun")
        exporter.assert_scraped_soon()
        self.assertEqual(select.select(slow, [], [], 0)[0], [], "slow clients were dropped before the scrape")

    def test_clients_that_hang_up_in_the_middle_of_a_page_do_not_end_it(self):
        vm = self.enterContext(big_vm())
        exporter = self.enterContext(Exporter("--path.procfs", ProcView(vm.pid).path))
        exporter.page_with(150)
        for _ in range(30):
            client = exporter.send(slow=True)
            client.take(1000)
            hang_up(client.socket)
        hang_up(exporter.send().socket)
        hang_up(connect(exporter.port))
        self.assertEqual(len(exporter.page().vcpus('"')), 150)
        self.assertIsNone(exporter.process.poll())

    def test_garbage_for_a_request_does_not_end_it(self):
        exporter = self.enterContext(Exporter())
        for garbage in (b"\r\n\r\n", b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
                        b"BREW /pot HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
                        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with connect(exporter.port) as client:
                client.sendall(garbage)
                answer = client.recv(1000)
                self.assertTrue(not answer or answer.startswith(b"HTTP/1.1 "), (garbage, answer))
        exporter.page()


class Constant(unittest.TestCase):
    def test_a_thousand_scrapes_leave_no_file_and_no_thread_behind(self):
        vm = self.enterContext(FakeVm("constant"))
        exporter = self.enterContext(Exporter("--path.procfs", ProcView(vm.pid).path))
        exporter.page_with(2)
        exporter.wait_until_idle()
        files, threads = exporter.open_files(), exporter.thread_count()
        for number in range(1000):
            answer = exporter.ask(headers=({}, {"Accept-Encoding": "gzip"})[number % 2])
            self.assertEqual(answer.status, 200)
        # The last connection may be in the middle of its end.
        wait_for(lambda: exporter.open_files() == files, f"the open files to be {files} again")
        wait_for(lambda: exporter.thread_count() == threads, f"the threads to be {threads} again")

# SPDX-License-Identifier: Apache-2.0
"""What each request is answered."""
import html
import re
import unittest

from program import GZIP, OPENMETRICS, OPENMETRICS_TYPE, TEXT_TYPE, Exporter, FakeVm, Page, ProcView, gunzipped, run

GARBAGE_TIMEOUTS = ("", "abc", "-1", "0", "-0", "nan", "inf", "-inf", "1e999", "0x10", "5s", "5,5", "9" * 400, "1 2",
                    "\xff")
HOSTILE_PATH = "/m\"'<script>alert(1)</script>&amp;"


class Http(unittest.TestCase):
    """An exporter that sees one VM and has one collector switched off."""

    @classmethod
    def setUpClass(cls):
        vm = cls.enterClassContext(FakeVm("web"))
        cls.exporter = cls.enterClassContext(Exporter("--path.procfs", ProcView(vm.pid).path, "--no-collector.threads"))
        cls.enabled = set(cls.exporter.page_with(2).collectors())

    def ask(self, *args, **kwargs):
        answer = self.exporter.ask(*args, **kwargs)
        self.assertEqual(len(answer.header("Content-Type")), 1, answer.headers)
        self.assertEqual(answer.header("X-Content-Type-Options"), ["nosniff"])
        return answer

    def assert_refused(self, answer, status, *needles):
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.header("Content-Type"), ["text/plain; charset=utf-8"])
        self.assertRegex(answer.text, r"\A[^\n]+\n\Z")
        for needle in needles:
            self.assertIn(needle, answer.text)


class Pages(Http):
    def test_the_content_type_is_the_one_that_was_asked_for(self):
        prometheus = ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;"
                      "q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
        for accept, content_type in ((None, TEXT_TYPE), ("text/plain", TEXT_TYPE), ("*/*", TEXT_TYPE),
                                     ("text/html", TEXT_TYPE), (",;=", TEXT_TYPE),
                                     (OPENMETRICS["Accept"], OPENMETRICS_TYPE), (prometheus, OPENMETRICS_TYPE),
                                     ("application/openmetrics-text;version=9.9.9", TEXT_TYPE)):
            with self.subTest(accept=accept):
                answer = self.ask(headers={"Accept": accept} if accept else {})
                self.assertEqual((answer.status, answer.header("Content-Type")), (200, [content_type]))
                self.assertEqual(answer.text.endswith("# EOF\n"), content_type == OPENMETRICS_TYPE)
                Page(answer.text)

    def test_a_page_is_packed_when_asked_for(self):
        for accept, packed in ((None, False), ("gzip", True), ("gzip, deflate, br", True), ("gzip;q=0", False),
                               ("identity", False), ("*", True)):
            with self.subTest(accept=accept):
                answer = self.ask(headers={"Accept-Encoding": accept} if accept else {})
                self.assertEqual(answer.header("Content-Encoding"), ["gzip"] if packed else [])
                Page(gunzipped(answer) if packed else answer.text)

    def test_head_is_answered_like_get_without_the_body(self):
        for target in ("/metrics", "/", "/-/healthy", "/-/ready", "/nothing"):
            with self.subTest(target=target):
                head = self.ask(target, "HEAD")
                get = self.ask(target)
                self.assertEqual((head.status, head.header("Content-Type")), (get.status, get.header("Content-Type")))
                self.assertGreater(int(head.header("Content-Length")[0]), 0)
                self.assertEqual(head.body, b"")

    def test_health_and_readiness_are_answered(self):
        for target in ("/-/healthy", "/-/ready"):
            answer = self.ask(target)
            self.assertEqual((answer.status, answer.text), (200, "OK\n"))

    def test_collect_and_exclude_choose_the_collectors(self):
        self.assertEqual(self.enabled, {"inventory", "domain", "sched", "runqueue", "density", "memory", "cgroup", "numa",
                                        "metadata", "host", "security", "guest", "block", "kvm", "libvirt"})
        for query, expected in (("collect[]=host", {"inventory", "host"}),
                                ("collect[]=host&collect[]=sched&collect[]=host", {"inventory", "host", "sched"}),
                                ("collect%5B%5D=%68ost", {"inventory", "host"}),
                                ("exclude[]=host", self.enabled - {"host"}),
                                ("exclude[]=host&exclude[]=sched", self.enabled - {"host", "sched"}),
                                ("", self.enabled), ("&", self.enabled)):
            with self.subTest(query=query):
                page = self.exporter.page("/metrics?" + query)
                self.assertEqual(set(page.collectors()), expected)
                self.assertEqual(bool(page.named("vcpu_host_cpu_seconds_total")), "host" in expected)
                self.assertEqual(bool(page.vcpus("web")), "sched" in expected)

    def test_a_scrape_timeout_that_is_none_is_not_looked_at(self):
        for timeout in GARBAGE_TIMEOUTS:
            with self.subTest(timeout=timeout):
                page = self.exporter.page(headers={"X-Prometheus-Scrape-Timeout-Seconds": timeout})
                self.assertEqual(set(page.collectors().values()), {1.0})

    def test_a_scrape_timeout_that_is_tiny_gets_a_page_that_parses(self):
        for timeout in ("1e-300", "0.000001", "5e-324"):
            page = self.exporter.page(headers={"X-Prometheus-Scrape-Timeout-Seconds": timeout})
            self.assertEqual(set(page.collectors()), self.enabled)


class Refusals(Http):
    def test_other_methods_are_refused_and_the_right_ones_named(self):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for target in ("/metrics", "/", "/-/healthy", "/-/ready"):
                with self.subTest(method=method, target=target):
                    answer = self.ask(target, method, headers={"Content-Length": "0"})
                    self.assert_refused(answer, 405, "GET")
                    self.assertEqual(answer.header("Allow"), ["GET, HEAD"])
        for method in ("GET", "PUT"):
            answer = self.ask("/-/reload", method)
            self.assert_refused(answer, 405, "POST")
            self.assertEqual(answer.header("Allow"), ["POST"])

    def test_a_path_that_is_nothing_is_refused(self):
        for target in ("/nothing", "/metrics/", "/Metrics", "//metrics", "/../etc/passwd", "/%2e%2e/etc/passwd", "/-/"):
            with self.subTest(target=target):
                self.assert_refused(self.ask(target), 404, "/metrics")

    def test_a_bad_query_is_refused_with_a_reason(self):
        for query, needle in (("collect[]=host&exclude[]=sched", "cannot be combined"),
                              ("collect[]=nosuch", 'unknown collector "nosuch"'),
                              ("exclude[]=nosuch", 'unknown collector "nosuch"'),
                              ("collect[]=threads", 'disabled collector "threads"'),
                              ("exclude[]=threads", 'disabled collector "threads"'),
                              ("collect[]=", "unknown collector"),
                              ("collect[]=inventory", 'unknown collector "inventory"'),
                              ("collect=host", 'unknown parameter "collect"'),
                              ("collect[]=%zz", "percent-encoded"),
                              ("collect[]=host%00", "percent-encoded"),
                              ("collect[]=%0d%0aX-Evil:%201", "unknown collector"),
                              ("collect[]=%ff%fe", "unknown collector")):
            with self.subTest(query=query):
                answer = self.ask("/metrics?" + query)
                self.assert_refused(answer, 400, needle)
                self.assertEqual(answer.header("X-Evil"), [])

    def test_requests_that_are_too_large_are_refused(self):
        self.assertEqual(self.ask_raw("/metrics?" + "x" * 5000), 414)
        self.assertEqual(self.ask_raw("/metrics", {"X-Large": "x" * 20000}), 400)

    def ask_raw(self, target, headers=None):
        with self.exporter.send(target, headers=headers) as client:
            return client.answer().status


class LandingPage(Http):
    def test_the_landing_page_has_the_version_the_link_and_every_collector_and_source(self):
        answer = self.ask("/")
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, ["text/html; charset=utf-8"]))
        self.assertIn('href="/metrics"', answer.text)
        page = self.exporter.page()
        build, = page.named("vcpu_exporter_build_info")
        self.assertIn(build.labels["version"], answer.text)
        collectors, sources = (dict(re.findall(r'<tr><th scope="row">([^<]*)</th><td><span[^>]*>([^<]*)</span>', table))
                               for table in answer.text.split("</table>")[:2])
        self.assertEqual(collectors, {**dict.fromkeys(self.enabled, "ok"),
                                      **dict.fromkeys(("threads", "perf"), "disabled")})
        said = page.named("vcpu_source_available")
        self.assertGreater(len(said), 3)
        self.assertEqual(sources, {source.labels["source"]: "available" if source.value else "missing"
                                   for source in said})
        for source in said:
            self.assertIn(html.escape(source.labels["reason"]).replace("&#x27;", "&#39;"), answer.text)

    def test_the_landing_page_escapes_what_it_was_given(self):
        with Exporter("--web.telemetry-path", HOSTILE_PATH) as exporter:
            text = exporter.ask("/").text
            self.assertNotIn("<script", text)
            self.assertIn(f'href="{html.escape(HOSTILE_PATH).replace("&#x27;", "&#39;")}"', text)
            self.assertEqual(exporter.ask("/metrics").status, 404)
            Page(exporter.ask(HOSTILE_PATH).text)

    def test_no_part_of_a_broken_page_is_markup(self):
        with Exporter("--path.procfs", "/nonexistent/<b>bold</b>") as exporter:
            page = exporter.page()
            self.assertEqual(page.collectors()["inventory"], 0)
            text = exporter.ask("/").text
            self.assertIn("&lt;b&gt;bold", text)
            self.assertNotIn("<b>", text)


class SamePage(unittest.TestCase):
    """Clients whose requests overlap get one page, each as it wants it: so the ways to write it can be compared."""

    def test_the_formats_and_encodings_of_one_page_have_the_same_samples(self):
        vm = self.enterContext(FakeVm(b"same\"quote\\slash\xff<&>"))
        view = ProcView(vm.pid)
        exporter = self.enterContext(Exporter("--path.procfs", view.path))
        exporter.page_with(2)  # It knows the VM now, and reads /proc/stat once for a page.
        view.hold()
        clients = [self.enterContext(exporter.send(headers=headers))
                   for headers in ({}, GZIP, OPENMETRICS, {**OPENMETRICS, **GZIP})]
        exporter.wait_until_idle()
        view.let_pass()
        text, packed, openmetrics, packed_openmetrics = (client.answer() for client in clients)
        self.assertEqual(gunzipped(packed), text.text)
        self.assertEqual(gunzipped(packed_openmetrics), openmetrics.text)
        self.assertEqual(Page(openmetrics.text).samples, Page(text.text).samples)
        self.assertEqual(len(Page(text.text).vcpus("same\"quote\\slash\ufffd<&>")), 2)

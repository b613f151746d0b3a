# SPDX-License-Identifier: Apache-2.0
"""What has been found in civetweb, replayed: SECURITY.md says of each why it is not met here.

The requests are those that break a server which lets civetweb look for files, read forms or speak WebSocket.
"""
import os
import pathlib
import struct
import unittest

from program import Exporter, connect, scratch_directory, write_file
from test_rude import everything

# Beyond civetweb's buffer of 16 KiB for a request, and around it.
LENGTHS = (100, 1000, 4000, 4095, 8000, 16000, 16300, 16360, 16384, 20000)
UPGRADE = (b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
TARGETS = (b"/", b"/metrics", b"/-/reload", b"/-/healthy", b"/upload", b"/ws")


def request(method, target, headers=b"", body=b""):
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s" % (method, target, headers, length, body)


def multipart(filename, boundary=b"xx"):
    return (b"--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\nharm\r\n--%s--\r\n"
            % (boundary, filename, boundary))


class Advisories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter("--no-libvirt"))
        cls.exporter.page()

    def tearDown(self):
        self.assertIsNone(self.exporter.process.poll(), self.exporter.log())
        self.assertNotIn("Sanitizer", self.exporter.log())
        self.exporter.wait_until_idle()  # No thread of it goes round and round.
        self.exporter.page()

    def answer_to(self, *parts):
        with connect(self.exporter.port) as client:
            for part in parts:
                try:
                    client.sendall(part)
                except ConnectionError:
                    break
            return everything(client)

    def assert_refused(self, answer, *statuses):
        """Or reset: what was not read when the connection was closed takes the answer with it."""
        self.assertTrue(not answer or answer[9:12] in statuses, answer[:200])
        self.assertLessEqual(answer.count(b"HTTP/1.1 "), 1)

    def test_advisory_cve_2018_12684_no_page_with_directives_is_served(self):
        page = write_file('<!--#include file="/etc/hostname" --><!--#', scratch_directory() / "index.shtml")
        for target in (bytes(page), b"/index.shtml", b"/x.shtml", b"/index.shtm", b"/x.shtml?<!--#exec"):
            answer = self.answer_to(request(b"GET", target))
            self.assertEqual(answer[9:12], b"404", answer)
            self.assertNotIn(b"<!--#", answer)

    def test_advisory_cve_2020_27304_no_upload_is_written(self):
        stray = pathlib.Path("/tmp") / f"vcpu_advisory.{os.getpid()}"
        for filename in (b"../../../../.." + bytes(stray), bytes(stray)):
            for target in TARGETS:
                for method in (b"POST", b"PUT", b"MKCOL"):
                    with self.subTest(target=target, method=method):
                        body = multipart(filename)
                        kind = b"Content-Type: multipart/form-data; boundary=xx\r\n"
                        answer = self.answer_to(request(method, target, kind, body))
                        self.assert_refused(answer, *((b"200",) if (method, target) == (b"POST", b"/-/reload") else
                                                      (b"404", b"405", b"400")))
        self.answer_to(request(b"PUT", b"/.." * 8 + bytes(stray), b"", b"harm"))
        self.assertFalse(stray.exists())

    def test_advisory_cve_2025_55763_no_directory_is_redirected_to(self):
        for length in LENGTHS:
            for path in (b"/" * length, (b"/." * length)[:length], (b"/etc" * length)[:length], (b"/%2f" * length)[:length]):
                with self.subTest(length=length, path=path[:8]):
                    answer = self.answer_to(request(b"GET", path))
                    self.assert_refused(answer, b"404", b"414", b"400")
                    self.assertNotIn(b"Location:", answer)
        for directory in (b"/etc", b"/proc", b"/tmp"):
            self.assertEqual(self.answer_to(request(b"GET", directory))[9:12], b"404")

    def test_advisory_cve_2025_9648_no_form_is_read(self):
        kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
        for body in (b"a=b&\0c=d", b"\0", b"a=\0", b"a\0=b", b"a=%00&\0" * 500):
            for target in TARGETS:
                with self.subTest(target=target, body=body[:10]):
                    answer = self.answer_to(request(b"POST", target, kind, body))
                    self.assert_refused(answer, b"200" if target == b"/-/reload" else b"405", b"404")

    def test_advisory_of_2026_a_second_form_on_a_connection_is_not_read(self):
        # Text before the first boundary, of which more comes with the second request.
        kind = b"Content-Type: multipart/form-data; boundary=xx\r\n"
        preamble = b"y" * 9000 + b"\r\n--x"
        for target in TARGETS:
            with self.subTest(target=target):
                one = request(b"POST", target, kind + b"Connection: keep-alive\r\n", preamble + multipart(b"f"))
                self.assertEqual(self.answer_to(one, one).count(b"HTTP/1.1 ") > 1, False)

    def test_advisory_cve_2026_29035_no_connection_becomes_a_websocket(self):
        for size in (4092, 4096, 4104, 65535):
            frame = struct.pack(">BBH4s", 0xC2, 0x80 | 126, size, b"\1\2\3\4") + b"\0" * size
            for target in TARGETS:
                with self.subTest(target=target, size=size):
                    answer = self.answer_to(request(b"GET", target, UPGRADE), frame)
                    self.assertNotIn(b" 101 ", answer)
                    self.assert_refused(answer, b"200", b"404", b"405", b"426")

    def test_advisory_of_2026_http_2_is_not_spoken(self):
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        settings, headers = 4, 1

        def frame(kind, payload, flags=0, stream=0, length=None):
            return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload
        asks_to_change = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        for harm in (frame(settings, b"\0\1", length=16383), frame(settings, b"\xff" * 5),
                     frame(settings, b"") + frame(headers, b"\x7f" + b"\xff" * 60, 5, 1),
                     frame(settings, b"") + frame(headers, b"\x82\x82\x84\x84\x87", 5, 1) * 2):
            with self.subTest(harm=harm[:20]):
                self.assert_refused(self.answer_to(preface, harm), b"400", b"405", b"505")
                answer = self.answer_to(request(b"GET", b"/-/healthy", asks_to_change) + preface, harm)
                self.assert_refused(answer, b"200")
                self.assertNotIn(b" 101 ", answer)

    def test_advisory_of_2025_no_header_is_made_of_what_is_asked_for(self):
        for target in (b"/%0d%0aX-Evil:%201", b"/metrics%0d%0aX-Evil:%201", b"/metrics?collect[]=%0d%0aX-Evil:%201",
                       b"/%0aX-Evil:1", b"/%0D%0A%0D%0A<script>"):
            with self.subTest(target=target):
                answer = self.answer_to(request(b"GET", target))
                head = answer.partition(b"\r\n\r\n")[0]
                self.assert_refused(answer, b"404", b"400")
                self.assertNotIn(b"Evil", head)
                self.assertNotIn(b"<script>", answer)

    def test_advisory_of_2026_a_length_beside_chunks_smuggles_nothing(self):
        smuggled = request(b"GET", b"/metrics")
        for headers in (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"):
            for method, target in ((b"GET", b"/-/healthy"), (b"POST", b"/-/reload")):
                answer = self.answer_to(request(method, target, headers) + b"0\r\n\r\n" + smuggled)
                self.assertLessEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                self.assertNotIn(b"vcpu_", answer)

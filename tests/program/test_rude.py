# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, broken or hostile, over HTTP and over TLS: they get an answer or a closed connection, the others
are served meanwhile, and nothing is left of them."""
import contextlib
import os
import select
import socket
import ssl
import time
import unittest

import pki
import program
from program import Exporter, connect, hang_up, requests_read, wait_for

GET = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\n"
LENGTHS_THAT_CONFLICT = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
# Begins as a client's first record of TLS 1.2 does, and promises more than comes.
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 40


def everything(client):
    """What is sent until the connection ends."""
    received = b""
    while True:
        try:
            part = client.recv(1 << 16)
        except (ConnectionError, ssl.SSLError):
            return received
        if not part:
            return received
        received += part


class Clients:
    """Over HTTP; Tls below is the same over TLS."""

    @classmethod
    def setUpClass(cls):
        cls.exporter = cls.enterClassContext(Exporter("--no-libvirt", *cls.flags(), tls=cls.context()))
        cls.exporter.page()

    @classmethod
    def flags(cls):
        return []

    @classmethod
    def context(cls):
        return None

    def connect(self):
        return self.enterContext(connect(self.exporter.port, tls=self.exporter.tls))

    def connect_below(self):
        """Without a handshake where there would be one."""
        return self.enterContext(connect(self.exporter.port))

    def answer_to(self, *parts):
        client = self.connect()
        for part in parts:
            try:
                client.sendall(part)
            except (ConnectionError, ssl.SSLError):
                break
        return everything(client)

    def tearDown(self):
        self.assertIsNone(self.exporter.process.poll(), self.exporter.log())
        self.exporter.page()

    def assert_dropped_while_it_drips(self, client, begin, drop, pause, ending):
        began = time.monotonic()
        with self.assertRaises(ending):
            client.sendall(begin)

            def dropped():
                client.sendall(drop)
                return False
            wait_for(dropped, "the end", timeout=15, pause=pause)
        self.assertLess(time.monotonic() - began, 14)

    def assert_nobody_waits(self, clients):
        wait_for(lambda: requests_read(self.exporter.port) >= len(clients), f"{len(clients)} clients to have come")
        self.exporter.assert_scraped_soon()
        still_there = len(clients) - len(select.select(clients, [], [], 0)[0])
        self.assertGreaterEqual(still_there, len(clients) * 9 // 10, "clients were dropped before the scrape")
        for client in clients:
            self.assertNotIn(b" 200 ", everything(client))

    def test_two_hundred_clients_that_say_nothing_delay_no_scrape(self):
        self.assert_nobody_waits([self.connect_below() for _ in range(200)])

    def test_fifty_each_of_four_kinds_of_rude_clients_delay_no_scrape(self):
        clients = []
        for request in (GET + b"\r\n") * 100, GET + b"X: " + b"y" * 12000, GET, GET + LENGTHS_THAT_CONFLICT + b"\r\n0\r\n\r\n":
            for _ in range(50):
                clients.append(self.connect())
                with contextlib.suppress(ConnectionError, ssl.SSLError):  # It may have been answered by then.
                    clients[-1].sendall(request)
                    if request == GET:
                        clients[-1].shutdown(socket.SHUT_WR)  # Half open.
        self.exporter.assert_scraped_soon()

    def test_clients_that_drip_their_headers_are_dropped(self):
        self.assert_dropped_while_it_drips(self.connect(), GET, b"X: y\r\n", 0.05,
                                           (ConnectionError, ssl.SSLError, program.NotInTime))

    def test_a_body_is_not_waited_for(self):
        for length in (b"Content-Length: 1000000\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n5\r\nx"):
            began = time.monotonic()
            self.assertTrue(self.answer_to(POST + length).startswith(b"HTTP/1.1 200 "))
            self.assertLess(time.monotonic() - began, 3)

    def test_of_several_requests_the_first_is_answered(self):
        for times in (2, 100):
            answer = self.answer_to((GET + b"\r\n") * times)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "))

    def test_lengths_that_conflict_smuggle_nothing(self):
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for lengths in (b"Content-Length: 0\r\nContent-Length: 50\r\n", b"Content-Length: 50\r\nContent-Length: 0\r\n",
                        LENGTHS_THAT_CONFLICT,
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                        b"Transfer-Encoding: xchunked\r\n", b"Content-Length: -1\r\n", b"Content-Length: 0x10\r\n",
                        b"Content-Length: 99999999999999999999\r\n", b"Content-Length: 1, 2\r\n",
                        b"Content-Length : 0\r\n", b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"):
            for head in (GET, POST):
                with self.subTest(lengths=lengths, head=head):
                    answer = self.answer_to(head + lengths + b"\r\n0\r\n\r\n" + smuggled)
                    self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                    self.assertNotIn(b" 404 ", answer)

    def test_what_is_huge_is_refused(self):
        huge = b"x" * (1 << 20)
        for request, status in ((b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", b"414"),
                                (b"GET /" + huge + b" HTTP/1.1\r\n\r\n", b"400"),
                                (GET + b"X: " + huge + b"\r\n\r\n", b"400"),
                                (GET + b"X: y\r\n" * 3000 + b"\r\n", b"400"),
                                (GET + b"X: y\r\n" * 100 + b"\r\n", b"200"),
                                (huge, b"400")):
            with self.subTest(request=request[:20], size=len(request)):
                answer = self.answer_to(request)
                # What was not read when it closed may reset the connection, and the answer with it.
                self.assertTrue(not answer or answer.startswith(b"HTTP/1.1 " + status), answer[:100])

    def test_connections_that_are_half_open_end(self):
        client = self.connect_below() if not self.exporter.tls else self.connect()
        client.sendall(GET + b"\r\n")
        if not self.exporter.tls:
            client.shutdown(socket.SHUT_WR)
        self.assertTrue(everything(client).startswith(b"HTTP/1.1 200 "))
        files = len(self.exporter.open_files())
        for part in (b"", b"G", GET, HALF_HELLO):
            client = self.connect_below()
            with contextlib.suppress(OSError):  # It may have been hung up on.
                client.sendall(part)
                client.shutdown(socket.SHUT_WR)
            self.assertNotIn(b" 200 ", everything(client))
        for _ in range(50):
            client = self.connect()
            client.sendall(GET)
            hang_up(client)
        wait_for(lambda: len(self.exporter.open_files()) <= files, "their ends")

    def test_garbage_gets_an_answer_or_the_end(self):
        for garbage in (os.urandom(2000), HALF_HELLO, b"\x16\x03\x03\xff\xff" + b"x" * 70000, b"\x15\x03\x03\x00\x02\x02\x28",
                        b"\x16\x03\x01\x00\x00" * 1000, b"\x80\x2e\x01\x00\x02" + b"\0" * 50, b"\x18\x03\x03\x00\x03\x01\x40\x00",
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GET + b"\r\n", b"\0" * 100000):
            client = self.connect_below()
            with contextlib.suppress(OSError):  # It may have been hung up on.
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)
                everything(client)


class OverHttp(Clients, unittest.TestCase):
    def test_two_hundred_clients_in_their_headers_delay_no_scrape(self):
        clients = [self.connect() for _ in range(200)]
        for client in clients:
            client.sendall(GET)
        self.assert_nobody_waits(clients)


class OverTls(Clients, unittest.TestCase):
    @classmethod
    def flags(cls):
        cls.authority = pki.Authority("authority")
        pair = cls.authority.issue("server")
        return ["--web.config.file", program.write_file(
            f"tls_server_config: {{cert_file: {pair.cert}, key_file: {pair.key}}}\n")]

    @classmethod
    def context(cls):
        return ssl.create_default_context(cafile=cls.authority.cert)

    def test_two_hundred_clients_in_their_handshake_delay_no_scrape(self):
        clients = [self.connect_below() for _ in range(200)]
        for client in clients:
            client.sendall(HALF_HELLO)
        self.assert_nobody_waits(clients)

    def test_clients_that_drip_their_handshake_are_dropped(self):
        self.assert_dropped_while_it_drips(self.connect_below(), HALF_HELLO, b"\x5a", 0.02, ConnectionError)

    def test_handshakes_that_fail_do_not_fill_the_log(self):
        lines = self.exporter.log().count("\n")
        for _ in range(300):
            with connect(self.exporter.port) as client:
                client.sendall(GET + b"\r\n")
                self.assertNotIn(b" 200 ", everything(client))
        self.assertIn("TLS handshake failed: http request", self.exporter.log())
        self.assertLess(self.exporter.log().count("\n") - lines, 30)

    def test_the_port_of_tls_speaks_no_http(self):
        client = self.connect_below()
        client.sendall(GET + b"\r\n")
        self.assertEqual(everything(client), b"")

# SPDX-License-Identifier: Apache-2.0
"""TLS, client certificates and basic authentication by the web configuration file, as curl, openssl, Prometheus and
Debian's node_exporter, which has exporter-toolkit's own, understand it."""
import base64
import contextlib
import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import unittest
import urllib.request

import pki
import program
from program import Exporter, run, wait_for, write_file

sys.path.append(str(program.SOURCE / "tests" / "bench"))
from cpu_clock import cpu_seconds  # noqa: E402

PASSWORD = "correct horse"
HASH = {4: "$2b$04$wPkYaMvD7VaV2h7jJ6m28ulvwO4fNG5igDlmV02gipN1e90gNWQYa",  # By bcrypt's cost.
        8: "$2b$08$OXPRk4KmwwSYDOK6TCdIKeXX7M/XN716jse.gzy8DHrcx/HaThnq2",
        10: "$2b$10$i3H4CP3F5ZcU.9vd64KZmeG1m1I4iySLs.D252Mtx7utLLOg0veSi"}
SECURITY_HEADERS = {"Content-Security-Policy": "default-src 'none'", "Strict-Transport-Security": "max-age=60",
                    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "deny", "X-XSS-Protection": "0"}
KEY_READERS = 64320  # A group that nobody has.
NODE_EXPORTER = "/usr/bin/prometheus-node-exporter"


@contextlib.contextmanager
def as_user(user):
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def users(cost=4, name="prometheus"):
    return {"basic_auth_users": {name: HASH[cost]}}


def tls(pair, **more):
    return {"tls_server_config": {"cert_file": str(pair.cert), "key_file": str(pair.key), **more}}


def mutual(pair, authority, **more):
    return tls(pair, **{"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.cert), **more})


def web_file(*parts, path=None):
    """JSON is YAML."""
    config = {}
    for part in parts:
        config.update(part)
    return write_file(json.dumps(config, indent=1), path)


def authorization(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def trusting(authority, client=None):
    context = ssl.create_default_context(cafile=authority.cert)
    if client:
        context.load_cert_chain(client.cert, client.key)
    return context


class Curl:
    """What curl makes of a request: its exit code, the status, and the headers by which access is governed."""

    def __init__(self, port, *options, scheme="https", authority=None):
        trust = ["--cacert", str(authority.cert)] if authority else []
        done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "20", "-D", "-", "-o", "/dev/null", *trust,
                               *options, f"{scheme}://localhost:{port}/metrics"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        self.exit = done.returncode
        self.stderr = done.stderr
        self.status = int(lines[0].split()[1]) if lines else None
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        self.asked_for = headers.get("www-authenticate", "").split(" ")[0]
        self.security = {name: headers.get(name.lower()) for name in SECURITY_HEADERS}

    def outcome(self):
        """A server that refuses a client by an alert gives curl various errors, and a race of TLS 1.3 more of them."""
        refused = self.exit in (16, 35, 55, 56) or "certificate verification failed" in self.stderr
        return "refused" if refused else self.exit

    def __repr__(self):
        return f"curl ended with {self.exit}, status {self.status}: {self.stderr.strip()}"


class NodeExporter:
    """Debian's, which serves nothing but the same web configuration."""

    def __init__(self, path):
        self._argv = [NODE_EXPORTER, "--web.listen-address=127.0.0.1:0", f"--web.config.file={path}",
                      "--collector.disable-defaults", "--web.disable-exporter-metrics", "--collector.loadavg"]
        self._log = program.scratch_directory() / "log"
        self.port = None

    def __enter__(self):
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.port = int(wait_for(self._port_in_log, "node_exporter to listen"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def _port_in_log(self):
        log = self._log.read_text(errors="replace")
        assert self._process.poll() is None, log
        found = re.search(r'msg="Listening on" address=127\.0\.0\.1:([1-9]\d*)', log)
        # The line that follows is its last before it serves.
        return "TLS is " in log and found and found[1]


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = pki.Authority("authority")
        cls.server = cls.authority.issue("server")
        cls.clients = pki.Authority("authority of the clients")
        cls.client = cls.clients.client()

    def serve(self, *parts, client=None, flags=(), under=()):
        self.path = web_file(*parts)
        context = trusting(self.authority, client) if "tls_server_config" in self.path.read_text() else None
        return self.enterContext(Exporter("--web.config.file", self.path, "--no-libvirt", *flags, tls=context, under=under))

    def curl(self, exporter, *options, **more):
        return Curl(exporter.port, *options, authority=self.authority, **more)


class Serving(Tls):
    def test_a_page_comes_over_tls_12_and_13_and_nothing_older(self):
        exporter = self.serve(tls(self.server))
        for version in ("1.2", "1.3"):
            done = self.curl(exporter, f"--tlsv{version}", "--tls-max", version)
            self.assertEqual((done.exit, done.status), (0, 200), done)
        for old in ("-tls1", "-tls1_1"):
            said = self.s_client(exporter, old, "-cipher", "ALL:@SECLEVEL=0")
            self.assertIn("alert protocol version", said)
        page = exporter.page()
        self.assertEqual(set(page.collectors().values()), {1.0})
        self.assertIn('msg="TLS is enabled"', exporter.log())

    @staticmethod
    def s_client(exporter, *options, stdin=""):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{exporter.port}", *options], input=stdin,
                              capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr

    def test_http_11_is_chosen_by_alpn_and_a_client_without_it_refused(self):
        exporter = self.serve(tls(self.server), {"http_server_config": {"http2": True}})
        self.assertIn("ALPN protocol: http/1.1", self.s_client(exporter, "-alpn", "h2,http/1.1"))
        self.assertIn("No ALPN negotiated", self.s_client(exporter))
        self.assertIn("alert no application protocol", self.s_client(exporter, "-alpn", "h2"))
        self.assertEqual(self.curl(exporter, "--http2").status, 200)

    def test_no_session_is_resumed_and_nothing_negotiated_anew(self):
        exporter = self.serve(mutual(self.server, self.clients), client=self.client)
        certificate = ["-cert", str(self.client.cert), "-key", str(self.client.key)]
        kept = program.scratch_directory() / "session"
        said = self.s_client(exporter, "-tls1_2", "-sess_out", str(kept), *certificate)
        self.assertIn("New, TLSv1.2", said)
        self.assertNotIn("session ticket:", said)
        self.assertIn("New, TLSv1.2", self.s_client(exporter, "-tls1_2", "-sess_in", str(kept), *certificate))
        said = self.s_client(exporter, "-tls1_2", *certificate, stdin="R\n")
        self.assertIn("RENEGOTIATING", said)
        self.assertIn("no renegotiation", said)
        exporter.page()

    def test_versions_suites_and_curves_are_those_of_the_file(self):
        rsa = self.authority.issue("rsa", algorithm="RSA")
        only = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        exporter = self.serve(tls(rsa, max_version="TLS12", cipher_suites=[only], curve_preferences=["CurveP384"]))
        said = self.s_client(exporter)
        self.assertIn("ECDHE-RSA-AES256-GCM-SHA384", said)
        self.assertIn("Server Temp Key: ECDH, secp384r1", said)
        for options in (["-tls1_3"], ["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], ["-groups", "X25519"]):
            self.assertIn("alert", self.s_client(exporter, *options))
        web_file(tls(rsa, min_version="TLS13", cipher_suites=["TLS_CHACHA20_POLY1305_SHA256"]), path=self.path)
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "TLS_CHACHA20_POLY1305_SHA256" in self.s_client(exporter), "the other suite")
        self.assertIn("alert protocol version", self.s_client(exporter, "-tls1_2"))

    def test_the_servers_order_of_suites_counts_unless_it_shall_not(self):
        rsa = self.authority.issue("rsa", algorithm="RSA")
        suites = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]
        offered = ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"]
        for prefer, chosen in ((True, "AES128"), (False, "AES256")):
            exporter = self.serve(tls(rsa, cipher_suites=suites, prefer_server_cipher_suites=prefer))
            self.assertIn(f"Cipher is ECDHE-RSA-{chosen}", self.s_client(exporter, *offered))

    def test_a_chain_is_sent_whole(self):
        between = pki.Authority("between", self.authority)
        pair = between.issue("server")
        exporter = self.serve(tls(pki.Pair(pki.chain(pair.cert, between.cert), pair.key)))
        exporter.page()

    def test_no_development_package_is_needed(self):
        """civetweb looks for libssl.so and libcrypto.so, which are of such packages alone."""
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        trace = program.scratch_directory() / "trace"
        under = ["strace", "-D", "-f", "-q", "-e", "trace=openat", "-o", str(trace)]
        with Exporter("--web.config.file", web_file(tls(self.server)), under=under,
                      tls=trusting(self.authority)) as exporter:
            exporter.page()
        opened = wait_for(lambda: "tls.crt" in trace.read_text() and trace.read_text(), "the trace")
        self.assertIn("/libssl.so.3", opened)
        self.assertNotRegex(opened, r'/lib(ssl|crypto)\.so"')

    def test_certificates_may_stand_in_the_file_itself(self):
        texts = {"cert": self.server.cert.read_text(), "key": self.server.key.read_text(),
                 "client_ca": self.clients.cert.read_text(), "client_auth_type": "RequireAndVerifyClientCert"}
        self.serve({"tls_server_config": texts}, client=self.client).page()

    def test_relative_names_are_taken_from_the_files_directory(self):
        directory = program.scratch_directory()
        for source, name in ((self.server.cert, "tls.crt"), (self.server.key, "tls.key")):
            shutil.copy(source, directory / name)
        path = write_file("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n", directory / "web.yml")
        with Exporter("--web.config.file", path, tls=trusting(self.authority)) as exporter:
            exporter.page()

    def test_the_shipped_example_is_good(self):
        directory = program.scratch_directory()
        shutil.copy(program.SOURCE / "deploy" / "web-config.example.yml", directory / "web.yml")
        for source, name in ((self.server.cert, "tls.crt"), (self.server.key, "tls.key"),
                             (self.clients.cert, "clients.crt")):
            shutil.copy(source, directory / name)
        done = run("--config.check", f"--web.config.file={directory / 'web.yml'}")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 1), done.stderr)  # Warns of the key's rights.
        with Exporter(f"--web.config.file={directory / 'web.yml'}",
                      tls=trusting(self.authority, self.client)) as exporter:
            self.assertEqual(exporter.ask().status, 401)


class ClientCertificates(Tls):
    def refused(self, exporter, client):
        try:
            with program.Client(exporter.port, "/metrics", tls=trusting(self.authority, client)) as asking:
                asking.answer()
        except (ssl.SSLError, ConnectionError, OSError):
            return True
        return False

    def test_only_a_verified_one_gets_in_and_the_log_says_why_not(self):
        exporter = self.serve(mutual(self.server, self.clients), client=self.client)
        exporter.page()
        strangers = {"expired": self.clients.client(expired=True), "self-signed": pki.self_signed("prometheus"),
                     "of another authority": self.authority.client(),
                     "for servers": self.clients.client(usage="serverAuth"), "none": None}
        for name, client in strangers.items():
            with self.subTest(name):
                self.assertTrue(self.refused(exporter, client))
        exporter.page()
        for reason in ("certificate verify failed", "peer did not return a certificate"):
            self.assertIn(f'err="TLS handshake failed: {reason}"', exporter.log())

    def test_its_names_can_be_asked_for(self):
        for sans, good in ((["prometheus.example"], True), (["10.0.0.1"], True), (["p@example"], True),
                           (["other", "spiffe://a/b"], True),
                           (["other", "prometheus", "*.example", "Prometheus.example"], False)):
            with self.subTest(sans=sans):
                exporter = self.serve(mutual(self.server, self.clients, client_allowed_sans=sans), client=self.client)
                self.assertEqual(self.refused(exporter, self.client), not good)

    def test_an_intermediate_authority_is_trusted_by_itself(self):
        between = pki.Authority("between", self.clients)
        exporter = self.serve(mutual(self.server, between), client=between.client())
        exporter.page()
        self.assertTrue(self.refused(exporter, self.client))


class Parity(Tls):
    """The same files and the same requests, once to node_exporter and once to us."""

    def setUp(self):
        if not pathlib.Path(NODE_EXPORTER).exists():
            self.skipTest("prometheus-node-exporter is not installed")

    def compare(self, parts, requests, scheme="https"):
        path = web_file(*parts)
        theirs = self.enterContext(NodeExporter(path))
        ours = self.enterContext(Exporter("--web.config.file", path, "--no-libvirt"))
        seen = set()
        for options in requests:
            with self.subTest(config=parts, options=options):
                said = [Curl(each.port, *map(str, options), scheme=scheme, authority=self.authority)
                        for each in (theirs, ours)]
                self.assertEqual(*((each.outcome(), each.status, each.asked_for) for each in said), said)
                if said[0].status:
                    for name, value in said[0].security.items():
                        # nosniff is always ours.
                        self.assertIn(said[1].security[name], (value, value or SECURITY_HEADERS[name]))
                seen.add((said[1].outcome(), said[1].status))
        return seen

    def test_passwords_and_headers(self):
        requests = [[], ["-u", f"prometheus:{PASSWORD}"], ["-u", f"prometheus:{PASSWORD} "], ["-u", "prometheus:"],
                    ["-u", f"other:{PASSWORD}"], ["-u", f":{PASSWORD}"], ["-H", "Authorization: Basic"],
                    ["-H", "Authorization: Basic !!!!"], ["-H", "Authorization: Bearer x"],
                    ["-H", "Authorization: " + authorization("prometheus", PASSWORD)["Authorization"].replace("B", "b", 1)],
                    ["-H", "Authorization: Basic cHJvbWV0aGV1cw=="], ["-I", "-u", f"prometheus:{PASSWORD}"]]
        headers = {"http_server_config": {"headers": SECURITY_HEADERS}}
        for scheme, parts in (("http", [users(), headers]), ("https", [users(), headers, tls(self.server)])):
            self.assertEqual(self.compare(parts, requests, scheme), {(0, 200), (0, 401)})
        self.assertEqual(self.compare([{"basic_auth_users": {}}], [[]], "http"), {(0, 200)})

    def test_every_policy_that_verifies_no_client_with_every_kind_of_certificate(self):
        self.compare_policies("NoClientCert", "RequestClientCert", "RequireAnyClientCert")

    def test_every_policy_that_verifies_clients_with_every_kind_of_certificate(self):
        self.compare_policies("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")

    def compare_policies(self, *policies):
        between = pki.Authority("between", self.clients)
        below = between.client()
        pairs = [None, self.client, self.clients.client(expired=True), pki.self_signed("prometheus"),
                 self.authority.client(), self.clients.client(usage="serverAuth"), below,
                 pki.Pair(pki.chain(below.cert, between.cert), below.key)]
        requests = [[*version, *(pair.curl() if pair else [])]
                    for pair in pairs for version in (["--tls-max", "1.2"], ["--tlsv1.3"])]
        for policy in policies:
            authority = {} if policy == "NoClientCert" else {"client_ca_file": str(self.clients.cert)}
            seen = self.compare([tls(self.server, client_auth_type=policy, **authority)], requests)
            self.assertIn((0, 200), seen)
            self.assertEqual(len(seen) > 1, policy not in ("NoClientCert", "RequestClientCert"))

    def test_versions_and_suites(self):
        rsa = self.authority.issue("rsa", algorithm="RSA")
        requests = [["--tls-max", "1.2"], ["--tlsv1.3"], ["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES256-GCM-SHA384"],
                    ["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"], ["--curves", "P-384"],
                    ["--curves", "X25519"]]
        for more in ({}, {"min_version": "TLS13"}, {"max_version": "TLS12"}, {"curve_preferences": ["CurveP384"]},
                     {"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]}):
            # Go wants a certain suite for HTTP/2.
            self.assertIn((0, 200), self.compare([tls(rsa, **more), {"http_server_config": {"http2": False}}], requests))

    def test_what_is_wrong_with_a_server(self):
        for pair in (self.authority.issue("server", expired=True), pki.self_signed("server"),
                     self.authority.issue("server", sans="DNS:elsewhere")):
            self.assertEqual(self.compare([tls(pair)], [[], ["-k"]]), {(60, None), (0, 200)})


class Refused(Tls):
    def check(self, part):
        path = web_file(part)
        for mode in (["--config.check"], ["--web.listen-address=127.0.0.1:0"]):
            done = run(f"--web.config.file={path}", *mode)
            last = done.stderr.splitlines()[-1]
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(last, rf"\Avcpu_exporter: {re.escape(str(path))}:\d+: ")
            self.assertNotIn("BEGIN", done.stderr)
        if shutil.which("promtool"):
            promtool = subprocess.run(["promtool", "check", "web-config", path], capture_output=True, check=False)
            self.assertEqual(promtool.returncode != 0, part["tls_server_config"]["cert_file"] != "lenient")
        return last

    def test_certificates_that_cannot_be_served_are_refused_with_one_line(self):
        directory = program.scratch_directory()
        nothing = directory / "nothing.pem"
        nothing.write_text("nothing\n")
        damaged = directory / "damaged.pem"
        damaged.write_text(self.server.cert.read_text() + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        locked = directory / "locked.key"
        pki.openssl("pkey", "-in", self.server.key, "-aes128", "-passout", "pass:x", "-out", locked)
        locked.chmod(0o644)
        weak_key, weak = directory / "weak.key", directory / "weak.crt"
        pki.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", weak_key)
        pki.openssl("req", "-x509", "-new", "-key", weak_key, "-subj", "/CN=weak", "-out", weak)
        weak_key.chmod(0o644)
        missing = directory / "missing"
        good = self.server
        for cert, key, needle in ((missing, good.key, f'cert_file: cannot read "{missing}": No such file'),
                                  (good.cert, missing, f'key_file: cannot read "{missing}": No such file'),
                                  (directory, good.key, "not a regular file"),
                                  (nothing, good.key, f'cert_file "{nothing}" has no certificate in PEM'),
                                  (good.key, good.key, "has no certificate in PEM"),
                                  (good.cert, nothing, f'key_file "{nothing}" has no private key in PEM'),
                                  (good.cert, good.cert, "has no private key in PEM"),
                                  (good.cert, locked, "without a password"),
                                  (good.cert, self.client.key, f'does not belong to the certificate of cert_file "{good.cert}"')):
            with self.subTest(cert=cert.name, key=key.name):
                self.assertIn(needle, self.check(tls(pki.Pair(cert, key))))
        # Go takes these.
        for part, needle in ((tls(pki.Pair(weak, weak_key)), "key too small"),
                             (tls(pki.Pair(damaged, good.key)), "is damaged"),
                             (mutual(good, pki.Pair(nothing, None)), f'client_ca_file "{nothing}" has no certificate')):
            done = run("--config.check", f"--web.config.file={web_file(part)}")
            self.assertEqual(done.returncode, 1)
            self.assertIn(needle, done.stderr)

    def test_a_key_that_the_service_user_cannot_read_is_refused_at_the_start(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        pair = self.authority.issue("server")
        pair.key.chmod(0o600)
        done = run(f"--web.config.file={web_file(tls(pair))}", "--web.listen-address=127.0.0.1:0", "--user=nobody")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'key_file: cannot read ".*": Permission denied; .*reads it as user 65534')

    def test_a_key_that_everybody_can_read_is_warned_of(self):
        pair = self.authority.issue("server")
        for mode, warned in ((0o644, True), (0o640, False)):
            pair.key.chmod(mode)
            if program.AS_ROOT:
                shutil.chown(pair.key, group="nogroup")
            with Exporter(f"--web.config.file={web_file(tls(pair))}") as exporter:
                self.assertEqual(f'Every user of this machine can read the private key in \\"{pair.key}\\"'
                                 in exporter.log(), warned)


class Reloading(Tls):
    def served(self, exporter):
        return ssl.get_server_certificate(("127.0.0.1", exporter.port)).strip()

    def replace(self, pair, served, lock=lambda key: key.chmod(0o644)):
        """As a tool that renews certificates does: one file after the other."""
        for new, old in ((pair.cert, served.cert), (pair.key, served.key)):
            write_file(new.read_bytes(), old)
            old.chmod(0o644)
        lock(served.key)

    def successful(self, exporter):
        return exporter.page(headers=authorization("prometheus", PASSWORD)).value(
            "vcpu_exporter_web_config_last_reload_successful")

    def test_a_renewed_certificate_is_taken_up_by_itself(self):
        served = self.authority.issue("server")
        exporter = self.serve(tls(served))
        self.assertEqual(self.served(exporter), served.cert.read_text().strip())
        for _ in range(2):
            renewed = self.authority.issue("server")
            self.replace(renewed, served)
            wait_for(lambda: self.served(exporter) == renewed.cert.read_text().strip(), "the renewed certificate")
            wait_for(lambda: self.successful(exporter) == 1, "the reload to be told")
        self.assertEqual(exporter.process.poll(), None)

    def assert_renewed_with_key(self, lock, *flags, under=()):
        """`lock` gives a key the owner and the rights that it is to have."""
        if not program.AS_ROOT:
            self.skipTest("not root: a key cannot be given away")
        served = self.authority.issue("server")
        lock(served.key)
        exporter = self.serve(tls(served), flags=flags, under=under)
        renewed = self.authority.issue("server")
        self.replace(renewed, served, lock)
        wait_for(lambda: self.served(exporter) == renewed.cert.read_text().strip(), "the renewed certificate")
        wait_for(lambda: self.successful(exporter) == 1, "the reload to be told")
        self.assertEqual(program.status_of(exporter.pid)["Uid"].split()[0], "65534")
        with self.assertRaises(PermissionError):  # It is what the user has that lets it read the key.
            with as_user(64321):
                served.key.read_bytes()

    def test_a_renewed_key_that_the_service_user_alone_can_read_is_taken_up(self):
        def lock(key):
            os.chown(key, 65534, 0)
            key.chmod(0o600)
        self.assert_renewed_with_key(lock, "--user=nobody")

    def test_a_renewed_key_that_a_group_of_the_service_can_read_is_taken_up(self):
        def lock(key):
            os.chown(key, 0, KEY_READERS)
            key.chmod(0o640)
        # As the unit starts it with SupplementaryGroups=: no root, and no right to other groups.
        self.assert_renewed_with_key(lock, under=("setpriv", "--reuid=65534", "--regid=65534", f"--groups={KEY_READERS}",
                                                  "--bounding-set=-all", "--no-new-privs"))

    def test_a_broken_pair_keeps_the_old_one_until_it_is_whole(self):
        served = self.authority.issue("server")
        exporter = self.serve(tls(served))
        old = self.served(exporter)
        renewed = self.authority.issue("server")
        write_file(renewed.cert.read_bytes(), served.cert)
        wait_for(lambda: self.successful(exporter) == 0, "the broken pair to be seen")
        self.assertEqual(self.served(exporter), old)
        self.assertIn("does not belong to the certificate", exporter.log())
        self.assertIn('msg="Web configuration not reloaded, the old one stays"', exporter.log())
        self.replace(renewed, served)
        wait_for(lambda: self.successful(exporter) == 1, "the whole pair to be taken")
        self.assertEqual(self.served(exporter), renewed.cert.read_text().strip())

    def test_what_is_wrong_changes_nothing_and_is_said_to_who_asked_for_it(self):
        exporter = self.serve(tls(self.server), users())
        good = authorization("prometheus", PASSWORD)
        for parts in ([{"basic_auth_users": {"prometheus": "secret"}}, tls(self.server)], [users()],
                      [tls(self.server), {"basic_auth_user": {}}], [tls(pki.Pair("/missing", "/missing")), users()]):
            web_file(*parts, path=self.path)
            answer = exporter.ask("/-/reload", "POST", headers=good)
            self.assertEqual(answer.status, 500)
            self.assertRegex(answer.text, rf"\A{re.escape(str(self.path))}:[^\n]+\n\Z")
            self.assertEqual(exporter.ask().status, 401)
            self.assertEqual(self.successful(exporter), 0)
        self.path.unlink()
        self.assertEqual(exporter.ask("/-/reload", "POST", headers=good).status, 500)
        web_file(tls(self.server), users(), path=self.path)
        self.assertEqual(exporter.ask("/-/reload", "POST", headers=good).status, 200)
        self.assertEqual(self.successful(exporter), 1)

    def test_users_headers_and_authorities_are_taken_up(self):
        exporter = self.serve(mutual(self.server, self.clients), users(), client=self.client)
        good = authorization("prometheus", PASSWORD)
        self.assertEqual(exporter.ask(headers=good).status, 200)
        web_file(mutual(self.server, self.clients), users(name="other"), {"http_server_config": {
            "headers": {"X-Frame-Options": "sameorigin"}}}, path=self.path)
        wait_for(lambda: exporter.ask(headers=good).status == 401, "the user to be gone")
        answer = exporter.ask(headers=authorization("other", PASSWORD))
        self.assertEqual((answer.status, answer.header("X-Frame-Options")), (200, ["sameorigin"]))
        web_file(mutual(self.server, self.authority), users(name="other"), path=self.path)

        def stranger():
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                exporter.ask()
                return False
            return True
        wait_for(stranger, "the authority to be gone")
        exporter.tls = trusting(self.authority, self.authority.client())
        self.assertEqual(exporter.ask(headers=authorization("other", PASSWORD)).status, 200)


class Passwords(Tls):
    def test_every_page_and_every_method_asks_for_one(self):
        exporter = self.serve(users())
        for target in ("/metrics", "/", "/-/healthy", "/-/ready", "/nothing", "/%zz", "/metrics?collect[]=nosuch"):
            for method in ("GET", "HEAD", "POST", "DELETE"):
                answer = exporter.ask(target, method, headers={"Content-Length": "0"})
                self.assertEqual(answer.status, 401, (target, method))
                self.assertEqual(answer.header("WWW-Authenticate"), ['Basic realm="vcpu_exporter", charset="UTF-8"'])
        self.assertEqual(exporter.ask("/-/reload", "POST").status, 401)
        good = authorization("prometheus", PASSWORD)
        self.assertEqual(exporter.ask("/-/reload", "POST", headers=good).status, 200)
        page = exporter.page(headers=good)
        self.assertGreater(page.value("vcpu_exporter_http_requests_total", handler="metrics", code="401"), 0)

    def test_guesses_are_turned_away_when_they_are_many_and_the_known_password_is_not(self):
        exporter = self.serve(users(10))
        good = authorization("prometheus", PASSWORD)
        self.assertEqual(exporter.ask("/-/healthy", headers=good).status, 200)
        guesses = [self.enterContext(exporter.send("/-/healthy", headers=authorization("prometheus", f"guess {number}")))
                   for number in range(60)]
        self.assertEqual(exporter.ask("/-/healthy", headers=good).status, 200)
        answers = [guess.answer() for guess in guesses]
        self.assertEqual({answer.status for answer in answers}, {401, 503})
        [busy, *_] = [answer for answer in answers if answer.status == 503]
        self.assertEqual(busy.header("Retry-After"), ["1"])


def by_chance(some, others):
    """How far the ranks of some figures among all are from where chance puts them, in its standard deviations (Mann and Whitney)."""
    ranked = sorted([(figure, True) for figure in some] + [(figure, False) for figure in others])
    ranks = sum(rank for rank, (_, is_some) in enumerate(ranked, start=1) if is_some)
    count, all_of_them = len(some), len(ranked)
    expected = count * (all_of_them + 1) / 2
    return (ranks - expected) / math.sqrt(expected * len(others) / 6)


class GuessedPasswords(Tls):
    SECONDS = 240

    def test_ten_thousand_guesses_get_nobody_in_nothing_into_the_log_and_do_not_tell_who_exists(self):
        exporter = self.serve(users())
        good = authorization("prometheus", PASSWORD)
        self.assertEqual(exporter.ask("/-/healthy", headers=good).status, 200)
        exporter.page(headers=good)
        files, log = len(exporter.open_files()), exporter.log()
        memory = int(program.status_of(exporter.pid)["VmRSS"].split()[0])
        # Of the exporter's own, whatever else runs here.
        taken = {"prometheus": [], "prometheum": []}
        guesses = [user for user in taken for _ in range(5000)]
        random.shuffle(guesses)
        for number, user in enumerate(guesses):
            guess = authorization(user, f"guess-{number:05}")
            before = cpu_seconds(exporter.pid)
            self.assertEqual(exporter.ask("/-/healthy", headers=guess).status, 401)
            taken[user].append(cpu_seconds(exporter.pid) - before)
        # Four of them come by chance once in 16,000 times.
        self.assertLess(abs(by_chance(*taken.values())), 4, {user: statistics.quantiles(each) for user, each in taken.items()})
        self.assertEqual(exporter.ask("/-/healthy", headers=good).status, 200)
        self.assertLess(int(program.status_of(exporter.pid)["VmRSS"].split()[0]), memory + 8192)
        wait_for(lambda: len(exporter.open_files()) <= files, "its connections to be closed")
        self.assertEqual(exporter.log(), log)


class RealPrometheus(Tls):
    def test_prometheus_scrapes_by_mutual_tls_with_a_password(self):
        if not shutil.which("prometheus"):
            self.skipTest("prometheus is not installed")
        exporter = self.serve(mutual(self.server, self.clients), users(10), client=self.client)
        directory = program.scratch_directory()
        right = {"scheme": "https", "tls_config": {"ca_file": str(self.authority.cert), "server_name": "localhost",
                                                   "cert_file": str(self.client.cert), "key_file": str(self.client.key)},
                 "basic_auth": {"username": "prometheus", "password": PASSWORD}}
        jobs = {"right": {}, "no-certificate": {"tls_config": {"ca_file": str(self.authority.cert),
                                                               "server_name": "localhost"}},
                "wrong-password": {"basic_auth": {"username": "prometheus", "password": "wrong"}},
                "no-tls": {"scheme": "http", "tls_config": {}}}
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [
            {"job_name": name, **right, **wrong, "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}
            for name, wrong in jobs.items()]}
        path = write_file(json.dumps(config), directory / "prometheus.yml")
        log = directory / "log"
        with open(log, "wb") as output:
            process = subprocess.Popen(["prometheus", f"--config.file={path}", "--web.listen-address=127.0.0.1:0",
                                        f"--storage.tsdb.path={directory / 'data'}"],
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        port = wait_for(lambda: re.search(r'msg="Listening on" address=127\.0\.0\.1:([1-9]\d*)', log.read_text()),
                        "Prometheus to listen")[1]

        def targets():
            with contextlib.suppress(OSError), urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/api/v1/targets", timeout=10) as answer:
                active = json.load(answer)["data"]["activeTargets"]
                if len(active) == len(jobs) and all(target["health"] != "unknown" for target in active):
                    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in active}
            return None
        seen = wait_for(targets, "Prometheus to have scraped")
        self.assertEqual(seen["right"], ("up", ""))
        self.assertEqual([seen[job][0] for job in ("no-certificate", "wrong-password", "no-tls")], ["down"] * 3)
        self.assertIn("401", seen["wrong-password"][1])

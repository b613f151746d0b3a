#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Prometheus in agent mode with our configuration scrapes the exporter's golden page and hands it on by remote_write to
a Prometheus with our rules, which records and would alert.

Usage: agent.py deploy/prometheus
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from alertmanager import free_port, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import loopback  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden/host.prom"
TOKEN = "secret-of-remote-write"


class Page(loopback.Handler):
    def do_GET(self):
        self.answer(GOLDEN.read_bytes(), content_type=loopback.METRICS)


def gate(backend, tokens):
    """A proxy before the receiving Prometheus, which takes no tokens itself: keeps those that it saw."""

    class Gate(loopback.Handler):
        def do_POST(self):
            tokens.add(self.headers.get("Authorization"))
            body = self.sent()
            headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Authorization")}
            request = urllib.request.Request(backend + self.path, body, headers)
            try:
                status = urllib.request.urlopen(request, timeout=5).status
            except (urllib.error.URLError, OSError):
                status = 503
            self.answer(status=status)

    return Gate


def ask(url, query):
    try:
        path = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        return json.load(urllib.request.urlopen(path, timeout=5))["data"]["result"]
    except (urllib.error.URLError, OSError):
        return []


def start(directory, name, *arguments):
    log = open(pathlib.Path(directory, name + ".log"), "w")
    return subprocess.Popen(["prometheus", *arguments], stdout=log, stderr=log)


def main(shipped):
    if not shutil.which("prometheus"):
        print("skip agent: prometheus is not installed")
        return 0
    problem = None
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        tokens = set()
        receiver_address, agent_address = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        url = f"http://{receiver_address}"
        (work / "token").write_text(TOKEN)
        (work / "targets").mkdir()
        # The host under test is found by file_sd; the one of static_configs is nobody.
        (work / "targets/kvm.yml").write_text(f"- targets: ['{loopback.Server(Page).address}']\n")
        text = (shipped / "prometheus-agent.yml").read_text()
        for old, new in {"https://metrics.example.com": f"http://{loopback.Server(gate(url, tokens)).address}",
                         "/etc/prometheus/secrets/remote_write_token": str(work / "token"),
                         "localhost:9752": f"127.0.0.1:{free_port()}",
                         "scrape_interval: 15s": "scrape_interval: 1s"}.items():
            if old not in text:
                print(f"not ok agent: prometheus-agent.yml no longer contains '{old}'")
                return 1
            text = text.replace(old, new)
        (work / "agent.yml").write_text(text)
        (work / "receiver.yml").write_text(
            f"global: {{evaluation_interval: 1s}}\nrule_files: ['{shipped}/vcpu_rules.yml', '{shipped}/vcpu_alerts.yml']\n")
        processes = [
            start(work, "receiver", f"--config.file={work}/receiver.yml", f"--storage.tsdb.path={work}/receiver",
                  f"--web.listen-address={receiver_address}", "--web.enable-remote-write-receiver"),
            start(work, "agent", "--enable-feature=agent", f"--config.file={work}/agent.yml",
                  f"--storage.agent.path={work}/agent", f"--web.listen-address={agent_address}")]
        try:
            until(lambda: ask(url, 'instance_domain:vcpu_contention:max_ratio_rate5m{cluster="east", hypervisor="kvm"}'),
                  "recorded contention of what the agent sent")
            until(lambda: ask(url, 'ALERTS{alertname="VcpuThreadDensityHigh", cluster="east"}'), "an alert on it")
            until(lambda: ask(url, 'ALERTS{alertname="VcpuExporterDown", cluster="east"}'), "an alert on the host that is nobody")
            if tokens != {f"Bearer {TOKEN}"}:
                problem = f"remote_write came with {tokens}"
        except TimeoutError as late:
            problem = str(late)
        finally:
            # The sender first, or it would try for a minute to get rid of what it has.
            for process in reversed(processes):
                process.terminate()
                process.wait()
    print(f"not ok agent: {problem}" if problem else "ok agent: what it sends by remote_write is recorded and alerted on")
    return problem is not None


sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))

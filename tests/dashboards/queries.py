#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks a real Prometheus, with our rules, every query of every dashboard: none may fail or come back empty.

It scrapes the exporter's golden page, whose counters are made to grow.
"""
import http.server
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/host.prom"
DEADLINE_SECONDS = 60
VALUES = {"$__rate_interval": "20s", "$__range": "1m", "$job": "vcpu_exporter", "$instance": ".+", "$top": "5"}
# Empty is the good news here.
MAY_BE_EMPTY = {"Overlapping pins", "Sources missing"}

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/vcpu_*.yml"]
scrape_configs:
  - job_name: vcpu_exporter
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def growing(page, seconds):
    """The page with every counter increased by 0.1 a second."""
    return re.sub(rb"^(\w+_total(?:\{.*\})? )(\S+)$", lambda found: found[1] + repr(float(found[2]) + seconds / 10).encode(),
                  page, flags=re.M)


def serve(page):
    start = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = growing(page, time.monotonic() - start)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url, panel, expr):
    """An empty answer, or a sentence saying what went wrong."""
    for variable, value in VALUES.items():
        expr = expr.replace(variable, value)
    instant = panel["type"] != "timeseries"
    now = time.time()
    query = {"query": expr} if instant else {"query": expr, "start": now - 30, "end": now, "step": 5}
    try:
        path = "query" if instant else "query_range"
        answer = json.load(urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10))
    except urllib.error.HTTPError as refused:
        # While it starts, Prometheus refuses in plain text.
        return refused.read().decode(errors="replace")[:200]
    except OSError as problem:
        return str(problem)
    values = [v for r in answer["data"]["result"] for v in ([r["value"]] if instant else r["values"])]
    if not values:
        return None if panel["title"] in MAY_BE_EMPTY else "no data"
    return "not a number" if all(v[1] == "NaN" for v in values) else None


def problems_of(url, dashboard):
    asked = [(panel, target) for panel in rules.panels(dashboard) for target in panel["targets"]]
    answers = [(f"{panel['title']}/{target['refId']}", ask(url, panel, target["expr"])) for panel, target in asked]
    return [f"{where}: {problem}" for where, problem in answers if problem]


def check(url, prometheus, dashboards):
    failed = False
    end = time.monotonic() + DEADLINE_SECONDS
    for name, dashboard in dashboards.items():
        # Data arrive with the first scrapes; what is still missing at the deadline is wrong.
        while (problems := problems_of(url, dashboard)) and time.monotonic() < end and prometheus.poll() is None:
            time.sleep(0.5)
        print(f"not ok queries answered: {name}: {'; '.join(problems)}" if problems else f"ok queries answered: {name}")
        failed |= bool(problems)
    return failed


def main():
    if not shutil.which("prometheus") or not GOLDEN.exists():
        missing = "tests/golden/host.prom is not there" if shutil.which("prometheus") else "prometheus is not installed"
        print(f"skip queries answered: {missing}")
        return 0
    dashboards = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards/out").glob("*.json"))}
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory, "prometheus.yml")
        config.write_text(CONFIG.format(rules=ROOT / "deploy/prometheus", port=serve(GOLDEN.read_bytes())))
        address = f"127.0.0.1:{free_port()}"
        prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--web.listen-address={address}", f"--storage.tsdb.path={directory}/data"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return check(f"http://{address}", prometheus, dashboards)
        finally:
            prometheus.terminate()
            prometheus.wait()


sys.exit(main())

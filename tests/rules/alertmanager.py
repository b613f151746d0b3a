# SPDX-License-Identifier: Apache-2.0
"""A real Alertmanager on loopback, for tests."""
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
DEADLINE_SECONDS = 30


def until(condition, what):
    """Returns the first true value of condition()."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {DEADLINE_SECONDS} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def key(labels):
    return tuple(sorted(labels.items()))


class Alertmanager:
    def __init__(self, config, directory):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(os.path.join(directory, "log"), "w+")
        self.process = subprocess.Popen(
            [ALERTMANAGER, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
             f"--storage.path={directory}/data", "--cluster.listen-address="],
            stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def last_words(self):
        self.log.seek(0)
        return self.log.read()[-300:].replace("\n", " ")

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("Alertmanager ended: " + self.last_words())
        try:
            return urllib.request.urlopen(self.url + "/-/ready", timeout=2).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def send(self, alerts):
        request = urllib.request.Request(self.url + "/api/v2/alerts", json.dumps(alerts).encode(),
                                         {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=5).read()

    def states(self):
        """{labels: muted?} of all alerts that have been looked at; ones not yet processed are left out."""
        answer = json.load(urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=5))
        return {key(a["labels"]): bool(a["status"]["inhibitedBy"]) for a in answer if a["status"]["state"] != "unprocessed"}

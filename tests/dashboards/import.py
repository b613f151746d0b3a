#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/grafana/import.sh on a stand-in for Grafana that speaks its HTTP API as documented ("Dashboard HTTP API", POST
/api/dashboards/db). Prints "ok|not ok" lines.
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/support"))
import loopback  # noqa: E402


class StandIn:
    def __init__(self):
        self.dashboards = {}
        received = self.dashboards

        class Handler(loopback.Handler):
            def do_POST(self):
                body = json.loads(self.sent())
                allowed = self.headers["Authorization"] == "Bearer secret"
                taken = body["dashboard"]["uid"] in received and not body.get("overwrite")
                status = 404 if self.path != "/api/dashboards/db" else 401 if not allowed else 412 if taken else 200
                if status == 200:
                    received[body["dashboard"]["uid"]] = body["dashboard"]
                said = {"status": "success"} if status == 200 else {"message": f"error {status}"}
                self.answer(json.dumps(said).encode(), status)

        self.address = loopback.Server(Handler).address

    def import_with(self, token):
        return subprocess.run([ROOT / "deploy/grafana/import.sh", f"http://{self.address}/"], text=True,
                              capture_output=True, env={**os.environ, "GRAFANA_TOKEN": token})


def main():
    grafana = StandIn()
    wanted = {d["uid"]: d for d in (json.loads(path.read_text()) for path in (ROOT / "dashboards/out").glob("*.json"))}
    twice = [grafana.import_with("secret"), grafana.import_with("secret")]
    refused = grafana.import_with("wrong")
    results = {
        "import.sh puts every dashboard into Grafana as it is, and again": grafana.dashboards == wanted
        and all(run.returncode == 0 for run in twice),
        "import.sh says what Grafana refused": refused.returncode == 1 and "error 401" in refused.stderr,
    }
    for name, kept in results.items():
        print(f"ok {name}" if kept else f"not ok {name}: {twice[0].stderr}{refused.stderr}")
    return not all(results.values())


sys.exit(main())

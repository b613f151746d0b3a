# SPDX-License-Identifier: Apache-2.0
"""What stands behind the exporter: Prometheus with the shipped rules, Alertmanager, a webhook receiver."""
import http.server
import json
import pathlib
import re
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request

from processes import Daemon, wait_for

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


def get_json(address, path, **parameters):
    with urllib.request.urlopen(f"http://{address}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
        return json.load(answer)


def hasten(text):
    """The shipped Prometheus files with every wait made short: nobody waits 10 minutes for a test.

    Three things change and nothing else: `for: 10m` -> 3s, an interval (scrape_interval, evaluation_interval, interval)
    -> 1s, and a range `[5m]` -> [10s]. Expressions, thresholds, labels and annotations stay as shipped.
    """
    text = re.sub(r"(?m)^(\s*(?:- )?for:\s*).*$", r"\g<1>3s", text)
    text = re.sub(r"(?m)^(\s*(?:- )?\w*interval:\s*).*$", r"\g<1>1s", text)
    return re.sub(r"\[\d+[smhd]\]", "[10s]", text)


def redirect(text, webhook_url):
    """The shipped Alertmanager file, its routes and inhibitions, but sent to our webhook and at once."""
    text = text.replace("http://localhost:9099", webhook_url)
    return re.sub(r"(?m)^(\s*(?:- )?group_(?:wait|interval):\s*).*$", r"\g<1>1s", text)


class Webhook:
    """Receives what Alertmanager sends: /page for what wakes somebody, /ticket for what does not."""

    def __init__(self):
        self.received = []  # (path, alert)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.extend((self.path, alert) for alert in json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def firing(self, path, alertname):
        """{domain: alert} of what was delivered there."""
        return {alert["labels"].get("domain"): alert for where, alert in self.received
                if where == path and alert["status"] == "firing" and alert["labels"]["alertname"] == alertname}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Alertmanager:
    def __init__(self, work, webhook_url):
        config = work / "alertmanager.yml"
        shipped = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        config.write_text(redirect(shipped, webhook_url), encoding="utf-8")
        self.daemon = Daemon("alertmanager", [
            shutil.which("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={work}/alertmanager",
            "--web.listen-address=127.0.0.1:0", "--cluster.listen-address="], work / "alertmanager.log")

    def start(self):
        self.daemon.start()
        return self.daemon.listening_address()


class Prometheus:
    def __init__(self, work, exporter_address, alertmanager_address):
        config = work / "prometheus"
        config.mkdir()
        for shipped in (DEPLOY / "prometheus").glob("*.yml"):
            text = hasten(shipped.read_text(encoding="utf-8"))
            text = text.replace("localhost:9752", exporter_address).replace("localhost:9093", alertmanager_address)
            (config / shipped.name).write_text(text, encoding="utf-8")
        self.address = None
        self.daemon = Daemon("prometheus", [
            shutil.which("prometheus"), f"--config.file={config}/prometheus.yml", f"--storage.tsdb.path={config}/data",
            "--web.listen-address=127.0.0.1:0"], work / "prometheus.log")

    def start(self):
        self.daemon.start()
        self.address = self.daemon.listening_address()
        wait_for(lambda: self.query("up == 1"), 30, "Prometheus to have scraped the exporter")

    def query(self, expression):
        """[(labels, value)] of an instant query; a range selector gives [(labels, [(time, value)])]."""
        try:
            answer = get_json(self.address, "/api/v1/query", query=expression)
        except urllib.error.HTTPError as error:
            if error.code == 503:  # still replaying its empty log
                return []
            raise AssertionError(f"{expression}: {error.read()!r}") from error
        if answer["data"]["resultType"] == "matrix":
            return [(series["metric"], [(time, float(value)) for time, value in series["values"]])
                    for series in answer["data"]["result"]]
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

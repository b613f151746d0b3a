# SPDX-License-Identifier: Apache-2.0
"""What stands behind the exporter: Prometheus with the shipped rules, Alertmanager, a webhook receiver."""
import collections
import json
import pathlib
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request

from processes import Daemon, wait_for

import loopback  # of tests/support, by processes

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


def get_json(address, path, timeout=10, **parameters):
    with urllib.request.urlopen(f"http://{address}{path}?{urllib.parse.urlencode(parameters)}", timeout=timeout) as answer:
        return json.load(answer)


def seconds(duration):
    """Of what Prometheus writes as 5m."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


# How long what is shipped lasts here, each a function of the shipped duration: `wait` is an alert's `for`, `interval` that of
# scrapes, evaluations and notifications, `window` a range as in [5m], `offset` how far back is looked.
Pace = collections.namedtuple("Pace", "wait interval window offset")
AT_ONCE = Pace(wait=lambda _: "3s", interval=lambda _: "1s", window=lambda _: "10s", offset=lambda shipped: shipped)


def in_proportion(times, least=1, most=20):
    """So many times faster, but within so many seconds."""
    def shortened(shipped):
        return f"{min(max(seconds(shipped) / times, least), most) * 1000:.0f}ms"
    return Pace(shortened, shortened, shortened, shortened)


def hasten(text, pace=AT_ONCE):
    """The shipped Prometheus files with every wait made short: nobody waits 10 minutes for a test.

    Four things change and nothing else: `for: 10m`, an interval (scrape_interval, evaluation_interval, interval), a range
    `[5m]` and `offset 1h`. Expressions, thresholds, labels and annotations stay as shipped.
    """
    text = re.sub(r"(?m)^(\s*(?:- )?for:\s*)(\S+)$", lambda found: found[1] + pace.wait(found[2].strip('"')), text)
    text = hasten_intervals(text, r"\w*interval", pace)
    text = re.sub(r"\[(\d+[smhd])\]", lambda found: f"[{pace.window(found[1])}]", text)
    return re.sub(r"\boffset (\d+[smhd])\b", lambda found: f"offset {pace.offset(found[1])}", text)


def hasten_intervals(text, names, pace):
    return re.sub(rf"(?m)^(\s*(?:- )?{names}:\s*)(\S+)$", lambda found: found[1] + pace.interval(found[2].strip('"')), text)


def redirect(text, webhook_url, pace=AT_ONCE):
    """The shipped Alertmanager file, its routes and inhibitions, but sent to our webhook and soon."""
    return hasten_intervals(text.replace("http://localhost:9099", webhook_url), "group_(?:wait|interval)", pace)


class Webhook:
    """Receives what Alertmanager sends: /page for what wakes somebody, /ticket for what does not."""

    def __init__(self):
        self.received = []  # (path, alert), and with the alert when it came, by our clock
        receiver = self

        class Handler(loopback.Handler):
            def do_POST(self):
                body = self.sent()
                now = time.monotonic()
                receiver.received.extend((self.path, {**alert, "came": now}) for alert in json.loads(body)["alerts"])
                self.answer()

        self.server = loopback.Server(Handler)
        self.url = f"http://{self.server.address}"

    def firing(self, path, alertname):
        """{domain: alert} of what was delivered there."""
        return {alert["labels"].get("domain"): alert for where, alert in self.received
                if where == path and alert["status"] == "firing" and alert["labels"]["alertname"] == alertname}

    def close(self):
        self.server.close()


class Alertmanager:
    def __init__(self, work, webhook_url, pace=AT_ONCE):
        config = work / "alertmanager.yml"
        shipped = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        config.write_text(redirect(shipped, webhook_url, pace), encoding="utf-8")
        self.address = None
        self.daemon = Daemon("alertmanager", [
            shutil.which("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={work}/alertmanager",
            "--web.listen-address=127.0.0.1:0", "--cluster.listen-address="], work / "alertmanager.log")

    def start(self):
        self.daemon.start()
        self.address = self.daemon.listening_address()
        return self.address

    def muted(self):
        """The labels of all alerts that others inhibit."""
        return [alert["labels"] for alert in get_json(self.address, "/api/v2/alerts", silenced="false")
                if alert["status"]["inhibitedBy"]]


class Prometheus:
    def __init__(self, work, exporter_address, alertmanager_address, pace=AT_ONCE):
        self.config = work / "prometheus"
        self.targets = self.config / "targets"
        self.targets.mkdir(parents=True)
        self.addresses = {"localhost:9752": exporter_address, "localhost:9093": alertmanager_address}
        self._write_config(pace)
        self.address = None
        self.daemon = Daemon("prometheus", [
            shutil.which("prometheus"), f"--config.file={self.config}/prometheus.yml",
            f"--storage.tsdb.path={self.config}/data", "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"],
            work / "prometheus.log")

    def _write_config(self, pace):
        for shipped in (DEPLOY / "prometheus").glob("*.yml"):
            text = hasten(shipped.read_text(encoding="utf-8"), pace)
            for address, ours in self.addresses.items():
                text = text.replace(address, ours)
            (self.config / shipped.name).write_text(text, encoding="utf-8")

    def set_pace(self, pace):
        self._write_config(pace)
        urllib.request.urlopen(urllib.request.Request(f"http://{self.address}/-/reload", method="POST"), timeout=10).close()

    def watch_also(self, instance, address):
        """One more exporter, found by the shipped file_sd."""
        new = self.targets / f"{instance}.new"
        new.write_text(json.dumps([{"targets": [address], "labels": {"instance": instance}}]), encoding="utf-8")
        new.rename(self.targets / f"{instance}.yml")

    def forget(self, instance):
        (self.targets / f"{instance}.yml").unlink(missing_ok=True)

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

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sends one alert through every receiver of our Alertmanager configuration and reads what arrives, on stand-ins.

Each has to name the victim, the culprit, the runbook and the dashboard, and to bring the secret that stands in its file. What is for
a robot goes through deploy/alertmanager/robot.py, and is refused once.
Usage: receivers.py alertmanager.yml
"""
import json
import pathlib
import queue
import re
import socketserver
import sys
import tempfile

import yaml

from alertmanager import ALERTMANAGER, Alertmanager, until
from robots import TOKEN, Group, Robot
import loopback  # of tests/support, by robots

VICTIM, CULPRIT = "shop-db", "batch-7"
ALERT = {
    "labels": {"alertname": "VcpuNoisyNeighbour", "severity": "warning", "job": "vcpu_exporter", "instance": "kvm1:9752",
               "domain": VICTIM, "culprit": CULPRIT, "culprit_kind": "domain"},
    "annotations": {"summary": "s", "description": f"The VM {CULPRIT} had the CPU.", "runbook_url": "https://runbooks/Noisy.md",
                    "dashboard_url": "https://grafana/d/vcpu-host"},
}
ROBOTS = ("dingtalk", "wecom")
SECRETS = {"webhook-with-token": "webhook_token", "mail": "smtp_password", "pagerduty": "pagerduty_routing_key",
           "slack": "slack_url"}

arrived = queue.Queue()  # (receiver, headers and body as text)


class Web(loopback.Handler):
    def do_POST(self):
        arrived.put((self.path.strip("/"), str(self.headers) + self.sent().decode()))
        self.answer(b"ok", 202 if "pagerduty" in self.path else 200)


class Mail(socketserver.StreamRequestHandler):
    """As much SMTP as takes to receive one mail."""

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        seen, in_data = [], False
        self.say("220 stand-in")
        for raw in self.rfile:
            line = raw.decode(errors="replace").rstrip("\r\n")
            seen.append(line)
            if in_data:
                if line == ".":
                    in_data = False
                    arrived.put(("mail", "\n".join(seen)))
                    self.say("250 ok")
            elif line.upper().startswith("EHLO"):
                self.wfile.write(b"250-stand-in\r\n250 AUTH PLAIN\r\n")
            elif line.upper().startswith("AUTH"):
                self.say("235 ok")
            elif line.upper() == "DATA":
                in_data = True
                self.say("354 go on")
            elif line.upper() == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


def rewired(shipped, directory, web, mail, robots):
    """The shipped receivers and templates, with addresses of stand-ins, secrets that exist, and one route to each."""
    config = yaml.safe_load(shipped.read_text())
    config["templates"] = [str(shipped.parent / pattern) for pattern in config["templates"]]
    names = [receiver["name"] for receiver in config["receivers"] if len(receiver) > 1]
    config["route"] = {"receiver": "dashboard", "group_by": ["alertname"], "group_wait": "0s",
                       "routes": [{"receiver": name, "continue": True} for name in names]}
    secrets = pathlib.Path(directory, "secrets")
    secrets.mkdir()
    for receiver in config["receivers"]:
        name = receiver["name"]
        for hook in receiver.get("webhook_configs", []):
            path = hook["url"].split("/", 3)[3]
            hook["url"] = f"http://{robots[name].address}/{path}" if name in robots else f"http://127.0.0.1:{web}/{name}"
        for pager in receiver.get("pagerduty_configs", []):
            pager["url"] = f"http://127.0.0.1:{web}/{name}"
        for letter in receiver.get("email_configs", []):
            letter.update(smarthost=f"localhost:{mail}", require_tls=False, hello="localhost")
        if name in SECRETS:
            value = f"http://127.0.0.1:{web}/slack" if name == "slack" else f"secret-of-{name}"
            (secrets / SECRETS[name]).write_text(value)
    text = yaml.safe_dump(config).replace("/etc/alertmanager/secrets", str(secrets))
    file = pathlib.Path(directory, "alertmanager.yml")
    file.write_text(text)
    return file, names


def problems_of(name, text):
    wanted = [VICTIM, CULPRIT, "kvm1:9752", ALERT["annotations"]["runbook_url"], ALERT["annotations"]["dashboard_url"]]
    if name in ("webhook-with-token", "pagerduty"):
        wanted.append(f"secret-of-{name}")
    if name == "mail":
        text = re.sub(r"=\n", "", text).replace("=3D", "=")
        wanted += [f"Subject: [FIRING:1] VcpuNoisyNeighbour: {VICTIM} on kvm1:9752, by VM {CULPRIT}", "AUTH PLAIN"]
    if name in ROBOTS:
        wanted += [TOKEN, f"[FIRING:1] VcpuNoisyNeighbour: {VICTIM} on kvm1:9752, by VM {CULPRIT}"]
    if name == "dingtalk":
        wanted += ["&sign=", "&timestamp="]
    if name == "slack":
        wanted.append(f"[FIRING:1] VcpuNoisyNeighbour: {VICTIM} on kvm1:9752, by VM {CULPRIT}")
    return [f"does not say {what}" for what in wanted if what not in text]


def start_robots(directory):
    """{name: robot}, and {name: the group that it speaks to}, which refuses its first message."""
    groups = {name: Group() for name in ROBOTS}
    for group in groups.values():
        group.answers.insert(0, {"errcode": 130101, "errmsg": "send too fast"})
    return {name: Robot(name, directory, group, "SEC1" if name == "dingtalk" else None) for name, group in groups.items()}, groups


def main(shipped):
    if not ALERTMANAGER:
        print("skip receivers: no Alertmanager installed")
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        web, mail = loopback.Server(Web).port, loopback.Server(Mail, socketserver.ThreadingTCPServer).port
        robots, groups = start_robots(directory)
        config, names = rewired(pathlib.Path(shipped).resolve(), directory, web, mail, robots)
        alertmanager = Alertmanager(config, directory)
        received = {}
        try:
            until(alertmanager.ready, "Alertmanager ready")
            alertmanager.send([ALERT])

            def all_there():
                while not arrived.empty():
                    name, text = arrived.get()
                    received.setdefault(name, text)
                for name, group in groups.items():
                    if not group.received.empty():
                        path, message = group.received.get()
                        received.setdefault(name, path + json.dumps(message, ensure_ascii=False))
                return set(names) <= set(received)

            until(all_there, "deliveries")
        except (RuntimeError, TimeoutError, OSError) as problem:
            print(f"not ok receivers: {problem}: {alertmanager.last_words()}")
            failed = True
        finally:
            alertmanager.stop()
            for robot in robots.values():
                robot.stop()
    for name in names:
        problems = problems_of(name, received[name]) if name in received else ["nothing arrived"]
        print(f"not ok receiver {name}: {'; '.join(problems)}" if problems else f"ok receiver {name}")
        failed |= bool(problems)
    return failed


sys.exit(main(sys.argv[1]))

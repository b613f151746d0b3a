#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Passes Alertmanager's alerts on to the robot of a DingTalk or WeCom group, which want messages of their own.

DIRECTORY has the file `url`, the robot's whole webhook address with its token, and for a DingTalk robot that asks for signatures
the file `secret` (SEC...). Both are read for each message, so that they can be changed at any time, and never told to anybody else.
Only this machine may send: nothing else is listened to unless --listen says so. Python's standard library is all it needs.

The formats: https://open.dingtalk.com/document/orgapp/custom-robot-access (markdown, signature),
https://developer.work.weixin.qq.com/document/path/91770 (markdown).
"""
import argparse
import base64
import hashlib
import hmac
import http.client
import http.server
import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

MOST_BYTES = {"dingtalk": 20000, "wecom": 4096}  # of a message's text
PORTS = {"dingtalk": 8060, "wecom": 8061}  # as in alertmanager.yml
MOST_RECEIVED_BYTES = 8 << 20
SECONDS = 10  # for the robot's answer


class Failed(Exception):
    """Why a message did not get there, and what Alertmanager is answered: 5xx lets it try again."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


def log(line):
    print(line, file=sys.stderr, flush=True)


# ---- What the message says: as vcpu.tmpl does for the other receivers.


def plain(text):
    """A VM's name must not become a link, a picture, a mention or a second line of the message."""
    return re.sub(r"\s+", " ", text).translate(str.maketrans("[]<>`", "［］＜＞'"))


def victim(labels):
    by = "host process" if labels.get("culprit_kind") == "host" else "VM"
    return plain((f"{labels['domain']} on " if labels.get("domain") else "") + labels.get("instance", "an unknown host")
                 + (f", by {by} {labels['culprit']}" if labels.get("culprit") else ""))


def title(group):
    common, alerts = group["commonLabels"], group["alerts"]
    firing = sum(alert["status"] == "firing" for alert in alerts)
    state = f"FIRING:{firing}" if group["status"] == "firing" else "RESOLVED"
    whom = victim(alerts[0]["labels"]) if len(alerts) == 1 else victim(
        {"domain": common.get("domain"), "instance": common.get("instance", "several hosts")})
    return f"[{state}] {plain(common.get('alertname', 'vCPU alerts'))}: {whom}"


def paragraph(alert):
    labels, annotations = alert["labels"], alert["annotations"]
    state = ", resolved" if alert["status"] == "resolved" else ""
    links = " · ".join(f"[{name}]({annotations[key]})" for name, key in (("Runbook", "runbook_url"), ("Dashboard", "dashboard_url"))
                       if annotations.get(key))
    head = f"**{plain(labels.get('alertname', '?'))}** ({plain(labels.get('severity', '?'))}{state}): {victim(labels)}"
    return "\n\n".join(filter(None, (head, plain(annotations.get("description", "")), links)))


def cut(text, most):
    return text.encode()[:most].decode(errors="ignore")


def text_of(group, most):
    """As many alerts as a robot takes, what still fires first, and how many there are besides."""
    text, room = cut(f"### {title(group)}", most // 4), most - 40
    alerts = sorted(group["alerts"], key=lambda alert: alert["status"] != "firing")
    for number, alert in enumerate(alerts):
        more = "\n\n" + paragraph(alert)
        if len((text + more).encode()) > room:
            return cut(text + more, room) if number == 0 else f"{text}\n\n... and {len(alerts) - number} more"
        text += more
    return text


def message(robot, group):
    text = text_of(group, MOST_BYTES[robot])
    markdown = {"title": title(group), "text": text} if robot == "dingtalk" else {"content": text}
    return {"msgtype": "markdown", "markdown": markdown}


# ---- Where it goes.


def secret_in(directory, name):
    try:
        return (directory / name).read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        raise Failed(500, f"{directory / name}: not a line of ASCII") from None
    except OSError as error:
        raise Failed(500, f"{directory / name}: {error.strerror}") from None


def signature(secret, milliseconds):
    said = f"{milliseconds}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()


def address(robot, directory):
    url = secret_in(directory, "url")
    # No URL of a reason below: it is a secret.
    if not re.fullmatch(r"(https://|http://127\.0\.0\.1[:/])[!-~]+", url):
        raise Failed(500, f"{directory / 'url'}: not a URL that begins with https://")
    if robot != "dingtalk" or not (directory / "secret").exists():
        return url
    now = time.time_ns() // 1_000_000
    signed = urllib.parse.urlencode({"timestamp": now, "sign": signature(secret_in(directory, "secret"), now)})
    return url + ("&" if "?" in url else "?") + signed


def deliver(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            said = json.loads(answer.read(65536))
        code = said["errcode"]
    except urllib.error.HTTPError as error:
        raise Failed(502, f"the robot answers HTTP {error.code}") from None
    except (ValueError, TypeError, KeyError):
        raise Failed(502, "that is no robot: its answer has no errcode") from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(502, f"the robot cannot be reached: {getattr(error, 'reason', None) or type(error).__name__}") from None
    if code != 0:
        reason = plain(str(said.get("errmsg")))[:200]
        raise Failed(502, f"the robot refuses the message: errcode {code}: {reason}")


def group_of(body):
    try:
        group = json.loads(body)
        if not group["alerts"]:
            raise ValueError("without alerts")
        text_of(group, MOST_BYTES["wecom"])
        return group
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Failed(400, "not what Alertmanager's webhook sends") from None


def handler(robot, directory):
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self):
            status, said = 200, "sent"
            try:
                length = int(self.headers.get("Content-Length") or -1)
                if not 0 < length <= MOST_RECEIVED_BYTES:
                    raise Failed(400, f"Content-Length: 1 to {MOST_RECEIVED_BYTES} bytes")
                group = group_of(self.rfile.read(length))
                deliver(address(robot, directory), message(robot, group))
            except Failed as failed:
                status, said = failed.status, str(failed)
                log(said)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_):
            pass

    return Handler


def arguments():
    parser = argparse.ArgumentParser(description="Passes Alertmanager's alerts on to the robot of a DingTalk or WeCom group.")
    parser.add_argument("robot", choices=sorted(PORTS))
    parser.add_argument("directory", type=pathlib.Path, help="where the files url and, for DingTalk's signature, secret are")
    parser.add_argument("--listen", metavar="ADDRESS:PORT", help="default: 127.0.0.1:8060 (dingtalk), 127.0.0.1:8061 (wecom)")
    options = parser.parse_args()
    host, _, port = (options.listen or f"127.0.0.1:{PORTS[options.robot]}").rpartition(":")
    if not host or not port.isdigit():
        parser.error("--listen wants ADDRESS:PORT")
    return options.robot, options.directory, (host, int(port))


def main():
    robot, directory, listen = arguments()
    try:
        address(robot, directory)  # What cannot work is said now, not at the first alert.
        server = http.server.ThreadingHTTPServer(listen, handler(robot, directory))
    except (Failed, OSError, OverflowError) as problem:
        log(f"robot.py: {problem}")
        return 1
    signs = robot == "dingtalk" and (directory / "secret").exists()
    log(f"Listening on {server.server_address[0]}:{server.server_port} for {robot}, {'with' if signs else 'without'} signature")
    server.serve_forever()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/alertmanager/robot.py: what its messages say and how they are signed, and what it says where it cannot send. That real
alerts get through it is receivers.py's. Prints "ok|not ok" lines.
"""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from notifications import TITLED, alert, group_of
from robots import ROBOT, SIGNING_SECRET, TOKEN, Group, Robot

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from outcome import failed, report  # noqa: E402


def send(robot, body):
    """(status, text) of the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{robot.address}/anything", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def openssl_signature(timestamp):
    """By another program than the one under test."""
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-hmac", SIGNING_SECRET, "-binary"],
                            input=f"{timestamp}\n{SIGNING_SECRET}".encode(), capture_output=True, check=True).stdout
    return base64.b64encode(digest).decode()


def signature_problems(robot, group):
    if (answer := send(robot, group_of(alert(domain="web"))))[0] != 200:
        yield f"answers {answer}"
        return
    path, message = group.received.get(timeout=5)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
    if query.get("access_token") != [TOKEN]:
        yield f"no token: {path}"
    timestamp = query.get("timestamp", ["0"])[0]
    if abs(int(timestamp) / 1000 - time.time()) > 60:
        yield f"timestamp {timestamp} is not now in milliseconds"
    if query.get("sign") != [openssl_signature(timestamp)]:
        yield f"sign {query.get('sign')}"
    if message["msgtype"] != "markdown" or set(message["markdown"]) != {"title", "text"}:
        yield f"not DingTalk's format: {message}"


def text_from(robot, group, alerts):
    status, said = send(robot, alerts)
    assert status == 200, said
    return group.received.get(timeout=5)[1]["markdown"]["content"]


TEXTS = {
    "what is resolved": (group_of(alert(status="resolved", domain="web"), status="resolved"), ["(critical, resolved)"]),
    "every VM": (group_of(alert(domain="web"), alert(domain="db")), [": web on kvm1:9752", ": db on kvm1:9752"]),
    "links": (group_of(alert(domain="web")), ["[Runbook](https://runbooks/VcpuStealHigh.md)",
                                              "[Dashboard](https://grafana/d/vcpu-vm?var-domain=web)"]),
    "a name that wants to be more": (group_of(alert(domain="[login](http://evil)\n# <@all>")),
                                     ["［login］(http://evil) # ＜@all＞ on kvm1:9752"]),
    **{what: (group, [f"### {title}\n"]) for what, (group, title) in TITLED.items()},
}


def text_problems(robot, group):
    for name, (alerts, wanted) in TEXTS.items():
        text = text_from(robot, group, alerts)
        yield from (f"{name}: no \"{words}\" in {text}" for words in wanted if words not in text)


def length_problems(robot, group):
    text = text_from(robot, group, group_of(*(alert(status="resolved", domain=f"old-{number}") for number in range(99)),
                                            alert(domain="the-one-that-fires")))
    if len(text.encode()) > 4096:
        yield f"{len(text.encode())} bytes, WeCom takes 4096"
    told = text.count("**VcpuStealHigh**")
    if "the-one-that-fires" not in text or not text.endswith(f"... and {100 - told} more"):
        yield f"tells {told}: {text[-200:]}"
    text = text_from(robot, group, group_of(alert(domain="ü" * 5000)))
    if len(text.encode()) > 4096:
        yield f"one long name: {len(text.encode())} bytes"


def refusal_problems(robot, group):
    group.answers = [{"errcode": 310000, "errmsg": "sign not match"}, {"errcode": 0, "errmsg": "ok"}]
    refused, taken = send(robot, group_of(alert())), send(robot, group_of(alert()))
    if refused != (502, "the robot refuses the message: errcode 310000: sign not match"):
        yield f"refused: {refused}"
    if taken[0] != 200:
        yield f"tried again: {taken}"
    bodies = (b"nonsense", b"[]", b"{}", b'{"alerts": []}', b'{"alerts": [{"labels": 1}]}',
              json.dumps({**group_of(alert()), "commonLabels": None}).encode())
    for body in bodies:
        if (answer := send(robot, body)) != (400, "not what Alertmanager's webhook sends"):
            yield f"{body[:40]}: {answer}"


def secret_problems(robot, group):
    """The files are read for each message; what is wrong with one is told, what stands in it never."""
    url, secret = robot.directory / "url", robot.directory / "secret"
    kept = url.read_text(encoding="ascii")
    secret.unlink()
    secret.mkdir()
    wrong = {f"{secret}: Is a directory": send(robot, group_of(alert()))}
    secret.rmdir()
    url.write_text(f"oapi.dingtalk.com/{TOKEN}", encoding="ascii")
    wrong[f"{url}: not a URL that begins with https://"] = send(robot, group_of(alert()))
    url.write_text(f"http://127.0.0.1:1/{TOKEN}", encoding="ascii")
    wrong["the robot cannot be reached: [Errno 111] Connection refused"] = send(robot, group_of(alert()))
    url.unlink()
    wrong[f"{url}: No such file or directory"] = send(robot, group_of(alert()))
    yield from (f"not \"{wanted}\" but {answer}" for wanted, answer in wrong.items()
                if answer[0] < 500 or answer[1] != wanted or wanted not in robot.log())
    url.write_text(kept, encoding="ascii")
    if (answer := send(robot, group_of(alert())))[0] != 200:
        yield f"with its file again: {answer}"
    path, _ = group.received.get(timeout=5)
    if "sign=" in path:
        yield f"signs without a secret: {path}"
    if any(word in robot.log() for word in (TOKEN, SIGNING_SECRET)):
        yield f"tells a secret: {robot.log()}"


def start_problems(directory):
    done = subprocess.run([sys.executable, "-B", ROBOT, "wecom", directory / "nowhere"], text=True, capture_output=True)
    if (done.returncode, done.stderr) != (1, f"robot.py: {directory}/nowhere/url: No such file or directory\n"):
        yield f"exit {done.returncode}: {done.stderr}"


def main():
    with tempfile.TemporaryDirectory() as directory:
        group = Group()
        dingtalk, wecom = Robot("dingtalk", directory, group), Robot("wecom", directory, group, secret=None)
        try:
            report("robot.py signs as DingTalk wants it", list(signature_problems(dingtalk, group)))
            report("robot.py says who suffers, by whom, and where to read on", list(text_problems(wecom, group)))
            report("robot.py keeps to what WeCom takes, and tells first what fires", list(length_problems(wecom, group)))
            report("robot.py says what was refused, so that it is tried again", list(refusal_problems(wecom, group)))
            while not group.received.empty():
                group.received.get()
            report("robot.py says what is wrong with its files, and no secret", list(secret_problems(dingtalk, group)))
            report("robot.py does not start without its files", list(start_problems(pathlib.Path(directory))))
        finally:
            dingtalk.stop()
            wecom.stop()


main()
sys.exit(failed())

# SPDX-License-Identifier: Apache-2.0
"""deploy/alertmanager/robot.py as a process, and a stand-in for the robots of DingTalk and WeCom groups that it speaks to."""
import json
import pathlib
import queue
import re
import subprocess
import sys

from alertmanager import until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import loopback  # noqa: E402

ROBOT = pathlib.Path(__file__).resolve().parents[2] / "deploy/alertmanager/robot.py"
SIGNING_SECRET = "SEC0123456789"
TOKEN = "token-of-the-robot"


class Group:
    """Takes messages as DingTalk and WeCom document it: HTTP 200 always, and `errcode` says whether it was taken."""

    def __init__(self):
        self.received = queue.Queue()  # (path with query, message)
        self.answers = [{"errcode": 0, "errmsg": "ok"}]  # the last one for good
        group = self

        class Handler(loopback.Handler):
            def do_POST(self):
                message = json.loads(self.sent())
                answer = group.answers.pop(0) if len(group.answers) > 1 else group.answers[0]
                if answer["errcode"] == 0:
                    group.received.put((self.path, message))
                self.answer(json.dumps(answer).encode())

        self.address = loopback.Server(Handler).address

    def url(self, robot):
        path = "robot/send?access_token" if robot == "dingtalk" else "cgi-bin/webhook/send?key"
        return f"http://{self.address}/{path}={TOKEN}"


class Robot:
    def __init__(self, robot, directory, group, secret=SIGNING_SECRET):
        self.directory = pathlib.Path(directory, robot)
        self.directory.mkdir()
        (self.directory / "url").write_text(group.url(robot) + "\n", encoding="ascii")
        if secret:
            (self.directory / "secret").write_text(secret + "\n", encoding="ascii")
        self.log_file = pathlib.Path(directory, f"{robot}.log")
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([sys.executable, "-B", ROBOT, robot, self.directory, "--listen", "127.0.0.1:0"], stderr=log)
        self.address = until(self.listening, f"{robot} robot to listen")

    def listening(self):
        found = re.search(r"Listening on (127\.0\.0\.1:\d+)", self.log())
        return found and found[1]

    def log(self):
        return self.log_file.read_text(encoding="utf-8")

    def stop(self):
        self.process.terminate()
        self.process.wait()

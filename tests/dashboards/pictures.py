# SPDX-License-Identifier: Apache-2.0
"""Pictures of the dashboards: every panel drawn by Grafana's own components in headless Chromium, none of them empty.

What npm brings goes into the build directory, at the versions of package-lock.json, and stays there for the next time.
"""
import contextlib
import filecmp
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import queries

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from children import children_of  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parent / "pictures"
SECONDS_SHOWN = 60
# So long after the first scrape rates are whole, and what is recorded of them.
FIRST_RATE_SECONDS = 15
INSTALL_SECONDS = 180
DRAW_SECONDS = 120
END_SECONDS = 10
# Those in the README.
EXCERPTS = ["vcpu-fleet", "vcpu-host", "vcpu-vm"]


def because(error):
    said = " ".join((error.stderr or b"").decode(errors="replace").split())
    return f"{' '.join(error.cmd[:2])}: {said[-400:] or 'took too long'}"


def end_group(process):
    """The process and those of its group. Its children as well: the browser, which Node.js ends when asked, has a group of its own."""
    children = []
    for pid in children_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            children.append(os.pidfd_open(pid))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)


class Npm:
    def __init__(self, build):
        self.directory = pathlib.Path(build).resolve() / "pictures"
        missing = [name for name in ("node", "npm", "chromium") if not shutil.which(name)]
        self.problem = f"not installed: {' '.join(missing)}" if missing else None
        if not self.problem:
            self.prepare()

    def prepare(self):
        installed = self.directory / "package-lock.json"
        fresh = installed.exists() and filecmp.cmp(installed, SOURCE / "package-lock.json", shallow=False) and (
            self.directory / ".installed").exists()
        if not fresh:
            shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(SOURCE, self.directory, dirs_exist_ok=True)
        try:
            if not fresh:
                self.run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", seconds=INSTALL_SECONDS)
                (self.directory / ".installed").touch()
            self.lay_out()
            self.run("node", "bundle.mjs", "page.js", seconds=60)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            self.problem = because(error)

    def lay_out(self):
        """The page, and Grafana's font where its styles look for it."""
        (self.directory / "index.html").write_text(
            '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><div id="root"></div><script src="page.js"></script>')
        fonts = self.directory / "public/fonts/inter"
        fonts.mkdir(parents=True, exist_ok=True)
        for weight, name in [(400, "Regular"), (500, "Medium")]:
            shutil.copyfile(self.directory / f"node_modules/@fontsource/inter/files/inter-latin-{weight}-normal.woff2",
                            fonts / f"Inter-{name}.woff2")

    def run(self, *argv, seconds, input=None):
        """In a group of its own, of which nothing is left afterwards, however it ends."""
        with subprocess.Popen(argv, cwd=self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True) as process:
            try:
                out, err = process.communicate(input, timeout=seconds)
            except BaseException:
                end_group(process)
                raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, argv, out, err)
        return subprocess.CompletedProcess(argv, 0, out, err)


def check_schema(npm):
    """Whether any dashboard is none by Grafana's own types."""
    files = sorted((SOURCE.parents[2] / "dashboards/out").glob("*.json"))
    run = subprocess.run(["node", "schema.mjs", *files], cwd=npm.directory, capture_output=True, text=True, timeout=DRAW_SECONDS)
    said = "; ".join(run.stdout.splitlines()) or run.stderr[-400:].replace("\n", " ")
    print(f"not ok dashboards fit @grafana/schema: {said}" if run.returncode else "ok dashboards fit @grafana/schema", flush=True)
    return run.returncode != 0


def stages(where, dashboards, excerpts):
    end = where.end
    for file, dashboard in dashboards.items():
        name = file.removesuffix(".json")
        excerpt = str(pathlib.Path(excerpts).resolve() / f"{name}.png") if excerpts and name in EXCERPTS else None
        yield {"name": name, "excerpt": excerpt, "dashboard": dashboard, "variables": queries.chosen_on(file),
               "prometheus": f"http://{where.address}", "from": end - SECONDS_SHOWN, "to": end, "step": 1,
               "rateSeconds": queries.RATE_SECONDS}


def problems_of(picture):
    for panel in picture["panels"]:
        title = panel.get("title", "a panel")
        if panel.get("problem") or not panel["shows"]:
            yield f"{title}: {panel.get('problem') or 'shows nothing'}"
        if panel.get("broken"):
            yield f"{title}: shows {panel['broken']}"
    yield from picture["errors"]


def draw(where, npm, dashboards, excerpts=None):
    """Whether any failed. `excerpts`: a directory for the upper parts of some, small."""
    where.rest(SECONDS_SHOWN + FIRST_RATE_SECONDS)
    out = npm.directory / "out"
    out.mkdir(exist_ok=True)
    try:
        run = npm.run("node", "draw.mjs", shutil.which("chromium"), str(npm.directory / "index.html"), str(out), seconds=DRAW_SECONDS,
                      input=json.dumps(list(stages(where, dashboards, excerpts))).encode())
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"not ok pictures drawn: {because(error)}")
        return True
    failed = False
    for picture in map(json.loads, run.stdout.decode().splitlines()):
        problems = list(problems_of(picture))
        failed |= bool(problems)
        print(f"not ok picture drawn: {picture['name']}: {'; '.join(problems)}" if problems
              else f"ok picture drawn: {picture['name']}, {len(picture['panels'])} panels", flush=True)
    return failed

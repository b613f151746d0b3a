# SPDX-License-Identifier: Apache-2.0
"""Makes faults and looks at what arrives. Start by test.sh, or by deploy/demo.sh, which has --story."""
import argparse
import json
import os
import pathlib
import signal
import sys
import time
import traceback
import urllib.parse

import stage as theatre
from faults import EVERY_FAULT
from stage import told, wait_for

DASHBOARDS = pathlib.Path(__file__).resolve().parents[2] / "dashboards/out"
ARRIVAL_SECONDS = 90
CURE_SECONDS = 90


def missing(expected, is_there):
    return [one for one in expected if not is_there(one)]


def await_all(expected, is_there, seconds, what):
    try:
        wait_for(lambda: not missing(expected, is_there), seconds, what)
    except AssertionError:
        raise AssertionError(f"{what}: none of {', '.join(map(told, missing(expected, is_there)))} within {seconds} s") from None


def expect_no_others(stage, alerts):
    """Nothing has arrived that was not asked for."""
    others = {f"{told(one['labels'])} at {one['path']}" for one in stage.received("firing")
              if one["labels"]["alertname"] not in theatre.OF_THE_HOST
              and not any(theatre.is_heard(expected, one) for expected in alerts)}
    assert not others, f"arrived as well: {', '.join(sorted(others))}"


def check_text(received):
    """A person who reads it knows who suffers, by whom, and where to read on."""
    labels, annotations = received["labels"], received["annotations"]
    for name in ("instance", "domain", "culprit"):
        assert labels.get(name, "") in annotations["description"], f"{told(labels)} does not say {name}: {annotations}"
    assert annotations["runbook_url"].endswith(f"/{labels['alertname']}.md"), annotations
    check_link(annotations["dashboard_url"], labels)


def check_link(url, labels):
    """It opens a dashboard that there is, on the host and the VM of the alert."""
    link = urllib.parse.urlsplit(url)
    chosen = {name.removeprefix("var-"): value for name, value in urllib.parse.parse_qsl(link.query, strict_parsing=True)}
    dashboard = json.loads((DASHBOARDS / f"{link.path.rpartition('/d/')[2]}.json").read_text(encoding="utf-8"))
    unknown = chosen.keys() - {variable["name"] for variable in dashboard["templating"]["list"]}
    assert not unknown, f"{url}: {dashboard['title']} has no variable {unknown}"
    wanted = {name: labels[name] for name in ("instance", "domain") if name in labels}
    assert wanted.items() <= chosen.items() <= labels.items(), f"{url} is not about {told(labels)}"


def tell(stage, expected, status, began):
    received = stage.heard(status, expected)
    stage.say(f"{status} after {max(received['came'] - began, 0):.0f} s: {told(received['labels'])}")
    if status == "firing":
        stage.say(f"  {received['annotations']['description']}")


def await_alerts(stage, fault, began):
    await_all(fault.heard, lambda one: stage.heard("firing", one), ARRIVAL_SECONDS, "arrive")
    await_all([*fault.muted, *fault.silent], stage.fires, ARRIVAL_SECONDS, "fire in Prometheus")
    await_all(fault.muted, stage.is_muted, ARRIVAL_SECONDS, "be muted by another alert")
    for expected in fault.heard:
        tell(stage, expected, "firing", began)
        check_text(stage.heard("firing", expected))
    for expected in fault.muted:
        stage.say(f"muted: {told(expected)}")
    for expected in fault.silent:
        stage.say(f"fires, but is sent to nobody: {told(expected)}")
    expect_no_others(stage, [*fault.heard, *fault.may])


def await_cure(stage, fault, began):
    await_all(fault.heard, lambda one: stage.heard("resolved", one), CURE_SECONDS, "be resolved")
    for expected in fault.heard:
        tell(stage, expected, "resolved", began)


def check(stage, fault, keep):
    """Makes the fault, looks, cures it, looks again."""
    wait_for(lambda: stage.is_calm(fault.heard), CURE_SECONDS, "the host to be calm")
    stage.begin()
    play = fault.play(stage)
    try:
        next(play)
        await_alerts(stage, fault, stage.said)
        if keep:
            wait_for_interrupt(stage)
        stage.begin_cure()
        next(play, None)
        await_cure(stage, fault, stage.said)
    finally:
        play.close()
        stage.clear()
    wait_for(lambda: not stage.unresolved(), CURE_SECONDS, "everything to be resolved")
    # A share falls little by little: what a page has muted may be a ticket for the moment after its end.
    expect_no_others(stage, [*fault.heard, *fault.may, *fault.muted])


def wait_for_interrupt(stage):
    stage.say("")
    stage.say("All this runs on until Ctrl-C. The libvirtd and its VMs are in a mount namespace of their own:")
    stage.say(f"$ nsenter --mount --target {os.getpid()} virsh list")
    while True:
        # Not pause(): a signal that comes just before it would be seen at the next one only.
        time.sleep(1)


def report(fault, problem, story):
    if story:
        print(f"    NOT as expected: {problem}" if problem else "    As expected.", flush=True)
    else:
        print(f"not ok faults: {fault.name}: {problem}" if problem else f"ok faults: {fault.name}", flush=True)


def run(stage, faults, options):
    failed = False
    for fault in faults:
        print(f"\n{fault.name}: {fault.title}" if options.story else f"# {fault.title}", flush=True)
        problem = None
        if reason := fault.why_not(stage):
            print(f"    Not here: {reason}" if options.story else f"skip faults: {fault.name}: {reason}", flush=True)
            continue
        try:
            check(stage, fault, options.keep and fault is faults[-1])
        except Exception as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            traceback.print_exception(error)
        report(fault, problem, options.story)
        failed |= problem is not None
    return failed


def interrupt(*_):
    raise KeyboardInterrupt


def arguments():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("exporter")
    parser.add_argument("words", nargs="*")
    for flag in ("--story", "--keep", "--list"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def chosen(words):
    return [fault for fault in EVERY_FAULT if not words or any(word in fault.name for word in words)]


def play_all(faults, options):
    stage = theatre.Stage(options.exporter, lambda line: print(f"    {line}" if options.story else f"# {line}", flush=True))
    try:
        stage.start()
        for name, address in stage.addresses().items():
            stage.say(f"{name:12} http://{address}/")
        return run(stage, faults, options)
    finally:
        # Nothing stays behind, however often somebody presses Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stage.close()


def main():
    options = arguments()
    faults = chosen(options.words)
    if not faults:
        print(f"No fault has one of these words in its name: {' '.join(options.words)}", file=sys.stderr)
        return 1
    if options.list:
        print("".join(f"{fault.name:18} {fault.title}\n" for fault in faults), end="")
        return 0
    if reason := theatre.laboratory.why_not_here():
        for fault in faults:
            print(f"skip faults: {fault.name}: {reason}")
        return int(options.story)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        return int(play_all(faults, options))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Makes faults and looks at what arrives. Start by test.sh, or by deploy/demo.sh, which has --story."""
import argparse
import signal
import sys
import time
import traceback

import stage as theatre
from faults import EVERY_FAULT
from stage import seconds_since, told, wait_for

ARRIVAL_SECONDS = 90
CURE_SECONDS = 90


def expect(problem):
    assert not problem, problem


def missing(expected, is_there):
    return [one for one in expected if not is_there(one)]


def await_all(expected, is_there, seconds, what):
    try:
        wait_for(lambda: not missing(expected, is_there), seconds, what)
    except AssertionError:
        raise AssertionError(f"{what}: none of {', '.join(map(told, missing(expected, is_there)))} within {seconds} s") from None


def unexpected(stage, fault):
    """What arrived and was not asked for."""
    return [one["labels"] for one in stage.received("firing")
            if one["labels"]["alertname"] not in {*fault.may, *theatre.OF_THE_HOST}
            and not any(theatre.is_like(expected, one["labels"]) for expected in fault.heard)]


def check_text(received):
    """A person who reads it knows who suffers, by whom, and where to read on."""
    labels, annotations = received["labels"], received["annotations"]
    for name in ("instance", "domain", "culprit"):
        assert labels.get(name, "") in annotations["description"], f"{told(labels)} does not say {name}: {annotations}"
    assert annotations["runbook_url"].endswith(f"/{labels['alertname']}.md"), annotations


def tell(stage, expected, status, began):
    received = stage.heard(status, expected)
    stage.say(f"{status} after {seconds_since(began)}: {told(received['labels'])}")
    if status == "firing":
        stage.say(f"  {received['annotations']['description']}")


def check(stage, fault):
    """Makes the fault, looks, cures it, looks again."""
    wait_for(stage.is_calm, CURE_SECONDS, f"calm; there fires {', '.join(map(told, stage.firing()))}")
    stage.begin()
    play = fault.play(stage)
    try:
        next(play)
        began = time.monotonic()
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
        expect([f"not asked for: {told(labels)}" for labels in unexpected(stage, fault)])

        next(play, None)
        began = time.monotonic()
        await_all(fault.heard, lambda one: stage.heard("resolved", one), CURE_SECONDS, "be resolved")
        for expected in fault.heard:
            tell(stage, expected, "resolved", began)
    finally:
        play.close()
        stage.clear()
    wait_for(lambda: not stage.unresolved(), CURE_SECONDS,
             f"everything to be resolved: {', '.join(map(told, stage.unresolved()))}")


def run(stage, faults, story):
    failed = False
    for fault in faults:
        if story:
            print(f"\n== {fault.name}: {fault.title}", flush=True)
        try:
            check(stage, fault)
            print(f"ok faults: {fault.name}", flush=True)
        except Exception as error:
            failed = True
            traceback.print_exception(error)
            print(f"not ok faults: {fault.name}: {' '.join(str(error).split())}", flush=True)
    return failed


def interrupt(*_):
    raise KeyboardInterrupt


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("exporter")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--story", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def say(line):
    print(f"#   {line}", flush=True)


def main():
    options = arguments()
    faults = [fault for fault in EVERY_FAULT
              if not options.words or any(word in fault.name for word in options.words)]
    if options.list:
        for fault in faults:
            print(f"{fault.name:20} {fault.title}")
        return 0
    reason = theatre.laboratory.why_not_here()
    if reason:
        for fault in faults:
            print(f"skip faults: {fault.name}: {reason}")
        return 0
    signal.signal(signal.SIGTERM, interrupt)
    stage = theatre.Stage(options.exporter, say)
    try:
        stage.start()
        say(f"exporter http://{stage.lab.address}/ Prometheus http://{stage.lab.prometheus.address}/ "
            f"Alertmanager http://{stage.lab.alertmanager.address}/")
        failed = run(stage, faults, options.story)
        if options.keep:
            print("\nEverything runs on until Ctrl-C.", flush=True)
            signal.pause()
        return int(failed)
    except KeyboardInterrupt:
        return 130
    finally:
        stage.close()


if __name__ == "__main__":
    sys.exit(main())

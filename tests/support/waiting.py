# SPDX-License-Identifier: Apache-2.0
"""Awaiting what has to happen: the one place that sleeps."""
import time


class NotInTime(AssertionError):
    pass


def wait_for(condition, timeout, what, pause=0.05):
    """Polls until the condition is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise NotInTime(f"waited {timeout} s in vain for {what}")
        time.sleep(pause)

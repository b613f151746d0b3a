# SPDX-License-Identifier: Apache-2.0
"""One line for each test of a script: "ok NAME" or "not ok NAME: PROBLEM; PROBLEM"."""

_failures = 0


def report(name, problems):
    """`problems`: a list of texts; empty where all is well."""
    global _failures
    _failures += bool(problems)
    print(f"not ok {name}: {'; '.join(problems)}" if problems else f"ok {name}", flush=True)


def failed():
    """Whether anything that was reported had a problem."""
    return _failures > 0

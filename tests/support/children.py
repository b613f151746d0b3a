# SPDX-License-Identifier: Apache-2.0
"""Whom a process has started."""
import contextlib
import pathlib


def children_of(pid):
    """Those that its threads have started and that have not been waited for."""
    children = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (task / "children").read_text().split())
    return children

# SPDX-License-Identifier: Apache-2.0
"""Suites of unittest, as its discovery makes them, taken apart."""
import unittest


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test

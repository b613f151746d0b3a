# SPDX-License-Identifier: Apache-2.0
"""Just enough PromQL to find what a dashboard query selects. promtool is the parser that judges syntax."""
import re

KEYWORDS = {"and", "or", "unless", "offset", "bool"}
LABEL_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
NAME = re.compile(r"(?<![\w:$.])(?P<name>[a-zA-Z_:][\w:]*)\s*(?P<matchers>\{[^{}]*\})?\s*(?P<range>\[[^\]]*\])?\s*(?P<call>\()?")
STRING = re.compile(r'([=~]\s*)?"[^"]*"')
FUNCTION_BEFORE = re.compile(r"(\w+)\s*\(\s*$")


def selectors(expr):
    """(metric, matchers, range, enclosing function) of every selector."""
    # A string that is no matcher's value is an argument, of label_replace and the like.
    expr = STRING.sub(lambda found: found[0] if found[1] else '""', expr)
    expr = LABEL_LIST.sub(" ", expr)
    end_of_previous = 0
    for found in NAME.finditer(expr):
        if found["call"] or found["name"] in KEYWORDS or found.start() < end_of_previous:
            continue
        end_of_previous = found.end()
        function = FUNCTION_BEFORE.search(expr[:found.start()])
        yield found["name"], found["matchers"] or "", (found["range"] or "")[1:-1], function[1] if function else ""


def variables(text):
    return set(re.findall(r"\$\{?(\w+)", text))


def with_values(expr):
    """The query with its variables replaced, so that a real parser can read it."""
    return re.sub(r"\$\w+", "5", expr.replace("$__rate_interval", "5m").replace("$__range", "1h"))

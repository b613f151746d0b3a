#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# For scripts to read (". result.sh"): one line for each test, and `failed`, their exit code.

failed=0
result() { # result NAME REASON: "ok NAME" where REASON is empty, else "not ok NAME: REASON".
  if [ -z "$2" ]; then
    echo "ok $1"
  else
    echo "not ok $1: $(printf '%s\n' "$2" | tr '\n' ' ')"
    failed=1
  fi
}

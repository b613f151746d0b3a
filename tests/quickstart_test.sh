#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# deploy/quickstart.sh as it is on this machine: it builds, runs, answers, and a
# second run changes nothing. Prints "ok NAME" or "not ok NAME: reason".
set -u
cd "$(dirname "$0")/.."

. tests/support/result.sh

program=build/release/vcpu_exporter
first=$(deploy/quickstart.sh --no-run 2>&1) || {
  result "builds a release" "$first"
  exit 1
}
result "builds a release" "$([ -x $program ] || echo "no $program")"

before=$(stat -c %Y.%s $program)
started=$SECONDS
second=$(deploy/quickstart.sh --no-run 2>&1) || result "runs twice" "$second"
result "changes nothing when run again" \
  "$([ "$(stat -c %Y.%s $program)" = "$before" ] || echo "the program was rebuilt")"
result "is fast when run again" \
  "$([ $((SECONDS - started)) -le 10 ] || echo "took $((SECONDS - started)) s")"

log=$(mktemp)
deploy/quickstart.sh --web.listen-address=127.0.0.1:0 >"$log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; rm -f "$log"' EXIT
for _ in $(seq 100); do
  port=$(grep -oP 'address="?127\.0\.0\.1:\K[0-9]+' "$log" | head -n 1)
  [ -n "$port" ] || ! kill -0 $pid 2>/dev/null && break
  sleep 0.1
done
page=$(curl -fsS "http://127.0.0.1:${port:-1}/metrics" 2>&1)
result "serves a page without configuration" \
  "$(grep -q '^vcpu_host_vcpus ' <<<"$page" || echo "$page" | head -n 3; [ -n "$port" ] || tail -n 3 "$log")"
kill $pid
wait $pid
result "ends well" "$([ $? = 0 ] || tail -n 3 "$log")"

exit $failed

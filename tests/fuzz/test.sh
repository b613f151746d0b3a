#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz target, two at a time. usage: test.sh [BUILD_DIRECTORY [TARGET...]], build/fuzz by default.
# FUZZ_SECONDS says how long (10). What is found to be new is kept in BUILD_DIRECTORY/corpus and tried first the next
# time; an input that breaks something is kept in BUILD_DIRECTORY/broken, and named.
# Prints "ok NAME" or "not ok NAME: reason", one line per target; fails if one fails.
set -u
cd "$(dirname "$0")/../.."
build=${1:-build/fuzz}
shift
export seconds=${FUZZ_SECONDS:-10} build
# Files that a target writes stay in memory.
[ -w /dev/shm ] && export TMPDIR=/dev/shm
export UBSAN_OPTIONS=print_stacktrace=1

fuzz() { # fuzz TARGET: its lines
  local name=$1 program=$build/fuzz_$1 seeds=tests/fuzz/corpus/$1 log
  local found=$build/corpus/$name broken=$build/broken
  mkdir -p "$found" "$broken"
  log=$(mktemp)
  for look in $("$program" --names); do
    grep -lqsxm1 "$look" "$seeds/$look"* || echo "not ok fuzz $name: no seed for $look in $seeds"
  done
  # A name of a look that no look has is a seed that says nothing.
  for seed in "$seeds"/*; do
    "$program" --names | grep -qx "$(head -n 1 "$seed" | tr -d '\0')" || echo "not ok fuzz $name: $seed is of no look"
  done
  if "$program" "$found" "$seeds" -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=2048 \
    -artifact_prefix="$broken/$name-" -print_final_stats=1 -verbosity=1 >"$log" 2>&1; then
    echo "ok fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
  else
    echo "not ok fuzz $name: $(grep -m 1 -E 'does not hold|ERROR:|runtime error:|SUMMARY' "$log");" \
      "$(sed -n 's/.*Test unit written to /input: /p' "$log" | head -n 1)"
    tail -n 60 "$log" >&2
  fi
  rm -f "$log"
}
export -f fuzz

targets=("$@")
if [ $# = 0 ]; then
  for source in tests/fuzz/*.cpp; do targets+=("$(basename "$source" .cpp)"); done
fi
# All said in one piece per target; the status is said by the lines.
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'lines=$(fuzz {}); printf "%s\n" "$lines"' | {
  failed=0
  while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in "not ok "*) failed=1 ;; esac
  done
  exit $failed
}

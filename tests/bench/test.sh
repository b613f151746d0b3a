#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# That the price of the eBPF programs and of a scrape can be measured, and that they work while it is: no figure of it,
# as noise can break any. usage: test.sh [SWITCH_PRICE]. Prints "ok NAME", "not ok NAME: reason" or "skip NAME: reason".
set -u
program=${1:-$(dirname "$0")/../../build/tests/switch_price}

. "$(dirname "$0")/../support/result.sh"

if [ "$(id -u)" = 0 ]; then
  cost=$("$(dirname "$0")/scrape_cost.py" "$(dirname "$program")" --vms=3 --vcpus=2 --quotas=1 --swap --scrapes=3 2>&1)
  status=$?
  missing=
  for row in inventory sched memory cgroup numa "memory, cgroup and numa together" "whole: wall clock" "scheduling, gzip: CPU of the exporter"; do
    grep -q "^| $row | [0-9.]* | [0-9.]* |$" <<<"$cost" || missing+="no row '$row'; "
  done
  for row in "text and HTTP: what is left of the whole's CPU" "gzip: what it adds"; do
    grep -q "^| $row | -\?[0-9.]* | |$" <<<"$cost" || missing+="no row '$row'; "
  done
  grep -q "^3 virtual machines, 6 vCPUs, [1-9]" <<<"$cost" || missing+="it did not see the machines; "
  ! command -v strace >/dev/null || grep -q "^[1-9][0-9]* system calls: read [1-9]" <<<"$cost" || missing+="no system calls; "
  result "bench: a scrape of machines made for it is measured by collector" \
    "$([ $status = 0 ] && [ -z "$missing" ] || echo "status $status: $missing$cost")"
  growth=$("$(dirname "$0")/scrape_cost.py" "$(dirname "$program")" --vms=4 --vcpus=1 --scrapes=2 --growth 2>&1)
  status=$?
  result "bench: how a scrape's cost grows is measured" \
    "$([ $status = 0 ] && grep -q "it grows with the power " <<<"$growth" || echo "status $status: $growth")"
  result "bench: their groups are gone afterwards" "$(ls -d /sys/fs/cgroup/*/vcpu_bench.* /sys/fs/cgroup/vcpu_bench.* 2>/dev/null)"
  build=$(dirname "$program")
  if [ "$("$(dirname "$0")/side_by_side.py" "$build" --can)" = yes ]; then
    others=$("$(dirname "$0")/side_by_side.py" "$build" --vms 2 --vcpus 1 --rounds 1 --scrapes 1 --peace 0.1 2>&1)
    status=$?
    missing=
    for row in vcpu_exporter "vcpu_exporter, scheduling" "open, read, close" libvirt_exporter node_exporter \
      "node_exporter --collector.processes" "node_exporter, schedstat alone"; do
      grep -q "^| $row | -\?[0-9.]* | [0-9.]* | [0-9.]* | [1-9][0-9]* | [0-9.]* | [1-9][0-9]* |" <<<"$others" || missing+="no row '$row'; "
    done
    # Six samples of each vCPU.
    grep -q "^| open, read, close |[^|]*|[^|]*|[^|]*| 12 |" <<<"$others" || missing+="not every vCPU was read; "
    result "bench: this exporter and others are measured side by side on real machines" \
      "$([ $status = 0 ] && [ -z "$missing" ] || echo "status $status: $missing$others")"
    steady=$("$(dirname "$0")/steady_state.py" "$build" --vms 1 --vcpus 2 --minutes 0.05 --interval 1 2>&1)
    status=$?
    missing=
    for row in "exporter and children" vcpu_exporter vcpu_libvirt libvirtd; do
      grep -q "^| $row | [0-9.]* | [0-9.]*% |" <<<"$steady" || missing+="no row '$row'; "
    done
    if [ -x "$program" ]; then # Built with eBPF.
      grep -q "^| eBPF on_switch | [0-9.]* | [0-9.]*% | [1-9][0-9]* ns, [1-9][0-9]* runs |$" <<<"$steady" || missing+="no eBPF programs; "
    fi
    grep -q "^[34] s, 3 scrapes; the vCPUs took [0-9.]* CPUs and were put on one [1-9]" <<<"$steady" || missing+="the vCPUs did not work; "
    result "bench: what the exporter takes in the long run is measured on real machines that work" \
      "$([ $status = 0 ] && [ -z "$missing" ] || echo "status $status: $missing$steady")"
  else
    echo "skip bench: exporters side by side: $("$(dirname "$0")/side_by_side.py" "$build" --can)"
  fi
else
  echo "skip bench: only root makes control groups for a scrape to be measured"
fi

# It waits for the most part.
rules_said=$(mktemp)
trap 'rm -f "$rules_said"' EXIT
"$(dirname "$0")/rule_cost.py" --hosts=1 --vms=1 --vcpus=2 --rounds=1 --interval=1 >"$rules_said" 2>&1 &
rule_cost=$!

parts=$(dirname "$program")/vcpu_parts
run=$("$parts" --benchmark_filter='^(sched|text|parse_task_stat)/10$' --benchmark_min_time=0.01 2>&1)
status=$?
missing=
for part in sched text parse_task_stat; do
  grep -Eq "^$part/10 +[0-9.]+ us .*each=[0-9.]+" <<<"$run" || missing+="no part '$part'; "
done
result "bench: parts of a scrape are measured" "$([ $status = 0 ] && [ -z "$missing" ] || echo "status $status: $missing$run")"
if command -v valgrind >/dev/null; then
  instructions=$("$(dirname "$0")/instructions.py" "$(dirname "$program")" 2>&1)
  result "bench: no part of a scrape takes more instructions than it may" \
    "$([ $? = 0 ] || echo "$instructions")"
else
  echo "skip bench: instructions are not counted, as valgrind is not installed"
fi

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  fleet=$("$(dirname "$0")/fleet_dashboard.py" --hosts=20 --vms=2 2>&1)
  status=$?
  result "bench: every query of dashboard Fleet has an answer of hosts made for it" \
    "$([ $status = 0 ] && grep -q "^[1-9][0-9]* queries one after the other" <<<"$fleet" || echo "status $status: $fleet")"
  wait "$rule_cost"
  status=$?
  rules=$(<"$rules_said")
  missing=
  for group in $(sed -n 's/^.* name: "\(.*\)"$/\1/p' "$(dirname "$0")"/../../deploy/prometheus/vcpu_{rules,alerts}.yml); do
    grep -q "^| $group | [0-9]* s | [0-9.]* |$" <<<"$rules" || missing+="no row '$group'; "
  done
  result "bench: every group of rules is measured, and all of them record something of hosts made for it" \
    "$([ $status = 0 ] && [ -z "$missing" ] || echo "status $status: $missing$rules")"
else
  echo "skip bench: prometheus is not installed, which is asked dashboard Fleet's queries and evaluates the rules"
fi

if [ ! -x "$program" ]; then
  echo "skip bench: $program was built without eBPF"
  exit $failed
fi

wrong=$("$program" --rounds=none 2>&1)
status=$?
result "bench: a wrong flag is answered with the usage" \
  "$([ $status = 1 ] && grep -q '^usage: ' <<<"$wrong" || echo "status $status: $wrong")"

if [ "$(id -u)" = 0 ]; then
  refused=$(setpriv --reuid=65534 --regid=65534 --clear-groups -- "$program" --rounds=1 2>&1)
  status=$?
  result "bench: without rights it says which are needed" \
    "$([ $status = 3 ] && grep -q 'not allowed: .*CAP_BPF' <<<"$refused" || echo "status $status: $refused")"
fi

# Ends well only if the accounts counted and each program was attached when it should be, and at no other time.
said=$("$program" --rounds=2 --switches=2000 --threads=50 --markdown 2>&1)
status=$?
if [ $status = 3 ]; then
  echo "skip bench: $said"
  exit $failed
fi
result "bench: every program counts while it is measured, and is gone when it is not" \
  "$([ $status = 0 ] || echo "status $status: $said")"
missing=
for tasks in "2 that are no vCPUs" "2 vCPUs" "8 vCPUs" "16 vCPUs"; do
  for row in "none | [1-9][0-9]* |" "histogram | [1-9][0-9]* | -\?[0-9]* |" "attribution | [1-9][0-9]* | -\?[0-9]* |"; do
    grep -q "^| $tasks[^|]*| $row" <<<"$said" || missing+="no row '$tasks | $row'; "
  done
done
result "bench: the table has each program with each set of tasks" "$missing"

missing=
for program in histogram attribution; do
  for what in "opened in" "the accounts of 50 vCPUs read in"; do
    grep -q "^$program: $what [0-9.]* ms$" <<<"$said" || missing+="no line '$program: $what'; "
  done
done
result "bench: it says what opening and reading take" "$missing"
exit $failed

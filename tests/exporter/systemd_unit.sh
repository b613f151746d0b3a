#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The systemd unit: well-formed, hardened, and true to what the program needs.
# Prints "ok NAME", "not ok NAME: reason" or "skip NAME: reason" for each test;
# exit 1 where one is not ok. Needs neither root nor a running systemd.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
units=$root/deploy/systemd
unit=$units/vcpu_exporter.service
threshold=20 # Of systemd-analyze security, in tenths: 2.0.
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. "$root/tests/support/result.sh"

# The units with a program that exists here, so that only the rest is judged.
with_stub() {
  printf '#!/bin/sh\n' >"$work/stub"
  chmod 755 "$work/stub"
  cp "$units"/vcpu_exporter* "$work"
  sed -i "s|^ExecStart=/usr/bin/vcpu_exporter|ExecStart=$work/stub|" \
    "$work/vcpu_exporter.service"
}

verify() {
  with_stub
  [ $# = 0 ] || sed -i "$1" "$work/vcpu_exporter.service"
  if ! grep -q "^ExecStart=$work/stub" "$work/vcpu_exporter.service"; then
    echo "ExecStart is not /usr/bin/vcpu_exporter"
    return
  fi
  # It warns with exit status 0; a unit without a word is what we want.
  systemd-analyze verify --man=no "$work"/vcpu_exporter* 2>&1 |
    grep 'vcpu_exporter'
}

security() { # security UNIT: what it says where that is worse than 2.0.
  systemd-analyze security --offline=true --threshold=$threshold --no-pager \
    "$1" >"$work/security" 2>&1 && return
  tail -n 1 "$work/security"
}

# Against the README's scrape of 10,000 vCPUs, in MiB.
memory() {
  said=$(sed -n 's/.*its own control group counts \([0-9]*\) MiB .*/\1/p' \
    "$root/README.md")
  given=$(sed -n 's/^MemoryMax=//p' "$unit" | numfmt --from=iec --to-unit=1Mi)
  [ "${given:-0}" -ge $((${said:-1000000} * 4)) ] ||
    echo "${given:-?} MiB are less than 4 times the README's ${said:-?} MiB"
  [ "${given:-1000000}" -le $((${said:-0} * 10)) ] ||
    echo "${given:-?} MiB are no bound for the README's ${said:-?} MiB"
}

# One line `name`, set as the program needs it.
setting() {
  grep -q "^$1\$" "$unit" || echo "no line $1"
}

# Each needs all that the program does: without it the unit scores better and
# works worse.
result unit_type_notify "$(setting Type=notify)"
result unit_watchdog "$(setting 'WatchdogSec=[0-9].*')"
# shellcheck disable=SC2016 # systemd's variable, not the shell's.
result unit_reload_by_sighup "$(setting 'ExecReload=/bin/kill -HUP $MAINPID')"
result unit_environment_file \
  "$(setting 'EnvironmentFile=-/etc/default/vcpu_exporter')"
result unit_capabilities_of_the_start_and_no_other \
  "$(setting 'AmbientCapabilities=CAP_BPF CAP_PERFMON'
  setting 'CapabilityBoundingSet=CAP_BPF CAP_PERFMON'
  setting PrivateUsers=no)"
result unit_address_families \
  "$(setting 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6')"
result unit_memory_is_bounded_well_above_what_it_takes "$(memory)"
# A child that is killed for its memory does not end the service, and neither
# takes a VM with it.
result unit_is_killed_rather_than_a_vm \
  "$(setting 'OOMScoreAdjust=[1-9][0-9]*'
  setting OOMPolicy=continue)"
result unit_sees_all_processes \
  "$(grep -E '^(ProtectProc|ProcSubset|PrivateNetwork|RootDirectory)=' "$unit")"

if command -v systemd-analyze >/dev/null; then
  result unit_verify "$(verify)"
  result unit_credentials_that_are_shown_are_good \
    "$(verify 's/^#\(LoadCredential=\)/\1/'
    [ "$(grep -c '^LoadCredential=' "$work/vcpu_exporter.service")" = 4 ] ||
      echo "they are not four")"
  result unit_security "$(security "$unit")"
  result unit_security_of_the_proxy \
    "$(security "$units/vcpu_exporter-proxy.service")"
else
  echo "skip unit_credentials_that_are_shown_are_good: no systemd-analyze"
  echo "skip unit_verify: systemd-analyze is not installed"
  echo "skip unit_security: systemd-analyze is not installed"
  echo "skip unit_security_of_the_proxy: systemd-analyze is not installed"
fi

exit $failed

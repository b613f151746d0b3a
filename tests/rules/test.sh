#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Rules, alerts, runbooks and the Alertmanager configuration. Prints "ok|not ok|skip NAME" lines; exits 1 on any failure.
set -u
cd "$(dirname "$0")/../.."

# No __pycache__ in the source tree.
export PYTHONDONTWRITEBYTECODE=1

prometheus=deploy/prometheus
alertmanager=deploy/alertmanager/alertmanager.yml
failed=0

# check NAME COMMAND...: ok when the command succeeds, skip when it is not installed.
check() {
    local name=$1 output
    shift
    if ! command -v "$1" >/dev/null; then
        echo "skip $name: $1 is not installed"
    elif output=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "not ok $name: $(tr -s '\n\t ' ' ' <<<"$output")"
        failed=1
    fi
}

promtool_check_metrics() { promtool check metrics <"$1"; }

# Where Alertmanager sends alerts with these labels.
check_route() {
    local receiver=$1
    shift
    check "route: $* to $receiver" \
        amtool config routes test --config.file="$alertmanager" --verify.receivers="$receiver" "$@"
}

if command -v jsonnet >/dev/null; then
    check "jsonnet: generated files are current" dashboards/generate.sh --check
    check "jsonnet: formatted" jsonnetfmt --test dashboards/*.*sonnet dashboards/*/*.libsonnet
    tests/rules/text.py || failed=1
    tests/rules/commands.py || failed=1
else
    echo "skip jsonnet, runbooks: jsonnet is not installed"
fi

check "promtool check rules" promtool check rules --lint-fatal $prometheus/vcpu_*.yml
check "promtool check metrics on the golden page" promtool_check_metrics tests/golden/host.prom
# With the example of targets in place, which promtool reads as well.
targets=$(mktemp -d)
trap 'rm -rf "$targets"' EXIT
cp -r $prometheus/. "$targets"
cp "$targets/targets/kvm.yml.example" "$targets/targets/kvm.yml"
check "promtool check config" promtool check config --lint-fatal "$targets/prometheus.yml"
check "promtool check config, agent mode" promtool check config --agent --lint-fatal "$targets/prometheus-agent.yml"
for file in tests/rules/*.test.yml; do
    check "promtool test rules: $(basename "$file" .test.yml)" promtool test rules "$file"
done
check "vmalert reads the rules as well" \
    vmalert -dryRun "-rule=$prometheus/vcpu_*.yml"

tests/rules/agent.py $prometheus || failed=1
tests/rules/import.py || failed=1

check "amtool check-config" amtool check-config "$alertmanager"
check_route pager severity=critical alertname=VcpuExporterDown
check_route ticket severity=warning alertname=VcpuThreadDensityHigh
check_route ticket severity=warning alertname=VcpuNoisyNeighbour domain=web culprit=batch
check_route dashboard severity=info alertname=VcpuOverprovisioned
check_route ticket alertname=SomethingWithoutSeverity
tests/rules/inhibition.py "$alertmanager" || failed=1
tests/rules/templates.py deploy/alertmanager/templates || failed=1
tests/rules/robot.py || failed=1
tests/rules/receivers.py "$alertmanager" || failed=1

exit $failed

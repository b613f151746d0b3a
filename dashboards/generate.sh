#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes every generated dashboard and rule file; with --check only compares, and exits 1 when one differs.
set -eu
cd "$(dirname "$0")/.."

generate_into() {
    mkdir -p "$1/dashboards/out" "$1/deploy/prometheus"
    jsonnet --string --multi "$1" dashboards/artefacts.jsonnet
}

case "${1-}" in
'')
    generate_into .
    exit
    ;;
--check) ;;
*)
    echo "usage: $0 [--check]" >&2
    exit 1
    ;;
esac

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate_into "$fresh" >/dev/null

status=0
for file in $(cd "$fresh" && find . -type f | sed 's|^\./||' | sort); do
    if ! cmp -s "$fresh/$file" "$file"; then
        echo "$file differs from its source: run dashboards/generate.sh" >&2
        status=1
    fi
done
for file in dashboards/out/* deploy/prometheus/vcpu_*.yml; do
    if [ ! -e "$fresh/$file" ]; then
        echo "$file has no source: remove it" >&2
        status=1
    fi
done
exit $status

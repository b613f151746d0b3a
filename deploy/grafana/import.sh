#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts the dashboards into a running Grafana, over those that an earlier call put there. They choose their data source by a
# variable: the first Prometheus that Grafana knows.
#
# usage: [GRAFANA_TOKEN=...] import.sh [URL]   URL: default http://localhost:3000; without a token as one who has not logged in
set -euo pipefail
url=${1:-http://localhost:3000}

# From standard input, as arguments can be seen by all on this machine.
authorization() {
  [ -z "${GRAFANA_TOKEN-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$GRAFANA_TOKEN"
}

for file in "$(dirname "$(realpath "$0")")"/../../dashboards/out/*.json; do
  body=$(mktemp)
  { printf '{"overwrite": true, "dashboard": ' && cat "$file" && printf '}'; } >"$body"
  if ! answer=$(authorization | curl --silent --show-error --fail-with-body --max-time 30 --config - \
    --header 'Content-Type: application/json' --data-binary "@$body" "${url%/}/api/dashboards/db" 2>&1); then
    rm -f "$body"
    echo "$(basename "$file") was refused by $url: $answer" >&2
    exit 1
  fi
  rm -f "$body"
  echo "$(basename "$file" .json): ${url%/}/d/$(basename "$file" .json)"
done

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts the recording rules and the alerts into a Prometheus that is there already, over those that an earlier call put there:
# copies them beside its prometheus.yml and adds them to its rule_files. Nothing else of that file changes.
#
# usage: import.sh [OPTION...] [DIRECTORY]   DIRECTORY: where prometheus.yml is; default /etc/prometheus
#   --grafana-url URL   the Grafana that alerts link to, as in http://localhost:3000
#   --runbooks-url URL  the folder of runbooks that they link to
#   --platforms         also vcpu_platforms.yml, for fleets with other hypervisors
# Links that no option tells stay as the last call left them.
set -euo pipefail
here=$(dirname "$(realpath "$0")")

fail() {
  echo "import.sh: $*" >&2
  exit 1
}

usage() {
  sed -n 's/^# usage: /usage: /p; s/^#   /  /p' "$0" >&2
  exit 1
}

# What stands before the path in the first such annotation of a file of alerts.
grafana_of() { grep -oPm 1 'dashboard_url: "\K[^"]*?(?=/d/)' "$1" | head -n 1; }
runbooks_of() { grep -oPm 1 'runbook_url: "\K[^"]*(?=/)' "$1" | head -n 1; }

check_url() { # check_url OPTION URL
  [[ $2 =~ ^https?://[][A-Za-z0-9._~:/%@+-]+$ ]] || fail "$1 wants a URL as in https://example.com/path, not \"$2\""
}

grafana='' runbooks='' files=(vcpu_rules.yml vcpu_alerts.yml)
while [ $# -gt 0 ]; do
  case $1 in
    --grafana-url | --runbooks-url)
      check_url "$1" "${2-}"
      if [ "$1" = --grafana-url ]; then grafana=${2%/}; else runbooks=${2%/}; fi
      shift
      ;;
    --platforms) files+=(vcpu_platforms.yml) ;;
    -*) usage ;;
    *) break ;;
  esac
  shift
done
[ $# -le 1 ] || usage

directory=${1:-/etc/prometheus}
config=$directory/prometheus.yml
[ -f "$config" ] || fail "there is no $config; import.sh DIRECTORY tells where it is"
for place in "$directory" "$config"; do
  [ -w "$place" ] || fail "may not write to $place; try it with sudo"
done

# Beside prometheus.yml, so that the files of rules that it names are found.
new_config=$config.vcpu-import
new=$(mktemp -d)
trap 'rm -rf "$new" "$new_config"' EXIT

# promtool_check WHAT FILE...: fails with promtool's words, where it is installed.
promtool_check() {
  local said
  command -v promtool >/dev/null || return 0
  said=$(promtool check "$@" 2>&1) || fail "promtool refuses them, prometheus.yml stays as it was: $said"
}

with_links() { # with_links FILE: the shipped alerts, with the links that are wanted here.
  local text shipped=$here/vcpu_alerts.yml
  text=$(<"$shipped")
  text=${text//"\"$(grafana_of "$shipped")/d/"/"\"$grafana/d/"}
  printf '%s\n' "${text//"\"$(runbooks_of "$shipped")/"/"\"$runbooks/"}" >"$1"
}

# The entries of rule_files, one a line, without quotes.
rule_files() {
  awk '/^[^ \t#-]/ { inside = /^rule_files:/ } inside && /^ *- / { sub(/^ *- */, ""); sub(/[ \t]+#.*/, ""); print }' "$config" |
    tr -d "\"'\r"
}

is_named() { # is_named FILE: by its name, or by a pattern.
  local entry
  while read -r entry; do
    case $entry in /*) ;; *) entry=$(realpath "$directory")/$entry ;; esac
    # shellcheck disable=SC2053 # A pattern is wanted.
    [[ $(realpath "$directory")/$1 != $entry ]] || return 0
  done < <(rule_files)
  return 1
}

# prometheus.yml with new entries at the head of its rule_files, at the indent of those that are there.
with_entries() {
  awk -v entries="$*" '
    function add() { count = split(entries, name, " "); for (i = 1; i <= count; ++i) print indent "- " name[i] }
    NR == FNR && /^[^ \t#-]/ { inside = /^rule_files:/ }
    NR == FNR { if (inside && !seen && match($0, /^ *- /)) { seen = 1; indent = substr($0, 1, RLENGTH - 2) } next }
    FNR == 1 && !seen { indent = "  " }
    /^rule_files:/ { print "rule_files:" substr($0, match($0, /[ \t]*#/) ? RSTART : length($0) + 1); add(); added = 1; next }
    { print }
    END { if (!added) { print "\nrule_files:"; add() } }' "$config" "$config"
}

installed=$directory/vcpu_alerts.yml
[ -f "$installed" ] || installed=$here/vcpu_alerts.yml
[ -n "$grafana" ] || grafana=$(grafana_of "$installed" || grafana_of "$here/vcpu_alerts.yml")
[ -n "$runbooks" ] || runbooks=$(runbooks_of "$installed" || runbooks_of "$here/vcpu_alerts.yml")

for file in "${files[@]}"; do
  cp "$here/$file" "$new/$file"
done
with_links "$new/vcpu_alerts.yml"
promtool_check rules "$new"/*.yml

missing=()
for file in "${files[@]}"; do
  is_named "$file" || missing+=("$file")
done
if [ ${#missing[@]} -gt 0 ] && grep -qE '^rule_files:[ \t]*[^ \t#\r[]|^rule_files:[ \t]*\[[ \t]*[^] \t]' "$config"; then
  fail "add these to rule_files in $config, then call it again: ${missing[*]}"
fi

install -m 644 "$new"/*.yml "$directory"
if [ ${#missing[@]} -gt 0 ]; then
  (umask 077 && with_entries "${missing[@]}" >"$new_config") # It may hold passwords.
  promtool_check config "$new_config"
  cat "$new_config" >"$config" # Its owner and mode, or that it is a link, stay as they are.
  echo "$config: ${missing[*]} added to rule_files"
else
  promtool_check config "$config"
fi
echo "$directory: ${files[*]}; alerts link to $grafana and $runbooks"
grep -qE "job_name: *[\"']?vcpu_exporter[\"']? *(#.*)?$" "$config" ||
  echo "The rules look for a scrape job named vcpu_exporter, which $config does not have: see $here/prometheus.yml"
echo "Have Prometheus read it: systemctl reload prometheus, or send it SIGHUP"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages listed in the files given, those that are missing
# only: neither there nor provided by another that is. With --check it says what
# is missing and installs nothing. usage: install_packages.sh [--check] FILE...
set -euo pipefail

check=no
if [ "${1:-}" = --check ]; then
  check=yes
  shift
fi

provided=$(dpkg-query -W -f '${db:Status-Status} ${Provides}\n' |
  sed -n 's/^installed //p' | tr ',' '\n' | awk '{ print $1 }')
missing=()
for package in $(cat "$@" | sed 's/#.*//'); do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || grep -qxF "$package" <<<"$provided" ||
    missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || [ $check = yes ]; then
  echo "These packages are missing: ${missing[*]}" >&2
  echo "Install them with: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Services that a package brings are not to be started by a build or a test.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
options=(-qq -y --no-install-recommends -o DPkg::Lock::Timeout=300)
apt-get install "${options[@]}" "${missing[@]}" >/dev/null 2>&1 || {
  apt-get update -qq
  apt-get install "${options[@]}" "${missing[@]}" >/dev/null
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to a running exporter: installs what the build needs,
# builds a release, and runs it in the foreground on http://localhost:9752/.
#
# usage: sudo deploy/quickstart.sh [--no-run] [FLAG OF THE EXPORTER]...
set -euo pipefail
cd "$(dirname "$0")/.."

run=yes
if [ "${1:-}" = --no-run ]; then
  run=no
  shift
fi

deploy/install_packages.sh deploy/packages.txt
build=build/release
[ -f "$build/build.ninja" ] ||
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DVCPU_TESTS=OFF >/dev/null
echo "Building $build/vcpu_exporter"
cmake --build "$build" -- --quiet
[ "$run" = yes ] || exit 0

echo "Running it: http://localhost:9752/ (Ctrl-C ends it)"
exec "$build/vcpu_exporter" "$@"

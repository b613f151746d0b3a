#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy over the product's sources, as many at a time as there are CPUs.
# What has not changed since it was found good is not looked at again.
set -uo pipefail
cd "$(dirname "$0")/.."

build=build/tests
[ -f "$build/compile_commands.json" ] ||
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null ||
  exit 1
cmake --build "$build" --target skeletons >/dev/null || exit 1
good=$build/tidy
mkdir -p "$good"
# Any header may change what any source means.
headers=$(cat .clang-tidy $(git ls-files '*.h') | sha256sum)

check() {
  local source=$1 mark
  mark=$3/$(printf '%s' "$4" | cat - "$source" | sha256sum | cut -d' ' -f1)
  [ -e "$mark" ] && return 0
  clang-tidy --quiet -p "$2" \
    --extra-arg=-Wno-unknown-warning-option "$source" 2>/dev/null && touch "$mark"
}
export -f check

git ls-files 'collectors/*.cpp' 'exporter/*.cpp' |
  xargs -P "$(nproc)" -I{} bash -c 'check "$@"' _ {} "$build" "$good" "$headers"

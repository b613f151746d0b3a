#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the tests need, builds, runs them, and closes with one line:
# "N passed, N failed, N skipped". Exits 1 on any failure.
#
# usage: sudo tests/run.sh        everything
#        tests/run.sh unit        what needs no root
#        sudo tests/run.sh soak   the soak for half an hour, all unit tests with sanitizers, and the fuzz targets,
#                                 ten minutes each
set -uo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
case $what in all | unit | soak) ;; *)
  echo "usage: tests/run.sh [unit|soak]" >&2
  exit 1
  ;;
esac

# One cache for all build directories, where there is a ccache.
export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$PWD CCACHE_SLOPPINESS=pch_defines,time_macros

log=$(mktemp -d "${TMPDIR:-/tmp}/vcpu_tests.XXXXXX")
trap 'rm -rf "$log"' EXIT
results=$log/results
: >"$results"

stop() { # stop WHAT: before any test could run
  echo "$1" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

# script NAME COMMAND...: a script that prints "ok X", "not ok X: reason" and
# "skip X: reason", one line per test.
script() {
  local name=$1 status
  shift
  echo "== $name"
  "$@" 2>"$log/stderr" | tee "$log/out"
  status=${PIPESTATUS[0]}
  grep -E '^(ok|not ok|skip) ' "$log/out" >>"$results"
  # A script that dies has not said all; one that fails says why in its lines.
  if ! grep -qE '^(ok|not ok|skip) ' "$log/out" ||
    { [ "$status" != 0 ] && ! grep -q '^not ok ' "$log/out"; }; then
    cat "$log/stderr"
    echo "not ok $name: ended with status $status" | tee -a "$results"
  fi
}

# gtest NAME BINARY FLAG...: a GoogleTest program, as such lines.
gtest() {
  local name=$1 status
  shift
  echo "== $name"
  "$@" --gtest_color=no >"$log/gtest" 2>&1
  status=$?
  awk -v name="$name" '
    /^\[ RUN      \]/ { reason = ""; next }
    /^\[       OK \]/ { print "ok " name " " $4; next }
    /^\[  SKIPPED \] .*ms\)$/ { print "skip " name " " $4 ": " reason; next }
    /^\[  FAILED  \] .*ms\)$/ { print "not ok " name " " $4 ": see above"; next }
    /: Skipped$/ { next }
    { reason = $0 }' "$log/gtest" >"$log/out"
  cat "$log/out" >>"$results"
  grep '^skip ' "$log/out"
  grep -cE '^ok ' "$log/out" | sed 's/$/ passed/'
  [ $status = 0 ] && return
  grep -vE '^\[( RUN      |       OK )\]' "$log/gtest"
  grep -q '^not ok ' "$log/out" ||
    echo "not ok $name: ended with status $status" | tee -a "$results"
}

build() { # build DIRECTORY FLAG...
  local directory=$1
  shift
  mkdir -p "$directory" && [ -w "$directory" ] ||
    stop "$directory cannot be written: it is another user's; remove it."
  echo "== Building $directory"
  { [ -f "$directory/build.ninja" ] ||
    cmake -S . -B "$directory" -G Ninja "$@"; } >"$log/build" 2>&1 &&
    cmake --build "$directory" >>"$log/build" 2>&1 || {
    tail -n 60 "$log/build"
    stop "The build in $directory failed."
  }
}

lists=(deploy/packages.txt tests/packages.txt)
[ "$what" != all ] || lists+=(tests/live/packages.txt tests/lab/packages.txt)
deploy/install_packages.sh "${lists[@]}" ||
  stop "Packages are missing; see above."

# What asks for rights skips without them, and says why.
unprivileged() {
  local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  [ "$(id -u)" = 0 ] || return
  "${nobody[@]}" test -x build/tests/vcpu_tests || return # In a home, for one.
  gtest unprivileged "${nobody[@]}" build/tests/vcpu_tests \
    --gtest_filter='Bpf*:Runqueue*:Perf*'
}

fuzz() { # fuzz SECONDS
  build build/fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVCPU_FUZZ=ON \
    -DCMAKE_CXX_COMPILER=clang++
  FUZZ_SECONDS=$1 script fuzz tests/fuzz/test.sh build/fuzz
}

thread_sanitizer() { # thread_sanitizer SOAK_SECONDS
  build build/tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVCPU_SANITIZE=thread
  SOAK_SECONDS=$1 script tsan tests/soak/tsan.sh build/tsan
}

if [ "$what" = soak ]; then
  build build/tests -DCMAKE_BUILD_TYPE=RelWithDebInfo
  SOAK_SECONDS=1800 script soak tests/soak/test.sh build/tests
  thread_sanitizer 600
  build build/sanitized -DCMAKE_BUILD_TYPE=Debug \
    -DVCPU_SANITIZE=address,undefined
  gtest sanitized build/sanitized/vcpu_tests
  fuzz 600
else
  build build/tests -DCMAKE_BUILD_TYPE=RelWithDebInfo
  gtest unit build/tests/vcpu_tests
  unprivileged
  script house tests/house_test.sh
  script rules tests/rules/test.sh
  script dashboards tests/dashboards/test.sh build/tests
  script systemd tests/exporter/systemd_unit.sh
  script program tests/program/test.sh build/tests
  script bench tests/bench/test.sh build/tests/switch_price
fi

if [ "$what" = all ]; then
  build build/sanitized -DCMAKE_BUILD_TYPE=Debug \
    -DVCPU_SANITIZE=address,undefined
  # What compares clocks within 1 % is for a program that is not slowed down.
  gtest sanitized build/sanitized/vcpu_tests \
    --gtest_filter='-KernelFaultsWalk*:Accuracy*'
  for hostile in advisory "hostile names" test_rude "an impostor"; do
    script "sanitized $hostile" tests/program/test.sh build/sanitized "$hostile"
  done
  SOAK_SECONDS=120 script soak tests/soak/test.sh build/tests
  thread_sanitizer 30
  build build/bare -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DVCPU_LIBVIRT=OFF -DVCPU_BPF=OFF -DVCPU_PFM=OFF -DVCPU_SECCOMP=OFF \
    -DVCPU_TESTS=OFF
  script bare tests/bare_test.sh build/bare/vcpu_exporter
  fuzz 10
  script live tests/live/test.sh build/tests/vcpu_exporter
  script faults tests/faults/test.sh build/tests/vcpu_exporter
  VCPU_LAB_STEAL_SECONDS=60 script lab tests/lab/test.sh build/tests/vcpu_exporter
  script quickstart tests/quickstart_test.sh
fi

echo
grep '^not ok ' "$results"
grep '^skip ' "$results"
passed=$(grep -c '^ok ' "$results")
failed=$(grep -c '^not ok ' "$results")
skipped=$(grep -c '^skip ' "$results")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

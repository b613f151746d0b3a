#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The rules of the house as greps: who may include whom, who may open what, and
# that nothing that belongs together was forgotten. Prints "ok NAME" or
# "not ok NAME: reason".
set -u
cd "$(dirname "$0")/.."

failed=0
rule() { # rule NAME OFFENDERS: ok where there are none.
  if [ -z "$2" ]; then
    echo "ok $1"
  else
    echo "not ok $1: $(tr '\n' ' ' <<<"$2")"
    failed=1
  fi
}

includes() { # includes FOLDER: its sources' own includes, "FILE:HEADER".
  grep -RHo --include='*.cpp' --include='*.h' '#include "[^"]*"' "$1" |
    sed 's/#include "//; s/"$//'
}
system_includes() {
  grep -RHo --include='*.cpp' --include='*.h' '#include <[^>]*>' "$@" |
    sed 's/#include <//; s/>$//'
}
collector_names() {
  grep -oP '^std::unique_ptr<Collector> make_\K\w+' collectors/catalog.h
}

rule "collectors know nothing of the exporter" \
  "$(includes collectors | grep ':exporter/')"
rule "base knows only itself" \
  "$(includes collectors/base | grep -v ':collectors/base/')"
rule "parsers know only base and themselves" \
  "$(includes collectors/kernel | grep -vE ':collectors/(base|kernel)/')"
rule "parsers do no I/O" \
  "$(system_includes collectors/kernel |
    grep -E ':(fcntl.h|unistd.h|fstream|iostream|filesystem|cstdio)$'
  includes collectors/kernel | grep ':collectors/base/file.h')"
rule "libvirt's module knows only base, itself and the kernel's texts" \
  "$(includes collectors/libvirt |
    grep -vE ':collectors/(base/|libvirt/|kernel/|vm_id.h)')"
rule "no collector knows another, or how the inventory works" \
  "$(for name in $(collector_names); do includes "collectors/$name.cpp"; done 2>&1 |
    grep -vE ':collectors/(base/|bpf/|hardware/|kernel/|perf/|catalog.h|collector.h|huge_pages.h|kvm_debugfs.h|libvirt/monitor.h|monitored.h|numa_maps_reader.h|numa_placement.h|proxmox_tags.h|runqueue.h|snapshot.h|topology.h|vcpu_sums.h|vcpu_waits.h|vm_quota.h)')"

only_in() { # only_in HEADER FILE...: nobody else may include it.
  local header=$1
  shift
  local offenders
  offenders=$(system_includes collectors exporter | grep ":$header" | cut -d: -f1 |
    grep -vxF "$(printf '%s\n' "$@")")
  rule "only $* may include <$header>" "$offenders"
}
only_in civetweb.h exporter/http_server.cpp
only_in CLI/ exporter/options.cpp
only_in spdlog/ exporter/log.cpp
only_in yaml-cpp/ exporter/yaml.cpp
only_in libdeflate.h exporter/exposition/gzip.cpp
only_in cap-ng.h exporter/privileges.cpp
only_in systemd/ exporter/systemd.cpp
only_in openssl/ exporter/basic_auth.cpp exporter/civetweb_openssl.cpp exporter/name_hash.cpp \
  exporter/tls.cpp
only_in crypt.h exporter/basic_auth.cpp
only_in perfmon/ collectors/perf/pfm_events.cpp
rule "only one asks the kernel for perf events" \
  "$(grep -Rl 'SYS_perf_event_open' collectors exporter |
    grep -vx 'collectors/perf/perf_event_source.cpp')"
only_in pugixml.hpp collectors/libvirt/domain_xml.cpp
rule "only collectors/libvirt may include libvirt" \
  "$(system_includes collectors exporter | grep ':libvirt/' |
    grep -v '^collectors/libvirt/')"

# security_features.cpp reads the kernel's own command line.
rule "no file that takes a guest's mmap_lock is named, cmdline and numa_maps but once" \
  "$(grep -RnE '"[^"]*(smaps|/maps|environ)[^"]*"' collectors --include='*.cpp'
  grep -RlE '"[^"]*/numa_maps"' collectors --include='*.cpp' |
    grep -v '^collectors/numa_maps_reader.cpp$'
  grep -RlE '"[^"]*/cmdline"' collectors --include='*.cpp' |
    grep -vE '^collectors/(inventory/command_lines|hardware/security_features).cpp$')"
rule "only main exits" \
  "$(grep -RnE '\b(std::|::)?(_?exit|quick_exit|abort|terminate)\(' \
    collectors exporter --include='*.cpp' |
    grep -vE '^(exporter/main.cpp|collectors/libvirt/child)')"

for name in $(collector_names); do
  missing=
  [ -f "collectors/$name.cpp" ] || missing+=" collectors/$name.cpp"
  [ -f "tests/collectors/${name}_test.cpp" ] || missing+=" its test"
  grep -q "{\"$name\"," collectors/catalog.cpp || missing+=" its line in catalog.cpp"
  grep -q "^| \`$name\` |" README.md || missing+=" its row in the README"
  rule "collector $name is complete" "$missing"
done
rule "every collector is in the catalog" \
  "$(for file in $(grep -l 'public Collector' collectors/*.cpp); do
    name=$(basename "$file" .cpp)
    collector_names | grep -qx "$name" || echo "$file"
  done)"

rule "every parser has a look in tests/fuzz" \
  "$(grep -hoP '\bparse_\w+(?=\(\s*(std::string_view|$|const std::vector))' \
    collectors/*/*.h exporter/*.h | sort -u | while read -r parser; do
    grep -qw "$parser" tests/fuzz/*.cpp || echo "$parser"
  done)"

metrics=$(grep -oP '^# TYPE \K\S+' tests/golden/host.prom | sort -u)
rule "every metric of the golden page is in the README" \
  "$(for metric in $metrics; do
    grep -qF "\`$metric\`" README.md || echo "$metric"
  done)"
rule "every metric of the README is said by the program" \
  "$(grep -oP '^\| `\Kvcpu_\w+' README.md | sort -u |
    while read -r metric; do
      grep -RqF "\"$metric\"" collectors exporter --include='*.cpp' || echo "$metric"
    done)"
rule "every HELP ends with its source" \
  "$(grep '^# HELP' tests/golden/host.prom | grep -viE '(;|\.) from [^;]+\.$')"
rule "every flag of the README exists" \
  "$(grep -oP '`\K--[a-z][a-zA-Z.-]+(?=[=` ])' README.md | sort -u |
    while read -r flag; do
      name=${flag#--}
      name=${name#no-}
      case $name in
        run | help | version | once | config.check | keep | list) continue ;;
        collector.*) continue ;;
      esac
      grep -Rq "\"$name\"" exporter/*.cpp || echo "$flag"
    done)"

tests_named_in() { # As Suite.Name, test_name or unit_name.
  grep -oP '`\K(([A-Z]\w+\.[A-Z]\w+)|((test|unit)_\w+))(?=`)' "$1" | sort -u
}
tests_that_there_are() {
  grep -RhozP --include='*.cpp' 'TEST(_F|_P)?\(\w+,\s*\w+\)' tests | tr '\0\n' '\n ' |
    sed -E 's/^TEST[_FP]*\((\w+), *(\w+)\)$/\1.\2/'
  grep -RhoP --include='*.py' '^ *def \Ktest_\w+' tests
  grep -oP '^ *result \Kunit_\w+' tests/exporter/systemd_unit.sh
}
rule "no heading of the README stands twice" \
  "$(grep -E '^##+ ' README.md | sort | uniq -d)"
rule "every test that SECURITY.md names exists" \
  "$(comm -23 <(tests_named_in SECURITY.md) <(tests_that_there_are | sort -u))"
rule "every promise of the README has tests in SECURITY.md" \
  "$(sed -n '/^## Promises/,/^## /p' README.md | grep -oP '^\d+\.' |
    while read -r number; do
      grep -qE "^\| ${number/./\\.} .* \| .*\`" SECURITY.md || echo "$number"
    done)"

sources=$(git ls-files '*.cpp' '*.h' '*.sh' '*.py' .ci/run 2>/dev/null)
rule "every source has its licence" \
  "$(for file in $sources; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"
  done)"
rule "scripts are executable" \
  "$(for file in $(git ls-files '*.sh' .ci/run); do
    [ -x "$file" ] || echo "$file"
  done)"

exit $failed

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# See it catch a fault: starts a libvirtd with a few small VMs, the exporter, Prometheus and Alertmanager, all private to this
# demonstration, makes one fault after the other, and shows which alert arrives, whom it names, and that it ends after the cure.
# What is shipped as a minute lasts a second. It leaves nothing behind, but it loads this machine: not for a host that serves.
#
# usage: sudo deploy/demo.sh [--keep] [--exporter FILE] [FAULT...]   the faults with such names; default: all, ten and a half minutes
#        deploy/demo.sh --list                                       their names
#   --keep           the last fault is not cured: all runs on until Ctrl-C
#   --exporter FILE  default: build/release/vcpu_exporter, which deploy/quickstart.sh --no-run builds
set -euo pipefail
here=$(dirname "$(realpath "$0")")

exporter=$here/../build/release/vcpu_exporter
play=(/usr/bin/python3 -B "$here/../tests/faults/run.py" --story)
while [ $# -gt 0 ]; do
  case $1 in
    --keep) play+=(--keep) ;;
    --list) exec "${play[@]}" --list "" ;;
    --exporter)
      exporter=${2:?--exporter needs a file}
      shift
      ;;
    -*)
      sed -n 's/^# usage: /usage: /p; s/^#   /  /p' "$0" >&2
      exit 1
      ;;
    *) break ;;
  esac
  shift
done

if [ "$(id -u)" != 0 ]; then
  echo "It needs root: sudo $0" >&2
  exit 1
fi
"$here/install_packages.sh" --check "$here/../tests/live/packages.txt"
if [ ! -x "$exporter" ]; then
  echo "There is no $(realpath -m "$exporter"): build it with $here/quickstart.sh --no-run" >&2
  exit 1
fi
exec "${play[@]}" "$exporter" "$@"

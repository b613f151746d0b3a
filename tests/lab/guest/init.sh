#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# The first process of the lab's machine: sets up a Linux host, runs /steps one after the other, and switches off.
# What a step prints goes out of the second serial port when the step has ended, so that nothing can come in between:
#   @@BEGIN name, its output, @@STDERR, its errors, @@END name status
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/sbin:/usr/sbin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 none /sys/fs/cgroup
mount -t debugfs none /sys/kernel/debug
mount -t tracefs none /sys/kernel/tracing
mount -t bpf none /sys/fs/bpf
chmod 1777 /tmp
ip link set lo up
for module in $(cat /modules); do
  insmod "/modules.d/$module" || echo "insmod $module failed"
done

exec 3>/dev/ttyS1
stty -F /dev/ttyS1 raw
for file in /steps/*; do
  step=${file#/steps/*-}
  timeout 100 sh -c '. /lab.sh; set -eu; . "$0"' "$file" >"/run/$step.stdout" 2>"/run/$step.stderr" </dev/null 3>&-
  status=$?
  {
    echo "@@BEGIN $step"
    cat "/run/$step.stdout"
    printf '\n@@STDERR\n'
    cat "/run/$step.stderr"
    printf '\n@@END %s %d\n' "$step" "$status"
  } >&3
done
poweroff -f

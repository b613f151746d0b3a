#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# What every step of the lab can call. A step ends at its first command that fails.

await() { # await SECONDS COMMAND...: until it succeeds; fails when it does not in time.
  local deadline
  deadline=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until "$@"; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt $deadline ] || { echo "waited in vain for $*" >&2 && return 1; }
    sleep 0.1
  done
}

spin_on() { # spin_on CPU: a busy loop there, for as long as the machine runs or until $! is killed.
  taskset -c "$1" sh -c 'while :; do :; done' &
}

start_inner_guest() { # start_inner_guest NAME CPUS VCPUS WORK [QEMU_ARGUMENT...]: WORK is spin or idle.
  local name=$1 cpus=$2 vcpus=$3 work=$4
  shift 4
  taskset -c "$cpus" /usr/bin/qemu-system-x86_64 -name "guest=$name,debug-threads=on" \
    -accel kvm -cpu host -smp "$vcpus" -m 128 -nodefaults -display none -no-reboot \
    -serial "file:/run/$name.serial" -pidfile "/run/$name.pid" \
    -kernel /boot/vmlinuz -initrd /boot/inner.initrd -append "console=ttyS0 quiet work=$work" "$@" \
    </dev/null >"/run/$name.log" 2>&1 &
}

await_inner_guest() { # await_inner_guest NAME: until it has booted.
  await 95 grep -qs 'inner guest is ready' "/run/$1.serial" || { cat "/run/$1.log" "/run/$1.serial" >&2 && return 1; }
}

vcpu_schedstats() { # vcpu_schedstats NAME...: "NAME VCPU RUN_NS WAIT_NS DISPATCHES" of the vCPU threads of inner guests
  local name task comm vcpu
  for name in "$@"; do
    for task in "/proc/$(cat "/run/$name.pid")/task"/*; do
      read -r comm <"$task/comm"
      case $comm in CPU\ */KVM) ;; *) continue ;; esac
      vcpu=${comm#CPU }
      echo "$name ${vcpu%/KVM} $(cat "$task/schedstat")"
    done
  done
}

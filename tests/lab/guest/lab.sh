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

# The command lines of guests may be read too late for the first page of a slow machine.
await_seen() { # await_seen ADDRESS LOG NAME...: until the exporter that listens there shows all these guests.
  local address=$1 log=$2
  shift 2
  await 60 all_seen "$address" "$@" || { cat "$log" >&2 && return 1; }
}

all_seen() { # all_seen ADDRESS NAME...
  local page name
  page=$(wget -q -O - "http://$1/metrics") || return 1
  shift
  for name in "$@"; do
    echo "$page" | grep -q "^vcpu_run_seconds_total{domain=\"$name\"" || return 1
  done
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

start_fake_vm() { # start_fake_vm NAME CPUS COMMAND...: a fake_vmm with two vCPU threads on these CPUs, alone in a group.
  # Returns when it has done what it was told (see fake_vmm.cpp) and its threads have run; ends with the step.
  local name=$1 cpus=$2 group=/sys/fs/cgroup/$1
  shift 2
  mkdir "$group"
  mkdir -p /run/fake
  ln -sf /usr/bin/fake_vmm /run/fake/qemu-system-x86_64
  {
    for command in "$@" "spin 300"; do echo "$command"; done
    exec sleep 100
  } | FAKE_VMM_THREADS="CPU 0/KVM|CPU 1/KVM" sh -c 'echo $$ >"$0/cgroup.procs"
    exec taskset -c "$1" /run/fake/qemu-system-x86_64 -name "$2,debug-threads=on"' \
    "$group" "$cpus" "$name" >"/run/$name.said" 2>&1 &
  await 60 has_done "/run/$name.said" $(($# + 1)) || { cat "/run/$name.said" >&2 && return 1; }
}

has_done() { # has_done FILE TIMES
  [ "$(grep -c '^done$' "$1")" = "$2" ]
}

await_memory() { # await_memory GROUP MEBIBYTES: until the kernel has counted them; it does so every two seconds.
  await 20 has_memory "$1" "$2"
}

has_memory() { # has_memory GROUP MEBIBYTES: all but one of them, as it lags.
  awk -v least=$((($2 - 1) << 20)) '
    /^(anon|shmem) / { for (i = 2; i <= NF; ++i) { sub(/N[0-9]*=/, "", $i); sum += $i } }
    END { exit !(sum >= least) }' "/sys/fs/cgroup/$1/memory.numa_stat"
}

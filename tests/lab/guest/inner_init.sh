#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# The first process of an inner guest, which spins on every vCPU or idles. One that has an exporter prints its page, between
# two uptimes, and "end" to the second serial port whenever it reads a line there.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
if grep -q work=spin /proc/cmdline; then
  # What else runs here goes first.
  for cpu in $(seq "$(nproc)"); do
    (while :; do :; done) &
    renice -n 19 -p $! >/dev/null
  done
fi
if [ -x /usr/bin/vcpu_exporter ]; then
  mount -t sysfs sys /sys
  ip link set lo up
  stty -F /dev/ttyS1 raw -echo
  vcpu_exporter --no-ebpf --no-libvirt --collector.disable-defaults --collector.guest --web.listen-address=127.0.0.1:9752 &
  until wget -q -O /dev/null http://127.0.0.1:9752/-/ready; do sleep 0.2; done
  while read -r _; do
    began=$(cut -d' ' -f1 /proc/uptime)
    wget -q -O /run/page http://127.0.0.1:9752/metrics
    echo "uptime $began $(cut -d' ' -f1 /proc/uptime)"
    grep '^vcpu_guest_' /run/page
    echo end
  done </dev/ttyS1 >/dev/ttyS1 &
fi
echo "inner guest is ready"
while :; do sleep 3600; done

#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# The first process of an inner guest, which spins on every vCPU or idles.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
if grep -q work=spin /proc/cmdline; then
  for cpu in $(seq "$(nproc)"); do (while :; do :; done) & done
fi
echo "inner guest is ready"
while :; do sleep 3600; done

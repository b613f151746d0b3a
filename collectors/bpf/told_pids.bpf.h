/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A bit per pid that our side sets (told_pids.h), for .bpf.c files only: a
 * program looks at it for every task of the host, so it has to cost nothing.
 */
#pragma once

#include "collectors/bpf/kernel.h"

#define TOLD_PIDS_MAX (4 * 1024 * 1024) /* PID_MAX_LIMIT of 64-bit kernels. */

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, TOLD_PIDS_MAX / 64);
  __type(key, u32);
  __type(value, u64);
} told_pids SEC(".maps");

static __always_inline bool is_told(u32 pid) {
  u32 word = pid / 64;
  u64* bits = bpf_map_lookup_elem(&told_pids, &word);

  return bits && *bits >> (pid % 64) & 1;
}

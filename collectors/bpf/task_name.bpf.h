/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A task's name (comm), by words, for .bpf.c files only: where it stands it is
 * read as it is, without a call.
 */
#pragma once

#include "collectors/bpf/kernel.h"

static __always_inline const u64* name_in(const struct task_struct* task) {
  return (void*)task + bpf_core_field_offset(task->comm);
}

static __always_inline void copy_name(const struct task_struct* task,
                                      char* name) {
  const u64* comm = name_in(task);

  ((u64*)name)[0] = comm[0];
  ((u64*)name)[1] = comm[1];
}

/* A thread of the kernel that works for a VM: vhost-PID. */
static __always_inline bool is_vhost(const u64* name) {
  return (*name & 0xffffffffffff) == 0x2d74736f6876; /* vhost- */
}

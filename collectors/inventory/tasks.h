/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What tasks.bpf.c (the kernel's side) writes about each task that matters, and
 * bpf_task_reader.cpp reads: a task_record, then `words` words of the mask of
 * CPUs it may use. Times are in nanoseconds.
 */
#pragma once

#include <linux/types.h>

#include "collectors/bpf/records.h"

#define TASK_MASK_WORDS 128 /* NR_CPUS of 64-bit kernels is 8192. */

// It is C as well, whose names these are.
// NOLINTBEGIN(readability-identifier-naming,modernize-avoid-c-arrays)

struct task_record {
  struct record_head head;
  __u32 num_threads; /* Of its process. */
  __u32 cpu;         /* It last ran on. */
  __u32 words;
  __u32 kernel_thread;
  __u64 start_ns; /* After boot. */
  __u64 run_ns;
  __u64 wait_ns; /* Waits for a CPU that have ended. */
  __u64 dispatches;
  __u64 voluntary;
  __u64 involuntary;
  __u64 migrations;
  __u64 waiting_ns; /* The wait that goes on; 0: it waits for no CPU. */
  __u64 major_faults;
  __u64 ended_major_faults; /* Of threads of its process that have ended. */
  __u64 page_table_bytes;   /* Of its process. */
  __u64 hugetlb_pages;      /* Of its process, in base pages. */
  __u64 groups;             /* Another where its control groups are others. */
  __u64 core_cookie;        /* 0: none; ~0: the kernel knows no such thing. */
  char comm[16];
};

// NOLINTEND(readability-identifier-naming,modernize-avoid-c-arrays)

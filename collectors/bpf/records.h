/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * How records of several kinds follow one another in what an iterator writes:
 * each begins with a record_head. C and C++.
 */
#pragma once

#include <linux/types.h>

// NOLINTBEGIN(readability-identifier-naming)

enum record_kind {
  TASK_RECORD = 1, /* inventory/tasks.h */
  ACCOUNT_RECORD,  /* runqueue.h */
};

struct record_head {
  __u32 kind;
  __u32 bytes; /* Head included. */
  __u32 tid;   /* Of the task it is about. */
  __u32 tgid;
};

// NOLINTEND(readability-identifier-naming)

/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What runqueue.bpf.c (the kernel's side) and runqueue.cpp (ours) say to each
 * other. C and C++; times in nanoseconds of the run queue's clock.
 *
 * Every vCPU thread has an Account, kept by the kernel with the task and gone
 * with it. Only the CPU that holds the lock of the task's run queue writes it;
 * `version` is odd meanwhile.
 *
 *   sum over buckets of their waits == waited
 *   sum of all kinds and culprits   == charged
 *   waited, charged <= run_delay - what had been waited before the account
 *                      was opened; they lag by the waits that are still open
 */
#pragma once

#include <linux/types.h>

#include "collectors/bpf/records.h"

/* Upper bounds are 2^10 .. 2^30 ns, then one bucket for the rest. */
#define WAIT_BUCKETS 22
#define WAIT_FIRST_BOUND_LOG2 10

/* Culprits by name in one account; further ones are sums by kind. */
#define NAMED_CULPRITS 16

/* Anybody can name his threads as vCPUs: so many accounts are opened by name
 * alone, before our side has told that they are a VM's. */
#define UNTOLD_ACCOUNTS 8192

/* An account that was not told in so many passes over all of them is closed,
 * two of which our side may make for each of its own: more than StolenTime
 * remembers. */
#define UNTOLD_PASSES 32

/* Where a culprit was found last, by a hash of who it is. */
#define CULPRIT_HINTS_LOG2 7
#define CULPRIT_HINTS (1 << CULPRIT_HINTS_LOG2)

#define TASK_NAME_LENGTH 16

// It is C as well, whose names these are.
// NOLINTBEGIN(readability-identifier-naming,modernize-avoid-c-arrays)

enum culprit_kind {
  CULPRIT_UNKNOWN,      /* The record of who ran does not reach back so far. */
  CULPRIT_IDLE,         /* Nobody: the CPU was still waking up. */
  CULPRIT_QUOTA,        /* Nobody: the VM's own CPU quota was used up. */
  CULPRIT_IRQ,          /* Interrupts, and the threads that handle them. */
  CULPRIT_SELF,         /* Another vCPU of the same VM. */
  CULPRIT_OWN_OVERHEAD, /* Another thread of the same VM. */
  /* From here on they have names. */
  CULPRIT_DOMAIN,   /* A vCPU of another VM. */
  CULPRIT_OVERHEAD, /* Another thread of another VM. */
  CULPRIT_HOST,     /* Everything else. */
  CULPRIT_KINDS
};
#define CULPRIT_KIND_SLOTS 16 /* A power of two, for the verifier. */

/* Who had a CPU. */
struct occupant {
  __u32 kind; /* DOMAIN: a vCPU, OVERHEAD: another thread of a VM, HOST, IRQ,
                 IDLE; UNKNOWN: nothing recorded. */
  __u32 tgid; /* DOMAIN, OVERHEAD: the VM's process. HOST, IRQ: 0. */
  char name[TASK_NAME_LENGTH]; /* Of its process; padded with zeros. */
};

struct named_culprit {
  struct occupant who;
  __u64 ns;
};

struct account {
  __u32 version;
  __u32 named; /* How many of `culprits` are in use. */
  __u64 waited;
  __u64 charged;
  __u64 run_delay_waited;  /* The task's run_delay that `waited` covers. */
  __u64 run_delay_charged; /* And `charged`. */
  __u64 waits[WAIT_BUCKETS];
  __u64
      by_kind[CULPRIT_KIND_SLOTS]; /* Of named kinds: what has lost its name. */
  struct named_culprit culprits[NAMED_CULPRITS];
  /* From here on of the kernel's side alone. */
  __u64 unranked[NAMED_CULPRITS]; /* What of a culprit's ns counts no more for
                                     its place; wraps. */
  __u64 halved_at;                /* What was `charged` then. */
  __u64 untold;                   /* Passes since our side told it last. */
  __u8 hints[CULPRIT_HINTS];
};

/* Which accounts a pass of the iterator brings. */
enum wanted_accounts {
  NO_ACCOUNTS,
  NEW_ACCOUNTS, /* What has changed since the last pass that brought any. */
  ALL_ACCOUNTS,
};

/* A vCPU as the iterator writes it; culprits that are not in use are cut off.
 */
struct account_record {
  struct record_head head;
  __u64 start_ns; /* After boot; with its tid: which thread. */
  struct account account;
};

/* The bucket of a wait: ceil(log2(ns)) from the first bound on. Without a
 * count of leading zeros, which eBPF has not. */
static inline __attribute__((always_inline)) __u32 bucket_of(__u64 ns) {
  __u64 v = (ns - 1) >> WAIT_FIRST_BOUND_LOG2;
  __u32 log = 0;

  if (ns <= (1ULL << WAIT_FIRST_BOUND_LOG2)) return 0;
  if (v >> 20 != 0) return WAIT_BUCKETS - 1;
  if (v >> 16 != 0) log += 16, v >>= 16;
  if (v >> 8 != 0) log += 8, v >>= 8;
  if (v >> 4 != 0) log += 4, v >>= 4;
  if (v >> 2 != 0) log += 2, v >>= 2;
  if (v >> 1 != 0) log += 1;
  return log + 1;
}

// NOLINTEND(readability-identifier-naming,modernize-avoid-c-arrays)

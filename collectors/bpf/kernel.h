/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The few fields of the kernel's own structs that our eBPF programs read, for
 * .bpf.c files only. Layouts are no matter: libbpf finds each field in the
 * running kernel's BTF when it loads a program (CO-RE).
 */
#pragma once

/* In this order: libbpf's headers need the types. */
// clang-format off
#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
// clang-format on

#define KERNEL_STRUCT __attribute__((preserve_access_index))

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;

#define PF_KTHREAD 0x00200000

/* include/linux/sched.h: CONFIG_SCHED_INFO. Times are of the run queue's clock.
 */
struct sched_info {
  unsigned long pcount;           /* Times put on a CPU. */
  unsigned long long run_delay;   /* Waited for a CPU, waits that have ended. */
  unsigned long long last_queued; /* When the open wait began; 0: none. */
} KERNEL_STRUCT;

/* kernel/sched/sched.h */
struct rq {
  u64 clock;
  int cpu;
  u64 prev_irq_time; /* CONFIG_IRQ_TIME_ACCOUNTING */
} KERNEL_STRUCT;

struct list_head {
  struct list_head* next;
} KERNEL_STRUCT;

struct cfs_rq { /* From throttled_clock on: CONFIG_CFS_BANDWIDTH. */
  struct rq* rq;
  u64 throttled_clock;      /* When it was throttled. */
  u64 throttled_clock_self; /* When it or one around it was; 0: it is not. */
  u64 throttled_clock_self_time; /* Sum of such spans that have ended. */
  int throttle_count;            /* Throttled itself or within one that is. */
  struct list_head throttled_limbo_list; /* Since Linux 6.18. */
} KERNEL_STRUCT;

struct sched_entity {
  struct sched_entity* parent;
  struct cfs_rq* cfs_rq; /* The queue it is on; of the CPU it is on. */
  u64 sum_exec_runtime;
  u64 nr_migrations;
} KERNEL_STRUCT;

struct signal_struct { /* What the threads of a process share. */
  int nr_threads;
  unsigned long maj_flt; /* Of its threads that have ended. */
} KERNEL_STRUCT;

typedef struct {
  __s64 counter;
} KERNEL_STRUCT atomic_long_t;

struct mm_struct { /* A process's memory; null for kernel threads. */
  atomic_long_t pgtables_bytes;
  atomic_long_t hugetlb_usage; /* Base pages; CONFIG_HUGETLB_PAGE. */
} KERNEL_STRUCT;

struct css_set; /* The control groups of a task, shared by all with the same. */

struct thread_info {
  u32 cpu; /* Since Linux 5.16. */
} KERNEL_STRUCT;

typedef struct cpumask {
  unsigned long bits[1]; /* As many as the kernel was built for. */
} KERNEL_STRUCT cpumask_t;

struct task_struct {
  unsigned int __state; /* 0: runnable; `state` before Linux 5.14. */
  struct thread_info thread_info;
  unsigned int flags;
  struct sched_entity se;
  cpumask_t cpus_mask; /* Affinity, as in /proc/PID/status. */
  struct sched_info sched_info;
  int exit_state; /* Not 0: has ended. */
  int pid;
  int tgid;
  struct task_struct* group_leader;
  unsigned long nvcsw; /* Voluntary and involuntary switches. */
  unsigned long nivcsw;
  unsigned long maj_flt; /* Page faults that waited for I/O. */
  u64 start_boottime;
  char comm[16];
  struct signal_struct* signal;
  struct mm_struct* mm;
  struct css_set* cgroups;   /* CONFIG_CGROUPS */
  unsigned long core_cookie; /* CONFIG_SCHED_CORE; 0: none. */
} KERNEL_STRUCT;

/* Before Linux 5.14. */
struct task_struct___with_state {
  long state;
} KERNEL_STRUCT;

/* Before Linux 5.16. */
struct task_struct___with_cpu {
  u32 cpu;
} KERNEL_STRUCT;

struct seq_file;

struct bpf_iter_meta {
  struct seq_file* seq;
} KERNEL_STRUCT;

struct bpf_iter__task {
  struct bpf_iter_meta* meta;
  struct task_struct* task; /* Null once, at the end. */
} KERNEL_STRUCT;

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The processes that may be VMMs and the threads of those that are, with the
// scheduler's figures, in one pass over all tasks.
#include "collectors/inventory/tasks.h"

#include "collectors/bpf/kernel.h"
#include "collectors/bpf/task_name.bpf.h"
#include "collectors/bpf/told_pids.bpf.h"

/* Said once, before loading: as many words as the host's possible CPUs need. */
const volatile __u32 mask_words = 1;

struct record_with_mask {
  struct task_record task;
  u64 mask[TASK_MASK_WORDS];
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct record_with_mask);
} scratch SEC(".maps");

/* A VMM has a thread besides its vCPU's. */
static __always_inline bool matters(const struct task_struct *task) {
  if (task->exit_state) return false;
  if (task->pid != task->tgid) return is_told(task->tgid);
  if (task->flags & PF_KTHREAD) return is_vhost(name_in(task));
  return task->signal->nr_threads > 1;
}

static __always_inline u32 cpu_of(struct task_struct *task) {
  struct task_struct___with_cpu *old = (void *)task;

  if (bpf_core_field_exists(old->cpu)) return old->cpu;
  return task->thread_info.cpu;
}

/* By the clock of the queue it waits in, which is as old as the last tick. */
static __always_inline u64 waiting(const struct task_struct *task) {
  u64 queued = task->sched_info.last_queued;
  u64 now;

  if (!queued) return 0;
  now = task->se.cfs_rq->rq->clock;
  return now > queued ? now - queued : 1;
}

/* A program that joins this pass, as walking the tasks is what costs most. */
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(u32));
  __uint(value_size, sizeof(u32));
} joined SEC(".maps");

static __always_inline void write_task(struct seq_file *seq,
                                       struct task_struct *task) {
  u32 zero = 0, words = mask_words;
  struct record_with_mask *record = bpf_map_lookup_elem(&scratch, &zero);
  struct task_record *out;

  if (!record || words > TASK_MASK_WORDS) return;
  out = &record->task;
  out->head.kind = TASK_RECORD;
  out->head.bytes = sizeof(*out) + words * sizeof(u64);
  out->head.tid = task->pid;
  out->head.tgid = task->tgid;
  out->num_threads = task->signal->nr_threads;
  out->cpu = cpu_of(task);
  out->words = words;
  out->kernel_thread = !!(task->flags & PF_KTHREAD);
  out->start_ns = task->start_boottime;
  out->run_ns = task->se.sum_exec_runtime;
  out->wait_ns = task->sched_info.run_delay;
  out->dispatches = task->sched_info.pcount;
  out->voluntary = task->nvcsw;
  out->involuntary = task->nivcsw;
  out->migrations = task->se.nr_migrations;
  out->waiting_ns = waiting(task);
  out->major_faults = task->maj_flt;
  out->ended_major_faults = task->signal->maj_flt;
  out->page_table_bytes = task->mm->pgtables_bytes.counter;
  out->hugetlb_pages = 0;
  if (bpf_core_field_exists(task->mm->hugetlb_usage))
    out->hugetlb_pages = task->mm->hugetlb_usage.counter;
  out->groups = 0;
  if (bpf_core_field_exists(task->cgroups)) out->groups = (u64)task->cgroups;
  out->core_cookie = ~0ULL;
  if (bpf_core_field_exists(task->core_cookie))
    out->core_cookie = task->core_cookie;
  copy_name(task, out->comm);
  bpf_probe_read_kernel(record->mask, words * sizeof(u64),
                        (void *)task + bpf_core_field_offset(task->cpus_mask));
  bpf_seq_write(seq, record, sizeof(*out) + words * sizeof(u64));
}

SEC("iter/task")
int read_tasks(struct bpf_iter__task *context) {
  struct task_struct *task = context->task;

  if (task && matters(task)) write_task(context->meta->seq, task);
  bpf_tail_call(context, &joined, 0);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// How long vCPUs wait for a CPU, and who has it meanwhile.
//
// sched_switch says when a wait ends: its length is what the kernel is about to
// add to the task's run_delay, to the nanosecond. For every CPU there is a ring
// of who got it when. A wait is laid over the ring: each occupant is charged
// for the time that it had the CPU during the wait. What a CPU quota kept
// throttled is the quota's. A task that is moved while it waits is charged at
// the move, for the queue that it leaves.
//
// Rings, accounts and clocks are touched under the lock of the run queue only,
// which the kernel holds in all of these hooks; no atomics are needed.
#include "collectors/bpf/kernel.h"
#include "collectors/runqueue.h"

#define RING 256     /* Slices a CPU remembers; a power of two. */
#define THROTTLES 16 /* Spans of throttling that a CPU remembers, likewise. */
#define SPANS 4      /* Such spans within one wait that are told apart. */
#define LEVELS 8     /* Nested cgroups that are looked at for a quota. */
#define PIDS_MAX (4 * 1024 * 1024)

/* Said once, before loading. */
const volatile __u8 with_culprits = 1;
const volatile __u64 attached_at = 0; /* Boot time; threads born later are whole. */

struct slice {
  u64 from;
  u64 irq; /* The CPU's irq time when it began. */
  struct occupant who;
};

struct throttle {
  u64 queue; /* Address of the cfs_rq. */
  u64 from;
  u64 to;
};

struct cpu {
  u32 head; /* Of `slices`: the one that goes on. */
  u32 throttle_head;
  struct slice slices[RING];
  struct throttle throttles[THROTTLES];
};

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct account);
} accounts SEC(".maps");

/* Of the first thread of each VM's process. */
struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, u32);
} vmms SEC(".maps");

/* One entry for each possible CPU; its size is set before loading. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct cpu);
} cpus SEC(".maps");

/* A bit per pid, written by our side: VMM processes and their vCPU threads. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, PIDS_MAX / 64);
  __type(key, u32);
  __type(value, u64);
} told SEC(".maps");

/* A wait that is being charged. */
struct wait {
  u64 from;
  u64 to;
  u32 victim; /* Process of the VM. */
  u32 spans;
  u64 queues[LEVELS];   /* That it is in, from its own cgroup's upwards. */
  u64 span_from[SPANS]; /* When they were throttled: disjoint, latest first. */
  u64 span_to[SPANS];
  u64 earliest;  /* Where the last span found begins; at first `to`. */
  u64 throttled; /* Sum of the spans. */
};

static __always_inline u64 least(u64 a, u64 b) { return a < b ? a : b; }
static __always_inline u64 most(u64 a, u64 b) { return a > b ? a : b; }

static __always_inline bool same(const struct occupant *a,
                                 const struct occupant *b) {
  const u64 *x = (const u64 *)a, *y = (const u64 *)b;

  return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

static __always_inline u32 hash_of(const struct occupant *who) {
  const u64 *x = (const u64 *)who;

  return ((x[0] ^ x[1] ^ x[2]) * 0x9e3779b97f4a7c15) >> (64 - CULPRIT_HINTS_LOG2);
}

static __always_inline u64 irq_time(struct rq *rq) {
  if (!bpf_core_field_exists(rq->prev_irq_time)) return 0;
  return rq->prev_irq_time;
}

/* ceil(log2(ns)) from the first bound on. */
static __always_inline u32 bucket_of(u64 ns) {
  u64 v = (ns - 1) >> WAIT_FIRST_BOUND_LOG2;
  u32 log = 0;

  if (ns <= (1ull << WAIT_FIRST_BOUND_LOG2)) return 0;
  if (v >> 20) return WAIT_BUCKETS - 1;
  if (v >> 16) log += 16, v >>= 16;
  if (v >> 8) log += 8, v >>= 8;
  if (v >> 4) log += 4, v >>= 4;
  if (v >> 2) log += 2, v >>= 2;
  if (v >> 1) log += 1;
  return log + 1;
}

/* ---- Who is who. */

static __always_inline struct account *account_of(struct task_struct *task) {
  return bpf_task_storage_get(&accounts, task, 0, 0);
}

static __always_inline bool is_told(u32 pid) {
  u32 word = pid / 64;
  u64 *bits = bpf_map_lookup_elem(&told, &word);

  return bits && *bits >> (pid % 64) & 1;
}

/* As collectors/inventory/thread_role.cpp; a name is enough to open an account,
 * our side knows which of them are a VM's. */
static __always_inline bool named_as_vcpu(const char *name) {
  const u32 *word = (const u32 *)name;

  if (word[0] == 0x20555043) return true;                           /* "CPU " */
  if (word[0] == 0x75706376) return true;                           /* vcpu */
  return word[0] == 0x765f6366 && (word[1] & 0xffffff) == 0x757063; /* fc_vcpu */
}

static __always_inline void name_of(struct task_struct *process, char *name) {
  const u64 *comm = (void *)process + bpf_core_field_offset(process->comm);

  ((u64 *)name)[0] = comm[0];
  ((u64 *)name)[1] = comm[1];
}

/* Threads of the kernel are called kworker/3:1-events, ksoftirqd/3, irq/24-nvme,
 * vhost-PID: what comes before the slash is what an operator can act upon. */
static __always_inline void kernel_thread(struct occupant *who) {
  const u64 *word = (const u64 *)who->name;
  bool cut = false;
  u32 owner = 0;

  if ((word[0] & 0xffffffffffff) == 0x2d74736f6876) { /* vhost- */
    for (int i = 6; i < TASK_NAME_LENGTH && who->name[i]; i++)
      owner = owner * 10 + (who->name[i] - '0');
    who->kind = CULPRIT_OVERHEAD;
    who->tgid = owner;
    return;
  }
  if (word[0] == 0x7172697466736f6b /* ksoftirq */ ||
      (word[0] & 0xffffffff) == 0x2f717269 /* irq/ */) {
    who->kind = CULPRIT_IRQ;
    return;
  }
  for (int i = 0; i < TASK_NAME_LENGTH; i++) {
    if (who->name[i] == '/') cut = true;
    if (cut) who->name[i] = 0;
  }
}

static __always_inline void occupant_of(struct task_struct *task,
                                        struct account *account,
                                        struct occupant *who) {
  struct task_struct *process = task->group_leader;

  who->tgid = 0;
  if (task->pid == 0) {
    who->kind = CULPRIT_IDLE;
    return;
  }
  name_of(process, who->name);
  who->kind = CULPRIT_HOST;
  if (task->flags & PF_KTHREAD) {
    kernel_thread(who);
  } else if (account) {
    who->kind = CULPRIT_DOMAIN;
    who->tgid = task->tgid;
  } else if (bpf_task_storage_get(&vmms, process, 0, 0)) {
    who->kind = CULPRIT_OVERHEAD;
    who->tgid = task->tgid;
  }
}

/* ---- Charging. */

static __always_inline u32 kind_for(const struct occupant *who, u32 victim) {
  if (who->tgid != victim) return who->kind;
  if (who->kind == CULPRIT_DOMAIN) return CULPRIT_SELF;
  if (who->kind == CULPRIT_OVERHEAD) return CULPRIT_OWN_OVERHEAD;
  return who->kind;
}

static __always_inline void charge_kind(struct account *account, u32 kind,
                                        u64 ns) {
  /* In assembler, as the compiler knows it is needless, and Linux 6.1 does not. */
  asm volatile("%0 &= %1" : "+r"(kind) : "i"(CULPRIT_KIND_SLOTS - 1));
  account->by_kind[kind] += ns;
}

/* A culprit that has no place takes that of the least: who matters returns.
 * Not static, nor is what follows: the verifier looks at it once, and not once
 * for each way to come there. */
__noinline u32 new_place(struct account *account, const struct occupant *who) {
  u32 place = 0;
  u64 smallest = ~0ull;

  if (!account || !who) return 0;
  if (account->named < NAMED_CULPRITS) {
    place = account->named++;
  } else {
    for (u32 i = 0; i < NAMED_CULPRITS; i++) {
      if (account->culprits[i].ns >= smallest) continue;
      smallest = account->culprits[i].ns;
      place = i;
    }
  }
  struct named_culprit *taken = &account->culprits[place & (NAMED_CULPRITS - 1)];

  charge_kind(account, taken->who.kind, taken->ns);
  taken->who = *who;
  taken->ns = 0;
  return place;
}

/* Once for each slice of each wait: found at a glance, as a rule. */
static __always_inline struct named_culprit *place_for(
    struct account *account, const struct occupant *who) {
  u8 *hint = &account->hints[hash_of(who)];
  struct named_culprit *one = &account->culprits[*hint & (NAMED_CULPRITS - 1)];
  u32 named = account->named, place;

  if (same(&one->who, who)) return one;
  for (u32 i = 0; i < NAMED_CULPRITS && i < named; i++) {
    one = &account->culprits[i];
    if (!same(&one->who, who)) continue;
    *hint = i;
    return one;
  }
  place = new_place(account, who) & (NAMED_CULPRITS - 1);
  *hint = place;
  return &account->culprits[place];
}

static __always_inline void charge(struct account *account,
                                   const struct occupant *who, u32 victim,
                                   u64 ns) {
  u32 kind = kind_for(who, victim);

  if (kind >= CULPRIT_DOMAIN)
    place_for(account, who)->ns += ns;
  else
    charge_kind(account, kind, ns);
}

/* How much of [from, to] the quota had the victim stopped. */
static __always_inline u64 throttled(const struct wait *wait, u64 from, u64 to) {
  u64 sum = 0;

  for (u32 i = 0; i < SPANS; i++) {
    u64 a = most(from, wait->span_from[i]);
    u64 b = least(to, wait->span_to[i]);

    if (i >= wait->spans) break;
    if (a < b) sum += b - a;
  }
  return sum;
}

/* Returns what could be charged for a slice that ended at `end`. */
__noinline u64 charge_slice(struct account *account, const struct wait *wait,
                            const struct slice *slice, u64 end, u64 irq) {
  u64 from, ns;

  if (!account || !wait || !slice) return 0;
  from = most(slice->from, wait->from);
  if (from >= end) return 0;
  ns = end - from;
  if (wait->spans) ns -= throttled(wait, from, end);
  irq -= slice->irq;
  if (irq && from != slice->from)
    irq = irq * (end - from) / (end - slice->from);
  irq = least(irq, ns);
  if (irq) charge_kind(account, CULPRIT_IRQ, irq);
  if (ns > irq) charge(account, &slice->who, wait->victim, ns - irq);
  return ns;
}

/* Lays the wait over the ring; returns what it could charge. */
__noinline u64 charge_occupants(struct account *account, struct cpu *cpu,
                                const struct wait *wait, u64 irq) {
  u64 end, charged = 0;

  if (!account || !cpu || !wait) return 0;
  end = wait->to;
  for (u32 i = 0; i < RING; i++) {
    struct slice *slice = &cpu->slices[(cpu->head - i) & (RING - 1)];

    charged += charge_slice(account, wait, slice, end, irq);
    if (slice->from <= wait->from) break;
    end = slice->from;
    irq = slice->irq;
  }
  return charged;
}

__noinline int add_span(struct wait *wait, u64 from, u64 to) {
  u32 n;

  if (!wait) return 0;
  n = wait->spans;
  from = most(from, wait->from);
  to = least(to, wait->earliest);
  if (n >= SPANS) return 0;
  if (from >= to) return 0;
  wait->span_from[n] = from;
  wait->span_to[n] = to;
  wait->spans = n + 1;
  wait->earliest = from;
  wait->throttled += to - from;
  return 0;
}

__noinline int add_past_spans(struct wait *wait, struct cpu *cpu) {
  if (!wait || !cpu) return 0;
  for (u32 i = 0; i < THROTTLES; i++) {
    struct throttle *past =
        &cpu->throttles[(cpu->throttle_head - i) & (THROTTLES - 1)];
    bool its_own = false;

    if (past->to <= wait->from) break;
    for (u32 level = 0; level < LEVELS; level++)
      its_own |= wait->queues[level] == past->queue;
    if (its_own) add_span(wait, past->from, past->to);
  }
  return 0;
}

/* The queue of one of its cgroups may have been throttled, or still be. */
static __always_inline void find_throttled(struct task_struct *task,
                                           struct cpu *cpu, struct wait *wait) {
  struct sched_entity *entity = &task->se;

  for (u32 i = 0; i < LEVELS && entity; i++) {
    struct cfs_rq *queue = entity->cfs_rq;
    struct sched_entity *parent = entity->parent;
    int above = parent ? parent->cfs_rq->throttle_count : 0;

    wait->queues[i] = (u64)queue;
    if (queue->throttle_count > above && queue->throttled_clock)
      add_span(wait, queue->throttled_clock, wait->to);
    entity = parent;
  }
  add_past_spans(wait, cpu);
}

/* Charges what the task has waited, up to now, on the CPU it is queued on. */
static __always_inline void charge_wait(struct task_struct *task,
                                        struct account *account, struct rq *rq,
                                        u64 run_delay) {
  u32 index = rq->cpu;
  struct cpu *cpu = bpf_map_lookup_elem(&cpus, &index);
  struct wait wait = {};
  u64 ns = run_delay - account->run_delay_charged;
  u64 charged = 0;

  account->run_delay_charged = run_delay;
  account->charged += ns;
  wait.to = rq->clock;
  wait.from = wait.to - ns;
  wait.earliest = wait.to;
  wait.victim = task->tgid;
  if (cpu) {
    u64 last = cpu->throttles[cpu->throttle_head & (THROTTLES - 1)].to;

    if (last > wait.from || task->se.cfs_rq->throttle_count > 0) {
      find_throttled(task, cpu, &wait);
      charge_kind(account, CULPRIT_QUOTA, wait.throttled);
    }
    charged = wait.throttled + charge_occupants(account, cpu, &wait, irq_time(rq));
  }
  if (ns > charged) charge_kind(account, CULPRIT_UNKNOWN, ns - charged);
}

/* ---- Hooks. */

/* Readers look at it on another CPU, without the lock. */
static __always_inline void begin_change(struct account *account) {
#ifdef __TARGET_ARCH_x86
  *(volatile u32 *)&account->version += 1;
  barrier();
#else
  __sync_fetch_and_add(&account->version, 1);
#endif
}
#define end_change begin_change

static __always_inline void end_wait(struct task_struct *task,
                                     struct account *account, struct rq *rq) {
  u64 queued = task->sched_info.last_queued;
  u64 run_delay = task->sched_info.run_delay;
  u64 waited;

  /* As sched_info_arrive() is about to, with this very clock. */
  if (queued) run_delay += rq->clock - queued;
  waited = run_delay - account->run_delay_waited;
  if (!queued && !waited) return;
  begin_change(account);
  account->waits[bucket_of(waited)]++;
  account->waited += waited;
  account->run_delay_waited = run_delay;
  if (with_culprits && run_delay != account->run_delay_charged)
    charge_wait(task, account, rq, run_delay);
  end_change(account);
}

static __always_inline void begin_slice(struct task_struct *task,
                                        struct account *account,
                                        struct rq *rq) {
  u32 index = rq->cpu;
  struct cpu *cpu = bpf_map_lookup_elem(&cpus, &index);
  struct slice *slice;

  if (!cpu) return;
  cpu->head++;
  slice = &cpu->slices[cpu->head & (RING - 1)];
  slice->from = rq->clock;
  slice->irq = irq_time(rq);
  occupant_of(task, account, &slice->who);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev,
             struct task_struct *next) {
  struct account *account = account_of(next);
  struct rq *rq;

  if (!account && !with_culprits) return 0;
  rq = next->se.cfs_rq->rq;
  if (account) end_wait(next, account, rq);
  if (with_culprits) begin_slice(next, account, rq);
  return 0;
}

/* The task has just left its queue, and run_delay has what it waited there. */
SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *task, int to) {
  struct account *account = account_of(task);
  u64 run_delay;

  if (!account) return 0;
  run_delay = task->sched_info.run_delay;
  if (run_delay == account->run_delay_charged) return 0;
  begin_change(account);
  charge_wait(task, account, task->se.cfs_rq->rq, run_delay);
  end_change(account);
  return 0;
}

/* throttled_clock is told before, and the time after: an idle CPU's clock is
 * only set right within. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, u64);
} throttled_from SEC(".maps");

SEC("fentry/unthrottle_cfs_rq")
int BPF_PROG(before_unthrottle, struct cfs_rq *queue) {
  u32 zero = 0;
  u64 *from = bpf_map_lookup_elem(&throttled_from, &zero);

  if (from) *from = queue->throttled_clock;
  return 0;
}

SEC("fexit/unthrottle_cfs_rq")
int BPF_PROG(after_unthrottle, struct cfs_rq *queue) {
  u32 zero = 0, index = queue->rq->cpu;
  u64 *from = bpf_map_lookup_elem(&throttled_from, &zero);
  struct cpu *cpu = bpf_map_lookup_elem(&cpus, &index);
  struct throttle *past;

  if (!from || !*from || !cpu) return 0;
  cpu->throttle_head++;
  past = &cpu->throttles[cpu->throttle_head & (THROTTLES - 1)];
  past->queue = (u64)queue;
  past->from = *from;
  past->to = queue->rq->clock;
  return 0;
}

/* ---- Accounts: opened by name or as we are told, read by the iterator. */

/* [0] for the hook, [1] for the iterator: neither interrupts itself. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, u32);
  __type(value, struct account_record);
} scratch SEC(".maps");

static __always_inline struct account *open_account(struct task_struct *task,
                                                    struct account *blank,
                                                    u64 run_delay) {
  struct task_struct *process = task->group_leader;

  blank->run_delay_waited = run_delay;
  blank->run_delay_charged = run_delay;
  bpf_task_storage_get(&vmms, process, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  return bpf_task_storage_get(&accounts, task, blank,
                              BPF_LOCAL_STORAGE_GET_F_CREATE);
}

SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *task, const char *name) {
  u32 zero = 0;
  struct account_record *record = bpf_map_lookup_elem(&scratch, &zero);
  char start[8] = {};
  u64 run_delay = 0;

  if (!record || task->pid == task->tgid) return 0;
  bpf_probe_read_kernel(start, sizeof(start), name);
  if (!named_as_vcpu(start) || account_of(task)) return 0;
  /* Of one that was born under our eyes, what it waited before it had its name
   * is one wait more. */
  if (task->start_boottime < attached_at) run_delay = task->sched_info.run_delay;
  open_account(task, &record->account, run_delay);
  return 0;
}

/* Whole, unless it changed meanwhile. */
static __always_inline bool copied(const struct account *account,
                                   struct account *copy) {
  bpf_probe_read_kernel(copy, sizeof(*copy), account);
  barrier();
  return !(copy->version & 1) &&
         copy->version == *(const volatile u32 *)&account->version;
}

SEC("iter/task")
int read_accounts(struct bpf_iter__task *context) {
  struct task_struct *task = context->task;
  u32 one = 1, named;
  struct account_record *record = bpf_map_lookup_elem(&scratch, &one);
  struct account *account;
  bool ours;

  if (!task || !record || task->flags & PF_KTHREAD) return 0;
  ours = is_told(task->pid);
  if (task->pid == task->tgid) {
    if (ours)
      bpf_task_storage_get(&vmms, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    return 0;
  }
  account = account_of(task);
  if (!account) {
    char name[TASK_NAME_LENGTH];

    name_of(task, name);
    if (!ours && !named_as_vcpu(name)) return 0;
    __builtin_memset(&record->account, 0, sizeof(record->account));
    account = open_account(task, &record->account, task->sched_info.run_delay);
  }
  if (!account || !ours) return 0;
  (void)(copied(account, &record->account) || copied(account, &record->account) ||
      copied(account, &record->account) || copied(account, &record->account));
  record->tid = task->pid;
  record->tgid = task->tgid;
  record->start_ns = task->start_boottime;
  named = record->account.named;
  if (named > NAMED_CULPRITS) return 0;
  bpf_seq_write(context->meta->seq, record,
                __builtin_offsetof(struct account_record, account.culprits) +
                    named * sizeof(struct named_culprit));
  return 0;
}

char LICENSE[] SEC("license") = "GPL";

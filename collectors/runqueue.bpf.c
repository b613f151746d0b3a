// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// How long vCPUs wait for a CPU, and who has it meanwhile.
//
// sched_switch says when a wait ends: its length is what the kernel is about to
// add to the task's run_delay, to the nanosecond. For every CPU there is a ring
// of who got it when. A wait is laid over the ring: each occupant is charged
// for the time that it had the CPU during the wait. Slices that fall out of the
// ring are added up in stretches, whose occupants share what a wait covers of
// them; a stretch begins where a vCPU began to wait, as far as may be. What a CPU quota kept throttled is the quota's. A task that is moved
// while it waits is charged at the move, for the queue that it leaves.
//
// Rings and accounts are written under the lock of the run queue, which the
// kernel holds where a wait ends or moves; no atomics are needed. A task that is
// moved as it wakes up has no wait, and is let go before anything is touched.
#include "collectors/bpf/kernel.h"
#include "collectors/bpf/task_name.bpf.h"
#include "collectors/bpf/told_pids.bpf.h"
#include "collectors/runqueue.h"

#define RING 256     /* Slices a CPU remembers; a power of two. */
#define PAST 128     /* Stretches before them, likewise. */
#define STRETCH_NS (1 << 22)     /* No longer than this and one slice. */
#define SHORT_STRETCH_NS (1 << 20) /* No shorter than this. */
#define OCCUPANTS 8  /* That are told apart in a stretch, likewise. */
#define PROBES 4     /* Places that an occupant may have there. */
#define THROTTLES 64 /* Spans of throttling that a CPU remembers, likewise. */
#define SPANS 4      /* Such spans within one wait that are told apart: with more,
                      * Linux 6.1 finds the stack of all calls too large. */
#define LEVELS 8     /* Nested cgroups that are looked at for a quota. */
#define BROUGHT_PLACES (1 << 15)
#define HALVED_EACH_NS (1 << 28) /* Of waits: ranks, where places are short. */

/* Since Linux 6.18 tasks are throttled one by one, as they return to user mode:
 * each of them is seen leaving its CPU, and the run queue keeps the times. */
#define THROTTLES_TASKS \
  bpf_core_field_exists(struct cfs_rq, throttled_limbo_list)

__u8 throttles_tasks = 0; /* Told at the first reading. */

/* Which accounts a pass is to bring (wanted_accounts): read_accounts joins the
 * task reader's, which others want as well. */
__u8 accounts_wanted = NO_ACCOUNTS;

/* Set for the first pass: threads named as vCPUs get an account, as they do
 * later when they take such a name. */
__u8 opens_by_name = 0;

/* Accounts that were opened by name and not told yet, at most: who has ended
 * since the last pass over all accounts is still counted. What such a pass
 * finds of them becomes that number. */
__u32 untold_accounts = 0;
__u32 untold_found = 0;

/* Said once, before loading. */
const volatile __u8 with_culprits = 1;
const volatile __u64 attached_at = 0; /* Boot time; threads born later are whole. */

struct slice {
  u64 from;
  u64 irq; /* The CPU's irq time when it began. */
  u32 after_vcpu; /* A vCPU had the CPU taken away, and waits from now on. */
  struct occupant who;
};

struct stretch {
  u64 from;
  u64 irq; /* The CPU's irq time when it began. */
  struct named_culprit had[OCCUPANTS]; /* By a hash of who; 0 ns: nobody. */
  u64 had_by_kind[CULPRIT_KIND_SLOTS]; /* The others. */
};

struct throttle {
  u64 queue; /* Address of the cfs_rq. */
  u64 from;
  u64 to;     /* Of a hooked span. */
  u64 before; /* Of a noted span: what had been throttled before it. */
};

struct cpu {
  u32 head; /* Of `slices`: the one that goes on. */
  u32 throttle_head;
  u32 past_head;
  struct slice slices[RING];
  struct stretch past[PAST];
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

/* In assembler, where the compiler knows it is needless and a verifier does
 * not. */
#define BOUND(index, size) \
  asm volatile("%0 &= %1" : "+r"(index) : "i"((size)-1))

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

/* ---- Who is who. */

static __always_inline struct account *account_of(struct task_struct *task) {
  return bpf_task_storage_get(&accounts, task, 0, 0);
}

/* As collectors/inventory/thread_role.cpp; a name is enough to open an account,
 * our side knows which of them are a VM's. */
static __always_inline bool named_as_vcpu(const char *name) {
  const u32 *word = (const u32 *)name;

  if (word[0] == 0x20555043) return true;                           /* "CPU " */
  if (word[0] == 0x75706376) return true;                           /* vcpu */
  return word[0] == 0x765f6366 && (word[1] & 0xffffff) == 0x757063; /* fc_vcpu */
}

/* Threads of the kernel are called kworker/3:1-events, ksoftirqd/3, irq/24-nvme,
 * vhost-PID: what comes before the slash is what an operator can act upon. */
static __always_inline void kernel_thread(struct occupant *who) {
  const u64 *word = (const u64 *)who->name;
  bool cut = false;
  u32 owner = 0;

  if (is_vhost(word)) {
    for (int i = 6; i < TASK_NAME_LENGTH && who->name[i]; i++)
      owner = owner * 10 + (who->name[i] - '0');
    who->kind = CULPRIT_OVERHEAD;
    who->tgid = owner;
    return;
  }
  if (word[0] == 0x71726974666f736b /* ksoftirq */ ||
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
  copy_name(process, who->name);
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
  BOUND(kind, CULPRIT_KIND_SLOTS);
  account->by_kind[kind] += ns;
}

/* What counts for a place: old time fades, else whoever took much long ago would
 * keep it from who takes much now. */
static __always_inline u64 rank(const struct account *account, u32 place) {
  return account->culprits[place].ns - account->unranked[place];
}

__noinline int halve_ranks(struct account *account) {
  if (!account) return 0;
  account->halved_at = account->charged;
  for (u32 i = 0; i < NAMED_CULPRITS; i++)
    account->unranked[i] += rank(account, i) / 2;
  return 0;
}

/* A culprit that has no place takes that of the least, and its rank: so those
 * who come and go take it from each other, and one who takes as much as all of
 * them soon is not the least. Not static, nor is what follows: the verifier
 * looks at it once, and not once for each way to come there. */
__noinline u32 new_place(struct account *account, const struct occupant *who) {
  u32 place = 0;
  u64 least_rank = ~0ull;

  if (!account || !who) return 0;
  if (account->named < NAMED_CULPRITS) {
    place = account->named++;
  } else {
    if (account->charged - account->halved_at >= HALVED_EACH_NS)
      halve_ranks(account);
    for (u32 i = 0; i < NAMED_CULPRITS; i++) {
      if (rank(account, i) >= least_rank) continue;
      least_rank = rank(account, i);
      place = i;
    }
    account->unranked[place & (NAMED_CULPRITS - 1)] = -least_rank;
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

/* Not inlined, where it need not be fast: the verifier looks at it once. */
__noinline int charge_share(struct account *account, const struct occupant *who,
                            u32 victim, u64 ns) {
  if (account && who) charge(account, who, victim, ns);
  return 0;
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

/* `part` of `whole`, of `ns`. */
static __always_inline u64 share(u64 ns, u64 part, u64 whole) {
  if (part == whole) return ns;
  /* Seconds times seconds do not fit. */
  if (whole >> 31) ns >>= 10, whole >>= 10;
  return whole ? ns * part / whole : 0;
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
  irq = share(irq - slice->irq, end - from, end - slice->from);
  irq = least(irq, ns);
  if (irq) charge_kind(account, CULPRIT_IRQ, irq);
  if (ns > irq) charge(account, &slice->who, wait->victim, ns - irq);
  return ns;
}

/* The same for a stretch. */
__noinline u64 charge_stretch(struct account *account, const struct wait *wait,
                              const struct stretch *stretch, u64 end, u64 irq) {
  u64 from, ns, whole, rest;

  if (!account || !wait || !stretch) return 0;
  from = most(stretch->from, wait->from);
  if (from >= end) return 0;
  whole = end - stretch->from;
  ns = end - from;
  irq = share(irq - stretch->irq, ns, whole);
  if (wait->spans) ns -= throttled(wait, from, end);
  irq = least(irq, ns);
  if (irq) charge_kind(account, CULPRIT_IRQ, irq);
  rest = ns - irq;
  for (u32 i = 0; i < OCCUPANTS; i++) {
    u32 index = i;
    const struct named_culprit *one;
    u64 its;

    BOUND(index, OCCUPANTS);
    one = &stretch->had[index];
    if (!one->ns) continue;
    its = least(share(one->ns, ns - irq, whole), rest);
    rest -= its;
    charge_share(account, &one->who, wait->victim, its);
    if (!rest) return ns;
  }
  for (u32 kind = CULPRIT_KINDS - 1; kind > CULPRIT_UNKNOWN; kind--) {
    u64 its = least(share(stretch->had_by_kind[kind], ns - irq, whole), rest);

    rest -= its;
    charge_kind(account, kind, its);
  }
  charge_kind(account, CULPRIT_UNKNOWN, rest);
  return ns;
}

/* What the wait has in common with the time before the ring. */
__noinline u64 charge_past(struct account *account, struct cpu *cpu,
                           const struct wait *wait, u64 end, u64 irq) {
  u64 charged = 0;

  if (!account || !cpu || !wait) return 0;
  for (u32 i = 0; i < PAST; i++) {
    struct stretch *stretch = &cpu->past[(cpu->past_head - i) & (PAST - 1)];

    charged += charge_stretch(account, wait, stretch, end, irq);
    if (stretch->from <= wait->from) break;
    end = least(end, stretch->from);
    irq = stretch->irq;
  }
  return charged;
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
    if (slice->from <= wait->from) return charged;
    end = least(end, slice->from);
    irq = slice->irq;
  }
  return charged + charge_past(account, cpu, wait, end, irq);
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

/* Of the task's own queue: when it was throttled, if it still is, and how long
 * it ever was. A span that was noted has ended when that sum grew. */
__noinline int add_noted_spans(struct wait *wait, struct cpu *cpu, u64 since,
                               u64 sum) {
  u64 later = sum;

  if (!wait || !cpu) return 0;
  for (u32 i = 0; i < THROTTLES; i++) {
    struct throttle *span =
        &cpu->throttles[(cpu->throttle_head - i) & (THROTTLES - 1)];

    u64 to = span->from == since ? wait->to : span->from + later - span->before;

    if (span->queue != wait->queues[0]) continue;
    later = span->before;
    add_span(wait, span->from, to);
    if (wait->spans == SPANS || span->from <= wait->from) break;
  }
  return 0;
}

/* A task leaves its CPU: is it throttled? Each span is noted once. */
static __always_inline void note_throttle(struct task_struct *task,
                                          struct rq *rq) {
  struct cfs_rq *queue = task->se.cfs_rq;
  u64 since = queue->throttled_clock_self;
  u32 index = rq->cpu;
  struct throttle *span;
  struct cpu *cpu;

  if (!since) return;
  cpu = bpf_map_lookup_elem(&cpus, &index);
  if (!cpu) return;
  for (u32 i = 0; i < 4; i++) {
    span = &cpu->throttles[(cpu->throttle_head - i) & (THROTTLES - 1)];
    if (span->queue == (u64)queue && span->from == since) return;
  }
  cpu->throttle_head++;
  span = &cpu->throttles[cpu->throttle_head & (THROTTLES - 1)];
  span->queue = (u64)queue;
  span->from = since;
  span->before = queue->throttled_clock_self_time;
}

/* The queue of one of its cgroups may have been throttled, or still be. Not
 * inlined: Linux 6.1 refuses a loop whose head is fallen into from its end. */
static __noinline int add_hooked_spans(struct task_struct *task,
                                       struct wait *wait, struct cpu *cpu) {
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
  return add_past_spans(wait, cpu);
}

static __always_inline void find_throttled(struct task_struct *task,
                                           struct cpu *cpu, struct wait *wait) {
  struct cfs_rq *queue = task->se.cfs_rq;
  u64 last = cpu->throttles[cpu->throttle_head & (THROTTLES - 1)].to;

  if (!bpf_core_field_exists(queue->throttle_count)) return;
  if (!THROTTLES_TASKS) {
    if (last > wait->from || queue->throttle_count > 0)
      add_hooked_spans(task, wait, cpu);
  } else if (queue->throttled_clock_self || queue->throttled_clock_self_time) {
    wait->queues[0] = (u64)queue;
    add_noted_spans(wait, cpu, queue->throttled_clock_self,
                    queue->throttled_clock_self_time);
  }
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
    find_throttled(task, cpu, &wait);
    if (wait.throttled) charge_kind(account, CULPRIT_QUOTA, wait.throttled);
    charged = wait.throttled + charge_occupants(account, cpu, &wait, irq_time(rq));
  }
  if (ns > charged) charge_kind(account, CULPRIT_UNKNOWN, ns - charged);
}

/* ---- Hooks. */

/* Readers look at it on another CPU, without the lock. */
static __always_inline void begin_change(struct account *account) {
  barrier();
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

static __always_inline struct stretch *begin_stretch(
    struct cpu *cpu, const struct slice *slice) {
  struct stretch *stretch;

  cpu->past_head++;
  stretch = &cpu->past[cpu->past_head & (PAST - 1)];
  stretch->from = slice->from;
  stretch->irq = slice->irq;
  __builtin_memset(stretch->had, 0, sizeof(stretch->had));
  __builtin_memset(stretch->had_by_kind, 0, sizeof(stretch->had_by_kind));
  return stretch;
}

/* The oldest slice leaves the ring. */
__noinline int add_to_past(struct cpu *cpu, const struct slice *slice, u64 end) {
  struct stretch *stretch;
  u64 ns, length;
  u32 kind, hash;

  if (!cpu || !slice) return 0;
  stretch = &cpu->past[cpu->past_head & (PAST - 1)];
  ns = end - slice->from;
  length = slice->from - stretch->from;
  kind = slice->who.kind;
  hash = hash_of(&slice->who);
  if (length >= (slice->after_vcpu ? SHORT_STRETCH_NS : STRETCH_NS))
    stretch = begin_stretch(cpu, slice);
  for (u32 i = 0; i < PROBES && kind >= CULPRIT_DOMAIN; i++) {
    u32 index = hash + i;
    struct named_culprit *one;

    BOUND(index, OCCUPANTS);
    one = &stretch->had[index];
    if (!one->ns) one->who = slice->who;
    if (!same(&one->who, &slice->who)) continue;
    one->ns += ns;
    return 0;
  }
  BOUND(kind, CULPRIT_KIND_SLOTS);
  stretch->had_by_kind[kind] += ns;
  return 0;
}

static __always_inline bool is_runnable(struct task_struct *task) {
  struct task_struct___with_state *old = (void *)task;

  if (bpf_core_field_exists(old->state)) return !old->state;
  return !task->__state;
}

static __always_inline void begin_slice(struct task_struct *prev,
                                        struct task_struct *task,
                                        struct account *account,
                                        struct rq *rq) {
  u32 index = rq->cpu;
  struct cpu *cpu = bpf_map_lookup_elem(&cpus, &index);
  struct slice *slice;
  bool after_vcpu;

  if (!cpu) return;
  slice = &cpu->slices[cpu->head & (RING - 1)];
  after_vcpu = slice->who.kind == CULPRIT_DOMAIN && is_runnable(prev);
  cpu->head++;
  slice = &cpu->slices[cpu->head & (RING - 1)];
  add_to_past(cpu, slice, cpu->slices[(cpu->head + 1) & (RING - 1)].from);
  slice->from = rq->clock;
  slice->irq = irq_time(rq);
  slice->after_vcpu = after_vcpu;
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
  if (with_culprits) begin_slice(prev, next, account, rq);
  if (with_culprits && THROTTLES_TASKS) note_throttle(prev, rq);
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

  if (THROTTLES_TASKS) return 0;
  if (from) *from = queue->throttled_clock;
  return 0;
}

SEC("fexit/unthrottle_cfs_rq")
int BPF_PROG(after_unthrottle, struct cfs_rq *queue) {
  u32 zero = 0, index = queue->rq->cpu;
  u64 *from = bpf_map_lookup_elem(&throttled_from, &zero);
  struct cpu *cpu = bpf_map_lookup_elem(&cpus, &index);
  struct throttle *past;

  if (THROTTLES_TASKS || !from || !*from || !cpu) return 0;
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

/* In two: the compiler sets no more than a kilobyte at once. */
static __always_inline void clear_account(struct account *account) {
  const u32 told = __builtin_offsetof(struct account, unranked);

  __builtin_memset(account, 0, told);
  barrier();
  __builtin_memset(account->unranked, 0, sizeof(*account) - told);
}

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

static __always_inline bool has_room_for_untold(void) {
  if (untold_accounts >= UNTOLD_ACCOUNTS) return false;
  __sync_fetch_and_add(&untold_accounts, 1);
  return true;
}

SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *task, const char *name) {
  u32 zero = 0;
  struct account_record *record = bpf_map_lookup_elem(&scratch, &zero);
  struct account *account;
  char start[8] = {};
  u64 run_delay;

  if (!record || task->pid == task->tgid) return 0;
  bpf_probe_read_kernel(start, sizeof(start), name);
  if (!named_as_vcpu(start) || account_of(task)) return 0;
  if (!has_room_for_untold()) return 0;
  account = &record->account;
  clear_account(account);
  run_delay = task->sched_info.run_delay;
  /* Of one that was born under our eyes, what it waited before it had its name
   * is one wait, in no one's record. */
  if (run_delay && task->start_boottime >= attached_at) {
    account->waits[bucket_of(run_delay)] = 1;
    account->waited = run_delay;
    account->charged = run_delay;
    account->by_kind[CULPRIT_UNKNOWN] = run_delay;
  }
  open_account(task, account, run_delay);
  return 0;
}

/* How a task was when its account was brought last, by its tid as far as no
 * other has taken the place: who has not waited since has no news. Found without
 * its account, which lies in three places that the caches do not have. */
struct brought {
  u64 start_ns;
  u64 dispatches;
  u64 run_delay;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, BROUGHT_PLACES);
  __type(key, u32);
  __type(value, struct brought);
} brought SEC(".maps");

static __always_inline bool is_news(const struct brought *now,
                                    const struct brought *then) {
  return !then || now->start_ns != then->start_ns ||
         now->dispatches != then->dispatches ||
         now->run_delay != then->run_delay;
}

/* Whole, as far as it is in use, unless it changed meanwhile. */
static __always_inline bool copied(const struct account *account,
                                   struct account *copy) {
  u32 named = account->named;

  if (named > NAMED_CULPRITS) return false;
  bpf_probe_read_kernel(copy,
                        __builtin_offsetof(struct account, culprits) +
                            named * sizeof(struct named_culprit),
                        account);
  barrier();
  return copy->named == named && !(copy->version & 1) &&
         copy->version == *(const volatile u32 *)&account->version;
}

/* Whoever is not said to be a VM's thread has an account for a while only. */
static __always_inline void pass_untold(struct task_struct *task,
                                        struct account *account) {
  struct task_struct *process = task->group_leader;

  if (++account->untold <= UNTOLD_PASSES) {
    untold_found++;
    return;
  }
  bpf_task_storage_delete(&accounts, task);
  if (!is_told(task->tgid)) bpf_task_storage_delete(&vmms, process);
}

SEC("iter/task")
int read_accounts(struct bpf_iter__task *context) {
  struct task_struct *task = context->task;
  u32 one = 1, named, bytes, place;
  struct account_record *record = bpf_map_lookup_elem(&scratch, &one);
  struct brought now, *then;
  struct account *account;
  bool ours;

  if (THROTTLES_TASKS) throttles_tasks = 1;
  if (!accounts_wanted) return 0;
  if (!task || !record || task->flags & PF_KTHREAD) return 0;
  ours = is_told(task->pid);
  if (accounts_wanted == NEW_ACCOUNTS && !ours) return 0;
  if (task->pid == task->tgid) {
    if (ours && accounts_wanted == ALL_ACCOUNTS)
      bpf_task_storage_get(&vmms, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    return 0;
  }
  place = task->pid & (BROUGHT_PLACES - 1);
  then = bpf_map_lookup_elem(&brought, &place);
  /* Before the account: what comes in between is news to the next pass. */
  now.start_ns = task->start_boottime;
  now.dispatches = task->sched_info.pcount;
  now.run_delay = task->sched_info.run_delay;
  if (accounts_wanted == NEW_ACCOUNTS && !is_news(&now, then)) return 0;
  account = account_of(task);
  if (!account) {
    char name[TASK_NAME_LENGTH];

    copy_name(task, name);
    if (!ours && !(opens_by_name && named_as_vcpu(name) && has_room_for_untold()))
      return 0;
    clear_account(&record->account);
    account = open_account(task, &record->account, task->sched_info.run_delay);
  }
  if (!account) return 0;
  if (!ours) {
    pass_untold(task, account);
    return 0;
  }
  account->untold = 0;
  /* Else it is busy; the next pass has it. */
  if (!copied(account, &record->account) && !copied(account, &record->account) &&
      !copied(account, &record->account) && !copied(account, &record->account))
    return 0;
  record->head.tid = task->pid;
  record->head.tgid = task->tgid;
  record->start_ns = task->start_boottime;
  named = record->account.named;
  if (named > NAMED_CULPRITS) return 0;
  bytes = __builtin_offsetof(struct account_record, account.culprits) +
          named * sizeof(struct named_culprit);
  record->head.kind = ACCOUNT_RECORD;
  record->head.bytes = bytes;
  if (!bpf_seq_write(context->meta->seq, record, bytes) && then) *then = now;
  return 0;
}

char LICENSE[] SEC("license") = "GPL";

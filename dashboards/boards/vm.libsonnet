// SPDX-License-Identifier: Apache-2.0
// Dashboard of one VM: how long it waits, who has the CPU meanwhile, and what else slows it down.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local board = boardLib.new(config),
  local said = board.said,
  // Of VMs of other hypervisors nothing but the contention is told.
  local known = ['vcpu_domain_info', recorded.worstContention],
  local select(metric, matchers='') =
    board.select(metric, 'domain="$domain"' + if matchers == '' then '' else ', ' + matchers),
  local rate(metric, matchers='') = 'rate(%s[$__rate_interval])' % select(metric, matchers),
  local quantile(share) =
    board.quantile(share, 'vcpu_runqueue_latency_seconds', 'domain="$domain"'),
  local byCulprit(expr) = 'sum by (job, instance, domain, culprit_kind, culprit) (%s)' % expr,
  local culprits = board.culprits(function(matchers) byCulprit(board.rate('vcpu_stolen_by_seconds_total', matchers)), 'domain="$domain"'),
  local byVcpu(expr) = 'sum by (job, instance, vcpu) (%s)' % expr,
  local vcpu = 'vCPU {{vcpu}}',

  // Of the VM itself and of nobody, against those of others.
  local kindColours = {
    '/^quota/': 'purple',
    '/^self/': 'blue',
    '/^own_overhead/': 'light-blue',
    '/^idle/': 'text',
    '/^irq/': 'yellow',
    '/^unknown/': 'dark-yellow',
  },

  local glance = [
    panel.stat(
      'Worst vCPU waits',
      {
        shows: 'Share of the time that the worst vCPU of this VM was ready to run and had no physical CPU, without what ' +
               'its own quota stopped.',
        good: 'under %(warning)s: it is not the CPU, look at disks and memory below.' % said.steal,
        bad: 'from %(warning)s on users notice, from %(critical)s on it hurts.' % said.steal,
      },
      'percentunit',
      [panel.target('max(%s)' % select(recorded.worstContention), 'waits')],
    ) + panel.thresholds(board.steal.warning, board.steal.critical) + panel.decimals(1) + panel.wide(3),
    panel.stat(
      'Mostly taken by',
      {
        shows: 'Who had the CPU for most of the time that this VM waited. Only `domain`, `overhead` and `host` are ' +
               'others; `self` is a vCPU of the same VM, `quota` its own limit.',
        good: 'nobody, or no other.',
        bad: ('another one with over %(warning)s: move it or cap it. `quota`: raise the limit. `self`: it may use ' +
              'fewer CPUs than it has vCPUs.') % said.culprit,
      },
      'percentunit',
      [panel.target(
        'topk(1, %s / ignoring (culprit_kind, culprit) group_left () (sum by (job, instance, domain) (%s) > 0))' % [
          byCulprit(rate('vcpu_stolen_by_seconds_total')),
          rate('vcpu_stolen_by_seconds_total'),
        ],
        '{{culprit}} ({{culprit_kind}})'
      )],
    ) + panel.withName + panel.decimals(0) + panel.thresholds(board.culprit.warning) + panel.whenEmpty('Nobody')
    + panel.wide(6),
    panel.stat(
      'Waiting right now',
      {
        shows: 'The longest wait for a CPU that goes on at this moment.',
        good: '0, none waits, or some milliseconds.',
        bad: 'from %(critical)s on: this vCPU is starved, its guest stands still. Look who runs on its CPU.' % said.waiting,
      },
      's',
      [panel.target('max(%s)' % select('vcpu_waiting_seconds'), 'waiting')],
    ) + panel.thresholds(critical=board.waiting.critical) + panel.whenEmpty('Not told') + panel.wide(3),
    panel.stat(
      'Quota',
      {
        shows: 'Share of the periods with work in which its own CPU quota stopped it.',
        good: '0%, or no quota.',
        bad: 'from %(warning)s on: its limit slows it down, and no other VM is to blame.' % said.throttled,
      },
      'percentunit',
      [panel.target('max(%s)' % select(recorded.throttledPeriods), 'stopped')],
    ) + panel.thresholds(board.throttled.warning) + panel.decimals(1) + panel.whenEmpty('No quota') + panel.wide(2),
    panel.stat(
      'CPUs used',
      {
        shows: "CPUs' worth of time that its vCPUs run.",
        good: 'some room below its number of vCPUs.',
        bad: 'all of them: the work needs more vCPUs. Far below, for days: fewer would do.',
      },
      'short',
      [panel.target('sum(%s)' % select(recorded.run), 'CPUs')],
    ) + panel.decimals(2) + panel.wide(2),
    panel.stat(
      'Far memory',
      {
        shows: 'Share of its memory accesses that are expected to cross NUMA nodes.',
        good: '0%.',
        bad: 'from %(warning)s on: such an access takes up to three times as long. Bind it to one node.' % said.remote,
      },
      'percentunit',
      [panel.target('max(%s)' % select('vcpu_domain_numa_misplacement_ratio'), 'far')],
    ) + panel.thresholds(board.remote.warning) + panel.decimals(0) + panel.whenEmpty('Not told') + panel.wide(3),
    panel.stat(
      'Swapped',
      {
        shows: "Memory of this VM in the host's swap.",
        good: 'nothing.',
        bad: 'any, once it is read back: see "Major faults".',
      },
      'bytes',
      [panel.target('sum(%s)' % select('vcpu_domain_swap_bytes'), 'swapped')],
    ) + panel.thresholds(warning=board.any) + panel.whenEmpty('Not told') + panel.wide(2),
    panel.stat(
      'Slowest disk',
      {
        shows: 'Mean time that a request to its slowest disk takes.',
        good: 'under %(warning)s, and as always.' % said.request,
        bad: 'from %(warning)s on if that is new, from %(critical)s on in any case.' % said.request,
      },
      's',
      [panel.target('max(%s)' % select(recorded.block), 'a request')],
    ) + panel.thresholds(board.request.warning, board.request.critical) + panel.whenEmpty('No requests') + panel.wide(3),
  ],

  local taken = [
    panel.timeseries(
      'Who has the CPU while it waits',
      {
        shows: "Seconds waited per second by all its vCPUs, by who ran meanwhile. domain: another VM's vCPU, overhead: " +
               "another VM's other threads, host: a process of the host, self: another vCPU of this VM, quota: its own " +
               'limit, idle: the CPU was waking up.',
        good: 'a low band, or its own colours alone.',
        bad: 'a band of another VM or of the host that is high and stays: whom to move or to cap.',
      },
      's',
      [panel.target(
        '%s and topk($top, %s) > 0' % [
          byCulprit(rate('vcpu_stolen_by_seconds_total')),
          byCulprit('increase(%s)' % board.overRange(select('vcpu_stolen_by_seconds_total'))),
        ],
        '{{culprit_kind}}: {{culprit}}'
      )],
    ) + panel.stacked + panel.colours(kindColours) + panel.wide(3),
    panel.table(
      'Culprits now',
      {
        shows: 'The same, ranked. A click on a VM shows it. Kind `domain` and `overhead` are other VMs, `host` are ' +
               'processes of the host.',
        good: 'nobody.',
        bad: 'one with over %(warning)s: whom to move or to cap. Many with little each: the host is full.' % said.culprit,
      },
      [
        panel.target('topk($top, (%s) > 0)' % culprits),
        panel.target('((%s) and topk($top, %s)) / ignoring (culprit_kind, culprit, vm, rest) group_left () (%s > 0)' % [
          culprits,
          culprits,
          'sum by (job, instance, domain) (%s)' % rate('vcpu_stolen_by_seconds_total'),
        ]),
      ],
      board.culpritColumns + [
        { from: 'A', name: 'Takes, s/s', unit: 's', width: 90 },
        { from: 'B', name: 'Share', unit: 'percentunit', decimals: 0, limits: board.culprit, bar: 1 },
        board.rowsHost,
      ],
    ) + panel.sortedBy('Share') + panel.whenEmpty('Nobody') + panel.wide(2),
  ],

  local vcpus = [
    panel.timeseries(
      'Contention by vCPU',
      {
        shows: 'Share of the time that each vCPU waits for a CPU.',
        good: 'all under the lower line, %(warning)s.' % said.steal,
        bad: 'over the upper one, %(critical)s: one alone points at its CPU or its pin, all alike at a full host.' % said.steal,
      },
      'percentunit',
      [panel.target(board.topGauge(select(recorded.contention)), vcpu)],
    ) + panel.thresholdLines(board.steal.warning, board.steal.critical),
    panel.timeseries(
      'Run time by vCPU',
      {
        shows: 'Share of the time that each vCPU has a CPU.',
        good: 'some room below 100%, and all alike.',
        bad: 'near 100%: it has no time left. Near 0% for days: it is one too many.',
      },
      'percentunit',
      [panel.target(
        '%s and topk($top, %s)' % [
          byVcpu(rate('vcpu_run_seconds_total')),
          byVcpu('increase(%s)' % board.overRange(select('vcpu_run_seconds_total'))),
        ],
        vcpu
      )],
    ),
    panel.timeseries(
      'Mean wait by vCPU',
      {
        shows: 'How long each vCPU waited on average each time it was put on a CPU.',
        good: 'under a millisecond.',
        bad: 'some milliseconds; one vCPU alone above the others has a CPU that others use.',
      },
      's',
      [panel.target(
        '%s / (%s > 0) and topk($top, %s)' % [
          byVcpu(rate('vcpu_steal_seconds_total')),
          byVcpu(rate('vcpu_dispatches_total')),
          byVcpu('increase(%s)' % board.overRange(select('vcpu_steal_seconds_total'))),
        ],
        vcpu
      )],
    ),
    panel.timeseries(
      'How long a wait takes',
      {
        shows: 'Run-queue latency: of all waits of its vCPUs that ended, the median, the 99th and the 99.9th percentile.',
        good: 'under a few milliseconds.',
        bad: 'more, which users feel as jitter: tens of milliseconds in 1 of 100 waits make every page slow.',
      },
      's',
      [
        panel.target(quantile(0.5), 'median'),
        panel.target(quantile(0.99), '99%'),
        panel.target(quantile(0.999), '99.9%'),
      ],
    ) + panel.few,
  ],

  local switches = [
    panel.timeseries(
      'Switches by vCPU',
      {
        shows: 'Per second. Voluntary: it had nothing to do. Involuntary: another task took its CPU.',
        good: 'involuntary near 0.',
        bad: 'involuntary over the line, %(warning)s a second, with contention: a storm. Pin it, or make room.' % said.storm,
      },
      'cps',
      [panel.target(
        '%s and topk($top, %s)' % [
          'sum by (job, instance, vcpu, kind) (%s)' % rate('vcpu_context_switches_total'),
          'sum by (job, instance, vcpu, kind) (increase(%s))' %
          board.overRange(select('vcpu_context_switches_total')),
        ],
        'vCPU {{vcpu}} {{kind}}'
      )],
    ) + panel.thresholdLines(board.storm.warning),
    panel.table(
      'vCPUs now',
      {
        shows: 'Where each vCPU is and what it does. Steal is the wait with what a quota stopped. Allowed: how many CPUs ' +
               'it may use; 1 is pinned.',
        good: 'waits under %(warning)s, all on the node of its memory, few migrations.' % said.steal,
        bad: 'waits from %(warning)s (orange) or %(critical)s (red) on; two vCPUs that are pinned to one CPU.' % said.steal,
      },
      [
        panel.target('max by (job, instance, vcpu) (%s)' % select(recorded.contention)),
        panel.target(byVcpu(rate('vcpu_run_seconds_total'))),
        panel.target(byVcpu(rate('vcpu_steal_seconds_total'))),
        panel.target(byVcpu(rate('vcpu_context_switches_total', 'kind="involuntary"'))),
        panel.target(byVcpu(rate('vcpu_migrations_total'))),
        panel.target('max by (job, instance, vcpu) (%s)' % select('vcpu_cpu')),
        panel.target('max by (job, instance, vcpu) (%s)' % select('vcpu_numa_node')),
        panel.target('max by (job, instance, vcpu) (%s)' % select('vcpu_allowed_cpus')),
      ],
      [
        { from: 'vcpu', name: 'vCPU', width: 60 },
        { from: 'A', name: 'Waits', unit: 'percentunit', decimals: 1, limits: board.steal, bar: 1 },
        { from: 'B', name: 'Runs', unit: 'percentunit', decimals: 1, width: 70 },
        { from: 'C', name: 'Steal', unit: 'percentunit', decimals: 1, width: 70 },
        { from: 'D', name: 'Involuntary', unit: 'cps', width: 95 },
        { from: 'E', name: 'Migrations', unit: 'cps', width: 95 },
        { from: 'F', name: 'CPU', unit: 'none', width: 60 },
        { from: 'G', name: 'Node', unit: 'none', width: 60 },
        { from: 'H', name: 'Allowed', unit: 'none', width: 75 },
      ],
    ) + panel.sortedBy('Waits') + panel.wide(2),
  ],

  local numa = [
    panel.timeseries(
      'Memory by NUMA node',
      {
        shows: 'Where its memory lies.',
        good: 'all on the nodes on which its vCPUs run, beside.',
        bad: 'on other nodes: bind it (`numatune`), and have the pages moved (`migratepages`).',
      },
      'bytes',
      [panel.target('sum by (numa_node) (%s)' % select('vcpu_domain_memory_bytes'), 'node {{numa_node}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'vCPUs by NUMA node',
      {
        shows: 'How many of its vCPUs last ran on each node.',
        good: 'steady, where its memory is.',
        bad: 'they wander from node to node: each move leaves its memory behind.',
      },
      'short',
      [panel.target('count_values("numa_node", %s)' % select('vcpu_numa_node'), 'node {{numa_node}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'Far memory accesses',
      {
        shows: 'The share of its memory accesses that cross nodes, by where its vCPUs run and its memory lies.',
        good: '0%.',
        bad: 'over the line, %(warning)s.' % said.remote,
      },
      'percentunit',
      [panel.target('max by (job, instance, domain) (%s)' % select('vcpu_domain_numa_misplacement_ratio'), 'far')],
    ) + panel.few + panel.thresholdLines(board.remote.warning) + panel.maximum(1),
  ],

  local disks = [
    panel.timeseries(
      'Time of a request',
      {
        shows: 'Mean time that a request to each disk takes, waiting for a throttle included.',
        good: 'steady, and under the lower line, %(warning)s.' % said.request,
        bad: 'a jump against its own past; over the upper line, %(critical)s, in any case.' % said.request,
      },
      's',
      [panel.target(
        'sum by (device, op) (%s) / (sum by (device, op) (%s) > 0)' % [
          rate('vcpu_domain_block_seconds_total', 'op=~"read|write"'),
          rate('vcpu_domain_block_requests_total', 'op=~"read|write"'),
        ],
        '{{device}} {{op}}'
      )],
    ) + panel.thresholdLines(board.request.warning, board.request.critical),
    panel.timeseries(
      'Requests',
      {
        shows: 'Requests per second that ended.',
        good: 'as its work asks for.',
        bad: 'a flat top is a throttle or the end of what the disk can do. None at all while the guest waits for I/O: ' +
             'it hangs.',
      },
      'iops',
      [panel.target('sum by (device, op) (%s)' % rate('vcpu_domain_block_requests_total'), '{{device}} {{op}}')],
    ),
    panel.timeseries(
      'Bytes',
      {
        shows: 'Read and written per second.',
        good: 'as its work asks for.',
        bad: 'a flat top, while a request takes longer: a throttle, or the end of what the disk can do.',
      },
      'Bps',
      [panel.target('sum by (device, op) (%s)' % rate('vcpu_domain_block_bytes_total', 'op=~"read|write"'), '{{device}} {{op}}')],
    ),
  ],

  local limits = [
    panel.timeseries(
      'Used, and what its quota allows',
      {
        shows: "CPUs' worth of time.",
        good: 'used stays below allowed, or there is no quota.',
        bad: 'used touches allowed, and stopped rises: its own quota is too small.',
      },
      'short',
      [
        panel.target('sum(%s)' % rate('vcpu_run_seconds_total'), 'used by vCPUs'),
        panel.target('max(%s)' % select('vcpu_domain_cpu_quota_cores'), 'allowed'),
        panel.target('sum(%s)' % rate('vcpu_domain_throttled_seconds_total'), 'stopped'),
      ],
    ) + panel.few,
    panel.timeseries(
      'Periods stopped by the quota',
      {
        shows: 'Share of its periods with work in which the quota was used up.',
        good: '0%.',
        bad: 'over the line, %(warning)s: raise the quota, or give the work more time.' % said.throttled,
      },
      'percentunit',
      [panel.target('max(%s)' % select(recorded.throttledPeriods), 'stopped')],
    ) + panel.few + panel.thresholdLines(board.throttled.warning) + panel.maximum(1),
    panel.timeseries(
      'Pressure of its group',
      {
        shows: 'Share of the time that some of its threads stood still for want of CPU, memory or I/O (PSI). A control ' +
               'group of its own in cgroup version 2 tells that.',
        good: 'near 0%.',
        bad: 'memory that stays above 0: it swaps. I/O near 100%: it does nothing but wait for disks.',
      },
      'percentunit',
      [panel.target(
        'max by (resource) (%s)' % rate('vcpu_domain_pressure_seconds_total', 'kind="some"'), '{{resource}}'
      )],
    ) + panel.few + panel.maximum(1),
  ],

  local rest = [
    panel.timeseries(
      'Its other threads wait',
      {
        shows: 'Seconds waited per second by its emulator, I/O, vhost and worker threads.',
        good: 'near 0.',
        bad: "what grows with the vCPUs' waits: slow disks and networks begin here. Give these threads CPUs of their " +
             'own (`emulatorpin`).',
      },
      's',
      [panel.target('sum by (role) (%s)' % rate('vcpu_domain_thread_steal_seconds_total'), '{{role}}')],
    ) + panel.few,
    panel.timeseries(
      'Its other threads run',
      {
        shows: 'CPUs that they use, beside the vCPUs.',
        good: 'little against its vCPUs.',
        bad: 'a whole CPU and more: it costs the host more than its vCPUs tell.',
      },
      'short',
      [panel.target('sum by (role) (%s)' % rate('vcpu_domain_thread_run_seconds_total'), '{{role}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'Memory',
      {
        shows: "What it may use at most, what its balloon leaves it, and what lies in the host's swap.",
        good: 'nothing in the swap.',
        bad: "a balloon far below the maximum makes the guest swap, and what is in the host's swap stops vCPUs when it " +
             'is read.',
      },
      'bytes',
      [
        panel.target('sum(%s)' % select('vcpu_domain_memory_max_bytes'), 'maximum'),
        panel.target('sum(%s)' % select('vcpu_domain_memory_balloon_bytes'), 'balloon'),
        panel.target('sum(%s)' % select('vcpu_domain_swap_bytes'), 'in the swap'),
      ],
    ) + panel.few,
    panel.timeseries(
      'Major faults',
      {
        shows: 'Page faults per second that waited for a disk or the swap.',
        good: '0, but for a start or a migration.',
        bad: 'any that stay: each stops a thread of the VM until the disk answers.',
      },
      'cps',
      [panel.target('sum(%s)' % rate('vcpu_domain_major_faults_total'), 'major faults')],
    ) + panel.few,
  ],

  local kvm = [
    panel.timeseries(
      'Exits from the guest',
      {
        shows: 'Per second, by reason. Each costs some microseconds.',
        good: 'mostly `halt` (it sleeps) and `irq`.',
        bad: 'tens of thousands of one kind: many of `io` and `mmio` want virtio devices.',
      },
      'cps',
      [panel.target('sum by (reason) (%s)' % rate('vcpu_kvm_exits_total'), '{{reason}}')],
    ) + panel.stacked,
    panel.timeseries(
      'Halted, and polling',
      {
        shows: 'Seconds per second of all its vCPUs. halted: asleep, for want of work.',
        good: 'polling that ends in success, and little of it in vain.',
        bad: "polling in vain near a CPU's worth: CPU time of the host that does nothing. Lower `halt_poll_ns`.",
      },
      's',
      [
        panel.target('sum(%s)' % rate('vcpu_kvm_halt_wait_seconds_total'), 'halted'),
        panel.target('sum by (result) (%s)' % rate('vcpu_kvm_halt_poll_seconds_total'), 'polling: {{result}}'),
      ],
    ) + panel.few,
    panel.table(
      'Who it is',
      {
        shows: 'Its VMM, and what OpenStack, KubeVirt, Proxmox and people call it.',
        good: 'a project or a title: it has an owner to ask.',
        bad: "runs by `tcg`: it is emulated and slow in everything, KVM is missing. No uuid: nobody's VM, see " +
             '`vcpu_domain_info` for its user.',
      },
      [
        panel.target(select('vcpu_domain_info')),
        panel.target(
          'max by (job, instance, domain, title, openstack_project, kubevirt_namespace, proxmox_vmid) (%s)' %
          select('vcpu_domain_metadata_info')
        ),
      ],
      [
        { from: 'vmm', name: 'VMM', width: 70 },
        { from: 'accel', name: 'Runs by', width: 75 },
        { from: 'machine', name: 'Machine', width: 80 },
        { from: 'uuid', name: 'UUID', width: 310 },
        { from: 'title', name: 'Title' },
        { from: 'openstack_project', name: 'Project', width: 90 },
        { from: 'kubevirt_namespace', name: 'Namespace', width: 95 },
        { from: 'proxmox_vmid', name: 'Proxmox id', width: 95 },
      ],
    ) + panel.wide(3),
  ],

  grafanaDashboards+:: {
    'vcpu-vm.json': dashboard.new(
      config.dashboards.vm,
      'Why one VM is slow: how long its vCPUs wait and who has the CPU meanwhile, its quota, its memory, its disks.',
      dashboard.variables(known, everything=false, extra=[dashboard.domain(known), dashboard.top]),
      [
        dashboard.row('What is wrong with $domain', 4, glance),
        dashboard.row('Who takes its time', 10, taken),
        dashboard.row('Its vCPUs', 9, vcpus),
        dashboard.row('Switches and places', 9, switches),
        dashboard.row('NUMA', 8, numa),
        dashboard.row('Disks', 8, disks),
        dashboard.row('Its own limits', 8, limits),
        dashboard.row('Other threads, memory', 8, rest),
        dashboard.row('KVM, and who it is', 8, kvm),
      ],
    ),
  },
}

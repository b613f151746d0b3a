// SPDX-License-Identifier: Apache-2.0
// Dashboard of one VM: how long it waits, who has the CPU meanwhile, and what else slows it down.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local board = boardLib.new(config),
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
      'Share of the time that the worst vCPU of this VM was ready to run and had no physical CPU; without what its own quota ' +
      'stopped. Under %g%% is fine, over %g%% hurts.' % [board.steal.warning * 100, board.steal.critical * 100],
      'percentunit',
      [panel.target('max(%s)' % select(recorded.worstContention), 'waits')],
    ) + panel.thresholds(board.steal.warning, board.steal.critical) + panel.decimals(1) + panel.wide(3),
    panel.stat(
      'Mostly taken by',
      'Who had the CPU for most of the time that this VM waited. Only `domain`, `overhead` and `host` are others; `self` is a ' +
      'vCPU of the same VM, `quota` its own limit.',
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
      'The longest wait for a CPU that goes on at this moment. 0: none waits.',
      's',
      [panel.target('max(%s)' % select('vcpu_waiting_seconds'), 'waiting')],
    ) + panel.thresholds(critical=board.waiting.critical) + panel.whenEmpty('Not told') + panel.wide(3),
    panel.stat(
      'Quota',
      'Share of the periods with work in which its own CPU quota stopped it. Good is 0; its limit, no other VM.',
      'percentunit',
      [panel.target('max(%s)' % select(recorded.throttledPeriods), 'stopped')],
    ) + panel.thresholds(board.throttled.warning) + panel.decimals(1) + panel.whenEmpty('No quota') + panel.wide(2),
    panel.stat(
      'CPUs used',
      "CPUs' worth of time that its vCPUs run.",
      'short',
      [panel.target('sum(%s)' % select(recorded.run), 'CPUs')],
    ) + panel.decimals(2) + panel.wide(2),
    panel.stat(
      'Far memory',
      'Share of its memory accesses that cross NUMA nodes. Good is 0.',
      'percentunit',
      [panel.target('max(%s)' % select('vcpu_domain_numa_misplacement_ratio'), 'far')],
    ) + panel.thresholds(board.remote.warning) + panel.decimals(0) + panel.whenEmpty('Not told') + panel.wide(3),
    panel.stat(
      'Swapped',
      "Memory of this VM in the host's swap.",
      'bytes',
      [panel.target('sum(%s)' % select('vcpu_domain_swap_bytes'), 'swapped')],
    ) + panel.thresholds(warning=board.any) + panel.whenEmpty('Not told') + panel.wide(2),
    panel.stat(
      'Slowest disk',
      'Mean time that a request to its slowest disk takes.',
      's',
      [panel.target('max(%s)' % select(recorded.block), 'a request')],
    ) + panel.thresholds(board.request.warning, board.request.critical) + panel.whenEmpty('No requests') + panel.wide(3),
  ],

  local taken = [
    panel.timeseries(
      'Who has the CPU while it waits',
      "Seconds waited per second by all its vCPUs, by who ran meanwhile. domain: another VM's vCPU, overhead: another VM's " +
      'other threads, host: a process of the host, self: another vCPU of this VM, quota: its own limit, idle: the CPU was waking up.',
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
      'The same, ranked. A click on a VM shows it. Kind `domain` and `overhead` are other VMs, `host` are processes of the ' +
      'host. Good is nobody; the first who has over %g%% is whom to move or to cap.' % (board.culprit.warning * 100),
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
      'Share of the time that each vCPU waits for a CPU. One alone points at its CPU or its pin, all alike at a full host.',
      'percentunit',
      [panel.target(board.topGauge(select(recorded.contention)), vcpu)],
    ) + panel.thresholdLines(board.steal.warning, board.steal.critical),
    panel.timeseries(
      'Run time by vCPU',
      'Share of the time that each vCPU has a CPU. Near 100%: it has no time left. Near 0: it may be one too many.',
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
      'How long each vCPU waited on average each time it was put on a CPU. Good is under a millisecond; one alone above the others ' +
      'has a CPU that others use.',
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
      'Run-queue latency: of all waits of its vCPUs that ended, the median, the 99th and the 99.9th percentile. Fine is under ' +
      'a few milliseconds; more is what users feel as jitter.',
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
      'Per second. Involuntary: another task took its CPU. Over %g a second with contention is a storm: pin it.' %
      config.alerts.VcpuContextSwitchStorm.warning.above,
      'cps',
      [panel.target(
        '%s and topk($top, %s)' % [
          'sum by (job, instance, vcpu, kind) (%s)' % rate('vcpu_context_switches_total'),
          'sum by (job, instance, vcpu, kind) (increase(%s))' %
          board.overRange(select('vcpu_context_switches_total')),
        ],
        'vCPU {{vcpu}} {{kind}}'
      )],
    ) + panel.thresholdLines(config.alerts.VcpuContextSwitchStorm.warning.above),
    panel.table(
      'vCPUs now',
      'Where each vCPU is and what it does. Allowed: how many CPUs it may use; 1 is pinned.',
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
      'Where its memory lies. Good is all on the nodes on which its vCPUs run.',
      'bytes',
      [panel.target('sum by (numa_node) (%s)' % select('vcpu_domain_memory_bytes'), 'node {{numa_node}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'vCPUs by NUMA node',
      'How many of its vCPUs last ran on each node.',
      'short',
      [panel.target('count_values("numa_node", %s)' % select('vcpu_numa_node'), 'node {{numa_node}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'Far memory accesses',
      'The share of its memory accesses that cross nodes, by where its vCPUs run and its memory lies. Good is 0.',
      'percentunit',
      [panel.target('max by (job, instance, domain) (%s)' % select('vcpu_domain_numa_misplacement_ratio'), 'far')],
    ) + panel.few + panel.thresholdLines(board.remote.warning) + panel.maximum(1),
  ],

  local disks = [
    panel.timeseries(
      'Time of a request',
      'Mean time that a request to each disk takes, waiting for a throttle included. A jump against its own past is what hurts.',
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
      'Requests per second that ended.',
      'iops',
      [panel.target('sum by (device, op) (%s)' % rate('vcpu_domain_block_requests_total'), '{{device}} {{op}}')],
    ),
    panel.timeseries(
      'Bytes',
      'Read and written per second.',
      'Bps',
      [panel.target('sum by (device, op) (%s)' % rate('vcpu_domain_block_bytes_total', 'op=~"read|write"'), '{{device}} {{op}}')],
    ),
  ],

  local limits = [
    panel.timeseries(
      'Used, and what its quota allows',
      "CPUs' worth of time. Where the used touches the allowed, its own quota stops it, and no other VM is to blame.",
      'short',
      [
        panel.target('sum(%s)' % rate('vcpu_run_seconds_total'), 'used by vCPUs'),
        panel.target('max(%s)' % select('vcpu_domain_cpu_quota_cores'), 'allowed'),
        panel.target('sum(%s)' % rate('vcpu_domain_throttled_seconds_total'), 'stopped'),
      ],
    ) + panel.few,
    panel.timeseries(
      'Periods stopped by the quota',
      'Share of its periods with work in which the quota was used up. Good is 0.',
      'percentunit',
      [panel.target('max(%s)' % select(recorded.throttledPeriods), 'stopped')],
    ) + panel.few + panel.thresholdLines(board.throttled.warning) + panel.maximum(1),
    panel.timeseries(
      'Pressure of its group',
      'Share of the time that some of its threads stood still for want of CPU, memory or I/O (PSI). A control group of its own ' +
      'in cgroup version 2 tells that.',
      'percentunit',
      [panel.target(
        'max by (resource) (%s)' % rate('vcpu_domain_pressure_seconds_total', 'kind="some"'), '{{resource}}'
      )],
    ) + panel.few + panel.maximum(1),
  ],

  local rest = [
    panel.timeseries(
      'Its other threads wait',
      'Seconds waited per second by its emulator, I/O, vhost and worker threads: slow disks and networks begin here.',
      's',
      [panel.target('sum by (role) (%s)' % rate('vcpu_domain_thread_steal_seconds_total'), '{{role}}')],
    ) + panel.few,
    panel.timeseries(
      'Its other threads run',
      'CPUs that they use, beside the vCPUs.',
      'short',
      [panel.target('sum by (role) (%s)' % rate('vcpu_domain_thread_run_seconds_total'), '{{role}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'Memory',
      "What it may use at most, what its balloon leaves it, and what lies in the host's swap: good is nothing there.",
      'bytes',
      [
        panel.target('sum(%s)' % select('vcpu_domain_memory_max_bytes'), 'maximum'),
        panel.target('sum(%s)' % select('vcpu_domain_memory_balloon_bytes'), 'balloon'),
        panel.target('sum(%s)' % select('vcpu_domain_swap_bytes'), 'in the swap'),
      ],
    ) + panel.few,
    panel.timeseries(
      'Major faults',
      'Page faults per second that waited for a disk or the swap; each stops a thread for as long.',
      'cps',
      [panel.target('sum(%s)' % rate('vcpu_domain_major_faults_total'), 'major faults')],
    ) + panel.few,
  ],

  local kvm = [
    panel.timeseries(
      'Exits from the guest',
      'Per second, by reason: each costs some microseconds. Many of `io` and `mmio` want virtio, many of `halt` are sleeps.',
      'cps',
      [panel.target('sum by (reason) (%s)' % rate('vcpu_kvm_exits_total'), '{{reason}}')],
    ) + panel.stacked,
    panel.timeseries(
      'Halted, and polling',
      'Seconds per second of all its vCPUs. halted: asleep, for want of work. Polling in vain is CPU time of the host that does nothing.',
      's',
      [
        panel.target('sum(%s)' % rate('vcpu_kvm_halt_wait_seconds_total'), 'halted'),
        panel.target('sum by (result) (%s)' % rate('vcpu_kvm_halt_poll_seconds_total'), 'polling: {{result}}'),
      ],
    ) + panel.few,
    panel.table(
      'Who it is',
      'Its VMM, and what OpenStack, KubeVirt, Proxmox and people call it.',
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
    ) + panel.wide(2),
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

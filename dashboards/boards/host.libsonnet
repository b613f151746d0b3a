// SPDX-License-Identifier: Apache-2.0
// Dashboard of one host (or of several side by side): who waits and who takes the time, how full it is, what slows it down.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local limits = config.alerts,
  local board = boardLib.new(config),
  local select = board.select,
  local rate = board.rate,
  local topGauge = board.topGauge,
  local topRate = board.topRate,
  local perVm(expr) = 'sum by (job, instance, domain) (%s)' % expr,

  local vm = '{{domain}}',
  local worst = select(recorded.worstContention),
  local others = 'culprit_kind=~"domain|overhead|host"',
  local stolen = rate('vcpu_stolen_by_seconds_total', others),
  local byCulprit(matchers) = 'sum by (job, instance, domain, culprit_kind, culprit) (%s)' %
                              rate('vcpu_stolen_by_seconds_total', matchers),
  local memory(kind) = select('vcpu_host_memory_bytes', 'kind="%s"' % kind),

  local glance = [
    panel.stat(
      'Worst contention',
      'The VM whose worst vCPU waits longest for a physical CPU now. Time that its own CPU quota stopped it is taken off where ' +
      'the exporter tells it. Under %g%% is fine, over %g%% hurts.' % [board.steal.warning * 100, board.steal.critical * 100],
      'percentunit',
      [panel.target('topk(1, %s)' % worst, vm)],
    )
    + panel.thresholds(board.steal.warning, board.steal.critical)
    + panel.whenEmpty('No VM') + panel.withName + panel.decimals(1) + panel.linked(board.graphToVm) + panel.wide(5),
    panel.stat(
      'Takes most from others',
      'The VM or host process that has the CPU for most of the time that VMs wait: seconds per second, of all waiting vCPUs.',
      's',
      [panel.target('topk(1, sum by (culprit) (%s))' % stolen, '{{culprit}}')],
    ) + panel.withName + panel.decimals(2) + panel.whenEmpty('Nobody') + panel.wide(5),
    panel.stat('VM count', 'Virtual machines that run here.', 'short', [panel.target(
      'sum(count by (job, instance) (%s) or on (job, instance) %s)' % [select('vcpu_domain_info'), select(recorded.domains)],
      'VMs',
    )]) + panel.whenEmpty('0') + panel.wide(2),
    panel.stat('vCPUs', 'Virtual CPUs of all VMs.', 'short', [
      panel.target('sum(%s)' % select('vcpu_host_vcpus'), 'vCPUs'),
    ]) + panel.wide(2),
    panel.stat('vCPUs per core', 'On the densest host chosen. Up to %g is good, over %g VMs wait for each other.' % [
      board.density.warning,
      board.density.critical,
    ], 'short', [
      panel.target('max(%s)' % select('vcpu_host_thread_density_ratio'), 'vCPUs per core'),
    ]) + panel.thresholds(board.density.warning, board.density.critical) + panel.decimals(1) + panel.wide(3),
    panel.stat('Host CPU busy', 'Share of all logical CPUs that was busy, on the busiest host chosen. %g%% is to be left.' % (
      limits.VcpuReserveExhausted.warning.below * 100
    ), 'percentunit', [
      panel.target('max(avg without (cpu) (%s))' % rate('vcpu_host_cpu_busy_seconds_total'), 'busy'),
    ]) + panel.thresholds(board.busy.warning, board.busy.critical) + panel.decimals(0) + panel.wide(3),
    panel.stat('Swap in', 'Bytes per second read back: each read stops a vCPU. Good is 0.', 'Bps', [
      panel.target('sum(%s)' % rate('vcpu_host_swap_bytes_total', 'direction="in"'), 'read'),
    ]) + panel.thresholds(critical=board.swapIn.critical) + panel.decimals(0) + panel.wide(2),
    panel.stat('Hottest', 'Degrees Celsius; over %g the CPU slows down.' % board.heat.warning, 'celsius', [
      panel.target('max(%s)' % select('vcpu_host_cpu_temperature_celsius'), 'hottest'),
    ]) + panel.thresholds(board.heat.warning) + panel.decimals(0) + panel.whenEmpty('Not told') + panel.wide(2),
  ],

  local contention = [
    panel.timeseries(
      'Contention by VM, worst vCPU',
      'Seconds per second that the worst vCPU of each VM was ready to run and got no physical CPU, without the time ' +
      'its own CPU quota stopped it where the exporter tells that. What VcpuStealHigh watches; needs the recording rules.',
      'percentunit',
      [panel.target(topGauge(worst), vm)],
    ) + panel.thresholdLines(board.steal.warning, board.steal.critical) + panel.linked(board.graphToVm) + panel.wide(4),
    panel.table(
      'Who steals from whom',
      'Of the time that a VM waits for a CPU, the part that another VM or a process of the host had it: seconds per second, all its ' +
      "vCPUs. Kind `domain` is another VM's vCPU, `overhead` its other threads, `host` a process; a click on a VM shows it.",
      [panel.target('topk($top, (%s) > 0)' % board.culprits(byCulprit, others))],
      [
        { from: 'domain', name: 'Waits', width: 110, links: board.tableToVm('Waits') },
      ] + board.culpritColumns + [
        { from: 'A', name: 'Takes, s/s', unit: 's', width: 85 },
        board.rowsHost,
      ],
    ) + panel.sortedBy('Takes, s/s') + panel.whenEmpty('Nobody') + panel.wide(4),
    panel.bargauge(
      'Takes most from others',
      'Who has the CPU while others wait, over all victims, seconds per second. The first is whom to move or to cap.',
      's',
      [panel.target('sort_desc(topk($top, sum by (culprit) (%s) > 0))' % stolen, '{{culprit}}')],
    ) + panel.decimals(2) + panel.whenEmpty('Nobody') + { fieldConfig+: { defaults+: {
      color: { mode: 'fixed', fixedColor: 'orange' },
    } } } + panel.wide(3),
  ],

  local vms = [
    panel.table(
      'VMs',
      'Every VM, the worst first. Contention and mean contention need the recording rules.',
      [
        panel.target('max by (job, instance, domain) (%s)' % worst),
        panel.target('max by (job, instance, domain) (%s)' % select(recorded.meanContention)),
        panel.target(perVm(rate('vcpu_run_seconds_total'))),
        panel.target('count by (job, instance, domain) (%s)' % select('vcpu_cpu')),
        panel.target('max by (job, instance, domain) (%s)' % select(recorded.throttledPeriods)),
        panel.target(perVm(rate('vcpu_context_switches_total', 'kind="involuntary"'))),
        panel.target(perVm(rate('vcpu_migrations_total'))),
        panel.target('max by (job, instance, domain) (%s)' % select('vcpu_domain_numa_misplacement_ratio')),
        panel.target('max by (job, instance, domain) (%s)' % select('vcpu_domain_swap_bytes')),
        panel.target('max by (job, instance, domain) (%s)' % select(recorded.block)),
      ],
      [
        board.vmColumn,
        board.hostColumn,
        { from: 'A', name: 'Worst vCPU waits', unit: 'percentunit', decimals: 1, limits: board.steal, bar: 1 },
        { from: 'B', name: 'vCPUs wait', unit: 'percentunit', decimals: 1, limits: board.steal },
        { from: 'C', name: 'CPUs used', unit: 'short', decimals: 2 },
        { from: 'D', name: 'vCPUs', unit: 'short', decimals: 0 },
        { from: 'E', name: 'Quota stops', unit: 'percentunit', decimals: 0, limits: board.throttled },
        { from: 'F', name: 'Involuntary/s', unit: 'short', decimals: 0 },
        { from: 'G', name: 'Migrations/s', unit: 'short', decimals: 0 },
        { from: 'H', name: 'Far memory', unit: 'percentunit', decimals: 0, limits: board.remote },
        { from: 'I', name: 'In swap', unit: 'bytes', decimals: 1 },
        { from: 'J', name: 'Disk request', unit: 's', limits: board.request },
      ],
    ) + panel.sortedBy('Worst vCPU waits'),
  ],

  local density = [
    panel.timeseries(
      'Thread density',
      'vCPUs per physical core, of the host and of each NUMA node. Up to %g is good, from %g on VMs wait for each other.' %
      [board.density.warning, board.density.critical],
      'short',
      [
        panel.target(select('vcpu_host_thread_density_ratio'), 'host'),
        panel.target(select('vcpu_node_thread_density_ratio'), 'node {{numa_node}}'),
      ],
    ) + panel.few + panel.thresholdLines(board.density.warning, board.density.critical),
    panel.timeseries(
      'Host CPU by mode',
      'Logical CPUs occupied, by what occupied them; guest is time inside VMs.',
      'short',
      [panel.target(
        'sum by (mode) (%s) > 0' % rate('vcpu_host_cpu_seconds_total', 'mode!~"idle|iowait"'), '{{mode}}'
      )],
    ) + panel.stacked + board.modeColours,
    panel.timeseries(
      'Busiest CPUs',
      'Share of time each logical CPU was busy. A few that stand out are pins; all alike is a full host.',
      'percentunit',
      [panel.target(
        '%s and topk($top, increase(%s))' % [
          rate('vcpu_host_cpu_busy_seconds_total'),
          board.overRange(select('vcpu_host_cpu_busy_seconds_total')),
        ],
        'CPU {{cpu}}'
      )],
    ) + panel.thresholdLines(board.busy.warning, board.busy.critical) + panel.maximum(1),
    panel.bargauge(
      'vCPUs assigned to a CPU',
      'The CPUs with the most vCPUs allowed on them, each vCPU shared out over all CPUs it may use.',
      'short',
      [panel.target('sort_desc(topk($top, %s))' % select('vcpu_cpu_assigned_vcpus'), 'CPU {{cpu}}')],
    ) + panel.thresholds(board.density.warning, board.density.critical) + panel.decimals(2),
  ],

  local waits = [
    panel.timeseries(
      'Longest waits',
      'The 99th percentile of how long a vCPU waits each time it wants a CPU. Fine is under a few milliseconds.',
      's',
      [panel.target(
        '(%s) and topk($top, %s)' % [
          board.quantile(0.99, 'vcpu_runqueue_latency_seconds'),
          perVm('increase(%s)' % board.overRange(select('vcpu_steal_seconds_total'))),
        ],
        vm,
      )],
    ) + panel.linked(board.graphToVm),
    panel.timeseries(
      'Mean wait per dispatch',
      'How long a vCPU waited on average each time it was put on a CPU.',
      's',
      [panel.target(
        '%s / (%s > 0) and topk($top, %s)' % [
          perVm(rate('vcpu_steal_seconds_total')),
          perVm(rate('vcpu_dispatches_total')),
          perVm('increase(%s)' % board.overRange(select('vcpu_steal_seconds_total'))),
        ],
        vm,
      )],
    ) + panel.linked(board.graphToVm),
    panel.timeseries(
      'Involuntary switches',
      'Per second, all vCPUs of a VM: vCPUs put off their CPU while they still had work. Near 0 where vCPUs have CPUs of their own.',
      'cps',
      [panel.target(topRate('vcpu_context_switches_total', 'kind="involuntary"'), vm)],
    ) + panel.linked(board.graphToVm),
    panel.timeseries(
      'Migrations',
      'Per second, all vCPUs of a VM: moves from one CPU to another, each leaving warm caches behind.',
      'cps',
      [panel.target(topRate('vcpu_migrations_total'), vm)],
    ) + panel.linked(board.graphToVm),
  ],

  local threads = [
    panel.timeseries(
      'Other threads wait',
      'Seconds per second that emulator, iothread, vhost and worker threads waited for a physical CPU: slow disks and networks ' +
      'begin here.',
      's',
      [panel.target(topRate('vcpu_domain_thread_steal_seconds_total', by='domain, role'), '{{domain}} {{role}}')],
    ) + panel.linked(board.graphToVm),
    panel.timeseries(
      'Other threads run',
      'CPUs used by emulator, iothread, vhost and worker threads, beside the vCPUs.',
      'short',
      [panel.target(topRate('vcpu_domain_thread_run_seconds_total', by='domain, role'), '{{domain}} {{role}}')],
    ) + panel.linked(board.graphToVm),
    panel.table(
      'Overlapping pins',
      'vCPUs pinned to one CPU that another vCPU is pinned to as well: they can only take turns.',
      [panel.target('%s and on (job, instance, cpu) %s > 1' % [
        select('vcpu_pinned_info'),
        select('vcpu_cpu_pinned_vcpus'),
      ])],
      [
        { from: 'cpu', name: 'CPU', width: 60 },
        board.vmColumn,
        { from: 'vcpu', name: 'vCPU', width: 60 },
        board.hostColumn,
      ],
    ) + { options+: { sortBy: [{ displayName: 'CPU', desc: false }] } } + panel.whenEmpty('No pins overlap'),
    panel.table(
      'Pinned vCPUs',
      'vCPUs that may use one CPU only, those first whose CPU others have most of the time. Over %g%% it is hot for one that often ' %
      (limits.VcpuIoBoundOnHotCpu.warning.above * 100) +
      'sleeps; one that computes ought to have it alone, and not to wait over %g%%.' %
      (limits.VcpuPinnedPreempted.warning.above * 100),
      [
        panel.target('topk($top, max by (job, instance, domain, vcpu, cpu) (%s))' % select(recorded.pinnedOthers)),
        panel.target('max by (job, instance, domain, vcpu, cpu) (%s)' % select(recorded.pinnedSleeps)),
        panel.target('max by (job, instance, domain, vcpu) (%s) and on (job, instance, domain, vcpu) %s' % [
          select(recorded.contention),
          select(recorded.pinnedOthers),
        ]),
      ],
      [
        board.vmColumn,
        { from: 'vcpu', name: 'vCPU', width: 60 },
        { from: 'cpu', name: 'CPU', width: 55 },
        { from: 'A', name: 'Others', unit: 'percentunit', decimals: 0, width: 70, limits: board.hotCpu },
        { from: 'B', name: 'Sleeps/s', unit: 'short', decimals: 0, width: 75 },
        { from: 'C', name: 'Waits', unit: 'percentunit', decimals: 1, width: 65, limits: board.pinned },
        board.rowsHost,
      ],
    ) + panel.sortedBy('Others') + panel.whenEmpty('None'),
  ],

  local pressure = [
    panel.timeseries(
      'Pressure',
      'Share of the time that something on this host stood still for want of CPU, memory or I/O (PSI). Memory is to be 0.',
      'percentunit',
      [panel.target('max by (resource) (%s)' % rate('vcpu_host_pressure_seconds_total', 'kind="some"'), '{{resource}}')],
    ) + panel.few + panel.maximum(1),
    panel.timeseries(
      'Memory',
      'What is there, what is left, what lies in the swap.',
      'bytes',
      [
        panel.target('sum(%s)' % memory('total'), 'total'),
        panel.target('sum(%s)' % memory('available'), 'available'),
        panel.target('sum(%s) - sum(%s)' % [memory('swap_total'), memory('swap_free')], 'in the swap'),
        panel.target('sum(%s)' % memory('page_tables'), 'page tables'),
        panel.target('sum(%s)' % memory('hugepages_total'), 'huge pages'),
      ],
    ) + panel.few,
    panel.timeseries(
      'Swapping',
      'Bytes per second. Reading (in) is what stops VMs; the line is where VcpuMemorySwapping pages.',
      'Bps',
      [panel.target('sum by (direction) (%s)' % rate('vcpu_host_swap_bytes_total'), '{{direction}}')],
    ) + panel.few + panel.thresholdLines(critical=board.swapIn.critical),
    panel.timeseries(
      'Memory promised',
      'What the VMs may use over what there is. Over 1 they do not all fit.',
      'short',
      [panel.target(select('vcpu_host_memory_overcommit_ratio'), 'promised / total')],
    ) + panel.few + panel.thresholdLines(board.overcommit.warning) + panel.decimals(2),
  ],

  local numa = [
    panel.timeseries(
      'VMs far from their memory',
      'Share of memory accesses that cross NUMA nodes. 0 is good.',
      'percentunit',
      [panel.target(topGauge(select('vcpu_domain_numa_misplacement_ratio')), vm)],
    ) + panel.thresholdLines(board.remote.warning) + panel.maximum(1) + panel.linked(board.graphToVm),
    panel.timeseries(
      "VMs' memory by NUMA node",
      'Where the memory of all VMs lies.',
      'bytes',
      [panel.target('sum by (numa_node) (%s)' % select('vcpu_domain_memory_bytes'), 'node {{numa_node}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'Requests to disks',
      'Mean time that a request takes, by the VM and disk that waits longest.',
      's',
      [panel.target(topGauge(select(recorded.block)), '{{domain}} {{device}}')],
    ) + panel.thresholdLines(board.request.warning, board.request.critical) + panel.linked(board.graphToVm),
  ],

  local hardware = [
    panel.timeseries(
      'Temperature',
      'The hottest sensor of each package. Over the line it slows down, which no steal shows.',
      'celsius',
      [panel.target(select('vcpu_host_cpu_temperature_celsius'), 'package {{package}}')],
    ) + panel.few + panel.thresholdLines(board.heat.warning) + panel.minimum(20),
    panel.timeseries(
      'Slowed down for heat',
      'Times per second that a core or a package was too hot. Good is 0.',
      'cps',
      [panel.target('sum by (scope) (%s)' % rate('vcpu_host_cpu_throttles_total'), '{{scope}}')],
    ) + panel.few,
    panel.timeseries(
      'Clock',
      "Of the host's cores.",
      'hertz',
      [panel.target(select('vcpu_host_cpu_frequency_hertz'), '{{stat}}')],
    ) + panel.few,
    panel.stat(
      'Machine checks',
      'Machine-check exceptions in the time shown: the hardware reports errors. Good is 0.',
      'short',
      [panel.target('sum(increase(%s))' % board.overRange(select('vcpu_host_machine_checks_total')), 'exceptions')],
    ) + panel.thresholds(critical=board.any) + panel.decimals(0) + panel.whenEmpty('Not told'),
  ],

  local onOff = panel.words({ '0': { text: 'off', color: 'orange' }, '1': { text: 'on', color: 'green' } }),
  local security = [
    panel.table(
      'Vulnerabilities',
      'What the kernel says of its CPUs. Vulnerable is what a guest can make use of.',
      [panel.target('%s == 1' % select('vcpu_host_vulnerability', 'status!="not_affected"'))],
      [
        { from: 'name', name: 'Vulnerability' },
        {
          from: 'status',
          name: 'Status',
          limits: { warning: null, critical: null },
          mappings: panel.words({
            vulnerable: { text: 'vulnerable', color: 'red' },
            mitigated: { text: 'mitigated', color: 'green' },
          }),
        },
        board.hostColumn,
      ],
    ) + { options+: { sortBy: [{ displayName: 'Status', desc: true }] } } + panel.whenEmpty('None known'),
    panel.table(
      'Protections',
      'Which protections against guests are on. vmx_or_svm, ept_or_npt, smep and smap ought to be; smt is a choice.',
      [panel.target(select('vcpu_host_security_feature'))],
      [
        { from: 'feature', name: 'Feature' },
        { from: 'A', name: 'Is', width: 80, mappings: onOff, limits: { warning: null, critical: null } },
        board.hostColumn,
      ],
    ) + { options+: { sortBy: [{ displayName: 'Is', desc: false }] } } + panel.whenEmpty('Not told'),
  ],

  grafanaDashboards+:: {
    'vcpu-host.json': dashboard.new(
      config.dashboards.host,
      'One host: which VMs wait for a CPU, who has it meanwhile, and what of the host is full, hot or open.',
      // Of other hypervisors' hosts nothing but the contention is told.
      dashboard.variables(['vcpu_exporter_build_info', recorded.hostWorstContention], everything=false, extra=[dashboard.top]),
      [
        dashboard.row('At a glance', 4, glance),
        dashboard.row('Who waits, and who has the CPU meanwhile', 11, contention),
        dashboard.row('VMs, the worst first', 10, vms),
        dashboard.row('CPUs and density', 9, density),
        dashboard.row('Waits and switches', 9, waits),
        dashboard.row('Pressure and memory', 8, pressure),
        dashboard.row('NUMA and disks', 8, numa),
        dashboard.row('Other threads and pins', 8, threads),
        dashboard.row('Heat and hardware', 8, hardware),
        dashboard.row('Security', 9, security),
      ],
    ),
  },
}

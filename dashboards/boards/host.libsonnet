// SPDX-License-Identifier: Apache-2.0
// Dashboard of one host (or of several side by side): who waits and who takes the time, how full it is, what slows it down.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local board = boardLib.new(config),
  local said = board.said,
  local both = board.both,
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
      {
        shows: 'The VM whose worst vCPU waits longest for a physical CPU now, as a share of the time. What its own CPU ' +
               'quota stopped is taken off where the exporter tells it.',
        good: 'under %(warning)s.' % said.steal,
        bad: 'from %(warning)s on its users notice, from %(critical)s on it hurts. A click leads to the VM.' % said.steal,
      },
      'percentunit',
      [panel.target('topk(1, %s)' % worst, vm)],
    )
    + panel.thresholds(board.steal.warning, board.steal.critical)
    + panel.whenEmpty('No VM') + panel.withName + panel.decimals(1) + panel.linked(board.graphToVm) + panel.wide(5),
    panel.stat(
      'Takes most from others',
      {
        shows: 'The VM or host process that has the CPU for most of the time that VMs wait: seconds per second, of all ' +
               'waiting vCPUs.',
        good: 'near 0, or nobody.',
        bad: 'one name with more than all others together: that is the noisy neighbour, to move or to cap.',
      },
      's',
      [panel.target('topk(1, sum by (culprit) (%s))' % stolen, '{{culprit}}')],
    ) + panel.withName + panel.decimals(2) + panel.whenEmpty('Nobody') + panel.wide(5),
    panel.stat(
      'VM count',
      {
        shows: 'Virtual machines that run here.',
        good: 'as many as you placed here.',
        bad: 'fewer: some ended. `virsh list --all` tells which.',
      },
      'short',
      [panel.target(
        'sum(count by (job, instance) (%s) or on (job, instance) %s)' % [select('vcpu_domain_info'), select(recorded.domains)],
        'VMs',
      )],
    ) + panel.whenEmpty('0') + panel.wide(2),
    panel.stat(
      'vCPUs',
      {
        shows: 'Virtual CPUs of all VMs here.',
        good: 'up to %(warning)s times the physical cores.' % said.density,
        bad: 'more: see the vCPUs per core beside.',
      },
      'short',
      [panel.target('sum(%s)' % select('vcpu_host_vcpus'), 'vCPUs')],
    ) + panel.wide(2),
    panel.stat(
      'vCPUs per core',
      {
        shows: 'vCPUs per physical core, on the densest host chosen.',
        good: 'up to %(warning)s.' % said.density,
        bad: 'over %(warning)s place nothing more here; from %(critical)s on VMs wait for each other.' % said.density,
      },
      'short',
      [panel.target('max(%s)' % select('vcpu_host_thread_density_ratio'), 'vCPUs per core')],
    ) + panel.thresholds(board.density.warning, board.density.critical) + panel.decimals(1) + panel.wide(3),
    panel.stat(
      'Host CPU busy',
      {
        shows: 'Share of the time that all logical CPUs were busy, on the busiest host chosen.',
        good: 'under %(warning)s: the rest is for what is critical.' % said.busy,
        bad: 'from %(warning)s on the reserve is gone, from %(critical)s on the host is full.' % said.busy,
      },
      'percentunit',
      [panel.target('max(avg without (cpu) (%s))' % rate('vcpu_host_cpu_busy_seconds_total'), 'busy')],
    ) + panel.thresholds(board.busy.warning, board.busy.critical) + panel.decimals(0) + panel.wide(3),
    panel.stat(
      'Swap in',
      {
        shows: 'Bytes a second that the host reads back from its swap.',
        good: '0.',
        bad: 'from %(critical)s a second on: each read stops a vCPU until the disk answers.' % said.swapIn,
      },
      'Bps',
      [panel.target('sum(%s)' % rate('vcpu_host_swap_bytes_total', 'direction="in"'), 'read')],
    ) + panel.thresholds(critical=board.swapIn.critical) + panel.decimals(0) + panel.wide(2),
    panel.stat(
      'Hottest',
      {
        shows: 'The hottest sensor of the CPUs, in degrees Celsius.',
        good: 'under %(warning)s.' % said.heat,
        bad: 'from %(warning)s on the CPU slows down, and every VM with it: look at fans and air.' % said.heat,
      },
      'celsius',
      [panel.target('max(%s)' % select('vcpu_host_cpu_temperature_celsius'), 'hottest')],
    ) + panel.thresholds(board.heat.warning) + panel.decimals(0) + panel.whenEmpty('Not told') + panel.wide(2),
  ],

  local contention = [
    panel.timeseries(
      'Contention by VM, worst vCPU',
      {
        shows: 'Share of the time that the worst vCPU of each VM was ready to run and got no physical CPU, without what ' +
               'its own CPU quota stopped where the exporter tells that. VcpuStealHigh watches this.',
        good: 'under the lower line, %(warning)s.' % said.steal,
        bad: ('over the upper one, %(critical)s. One VM alone: look at its pins and its neighbour; all of them: the ' +
              'host is full.') % said.steal,
      },
      'percentunit',
      [panel.target(topGauge(worst), vm)],
    ) + panel.thresholdLines(board.steal.warning, board.steal.critical) + panel.linked(board.graphToVm) + panel.wide(4),
    panel.table(
      'Who steals from whom',
      {
        shows: 'Of the time that a VM waits for a CPU, the part that another VM or a process of the host had it: seconds ' +
               "per second, all its vCPUs. Kind `domain` is another VM's vCPU, `overhead` its other threads, `host` a " +
               'process; a click on a VM shows it.',
        good: 'nobody, or many with little each.',
        bad: 'the same culprit in many rows: move it or cap it. Kind `host` that stays: move that work off the CPUs of ' +
             'VMs.',
      },
      [panel.target('topk($top, (%s) > 0)' % board.culprits(byCulprit, others))],
      [
        { from: 'domain', name: 'Waits', width: 100, links: board.tableToVm('Waits') },
      ] + board.culpritColumns + [
        { from: 'A', name: 'Takes, s/s', unit: 's', width: 85 },
        board.rowsHost,
      ],
    ) + panel.sortedBy('Takes, s/s') + panel.whenEmpty('Nobody') + panel.wide(4),
    panel.bargauge(
      'Takes most from others',
      {
        shows: 'Who has the CPU while others wait, over all victims, in seconds per second.',
        good: 'nobody, or bars of one length: all share what there is.',
        bad: 'one long bar. That is whom to move or to cap.',
      },
      's',
      [panel.target('sort_desc(topk($top, sum by (culprit) (%s) > 0))' % stolen, '{{culprit}}')],
    ) + panel.decimals(2) + panel.whenEmpty('Nobody') + { fieldConfig+: { defaults+: {
      color: { mode: 'fixed', fixedColor: 'orange' },
    } } } + panel.wide(3),
  ],

  local vms = [
    panel.table(
      'VMs',
      {
        shows: 'Every VM: how long it waits, what it uses, and what else slows it down.',
        good: 'green.',
        bad: ('orange, then red: waits %s, quota stops %s, far memory %s, disk request %s. Many involuntary switches or ' +
              'migrations a second go with waits; pins end both.') % [
          both(said.steal),
          said.throttled.warning,
          said.remote.warning,
          both(said.request),
        ],
      },
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
      {
        shows: 'vCPUs per physical core, of the host and of each NUMA node.',
        good: 'up to the lower line, %(warning)s, and all nodes alike.' % said.density,
        bad: ('over the upper one, %(critical)s, VMs wait for each other. One node far above the others: move pins, not ' +
              'VMs.') % said.density,
      },
      'short',
      [
        panel.target(select('vcpu_host_thread_density_ratio'), 'host'),
        panel.target(select('vcpu_node_thread_density_ratio'), 'node {{numa_node}}'),
      ],
    ) + panel.few + panel.thresholdLines(board.density.warning, board.density.critical),
    panel.timeseries(
      'Host CPU by mode',
      {
        shows: 'Logical CPUs occupied, by what occupied them.',
        good: 'mostly guest, which is work of VMs.',
        bad: "much `system` or `softirq` is the host's own work, taken from the VMs; any `steal` means that this host " +
             'is itself a VM that waits.',
      },
      'short',
      [panel.target(
        'sum by (mode) (%s) > 0' % rate('vcpu_host_cpu_seconds_total', 'mode!~"idle|iowait"'), '{{mode}}'
      )],
    ) + panel.stacked + board.modeColours,
    panel.timeseries(
      'Busiest CPUs',
      {
        shows: 'Share of the time that each logical CPU was busy.',
        good: 'alike, and under the lower line, %(warning)s.' % said.busy,
        bad: 'over %(critical)s: a few CPUs that stand out are pins or interrupts, all alike is a full host.' % said.busy,
      },
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
      {
        shows: 'The CPUs with the most vCPUs on them, each vCPU shared out over all CPUs that it may use.',
        good: 'up to %(warning)s, and all alike.' % said.density,
        bad: 'from %(critical)s on, while others have few: spread the pins.' % said.density,
      },
      'short',
      [panel.target('sort_desc(topk($top, %s))' % select('vcpu_cpu_assigned_vcpus'), 'CPU {{cpu}}')],
    ) + panel.thresholds(board.density.warning, board.density.critical) + panel.decimals(2),
  ],

  local waits = [
    panel.timeseries(
      'Longest waits',
      {
        shows: 'The 99th percentile of how long a vCPU waits each time it wants a CPU.',
        good: 'under a few milliseconds.',
        bad: 'tens of milliseconds and more: timers are late, connections time out, whatever the mean says.',
      },
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
      {
        shows: 'How long a vCPU waited on average each time it was put on a CPU.',
        good: 'under a millisecond.',
        bad: 'some milliseconds: each time another task uses up its slice first.',
      },
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
      {
        shows: 'Per second, all vCPUs of a VM: put off their CPU while they still had work.',
        good: 'near 0, where vCPUs have CPUs of their own.',
        bad: 'over %(warning)s a second and vCPU with contention is a storm: pin the VM, or make room.' % said.storm,
      },
      'cps',
      [panel.target(topRate('vcpu_context_switches_total', 'kind="involuntary"'), vm)],
    ) + panel.linked(board.graphToVm),
    panel.timeseries(
      'Migrations',
      {
        shows: 'Per second, all vCPUs of a VM: moves from one CPU to another.',
        good: 'a few; 0 where vCPUs are pinned.',
        bad: 'hundreds: each move leaves warm caches behind, on another node its memory as well.',
      },
      'cps',
      [panel.target(topRate('vcpu_migrations_total'), vm)],
    ) + panel.linked(board.graphToVm),
  ],

  local threads = [
    panel.timeseries(
      'Other threads wait',
      {
        shows: 'Seconds per second that emulator, I/O, vhost and worker threads waited for a physical CPU.',
        good: 'near 0.',
        bad: "what grows with the vCPUs' waits: slow disks and networks begin here. Give these threads CPUs of their " +
             'own (`emulatorpin`).',
      },
      's',
      [panel.target(topRate('vcpu_domain_thread_steal_seconds_total', by='domain, role'), '{{domain}} {{role}}')],
    ) + panel.linked(board.graphToVm),
    panel.timeseries(
      'Other threads run',
      {
        shows: 'CPUs that emulator, I/O, vhost and worker threads use, beside the vCPUs.',
        good: 'little against the vCPUs.',
        bad: 'a whole CPU and more: that work is not in the number of vCPUs, leave room for it.',
      },
      'short',
      [panel.target(topRate('vcpu_domain_thread_run_seconds_total', by='domain, role'), '{{domain}} {{role}}')],
    ) + panel.linked(board.graphToVm),
    panel.table(
      'Overlapping pins',
      {
        shows: 'vCPUs pinned to one CPU to which another vCPU is pinned as well.',
        good: 'none.',
        bad: 'any: these vCPUs can only take turns. Give each a CPU of its own (`virsh vcpupin`).',
      },
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
      {
        shows: 'vCPUs that may use one CPU only, those first whose CPU others have most of the time.',
        good: 'others have next to nothing, and it waits under %(warning)s.' % said.pinned,
        bad: ('others have over %s: hot for a vCPU that often sleeps. A wait over %s: one that computes has not got it ' +
              'alone.') % [said.hotCpu.warning, said.pinned.warning],
      },
      [
        panel.target('topk($top, max by (job, instance, domain, vcpu, cpu) (%s))' % select(recorded.pinnedOthers)),
        panel.target('max by (job, instance, domain, vcpu, cpu) (%s)' % select(recorded.pinnedSleeps)),
        panel.target('max by (job, instance, domain, vcpu) (%s) and on (job, instance, domain, vcpu) %s' % [
          select(recorded.contention),
          select(recorded.pinnedOthers),
        ]),
      ],
      [
        board.vmColumn { width: 110 },
        { from: 'vcpu', name: 'vCPU', width: 60 },
        { from: 'cpu', name: 'CPU', width: 55 },
        { from: 'A', name: 'Others', unit: 'percentunit', decimals: 0, width: 70, limits: board.hotCpu },
        { from: 'B', name: 'Sleeps/s', unit: 'short', decimals: 0, width: 75 },
        { from: 'C', name: 'Waits', unit: 'percentunit', decimals: 1, width: 65, limits: board.pinned },
        board.rowsHost,
      ],
    ) + panel.sortedBy('Others') + panel.whenEmpty('None') + panel.wide(1.25),
  ],

  local trend = config.alerts.VcpuSaturationPredicted.info,
  local ahead = 'in %s' % trend.ahead,
  local room = [
    board.spare(recorded) + panel.wide(2),
    panel.timeseries(
      'CPUs busy, now and in %s' % trend.ahead,
      {
        shows: 'Share of all CPU time that is used, and that will be by the line through the last %s.' % trend.past,
        good: 'under the line, %(warning)s, and both alike: it does not grow.' % said.predictedBusy,
        bad: ('%s over the line, %s: the host will be full. Look at %s and more: a single step, a VM that came, tilts the line as ' +
              'well.') % [ahead, said.predictedBusy.warning, trend.past],
      },
      'percentunit',
      [
        panel.target('max by (job, instance) (%s)' % select(recorded.hostBusy), 'now'),
        panel.target('max by (job, instance) (%s)' % select(recorded.predictedBusy), ahead),
      ],
    ) + panel.few + panel.thresholdLines(board.predictedBusy.warning),
    panel.timeseries(
      'Density, now and in %s' % trend.ahead,
      {
        shows: 'vCPUs per physical core, and what they will be by the line through the last %s.' % trend.past,
        good: 'under the line, %(warning)s, and both alike.' % said.predictedDensity,
        bad: '%s over the line, %s: place new VMs elsewhere, or have vCPUs given back.' % [ahead, said.predictedDensity.warning],
      },
      'short',
      [
        panel.target('max by (job, instance) (%s)' % select('vcpu_host_thread_density_ratio'), 'now'),
        panel.target('max by (job, instance) (%s)' % select(recorded.predictedDensity), ahead),
      ],
    ) + panel.few + panel.thresholdLines(board.predictedDensity.warning),
  ],

  local pressure = [
    panel.timeseries(
      'Pressure',
      {
        shows: 'Share of the time that something on this host stood still for want of CPU, memory or I/O (PSI).',
        good: 'memory at 0; some CPU and I/O where there is work.',
        bad: 'any memory that stays: the host swaps or reclaims. CPU near 100%: there is always somebody who waits.',
      },
      'percentunit',
      [panel.target('max by (resource) (%s)' % rate('vcpu_host_pressure_seconds_total', 'kind="some"'), '{{resource}}')],
    ) + panel.few + panel.maximum(1),
    panel.timeseries(
      'Memory',
      {
        shows: 'What there is, what is left, what lies in the swap.',
        good: 'some available, and the swap empty or steady.',
        bad: 'available near 0, or a swap that grows: VMs will stop for the disk.',
      },
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
      {
        shows: 'Bytes per second to (out) and from (in) the swap.',
        good: '0.',
        bad: 'in over the line, %(critical)s a second, where VcpuMemorySwapping pages: each read stops a vCPU.' % said.swapIn,
      },
      'Bps',
      [panel.target('sum by (direction) (%s)' % rate('vcpu_host_swap_bytes_total'), '{{direction}}')],
    ) + panel.few + panel.thresholdLines(critical=board.swapIn.critical),
    panel.timeseries(
      'Memory promised',
      {
        shows: 'What the VMs may use at most, over what there is.',
        good: 'up to %(warning)s.' % said.overcommit,
        bad: 'over %(warning)s: they do not all fit, and the day they want it the host swaps.' % said.overcommit,
      },
      'short',
      [panel.target(select('vcpu_host_memory_overcommit_ratio'), 'promised / total')],
    ) + panel.few + panel.thresholdLines(board.overcommit.warning) + panel.decimals(2),
  ],

  local numa = [
    panel.timeseries(
      'VMs far from their memory',
      {
        shows: "Share of a VM's memory accesses that are expected to cross NUMA nodes.",
        good: '0%.',
        bad: 'over the line, %(warning)s: such an access takes up to three times as long. Bind the VM to one node.' % said.remote,
      },
      'percentunit',
      [panel.target(topGauge(select('vcpu_domain_numa_misplacement_ratio')), vm)],
    ) + panel.thresholdLines(board.remote.warning) + panel.maximum(1) + panel.linked(board.graphToVm),
    panel.timeseries(
      "VMs' memory by NUMA node",
      {
        shows: 'Where the memory of all VMs lies.',
        good: 'spread over the nodes like the vCPUs.',
        bad: 'one node full while another is empty: new VMs will be far from their memory.',
      },
      'bytes',
      [panel.target('sum by (numa_node) (%s)' % select('vcpu_domain_memory_bytes'), 'node {{numa_node}}')],
    ) + panel.few + panel.stacked,
    panel.timeseries(
      'Requests to disks',
      {
        shows: 'Mean time that a request takes, by the VM and disk that waits longest.',
        good: 'steady, and under %(warning)s.' % said.request,
        bad: ('over %(warning)s and far above its own past; over %(critical)s in any case. All VMs at once: the ' +
              'storage; one: its own load or throttle.') % said.request,
      },
      's',
      [panel.target(topGauge(select(recorded.block)), '{{domain}} {{device}}')],
    ) + panel.thresholdLines(board.request.warning, board.request.critical) + panel.linked(board.graphToVm),
  ],

  local hardware = [
    panel.timeseries(
      'Temperature',
      {
        shows: 'The hottest sensor of each package.',
        good: 'under the line, %(warning)s degrees.' % said.heat,
        bad: 'over %(warning)s degrees it slows down, which no steal shows.' % said.heat,
      },
      'celsius',
      [panel.target(select('vcpu_host_cpu_temperature_celsius'), 'package {{package}}')],
    ) + panel.few + panel.thresholdLines(board.heat.warning) + panel.minimum(20),
    panel.timeseries(
      'Slowed down for heat',
      {
        shows: 'Times per second that a core or a package was too hot.',
        good: '0.',
        bad: 'any: vCPUs run slower than the clock promises. Look at fans, air and power limits.',
      },
      'cps',
      [panel.target('sum by (scope) (%s)' % rate('vcpu_host_cpu_throttles_total'), '{{scope}}')],
    ) + panel.few,
    panel.timeseries(
      'Clock',
      {
        shows: "The slowest, the mean and the fastest clock of the host's cores.",
        good: 'near the fastest while there is work.',
        bad: 'a mean that falls under load: heat, a power limit or a power-saving governor.',
      },
      'hertz',
      [panel.target(select('vcpu_host_cpu_frequency_hertz'), '{{stat}}')],
    ) + panel.few,
    panel.stat(
      'Machine checks',
      {
        shows: 'Machine-check exceptions in the time shown.',
        good: '0.',
        bad: "any: the hardware reports errors. Move the VMs away, and read the kernel's log.",
      },
      'short',
      [panel.target('sum(increase(%s))' % board.overRange(select('vcpu_host_machine_checks_total')), 'exceptions')],
    ) + panel.thresholds(critical=board.any) + panel.decimals(0) + panel.whenEmpty('Not told'),
  ],

  local onOff = panel.words({ '0': { text: 'off', color: 'orange' }, '1': { text: 'on', color: 'green' } }),
  local security = [
    panel.table(
      'Vulnerabilities',
      {
        shows: 'What the kernel says of its CPUs, those left out that do not concern them.',
        good: 'mitigated.',
        bad: 'vulnerable: a guest may read what is not its own. Update microcode and kernel, and switch no mitigation off.',
      },
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
      {
        shows: 'Which protections against guests are on.',
        good: 'on, for vmx_or_svm, ept_or_npt, smep and smap. The others are a choice.',
        bad: "off, for one of these four: look at the firmware's settings and the kernel's command line.",
      },
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
        dashboard.row('Room: what can be given back, and how it grows', 9, room),
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

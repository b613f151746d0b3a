// SPDX-License-Identifier: Apache-2.0
// Dashboard of one host (or of several side by side): who waits, how vCPUs are switched, how dense the host is.
local dashboard = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local steal = {
    warning: config.alerts.VcpuStealHigh.warning.above,
    critical: config.alerts.VcpuStealHigh.critical.above,
  },
  local density = config.alerts.VcpuThreadDensityHigh.warning.above,

  local select(metric, matchers='') =
    '%s{job=~"$job", instance=~"$instance"%s}' % [metric, if matchers == '' then '' else ', ' + matchers],
  local rate(metric, matchers='') = 'rate(%s[$__rate_interval])' % select(metric, matchers),
  local perVm(expr, by='') = 'sum by (job, instance, domain%s) (%s)' % [by, expr],

  // The top of a graph is chosen over the whole time shown, so that no line comes and goes.
  local overRange(expr) = expr + '[$__range] @ end()',
  local topGauge(expr) = '%s and topk($top, max_over_time(%s))' % [expr, overRange(expr)],
  local topRate(metric, matchers='', by='') =
    '%s and topk($top, %s)' % [
      perVm(rate(metric, matchers), by),
      perVm('increase(%s)' % overRange(select(metric, matchers)), by),
    ],

  local vm = '{{domain}}',
  local vmRole = '{{domain}} {{role}}',
  local worst = select(recorded.worstContention),
  local collectorSuccess = select('vcpu_scrape_collector_success'),

  local glance = [
    panel.stat(
      'Worst contention',
      'The VM whose worst vCPU waits longest for a physical CPU now. Time that its own CPU quota stopped it is taken off where the exporter tells it.',
      'percentunit',
      [panel.target('topk(1, %s)' % worst, vm)],
    )
    + panel.thresholds(steal.warning, steal.critical)
    + panel.whenEmpty('No VM')
    + { options+: { textMode: 'value_and_name' } },
    panel.stat('VMs', 'Virtual machines present.', 'short', [panel.target(
      'sum(count by (job, instance) (%s))' % select('vcpu_domain_info'),
      'VMs',
    )]) + panel.whenEmpty('0'),
    panel.stat('vCPUs', 'vCPU threads present.', 'short', [
      panel.target('sum(%s)' % select('vcpu_host_vcpus'), 'vCPUs'),
    ]),
    panel.stat('Thread density', 'vCPUs per physical core, on the densest host chosen.', 'short', [
      panel.target('max(%s)' % select('vcpu_host_thread_density_ratio'), 'vCPUs per core'),
    ]) + panel.thresholds(density),
    panel.stat('Host CPU busy', 'Share of all logical CPUs that was busy, on the busiest host chosen.', 'percentunit', [
      panel.target('max(avg without (cpu) (%s))' % rate('vcpu_host_cpu_busy_seconds_total'), 'busy'),
    ]),
    panel.stat('Failing collectors', 'Collectors whose last run failed: their metrics are missing.', 'short', [
      panel.target('sum(1 - %s)' % collectorSuccess, 'failing'),
    ]) + panel.thresholds(critical=1),
  ],

  local contention = [
    panel.timeseries(
      'Contention by VM, worst vCPU',
      'Seconds per second that the worst vCPU of each VM was ready to run and got no physical CPU, without the time ' +
      'its own CPU quota stopped it where the exporter tells that. What VcpuStealHigh watches; needs the recording rules.',
      'percentunit',
      [panel.target(topGauge(worst), vm)],
    ) + panel.thresholdLines(steal.warning, steal.critical),
    panel.bargauge(
      'Worst VMs now',
      'The VMs with the most contention at this moment (worst vCPU of each).',
      'percentunit',
      [panel.target('sort_desc(topk($top, %s))' % worst, vm)],
    ) + panel.thresholds(steal.warning, steal.critical),
    panel.timeseries(
      'Contention by vCPU',
      'The vCPUs that wait longest: one alone points at its CPU or its pinning, all of a VM alike at a full host.',
      'percentunit',
      [panel.target(topGauge(select(recorded.contention)), '{{domain}} vCPU {{vcpu}}')],
    ) + panel.thresholdLines(steal.warning, steal.critical),
  ],

  local waits = [
    panel.timeseries(
      'Steal by VM, all vCPUs',
      'Seconds per second waited by all vCPUs of a VM together, as the kernel counts it: time stopped by a CPU quota included.',
      'percentunit',
      [panel.target(topRate('vcpu_steal_seconds_total'), vm)],
    ),
    panel.timeseries(
      'Mean wait per dispatch',
      'How long a vCPU waited on average each time it was put on a CPU.',
      's',
      [panel.target(
        '%s / (%s > 0) and topk($top, %s)' % [
          perVm(rate('vcpu_steal_seconds_total')),
          perVm(rate('vcpu_dispatches_total')),
          perVm('increase(%s)' % overRange(select('vcpu_steal_seconds_total'))),
        ],
        vm,
      )],
    ),
    panel.timeseries(
      'Overhead threads: steal',
      'Seconds per second that emulator, iothread, vhost and worker threads waited for a physical CPU: slow disks and networks begin here.',
      'percentunit',
      [panel.target(topRate('vcpu_domain_thread_steal_seconds_total', by=', role'), vmRole)],
    ),
  ],

  local switches = [
    panel.timeseries(
      'Involuntary switches',
      'Per second, all vCPUs of a VM: vCPUs put off their CPU while they still had work.',
      'cps',
      [panel.target(topRate('vcpu_context_switches_total', 'kind="involuntary"'), vm)],
    ),
    panel.timeseries(
      'Voluntary switches',
      'Per second, all vCPUs of a VM: vCPUs that went to sleep by themselves. High for work that waits for I/O.',
      'cps',
      [panel.target(topRate('vcpu_context_switches_total', 'kind="voluntary"'), vm)],
    ),
    panel.timeseries(
      'Migrations',
      'Per second, all vCPUs of a VM: moves from one CPU to another, each leaving warm caches behind.',
      'cps',
      [panel.target(topRate('vcpu_migrations_total'), vm)],
    ),
  ],

  local host = [
    panel.timeseries(
      'Thread density',
      'vCPUs per physical core, of the host and of each NUMA node.',
      'short',
      [
        panel.target(select('vcpu_host_thread_density_ratio'), '{{instance}}'),
        panel.target(select('vcpu_node_thread_density_ratio'), '{{instance}} node {{numa_node}}'),
      ],
    ) + panel.thresholdLines(density),
    panel.timeseries(
      'Host CPU by mode',
      'Logical CPUs occupied, by what occupied them; guest is time inside VMs.',
      'short',
      [panel.target(
        'sum by (mode) (%s)' % rate('vcpu_host_cpu_seconds_total', 'mode!~"idle|iowait"'), '{{mode}}'
      )],
    ) + panel.stacked,
    panel.timeseries(
      'Busiest CPUs',
      'Share of time each logical CPU was busy.',
      'percentunit',
      [panel.target(
        '%s and topk($top, increase(%s))' % [
          rate('vcpu_host_cpu_busy_seconds_total'),
          overRange(select('vcpu_host_cpu_busy_seconds_total')),
        ],
        '{{instance}} CPU {{cpu}}',
      )],
    ),
  ],

  local pins = [
    panel.bargauge(
      'vCPUs assigned to a CPU',
      'The CPUs with the most vCPUs allowed on them, each vCPU shared out over all CPUs it may use.',
      'short',
      [panel.target('sort_desc(topk($top, %s))' % select('vcpu_cpu_assigned_vcpus'), '{{instance}} CPU {{cpu}}')],
    ),
    panel.table(
      'Overlapping pins',
      'vCPUs pinned to one CPU that another vCPU is pinned to as well: they can only take turns.',
      'short',
      [panel.target('%s and on (job, instance, cpu) %s > 1' % [
        select('vcpu_pinned_info'),
        select('vcpu_cpu_pinned_vcpus'),
      ])],
      columns={ domain: 'VM', vcpu: 'vCPU', cpu: 'CPU', instance: 'Host' },
      hide=['Value', '__name__'],
    ) + panel.whenEmpty('No pins overlap'),
    panel.timeseries(
      'Overhead threads: CPU',
      'CPUs used by emulator, iothread, vhost and worker threads, beside the vCPUs.',
      'short',
      [panel.target(topRate('vcpu_domain_thread_run_seconds_total', by=', role'), vmRole)],
    ),
  ],

  local vms = [
    panel.table(
      'VMs',
      'Every VM, the worst first. Contention and mean contention need the recording rules.',
      'short',
      [
        panel.target(worst),
        panel.target(select(recorded.meanContention)),
        panel.target(perVm(rate('vcpu_run_seconds_total'))),
        panel.target(perVm(rate('vcpu_steal_seconds_total'))),
        panel.target(perVm(rate('vcpu_context_switches_total', 'kind="involuntary"'))),
        panel.target(perVm(rate('vcpu_context_switches_total', 'kind="voluntary"'))),
        panel.target(perVm(rate('vcpu_migrations_total'))),
      ],
      columns={
        domain: 'VM',
        instance: 'Host',
        'Value #A': 'Contention, worst vCPU',
        'Value #B': 'Contention, mean',
        'Value #C': 'CPUs used',
        'Value #D': 'Steal, all vCPUs',
        'Value #E': 'Involuntary switches/s',
        'Value #F': 'Voluntary switches/s',
        'Value #G': 'Migrations/s',
      },
      hide=['__name__'],
    )
    + panel.sortedBy('Contention, worst vCPU')
    + panel.columnUnit('Contention, worst vCPU', 'percentunit')
    + panel.columnUnit('Contention, mean', 'percentunit')
    + panel.columnUnit('Steal, all vCPUs', 'percentunit'),
  ],

  local exporter = [
    panel.stat(
      'Collectors',
      'Whether each collector succeeded in the last scrape, on every host chosen.',
      'short',
      [panel.target('min by (collector) (%s)' % collectorSuccess, '{{collector}}')],
    )
    + panel.valueNames({ '0': { text: 'failed', color: 'red' }, '1': { text: 'ok', color: 'green' } })
    + { options+: { textMode: 'value_and_name' } },
    panel.table(
      'Sources missing',
      'What this host does not offer to the exporter, and why: metrics from these sources are absent, not zero.',
      'short',
      [panel.target('%s == 0' % select('vcpu_source_available'))],
      columns={ instance: 'Host', source: 'Source', reason: 'Reason' },
      hide=['Value', '__name__'],
    ) + panel.whenEmpty('None'),
    panel.timeseries(
      'Collector duration',
      'How long each collector took, on the slowest host chosen.',
      's',
      [panel.target('max by (collector) (%s)' % select('vcpu_scrape_collector_duration_seconds'), '{{collector}}')],
    ),
  ],

  grafanaDashboards+:: {
    'vcpu-host.json': dashboard.new(
      config.dashboards.host.uid,
      config.dashboards.host.title,
      'Steal, switches and density by VM, as vcpu_exporter sees them.',
      [
        dashboard.row('At a glance', 4, glance),
        dashboard.row('Contention: who waits for a CPU', 9, contention),
        dashboard.row('Waits in detail', 9, waits),
        dashboard.row('Context switches', 9, switches),
        dashboard.row('Density and load of the host', 9, host),
        dashboard.row('Placement and overhead', 9, pins),
        dashboard.row('VMs', 10, vms),
        dashboard.row('The exporter itself', 8, exporter),
      ],
    ),
  },
}

// SPDX-License-Identifier: Apache-2.0
// Dashboard of all hosts, the worst first. It asks for recorded series only, one per host or VM, so that a thousand hosts are
// no burden.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local board = boardLib.new(config),
  local select = board.select,

  local perHost(metric) = 'max by (job, instance) (%s)' % select(metric),
  local perVm(metric) = 'max by (job, instance, domain) (%s)' % select(metric),
  local firing(severity) = 'max by (severity, alertname, job, instance, domain) (%s)' %
                           select('ALERTS', 'alertstate="firing", severity="%s"' % severity),
  local count(expr) = 'count(%s) or vector(0)' % expr,
  // Series of a cluster have no instance.
  local cluster(metric) = '%s{job=~"$job", cluster=~"$cluster"}' % metric,

  local worstHosts(expr) = '%s and on (job, instance) topk($top, %s)' % [expr, perHost(recorded.hostWorstContention)],
  local worstVms(expr) = '%s and on (job, instance, domain) topk($top, %s)' % [expr, perVm(recorded.worstContention)],
  local mainCulprit = 'topk by (job, instance, domain) (1, sum by (job, instance, domain, culprit) (%s))' %
                      select(recorded.culprits),

  local glance = [
    panel.stat(
      'Worst contention',
      'The host with the VM that waits longest for a physical CPU now. Under %g%% is fine, over %g%% hurts whatever runs in it.' %
      [board.steal.warning * 100, board.steal.critical * 100],
      'percentunit',
      [panel.target('topk(1, %s)' % perHost(recorded.hostWorstContention))],
    ) + panel.thresholds(board.steal.warning, board.steal.critical)
    + panel.withName + panel.decimals(1) + panel.linked(board.graphToHost) + panel.whenEmpty('No host') + panel.wide(5),
    panel.stat(
      'VMs that wait',
      'VMs whose worst vCPU waits over %g%% of the time. Good is 0.' % (board.steal.critical * 100),
      'short',
      [panel.target(count('%s > %g' % [select(recorded.worstContention), board.steal.critical]), 'VMs')],
    ) + panel.thresholds(critical=board.any) + panel.wide(3),
    panel.stat(
      'Hosts too dense',
      'Hosts with over %g vCPUs per physical core, as a whole or on one NUMA node.' % board.density.warning,
      'short',
      [panel.target(count('%s > %g' % [select(recorded.density), board.density.warning]), 'hosts')],
    ) + panel.thresholds(warning=board.any) + panel.wide(3),
    panel.stat(
      'VMs far from RAM',
      'VMs of which over %g%% of the memory accesses cross NUMA nodes.' % (board.remote.warning * 100),
      'short',
      [panel.target(count('%s > %g' % [select(recorded.misplacement), board.remote.warning]), 'VMs')],
    ) + panel.thresholds(warning=board.any) + panel.wide(3),
    panel.stat(
      'Hosts that swap',
      'Hosts that read over %g MiB a second back from their swap: each read stops a vCPU. Good is 0.' %
      (board.swapIn.critical / 1024 / 1024),
      'short',
      [panel.target(count('%s > %d' % [select(recorded.swapIn), board.swapIn.critical]), 'hosts')],
    ) + panel.thresholds(critical=board.any) + panel.wide(3),
    panel.stat(
      'Hosts silent',
      'Hosts whose exporter Prometheus cannot scrape: nothing is known of their VMs.',
      'short',
      [panel.target(count('%s == 0' % select('up')), 'hosts')],
    ) + panel.thresholds(critical=board.any) + panel.wide(3),
    panel.stat('Hosts', "Hosts that are told of, by vcpu_exporter or by another hypervisor's exporter.", 'short', [panel.target(
      'count(%s or on (job, instance) %s)' % [select(recorded.density), select(recorded.hostWorstContention)], 'hosts'
    )]) + panel.wide(2),
    panel.stat('VMs', 'Virtual machines that run on them.', 'short', [
      panel.target('sum(%s)' % select(recorded.domains), 'VMs'),
    ]) + panel.wide(2),
  ],

  local worst = [
    panel.table(
      'Worst VMs, and who takes their time',
      'The VMs whose worst vCPU waits longest for a physical CPU, and the VM or host process that has the CPU meanwhile, with ' +
      'its share of the wait. Without a culprit no single one stands out: the host is full. A click on the VM shows all of them.',
      [
        panel.target('topk($top, %s)' % perVm(recorded.worstContention)),
        panel.target(worstVms(perVm(recorded.meanContention))),
        panel.target(worstVms(mainCulprit)),
      ],
      [
        board.vmColumn,
        board.hostColumn,
        { from: 'A', name: 'Worst vCPU waits', unit: 'percentunit', decimals: 1, limits: board.steal, bar: 1 },
        { from: 'B', name: 'vCPUs wait', unit: 'percentunit', decimals: 1, limits: board.steal, width: 100 },
        { from: 'culprit', name: 'Taken by', empty: '-' },
        { from: 'C', name: 'Its share', unit: 'percentunit', decimals: 0, limits: board.culprit, width: 90, empty: '-' },
      ],
    ) + panel.sortedBy('Worst vCPU waits') + panel.wide(3),
    panel.table(
      'Alerts that fire',
      'Alerts for a page (critical) or a ticket (warning), the top of them, pages first; those that Alertmanager mutes are listed as ' +
      'well. Good is none. Their annotations link to a runbook.',
      [panel.target('topk($top, %s or 0.5 * %s)' % [firing('critical'), firing('warning')])],
      [
        { from: 'severity', name: 'Severity', mappings: panel.words({
          critical: { text: 'critical', color: 'red' },
          warning: { text: 'warning', color: 'orange' },
        }), limits: { warning: null, critical: null }, width: 85 },
        { from: 'alertname', name: 'Alert' },
        board.hostColumn,
        board.vmColumn,
      ],
    ) + { options+: { sortBy: [{ displayName: 'Severity', desc: false }] } } + panel.whenEmpty('No alert fires') + panel.wide(2),
  ],

  local hosts = [
    panel.table(
      'Hosts, the worst first',
      'Worst: the VM that waits longest. All: the share of their time that the vCPUs of the host wait, of which the SLO allows ' +
      '%g%%. Density is in vCPUs per physical core, of the densest NUMA node; NUMA the VM furthest from its memory; swap what is ' %
      ((1 - config.slo.objective) * 100) +
      'read back from it per second, and what VMs have there.',
      [
        panel.target('topk($top, %s)' % perHost(recorded.hostWorstContention)),
        panel.target(worstHosts(perHost(recorded.contentionOver[config.rateWindow]))),
        panel.target(worstHosts(perHost(recorded.hostBusy))),
        panel.target(worstHosts(perHost(recorded.density))),
        panel.target(worstHosts(perHost(recorded.domains))),
        panel.target(worstHosts(perHost(recorded.contendedVcpus))),
        panel.target(worstHosts(perHost(recorded.hostMisplacement))),
        panel.target(worstHosts(perHost(recorded.swapIn))),
        panel.target(worstHosts(perHost(recorded.swapped))),
      ],
      [
        board.hostColumn,
        { from: 'A', name: 'Worst vCPU waits', unit: 'percentunit', decimals: 1, limits: board.steal, bar: 1 },
        { from: 'B', name: 'All vCPUs wait', unit: 'percentunit', decimals: 1, limits: {
          warning: board.slo.warning,
          critical: board.steal.warning,
        } },
        { from: 'C', name: 'CPUs busy', unit: 'percentunit', decimals: 0, limits: board.busy },
        { from: 'D', name: 'Density', unit: 'short', decimals: 1, limits: board.density },
        { from: 'E', name: 'VMs', unit: 'short', decimals: 0 },
        { from: 'F', name: 'vCPUs', unit: 'short', decimals: 0 },
        { from: 'G', name: 'NUMA, worst', unit: 'percentunit', decimals: 0, limits: board.remote },
        { from: 'H', name: 'Swap read', unit: 'Bps', decimals: 1, limits: board.swapIn },
        { from: 'I', name: 'VMs in swap', unit: 'bytes', decimals: 1 },
      ],
    ) + panel.sortedBy('Worst vCPU waits'),
  ],

  local steal = [
    panel.timeseries(
      'Worst contention by host',
      'Seconds per second that the worst vCPU of each host waits for a physical CPU; the worst hosts of the time shown. Good is ' +
      'under the lower line.',
      'percentunit',
      [panel.target(board.topGauge(select(recorded.hostWorstContention)))],
    ) + panel.thresholdLines(board.steal.warning, board.steal.critical) + panel.linked(board.graphToHost),
    panel.timeseries(
      'Share of vCPU time that is waited',
      'By all vCPUs of a cluster together, and the worst vCPU of it. The line is what the SLO allows over 30 days.',
      'percentunit',
      [
        panel.target(cluster(recorded.clusterContention), '{{cluster}} {{hypervisor}} all'),
        panel.target(cluster(recorded.clusterWorstContention), '{{cluster}} {{hypervisor}} worst'),
      ],
    ) + panel.thresholdLines(board.slo.warning),
  ],

  local full = [
    panel.bargauge(
      'Densest hosts',
      'vCPUs per physical core, of the host or of its densest NUMA node. Up to %g is good, from %g on VMs wait for each other.' %
      [board.density.warning, board.density.critical],
      'short',
      [panel.target('sort_desc(topk($top, %s))' % perHost(recorded.density))],
    ) + panel.thresholds(board.density.warning, board.density.critical) + panel.decimals(2) + panel.linked(board.graphToHost),
    panel.bargauge(
      'Busiest hosts',
      'Share of CPU time that is used. Over %g%% nothing is left for what is critical.' % (board.busy.warning * 100),
      'percentunit',
      [panel.target('sort_desc(topk($top, %s))' % perHost(recorded.hostBusy))],
    ) + panel.thresholds(board.busy.warning, board.busy.critical) + panel.maximum(1) + panel.decimals(0)
    + panel.linked(board.graphToHost),
    panel.bargauge(
      'VMs far from their memory',
      'Share of memory accesses that cross NUMA nodes. 0 is good; a cross access takes up to three times as long.',
      'percentunit',
      [panel.target('sort_desc(topk($top, %s))' % select(recorded.misplacement), '{{domain}} on {{instance}}')],
    ) + panel.thresholds(board.remote.warning) + panel.maximum(1) + panel.decimals(0) + panel.linked(board.graphToVm),
    panel.bargauge(
      'Hosts with VMs in the swap',
      "Memory of VMs that lies in the host's swap. It costs nothing until it is read back.",
      'bytes',
      [panel.target('sort_desc(topk($top, %s > 0))' % perHost(recorded.swapped))],
    ) + panel.thresholds(warning=board.any) + panel.linked(board.graphToHost) + panel.whenEmpty('None'),
  ],

  local trends = [
    panel.timeseries(
      'CPUs busy by cluster',
      'Share of all CPU time of a cluster that is used.',
      'percentunit',
      [panel.target(cluster(recorded.clusterBusy), '{{cluster}}')],
    ) + panel.few + panel.thresholdLines(board.busy.warning, board.busy.critical) + panel.maximum(1),
    panel.timeseries(
      'Density by cluster',
      'vCPUs per physical core, all hosts of a cluster together.',
      'short',
      [panel.target(cluster(recorded.clusterDensity), '{{cluster}}')],
    ) + panel.few + panel.thresholdLines(board.density.warning, board.density.critical),
  ],

  grafanaDashboards+:: {
    'vcpu-fleet.json': dashboard.new(
      config.dashboards.fleet,
      'Where vCPUs wait for a CPU, over all hosts: the worst first. A click on a host or a VM leads to it.',
      dashboard.variables(recorded.hostWorstContention, everything=true, extra=[dashboard.top]),
      [
        dashboard.row('What needs you now', 4, glance),
        dashboard.row('The worst VMs', 10, worst),
        dashboard.row('The worst hosts', 10, hosts),
        dashboard.row('Steal', 9, steal),
        dashboard.row('Full hosts, far memory, swap', 9, full),
        dashboard.row('Clusters', 8, trends),
      ],
    ),
  },
}

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
  local said = board.said,
  local both = board.both,
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
      {
        shows: 'The host with the VM that waits longest for a physical CPU now, as a share of the time.',
        good: 'under %(warning)s.' % said.steal,
        bad: ('from %(warning)s on its users notice, from %(critical)s on whatever runs in it hurts. A click leads to ' +
              'the host.') % said.steal,
      },
      'percentunit',
      [panel.target('topk(1, %s)' % perHost(recorded.hostWorstContention))],
    ) + panel.thresholds(board.steal.warning, board.steal.critical)
    + panel.withName + panel.decimals(1) + panel.linked(board.graphToHost) + panel.whenEmpty('No host') + panel.wide(5),
    panel.stat(
      'VMs that wait',
      {
        shows: 'VMs whose worst vCPU waits over %(critical)s of the time.' % said.steal,
        good: '0.',
        bad: 'any. The table below has them, the longest wait first.',
      },
      'short',
      [panel.target(count('%s > %g' % [select(recorded.worstContention), board.steal.critical]), 'VMs')],
    ) + panel.thresholds(critical=board.any) + panel.wide(3),
    panel.stat(
      'Hosts too dense',
      {
        shows: 'Hosts with over %(warning)s vCPUs per physical core, as a whole or on one NUMA node.' % said.density,
        good: '0.',
        bad: 'any. Place no further VM there; from %(critical)s on move some away.' % said.density,
      },
      'short',
      [panel.target(count('%s > %g' % [select(recorded.density), board.density.warning]), 'hosts')],
    ) + panel.thresholds(warning=board.any) + panel.wide(3),
    panel.stat(
      'VMs far from RAM',
      {
        shows: 'VMs of which over %(warning)s of the memory accesses cross NUMA nodes.' % said.remote,
        good: '0.',
        bad: 'any. Such an access takes up to three times as long.',
      },
      'short',
      [panel.target(count('%s > %g' % [select(recorded.misplacement), board.remote.warning]), 'VMs')],
    ) + panel.thresholds(warning=board.any) + panel.wide(3),
    panel.stat(
      'Hosts that swap',
      {
        shows: 'Hosts that read over %(critical)s a second back from their swap.' % said.swapIn,
        good: '0.',
        bad: 'any. Each read stops a vCPU until the disk answers: move a VM away, or give the host memory.',
      },
      'short',
      [panel.target(count('%s > %d' % [select(recorded.swapIn), board.swapIn.critical]), 'hosts')],
    ) + panel.thresholds(critical=board.any) + panel.wide(3),
    panel.stat(
      'Hosts silent',
      {
        shows: 'Hosts whose exporter Prometheus cannot scrape.',
        good: '0.',
        bad: 'any. Nothing is known of their VMs, and no other alert of theirs can fire. Look whether the host is up.',
      },
      'short',
      [panel.target(count('%s == 0' % select('up')), 'hosts')],
    ) + panel.thresholds(critical=board.any) + panel.wide(3),
    panel.stat(
      'Hosts',
      {
        shows: "Hosts that are told of, by vcpu_exporter or by another hypervisor's exporter.",
        good: 'as many as you run.',
        bad: 'fewer. Prometheus does not know the others, and nobody watches them.',
      },
      'short',
      [panel.target(
        'count(%s or on (job, instance) %s)' % [select(recorded.density), select(recorded.hostWorstContention)], 'hosts'
      )],
    ) + panel.wide(2),
    panel.stat(
      'VMs',
      {
        shows: 'Virtual machines that run on them.',
        good: 'about as many as yesterday.',
        bad: 'suddenly fewer. A host has lost its VMs, or its exporter is silent.',
      },
      'short',
      [panel.target('sum(%s)' % select(recorded.domains), 'VMs')],
    ) + panel.wide(2),
  ],

  local worst = [
    panel.table(
      'Worst VMs, and who takes their time',
      {
        shows: 'The VMs whose worst vCPU waits longest for a physical CPU, and the VM or host process that has the CPU ' +
               'meanwhile, with its share of the wait. A click on the VM shows all who do.',
        good: 'none over %(warning)s.' % said.steal,
        bad: ('from %s on users notice, from %s on act. A culprit with over %s is whom to move or to cap; without one ' +
              '(-) the host is full.') % [said.steal.warning, said.steal.critical, said.culprit.warning],
      },
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
      {
        shows: 'Alerts for a page (critical) or a ticket (warning), pages first; those that Alertmanager mutes are ' +
               'listed as well. Their annotations link to a runbook.',
        good: 'none.',
        bad: 'a red one. Begin with that of a host: it often explains those of its VMs.',
      },
      [panel.target('topk($top, %s or 0.5 * %s)' % [firing('critical'), firing('warning')])],
      [
        { from: 'severity', name: 'Severity', mappings: panel.words({
          critical: { text: 'critical', color: 'red' },
          warning: { text: 'warning', color: 'orange' },
        }), limits: { warning: null, critical: null }, width: 85 },
        { from: 'alertname', name: 'Alert' },
        board.hostColumn { empty: '-' },
        board.vmColumn { empty: '-' },
      ],
    ) + { options+: { sortBy: [{ displayName: 'Severity', desc: false }] } } + panel.whenEmpty('No alert fires') + panel.wide(2),
  ],

  local hosts = [
    panel.table(
      'Hosts, the worst first',
      {
        shows: 'How long the worst vCPU and all vCPUs of each host wait, how busy and how dense it is (vCPUs per ' +
               'physical core, of its densest NUMA node), its VM furthest from its memory, what it reads back from the ' +
               'swap, and what its VMs have there.',
        good: 'green. Of the time of all vCPUs the SLO allows %(warning)s to be waited.' % said.slo,
        bad: 'orange, then red: worst vCPU %s, all vCPUs %s and %s, busy %s, density %s, NUMA %s, swap read %s a second.' % [
          both(said.steal),
          said.slo.warning,
          said.steal.warning,
          both(said.busy),
          both(said.density),
          said.remote.warning,
          said.swapIn.critical,
        ],
      },
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
      {
        shows: 'Share of the time that the worst vCPU of each host waits for a physical CPU; the worst hosts of the time ' +
               'shown.',
        good: 'under the lower line, %(warning)s.' % said.steal,
        bad: ('over the upper one, %(critical)s, for more than a few minutes. A step up is a VM that came or woke; a ' +
              'slow rise is growth.') % said.steal,
      },
      'percentunit',
      [panel.target(board.topGauge(select(recorded.hostWorstContention)))],
    ) + panel.thresholdLines(board.steal.warning, board.steal.critical) + panel.linked(board.graphToHost),
    panel.timeseries(
      'Share of vCPU time that is waited',
      {
        shows: 'By all vCPUs of a cluster together, and by the worst vCPU of it.',
        good: 'all of them under the line, %(warning)s, which is what the SLO allows over 30 days.' % said.slo,
        bad: ('all of them over it, %(warning)s: the error budget goes, and VcpuSchedulingSloBurn tells how fast. The ' +
              "worst alone is one VM's trouble.") % said.slo,
      },
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
      {
        shows: 'vCPUs per physical core, of the host or of its densest NUMA node.',
        good: 'up to %(warning)s.' % said.density,
        bad: 'over %(warning)s place nothing more there; from %(critical)s on VMs wait for each other.' % said.density,
      },
      'short',
      [panel.target('sort_desc(topk($top, %s))' % perHost(recorded.density))],
    ) + panel.thresholds(board.density.warning, board.density.critical) + panel.decimals(2) + panel.linked(board.graphToHost),
    panel.bargauge(
      'Busiest hosts',
      {
        shows: "Share of the host's CPU time that is used.",
        good: 'under %(warning)s: the rest is for what is critical.' % said.busy,
        bad: 'from %(warning)s on the reserve is gone, from %(critical)s on the host is full.' % said.busy,
      },
      'percentunit',
      [panel.target('sort_desc(topk($top, %s))' % perHost(recorded.hostBusy))],
    ) + panel.thresholds(board.busy.warning, board.busy.critical) + panel.maximum(1) + panel.decimals(0)
    + panel.linked(board.graphToHost),
    panel.bargauge(
      'VMs far from their memory',
      {
        shows: "Share of a VM's memory accesses that are expected to cross NUMA nodes.",
        good: '0%.',
        bad: 'from %(warning)s on: such an access takes up to three times as long. Bind the VM to one node.' % said.remote,
      },
      'percentunit',
      [panel.target('sort_desc(topk($top, %s))' % select(recorded.misplacement), '{{domain}} on {{instance}}')],
    ) + panel.thresholds(board.remote.warning) + panel.maximum(1) + panel.decimals(0) + panel.linked(board.graphToVm),
    panel.bargauge(
      'Hosts with VMs in the swap',
      {
        shows: "Memory of VMs that lies in the host's swap.",
        good: 'none.',
        bad: 'any, if it is read back: "Swap read" above. What only lies there costs nothing yet.',
      },
      'bytes',
      [panel.target('sort_desc(topk($top, %s > 0))' % perHost(recorded.swapped))],
    ) + panel.thresholds(warning=board.any) + panel.linked(board.graphToHost) + panel.whenEmpty('None'),
  ],

  local trend = config.alerts.VcpuSaturationPredicted.info,
  local untilThen = 'No host with a past of %s' % trend.past,
  local room = [
    board.spare(recorded) + panel.wide(2),
    panel.bargauge(
      'Busiest hosts in %s' % trend.ahead,
      {
        shows: 'Share of the CPU time that will be used in %s, by the line through the last %s.' % [trend.ahead, trend.past],
        good: 'under %(warning)s.' % said.predictedBusy,
        bad: ('from %(warning)s on the host will be full: place new VMs elsewhere, or order hosts while there is time. ' +
              'A single step, a VM that came, tilts the line as well.') % said.predictedBusy,
      },
      'percentunit',
      [panel.target('sort_desc(topk($top, %s))' % perHost(recorded.predictedBusy))],
    ) + panel.thresholds(board.predictedBusy.warning) + panel.maximum(1) + panel.decimals(0) + panel.linked(board.graphToHost)
    + panel.whenEmpty(untilThen),
    panel.bargauge(
      'Densest hosts in %s' % trend.ahead,
      {
        shows: 'vCPUs per physical core of the whole host in %s, by the line through the last %s.' % [trend.ahead, trend.past],
        good: 'up to %(warning)s.' % said.predictedDensity,
        bad: 'over %(warning)s: place new VMs elsewhere, or have vCPUs given back.' % said.predictedDensity,
      },
      'short',
      [panel.target('sort_desc(topk($top, %s))' % perHost(recorded.predictedDensity))],
    ) + panel.thresholds(board.predictedDensity.warning) + panel.decimals(2) + panel.linked(board.graphToHost)
    + panel.whenEmpty(untilThen),
  ],

  local trends = [
    panel.timeseries(
      'CPUs busy by cluster',
      {
        shows: 'Share of all CPU time of a cluster that is used.',
        good: "under %(warning)s, with one host's share to spare if one may fail." % said.busy,
        bad: 'over %(warning)s the cluster has no reserve, over %(critical)s no VM finds room: order hosts.' % said.busy,
      },
      'percentunit',
      [panel.target(cluster(recorded.clusterBusy), '{{cluster}}')],
    ) + panel.few + panel.thresholdLines(board.busy.warning, board.busy.critical) + panel.maximum(1),
    panel.timeseries(
      'Density by cluster',
      {
        shows: 'vCPUs per physical core, all hosts of a cluster together.',
        good: 'up to %(warning)s.' % said.density,
        bad: ('over %(warning)s moving VMs helps no more; from %(critical)s on all of them wait: order hosts, or shrink ' +
              'VMs.') % said.density,
      },
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
        dashboard.row('Full hosts, far memory, swap', 11, full),
        dashboard.row('Room: what can be given back, and what will be full', 11, room),
        dashboard.row('Clusters', 8, trends),
      ],
    ),
  },
}

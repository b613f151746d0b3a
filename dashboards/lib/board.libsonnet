// SPDX-License-Identifier: Apache-2.0
// What the panels of all dashboards share, given the mixin's _config: selectors, the top of a graph, links down to a host or
// a VM, and the limits that they draw.
local panel = import 'panel.libsonnet';

local chosen = 'job=~"$job", cluster=~"$cluster", instance=~"$instance"';

// A link that carries the data source and the time; `values` are further variables and where they come from.
local link(board, title, values) = [{
  title: title,
  url: std.join('&', ['/d/%s?${datasource:queryparam}' % board.uid, '${cluster:queryparam}', '${job:queryparam}'] + [
    'var-%s=%s' % [name, values[name]]
    for name in std.objectFields(values)
  ] + ['${__url_time_range}']),
}];
local label(name) = '${__field.labels.%s:percentencode}' % name;
local column(name) = '${__data.fields["%s"]:percentencode}' % name;

{
  new(config):: {
    local this = self,
    local boards = config.dashboards,
    local limits = config.alerts,

    select(metric, matchers=''):: '%s{%s%s}' % [metric, chosen, if matchers == '' then '' else ', ' + matchers],
    rate(metric, matchers=''):: 'rate(%s[$__rate_interval])' % this.select(metric, matchers),

    // The top of a graph is chosen over the whole time shown, so that no line comes and goes.
    overRange(expr):: expr + '[$__range] @ end()',
    topGauge(expr):: '%s and topk($top, max_over_time(%s))' % [expr, this.overRange(expr)],
    topRate(metric, matchers='', by='domain')::
      local sum(expr) = 'sum by (job, instance, %s) (%s)' % [by, expr];
      '%s and topk($top, %s)' % [
        sum(this.rate(metric, matchers)),
        sum('increase(%s)' % this.overRange(this.select(metric, matchers))),
      ],
    // What has no samples has no quantile, which is no number.
    quantile(share, metric, matchers='', by='domain')::
      'histogram_quantile(%g, sum by (job, instance, %s, le) (%s)) >= 0' % [
        share,
        by,
        this.rate(metric + '_bucket', matchers),
      ],

    // Who takes CPU time, by `expr` of matchers: another VM, of which there is a dashboard, as the label `vm`, all else as `rest`.
    culprits(expr, matchers)::
      local vms = expr(matchers + ', culprit_kind=~"domain|overhead", culprit!="other"');
      'label_join(%s, "vm", "", "culprit") or label_join(%s unless %s, "rest", "", "culprit")' % [vms, expr(matchers), vms],

    // From a graph, whose series have labels, and from a table, whose rows have columns.
    graphToHost: link(boards.host, 'Host ${__field.labels.instance}', { instance: label('instance') }),
    graphToVm: link(
      boards.vm, 'VM ${__field.labels.domain}', { instance: label('instance'), domain: label('domain') }
    ),
    tableToHost: link(boards.host, 'Host ${__data.fields.Host}', { instance: column('Host') }),
    tableToMachine: link(boards.host, 'Machine ${__data.fields.Machine}', { instance: column('Machine') }),
    tableToVm(name='VM')::
      link(boards.vm, 'VM ${__data.fields["%s"]}' % name, { instance: column('Host'), domain: column(name) }),

    // Guests and what they wait for stand out from the host's own work.
    modeColours: panel.colours({
      '/^guest/': 'blue',
      '/^user$/': 'green',
      '/^nice$/': 'light-green',
      '/^system$/': 'yellow',
      '/irq$/': 'orange',
      '/^steal$/': 'red',
    }),

    hostColumn: { from: 'instance', name: 'Host', links: this.tableToHost },
    vmColumn: { from: 'domain', name: 'VM', links: this.tableToVm() },
    // For links only: several hosts may be chosen, and a VM is to be found on its own.
    rowsHost: { from: 'instance', name: 'Host', hidden: true },
    culpritColumns: [
      { from: 'vm', name: 'Culprit VM', width: 110, empty: '-', links: this.tableToVm('Culprit VM') },
      { from: 'rest', name: 'Other culprit', width: 105, empty: '-' },
      { from: 'culprit_kind', name: 'Kind', width: 115 },
    ],

    steal: { warning: limits.VcpuStealHigh.warning.above, critical: limits.VcpuStealHigh.critical.above },
    density: { warning: limits.VcpuThreadDensityHigh.warning.above, critical: limits.VcpuThreadDensityCliff.critical.above },
    busy: { warning: 1 - limits.VcpuReserveExhausted.warning.below, critical: limits.VcpuHostSaturated.critical.above },
    remote: { warning: limits.VcpuNumaMisplaced.warning.above, critical: null },
    swapIn: { warning: null, critical: limits.VcpuMemorySwapping.critical.above },
    overcommit: { warning: limits.VcpuMemoryOvercommitted.warning.above, critical: null },
    heat: { warning: limits.VcpuHostThermal.warning.above, critical: null },
    throttled: { warning: limits.VcpuQuotaThrottled.warning.above, critical: null },
    request: {
      warning: limits.VcpuIoLatencySurge.warning.above,
      critical: limits.VcpuIoLatencySurge.warning.withoutPast,
    },
    guestSteal: { warning: limits.VcpuGuestSteal.warning.above, critical: null },
    waiting: { warning: null, critical: limits.VcpuStarved.critical.above },
    culprit: { warning: limits.VcpuNoisyNeighbour.warning.above, critical: null },
    scrape: { warning: config.panels.scrape, critical: null },
    slo: { warning: 1 - config.slo.objective, critical: null },
    hotCpu: { warning: limits.VcpuIoBoundOnHotCpu.warning.above, critical: null },
    pinned: { warning: limits.VcpuPinnedPreempted.warning.above, critical: null },
    any: config.panels.any,
  },
}

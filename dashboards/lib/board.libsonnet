// SPDX-License-Identifier: Apache-2.0
// What the panels of all dashboards share, given the mixin's _config: selectors, the top of a graph, links down to a host or
// a VM, and the limits that they draw.
local panel = import 'panel.libsonnet';
local percent = (import 'rule.libsonnet').percent;

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

// Limits as a description has them: 5%, 1 MiB, 50 ms, 2.5.
local said(limits, how=function(value) '%g' % value) = {
  [name]: how(limits[name])
  for name in std.objectFields(limits)
  if limits[name] != null
};
local seconds(value) = if value < 1 then '%g ms' % (value * 1000) else '%g s' % value;
local mebibytes(value) = '%g MiB' % (value / 1024 / 1024);

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
      { from: 'vm', name: 'Culprit VM', width: 100, empty: '-', links: this.tableToVm('Culprit VM') },
      { from: 'rest', name: 'Other culprit', width: 100, empty: '-' },
      { from: 'culprit_kind', name: 'Kind', width: 105 },
    ],

    // The VMs that could give vCPUs back, and how full their hosts are.
    spare(recorded)::
      local perVm(metric) = 'max by (job, instance, domain) (%s)' % this.select(metric);
      local most = 'topk($top, %s and %s)' % [perVm(recorded.idleVcpus), perVm(recorded.idleShare)];
      local ofThese(expr) = '%s and on (job, instance, domain) %s' % [expr, most];
      local limit = limits.VcpuOverprovisioned.info;
      panel.table(
        'VMs with vCPUs to spare',
        {
          shows: ('The VMs with the most vCPUs that did less than %s of a CPU each for %s. Not judged are VMs that are younger, or ' +
                  'that have one vCPU.') % [percent(limit.idle), limit.window],
          good: 'none, or on a host with room.',
          bad: ('from %s of its vCPUs on, on a host with over %s per core (from %s on it is urgent): ask its owner, and give some back.') %
               [this.said.idle.warning, this.said.density.warning, this.said.density.critical],
        },
        [
          panel.target(most),
          panel.target(ofThese(perVm(recorded.idleShare))),
          panel.target(ofThese(perVm(recorded.run))),
          panel.target('0 * %s + on (job, instance) group_left () max by (job, instance) (%s)' % [
            most,
            this.select(recorded.density),
          ]),
        ],
        [
          this.vmColumn,
          this.hostColumn,
          { from: 'A', name: 'Idle vCPUs', unit: 'short', decimals: 0, width: 95 },
          { from: 'B', name: 'Of its vCPUs', unit: 'percentunit', decimals: 0, limits: this.idle, bar: 1 },
          { from: 'C', name: 'CPUs used', unit: 'short', decimals: 1, width: 95, empty: '-' },
          { from: 'D', name: 'Host density', unit: 'short', decimals: 1, width: 105, limits: this.density },
        ],
      ) + panel.sortedBy('Idle vCPUs') + panel.whenEmpty('None that is older than %s' % limit.window),

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
    idle: { warning: limits.VcpuOverprovisioned.info.atLeast, critical: null },
    predictedBusy: { warning: limits.VcpuSaturationPredicted.info.busy, critical: null },
    predictedDensity: { warning: limits.VcpuSaturationPredicted.info.density, critical: null },
    stale: { warning: limits.VcpuLibvirtStale.warning.above, critical: null },
    storm: { warning: limits.VcpuContextSwitchStorm.warning.above, critical: null },
    any: config.panels.any,

    said: {
      steal: said(this.steal, percent),
      density: said(this.density),
      busy: said(this.busy, percent),
      remote: said(this.remote, percent),
      swapIn: said(this.swapIn, mebibytes),
      overcommit: said(this.overcommit),
      heat: said(this.heat),
      throttled: said(this.throttled, percent),
      request: said(this.request, seconds),
      guestSteal: said(this.guestSteal, percent),
      waiting: said(this.waiting, seconds),
      culprit: said(this.culprit, percent),
      scrape: said(this.scrape, seconds),
      slo: said(this.slo, percent),
      hotCpu: said(this.hotCpu, percent),
      pinned: said(this.pinned, percent),
      idle: said(this.idle, percent),
      predictedBusy: said(this.predictedBusy, percent),
      predictedDensity: said(this.predictedDensity),
      stale: said(this.stale, seconds),
      storm: said(this.storm),
    },
    both(told):: '%(warning)s and %(critical)s' % told,
  },
}

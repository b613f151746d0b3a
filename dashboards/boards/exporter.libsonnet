// SPDX-License-Identifier: Apache-2.0
// Dashboard of the exporters themselves: what they fail to tell, and what they cost.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local board = boardLib.new(config),
  local said = board.said,
  local select = board.select,
  local rate = board.rate,
  local success = select('vcpu_scrape_collector_success'),
  local upDown = panel.words({ '0': { text: 'no', color: 'red' }, '1': { text: 'yes', color: 'green' } }),

  local glance = [
    panel.stat(
      'Not answering',
      {
        shows: 'Hosts whose exporter Prometheus cannot scrape.',
        good: '0.',
        bad: 'any. Nothing is known of their VMs. Look whether the host is up and the unit runs.',
      },
      'short',
      [panel.target('count(%s == 0) or vector(0)' % select('up'), 'hosts')],
    ) + panel.thresholds(critical=board.any),
    panel.stat(
      'Failing collectors',
      {
        shows: 'Collectors whose last run failed.',
        good: '0.',
        bad: "any: their metrics are missing, and alerts on these are silent. The exporter's log says why.",
      },
      'short',
      [panel.target('sum(1 - %s)' % success, 'failing')],
    ) + panel.thresholds(critical=board.any),
    panel.stat(
      'Sources missing',
      {
        shows: 'Sources of figures that a host does not offer, or that are off.',
        good: 'as many as yesterday: some always are.',
        bad: 'more than yesterday. The table below says which and why.',
      },
      'short',
      [panel.target('count(%s == 0) or vector(0)' % select('vcpu_source_available'), 'missing')],
    ),
    panel.stat(
      'Slowest scrape',
      {
        shows: 'Time that Prometheus waited for the slowest exporter.',
        good: 'well under %(warning)s.' % said.scrape,
        bad: 'from %(warning)s on: the host has no CPU left for it, or "Collector duration" shows which part is slow.' % said.scrape,
      },
      's',
      [panel.target('max(%s)' % select('scrape_duration_seconds'), 'slowest')],
    ) + panel.thresholds(board.scrape.warning),
    panel.stat(
      'Series',
      {
        shows: 'Series that Prometheus takes from all hosts chosen.',
        good: "steady: the README's budget says how many a VM has.",
        bad: 'a steep rise: somebody starts many VMs or threads, and Prometheus pays for each.',
      },
      'short',
      [panel.target('sum(%s)' % select('scrape_samples_scraped'), 'series')],
    ),
    panel.stat(
      'Memory, largest',
      {
        shows: 'Resident memory of the largest exporter.',
        good: 'some tens of MiB, and flat.',
        bad: 'what grows while the number of VMs does not.',
      },
      'bytes',
      [panel.target('max(%s)' % select('process_resident_memory_bytes'), 'largest')],
    ),
    panel.stat(
      'CPU, busiest',
      {
        shows: 'Share of one CPU that the busiest exporter uses.',
        good: 'under 1%, on a host with hundreds of vCPUs.',
        bad: 'several percent: scraped too often, or by too many.',
      },
      'percentunit',
      [panel.target('max(%s)' % rate('process_cpu_seconds_total'), 'busiest')],
    ) + panel.decimals(2),
  ],

  local health = [
    panel.stat(
      'Collectors',
      {
        shows: 'Whether each collector succeeded in the last scrape, on every host chosen.',
        good: 'ok.',
        bad: "failed: its metrics are missing on one host at least. The exporter's log says why.",
      },
      'short',
      [panel.target('min by (collector) (%s)' % success, '{{collector}}')],
    )
    + panel.valueNames({ '0': { text: 'failed', color: 'red' }, '1': { text: 'ok', color: 'green' } })
    + panel.withName + panel.wide(3),
    panel.table(
      'Sources missing',
      {
        shows: 'What a host does not offer to the exporter, and why: metrics from these sources are absent, not zero.',
        good: 'none, or what the hardware does not have.',
        bad: '`task_iterator`, `libvirt` or a control group that ought to be there: the reason tells what to change.',
      },
      [panel.target('%s == 0' % select('vcpu_source_available'))],
      [
        { from: 'source', name: 'Source', width: 170 },
        { from: 'reason', name: 'Reason' },
        board.hostColumn { width: 170 },
      ],
    ) + panel.whenEmpty('None') + panel.wide(4),
  ],

  local cost = [
    panel.timeseries(
      'Collector duration',
      {
        shows: 'How long each collector took, on the slowest host chosen.',
        good: 'milliseconds, and flat.',
        bad: 'one that rises alone: what it reads has become slow. All at once: the host has no CPU left.',
      },
      's',
      [panel.target('max by (collector) (%s)' % select('vcpu_scrape_collector_duration_seconds'), '{{collector}}')],
    ),
    panel.timeseries(
      'Scrape duration',
      {
        shows: 'How long Prometheus waited for the page.',
        good: "far under the scrape's timeout.",
        bad: 'near the timeout: the page then lacks what was not ready, or is not there at all.',
      },
      's',
      [panel.target(board.topGauge(select('scrape_duration_seconds')))],
    ),
    panel.timeseries(
      'CPU',
      {
        shows: 'Share of one CPU that the exporter uses.',
        good: 'flat.',
        bad: 'a rise without more VMs.',
      },
      'percentunit',
      [panel.target(board.topRate('process_cpu_seconds_total', by='job'))],
    ),
    panel.timeseries(
      'Memory',
      {
        shows: 'Resident memory of each exporter.',
        good: 'flat.',
        bad: 'a rise over days without more VMs, which is a leak: report it. The unit restarts it at 1 GiB.',
      },
      'bytes',
      [panel.target(board.topGauge(select('process_resident_memory_bytes')))],
    ),
  ],

  local served = [
    panel.timeseries(
      'Series of a page',
      {
        shows: 'Samples that Prometheus took from each scrape.',
        good: 'flat, but for VMs that come and go.',
        bad: 'a steep rise, or a sudden drop: a collector fails.',
      },
      'short',
      [panel.target(board.topGauge(select('scrape_samples_scraped')))],
    ),
    panel.timeseries(
      'Left out',
      {
        shows: 'Series or threads left out on purpose, per second, by reason.',
        good: '0.',
        bad: 'any: raise the limit, or find what floods the host.',
      },
      'cps',
      [panel.target('sum by (reason) (%s)' % rate('vcpu_series_dropped_total'), '{{reason}}')],
    ) + panel.few,
    panel.timeseries(
      'Requests',
      {
        shows: 'Answered per second, by code.',
        good: '200, one for each scrape.',
        bad: '503: more requests at once than --web.max-requests. 401: a wrong password.',
      },
      'reqps',
      [panel.target('sum by (handler, code) (%s)' % rate('vcpu_exporter_http_requests_total'), '{{handler}} {{code}}')],
    ),
    panel.timeseries(
      'Open files',
      {
        shows: 'File descriptors; each VM takes some.',
        good: 'flat, but for VMs that come and go.',
        bad: 'a rise over days without more VMs, which is a leak: report it.',
      },
      'short',
      [panel.target(board.topGauge(select('process_open_fds')))],
    ),
  ],

  local who = [
    panel.table(
      'Exporters',
      {
        shows: 'Version of each, whether Prometheus reaches it, whether its configuration was read well, whether libvirt ' +
               'answers and how old is what that said.',
        good: 'yes everywhere, and one version.',
        bad: "no. libvirt's data older than %s: VcpuLibvirtStale fires, names and disks are of the past." % said.stale.warning,
      },
      [
        panel.target('max by (job, instance) (%s)' % select('up')),
        panel.target('max by (job, instance, version, revision) (%s)' % select('vcpu_exporter_build_info')),
        panel.target('max by (job, instance) (%s)' % select('vcpu_exporter_config_last_reload_successful')),
        panel.target('max by (job, instance) (%s)' % select('vcpu_libvirt_up')),
        panel.target('max by (job, instance) (%s)' % select('vcpu_libvirt_cache_age_seconds')),
      ],
      [
        board.hostColumn,
        { from: 'A', name: 'Answers', mappings: upDown, limits: { warning: null, critical: null } },
        { from: 'version', name: 'Version' },
        { from: 'revision', name: 'Revision' },
        { from: 'C', name: 'Configuration read', mappings: upDown, limits: { warning: null, critical: null } },
        { from: 'D', name: 'libvirt answers', mappings: upDown, limits: { warning: null, critical: null } },
        { from: 'E', name: "libvirt's data, age", unit: 's', width: 150, limits: board.stale },
      ],
    ) + { options+: { sortBy: [{ displayName: 'Answers', desc: false }] } },
  ],

  grafanaDashboards+:: {
    'vcpu-exporter.json': dashboard.new(
      config.dashboards.exporter,
      'Whether the exporters tell all they could, and what they cost their hosts.',
      dashboard.variables('up', everything=true, extra=[dashboard.top]),
      [
        dashboard.row('At a glance', 4, glance),
        dashboard.row('What is missing', 9, health),
        dashboard.row('What it costs', 8, cost),
        dashboard.row('What it serves', 8, served),
        dashboard.row('Exporters', 8, who),
      ],
    ),
  },
}

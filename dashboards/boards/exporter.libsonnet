// SPDX-License-Identifier: Apache-2.0
// Dashboard of the exporters themselves: what they fail to tell, and what they cost.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local board = boardLib.new(config),
  local select = board.select,
  local rate = board.rate,
  local success = select('vcpu_scrape_collector_success'),
  local stale = config.alerts.VcpuLibvirtStale.warning.above,
  local upDown = panel.words({ '0': { text: 'no', color: 'red' }, '1': { text: 'yes', color: 'green' } }),

  local glance = [
    panel.stat(
      'Not answering',
      'Hosts whose exporter Prometheus cannot scrape. Good is 0.',
      'short',
      [panel.target('count(%s == 0) or vector(0)' % select('up'), 'hosts')],
    ) + panel.thresholds(critical=board.any),
    panel.stat(
      'Failing collectors',
      'Collectors whose last run failed: their metrics are missing. Good is 0.',
      'short',
      [panel.target('sum(1 - %s)' % success, 'failing')],
    ) + panel.thresholds(critical=board.any),
    panel.stat(
      'Sources missing',
      'Sources of figures that a host does not offer, or that are off. Some always are; the table below says which and why.',
      'short',
      [panel.target('count(%s == 0) or vector(0)' % select('vcpu_source_available'), 'missing')],
    ),
    panel.stat(
      'Slowest scrape',
      'Time that Prometheus waited for the slowest exporter. Good is well under a second.',
      's',
      [panel.target('max(%s)' % select('scrape_duration_seconds'), 'slowest')],
    ) + panel.thresholds(board.scrape.warning),
    panel.stat(
      'Series',
      'Series that Prometheus takes from all hosts chosen.',
      'short',
      [panel.target('sum(%s)' % select('scrape_samples_scraped'), 'series')],
    ),
    panel.stat(
      'Memory, largest',
      'Resident memory of the largest exporter.',
      'bytes',
      [panel.target('max(%s)' % select('process_resident_memory_bytes'), 'largest')],
    ),
    panel.stat(
      'CPU, busiest',
      'Share of one CPU that the busiest exporter uses.',
      'percentunit',
      [panel.target('max(%s)' % rate('process_cpu_seconds_total'), 'busiest')],
    ) + panel.decimals(2),
  ],

  local health = [
    panel.stat(
      'Collectors',
      'Whether each collector succeeded in the last scrape, on every host chosen.',
      'short',
      [panel.target('min by (collector) (%s)' % success, '{{collector}}')],
    )
    + panel.valueNames({ '0': { text: 'failed', color: 'red' }, '1': { text: 'ok', color: 'green' } })
    + panel.withName + panel.wide(3),
    panel.table(
      'Sources missing',
      'What a host does not offer to the exporter, and why: metrics from these sources are absent, not zero.',
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
      'How long each collector took, on the slowest host chosen.',
      's',
      [panel.target('max by (collector) (%s)' % select('vcpu_scrape_collector_duration_seconds'), '{{collector}}')],
    ),
    panel.timeseries(
      'Scrape duration',
      'How long Prometheus waited for the page.',
      's',
      [panel.target(board.topGauge(select('scrape_duration_seconds')))],
    ),
    panel.timeseries(
      'CPU',
      'Share of one CPU that the exporter uses.',
      'percentunit',
      [panel.target(board.topRate('process_cpu_seconds_total', by='job'))],
    ),
    panel.timeseries(
      'Memory',
      'Resident memory. Good is flat.',
      'bytes',
      [panel.target(board.topGauge(select('process_resident_memory_bytes')))],
    ),
  ],

  local served = [
    panel.timeseries(
      'Series of a page',
      'Samples that Prometheus took from each scrape.',
      'short',
      [panel.target(board.topGauge(select('scrape_samples_scraped')))],
    ),
    panel.timeseries(
      'Left out',
      'Series or threads left out on purpose, per second, by reason. Good is 0: raise the limit or find what floods the host.',
      'cps',
      [panel.target('sum by (reason) (%s)' % rate('vcpu_series_dropped_total'), '{{reason}}')],
    ) + panel.few,
    panel.timeseries(
      'Requests',
      'Answered per second, by code. 503: more requests at once than --web.max-requests.',
      'reqps',
      [panel.target('sum by (handler, code) (%s)' % rate('vcpu_exporter_http_requests_total'), '{{handler}} {{code}}')],
    ),
    panel.timeseries(
      'Open files',
      'File descriptors; each VM takes some. Good is flat.',
      'short',
      [panel.target(board.topGauge(select('process_open_fds')))],
    ),
  ],

  local who = [
    panel.table(
      'Exporters',
      'Version of each, whether Prometheus reaches it, whether its configuration was read well, whether libvirt answers and how ' +
      'old is what that said: VcpuLibvirtStale fires over %g s.' % stale,
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
        { from: 'E', name: "libvirt's data, age", unit: 's', width: 150, limits: { warning: stale, critical: null } },
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

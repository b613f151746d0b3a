// SPDX-License-Identifier: Apache-2.0
{
  local config = $._config,
  local recorded = $.recorded,
  local limits = config.alerts,

  // 5% for a share, 2 for anything else.
  local percent(share) = '%g%%' % (share * 100),

  local alert(name, severity, expr, summary, description) = {
    alert: name,
    expr: expr,
    'for': limits[name][severity]['for'],
    labels: { severity: severity },
    annotations: {
      summary: summary,
      description: description,
      runbook_url: config.runbookUrl % name,
      dashboard_url: '%s/d/%s?var-instance={{ $labels.instance | urlquery }}' % [
        config.grafanaUrl,
        config.dashboards.host.uid,
      ],
    },
  },

  local group(name, rules) = { name: 'vcpu_exporter.alerts.' + name, rules: rules },

  local stealHigh(severity) =
    local above = limits.VcpuStealHigh[severity].above;
    alert(
      'VcpuStealHigh',
      severity,
      '%s > %g' % [recorded.worstContention, above],
      'vCPUs of a VM wait too long for a physical CPU.',
      ('A vCPU of {{ $labels.domain }} on {{ $labels.instance }} waits {{ $value | humanizePercentage }} of the time ' +
       'for a physical CPU, above %s; what its own CPU quota stopped is taken off.') % percent(above)
    ),

  local quotaThrottled =
    local above = limits.VcpuQuotaThrottled.warning.above;
    alert(
      'VcpuQuotaThrottled',
      'warning',
      '%s > %g' % [recorded.throttledPeriods, above],
      'The CPU quota of a VM stops it.',
      ('{{ $labels.domain }} on {{ $labels.instance }} used its CPU quota up in {{ $value | humanizePercentage }} of the ' +
       'periods in which it had work, above %s. It is its own limit that stops it, no other VM.') % percent(above)
    ),

  local noisyNeighbour =
    local limit = limits.VcpuNoisyNeighbour.warning;
    alert(
      'VcpuNoisyNeighbour',
      'warning',
      '%s > %g' % [recorded.culprits, limit.above],
      'One culprit takes most of the CPU time that a VM waits for.',
      ('{{ if eq $labels.culprit_kind "host" }}The host process{{ else }}The VM{{ end }} {{ $labels.culprit }} had the ' +
       'CPU for {{ $value | humanizePercentage }} of the time that {{ $labels.domain }} on {{ $labels.instance }} waited ' +
       'for it, above %s, while its worst vCPU waits more than %s of the time.') %
      [percent(limit.above), percent(limit.contention)]
    ),

  local density = limits.VcpuThreadDensityHigh.warning.above,

  local densityHigh = alert(
    'VcpuThreadDensityHigh',
    'warning',
    // A node speaks for itself only while the host as a whole is within bounds.
    |||
      vcpu_host_thread_density_ratio{%(selector)s} > %(above)g
      or
      (
        vcpu_node_thread_density_ratio{%(selector)s} > %(above)g
        unless ignoring (numa_node)
        vcpu_host_thread_density_ratio{%(selector)s} > %(above)g
      )
    ||| % { selector: config.selector, above: density },
    'More vCPUs than the physical cores can serve well.',
    ('{{ if $labels.numa_node }}NUMA node {{ $labels.numa_node }} of {{ end }}{{ $labels.instance }} carries ' +
     '{{ $value | humanize }} vCPUs per physical core, above %g.') % density
  ),

  local exporterDown = alert(
    'VcpuExporterDown',
    'critical',
    'up{%s} == 0' % config.selector,
    'Prometheus cannot scrape vcpu_exporter.',
    'vcpu_exporter on {{ $labels.instance }} does not answer; nothing is known about the vCPUs of this host.'
  ),

  prometheusAlerts+:: {
    groups+: [
      group('contention', [stealHigh('warning'), stealHigh('critical'), quotaThrottled, noisyNeighbour]),
      group('host', [densityHigh]),
      group('exporter', [exporterDown]),
    ],
  },
}

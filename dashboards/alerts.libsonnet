// SPDX-License-Identifier: Apache-2.0
{
  local config = $._config,

  local alert(name, severity, expr, summary, description) = {
    alert: name,
    expr: expr,
    'for': config.alerts[name][severity]['for'],
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

  local stealHigh(severity) =
    local above = config.alerts.VcpuStealHigh[severity].above;
    alert(
      'VcpuStealHigh',
      severity,
      '%s > %g' % [$.recorded.worstContention, above],
      'vCPUs of a VM wait too long for a physical CPU.',
      ('A vCPU of {{ $labels.domain }} on {{ $labels.instance }} waits {{ $value | humanizePercentage }} of the time ' +
       'for a physical CPU, above %g%%; what its own CPU quota stopped is taken off.') % (above * 100)
    ),

  local density = config.alerts.VcpuThreadDensityHigh.warning.above,

  prometheusAlerts+:: {
    groups+: [{
      name: 'vcpu_exporter.alerts',
      rules: [
        stealHigh('warning'),
        stealHigh('critical'),
        alert(
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
        alert(
          'VcpuExporterDown',
          'critical',
          'up{%s} == 0' % config.selector,
          'Prometheus cannot scrape vcpu_exporter.',
          'vcpu_exporter on {{ $labels.instance }} does not answer; nothing is known about the vCPUs of this host.'
        ),
      ],
    }],
  },
}

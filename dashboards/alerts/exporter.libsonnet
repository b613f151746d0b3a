// SPDX-License-Identifier: Apache-2.0
// Alerts on the exporter itself: whether what the others need is there.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local limits = config.alerts,
  local rule = lib.new(config),
  local alert(name, severity, expr, summary, description) =
    rule.alert(name, severity, expr, summary, description, config.dashboards.exporter),
  local select = rule.select,

  local exporterDown = alert(
    'VcpuExporterDown',
    'critical',
    '%s == 0' % select('up'),
    'Prometheus cannot scrape vcpu_exporter.',
    'vcpu_exporter on {{ $labels.instance }} does not answer; nothing is known about the vCPUs of this host.'
  ),

  local collectorFailing = alert(
    'VcpuCollectorFailing',
    'warning',
    '%s == 0' % select('vcpu_scrape_collector_success'),
    'A collector of vcpu_exporter fails.',
    'Collector {{ $labels.collector }} on {{ $labels.instance }} fails: its figures are missing or not whole.'
  ),

  local libvirtStale =
    local above = limits.VcpuLibvirtStale.warning.above;
    alert(
      'VcpuLibvirtStale',
      'warning',
      '%s > %g\nor\n%s == 0\n' % [select('vcpu_libvirt_cache_age_seconds'), above, select('vcpu_libvirt_up')],
      'The libvirt of a host does not answer.',
      ('What libvirt on {{ $labels.instance }} said is above %gs old, or it does not answer; its VMs go on, but cannot be ' +
       'managed.') % above
    ),

  local sourceLost =
    local limit = limits.VcpuSourceLost.info;
    alert(
      'VcpuSourceLost',
      'info',
      '%s == 0\nand ignoring (reason)\n%s offset %s > 0\n' % [
        select('vcpu_source_available'),
        select('vcpu_source_available'),
        limit.past,
      ],
      'A source of figures was there and is gone.',
      ('{{ $labels.source }} on {{ $labels.instance }} was there %s ago and is not now: {{ $labels.reason }}. Alerts that need ' +
       'it are silent.') % limit.past
    ),

  local configNotReloaded = alert(
    'VcpuConfigNotReloaded',
    'warning',
    '%s == 0\nor\n%s == 0\n' % [
      select('vcpu_exporter_config_last_reload_successful'),
      select('vcpu_exporter_web_config_last_reload_successful'),
    ],
    'The configuration of vcpu_exporter was read again and is not good.',
    'The configuration of vcpu_exporter on {{ $labels.instance }}, or its web configuration with users and certificates, is ' +
    'not good: what it had before stays in force, a certificate until it expires.'
  ),

  prometheusAlerts+:: {
    groups+: [
      lib.group('alerts.exporter', [exporterDown, collectorFailing, libvirtStale, sourceLost, configNotReloaded]),
    ],
  },
}

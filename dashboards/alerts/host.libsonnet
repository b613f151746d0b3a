// SPDX-License-Identifier: Apache-2.0
// Alerts on hosts: how full they are and will be, their memory, heat, hardware and protections.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local limits = config.alerts,
  local rule = lib.new(config),
  local select = rule.select,
  local percent = lib.percent,
  local number = lib.number,

  local hostDensity = select('vcpu_host_thread_density_ratio'),

  // It mutes the steal of its VMs, whose means go down slowly: it goes on for as long as those remember.
  local saturated =
    local limit = limits.VcpuHostSaturated.critical;
    rule.alert(
      'VcpuHostSaturated',
      'critical',
      |||
        (
          %(busy)s > %(above)g
          and
          %(density)s > %(limit)g
        )
        or
        (
          max_over_time(%(busy)s[%(memory)s]) > %(above)g
          and
          max_over_time(%(density)s[%(memory)s]) > %(limit)g
          and ignoring (alertname, alertstate, severity)
          %(firing)s
        )
      ||| % {
        busy: recorded.hostBusy,
        above: limit.above,
        density: hostDensity,
        limit: limit.density,
        memory: limit.memory,
        firing: select('ALERTS', 'alertname="VcpuHostSaturated", alertstate="firing"'),
      },
      'A host has more vCPUs than it can serve, and they all work.',
      ('The CPUs of {{ $labels.instance }} are busy {{ $value | humanizePercentage }} of the time, above %s, and it carries ' +
       'more than %g vCPUs per physical core.') % [percent(limit.above), limit.density]
    ),

  local density = limits.VcpuThreadDensityHigh.warning.above,
  local densityHigh = rule.alert(
    'VcpuThreadDensityHigh',
    'warning',
    // A node speaks for itself only while the host as a whole is within bounds.
    |||
      %(host)s > %(above)g
      or
      (
        %(node)s > %(above)g
        unless ignoring (numa_node)
        %(host)s > %(above)g
      )
    ||| % { host: hostDensity, node: select('vcpu_node_thread_density_ratio'), above: density },
    'More vCPUs than the physical cores can serve well.',
    ('{{ if $labels.numa_node }}NUMA node {{ $labels.numa_node }} of {{ end }}{{ $labels.instance }} carries ' +
     '{{ $value | humanize }} vCPUs per physical core, above %g.') % density
  ),

  local densityCliff =
    local limit = limits.VcpuThreadDensityCliff.critical;
    rule.alert(
      'VcpuThreadDensityCliff',
      'critical',
      // As in VcpuThreadDensityHigh.
      |||
        (
          %(host)s > %(above)g
          or
          (
            %(node)s > %(above)g
            unless ignoring (numa_node)
            %(host)s > %(above)g
          )
        )
        and ignoring (hypervisor, numa_node)
        %(contention)s > %(limit)g
      ||| % {
        host: hostDensity,
        node: select('vcpu_node_thread_density_ratio'),
        above: limit.above,
        contention: recorded.hostWorstContention,
        limit: limit.contention,
      },
      'A host is so dense that its VMs wait for each other.',
      ('{{ if $labels.numa_node }}NUMA node {{ $labels.numa_node }} of {{ end }}{{ $labels.instance }} carries ' +
       '{{ $value | humanize }} vCPUs per physical core, above %g, and the worst vCPU of a VM of the host waits more than %s of the time.') % [limit.above, percent(limit.contention)]
    ),

  local reserveExhausted =
    local below = limits.VcpuReserveExhausted.warning.below;
    rule.alert(
      'VcpuReserveExhausted',
      'warning',
      '1 - %s < %g' % [recorded.hostBusy, below],
      'A host has too little CPU time left for what is critical.',
      'The CPUs of {{ $labels.instance }} are idle {{ $value | humanizePercentage }} of the time, below %s.' % percent(below)
    ),

  local predicted =
    local limit = limits.VcpuSaturationPredicted.info;
    local crossing(what, series, ahead, bound) = |||
      label_replace(%(ahead)s > %(bound)g and %(series)s <= %(bound)g, "what", "%(what)s", "", "")
    ||| % { what: what, series: series, ahead: ahead, bound: bound };
    rule.alert(
      'VcpuSaturationPredicted',
      'info',
      crossing('busy', recorded.hostBusy, recorded.predictedBusy, limit.busy) + 'or\n' +
      crossing('density', hostDensity, recorded.predictedDensity, limit.density),
      'A host will be full within days if it goes on like this.',
      ('{{ if eq $labels.what "busy" }}The CPUs of {{ $labels.instance }} will be busy {{ $value | humanizePercentage }} of ' +
       'the time in %(ahead)s{{ else }}{{ $labels.instance }} will carry {{ $value | humanize }} vCPUs per physical core in ' +
       '%(ahead)s{{ end }}, by the line through the last %(past)s.') % limit
    ),

  local guestSteal =
    local above = limits.VcpuGuestSteal.warning.above;
    rule.alert(
      'VcpuGuestSteal',
      'warning',
      '%s > %g' % [recorded.guestSteal, above],
      'A host that is itself a VM gets too little CPU time.',
      ('{{ $labels.instance }} is itself a VM, and its CPUs wait {{ $value | humanizePercentage }} of the time for those of ' +
       'the machine below, above %s. All its VMs wait with it.') % percent(above),
      config.dashboards.guest
    ),

  local memory(kind) = select('vcpu_host_memory_bytes', 'kind="%s"' % kind),

  // Of VMs that have nothing in the swap, something else is swapped.
  local swapping =
    local above = limits.VcpuMemorySwapping.critical.above;
    rule.alert(
      'VcpuMemorySwapping',
      'critical',
      |||
        sum without (direction) (%s) > %s
        unless
        max without (domain) (%s) == 0
      ||| % [
        rule.rate('vcpu_host_swap_bytes_total', 'direction="in"'),
        number(above),
        select('vcpu_domain_swap_bytes'),
      ],
      'A host reads the memory of VMs back from its swap.',
      ('{{ $labels.instance }} reads {{ $value | humanize1024 }}B a second from its swap, above %g MiB; each read stops a ' +
       'vCPU or a thread that serves one.') % (above / 1024 / 1024)
    ),

  local pageTables =
    local above = limits.VcpuPageTablesLarge.info.above;
    rule.alert(
      'VcpuPageTablesLarge',
      'info',
      '%s / ignoring (kind) %s > %g' % [memory('page_tables'), memory('total'), above],
      'Page tables take much of the memory of a host.',
      ("Page tables take {{ $value | humanizePercentage }} of the memory of {{ $labels.instance }}, above %s; KVM's own come " +
       'on top.') % percent(above)
    ),

  local overcommitted =
    local above = limits.VcpuMemoryOvercommitted.warning.above;
    rule.alert(
      'VcpuMemoryOvercommitted',
      'warning',
      '%s > %g' % [select('vcpu_host_memory_overcommit_ratio'), above],
      'VMs may use more memory than their host has.',
      'The VMs on {{ $labels.instance }} may use {{ $value | humanize }} times the memory it has, above %g.' % above
    ),

  local hot =
    local above = limits.VcpuHostThermal.warning.above;
    rule.alert(
      'VcpuHostThermal',
      'warning',
      '%s > %g' % [select('vcpu_host_cpu_temperature_celsius'), above],
      'A host is hot, or its CPUs slow down for heat.',
      ('Package {{ $labels.package }} of {{ $labels.instance }} is at {{ $value | humanize }} degrees Celsius, above %g; it ' +
       'will slow down.') % above
    ),
  local slowedDown =
    local above = limits.VcpuHostThermal.critical.above;
    rule.alert(
      'VcpuHostThermal',
      'critical',
      'sum without (scope) (increase(%s[%s])) > %s' % [
        select('vcpu_host_cpu_throttles_total'),
        config.rateWindow,
        number(above),
      ],
      'A host is hot, or its CPUs slow down for heat.',
      ('The CPUs of {{ $labels.instance }} slowed down for heat {{ $value | humanize }} times in %s, above %s: its VMs run ' +
       'slower, which no steal shows.') % [config.rateWindow, number(above)]
    ),

  local machineChecks =
    local limit = limits.VcpuMachineChecks.warning;
    rule.alert(
      'VcpuMachineChecks',
      'warning',
      'increase(%s[%s]) > %s' % [select('vcpu_host_machine_checks_total'), limit.window, number(limit.above)],
      "A host's hardware reports errors.",
      ('{{ $labels.instance }} took {{ $value | humanize }} machine-check exceptions within %s, above %s.') %
      [limit.window, number(limit.above)]
    ),

  local vulnerable = rule.alert(
    'VcpuHostSecurityPosture',
    'warning',
    select('vcpu_host_vulnerability', 'status="vulnerable"'),
    'A host lacks a protection against its guests.',
    'The kernel of {{ $labels.instance }} says that it is vulnerable: {{ $labels.name }}.'
  ),
  local unprotected = rule.alert(
    'VcpuHostSecurityPosture',
    'info',
    '%s == 0' % select(
      'vcpu_host_security_feature', 'feature=~"%s"' % limits.VcpuHostSecurityPosture.info.features
    ),
    'A host lacks a protection against its guests.',
    '{{ $labels.feature }} is off on {{ $labels.instance }}.'
  ),

  prometheusAlerts+:: {
    groups+: [
      lib.group('alerts.host', [
        saturated,
        densityHigh,
        densityCliff,
        reserveExhausted,
        predicted,
        guestSteal,
        swapping,
        pageTables,
        overcommitted,
        hot,
        slowedDown,
        machineChecks,
        vulnerable,
        unprotected,
      ]),
    ],
  },
}

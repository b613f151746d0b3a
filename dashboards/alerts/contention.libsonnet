// SPDX-License-Identifier: Apache-2.0
// Alerts on VMs that wait for a CPU: how long, why, and for whom.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local limits = config.alerts,
  local rule = lib.new(config),
  local percent = lib.percent,
  local number = lib.number,

  local stealHigh(severity) =
    local above = limits.VcpuStealHigh[severity].above;
    rule.alert(
      'VcpuStealHigh',
      severity,
      '%s > %g' % [recorded.worstContention, above],
      'vCPUs of a VM wait too long for a physical CPU.',
      ('A vCPU of {{ $labels.domain }} on {{ $labels.instance }} waits {{ $value | humanizePercentage }} of the time ' +
       'for a physical CPU, above %s; what its own CPU quota stopped is ' +
       '{{ if eq $labels.hypervisor "xen" }}part of it{{ else if eq $labels.hypervisor "hyperv" }}not told apart' +
       '{{ else if eq $labels.hypervisor "vmware" }}taken off where cpu.maxlimited is collected{{ else }}taken off{{ end }}.') %
      percent(above)
    ),

  local starved =
    local above = limits.VcpuStarved.critical.above;
    rule.alert(
      'VcpuStarved',
      'critical',
      '%s > %s' % [rule.select('vcpu_waiting_seconds'), number(above)],
      'A vCPU that has work gets no CPU at all.',
      ('A vCPU of {{ $labels.domain }} on {{ $labels.instance }} has been waiting for a physical CPU for ' +
       '{{ $value | humanizeDuration }}, above %ss. Its steal does not show that before the wait has ended.') % number(above)
    ),

  local quotaThrottled =
    local above = limits.VcpuQuotaThrottled.warning.above;
    rule.alert(
      'VcpuQuotaThrottled',
      'warning',
      '%s > %g' % [recorded.throttledPeriods, above],
      'The CPU quota of a VM stops it.',
      ('{{ $labels.domain }} on {{ $labels.instance }} used its CPU quota up in {{ $value | humanizePercentage }} of the ' +
       'periods in which it had work, above %s. It is its own limit that stops it, no other VM.') % percent(above)
    ),

  local noisyNeighbour =
    local limit = limits.VcpuNoisyNeighbour.warning;
    rule.alert(
      'VcpuNoisyNeighbour',
      'warning',
      '%s > %g' % [recorded.culprits, limit.above],
      'One culprit takes most of the CPU time that a VM waits for.',
      ('{{ if eq $labels.culprit_kind "host" }}The host process{{ else }}The VM{{ end }} {{ $labels.culprit }} had the ' +
       'CPU for {{ $value | humanizePercentage }} of the time that {{ $labels.domain }} on {{ $labels.instance }} waited ' +
       'for it, above %s, while its worst vCPU waits more than %s of the time.') %
      [percent(limit.above), percent(limit.contention)]
    ),

  local contextSwitchStorm =
    local limit = limits.VcpuContextSwitchStorm.warning;
    rule.alert(
      'VcpuContextSwitchStorm',
      'warning',
      |||
        %s > %s
        and ignoring (hypervisor)
        %s > %g
      ||| % [recorded.involuntarySwitches, number(limit.above), recorded.worstContention, limit.contention],
      'vCPUs of a VM lose their CPU to others all the time.',
      ('A vCPU of {{ $labels.domain }} on {{ $labels.instance }} is put off its CPU {{ $value | humanize }} times a second ' +
       'while it has work, above %s, and waits more than %s of the time.') % [number(limit.above), percent(limit.contention)]
    ),

  local budget = lib.number(1 - config.slo.objective),
  local burn(windows) = std.join('or\n', [
    |||
      (
        %(longRatio)s > (%(burn)s * %(budget)s)
        and
        %(shortRatio)s > (%(burn)s * %(budget)s)
        and
        %(vcpus)s offset %(short)s
      )
    ||| % window {
      burn: number(window.burn),
      budget: budget,
      longRatio: recorded.contentionOver[window.long],
      shortRatio: recorded.contentionOver[window.short],
      vcpus: recorded.contendedVcpus,
    }
    for window in windows
  ]),
  local sloBurn(severity) = rule.alert(
    'VcpuSchedulingSloBurn',
    severity,
    burn(limits.VcpuSchedulingSloBurn[severity].windows),
    'The scheduling SLO of a host burns its error budget too fast.',
    ('The vCPUs on {{ $labels.instance }} waited {{ $value | humanizePercentage }} of their time for a CPU, where the SLO ' +
     'allows %s over 30 days.') % percent(1 - config.slo.objective)
  ),

  prometheusAlerts+:: {
    groups+: [
      lib.group('alerts.contention', [
        stealHigh('warning'),
        stealHigh('critical'),
        starved,
        quotaThrottled,
        noisyNeighbour,
        contextSwitchStorm,
        sloBurn('critical'),
        sloBurn('warning'),
      ]),
    ],
  },
}

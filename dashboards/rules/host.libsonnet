// SPDX-License-Identifier: Apache-2.0
// Recording rules of hosts, of clusters, and of the scheduling SLO over its windows.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local rule = lib.new(config),

  local busy = rule.recordRate(
    'instance', 'vcpu_host_cpu_busy', 'ratio', 'avg without (cpu) (%s)' % rule.rate('vcpu_host_cpu_busy_seconds_total')
  ),
  local guestSteal = rule.recordRate(
    'instance', 'vcpu_guest_steal', 'avg_ratio', 'avg without (cpu) (%s)' % rule.rate('vcpu_guest_steal_seconds_total')
  ),

  // Of all hypervisors, as the contention of their vCPUs is.
  local contention = $.recorded.contention,
  local worst = rule.recordRate(
    'instance', 'vcpu_contention', 'max_ratio', 'max without (domain) (%s)' % $.recorded.worstContention
  ),
  local waited = rule.recordRate(
    'instance', 'vcpu_contention', 'sum_ratio', 'sum without (domain, vcpu) (%s)' % contention
  ),
  local vcpus = rule.record('instance', 'vcpu_contention', 'count', 'count without (domain, vcpu) (%s)' % contention),

  // The share of vCPU wall time that was waited: hosts with many vCPUs, and times with many, weigh more.
  local over(window) = rule.record(
    'instance',
    'vcpu_contention',
    'avg_ratio_rate' + window,
    if window == config.rateWindow then '%s / %s' % [waited.record, vcpus.record]
    else 'sum_over_time(%s[%s]) / sum_over_time(%s[%s])' % [waited.record, window, vcpus.record, window],
  ),
  local severities = config.alerts.VcpuSchedulingSloBurn,
  local windows = std.set([config.rateWindow] + [
    window[which]
    for severity in std.objectFields(severities)
    for window in severities[severity].windows
    for which in ['long', 'short']
  ]),
  local byWindow = { [window]: over(window) for window in windows },

  // No past, no prediction: a line through a few minutes leads anywhere.
  local trend = config.alerts.VcpuSaturationPredicted.info,
  local predicted(metric, series) = rule.record(
    'instance', metric, 'ratio_predicted' + trend.ahead, |||
      predict_linear(%(series)s[%(past)s], %(seconds)d)
      and %(series)s
      and %(series)s offset %(past)s
    ||| % trend { series: series, seconds: lib.seconds(trend.ahead) }
  ),
  local predictedBusy = predicted('vcpu_host_cpu_busy', busy.record),
  local predictedDensity = predicted('vcpu_host_thread_density', rule.select('vcpu_host_thread_density_ratio')),

  local byCluster(expr) = '%s by (%s) (%s)' % [expr[0], config.clusterLabels, expr[1]],
  local logicalCpus = rule.select('vcpu_host_logical_cpus'),
  local clusterContention = rule.recordRate('cluster', 'vcpu_contention', 'avg_ratio', '%s / %s' % [
    byCluster(['sum', waited.record]),
    byCluster(['sum', vcpus.record]),
  ]),
  local clusterWorst = rule.recordRate('cluster', 'vcpu_contention', 'max_ratio', byCluster(['max', worst.record])),
  local clusterBusy = rule.recordRate('cluster', 'vcpu_host_cpu_busy', 'ratio', '%s / %s' % [
    byCluster(['sum', '%s * %s' % [busy.record, logicalCpus]]),
    byCluster(['sum', '%s and %s' % [logicalCpus, busy.record]]),
  ]),
  local clusterDensity = rule.record('cluster', 'vcpu_host_thread_density', 'ratio', '%s / %s' % [
    byCluster(['sum', rule.select('vcpu_host_vcpus')]),
    byCluster(['sum', rule.select('vcpu_host_cores')]),
  ]),

  recorded+:: {
    hostBusy: busy.record,
    hostWorstContention: worst.record,
    contendedVcpus: vcpus.record,
    predictedBusy: predictedBusy.record,
    predictedDensity: predictedDensity.record,
    guestSteal: guestSteal.record,
    clusterContention: clusterContention.record,
    clusterWorstContention: clusterWorst.record,
    clusterBusy: clusterBusy.record,
    clusterDensity: clusterDensity.record,
    contentionOver: { [window]: byWindow[window].record for window in windows },
  },

  prometheusRules+:: {
    groups+: [
      lib.group('rules.host', [busy, guestSteal, worst, waited, vcpus, byWindow[config.rateWindow]]),
      lib.group(
        'rules.slo', [byWindow[window] for window in windows if window != config.rateWindow], config.slowInterval
      ),
      lib.group('rules.cluster', [clusterContention, clusterWorst, clusterBusy, clusterDensity]),
      lib.group('rules.trends', [predictedBusy, predictedDensity], config.trendInterval),
    ],
  },
}

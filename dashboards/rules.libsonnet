// SPDX-License-Identifier: Apache-2.0
// Recording rules: how long vCPUs waited for a physical CPU for any reason but their own CPU quota.
{
  local config = $._config,

  local counter(name) = 'rate(%s{%s}[%s])' % [name, config.selector, config.rateWindow],
  local record(level, metric, operations, expr) = {
    record: '%s:%s:%s_rate%s' % [level, metric, operations, config.rateWindow],
    expr: expr,
  },

  local steal = counter('vcpu_steal_seconds_total'),
  local throttled = counter('vcpu_throttled_seconds_total'),
  local domainThrottled = counter('vcpu_domain_throttled_seconds_total'),

  // Steal contains the time a quota stopped the vCPU. No quota, no throttled series: then nothing is taken off.
  local unthrottled = record(
    'instance_domain_vcpu', 'vcpu_unthrottled_steal', 'ratio', |||
      clamp_min(
        %(steal)s
        -
        (%(throttled)s or %(steal)s * 0),
        0
      )
    ||| % { steal: steal, throttled: throttled }
  ),

  // A quota on the whole VM stops all its vCPUs; each bears it in proportion to its steal.
  local contention = record(
    'instance_domain_vcpu', 'vcpu_contention', 'ratio', |||
      %(unthrottled)s
      * ignoring (vcpu) group_left ()
      (
        clamp(
          (sum without (vcpu) (%(steal)s) - %(domainThrottled)s)
          /
          (sum without (vcpu) (%(unthrottled)s) > 0),
          0, 1
        )
        or
        sum without (vcpu) (%(unthrottled)s) * 0 + 1
      )
    ||| % { steal: steal, domainThrottled: domainThrottled, unthrottled: unthrottled.record }
  ),

  local worst = record(
    'instance_domain', 'vcpu_contention', 'max_ratio', 'max without (vcpu) (%s)' % contention.record
  ),
  local mean = record(
    'instance_domain', 'vcpu_contention', 'avg_ratio', 'avg without (vcpu) (%s)' % contention.record
  ),

  // The names, for alerts and panels.
  recorded:: {
    contention: contention.record,
    worstContention: worst.record,
    meanContention: mean.record,
  },

  prometheusRules+:: {
    groups+: [{
      name: 'vcpu_exporter.rules',
      rules: [unthrottled, contention, worst, mean],
    }],
  },
}

// SPDX-License-Identifier: Apache-2.0
// Recording rules: how long vCPUs waited for a physical CPU for any reason but their own CPU quota.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local rule = lib.new(config),
  local rate = rule.rate,
  local record = rule.recordRate,

  local steal = rate('vcpu_steal_seconds_total'),
  local throttled = rate('vcpu_throttled_seconds_total'),
  local domainThrottled = rate('vcpu_domain_throttled_seconds_total'),
  local stolenByQuota = rate('vcpu_stolen_by_seconds_total', 'culprit_kind="quota"'),

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

  // What quotas stopped of the VM's vCPUs together: to the nanosecond where eBPF tells it, else the time of its groups, of
  // which vCPUs that wait on one CPU are one.
  local quota = record(
    'instance_domain', 'vcpu_quota_stopped', 'sum', |||
      sum without (culprit_kind, culprit) (%(stolenByQuota)s)
      or
      %(domainThrottled)s
    ||| % { stolenByQuota: stolenByQuota, domainThrottled: domainThrottled }
  ),

  // Of an exporter that tells sums of the VM's vCPUs alone (--no-collector.sched.per-vcpu): the mean, as vCPU `all`.
  local domainSteal = rate('vcpu_domain_steal_seconds_total'),
  local summed = |||
    label_replace(
      clamp((%(steal)s - (%(quota)s or %(steal)s * 0)) / (%(vcpus)s > 0), 0, 1),
      "vcpu", "all", "", ""
    )
  ||| % { steal: domainSteal, quota: quota.record, vcpus: rule.select('vcpu_domain_present_vcpus') },

  // A quota on the whole VM stops all its vCPUs; each bears it in proportion to its steal.
  local contention = record(
    'instance_domain_vcpu',
    'vcpu_contention',
    'ratio',
    |||
      %(unthrottled)s
      * ignoring (vcpu) group_left ()
      (
        clamp(
          (sum without (vcpu) (%(steal)s) - %(quota)s)
          /
          (sum without (vcpu) (%(unthrottled)s) > 0),
          0, 1
        )
        or
        sum without (vcpu) (%(unthrottled)s) * 0 + 1
      )
      or
      %(summed)s
    ||| % { steal: steal, quota: quota.record, unthrottled: unthrottled.record, summed: summed },
    { hypervisor: 'kvm' },
  ),

  // These serve every hypervisor whose vCPUs are recorded under that name.
  local worst = record(
    'instance_domain', 'vcpu_contention', 'max_ratio', 'max without (vcpu) (%s)' % contention.record
  ),
  local mean = record(
    'instance_domain', 'vcpu_contention', 'avg_ratio', 'avg without (vcpu) (%s)' % contention.record
  ),

  // Share of a VM's periods with work in which a quota stopped it.
  local throttledPeriods = record(
    'instance_domain', 'vcpu_domain_throttled_periods', 'ratio', '%s / (%s > 0)' % [
      rate('vcpu_domain_throttled_periods_total'),
      rate('vcpu_domain_periods_total'),
    ]
  ),

  // Who took how much of a VM's contention, for VMs that have enough of it to matter. A VM's vCPUs and its other threads
  // are one culprit; what has no name of its own (`other`) is none.
  local named(kinds) = rate('vcpu_stolen_by_seconds_total', 'culprit_kind=~"%s", culprit!="other"' % kinds),
  local culprits = record(
    'instance_domain_culprit', 'vcpu_stolen_by', 'share', |||
      (
        label_replace(sum without (culprit_kind) (%(vms)s), "culprit_kind", "domain", "", "")
        or
        %(host)s
      )
      / ignoring (culprit_kind, culprit) group_left ()
      (sum without (culprit_kind, culprit) (%(all)s) > 0)
      and ignoring (culprit_kind, culprit, hypervisor)
      %(worst)s > %(contention)g
    ||| % {
      vms: named('domain|overhead'),
      host: named('host'),
      all: rate('vcpu_stolen_by_seconds_total', 'culprit_kind!="quota"'),
      worst: worst.record,
      contention: config.alerts.VcpuNoisyNeighbour.warning.contention,
    }
  ),

  // The names, for alerts and panels.
  recorded+:: {
    contention: contention.record,
    worstContention: worst.record,
    meanContention: mean.record,
    quotaStopped: quota.record,
    throttledPeriods: throttledPeriods.record,
    culprits: culprits.record,
  },

  prometheusRules+:: {
    groups+: [
      lib.group('rules', [unthrottled, quota, contention, worst, mean, throttledPeriods, culprits]),
    ],
  },
}

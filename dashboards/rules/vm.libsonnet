// SPDX-License-Identifier: Apache-2.0
// Recording rules of VMs: switches, placement, disks.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local rule = lib.new(config),
  local limits = config.alerts,

  local run = rule.recordRate(
    'instance_domain', 'vcpu_run', 'sum', 'sum without (vcpu) (%s) or %s' % [
      rule.rate('vcpu_run_seconds_total'),
      rule.rate('vcpu_domain_run_seconds_total'),
    ]
  ),
  local involuntary = rule.recordRate(
    'instance_domain',
    'vcpu_context_switches_involuntary',
    'max',
    'max without (vcpu, kind) (%s)' % rule.rate('vcpu_context_switches_total', 'kind="involuntary"'),
  ),

  // Of vCPUs with one CPU only, which the label `cpu` names: the time that others have it, and how often they sleep.
  local pinnedOthers = rule.recordRate(
    'instance_domain_vcpu', 'vcpu_pinned_others_busy', 'ratio', |||
      clamp_min(
        %(pinned)s
        * ignoring (domain, vcpu) group_left ()
        %(busy)s
        - ignoring (cpu) group_left ()
        %(run)s,
        0
      )
    ||| % {
      pinned: rule.select('vcpu_pinned_info'),
      busy: rule.rate('vcpu_host_cpu_busy_seconds_total'),
      run: rule.rate('vcpu_run_seconds_total'),
    }
  ),
  local pinnedSleeps = rule.recordRate(
    'instance_domain_vcpu', 'vcpu_pinned_context_switches_voluntary', 'sum', |||
      sum without (kind) (%s)
      * ignoring (cpu) group_right ()
      %s
    ||| % [
      rule.rate('vcpu_context_switches_total', 'kind="voluntary"'),
      rule.select('vcpu_pinned_info'),
    ]
  ),

  // Seconds per request; none without requests. A flush takes what the device takes, and says little of its queue.
  local requestSeconds(window, offset='') =
    local sum(metric) = 'sum without (op) (%s)' % rule.rate(
      'vcpu_domain_block_%s_total' % metric, 'op=~"read|write"', window, offset
    );
    '%s / (%s > 0)' % [sum('seconds'), sum('requests')],
  local block = rule.recordRate(
    'instance_domain_device', 'vcpu_domain_block_request_seconds', 'mean', requestSeconds(config.rateWindow)
  ),
  local past = limits.VcpuIoLatencySurge.warning.past,
  local blockPast = rule.record(
    'instance_domain_device',
    'vcpu_domain_block_request_seconds',
    'mean_rate%s_offset%s' % [past, past],
    requestSeconds(past, past),
  ),

  local numa = limits.VcpuNumaMisplaced.warning,
  local misplacement = rule.record(
    'instance_domain',
    'vcpu_domain_numa_misplacement_ratio',
    'avg' + numa.window,
    'avg_over_time(%s[%s])' % [rule.select('vcpu_domain_numa_misplacement_ratio'), numa.window],
  ),

  // Two samples a window apart cost less than a rate over all between: a VM that is older has not counted anew. Polling for
  // work while halted is no work.
  local overprovisioned = limits.VcpuOverprovisioned.info,
  local runTotal = rule.select('vcpu_run_seconds_total'),
  local pollTotal = rule.select('vcpu_kvm_halt_poll_seconds_total'),
  local idle = rule.record(
    'instance_domain', 'vcpu_idle_vcpus', 'count' + overprovisioned.window, |||
      count without (vcpu) (
        (
          %(run)s - %(run)s offset %(window)s
          - (sum without (result) (clamp_min(%(poll)s - %(poll)s offset %(window)s, 0)) or %(run)s * 0)
        ) / %(seconds)d < %(idle)g
        and
        %(run)s >= %(run)s offset %(window)s
      )
      and
      time() - %(start)s > %(seconds)d
    ||| % overprovisioned {
      run: runTotal,
      poll: pollTotal,
      start: rule.select('vcpu_domain_start_time_seconds'),
      seconds: lib.seconds(overprovisioned.window),
    }
  ),

  // A VM with one vCPU has none to spare.
  local idleShare = rule.record(
    'instance_domain',
    'vcpu_idle_vcpus',
    'ratio' + overprovisioned.window,
    '%s / (count without (vcpu) (%s) > 1)' % [idle.record, runTotal]
  ),

  recorded+:: {
    run: run.record,
    involuntarySwitches: involuntary.record,
    pinnedOthers: pinnedOthers.record,
    pinnedSleeps: pinnedSleeps.record,
    block: block.record,
    blockPast: blockPast.record,
    misplacement: misplacement.record,
    idleVcpus: idle.record,
    idleShare: idleShare.record,
  },

  prometheusRules+:: {
    groups+: [
      lib.group('rules.vm', [run, involuntary, pinnedOthers, pinnedSleeps, block]),
      lib.group('rules.slow', [blockPast, misplacement, idle, idleShare], config.slowInterval),
    ],
  },
}

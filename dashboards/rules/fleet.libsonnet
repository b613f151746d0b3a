// SPDX-License-Identifier: Apache-2.0
// Recording rules for looking at a thousand hosts at once: one series per host for each thing that can be bad about it.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local rule = lib.new(config),
  local select = rule.select,

  local density = rule.record(
    'instance', 'vcpu_thread_density', 'max_ratio', |||
      max without (numa_node) (
        %s
        or
        %s
      )
    ||| % [select('vcpu_host_thread_density_ratio'), select('vcpu_node_thread_density_ratio')]
  ),
  local domains = rule.record(
    'instance',
    'vcpu_domain_info',
    'count',
    // Of other hypervisors the VMs whose contention is recorded.
    |||
      count without (domain, uuid, vmm, accel, machine, uid) (%s)
      or
      count without (domain, hypervisor) (%s)
    ||| % [select('vcpu_domain_info'), $.recorded.worstContention],
  ),
  local swapIn = rule.recordRate(
    'instance',
    'vcpu_host_swap_bytes_in',
    'sum',
    'sum without (direction) (%s)' % rule.rate('vcpu_host_swap_bytes_total', 'direction="in"'),
  ),
  local swapped = rule.record(
    'instance', 'vcpu_domain_swap_bytes', 'sum', 'sum without (domain) (%s)' % select('vcpu_domain_swap_bytes')
  ),
  local misplacement = rule.record(
    'instance',
    'vcpu_domain_numa_misplacement_ratio',
    'max_avg' + config.alerts.VcpuNumaMisplaced.warning.window,
    'max without (domain) (%s)' % $.recorded.misplacement,
  ),

  recorded+:: {
    density: density.record,
    domains: domains.record,
    swapIn: swapIn.record,
    swapped: swapped.record,
    hostMisplacement: misplacement.record,
  },

  prometheusRules+:: {
    groups+: [lib.group('rules.fleet', [density, domains, swapIn, swapped, misplacement])],
  },
}

// SPDX-License-Identifier: Apache-2.0
// Recording rules for hosts of other hypervisors: what their exporters say of waiting vCPUs, under the name of our own
// contention, so that the rules, alerts and dashboards that build on it serve a mixed fleet. `hypervisor` tells them apart.
//
// Read in their sources; none of these hypervisors was at hand.
//
// vSphere. cpu.ready.summation is the milliseconds that a vCPU was ready and had no CPU, in a sample of 20 s. What a limit on the
// VM stopped is part of it, and taken off where cpu.maxlimited.summation says how much; co-stop is not.
// - telegraf, plugins/inputs/vsphere/endpoint.go (commit 00f214ff): vsphere_vm_cpu_ready_summation by vCPU (`cpu`) and for the
//   whole VM (`cpu="instance-total"`); longer intervals are means of the samples. Needs vm_instances = true, the default.
// - vmware_exporter, vmware_exporter.py (commit 00ddfacf): vmware_vm_cpu_ready_summation for the whole VM, the sum over its
//   vCPUs, of which vmware_vm_num_cpu tells how many: only the mean is known, recorded as vCPU `all`.
//
// Xen, XCP-ng. The runstates of a whole VM, as shares of time (xapi's xcp-rrdd-cpu), by Xen Orchestra's plugin
// xo-server-openmetrics 1.9 (src/formatter/definitions.mts, commit 012d63b4). In full_contention all vCPUs wait for a CPU, in
// partial_contention some do and the others sleep: in both the VM runs nowhere though it wants to. That is recorded as vCPU
// `all`: for a VM with one vCPU its ready time; for others less than their worst vCPU's, as in concurrency_hazard some wait while
// others run, which has a series of its own. A cap on the VM is part of it. The host is not told: `instance` is the pool.
//
// Hyper-V. The performance counter "CPU Wait Time Per Dispatch" shows a mean of nanoseconds, but what it keeps is all that a vCPU
// has waited, and how often. Its type, 542573824 = 0x20570500, is PERF_PRECISION_100NS_TIMER: time in ticks of 100 ns, of which
// Windows shows 100 times the quotient by its base, and so nanoseconds per dispatch. A share of time takes the waits alone, not
// the base, which nobody exports. The unit is derived from that type, not measured. What a limit on the VM stopped may be in it.
// - windows_exporter since 0.30 (internal/pdh/collector.go, commit 86e6d125) makes seconds of counters of this type, so that
//   windows_hyperv_hypervisor_virtual_processor_cpu_wait_time_per_dispatch_total is in seconds, whatever its help says;
// - before, to 0.29.2 (pkg/collector/hyperv/hyperv.go, commit 62281334), WMI's raw value was exported as it is:
//   windows_hyperv_vm_cpu_wait_time_per_dispatch_total is in ticks.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local window = config.rateWindow,
  local rule = lib.new(config),

  // The labels of our own series, from those of another exporter. What has no counterpart is left out first: two agents that
  // watch the same hosts must not collide.
  local ours = ['job', 'cluster', 'instance', 'domain', 'vcpu'],
  local relabelled(expr, labels) = std.foldl(
    function(inner, name) 'label_replace(%s, "%s", "$1", "%s", "(.+)")' % [inner, name, labels[name]],
    std.objectFields(labels),
    expr
  ),
  local maxBy(labels, expr) = 'max by (%s) (%s)' % [std.join(', ', labels), expr],
  local named(expr, labels) =
    local theirs = [if std.objectHas(labels, name) then labels[name] else name for name in ours];
    maxBy(ours, relabelled(maxBy(theirs, expr), labels)),
  local whole(expr) = 'label_replace(%s, "vcpu", "all", "", "")' % expr,
  local overWindow(selector) = 'avg_over_time(%s[%s])' % [selector, window],

  local contention(hypervisor, expr) = {
    record: $.recorded.contention,
    expr: expr,
    labels: { hypervisor: hypervisor },
  },

  local unlimited(prefix, matchers='') =
    local ready = overWindow(prefix + '_cpu_ready_summation' + matchers);
    local limited = overWindow(prefix + '_cpu_maxlimited_summation' + matchers);
    'clamp_min(%s - (%s or %s * 0), 0)' % [ready, limited, ready],

  local sampleMs = config.platforms.vsphereSample * 1000,
  local telegraf = '%s / %d' % [
    named(
      unlimited('vsphere_vm', '{cpu!="instance-total"}'),
      { cluster: 'clustername', instance: 'esxhostname', domain: 'vmname', vcpu: 'cpu' }
    ),
    sampleMs,
  ],
  local oneVm = 'job, instance, vm_name, host_name, dc_name, cluster_name',
  local vmwareExporter = '%s / %d' % [
    whole(named(
      '%s / on (%s) group_left () max by (%s) (vmware_vm_num_cpu)' % [
        unlimited('vmware_vm'),
        oneVm,
        oneVm,
      ],
      { cluster: 'cluster_name', instance: 'host_name', domain: 'vm_name' }
    )),
    sampleMs,
  ],
  local vsphere = contention('vmware', '%s\nor\n%s\n' % [telegraf, vmwareExporter]),

  local guests(state) = overWindow('xcp_vm_runstate_%s{is_control_domain!="true"}' % state),
  local pool = { instance: 'pool_name', domain: 'vm_name' },
  local xen = contention('xen', whole(named(
    '%s + %s' % [guests('full_contention'), guests('partial_contention')], pool
  ))),
  local hazard = {
    record: 'instance_domain:vcpu_xen_concurrency_hazard:avg' + window,
    expr: named(guests('concurrency_hazard'), pool),
    labels: { hypervisor: 'xen' },
  },

  local waited(metric) = 'rate(windows_hyperv_%s_cpu_wait_time_per_dispatch_total[%s])' % [metric, window],
  local hyperv = contention('hyperv', 'clamp_max(%s, 1)' % named(
    '%s or %s / 1e7' % [waited('hypervisor_virtual_processor'), waited('vm')],
    { domain: 'vm', vcpu: 'core' }
  )),

  prometheusPlatformRules+:: {
    groups+: [lib.group('rules.platforms', [vsphere, xen, hazard, hyperv])],
  },
}

// SPDX-License-Identifier: Apache-2.0
// Alerts on single VMs: where they run, how large they are, how their disks answer.
local lib = import '../lib/rule.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local limits = config.alerts,
  local rule = lib.new(config),
  local select = rule.select,
  local percent = lib.percent,
  local number = lib.number,

  local numaMisplaced =
    local limit = limits.VcpuNumaMisplaced.warning;
    rule.alert(
      'VcpuNumaMisplaced',
      'warning',
      '%s > %g\nand\n%s > %g\n' % [recorded.misplacement, limit.above, recorded.run, limit.cpus],
      'A VM works far from its memory.',
      ('{{ $value | humanizePercentage }} of the memory accesses of {{ $labels.domain }} on {{ $labels.instance }} are ' +
       'expected to cross NUMA nodes, above %s.') % percent(limit.above)
    ),

  local overprovisioned =
    local limit = limits.VcpuOverprovisioned.info;
    rule.alert(
      'VcpuOverprovisioned',
      'info',
      '%s >= %g\nand ignoring (domain)\n%s > %g\n' % [
        recorded.idleShare,
        limit.atLeast,
        select('vcpu_host_thread_density_ratio'),
        limit.density,
      ],
      'A VM has more vCPUs than it uses.',
      ('{{ $value | humanizePercentage }} of the vCPUs of {{ $labels.domain }} on {{ $labels.instance }}, at least %s, did ' +
       'less than %s of a CPU each for %s, and the host is dense.') %
      [percent(limit.atLeast), percent(limit.idle), limit.window]
    ),

  local ioBoundOnHotCpu =
    local limit = limits.VcpuIoBoundOnHotCpu.warning;
    rule.alert(
      'VcpuIoBoundOnHotCpu',
      'warning',
      '%s > %g\nand\n%s > %s\n' % [recorded.pinnedOthers, limit.above, recorded.pinnedSleeps, number(limit.switches)],
      'A vCPU that often sleeps is pinned to a CPU that others use.',
      ('vCPU {{ $labels.vcpu }} of {{ $labels.domain }} on {{ $labels.instance }} may use CPU {{ $labels.cpu }} only, which ' +
       'others have {{ $value | humanizePercentage }} of the time, above %s; it goes to sleep more than %s times a second, and ' +
       'has to wait for them whenever it wakes.') % [percent(limit.above), number(limit.switches)]
    ),

  local pinnedPreempted =
    local limit = limits.VcpuPinnedPreempted.warning;
    rule.alert(
      'VcpuPinnedPreempted',
      'warning',
      |||
        %(contention)s > %(above)g
        and ignoring (cpu, hypervisor)
        (
          %(pinned)s
          and ignoring (domain, vcpu)
          %(assigned)s < %(limit)g
        )
      ||| % {
        contention: recorded.contention,
        above: limit.above,
        pinned: select('vcpu_pinned_info'),
        assigned: select('vcpu_cpu_assigned_vcpus'),
        limit: limit.assigned,
      },
      'A vCPU that has a CPU to itself waits for it.',
      ('vCPU {{ $labels.vcpu }} of {{ $labels.domain }} on {{ $labels.instance }} is pinned to a CPU that no other vCPU ' +
       'shares, and yet waits {{ $value | humanizePercentage }} of the time, above %s: the host itself uses that CPU.') %
      percent(limit.above)
    ),

  local pinsOverlap =
    local above = limits.VcpuPinsOverlap.warning.above;
    rule.alert(
      'VcpuPinsOverlap',
      'warning',
      'count without (cpu) (%s > %g)' % [select('vcpu_cpu_pinned_vcpus'), above],
      'Several vCPUs are pinned to one CPU.',
      ('On {{ $value | humanize }} CPUs of {{ $labels.instance }} the number of vCPUs that may use no other CPU is above %g: ' +
       'they can only take turns.') % above
    ),

  local ioLatencySurge =
    local limit = limits.VcpuIoLatencySurge.warning;
    rule.alert(
      'VcpuIoLatencySurge',
      'warning',
      |||
        (
          %(now)s > %(above)g
          and
          %(now)s > %(times)g * %(before)s
        )
        or
        (
          %(now)s > %(withoutPast)g
          unless
          %(before)s
        )
      ||| % limit { now: recorded.block, before: recorded.blockPast },
      'A disk of a VM answers far more slowly than it used to.',
      ('A request of {{ $labels.domain }} on {{ $labels.instance }} to its disk {{ $labels.device }} takes ' +
       '{{ $value | humanizeDuration }}, above %gs and %g times what it used to take.') % [limit.above, limit.times]
    ),

  // No source tells requests under way yet (libvirt 9.0 does not): until one does, the VM's own control group has to say that it
  // waits for I/O, of cgroup version 2, and only of threads that wait for a disk of the host themselves (io='threads').
  local ioStalled =
    local limit = limits.VcpuIoStalled.warning;
    local requests = select('vcpu_domain_block_requests_total');
    rule.alert(
      'VcpuIoStalled',
      'warning',
      |||
        (
          min_over_time(%(inflight)s[%(window)s]) > 0
          and
          sum without (op) (increase(%(requests)s[%(window)s])) == 0
        )
        or
        (
          sum without (resource, kind) (%(pressure)s) > %(limit)g
          and
          sum without (device, op) (increase(%(requests)s[%(window)s])) == 0
          and
          sum without (device, op) (increase(%(requests)s[%(past)s])) > 0
        )
      ||| % limit {
        inflight: select('vcpu_domain_block_inflight'),
        requests: requests,
        pressure: rule.rate('vcpu_domain_pressure_seconds_total', 'resource="io", kind="some"', limit.window),
        limit: limit.pressure,
      },
      'A disk of a VM does not answer at all.',
      ('{{ if $labels.device }}{{ $value | humanize }} requests of {{ $labels.domain }} on {{ $labels.instance }} to its disk ' +
       '{{ $labels.device }} are under way, and none was finished within %(window)s.{{ else }}{{ $labels.domain }} on ' +
       '{{ $labels.instance }} waits for I/O {{ $value | humanizePercentage }} of the time, and none of its disks finished a ' +
       'request within %(window)s.{{ end }}') % limit
    ),

  prometheusAlerts+:: {
    groups+: [
      lib.group('alerts.vm', [
        numaMisplaced,
        overprovisioned,
        ioBoundOnHotCpu,
        pinnedPreempted,
        pinsOverlap,
        ioLatencySurge,
        ioStalled,
      ]),
    ],
  },
}

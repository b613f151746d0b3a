// SPDX-License-Identifier: Apache-2.0
// Dashboard of machines that are VMs themselves, on EC2, ESX, Hyper-V, KVM or Xen: what they suffer from the machine below.
local boardLib = import '../lib/board.libsonnet';
local dashboard = import '../lib/dashboard.libsonnet';
local panel = import '../lib/panel.libsonnet';

{
  local config = $._config,
  local recorded = $.recorded,
  local board = boardLib.new(config),
  local said = board.said,
  local select = board.select,
  local rate = board.rate,
  local steal = board.guestSteal.warning,
  local busy = rate('vcpu_host_cpu_busy_seconds_total'),

  local glance = [
    panel.stat(
      'Worst steal',
      {
        shows: 'The machine that waits longest for the CPUs of the machine below, as a share of the time.',
        good: 'under %(warning)s.' % said.guestSteal,
        bad: 'from %(warning)s on: ask the provider, or move.' % said.guestSteal,
      },
      'percentunit',
      [panel.target('topk(1, %s)' % select(recorded.guestSteal))],
    ) + panel.thresholds(steal) + panel.withName + panel.decimals(1) + panel.wide(2),
    panel.stat(
      'Machines that wait',
      {
        shows: 'Machines that wait over %(warning)s of the time.' % said.guestSteal,
        good: '0.',
        bad: 'any. The table below has them, the worst first.',
      },
      'short',
      [panel.target('count(%s > %g) or vector(0)' % [select(recorded.guestSteal), steal], 'machines')],
    ) + panel.thresholds(warning=board.any),
    panel.stat(
      'Machines',
      {
        shows: 'Machines with an exporter that run under a hypervisor.',
        good: 'as many as you have.',
        bad: 'fewer: the others are not watched.',
      },
      'short',
      [panel.target('count(%s)' % select('vcpu_guest_info'), 'machines')],
    ) + panel.whenEmpty('0'),
    panel.stat(
      'Hypervisors',
      {
        shows: 'Under which hypervisor how many of them run.',
        good: 'what you know of them.',
        bad: 'one that you did not expect: the machine is not where you think.',
      },
      'short',
      [panel.target('count by (hypervisor) (%s)' % select('vcpu_guest_info'), '{{hypervisor}}')],
    ) + panel.withName + panel.wide(2) + panel.whenEmpty('None'),
  ],

  local waits = [
    panel.timeseries(
      'Steal',
      {
        shows: 'Share of the time that the CPUs of each machine had work and were not run by the hypervisor, mean over ' +
               'its CPUs.',
        good: 'under the line, %(warning)s.' % said.guestSteal,
        bad: 'over the line, %(warning)s, for more than some minutes.' % said.guestSteal,
      },
      'percentunit',
      [panel.target(board.topGauge(select(recorded.guestSteal)))],
    ) + panel.thresholdLines(steal),
    panel.timeseries(
      'Steal by CPU',
      {
        shows: 'The CPUs that wait longest.',
        good: 'under the line, %(warning)s.' % said.guestSteal,
        bad: 'over %(warning)s: one alone shares its physical CPU, all alike is a full or capped host.' % said.guestSteal,
      },
      'percentunit',
      [panel.target(
        '%s and topk($top, increase(%s))' % [
          rate('vcpu_guest_steal_seconds_total'),
          board.overRange(select('vcpu_guest_steal_seconds_total')),
        ],
        '{{instance}} CPU {{cpu}}'
      )],
    ) + panel.thresholdLines(steal),
  ],

  local work = [
    panel.table(
      'Machines, the worst first',
      {
        shows: 'Steal, what the machine uses, and under which hypervisor it runs.',
        good: 'steal under %(warning)s.' % said.guestSteal,
        bad: ('from %s on. With busy CPUs (orange from %s, red from %s) it is a full host below, at low load often a limit that was ' +
              'bought (burst credits).') % [said.guestSteal.warning, said.busy.warning, said.busy.critical],
      },
      [
        panel.target('max by (job, instance) (%s)' % select(recorded.guestSteal)),
        panel.target('max by (job, instance, hypervisor) (%s)' % select('vcpu_guest_info')),
        panel.target('avg by (job, instance) (%s) and on (job, instance) %s' % [busy, select('vcpu_guest_info')]),
        panel.target('max by (job, instance) (%s) and on (job, instance) %s' % [
          select('vcpu_host_logical_cpus'),
          select('vcpu_guest_info'),
        ]),
      ],
      [
        { from: 'instance', name: 'Machine', links: board.tableToMachine },
        { from: 'hypervisor', name: 'Runs under' },
        { from: 'A', name: 'Steal', unit: 'percentunit', decimals: 1, limits: board.guestSteal, bar: 1 },
        { from: 'C', name: 'CPUs busy', unit: 'percentunit', decimals: 0, limits: board.busy },
        { from: 'D', name: 'CPUs', unit: 'short', decimals: 0 },
      ],
    ) + panel.sortedBy('Steal'),
    panel.timeseries(
      'CPU by mode',
      {
        shows: 'Logical CPUs occupied, by what occupied them.',
        good: "user and system, the machine's own work.",
        bad: 'any steal that stays: that is what the machine below took.',
      },
      'short',
      [panel.target('sum by (mode) (%s and on (job, instance) %s) > 0' % [
        rate('vcpu_host_cpu_seconds_total', 'mode!~"idle|iowait"'),
        select('vcpu_guest_info'),
      ], '{{mode}}')],
    ) + panel.stacked + board.modeColours,
  ],

  grafanaDashboards+:: {
    'vcpu-guest.json': dashboard.new(
      config.dashboards.guest,
      'Machines that are VMs themselves: how long they wait for the CPUs of the machine below.',
      dashboard.variables('vcpu_guest_info', everything=true, extra=[dashboard.top]),
      [
        dashboard.row('At a glance', 4, glance),
        dashboard.row('What the machine below takes', 10, waits),
        dashboard.row('Machines', 10, work),
      ],
    ),
  },
}

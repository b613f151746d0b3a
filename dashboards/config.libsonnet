// SPDX-License-Identifier: Apache-2.0
// Every threshold, duration and address of the mixin, once. Rules, alerts, panels and tests read them from here.
{
  _config+:: {
    local config = self,

    // Which scrape jobs the rules look at, as a PromQL matcher.
    selector: 'job="vcpu_exporter"',

    // Labels that tell one cluster from another; the cluster rules keep these and no others.
    clusterLabels: 'job, cluster, hypervisor',

    // At least four scrape intervals.
    rateWindow: '5m',

    // How often rules over hours and days are evaluated. Below the 5 minutes that Prometheus looks back for a sample.
    slowInterval: '2m',
    // The same of rules over a week.
    trendInterval: '4m',

    runbookUrl: 'https://github.com/vcpu-exporter/vcpu_exporter/blob/main/deploy/runbooks/%s.md',
    grafanaUrl: 'https://grafana.example.com',

    dashboards: {
      fleet: { uid: 'vcpu-fleet', title: 'vCPU / Fleet' },
      host: { uid: 'vcpu-host', title: 'vCPU / Host' },
      vm: { uid: 'vcpu-vm', title: 'vCPU / VM' },
      exporter: { uid: 'vcpu-exporter', title: 'vCPU / Exporter' },
      guest: { uid: 'vcpu-guest', title: 'vCPU / Guest' },
    },

    platforms: {
      // Seconds that a sample of vSphere's real-time statistics covers; the same for telegraf and vmware_exporter.
      vsphereSample: 20,
    },

    // Share of vCPU wall time that is not to be spent waiting for a CPU, over 30 days.
    slo: { objective: 0.99 },

    // What panels colour and no alert has: how many of what ought not to be at all, seconds of a scrape.
    panels: { any: 1, scrape: 1 },

    // `above`, `atLeast` and `below` bound what the alert shows; other numbers are further conditions, other durations the
    // time that is looked at. Shares are 0..1, times seconds.
    alerts: {
      // Seconds waited per second of wall time, by the worst vCPU of a VM.
      VcpuStealHigh: {
        warning: { above: 0.05, 'for': '15m' },
        critical: { above: 0.10, 'for': '10m' },
      },
      // Seconds that a vCPU has been waiting by now.
      VcpuStarved: {
        critical: { above: 1, 'for': '1m' },
      },
      // Share of the periods in which a quota stopped the VM.
      VcpuQuotaThrottled: {
        warning: { above: 0.05, 'for': '15m' },
      },
      // Share of the victim's contention that one culprit took, and the contention from which on it matters.
      VcpuNoisyNeighbour: {
        warning: { above: 0.5, contention: config.alerts.VcpuStealHigh.warning.above, 'for': '10m' },
      },
      // Involuntary switches of a vCPU per second, and the contention from which on they matter.
      VcpuContextSwitchStorm: {
        warning: { above: 100, contention: 0.02, 'for': '15m' },
      },
      // Error budget of the SLO burnt, in multiples of the rate that uses it up in 30 days: 2 % in an hour and 5 % in six
      // page, 10 % in a day or in three are a ticket. The short window ends the alert soon after the cure.
      VcpuSchedulingSloBurn: {
        critical: {
          windows: [{ burn: 14.4, long: '1h', short: '5m' }, { burn: 6, long: '6h', short: '30m' }],
          'for': '2m',
        },
        warning: {
          windows: [{ burn: 3, long: '1d', short: '2h' }, { burn: 1, long: '3d', short: '6h' }],
          'for': '15m',
        },
      },

      // Share of time that the host's CPUs were busy, and vCPUs per core. VcpuStealHigh, which it mutes, begins no sooner, as the
      // share takes `rateWindow` to get there; and it ends no later: that long, and a little, after the VMs have gone.
      VcpuHostSaturated: {
        critical: {
          above: 0.95,
          density: config.alerts.VcpuThreadDensityHigh.warning.above,
          memory: '10m',
          'for': '5m',
        },
      },
      // vCPU threads per physical core.
      VcpuThreadDensityHigh: {
        warning: { above: 2, 'for': '15m' },
      },
      // The same, and the contention of the host's worst VM.
      VcpuThreadDensityCliff: {
        critical: { above: 2.5, contention: config.alerts.VcpuStealHigh.warning.above, 'for': '10m' },
      },
      // Share of the host's CPU time that is idle.
      VcpuReserveExhausted: {
        warning: { below: 0.15, 'for': '30m' },
      },
      // Days ahead for which busy CPUs and density are predicted from the past; their limits are those above.
      VcpuSaturationPredicted: {
        info: {
          busy: config.alerts.VcpuHostSaturated.critical.above,
          density: config.alerts.VcpuThreadDensityHigh.warning.above,
          past: '7d',
          ahead: '3d',
          'for': '1h',
        },
      },
      // Share of its time that this machine, itself a VM, waits for a CPU.
      VcpuGuestSteal: {
        warning: { above: 0.05, 'for': '15m' },
      },

      // Expected share of memory accesses that cross nodes, by a VM that uses at least so many CPUs.
      VcpuNumaMisplaced: {
        warning: { above: 0.3, window: '15m', cpus: 0.1, 'for': '15m' },
      },
      // Share of a VM's vCPUs that do less than `idle` of the time, on a host denser than `density`.
      VcpuOverprovisioned: {
        info: {
          atLeast: 0.5,
          idle: 0.02,
          window: '1d',
          density: config.alerts.VcpuThreadDensityHigh.warning.above,
          'for': '1h',
        },
      },
      // Share of time that others have the only CPU of a vCPU that goes to sleep so many times a second.
      VcpuIoBoundOnHotCpu: {
        warning: { above: 0.5, switches: 200, 'for': '15m' },
      },
      // Contention of a vCPU that has a CPU to itself: fewer than so many vCPUs are assigned to that.
      VcpuPinnedPreempted: {
        warning: { above: 0.01, assigned: 1.1, 'for': '15m' },
      },
      // vCPUs pinned to one CPU.
      VcpuPinsOverlap: {
        warning: { above: 1, 'for': '15m' },
      },

      // Bytes a second read back from the swap.
      VcpuMemorySwapping: {
        critical: { above: 1024 * 1024, 'for': '10m' },
      },
      // Page tables, as a share of the host's memory.
      VcpuPageTablesLarge: {
        info: { above: 0.01, 'for': '1h' },
      },
      // What VMs may use, over the host's memory.
      VcpuMemoryOvercommitted: {
        warning: { above: 1, 'for': '30m' },
      },

      // Seconds per request, now and over the device's own past: as long as `past`, ended as long ago.
      VcpuIoLatencySurge: {
        warning: { above: 0.05, times: 5, past: '1h', withoutPast: 0.2, 'for': '5m' },
      },
      // Share of the time that something of the VM waits for I/O; its disks finished requests within `past`.
      VcpuIoStalled: {
        warning: { window: '2m', pressure: 0.9, past: '1h', 'for': '1m' },
      },

      // Degrees Celsius; rises of the count of throttles.
      VcpuHostThermal: {
        warning: { above: 85, 'for': '5m' },
        critical: { above: 0, 'for': '10m' },
      },
      VcpuMachineChecks: {
        warning: { above: 0, window: '1h', 'for': '1m' },
      },
      // Vulnerabilities that the kernel does not mitigate; protections that are off. Not asked for are AVIC and memory
      // encryption, which are off by default on most hosts.
      VcpuHostSecurityPosture: {
        warning: { 'for': '1h' },
        info: { features: 'vmx_or_svm|ept_or_npt|smep|smap', 'for': '1h' },
      },

      VcpuExporterDown: {
        critical: { 'for': '5m' },
      },
      VcpuCollectorFailing: {
        warning: { 'for': '15m' },
      },
      // Age of what libvirt said.
      VcpuLibvirtStale: {
        warning: { above: 60, 'for': '10m' },
      },
      // A source that was there so long ago.
      VcpuSourceLost: {
        info: { past: '1d', 'for': '15m' },
      },
      VcpuConfigNotReloaded: {
        warning: { 'for': '10m' },
      },
    },
  },
}

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
    // How often trends over days are.
    trendInterval: '10m',

    runbookUrl: 'https://github.com/vcpu-exporter/vcpu_exporter/blob/main/deploy/runbooks/%s.md',
    grafanaUrl: 'https://grafana.example.com',

    dashboards: {
      host: { uid: 'vcpu-host', title: 'vCPU / Host' },
    },

    // Share of vCPU wall time that is not to be spent waiting for a CPU, over 30 days.
    slo: { objective: 0.99 },

    // `above`, `atLeast` and `below` bound what the alert shows; other numbers are further conditions.
    alerts: {
      // Seconds waited per second of wall time, by the worst vCPU of a VM.
      VcpuStealHigh: {
        warning: { above: 0.05, 'for': '15m' },
        critical: { above: 0.10, 'for': '10m' },
      },
      // Share of the periods in which a quota stopped the VM.
      VcpuQuotaThrottled: {
        warning: { above: 0.05, 'for': '15m' },
      },
      // Share of the victim's contention that one culprit took, and the contention from which on it matters.
      VcpuNoisyNeighbour: {
        warning: { above: 0.5, contention: config.alerts.VcpuStealHigh.warning.above, 'for': '10m' },
      },
      // vCPU threads per physical core.
      VcpuThreadDensityHigh: {
        warning: { above: 2, 'for': '15m' },
      },
      VcpuExporterDown: {
        critical: { 'for': '5m' },
      },
    },
  },
}

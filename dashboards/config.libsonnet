// SPDX-License-Identifier: Apache-2.0
// Every threshold and every address of the mixin, once. Rules, alerts, panels and tests read them from here.
{
  _config+:: {
    // Which scrape jobs the rules look at, as a PromQL matcher.
    selector: 'job="vcpu_exporter"',

    // At least four scrape intervals.
    rateWindow: '5m',

    runbookUrl: 'https://github.com/vcpu-exporter/vcpu_exporter/blob/main/deploy/runbooks/%s.md',
    grafanaUrl: 'https://grafana.example.com',

    dashboards: {
      host: { uid: 'vcpu-host', title: 'vCPU / Host' },
    },

    alerts: {
      // Seconds waited per second of wall time, by the worst vCPU of a VM.
      VcpuStealHigh: {
        warning: { above: 0.05, 'for': '15m' },
        critical: { above: 0.10, 'for': '10m' },
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

// SPDX-License-Identifier: Apache-2.0
// What rules and alerts are made of, given the mixin's _config.
{
  // 5 or 0.05, never 1e+06.
  number(value):: (if value == std.floor(value) then '%d' else '%g') % value,
  // 5%
  percent(share):: '%g%%' % (share * 100),
  // '1h' is 3600.
  seconds(duration)::
    local units = { s: 1, m: 60, h: 3600, d: 86400 };
    local last = std.length(duration) - 1;
    std.parseInt(std.substr(duration, 0, last)) * units[duration[last]],

  new(config):: {
    local this = self,

    select(metric, matchers='')::
      '%s{%s%s}' % [metric, config.selector, if matchers == '' then '' else ', ' + matchers],
    rate(metric, matchers='', window=config.rateWindow, offset='')::
      'rate(%s[%s]%s)' % [this.select(metric, matchers), window, if offset == '' then '' else ' offset ' + offset],

    // level:metric:operations; `labels` are set on what is recorded.
    record(level, metric, operations, expr, labels={}):: {
      record: '%s:%s:%s' % [level, metric, operations],
      expr: expr,
    } + if labels == {} then {} else { labels: labels },
    recordRate(level, metric, operations, expr, labels={})::
      this.record(level, metric, operations + '_rate' + config.rateWindow, expr, labels),

    // `board` is the dashboard that shows it: of a VM that VM's, which says who takes its time, else the host's, unless it is another.
    alert(name, severity, expr, summary, description, board=null):: {
      alert: name,
      expr: expr,
      'for': config.alerts[name][severity]['for'],
      labels: { severity: severity },
      annotations: {
        summary: summary,
        description: description,
        runbook_url: config.runbookUrl % name,
        dashboard_url:
          if board != null then '%s/d/%s?var-instance={{ $labels.instance | urlquery }}' % [config.grafanaUrl, board.uid]
          else
            ('%(grafana)s/d/{{ if $labels.domain }}%(vm)s{{ else }}%(host)s{{ end }}?var-instance={{ $labels.instance | urlquery }}' +
             '{{ if $labels.domain }}&var-domain={{ $labels.domain | urlquery }}{{ end }}') % {
              grafana: config.grafanaUrl,
              vm: config.dashboards.vm.uid,
              host: config.dashboards.host.uid,
            },
      },
    },
  },

  group(name, rules, interval=null):: {
    name: 'vcpu_exporter.' + name,
    rules: rules,
  } + if interval == null then {} else { interval: interval },
}

// SPDX-License-Identifier: Apache-2.0
// Panels of a Grafana dashboard. Size and place are given by dashboard.libsonnet.
local panel(type, title, description, unit, targets) = {
  type: type,
  title: title,
  description: description,
  datasource: { type: 'prometheus', uid: '$datasource' },
  targets: [
    targets[i] { refId: std.char(std.codepoint('A') + i), datasource: { type: 'prometheus', uid: '$datasource' } }
    for i in std.range(0, std.length(targets) - 1)
  ],
  fieldConfig: { defaults: { unit: unit }, overrides: [] },
};

local now(target) = target { instant: true, range: false };
local asTable(target) = now(target) { format: 'table' };
local lastValue = { calcs: ['lastNotNull'], fields: '', values: false };

{
  target(expr, legend='{{instance}}'):: { expr: expr, legendFormat: legend },

  timeseries(title, description, unit, targets):: panel('timeseries', title, description, unit, targets) {
    fieldConfig+: { defaults+: { min: 0, custom: { fillOpacity: 10, showPoints: 'never' } } },
    options: {
      legend: { displayMode: 'table', placement: 'bottom', calcs: ['mean', 'max'], sortBy: 'Max', sortDesc: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  stat(title, description, unit, targets):: panel('stat', title, description, unit, std.map(now, targets)) {
    options: { reduceOptions: lastValue, colorMode: 'value', graphMode: 'none' },
  },

  bargauge(title, description, unit, targets):: panel('bargauge', title, description, unit, std.map(now, targets)) {
    fieldConfig+: { defaults+: { min: 0 } },
    options: { reduceOptions: lastValue, displayMode: 'basic', orientation: 'horizontal' },
  },

  // One column per target, named by `columns`; rows are joined on the labels they share.
  table(title, description, unit, targets, columns={}, hide=[])::
    panel('table', title, description, unit, std.map(asTable, targets)) {
      options: { showHeader: true },
      transformations: [
        { id: 'merge', options: {} },
        {
          id: 'organize',
          options: {
            excludeByName: { [name]: true for name in ['Time', 'job'] + hide },
            renameByName: columns,
          },
        },
      ],
    },

  // Colours from the first limit given; null limits are left out.
  thresholds(warning=null, critical=null):: {
    fieldConfig+: {
      defaults+: {
        color: { mode: 'thresholds' },
        thresholds: {
          mode: 'absolute',
          steps: [{ color: 'green', value: null }] +
                 (if warning == null then [] else [{ color: 'orange', value: warning }]) +
                 (if critical == null then [] else [{ color: 'red', value: critical }]),
        },
      },
    },
  },

  // The same limits as dashed lines across a time series.
  thresholdLines(warning=null, critical=null):: $.thresholds(warning, critical) {
    fieldConfig+: {
      defaults+: { color: { mode: 'palette-classic' }, custom+: { thresholdsStyle: { mode: 'dashed' } } },
    },
  },

  stacked:: { fieldConfig+: { defaults+: { custom+: { stacking: { mode: 'normal' }, fillOpacity: 40 } } } },

  sortedBy(column):: { options+: { sortBy: [{ displayName: column, desc: true }] } },

  columnUnit(column, unit):: {
    fieldConfig+: {
      overrides+: [{ matcher: { id: 'byName', options: column }, properties: [{ id: 'unit', value: unit }] }],
    },
  },

  // What an empty result means: here it is usually the good news.
  whenEmpty(text):: { fieldConfig+: { defaults+: { noValue: text } } },

  valueNames(names):: {
    fieldConfig+: {
      defaults+: {
        mappings: [{
          type: 'value',
          options: { [value]: { text: names[value].text, color: names[value].color } for value in std.objectFields(names) },
        }],
      },
    },
  },
}

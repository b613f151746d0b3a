// SPDX-License-Identifier: Apache-2.0
// Panels of a Grafana dashboard. Size and place are given by dashboard.libsonnet.
local prometheus = { type: 'prometheus', uid: '$datasource' };

// A description teaches: what is shown, what good looks like, and from when on it is bad. Grafana reads it as Markdown.
local panel(type, title, description, unit, targets) = {
  type: type,
  title: title,
  description: '%s\n\n**Good:** %s\n\n**Bad:** %s' % [description.shows, description.good, description.bad],
  datasource: prometheus,
  targets: [
    targets[i] { refId: std.char(std.codepoint('A') + i), datasource: prometheus }
    for i in std.range(0, std.length(targets) - 1)
  ],
  fieldConfig: { defaults: { unit: unit }, overrides: [] },
};

local now(target) = target { instant: true, range: false };
local asTable(target) = now(target) { format: 'table' };
local lastValue = { calcs: ['lastNotNull'], fields: '', values: false };

// Colours from the first limit given; null limits are left out.
local steps(warning, critical) = {
  mode: 'absolute',
  steps: [{ color: 'green', value: null }] +
         (if warning == null then [] else [{ color: 'orange', value: warning }]) +
         (if critical == null then [] else [{ color: 'red', value: critical }]),
};

local property(id, value) = { id: id, value: value };
local option(column, field, id) = if field in column then [property(id, column[field])] else [];
local columnProperties(column) =
  option(column, 'unit', 'unit') +
  option(column, 'decimals', 'decimals') +
  // Room is for names and bars; figures take little.
  (if 'width' in column then [property('custom.width', column.width)]
   else if 'unit' in column && !('bar' in column) then [property('custom.width', 110)] else []) +
  option(column, 'links', 'links') +
  // As Grafana calls it up to 12, and since.
  option(column, 'hidden', 'custom.hidden') +
  (if 'hidden' in column then [property('custom.hideFrom', { viz: true, legend: false, tooltip: false })] else []) +
  option(column, 'mappings', 'mappings') +
  option(column, 'empty', 'noValue') +
  (if 'limits' in column then [
     property('thresholds', steps(column.limits.warning, column.limits.critical)),
     property('color', { mode: 'thresholds' }),
     property('custom.cellOptions', { type: 'color-text' }),
   ] else []) +
  (if 'bar' in column then [
     property('min', 0),
     property('max', column.bar),
     property('custom.cellOptions', { type: 'gauge', mode: 'basic', valueDisplayMode: 'text' }),
   ] else []);

{
  target(expr, legend='{{instance}}'):: { expr: expr, legendFormat: legend },

  timeseries(title, description, unit, targets):: panel('timeseries', title, description, unit, targets) {
    fieldConfig+: { defaults+: { min: 0, color: { mode: 'palette-classic' }, custom: { lineWidth: 1, fillOpacity: 8, showPoints: 'never' } } },
    options: {
      legend: {
        displayMode: 'table',
        placement: 'bottom',
        showLegend: true,
        calcs: ['lastNotNull', 'max'],
        sortBy: 'Max',
        sortDesc: true,
      },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // Without limits a figure is neither good nor bad.
  stat(title, description, unit, targets):: panel('stat', title, description, unit, std.map(now, targets)) {
    fieldConfig+: { defaults+: { color: { mode: 'fixed', fixedColor: 'text' } } },
    options: { reduceOptions: lastValue, colorMode: 'value', graphMode: 'none', justifyMode: 'auto', textMode: 'value' },
  },

  bargauge(title, description, unit, targets):: panel('bargauge', title, description, unit, std.map(now, targets)) {
    fieldConfig+: { defaults+: { min: 0, color: { mode: 'thresholds' }, thresholds: steps(null, null) } },
    options: {
      reduceOptions: lastValue,
      displayMode: 'basic',
      orientation: 'horizontal',
      valueMode: 'text',
      namePlacement: 'auto',
      showUnfilled: true,
      sizing: 'manual',
      minVizWidth: 8,
      minVizHeight: 16,
      // Grafana leaves names the room that they take at 0.4 times the height of a bar: smaller than that they are not cut.
      maxVizHeight: 32,
      text: { titleSize: 12, valueSize: 13 },
    },
  },

  // Rows are joined on the labels that the targets share. Columns in their order: `from` a label, or the letter of a target,
  // `name` its title; `empty` what stands where there is nothing; `unit`, `limits` to colour it by, `bar` the value of a full bar, `links`, `hidden`
  // where only links need it. What is not named is hidden.
  table(title, description, targets, columns)::
    local field(column) =
      if std.length(column.from) > 1 then column.from
      else if std.length(targets) == 1 then 'Value' else 'Value #' + column.from;
    panel('table', title, description, 'short', std.map(asTable, targets)) {
      fieldConfig+: {
        defaults+: { custom: { align: 'auto' } },
        overrides: [
          { matcher: { id: 'byName', options: column.name }, properties: columnProperties(column) }
          for column in columns
          if columnProperties(column) != []
        ],
      },
      options: { showHeader: true, cellHeight: 'sm' },
      transformations: [
        { id: 'merge', options: {} },
        { id: 'filterFieldsByName', options: { include: { names: std.map(field, columns) } } },
        {
          id: 'organize',
          options: {
            excludeByName: {},
            indexByName: { [field(columns[i])]: i for i in std.range(0, std.length(columns) - 1) },
            renameByName: { [field(column)]: column.name for column in columns },
          },
        },
      ],
    },

  thresholds(warning=null, critical=null):: {
    fieldConfig+: { defaults+: { color: { mode: 'thresholds' }, thresholds: steps(warning, critical) } },
  },

  // The same limits as dashed lines across a time series.
  thresholdLines(warning=null, critical=null):: $.thresholds(warning, critical) {
    fieldConfig+: {
      defaults+: { color: { mode: 'palette-classic' }, custom+: { thresholdsStyle: { mode: 'dashed' } } },
    },
  },

  stacked:: {
    fieldConfig+: { defaults+: { custom+: { stacking: { mode: 'normal', group: 'A' }, lineWidth: 0, fillOpacity: 65 } } },
  },

  // Who has which colour, whatever else is drawn: a regular expression of names and the colour.
  colours(byName):: {
    fieldConfig+: {
      overrides+: [
        {
          matcher: { id: 'byRegexp', options: name },
          properties: [property('color', { mode: 'fixed', fixedColor: byName[name] })],
        }
        for name in std.objectFields(byName)
      ],
    },
  },

  // A line for all of a few series, where their values are not worth a table.
  few:: { options+: { legend+: { displayMode: 'list', calcs: [] } } },
  minimum(value):: { fieldConfig+: { defaults+: { min: value } } },
  withName:: { options+: { textMode: 'value_and_name' } },
  nameOnly:: { options+: { textMode: 'name', colorMode: 'none' } },
  wide(weight):: { weight: weight },
  maximum(value):: { fieldConfig+: { defaults+: { max: value } } },
  decimals(digits):: { fieldConfig+: { defaults+: { decimals: digits } } },
  sortedBy(column):: { options+: { sortBy: [{ displayName: column, desc: true }] } },
  linked(links):: { fieldConfig+: { defaults+: { links: links } } },

  // What an empty result means: here it is usually the good news.
  whenEmpty(text):: { fieldConfig+: { defaults+: { noValue: text } } },

  // Values by the words for them: { '0': { text: ..., color: ... } }.
  words(names):: [{
    type: 'value',
    options: { [value]: { text: names[value].text, color: names[value].color } for value in std.objectFields(names) },
  }],
  valueNames(names):: { fieldConfig+: { defaults+: { mappings: $.words(names) } } },
}

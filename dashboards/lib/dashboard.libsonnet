// SPDX-License-Identifier: Apache-2.0
// The frame of a Grafana dashboard: variables, rows, places on the grid.
local gridWidth = 24;

local datasource = {
  name: 'datasource',
  label: 'Data source',
  type: 'datasource',
  query: 'prometheus',
};

local query(name, label, expr) = {
  name: name,
  label: label,
  type: 'query',
  datasource: { type: 'prometheus', uid: '$datasource' },
  query: { query: expr, refId: name },
  definition: expr,
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.+',
  current: { selected: true, text: ['All'], value: ['$__all'] },
};

local choice(name, label, values) = {
  name: name,
  label: label,
  type: 'custom',
  query: std.join(',', values),
  options: [{ text: value, value: value, selected: value == values[0] } for value in values],
  current: { selected: true, text: values[0], value: values[0] },
};

local placeRow(row, y) =
  local width = std.floor(gridWidth / std.length(row.panels));
  [{ type: 'row', title: row.title, collapsed: false, panels: [], gridPos: { x: 0, y: y, w: gridWidth, h: 1 } }] + [
    row.panels[i] { gridPos: { x: i * width, y: y + 1, w: width, h: row.height } }
    for i in std.range(0, std.length(row.panels) - 1)
  ];

local place(rows) = std.foldl(
  function(done, row) { y: done.y + 1 + row.height, panels: done.panels + placeRow(row, done.y) },
  rows,
  { y: 0, panels: [] }
).panels;

{
  row(title, height, panels):: { title: title, height: height, panels: panels },

  new(uid, title, description, rows):: {
    uid: uid,
    title: title,
    description: description,
    tags: ['vcpu_exporter'],
    editable: false,
    schemaVersion: 38,
    timezone: 'browser',
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    graphTooltip: 1,
    templating: {
      list: [
        datasource,
        query('job', 'Job', 'label_values(vcpu_exporter_build_info, job)'),
        query('instance', 'Instance', 'label_values(vcpu_exporter_build_info{job=~"$job"}, instance)'),
        choice('top', 'Top', ['10', '5', '20', '50']),
      ],
    },
    panels: std.mapWithIndex(function(i, panel) panel { id: i + 1 }, place(rows)),
  },
}

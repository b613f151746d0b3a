// SPDX-License-Identifier: Apache-2.0
// The frame of a Grafana dashboard: variables, links to its sisters, rows, places on the grid.
local gridWidth = 24;
local tag = 'vcpu_exporter';

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
  refresh: 2,
  sort: 1,
};

// The one series of this name, or those of these names.
local series(names, matchers='') =
  if std.isString(names) then names + (if matchers == '' then '' else '{%s}' % matchers)
  else '{__name__=~"%s"%s}' % [std.join('|', names), if matchers == '' then '' else ', ' + matchers];

local all = { includeAll: true, current: { selected: true, text: ['All'], value: ['$__all'] } };
// The first one there is: a dashboard of one thing does not begin with a thousand.
local first = { includeAll: false };
local several = { multi: true, allValue: '.+' };
// Many have but one cluster, and no label for it.
local orNone = { multi: true, allValue: '.*' };

local choice(name, label, values) = {
  name: name,
  label: label,
  type: 'custom',
  query: std.join(',', values),
  options: [{ text: value, value: value, selected: value == values[0] } for value in values],
  current: { selected: true, text: values[0], value: values[0] },
};

// Every dashboard has these links at its top; the variables that both have are carried along.
local sisters = {
  type: 'dashboards',
  tags: [tag],
  title: '',
  tooltip: '',
  icon: 'external link',
  asDropdown: false,
  targetBlank: false,
  includeVars: true,
  keepTime: true,
  url: '',
};

local total(numbers) = std.foldl(function(sum, number) sum + number, numbers, 0);

// Panels of a row share its width by their `weight`, 1 by default.
local placeRow(row, y) =
  local weights = [std.get(panel, 'weight', 1) for panel in row.panels];
  local edge(i) = std.floor(gridWidth * total(weights[:i]) / total(weights) + 0.5);
  [{ type: 'row', title: row.title, collapsed: false, panels: [], gridPos: { x: 0, y: y, w: gridWidth, h: 1 } }] + [
    {
      [field]: row.panels[i][field]
      for field in std.objectFields(row.panels[i])
      if field != 'weight'
    } + { gridPos: { x: edge(i), y: y + 1, w: edge(i + 1) - edge(i), h: row.height } }
    for i in std.range(0, std.length(row.panels) - 1)
  ];

local place(rows) = std.foldl(
  function(done, row) { y: done.y + 1 + row.height, panels: done.panels + placeRow(row, done.y) },
  rows,
  { y: 0, panels: [] }
).panels;

{
  row(title, height, panels):: { title: title, height: height, panels: panels },

  // `source` is the series, or are those, whose labels the variables offer, `everything` whether all hosts are chosen at first,
  // `extra` further variables.
  variables(source, everything, extra=[]):: [
    datasource,
    query('cluster', 'Cluster', 'label_values(%s, cluster)' % series(source)) + all + orNone,
    query('job', 'Job', 'label_values(%s, job)' % series(source, 'cluster=~"$cluster"')) + all + several,
    query(
      'instance', 'Instance', 'label_values(%s, instance)' % series(source, 'cluster=~"$cluster", job=~"$job"')
    )
    + several
    + (if everything then all else first),
  ] + extra,

  domain(source):: query(
    'domain',
    'VM',
    'label_values(%s, domain)' % series(source, 'cluster=~"$cluster", job=~"$job", instance=~"$instance"')
  ) + first + { multi: false },

  top:: choice('top', 'Top', ['10', '5', '20', '50']),

  new(board, description, variables, rows):: {
    uid: board.uid,
    title: board.title,
    description: description,
    tags: [tag],
    links: [sisters],
    editable: false,
    schemaVersion: 39,
    timezone: 'browser',
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    graphTooltip: 1,
    templating: { list: variables },
    panels: std.mapWithIndex(function(i, panel) panel { id: i + 1 }, place(rows)),
  },
}

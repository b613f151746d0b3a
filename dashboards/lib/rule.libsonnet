// SPDX-License-Identifier: Apache-2.0
// What recording rules have in common.
{
  // level:metric:operations; `labels` are set on what is recorded.
  record(name, expr, labels={}): {
    record: name,
    expr: expr,
  } + if labels == {} then {} else { labels: labels },

  group(name, rules, interval=null): {
    name: name,
    rules: rules,
  } + if interval == null then {} else { interval: interval },
}

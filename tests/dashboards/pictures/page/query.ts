// SPDX-License-Identifier: Apache-2.0
// Asks Prometheus a panel's queries, as Grafana's data source does: data frames by target.
import { DataFrame, FieldType, toDataFrame } from '@grafana/data';

export interface Stage {
  prometheus: string;
  dashboard: any;
  variables: Record<string, string>;
  from: number; // Seconds since the epoch,
  to: number;
  step: number; // and between two points.
  rateSeconds: number;
}

export function interpolate(text: string, stage: Stage) {
  return text
    .replaceAll('$__rate_interval', `${stage.rateSeconds}s`)
    .replaceAll('$__range', `${Math.round(stage.to - stage.from)}s`)
    .replace(/\$(\w+)/g, (whole, name) => stage.variables[name] ?? whole);
}

function legend(format: string, labels: Record<string, string>) {
  return format.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? '');
}

async function ask(stage: Stage, path: string, parameters: Record<string, string>) {
  const answer = await fetch(`${stage.prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(body.error);
  return body.data.result;
}

// Prometheus leaves a gap where there is no point; a frame has a null there.
function lineFrame(stage: Stage, series: any, target: any): DataFrame {
  const at = new Map(series.values.map(([time, value]: [number, string]) => [time, Number(value)]));
  const times: number[] = [];
  for (let time = stage.from; time <= stage.to; time += stage.step) times.push(time);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: times.map((time) => time * 1000), config: { interval: stage.step * 1000 } },
      {
        name: 'Value',
        type: FieldType.number,
        values: times.map((time) => at.get(time) ?? null),
        labels: series.metric,
        config: { displayNameFromDS: legend(target.legendFormat, series.metric) },
      },
    ],
  });
}

function pointFrame(series: any, target: any): DataFrame {
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: [series.value[0] * 1000] },
      {
        name: 'Value',
        type: FieldType.number,
        values: [Number(series.value[1])],
        labels: series.metric,
        config: { displayNameFromDS: legend(target.legendFormat, series.metric) },
      },
    ],
  });
}

function tableFrame(result: any[], target: any, valueName: string): DataFrame {
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map((series) => series.value[0] * 1000) },
      ...labels.map((name) => ({
        name, type: FieldType.string, values: result.map((series) => series.metric[name] ?? ''), config: { filterable: true },
      })),
      { name: valueName, type: FieldType.number, values: result.map((series) => Number(series.value[1])) },
    ],
  });
}

export async function framesOf(panel: any, stage: Stage): Promise<DataFrame[]> {
  const frames = await Promise.all(panel.targets.map(async (target: any) => {
    const query = interpolate(target.expr, stage);
    if (!target.instant) {
      const result = await ask(stage, 'query_range', { query, start: `${stage.from}`, end: `${stage.to}`, step: `${stage.step}` });
      return result.map((series: any) => lineFrame(stage, series, target));
    }
    const result = await ask(stage, 'query', { query, time: `${stage.to}` });
    if (target.format === 'table') {
      return result.length ? [tableFrame(result, target, panel.targets.length > 1 ? `Value #${target.refId}` : 'Value')] : [];
    }
    return result.map((series: any) => pointFrame(series, target));
  }));
  return frames.flat();
}

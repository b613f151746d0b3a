// SPDX-License-Identifier: Apache-2.0
// The kinds of panels, each drawn by the component that Grafana draws it with.
import React from 'react';
import { dateTime, FieldDisplay, getDisplayValueAlignmentFactors, getFieldDisplayValues, VizOrientation } from '@grafana/data';
import * as ui from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { Stage } from './query';

const { BarGauge, BigValue, TimeSeries, VizRepeater } = ui as any;
type Size = { width: number; height: number };
type Props = { panel: any; frames: any[]; stage: Stage; theme: any } & Size;

const values = ({ panel, frames, theme }: Props): FieldDisplay[] => getFieldDisplayValues({
  fieldConfig: panel.fieldConfig,
  reduceOptions: panel.options.reduceOptions,
  replaceVariables: (text: string) => text,
  theme,
  data: frames,
  timeZone: 'utc',
} as any);

function Lines(props: Props) {
  const { panel, frames, stage, width, height } = props;
  const timeRange: any = { from: dateTime(stage.from * 1000), to: dateTime(stage.to * 1000), raw: { from: 'now-1h', to: 'now' } };
  return <TimeSeries frames={frames} width={width} height={height} timeRange={timeRange} timeZone="utc"
    legend={panel.options.legend} options={{}} />;
}

function Stat(props: Props) {
  const { panel, theme, width, height } = props;
  return <VizRepeater getValues={() => values(props)} source={props.frames} renderCounter={0} autoGrid orientation="auto"
    width={width} height={height} itemSpacing={3} renderValue={({ value, width, height, count }: any) => <BigValue
      value={value.display} width={width} height={height} theme={theme} count={count} justifyMode={panel.options.justifyMode}
      colorMode={panel.options.colorMode} graphMode={panel.options.graphMode}
      textMode={panel.options.textMode} />} />;
}

function Bars(props: Props) {
  const { panel, theme, width, height } = props;
  const { options } = panel;
  return <VizRepeater getValues={() => values(props)} source={props.frames} renderCounter={0} orientation={options.orientation}
    getAlignmentFactors={(all: FieldDisplay[]) => getDisplayValueAlignmentFactors(all)}
    minVizWidth={options.minVizWidth} minVizHeight={options.minVizHeight} maxVizHeight={options.maxVizHeight}
    width={width} height={height} itemSpacing={4} renderValue={({ value, width, height, alignmentFactors }: any) => <BarGauge
      value={value.display} display={value.view?.getFieldDisplayProcessor(value.colIndex)} field={value.field} width={width} height={height}
      orientation={VizOrientation.Horizontal} theme={theme} text={options.text} displayMode={options.displayMode} showUnfilled={options.showUnfilled}
      valueDisplayMode={options.valueMode} namePlacement={options.namePlacement} alignmentFactors={alignmentFactors} />} />;
}

function Rows({ panel, frames, width, height }: Props) {
  return <TableNG data={frames[0]} width={width} height={height} noHeader={!panel.options.showHeader} cellHeight={panel.options.cellHeight}
    sortBy={panel.options.sortBy} structureRev={1} fieldConfig={panel.fieldConfig} frozenColumns={0} />;
}

const KINDS: Record<string, React.FC<Props>> = { timeseries: Lines, stat: Stat, bargauge: Bars, table: Rows };
export const kindOf = (panel: any) => KINDS[panel.type];

// SPDX-License-Identifier: Apache-2.0
// Transformations and field options, as a Grafana server applies them before a panel draws.
import {
  applyFieldOverrides, DataFrame, FieldConfigOptionsRegistry, getFieldDisplayName, GrafanaTheme2, standardTransformers,
  standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

const STANDARD = ['unit', 'min', 'max', 'decimals', 'color', 'thresholds', 'mappings', 'noValue', 'displayName', 'links', 'actions'];
const CUSTOM = ['drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'stacking', 'thresholdsStyle', 'cellOptions', 'width', 'align', 'hidden', 'hideFrom'];

const option = (id: string, isCustom: boolean) => ({
  id: isCustom ? `custom.${id}` : id, path: id, name: id, isCustom,
  editor: () => null, override: () => null, process: (value: unknown) => value, shouldApply: () => true,
});
const registry = new FieldConfigOptionsRegistry(
  () => [...STANDARD.map((id) => option(id, false)), ...CUSTOM.map((id) => option(id, true))] as any
);

const TRANSFORMERS = [
  standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer,
  standardTransformers.filterFieldsByNameTransformer, standardTransformers.orderFieldsTransformer,
  standardTransformers.renameFieldsTransformer, standardTransformers.filterFieldsTransformer,
];
standardTransformersRegistry.setInit(() => TRANSFORMERS.map((transformation) => ({
  id: transformation.id, name: transformation.name, transformation: async () => transformation,
})) as any);

export async function dressed(panel: any, frames: DataFrame[], theme: GrafanaTheme2): Promise<DataFrame[]> {
  const shaped = panel.transformations?.length
    ? await lastValueFrom(transformDataFrame(panel.transformations, frames))
    : frames;
  const done = applyFieldOverrides({
    data: shaped,
    fieldConfig: panel.fieldConfig,
    replaceVariables: (text: string) => text,
    theme,
    fieldConfigRegistry: registry,
    timeZone: 'utc',
  });
  // Links lead to a server, and there is none.
  done.forEach((frame) => frame.fields.forEach((field) => {
    field.getLinks = () => (field.config.links ?? []).map((link) => ({ href: '#', title: link.title, target: '_self', origin: field })) as any;
    getFieldDisplayName(field, frame, done);
  }));
  return done;
}

// SPDX-License-Identifier: Apache-2.0
// Holds dashboards to Grafana's own type of one: node schema.mjs FILE... Prints "FILE: PLACE: what is wrong", and ends with 1.
// That type leaves a panel's `options` open; whether those are any good shows when it is drawn.
import fs from 'node:fs';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const schema = createGenerator({
  path: 'node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts',
  type: 'Dashboard',
  skipTypeCheck: true,
}).createSchema('Dashboard');
const isDashboard = new Ajv({ strict: false, allErrors: true }).compile(schema);

for (const file of process.argv.slice(2)) {
  if (isDashboard(JSON.parse(fs.readFileSync(file, 'utf8')))) continue;
  process.exitCode = 1;
  for (const { instancePath, message, params } of isDashboard.errors) {
    console.log(`${file.replace(/.*\//, '')}: ${instancePath || '/'}: ${message} ${params.additionalProperty ?? ''}`);
  }
}

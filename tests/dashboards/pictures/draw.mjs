// SPDX-License-Identifier: Apache-2.0
// Draws dashboards in headless Chromium: node draw.mjs CHROMIUM PAGE PICTURES <STAGES, where STAGES is JSON, an array of what
// page/query.ts calls a stage with the picture's `name` and, if wanted, the file for an `excerpt` of it. Prints a line of JSON per picture: its name and its panels' problems.
import { text } from 'node:stream/consumers';
import puppeteer from 'puppeteer-core';

const [chromium, page, pictures] = process.argv.slice(2);
const stages = JSON.parse(await text(process.stdin));
const browser = await puppeteer.launch({
  executablePath: chromium,
  // The page is our own; root, as which the tests run, has no sandbox in Chromium.
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--allow-file-access-from-files', '--force-color-profile=srgb'],
});

// Of every panel what it shows: text, or pixels of which some differ.
function look() {
  const colours = (canvas) => new Set(new Uint32Array(
    canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
  return [...document.querySelectorAll('[data-panel]')].map((panel) => {
    const body = panel.querySelector('section > div:last-child') ?? panel;
    const canvas = panel.querySelector('canvas');
    return {
      ...window.drawn[panel.dataset.panel],
      shows: canvas ? colours(canvas) > 2 : /[0-9A-Za-z]/.test(body.innerText),
      broken: /NaN|undefined|\[object|Invalid date|\$\{|\{\{/.exec(panel.innerText)?.[0],
    };
  });
}

try {
  for (const stage of stages) {
    const tab = await browser.newPage();
    const errors = [];
    tab.on('pageerror', (error) => errors.push(error.message));
    await tab.setViewport({ width: 1600, height: 1000 });
    await tab.evaluateOnNewDocument((given) => { window.stage = given; }, stage);
    await tab.goto(`file://${page}`);
    const wanted = stage.dashboard.panels.filter(({ type }) => type !== 'row').length;
    await tab.waitForFunction((count) => Object.keys(window.drawn ?? {}).length === count, { timeout: 60000 }, wanted)
      .catch((error) => errors.push(error.message));
    const height = await tab.evaluate(() => document.body.scrollHeight);
    await tab.setViewport({ width: 1600, height });
    // Two frames after the last data: everything is drawn.
    await tab.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await tab.waitForNetworkIdle({ idleTime: 300, timeout: 20000 }).catch(() => {});
    await tab.screenshot({ path: `${pictures}/${stage.name}.png` });
    if (stage.excerpt) {
      await tab.screenshot({ path: stage.excerpt, clip: { x: 0, y: 0, width: 1600, height: Math.min(height, 1040), scale: 0.625 } });
    }
    console.log(JSON.stringify({ name: stage.name, errors, panels: await tab.evaluate(look) }));
    await tab.close();
  }
} finally {
  await browser.close();
}

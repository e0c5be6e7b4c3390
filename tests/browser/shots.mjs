// SPDX-License-Identifier: Apache-2.0
// The pictures of docs/screenshots, out of the seeded pages: `make screenshots`.
//   node shots.mjs DIR [NAME...]      SHOTS_WIDTH=390 SHOTS_THEME=dark for others than those
import fs from 'node:fs';
import path from 'node:path';
import { seed, launch, open } from './lib.mjs';

const pages = (s) => ({
  runs: '/', run: '/runs/' + s['run-waiting'], failure: '/runs/' + s['run-failure'], job: '/jobs/' + s['job-failure'], gate: '/gates/' + s.gate,
  queue: '/queue', environments: '/environments', environment: '/environments/halden/takeoff/production', repo: '/repos/halden/takeoff/hook',
  explain: '/runs/' + s['run-failure'] + '/explain/images', audit: '/audit',
});

const [dir, ...names] = process.argv.slice(2);
if (!dir || !process.env.WEBSEED) {
  console.error('Usage: WEBSEED=build/.../webseed node shots.mjs DIR [NAME...]');
  process.exit(2);
}
const width = Number(process.env.SHOTS_WIDTH || 1360), colorScheme = process.env.SHOTS_THEME;
const server = await seed('--lines', '3000'), browser = await launch();
fs.mkdirSync(dir, { recursive: true });
try {
  for (const [name, where] of Object.entries(pages(server))) {
    if (names.length && !names.includes(name)) continue;
    // The page of a run is shown dark, as its mock-up is; the README has it.
    const page = await open(browser, server, { viewport: { width, height: 900 }, colorScheme: colorScheme || (name === 'run' ? 'dark' : 'light'), timezoneId: 'UTC', reducedMotion: 'reduce' });
    await page.goto_(where);
    await page.waitForTimeout(300);
    await page.screenshot({ path: path.join(dir, name + '.png'), fullPage: true });
    await page.context().close();
  }
} finally {
  await browser.close();
  await server.stop();
}

// SPDX-License-Identifier: Apache-2.0
// What the browser tests share: TAP, a seeded web process, a browser that tells its complaints.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

let count = 0, failed = 0;
export const ok = (good, name, why) => {
  count++;
  if (!good) failed++;
  console.log((good ? 'ok ' : 'not ok ') + count + ' - ' + name);
  if (!good && why !== undefined) console.log(String(typeof why === 'string' ? why : JSON.stringify(why)).slice(0, 2000).replace(/^/gm, '#   '));
  return good;
};
export const is = (got, want, name) => ok(got === want, name, 'got ' + JSON.stringify(got) + ', expected ' + JSON.stringify(want));
export const skip = (name, why) => { count++; console.log('ok ' + count + ' - # SKIP ' + name + ': ' + why); };
export const diag = (text) => console.log('# ' + text);
export const done = () => { console.log('1..' + count); return failed ? 1 : 0; };
export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

// CONDITION until it holds, at most MS; its last value.
export const until = async (condition, ms = 5000) => {
  const end = Date.now() + ms;
  for (;;) {
    const v = await condition();
    if (v || Date.now() > end) return v;
    await sleep(20);
  }
};

// A web process with a store behind it; say() hands it a command, see webseed.c.
export const seed = async (...args) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-web.'));
  const child = spawn(process.env.WEBSEED, ['--dir', dir, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const info = JSON.parse((await lines.next()).value);
  let turn = Promise.resolve();
  return {
    ...info,
    say: (text) => (turn = turn.then(async () => { child.stdin.write(text + '\n'); return JSON.parse((await lines.next()).value); })),
    api: async (where, options = {}) => fetch(info.url + where, { ...options, headers: { authorization: 'Bearer ' + info.token, ...options.headers } }),
    stop: async () => {
      const gone = new Promise((r) => child.on('exit', r));
      child.stdin.end();
      await gone;
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
};

export const launch = async () => {
  const { chromium } = require('playwright-core');
  const executablePath = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find((f) => fs.existsSync(f));
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
};

// A signed-in page. page.complaints holds console errors, exceptions, CSP reports and
// requests that leave the server.
export const open = async (browser, server, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') page.complaints.push('console: ' + m.text()); });
  page.on('pageerror', (e) => page.complaints.push('exception: ' + e.message));
  page.on('dialog', (d) => { page.complaints.push('dialog: ' + d.message()); d.dismiss(); });
  page.on('request', (r) => { if (!r.url().startsWith(server.url)) page.complaints.push('leaves: ' + r.url()); });
  if (options.javaScriptEnabled !== false)
    await page.addInitScript(() => {
      window.reports = [];
      window.shift = 0;
      document.addEventListener('securitypolicyviolation', (e) => window.reports.push(e.violatedDirective + ' ' + e.blockedURI));
      new PerformanceObserver((l) => l.getEntries().forEach((e) => { if (!e.hadRecentInput) window.shift += e.value; })).observe({ type: 'layout-shift', buffered: true });
    });
  await signIn(page, server, options.gate);
  page.goto_ = (where) => page.goto(server.url + where);
  return page;
};

export const signIn = async (page, server) => {
  const { link } = await server.say('link');
  await page.goto(server.url + '/login?token=' + link);
  await page.click('button.primary');
  await page.waitForURL(server.url + '/');
};

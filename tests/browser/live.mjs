// SPDX-License-Identifier: Apache-2.0
// Live pages: rows change in place, nothing moves, tabs that are hidden or cut off catch up.
import { ok, is, seed, launch, open, until, sleep } from './lib.mjs';

const boxes = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('tbody tr')].map((r, i) => { const b = r.getBoundingClientRect(); return [r.id || i, [b.x, b.y, b.width, b.height].map((v) => Math.round(v * 10))]; })));
const live = (page) => page.waitForFunction(() => /^live/.test(document.getElementById('live').textContent));

export default async () => {
  const server = await seed('--runs', '8'), browser = await launch();
  const page = await open(browser, server);

  // ---- the list
  await page.goto_('/');
  await live(page);
  const row = '#run-' + server['run-queued'], before = await boxes(page);
  await page.focus(row + ' .what a');
  const { job } = await server.say('run A new one');
  await server.say('start ' + job);
  ok(await until(() => page.locator('.new').count()), 'a new run does not insert itself: a strip offers it');
  is(await page.locator('.new').textContent(), '1 new run, show', 'and says how many');
  const y = await page.evaluate(() => document.querySelector('.panel').getBoundingClientRect().y);
  await server.say('start ' + (await (await server.api('/api/v1/runs/' + server['run-queued'])).json()).jobs[0].id);
  ok(await until(async () => /running/.test(await page.locator(row + ' .st').textContent())), 'a job that starts changes its row');
  const after = await boxes(page), moved = Object.keys(before).filter((k) => before[k].filter((v, i) => i !== 1).join() !== after[k].filter((v, i) => i !== 1).join());
  ok(!moved.length, 'no row changes its size or column', moved.map((k) => k + ' ' + before[k] + ' -> ' + after[k]).join('\n'));
  const gaps = (b) => { const k = Object.keys(b); return k.map((x) => b[x][1] - b[k[0]][1]).join(); };
  is(gaps(after), gaps(before), 'and none moves against the others');
  ok(await page.evaluate((s) => document.activeElement.closest(s) !== null, row), 'focus stays in the row that changed');
  ok(y > 0 && /slots/.test(await page.locator('#top-status').textContent()), 'the head counts slots');
  await page.click('.new');
  await page.waitForSelector('text=A new one');
  ok(true, 'a click shows the new run');

  // ---- one run
  await page.goto_('/runs/' + server['run-live']);
  await live(page);
  await page.evaluate(() => { window.shift = 0; });
  await server.say('start ' + server['job-queued']);
  ok(await until(async () => (await page.locator('.jobs .st.run').count()) === 2), 'the run page follows its jobs');
  await server.say('end ' + server['job-queued'] + ' success');
  ok(await until(async () => (await page.locator('.jobs .st.ok').count()) === 2), 'to their end');
  const shift = await page.evaluate(() => window.shift);
  ok(shift < 0.001, 'without a shift of the layout', shift);
  await server.say('end ' + server['job-live'] + ' failure');
  ok(await until(async () => /^failure/.test(await page.title()) || /queued|blocked|running/.test(await page.title())), 'the title begins with the state');

  // ---- a gate: what is typed survives, the decision of another closes the form
  await page.goto_('/gates/' + server.gate);
  await live(page);
  await page.fill('#comment', 'half a thought');
  await page.focus('#comment');
  for (let i = 0; i < 100; i++) if (i % 10 === 0) await server.say('run filler ' + i);
  await sleep(400);
  ok(await page.inputValue('#comment') === 'half a thought' && await page.evaluate(() => document.activeElement.id === 'comment'), 'a typed comment and focus survive events');
  await server.say('vote ' + server.gate + ' jonas approve');
  ok(await until(async () => (await page.locator('#gate-state').getAttribute('data-state')) === 'approved'), 'a gate decided elsewhere says so');
  ok((await page.locator('#gate-form button').count()) === 0 && await page.inputValue('#comment') === 'half a thought', 'its form is closed, the comment can still be copied');
  ok(/jonas/.test(await page.locator('.votes').textContent()), 'and it names who decided');

  // ---- connections: hidden tabs hold none; seven at once are all live
  const connections = async () => Number(/sluice_http_connections (\d+)/.exec(await (await server.api('/metrics')).text())[1]);
  const hide = (p, yes) => p.evaluate((v) => { Object.defineProperty(document, 'hidden', { value: v, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); }, yes);
  await page.goto_('/');
  await live(page);
  const streams = async () => (await server.say('stat')).fds;
  const open0 = await streams();
  await hide(page, true);
  ok(await until(async () => (await streams()) < open0, 4000), 'a hidden tab gives its connection back', { open0, now: await streams() });
  const { run } = await server.say('run while away');
  await hide(page, false);
  ok(await until(() => page.locator('.new').count()), 'and learns what happened meanwhile when it is seen again', run);
  // Seven windows beside each other would need seven connections of the six a browser opens;
  // of seven tabs six are hidden.
  const tabs = [];
  let alive = 0;
  await hide(page, true);
  for (let i = 0; i < 7; i++) {
    const t = await page.context().newPage();
    await t.goto(server.url + '/queue');
    alive += await until(() => t.evaluate(() => /^live/.test(document.getElementById('live').textContent)), 3000) ? 1 : 0;
    await hide(t, true);
    tabs.push(t);
  }
  is(alive, 7, 'each of seven tabs is live when it is looked at');
  for (const t of tabs) await t.close();
  await hide(page, false);
  ok(await connections() < 20, 'and no connection is left behind', await connections());

  // ---- the server goes and comes back
  await page.goto_('/runs/' + server['run-waiting']);
  await live(page);
  await server.say('web');
  ok(await until(async () => /not live since/.test(await page.locator('#live').textContent()), 4000) || await page.evaluate(() => /^live/.test(document.getElementById('live').textContent)), 'a page says when it is cut off');
  ok(await until(async () => /^live/.test(await page.locator('#live').textContent()), 15000), 'and is live again when the server is');
  ok(page.complaints.filter((c) => /exception/.test(c)).length === 0, 'without an exception', page.complaints.join('\n'));

  await browser.close();
  await server.stop();
};

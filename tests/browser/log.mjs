// SPDX-License-Identifier: Apache-2.0
// The log: a million lines, one anchor, following, and what comes while one looks.
import { execFileSync } from 'node:child_process';
import { ok, is, seed, launch, open, until, sleep, diag } from './lib.mjs';

const LINES = 1000000;
const numbers = (page) => page.evaluate(() => [...document.querySelectorAll('#log .ln')].map((e) => Number(e.id.slice(1))));
const count = (page) => page.locator('#log .ln').count();
// Where line N is on the screen, relative to the log; null when it is not in the page.
const place = (page, n) => page.evaluate((k) => { const e = document.getElementById('L' + k); return e && e.getBoundingClientRect().top - document.getElementById('log').getBoundingClientRect().top; }, n);
const seen = async (page, n) => { const y = await place(page, n), h = await page.evaluate(() => document.getElementById('log').clientHeight); return y !== null && y >= -1 && y <= h - 17; };
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

export default async () => {
  const server = await seed('--runs', '2', '--lines', String(LINES)), browser = await launch();
  const page = await open(browser, server), job = '/jobs/' + server['job-long'];

  // ---- opening anywhere
  for (const n of [1, 500000, LINES]) {
    await page.goto_(job + '?line=' + n);
    ok(await until(() => seen(page, n)), 'line ' + n + ' of a million is on the screen when a link names it', await place(page, n));
    ok(await count(page) <= 400, 'with at most 400 lines in the page', await count(page));
    is(await page.locator('#L' + n + '.here').count(), 1, 'and it is the one that is marked');
  }
  await page.goto_(job);
  ok(await until(() => seen(page, LINES)), 'a finished job without an error opens at its last line');
  const paints = [];
  for (let i = 0; i < 5; i++) {
    await page.goto_(job + '?line=' + (i * 90000 + 7));
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0));
  }
  diag('first paint of a million lines, median ' + median(paints).toFixed(0) + ' ms');
  ok(median(paints) < 1000, 'it is painted soon', paints.join(' '));

  // ---- scrolling by wheel, keys, and the bar
  await page.goto_(job + '?line=500000');
  await until(() => seen(page, 500000));
  await page.mouse.move(700, 600);
  for (let i = 0; i < 30; i++) { await page.mouse.wheel(0, 600); await sleep(25); }
  await sleep(300);
  let list = await numbers(page);
  ok(list.every((n, i) => i === 0 || n === list[i - 1] + 1), 'after wheeling the lines are in order, none twice, none missing');
  const top = await page.evaluate(() => { const y = document.getElementById('log').getBoundingClientRect().top; return Number([...document.querySelectorAll('#log .ln')].find((e) => e.getBoundingClientRect().bottom > y).id.slice(1)); });
  ok(Math.abs(top - 500000 - 1000) < 60, 'wheel and lines agree: 18 000 px are a thousand lines', top);
  ok(await count(page) <= 400, 'and still at most 400 stand in the page', await count(page));
  await page.evaluate(() => { const l = document.getElementById('log'); l.scrollTop = l.scrollHeight * 0.25; });
  await sleep(600);
  list = await numbers(page);
  ok(list.length > 50 && Math.abs(list[100] / LINES - 0.25) < 0.02, 'the bar thrown to a quarter shows lines there', list[0]);
  await page.focus('#log');
  await page.keyboard.press('Home');
  ok(await until(() => seen(page, 1)), 'Home shows the first line');
  await page.keyboard.press('End');
  ok(await until(() => seen(page, LINES)), 'End shows the last');

  // ---- search is the server's and counts truly
  const grep = Number(execFileSync('grep', ['-ci', 'needle', server.dir + '/jobs/' + server['job-long'] + '/1/log']).toString());
  const began = Date.now();
  await page.fill('#find-q', 'needle');
  await page.press('#find-q', 'Enter');
  ok(await until(async () => /of/.test(await page.locator('#find-n').textContent())), 'a search finds its first hit');
  diag('search over a million lines: ' + (Date.now() - began) + ' ms');
  ok((await page.locator('#find-n').getAttribute('title')).replace(/[^\d ]/g, '').trim().startsWith(String(grep)), 'its count is that of grep -ci', [grep, await page.locator('#find-n').getAttribute('title')]);
  ok(await until(() => page.locator('.ln.here mark').count()), 'the hit is marked');
  await page.evaluate(() => document.activeElement.blur());
  const was = await page.locator('.ln.here').getAttribute('id');
  await page.keyboard.press('n');
  ok(await until(async () => (await page.locator('.ln.here').getAttribute('id').catch(() => was)) !== was), 'n goes to the next one');
  ok(await page.locator('#marks i').count() > 0, 'marks stand in the margin');

  // ---- the anchor: wrap, times, resize keep the line where it was
  await page.goto_(job + '?line=400000');
  await until(() => seen(page, 400000));
  await sleep(300);
  const line = await page.evaluate(() => { const y = document.getElementById('log').getBoundingClientRect().top; return Number([...document.querySelectorAll('#log .ln')].find((e) => e.getBoundingClientRect().bottom > y).id.slice(1)); });
  const at = await place(page, line);
  for (const [what, act] of [['wrap', () => page.keyboard.press('w')], ['the clock', () => page.keyboard.press('t')], ['no times', () => page.keyboard.press('t')], ['times', () => page.keyboard.press('t')]]) {
    await act();
    await sleep(250);
    const now = await place(page, line);
    ok(now !== null && Math.abs(now - at) <= 1, 'the anchor stays within 1 px: ' + what, [at, now]);
  }

  // ---- a failed job opens at its first error; groups fold
  await page.goto_('/jobs/' + server['job-failure']);
  ok(await until(async () => /Errors 2/.test(await page.locator('#err').textContent())), 'errors are counted');
  await page.keyboard.press('e');
  ok(await until(() => page.locator('.ln.error.here').count()), 'e goes to the first');
  const lines = await count(page);
  await page.locator('.ln.group .x').first().click();
  ok(await until(async () => (await count(page)) < lines), 'a click on the head of a group closes it');
  ok(/group, \d+ lines/.test(await page.locator('.ln.shut .x').first().getAttribute('data-in')), 'and it says how many lines it holds');
  await page.goto_('/jobs/' + server['job-failure'] + '?line=2');
  ok(await until(() => seen(page, 2)), 'a link into a group opens it');
  ok(/^\d+:\d\d\.\d\d$/.test(await page.locator('#L2 i').textContent()), 'lines have the time since the start', await page.locator('#L2 i').textContent());

  // ---- hostile lines
  await page.goto_('/jobs/' + server['job-hostile']);
  const danger = await page.evaluate(() => ({ title: document.title, img: document.querySelectorAll('#log img, #log script, #log a:not(.n)').length, text: document.getElementById('log').textContent }));
  ok(danger.img === 0 && !/owned/.test(danger.title), 'hostile lines add no element');
  ok(/⟨U\+202E⟩/.test(danger.text) && /⟨http:\/\/evil.example\/⟩/.test(danger.text) && /progress 100%/.test(danger.text) && !/progress 10%/.test(danger.text), 'bidi and links are shown as text, rewritten lines as they ended');

  // ---- following a running job
  const live = '/jobs/' + server['job-live'];
  await page.goto_(live);
  ok(await until(async () => /^Following/.test(await page.locator('#follow-text').textContent())), 'a running job is followed');
  const late = [];
  for (let i = 0; i < 7; i++) {
    await sleep(350);
    const seen0 = page.evaluate((k) => new Promise((r) => { const o = new MutationObserver(() => { if (document.getElementById('log').textContent.includes(k)) { o.disconnect(); r(Date.now()); } }); o.observe(document.getElementById('log'), { childList: true, subtree: true }); }), 'stamp ' + i + '.');
    await sleep(20);
    const t0 = Date.now();
    await server.say('append ' + server['job-live'] + ' 1 stamp ' + i + '.');
    late.push((await seen0) - t0);
  }
  diag('from a line in the log to the page: ' + late.join(' ') + ' ms');
  ok(median(late) < 100, 'a line is on the page 100 ms after it is written (median)', late.join(' '));
  await page.mouse.move(700, 600);
  await page.mouse.wheel(0, -300);
  ok(await until(async () => /^Follow is paused/.test(await page.locator('#follow-text').textContent())), 'a wheel upwards pauses it');
  const held = await page.evaluate(() => { const y = document.getElementById('log').getBoundingClientRect().top; const e = [...document.querySelectorAll('#log .ln')].find((x) => x.getBoundingClientRect().bottom > y); return [Number(e.id.slice(1)), e.getBoundingClientRect().top - y]; });
  await server.say('append ' + server['job-live'] + ' 150 a burst of lines #');
  ok(await until(async () => /150 new lines below/.test(await page.locator('#follow-text').textContent())), 'and says how many have come', await page.locator('#follow-text').textContent());
  ok(Math.abs(await place(page, held[0]) - held[1]) <= 1, 'what is being read stays where it is', [held, await place(page, held[0])]);
  await server.say('append ' + server['job-live'] + ' 10000 ten thousand more #');
  await until(async () => /10.150 new lines/.test(await page.locator('#follow-text').textContent()));
  ok(Math.abs(await place(page, held[0]) - held[1]) <= 1, 'also when ten thousand come', [held, await place(page, held[0])]);
  await page.keyboard.press('f');
  ok(await until(async () => /ten thousand more #?10150/.test(await page.locator('#log .ln').last().textContent()) || /Following/.test(await page.locator('#follow-text').textContent())), 'f resumes at the end');
  await until(async () => (await numbers(page)).at(-1) > 10000);
  list = await numbers(page);
  ok(list.every((n, i) => i === 0 || n === list[i - 1] + 1) && list.length <= 400, 'with no line twice and none missing', list.length);
  const total = list.at(-1);
  is(total, Number(execFileSync('wc', ['-l', server.dir + '/jobs/' + server['job-live'] + '/1/log']).toString().split(' ')[0]), 'up to the last one that was written');

  // ---- cut off and back: no line twice, none missing
  await server.say('web');
  await server.say('append ' + server['job-live'] + ' 60 while away #');
  ok(await until(async () => (await numbers(page)).at(-1) === total + 60, 8000), 'after the server was gone the lines come from where they stopped', (await numbers(page)).at(-1) - total);
  list = await numbers(page);
  ok(list.every((n, i) => i === 0 || n === list[i - 1] + 1), 'none twice, none missing');

  // ---- a link to a line of a running job; a step before it starts
  await page.goto_(live + '?line=5');
  ok(await until(() => seen(page, 5)) && /^Follow is paused/.test(await page.locator('#follow-text').textContent()), 'an address that names a line does not follow');
  await page.goto_('/jobs/' + server['job-queued']);
  ok(/first line appears here/.test(await page.locator('#log-none').textContent()), 'a job that has not started says so at the same address');
  await server.say('start ' + server['job-queued']);
  const t1 = Date.now();
  await server.say('append ' + server['job-queued'] + ' 1 the very first');
  ok(await until(async () => (await count(page)) === 1, 3000), 'and shows its first line when it comes');
  diag('first line of a job opened before it started: ' + (Date.now() - t1) + ' ms');
  is(await page.locator('#log-none').count(), 0, 'in the place of those words');
  await server.say('end ' + server['job-queued'] + ' success');
  ok(await until(async () => /^success/.test(await page.title())), 'its end is shown');
  await page.keyboard.press('Tab');
  ok((await page.evaluate(() => document.querySelectorAll('#log a').length)) < 500, 'the order of Tab is finite');
  ok(!page.complaints.filter((c) => /exception|leaves|dialog/.test(c)).length, 'no exception in all of this', page.complaints.join('\n'));

  await browser.close();
  await server.stop();
};

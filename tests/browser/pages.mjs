// SPDX-License-Identifier: Apache-2.0
// Every page: budgets, no complaint, hostile names, contrast, widths, without script, by keyboard.
import { ok, is, seed, launch, open, until, diag } from './lib.mjs';

const addresses = (s) => ['/', '/?q=state:failure', '/?q=nonsense', '/runs/' + s['run-live'], '/runs/' + s['run-waiting'], '/runs/' + s['run-failure'],
  '/runs/' + s['run-lost'], '/runs/' + s['run-attempts'] + '?attempt=1', '/runs/' + s['run-hostile'], '/runs/' + s['run-failure'] + '/rerun',
  '/runs/' + s['run-lost'] + '/resolve', '/runs/' + s['run-failure'] + '/explain', '/runs/' + s['run-failure'] + '/explain/images',
  '/jobs/' + s['job-failure'], '/jobs/' + s['job-live'], '/jobs/' + s['job-queued'], '/jobs/' + s['job-absent'], '/jobs/' + s['job-hostile'],
  '/jobs/' + s['job-failure'] + '/summary', '/jobs/' + s['job-failure'] + '/network', '/jobs/' + s['job-failure'] + '/artifacts',
  '/jobs/' + s['job-failure'] + '/spec', '/jobs/' + s['job-failure'] + '/search?q=passed', '/gates/' + s.gate, '/queue', '/environments',
  '/environments/halden/takeoff/production', '/where?ref=d81f20a', '/repos', '/repos/halden/takeoff', '/repos/halden/takeoff/hook',
  '/repos/halden/takeoff/secrets', '/repos/halden/takeoff/environments', '/repos/halden/takeoff/rules', '/deliveries/2', '/audit', '/me', '/keys'];

// Runs in the page: text under 4.5 and control borders under 3 against what lies behind.
const contrasts = () => {
  const rgb = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length && (c.length < 4 || c[3] > 0.99)) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const s = getComputedStyle(e), r = e.getBoundingClientRect();
    if (!r.width || s.visibility === 'hidden' || s.clipPath !== 'none') continue;
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (own && !/^(TITLE|OPTION)$/i.test(e.tagName)) {
      const inDag = e.namespaceURI.endsWith('svg'), color = rgb(inDag ? s.fill : s.color);
      const back = inDag && e.closest('a') ? rgb(getComputedStyle(document.querySelector('.panel')).backgroundColor) : behind(e);
      const k = ratio(color, back);
      if (k < 4.5) bad.push(e.tagName + '.' + e.getAttribute('class') + ' ' + k.toFixed(2) + ' ' + e.textContent.trim().slice(0, 30));
    }
    if (/^(INPUT|TEXTAREA|SELECT|BUTTON)$/.test(e.tagName) && e.type !== 'hidden' && !/ghost/.test(e.className)) {
      const k = ratio(rgb(s.borderTopColor), behind(e.parentElement));
      if (k < 2.99) bad.push('border of ' + e.tagName + ' ' + k.toFixed(2));
    }
  }
  return bad;
};

const markup = () => ({
  style: [...document.querySelectorAll('[style]')].filter((e) => !e.closest('#log, #marks')).length,
  inline: [...document.scripts].filter((x) => !x.src).length,
  handlers: [...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name))).length,
  foreign: [...document.querySelectorAll('img, iframe, object, embed, base, meta[http-equiv]')].length,
  links: [...document.querySelectorAll('a[href]')].filter((a) => !/^(https?:|\/|#|\?)/.test(a.getAttribute('href'))).length,
  h1: document.querySelectorAll('h1').length,
  lang: document.documentElement.lang,
  unlabelled: [...document.querySelectorAll('input:not([type=hidden]), textarea, select')].filter((e) => !e.labels.length).length,
  uncaptioned: [...document.querySelectorAll('table')].filter((t) => !t.caption && !t.closest('.md')).length,
  nameless: [...document.querySelectorAll('button, a[href]')].filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label'))).length,
});

export default async () => {
  const server = await seed('--lines', '3000'), browser = await launch();
  const page = await open(browser, server);
  const all = addresses(server), facts = new Map();

  // ---- each address: 200, no complaint, clean markup
  for (const where of all) {
    page.complaints.length = 0;
    const answer = await page.goto_(where);
    await page.waitForTimeout(120);
    const m = await page.evaluate(markup), reports = await page.evaluate(() => window.reports);
    const bad = [answer.status() === 200 ? '' : 'status ' + answer.status(), ...page.complaints, ...reports,
      m.style && 'style attributes ' + m.style, m.inline && 'inline scripts', m.handlers && 'handlers', m.foreign && 'foreign elements', m.links && 'odd links',
      m.h1 === 1 ? '' : m.h1 + ' h1', m.lang === 'en' ? '' : 'lang', m.unlabelled && 'fields without label ' + m.unlabelled, m.uncaptioned && 'tables without caption',
      m.nameless && 'controls without a name ' + m.nameless].filter(Boolean);
    ok(!bad.length, 'clean: ' + where, bad.join('\n'));
    facts.set(where, await page.evaluate(() => ({ rows: document.querySelectorAll('tbody tr').length, title: document.title.replace(/^[^·]*/, ''), h1: document.querySelector('h1').textContent })));
  }
  is(await page.evaluate(() => document.title.includes('owned')), false, 'a hostile title stays text');
  ok(await page.goto_('/runs/' + server['run-hostile']).then(() => page.evaluate(() => /⟨U\+202E⟩/.test(document.body.textContent))), 'bidi characters are shown, not obeyed');

  // ---- budgets
  const size = async (where) => (await (await server.api(where)).arrayBuffer()).byteLength;
  const html = await size('/');
  ok(html < 30000, 'the list of runs is under 30 kB', html);
  const assets = await page.goto_('/jobs/' + server['job-failure']).then(() => page.evaluate(() => [document.querySelector('link[rel=stylesheet]').href, ...[...document.scripts].map((s) => s.src)]));
  const [css, ...js] = await Promise.all(assets.map(async (a) => (await (await fetch(a)).arrayBuffer()).byteLength));
  const scripts = js.reduce((a, b) => a + b, 0);
  ok(css < 20000, 'the style sheet is under 20 kB', css);
  ok(scripts < 15360 && js.length === 2, 'two scripts are under 15 KiB together', js.join(' '));
  ok((await fetch(assets[0])).headers.get('cache-control').includes('immutable'), 'assets are immutable');
  diag('html ' + html + ' css ' + css + ' js ' + js.join('+'));

  // ---- both themes: contrast and a word for each state
  for (const colorScheme of ['light', 'dark']) {
    const themed = await open(browser, server, { colorScheme });
    await themed.goto_('/');
    await themed.evaluate(() => { document.body.append(Object.assign(document.createElement('p'), { id: 'control', textContent: 'faint' })); });
    await themed.evaluate(() => { document.getElementById('control').style.color = getComputedStyle(document.body).backgroundColor; });
    is((await themed.evaluate(contrasts)).length, 1, colorScheme + ': the measure finds faint text');
    for (const where of all) {
      await themed.goto_(where);
      const bad = await themed.evaluate(contrasts);
      ok(!bad.length, colorScheme + ' contrast: ' + where, [...new Set(bad)].join('\n'));
    }
    await themed.goto_('/');
    const silent = await themed.evaluate(() => [...document.querySelectorAll('tbody .st')].filter((e) => !e.textContent.trim()).length);
    is(silent, 0, colorScheme + ': every state shows its word');
    await themed.context().close();
  }

  // ---- widths; 680 is 1360 at 200 %
  for (const width of [320, 390, 680, 760, 1360]) {
    const narrow = await open(browser, server, { viewport: { width, height: 800 } });
    const wide = [];
    for (const where of all) {
      await narrow.goto_(where);
      await narrow.waitForTimeout(40);
      const w = await narrow.evaluate(() => document.documentElement.scrollWidth);
      if (w > width) wide.push(where + ' ' + w);
    }
    ok(!wide.length, 'no page scrolls sideways at ' + width + ' px', wide.join('\n'));
    await narrow.context().close();
  }

  // ---- the queue: every wait has a reason and a way out
  await page.setViewportSize({ width: 1360, height: 900 });
  await page.goto_('/queue');
  const queued = await page.evaluate(() => [...document.querySelectorAll('.queue tbody tr:not(.sect)')].map((r) => [...r.cells].map((c) => c.innerText.trim().replace(/\s+/g, ' '))));
  const of = (name) => queued.find((r) => r.length === 7 && r[2].startsWith(name)) || [];
  ok(queued.filter((r) => r.length === 7).every((r) => r[3] && r[4]), 'each job of the queue says why it waits and what lets it go', queued);
  ok(/^gate production: 1 of 2 approvals$/.test(of('Deploy to Production')[3]) && /^1 more approval, before \d/.test(of('Deploy to Production')[4]), 'a gate counts its approvals', of('Deploy to Production'));
  ok(/^concurrency group ci-develop: #\d+ runs, this is next$/.test(of('Continuous Integration')[3]) && /^#\d+ ends$/.test(of('Continuous Integration')[4]), 'a run that waits in its group is in the queue, with who holds it', of('Continuous Integration'));
  const fair = await page.evaluate(() => [...document.querySelectorAll('.share')].map((s) => parseFloat(s.getAttribute('aria-label'))));
  ok(fair.length > 1 && Math.abs(fair.reduce((a, b) => a + b, 0) - 100) <= fair.length, 'the shares of the last hour make up the whole', fair);

  await page.goto_('/environments/halden/takeoff/production');
  const history = (await page.locator('tbody tr').first().innerText()).replace(/\s+/g, ' ');
  ok(/^waiting v2\.8\.0 4c1d09e priya 1 approved, 1 to go held .* #2$/.test(history), 'what waits at its gate is on top of the history', history);

  await page.goto_('/runs/' + server['run-failure'] + '/explain/images');
  is(await page.locator('#way-on pre').innerText(), 'sluice rerun --failed ' + server['run-failure'], 'a job that was skipped says what would make it run');
  is(await page.goto_('/runs/' + server['run-live'] + '/explain/images').then(() => page.locator('#way-on').count()), 0, 'one that may still run does not');

  // ---- a run: bars stand in the middle of their rows, which are of one height while it lives
  for (const name of ['run-waiting', 'run-failure']) {
    await page.goto_('/runs/' + server[name]);
    const rows = await page.evaluate(() => [...document.querySelectorAll('.jobs tbody tr')].map((r) => { const b = r.getBoundingClientRect(), bar = r.querySelector('rect'), k = bar && bar.getBoundingClientRect(); return [b.height, k ? k.y + k.height / 2 - b.y - b.height / 2 : 0]; }));
    ok(rows.every((r) => Math.abs(r[1]) <= 1), name + ': bars are centred', rows);
    if (name === 'run-waiting') ok(new Set(rows.map((r) => r[0])).size === 1 && rows[0][0] <= 50, name + ': rows are of one height, and no taller than two lines', rows);
  }

  // ---- without script: the same facts, working forms
  const plain = await open(browser, server, { javaScriptEnabled: false });
  for (const where of all) {
    const answer = await plain.goto_(where);
    const had = facts.get(where), rows = await plain.locator('tbody tr').count(), h1 = await plain.locator('h1').textContent();
    ok(answer.status() === 200 && rows === had.rows && h1 === had.h1, 'without script: ' + where, { rows, had });
  }
  await plain.goto_('/jobs/' + server['job-long'] + '?line=1500');
  const shown = await plain.locator('.ln').count();
  ok(shown >= 400 && await plain.locator('#L1500.here').count() === 1, 'without script 500 lines stand around the linked one', shown);
  await plain.click('text=Next');
  ok(await plain.locator('#L1751').count() === 1, 'and the next ones are a link away', plain.url());
  await plain.fill('#find-q', 'needle');
  await plain.press('#find-q', 'Enter');
  ok(/\/search\?q=needle/.test(plain.url()), 'and search is a page');
  const href = await plain.locator('.ln .n').first().getAttribute('href').catch(() => '');
  ok(!href || href.startsWith('/jobs/'), 'whose links lead back into the log', href);
  await plain.goto_('/runs/' + server['run-live']);
  await plain.click('text=Cancel');
  ok(await until(async () => /cancel/.test(await (await server.api('/api/v1/runs/' + server['run-live'])).text())), 'without script a run is cancelled by a form');
  await plain.goto_('/?refresh=10');
  ok((await server.api('/?refresh=10')).headers.get('refresh') === '10', 'a page reloads itself when asked to');

  // ---- by keyboard
  await page.goto_('/');
  await page.keyboard.press('/');
  await page.keyboard.type('state:failure');
  await page.keyboard.press('Enter');
  await page.waitForURL(/state%3Afailure/);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  ok(await page.evaluate(() => document.activeElement.closest('tr.fail') !== null), 'j and k move a real focus through the rows');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/runs\//);
  await page.keyboard.press('g');
  await page.keyboard.press('q');
  await page.waitForURL(/\/queue/);
  ok(true, 'g q goes to the queue');
  await page.goto_('/keys');
  await page.click('#keys-off');
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.waitForTimeout(200);
  ok(/\/keys/.test(page.url()), 'single keys can be switched off');
  await page.evaluate(() => localStorage.clear());

  // ---- errors and denials
  is((await server.api('/runs/999999')).status, 404, 'a run that never was is a 404');
  is((await fetch(server.url + '/', { redirect: 'manual' })).status, 303, 'who is not signed in is sent to sign in');
  const reader = await fetch(server.url + '/audit', { headers: { authorization: 'Bearer ' + server['token-read'] } });
  ok(reader.status === 403 && /right 'admin'/.test(await reader.text().then((t) => t.replace(/&#39;/g, "'"))), 'a 403 names the right');
  const wrong = await (await server.api('/nothing')).text();
  ok(/Request <code>[0-9a-f]{16}<\/code>/.test(wrong), 'an error page has a request id');

  // ---- a link from elsewhere: the strict cookie comes with the second step
  const other = await page.context().newPage();
  await other.goto('data:text/html,<a id=a href="' + server.url + '/queue">in</a>');
  await other.click('#a');
  await other.waitForURL(/\/queue$/);
  ok(await other.locator('h1').textContent() === 'Queue', 'a link in a mail opens the page of who is signed in');

  // ---- the first run
  await server.stop();
  const empty = await seed('--empty'), fresh = await open(browser, empty);
  ok((await fresh.locator('h1').textContent()).startsWith('No runs yet'), 'an empty server says what to do');
  is(await fresh.locator('.panel dl dt .st').count(), 8, 'and what the states look like');
  // grey-scale: glyphs differ pairwise by shape
  const shots = [];
  await fresh.addStyleTag({ content: '*{animation:none!important}' }).catch(() => 0);
  for (let i = 0; i < 8; i++) shots.push((await fresh.locator('.panel dl dt .g').nth(i).screenshot({ style: '.g{color:#000!important;animation:none!important}' })).toString('base64'));
  is(new Set(shots).size, 8, 'no two states share a shape');
  await fresh.context().close();
  await browser.close();
  await empty.stop();
};

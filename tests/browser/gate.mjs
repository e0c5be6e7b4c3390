// SPDX-License-Identifier: Apache-2.0
// Deciding: what is shown before, once and by whom it is decided, links, and a core that is gone.
import { ok, is, seed, launch, open, until } from './lib.mjs';

export default async () => {
  const server = await seed('--runs', '2'), browser = await launch();
  const where = '/gates/' + server.gate;
  const gate = async () => (await server.api('/api/v1/gates/' + server.gate)).json();

  // ---- what is seen before
  const page = await open(browser, server);
  await page.goto_(where);
  const text = await page.locator('main').textContent(), g = await gate();
  ok(text.includes(g.sha) && g.sha.length === 40, 'the full commit is shown');
  ok(text.includes(g.digest), 'and the digest of the workflow');
  ok(/AWS_DEPLOY_ROLE_ARN/.test(text) && /CLOUDFRONT_DISTRIBUTION_ID/.test(text), 'and the names of the secrets');
  ok(!(await page.content()).includes('value-that-must-never-show'), 'but no value of one');
  ok(/the deploy starts at once/.test(text), 'the consequence stands beside the button');
  ok(/No self-approval: not priya/.test(text), 'and who may not');
  await page.click('button[value=reject]');
  ok(await until(async () => /needs a comment/.test(await page.locator('main').textContent())), 'a rejection needs a comment');
  is((await gate()).state, 'pending', 'GET and a refused form change nothing');

  // ---- others may not
  const cookie = (await page.context().cookies()).map((c) => c.name + '=' + c.value).join('; ');
  const form = await page.evaluate(() => document.querySelector('[name=form]').value);
  const post = (headers, body) => fetch(server.url + where, { method: 'POST', redirect: 'manual', headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }, body: new URLSearchParams(body) });
  const whole = { decision: 'approve', form, digest: g.digest, sha: g.sha };
  is((await post({ cookie, origin: 'https://evil.example' }, whole)).status, 403, 'another origin is refused');
  is((await post({ cookie, 'sec-fetch-site': 'cross-site' }, whole)).status, 403, 'a cross-site request is refused');
  is((await post({ cookie }, { ...whole, form: 'f'.repeat(64) })).status, 403, 'a wrong form token is refused');
  is((await post({}, whole)).status, 303, 'who is not signed in is sent to sign in');
  is((await post({ cookie }, { ...whole, sha: 'a'.repeat(40) })).status, 409, 'a vote for another commit is refused');
  is((await post({ cookie }, { ...whole, digest: 'b'.repeat(64) })).status, 409, 'and for another workflow');
  is((await gate()).state, 'pending', 'nothing of that decided anything');
  ok(/SameSite=Strict/.test((await fetch(server.url + '/login', { method: 'POST', redirect: 'manual', body: new URLSearchParams({ token: (await server.say('link')).link }) })).headers.get('set-cookie')), 'the session cookie is strict');

  // A page without script, opened before anything is decided.
  const slow = await open(browser, server, { javaScriptEnabled: false });
  await slow.goto_(where);

  // ---- a link for one gate
  const { link } = await server.say('link ' + server.gate);
  const guest = await browser.newContext().then((c) => c.newPage());
  await guest.goto(server.url + '/approve/' + link);
  ok((await guest.locator('main').textContent()).includes(g.sha), 'the bearer of a link sees the same page');
  is(await guest.locator('nav[aria-label=Main]').count(), 0, 'and nothing else to go to');
  is((await gate()).state, 'pending', 'seeing it decides nothing');
  await guest.fill('#comment', 'by link');
  await guest.dblclick('button[value=approve]');
  await guest.waitForURL(server.url + where);
  is((await gate()).state, 'approved', 'a click on it decides');
  is((await gate()).votes.filter((v) => v.principal === 'jonas').length, 1, 'a double click votes once');
  is((await guest.goto(server.url + '/queue')).status(), 403, 'the link opens its gate and nothing else');
  is((await guest.goto(server.url + '/approve/' + link)).status(), 403, 'and works once');

  // ---- decided meanwhile
  await slow.fill('#comment', 'too late');
  const [answer] = await Promise.all([slow.waitForNavigation(), slow.click('button[value=approve]')]);
  is(answer.status(), 409, 'who comes too late gets a plain 409');
  const state = await slow.locator('main').textContent();
  ok(/Nothing was decided/.test(state) && /This gate is approved/.test(state), 'with the present state', state);
  is((await gate()).votes.length, 2, 'and nothing was counted twice');
  ok(await until(async () => (await page.locator('#gate-form button').count()) === 0), 'a page with script has closed its form by itself');

  // ---- core hangs, then goes
  await page.goto_('/runs/' + server['run-live']);
  await server.say('hang');
  const pending = page.click('text=Cancel', { noWaitAfter: true });
  await pending;
  await until(async () => (await server.say('stat')).unanswered > 0);
  await server.say('core');
  ok(await until(async () => /Running jobs go on/.test(await page.locator('body').textContent().catch(() => '')), 6000), 'when core goes, who waits gets a page that says so');
  await server.say('web');
  await browser.close();
  await server.stop();
};

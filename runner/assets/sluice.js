/* All pages: live parts, ticking durations, keys. The server draws; this swaps and counts. */
'use strict';
(() => {
  const doc = document, data = doc.body.dataset;
  const $ = (id) => doc.getElementById(id);
  const all = (s, root = doc) => [...root.querySelectorAll(s)];
  const on = (target, names, fn, options) => names.split(' ').forEach((n) => target.addEventListener(n, fn, options));
  const make = (tag, props) => Object.assign(doc.createElement(tag), props);
  const rect = (e) => e.getBoundingClientRect();
  const skew = data.now - Date.now();
  const two = (n) => String(n).padStart(2, '0');
  const memory = (key, value) => { // there may be none
    try { return value ? localStorage.setItem(key, value) : localStorage.getItem(key); } catch { return 0; }
  };
  const keysOff = () => memory('keys') === 'off';
  const typing = (e) => e.ctrlKey || e.metaKey || e.altKey || keysOff() || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
  all('.js').forEach((e) => { e.hidden = false; });
  all('.noscript').forEach((e) => { e.hidden = true; });

  // ---- durations and times, as html.c writes them
  const span = (ms) => {
    const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60);
    return ms < 100 ? Math.max(0, ms | 0) + ' ms' : ms < 9950 ? (ms / 1000).toFixed(1) + 's' : m < 1 ? s + 's' : h < 1 ? m + 'm ' + two(s % 60) + 's'
      : h < 48 ? h + 'h ' + two(m % 60) + 'm' : Math.floor(h / 24) + ' days';
  };
  const clock = (d, seconds) => d.toLocaleTimeString('en-GB').slice(0, seconds ? 8 : 5);
  const localTimes = (root) => all('time:not([title])', root).forEach((t) => {
    const d = new Date(t.dateTime), n = t.textContent.length;
    t.title = t.dateTime.replace('T', ' ').replace('Z', ' UTC');
    t.textContent = n < 9 ? clock(d, n > 5) : d.toLocaleDateString('en-GB', { dateStyle: 'medium' }) + ' ' + clock(d);
  });
  localTimes(doc);

  // ---- HTML enters the page here and nowhere else; it comes from our own server, escaped
  const parse = (html) => {
    const t = make('template', { innerHTML: html });
    localTimes(t.content);
    return t.content;
  };
  const say = (text) => { const e = $('live'); if (e && e.textContent !== text) e.textContent = text; };
  const versions = new Map(), late = new Map();
  const busy = (e) => {
    const s = getSelection();
    return (s && !s.isCollapsed && s.containsNode(e, true)) || all('textarea, input', e).some((f) => f.value !== f.defaultValue);
  };
  let state = '';
  const put = (old, next) => {
    const focus = old.contains(doc.activeElement) && doc.activeElement.getAttribute('href'), left = old.scrollLeft;
    old.replaceWith(next);
    next.scrollLeft = left;
    const f = focus && next.querySelector('[href="' + CSS.escape(focus) + '"]');
    if (f) f.focus();
    if (/-head$/.test(next.id)) {
      const word = next.querySelector('.w').textContent;
      doc.title = doc.title.replace(/^[^·]*/, word + ' ');
      if (state && state !== word) say('live · ' + word);
      state = word;
    }
    if (next.id === 'gate-state' && next.dataset.state !== 'pending' && $('gate-form')) {
      all('button', $('gate-form')).forEach((b) => b.remove());
      $('comment').readOnly = true;
    }
  };
  const swap = (id, version, html) => {
    const old = $(id);
    if (!old || versions.get(id) > version) return;
    late.set(id, [version, html]);
    if (busy(old)) return;
    late.delete(id);
    versions.set(id, version);
    const row = old.tagName === 'TR', fresh = parse(row ? '<table>' + html + '</table>' : html);
    if (id === 'top-status') old.replaceChildren(fresh);
    else put(old, row ? fresh.querySelector('tr') : fresh.firstElementChild);
  };
  const refetch = async () => {
    const r = await fetch(location.href), fresh = r.ok && parse(await r.text());
    if (fresh) all('[id^=run-], [id^=job-], #gate-state, #queue').forEach((e) => {
      const next = fresh.getElementById(e.id);
      if (next && !busy(e)) put(e, next);
    });
  };
  setInterval(() => {
    if (doc.hidden) return;
    if (source && Date.now() - last > 20000) lost();
    late.forEach(([version, html], id) => swap(id, version, html));
    all('.tick').forEach((e) => {
      const y = rect(e);
      if (y.bottom > 0 && y.top < innerHeight) e.textContent = span(Date.now() + skew - e.dataset.since);
    });
  }, 1000);

  // ---- what a running job uses, while somebody looks
  setInterval(async () => {
    const e = !doc.hidden && $('job-usage'), r = e && await fetch(e.dataset.src);
    if (r && r.ok) put(e, parse(await r.text()).firstElementChild);
  }, 2000);

  // ---- one EventSource for a visible page
  const arrivals = new Set(), newest = Math.max(0, ...all('tr[id^=run-]').map((e) => e.id.slice(4)));
  let source = null, last = Date.now(), fails = 0, since = data.seq;
  const arrived = (id) => {
    if (id.slice(4) <= newest || /before=/.test(location.search)) return;
    const n = arrivals.add(id).size;
    $('new-runs').replaceChildren(make('button', { className: 'btn new', onclick: () => location.reload(), textContent: n + ' new run' + (n > 1 ? 's' : '') + ', show' }));
  };
  const close = () => { if (source) source.close(); source = null; };
  const lost = () => {
    close();
    const text = 'not live since ' + clock(new Date(last)) + ', retrying';
    say(text);
    $('banner').textContent = 'This page is ' + text + '. Running jobs go on.';
    $('banner').hidden = ++fails < 2;
    setTimeout(open, Math.min(1000 * fails, 10000));
  };
  const open = () => {
    if (!data.live || source || doc.hidden) return;
    source = new EventSource('/live?page=' + data.live + '&id=' + data.id + '&since=' + since);
    const hear = (names, fn) => on(source, names, (e) => {
      last = Date.now();
      if (fails || !state) say('live');
      state = state || ' ';
      fails = 0;
      $('banner').hidden = true;
      fn(e);
    });
    hear('hello beat', () => {});
    hear('reset', refetch);
    hear('at', (e) => { since = e.lastEventId; });
    hear('part', (e) => {
      const p = JSON.parse(e.data);
      if ($(p.part)) swap(p.part, p.version, p.html);
      else if (data.live === 'runs' && /^run-/.test(p.part)) arrived(p.part);
    });
    source.onerror = lost;
  };
  on(doc, 'visibilitychange', () => (doc.hidden ? close() : open()));
  on(window, 'pagehide', close);
  on(window, 'pageshow', () => { // perhaps from the cache, with a form that was sent
    open();
    all('[data-sent]').forEach((f) => { delete f.dataset.sent; });
  });

  // ---- forms: a second press does nothing
  on(doc, 'submit', (e) => {
    const f = e.target;
    if (f.method !== 'post') return;
    if (f.dataset.sent) e.preventDefault();
    f.dataset.sent = '1';
    if (e.submitter) e.submitter.setAttribute('aria-busy', 'true');
  });

  // ---- commands of one line can be copied
  if (navigator.clipboard) all('pre.well').filter((p) => !p.textContent.includes('\n')).forEach((p) => {
    const box = make('div', { className: 'cmd' }), b = make('button', { className: 'btn', textContent: 'Copy' });
    b.onclick = () => navigator.clipboard.writeText(p.textContent).then(() => { b.textContent = 'Copied'; });
    p.replaceWith(box);
    box.append(p, b);
  });

  // ---- keys
  let g = false;
  on(window, 'keydown', (e) => {
    if (typing(e)) return;
    const k = e.key, go = { r: '/', q: '/queue', e: '/environments' }[k], f = $('q') || $('find-q');
    if (g && go) { location.href = go; e.stopImmediatePropagation(); }
    g = k === 'g';
    if (k === '/' && f) { f.focus(); e.preventDefault(); }
    if (k === '?') location.href = '/keys';
    if (k === 'j' || k === 'k') {
      const r = all('.what > a'), i = r.indexOf(doc.activeElement), n = r[k === 'j' ? i + 1 : Math.max(i - 1, 0)];
      if (n) n.focus();
    }
  });
  const off = $('keys-off');
  if (off) {
    const press = () => off.setAttribute('aria-pressed', String(keysOff()));
    off.onclick = () => { memory('keys', keysOff() ? 'on' : 'off'); press(); };
    press();
  }
  window.sluice = { $, all, on, make, rect, parse, typing, clock };
})();

/* The log of one job. At most 400 lines stand in the page; what scrolls out is taken away,
 * what scrolls in is asked for. The anchor is a line and a place on the screen, never a pixel. */
'use strict';
(() => {
  if (!window.sluice) return;
  const { $, all, on, make, rect, parse, typing, clock } = window.sluice, { max, min, floor } = Math;
  const log = $('log'), d = log.dataset, base = '/jobs/' + d.job;
  const CHUNK = 100, KEEP = 400, ROW = 18, SPACE = 8e6, SHUT = 20;
  let total = +d.total, over = d.over > 0, follow = d.follow > 0, start = +d.start, here = +d.line;
  let query = '', hits = [], hit = -1, errors = [], error = -1, unseen = 0, quiet = 0, mode = 0, busy = false, source;
  const top = make('div'), box = make('div'), bottom = make('div');
  const num = (e) => +e.id.slice(1);
  const show = (n) => n.toLocaleString('fr'); // a thin space between thousands
  const tell = (id, text) => { $(id).textContent = text; };
  const first = () => num(box.firstChild || { id: 'L1' });
  const last = () => num(box.lastChild || { id: 'L0' });
  const is = (e, c) => e.matches('.' + c);
  const press = (id, yes) => $(id).setAttribute('aria-pressed', String(yes));

  // ---- folding: groups are {a, b, name, shut}; folds are the shut ones that are not within another
  let groups = [], folds = [];
  const fold = () => {
    let before = 0, end = 0;
    folds = [];
    groups.forEach((g) => {
      const a = g.a, b = g.b || total;
      if (!g.shut || a < end || b <= a) return;
      folds.push({ a, b, before, g });
      before += b - a;
      end = b;
    });
  };
  const lastFold = (f) => {
    let lo = 0, hi = folds.length;
    while (lo < hi) { const m = (lo + hi) >> 1; if (f(folds[m])) lo = m + 1; else hi = m; }
    return folds[lo - 1];
  };
  const foldOf = (n) => { const f = lastFold((x) => x.a < n); return f && n <= f.b && f; };
  const rowOf = (n) => { const f = lastFold((x) => x.a < n); return f ? n - f.before - min(n, f.b) + f.a : n; };
  const lineOf = (r) => { const f = lastFold((x) => x.a - x.before < r); return f ? r + f.before + f.b - f.a : r; };
  const rows = () => rowOf(total);

  // ---- lines from the server, in chunks of a hundred; the last twenty are kept
  const cache = new Map();
  let flight = new AbortController();
  const abort = () => { flight.abort(); flight = new AbortController(); };
  const chunk = async (c) => {
    let html = cache.get(c);
    if (html === undefined) {
      const r = await fetch(base + '/lines?from=' + (c * CHUNK + 1) + '&n=' + CHUNK + '&q=' + encodeURIComponent(query), { signal: flight.signal });
      html = r.ok ? await r.text() : '';
    }
    cache.delete(c);
    if (over || (c + 1) * CHUNK <= total) cache.set(c, html);
    if (cache.size > 20) cache.delete(cache.keys().next().value);
    return parse(html);
  };
  const dress = (e) => {
    const n = num(e), f = is(e, 'group') && folds.find((x) => x.a === n), t = e.children[1];
    if (f) {
      const k = hits.filter((x) => x > f.a && x <= f.b).length;
      e.classList.add('shut');
      e.lastChild.dataset.in = 'group, ' + show(f.b - f.a) + ' lines' + (k ? ', ' + k + ' hits' : '');
    }
    if (n === here) e.classList.add('here');
    if (mode === 1 && t.textContent) t.textContent = clock(new Date(start + 1000 * t.textContent.split(':').reduce((s, x) => s * 60 + +x, 0)), 1);
    return e;
  };
  const take = async (n, count) => { // COUNT shown lines from line N on
    const out = new DocumentFragment();
    while (n <= total && count > 0) {
      const c = floor((n - 1) / CHUNK);
      for (const e of [...(await chunk(c)).children]) if (num(e) >= n && count > 0 && !foldOf(num(e))) { out.append(dress(e)); count--; }
      n = (c + 1) * CHUNK + 1;
      const f = foldOf(n);
      if (f) n = f.b + 1;
    }
    return out;
  };

  // ---- the window
  const scale = () => min(1, SPACE / max(1, rows() * ROW)) * ROW;
  const pad = () => {
    top.style.height = (rowOf(first()) - 1) * scale() + 'px';
    bottom.style.height = max(0, rows() - rowOf(last())) * scale() + 'px';
  };
  const anchor = () => {
    const y = rect(log).top, e = [...box.children].find((x) => rect(x).bottom > y);
    return e && { n: num(e), dy: rect(e).top - y };
  };
  const restore = (a) => {
    const e = a && $('L' + a.n);
    quiet = Date.now();
    if (e) log.scrollTop += rect(e).top - rect(log).top - a.dy;
  };
  const trim = (fromTop) => {
    const s = getSelection();
    while (box.children.length > KEEP) {
      const e = fromTop ? box.firstChild : box.lastChild;
      if (s && !s.isCollapsed && s.containsNode(e, true) && box.children.length < 5000) break;
      e.remove();
    }
  };
  const around = async (n) => {
    const f = await take(lineOf(max(1, rowOf(n) - CHUNK * 1.5)), CHUNK * 3);
    box.replaceChildren(f);
    pad();
  };
  const redo = async () => { // folds, marks or times changed: the same line stays where it is
    const a = anchor() || { n: 1, dy: 0 }, f = foldOf(a.n);
    if (f) a.n = f.a;
    await around(a.n);
    restore(a);
    head();
  };
  const jump = async (n, end) => {
    n = max(1, min(n, total));
    for (let f; (f = foldOf(n)); fold()) f.g.shut = false;
    if (!$('L' + n)) { abort(); await around(n); }
    const e = $('L' + n);
    if (e) restore({ n, dy: end ? log.clientHeight - e.offsetHeight : log.clientHeight / 3 });
    more();
  };
  const more = async () => {
    if (busy || !total) return;
    busy = true;
    try {
      const v = rect(log), b = rect(box);
      if (b.bottom < v.top - 200 || b.top > v.bottom + 200) { // the scrollbar was thrown: its place says the line
        abort();
        const n = lineOf(max(1, min(rows(), floor(log.scrollTop / scale()) + 1)));
        await around(n);
        restore({ n, dy: 0 });
      } else if (b.top > v.top - 900 && first() > 1) {
        const r = rowOf(first()), from = lineOf(max(1, r - CHUNK)), f = await take(from, r - rowOf(from)), a = anchor();
        box.prepend(f);
        trim();
        pad();
        restore(a);
      } else if (b.bottom < v.bottom + 900 && rowOf(last()) < rows()) {
        const f = foldOf(last() + 1), got = await take(f ? f.b + 1 : last() + 1, CHUNK), a = anchor();
        box.append(got);
        trim(1);
        pad();
        if (!follow) restore(a);
      }
    } catch (e) { if (e.name !== 'AbortError') throw e; }
    busy = false;
    head();
  };
  const head = () => { // the head of the open group that has scrolled out
    const a = anchor(), g = a && groups.findLast((x) => x.a < a.n && !x.shut && a.n <= (x.b || total));
    $('gh').hidden = !g;
    if (g) tell('gh', g.name);
  };

  // ---- following the end
  const say = () => {
    $('resume').hidden = follow || over;
    tell('follow-text', over ? show(total) + ' lines' : follow ? 'Following the end: ' + show(total) + ' lines'
      : 'Follow is paused' + (here ? '' : ' because you scrolled') + '. ' + show(unseen) + ' new lines below.');
  };
  const toEnd = async () => { if (last() !== total) await jump(total, 1); quiet = Date.now(); log.scrollTop = log.scrollHeight; };
  const unfollow = () => { if (follow) { follow = false; unseen = 0; say(); } };
  const resume = () => { follow = !over; here = unseen = 0; say(); toEnd(); };
  const grown = (t, fresh) => {
    const a = anchor(), had = total, joins = last() === had;
    total = t;
    if (!follow) unseen += t - had;
    if ($('log-none')) $('log-none').remove();
    fresh.forEach((e) => { // groups and errors of what has just come
      if (is(e, 'group')) groups.push({ a: num(e), name: e.lastChild.textContent });
      if (is(e, 'endgroup')) Object.assign(groups.findLast((x) => !x.b) || {}, { b: num(e) });
      if (is(e, 'error')) errors.push(num(e));
    });
    if (joins) { box.append(...fresh.map(dress)); trim(follow); }
    pad();
    if (follow) toEnd(); else restore(a);
    if (here > had && here <= t) jump(here);
    count();
    say();
  };
  const hang = () => { if (source) source.close(); source = null; };
  const listen = () => {
    if (source || over || document.hidden) return;
    source = new EventSource(base + '/tail?from=' + (total + 1));
    on(source, 'lines', (e) => {
      const p = JSON.parse(e.data), fresh = [...parse(p.html).children].filter((x) => num(x) > total);
      start = start || p.start;
      if (fresh.length) grown(num(fresh.at(-1)), fresh);
    });
    on(source, 'total', (e) => grown(JSON.parse(e.data).total, []));
    on(source, 'end', () => { over = true; hang(); say(); marks(); });
    source.onerror = () => { hang(); setTimeout(listen, 1000); };
  };
  on(document, 'visibilitychange', () => (document.hidden ? hang() : listen()));
  on(log, 'wheel touchmove', (e) => { if (!(e.deltaY > 0)) unfollow(); }, { passive: true });
  let timer = 0;
  on(log, 'scroll', () => {
    if (follow && Date.now() - quiet > 300 && log.scrollTop + log.clientHeight < log.scrollHeight - 40) unfollow();
    timer = timer || setTimeout(() => { timer = 0; more(); }, 50);
  });

  // ---- errors, search, marks: the server knows all lines
  const ask = async (path) => (await fetch(base + path)).json();
  const strip = () => $('marks').replaceChildren(...[hits, errors].flatMap((list, e) => list.slice(0, 300).map((n) => {
    const i = make('i', { className: e ? 'e' : '' });
    i.style.top = 100 * (n - 1) / max(1, total) + '%';
    return i;
  })));
  const count = () => tell('err', 'Errors ' + show(errors.length), strip());
  const marks = async () => {
    const m = await ask('/marks'), was = new Map(groups.map((g) => [g.a, g.shut]));
    errors = m.errors;
    groups = m.groups.map(([a, b, e, name]) => ({ a, b, name, shut: was.get(a) ?? (b - a > SHUT && !e && !(here > a && here <= b)) }));
    fold();
    count();
    if (folds.length) redo(); else head();
  };
  const at = async (n) => {
    unfollow();
    all('.here', box).forEach((e) => e.classList.remove('here'));
    here = n;
    await jump(n);
    if ($('L' + n)) $('L' + n).classList.add('here');
  };
  const step = (list, i, by) => (list.length ? (i + by + list.length) % list.length : -1);
  const toError = (by) => { error = step(errors, error, by); if (error >= 0) { tell('err', 'Error ' + (error + 1) + ' of ' + show(errors.length)); at(errors[error]); } };
  const toHit = (by) => { hit = step(hits, hit, by); if (hit >= 0) { tell('find-n', show(hit + 1) + ' of ' + $('find-n').title); at(hits[hit]); } };
  $('find').onsubmit = async (e) => {
    e.preventDefault();
    const q = $('find-q').value, a = anchor();
    if (q && q === query) { toHit(1); return; }
    query = q;
    cache.clear();
    const r = q ? await ask('/search?json=1&q=' + encodeURIComponent(q)) : { lines: [] };
    hits = r.lines;
    hit = a ? hits.findIndex((n) => n >= a.n) - 1 : -1;
    $('find-n').title = q && show(r.count) + ' in all ' + show(r.of) + ' lines';
    tell('find-n', $('find-n').title);
    $('hit-up').hidden = $('hit-down').hidden = !hits.length;
    strip();
    if (hits.length) { box.replaceChildren(); toHit(1); } else redo();
  };
  const rail = (by) => {
    const links = all('#job-steps a'), to = links[max(0, links.findIndex((x) => x.ariaCurrent) + by)];
    if (to) location.href = to.href;
  };
  const keys = {
    e: () => toError(1), E: () => toError(-1), n: () => toHit(1), N: () => toHit(-1), f: resume, End: resume,
    Home: () => { unfollow(); jump(1); }, '[': () => rail(-1), ']': () => rail(1), ArrowUp: unfollow, PageUp: unfollow,
    w: () => { const a = anchor(); press('wrap', !log.classList.toggle('nowrap')); restore(a); },
    t: () => { mode = (mode + 1) % 3; tell('time', mode === 1 ? 'Clock' : 'Time'); press('time', mode < 2); log.classList.toggle('notime', mode > 1); redo(); },
    y: () => { const n = here || anchor().n; navigator.clipboard.writeText(location.origin + base + '?line=' + n + '#L' + n); },
  };
  on(window, 'keydown', (e) => {
    const f = keys[e.key];
    if (!f || typing(e)) return;
    if (f !== unfollow) e.preventDefault();
    f();
  });
  all('[data-key]').forEach((b) => { b.onclick = keys[b.dataset.key]; });
  $('fold').onclick = () => {
    const shut = !folds.length;
    groups.forEach((g) => { g.shut = shut && g.b > 0; });
    tell('fold', shut ? 'Unfold all' : 'Fold all');
    fold();
    redo();
  };
  on(log, 'click', (e) => {
    const a = e.target.closest('a.n'), h = e.target.closest('.group .x'), g = h && groups.find((x) => x.a === num(h.parentNode));
    if (a) {
      e.preventDefault();
      const n = num(a.parentNode), from = e.shiftKey && here ? min(here, n) + '-' + max(here, n) : n;
      history.replaceState(null, '', base + '?line=' + from + '#L' + n);
      at(n);
    } else if (g) { unfollow(); g.shut = !g.shut; fold(); redo(); }
  });

  // ---- begin: the lines that came with the page, groups as the server had them
  const none = $('log-none') || '';
  all('details', log).forEach((g) => { const l = all('.ln', g); groups.push({ a: num(l[0]), b: num(l.at(-1)), shut: !g.open }); });
  fold();
  box.append(...all('.ln', log).filter((e) => !foldOf(num(e))).map(dress));
  log.replaceChildren(none, top, box, bottom);
  log.classList.add('virtual');
  here = here || +(location.hash.match(/^#L(\d+)/) || [0, 0])[1];
  const opening = here || +d.error;
  while (box.children.length > KEEP) (opening && last() - opening > opening - first() ? box.lastChild : box.firstChild).remove();
  pad();
  say();
  if (opening && opening <= total) jump(opening); else if (!here) toEnd();
  if (total) marks();
  listen();
})();

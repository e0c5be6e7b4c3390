/* The log of one job. A window of at most 400 lines stands in the page; what scrolls out is
 * taken away, what scrolls in is asked for. The anchor is a line number, never a pixel. */
'use strict';
(() => {
  const log = document.getElementById('log');
  if (!log || !window.sluice) return;
  const { parse, keysOff } = window.sluice;
  const $ = (id) => document.getElementById(id);
  const CHUNK = 100, KEEP = 400, ROW = 18, SPACE = 8000000;
  const d = log.dataset, job = d.job;
  let total = Number(d.total), over = d.over === '1', follow = d.follow === '1';
  let hits = [], hit = -1, query = '', unseen = 0, busy = false, quiet = 0;

  const top = document.createElement('div'), box = document.createElement('div'), bottom = document.createElement('div');
  box.append(...log.childNodes);
  log.replaceChildren(top, box, bottom);
  log.classList.add('virtual');
  const first = () => (box.firstElementChild && Number(box.firstElementChild.dataset.n)) || 1;
  const lastLine = () => { const e = box.lastElementChild; return (e && Number(e.dataset.n)) || 0; };
  const scale = () => Math.min(1, SPACE / Math.max(1, total * ROW));
  const pad = () => {
    top.style.height = Math.round((first() - 1) * ROW * scale()) + 'px';
    bottom.style.height = Math.round(Math.max(0, total - lastLine()) * ROW * scale()) + 'px';
  };
  // where line n is on the screen, so that it can be put back there
  const row = (n) => document.getElementById('L' + n);
  const anchor = () => {
    const y = log.getBoundingClientRect().top;
    for (const e of box.children) { const r = e.getBoundingClientRect(); if (r.bottom > y) return e.dataset.n ? { n: e.dataset.n, dy: r.top - y } : null; }
    return null;
  };
  const restore = (a) => {
    const e = a && row(a.n);
    if (!e) return;
    quiet = Date.now();
    log.scrollTop += e.getBoundingClientRect().top - log.getBoundingClientRect().top - a.dy;
  };
  const trim = (fromTop) => {
    const s = getSelection();
    while (box.children.length > KEEP) {
      const e = fromTop ? box.firstElementChild : box.lastElementChild;
      if (s && !s.isCollapsed && s.containsNode(e, true) && box.children.length < 5000) break;
      e.remove();
    }
  };
  const get = async (from, n) => {
    const r = await fetch('/jobs/' + job + '/lines?from=' + from + '&n=' + n + (query ? '&q=' + encodeURIComponent(query) : ''));
    return r.ok ? parse(await r.text()) : null;
  };
  const jump = async (n, where) => {
    n = Math.max(1, Math.min(n, Math.max(total, 1)));
    if (!row(n)) {
      const f = await get(Math.max(1, n - CHUNK), 2 * CHUNK);
      if (!f) return;
      box.replaceChildren(f);
      pad();
    }
    const e = row(n);
    if (!e) return;
    quiet = Date.now();
    const h = log.clientHeight;
    log.scrollTop += e.getBoundingClientRect().top - log.getBoundingClientRect().top - (where === 'end' ? h - ROW : h / 3);
  };
  const more = async () => {
    if (busy) return;
    busy = true;
    try {
      const view = log.getBoundingClientRect(), b = box.getBoundingClientRect();
      if (b.bottom < view.top - 200 || b.top > view.bottom + 200) {
        // the scrollbar was thrown: its place says the line
        const n = Math.round(log.scrollTop / Math.max(1, log.scrollHeight - log.clientHeight) * total);
        const f = await get(Math.max(1, n - CHUNK), 2 * CHUNK);
        if (f) { box.replaceChildren(f); pad(); const e = row(Math.max(1, Math.min(n, lastLine()))); if (e) { quiet = Date.now(); log.scrollTop += e.getBoundingClientRect().top - view.top - view.height / 3; } }
      } else if (b.top > view.top - 600 && first() > 1) {
        const from = Math.max(1, first() - CHUNK), n = first() - from, f = await get(from, n), a = anchor();
        if (f) { box.prepend(f); trim(false); pad(); restore(a); }
      } else if (b.bottom < view.bottom + 600 && lastLine() < total) {
        const f = await get(lastLine() + 1, CHUNK), a = anchor();
        if (f && f.childElementCount) { box.append(f); trim(true); pad(); if (!follow) restore(a); }
      }
    } finally { busy = false; }
  };
  const say = () => {
    $('resume').hidden = follow || over;
    $('follow-text').textContent = over ? total.toLocaleString('en') + ' lines'
      : follow ? 'Following the end: ' + total.toLocaleString('en') + ' lines'
        : 'Follow is paused because you scrolled. ' + unseen.toLocaleString('en') + ' new lines below.';
  };
  const toEnd = async () => { await jump(total, 'end'); quiet = Date.now(); log.scrollTop = log.scrollHeight; };

  // ---- live: lines come in order, from where the page stopped
  let source = null;
  const listen = () => {
    if (source || over || document.hidden) return;
    source = new EventSource('/jobs/' + job + '/tail?from=' + (total + 1));
    source.addEventListener('lines', (e) => {
      const p = JSON.parse(e.data);
      const none = $('log-none');
      if (none) none.remove();
      if (p.from + p.count - 1 <= total) return;
      const atEnd = lastLine() === p.from - 1;
      total = p.from + p.count - 1;
      if (follow || atEnd) {
        const a = anchor();
        if (atEnd) { box.append(parse(p.html)); if (follow || box.children.length > 2 * KEEP) trim(true); }
        pad();
        if (follow) { if (atEnd) { quiet = Date.now(); log.scrollTop = log.scrollHeight; } else toEnd(); } else restore(a);
      } else { pad(); }
      if (!follow) unseen += p.count;
      say();
    });
    source.addEventListener('end', () => { over = true; source.close(); source = null; say(); });
    source.onerror = () => { if (source && source.readyState === 2) { source = null; setTimeout(listen, 2000); } };
  };
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { listen(); } else if (source) { source.close(); source = null; } });

  const unfollow = () => { if (follow) { follow = false; unseen = 0; say(); } };
  log.addEventListener('wheel', (e) => { if (e.deltaY < 0) unfollow(); }, { passive: true });
  log.addEventListener('touchmove', unfollow, { passive: true });
  let timer = 0;
  log.addEventListener('scroll', () => {
    if (follow && Date.now() - quiet > 300 && log.scrollTop + log.clientHeight < log.scrollHeight - 40) unfollow();
    if (!timer) timer = setTimeout(() => { timer = 0; more(); }, 60);
  }, { passive: true });
  const resume = () => { follow = !over; unseen = 0; say(); toEnd(); };
  $('resume').onclick = resume;
  $('wrap').onclick = () => {
    const a = anchor(), on = log.classList.toggle('nowrap');
    $('wrap').setAttribute('aria-pressed', String(!on));
    restore(a);
  };

  // ---- errors and search: the server knows all lines
  const ask = async (q) => {
    const r = await fetch('/jobs/' + job + '/search?q=' + encodeURIComponent(q), { headers: { accept: 'application/json' } });
    return r.ok ? r.json() : { count: 0, lines: [] };
  };
  const show = (n) => { unfollow(); box.querySelectorAll('.here').forEach((e) => e.classList.remove('here')); jump(n).then(() => { const e = row(n); if (e) e.classList.add('here'); }); };
  const move = (step) => {
    if (!hits.length) return;
    hit = (hit + step + hits.length) % hits.length;
    $('find-n').textContent = (hit + 1) + ' of ' + $('find-n').dataset.count + ' lines';
    show(hits[hit]);
  };
  $('find').onsubmit = async (e) => {
    e.preventDefault();
    const q = $('find-q').value;
    if (q && q === query) { move(1); return; }
    query = q;
    const r = q ? await ask(q) : { count: 0, lines: [] };
    hits = r.lines;
    hit = -1;
    $('find-n').dataset.count = r.count.toLocaleString('en');
    $('find-n').textContent = q ? r.count.toLocaleString('en') + ' lines' : '';
    const at = first(), f = await get(at, Math.min(KEEP, 200));
    if (f) { box.replaceChildren(f); pad(); }
    if (hits.length) move(1);
  };
  let errors = null, error = -1;
  const nextError = async () => {
    if (!errors || !over) errors = (await ask('##[error]')).lines;
    if (!errors.length) { $('err').textContent = 'No error'; return; }
    error = (error + 1) % errors.length;
    $('err').textContent = 'Error ' + (error + 1) + ' of ' + errors.length;
    show(errors[error]);
  };
  $('err').onclick = nextError;
  addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || keysOff() || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    const f = { e: nextError, n: () => move(1), N: () => move(-1), f: resume, w: () => $('wrap').click(), End: resume, Home: () => { unfollow(); jump(1); } }[e.key];
    if (f) { e.preventDefault(); f(); }
  });
  log.addEventListener('click', (e) => {
    const a = e.target.closest('a.n');
    if (!a) return;
    e.preventDefault();
    history.replaceState(null, '', '/jobs/' + job + a.getAttribute('href'));
    show(Number(a.textContent));
  });

  pad();
  say();
  const linked = Number(d.line) || Number((location.hash.match(/^#L(\d+)/) || [])[1] || 0);
  if (linked) jump(linked); else if (follow) toEnd(); else if (over) { const e = box.querySelector('.ln.error'); if (e) jump(Number(e.dataset.n)); else toEnd(); }
  listen();
})();

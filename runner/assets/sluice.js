/* All pages: live parts, ticking durations, keys. The server draws; this swaps and counts. */
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const skew = Number(document.body.dataset.now) - Date.now();
  const now = () => Date.now() + skew;
  const keysOff = () => localStorage.getItem('keys') === 'off';

  document.querySelectorAll('.js').forEach((e) => { e.hidden = false; });
  document.querySelectorAll('.noscript').forEach((e) => { e.hidden = true; });

  // ---- durations and times
  const two = (n) => String(n).padStart(2, '0');
  const duration = (ms) => {
    const s = Math.max(0, ms) / 1000;
    if (s < 60) return s.toFixed(1) + 's';
    if (s < 3600) return Math.floor(s / 60) + 'm' + two(Math.floor(s % 60)) + 's';
    if (s < 86400) return Math.floor(s / 3600) + 'h' + two(Math.floor(s % 3600 / 60)) + 'm';
    return Math.floor(s / 86400) + 'd';
  };
  const tick = () => document.querySelectorAll('.tick').forEach((e) => {
    e.textContent = duration(now() - Number(e.dataset.since));
  });
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  const localTimes = (root) => root.querySelectorAll('time[datetime]').forEach((t) => {
    const d = new Date(t.dateTime);
    if (isNaN(d) || t.dataset.local) return;
    t.dataset.local = '1';
    t.textContent = t.textContent.length > 8
      ? d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate()) + ' ' + two(d.getHours()) + ':' + two(d.getMinutes())
      : two(d.getHours()) + ':' + two(d.getMinutes()) + ':' + two(d.getSeconds());
  });
  localTimes(document);

  // ---- HTML enters the page here and nowhere else; it comes from our own server, escaped
  const parse = (html) => {
    const t = document.createElement('template');
    t.innerHTML = html;
    localTimes(t.content);
    return t.content;
  };
  const versions = new Map();
  const busy = (e) => {
    const s = getSelection();
    if (s && !s.isCollapsed && e.contains(s.anchorNode)) return true;
    return [...e.querySelectorAll('textarea, input')].some((f) => f.value !== f.defaultValue);
  };
  const swap = (id, version, html) => {
    const old = $(id);
    if (!old || (versions.get(id) || 0) > version || busy(old)) return;
    versions.set(id, version);
    const focus = old.contains(document.activeElement) && document.activeElement.getAttribute('href');
    const inside = id === 'top-status';
    const fresh = parse(id.startsWith('run-') && old.tagName === 'TR' ? '<table><tbody>' + html + '</tbody></table>' : html);
    const next = old.tagName === 'TR' ? fresh.querySelector('tr') : fresh.firstElementChild;
    if (inside) { old.replaceChildren(fresh); return; }
    if (!next) return;
    const left = old.querySelector('.graph') ? 0 : old.scrollLeft;
    old.replaceWith(next);
    next.scrollLeft = left;
    if (focus) { const f = next.querySelector('[href="' + CSS.escape(focus) + '"]'); if (f) f.focus(); }
  };

  // ---- one EventSource for a visible page
  const box = document.querySelector('[data-live]');
  let source = null, last = 0, fails = 0, fresh = 0;
  const say = (text) => { const e = $('live'); if (e) e.textContent = text; };
  const open = () => {
    if (!box || source || document.hidden) return;
    const d = box.dataset;
    source = new EventSource('/live?page=' + d.live + (d.id ? '&id=' + d.id : '') + (d.run ? '&run=' + d.run : ''));
    const alive = () => { last = Date.now(); fails = 0; say('live'); };
    source.addEventListener('hello', alive);
    source.addEventListener('beat', alive);
    source.addEventListener('reset', () => location.reload());
    source.addEventListener('part', (e) => {
      alive();
      const p = JSON.parse(e.data);
      if (p.part.startsWith('run-') && d.live === 'runs' && !$(p.part)) {
        fresh++;
        const b = document.createElement('button');
        b.className = 'btn new';
        b.textContent = fresh + (fresh === 1 ? ' new run' : ' new runs') + ': show';
        b.onclick = () => location.reload();
        $('new-runs').replaceChildren(b);
        return;
      }
      swap(p.part, p.version, p.html);
    });
    source.onerror = () => {
      fails++;
      say('not live since ' + new Date(last || Date.now()).toTimeString().slice(0, 5) + ', retrying');
      if (source && source.readyState === 2) { source = null; setTimeout(open, Math.min(1000 * fails, 10000)); }
    };
  };
  const close = () => { if (source) source.close(); source = null; };
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  open();

  // ---- forms: a second press does nothing
  document.addEventListener('submit', (e) => {
    if (e.target.method !== 'post') return;
    if (e.target.dataset.sent) { e.preventDefault(); return; }
    e.target.dataset.sent = '1';
    if (e.submitter) e.submitter.setAttribute('aria-busy', 'true');
  });

  // ---- commands can be copied
  document.querySelectorAll('pre.well').forEach((p) => {
    if (!navigator.clipboard || p.textContent.includes('\n')) return;
    const b = document.createElement('button');
    b.className = 'btn';
    b.textContent = 'Copy';
    b.onclick = () => navigator.clipboard.writeText(p.textContent).then(() => { b.textContent = 'Copied'; });
    p.after(b);
  });

  // ---- keys
  let g = false;
  const rows = () => [...document.querySelectorAll('.runs .what > a, .jobs td > a')];
  addEventListener('keydown', (e) => {
    const t = e.target;
    if (e.ctrlKey || e.metaKey || e.altKey || keysOff() || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName)) return;
    const go = { r: '/', q: '/queue', e: '/environments' }[e.key];
    if (g && go) { location.href = go; return; }
    g = e.key === 'g';
    if (e.key === '/') { const f = $('q') || $('find-q'); if (f) { f.focus(); e.preventDefault(); } }
    if (e.key === '?') location.href = '/keys';
    if (e.key === 'j' || e.key === 'k') {
      const r = rows(), i = r.indexOf(document.activeElement);
      const n = r[e.key === 'j' ? i + 1 : Math.max(i - 1, 0)];
      if (n) n.focus();
    }
  });
  const off = $('keys-off');
  if (off) {
    const show = () => off.setAttribute('aria-pressed', String(keysOff()));
    off.onclick = () => { localStorage.setItem('keys', keysOff() ? 'on' : 'off'); show(); };
    show();
  }
  window.sluice = { parse, keysOff };
})();

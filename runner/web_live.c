/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live updates. A stream is pulled by its connection and woken when core says that
 * something changed; log streams read the one log file by offset, so a hundred viewers
 * share its pages and nothing is copied per viewer but what is on its way. Parts of pages
 * are rendered once for all who look at the same thing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/logfile.h"
#include "runner/web-internal.h"
#include "store/gates.h"
#include "store/jobs.h"

#define HEARTBEAT_MS 10000
#define RECHECK_BEATS 3	  /* whether the reader still has the right */
#define FLUSH_MS 250	  /* at most four commits of the page in a second */
#define LINES_MS 250	  /* between two events of one viewer of a log */
#define DIRTY_MAX 32	  /* runs changed between two flushes, then "reset" */
#define CHUNK (64 * 1024) /* of a log, in one event */
#define LINES_CHUNK 200	  /* more at once: the page is told the number and asks itself */
#define PENDING_MAX (512 * 1024) /* a slow reader gets the newest state, not a backlog */
#define RING 1024	  /* changes remembered for who was away */

enum stream_kind {
	STREAM_RUN_EVENTS,
	STREAM_PAGE_RUNS,
	STREAM_PAGE_RUN,
	STREAM_PAGE_JOB,
	STREAM_PAGE_GATE,
	STREAM_PAGE_QUEUE,
	STREAM_LOG_SSE,
	STREAM_LOG_RAW,
	STREAM_LOG_LINES,
};

struct stream {
	struct stream *prev, *next;
	struct live *live;
	struct http_request *r;
	struct visit *v;
	enum stream_kind kind;
	int64_t id;  /* run, job or gate */
	int64_t run; /* of a job or gate */
	struct logfile *file;
	struct log_view lv; /* of a log stream */
	uint64_t offset; /* bytes of the log given, or the next line number */
	int64_t not_before; /* boot clock: the next event of lines */
	struct strbuf out;
	size_t at;
	int64_t dirty[DIRTY_MAX];
	size_t dirty_len;
	bool overflow, is_ended, ends_after_out, is_delayed;
};

struct change {
	int64_t run, job, gate;
};

/* What one flush has rendered already. */
struct rendered {
	enum stream_kind kind;
	int64_t id;
	struct strbuf text;
};

struct live {
	struct web *web;
	struct stream *streams;
	struct loop_source *beat, *flush, *delay;
	unsigned beats;
	char epoch[17]; /* of this process: positions of another one mean nothing */
	uint64_t seq;	/* of the last change */
	struct change ring[RING];
	char position[48];
	struct rendered *cache;
	size_t cache_len, cache_alloc;
};

/* ---- events as text ---- */

static void add_event(struct stream *s, const char *event, int64_t id, struct json *data)
{
	if (event)
		strbuf_addf(&s->out, "event: %s\n", event);
	if (id >= 0)
		strbuf_addf(&s->out, "id: %lld\n", (long long)id);
	strbuf_adds(&s->out, "data: ");
	json_write(data, 0, &s->out); /* one line: JSON escapes every newline */
	strbuf_adds(&s->out, "\n\n");
	json_free(data);
}

static void end_stream(struct stream *s)
{
	struct json *j = json_new_object();

	if (s->kind != STREAM_LOG_RAW)
		add_event(s, "end", -1, j);
	else
		json_free(j);
	s->ends_after_out = true;
}

/* ---- jobs and their logs ---- */

int web_log_view(struct web *w, int64_t id, struct log_view *lv, struct err *err)
{
	_cleanup_(job_done) struct job j = { 0 };

	if (jobs_get(w->store, id, &j, err) < 0)
		return -1;
	lv->id = id;
	lv->is_whole = j.state == JOB_COMPLETED;
	lv->job = id;
	for (int hops = 0; j.carried_from && hops < 100; hops++) {
		lv->job = j.carried_from;
		job_done(&j);
		memset(&j, 0, sizeof(j));
		if (jobs_get(w->store, lv->job, &j, err) < 0)
			return -1;
	}
	lv->try = j.tries;
	lv->started_at = j.started_at;
	return 0;
}

/* Opens the log once there is one; a job that has none yet is waited for. */
static bool open_log(struct stream *s)
{
	struct err err = ERR_INIT;

	if (web_log_view(s->live->web, s->id, &s->lv, &err) < 0) {
		s->lv.is_whole = true;
		return false;
	}
	if (!s->file && s->lv.try > 0 &&
		logfile_open(s->live->web->o->jobs, s->lv.job, s->lv.try, &s->file, &err) < 0)
		s->file = NULL;
	return s->file != NULL;
}

static void fill_log_sse(struct stream *s)
{
	struct strbuf bytes = STRBUF_INIT;
	struct json *j;
	struct err err = ERR_INIT;
	size_t len;

	/* Whether it is over is asked first: what is written after that is still read below. */
	if (!open_log(s)) {
		if (s->lv.is_whole)
			end_stream(s);
		return;
	}
	if (logfile_read(s->file, s->offset, CHUNK, &bytes, &err) < 0) {
		s->is_ended = true;
		return;
	}
	len = bytes.len;
	if (!s->lv.is_whole && len > 0 && len < CHUNK) {
		const char *nl = memrchr(bytes.buf, '\n', len);

		len = nl ? (size_t)(nl + 1 - bytes.buf) : 0;
	}
	if (len > 0) {
		j = json_new_object();
		json_set_int(j, "offset", (int64_t)s->offset);
		json_set(j, "text", json_new_strn(bytes.buf, len));
		s->offset += len;
		add_event(s, "log", (int64_t)s->offset, j);
	} else if (s->lv.is_whole) {
		end_stream(s);
	}
	strbuf_done(&bytes);
}

static void fill_log_raw(struct stream *s)
{
	struct err err = ERR_INIT;

	if (!open_log(s)) {
		if (s->lv.is_whole)
			end_stream(s);
		return;
	}
	if (logfile_read(s->file, s->offset, CHUNK, &s->out, &err) < 0) {
		s->is_ended = true;
		return;
	}
	s->offset += s->out.len;
	if (s->out.len == 0 && s->lv.is_whole)
		end_stream(s);
}

static void on_delay(struct loop *loop, void *data)
{
	struct live *l = data;

	l->delay = NULL;
	for (struct stream *s = l->streams; s; s = s->next)
		if (s->is_delayed) {
			s->is_delayed = false;
			http_wake(s->r);
		}
}

/* The first line at once, then in bursts: a page commits four times a second at most. */
static bool is_too_soon(struct stream *s)
{
	int64_t now = clock_boot_ms();

	if (now >= s->not_before) {
		s->not_before = now + LINES_MS;
		return false;
	}
	s->is_delayed = true;
	if (!s->live->delay)
		s->live->delay = loop_add_timer(s->live->web->loop, s->not_before - now, on_delay,
			s->live);
	return true;
}

/* More lines than an event takes: the page asks for those it shows. */
static void tell_total(struct stream *s, uint64_t total)
{
	struct json *j = json_new_object();

	json_set_int(j, "total", (int64_t)total);
	s->offset = total + 1;
	add_event(s, "total", (int64_t)s->offset, j);
}

static void fill_log_lines(struct stream *s)
{
	struct strbuf html = STRBUF_INIT;
	uint64_t rendered = 0, total = 0;
	struct err err = ERR_INIT;
	struct json *j;

	if (!open_log(s)) {
		if (s->lv.is_whole)
			end_stream(s);
		return;
	}
	if (logfile_lines(s->file, s->lv.is_whole, &total, &err) < 0) {
		s->is_ended = true;
		return;
	}
	if (total < s->offset) {
		if (s->lv.is_whole)
			end_stream(s);
		return;
	}
	if (is_too_soon(s))
		return;
	if (total - s->offset >= LINES_CHUNK) {
		tell_total(s, total);
		return;
	}
	s->lv.from = s->offset;
	s->lv.count = LINES_CHUNK;
	if (part_log_lines(s->live->web, &s->lv, &html, &rendered, &err) < 0) {
		s->is_ended = true;
	} else if (rendered > 0) {
		j = json_new_object();
		json_set_int(j, "from", (int64_t)s->offset);
		json_set_int(j, "count", (int64_t)rendered);
		json_set_int(j, "start", s->lv.started_at);
		json_set(j, "html", json_new_strn(html.buf, html.len));
		s->offset += rendered;
		add_event(s, "lines", (int64_t)s->offset, j);
	}
	strbuf_done(&html);
}

/* ---- parts of pages ---- */

static void put_part(struct strbuf *out, const char *id, int64_t version, struct strbuf *html)
{
	struct json *j = json_new_object();

	json_set_str(j, "part", id);
	json_set_int(j, "version", version);
	json_set(j, "html", json_new_strn(html->buf, html->len));
	strbuf_adds(out, "event: part\ndata: ");
	json_write(j, 0, out); /* one line: JSON escapes every newline */
	strbuf_adds(out, "\n\n");
	json_free(j);
	strbuf_clear(html);
}

static void render_run(struct live *l, int64_t id, struct strbuf *out)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms(), version;

	if (query_run(l->web->store, id, 0, &run, &err) < 0)
		return;
	version = json_get_int(run, "version", 0);
	part_run_head(&html, run, now);
	put_part(out, "run-head", version, &html);
	part_run_graph(&html, run);
	put_part(out, "run-graph", version, &html);
	part_run_jobs(&html, run, now);
	put_part(out, "run-jobs", version, &html);
	strbuf_done(&html);
}

static void render_job(struct live *l, int64_t id, struct strbuf *out)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *job = NULL;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();

	if (query_job(l->web->store, id, &job, &err) < 0)
		return;
	part_job_head(&html, job, now);
	put_part(out, "job-head", now, &html);
	part_job_steps(&html, job, now);
	put_part(out, "job-steps", now, &html);
	strbuf_done(&html);
}

/* The whole page has it, so the row has: its list query, for one run. */
static void render_row(struct live *l, int64_t id, struct strbuf *out)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *page = NULL;
	const struct query_runs q = { .before = id + 1, .limit = 1 };
	const struct json *run;
	struct err err = ERR_INIT;
	char name[40];

	if (query_runs(l->web->store, &q, &page, &err) < 0)
		return;
	run = json_at(json_get(page, "items"), 0);
	if (json_get_int(run, "id", 0) != id)
		return;
	snprintf(name, sizeof(name), "run-%lld", (long long)id);
	part_run_row(&html, run, clock_wall_ms());
	put_part(out, name, json_get_int(run, "version", 0), &html);
	strbuf_done(&html);
}

static void render_top(struct live *l, int64_t id, struct strbuf *out)
{
	struct strbuf html = STRBUF_INIT;

	part_top_status(&html, web_status(l->web));
	put_part(out, "top-status", clock_wall_ms(), &html);
	strbuf_done(&html);
}

static void render_gate(struct live *l, int64_t id, struct strbuf *out)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *gate = NULL;
	struct err err = ERR_INIT;

	if (query_gate(l->web->store, id, &gate, &err) < 0)
		return;
	part_gate_state(&html, gate, clock_wall_ms());
	put_part(out, "gate-state", clock_wall_ms(), &html);
	strbuf_done(&html);
}

static void render_queue(struct live *l, int64_t id, struct strbuf *out)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *queue = NULL;
	struct err err = ERR_INIT;

	if (query_queue(l->web->store, &queue, &err) < 0)
		return;
	part_queue(&html, l->web, queue, clock_wall_ms());
	put_part(out, "queue", clock_wall_ms(), &html);
	strbuf_done(&html);
}

/* What RENDER makes of ID, once in a flush. */
static void add_rendered(struct stream *s, enum stream_kind kind, int64_t id,
	void (*render)(struct live *l, int64_t id, struct strbuf *out))
{
	struct live *l = s->live;
	struct rendered *c;

	for (size_t i = 0; i < l->cache_len; i++)
		if (l->cache[i].kind == kind && l->cache[i].id == id) {
			strbuf_add(&s->out, l->cache[i].text.buf, l->cache[i].text.len);
			return;
		}
	GROW(l->cache, l->cache_alloc, l->cache_len + 1);
	c = &l->cache[l->cache_len++];
	c->kind = kind;
	c->id = id;
	strbuf_init(&c->text);
	render(l, id, &c->text);
	strbuf_add(&s->out, c->text.buf, c->text.len);
}

static void forget_rendered(struct live *l)
{
	for (size_t i = 0; i < l->cache_len; i++)
		strbuf_done(&l->cache[i].text);
	l->cache_len = 0;
}

static void fill_run_events(struct stream *s)
{
	struct json *run = NULL;
	struct err err = ERR_INIT;

	if (query_run_live(s->live->web->store, s->id, &run, &err) < 0) {
		end_stream(s);
		return;
	}
	bool is_done = json_get_int(run, "completed_at", 0) > 0;

	query_public(run);
	add_event(s, "run", json_get_int(run, "version", 0), run);
	if (is_done)
		end_stream(s);
}

const char *live_position(struct live *l)
{
	snprintf(l->position, sizeof(l->position), "%s.%" PRIu64, l->epoch, l->seq);
	return l->position;
}

static void fill_page(struct stream *s)
{
	if (s->overflow)
		strbuf_adds(&s->out, "event: reset\ndata: {}\n\n");
	else if (s->kind == STREAM_PAGE_RUNS)
		for (size_t i = 0; i < s->dirty_len; i++)
			add_rendered(s, STREAM_PAGE_RUNS, s->dirty[i], render_row);
	else if (s->kind == STREAM_PAGE_RUN)
		add_rendered(s, STREAM_PAGE_RUN, s->id, render_run);
	else if (s->kind == STREAM_PAGE_JOB)
		add_rendered(s, STREAM_PAGE_JOB, s->id, render_job);
	else if (s->kind == STREAM_PAGE_GATE)
		add_rendered(s, STREAM_PAGE_GATE, s->id, render_gate);
	else if (s->kind == STREAM_PAGE_QUEUE)
		add_rendered(s, STREAM_PAGE_QUEUE, 0, render_queue);
	if (!s->v->who.gate)
		add_rendered(s, STREAM_RUN_EVENTS, 0, render_top);
	strbuf_addf(&s->out, "id: %s\nevent: at\ndata: {}\n\n", live_position(s->live));
	s->overflow = false;
	s->dirty_len = 0;
}

static void fill(struct stream *s)
{
	strbuf_clear(&s->out);
	s->at = 0;
	switch (s->kind) {
	case STREAM_LOG_SSE:
		fill_log_sse(s);
		return;
	case STREAM_LOG_RAW:
		fill_log_raw(s);
		return;
	case STREAM_LOG_LINES:
		fill_log_lines(s);
		return;
	case STREAM_RUN_EVENTS:
	case STREAM_PAGE_RUNS:
	case STREAM_PAGE_RUN:
	case STREAM_PAGE_JOB:
	case STREAM_PAGE_GATE:
	case STREAM_PAGE_QUEUE:
		return; /* filled by the flush timer */
	}
}

/* ---- the stream ---- */

static ssize_t on_pull(void *stream, char *buf, size_t max)
{
	struct stream *s = stream;
	size_t n;

	if (s->is_ended)
		return -1;
	if (s->at == s->out.len && s->ends_after_out)
		return -1;
	if (s->at == s->out.len)
		fill(s);
	if (s->is_ended || (s->at == s->out.len && s->ends_after_out))
		return -1;
	n = s->out.len - s->at;
	if (n > max)
		n = max;
	memcpy(buf, s->out.buf + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static void on_closed(void *stream)
{
	struct stream *s = stream;

	if (s->prev)
		s->prev->next = s->next;
	else
		s->live->streams = s->next;
	if (s->next)
		s->next->prev = s->prev;
	logfile_free(s->file);
	strbuf_done(&s->out);
	free(s);
}

static struct stream *stream_new(struct visit *v, enum stream_kind kind, int64_t id)
{
	struct live *l = v->web->live;
	struct stream *s = xcalloc(1, sizeof(*s));

	s->live = l;
	s->r = v->r;
	s->v = v;
	s->kind = kind;
	s->id = id;
	strbuf_init(&s->out);
	s->next = l->streams;
	if (s->next)
		s->next->prev = s;
	l->streams = s;
	return s;
}

static void stream_start(struct stream *s)
{
	bool is_sse = s->kind != STREAM_LOG_RAW;

	http_add_header(s->r, "X-Accel-Buffering", "no");
	http_stream(s->r, is_sse ? "text/event-stream" : "text/plain; charset=utf-8", on_pull,
		on_closed, s);
}

static void on_flush(struct loop *loop, void *data)
{
	struct live *l = data;

	l->flush = NULL;
	for (struct stream *s = l->streams; s; s = s->next) {
		if ((s->dirty_len == 0 && !s->overflow) || s->out.len - s->at > PENDING_MAX)
			continue;
		if (s->kind == STREAM_RUN_EVENTS) {
			s->dirty_len = 0;
			fill_run_events(s);
		} else {
			fill_page(s);
		}
		http_wake(s->r);
	}
	forget_rendered(l);
}

static void mark(struct stream *s, int64_t run)
{
	for (size_t i = 0; i < s->dirty_len; i++)
		if (s->dirty[i] == run)
			return;
	if (s->dirty_len == DIRTY_MAX) {
		s->overflow = true;
		return;
	}
	s->dirty[s->dirty_len++] = run;
}

static void schedule(struct live *l, int64_t ms)
{
	if (!l->flush)
		l->flush = loop_add_timer(l->web->loop, ms, on_flush, l);
}

/* Whether C is something that stream S shows. */
static void take_change(struct stream *s, const struct change *c)
{
	switch (s->kind) {
	case STREAM_PAGE_RUNS:
		if (c->run)
			mark(s, c->run);
		return;
	case STREAM_PAGE_QUEUE:
		mark(s, 1);
		return;
	case STREAM_RUN_EVENTS:
	case STREAM_PAGE_RUN:
		if (s->id == c->run)
			mark(s, c->run);
		return;
	case STREAM_PAGE_JOB:
		if (s->id == c->job || (s->run && s->run == c->run))
			mark(s, c->run);
		return;
	case STREAM_PAGE_GATE:
		if (s->id == c->gate || (s->run && s->run == c->run))
			mark(s, c->run);
		return;
	case STREAM_LOG_SSE:
	case STREAM_LOG_RAW:
	case STREAM_LOG_LINES:
		if (s->id == c->job || s->lv.job == c->job)
			http_wake(s->r); /* it may have started, or ended */
		return;
	}
}

void live_changed(struct live *l, int64_t run, int64_t job, int64_t gate, int64_t version)
{
	const struct change c = { run, job, gate };

	l->ring[l->seq++ % RING] = c;
	l->web->status_at = 0;
	for (struct stream *s = l->streams; s; s = s->next)
		take_change(s, &c);
	schedule(l, FLUSH_MS);
}

void live_log(struct live *l, int64_t job, int64_t size)
{
	for (struct stream *s = l->streams; s; s = s->next)
		if (s->kind >= STREAM_LOG_SSE && (s->id == job || s->lv.job == job))
			http_wake(s->r);
}

/* A sign of life; a lost doorbell must not stall a log for ever, nor a lost right help. */
static void on_beat(struct loop *loop, void *data)
{
	struct live *l = data;
	bool check = ++l->beats % RECHECK_BEATS == 0;

	for (struct stream *s = l->streams; s; s = s->next) {
		if (check && !web_still_known(s->v))
			s->is_ended = true;
		if (s->kind != STREAM_LOG_RAW && s->at == s->out.len && !s->ends_after_out) {
			strbuf_clear(&s->out);
			s->at = 0;
			strbuf_addf(&s->out, "event: beat\ndata: {\"now\":%lld}\n\n",
				(long long)clock_wall_ms());
		}
		http_wake(s->r);
	}
	l->beat = loop_add_timer(loop, HEARTBEAT_MS, on_beat, l);
}

struct live *live_new(struct web *w)
{
	struct live *l = xcalloc(1, sizeof(*l));
	uint8_t random[8];

	l->web = w;
	crypto_random(random, sizeof(random));
	hex_encode(random, sizeof(random), l->epoch);
	l->beat = loop_add_timer(w->loop, HEARTBEAT_MS, on_beat, l);
	return l;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	loop_remove(l->beat);
	loop_remove(l->flush);
	loop_remove(l->delay);
	forget_rendered(l);
	free(l->cache);
	free(l);
}

/* ---- what may be asked for ---- */

void live_run_events(struct visit *v, int64_t run)
{
	struct stream *s = stream_new(v, STREAM_RUN_EVENTS, run);

	fill_run_events(s);
	stream_start(s);
}

static uint64_t start_offset(struct visit *v, const char *name)
{
	const char *last = http_header(v->r, "last-event-id");
	const char *asked = http_query(v->r, name);
	long long n;

	if (last && str_to_int(last, 0, INT64_MAX, &n) == 0)
		return (uint64_t)n;
	if (asked && str_to_int(asked, 0, INT64_MAX, &n) == 0)
		return (uint64_t)n;
	return 0;
}

static struct stream *log_stream(struct visit *v, enum stream_kind kind, int64_t job,
	const char *from)
{
	struct log_view lv = { 0 };
	struct stream *s;
	struct err err = ERR_INIT;

	if (web_log_view(v->web, job, &lv, &err) < 0) {
		api_error(v, &err, NULL);
		return NULL;
	}
	s = stream_new(v, kind, job);
	s->lv = lv;
	s->offset = start_offset(v, from);
	return s;
}

void live_job_log(struct visit *v, int64_t job)
{
	struct stream *s = log_stream(v, STREAM_LOG_SSE, job, "offset");

	if (s)
		stream_start(s);
}

void live_job_lines(struct visit *v, int64_t job)
{
	struct stream *s = log_stream(v, STREAM_LOG_LINES, job, "from");

	if (!s)
		return;
	if (s->offset < 1)
		s->offset = 1;
	stream_start(s);
}

/* "bytes=A-", "bytes=A-B", "bytes=-N" of SIZE; false when it cannot be satisfied. */
static bool parse_range(const char *text, uint64_t size, uint64_t *from, uint64_t *len)
{
	long long a, b;
	const char *dash = strchr(text, '-');
	_cleanup_free_ char *first = NULL;

	if (!str_starts(text, "bytes=") || !dash || strchr(text, ','))
		return false;
	first = xstrndup(text + 6, (size_t)(dash - text - 6));
	if (!first[0]) {
		if (str_to_int(dash + 1, 1, INT64_MAX, &b) < 0)
			return false;
		*from = (uint64_t)b < size ? size - (uint64_t)b : 0;
		*len = size - *from;
		return size > 0;
	}
	if (str_to_int(first, 0, INT64_MAX, &a) < 0 || (uint64_t)a >= size)
		return false;
	*from = (uint64_t)a;
	*len = size - *from;
	if (dash[1]) {
		if (str_to_int(dash + 1, a, INT64_MAX, &b) < 0)
			return false;
		if ((uint64_t)b - *from + 1 < *len)
			*len = (uint64_t)b - *from + 1;
	}
	return true;
}

static void answer_file(struct visit *v, struct logfile *f)
{
	const char *range = http_header(v->r, "range");
	uint64_t size = logfile_size(f), from = 0, len = size;
	struct err err = ERR_INIT;
	char text[96];
	int fd, status = 200;

	if (range && str_starts(range, "bytes=")) {
		if (!parse_range(range, size, &from, &len)) {
			snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
			http_add_header(v->r, "Content-Range", text);
			http_answer(v->r, 416, "text/plain", "", 0);
			return;
		}
		snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)from,
			(unsigned long long)(from + len - 1), (unsigned long long)size);
		http_add_header(v->r, "Content-Range", text);
		status = 206;
	}
	fd = logfile_dup(f, &err);
	if (fd < 0) {
		api_error(v, &err, NULL);
		return;
	}
	http_add_header(v->r, "Accept-Ranges", "bytes");
	http_answer_file(v->r, status, "text/plain; charset=utf-8", fd, from, len);
}

/* One line whole, for "show all of it". */
static void answer_line(struct visit *v, struct logfile *f, const char *number)
{
	uint64_t from = 0, to = 0;
	struct err err = ERR_INIT;
	long long n;
	int fd;

	if (str_to_int(number, 1, INT64_MAX / 4, &n) < 0 ||
		logfile_line_offset(f, (uint64_t)n, &from, &err) < 0 ||
		logfile_line_offset(f, (uint64_t)n + 1, &to, &err) < 0 ||
		(fd = logfile_dup(f, &err)) < 0) {
		page_not_found(v);
		return;
	}
	http_answer_file(v->r, 200, "text/plain; charset=utf-8", fd, from, to - from);
}

void live_raw_log(struct visit *v, int64_t job)
{
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	struct log_view lv = { 0 };
	const char *line = http_query(v->r, "line");
	struct err err = ERR_INIT;

	if (web_log_view(v->web, job, &lv, &err) < 0) {
		api_error(v, &err, NULL);
		return;
	}
	if (http_query(v->r, "follow") && !lv.is_whole) {
		struct stream *s = log_stream(v, STREAM_LOG_RAW, job, "offset");

		if (s)
			stream_start(s);
		return;
	}
	/* Bytes of a job, in our origin: never anything but text (WH15). */
	http_add_header(v->r, "Content-Security-Policy", "default-src 'none'; sandbox");
	if (lv.try <= 0 || logfile_open(v->web->o->jobs, lv.job, lv.try, &f, &err) < 0)
		http_answer(v->r, 200, "text/plain; charset=utf-8", "", 0);
	else if (line)
		answer_line(v, f, line);
	else
		answer_file(v, f);
}

/* Marks what changed since the page was made; all of it when that is too long ago. */
static void catch_up(struct stream *s, const char *since)
{
	struct live *l = s->live;
	size_t len = strlen(l->epoch);
	long long seq;

	if (!since)
		return;
	if (strncmp(since, l->epoch, len) != 0 || since[len] != '.' ||
		str_to_int(since + len + 1, 0, INT64_MAX, &seq) < 0 || (uint64_t)seq > l->seq ||
		l->seq - (uint64_t)seq > RING) {
		s->overflow = true;
		return;
	}
	for (uint64_t i = (uint64_t)seq; i < l->seq; i++)
		take_change(s, &l->ring[i % RING]);
}

static int64_t run_of(struct visit *v, enum stream_kind kind, int64_t id)
{
	_cleanup_(job_done) struct job j = { 0 };
	_cleanup_(gate_done) struct gate g = { 0 };
	struct err err = ERR_INIT;

	if (kind == STREAM_PAGE_JOB && jobs_get(v->web->store, id, &j, &err) == 0)
		return j.run;
	if (kind == STREAM_PAGE_GATE && gates_get(v->web->store, id, &g, &err) == 0)
		return g.run;
	return 0;
}

void live_page(struct visit *v)
{
	static const struct {
		const char *name;
		enum stream_kind kind;
	} kinds[] = {
		{ "runs", STREAM_PAGE_RUNS },
		{ "run", STREAM_PAGE_RUN },
		{ "job", STREAM_PAGE_JOB },
		{ "gate", STREAM_PAGE_GATE },
		{ "queue", STREAM_PAGE_QUEUE },
	};
	const char *page = http_query(v->r, "page"), *id = http_query(v->r, "id");
	const char *last = http_header(v->r, "last-event-id");
	long long n = 0;

	if (id && str_to_int(id, 0, INT64_MAX, &n) < 0)
		n = 0;
	for (size_t i = 0; page && i < ARRAY_SIZE(kinds); i++) {
		struct stream *s;

		if (strcmp(page, kinds[i].name) != 0)
			continue;
		if (v->who.gate && (kinds[i].kind != STREAM_PAGE_GATE || n != v->who.gate))
			break;
		s = stream_new(v, kinds[i].kind, n);
		s->run = run_of(v, kinds[i].kind, n);
		strbuf_adds(&s->out, "retry: 2000\nevent: hello\ndata: {}\n\n");
		catch_up(s, last ? last : http_query(v->r, "since"));
		if (s->dirty_len > 0 || s->overflow)
			schedule(s->live, 0);
		stream_start(s);
		return;
	}
	page_not_found(v);
}

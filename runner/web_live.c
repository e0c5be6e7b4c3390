/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live updates. A stream is pulled by its connection and woken when core says that
 * something changed; log streams read the one log file by offset, so a hundred viewers
 * share its pages and nothing is copied per viewer but what is on its way.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/logfile.h"
#include "runner/web-internal.h"
#include "store/jobs.h"

#define HEARTBEAT_MS 10000
#define FLUSH_MS 200	  /* at most five commits of the page in a second */
#define DIRTY_MAX 32	  /* runs changed between two flushes, then "reset" */
#define CHUNK (64 * 1024) /* of a log, in one event */
#define LINES_CHUNK 200

enum stream_kind {
	STREAM_RUN_EVENTS,
	STREAM_PAGE_RUNS,
	STREAM_PAGE_RUN,
	STREAM_PAGE_JOB,
	STREAM_PAGE_GATE,
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
	int64_t log_job, try; /* where the log lies */
	struct logfile *file;
	uint64_t offset; /* bytes of the log given, or the next line number */
	struct strbuf out;
	size_t at;
	int64_t dirty[DIRTY_MAX];
	size_t dirty_len;
	bool overflow, is_ended, ends_after_out, more;
};

struct live {
	struct web *web;
	struct stream *streams;
	struct loop_source *beat, *flush;
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

static void add_part(struct stream *s, const char *id, int64_t version, struct strbuf *html)
{
	struct json *j = json_new_object();

	json_set_str(j, "part", id);
	json_set_int(j, "version", version);
	json_set(j, "html", json_new_strn(html->buf, html->len));
	add_event(s, "part", -1, j);
	strbuf_clear(html);
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

/* Where job ID's log is and whether it will grow; -1 when there is no such job. */
static int find_log(struct web *w, int64_t id, int64_t *job, int64_t *try, int64_t *run,
	bool *is_done, struct err *err)
{
	struct job j;

	memset(&j, 0, sizeof(j));
	if (jobs_get(w->store, id, &j, err) < 0)
		return -1;
	*run = j.run;
	*is_done = j.state == JOB_COMPLETED;
	for (int hops = 0; j.carried_from && hops < 100; hops++) {
		int64_t from = j.carried_from;

		id = from;
		job_done(&j);
		memset(&j, 0, sizeof(j));
		if (jobs_get(w->store, from, &j, err) < 0)
			return -1;
	}
	*job = id;
	*try = j.tries;
	job_done(&j);
	return 0;
}

/* Opens the log once there is one; a job that has none yet is waited for. */
static bool open_log(struct stream *s, bool *is_done)
{
	struct err err = ERR_INIT;

	if (find_log(s->live->web, s->id, &s->log_job, &s->try, &s->run, is_done, &err) < 0) {
		*is_done = true;
		return false;
	}
	if (!s->file && s->try > 0 &&
		logfile_open(s->live->web->data_dir, s->log_job, s->try, &s->file, &err) < 0)
		s->file = NULL;
	return s->file != NULL;
}

static void fill_log_sse(struct stream *s)
{
	struct strbuf bytes = STRBUF_INIT;
	struct json *j;
	bool is_done = false;
	struct err err = ERR_INIT;
	size_t len;

	/* Done is asked first: what is written after that is still read below. */
	if (!open_log(s, &is_done)) {
		if (is_done)
			end_stream(s);
		return;
	}
	if (logfile_read(s->file, s->offset, CHUNK, &bytes, &err) < 0) {
		s->is_ended = true;
		return;
	}
	len = bytes.len;
	if (!is_done && len > 0 && len < CHUNK) {
		const char *nl = memrchr(bytes.buf, '\n', len);

		len = nl ? (size_t)(nl + 1 - bytes.buf) : 0;
	}
	if (len > 0) {
		j = json_new_object();
		json_set_int(j, "offset", (int64_t)s->offset);
		json_set(j, "text", json_new_strn(bytes.buf, len));
		s->offset += len;
		add_event(s, "log", (int64_t)s->offset, j);
	} else if (is_done) {
		end_stream(s);
	}
	s->more = len > 0;
	strbuf_done(&bytes);
}

static void fill_log_raw(struct stream *s)
{
	bool is_done = false;
	struct err err = ERR_INIT;

	if (!open_log(s, &is_done)) {
		if (is_done)
			end_stream(s);
		return;
	}
	if (logfile_read(s->file, s->offset, CHUNK, &s->out, &err) < 0) {
		s->is_ended = true;
		return;
	}
	s->offset += s->out.len;
	s->more = s->out.len > 0;
	if (s->out.len == 0 && is_done)
		end_stream(s);
}

static void fill_log_lines(struct stream *s)
{
	struct strbuf html = STRBUF_INIT;
	struct log_view lv = { .from = s->offset, .count = LINES_CHUNK };
	bool is_done = false;
	uint64_t rendered = 0;
	struct err err = ERR_INIT;
	struct json *j;

	if (!open_log(s, &is_done)) {
		if (is_done)
			end_stream(s);
		return;
	}
	lv.job = s->log_job;
	lv.try = s->try;
	lv.is_whole = is_done;
	if (part_log_lines(s->v, &lv, &html, &rendered, &err) < 0) {
		s->is_ended = true;
	} else if (rendered > 0) {
		j = json_new_object();
		json_set_int(j, "from", (int64_t)s->offset);
		json_set_int(j, "count", (int64_t)rendered);
		json_set(j, "html", json_new_strn(html.buf, html.len));
		s->offset += rendered;
		add_event(s, "lines", (int64_t)s->offset, j);
	} else if (is_done) {
		end_stream(s);
	}
	s->more = rendered > 0;
	strbuf_done(&html);
}

/* ---- parts of pages ---- */

static void fill_run(struct stream *s)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms(), version;

	if (query_run(s->live->web->store, s->id, 0, &run, &err) < 0)
		return;
	version = json_get_int(run, "version", 0);
	part_run_head(&html, run, now);
	add_part(s, "run-head", version, &html);
	part_run_graph(&html, run);
	add_part(s, "run-graph", version, &html);
	part_run_jobs(&html, run, now);
	add_part(s, "run-jobs", version, &html);
	strbuf_done(&html);
}

static void fill_run_events(struct stream *s)
{
	struct json *run = NULL;
	struct err err = ERR_INIT;

	if (query_run_live(s->live->web->store, s->id, &run, &err) < 0) {
		end_stream(s);
		return;
	}
	const char *state = json_get_str(run, "state", "");
	bool is_done = str_eq(state, "completed") || str_eq(state, "success") ||
		str_eq(state, "failure") || str_eq(state, "cancelled") ||
		str_eq(state, "skipped");

	add_event(s, "run", json_get_int(run, "version", 0), run);
	if (is_done)
		end_stream(s);
}

static void fill_job(struct stream *s)
{
	struct strbuf html = STRBUF_INIT;
	_cleanup_(json_freep) struct json *job = NULL;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();

	if (query_job(s->live->web->store, s->id, &job, &err) < 0)
		return;
	part_job_head(&html, job, now);
	add_part(s, "job-head", now, &html);
	part_job_steps(&html, job, now);
	add_part(s, "job-steps", now, &html);
	strbuf_done(&html);
}

static void fill_runs(struct stream *s)
{
	struct strbuf html = STRBUF_INIT;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < s->dirty_len; i++) {
		_cleanup_(json_freep) struct json *run = NULL;
		char id[40];

		if (query_run(s->live->web->store, s->dirty[i], 0, &run, &err) < 0)
			continue;
		snprintf(id, sizeof(id), "run-%lld", (long long)s->dirty[i]);
		part_run_row(&html, run, now);
		add_part(s, id, json_get_int(run, "version", 0), &html);
	}
	strbuf_done(&html);
}

static void fill_top(struct stream *s)
{
	struct strbuf html = STRBUF_INIT;

	part_top_status(&html, web_status(s->live->web));
	add_part(s, "top-status", clock_wall_ms(), &html);
	strbuf_done(&html);
}

static void fill_page(struct stream *s)
{
	if (s->overflow) {
		add_event(s, "reset", -1, json_new_object());
	} else if (s->dirty_len > 0) {
		if (s->kind == STREAM_PAGE_RUNS)
			fill_runs(s);
		else if (s->kind == STREAM_PAGE_RUN)
			fill_run(s);
		else if (s->kind == STREAM_PAGE_JOB)
			fill_job(s);
		else if (s->kind == STREAM_PAGE_GATE)
			add_event(s, "reset", -1, json_new_object());
		fill_top(s);
	}
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
		if (s->kind == STREAM_RUN_EVENTS && s->dirty_len > 0) {
			s->dirty_len = 0;
			fill_run_events(s);
			http_wake(s->r);
		} else if (s->dirty_len > 0 || s->overflow) {
			/* A slow reader gets the newest state, not a backlog. */
			if (s->out.len - s->at > 512 * 1024)
				continue;
			fill_page(s);
			http_wake(s->r);
		}
	}
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

void live_changed(struct live *l, int64_t run, int64_t job, int64_t gate, int64_t version)
{
	l->web->status_at = 0;
	for (struct stream *s = l->streams; s; s = s->next) {
		switch (s->kind) {
		case STREAM_PAGE_RUNS:
			if (run)
				mark(s, run);
			break;
		case STREAM_RUN_EVENTS:
		case STREAM_PAGE_RUN:
			if (s->id == run)
				mark(s, run);
			break;
		case STREAM_PAGE_JOB:
		case STREAM_PAGE_GATE:
			if (s->run == run || s->id == (s->kind == STREAM_PAGE_JOB ? job : gate))
				mark(s, run);
			break;
		case STREAM_LOG_SSE:
		case STREAM_LOG_RAW:
		case STREAM_LOG_LINES:
			if (s->id == job || s->run == run)
				http_wake(s->r); /* it may have ended */
			break;
		}
	}
	schedule(l, FLUSH_MS);
}

void live_log(struct live *l, int64_t job, int64_t size)
{
	for (struct stream *s = l->streams; s; s = s->next)
		if (s->id == job && s->kind >= STREAM_LOG_SSE)
			http_wake(s->r);
}

static void on_beat(struct loop *loop, void *data)
{
	struct live *l = data;

	for (struct stream *s = l->streams; s; s = s->next) {
		if (s->kind == STREAM_LOG_RAW) {
			http_wake(s->r); /* a lost doorbell must not stall it for ever */
			continue;
		}
		if (s->at == s->out.len && !s->ends_after_out) {
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

	l->web = w;
	l->beat = loop_add_timer(w->loop, HEARTBEAT_MS, on_beat, l);
	return l;
}

void live_free(struct live *l)
{
	if (!l)
		return;
	loop_remove(l->beat);
	loop_remove(l->flush);
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

static bool job_exists(struct visit *v, int64_t job)
{
	struct err err = ERR_INIT;
	int64_t a, b, c;
	bool d;

	if (find_log(v->web, job, &a, &b, &c, &d, &err) == 0)
		return true;
	api_error(v, &err, NULL);
	return false;
}

void live_job_log(struct visit *v, int64_t job)
{
	struct stream *s;

	if (!job_exists(v, job))
		return;
	s = stream_new(v, STREAM_LOG_SSE, job);
	s->offset = start_offset(v, "offset");
	stream_start(s);
}

void live_job_lines(struct visit *v, int64_t job)
{
	struct stream *s;

	if (!job_exists(v, job))
		return;
	s = stream_new(v, STREAM_LOG_LINES, job);
	s->offset = start_offset(v, "from");
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

void live_raw_log(struct visit *v, int64_t job)
{
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	int64_t log_job, try, run;
	bool is_done;
	struct err err = ERR_INIT;

	if (find_log(v->web, job, &log_job, &try, &run, &is_done, &err) < 0) {
		api_error(v, &err, NULL);
		return;
	}
	if (http_query(v->r, "follow") && !is_done) {
		struct stream *s = stream_new(v, STREAM_LOG_RAW, job);

		s->offset = start_offset(v, "offset");
		stream_start(s);
		return;
	}
	if (try <= 0 || logfile_open(v->web->data_dir, log_job, try, &f, &err) < 0) {
		http_answer(v->r, 200, "text/plain; charset=utf-8", "", 0);
		return;
	}
	answer_file(v, f);
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
	};
	const char *page = http_query(v->r, "page"), *id = http_query(v->r, "id");
	long long n = 0;

	if (id && str_to_int(id, 1, INT64_MAX, &n) < 0)
		n = 0;
	for (size_t i = 0; page && i < ARRAY_SIZE(kinds); i++) {
		struct stream *s;

		if (strcmp(page, kinds[i].name) != 0)
			continue;
		s = stream_new(v, kinds[i].kind, n);
		s->run = (int64_t)start_offset(v, "run");
		add_event(s, "hello", -1, json_new_object());
		if (s->kind == STREAM_PAGE_RUN || s->kind == STREAM_PAGE_JOB) {
			mark(s, s->id); /* what changed since the page was made */
			fill_page(s);
		}
		stream_start(s);
		return;
	}
	page_not_found(v);
}

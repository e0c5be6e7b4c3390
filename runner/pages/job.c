/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `/jobs/{id}`: the log. One address and one code path whether the job is absent, running
 * or over; a line has one number for ever. Without script it is 500 lines around ?line=.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/logfile.h"
#include "runner/web-internal.h"
#include "store/jobs.h"

#define WINDOW 500
#define LINE_BYTES 4096
#define HITS_MAX 2000

static bool job_is_over(const struct json *job)
{
	return json_get_int(job, "completed_at", 0) > 0;
}

/* Where its log lies: a carried row shows that of the row it came from. */
static void log_place(const struct json *job, int64_t *id, int64_t *try)
{
	*id = json_get_int(job, "log_job", json_get_int(job, "id", 0));
	*try = json_get_int(job, "log_tries", json_get_int(job, "tries", 0));
}

/* ---- lines ---- */

struct rendering {
	const struct log_view *lv;
	struct strbuf *out;
	uint64_t count;
};

static const struct {
	const char *class, *word;
} kind_words[] = {
	[LOG_LINE_PLAIN] = { "", NULL },
	[LOG_LINE_GROUP] = { " group", "▾" },
	[LOG_LINE_ENDGROUP] = { " endgroup", NULL },
	[LOG_LINE_ERROR] = { " error", "error" },
	[LOG_LINE_WARNING] = { " warning", "warning" },
	[LOG_LINE_NOTICE] = { " notice", "notice" },
	[LOG_LINE_DEBUG] = { " debug", "debug" },
	[LOG_LINE_COMMAND] = { " command", NULL },
	[LOG_LINE_SLUICE] = { " sluice", "sluice" },
};

static int render_line(uint64_t number, uint64_t offset, const char *line, size_t len,
	void *data)
{
	struct rendering *r = data;
	const struct log_view *lv = r->lv;
	size_t skip = 0;
	enum log_line_kind kind = log_line_kind(line, len, &skip);
	bool here = number >= lv->marked_from && number <= lv->marked_to;
	unsigned long long n = number;

	strbuf_addf(r->out,
		"<div class=\"ln%s%s\" id=\"L%llu\" data-n=\"%llu\">"
		"<a class=\"n\" href=\"?line=%llu#L%llu\">%llu</a><span class=\"x\">",
		kind_words[kind].class, here ? " here" : "", n, n, n, n, n);
	if (kind_words[kind].word)
		strbuf_addf(r->out, "<span class=\"k\">%s</span>", kind_words[kind].word);
	if (kind != LOG_LINE_ENDGROUP)
		html_log(r->out, line + skip, len - skip, lv->mark, LINE_BYTES);
	strbuf_adds(r->out, "</span></div>\n");
	r->count++;
	return 0;
}

int part_log_lines(struct visit *v, const struct log_view *lv, struct strbuf *out,
	uint64_t *ret_rendered, struct err *err)
{
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	struct rendering r = { .lv = lv, .out = out };

	*ret_rendered = 0;
	if (lv->try <= 0)
		return 0;
	if (logfile_open(v->web->data_dir, lv->job, lv->try, &f, err) < 0)
		return err && err->code == ERR_NOT_FOUND ? 0 : -1;
	if (logfile_each(f, lv->from, lv->count, lv->is_whole, render_line, &r, err) < 0)
		return -1;
	*ret_rendered = r.count;
	return 0;
}

/* ---- head and steps ---- */

void part_job_head(struct strbuf *out, const struct json *job, int64_t now)
{
	const char *why = json_get_str(job, "reason", "");
	const struct json *labels = json_get(job, "labels");
	const struct json *notes = json_get(job, "notes");

	strbuf_adds(out, "<div id=\"job-head\"><div class=\"facts\">");
	html_state(out, json_get_str(job, "state", "queued"));
	strbuf_adds(out, "<span>");
	html_duration(out, json_get_int(job, "started_at", 0),
		json_get_int(job, "completed_at", 0), now);
	strbuf_adds(out, "</span>");
	for (size_t i = 0; i < json_count(labels) && i < 4; i++)
		html_put(out, "<span>$</span>", json_as_str(json_at(labels, i), ""));
	if (json_get_str(job, "environment", "")[0])
		html_put(out, "<span>environment <b>$</b></span>",
			json_get_str(job, "environment", ""));
	if (json_is(notes, JSON_KIND_ARRAY))
		for (size_t i = 0; i < json_count(notes) && i < 8; i++)
			html_put(out, "<span class=\"dim\">$</span>",
				json_as_str(json_at(notes, i), ""));
	strbuf_adds(out, "</div>");
	if (why[0])
		html_put(out, "<p class=\"note@\">$</p>",
			str_eq(json_get_str(job, "state", ""), "failure") ? " fail" : "", why);
	strbuf_adds(out, "</div>");
}

void part_job_steps(struct strbuf *out, const struct json *job, int64_t now)
{
	const struct json *steps = json_get(job, "steps");

	strbuf_adds(out, "<ul class=\"steps\" id=\"job-steps\" aria-label=\"Steps\">");
	for (size_t i = 0; i < json_count(steps); i++) {
		const struct json *s = json_at(steps, i);
		const char *end = json_get_str(s, "conclusion", "");
		const char *state = end[0] ? end : json_get_str(s, "state", "queued");
		long long n = json_get_int(s, "number", (int64_t)i + 1);
		bool ran = json_get_int(s, "started_at", 0) > 0;

		html_put(out, "<li><a href=\"?step=#\" data-step=\"#\">", n, n);
		html_glyph(out, str_eq(state, "pending") ? "queued" : state);
		html_put(out, "<span>$<span class=\"vh\"> $</span></span><span class=\"dim\">",
			json_get_str(s, "name", ""), state);
		if (ran)
			html_duration(out, json_get_int(s, "started_at", 0),
				json_get_int(s, "completed_at", 0), now);
		strbuf_adds(out, "</span></a></li>\n");
	}
	strbuf_adds(out, "</ul>");
}

/* ---- which lines to show first ---- */

struct finding {
	uint64_t line;
};

static int find_error(uint64_t number, uint64_t offset, const char *line, size_t len,
	void *data)
{
	struct finding *f = data;
	size_t skip;

	if (log_line_kind(line, len, &skip) != LOG_LINE_ERROR)
		return 0;
	f->line = number;
	return 1;
}

static uint64_t line_of_step(const struct json *job, struct logfile *f, const char *step)
{
	const struct json *steps = json_get(job, "steps");
	long long n;
	uint64_t line = 1;
	struct err err = ERR_INIT;

	if (str_to_int(step, 0, 100000, &n) < 0)
		return 1;
	for (size_t i = 0; i < json_count(steps); i++) {
		const struct json *s = json_at(steps, i);

		if (json_get_int(s, "number", (int64_t)i + 1) == n &&
			logfile_line_at(f, (uint64_t)json_get_int(s, "log_start", 0), &line,
				&err) == 0)
			return line;
	}
	return 1;
}

struct choice {
	uint64_t from, marked_from, marked_to, total;
	bool follow;
};

static uint64_t window_start(uint64_t line)
{
	return line > WINDOW / 2 ? line - WINDOW / 2 : 1;
}

/* ?line=A[-B], ?step=N, else the first error of a job that is over, else the tail. */
static void choose(struct visit *v, const struct json *job, struct logfile *f,
	struct choice *c)
{
	const char *line = http_query(v->r, "line"), *step = http_query(v->r, "step");
	const char *from = http_query(v->r, "from");
	bool over = job_is_over(job);
	struct finding found = { 0 };
	struct err err = ERR_INIT;
	long long a, b;

	if (logfile_lines(f, over, &c->total, &err) < 0)
		return;
	if (line) {
		_cleanup_free_ char *first = xstrndup(line, strcspn(line, "-"));

		if (str_to_int(first, 1, INT64_MAX, &a) == 0) {
			c->marked_from = c->marked_to = (uint64_t)a;
			if (strchr(line, '-') &&
				str_to_int(strchr(line, '-') + 1, a, INT64_MAX, &b) == 0)
				c->marked_to = (uint64_t)b;
			c->from = window_start((uint64_t)a);
			return;
		}
	}
	if (from && str_to_int(from, 1, INT64_MAX, &a) == 0) {
		c->from = (uint64_t)a;
		return;
	}
	if (step) {
		c->from = line_of_step(job, f, step);
		return;
	}
	if (over && str_eq(json_get_str(job, "state", ""), "failure") &&
		logfile_each(f, 1, 2000000, true, find_error, &found, &err) == 0 && found.line) {
		c->from = window_start(found.line);
		return;
	}
	c->from = c->total > WINDOW ? c->total - WINDOW + 1 : 1;
	c->follow = !over;
}

/* ---- the page ---- */

static void log_pages(struct strbuf *out, long long id, const struct choice *c)
{
	uint64_t last = c->total > WINDOW ? c->total - WINDOW + 1 : 1;

	html_put(out,
		"<nav class=\"pages noscript\" aria-label=\"Log\">"
		"<a class=\"btn\" href=\"/jobs/#?from=1\">First</a>"
		"<a class=\"btn\" href=\"/jobs/#?from=#\">Previous</a>",
		id, id, (long long)(c->from > WINDOW ? c->from - WINDOW : 1));
	html_put(out,
		"<a class=\"btn\" href=\"/jobs/#?from=#\">Next</a>"
		"<a class=\"btn\" href=\"/jobs/#?from=#\">Last</a></nav>",
		id, (long long)(c->from + WINDOW <= c->total ? c->from + WINDOW : last), id,
		(long long)last);
}

static void log_bar(struct strbuf *out, long long id)
{
	html_put(out,
		"<div class=\"logbar\"><button class=\"btn js\" id=\"err\" hidden>Next error</button>"
		"<form method=\"get\" action=\"/jobs/#/search\" id=\"find\" role=\"search\" "
		"class=\"buttons\"><label class=\"vh\" for=\"find-q\">Search in this log</label>"
		"<input class=\"field\" id=\"find-q\" name=\"q\" placeholder=\"search\">"
		"<button class=\"btn\">Find</button><output id=\"find-n\"></output></form>",
		id);
	html_put(out,
		"<button class=\"btn js\" id=\"wrap\" aria-pressed=\"true\" hidden>Wrap</button>"
		"<a class=\"btn\" href=\"/jobs/#/raw\">Raw log</a></div>",
		id);
}

static void network(struct strbuf *out, const struct json *job)
{
	const struct json *net = json_get(job, "net");

	if (json_count(net) == 0)
		return;
	strbuf_adds(out,
		"<section class=\"panel\"><header><h2>Network ledger</h2>"
		"<span>what this job talked to</span></header><div class=\"scroll\"><table>"
		"<thead><tr><th scope=\"col\">Host</th><th scope=\"col\">Rule</th>"
		"<th scope=\"col\" class=\"num\">Times</th></tr></thead><tbody>");
	for (size_t i = 0; i < json_count(net); i++) {
		const struct json *n = json_at(net, i);
		bool refused = !str_eq(json_get_str(n, "verdict", ""), "allowed");

		html_put(out, "<tr><td class=\"mono\">$:#</td><td@>$ $</td><td class=\"num\">#</td></tr>",
			json_get_str(n, "host", ""), (long long)json_get_int(n, "port", 0),
			refused ? " class=\"st fail\"" : "", json_get_str(n, "verdict", ""),
			json_get_str(n, "rule", ""), (long long)json_get_int(n, "count", 1));
	}
	strbuf_adds(out, "</tbody></table></div></section>");
}

static void siblings(struct visit *v, struct strbuf *out, const struct json *job)
{
	_cleanup_(json_freep) struct json *run = NULL;
	struct err err = ERR_INIT;
	const struct json *jobs;

	if (query_run(v->web->store, json_get_int(job, "run", 0), 0, &run, &err) < 0)
		return;
	jobs = json_get(run, "jobs");
	strbuf_adds(out, "<ul class=\"steps\" aria-label=\"Other jobs\">"
			 "<li class=\"head\">Other jobs of this run</li>");
	for (size_t i = 0; i < json_count(jobs) && i < 60; i++) {
		const struct json *j = json_at(jobs, i);

		if (json_get_int(j, "id", 0) == json_get_int(job, "id", 0))
			continue;
		html_put(out, "<li><a href=\"/jobs/#\">", (long long)json_get_int(j, "id", 0));
		html_glyph(out, json_get_str(j, "state", ""));
		html_put(out, "<span>$<span class=\"vh\"> $</span></span><span></span></a></li>",
			json_get_str(j, "name", ""), json_get_str(j, "state", ""));
	}
	strbuf_adds(out, "</ul>");
}

static void crumbs(struct strbuf *out, const struct json *job)
{
	_cleanup_free_ char *run =
		xasprintf("/runs/%lld", (long long)json_get_int(job, "run", 0));
	_cleanup_free_ char *number =
		xasprintf("#%lld", (long long)json_get_int(job, "number", 0));

	page_crumbs(out, json_get_str(job, "repo", ""), NULL, number, run,
		json_get_str(job, "name", ""), NULL, NULL);
}

static void log_area(struct visit *v, struct strbuf *out, const struct json *job,
	const struct choice *c, int64_t log_job, int64_t try)
{
	long long id = json_get_int(job, "id", 0);
	struct log_view lv = { .job = log_job, .try = try, .from = c->from, .count = WINDOW,
		.marked_from = c->marked_from, .marked_to = c->marked_to,
		.is_whole = job_is_over(job) };
	uint64_t rendered = 0;
	struct err err = ERR_INIT;

	log_bar(out, id);
	html_put(out,
		"<div class=\"log\" id=\"log\" role=\"region\" tabindex=\"0\" aria-label=\"Log of $\" "
		"data-job=\"#\" data-from=\"#\" data-total=\"#\" ",
		json_get_str(job, "name", ""), id, (long long)c->from, (long long)c->total);
	html_put(out, "data-line=\"#\" data-follow=\"@\" data-over=\"@\">",
		(long long)c->marked_from, c->follow ? "1" : "0", job_is_over(job) ? "1" : "0");
	if (part_log_lines(v, &lv, out, &rendered, &err) < 0)
		html_put(out, "<p class=\"pad\">The log cannot be read: $</p>", err.msg);
	else if (rendered == 0)
		html_put(out, "<p class=\"pad dim\" id=\"log-none\">$</p>",
			try <= 0 ? "This job has not started; its first line appears here." :
				   "No line yet; the first appears here.");
	strbuf_adds(out, "</div>");
	log_pages(out, id, c);
	html_put(out,
		"<div class=\"follow\" id=\"follow\"><span id=\"follow-text\"># lines</span>"
		"<button class=\"btn primary js\" id=\"resume\" hidden>Resume at the end "
		"<kbd>f</kbd></button></div>",
		(long long)c->total);
}

void page_job(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *job = NULL;
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	_cleanup_free_ char *title = NULL;
	struct choice c = { .from = 1 };
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms(), log_job, try;

	if (query_job(v->web->store, id, &job, &err) < 0) {
		page_err(v, &err);
		return;
	}
	log_place(job, &log_job, &try);
	if (try > 0 && logfile_open(v->web->data_dir, log_job, try, &f, &err) == 0)
		choose(v, job, f, &c);
	else
		c.follow = !job_is_over(job);
	title = xasprintf("%s · %s · #%lld", json_get_str(job, "state", ""),
		json_get_str(job, "name", ""), (long long)json_get_int(job, "number", 0));
	page_begin(v, &out, title, "Runs");
	crumbs(&out, job);
	html_put(&out, "<div class=\"headline\"><h1>$</h1></div>", json_get_str(job, "name", ""));
	part_job_head(&out, job, now);
	html_put(&out, "<section class=\"panel job\" data-live=\"job\" data-id=\"#\" data-run=\"#\">"
		       "<div>",
		(long long)id, (long long)json_get_int(job, "run", 0));
	part_job_steps(&out, job, now);
	siblings(v, &out, job);
	strbuf_adds(&out, "</div><div>");
	log_area(v, &out, job, &c, log_job, try);
	strbuf_adds(&out, "</div></section><div class=\"cols even\"><div>");
	network(&out, job);
	strbuf_adds(&out, "</div></div>");
	html_put(&out, "<script src=\"@\" defer></script>", asset_url("log.js"));
	page_answer(v, 200, &out);
}

/* ---- pieces the script asks for ---- */

static uint64_t query_number(const struct visit *v, const char *name, uint64_t otherwise,
	uint64_t max)
{
	const char *text = http_query(v->r, name);
	long long n;

	return text && str_to_int(text, 0, INT64_MAX, &n) == 0 ?
		((uint64_t)n > max ? max : (uint64_t)n) :
		otherwise;
}

void page_job_lines(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *job = NULL;
	struct log_view lv = { .from = query_number(v, "from", 1, INT64_MAX),
		.count = query_number(v, "n", WINDOW, WINDOW),
		.mark = http_query(v->r, "q") };
	uint64_t rendered;
	struct err err = ERR_INIT;

	if (query_job(v->web->store, id, &job, &err) < 0) {
		api_error(v, &err, NULL);
		return;
	}
	log_place(job, &lv.job, &lv.try);
	lv.is_whole = job_is_over(job);
	if (lv.mark && !lv.mark[0])
		lv.mark = NULL;
	if (part_log_lines(v, &lv, &out, &rendered, &err) < 0) {
		strbuf_done(&out);
		api_error(v, &err, NULL);
		return;
	}
	http_answer_take(v->r, 200, "text/html; charset=utf-8", &out);
}

static void search_json(struct visit *v, const uint64_t *lines, size_t n, uint64_t count)
{
	struct json *j = json_new_object(), *list = json_new_array();

	for (size_t i = 0; i < n && i < count; i++)
		json_push(list, json_new_int((int64_t)lines[i]));
	json_set_int(j, "count", (int64_t)count);
	json_set(j, "lines", list);
	api_json(v, 200, j);
}

static void search_page(struct visit *v, const struct json *job, const char *q,
	const uint64_t *lines, uint64_t count)
{
	struct strbuf out = STRBUF_INIT;
	long long id = json_get_int(job, "id", 0);

	page_begin(v, &out, "Search", "Runs");
	crumbs(&out, job);
	html_put(&out, "<h1># lines hold “$”</h1><div class=\"panel log\">", (long long)count, q);
	for (size_t i = 0; i < count && i < HITS_MAX && i < 500; i++) {
		struct log_view lv = { .from = lines[i], .count = 1, .mark = q,
			.is_whole = job_is_over(job) };
		uint64_t rendered;
		struct err err = ERR_INIT;

		log_place(job, &lv.job, &lv.try);
		if (part_log_lines(v, &lv, &out, &rendered, &err) < 0)
			break;
	}
	html_put(&out, "</div><p><a class=\"btn\" href=\"/jobs/#\">Back to the log</a></p>", id);
	page_answer(v, 200, &out);
}

void page_job_search(struct visit *v, int64_t id)
{
	_cleanup_(json_freep) struct json *job = NULL;
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	_cleanup_free_ uint64_t *lines = xcalloc(HITS_MAX, sizeof(*lines));
	const char *q = http_query(v->r, "q"), *accept = http_header(v->r, "accept");
	int64_t log_job, try;
	uint64_t count = 0;
	struct err err = ERR_INIT;

	if (query_job(v->web->store, id, &job, &err) < 0) {
		page_err(v, &err);
		return;
	}
	log_place(job, &log_job, &try);
	if (try > 0 && logfile_open(v->web->data_dir, log_job, try, &f, &err) == 0 &&
		logfile_search(f, q ? q : "", lines, HITS_MAX, &count, &err) < 0) {
		page_err(v, &err);
		return;
	}
	if (accept && strstr(accept, "application/json"))
		search_json(v, lines, HITS_MAX, count);
	else
		search_page(v, job, q ? q : "", lines, count);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a log as rows; the pieces the script asks for: lines, hits, groups and errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/html.h"
#include "runner/logfile.h"
#include "runner/web-internal.h"

#define LINE_BYTES 4096 /* shown of one line; the rest behind a link */
#define OPEN_LINES 20	/* a group without an error is closed above so many */
#define SLICE (8 << 20) /* of a log looked at before the others get their turn */
#define HITS_SHOWN 500
#define LINES_MAX 500

/* ---- one line ---- */

struct rendering {
	const struct log_view *lv;
	struct strbuf *out;
	struct logtimes *times;
	uint64_t count;
	/* a group of the page without script */
	struct strbuf head, body;
	size_t group_lines;
	bool in_group, keep_open;
};

static const struct {
	const char *class, *word;
} kind_words[] = {
	[LOG_LINE_PLAIN] = { "", NULL },
	[LOG_LINE_GROUP] = { " group", NULL },
	[LOG_LINE_ENDGROUP] = { " endgroup", NULL },
	[LOG_LINE_ERROR] = { " error", "error" },
	[LOG_LINE_WARNING] = { " warning", "warning" },
	[LOG_LINE_NOTICE] = { " notice", "notice" },
	[LOG_LINE_DEBUG] = { " debug", "debug" },
	[LOG_LINE_COMMAND] = { " command", NULL },
	[LOG_LINE_SLUICE] = { " sluice", "sluice" },
};

/* Since the start of the job: "2:14.02", with hours "1:02:14". */
static void line_time(struct rendering *r, struct strbuf *out, uint64_t offset)
{
	int64_t at = r->lv->started_at > 0 ? logtimes_at(r->times, offset) : 0;
	long long ms = at - r->lv->started_at;

	if (at <= 0) {
		strbuf_adds(out, "<i></i>");
		return;
	}
	if (ms < 0)
		ms = 0;
	if (ms < 3600000)
		strbuf_addf(out, "<i>%lld:%02lld.%02lld</i>", ms / 60000, ms / 1000 % 60,
			ms / 10 % 100);
	else
		strbuf_addf(out, "<i>%lld:%02lld:%02lld</i>", ms / 3600000, ms / 60000 % 60,
			ms / 1000 % 60);
}

static void put_line(struct rendering *r, struct strbuf *out, uint64_t number, uint64_t offset,
	const char *line, size_t len)
{
	const struct log_view *lv = r->lv;
	size_t skip = 0;
	enum log_line_kind kind = log_line_kind(line, len, &skip);
	bool here = number >= lv->marked_from && number <= lv->marked_to;
	unsigned long long n = number;

	strbuf_addf(out,
		"<div class=\"ln%s%s\" id=\"L%llu\"><a class=\"n\" href=\"/jobs/%lld?line=%llu#L%llu\">",
		kind_words[kind].class, here ? " here" : "", n, (long long)lv->id, n, n);
	html_count(out, (long long)n);
	strbuf_adds(out, "</a>");
	line_time(r, out, offset);
	strbuf_adds(out, "<span class=\"x\">");
	if (kind_words[kind].word)
		strbuf_addf(out, "<b class=\"k\">%s</b>", kind_words[kind].word);
	if (kind != LOG_LINE_ENDGROUP)
		html_log(out, line + skip, len - skip, lv->mark, LINE_BYTES);
	if (len - skip > LINE_BYTES)
		strbuf_addf(out, " <a href=\"/jobs/%lld/raw?line=%llu\">show all of it</a>",
			(long long)lv->id, n);
	strbuf_adds(out, "</span></div>\n");
}

/* ---- groups, for who has no script: <details> around each whole or cut one ---- */

static void end_group(struct rendering *r)
{
	bool open = r->keep_open || r->group_lines <= OPEN_LINES;

	if (!r->in_group)
		return;
	strbuf_addf(r->out, "<details%s><summary>", open ? " open" : "");
	strbuf_add(r->out, r->head.buf, r->head.len);
	strbuf_adds(r->out, "</summary>");
	strbuf_add(r->out, r->body.buf, r->body.len);
	strbuf_adds(r->out, "</details>");
	strbuf_clear(&r->head);
	strbuf_clear(&r->body);
	r->in_group = r->keep_open = false;
	r->group_lines = 0;
}

static void group_line(struct rendering *r, uint64_t number, uint64_t offset, const char *line,
	size_t len)
{
	size_t skip;
	enum log_line_kind kind = log_line_kind(line, len, &skip);

	if (kind == LOG_LINE_GROUP) {
		end_group(r);
		r->in_group = true;
		put_line(r, &r->head, number, offset, line, len);
	} else if (r->in_group) {
		r->group_lines++;
		if (kind == LOG_LINE_ERROR ||
			(number >= r->lv->marked_from && number <= r->lv->marked_to))
			r->keep_open = true;
		put_line(r, &r->body, number, offset, line, len);
		if (kind == LOG_LINE_ENDGROUP)
			end_group(r);
	} else {
		put_line(r, r->out, number, offset, line, len);
	}
}

static int render_line(uint64_t number, uint64_t offset, const char *line, size_t len,
	void *data)
{
	struct rendering *r = data;

	if (r->lv->has_groups)
		group_line(r, number, offset, line, len);
	else
		put_line(r, r->out, number, offset, line, len);
	r->count++;
	return 0;
}

int part_log_lines(struct web *w, const struct log_view *lv, struct strbuf *out,
	uint64_t *ret_rendered, struct err *err)
{
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	struct rendering r = { .lv = lv, .out = out, .head = STRBUF_INIT, .body = STRBUF_INIT };
	struct err why = ERR_INIT;
	int got;

	*ret_rendered = 0;
	if (lv->try <= 0)
		return 0;
	if (logfile_open(w->o->jobs, lv->job, lv->try, &f, &why) < 0)
		return why.code == ERR_NOT_FOUND ? 0 : err_set(err, why.code, "%s", why.msg);
	r.times = logtimes_open(w->o->jobs, lv->job, lv->try);
	got = logfile_each(f, lv->from, lv->count, lv->is_whole, render_line, &r, err);
	if (!lv->is_whole)
		r.keep_open = true; /* it still runs */
	end_group(&r);
	strbuf_done(&r.head);
	strbuf_done(&r.body);
	logtimes_free(r.times);
	*ret_rendered = r.count;
	return got;
}

/* ---- /jobs/{id}/lines ---- */

static uint64_t query_number(const struct visit *v, const char *name, uint64_t otherwise,
	uint64_t max)
{
	const char *text = http_query(v->r, name);
	long long n;

	return text && str_to_int(text, 0, INT64_MAX, &n) == 0 ?
		((uint64_t)n > max ? max : (uint64_t)n) :
		otherwise;
}

static bool view_of(struct visit *v, int64_t id, struct log_view *lv, bool as_page)
{
	struct err err = ERR_INIT;

	if (web_log_view(v->web, id, lv, &err) == 0)
		return true;
	if (as_page)
		page_err(v, &err);
	else
		api_error(v, &err, NULL);
	return false;
}

void page_job_lines(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	struct log_view lv = { 0 };
	uint64_t rendered;
	struct err err = ERR_INIT;

	if (!view_of(v, id, &lv, false))
		return;
	lv.from = query_number(v, "from", 1, INT64_MAX);
	lv.count = query_number(v, "n", LINES_MAX, LINES_MAX);
	lv.mark = http_query(v->r, "q");
	if (lv.mark && !lv.mark[0])
		lv.mark = NULL;
	if (part_log_lines(v->web, &lv, &out, &rendered, &err) < 0) {
		strbuf_done(&out);
		api_error(v, &err, NULL);
		return;
	}
	http_answer_take(v->r, 200, "text/html; charset=utf-8", &out);
}

/* ---- scans: in slices, the others have their turn between ---- */

struct scan {
	struct visit *v;
	struct log_view lv;
	struct logscan *scan;
	char *q;
	void (*done)(struct scan *s, const struct logscan_result *r);
};

static void scan_end(struct scan *s, const struct err *err)
{
	static const struct logscan_result none;

	if (err)
		page_err(s->v, err);
	else
		s->done(s, s->scan ? logscan_result(s->scan) : &none);
	logscan_free(s->scan);
	free(s->q);
	free(s);
}

static void scan_slice(struct loop *l, void *data)
{
	struct scan *s = data;
	struct err err = ERR_INIT;
	int r = s->scan ? logscan_step(s->scan, SLICE, &err) : 0;

	if (r > 0)
		loop_add_timer(s->v->web->loop, 0, scan_slice, s);
	else
		scan_end(s, r < 0 ? &err : NULL);
}

static void scan_start(struct visit *v, const struct log_view *lv, const char *q,
	void (*done)(struct scan *s, const struct logscan_result *r))
{
	struct scan *s = xcalloc(1, sizeof(*s));
	struct logfile *f = NULL;
	struct err err = ERR_INIT;

	s->v = v;
	s->lv = *lv;
	s->q = xstrdup_null(q);
	s->done = done;
	if (lv->try > 0 && logfile_open(v->web->o->jobs, lv->job, lv->try, &f, &err) == 0 &&
		logscan_new(f, q, &s->scan, &err) < 0) {
		scan_end(s, &err);
		return;
	}
	scan_slice(v->web->loop, s);
}

static struct json *numbers(const uint64_t *list, size_t len)
{
	struct json *j = json_new_array();

	for (size_t i = 0; i < len; i++)
		json_push(j, json_new_int((int64_t)list[i]));
	return j;
}

static void marks_done(struct scan *s, const struct logscan_result *r)
{
	struct json *j = json_new_object(), *groups = json_new_array();

	for (size_t i = 0; i < r->groups_len; i++) {
		const struct log_group *g = &r->groups[i];
		struct json *item = json_new_array();

		json_push(item, json_new_int((int64_t)g->from));
		json_push(item, json_new_int((int64_t)g->to));
		json_push(item, json_new_int(g->errors));
		json_push_str(item, g->name);
		json_push(groups, item);
	}
	json_set_int(j, "lines", (int64_t)r->lines);
	json_set_int(j, "errors_count", (int64_t)r->errors_count);
	json_set(j, "errors", numbers(r->errors, r->errors_len));
	json_set(j, "groups", groups);
	api_json(s->v, 200, j);
}

void page_job_marks(struct visit *v, int64_t id)
{
	struct log_view lv = { 0 };

	if (view_of(v, id, &lv, false))
		scan_start(v, &lv, NULL, marks_done);
}

static void search_page(struct scan *s, const struct logscan_result *r)
{
	struct strbuf out = STRBUF_INIT;
	struct visit *v = s->v;
	_cleanup_free_ char *back = xasprintf("/jobs/%lld", (long long)s->lv.id);

	page_begin(v, &out, "Search", "Runs");
	page_crumbs(&out, "the log", back, "search", NULL, NULL);
	strbuf_adds(&out, "<h1>");
	html_count(&out, (long long)r->hits_count);
	html_put(&out, " lines hold “$”</h1><div class=\"facts\"><span>in all ", s->q);
	html_count(&out, (long long)r->lines);
	strbuf_adds(&out, " lines");
	if (r->hits_count > HITS_SHOWN)
		html_put(&out, "; the first # are shown", (long long)HITS_SHOWN);
	html_put(&out,
		"</span></div><form class=\"filter\" method=\"get\" action=\"/jobs/#/search\" "
		"role=\"search\"><label class=\"vh\" for=\"find-q\">Search in this log</label>"
		"<input class=\"field\" id=\"find-q\" name=\"q\" value=\"$\"><button class=\"btn\">"
		"Find</button></form><div class=\"panel log\">",
		(long long)s->lv.id, s->q);
	for (size_t i = 0; i < r->hits_len && i < HITS_SHOWN; i++) {
		struct log_view lv = s->lv;
		uint64_t rendered;
		struct err err = ERR_INIT;

		lv.from = r->hits[i];
		lv.count = 1;
		lv.mark = s->q;
		if (part_log_lines(v->web, &lv, &out, &rendered, &err) < 0)
			break;
	}
	strbuf_adds(&out, "</div>");
	page_answer(v, 200, &out);
}

static void search_done(struct scan *s, const struct logscan_result *r)
{
	struct json *j;

	if (!http_query(s->v->r, "json")) {
		search_page(s, r);
		return;
	}
	j = json_new_object();
	json_set_int(j, "count", (int64_t)r->hits_count);
	json_set_int(j, "of", (int64_t)r->lines);
	json_set(j, "lines", numbers(r->hits, r->hits_len));
	api_json(s->v, 200, j);
}

void page_job_search(struct visit *v, int64_t id)
{
	const char *q = http_query(v->r, "q");
	struct log_view lv = { 0 };
	char to[64];

	if (!q || !q[0]) {
		snprintf(to, sizeof(to), "/jobs/%lld", (long long)id);
		http_redirect(v->r, 303, to);
		return;
	}
	if (view_of(v, id, &lv, true))
		scan_start(v, &lv, q, search_done);
}

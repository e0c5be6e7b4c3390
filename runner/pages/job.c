/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `/jobs/{id}`: the log, and what else there is of one job. One address and one code path
 * whether the job is absent, running or over; a line has one number for ever. Without
 * script it is 500 lines around ?line=, else the first error, else the tail.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/logfile.h"
#include "runner/web-internal.h"
#include "store/jobs.h"

#define WINDOW 500
#define LOOK_MAX (64 << 20) /* of a log, for its first error */

static bool job_is_over(const struct json *job)
{
	return json_get_int(job, "completed_at", 0) > 0;
}

/* Where its log lies: a carried row shows that of the row it came from. */
static void view_of_json(const struct json *job, struct log_view *lv)
{
	lv->id = json_get_int(job, "id", 0);
	lv->job = json_get_int(job, "log_job", lv->id);
	lv->try = json_get_int(job, "log_tries", json_get_int(job, "tries", 0));
	lv->is_whole = job_is_over(job);
	lv->started_at = json_get_int(json_at(json_get(job, "steps"), 0), "started_at",
		json_get_int(job, "started_at", 0));
}

/* ---- head and steps ---- */

void part_job_head(struct strbuf *out, const struct json *job, int64_t now)
{
	const char *state = page_job_state(job), *why = json_get_str(job, "reason", "");
	const struct json *labels = json_get(job, "labels"), *notes = json_get(job, "notes");
	const char *environment = json_get_str(job, "environment", "");

	strbuf_adds(out, "<div id=\"job-head\"><div class=\"facts\">");
	html_state(out, state);
	strbuf_adds(out, "<span>");
	html_duration(out, json_get_int(job, "started_at", 0),
		json_get_int(job, "completed_at", 0), now);
	html_put(out, "</span><span>$ at ", json_get_str(job, "branch", ""));
	html_sha(out, json_get_str(job, "sha", ""));
	html_put(out, " $</span>", json_get_str(job, "title", ""));
	for (size_t i = 0; i < json_count(labels) && i < 4; i++)
		html_put(out, "<span>$</span>", json_as_str(json_at(labels, i), ""));
	if (environment[0])
		html_put(out, "<span>environment <b>$</b></span>", environment);
	for (size_t i = 0; i < json_count(notes) && i < 8; i++)
		html_put(out, "<span>$</span>", json_as_str(json_at(notes, i), ""));
	part_job_peaks(out, job);
	strbuf_adds(out, "</div>");
	if (str_eq(state, "awaiting_approval"))
		html_put(out,
			"<div class=\"banner wait\"><div><b>Held at $.</b> It takes no slot while it "
			"waits.</div><a class=\"btn primary\" href=\"/gates/#\">Review and decide…</a>"
			"</div>",
			environment, (long long)json_get_int(job, "gate_id", 0));
	else if (why[0])
		html_put(out, "<p class=\"note @\">$</p>", html_state_class(state), why);
	part_job_held(out, job);
	strbuf_adds(out, "</div>");
}

/* A line under the name: when in the job's time the step ran. */
static void step_place(struct strbuf *out, const struct json *step, int64_t from, int64_t span)
{
	int64_t a = json_get_int(step, "started_at", 0), b = json_get_int(step, "completed_at", 0);
	const char *end = json_get_str(step, "conclusion", "");
	double x, w;

	if (a <= 0 || span <= 0)
		return;
	if (b <= 0)
		b = from + span;
	x = 100.0 * (double)(a - from) / (double)span;
	w = 100.0 * (double)(b - a) / (double)span;
	strbuf_addf(out,
		"<svg class=\"place\" aria-hidden=\"true\"><path class=\"ends\" d=\"M0 1.5h400\"/>"
		"<rect class=\"%s\" x=\"%.1f%%\" width=\"%.1f%%\" height=\"3\"/></svg>",
		str_eq(end, "failure") ? "b-fail" : end[0] ? "b-cancel" : "b-run",
		x < 0 ? 0 : x, w < 1 ? 1 : w);
}

static const char *step_word(const struct json *step)
{
	const char *end = json_get_str(step, "conclusion", "");
	const char *state = end[0] ? end : json_get_str(step, "state", "queued");

	return str_eq(state, "pending") ? "queued" : state;
}

void part_job_steps(struct strbuf *out, const struct json *job, int64_t now)
{
	const struct json *steps = json_get(job, "steps");
	int64_t from = json_get_int(json_at(steps, 0), "started_at", 0);
	int64_t to = json_get_int(job, "completed_at", 0);
	int64_t span = (to > 0 ? to : now) - from;

	strbuf_adds(out, "<ul class=\"steps\" id=\"job-steps\" aria-label=\"Steps\">");
	for (size_t i = 0; i < json_count(steps); i++) {
		const struct json *s = json_at(steps, i);
		const char *word = step_word(s), *why = json_get_str(s, "reason", "");
		long long n = json_get_int(s, "number", (int64_t)i + 1);

		html_put(out, "<li><a href=\"/jobs/#?step=#\" data-step=\"#\"",
			(long long)json_get_int(job, "id", 0), n, n);
		if (why[0])
			html_put(out, " title=\"$\"", why);
		strbuf_adds(out, n == json_get_int(job, "asked_step", -1) ?
				" aria-current=\"true\">" :
				">");
		html_glyph(out, word);
		html_put(out, "<span class=\"name@\">$<span class=\"vh\"> $</span></span><span class=\"dim\">",
			str_eq(word, "skipped") ? " dim" : "", json_get_str(s, "name", ""), word);
		if (json_get_int(s, "started_at", 0) > 0)
			html_duration(out, json_get_int(s, "started_at", 0),
				json_get_int(s, "completed_at", 0), now);
		strbuf_adds(out, "</span>");
		step_place(out, s, from, span);
		strbuf_adds(out, "</a></li>\n");
	}
	if (json_count(steps) == 0)
		strbuf_adds(out, "<li class=\"head\">Its steps appear when it starts.</li>");
	strbuf_adds(out, "</ul>");
}

/* ---- which lines to show first ---- */

struct choice {
	uint64_t from, marked_from, marked_to, total, error;
	bool follow;
};

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
		int64_t start = json_get_int(s, "log_start", -1);

		if (json_get_int(s, "number", (int64_t)i + 1) == n && start >= 0 &&
			logfile_line_at(f, (uint64_t)start, &line, &err) == 0)
			return line;
	}
	return 1;
}

static uint64_t window_start(uint64_t line)
{
	return line > WINDOW / 2 ? line - WINDOW / 2 : 1;
}

/* ?line=A or ?line=A-B; 0 when there is none. */
static uint64_t asked_line(struct visit *v, struct choice *c)
{
	const char *line = http_query(v->r, "line");
	_cleanup_free_ char *first = line ? xstrndup(line, strcspn(line, "-")) : NULL;
	long long a, b;

	if (!first || str_to_int(first, 1, INT64_MAX / 4, &a) < 0)
		return 0;
	c->marked_from = c->marked_to = (uint64_t)a;
	if (strchr(line, '-') && str_to_int(strchr(line, '-') + 1, a, INT64_MAX / 4, &b) == 0)
		c->marked_to = (uint64_t)b;
	return (uint64_t)a;
}

/* The address, else the first error of a job that is over, else the tail. */
static void choose(struct visit *v, const struct json *job, struct logfile *f,
	struct choice *c)
{
	const char *step = http_query(v->r, "step"), *from = http_query(v->r, "from");
	uint64_t line = asked_line(v, c);
	bool over = job_is_over(job);
	struct err err = ERR_INIT;
	long long a;

	if (f && logfile_lines(f, over, &c->total, &err) < 0)
		c->total = 0;
	c->from = c->total > WINDOW ? c->total - WINDOW + 1 : 1;
	if (line) {
		c->from = window_start(line);
	} else if (from && str_to_int(from, 1, INT64_MAX / 4, &a) == 0) {
		c->from = (uint64_t)a;
	} else if (step && f) {
		c->error = line_of_step(job, f, step);
		c->from = window_start(c->error);
	} else if (over && f && str_eq(json_get_str(job, "state", ""), "failure") &&
		logfile_find_prefix(f, 0, "##[error]", LOOK_MAX, &c->error, &err) == 0 &&
		c->error) {
		c->from = window_start(c->error);
	} else {
		c->follow = !over && !step;
	}
}

/* ---- the log's own panel ---- */

static void log_bar(struct strbuf *out, long long id)
{
	html_put(out,
		"<div class=\"logbar\"><span class=\"buttons js\" hidden><button class=\"btn\" "
		"id=\"err\" data-key=\"e\">Errors</button>"
		"<button class=\"btn ghost\" data-key=\"E\" aria-label=\"Previous error\">↑</button>"
		"<button class=\"btn ghost\" data-key=\"e\" aria-label=\"Next error\">↓ <kbd>e</kbd>"
		"</button></span>"
		"<form method=\"get\" action=\"/jobs/#/search\" id=\"find\" role=\"search\">"
		"<label class=\"vh\" for=\"find-q\">Search in this log</label>"
		"<input class=\"field\" id=\"find-q\" name=\"q\" placeholder=\"search all lines\" "
		"maxlength=\"1000\" autocomplete=\"off\"><button class=\"btn noscript\">Find</button>"
		"<output id=\"find-n\" for=\"find-q\"></output></form>",
		id);
	strbuf_adds(out,
		"<span class=\"buttons js\" hidden><button class=\"btn ghost\" id=\"hit-up\" data-key=\"N\" "
		"aria-label=\"Previous hit\" hidden>↑</button><button class=\"btn ghost\" "
		"id=\"hit-down\" data-key=\"n\" aria-label=\"Next hit\" hidden>↓ <kbd>n</kbd></button></span>"
		"<span class=\"buttons js right\" hidden>"
		"<button class=\"btn\" id=\"time\" data-key=\"t\" aria-pressed=\"true\">Time</button>"
		"<button class=\"btn\" id=\"wrap\" data-key=\"w\" aria-pressed=\"true\">Wrap</button>"
		"<button class=\"btn\" id=\"fold\">Fold all</button></span></div>");
}

static void log_pages(struct strbuf *out, long long id, const struct choice *c)
{
	uint64_t last = c->total > WINDOW ? c->total - WINDOW + 1 : 1;

	if (c->total <= WINDOW && c->from == 1)
		return;
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

static void empty_log(struct strbuf *out, const struct choice *c, const struct log_view *lv,
	int64_t removed_at)
{
	strbuf_adds(out, "<p class=\"pad dim\" id=\"log-none\">");
	if (c->marked_from > c->total && c->marked_from)
		html_put(out, "Line # is not written yet; it is shown when it comes.",
			(long long)c->marked_from);
	else if (removed_at > 0) {
		strbuf_adds(out, "This log was kept until ");
		html_time(out, removed_at);
		strbuf_adds(out, ": <code>keep.logs</code> of the configuration.");
	} else if (lv->is_whole)
		strbuf_adds(out, "This job wrote no line.");
	else if (lv->try <= 0)
		strbuf_adds(out, "This job has not started; its first line appears here.");
	else
		strbuf_adds(out, "No line yet; the first appears here.");
	strbuf_adds(out, "</p>");
}

static void log_area(struct visit *v, struct strbuf *out, const struct json *job,
	const struct choice *c, struct log_view *lv)
{
	uint64_t rendered = 0;
	struct err err = ERR_INIT;
	long long id = lv->id;

	lv->from = c->from;
	lv->count = WINDOW;
	lv->marked_from = c->marked_from;
	lv->marked_to = c->marked_to;
	lv->has_groups = true;
	log_bar(out, id);
	html_put(out,
		"<div class=\"logwrap\"><div class=\"gh\" id=\"gh\" hidden></div>"
		"<div class=\"log\" id=\"log\" role=\"region\" tabindex=\"0\" "
		"aria-label=\"Log of $, # lines\" data-job=\"#\" data-total=\"#\" ",
		json_get_str(job, "name", ""), (long long)c->total, id, (long long)c->total);
	html_put(out, "data-line=\"#\" data-error=\"#\" data-follow=\"@\" data-over=\"@\" data-start=\"#\">",
		(long long)c->marked_from, (long long)c->error, c->follow ? "1" : "0",
		lv->is_whole ? "1" : "0", (long long)lv->started_at);
	if (part_log_lines(v->web, lv, out, &rendered, &err) < 0)
		html_put(out, "<p class=\"pad\">The log cannot be read: $</p>", err.msg);
	else if (rendered == 0)
		empty_log(out, c, lv, json_get_int(job, "log_removed_at", 0));
	strbuf_adds(out, "</div><div class=\"marks\" id=\"marks\" aria-hidden=\"true\"></div></div>");
	log_pages(out, id, c);
	strbuf_adds(out, "<div class=\"follow\"><span id=\"follow-text\">");
	html_count(out, (long long)c->total);
	strbuf_adds(out, " lines</span><button class=\"btn primary\" id=\"resume\" data-key=\"f\" hidden>Resume at the "
			 "end <kbd>f</kbd></button></div>");
}

/* ---- the other panels ---- */

static void network(struct strbuf *out, const struct json *job)
{
	static const char *const heads[] = { "Step", "Host", "Rule", ">Times", ">Out", ">In", NULL };
	const struct json *net = json_get(job, "net"), *steps = json_get(job, "steps");

	page_table(out, "Network ledger", "what each step talked to", heads);
	if (json_count(net) == 0)
		strbuf_adds(out, "<tr><td colspan=\"6\" class=\"dim\">It has talked to nothing.</td></tr>");
	for (size_t i = 0; i < json_count(net); i++) {
		const struct json *n = json_at(net, i);
		const char *step = "";

		for (size_t k = 0; k < json_count(steps); k++)
			if (json_get_int(json_at(steps, k), "number", -1) == json_get_int(n, "step", 0))
				step = json_get_str(json_at(steps, k), "name", "");
		html_put(out, "<tr><td>$</td>", step);
		part_net_cells(out, n);
	}
	page_table_end(out);
}

static void one_summary(struct visit *v, struct strbuf *out, const char *digest)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *path = xasprintf("sha256/%.2s/%s", digest, digest);
	struct err err = ERR_INIT;

	/* The name is a digest of the store's own, yet it becomes a path: digits only. */
	if (strlen(digest) != 64 || strspn(digest, "0123456789abcdef") != 64 ||
		fd_read_file(v->web->o->store, path, LIMIT_SUMMARY_STEP, &text, &err) < 0)
		strbuf_adds(out, "<p class=\"dim\">This summary is no longer kept.</p>");
	else
		html_markdown(out, text.buf, text.len);
}

static void summaries(struct visit *v, struct strbuf *out, const struct json *job)
{
	const struct json *list = json_get(job, "summaries");

	strbuf_adds(out, "<section class=\"panel\"><header><h2>Summary</h2><span>written by the steps"
			 "</span></header><div class=\"pad md\">");
	for (size_t i = 0; i < json_count(list) && i < 50; i++)
		one_summary(v, out, json_get_str(json_at(list, i), "digest", ""));
	if (json_count(list) == 0)
		strbuf_adds(out, "<p class=\"dim\">None. A step writes one to "
				 "<code>$GITHUB_STEP_SUMMARY</code>.</p>");
	strbuf_adds(out, "</div></section>");
}

static void spec(struct visit *v, struct strbuf *out, int64_t id)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;

	strbuf_adds(out, "<section class=\"panel\"><header><h2>Spec</h2><span>what the executor is given; "
			 "secrets by name only</span></header>");
	if (jobs_spec(v->web->store, id, &j, &err) < 0) {
		html_put(out, "<p class=\"pad dim\">None yet: $.</p></section>", err.msg);
		return;
	}
	json_write(j, JSON_WRITE_PRETTY, &text);
	html_put(out, "<pre class=\"well\">$</pre></section>", text.buf);
}

static void siblings(struct visit *v, struct strbuf *out, const struct json *job)
{
	_cleanup_(json_freep) struct json *run = NULL;
	struct err err = ERR_INIT;
	const struct json *jobs;

	if (query_run_live(v->web->store, json_get_int(job, "run_id", 0), &run, &err) < 0)
		return;
	jobs = json_get(run, "jobs");
	if (json_count(jobs) < 2)
		return;
	strbuf_adds(out, "<ul class=\"steps others\" aria-label=\"Other jobs\">"
			 "<li class=\"head\">Other jobs of this run</li>");
	for (size_t i = 0; i < json_count(jobs) && i < 60; i++) {
		const struct json *j = json_at(jobs, i);
		const char *state = page_job_state(j);

		if (json_get_int(j, "id", 0) == json_get_int(job, "id", 0))
			continue;
		html_put(out, "<li><a href=\"/jobs/#\">", (long long)json_get_int(j, "id", 0));
		html_glyph(out, state);
		html_put(out, "<span class=\"name\">$<span class=\"vh\"> $</span></span>"
			      "<span class=\"dim\">",
			json_get_str(j, "name", ""), html_state_word(state));
		if (json_get_int(j, "completed_at", 0) > 0 && json_get_int(j, "started_at", 0) > 0)
			html_span(out, json_get_int(j, "completed_at", 0) -
					json_get_int(j, "started_at", 0));
		strbuf_adds(out, "</span></a></li>");
	}
	strbuf_adds(out, "</ul>");
}

/* ---- the page ---- */

static void crumbs(struct strbuf *out, const struct json *job)
{
	_cleanup_free_ char *run =
		xasprintf("/runs/%lld", (long long)json_get_int(job, "run_id", 0));
	_cleanup_free_ char *repo = xasprintf("/repos/%s", json_get_str(job, "repo", ""));
	_cleanup_free_ char *number = xasprintf("%s #%lld", json_get_str(job, "workflow", ""),
		(long long)json_get_int(job, "number", 0));

	page_crumbs(out, json_get_str(job, "repo", ""), repo, number, run,
		json_get_str(job, "name", ""), NULL, NULL);
}

static void actions(struct visit *v, struct strbuf *out, const struct json *job)
{
	long long run = json_get_int(job, "run_id", 0);

	html_put(out, "<div class=\"buttons\"><a class=\"btn\" href=\"/jobs/#/raw\">Raw log</a>"
		      "<a class=\"btn\" href=\"/runs/#/explain/",
		(long long)json_get_int(job, "id", 0), run);
	html_url(out, json_get_str(job, "node", ""));
	strbuf_adds(out, "\">Explain</a>");
	if (!job_is_over(job) && visit_may(v, SCOPE_RUN) && v->session) {
		html_put(out, "<form method=\"post\" action=\"/runs/#\">", run);
		web_csrf_field(v, out);
		strbuf_adds(out, "<button class=\"btn danger\" name=\"do\" value=\"cancel\">Cancel run"
				 "</button></form>");
	}
	strbuf_adds(out, "</div>");
}

static void tabs(struct strbuf *out, const struct json *job, const char *tab)
{
	_cleanup_free_ char *base = xasprintf("/jobs/%lld", (long long)json_get_int(job, "id", 0));
	const struct json *net = json_get(job, "net");
	char hosts[64] = "", count[32];
	const char *last = "", *last_refused = "";
	size_t talked = 0, refused = 0;

	/* By verdict, then by host; a host that was both counts as both. */
	for (size_t i = 0; i < json_count(net); i++) {
		const char *host = json_get_str(json_at(net, i), "host", "");
		bool is_refused =
			str_eq(json_get_str(json_at(net, i), "verdict", ""), "refused");
		const char **before = is_refused ? &last_refused : &last;

		if (!str_eq(host, *before))
			(*(is_refused ? &refused : &talked))++;
		*before = host;
	}
	snprintf(hosts, sizeof(hosts), refused ? "%zu host%s, %zu refused" : "%zu host%s",
		talked, talked == 1 ? "" : "s", refused);
	snprintf(count, sizeof(count), "%zu", json_count(json_get(job, "artifacts")));
	const struct page_tab list[] = { { "", "Log", NULL }, { "/summary", "Summary", NULL },
		{ "/network", "Network", hosts }, { "/artifacts", "Artifacts", count },
		{ "/spec", "Spec", NULL }, { NULL, NULL, NULL } };

	page_tabs(out, "Job", base, tab, list);
}

static void log_tab(struct visit *v, struct strbuf *out, const struct json *job,
	const struct choice *c, struct log_view *lv, int64_t now)
{
	strbuf_adds(out, "<section class=\"panel job\" aria-label=\"Log\"><div class=\"rail\">");
	part_job_steps(out, job, now);
	siblings(v, out, job);
	strbuf_adds(out, "</div><div class=\"pane\">");
	log_area(v, out, job, c, lv);
	strbuf_adds(out, "</div></section><div class=\"cols even\"><div>");
	if (json_count(json_get(job, "net")))
		network(out, job);
	strbuf_adds(out, "</div><div>");
	if (json_count(json_get(job, "summaries")))
		summaries(v, out, job);
	strbuf_adds(out, "</div></div>");
	html_put(out, "<script src=\"@\" defer></script>", asset_url("log.js"));
}

static bool other_tab(struct visit *v, struct strbuf *out, const struct json *job,
	const char *tab)
{
	if (str_eq(tab, "summary"))
		summaries(v, out, job);
	else if (str_eq(tab, "network"))
		network(out, job);
	else if (str_eq(tab, "artifacts"))
		part_artifacts(out, json_get(job, "artifacts"));
	else if (str_eq(tab, "spec"))
		spec(v, out, json_get_int(job, "id", 0));
	else
		return false;
	return true;
}

/* USAGE: what it uses now, or NULL. */
static void show_job(struct visit *v, struct json *job, const char *tab, const struct json *usage)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(logfile_freep) struct logfile *f = NULL;
	_cleanup_free_ char *title = NULL, *path = tab ? xasprintf("/%s", tab) : xstrdup("");
	struct choice c = { .from = 1 };
	struct log_view lv = { 0 };
	const char *step = http_query(v->r, "step");
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();
	long long n;

	view_of_json(job, &lv);
	if (step && str_to_int(step, 0, 100000, &n) == 0)
		json_set_int(job, "asked_step", n);
	if (lv.try > 0 && logfile_open(v->web->o->jobs, lv.job, lv.try, &f, &err) < 0)
		f = NULL;
	choose(v, job, f, &c);
	title = xasprintf("%s · %s · #%lld", html_state_word(page_job_state(job)),
		json_get_str(job, "name", ""), (long long)json_get_int(job, "number", 0));
	v->live = "job";
	v->live_id = lv.id;
	page_begin(v, &out, title, "Runs");
	crumbs(&out, job);
	html_put(&out, "<div class=\"headline\"><h1>$</h1>", json_get_str(job, "name", ""));
	actions(v, &out, job);
	strbuf_adds(&out, "</div>");
	part_job_head(&out, job, now);
	tabs(&out, job, path);
	if (!tab) {
		log_tab(v, &out, job, &c, &lv, now);
		if (!lv.is_whole)
			part_job_usage(&out, lv.id, usage);
	} else if (!other_tab(v, &out, job, tab)) {
		strbuf_done(&out);
		page_not_found(v);
		return;
	}
	page_answer(v, 200, &out);
}

struct shown {
	struct json *job;
	const char *tab; /* lent by the visit's route */
};

static void on_usage(struct visit *v, const struct json *answer, void *data)
{
	struct shown *s = data;

	show_job(v, s->job, s->tab, json_get(answer, "result"));
	json_free(s->job);
	free(s);
}

/* Of a running job its executor is asked first, which answers at once or not at all. */
void page_job(struct visit *v, int64_t id, const char *tab)
{
	_cleanup_(json_freep) struct json *job = NULL;
	struct json *args;
	struct shown *s;
	struct err err = ERR_INIT;

	if (query_job(v->web->store, id, &job, &err) < 0) {
		page_err(v, &err);
		return;
	}
	if (tab || !str_eq(json_get_str(job, "state", ""), "running")) {
		show_job(v, job, tab, NULL);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct shown){ take_ptr(job), tab };
	args = json_new_object();
	json_set_int(args, "job", id);
	web_verb(v, "job.usage", args, on_usage, s);
}

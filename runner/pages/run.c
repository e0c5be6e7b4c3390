/* SPDX-License-Identifier: Apache-2.0 */
/* `/runs/{id}`: one run on a time axis; cancel; and the page before a re-run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

static bool is_over(const struct json *run)
{
	const char *s = json_get_str(run, "state", "");

	return str_eq(s, "success") || str_eq(s, "failure") || str_eq(s, "cancelled") ||
		str_eq(s, "skipped");
}

static const struct json *find_by(const struct json *list, const char *key, int64_t id)
{
	for (size_t i = 0; i < json_count(list); i++)
		if (json_get_int(json_at(list, i), key, 0) == id)
			return json_at(list, i);
	return NULL;
}

/* ---- head ---- */

static void gate_banner(struct strbuf *out, const struct json *g)
{
	const char *environment = json_get_str(g, "environment", "");
	int64_t expires = json_get_int(g, "expires_at", 0);

	strbuf_adds(out, "<div class=\"banner wait\">");
	html_glyph(out, "waiting");
	if (environment[0])
		html_put(out,
			"<div><b>Held at $: # of # approvals.</b><br>Nothing of this environment is "
			"decrypted until the gate opens.",
			environment, (long long)json_get_int(g, "approvals", 0),
			(long long)json_get_int(g, "required", 1));
	else
		strbuf_adds(out, "<div><b>From a fork: no secrets, no network, read-only cache.</b>"
				 "<br>A maintainer starts it.");
	if (expires > 0) {
		strbuf_adds(out, " Expires ");
		html_day(out, expires);
		strbuf_adds(out, ".");
	}
	html_put(out,
		"</div><a class=\"btn primary\" href=\"/gates/#\">Review and decide…</a></div>",
		(long long)json_get_int(g, "id", 0));
}

static void banners(struct strbuf *out, const struct json *run)
{
	const struct json *gates = json_get(run, "gates"), *jobs = json_get(run, "jobs");
	bool any = false;

	for (size_t i = 0; i < json_count(gates); i++) {
		const struct json *g = json_at(gates, i);

		if (!str_eq(json_get_str(g, "state", "pending"), "pending"))
			continue;
		gate_banner(out, g);
		any = true;
	}
	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *j = json_at(jobs, i);

		if (!str_eq(json_get_str(j, "state", ""), "lost"))
			continue;
		strbuf_adds(out, "<div class=\"banner lost\">");
		html_glyph(out, "lost");
		html_put(out,
			"<div><b>$ has no exit record: $.</b><br>It may have run; it was not retried. "
			"Look at its log and at the target, then choose.</div>"
			"<a class=\"btn\" href=\"/jobs/#\">Its log</a>"
			"<a class=\"btn\" href=\"/runs/#/resolve\">Resolve…</a></div>",
			json_get_str(j, "name", ""),
			json_get_str(j, "reason", "the host lost power"),
			(long long)json_get_int(j, "id", 0),
			(long long)json_get_int(run, "id", 0));
		any = true;
	}
	if (!any && json_get_str(run, "reason", "")[0])
		html_put(out, "<p class=\"note\">$</p>", json_get_str(run, "reason", ""));
}

static void earlier_attempt(struct strbuf *out, const struct json *run, int64_t attempt)
{
	const struct json *a = find_by(json_get(run, "attempts"), "attempt", attempt - 1);
	long long id = json_get_int(run, "id", 0),
		  last = json_get_int(run, "last_attempt", attempt);

	if (last <= 1)
		return;
	html_put(out, "<span>attempt <b>#</b> of #", (long long)attempt, last);
	if (a)
		html_put(out, " · <a href=\"/runs/#?attempt=#\">attempt # $</a>", id,
			(long long)attempt - 1, (long long)attempt - 1,
			html_state_word(json_get_str(a, "conclusion", "running")));
	if (attempt < last)
		html_put(out, " · <a href=\"/runs/#\">the last one</a>", id);
	strbuf_adds(out, "</span>");
}

void part_run_head(struct strbuf *out, const struct json *run, int64_t now)
{
	const char *state = json_get_str(run, "state", "queued");

	strbuf_adds(out, "<div id=\"run-head\"><div class=\"facts\">");
	html_state_as(out, state,
		str_eq(state, "waiting") ? "waiting for approval" : html_state_word(state));
	earlier_attempt(out, run, json_get_int(run, "attempt", 1));
	html_put(out, "<span>$ at ", json_get_str(run, "branch", ""));
	html_sha(out, json_get_str(run, "sha", ""));
	html_put(out, "</span><span>$ by <b>$</b> ",
		str_eq(json_get_str(run, "event", ""), "workflow_dispatch") ?
			"dispatched" :
			json_get_str(run, "event", ""),
		json_get_str(run, "actor", ""));
	html_day(out, json_get_int(run, "created_at", 0));
	strbuf_adds(out, "</span><span>");
	html_duration(out, json_get_int(run, "started_at", 0),
		json_get_int(run, "completed_at", 0), now);
	html_put(out, "</span><span>trust <b>$</b></span></div>",
		json_get_str(run, "trust", "trusted"));
	banners(out, run);
	strbuf_adds(out, "</div>");
}

/* ---- the time axis ---- */

struct axis {
	int64_t from, span;
};

static double percent(const struct axis *x, int64_t at)
{
	double p = 100.0 * (double)(at - x->from) / (double)x->span;

	return p < 0 ? 0 : p > 100 ? 100 : p;
}

static struct axis axis_of(const struct json *run, int64_t now)
{
	struct axis x = { json_get_int(run, "started_at", 0), 1 };
	int64_t to = json_get_int(run, "completed_at", 0);

	if (x.from <= 0)
		x.from = json_get_int(run, "created_at", now);
	if (to <= 0)
		to = now;
	if (to > x.from)
		x.span = to - x.from;
	return x;
}

/* At most 8 ticks of 1, 2, 5 by ten seconds, minutes or hours. */
static int64_t tick_of(int64_t span)
{
	static const int64_t steps[] = { 1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200,
		18000, 36000, 86400 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (span / (steps[i] * 1000) < 8)
			return steps[i] * 1000;
	return span / 7;
}

static void axis_head(struct strbuf *out, const struct axis *x)
{
	int64_t tick = tick_of(x->span);

	strbuf_adds(out, "<svg aria-hidden=\"true\"><defs><g id=\"ticks\">");
	for (int64_t t = 0; t <= x->span && t < 9 * tick; t += tick)
		strbuf_addf(out, "<line class=\"grid\" x1=\"%.2f%%\" x2=\"%.2f%%\" y2=\"100%%\"/>",
			percent(x, x->from + t), percent(x, x->from + t));
	strbuf_adds(out, "</g></defs>");
	for (int64_t t = 0; t <= x->span && t < 9 * tick; t += tick) {
		long long s = t / 1000;

		strbuf_addf(out, "<text x=\"%.2f%%\" dx=\"4\" y=\"22\">", percent(x, x->from + t));
		if (s < 3600)
			strbuf_addf(out, "%lld:%02lld</text>", s / 60, s % 60);
		else
			strbuf_addf(out, "%lld:%02lld h</text>", s / 3600, s % 3600 / 60);
	}
	strbuf_adds(out, "</svg>");
}

static void bar(struct strbuf *out, const struct axis *x, const char *class, int64_t a, int64_t b)
{
	double w = percent(x, b) - percent(x, a);

	strbuf_addf(out,
		"<rect class=\"b-%s\" x=\"%.2f%%\" y=\"50%%\" width=\"%.2f%%\" height=\"9\"/>",
		class, percent(x, a), w < .3 ? .3 : w);
}

/* Dotted the wait for a slot, outlined the hold at a gate, solid what ran. */
static void axis_bar(struct strbuf *out, const struct json *job, const struct json *gate,
	const struct axis *x)
{
	int64_t queued = json_get_int(job, "queued_at", 0);
	int64_t a = json_get_int(job, "started_at", 0), b = json_get_int(job, "completed_at", 0);
	int64_t held = json_get_int(gate, "created_at", 0);
	int64_t opened = json_get_int(gate, "decided_at", 0);
	const char *state = page_job_state(job);

	strbuf_adds(out, "<svg aria-hidden=\"true\"><use href=\"#ticks\"/>");
	if (held > 0 && json_get_str(gate, "environment", "")[0] &&
		(!opened || opened - held > 1000))
		bar(out, x, "held", held, opened ? opened : x->from + x->span);
	if (queued > 0 && (a > queued + 500 || str_eq(state, "queued")))
		strbuf_addf(out,
			"<line class=\"b-slot\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"50%%\" y2=\"50%%\"/>",
			percent(x, queued), percent(x, a > 0 ? a : x->from + x->span));
	if (a > 0)
		bar(out, x, html_state_class(state), a, b > 0 ? b : x->from + x->span);
	strbuf_adds(out, "</svg>");
}

/* ---- jobs ---- */

static const char *step_now(const struct json *job)
{
	const struct json *steps = json_get(job, "steps");

	for (size_t i = json_count(steps); i > 0; i--) {
		const struct json *s = json_at(steps, i - 1);

		if (str_eq(json_get_str(s, "state", ""), "running") ||
			str_eq(json_get_str(s, "conclusion", ""), "failure"))
			return json_get_str(s, "name", "");
	}
	return "";
}

/* Why it waits, was skipped or failed; what it does now. */
static void job_sub(struct strbuf *out, const struct json *job, long long run)
{
	const char *state = page_job_state(job), *why = json_get_str(job, "reason", "");
	const char *step = step_now(job), *environment = json_get_str(job, "environment", "");
	const struct json *needs = json_get(job, "needs");

	strbuf_adds(out, "<span class=\"sub\">");
	if (str_eq(state, "awaiting_approval")) {
		html_put(out, "gate <b>$</b>, holds no slot while it waits",
			environment[0] ? environment : "maintainer");
	} else if (str_eq(state, "skipped")) {
		html_put(out, "$ <a href=\"/runs/#/explain/", why, run);
		html_url(out, json_get_str(job, "node", ""));
		strbuf_adds(out, "\">why</a>");
	} else if (why[0]) {
		html_text(out, why);
	} else if (str_eq(state, "blocked") && json_count(needs)) {
		strbuf_adds(out, "needs ");
		for (size_t i = 0; i < json_count(needs) && i < 8; i++)
			html_put(out, "@$", i ? ", " : "", json_as_str(json_at(needs, i), ""));
	} else if (step[0]) {
		html_put(out, "› $", step);
	} else if (str_eq(state, "queued")) {
		strbuf_adds(out, "waits for a slot");
	}
	if (json_get_int(job, "carried_from", 0))
		strbuf_adds(out, " carried from an earlier attempt");
	if (json_get_str(job, "root", NULL))
		html_put(out, " in root $", json_get_str(job, "root", ""));
	strbuf_adds(out, "</span>");
}

static void job_row(struct strbuf *out, const struct json *run, const struct json *job,
	const struct axis *x, int64_t now)
{
	const char *state = page_job_state(job);
	const struct json *gate = find_by(json_get(run, "gates"), "id",
		json_get_int(job, "gate_id", 0));
	long long id = json_get_int(job, "id", 0);
	const char *name = json_get_str(job, "name", "");
	size_t base = strcspn(name, "(");

	html_put(out, "<tr><td class=\"c-state\">");
	html_state(out, state);
	html_put(out, "</td><td class=\"what\"><a href=\"/jobs/#\">", id);
	html_textn(out, name, base);
	if (name[base])
		html_put(out, "<span class=\"dim\">$</span>", name + base);
	strbuf_adds(out, "</a>");
	job_sub(out, job, json_get_int(run, "id", 0));
	strbuf_adds(out, "</td><td class=\"axis c-axis\">");
	axis_bar(out, job, gate, x);
	strbuf_adds(out, "</td><td class=\"num c-ran\">");
	if (str_eq(state, "awaiting_approval") && gate) {
		strbuf_adds(out, "held ");
		html_duration(out, json_get_int(gate, "created_at", 0), 0, now);
	} else {
		html_duration(out, json_get_int(job, "started_at", 0),
			json_get_int(job, "completed_at", 0), now);
	}
	strbuf_adds(out, "</td></tr>\n");
}

void part_run_jobs(struct strbuf *out, const struct json *run, int64_t now)
{
	const struct json *jobs = json_get(run, "jobs");
	struct axis x = axis_of(run, now);

	strbuf_adds(out,
		"<div id=\"run-jobs\"><table class=\"jobs\"><caption class=\"vh\">Jobs</caption>"
		"<thead><tr><th scope=\"col\" class=\"c-state\">State</th>"
		"<th scope=\"col\">Job</th><th scope=\"col\" class=\"axis c-axis\">"
		"<span class=\"vh\">Over time</span>");
	axis_head(out, &x);
	strbuf_adds(out, "</th><th scope=\"col\" class=\"num c-ran\">Ran</th></tr></thead><tbody>");
	for (size_t i = 0; i < json_count(jobs); i++)
		job_row(out, run, json_at(jobs, i), &x, now);
	strbuf_adds(out, "</tbody></table></div>");
}

/* ---- beside the jobs ---- */

static void actions(struct visit *v, struct strbuf *out, const struct json *run)
{
	long long id = json_get_int(run, "id", 0);

	html_put(out,
		"<div class=\"buttons dock\"><a class=\"btn\" href=\"/runs/#/explain\">Explain"
		"</a>",
		id);
	if (visit_may(v, SCOPE_RUN) && v->session) {
		if (is_over(run))
			html_put(out, "<a class=\"btn\" href=\"/runs/#/rerun\">Re-run…</a>", id);
		else {
			html_put(out, "<form method=\"post\" action=\"/runs/#\">", id);
			web_csrf_field(v, out);
			strbuf_adds(out, "<button class=\"btn danger\" name=\"do\" "
					 "value=\"cancel\">Cancel</button></form>");
		}
	}
	strbuf_adds(out, "</div>");
}

static void annotations(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "annotations");
	long long errors = 0, all = (long long)json_count(list);

	if (all == 0)
		return;
	for (size_t i = 0; i < json_count(list); i++)
		errors += str_eq(json_get_str(json_at(list, i), "level", ""), "error");
	html_put(out,
		"<section class=\"panel\"><header><h2>Annotations</h2><span>@# error@, # other@"
		"</span></header><ul class=\"list\">",
		all == 50 ? "the first: " : "", errors, errors == 1 ? "" : "s", all - errors,
		all - errors == 1 ? "" : "s");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *a = json_at(list, i);
		const char *level = json_get_str(a, "level", "notice");
		const char *file = json_get_str(a, "file", ""),
			   *title = json_get_str(a, "title", "");
		long long job = json_get_int(a, "job_id", 0), n = json_get_int(a, "log_line", 0);

		strbuf_adds(out, "<li>");
		html_glyph(out, level);
		html_put(out, "<div><span class=\"vh\">$: </span><b>$", level,
			file[0] ? file : title);
		if (file[0] && json_get_int(a, "line", 0) > 0)
			html_put(out, ":#", (long long)json_get_int(a, "line", 0));
		strbuf_adds(out, "</b> <span class=\"dim\">from ");
		if (n > 0)
			html_put(out, "<a href=\"/jobs/#?line=###L#\">$, line #</a>", job, n, n,
				json_get_str(a, "job", ""), n);
		else
			html_put(out, "<a href=\"/jobs/#\">$</a>", job, json_get_str(a, "job", ""));
		html_put(out, "</span><pre class=\"msg\">$</pre></div></li>",
			json_get_str(a, "message", ""));
	}
	strbuf_adds(out, "</ul></section>");
}

static void link_out(struct strbuf *out, const char *url)
{
	if (str_starts(url, "http://") || str_starts(url, "https://"))
		html_put(out,
			"<br><a rel=\"noopener noreferrer nofollow\" href=\"$\">$</a>", url, url);
}

static void deployments(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "deployments");

	if (json_count(list) == 0)
		return;
	strbuf_adds(out, "<section class=\"panel\"><header><h2>Deployments</h2></header>"
			 "<dl class=\"pad\">");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *d = json_at(list, i);

		html_put(out, "<dt><a href=\"/environments/$/", json_get_str(run, "repo", ""));
		html_url(out, json_get_str(d, "environment", ""));
		html_put(out, "\">$</a></dt><dd>", json_get_str(d, "environment", ""));
		html_state(out, json_get_str(d, "state", "queued"));
		link_out(out, json_get_str(d, "url", ""));
		strbuf_adds(out, "</dd>");
	}
	strbuf_adds(out, "</dl></section>");
}

void part_artifacts(struct strbuf *out, const struct json *list)
{
	strbuf_adds(out, "<section class=\"panel\"><header><h2>Artifacts</h2></header>");
	if (json_count(list) == 0)
		strbuf_adds(out, "<p class=\"pad dim\">None. A step with actions/upload-artifact "
				 "makes one.</p>");
	else
		strbuf_adds(out, "<dl class=\"pad\">");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *a = json_at(list, i);
		const char *digest = json_get_str(a, "digest", "");

		html_put(out, "<dt><a class=\"mono\" href=\"/api/v1/artifacts/#\">$</a></dt><dd>",
			(long long)json_get_int(a, "id", 0), json_get_str(a, "name", ""));
		html_bytes(out, json_get_int(a, "size", 0));
		html_put(out, " · <code title=\"$\">sha256 ", digest);
		html_textn(out, digest, strlen(digest) < 12 ? strlen(digest) : 12);
		strbuf_adds(out, "…</code></dd>");
	}
	strbuf_adds(out, json_count(list) ? "</dl></section>" : "</section>");
}

static void attempts(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "attempts");

	if (json_count(list) < 2)
		return;
	strbuf_adds(out, "<section class=\"panel\"><header><h2>Attempts</h2></header>"
			 "<dl class=\"pad\">");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *a = json_at(list, i);
		long long n = json_get_int(a, "attempt", 0);
		const char *by = json_get_str(a, "by", "");

		html_put(out, "<dt><a href=\"/runs/#?attempt=#\">attempt #</a></dt><dd>",
			(long long)json_get_int(run, "id", 0), n, n);
		html_state(out, json_get_str(a, "conclusion", "")[0] ?
				json_get_str(a, "conclusion", "") :
				"running");
		if (by[0])
			html_put(out, " <span class=\"dim\">by $</span>", by);
		strbuf_adds(out, "</dd>");
	}
	strbuf_adds(out, "</dl></section>");
}

/* ---- acting ---- */

static void on_done(struct visit *v, const struct json *answer, void *data)
{
	_cleanup_free_ char *to = data;

	if (answer && json_get_bool(answer, "ok", false))
		http_redirect(v->r, 303, to);
	else
		page_refused(v, answer);
}

static void resolve(struct visit *v, int64_t id)
{
	const char *job = http_form(v->r, "job"), *how = http_form(v->r, "conclusion");
	const char *comment = http_form(v->r, "comment");
	struct json *args = json_new_object();
	long long n = 0;

	if (job && str_to_int(job, 1, INT64_MAX, &n) == 0)
		json_set_int(args, "job", n);
	json_set_str(args, "conclusion", how ? how : "");
	json_set_str(args, "comment", comment ? comment : "");
	web_verb(v, "job.resolve", args, on_done, xasprintf("/runs/%lld", (long long)id));
}

static void act(struct visit *v, int64_t id)
{
	const char *what = http_form(v->r, "do"), *job = http_form(v->r, "job");
	struct json *args;

	if (!visit_may(v, SCOPE_RUN)) {
		page_denied(v, SCOPE_RUN);
		return;
	}
	if (!web_same_origin(v))
		return;
	if (str_eq(what, "resolve")) {
		resolve(v, id);
		return;
	}
	args = json_new_object();
	json_set_int(args, "run", id);
	if (str_eq(what, "rerun-failed"))
		json_set_bool(args, "failed", true);
	if (str_eq(what, "rerun-job"))
		json_set_str(args, "job", job ? job : "");
	web_verb(v, str_eq(what, "cancel") ? "run.cancel" : "run.rerun", args, on_done,
		xasprintf("/runs/%lld", (long long)id));
}

/* ---- the pages ---- */

static struct json *find_run(struct visit *v, int64_t id)
{
	const char *attempt = http_query(v->r, "attempt");
	struct json *run = NULL;
	struct err err = ERR_INIT;
	long long n = 0;

	if (attempt && str_to_int(attempt, 1, 1000000, &n) < 0)
		n = 0;
	if (query_run(v->web->store, id, n, &run, &err) == 0)
		return run;
	page_err(v, &err);
	return NULL;
}

static void crumbs(struct strbuf *out, const struct json *run, const char *more)
{
	const char *name = json_get_str(run, "repo", "");
	_cleanup_free_ char *repo = xasprintf("/repos/%s", name);
	_cleanup_free_ char *workflow = xasprintf("/?q=repo:%s", name);
	_cleanup_free_ char *self =
		xasprintf("/runs/%lld", (long long)json_get_int(run, "id", 0));
	_cleanup_free_ char *number =
		xasprintf("#%lld", (long long)json_get_int(run, "number", 0));

	page_crumbs(out, name, repo, json_get_str(run, "workflow", ""), workflow, number,
		more ? self : NULL, more, NULL, NULL);
}

void page_run(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	_cleanup_free_ char *title = NULL;
	int64_t now = clock_wall_ms();
	long long number;

	if (strcmp(http_method(v->r), "POST") == 0) {
		act(v, id);
		return;
	}
	run = find_run(v, id);
	if (!run)
		return;
	number = json_get_int(run, "number", 0);
	title = xasprintf("%s · %s · #%lld", html_state_word(json_get_str(run, "state", "")),
		json_get_str(run, "title", ""), number);
	/* What is over for good, or an earlier attempt, does not change under the reader. */
	if (json_get_int(run, "attempt", 1) == json_get_int(run, "last_attempt", 1))
		v->live = "run";
	v->live_id = id;
	page_begin(v, &out, title, "Runs");
	crumbs(&out, run, NULL);
	html_put(&out, "<div class=\"headline\"><h1>$ <span class=\"dim\">###</span></h1>",
		json_get_str(run, "title", "(no title)"), number);
	actions(v, &out, run);
	strbuf_adds(&out, "</div>");
	part_run_head(&out, run, now);
	/* Rows of a live run are of one height, whatever a job has to say: nothing moves. */
	html_put(&out, "<section class=\"panel@\" aria-label=\"Jobs\">",
		json_get_int(run, "completed_at", 0) > 0 ? "" : " live");
	part_run_graph(&out, run);
	part_run_jobs(&out, run, now);
	strbuf_adds(&out, "</section><div class=\"cols\"><div>");
	part_run_findings(&out, v->web, run);
	annotations(&out, run);
	part_run_net(&out, run);
	strbuf_adds(&out, "</div><div>");
	deployments(&out, run);
	if (json_count(json_get(run, "artifacts")))
		part_artifacts(&out, json_get(run, "artifacts"));
	attempts(&out, run);
	strbuf_adds(&out, "</div></div>");
	page_answer(v, 200, &out);
}

static void rerun_choice(struct visit *v, struct strbuf *out, long long id, const char *what,
	const char *label, const char *says)
{
	html_put(out, "<li><form method=\"post\" action=\"/runs/#\">", id);
	web_csrf_field(v, out);
	html_put(out,
		"<button class=\"btn\" name=\"do\" value=\"@\">@</button></form><p>@</p></li>",
		what, label, says);
}

static void rerun_one(struct visit *v, struct strbuf *out, const struct json *run)
{
	const struct json *jobs = json_get(run, "jobs");
	const char *last = "";

	html_put(out, "<li><form method=\"post\" action=\"/runs/#\">",
		(long long)json_get_int(run, "id", 0));
	web_csrf_field(v, out);
	strbuf_adds(out, "<label for=\"job\" class=\"vh\">Job</label>"
			 "<select class=\"field\" id=\"job\" name=\"job\">");
	for (size_t i = 0; i < json_count(jobs); i++) {
		const char *node = json_get_str(json_at(jobs, i), "node", "");

		if (!str_eq(node, last))
			html_put(out, "<option value=\"$\">$</option>", node, node);
		last = node;
	}
	strbuf_adds(out,
		"</select> <button class=\"btn\" name=\"do\" value=\"rerun-job\">Re-run this "
		"job</button></form><p>That job and every job that needs it.</p></li>");
}

void page_rerun(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;

	if (strcmp(http_method(v->r), "POST") == 0) {
		act(v, id);
		return;
	}
	run = find_run(v, id);
	if (!run)
		return;
	page_begin(v, &out, "Re-run", "Runs");
	crumbs(&out, run, "re-run");
	html_put(&out,
		"<div class=\"narrow\"><h1>Re-run $</h1>"
		"<p>It becomes attempt # of the same run, at the same commit. Trust stays, and "
		"gates ask again.</p><ul class=\"panel choices\">",
		json_get_str(run, "title", ""),
		(long long)json_get_int(run, "last_attempt", 1) + 1);
	rerun_choice(v, &out, id, "rerun", "Re-run all jobs", "Nothing of this attempt is kept.");
	rerun_choice(v, &out, id, "rerun-failed", "Re-run failed jobs",
		"Failed and cancelled jobs and all that need them. Results, outputs and artifacts "
		"of the others are kept.");
	rerun_one(v, &out, run);
	strbuf_adds(&out, "</ul></div>");
	page_answer(v, 200, &out);
}

/* A lost job: nobody knows how it ended, so a person says. */
void page_resolve(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	const struct json *jobs;
	size_t lost = 0;

	run = find_run(v, id);
	if (!run)
		return;
	jobs = json_get(run, "jobs");
	page_begin(v, &out, "Resolve", "Runs");
	crumbs(&out, run, "resolve");
	strbuf_adds(&out,
		"<div class=\"narrow\"><h1>How did it end?</h1><p>The host lost power or the "
		"job's processes died before they could say. It may have run to its end; it "
		"was not retried. Look at the log and at the target, then say what you "
		"found: it is written into the audit log with your name.</p>");
	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *j = json_at(jobs, i);
		long long n = json_get_int(j, "id", 0);

		if (!str_eq(json_get_str(j, "state", ""), "lost"))
			continue;
		lost++;
		html_put(&out,
			"<form class=\"panel pad\" method=\"post\" action=\"/runs/#\">"
			"<h2><a href=\"/jobs/#\">$</a></h2>",
			(long long)id, n, json_get_str(j, "name", ""));
		web_csrf_field(v, &out);
		html_put(&out,
			"<input type=\"hidden\" name=\"do\" value=\"resolve\">"
			"<input type=\"hidden\" name=\"job\" value=\"#\">"
			"<p><label for=\"c#\">What you found</label><textarea class=\"field\" id=\"c#\" "
			"name=\"comment\" maxlength=\"2000\"></textarea></p><p class=\"buttons\">"
			"<button class=\"btn\" name=\"conclusion\" value=\"success\">It succeeded</button>"
			"<button class=\"btn danger\" name=\"conclusion\" value=\"failure\">It failed"
			"</button></p></form>",
			n, n, n);
	}
	if (lost == 0)
		strbuf_adds(&out, "<p class=\"note\">No job of this run is lost any more.</p>");
	strbuf_adds(&out, "</div>");
	page_answer(v, 200, &out);
}

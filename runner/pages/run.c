/* SPDX-License-Identifier: Apache-2.0 */
/* `/runs/{id}`: one run; cancel and re-run; and why a job did what it did. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"
#include "store/jobs.h"

static bool is_over(const struct json *run)
{
	const char *s = json_get_str(run, "state", "");

	return str_eq(s, "success") || str_eq(s, "failure") || str_eq(s, "cancelled") ||
		str_eq(s, "skipped");
}

static void banner(struct strbuf *out, const struct json *run, int64_t now)
{
	const char *state = json_get_str(run, "state", "");
	const struct json *gates = json_get(run, "gates");
	char left[CLOCK_TEXT_MAX];

	for (size_t i = 0; i < json_count(gates); i++) {
		const struct json *g = json_at(gates, i);
		int64_t expires = json_get_int(g, "expires_at", 0);

		if (!str_eq(json_get_str(g, "state", "pending"), "pending"))
			continue;
		strbuf_adds(out, "<div class=\"banner\">");
		html_glyph(out, "waiting");
		html_put(out,
			"<div><b>Held at $: # of # approvals.</b><br>Nothing of this environment "
			"is decrypted until the gate opens.",
			json_get_str(g, "environment", "the maintainer's gate"),
			(long long)json_get_int(g, "approvals", 0),
			(long long)json_get_int(g, "required", 1));
		if (expires > now)
			html_put(out, " Expires in @.", clock_duration(expires - now, left));
		html_put(out,
			"</div><a class=\"btn primary\" href=\"/gates/#\">Review and decide…</a>"
			"</div>",
			(long long)json_get_int(g, "id", 0));
	}
	if (str_eq(state, "lost"))
		strbuf_adds(out,
			"<div class=\"banner lost\"><div><b>A deploy has no exit record.</b><br>It may "
			"have run; it was not retried. Look at its log and at the target, then "
			"cancel or re-run.</div></div>");
	if (json_get_str(run, "reason", "")[0] && !json_count(gates))
		html_put(out, "<p class=\"note\">$</p>", json_get_str(run, "reason", ""));
}

void part_run_head(struct strbuf *out, const struct json *run, int64_t now)
{
	const char *sha = json_get_str(run, "sha", "");
	int64_t attempt = json_get_int(run, "attempt", 1);

	strbuf_adds(out, "<div id=\"run-head\" aria-live=\"polite\"><div class=\"facts\">");
	html_state(out, json_get_str(run, "state", "queued"));
	if (attempt > 1)
		html_put(out, "<span>attempt <b>#</b></span>", (long long)attempt);
	html_put(out, "<span>$ at <code title=\"$\">", json_get_str(run, "branch", ""), sha);
	html_textn(out, sha, strlen(sha) < 7 ? strlen(sha) : 7);
	html_put(out, "</code></span><span>$ by <b>$</b> ", json_get_str(run, "event", ""),
		json_get_str(run, "actor", ""));
	html_day(out, json_get_int(run, "created_at", 0));
	strbuf_adds(out, "</span><span>");
	html_duration(out, json_get_int(run, "started_at", 0),
		json_get_int(run, "completed_at", 0), now);
	html_put(out, "</span><span>trust <b>$</b></span></div>",
		json_get_str(run, "trust", "trusted"));
	banner(out, run, now);
	strbuf_adds(out, "</div>");
}

/* One bar: dotted wait for a slot, outlined hold at a gate, solid run. */
static void axis(struct strbuf *out, const struct json *job, int64_t from, int64_t span)
{
	int64_t queued = json_get_int(job, "queued_at", 0);
	int64_t created = json_get_int(job, "created_at", 0);
	int64_t a = json_get_int(job, "started_at", 0);
	int64_t b = json_get_int(job, "completed_at", 0);
	const char *state = json_get_str(job, "state", "");
	double k = 100.0 / (double)span;

	strbuf_adds(out, "<svg aria-hidden=\"true\">");
	if (str_eq(state, "awaiting_approval") && created > 0)
		strbuf_addf(out,
			"<rect class=\"b-held\" x=\"%.2f%%\" y=\"12\" width=\"%.2f%%\" height=\"11\"/>",
			k * (double)((queued ? queued : created) - from),
			k * (double)(from + span - (queued ? queued : created)));
	if (queued > 0 && a > queued)
		strbuf_addf(out,
			"<line class=\"b-slot\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"18\" y2=\"18\"/>",
			k * (double)(queued - from), k * (double)(a - from));
	if (a > 0) {
		int64_t end = b > 0 ? b : from + span;

		strbuf_addf(out,
			"<rect class=\"b-%s\" x=\"%.2f%%\" y=\"12\" width=\"%.2f%%\" height=\"11\"/>",
			html_state_class(state), k * (double)(a - from),
			k * (double)(end - a) < .3 ? .3 : k * (double)(end - a));
	}
	strbuf_adds(out, "</svg>");
}

static const char *step_now(const struct json *job)
{
	const struct json *steps = json_get(job, "steps");

	for (size_t i = json_count(steps); i > 0; i--) {
		const struct json *s = json_at(steps, i - 1);
		const char *state = json_get_str(s, "state", "");
		const char *end = json_get_str(s, "conclusion", "");

		if (str_eq(state, "running") || str_eq(state, "in_progress") ||
			str_eq(end, "failure"))
			return json_get_str(s, "name", "");
	}
	return "";
}

static void job_row(struct strbuf *out, const struct json *job, long long run, int64_t from,
	int64_t span, int64_t now)
{
	const char *state = json_get_str(job, "state", "");
	const char *why = json_get_str(job, "reason", "");
	long long id = json_get_int(job, "id", 0);

	html_put(out, "<tr id=\"job-#\"><td class=\"c-state\">", id);
	html_state(out, state);
	html_put(out, "</td><td><a href=\"/jobs/#\">$</a>", id, json_get_str(job, "name", ""));
	if (!why[0])
		why = step_now(job);
	if (why[0])
		html_put(out, "<span class=\"sub\">$</span>", why);
	if (json_get_int(job, "carried_from", 0))
		strbuf_adds(out, "<span class=\"sub dim\">carried from an earlier attempt</span>");
	if (str_eq(state, "skipped"))
		html_put(out, "<span class=\"sub\"><a href=\"/runs/#/explain/$\">why</a></span>",
			run, json_get_str(job, "node", ""));
	strbuf_adds(out, "</td><td class=\"axis c-axis\">");
	axis(out, job, from, span);
	strbuf_adds(out, "</td><td class=\"num\">");
	html_duration(out, json_get_int(job, "started_at", 0),
		json_get_int(job, "completed_at", 0), now);
	strbuf_adds(out, "</td></tr>\n");
}

void part_run_jobs(struct strbuf *out, const struct json *run, int64_t now)
{
	const struct json *jobs = json_get(run, "jobs");
	int64_t from = json_get_int(run, "started_at", 0);
	int64_t to = json_get_int(run, "completed_at", 0);

	if (from <= 0)
		from = json_get_int(run, "created_at", now);
	if (to <= from)
		to = now > from ? now : from + 1;
	strbuf_adds(out,
		"<div id=\"run-jobs\"><table class=\"jobs\"><caption class=\"vh\">Jobs</caption>"
		"<thead><tr><th scope=\"col\" class=\"c-state\">State</th>"
		"<th scope=\"col\">Job</th><th scope=\"col\" class=\"c-axis\">Over time</th>"
		"<th scope=\"col\" class=\"num\">Ran</th></tr></thead><tbody>");
	for (size_t i = 0; i < json_count(jobs); i++)
		job_row(out, json_at(jobs, i), json_get_int(run, "id", 0), from, to - from, now);
	strbuf_adds(out, "</tbody></table></div>");
}

static void actions(struct visit *v, struct strbuf *out, const struct json *run)
{
	long long id = json_get_int(run, "id", 0);

	strbuf_adds(out, "<div class=\"buttons\">");
	html_put(out, "<a class=\"btn\" href=\"/runs/#/explain\">Explain</a>", id);
	if (visit_may(v, SCOPE_RUN) && v->session) {
		html_put(out, "<form method=\"post\" action=\"/runs/#\">", id);
		web_csrf_field(v, out);
		if (is_over(run))
			strbuf_adds(out,
				"<button class=\"btn\" name=\"do\" value=\"rerun\">Re-run all jobs"
				"</button><button class=\"btn\" name=\"do\" value=\"rerun-failed\">"
				"Re-run failed jobs</button>");
		else
			strbuf_adds(out,
				"<button class=\"btn danger\" name=\"do\" value=\"cancel\">Cancel"
				"</button>");
		strbuf_adds(out, "</form>");
	}
	strbuf_adds(out, "</div>");
}

static void annotations(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "annotations");

	if (json_count(list) == 0)
		return;
	html_put(out, "<section class=\"panel\"><header><h2>Annotations</h2><span>#</span></header>"
		      "<table><tbody>",
		(long long)json_count(list));
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *a = json_at(list, i);
		const char *level = json_get_str(a, "level", "notice");
		const char *file = json_get_str(a, "file", "");

		strbuf_adds(out, "<tr><td class=\"c-state\">");
		html_put(out, "<span class=\"st @\">$</span></td><td>",
			str_eq(level, "error") ? "fail" : str_eq(level, "warning") ? "wait" : "idle",
			level);
		if (file[0])
			html_put(out, "<b>$:#</b> ", file, (long long)json_get_int(a, "line", 0));
		html_put(out, "$<span class=\"sub mono\">$</span></td></tr>",
			json_get_str(a, "title", ""), json_get_str(a, "message", ""));
	}
	strbuf_adds(out, "</tbody></table></section>");
}

static void deployments(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "deployments");

	if (json_count(list) == 0)
		return;
	strbuf_adds(out, "<section class=\"panel\"><header><h2>Deployments</h2></header>"
			 "<table><tbody>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *d = json_at(list, i);
		const char *url = json_get_str(d, "url", "");

		html_put(out, "<tr><td>$</td><td>", json_get_str(d, "environment", ""));
		html_state(out, json_get_str(d, "state", json_get_str(d, "result", "queued")));
		if (str_starts(url, "http://") || str_starts(url, "https://"))
			html_put(out,
				"<span class=\"sub\"><a rel=\"noopener noreferrer nofollow\" "
				"href=\"$\">$</a></span>",
				url, url);
		strbuf_adds(out, "</td></tr>");
	}
	strbuf_adds(out, "</tbody></table></section>");
}

static void artifacts(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "artifacts");

	if (json_count(list) == 0)
		return;
	strbuf_adds(out, "<section class=\"panel\"><header><h2>Artifacts</h2></header>"
			 "<table><tbody>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *a = json_at(list, i);
		const char *digest = json_get_str(a, "digest", "");

		html_put(out, "<tr><td><a href=\"/api/v1/artifacts/#\">$</a></td><td>",
			(long long)json_get_int(a, "id", 0), json_get_str(a, "name", ""));
		html_bytes(out, json_get_int(a, "size", 0));
		strbuf_adds(out, " · <code>sha256 ");
		html_textn(out, digest, strlen(digest) < 12 ? strlen(digest) : 12);
		strbuf_adds(out, "</code></td></tr>");
	}
	strbuf_adds(out, "</tbody></table></section>");
}

static void attempts(struct strbuf *out, const struct json *run)
{
	const struct json *list = json_get(run, "attempts");

	if (json_count(list) < 2)
		return;
	strbuf_adds(out, "<section class=\"panel\"><header><h2>Attempts</h2></header>"
			 "<table><tbody>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *a = json_at(list, i);
		long long n = json_get_int(a, "attempt", 0);

		html_put(out, "<tr><td><a href=\"/runs/#?attempt=#\">attempt #</a></td><td>",
			(long long)json_get_int(run, "id", 0), n, n);
		html_state(out, json_get_str(a, "conclusion", "running"));
		html_put(out, "<span class=\"sub\">$</span></td></tr>",
			json_get_str(a, "by", ""));
	}
	strbuf_adds(out, "</tbody></table></section>");
}

static void on_done(struct visit *v, const struct json *answer, void *data)
{
	if (answer && json_get_bool(answer, "ok", false)) {
		http_redirect(v->r, 303, http_path(v->r));
		return;
	}
	page_error(v, answer ? 409 : 503, "Nothing was changed",
		json_get_str(json_get(answer, "error"), "message",
			"The server is restarting; running jobs go on."),
		json_get_str(json_get(answer, "error"), "hint", NULL));
}

static void act(struct visit *v, int64_t id)
{
	const char *what = http_form(v->r, "do");
	struct json *args;

	if (!visit_may(v, SCOPE_RUN)) {
		page_denied(v, SCOPE_RUN);
		return;
	}
	if (!web_same_origin(v))
		return;
	args = json_new_object();
	json_set_int(args, "run", id);
	if (str_eq(what, "rerun-failed"))
		json_set_bool(args, "failed", true);
	web_verb(v, str_eq(what, "cancel") ? "run.cancel" : "run.rerun", args, on_done, NULL);
}

void page_run(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	_cleanup_free_ char *title = NULL, *number = NULL;
	const char *attempt = http_query(v->r, "attempt");
	struct err err = ERR_INIT;
	long long n = 0;
	int64_t now = clock_wall_ms();

	if (strcmp(http_method(v->r), "POST") == 0) {
		act(v, id);
		return;
	}
	if (attempt && str_to_int(attempt, 1, 1000000, &n) < 0)
		n = 0;
	if (query_run(v->web->store, id, n, &run, &err) < 0) {
		page_err(v, &err);
		return;
	}
	number = xasprintf("#%lld", (long long)json_get_int(run, "number", 0));
	title = xasprintf("%s · %s · %s", json_get_str(run, "state", ""),
		json_get_str(run, "title", ""), number);
	page_begin(v, &out, title, "Runs");
	_cleanup_free_ char *repo = xasprintf("/?q=repo:%s", json_get_str(run, "repo", ""));

	page_crumbs(&out, json_get_str(run, "repo", ""), repo, json_get_str(run, "workflow", ""),
		NULL, number, NULL, NULL);
	html_put(&out, "<div class=\"headline\"><h1>$ <span class=\"dim\">$</span></h1>",
		json_get_str(run, "title", "(no title)"), number);
	actions(v, &out, run);
	strbuf_adds(&out, "</div>");
	part_run_head(&out, run, now);
	html_put(&out, "<section class=\"panel\" data-live=\"run\" data-id=\"#\">", (long long)id);
	part_run_graph(&out, run);
	part_run_jobs(&out, run, now);
	strbuf_adds(&out, "</section><div class=\"cols\"><div>");
	annotations(&out, run);
	strbuf_adds(&out, "</div><div>");
	deployments(&out, run);
	artifacts(&out, run);
	attempts(&out, run);
	strbuf_adds(&out, "</div></div>");
	page_answer(v, 200, &out);
}

/* ---- explain ---- */

static void trace_rows(struct strbuf *out, const struct json *trace)
{
	const struct json *items = json_is(trace, JSON_KIND_ARRAY) ? trace :
								     json_get(trace, "trace");

	if (json_count(items) == 0) {
		strbuf_adds(out, "<p class=\"pad dim\">No condition was evaluated.</p>");
		return;
	}
	strbuf_adds(out, "<table><thead><tr><th scope=\"col\">Expression</th>"
			 "<th scope=\"col\" class=\"num\">Value</th></tr></thead><tbody>");
	for (size_t i = 0; i < json_count(items) && i < 500; i++) {
		const struct json *t = json_at(items, i);
		bool reached = json_get_bool(t, "reached", true);
		_cleanup_free_ char *value =
			reached ? json_text(json_get(t, "value")) : xstrdup("not reached");

		html_put(out, "<tr><td class=\"mono@\">", reached ? "" : " dim");
		for (int64_t d = json_get_int(t, "depth", 0); d > 0 && d < 60; d--)
			strbuf_adds(out, "&nbsp;&nbsp;");
		html_put(out, "$</td><td class=\"num mono@\">$</td></tr>",
			json_get_str(t, "source", json_get_str(t, "text", "")),
			reached ? "" : " dim", value);
	}
	strbuf_adds(out, "</tbody></table>");
}

static void explain_job(struct visit *v, struct strbuf *out, const struct json *job)
{
	_cleanup_(json_freep) struct json *trace = NULL;
	struct err err = ERR_INIT;
	const char *why = json_get_str(job, "reason", "");

	strbuf_adds(out, "<section class=\"panel\"><header><h2>");
	html_put(out, "<a href=\"/jobs/#\">$</a></h2>", (long long)json_get_int(job, "id", 0),
		json_get_str(job, "name", ""));
	html_state(out, json_get_str(job, "state", ""));
	strbuf_adds(out, "</header>");
	if (why[0])
		html_put(out, "<p class=\"pad\"><b>because</b> $</p>", why);
	if (query_trace(v->web->store, json_get_int(job, "id", 0), &trace, &err) == 0)
		trace_rows(out, trace);
	strbuf_adds(out, "</section>");
}

void page_explain(struct visit *v, int64_t id, const char *job_key)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	_cleanup_free_ char *href = xasprintf("/runs/%lld", (long long)id);
	struct err err = ERR_INIT;
	const struct json *jobs;
	size_t shown = 0;

	if (query_run(v->web->store, id, 0, &run, &err) < 0) {
		page_err(v, &err);
		return;
	}
	page_begin(v, &out, "Explain", "Runs");
	page_crumbs(&out, json_get_str(run, "repo", ""), NULL, json_get_str(run, "title", ""),
		href, "explain", NULL, NULL);
	strbuf_adds(&out, "<h1>Why it went as it did</h1><div class=\"facts\">");
	html_state(&out, json_get_str(run, "state", ""));
	html_put(&out, "<span>$</span></div>", json_get_str(run, "reason", ""));
	jobs = json_get(run, "jobs");
	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *j = json_at(jobs, i);

		if (job_key && !str_eq(job_key, json_get_str(j, "node", "")))
			continue;
		explain_job(v, &out, j);
		shown++;
	}
	if (shown == 0)
		html_put(&out, "<p class=\"note\">This run has no job '$'.</p>",
			job_key ? job_key : "");
	page_answer(v, 200, &out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `/runs/{id}/explain`: why each job ran, waits or was skipped, from the stored trace. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/findings.h"
#include "runner/html.h"
#include "runner/web-internal.h"

#define ROWS_MAX 500

static bool is_true(const struct json *value)
{
	return json_as_bool(value, false) ||
		(json_is(value, JSON_KIND_STRING) && json_as_str(value, "")[0]) ||
		(json_is(value, JSON_KIND_INT) && json_as_int(value, 0) != 0);
}

static void trace_row(struct strbuf *out, const struct json *t)
{
	bool reached = json_get_bool(t, "reached", true);
	const struct json *value = json_get(t, "value");
	long long depth = json_get_int(t, "depth", 0);
	_cleanup_free_ char *text = NULL;

	if (json_is(value, JSON_KIND_STRING))
		text = xasprintf("'%s'", json_as_str(value, ""));
	else
		text = json_text(value);
	html_put(out, "<tr@><td class=\"mono d#\">$</td><td class=\"num mono @\">$</td></tr>",
		reached ? "" : " class=\"dim\"", depth < 0 ? 0 : depth > 9 ? 9 : depth,
		json_get_str(t, "text", json_get_str(t, "source", "")),
		!reached	     ? "" :
			is_true(value) ? "yes" :
					 "no",
		reached ? text : "not reached");
}

static void findings(struct strbuf *out, const struct json *list)
{
	strbuf_adds(out, "<ul class=\"list\">");
	for (size_t i = 0; i < json_count(list) && i < ROWS_MAX; i++) {
		const struct json *d = json_at(list, i);
		const char *hint = json_get_str(d, "hint", "");

		strbuf_adds(out, "<li>");
		html_glyph(out, "failure");
		html_put(out,
			"<div><b>$:#:#</b> <span class=\"dim\">$</span><p class=\"mono msg\">$</p>",
			json_get_str(d, "file", ""), (long long)json_get_int(d, "line", 0),
			(long long)json_get_int(d, "column", 0), json_get_str(d, "code", ""),
			json_get_str(d, "message", ""));
		if (hint[0])
			html_put(out, "<span class=\"sub\">$</span>", hint);
		strbuf_adds(out, "</div></li>");
	}
	html_put(out,
		"</ul><p class=\"foot\">Mend it and push. Before that: <code>sluice lint $</code></p>",
		json_get_str(json_at(list, 0), "file", "FILE"));
}

void part_run_findings(struct strbuf *out, struct web *w, const struct json *run)
{
	const struct json *job = json_at(json_get(run, "jobs"), 0);
	_cleanup_(json_freep) struct json *trace = NULL;
	struct err err = ERR_INIT;

	if (!str_eq(json_get_str(job, "node", ""), "workflow") ||
		!str_eq(page_job_state(job), "failure") ||
		query_trace(w->store, json_get_int(job, "id", 0), &trace, &err) < 0 ||
		!findings_are(trace))
		return; /* the row of the job has its reason all the same */
	html_put(out,
		"<section class=\"panel\" id=\"findings\"><header><h2>The workflow cannot be read"
		"</h2><span># finding@</span></header>",
		(long long)json_count(trace), json_count(trace) == 1 ? "" : "s");
	findings(out, trace);
	strbuf_adds(out, "</section>");
}

static void trace_table(struct visit *v, struct strbuf *out, const struct json *job)
{
	_cleanup_(json_freep) struct json *trace = NULL;
	const struct json *items;
	struct err err = ERR_INIT;

	if (query_trace(v->web->store, json_get_int(job, "id", 0), &trace, &err) < 0) {
		html_put(out, "<p class=\"pad\">The trace cannot be read: $</p>", err.msg);
		return;
	}
	items = json_is(trace, JSON_KIND_ARRAY) ? trace : json_get(trace, "trace");
	if (findings_are(items)) {
		findings(out, items);
		return;
	}
	if (json_count(items) == 0) {
		strbuf_adds(out,
			str_eq(page_job_state(job), "blocked")
				? "<p class=\"pad dim\">Not decided yet: it waits for what it needs.</p>"
				: "<p class=\"pad dim\">It has no if:, so every job it needs had to "
				  "succeed.</p>");
		return;
	}
	strbuf_adds(out,
		"<table class=\"trace\"><caption class=\"vh\">Trace</caption><thead>"
		"<tr><th scope=\"col\">Expression</th><th scope=\"col\" class=\"num\">Value"
		"</th></tr></thead><tbody>");
	for (size_t i = 0; i < json_count(items) && i < ROWS_MAX; i++)
		trace_row(out, json_at(items, i));
	strbuf_adds(out, "</tbody></table>");
}

static void verdict(struct strbuf *out, const struct json *job)
{
	static const struct {
		const char *state, *text;
	} says[] = {
		{ "blocked", "It waits for what it needs." },
		{ "held", "It is held by a rule and takes no slot." },
		{ "queued", "It may run; it waits for a slot." },
		{ "awaiting_approval", "It is held at the gate of its environment." },
		{ "skipped", "Its condition was false." },
		{ "lost", "Whether it ran to its end is not known." },
		{ "cancelled", "It was cancelled." },
	};
	const char *why = json_get_str(job, "reason", ""), *state = page_job_state(job);

	strbuf_adds(out, "<p class=\"pad verdict\"><b>");
	if (why[0]) {
		html_text(out, why);
	} else {
		const char *text = "It ran: its condition was true.";

		for (size_t i = 0; i < ARRAY_SIZE(says); i++)
			if (str_eq(state, says[i].state))
				text = says[i].text;
		strbuf_adds(out, text);
	}
	strbuf_adds(out, "</b></p>");
}

static void explain_job(struct visit *v, struct strbuf *out, const struct json *job)
{
	html_put(out, "<section class=\"panel\"><header><h2><a href=\"/jobs/#\">$</a></h2>",
		(long long)json_get_int(job, "id", 0), json_get_str(job, "name", ""));
	html_state(out, page_job_state(job));
	strbuf_adds(out, "</header>");
	verdict(out, job);
	trace_table(v, out, job);
	strbuf_adds(out, "</section>");
}

/* The way on for a job that did not run or did not succeed, once its run is over. */
static void way_on(struct strbuf *out, const struct json *run, const struct json *job)
{
	const char *state = job ? page_job_state(job) : json_get_str(run, "state", "");
	long long id = (long long)json_get_int(run, "id", 0);

	/* Nothing was started, ever: its file could not be read, and would not be again. */
	if (json_get_int(run, "started_at", 0) <= 0 && str_eq(state, "failure"))
		return;
	if (json_get_int(run, "completed_at", 0) <= 0 ||
		(!str_eq(state, "skipped") && !str_eq(state, "failure") &&
			!str_eq(state, "cancelled")))
		return;
	html_put(out,
		"<section class=\"panel\" id=\"way-on\"><header><h2>What would make it run</h2>"
		"</header><div class=\"pad\"><a href=\"/runs/#/rerun\">Re-run</a> what failed: the "
		"results, outputs and artifacts of the other jobs are kept, and gates ask again."
		"<pre class=\"well\">sluice rerun --failed #</pre>",
		id, id);
	if (str_eq(state, "skipped"))
		strbuf_adds(out, "A condition with <code>always()</code> or <code>!cancelled()</code> "
				 "does not begin with <code>success()</code>: it may run although a "
				 "need failed.");
	strbuf_adds(out, "</div></section>");
}

static void decided(struct strbuf *out, const struct json *run, const char *current)
{
	const struct json *jobs = json_get(run, "jobs");

	strbuf_adds(out,
		"<section class=\"panel\"><header><h2>How each job was decided</h2></header>"
		"<table><caption class=\"vh\">Jobs</caption><tbody>");
	for (size_t i = 0; i < json_count(jobs) && i < 100; i++) {
		const struct json *j = json_at(jobs, i);
		const char *node = json_get_str(j, "node", "");

		if (json_get_int(j, "row", 0) > 0)
			continue;
		html_put(out, "<tr@><td class=\"c-state\">", str_eq(node, current) ? " class=\"now\"" : "");
		html_state(out, page_job_state(j));
		html_put(out, "</td><td><a href=\"/runs/#/explain/",
			(long long)json_get_int(run, "id", 0));
		html_url(out, node);
		html_put(out, "\">$</a></td></tr>", node);
	}
	strbuf_adds(out,
		"</tbody></table></section>"
		"<section class=\"panel\"><header><h2>Not shown</h2></header><p class=\"pad\">"
		"Secrets appear in a trace as <code>***</code>, and so do their length and any "
		"comparison with them.</p></section>");
}

static const struct json *find_job(const struct json *run, const char *key)
{
	const struct json *jobs = json_get(run, "jobs");

	for (size_t i = 0; i < json_count(jobs); i++)
		if (str_eq(json_get_str(json_at(jobs, i), "node", ""), key))
			return json_at(jobs, i);
	return NULL;
}

static void head(struct strbuf *out, const struct json *run, const struct json *job)
{
	const char *state = job ? page_job_state(job) : json_get_str(run, "state", "");
	const char *name = job ? json_get_str(job, "name", "") : json_get_str(run, "title", "");
	const char *verb = str_eq(state, "skipped") ? "was %s skipped" :
		str_eq(state, "queued") || str_eq(state, "blocked") || str_eq(state, "held") ||
			str_eq(state, "waiting") || str_eq(state, "awaiting_approval") ?
						      "does %s wait" :
						      "did %s go as it did";
	const char *at = strstr(verb, "%s");
	_cleanup_free_ char *before = xstrndup(verb, (size_t)(at - verb));

	html_put(out, "<h1>Why @$@?</h1><div class=\"facts\">", before, name, at + 2);
	html_state(out, state);
	html_put(out, "<span>run ###, attempt #</span><code>sluice explain #",
		(long long)json_get_int(run, "number", 0),
		(long long)json_get_int(run, "attempt", 1),
		(long long)json_get_int(run, "id", 0));
	if (job)
		html_put(out, "/$", json_get_str(job, "node", ""));
	strbuf_adds(out, "</code></div>");
}

void page_explain(struct visit *v, int64_t id, const char *job_key)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *run = NULL;
	_cleanup_free_ char *href = xasprintf("/runs/%lld", (long long)id), *number = NULL;
	struct err err = ERR_INIT;
	const struct json *jobs, *job;

	if (query_run(v->web->store, id, 0, &run, &err) < 0) {
		page_err(v, &err);
		return;
	}
	job = job_key ? find_job(run, job_key) : NULL;
	if (job_key && !job) {
		page_error(v, 404, "No such job", "This run has no job with that key.", NULL);
		return;
	}
	number = xasprintf("#%lld", (long long)json_get_int(run, "number", 0));
	page_begin(v, &out, "Explain", "Runs");
	page_crumbs(&out, json_get_str(run, "repo", ""), NULL, number, href, "explain", NULL, NULL);
	head(&out, run, job);
	strbuf_adds(&out, "<div class=\"cols\"><div>");
	jobs = json_get(run, "jobs");
	for (size_t i = 0; i < json_count(jobs) && i < 60; i++) {
		const struct json *j = json_at(jobs, i);

		if ((job_key && !str_eq(job_key, json_get_str(j, "node", ""))) ||
			(!job_key && json_get_int(j, "row", 0) > 0))
			continue;
		explain_job(v, &out, j);
	}
	strbuf_adds(&out, "</div><div>");
	way_on(&out, run, job);
	decided(&out, run, job_key);
	strbuf_adds(&out, "</div></div>");
	page_answer(v, 200, &out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `/`: runs that need a person, live ones, then the rest by day; and the first run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

#define DAY_MS 86400000LL

static bool needs_person(const struct json *run)
{
	const char *state = json_get_str(run, "state", "");

	return str_eq(state, "waiting") || str_eq(state, "lost");
}

static bool is_live(const struct json *run)
{
	const char *state = json_get_str(run, "state", "");

	return str_eq(state, "running") || str_eq(state, "queued") || str_eq(state, "pending");
}

#define STRIP_ROWS 5

/* Bars of the jobs over the time of the run, 132 by 24: one path for each colour. */
static void strip(struct strbuf *out, const struct json *run, int64_t now)
{
	static const char *const classes[] = { "ok", "fail", "run", "wait", "lost", "cancel" };
	const struct json *jobs = json_get(run, "jobs");
	size_t n = json_count(jobs), rows = n < STRIP_ROWS ? n : STRIP_ROWS;
	int64_t from = json_get_int(run, "started_at", 0);
	int64_t to = json_get_int(run, "completed_at", 0);
	double height = n > 1 ? 22.0 / (double)rows : 8, top = n > 1 ? 1 : 8;

	if (n == 0 || from <= 0)
		return;
	if (to <= from)
		to = now > from ? now : from + 1;
	if (height > 6)
		height = 6;
	strbuf_adds(out, "<svg class=\"strip\" aria-hidden=\"true\"><path class=\"ends\" "
			 "d=\"M.5 2v20M131.5 2v20\"/>");
	for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
		bool any = false;

		for (size_t i = 0; i < n && i < 60; i++) {
			const struct json *j = json_at(jobs, i);
			int64_t a = json_get_int(j, "started_at", 0);
			int64_t b = json_get_int(j, "completed_at", 0);
			double x, w;

			if (a <= 0 || !str_eq(html_state_class(page_job_state(j)), classes[c]))
				continue;
			if (b <= 0)
				b = to;
			x = 1 + 130.0 * (double)(a - from) / (double)(to - from);
			w = 130.0 * (double)(b - a) / (double)(to - from);
			if (!any)
				strbuf_addf(out, "<path class=\"b-%s\" d=\"", classes[c]);
			any = true;
			strbuf_addf(out, "M%.0f %.1fh%.0fv%.1fh-%.0fz", x < 1 ? 1 : x,
				top + (double)(i % rows) * height, w < 2 ? 2 : w, height - 1,
				w < 2 ? 2 : w);
		}
		if (any)
			strbuf_adds(out, "\"/>");
	}
	strbuf_adds(out, "</svg>");
}

static void gate_reason(struct strbuf *out, const struct json *gate, int64_t now)
{
	const char *environment = json_get_str(gate, "environment", "");
	int64_t left = json_get_int(gate, "expires_at", 0) - now;

	if (environment[0])
		html_put(out, "Gate <b>$</b>: # of # approvals", environment,
			(long long)json_get_int(gate, "approvals", 0),
			(long long)json_get_int(gate, "required", 1));
	else
		strbuf_adds(out, "From a fork: a maintainer starts it");
	if (left > 0) {
		strbuf_adds(out, " · expires in ");
		html_span(out, left);
	}
}

/* Why it is as it is: the gate, the store's words, or the job that says most. */
static void reason(struct strbuf *out, const struct json *run, int64_t now)
{
	static const char *const tell[] = { "lost", "failure", "running", "claimed", "released",
		"cancelling", "queued", "held" };
	const struct json *gate = json_at(json_get(run, "gates"), 0);
	const struct json *jobs = json_get(run, "jobs");
	const char *why = json_get_str(run, "reason", "");

	if (gate) {
		gate_reason(out, gate, now);
		return;
	}
	if (why[0]) {
		html_text(out, why);
		return;
	}
	for (size_t k = 0; k < ARRAY_SIZE(tell); k++)
		for (size_t i = 0; i < json_count(jobs); i++) {
			const struct json *j = json_at(jobs, i);

			if (!str_eq(page_job_state(j), tell[k]))
				continue;
			html_put(out, "<b>$</b> ", json_get_str(j, "name", ""));
			strbuf_adds(out, str_eq(tell[k], "lost") ?
					"has no exit record. It may have run; not retried" :
				str_eq(tell[k], "failure") ? "failed" :
				str_eq(tell[k], "queued")  ? "waits for a slot" :
							     html_state_word(tell[k]));
			return;
		}
	for (size_t i = 0; i < json_count(jobs); i++) {
		const char *environment = json_get_str(json_at(jobs, i), "environment", "");

		if (!environment[0] || !str_eq(json_get_str(run, "state", ""), "success"))
			continue;
		html_put(out, "deployed to <b>$</b>", environment);
		return;
	}
}

static void times(struct strbuf *out, const struct json *run, const struct json *gate,
	int64_t now)
{
	int64_t created = json_get_int(run, "created_at", 0);

	html_duration(out, json_get_int(run, "started_at", 0),
		json_get_int(run, "completed_at", 0), now);
	strbuf_adds(out, "<span class=\"sub\">");
	if (gate) {
		strbuf_adds(out, "held ");
		html_duration(out, json_get_int(gate, "created_at", 0), 0, now);
	} else if (json_get_int(run, "started_at", 0) <= 0 && is_live(run)) {
		strbuf_adds(out, "queued ");
		html_duration(out, created, 0, now);
	} else {
		html_clock(out, created); /* the section above names the day */
	}
	strbuf_adds(out, "</span>");
}

static const char *event_words(const char *event)
{
	static const char *const words[][2] = { { "workflow_dispatch", "dispatch" },
		{ "pull_request", "pull request" },
		{ "pull_request_target", "pull request, base" },
		{ "repository_dispatch", "dispatch by API" } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(event, words[i][0]))
			return words[i][1];
	return event;
}

void part_run_row(struct strbuf *out, const struct json *run, int64_t now)
{
	const char *state = json_get_str(run, "state", "queued");
	const struct json *gate = json_at(json_get(run, "gates"), 0);
	long long id = json_get_int(run, "id", 0);

	html_put(out, "<tr id=\"run-#\" class=\"@\"><td class=\"c-state\">", id,
		html_state_class(state));
	html_state(out, state);
	html_put(out,
		"</td><td class=\"what\"><a href=\"/runs/#\">$</a> "
		"<span class=\"dim\">###</span><span class=\"sub\">",
		id, json_get_str(run, "title", "(no title)"),
		(long long)json_get_int(run, "number", 0));
	reason(out, run, now);
	html_put(out, "</span></td><td class=\"c-where\">$<span class=\"sub\">$</span></td>",
		json_get_str(run, "repo", ""), json_get_str(run, "workflow", ""));
	html_put(out, "<td class=\"c-ref\"><code>$</code><span class=\"sub\">",
		json_get_str(run, "branch", ""));
	html_sha(out, json_get_str(run, "sha", ""));
	html_put(out,
		"</span></td><td class=\"c-who\">$<span class=\"sub\">$</span></td>"
		"<td class=\"c-strip\">",
		json_get_str(run, "actor", ""), event_words(json_get_str(run, "event", "")));
	strip(out, run, now);
	strbuf_adds(out, "</td><td class=\"c-time num\">");
	times(out, run, gate, now);
	strbuf_adds(out, "</td><td class=\"c-act num\">");
	if (gate)
		html_put(out, "<a class=\"btn primary\" href=\"/gates/#\">Review…</a>",
			(long long)json_get_int(gate, "id", 0));
	else if (str_eq(state, "lost"))
		html_put(out, "<a class=\"btn\" href=\"/runs/#/resolve\">Resolve…</a>", id);
	strbuf_adds(out, "</td></tr>\n");
}

static void section(struct strbuf *out, const char *title, const char *words)
{
	html_put(out, "<tr class=\"sect\"><td colspan=\"8\"><b>$</b>$</td></tr>\n", title,
		words ? words : "");
}

static void live_section(struct strbuf *out, const struct json *items)
{
	char words[96];
	int running = 0, queued = 0;

	for (size_t i = 0; i < json_count(items); i++) {
		if (!is_live(json_at(items, i)))
			continue;
		if (str_eq(json_get_str(json_at(items, i), "state", ""), "running"))
			running++;
		else
			queued++;
	}
	snprintf(words, sizeof(words), " — %d running, %d queued", running, queued);
	section(out, "Live", words);
}

static void rows(struct strbuf *out, const struct json *items, int64_t now)
{
	int64_t day = -1;
	bool any = false;

	for (size_t i = 0; i < json_count(items); i++) {
		if (!needs_person(json_at(items, i)))
			continue;
		if (!any)
			section(out, "Needs you", " — a person has to decide before these go on");
		any = true;
		part_run_row(out, json_at(items, i), now);
	}
	any = false;
	for (size_t i = 0; i < json_count(items); i++) {
		if (!is_live(json_at(items, i)))
			continue;
		if (!any)
			live_section(out, items);
		any = true;
		part_run_row(out, json_at(items, i), now);
	}
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *run = json_at(items, i);
		int64_t at = json_get_int(run, "created_at", 0);

		if (needs_person(run) || is_live(run))
			continue;
		if (at / DAY_MS != day) {
			char iso[CLOCK_TEXT_MAX];

			day = at / DAY_MS;
			clock_format(at, iso);
			iso[10] = '\0';
			section(out,
				day == now / DAY_MS	      ? "Earlier today" :
					day == now / DAY_MS - 1 ? "Yesterday" :
								  iso,
				NULL);
		}
		part_run_row(out, run, now);
	}
}

/* `repo:a/b state:failure branch:main event:push who:x env:production sha:abcd wf:ci` */
struct filter {
	char *copy;
	struct query_runs q;
	const char *wrong;
};

static void filter_done(struct filter *f)
{
	free(f->copy);
}

static void parse_filter(struct filter *f, const char *text)
{
	char *save = NULL;

	f->copy = xstrdup(text);
	for (char *w = strtok_r(f->copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *colon = strchr(w, ':');
		const char *value = colon ? colon + 1 : "";

		if (colon)
			*colon = '\0';
		if (colon && str_eq(w, "repo"))
			f->q.repo = value;
		else if (colon && str_eq(w, "state"))
			f->q.state = value;
		else if (colon && str_eq(w, "branch"))
			f->q.branch = value;
		else if (colon && str_eq(w, "event"))
			f->q.event = value;
		else if (colon && str_eq(w, "who"))
			f->q.actor = value;
		else if (colon && str_eq(w, "env"))
			f->q.environment = value;
		else if (colon && str_eq(w, "sha"))
			f->q.sha = value;
		else if (colon && str_eq(w, "workflow"))
			f->q.workflow = value;
		else
			f->wrong = w;
	}
}

static int64_t sum(const struct json *counts, const char *const *states)
{
	int64_t n = 0;

	for (; *states; states++)
		n += json_get_int(counts, *states, 0);
	return n;
}

static void saved_filters(struct strbuf *out, const char *q, const char *mine,
	const struct json *counts)
{
	static const char *const none[] = { NULL }, *const needs[] = { "waiting", "lost", NULL },
				 *const live[] = { "pending", "queued", "running", NULL },
				 *const failed[] = { "failure", NULL };
	const struct {
		const char *q, *name, *const *states;
	} saved[] = {
		{ "", "All", none },
		{ "state:attention", "Needs you", needs },
		{ "state:live", "Live", live },
		{ "state:failure", "Failed", failed },
		{ mine, "Mine", none },
	};

	strbuf_adds(out, "<nav class=\"tabs\" aria-label=\"Saved filters\">");
	for (size_t i = 0; i < ARRAY_SIZE(saved); i++) {
		int64_t n = sum(counts, saved[i].states);

		strbuf_adds(out, saved[i].q[0] ? "<a href=\"/?q=" : "<a href=\"/");
		html_url(out, saved[i].q);
		html_put(out, "\"@>@", strcmp(saved[i].q, q) == 0 ? " aria-current=\"page\"" : "",
			saved[i].name);
		if (n > 0) {
			strbuf_adds(out, " <b>");
			html_count(out, n);
			strbuf_adds(out, "</b>");
		}
		strbuf_adds(out, "</a>");
	}
	strbuf_adds(out, "</nav>");
}

static void filter_form(struct visit *v, struct strbuf *out, const char *q,
	const struct filter *f, const struct json *counts)
{
	_cleanup_free_ char *mine = xasprintf("who:%s", v->who.name);

	html_put(out,
		"<form class=\"filter\" method=\"get\" action=\"/\" role=\"search\">"
		"<label class=\"vh\" for=\"q\">Filter runs</label>"
		"<input class=\"field\" id=\"q\" name=\"q\" value=\"$\" autocomplete=\"off\" "
		"placeholder=\"repo: state: branch: event: who: env: sha: workflow:\"@>"
		"<button class=\"btn\">Filter</button></form>",
		q, f->wrong ? " aria-invalid=\"true\" aria-describedby=\"q-wrong\"" : "");
	if (f->wrong)
		html_put(out,
			"<p class=\"note fail\" id=\"q-wrong\">'$' is no word of the filter; it is not "
			"used. Known: repo: state: branch: event: who: env: sha: workflow:, as in "
			"state:failure branch:main</p>",
			f->wrong);
	saved_filters(out, q, mine, counts);
}

/* ---- nothing here yet ---- */

static void step(struct strbuf *out, int n, bool done, const char *title, const char *text,
	const char *command)
{
	strbuf_adds(out, "<li>");
	if (done)
		html_glyph(out, "done");
	else
		html_put(out, "<span class=\"n\">#</span>", (long long)n);
	html_put(out, "<div><h2>$@</h2><p>$</p>", title,
		done ? "<span class=\"vh\">, done</span>" : "", text);
	if (command)
		html_put(out, "<pre class=\"well\">$</pre>", command);
	strbuf_adds(out, "</div></li>");
}

static void legend(struct strbuf *out)
{
	static const char *const list[][2] = {
		{ "queued", "ready or held by a rule; the row says by which" },
		{ "waiting", "a person or a clock must open a gate" },
		{ "running", "steps run now; the log is live from its first byte" },
		{ "success", "done; drawn thin, because it needs nothing from you" },
		{ "failure", "a step failed, or a gate was rejected or expired" },
		{ "cancelled", "stopped by a person, or superseded" },
		{ "skipped", "its condition was false; Explain shows the values" },
		{ "lost", "it may or may not have happened; you decide, sluice never guesses" },
	};

	strbuf_adds(out, "<section class=\"panel\"><header><h2>How to read the pages</h2>"
			 "<span>each state has one shape and one word</span></header>"
			 "<dl class=\"pad\">");
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		strbuf_adds(out, "<dt>");
		html_state(out, list[i][0]);
		html_put(out, "</dt><dd>$</dd>", list[i][1]);
	}
	strbuf_adds(out, "</dl></section>");
}

/* What would be here, and what makes it so; the first step is checked truthfully. */
static void first_run(struct visit *v, struct strbuf *out)
{
	_cleanup_(json_freep) struct json *repos = NULL;
	struct err err = ERR_INIT;
	bool have_repo = false;
	const char *confinement = v->web->o->confinement ? v->web->o->confinement : "full";
	bool full = strcmp(confinement, "full") == 0;

	if (query_repos(v->web->store, &repos, &err) == 0)
		have_repo = json_count(json_get(repos, "items")) > 0;
	strbuf_adds(out, "<div class=\"narrow wide\"><h1>No runs yet. Three things to do.</h1>"
			 "<p>sluice runs the workflows in <code>.github/workflows</code> of a "
			 "repository, unchanged, on this machine.</p><ol class=\"panel todo\">");
	step(out, 1, true, "The server is up and can confine steps",
		full ? "Namespaces, seccomp and Landlock are all there: confinement full." :
		       "Steps are confined, but something of the full set is missing.",
		NULL);
	step(out, 2, have_repo, "Connect a repository",
		"Run this where you are logged in as the owner. It adds the repository and prints "
		"the webhook address and secret to paste at the forge. GitHub, Gitea, Forgejo and "
		"GitLab work alike.",
		"sluice repo add OWNER/NAME --url https://git.example.com/OWNER/NAME.git");
	step(out, 3, false, "Push a commit",
		"The run appears on this page by itself. For a bare repository on this machine, "
		"let its hook tell:",
		"sluice hook install /srv/git/NAME.git");
	strbuf_adds(out, "</ol>");
	if (!full)
		html_put(out,
			"<p class=\"note wait\">Steps are confined, named $. <code>sluice doctor</code> "
			"says how to get full.</p>",
			confinement);
	html_put(out,
		"<section class=\"panel\"><header><h2>Listening for the first delivery</h2>");
	html_state(out, "listening");
	html_put(out,
		"</header><p class=\"pad\"><code>$/hooks/github</code> · nothing received yet</p>"
		"</section>",
		v->web->o->url);
	legend(out);
	strbuf_adds(out, "</div>");
}

static void more(struct strbuf *out, const struct json *list, const char *q)
{
	const struct json *next = json_get(list, "next");

	if (!json_is(next, JSON_KIND_INT))
		return;
	html_put(out, "<p class=\"pages\"><a class=\"btn\" rel=\"next\" href=\"/?before=#&amp;q=",
		(long long)json_as_int(next, 0));
	html_url(out, q);
	strbuf_adds(out, "\">Older runs</a></p>");
}

static void list(struct strbuf *out, const struct json *page, const char *q, int64_t now)
{
	strbuf_adds(out,
		"<div class=\"panel\"><table class=\"runs\">"
		"<caption class=\"vh\">Runs</caption><thead><tr>"
		"<th scope=\"col\" class=\"c-state\">State</th><th scope=\"col\">What</th>"
		"<th scope=\"col\" class=\"c-where\">Where</th>"
		"<th scope=\"col\" class=\"c-ref\">Ref</th>"
		"<th scope=\"col\" class=\"c-who\">Who</th>"
		"<th scope=\"col\" class=\"c-strip\">Jobs over time</th>"
		"<th scope=\"col\" class=\"c-time num\">Time</th>"
		"<th scope=\"col\" class=\"c-act\"><span class=\"vh\">Action</span></th>"
		"</tr></thead><tbody>");
	rows(out, json_get(page, "items"), now);
	strbuf_adds(out, "</tbody></table></div>");
	more(out, page, q);
}

void page_runs(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	const char *q = http_query(v->r, "q"), *before = http_query(v->r, "before");
	_cleanup_(filter_done) struct filter f = { 0 };
	_cleanup_(json_freep) struct json *page = NULL;
	_cleanup_(json_freep) struct json *counts = NULL;
	struct err err = ERR_INIT;
	long long n = 0;
	bool asked = (q && q[0]) || before;

	parse_filter(&f, q ? q : "");
	if (before && str_to_int(before, 1, INT64_MAX, &n) == 0)
		f.q.before = n;
	if (query_runs(v->web->store, &f.q, &page, &err) < 0 ||
		query_run_counts(v->web->store, f.q.repo, &counts, &err) < 0) {
		page_err(v, &err);
		return;
	}
	v->live = "runs";
	page_begin(v, &out, "Runs", "Runs");
	if (json_count(json_get(page, "items")) == 0 && !asked) {
		strbuf_adds(&out, "<div id=\"new-runs\"></div>");
		first_run(v, &out);
		page_answer(v, 200, &out);
		return;
	}
	strbuf_adds(&out, "<div class=\"headline\"><h1>Runs</h1>");
	if (visit_may(v, SCOPE_RUN))
		strbuf_adds(&out, "<a class=\"btn\" href=\"/repos\">Run a workflow…</a>");
	strbuf_adds(&out, "</div>");
	filter_form(v, &out, q ? q : "", &f, counts);
	strbuf_adds(&out, "<div id=\"new-runs\" aria-live=\"polite\"></div>");
	if (json_count(json_get(page, "items")) == 0)
		strbuf_adds(&out, "<p class=\"note\">No run matches this filter. "
				  "<a href=\"/\">Show all</a></p>");
	else
		list(&out, page, q ? q : "", clock_wall_ms());
	page_answer(v, 200, &out);
}

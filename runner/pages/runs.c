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

/* Bars of the jobs over the time of the run: 132 by 24. */
static void strip(struct strbuf *out, const struct json *run, int64_t now)
{
	const struct json *jobs = json_get(run, "jobs");
	size_t n = json_count(jobs), rows = n < 5 ? n : 5;
	int64_t from = json_get_int(run, "started_at", 0);
	int64_t to = json_get_int(run, "completed_at", 0);
	double height;

	if (n == 0 || from <= 0)
		return;
	if (to <= 0)
		to = now;
	if (to <= from)
		to = from + 1;
	height = 22.0 / (double)(rows ? rows : 1);
	if (height > 7)
		height = 7;
	strbuf_adds(out, "<svg class=\"strip\" viewBox=\"0 0 132 24\" aria-hidden=\"true\">"
			 "<path class=\"tick-line\" d=\"M.5 2v20M131.5 2v20\"/>");
	for (size_t i = 0; i < n && i < 60; i++) {
		const struct json *j = json_at(jobs, i);
		int64_t a = json_get_int(j, "started_at", 0);
		int64_t b = json_get_int(j, "completed_at", 0);
		double x, w;

		if (a <= 0)
			continue;
		if (b <= 0)
			b = to;
		x = 130.0 * (double)(a - from) / (double)(to - from) + 1;
		w = 130.0 * (double)(b - a) / (double)(to - from);
		strbuf_addf(out,
			"<rect class=\"b-%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
			"height=\"%.1f\"/>",
			html_state_class(json_get_str(j, "state", "")), x < 1 ? 1 : x,
			1 + (double)(i % rows) * (height + .5), w < 1.5 ? 1.5 : w, height - .8);
	}
	strbuf_adds(out, "</svg>");
}

static void reason(struct strbuf *out, const struct json *run, int64_t now)
{
	const struct json *gate = json_at(json_get(run, "gates"), 0);
	const char *why = json_get_str(run, "reason", "");
	char text[CLOCK_TEXT_MAX];

	if (gate) {
		int64_t left = json_get_int(gate, "expires_at", 0) - now;

		html_put(out, "Gate <b>$</b>: # of # approvals",
			json_get_str(gate, "environment", "maintainer"),
			(long long)json_get_int(gate, "approvals", 0),
			(long long)json_get_int(gate, "required", 1));
		if (left > 0)
			html_put(out, " · expires in @", clock_duration(left, text));
		return;
	}
	if (why[0]) {
		html_text(out, why);
		return;
	}
	const struct json *jobs = json_get(run, "jobs");

	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *j = json_at(jobs, i);
		const char *state = json_get_str(j, "state", "");

		if (str_eq(state, "failure") || str_eq(state, "running") ||
			str_eq(state, "lost")) {
			html_put(out, "<b>$</b> $", json_get_str(j, "name", ""), state);
			return;
		}
	}
}

void part_run_row(struct strbuf *out, const struct json *run, int64_t now)
{
	const char *state = json_get_str(run, "state", "queued");
	const char *sha = json_get_str(run, "sha", "");
	const struct json *gate = json_at(json_get(run, "gates"), 0);
	long long id = json_get_int(run, "id", 0);
	int64_t started = json_get_int(run, "started_at", 0);
	int64_t ended = json_get_int(run, "completed_at", 0);

	html_put(out, "<tr id=\"run-#\" class=\"@\" data-k=\"run-#\"><td class=\"c-state\">", id,
		html_state_class(state), id);
	html_state(out, state);
	html_put(out,
		"</td><td class=\"what\"><a href=\"/runs/#\">$</a> "
		"<span class=\"dim\">###</span><span class=\"sub\">",
		id, json_get_str(run, "title", "(no title)"),
		(long long)json_get_int(run, "number", 0));
	reason(out, run, now);
	html_put(out, "</span></td><td class=\"c-where\">$<span class=\"sub\">$</span></td>",
		json_get_str(run, "repo", ""), json_get_str(run, "workflow", ""));
	html_put(out, "<td class=\"c-ref\"><code>$</code><span class=\"sub mono\">",
		json_get_str(run, "branch", ""));
	html_textn(out, sha, strlen(sha) < 7 ? strlen(sha) : 7);
	html_put(out,
		"</span></td><td class=\"c-who\">$<span class=\"sub\">$</span></td>"
		"<td class=\"c-strip\">",
		json_get_str(run, "actor", ""), json_get_str(run, "event", ""));
	strip(out, run, now);
	strbuf_adds(out, "</td><td class=\"c-time num\">");
	html_duration(out, started, ended, now);
	strbuf_adds(out, "<span class=\"sub\">");
	html_time(out, json_get_int(run, "created_at", 0));
	strbuf_adds(out, "</span></td><td class=\"c-act num\">");
	if (gate)
		html_put(out, "<a class=\"btn primary\" href=\"/gates/#\">Review…</a>",
			(long long)json_get_int(gate, "id", 0));
	else if (str_eq(state, "lost"))
		html_put(out, "<a class=\"btn\" href=\"/runs/#\">Resolve…</a>", id);
	strbuf_adds(out, "</td></tr>\n");
}

static void section(struct strbuf *out, const char *title, const char *words)
{
	html_put(out, "<tr class=\"sect\"><td colspan=\"8\"><b>$</b>$</td></tr>\n", title,
		words ? words : "");
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
			section(out, "Live", NULL);
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
			section(out, day == now / DAY_MS ? "Earlier today" : iso, NULL);
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

static void filter_form(struct strbuf *out, const char *q, const struct filter *f,
	const struct json *counts)
{
	static const struct {
		const char *q, *name, *state;
	} saved[] = {
		{ "", "All", NULL },
		{ "state:attention", "Needs you", "waiting" },
		{ "state:live", "Live", "running" },
		{ "state:failure", "Failed", NULL },
	};

	html_put(out,
		"<form class=\"filter\" method=\"get\" action=\"/\" role=\"search\">"
		"<label class=\"vh\" for=\"q\">Filter runs</label>"
		"<input class=\"field\" id=\"q\" name=\"q\" value=\"$\" "
		"placeholder=\"repo: state: branch: event: who: env: sha: workflow:\">"
		"<button class=\"btn\">Filter</button></form>",
		q);
	if (f->wrong)
		html_put(out,
			"<p class=\"note\">Unknown word '$'. Known: repo: state: branch: event: "
			"who: env: sha: workflow:</p>",
			f->wrong);
	strbuf_adds(out, "<div class=\"tabs\">");
	for (size_t i = 0; i < ARRAY_SIZE(saved); i++) {
		int64_t n = saved[i].state ? json_get_int(counts, saved[i].state, 0) : 0;

		html_put(out, "<a href=\"/?q=@\"@>@", saved[i].q,
			strcmp(saved[i].q, q) == 0 ? " aria-current=\"true\"" : "",
			saved[i].name);
		if (n > 0)
			html_put(out, " <b>#</b>", (long long)n);
		strbuf_adds(out, "</a>");
	}
	strbuf_adds(out, "</div>");
}

static void step(struct strbuf *out, bool done, const char *title, const char *text,
	const char *command)
{
	strbuf_adds(out, "<li>");
	html_state(out, done ? "success" : "queued");
	html_put(out, " <b>$</b><p>$</p>", title, text);
	if (command)
		html_put(out, "<pre class=\"well\">$</pre>", command);
	strbuf_adds(out, "</li>");
}

/* What would be here, and what makes it so. */
static void first_run(struct visit *v, struct strbuf *out)
{
	_cleanup_(json_freep) struct json *repos = NULL;
	struct err err = ERR_INIT;
	bool have_repo = false;
	const char *confinement = v->web->o->confinement;

	if (query_repos(v->web->store, &repos, &err) == 0)
		have_repo = json_count(json_get(repos, "items")) > 0;
	strbuf_adds(out, "<div class=\"panel pad narrow\"><h2>No run yet</h2><ol>");
	step(out, true, "The server runs", "Jobs are confined by the kernel on this machine.",
		NULL);
	step(out, have_repo, "Add a repository",
		"It prints the address and the secret for the webhook.",
		"sluice repo add OWNER/NAME --url https://git.example.com/OWNER/NAME.git");
	step(out, false, "Push", "Every workflow in .github/workflows runs as it is. For a bare "
				 "repository on this machine:",
		"sluice hook install /srv/git/NAME.git");
	strbuf_adds(out, "</ol>");
	if (confinement && strcmp(confinement, "full") != 0)
		html_put(out,
			"<p class=\"note wait\">Steps are confined, named $. "
			"<code>sluice doctor</code> says how to get full.</p>",
			confinement);
	strbuf_adds(out, "</div>");
}

static void more(struct strbuf *out, const struct json *list, const char *q)
{
	const struct json *next = json_get(list, "next");

	if (json_is(next, JSON_KIND_INT))
		html_put(out,
			"<p class=\"pages\"><a class=\"btn\" href=\"/?before=#&amp;q=$\">Older "
			"runs</a></p>",
			(long long)json_as_int(next, 0), q);
}

void page_runs(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	const char *q = http_query(v->r, "q"), *before = http_query(v->r, "before");
	struct filter f = { 0 };
	_cleanup_(json_freep) struct json *list = NULL;
	_cleanup_(json_freep) struct json *counts = NULL;
	struct err err = ERR_INIT;
	long long n = 0;
	int64_t now = clock_wall_ms();

	parse_filter(&f, q ? q : "");
	if (before && str_to_int(before, 1, INT64_MAX, &n) == 0)
		f.q.before = n;
	if (query_runs(v->web->store, &f.q, &list, &err) < 0 ||
		query_run_counts(v->web->store, f.q.repo, &counts, &err) < 0) {
		free(f.copy);
		page_err(v, &err);
		return;
	}
	page_begin(v, &out, "Runs", "Runs");
	strbuf_adds(&out, "<div class=\"headline\"><h1>Runs</h1></div>");
	filter_form(&out, q ? q : "", &f, counts);
	strbuf_adds(&out, "<div id=\"new-runs\" aria-live=\"polite\"></div>");
	if (json_count(json_get(list, "items")) == 0) {
		if (q || before)
			strbuf_adds(&out, "<p class=\"note\">No run matches this filter.</p>");
		else
			first_run(v, &out);
	} else {
		strbuf_adds(&out,
			"<div class=\"panel\" data-live=\"runs\"><table class=\"runs\">"
			"<caption class=\"vh\">Runs</caption><thead><tr>"
			"<th scope=\"col\" class=\"c-state\">State</th><th scope=\"col\">What</th>"
			"<th scope=\"col\" class=\"c-where\">Where</th>"
			"<th scope=\"col\" class=\"c-ref\">Ref</th>"
			"<th scope=\"col\" class=\"c-who\">Who</th>"
			"<th scope=\"col\" class=\"c-strip\">Jobs over time</th>"
			"<th scope=\"col\" class=\"c-time num\">Time</th>"
			"<th scope=\"col\" class=\"c-act\"><span class=\"vh\">Action</span></th>"
			"</tr></thead><tbody>");
		rows(&out, json_get(list, "items"), now);
		strbuf_adds(&out, "</tbody></table></div>");
		more(&out, list, q ? q : "");
	}
	free(f.copy);
	page_answer(v, 200, &out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `/queue`: who holds a slot, what is ready, what a rule holds, what lets each of them go
 * and about when; fairness; the places work can run. Pause and resume.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/labels.h"
#include "runner/pages/queue_story.h"
#include "runner/web-internal.h"

#define SLOTS_SHOWN  16
#define SHARES_SHOWN 8

struct shown {
	struct web *w;
	const struct json *active, *ready, *held, *paused;
	const struct queue_story *story;
	int64_t now, slots;
	bool is_disk_low;
};

/* ---- the machine ---- */

static const char *short_name(const char *repo)
{
	const char *slash = strrchr(repo, '/');

	return slash ? slash + 1 : repo;
}

static void slot(struct strbuf *out, const struct shown *q, const struct json *job)
{
	int64_t from = json_get_int(job, "claimed_at", 0);
	int64_t usual = job ? queue_usual(q->story, job) : 0;
	double part = usual ? 100.0 * (double)(q->now - from) / (double)usual : 100;

	if (!job) {
		strbuf_adds(out,
			"<li><span class=\"slot\"></span><span class=\"sub\">free</span></li>");
		return;
	}
	html_put(out,
		"<li><a class=\"slot\" href=\"/jobs/#\"><span class=\"vh\">$</span><svg "
		"aria-hidden=\"true\">",
		(long long)json_get_int(job, "id", 0), json_get_str(job, "name", ""));
	strbuf_addf(out, "<rect class=\"b-run\" width=\"%.0f%%\" height=\"100%%\"/></svg></a>",
		part < 2 ? 2 : part > 100 ? 100 : part);
	html_put(out, "<span class=\"sub\">$ · $ ",
		short_name(json_get_str(job, "repo", "")), json_get_str(job, "name", ""));
	html_duration(out, from, 0, q->now);
	strbuf_adds(out, "</span></li>");
}

static void machine(struct strbuf *out, const struct shown *q)
{
	const struct json *disk = json_get(web_status(q->w), "disk");
	int64_t used = 0;

	html_put(out,
		"<section class=\"panel\"><header><h2>This machine</h2><span>bars fill to the usual "
		"duration · <b>#</b> slots · disk ",
		(long long)q->slots);
	html_bytes(out, json_get_int(disk, "free", 0));
	strbuf_adds(out, " free</span></header><ul class=\"slotlist pad\">");
	for (size_t i = 0; i < json_count(q->active); i++) {
		const struct json *job = json_at(q->active, i);

		if (queue_holds_slot(job) && used++ < SLOTS_SHOWN)
			slot(out, q, job);
	}
	for (; used < q->slots && used < SLOTS_SHOWN; used++)
		slot(out, q, NULL);
	strbuf_adds(out, "</ul></section>");
}

/* ---- why, and what lets it go ---- */

static void in_about(struct strbuf *out, int64_t ms)
{
	if (ms < 0)
		return;
	strbuf_adds(out, ", in about ");
	html_span(out, ms < 1000 ? 1000 : ms);
}

/* "Test API of archive ends, in about 50s" */
static void ends(struct strbuf *out, const struct shown *q, const struct json *job)
{
	html_put(out, "$ · $ ends", short_name(json_get_str(job, "repo", "")),
		json_get_str(job, "name", ""));
	in_about(out, queue_left(q->story, job, q->now));
}

static void why_ready(struct strbuf *out, const struct shown *q, const struct json *job,
	const char *missing, const struct json *row_of)
{
	const struct json *labels = json_get(job, "labels");

	if (missing) {
		html_put(out, "label <code>$</code>: <b class=\"fail\">nobody offers it</b>",
			missing);
	} else if (q->is_disk_low) {
		strbuf_adds(out, "the disk of the data directory is nearly full");
	} else if (json_is(q->paused, JSON_KIND_OBJECT)) {
		html_put(out, "paused by <b>$</b>", json_get_str(q->paused, "by", ""));
	} else if (row_of) {
		html_put(out, "max-parallel # of its matrix is reached",
			(long long)json_get_int(job, "max_parallel", 0));
	} else {
		strbuf_adds(out, "waits for a slot");
		for (size_t i = 0; i < json_count(labels); i++)
			html_put(out, "@ <code>$</code>", i ? "," : "; label",
				json_as_str(json_at(labels, i), ""));
	}
}

static void way_ready(struct strbuf *out, const struct shown *q, const struct json *job,
	const char *missing, const struct json *row_of, size_t place)
{
	const struct json *first = row_of;

	if (missing) {
		strbuf_adds(out, "fails at ");
		html_clock(out, json_get_int(job, "queued_at", 0) + q->w->label_wait_ms);
		strbuf_adds(out, " with that reason");
		return;
	}
	if (q->is_disk_low || json_is(q->paused, JSON_KIND_OBJECT)) {
		strbuf_adds(out, q->is_disk_low ? "space on the disk" : "somebody resumes");
		return;
	}
	if (!first)
		first = queue_ends_nth(q->story, place, q->now);
	if (first)
		ends(out, q, first);
	else
		strbuf_adds(out, "goes now");
}

static void waits_in_group(struct strbuf *out, const struct json *g)
{
	long long before = (long long)json_get_int(g, "before", 0);

	html_put(out, "concurrency group <b>$</b>: ", json_get_str(g, "name", ""));
	if (json_get_int(g, "holder_id", 0) == 0)
		strbuf_adds(out, "free");
	else
		html_put(out, "<a href=\"/runs/#\">###</a> @",
			(long long)json_get_int(g, "holder_id", 0),
			(long long)json_get_int(g, "holder_number", 0),
			str_eq(json_get_str(g, "holder_state", ""), "lost") ?
				"holds it and is <b>lost</b>" :
			str_eq(json_get_str(g, "holder_state", ""), "waiting") ?
				"holds it and waits itself" :
				"runs");
	if (before)
		html_put(out, ", # before this one", before);
	else
		strbuf_adds(out, ", this is next");
}

static void way_of_group(struct strbuf *out, const struct json *g)
{
	const char *state = json_get_str(g, "holder_state", "");

	html_put(out, "@###@", str_eq(state, "lost") ? "a person resolves " : "",
		(long long)json_get_int(g, "holder_number", 0),
		str_eq(state, "lost")	 ? "" :
		str_eq(state, "waiting") ? " passes its gate and ends" :
					   " ends");
}

static void why_held(struct strbuf *out, const struct json *job, const struct json *gate,
	const struct json *group)
{
	const char *environment = json_get_str(job, "environment", "");

	if (gate)
		html_put(out, "@<b>$</b>: # of # approvals", environment[0] ? "gate " : "",
			environment[0] ? environment : "a maintainer starts it",
			(long long)json_get_int(gate, "approvals", 0),
			(long long)json_get_int(gate, "required", 1));
	else if (group)
		waits_in_group(out, group);
	else
		html_text(out, json_get_str(job, "reason", "held"));
}

static void way_held(struct strbuf *out, const struct json *gate, const struct json *group,
	int64_t now)
{
	int64_t more = json_get_int(gate, "required", 1) - json_get_int(gate, "approvals", 0);
	int64_t expires = json_get_int(gate, "expires_at", 0);

	if (gate && json_get_int(gate, "opens_at", 0) > now) {
		strbuf_adds(out, "its wait timer, at ");
		html_clock(out, json_get_int(gate, "opens_at", 0));
	} else if (gate) {
		html_put(out, "# more approval@", (long long)(more > 0 ? more : 0),
			more == 1 ? "" : "s");
		if (expires > now) {
			strbuf_adds(out, ", before ");
			html_day(out, expires);
		}
	} else if (group) {
		way_of_group(out, group);
	} else {
		strbuf_adds(out, "—");
	}
}

/* ---- rows ---- */

static void row_begin(struct strbuf *out, const char *state, size_t n)
{
	html_put(out, "<tr class=\"@\"><td class=\"num c-n\">", html_state_class(state));
	if (n > 0)
		html_put(out, "#", (long long)n);
	else
		strbuf_adds(out, "–");
	strbuf_adds(out, "</td><td class=\"c-state\">");
	html_state(out, state);
	strbuf_adds(out, "</td><td class=\"what\">");
}

static void row_job(struct strbuf *out, const struct json *j)
{
	html_put(out,
		"<a href=\"/jobs/#\">$</a><span class=\"sub\">$ <a href=\"/runs/#\">###</a> · $"
		"</span></td><td>",
		(long long)json_get_int(j, "id", 0), json_get_str(j, "name", ""),
		json_get_str(j, "repo", ""), (long long)json_get_int(j, "run_id", 0),
		(long long)json_get_int(j, "number", 0), json_get_str(j, "actor", ""));
}

static void row_end(struct strbuf *out, int64_t since, int64_t now)
{
	strbuf_adds(out, "</td><td class=\"num c-time\">");
	html_duration(out, since, 0, now);
	strbuf_adds(out, "</td><td class=\"num c-act\">");
}

static void explain(struct strbuf *out, const struct json *j)
{
	html_put(out, "<a href=\"/runs/#/explain/", (long long)json_get_int(j, "run_id", 0));
	html_url(out, json_get_str(j, "node", ""));
	strbuf_adds(out, "\">Explain</a></td></tr>\n");
}

static void ready_row(struct strbuf *out, const struct shown *q, const struct json *j,
	size_t n, size_t *slots_taken)
{
	const char *missing =
		labels_missing(&q->w->labels, json_get(j, "labels"));
	const struct json *row_of = queue_parallel(q->story, j);

	row_begin(out, "queued", n);
	row_job(out, j);
	why_ready(out, q, j, missing, row_of);
	strbuf_adds(out, "</td><td class=\"c-way\">");
	way_ready(out, q, j, missing, row_of, *slots_taken);
	*slots_taken += !missing && !row_of;
	row_end(out, json_get_int(j, "queued_at", 0), q->now);
	explain(out, j);
}

static void held_row(struct strbuf *out, const struct shown *q, const struct json *j)
{
	const char *state = page_job_state(j);
	const struct json *gate = queue_gate(q->story, json_get_int(j, "gate_id", 0));
	const struct json *group = queue_group(q->story, json_get_int(j, "id", 0));
	int64_t since = json_get_int(gate, "created_at", json_get_int(j, "queued_at", 0));

	row_begin(out, state, 0);
	row_job(out, j);
	why_held(out, j, gate, group);
	strbuf_adds(out, "</td><td class=\"c-way\">");
	way_held(out, gate, group, q->now);
	row_end(out, since ? since : json_get_int(group, "created_at", 0), q->now);
	if (gate)
		html_put(out, "<a class=\"btn primary\" href=\"/gates/#\">Review…</a></td></tr>\n",
			(long long)json_get_int(gate, "id", 0));
	else
		explain(out, j);
}

/* A whole run that waits for another of its group: none of its jobs is known yet. */
static void group_row(struct strbuf *out, const struct shown *q, const struct json *g)
{
	bool lost = str_eq(json_get_str(g, "holder_state", ""), "lost");
	long long run = (long long)json_get_int(g, "run_id", 0);
	long long number = (long long)json_get_int(g, "number", 0);

	row_begin(out, "held", 0);
	html_put(out,
		"<a href=\"/runs/#\">$</a><span class=\"sub\">$ <a href=\"/runs/#\">###</a> · $"
		"</span></td><td>",
		run, json_get_str(g, "workflow", ""), json_get_str(g, "repo", ""), run, number,
		json_get_str(g, "actor", ""));
	waits_in_group(out, g);
	strbuf_adds(out, "</td><td class=\"c-way\">");
	way_of_group(out, g);
	row_end(out, json_get_int(g, "created_at", 0), q->now);
	if (lost)
		html_put(out, "<a class=\"btn\" href=\"/runs/#/resolve\">Resolve…</a></td></tr>\n",
			(long long)json_get_int(g, "holder_id", 0));
	else
		html_put(out, "<a href=\"/runs/#/explain\">Explain</a></td></tr>\n", run);
}

static void active_row(struct strbuf *out, const struct shown *q, const struct json *j)
{
	const char *state = page_job_state(j), *reason = json_get_str(j, "reason", "");
	bool lost = str_eq(state, "lost");
	int64_t left = queue_left(q->story, j, q->now);

	row_begin(out, state, 0);
	row_job(out, j);
	html_text(out, reason[0] ? reason : lost ? "outcome unknown" : "holds a slot");
	strbuf_adds(out, "</td><td class=\"c-way\">");
	if (lost) {
		strbuf_adds(out, "a person says how it ended");
	} else {
		strbuf_adds(out, "its end");
		in_about(out, left);
	}
	row_end(out, json_get_int(j, "claimed_at", json_get_int(j, "queued_at", 0)), q->now);
	if (lost)
		html_put(out, "<a class=\"btn\" href=\"/runs/#/resolve\">Resolve…</a></td></tr>\n",
			(long long)json_get_int(j, "run_id", 0));
	else
		explain(out, j);
}

static void section(struct strbuf *out, const char *title, const char *aside, bool is_empty,
	const char *empty)
{
	html_put(out, "<tr class=\"sect\"><td colspan=\"7\"><b>$</b> — $</td></tr>", title,
		aside);
	if (is_empty)
		html_put(out, "<tr><td colspan=\"7\" class=\"dim\">$</td></tr>", empty);
}

static void table(struct strbuf *out, const struct shown *q)
{
	const struct json *groups = queue_groups(q->story);
	size_t taken = 0, runs = queue_runs_held(q->story);

	strbuf_adds(out,
		"<section class=\"panel\"><table class=\"runs queue\"><caption class=\"vh\">Jobs"
		"</caption><thead><tr><th scope=\"col\" class=\"c-n\">Next</th>"
		"<th scope=\"col\" class=\"c-state\">State</th><th scope=\"col\">Job</th>"
		"<th scope=\"col\">Why it waits</th><th scope=\"col\" class=\"c-way\">What lets it go</th>"
		"<th scope=\"col\" class=\"num c-time\">Since</th><th scope=\"col\" class=\"c-act\">"
		"<span class=\"vh\">Action</span></th></tr></thead><tbody>");
	section(out, "Ready", "goes as soon as a slot fits", json_count(q->ready) == 0,
		"Nothing waits for a slot.");
	for (size_t i = 0; i < json_count(q->ready); i++)
		ready_row(out, q, json_at(q->ready, i), i + 1, &taken);
	section(out, "Held by a rule", "takes no slot", json_count(q->held) + runs == 0,
		"Nothing is held.");
	for (size_t i = 0; i < json_count(q->held); i++)
		held_row(out, q, json_at(q->held, i));
	for (size_t i = 0; i < json_count(groups); i++)
		if (str_eq(json_get_str(json_at(groups, i), "kind", ""), "run"))
			group_row(out, q, json_at(groups, i));
	section(out, "Running", "holds a slot", json_count(q->active) == 0,
		"Every slot is free.");
	for (size_t i = 0; i < json_count(q->active); i++)
		active_row(out, q, json_at(q->active, i));
	strbuf_adds(out, "</tbody></table></section>");
}

/* ---- below ---- */

static void fairness(struct strbuf *out, const struct shown *q)
{
	static const char *const heads[] = { "Repository", "Share of the time used", ">Slots now",
		">Median wait", NULL };
	struct queue_share shares[SHARES_SHOWN];
	size_t n = queue_shares(q->story, shares, SHARES_SHOWN, q->now);

	page_table(out, "Fairness, last hour", "who uses least goes first", heads);
	if (n == 0)
		strbuf_adds(out, "<tr><td colspan=\"4\" class=\"dim\">Nothing ran.</td></tr>");
	for (size_t i = 0; i < n; i++) {
		html_put(out, "<tr><td class=\"nowrap\">$</td><td>", shares[i].repo);
		strbuf_addf(out,
			"<svg class=\"share\" role=\"img\" aria-label=\"%.0f %%\"><rect class=\"b-run\" "
			"width=\"%.1f%%\" height=\"100%%\"/></svg>",
			shares[i].percent, shares[i].percent);
		html_put(out, "</td><td class=\"num\">#</td><td class=\"num\">",
			(long long)shares[i].slots_now);
		if (shares[i].wait_ms < 0)
			strbuf_adds(out, "—");
		else
			html_span(out, shares[i].wait_ms);
		strbuf_adds(out, "</td></tr>");
	}
	page_table_end(out);
}

static void places(struct strbuf *out, const struct shown *q)
{
	const struct strvec *labels = &q->w->labels;

	strbuf_adds(out, "<section class=\"panel\"><header><h2>Places work can run</h2></header>"
			 "<ul class=\"list\"><li>");
	html_state_as(out, "success", "local");
	strbuf_adds(out, "<div>");
	for (size_t i = 0; i < labels->len; i++) {
		const char *item = labels->v[i];
		size_t name = strcspn(item, "=");

		if (str_eq(item, "*")) {
			html_put(out, "@any label", i ? ", " : "");
			continue;
		}
		strbuf_adds(out, i ? ", <code>" : "<code>");
		html_textn(out, item, name);
		strbuf_adds(out, "</code>");
		if (item[name])
			html_put(out, " in $", item + name + 1);
	}
	html_put(out, "</div><span class=\"end\"># of #</span></li></ul></section>",
		(long long)json_get_int(web_status(q->w), "slots_used", 0), (long long)q->slots);
}

/* ---- the page ---- */

static void facts(struct strbuf *out, const struct shown *q)
{
	size_t held = json_count(q->held) + queue_runs_held(q->story);
	int64_t median, worst;

	html_put(out,
		"<div class=\"facts\"><span><b>#</b> running</span><span><b>#</b> ready</span>"
		"<span><b>#</b> held by a rule</span>",
		(long long)json_get_int(web_status(q->w), "slots_used", 0),
		(long long)json_count(q->ready),
		(long long)held);
	if (queue_waits(q->story, q->now, &median, &worst)) {
		strbuf_adds(out, "<span>waited in the last hour: median <b>");
		html_span(out, median);
		strbuf_adds(out, "</b>, worst <b>");
		html_span(out, worst);
		strbuf_adds(out, "</b></span>");
	}
	strbuf_adds(out, "</div>");
	if (json_is(q->paused, JSON_KIND_OBJECT))
		html_put(out, "<p class=\"note wait\">Paused by $@$. Running jobs go on; nothing "
			      "new starts.</p>",
			json_get_str(q->paused, "by", ""),
			json_get_str(q->paused, "why", "")[0] ? ": " : "",
			json_get_str(q->paused, "why", ""));
}

void part_queue(struct strbuf *out, struct web *w, const struct json *queue, int64_t now)
{
	const struct json *status = web_status(w);
	int64_t slots = json_get_int(status, "slots", 0);
	_cleanup_(queue_story_freep) struct queue_story *story =
		queue_story_new(w->store, queue, slots);
	const struct shown q = {
		.w = w,
		.active = json_get(queue, "active"),
		.ready = json_get(queue, "ready"),
		.held = json_get(queue, "held"),
		.paused = json_get(queue, "paused"),
		.story = story,
		.now = now,
		.slots = slots,
		.is_disk_low = json_get_bool(json_get(status, "disk"), "is_low", false),
	};

	strbuf_adds(out, "<div id=\"queue\">");
	facts(out, &q);
	machine(out, &q);
	table(out, &q);
	strbuf_adds(out, "<div class=\"cols even\">");
	fairness(out, &q);
	places(out, &q);
	strbuf_adds(out, "</div></div>");
}

static void on_done(struct visit *v, const struct json *answer, void *data)
{
	if (answer && json_get_bool(answer, "ok", false))
		http_redirect(v->r, 303, "/queue");
	else
		page_refused(v, answer);
}

static void act(struct visit *v)
{
	bool resume = str_eq(http_form(v->r, "do"), "resume");

	if (!visit_may(v, SCOPE_ADMIN))
		page_denied(v, SCOPE_ADMIN);
	else if (web_same_origin(v))
		web_verb(v, resume ? "resume" : "pause", NULL, on_done, NULL);
}

void page_queue(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *q = NULL;
	struct err err = ERR_INIT;
	bool paused;

	if (strcmp(http_method(v->r), "POST") == 0) {
		act(v);
		return;
	}
	if (query_queue(v->web->store, &q, &err) < 0) {
		page_err(v, &err);
		return;
	}
	paused = json_is(json_get(q, "paused"), JSON_KIND_OBJECT);
	v->live = "queue";
	page_begin(v, &out, "Queue", "Queue");
	strbuf_adds(&out, "<div class=\"headline\"><h1>Queue</h1>");
	if (visit_may(v, SCOPE_ADMIN) && v->session) {
		strbuf_adds(&out, "<form method=\"post\" action=\"/queue\">");
		web_csrf_field(v, &out);
		html_put(&out, "<button class=\"btn\" name=\"do\" value=\"@\">@</button></form>",
			paused ? "resume" : "pause", paused ? "Resume" : "Pause new work");
	}
	strbuf_adds(&out, "</div>");
	part_queue(&out, v->web, q, clock_wall_ms());
	page_answer(v, 200, &out);
}

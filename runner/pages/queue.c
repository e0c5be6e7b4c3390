/* SPDX-License-Identifier: Apache-2.0 */
/* `/queue`: who holds a slot, what is ready, what a rule holds; pause and resume. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

#define SLOTS_SHOWN 16

static void slot(struct strbuf *out, const struct json *job, int64_t now)
{
	if (!job) {
		strbuf_adds(out,
			"<li><span class=\"slot\"></span><span class=\"sub\">free</span></li>");
		return;
	}
	html_put(out, "<li><a class=\"slot on\" href=\"/jobs/#\"><span class=\"vh\">$</span></a>"
		      "<span class=\"sub\">$ ",
		(long long)json_get_int(job, "id", 0), json_get_str(job, "name", ""),
		json_get_str(job, "name", ""));
	html_duration(out, json_get_int(job, "claimed_at", 0), 0, now);
	strbuf_adds(out, "</span></li>");
}

static void machine(struct strbuf *out, const struct json *active, int64_t slots, int64_t now)
{
	size_t used = 0;

	html_put(out, "<section class=\"panel\"><header><h2>This machine</h2><span># slots</span>"
		      "</header><ul class=\"slotlist pad\">",
		(long long)slots);
	for (size_t i = 0; i < json_count(active); i++) {
		/* A lost job holds no slot: nothing of it runs. */
		if (str_eq(json_get_str(json_at(active, i), "state", ""), "lost"))
			continue;
		if (used++ < SLOTS_SHOWN)
			slot(out, json_at(active, i), now);
	}
	for (int64_t i = (int64_t)used; i < slots && i < SLOTS_SHOWN; i++)
		slot(out, NULL, now);
	strbuf_adds(out, "</ul></section>");
}

static void why(struct strbuf *out, const struct json *job, bool is_disk_low)
{
	const char *reason = json_get_str(job, "reason", "");
	const char *state = page_job_state(job);
	const struct json *labels = json_get(job, "labels");

	if (reason[0]) {
		html_text(out, reason);
	} else if (str_eq(state, "awaiting_approval")) {
		html_put(out, "gate <b>$</b>", json_get_str(job, "environment", ""));
	} else if (str_eq(state, "queued") && is_disk_low) {
		strbuf_adds(out, "the disk of the data directory is nearly full");
	} else if (str_eq(state, "queued")) {
		strbuf_adds(out, "waits for a slot");
		for (size_t i = 0; i < json_count(labels); i++)
			html_put(out, "@ <code>$</code>", i ? "," : "; label",
				json_as_str(json_at(labels, i), ""));
	} else {
		strbuf_adds(out, html_state_word(state));
	}
}

static void row(struct strbuf *out, const struct json *j, int n, bool is_disk_low, int64_t now)
{
	const char *state = page_job_state(j);
	int64_t since = json_get_int(j, "queued_at", 0);

	if (str_eq(state, "running") || str_eq(state, "claimed") || str_eq(state, "released"))
		since = json_get_int(j, "claimed_at", since);
	html_put(out, "<tr class=\"@\"><td class=\"num c-n\">", html_state_class(state));
	if (n > 0)
		html_put(out, "#", (long long)n);
	else
		strbuf_adds(out, "–");
	strbuf_adds(out, "</td><td class=\"c-state\">");
	html_state(out, state);
	html_put(out,
		"</td><td class=\"what\"><a href=\"/jobs/#\">$</a><span class=\"sub\">$ "
		"<a href=\"/runs/#\">###</a> · $</span></td><td>",
		(long long)json_get_int(j, "id", 0), json_get_str(j, "name", ""),
		json_get_str(j, "repo", ""), (long long)json_get_int(j, "run_id", 0),
		(long long)json_get_int(j, "number", 0), json_get_str(j, "actor", ""));
	why(out, j, is_disk_low);
	strbuf_adds(out, "</td><td class=\"num c-time\">");
	html_duration(out, since, 0, now);
	strbuf_adds(out, "</td><td class=\"num c-act\">");
	if (str_eq(state, "awaiting_approval")) {
		html_put(out, "<a class=\"btn primary\" href=\"/gates/#\">Review…</a>",
			(long long)json_get_int(j, "gate_id", 0));
	} else if (str_eq(state, "lost")) {
		html_put(out, "<a class=\"btn\" href=\"/runs/#/resolve\">Resolve…</a>",
			(long long)json_get_int(j, "run_id", 0));
	} else {
		html_put(out, "<a href=\"/runs/#/explain/",
			(long long)json_get_int(j, "run_id", 0));
		html_url(out, json_get_str(j, "node", ""));
		strbuf_adds(out, "\">Explain</a>");
	}
	strbuf_adds(out, "</td></tr>\n");
}

static void rows(struct strbuf *out, const struct json *list, const char *title,
	const char *aside, const char *empty, bool numbered, bool is_disk_low, int64_t now)
{
	html_put(out, "<tr class=\"sect\"><td colspan=\"6\"><b>$</b> — $</td></tr>",
		title, aside);
	if (json_count(list) == 0)
		html_put(out, "<tr><td colspan=\"6\" class=\"dim\">$</td></tr>", empty);
	for (size_t i = 0; i < json_count(list); i++)
		row(out, json_at(list, i), numbered ? (int)i + 1 : 0, is_disk_low, now);
}

void part_queue(struct strbuf *out, struct web *w, const struct json *queue, int64_t now)
{
	const struct json *active = json_get(queue, "active"), *ready = json_get(queue, "ready");
	const struct json *held = json_get(queue, "held"), *paused = json_get(queue, "paused");
	bool low = json_get_bool(json_get(web_status(w), "disk"), "is_low", false);

	strbuf_adds(out, "<div id=\"queue\">");
	html_put(out,
		"<div class=\"facts\"><span><b>#</b> running</span><span><b>#</b> ready</span>"
		"<span><b>#</b> held by a rule</span></div>",
		(long long)json_count(active), (long long)json_count(ready),
		(long long)json_count(held));
	if (json_is(paused, JSON_KIND_OBJECT))
		html_put(out, "<p class=\"note wait\">Paused by $@$. Running jobs go on; nothing "
			      "new starts.</p>",
			json_get_str(paused, "by", ""),
			json_get_str(paused, "why", "")[0] ? ": " : "",
			json_get_str(paused, "why", ""));
	machine(out, active, json_get_int(web_status(w), "slots", 0), now);
	strbuf_adds(out,
		"<section class=\"panel\"><table class=\"runs queue\"><caption class=\"vh\">Jobs"
		"</caption><thead><tr><th scope=\"col\" class=\"c-n\">Next</th>"
		"<th scope=\"col\" class=\"c-state\">State</th><th scope=\"col\">Job</th>"
		"<th scope=\"col\">Why it waits</th><th scope=\"col\" class=\"num c-time\">Since"
		"</th><th scope=\"col\" class=\"c-act\"><span class=\"vh\">Action</span></th>"
		"</tr></thead><tbody>");
	rows(out, ready, "Ready", "goes as soon as a slot fits", "Nothing waits for a slot.", true,
		low, now);
	rows(out, held, "Held by a rule", "takes no slot", "Nothing is held.", false, low, now);
	rows(out, active, "Running", "holds a slot", "Every slot is free.", false, low, now);
	strbuf_adds(out, "</tbody></table></section></div>");
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

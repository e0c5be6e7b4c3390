/* SPDX-License-Identifier: Apache-2.0 */
/* Queue, environments, repositories, deliveries, audit, the person, the keys. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

static void on_done(struct visit *v, const struct json *answer, void *data)
{
	const struct json *error = json_get(answer, "error");

	if (answer && json_get_bool(answer, "ok", false)) {
		http_redirect(v->r, 303, http_path(v->r));
		return;
	}
	page_error(v, answer ? 409 : 503, "Nothing was changed",
		json_get_str(error, "message", "The server is restarting; running jobs go on."),
		json_get_str(error, "hint", NULL));
}

static void table_begin(struct strbuf *out, const char *caption, const char *const *heads)
{
	html_put(out, "<section class=\"panel\"><header><h2>$</h2></header>"
		      "<div class=\"scroll\"><table><thead><tr>",
		caption);
	for (; *heads; heads++)
		html_put(out, "<th scope=\"col\">$</th>", *heads);
	strbuf_adds(out, "</tr></thead><tbody>");
}

static void table_end(struct strbuf *out)
{
	strbuf_adds(out, "</tbody></table></div></section>");
}

/* ---- queue ---- */

static void queue_rows(struct strbuf *out, const struct json *list, const char *title,
	const char *empty, int64_t now)
{
	static const char *const heads[] = { "State", "Job", "Repository", "Why", "Since", NULL };

	table_begin(out, title, heads);
	if (json_count(list) == 0)
		html_put(out, "<tr><td colspan=\"5\" class=\"dim\">$</td></tr>", empty);
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *j = json_at(list, i);
		int64_t since = json_get_int(j, "started_at", 0);

		if (!since)
			since = json_get_int(j, "queued_at", json_get_int(j, "created_at", 0));
		strbuf_adds(out, "<tr><td>");
		html_state(out, json_get_str(j, "state", "queued"));
		html_put(out,
			"</td><td><a href=\"/jobs/#\">$</a></td><td>$ <a href=\"/runs/#\">###</a>"
			"</td><td>$</td><td class=\"num\">",
			(long long)json_get_int(j, "id", 0), json_get_str(j, "name", ""),
			json_get_str(j, "repo", ""), (long long)json_get_int(j, "run", 0),
			(long long)json_get_int(j, "number", 0), json_get_str(j, "reason", ""));
		html_duration(out, since, 0, now);
		strbuf_adds(out, "</td></tr>\n");
	}
	table_end(out);
}

void page_queue(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *q = NULL;
	const struct json *paused;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();

	if (strcmp(http_method(v->r), "POST") == 0) {
		bool resume = str_eq(http_form(v->r, "do"), "resume");

		if (web_same_origin(v))
			web_verb(v, resume ? "resume" : "pause", NULL, on_done, NULL);
		return;
	}
	if (query_queue(v->web->store, &q, &err) < 0) {
		page_err(v, &err);
		return;
	}
	paused = json_get(q, "paused");
	page_begin(v, &out, "Queue", "Queue");
	strbuf_adds(&out, "<div class=\"headline\"><h1>Queue</h1>");
	if (visit_may(v, SCOPE_ADMIN) && v->session) {
		bool on = json_is(paused, JSON_KIND_OBJECT);

		strbuf_adds(&out, "<form method=\"post\" action=\"/queue\">");
		web_csrf_field(v, &out);
		html_put(&out, "<button class=\"btn\" name=\"do\" value=\"@\">@</button></form>",
			on ? "resume" : "pause", on ? "Resume" : "Pause: start no more jobs");
	}
	strbuf_adds(&out, "</div>");
	if (json_is(paused, JSON_KIND_OBJECT))
		html_put(&out,
			"<p class=\"note wait\">Paused by $. Running jobs go on; nothing new "
			"starts.</p>",
			json_get_str(paused, "by", ""));
	queue_rows(&out, json_get(q, "active"), "Holding a slot", "Every slot is free.", now);
	queue_rows(&out, json_get(q, "ready"), "Ready", "Nothing waits for a slot.", now);
	queue_rows(&out, json_get(q, "held"), "Held by a rule", "Nothing is held.", now);
	page_answer(v, 200, &out);
}

/* ---- environments ---- */

void page_environments(struct visit *v)
{
	static const char *const heads[] = { "Environment", "Repository", "Runs now", "Since",
		"Rules", "State", NULL };
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;
	struct err err = ERR_INIT;

	if (query_environments(v->web->store, http_query(v->r, "repo"), &list, &err) < 0) {
		page_err(v, &err);
		return;
	}
	items = json_get(list, "items");
	page_begin(v, &out, "Environments", "Environments");
	strbuf_adds(&out, "<h1>Environments</h1><p></p>");
	table_begin(&out, "What runs where", heads);
	if (json_count(items) == 0)
		strbuf_adds(&out,
			"<tr><td colspan=\"6\" class=\"dim\">None yet. A job with "
			"<code>environment:</code> makes one; rules are set with <code>sluice "
			"environments apply FILE</code>.</td></tr>");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *e = json_at(items, i), *now = json_get(e, "now");
		const char *repo = json_get_str(e, "repo", "");

		if (!json_is(now, JSON_KIND_OBJECT))
			now = json_get(e, "deployment");
		html_put(&out, "<tr><td><a href=\"/environments/$/$\"><b>$</b></a></td><td>$</td>",
			repo, json_get_str(e, "name", ""), json_get_str(e, "name", ""), repo);
		html_put(&out, "<td>$ <code>$</code></td><td>", json_get_str(now, "ref", "—"),
			json_get_str(now, "sha", ""));
		html_day(&out, json_get_int(now, "completed_at", json_get_int(now, "created_at", 0)));
		html_put(&out, "</td><td>$</td><td>#", json_get_str(e, "rules_text", ""),
			(long long)json_count(json_get(e, "gates")));
		strbuf_adds(&out, " waiting</td></tr>\n");
	}
	table_end(&out);
	page_answer(v, 200, &out);
}

void page_environment(struct visit *v, const char *repo, const char *name)
{
	static const char *const heads[] = { "No", "Result", "Ref", "Commit", "Run",
		"Approved by", "When", NULL };
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *e = NULL;
	_cleanup_free_ char *rules = NULL;
	const struct json *list;
	struct err err = ERR_INIT;

	if (query_environment(v->web->store, repo, name, &e, &err) < 0) {
		page_err(v, &err);
		return;
	}
	page_begin(v, &out, name, "Environments");
	page_crumbs(&out, "Environments", "/environments", repo, NULL, name, NULL, NULL);
	html_put(&out, "<h1>$</h1><p></p>", name);
	list = json_get(e, "gates");
	for (size_t i = 0; i < json_count(list); i++)
		html_put(&out,
			"<p class=\"note wait\">A deploy waits: <a href=\"/gates/#\">review…</a></p>",
			(long long)json_get_int(json_at(list, i), "id", 0));
	table_begin(&out, "Deployments", heads);
	list = json_get(e, "deployments");
	if (!json_is(list, JSON_KIND_ARRAY))
		list = json_get(list, "items");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *d = json_at(list, i);

		html_put(&out, "<tr><td>#</td><td>", (long long)json_get_int(d, "number",
			json_get_int(d, "id", 0)));
		html_state(&out, json_get_str(d, "state", json_get_str(d, "result", "queued")));
		html_put(&out, "</td><td>$</td><td class=\"mono\">$</td><td><a href=\"/runs/#\">#</a>"
			       "</td><td>$</td><td>",
			json_get_str(d, "ref", ""), json_get_str(d, "sha", ""),
			(long long)json_get_int(d, "run", 0), (long long)json_get_int(d, "run", 0),
			json_get_str(d, "approvers", ""));
		html_day(&out, json_get_int(d, "created_at", 0));
		strbuf_adds(&out, "</td></tr>\n");
	}
	table_end(&out);
	rules = json_text(json_get(e, "rules"));
	html_put(&out, "<section class=\"panel\"><header><h2>Rules</h2></header>"
		       "<pre class=\"well\">$</pre></section>",
		rules);
	page_answer(v, 200, &out);
}

/* ---- repositories ---- */

void page_repos(struct visit *v)
{
	static const char *const heads[] = { "Repository", "Forge", "Address", NULL };
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;
	struct err err = ERR_INIT;

	if (query_repos(v->web->store, &list, &err) < 0) {
		page_err(v, &err);
		return;
	}
	items = json_get(list, "items");
	page_begin(v, &out, "Repositories", "Repositories");
	strbuf_adds(&out, "<h1>Repositories</h1><p></p>");
	table_begin(&out, "Repositories", heads);
	if (json_count(items) == 0)
		strbuf_adds(&out,
			"<tr><td colspan=\"3\" class=\"dim\">None yet: <code>sluice repo add "
			"OWNER/NAME --url URL</code></td></tr>");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *r = json_at(items, i);
		const char *name = json_get_str(r, "name", json_get_str(r, "full_name", ""));

		html_put(&out,
			"<tr><td><a href=\"/repos/$\"><b>$</b></a></td><td>$</td>"
			"<td class=\"mono\">$</td></tr>",
			name, name, json_get_str(r, "forge", ""), json_get_str(r, "url", ""));
	}
	table_end(&out);
	page_answer(v, 200, &out);
}

static void deliveries(struct visit *v, struct strbuf *out, const char *repo)
{
	static const char *const heads[] = { "State", "Event", "From", "Why", "When", NULL };
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;
	struct err err = ERR_INIT;

	if (query_deliveries(v->web->store, repo, 0, 25, &list, &err) < 0)
		return;
	items = json_get(list, "items");
	table_begin(out, "Deliveries", heads);
	if (json_count(items) == 0)
		strbuf_adds(out, "<tr><td colspan=\"5\" class=\"dim\">None has arrived yet.</td></tr>");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *d = json_at(items, i);

		strbuf_adds(out, "<tr><td>");
		html_state(out, json_get_str(d, "state", ""));
		html_put(out, "</td><td><a href=\"/deliveries/#\">$</a></td><td>$</td><td>$</td><td>",
			(long long)json_get_int(d, "id", 0), json_get_str(d, "event", ""),
			json_get_str(d, "peer", ""), json_get_str(d, "reason", ""));
		html_day(out, json_get_int(d, "received_at", json_get_int(d, "created_at", 0)));
		strbuf_adds(out, "</td></tr>\n");
	}
	table_end(out);
}

static void dispatch_form(struct visit *v, struct strbuf *out, const char *name)
{
	if (!visit_may(v, SCOPE_RUN) || !v->session)
		return;
	html_put(out, "<section class=\"panel\"><header><h2>Run a workflow</h2></header>"
		      "<form class=\"pad\" method=\"post\" action=\"/repos/$\">",
		name);
	web_csrf_field(v, out);
	strbuf_adds(out,
		"<p><label for=\"workflow\">Workflow file with <code>on: workflow_dispatch</code>"
		"</label><input class=\"field\" id=\"workflow\" name=\"workflow\" required "
		"placeholder=\"deploy.yml\"></p>"
		"<p><label for=\"ref\">Branch or tag</label>"
		"<input class=\"field\" id=\"ref\" name=\"ref\" placeholder=\"the default branch\">"
		"</p><p class=\"buttons\"><button class=\"btn primary\" name=\"do\" "
		"value=\"dispatch\">Run</button></p></form></section>");
}

static void repo_post(struct visit *v, const char *full_name)
{
	struct json *args;
	const char *ref = http_form(v->r, "ref");

	if (!visit_may(v, SCOPE_RUN)) {
		page_denied(v, SCOPE_RUN);
		return;
	}
	if (!web_same_origin(v))
		return;
	args = json_new_object();
	json_set_str(args, "repo", full_name);
	json_set_str(args, "workflow", http_form(v->r, "workflow"));
	if (ref && ref[0])
		json_set_str(args, "ref", ref);
	web_verb(v, "run.dispatch", args, on_done, NULL);
}

void page_repo(struct visit *v, const char *full_name)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *r = NULL;
	_cleanup_free_ char *filter = xasprintf("/?q=repo:%s", full_name);
	_cleanup_free_ char *settings = NULL;
	struct err err = ERR_INIT;

	if (strcmp(http_method(v->r), "POST") == 0) {
		repo_post(v, full_name);
		return;
	}
	if (query_repo(v->web->store, full_name, &r, &err) < 0) {
		page_err(v, &err);
		return;
	}
	page_begin(v, &out, full_name, "Repositories");
	page_crumbs(&out, "Repositories", "/repos", full_name, NULL, NULL);
	html_put(&out,
		"<div class=\"headline\"><h1>$</h1><div class=\"buttons\">"
		"<a class=\"btn\" href=\"$\">Its runs</a></div></div><div class=\"facts\">"
		"<span>$</span><span class=\"mono\">$</span></div>",
		full_name, filter, json_get_str(r, "forge", ""), json_get_str(r, "url", ""));
	settings = json_text(json_get(r, "settings"));
	strbuf_adds(&out, "<div class=\"cols\"><div>");
	if (visit_may(v, SCOPE_ADMIN))
		deliveries(v, &out, full_name);
	strbuf_adds(&out, "</div><div>");
	dispatch_form(v, &out, full_name);
	html_put(&out, "<section class=\"panel\"><header><h2>Settings</h2></header>"
		       "<pre class=\"well\">$</pre></section></div></div>",
		settings);
	page_answer(v, 200, &out);
}

void page_delivery(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *d = NULL;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (query_delivery(v->web->store, id, &d, &err) < 0) {
		page_err(v, &err);
		return;
	}
	query_public(d);
	json_write(d, JSON_WRITE_PRETTY, &text);
	page_begin(v, &out, "Delivery", "Repositories");
	html_put(&out, "<h1>Delivery #</h1><div class=\"facts\">", (long long)id);
	html_state(&out, json_get_str(d, "state", ""));
	html_put(&out, "<span>$</span></div><pre class=\"well\">$</pre>",
		json_get_str(d, "reason", ""), text.buf);
	page_answer(v, 200, &out);
}

/* ---- audit ---- */

void page_audit(struct visit *v)
{
	static const char *const heads[] = { "No", "When", "Who", "What", "About", NULL };
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items, *next;
	const char *before = http_query(v->r, "before"), *run = http_query(v->r, "run");
	struct err err = ERR_INIT;
	long long b = 0, r = 0;

	if (before && str_to_int(before, 1, INT64_MAX, &b) < 0)
		b = 0;
	if (run && str_to_int(run, 1, INT64_MAX, &r) < 0)
		r = 0;
	if (query_audit(v->web->store, r, http_query(v->r, "verb"), b, 50, &list, &err) < 0) {
		page_err(v, &err);
		return;
	}
	items = json_get(list, "items");
	next = json_get(list, "next");
	page_begin(v, &out, "Audit", "Audit");
	strbuf_adds(&out, "<h1>Audit</h1><p class=\"dim\">Every change of state, chained by hash. "
			  "<code>sluice check</code> verifies the chain.</p>");
	table_begin(&out, "Entries", heads);
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *a = json_at(items, i);
		_cleanup_free_ char *detail = json_text(json_get(a, "detail"));

		html_put(&out, "<tr><td class=\"num\">#</td><td class=\"nowrap\">",
			(long long)json_get_int(a, "id", 0));
		html_day(&out, json_get_int(a, "created_at", json_get_int(a, "recorded_at", 0)));
		html_put(&out, "</td><td>$</td><td>$</td><td class=\"mono\">$</td></tr>\n",
			json_get_str(a, "actor", json_get_str(a, "who", "")),
			json_get_str(a, "verb", ""), str_eq(detail, "null") ? "" : detail);
	}
	table_end(&out);
	if (json_is(next, JSON_KIND_INT))
		html_put(&out, "<p><a class=\"btn\" href=\"/audit?before=#\">Older</a></p>",
			(long long)json_as_int(next, 0));
	page_answer(v, 200, &out);
}

/* ---- the person, the keys ---- */

void page_me(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	char scopes[64];

	page_begin(v, &out, "You", NULL);
	html_put(&out, "<div class=\"narrow\"><h1>$</h1><p>Scopes: $</p>", v->who.name,
		scopes_text(v->who.scopes, scopes));
	if (v->session) {
		strbuf_adds(&out, "<form method=\"post\" action=\"/logout\">");
		web_csrf_field(v, &out);
		strbuf_adds(&out, "<button class=\"btn\">Sign out</button></form>");
	}
	strbuf_adds(&out, "</div>");
	page_answer(v, 200, &out);
}

void page_keys(struct visit *v)
{
	static const struct {
		const char *keys, *what;
	} list[] = {
		{ "/", "go to the filter or the search" },
		{ "j k", "next, previous row" },
		{ "g r", "runs" },
		{ "g q", "queue" },
		{ "g e", "environments" },
		{ "e", "log: next error" },
		{ "n N", "log: next, previous hit" },
		{ "f", "log: follow the end" },
		{ "w", "log: wrap lines" },
		{ "Home End", "log: first, last line" },
		{ "?", "this page" },
	};
	struct strbuf out = STRBUF_INIT;

	page_begin(v, &out, "Keys", NULL);
	strbuf_adds(&out, "<div class=\"narrow\"><h1>Keys</h1><p>Ignored while you type.</p>"
			  "<section class=\"panel\"><table><tbody>");
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		html_put(&out, "<tr><td><kbd>$</kbd></td><td>$</td></tr>", list[i].keys,
			list[i].what);
	strbuf_adds(&out, "</tbody></table></section>"
			  "<p><button class=\"btn js\" id=\"keys-off\" aria-pressed=\"false\" hidden>"
			  "Turn single keys off in this browser</button></p></div>");
	page_answer(v, 200, &out);
}

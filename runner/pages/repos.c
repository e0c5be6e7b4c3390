/* SPDX-License-Identifier: Apache-2.0 */
/* `/repos`: repositories, their workflows, webhook, secrets and rules; one delivery. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

void page_repos(struct visit *v)
{
	static const char *const heads[] = { "Repository", "Forge", "Last run", "Last delivery",
		NULL };
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
	page_table(&out, NULL, "Repositories", heads);
	if (json_count(items) == 0)
		strbuf_adds(&out,
			"<tr><td colspan=\"4\" class=\"dim\">None yet. <code>sluice repo add OWNER/NAME "
			"--url URL</code> adds one.</td></tr>");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *r = json_at(items, i), *run = json_get(r, "last_run");
		const char *name = json_get_str(r, "name", "");

		html_put(&out,
			"<tr><td class=\"what\"><a href=\"/repos/$\">$</a><span class=\"sub mono\">"
			"$</span></td><td>$</td><td>",
			name, name, json_get_str(r, "url", ""),
			json_get_str(r, "forge", ""));
		if (json_is(run, JSON_KIND_OBJECT)) {
			html_state(&out, json_get_str(run, "state", ""));
			html_put(&out, "<span class=\"sub\"><a href=\"/runs/#\">$ ###</a></span>",
				(long long)json_get_int(run, "id", 0),
				json_get_str(run, "title", ""),
				(long long)json_get_int(run, "number", 0));
		} else {
			strbuf_adds(&out, "none yet");
		}
		strbuf_adds(&out, "</td><td>");
		html_day(&out, json_get_int(r, "hook_delivery_at", 0));
		strbuf_adds(&out, "</td></tr>\n");
	}
	page_table_end(&out);
	page_answer(v, 200, &out);
}

/* ---- one repository: tabs ---- */

static void dispatch_form(struct visit *v, struct strbuf *out, const struct json *repo)
{
	const struct json *list = json_get(repo, "workflows");

	if (!visit_may(v, SCOPE_RUN) || !v->session)
		return;
	html_put(out, "<section class=\"panel\"><header><h2>Run a workflow</h2></header>"
		      "<form class=\"pad\" method=\"post\" action=\"/repos/$\">",
		json_get_str(repo, "name", ""));
	web_csrf_field(v, out);
	strbuf_adds(out,
		"<p><label for=\"workflow\">Workflow file with <code>on: workflow_dispatch</code>"
		"</label><input class=\"field\" id=\"workflow\" name=\"workflow\" required "
		"placeholder=\"deploy.yml\" list=\"workflows\"><datalist id=\"workflows\">");
	for (size_t i = 0; i < json_count(list) && i < 50; i++)
		html_put(out, "<option value=\"$\">", json_get_str(json_at(list, i), "path", ""));
	html_put(out,
		"</datalist></p><p><label for=\"ref\">Branch or tag</label>"
		"<input class=\"field\" id=\"ref\" name=\"ref\" placeholder=\"$\"></p>"
		"<p class=\"buttons\"><button class=\"btn primary\" name=\"do\" "
		"value=\"dispatch\">Run</button></p></form></section>",
		json_get_str(repo, "default_branch", "the default branch"));
}

static void workflows_tab(struct visit *v, struct strbuf *out, const struct json *repo)
{
	static const char *const heads[] = { "Workflow", ">Runs", "Last", NULL };
	const struct json *list = json_get(repo, "workflows");

	strbuf_adds(out, "<div class=\"cols\"><div>");
	page_table(out, "Workflows", "that have run", heads);
	if (json_count(list) == 0)
		strbuf_adds(out,
			"<tr><td colspan=\"3\" class=\"dim\">None has run yet. Push to this "
			"repository.</td></tr>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *w = json_at(list, i);

		html_put(out, "<tr><td><a href=\"/?q=repo:$%20workflow:",
			json_get_str(repo, "name", ""));
		html_url(out, json_get_str(w, "path", ""));
		html_put(out,
			"\"><b>$</b></a><span class=\"sub mono\">$</span></td><td class=\"num\">",
			json_get_str(w, "name", ""), json_get_str(w, "path", ""));
		html_count(out, json_get_int(w, "runs", 0));
		html_put(out, "</td><td><a href=\"/runs/#\">last run</a></td></tr>",
			(long long)json_get_int(w, "last_run_id", 0));
	}
	page_table_end(out);
	strbuf_adds(out, "</div><div>");
	dispatch_form(v, out, repo);
	strbuf_adds(out, "</div></div>");
}

static void environments_tab(struct visit *v, struct strbuf *out, const struct json *repo)
{
	static const char *const heads[] = { "Environment", "Runs now", "Rules", NULL };
	const struct json *list = json_get(repo, "environments");

	page_table(out, "Environments", NULL, heads);
	if (json_count(list) == 0)
		strbuf_adds(out, "<tr><td colspan=\"3\" class=\"dim\">None yet.</td></tr>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *e = json_at(list, i), *now = json_get(e, "now");

		html_put(out, "<tr><td><a href=\"/environments/$/", json_get_str(repo, "name", ""));
		html_url(out, json_get_str(e, "name", ""));
		html_put(out, "\"><b>$</b></a></td><td>$ ", json_get_str(e, "name", ""),
			json_get_str(now, "branch", "nothing yet"));
		if (json_is(now, JSON_KIND_OBJECT))
			html_sha(out, json_get_str(now, "sha", ""));
		html_put(out, "</td><td>$</td></tr>", json_get_str(e, "rules_text", ""));
	}
	page_table_end(out);
}

static void became(struct strbuf *out, const struct json *d)
{
	const char *why = json_get_str(d, "event_reason", "");

	if (!why[0])
		why = json_get_str(d, "reason", "");
	html_put(out, "$<span class=\"sub\">$</span>", json_get_str(d, "title", ""), why);
}

static void deliveries(struct visit *v, struct strbuf *out, const char *repo)
{
	static const char *const heads[] = { "Answer", "Event", "Became", "Delivery",
		">When", NULL };
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;
	struct err err = ERR_INIT;

	if (query_deliveries(v->web->store, repo, 0, 25, &list, &err) < 0)
		return;
	items = json_get(list, "items");
	page_table(out, "Webhook", "the last 25 deliveries", heads);
	if (json_count(items) == 0)
		strbuf_adds(out,
			"<tr><td colspan=\"5\" class=\"dim\">None has arrived yet. Ask the forge "
			"to send a ping.</td></tr>");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *d = json_at(items, i);
		const char *event = json_get_str(d, "event_state", ""),
			   *key = json_get_str(d, "key", "");
		bool failed = str_eq(event, "failed");

		strbuf_adds(out, "<tr><td>");
		if (failed)
			html_state(out, "failed");
		else
			html_state_as(out, json_get_str(d, "state", ""),
				str_eq(json_get_str(d, "state", ""), "accepted") ?
					"202" :
					html_state_word(json_get_str(d, "state", "")));
		html_put(out, "</td><td><a href=\"/deliveries/#\">$</a> <code>$</code>"
			      "<span class=\"sub\">$</span></td><td>",
			(long long)json_get_int(d, "id", 0), json_get_str(d, "event", ""),
			json_get_str(d, "ref", ""), json_get_str(d, "actor", ""));
		became(out, d);
		html_put(out, "</td><td><code title=\"$\">", key);
		html_textn(out, key, strlen(key) < 8 ? strlen(key) : 8);
		strbuf_adds(out, "</code></td><td class=\"num\">");
		html_day(out, json_get_int(d, "received_at", 0));
		strbuf_adds(out, "</td></tr>\n");
	}
	page_table_end(out);
}

static void hook_tab(struct visit *v, struct strbuf *out, const struct json *repo)
{
	const struct json *hooks = json_get(repo, "hooks");

	html_put(out,
		"<section class=\"panel\"><dl class=\"pad\"><dt>address</dt><dd class=\"mono\">"
		"$/hooks/$</dd><dt>secret</dt><dd>",
		v->web->o->url, json_get_str(repo, "forge", ""));
	if (json_count(hooks) == 0)
		strbuf_adds(out, "none");
	for (size_t i = 0; i < json_count(hooks); i++) {
		strbuf_adds(out, "set ");
		html_day(out, json_get_int(json_at(hooks, i), "created_at", 0));
	}
	strbuf_adds(out, "</dd></dl></section>");
	if (visit_may(v, SCOPE_ADMIN))
		deliveries(v, out, json_get_str(repo, "name", ""));
	else
		strbuf_adds(out, "<p class=\"note\">Deliveries are shown to administrators.</p>");
}

static void secrets_tab(struct visit *v, struct strbuf *out, const struct json *repo)
{
	static const char *const heads[] = { "Name", "Visible to", "Set by", ">When", NULL };
	static const char *const var_heads[] = { "Name", "Visible to", "Value", NULL };
	const struct json *list = json_get(repo, "secrets"), *vars = json_get(repo, "vars");

	page_table(out, "Secrets", "values are never shown, here or anywhere", heads);
	if (json_count(list) == 0)
		strbuf_adds(out,
			"<tr><td colspan=\"4\" class=\"dim\">None. <code>sluice secret set NAME "
			"--repo OWNER/NAME</code> adds one.</td></tr>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *s = json_at(list, i);
		const char *environment = json_get_str(s, "environment", "");

		html_put(out, "<tr><td class=\"mono\"><b>$</b></td><td>",
			json_get_str(s, "name", ""));
		if (environment[0])
			html_put(out, "environment <b>$</b>, after its gate", environment);
		else
			strbuf_adds(out, "every trusted job");
		html_put(out, "</td><td>$</td><td class=\"num\">",
			json_get_str(s, "updated_by", ""));
		html_day(out, json_get_int(s, "updated_at", 0));
		strbuf_adds(out, "</td></tr>\n");
	}
	page_table_end(out);
	page_table(out, "Variables", NULL, var_heads);
	if (json_count(vars) == 0)
		strbuf_adds(out, "<tr><td colspan=\"3\" class=\"dim\">None.</td></tr>");
	for (size_t i = 0; i < json_count(vars); i++) {
		const struct json *x = json_at(vars, i);
		const char *environment = json_get_str(x, "environment", "");

		html_put(out,
			"<tr><td class=\"mono\"><b>$</b></td><td>$</td><td class=\"mono\">$</td></tr>",
			json_get_str(x, "name", ""),
			environment[0] ? environment : "every job",
			json_get_str(x, "value", ""));
	}
	page_table_end(out);
}

static void rules_tab(struct visit *v, struct strbuf *out, const struct json *repo)
{
	static const char *const heads[] = { "Event", "Secrets", "Cache", "Gate first", NULL };
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	page_table(out, "Who is trusted here", NULL, heads);
	strbuf_adds(out,
		"<tr><td>push, tag, dispatch, schedule</td><td>yes</td><td>write</td><td>no</td>"
		"</tr><tr><td>pull request, own branch</td><td>yes</td><td>own</td><td>no</td></tr>"
		"<tr><td>pull request, fork</td><td><b>no</b></td><td>read</td>"
		"<td>a maintainer</td></tr>");
	page_table_end(out);
	json_write(json_get(repo, "settings"), JSON_WRITE_PRETTY, &text);
	html_put(out,
		"<section class=\"panel\"><header><h2>Settings</h2><span>sluice repo set $ KEY=VALUE"
		"</span></header><pre class=\"well\">$</pre></section>",
		json_get_str(repo, "name", ""), text.buf);
}

static const struct {
	const char *tab;
	void (*fn)(struct visit *v, struct strbuf *out, const struct json *repo);
} tabs[] = {
	{ "", workflows_tab },
	{ "workflows", workflows_tab },
	{ "environments", environments_tab },
	{ "hook", hook_tab },
	{ "secrets", secrets_tab },
	{ "rules", rules_tab },
};

/* ---- acting ---- */

static void on_dispatched(struct visit *v, const struct json *answer, void *data)
{
	_cleanup_free_ char *to = data;

	if (answer && json_get_bool(answer, "ok", false))
		http_redirect(v->r, 303, to);
	else
		page_refused(v, answer);
}

static void repo_post(struct visit *v, const char *full_name)
{
	struct json *args;
	const char *ref = http_form(v->r, "ref"), *workflow = http_form(v->r, "workflow");

	if (!visit_may(v, SCOPE_RUN)) {
		page_denied(v, SCOPE_RUN);
		return;
	}
	if (!web_same_origin(v))
		return;
	args = json_new_object();
	json_set_str(args, "repo", full_name);
	json_set_str(args, "workflow", workflow ? workflow : "");
	if (ref && ref[0])
		json_set_str(args, "ref", ref);
	web_verb(v, "run.dispatch", args, on_dispatched, xasprintf("/?q=repo:%s", full_name));
}

static void head(struct visit *v, struct strbuf *out, const struct json *repo, const char *tab)
{
	const char *name = json_get_str(repo, "name", "");
	_cleanup_free_ char *base = xasprintf("/repos/%s", name);
	_cleanup_free_ char *runs = xasprintf("/?q=repo:%s", name);
	static const struct page_tab list[] = { { "", "Workflows", NULL },
		{ "/environments", "Environments", NULL }, { "/hook", "Webhook", NULL },
		{ "/secrets", "Secrets and variables", NULL }, { "/rules", "Rules", NULL },
		{ NULL, NULL, NULL } };

	page_crumbs(out, "Repositories", "/repos", name, NULL, NULL);
	html_put(out,
		"<div class=\"headline\"><h1>$</h1><div class=\"buttons\"><a class=\"btn\" href=\"$\">Its "
		"runs</a></div></div><div class=\"facts\"><span>$</span><span>default branch "
		"<code>$</code></span><span class=\"mono\">$</span>",
		name, runs, json_get_str(repo, "forge", ""),
		json_get_str(repo, "default_branch", ""), json_get_str(repo, "url", ""));
	if (json_get_int(repo, "hook_delivery_at", 0) > 0) {
		strbuf_adds(out, "<span>last delivery ");
		html_day(out, json_get_int(repo, "hook_delivery_at", 0));
		strbuf_adds(out, "</span>");
	}
	strbuf_adds(out, "</div>");
	page_tabs(out, "Repository", base, tab, list);
}

void page_repo(struct visit *v, const char *full_name, const char *tab)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *r = NULL;
	_cleanup_free_ char *path = tab && strcmp(tab, "workflows") != 0 ? xasprintf("/%s", tab) :
									  xstrdup("");
	size_t i = 0;
	struct err err = ERR_INIT;

	if (strcmp(http_method(v->r), "POST") == 0) {
		repo_post(v, full_name);
		return;
	}
	while (i < ARRAY_SIZE(tabs) && !str_eq(tabs[i].tab, tab ? tab : ""))
		i++;
	if (i == ARRAY_SIZE(tabs)) {
		page_not_found(v);
		return;
	}
	if (query_repo(v->web->store, full_name, &r, &err) < 0) {
		page_err(v, &err);
		return;
	}
	page_begin(v, &out, full_name, "Repositories");
	head(v, &out, r, path);
	tabs[i].fn(v, &out, r);
	page_answer(v, 200, &out);
}

/* ---- one delivery ---- */

static void replan_form(struct visit *v, struct strbuf *out, int64_t id, const struct json *d)
{
	if (!str_eq(json_get_str(d, "event_state", ""), "failed") || !v->session)
		return;
	html_put(out, "<form method=\"post\" action=\"/deliveries/#\">", (long long)id);
	web_csrf_field(v, out);
	html_put(out, "<input type=\"hidden\" name=\"event\" value=\"#\"><p class=\"buttons\">"
		      "<button class=\"btn primary\">Plan again</button></p></form>",
		(long long)json_get_int(d, "event_id", 0));
}

static void delivery_runs(struct strbuf *out, const struct json *runs)
{
	html_put(out,
		"<section class=\"panel\"><header><h2>Became</h2></header><ul class=\"list\">");
	for (size_t i = 0; i < json_count(runs); i++) {
		const struct json *r = json_at(runs, i);

		strbuf_adds(out, "<li>");
		html_glyph(out, json_get_str(r, "state", ""));
		html_put(out, "<div><a href=\"/runs/#\">$ ###</a> $</div></li>",
			(long long)json_get_int(r, "id", 0), json_get_str(r, "title", ""),
			(long long)json_get_int(r, "number", 0), json_get_str(r, "state", ""));
	}
	if (json_count(runs) == 0)
		strbuf_adds(out, "<li><div>no run</div></li>");
	strbuf_adds(out, "</ul></section>");
}

void page_delivery(struct visit *v, int64_t id)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *d = NULL;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	const char *event = http_form(v->r, "event"), *why;
	struct err err = ERR_INIT;
	long long n = 0;

	if (strcmp(http_method(v->r), "POST") == 0) {
		struct json *args;

		if (!web_same_origin(v))
			return;
		args = json_new_object();
		if (event && str_to_int(event, 1, INT64_MAX, &n) == 0)
			json_set_int(args, "event", n);
		web_verb(v, "event.replan", args, on_dispatched,
			xasprintf("/deliveries/%lld", (long long)id));
		return;
	}
	if (query_delivery(v->web->store, id, &d, &err) < 0) {
		page_err(v, &err);
		return;
	}
	why = json_get_str(d, "event_reason", "");
	page_begin(v, &out, "Delivery", "Repositories");
	_cleanup_free_ char *repo = xasprintf("/repos/%s/hook", json_get_str(d, "repo", ""));

	page_crumbs(&out, "Repositories", "/repos", json_get_str(d, "repo", ""), repo,
		"delivery", NULL, NULL);
	html_put(&out, "<h1>Delivery #</h1><div class=\"facts\">", (long long)id);
	html_state(&out, json_get_str(d, "event_state", json_get_str(d, "state", "")));
	html_put(&out, "<span>$ from $</span><span>", json_get_str(d, "event", ""),
		json_get_str(d, "peer", ""));
	html_day(&out, json_get_int(d, "received_at", 0));
	strbuf_adds(&out, "</span></div>");
	if (why[0])
		html_put(&out, "<p class=\"note fail\">$</p>", why);
	replan_form(v, &out, id, d);
	delivery_runs(&out, json_get(d, "runs"));
	query_public(d);
	json_write(d, JSON_WRITE_PRETTY, &text);
	html_put(&out, "<section class=\"panel\"><header><h2>As it is stored</h2></header>"
		       "<pre class=\"well\">$</pre></section>",
		text.buf);
	page_answer(v, 200, &out);
}

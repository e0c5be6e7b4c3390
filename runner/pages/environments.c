/* SPDX-License-Identifier: Apache-2.0 */
/* `/environments`: what runs where, one environment's history, and where a commit is. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

#define LOOK_BACK 100 /* deployments, for where a commit has been */

static void env_url(struct strbuf *out, const char *repo, const char *name)
{
	html_put(out, "/environments/$/", repo);
	html_url(out, name);
}

static void now_runs(struct strbuf *out, const struct json *d, int64_t now)
{
	int64_t since = json_get_int(d, "completed_at", json_get_int(d, "created_at", 0));

	if (!json_is(d, JSON_KIND_OBJECT)) {
		strbuf_adds(out, "<p class=\"version dim\">nothing yet</p><p>The first successful "
				 "deploy shows here.</p>");
		return;
	}
	html_put(out, "<p class=\"version\">$</p><p>", json_get_str(d, "branch", "?"));
	html_sha(out, json_get_str(d, "sha", ""));
	html_put(out, " · $</p><p>since ", json_get_str(d, "actor", ""));
	html_day(out, since);
	html_put(out, " · <a href=\"/runs/#\">run ###</a> · ",
		(long long)json_get_int(d, "run", 0),
		(long long)json_get_int(d, "run_number", 0));
	html_span(out, now - since);
	strbuf_adds(out, "</p>");
}

static void card(struct strbuf *out, const struct json *e, int64_t now)
{
	const char *repo = json_get_str(e, "repo", ""), *name = json_get_str(e, "name", "");
	const struct json *gates = json_get(e, "gates"), *d = json_get(e, "now");
	const char *approvers = json_get_str(d, "approvers", "");

	html_put(out, "<section class=\"panel card\"><header><h2>$</h2>", name);
	if (json_count(gates))
		html_state_as(out, "waiting", "at the gate");
	else if (json_is(d, JSON_KIND_OBJECT))
		html_state_as(out, "success", "deployed");
	strbuf_adds(out, "</header><div class=\"pad\">");
	now_runs(out, d, now);
	html_put(out, "</div><p class=\"foot\">$@$</p><p class=\"foot buttons\">",
		json_get_str(e, "rules_text", ""), approvers[0] ? " · approved by " : "",
		approvers);
	for (size_t i = 0; i < json_count(gates) && i < 3; i++)
		html_put(out, "<a class=\"btn primary\" href=\"/gates/#\">Review…</a>",
			(long long)json_as_int(json_at(gates, i), 0));
	strbuf_adds(out, "<a class=\"btn\" href=\"");
	env_url(out, repo, name);
	strbuf_adds(out, "\">History</a></p></section>");
}

static void where_form(struct strbuf *out, const char *ref)
{
	html_put(out,
		"<section class=\"panel\"><header><h2>Where is a commit?</h2>"
		"<form class=\"inline\" method=\"get\" action=\"/where\" role=\"search\">"
		"<label class=\"vh\" for=\"ref\">Commit, branch or tag</label>"
		"<input class=\"field\" id=\"ref\" name=\"ref\" value=\"$\" placeholder=\"b6aa713 or "
		"v2.8.0\"><button class=\"btn\">Find</button></form></header>",
		ref);
}

void page_environments(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;
	const char *last = "";
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();

	if (query_environments(v->web->store, http_query(v->r, "repo"), &list, &err) < 0) {
		page_err(v, &err);
		return;
	}
	items = json_get(list, "items");
	page_begin(v, &out, "Environments", "Environments");
	strbuf_adds(&out, "<h1>Environments</h1>");
	if (json_count(items) == 0)
		strbuf_adds(&out,
			"<p class=\"note\">None yet. A job with <code>environment:</code> makes one; its "
			"rules are set with <code>sluice environments apply FILE</code>.</p>");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *e = json_at(items, i);
		const char *repo = json_get_str(e, "repo", "");

		if (strcmp(repo, last) != 0) {
			html_put(&out, "@<h2 class=\"over\"><a href=\"/repos/$\">$</a></h2>"
				       "<div class=\"cards\">",
				last[0] ? "</div>" : "", repo, repo);
			last = repo;
		}
		card(&out, e, now);
	}
	if (last[0])
		strbuf_adds(&out, "</div>");
	where_form(&out, "");
	strbuf_adds(&out, "<p class=\"pad dim\">By the commit, branch or tag that was deployed.</p>"
			  "</section>");
	page_answer(v, 200, &out);
}

/* ---- one environment ---- */

static void deployment_row(struct strbuf *out, const struct json *d, int64_t current)
{
	const char *approvers = json_get_str(d, "approvers", "");
	bool now = json_get_int(d, "id", 0) == current;
	const char *state = json_get_str(d, "state", "queued");

	html_put(out, "<tr class=\"@@\"><td>", html_state_class(state), now ? " now" : "");
	html_state_as(out, state, now ? "success, runs now" : html_state_word(state));
	html_put(out, "</td><td><code>@$@</code><br>", now ? "<b>" : "",
		json_get_str(d, "branch", json_get_str(d, "ref", "")), now ? "</b>" : "");
	html_sha(out, json_get_str(d, "sha", ""));
	html_put(out, "</td><td>$</td><td>$</td><td>", json_get_str(d, "actor", ""),
		approvers[0] ? approvers : "rules");
	html_day(out, json_get_int(d, "created_at", 0));
	if (json_get_int(d, "completed_at", 0) > 0) {
		strbuf_adds(out, ", ");
		html_span(out,
			json_get_int(d, "completed_at", 0) - json_get_int(d, "created_at", 0));
	}
	html_put(out, "</td><td class=\"num\"><a href=\"/runs/#\">###</a></td></tr>",
		(long long)json_get_int(d, "run", 0), (long long)json_get_int(d, "run_number", 0));
}

/* One that waits at the gate is on top: it may be the next. */
static void waiting_row(struct strbuf *out, const struct json *g, int64_t now)
{
	long long more = (long long)(json_get_int(g, "required", 1) - json_get_int(g, "approvals", 0));

	strbuf_adds(out, "<tr class=\"wait\"><td>");
	html_state(out, "waiting");
	html_put(out, "</td><td><code>$</code><br>", json_get_str(g, "branch", ""));
	html_sha(out, json_get_str(g, "sha", ""));
	html_put(out, "</td><td>$</td><td>", json_get_str(g, "actor", ""));
	if (json_get_int(g, "approvals", 0))
		html_put(out, "# approved, ", (long long)json_get_int(g, "approvals", 0));
	html_put(out, "<a href=\"/gates/#\"># to go</a></td><td>held ",
		(long long)json_get_int(g, "id", 0), more > 0 ? more : 0);
	html_duration(out, json_get_int(g, "created_at", 0), 0, now);
	html_put(out, "</td><td class=\"num\"><a href=\"/runs/#\">###</a></td></tr>",
		(long long)json_get_int(g, "run_id", 0), (long long)json_get_int(g, "number", 0));
}

static void name_list(struct strbuf *out, const char *title, const struct json *list,
	const char *none)
{
	html_put(out, "<dt>$</dt><dd class=\"mono\">", title);
	for (size_t i = 0; i < json_count(list); i++)
		html_put(out, "@$", i ? ", " : "", json_get_str(json_at(list, i), "name", ""));
	if (json_count(list) == 0)
		strbuf_adds(out, none);
	strbuf_adds(out, "</dd>");
}

void page_environment(struct visit *v, const char *repo, const char *name)
{
	static const char *const heads[] = { "Result", "Version", "Asked by", "Decided by", "Ran",
		">Run", NULL };
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *e = NULL;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *title = NULL, *href = xasprintf("/environments?repo=%s", repo);
	const struct json *list;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();

	if (query_environment(v->web->store, repo, name, &e, &err) < 0) {
		page_err(v, &err);
		return;
	}
	title = xasprintf("History of %s", name);
	page_begin(v, &out, name, "Environments");
	page_crumbs(&out, "Environments", "/environments", repo, href, name, NULL, NULL);
	html_put(&out, "<h1 class=\"alone\">$</h1><div class=\"cols\"><div>", name);
	page_table(&out, title, "every deployment, newest first", heads);
	list = json_get(e, "gates");
	for (size_t i = json_count(list); i > 0; i--)
		waiting_row(&out, json_at(list, i - 1), now);
	list = json_get(e, "deployments");
	if (json_count(list) + json_count(json_get(e, "gates")) == 0)
		strbuf_adds(&out, "<tr><td colspan=\"6\" class=\"dim\">None yet.</td></tr>");
	for (size_t i = 0; i < json_count(list); i++)
		deployment_row(&out, json_at(list, i),
			json_get_int(json_get(e, "now"), "id", -1));
	page_table_end(&out);
	strbuf_adds(&out, "</div><div>");
	card(&out, e, now);
	html_put(&out, "<section class=\"panel\"><header><h2>Rules of $</h2></header>"
		       "<dl class=\"pad\"><dt>in words</dt><dd>$</dd>",
		name, json_get_str(e, "rules_text", ""));
	name_list(&out, "secrets", json_get(e, "secrets"), "none");
	name_list(&out, "variables", json_get(e, "vars"), "none");
	json_write(json_get(e, "rules"), JSON_WRITE_PRETTY, &text);
	html_put(&out, "</dl><pre class=\"well\">$</pre></section></div></div>", text.buf);
	page_answer(v, 200, &out);
}

/* ---- where a commit is ---- */

static bool is_about(const struct json *d, const char *ref)
{
	const char *sha = json_get_str(d, "sha", ""), *full = json_get_str(d, "ref", "");

	return (strlen(ref) >= 4 && str_starts(sha, ref)) ||
		str_eq(json_get_str(d, "branch", ""), ref) || str_eq(full, ref);
}

static void where_answer(struct strbuf *out, const struct json *envs, const struct json *past,
	const char *ref)
{
	size_t found = 0;

	strbuf_adds(out, "<ul class=\"list\">");
	for (size_t i = 0; i < json_count(envs); i++) {
		const struct json *e = json_at(envs, i), *d = json_get(e, "now");
		bool here = json_is(d, JSON_KIND_OBJECT) && is_about(d, ref);
		const struct json *was = NULL;

		for (size_t k = 0; !here && !was && k < json_count(past); k++) {
			const struct json *p = json_at(past, k);

			if (is_about(p, ref) &&
				str_eq(json_get_str(p, "environment", ""),
					json_get_str(e, "name", "")) &&
				str_eq(json_get_str(p, "repo", ""),
					json_get_str(e, "repo", "")))
				was = p;
		}
		if (!here && !was)
			continue;
		found++;
		strbuf_adds(out, "<li>");
		html_glyph(out, here ? "success" : json_get_str(was, "state", "queued"));
		html_put(out, "<div><b>$</b> $ ", json_get_str(e, "name", ""),
			json_get_str(e, "repo", ""));
		if (here) {
			strbuf_adds(out, "runs it since ");
			html_day(out, json_get_int(d, "completed_at", 0));
		} else {
			html_put(out, "had it: $, ", json_get_str(was, "state", ""));
			html_day(out, json_get_int(was, "created_at", 0));
			html_put(out, ", <a href=\"/runs/#\">run ###</a>",
				(long long)json_get_int(was, "run", 0),
				(long long)json_get_int(was, "run_number", 0));
		}
		strbuf_adds(out, "</div></li>");
	}
	strbuf_adds(out, "</ul>");
	if (found == 0)
		html_put(out,
			"<p class=\"pad\">No environment has deployed '$'. A commit that is part of "
			"a later deployed one is not found here: ask for the deployed one.</p>",
			ref);
}

void page_where(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *envs = NULL;
	_cleanup_(json_freep) struct json *past = NULL;
	const char *ref = http_query(v->r, "ref");
	struct err err = ERR_INIT;

	if (query_environments(v->web->store, NULL, &envs, &err) < 0 ||
		query_deployments(v->web->store, NULL, NULL, 0, LOOK_BACK, &past, &err) < 0) {
		page_err(v, &err);
		return;
	}
	page_begin(v, &out, "Where is a commit?", "Environments");
	page_crumbs(&out, "Environments", "/environments", "where", NULL, NULL);
	strbuf_adds(&out, "<h1>Where is a commit?</h1><p></p>");
	where_form(&out, ref ? ref : "");
	if (ref && ref[0])
		where_answer(&out, json_get(envs, "items"), json_get(past, "items"), ref);
	strbuf_adds(&out, "</section>");
	page_answer(v, 200, &out);
}

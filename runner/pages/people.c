/* SPDX-License-Identifier: Apache-2.0 */
/* `/audit`, `/me`, `/keys`. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

/* ---- audit ---- */

static void audit_row(struct strbuf *out, const struct json *a)
{
	const char *from = json_get_str(a, "from_state", ""), *to = json_get_str(a, "to_state", "");
	int64_t run = json_get_int(a, "run_id", 0);

	html_put(out, "<tr><td class=\"num\">#</td><td class=\"nowrap\">",
		(long long)json_get_int(a, "id", 0));
	html_day(out, json_get_int(a, "created_at", 0));
	html_put(out, "</td><td>$<span class=\"sub\">$</span></td><td>$",
		json_get_str(a, "actor", ""), json_get_str(a, "actor_kind", ""),
		json_get_str(a, "verb", ""));
	if (to[0])
		html_put(out, "<span class=\"sub\">$ → $</span>", from[0] ? from : "born", to);
	html_put(out, "</td><td>$ #", json_get_str(a, "object", ""),
		(long long)json_get_int(a, "object_id", 0));
	if (run > 0)
		html_put(out, "<span class=\"sub\"><a href=\"/runs/#\">run #</a></span>",
			(long long)run, (long long)run);
	html_put(out, "</td><td class=\"mono\">$</td></tr>\n", json_get_str(a, "detail", ""));
}

void page_audit(struct visit *v)
{
	static const char *const heads[] = { ">No", "When", "Who", "What", "About",
		"Detail", NULL };
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
	strbuf_adds(&out, "<h1>Audit</h1><p>Every change of state, chained by hash. "
			  "<code>sluice check</code> verifies the chain.</p>");
	page_table(&out, NULL, "Entries", heads);
	for (size_t i = 0; i < json_count(items); i++)
		audit_row(&out, json_at(items, i));
	page_table_end(&out);
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
		{ "Enter", "open the row" },
		{ "e E", "log: next, previous error" },
		{ "n N", "log: next, previous hit" },
		{ "[ ]", "log: previous, next step" },
		{ "f", "log: follow the end" },
		{ "t", "log: times since the start, by the clock, off" },
		{ "w", "log: wrap lines" },
		{ "y", "log: copy the link to the line" },
		{ "Home End", "log: first, last line" },
		{ "?", "this page" },
	};
	struct strbuf out = STRBUF_INIT;

	page_begin(v, &out, "Keys", NULL);
	strbuf_adds(&out, "<div class=\"narrow\"><h1>Keys</h1><p>Ignored while you type.</p>"
			  "<section class=\"panel\"><table><caption class=\"vh\">Keys</caption><tbody>");
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		html_put(&out, "<tr><td><kbd>$</kbd></td><td>$</td></tr>", list[i].keys,
			list[i].what);
	strbuf_adds(&out,
		"</tbody></table></section>"
		"<p><button class=\"btn js\" id=\"keys-off\" aria-pressed=\"false\" hidden>"
		"Turn single keys off in this browser</button></p></div>");
	page_answer(v, 200, &out);
}

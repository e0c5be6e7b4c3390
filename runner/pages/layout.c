/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of every page, its errors, and the routes. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/disk.h"
#include "runner/html.h"
#include "runner/web-internal.h"
#include "store/runs.h"

/* One inline sprite: shapes differ without colour. */
static const char sprite[] =
	"<svg class=\"sprite\" aria-hidden=\"true\"><defs>"
	"<symbol id=\"g-queued\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"5\" "
	"fill=\"none\"/></symbol>"
	"<symbol id=\"g-waiting\" viewBox=\"0 0 16 16\"><path d=\"M2 1v14M14 1v14\" "
	"fill=\"none\"/><path d=\"M4.5 7h7v7h-7z\" fill=\"currentColor\" stroke=\"none\"/>"
	"</symbol>"
	"<symbol id=\"g-running\" viewBox=\"0 0 16 16\"><path d=\"M3 2l11 6-11 6z\" "
	"fill=\"currentColor\" stroke=\"none\"/></symbol>"
	"<symbol id=\"g-success\" viewBox=\"0 0 16 16\"><path d=\"M2.5 8.5l4 4 7-8\" "
	"fill=\"none\" stroke-width=\"1.75\"/></symbol>"
	"<symbol id=\"g-failure\" viewBox=\"0 0 16 16\"><path d=\"M1 1h14v14H1zM5.2 4L4 5.2 6.8 "
	"8 4 10.8 5.2 12 8 9.2l2.8 2.8 1.2-1.2L9.2 8 12 5.2 10.8 4 8 6.8z\" "
	"fill=\"currentColor\" fill-rule=\"evenodd\" stroke=\"none\"/></symbol>"
	"<symbol id=\"g-cancelled\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6\" "
	"fill=\"none\" stroke-width=\"1.5\"/><path d=\"M4 12l8-8\" stroke-width=\"1.5\"/>"
	"</symbol>"
	"<symbol id=\"g-skipped\" viewBox=\"0 0 16 16\"><path d=\"M1 8h3.4M6.3 8h3.4M11.6 8H15\" "
	"/></symbol>"
	"<symbol id=\"g-lost\" viewBox=\"0 0 16 16\"><path d=\"M8 1l7 7-7 7-7-7z\" fill=\"none\" "
	"stroke-width=\"1.5\" stroke-dasharray=\"3 1.6\"/><path d=\"M8 4.5v4.5M8 10.4v1.4\" "
	"stroke-width=\"1.6\"/></symbol>"
	"<symbol id=\"g-warning\" viewBox=\"0 0 16 16\"><path d=\"M8 2l6.5 12h-13z\" fill=\"none\" "
	"stroke-width=\"1.6\"/><path d=\"M8 6v4M8 11.2v1.4\" stroke-width=\"1.6\"/></symbol>"
	"<symbol id=\"g-notice\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6\" "
	"fill=\"none\" stroke-width=\"1.5\"/><path d=\"M8 7v5M8 4v1.6\" stroke-width=\"1.6\"/>"
	"</symbol></defs></svg>";

static const char brand[] =
	"<a class=\"brand\" href=\"/\"><svg viewBox=\"0 0 18 18\" aria-hidden=\"true\">"
	"<path d=\"M2 1v16M16 1v16\" stroke=\"currentColor\" stroke-width=\"2\"/>"
	"<path d=\"M5 3h8v6H5z\" fill=\"currentColor\"/><path class=\"wet\" d=\"M5 12h8M5 15h8\" "
	"stroke-width=\"1.5\"/></svg>sluice</a>";

static const struct {
	const char *href, *name;
	enum scope scope;
} nav_items[] = {
	{ "/", "Runs", SCOPE_READ },
	{ "/queue", "Queue", SCOPE_READ },
	{ "/environments", "Environments", SCOPE_READ },
	{ "/repos", "Repositories", SCOPE_READ },
	{ "/audit", "Audit", SCOPE_ADMIN },
};

static int64_t need_count(const struct json *status)
{
	const struct json *runs = json_get(status, "runs");

	return json_get_int(runs, "waiting", 0) + json_get_int(runs, "lost", 0);
}

void part_top_status(struct strbuf *out, const struct json *status)
{
	int64_t used = json_get_int(status, "slots_used", 0);
	int64_t slots = json_get_int(status, "slots", 0);
	int64_t queued = json_get_int(json_get(status, "jobs"), "queued", 0);
	int64_t shown = slots > 12 ? 12 : slots;

	if (slots > 0) {
		html_put(out,
			"<span><svg class=\"slots\" width=\"#\" height=\"9\" "
			"aria-hidden=\"true\">",
			(long long)shown * 9);
		for (int64_t i = 0; i < shown; i++)
			html_put(out,
				"<rect class=\"@\" x=\"#.5\" y=\".5\" width=\"7\" height=\"8\"/>",
				i * slots < used * shown ? "on" : "", (long long)i * 9);
		html_put(out, "</svg> <b>#</b> of # slots</span>", (long long)used,
			(long long)slots);
	}
	html_put(out, "<span class=\"queue\">queue <b>#</b></span>", (long long)queued);
}

const char *page_job_state(const struct json *job)
{
	const char *state = json_get_str(job, "state", "queued");

	if (!str_eq(state, "waiting"))
		return state;
	return json_get_bool(job, "is_expanded", false) ? "held" : "blocked";
}

void page_table(struct strbuf *out, const char *title, const char *aside,
	const char *const *heads)
{
	strbuf_adds(out, "<section class=\"panel\">");
	if (title)
		html_put(out, "<header><h2>$</h2><span>$</span></header>", title, aside);
	html_put(out, "<div class=\"scroll\"><table><caption class=\"vh\">$</caption><thead><tr>",
		title ? title : aside);
	for (; *heads; heads++) {
		bool right = **heads == '>';

		html_put(out, "<th scope=\"col\"@>$</th>", right ? " class=\"num\"" : "",
			*heads + right);
	}
	strbuf_adds(out, "</tr></thead><tbody>");
}

void page_table_end(struct strbuf *out)
{
	strbuf_adds(out, "</tbody></table></div></section>\n");
}

void page_tabs(struct strbuf *out, const char *label, const char *base, const char *current,
	const struct page_tab *tabs)
{
	html_put(out, "<nav class=\"tabs line\" aria-label=\"$\">", label);
	for (; tabs->path; tabs++) {
		html_put(out, "<a href=\"$@\"@>$", base, tabs->path,
			str_eq(tabs->path, current) ? " aria-current=\"page\"" : "", tabs->name);
		if (tabs->count)
			html_put(out, " <span class=\"dim\">$</span>", tabs->count);
		strbuf_adds(out, "</a>");
	}
	strbuf_adds(out, "</nav>");
}

static void navigation(struct visit *v, struct strbuf *out, const char *current)
{
	int64_t need = need_count(web_status(v->web));

	strbuf_adds(out, "<nav aria-label=\"Main\">");
	for (size_t i = 0; i < ARRAY_SIZE(nav_items); i++) {
		if (!visit_may(v, nav_items[i].scope))
			continue;
		html_put(out, "<a href=\"@\"@>@", nav_items[i].href,
			str_eq(current, nav_items[i].name) ? " aria-current=\"page\"" : "",
			nav_items[i].name);
		if (i == 0 && need > 0)
			html_put(out, "<span class=\"need\"># need you</span>",
				(long long)need);
		strbuf_adds(out, "</a>");
	}
	strbuf_adds(out, "</nav>");
}

static void body_tag(struct visit *v, struct strbuf *out)
{
	html_put(out, "<body data-now=\"#\"", (long long)clock_wall_ms());
	if (v->live)
		html_put(out, " data-live=\"$\" data-id=\"#\" data-seq=\"@\"", v->live,
			(long long)v->live_id, live_position(v->web->live));
	strbuf_adds(out, ">");
}

/* Above every page, because nothing goes on until somebody makes space. */
static void disk_note(struct strbuf *out, const struct json *status)
{
	_cleanup_free_ char *words = disk_words(json_get(status, "disk"));

	if (words)
		html_put(out, "<p class=\"note fail\" id=\"disk\">Stopped: $.</p>", words);
}

void page_begin(struct visit *v, struct strbuf *out, const char *title, const char *nav)
{
	const char *refresh = http_query(v->r, "refresh");
	long long seconds;

	if (refresh && str_to_int(refresh, 5, 3600, &seconds) == 0)
		http_add_header(v->r, "Refresh", refresh);
	strbuf_adds(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
			 "<meta name=\"viewport\" content=\"width=device-width, "
			 "initial-scale=1\">");
	html_put(out, "<title>$ · sluice</title><link rel=\"stylesheet\" href=\"@\">", title,
		asset_url("sluice.css"));
	html_put(out, "<link rel=\"icon\" href=\"@\" type=\"image/svg+xml\">",
		asset_url("icon.svg"));
	html_put(out, "<script src=\"@\" defer></script></head>\n", asset_url("sluice.js"));
	body_tag(v, out);
	strbuf_adds(out, "<a class=\"skiplink\" href=\"#main\">Skip to content</a>");
	strbuf_adds(out, sprite);
	strbuf_adds(out, "<header class=\"top\"><div>");
	strbuf_adds(out, brand);
	if (v->who.kind && !v->who.gate) {
		navigation(v, out, nav);
		html_put(out,
			"<div class=\"gauges\"><span class=\"conf\">Confinement <b>$</b></span>"
			"<span id=\"top-status\" class=\"gauge\">",
			v->web->o->confinement ? v->web->o->confinement : "full");
		part_top_status(out, web_status(v->web));
		html_put(out, "</span><a href=\"/me\">$</a></div>", v->who.name);
	}
	strbuf_adds(out, "</div></header>\n<main id=\"main\" tabindex=\"-1\">");
	if (v->who.kind && !v->who.gate)
		disk_note(out, web_status(v->web));
}

/* Without script the page can be asked again by the browser itself. */
static void reload_link(struct visit *v, struct strbuf *out)
{
	const char *target = http_target(v->r);

	if (!v->live || http_query(v->r, "refresh"))
		return;
	html_put(out, "<noscript><span><a href=\"$@refresh=10\">reload every 10 s</a></span>"
		      "</noscript>",
		target, strchr(target, '?') ? "&amp;" : "?");
}

void page_end(struct visit *v, struct strbuf *out)
{
	strbuf_adds(out, "</main><footer class=\"keys\">");
	if (v->who.kind && !v->who.gate)
		strbuf_adds(out,
			"<span class=\"wide\"><kbd>/</kbd> filter</span><span class=\"wide\">"
			"<kbd>j</kbd> <kbd>k</kbd> move</span><span class=\"wide\"><kbd>Enter</kbd> "
			"open</span><span class=\"wide\"><kbd>?</kbd> <a href=\"/keys\">all keys</a>"
			"</span>");
	strbuf_addf(out, "<span>sluice " SLUICE_VERSION " · page %.1f ms</span>",
		(double)http_age_us(v->r) / 1000);
	if (v->live)
		strbuf_adds(out, "<span id=\"live\" role=\"status\">not live</span>");
	strbuf_adds(out, "<noscript><span>times are UTC</span></noscript>");
	reload_link(v, out);
	strbuf_adds(out,
		"</footer><div id=\"banner\" role=\"alert\" hidden></div></body></html>\n");
}

void page_answer(struct visit *v, int status, struct strbuf *out)
{
	page_end(v, out);
	http_answer_take(v->r, status, "text/html; charset=utf-8", out);
}

void page_error(struct visit *v, int status, const char *title, const char *text,
	const char *what_next)
{
	struct strbuf out = STRBUF_INIT;

	page_begin(v, &out, title, NULL);
	html_put(&out, "<div class=\"narrow\"><h1>$</h1><p>$</p>", title, text);
	if (what_next)
		html_put(&out, "<p>$</p>", what_next);
	html_put(&out,
		"<p class=\"dim\">Request <code>$</code>. The server's log says more:</p>"
		"<pre class=\"well\">journalctl -u sluice | grep $</pre></div>",
		http_id(v->r), http_id(v->r));
	page_answer(v, status, &out);
}

void page_err(struct visit *v, const struct err *err)
{
	int status = http_status_of(err->code);
	_cleanup_free_ char *text = xstrdup(err->msg);

	if (text[0] >= 'a' && text[0] <= 'z')
		text[0] = (char)(text[0] - 32);
	if (status >= 500)
		log_warnx("page '%s' failed: %s request=%s", http_path(v->r), err->msg,
			http_id(v->r));
	page_error(v, status,
		status == 404 ? "Not here" :
		status == 403 ? "Not allowed" :
		status == 409 ? "It changed meanwhile" :
				"That did not work",
		text, NULL);
}

void page_refused(struct visit *v, const struct json *answer)
{
	const struct json *error = json_get(answer, "error");
	const char *code = json_get_str(error, "code", "");

	if (!answer) {
		http_add_header(v->r, "Retry-After", "2");
		page_error(v, 503, "The server is restarting",
			"Nothing was changed by this. Running jobs go on.", "Try again in 2 s.");
		return;
	}
	page_error(v, http_status_of_name(code),
		str_eq(code, "denied")	   ? "Not allowed" :
			str_eq(code, "conflict") ? "It changed meanwhile" :
						   "Nothing was changed",
		json_get_str(error, "message", "core gave no reason"),
		json_get_str(error, "hint", NULL));
}

void page_not_found(struct visit *v)
{
	page_error(v, 404, "Not here",
		"There is no page with this address, or it needs rights that you have not.",
		v->who.kind ? NULL : "Signing in may help.");
}

void page_denied(struct visit *v, enum scope scope)
{
	_cleanup_(strbuf_done) struct strbuf to = STRBUF_INIT;
	char buf[64];

	if (v->who.kind) {
		_cleanup_free_ char *text =
			xasprintf("This needs the right '%s', which '%s' does not have.",
				scopes_text(scope, buf), v->who.name);

		page_error(v, 403, "Not allowed", text, "An administrator can give it.");
		return;
	}
	if (web_bounce(v))
		return;
	strbuf_adds(&to, "/login?next=");
	html_url(&to, http_target(v->r));
	http_redirect(v->r, 303, to.buf);
}

void page_crumbs(struct strbuf *out, ...)
{
	va_list ap;
	const char *text;
	bool first = true;

	strbuf_adds(out, "<div class=\"crumbs\">");
	va_start(ap, out);
	while ((text = va_arg(ap, const char *)) != NULL) {
		const char *href = va_arg(ap, const char *);

		if (!first)
			strbuf_adds(out, "<i>/</i>");
		first = false;
		if (href)
			html_put(out, "<a href=\"$\">$</a>", href, text);
		else
			html_text(out, text);
	}
	va_end(ap);
	strbuf_adds(out, "</div>");
}

/* ---- routes ---- */

static void go_run(struct visit *v)
{
	struct err err = ERR_INIT;
	_cleanup_free_ char *text =
		xasprintf("%s/%s#%s", v->route[0], v->route[1], v->route[2]);
	_cleanup_free_ char *to = NULL;
	int64_t id;

	if (runs_resolve(v->web->store, text, &id, &err) < 0) {
		page_err(v, &err);
		return;
	}
	to = xasprintf("/runs/%lld", (long long)id);
	http_redirect(v->r, 302, to);
}

static int64_t part_id(const struct visit *v, size_t i)
{
	long long n;

	return str_to_int(v->route[i], 1, INT64_MAX, &n) == 0 ? n : 0;
}

static void run_page(struct visit *v)
{
	page_run(v, part_id(v, 0));
}

static void rerun_page(struct visit *v)
{
	page_rerun(v, part_id(v, 0));
}

static void resolve_page(struct visit *v)
{
	page_resolve(v, part_id(v, 0));
}

static void explain_page(struct visit *v)
{
	page_explain(v, part_id(v, 0), v->route[1]);
}

static void job_page(struct visit *v)
{
	page_job(v, part_id(v, 0), v->route[1]);
}

static void job_lines(struct visit *v)
{
	page_job_lines(v, part_id(v, 0));
}

static void job_search(struct visit *v)
{
	page_job_search(v, part_id(v, 0));
}

static void job_usage(struct visit *v)
{
	page_job_usage(v, part_id(v, 0));
}

static void job_marks(struct visit *v)
{
	page_job_marks(v, part_id(v, 0));
}

static void job_tail(struct visit *v)
{
	live_job_lines(v, part_id(v, 0));
}

static void job_raw(struct visit *v)
{
	live_raw_log(v, part_id(v, 0));
}

static void gate_page(struct visit *v)
{
	page_gate(v, part_id(v, 0));
}

static void approve_page(struct visit *v)
{
	page_approve(v, v->route[0]);
}

static void environment_page(struct visit *v)
{
	_cleanup_free_ char *repo = xasprintf("%s/%s", v->route[0], v->route[1]);

	page_environment(v, repo, v->route[2]);
}

static void repo_page(struct visit *v)
{
	_cleanup_free_ char *repo = xasprintf("%s/%s", v->route[0], v->route[1]);

	page_repo(v, repo, v->route[2]);
}

static void delivery_page(struct visit *v)
{
	page_delivery(v, part_id(v, 0));
}

/*
 * '*' is one part of the path, "**" all that is left (keys of jobs and names of
 * environments may hold slashes). The first row that fits is taken. Scope 0: anybody,
 * signed in or not. POST takes its own scope from core's verbs.
 */
static const struct {
	const char *pattern;
	enum scope scope;
	void (*get)(struct visit *v);
	void (*post)(struct visit *v);
} routes[] = {
	{ "/", SCOPE_READ, page_runs, NULL },
	{ "/runs/*", SCOPE_READ, run_page, run_page },
	{ "/runs/*/rerun", SCOPE_RUN, rerun_page, rerun_page },
	{ "/runs/*/resolve", SCOPE_RUN, resolve_page, NULL },
	{ "/runs/*/explain", SCOPE_READ, explain_page, NULL },
	{ "/runs/*/explain/**", SCOPE_READ, explain_page, NULL },
	{ "/r/*/*/*", SCOPE_READ, go_run, NULL },
	{ "/jobs/*", SCOPE_READ, job_page, NULL },
	{ "/jobs/*/lines", SCOPE_READ, job_lines, NULL },
	{ "/jobs/*/search", SCOPE_READ, job_search, NULL },
	{ "/jobs/*/marks", SCOPE_READ, job_marks, NULL },
	{ "/jobs/*/tail", SCOPE_READ, job_tail, NULL },
	{ "/jobs/*/raw", SCOPE_READ, job_raw, NULL },
	{ "/jobs/*/usage", SCOPE_READ, job_usage, NULL },
	{ "/jobs/*/*", SCOPE_READ, job_page, NULL },
	{ "/gates/*", SCOPE_READ, gate_page, gate_page },
	{ "/approve/*", 0, approve_page, approve_page },
	{ "/queue", SCOPE_READ, page_queue, page_queue },
	{ "/environments", SCOPE_READ, page_environments, NULL },
	{ "/environments/*/*/**", SCOPE_READ, environment_page, NULL },
	{ "/where", SCOPE_READ, page_where, NULL },
	{ "/repos", SCOPE_READ, page_repos, NULL },
	{ "/repos/*/*", SCOPE_READ, repo_page, repo_page },
	{ "/repos/*/*/*", SCOPE_READ, repo_page, NULL },
	{ "/deliveries/*", SCOPE_ADMIN, delivery_page, delivery_page },
	{ "/audit", SCOPE_ADMIN, page_audit, NULL },
	{ "/me", SCOPE_READ, page_me, NULL },
	{ "/keys", 0, page_keys, NULL },
	{ "/login", 0, web_login_page, web_login },
	{ "/logout", 0, NULL, web_logout },
	{ "/go", 0, web_go, NULL },
	{ "/live", SCOPE_READ, live_page, NULL },
};

bool web_match(struct visit *v, const char *pattern, const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	char *at = copy;
	size_t n = 0;

	memset(v->route, 0, sizeof(v->route));
	while (*pattern) {
		bool rest = pattern[0] == '*' && pattern[1] == '*';
		size_t len;

		if (*pattern != '*') {
			if (*pattern++ != *at++)
				return false;
			continue;
		}
		len = rest ? strlen(at) : strcspn(at, "/");
		if (len == 0 || n == ARRAY_SIZE(v->route))
			return false;
		v->route[n++] = at;
		at += len;
		pattern += rest ? 2 : 1;
		if (*pattern == '/') {
			if (*at != '/')
				return false;
			*at++ = '\0';
			pattern++;
		}
	}
	if (*at)
		return false;
	free(v->route_text);
	v->route_text = take_ptr(copy);
	return true;
}

static bool gate_only(const struct visit *v, const char *path)
{
	_cleanup_free_ char *own = xasprintf("/gates/%lld", (long long)v->who.gate);

	return !v->who.gate || strcmp(path, own) == 0 || strcmp(path, "/logout") == 0 ||
		strcmp(path, "/live") == 0;
}

bool pages_route(struct visit *v, const char *path)
{
	bool post = strcmp(http_method(v->r), "POST") == 0;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		void (*fn)(struct visit *);

		if (!web_match(v, routes[i].pattern, path))
			continue;
		fn = post ? routes[i].post : routes[i].get;
		if (!fn) {
			http_add_header(v->r, "Allow", routes[i].get ? "GET, HEAD" : "POST");
			http_answer(v->r, 405, "text/plain", "method not allowed\n", 19);
			return true;
		}
		if (routes[i].scope && (!visit_may(v, routes[i].scope) || !gate_only(v, path)))
			page_denied(v, routes[i].scope);
		else
			fn(v);
		return true;
	}
	return false;
}

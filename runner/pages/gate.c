/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `/gates/{id}` and `/approve/{token}`: what will be deployed, who decides, and the form.
 * GET shows and changes nothing; POST decides, with the digest that was shown.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

struct decision {
	char *back; /* where to go when it worked */
	char *link; /* token of a one-time link, or NULL */
};

static void decision_free(struct decision *d)
{
	free(d->back);
	free(d->link);
	free(d);
}

static bool is_pending(const struct json *gate)
{
	return str_eq(json_get_str(gate, "state", ""), "pending");
}

static void short_sha(struct strbuf *out, const char *sha)
{
	strbuf_adds(out, "<code>");
	html_textn(out, sha, strlen(sha) < 7 ? strlen(sha) : 7);
	strbuf_adds(out, "</code>");
}

static void votes(struct strbuf *out, const struct json *gate)
{
	const struct json *list = json_get(gate, "votes");
	int64_t required = json_get_int(gate, "required", 1), yes = 0;

	strbuf_adds(out, "<ul class=\"votes\">");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *vote = json_at(list, i);
		bool approves = str_eq(json_get_str(vote, "decision", ""), "approve") ||
			str_eq(json_get_str(vote, "decision", ""), "approved");

		yes += approves;
		html_put(out, "<li class=\"@\"><b>$</b><br>$ ", approves ? "yes" : "no",
			json_get_str(vote, "principal", ""), approves ? "approved" : "rejected");
		html_time(out, json_get_int(vote, "at", 0));
		if (json_get_str(vote, "comment", "")[0])
			html_put(out, "<br>“$”", json_get_str(vote, "comment", ""));
		strbuf_adds(out, "</li>");
	}
	for (; yes < required && is_pending(gate); yes++)
		strbuf_adds(out, "<li>open</li>");
	strbuf_adds(out, "</ul>");
}

static void binds_to(struct strbuf *out, const struct json *gate)
{
	html_put(out,
		"<dl><dt>commit</dt><dd class=\"mono\">$</dd><dt>workflow</dt>"
		"<dd class=\"mono\">$</dd><dt>attempt</dt><dd>#</dd></dl>",
		json_get_str(gate, "sha", ""), json_get_str(gate, "digest", ""),
		(long long)json_get_int(gate, "attempt", 1));
}

static void form(struct visit *v, struct strbuf *out, const struct json *gate,
	const char *action)
{
	const struct json *run = json_get(gate, "run");
	int64_t required = json_get_int(gate, "required", 1);
	int64_t have = json_get_int(gate, "approvals", 0);

	html_put(out, "<form method=\"post\" action=\"$\" id=\"gate-form\">", action);
	web_csrf_field(v, out);
	html_put(out,
		"<input type=\"hidden\" name=\"digest\" value=\"$\">"
		"<input type=\"hidden\" name=\"sha\" value=\"$\">",
		json_get_str(gate, "digest", ""), json_get_str(gate, "sha", ""));
	strbuf_adds(out,
		"<p><label for=\"comment\"><b>Comment</b> <span class=\"dim\">needed to reject"
		"</span></label><textarea class=\"field\" id=\"comment\" name=\"comment\" "
		"maxlength=\"2000\"></textarea></p><p class=\"buttons\">");
	html_put(out, "<button class=\"btn primary\" name=\"decision\" value=\"approve\">Approve $",
		json_get_str(run, "branch", ""));
	strbuf_adds(out, "</button><button class=\"btn danger\" name=\"decision\" "
			 "value=\"reject\">Reject</button></p></form>");
	if (have + 1 >= required)
		strbuf_adds(out, "<p>Your approval is the last one needed: <b>the deploy starts at "
				 "once.</b> It counts for this and nothing else:</p>");
	else
		html_put(out, "<p># of # approvals so far. Yours counts for this and nothing "
			      "else:</p>",
			(long long)have, (long long)required);
}

static void decision_panel(struct visit *v, struct strbuf *out, const struct json *gate,
	const char *action)
{
	strbuf_adds(out, "<section class=\"panel gate\"><header>");
	html_glyph(out, is_pending(gate) ? "waiting" : json_get_str(gate, "state", ""));
	html_put(out, "<div><h2># of # approvals</h2>",
		(long long)json_get_int(gate, "approvals", 0),
		(long long)json_get_int(gate, "required", 1));
	html_state(out, is_pending(gate) ? "waiting" : json_get_str(gate, "state", ""));
	strbuf_adds(out, "</div></header><div class=\"pad\">");
	votes(out, gate);
	if (!is_pending(gate))
		html_put(out, "<p>This gate is $. Nothing more can be decided here.</p>",
			json_get_str(gate, "state", "closed"));
	else if (action && visit_may(v, SCOPE_APPROVE))
		form(v, out, gate, action);
	else
		strbuf_adds(out, "<p>You may look, not decide. Who may is named under Rules.</p>");
	binds_to(out, gate);
	strbuf_adds(out, "</div></section>");
}

static void names(struct strbuf *out, const struct json *list, const char *none)
{
	if (json_count(list) == 0)
		strbuf_adds(out, none);
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *item = json_at(list, i);

		html_put(out, "@$", i ? ", " : "",
			json_as_str(item, json_get_str(item, "name", "")));
	}
}

static void what(struct strbuf *out, const struct json *gate)
{
	const struct json *before = json_get(gate, "before"), *run = json_get(gate, "run");

	strbuf_adds(out, "<section class=\"panel\"><header><h2>What would change</h2></header>"
			 "<div class=\"pad\"><dl><dt>runs there now</dt><dd>");
	if (json_is(before, JSON_KIND_OBJECT)) {
		html_put(out, "$ ", json_get_str(before, "ref", ""));
		short_sha(out, json_get_str(before, "sha", ""));
	} else {
		strbuf_adds(out, "nothing yet: this is the first deployment");
	}
	html_put(out, "</dd><dt>would run</dt><dd><b>$</b> <code>$</code></dd>",
		json_get_str(run, "branch", ""), json_get_str(gate, "sha", ""));
	html_put(out, "<dt>titled</dt><dd>$</dd><dt>workflow</dt><dd>$ <code>$</code></dd>",
		json_get_str(run, "title", ""), json_get_str(run, "workflow", ""),
		json_get_str(run, "workflow_path", ""));
	html_put(out, "<dt>asked by</dt><dd>$, $", json_get_str(run, "actor", ""),
		json_get_str(run, "event", ""));
	if (!str_eq(json_get_str(run, "trust", "trusted"), "trusted"))
		strbuf_adds(out, " <b class=\"st fail\">from a fork: untrusted</b>");
	strbuf_adds(out, "</dd></dl></div></section>"
			 "<section class=\"panel\"><header><h2>What the job will be given</h2>"
			 "</header><div class=\"pad\"><dl><dt>Secrets, by name</dt><dd class=\"mono\">");
	names(out, json_get(gate, "secrets"), "none");
	strbuf_adds(out, "</dd><dt>Jobs</dt><dd>");
	names(out, json_get(gate, "jobs"), "none");
	strbuf_adds(out, "</dd></dl></div></section>");
}

static void rules(struct strbuf *out, const struct json *gate)
{
	const struct json *reviewers = json_get(gate, "reviewers");

	strbuf_adds(out, "<section class=\"panel\"><header><h2>Rules</h2></header>"
			 "<div class=\"pad\"><dl><dt>Reviewers</dt><dd>");
	names(out, reviewers, "any administrator");
	html_put(out, "</dd><dt>Self-approval</dt><dd>@</dd>",
		json_get_bool(gate, "self_approval", false) ? "allowed" : "refused");
	if (json_count(json_get(gate, "identities"))) {
		strbuf_adds(out, "<dt>Not these</dt><dd>");
		names(out, json_get(gate, "identities"), "");
		strbuf_adds(out, "</dd>");
	}
	strbuf_adds(out, "<dt>Expires</dt><dd>");
	html_day(out, json_get_int(gate, "expires_at", 0));
	strbuf_adds(out, " UTC</dd></dl></div></section>");
}

static void show(struct visit *v, int64_t id, const char *action, const char *problem)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *gate = NULL;
	_cleanup_free_ char *title = NULL, *href = NULL;
	const struct json *run;
	const char *environment;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms(), expires;
	char left[CLOCK_TEXT_MAX];

	if (query_gate(v->web->store, id, &gate, &err) < 0) {
		page_err(v, &err);
		return;
	}
	run = json_get(gate, "run");
	environment = json_get_str(gate, "environment", "");
	href = xasprintf("/runs/%lld", (long long)json_get_int(run, "id", 0));
	title = environment[0] ? xasprintf("Deploy %s to %s?", json_get_str(run, "branch", ""),
					 environment) :
				 xasprintf("Run work from %s?", json_get_str(run, "actor", ""));
	page_begin(v, &out, title, "Runs");
	page_crumbs(&out, json_get_str(run, "repo", ""), NULL, json_get_str(run, "title", ""),
		v->who.gate || !v->who.kind ? NULL : href, "gate", NULL, environment, NULL, NULL);
	html_put(&out, "<div id=\"gate-head\" data-live=\"gate\" data-id=\"#\" data-run=\"#\"><h1>$</h1>",
		(long long)id, (long long)json_get_int(run, "id", 0), title);
	strbuf_adds(&out, "<div class=\"facts\">");
	html_state(&out, is_pending(gate) ? "waiting" : json_get_str(gate, "state", ""));
	html_put(&out, "<span>asked by <b>$</b></span>", json_get_str(run, "actor", ""));
	expires = json_get_int(gate, "expires_at", 0);
	if (is_pending(gate) && expires > now)
		html_put(&out, "<span>expires in <b>@</b></span>",
			clock_duration(expires - now, left));
	strbuf_adds(&out, "<span>holds no slot while it waits</span></div></div>");
	if (problem)
		html_put(&out, "<p class=\"note fail\">$</p>", problem);
	strbuf_adds(&out, "<div class=\"cols\"><div>");
	what(&out, gate);
	strbuf_adds(&out, "</div><div>");
	decision_panel(v, &out, gate, action);
	rules(&out, gate);
	strbuf_adds(&out, "</div></div>");
	page_answer(v, problem ? 409 : 200, &out);
}

static void on_decided(struct visit *v, const struct json *answer, void *data)
{
	struct decision *d = data;
	const struct json *error = json_get(answer, "error");
	const char *session = json_get_str(json_get(answer, "result"), "session", NULL);

	if (answer && json_get_bool(answer, "ok", false)) {
		if (session)
			web_set_session(v, session);
		http_redirect(v->r, 303, d->back);
		decision_free(d);
		return;
	}
	_cleanup_free_ char *text = xasprintf("%s%s%s",
		json_get_str(error, "message",
			"The server is restarting: nothing was decided. Try again in a moment"),
		json_get_str(error, "hint", NULL) ? "; " : "", json_get_str(error, "hint", ""));

	page_error(v, answer ? http_status_of(ERR_CONFLICT) : 503, "Nothing was decided", text,
		NULL);
	decision_free(d);
}

static void decide(struct visit *v, int64_t id, const char *link, const char *back)
{
	const char *decision = http_form(v->r, "decision");
	const char *comment = http_form(v->r, "comment");
	struct decision *d;
	struct json *args;

	if (!str_eq(decision, "approve") && !str_eq(decision, "reject")) {
		page_error(v, 400, "Nothing was decided", "The form named no decision.", NULL);
		return;
	}
	if (str_eq(decision, "reject") && !(comment && comment[0])) {
		page_error(v, 400, "A rejection needs a comment",
			"Say why, so that whoever asked knows what to change. Nothing was decided.",
			"Go back, write a comment and reject again.");
		return;
	}
	args = json_new_object();
	json_set_int(args, "gate", id);
	json_set_str(args, "decision", decision);
	json_set_str(args, "comment", comment ? comment : "");
	json_set_str(args, "digest", http_form(v->r, "digest"));
	json_set_str(args, "sha", http_form(v->r, "sha"));
	if (link)
		json_set_str(args, "link", link);
	d = xcalloc(1, sizeof(*d));
	d->back = xstrdup(back);
	web_verb(v, "gate.decide", args, on_decided, d);
}

void page_gate(struct visit *v, int64_t id)
{
	_cleanup_free_ char *self = xasprintf("/gates/%lld", (long long)id);

	if (strcmp(http_method(v->r), "POST") != 0) {
		show(v, id, v->session ? self : NULL, NULL);
		return;
	}
	if (!visit_may(v, SCOPE_APPROVE)) {
		page_denied(v, SCOPE_APPROVE);
		return;
	}
	if (web_same_origin(v))
		decide(v, id, NULL, self);
}

/*
 * The bearer of a one-time link. GET shows the gate of the link; POST signs in with it
 * (which uses it up) and goes to the gate, so that the decision itself has a session.
 */
static void on_link_session(struct visit *v, const struct json *answer, void *data)
{
	_cleanup_free_ char *back = data;
	const char *session = json_get_str(answer, "session", NULL);

	if (!session)
		session = json_get_str(json_get(answer, "result"), "session", NULL);
	if (!session) {
		page_error(v, 403, "This link does not work any more",
			"It was used already, or has expired. Nothing was decided.",
			"Ask for another one, or sign in and open the gate.");
		return;
	}
	web_set_session(v, session);
	http_redirect(v->r, 303, back);
}

void page_approve(struct visit *v, const char *token)
{
	struct principal who;
	struct err err = ERR_INIT;
	struct strbuf out = STRBUF_INIT;
	int64_t id;

	memset(&who, 0, sizeof(who));
	if (links_peek(v->web->store, token, &who, &err) < 0) {
		page_error(v, 403, "This link does not work any more",
			"It was used already, or has expired. Nothing was decided.",
			"Ask for another one, or sign in and open the gate.");
		return;
	}
	id = who.gate;
	if (strcmp(http_method(v->r), "POST") == 0) {
		struct json *f = json_new_object();

		json_set_str(f, "token", token);
		json_set_str(f, "peer", http_peer(v->r));
		principal_done(&who);
		web_call_core(v, "login", f, NULL, 0, on_link_session,
			id ? xasprintf("/gates/%lld", (long long)id) : xstrdup("/"));
		return;
	}
	page_begin(v, &out, "Sign in to decide", NULL);
	html_put(&out,
		"<div class=\"narrow\"><h1>Sign in as $</h1>"
		"<p>This link signs you in once@. What would be deployed is shown next, and nothing "
		"is decided before you say so.</p>"
		"<form method=\"post\"><p class=\"buttons\"><button class=\"btn primary\">Continue…"
		"</button></p></form></div>",
		who.name, id ? ", for one gate" : "");
	principal_done(&who);
	page_answer(v, 200, &out);
}

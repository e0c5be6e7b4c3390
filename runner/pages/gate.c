/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `/gates/{id}` and `/approve/{token}`: what will be deployed, who decides, and the form.
 * GET shows and changes nothing; POST decides, with the sha and digest that were shown.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

struct decision {
	int64_t gate;
	char *decision, *comment, *digest, *sha;
	char *link; /* token of a one-time link, or NULL */
};

static void decision_free(struct decision *d)
{
	free(d->decision);
	free(d->comment);
	free(d->digest);
	free(d->sha);
	free(d->link);
	free(d);
}

static bool is_pending(const struct json *gate)
{
	return str_eq(json_get_str(gate, "state", ""), "pending");
}

static const char *state_of(const struct json *gate)
{
	return is_pending(gate) ? "waiting" : json_get_str(gate, "state", "");
}

static bool names_hold(const struct json *list, const char *name)
{
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *item = json_at(list, i);

		if (str_eq(json_as_str(item, json_get_str(item, "name", "")), name))
			return true;
	}
	return false;
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

/* ---- parts that live updates send again ---- */

static void part_gate_head(struct strbuf *out, const struct json *gate, int64_t now)
{
	int64_t expires = json_get_int(gate, "expires_at", 0);
	const struct json *run = json_get(gate, "run");

	strbuf_adds(out, "<div class=\"facts\">");
	html_state_as(out, state_of(gate),
		is_pending(gate) ? "waiting for approval" : html_state_word(state_of(gate)));
	html_put(out, "<span>asked by <b>$</b> ", json_get_str(run, "actor", ""));
	html_time(out, json_get_int(gate, "created_at", 0));
	strbuf_adds(out, "</span>");
	if (is_pending(gate)) {
		strbuf_adds(out, "<span>held ");
		html_duration(out, json_get_int(gate, "created_at", 0), 0, now);
		strbuf_adds(out, ", holds no slot</span>");
	}
	if (is_pending(gate) && expires > now) {
		strbuf_adds(out, "<span>expires <b>");
		html_day(out, expires);
		strbuf_adds(out, "</b>, in ");
		html_span(out, expires - now);
		strbuf_adds(out, "</span>");
	}
	strbuf_adds(out, "</div>");
}

static void votes(struct strbuf *out, const struct json *gate)
{
	const struct json *list = json_get(gate, "votes");
	int64_t required = json_get_int(gate, "required", 1), yes = 0;

	strbuf_adds(out, "<ul class=\"votes\">");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *vote = json_at(list, i);
		bool approves = str_eq(json_get_str(vote, "decision", ""), "approve");

		yes += approves;
		html_put(out, "<li class=\"@\"><b>$</b><br>@ ", approves ? "yes" : "no",
			json_get_str(vote, "principal", ""), approves ? "approved" : "rejected");
		html_time(out, json_get_int(vote, "at", 0));
		strbuf_adds(out, "</li>");
	}
	for (; yes < required && is_pending(gate); yes++)
		html_put(out, "<li>@ person</li>",
			yes == 0   ? "first"
			: yes == 1 ? "second"
				   : "another");
	strbuf_adds(out, "</ul>");
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *vote = json_at(list, i);

		if (json_get_str(vote, "comment", "")[0])
			html_put(out, "<p class=\"said\">$: “$”</p>",
				json_get_str(vote, "principal", ""),
				json_get_str(vote, "comment", ""));
	}
}

static void closed(struct strbuf *out, const struct json *gate)
{
	const char *why = json_get_str(gate, "reason", "");
	const char *by = json_get_str(gate, "decided_by", "");

	html_put(out, "<p><b>This gate is $", html_state_word(state_of(gate)));
	if (by[0])
		html_put(out, " by $", by);
	strbuf_adds(out, "</b> ");
	html_day(out, json_get_int(gate, "decided_at", 0));
	html_put(out, "@$. Nothing more can be decided here.</p>", why[0] ? ": " : "", why);
}

void part_gate_state(struct strbuf *out, const struct json *gate, int64_t now)
{
	const struct json *reviewers = json_get(gate, "reviewers");
	size_t n = json_count(reviewers);

	html_put(out, "<div id=\"gate-state\" data-state=\"$\"><header>",
		json_get_str(gate, "state", ""));
	html_glyph(out, state_of(gate));
	html_put(out, "<div><h2># of # approvals</h2><span>",
		(long long)json_get_int(gate, "approvals", 0),
		(long long)json_get_int(gate, "required", 1));
	if (names_hold(reviewers, "*"))
		strbuf_adds(out, "from anybody with the right to approve");
	else if (n == 0)
		strbuf_adds(out, "from a maintainer");
	else
		html_put(out, "from # people", (long long)n);
	strbuf_adds(out, "</span></div></header><div class=\"pad\">");
	votes(out, gate);
	if (!is_pending(gate))
		closed(out, gate);
	strbuf_adds(out, "</div></div>");
}

/* ---- deciding ---- */

/* Why the one who looks may not vote, in words; false when there is no reason. */
static bool why_not(struct visit *v, const struct json *gate, struct strbuf *out)
{
	const char *me = v->who.name ? v->who.name : "";
	const struct json *reviewers = json_get(gate, "reviewers"), *list = json_get(gate, "votes");

	if (!visit_may(v, SCOPE_APPROVE)) {
		strbuf_adds(out, "You may look, not decide: that takes the right “approve”.");
		return true;
	}
	for (size_t i = 0; i < json_count(list); i++)
		if (str_eq(json_get_str(json_at(list, i), "principal", ""), me)) {
			strbuf_adds(out, "You have voted. Somebody else has to as well.");
			return true;
		}
	if (!json_get_bool(gate, "self_approval", false) &&
		names_hold(json_get(gate, "identities"), me)) {
		strbuf_adds(out,
			"You asked for this run or pushed its commit, so you may not approve "
			"it. Anyone else who is a reviewer may.");
		return true;
	}
	if (json_count(reviewers) && !names_hold(reviewers, "*") && !names_hold(reviewers, me)) {
		strbuf_adds(out, "You are no reviewer of this environment. Those are: ");
		names(out, reviewers, "");
		strbuf_addc(out, '.');
		return true;
	}
	return false;
}

static void binds_to(struct strbuf *out, const struct json *gate)
{
	html_put(out,
		"<dl class=\"binds\"><dt>commit</dt><dd class=\"mono\">$</dd><dt>workflow</dt>"
		"<dd class=\"mono\">$</dd><dt>attempt</dt><dd>#, ",
		json_get_str(gate, "sha", ""), json_get_str(gate, "digest", ""),
		(long long)json_get_int(gate, "attempt", 1));
	names(out, json_get(gate, "jobs"), "the whole run");
	strbuf_adds(out, "</dd></dl>");
}

static void form(struct visit *v, struct strbuf *out, const struct json *gate,
	const char *action)
{
	const struct json *run = json_get(gate, "run");
	int64_t required = json_get_int(gate, "required", 1);
	int64_t have = json_get_int(gate, "approvals", 0);
	bool last = have + 1 >= required;

	html_put(out, "<form method=\"post\" action=\"$\" id=\"gate-form\">", action);
	if (v->session)
		web_csrf_field(v, out);
	html_put(out,
		"<input type=\"hidden\" name=\"digest\" value=\"$\">"
		"<input type=\"hidden\" name=\"sha\" value=\"$\">",
		json_get_str(gate, "digest", ""), json_get_str(gate, "sha", ""));
	strbuf_adds(out,
		"<p><label for=\"comment\"><b>Comment</b> <span class=\"dim\">needed to reject"
		"</span></label><textarea class=\"field\" id=\"comment\" name=\"comment\" "
		"maxlength=\"2000\">");
	html_text(out, http_form(v->r, "comment"));
	html_put(out, "</textarea></p><div class=\"dock\"><p class=\"result\">@</p>"
		      "<p class=\"buttons\"><button class=\"btn primary\" name=\"decision\" "
		      "value=\"approve\">Approve $</button>",
		last ? "Your approval is the last one needed: <b>the deploy starts at once.</b>" :
		       "Yours is not the last one needed.",
		json_get_str(run, "branch", ""));
	strbuf_adds(out,
		"<button class=\"btn danger\" name=\"decision\" value=\"reject\">Reject</button>"
		"</p></div></form><p>It counts for this and nothing else:</p>");
}

static void decision_panel(struct visit *v, struct strbuf *out, const struct json *gate,
	const char *action, int64_t now)
{
	_cleanup_(strbuf_done) struct strbuf why = STRBUF_INIT;

	html_put(out, "<section class=\"panel gate @\" aria-label=\"Decision\">",
		html_state_class(state_of(gate)));
	part_gate_state(out, gate, now);
	strbuf_adds(out, "<div class=\"pad\">");
	if (is_pending(gate)) {
		if (why_not(v, gate, &why))
			html_put(out, "<p class=\"note\">@</p>", why.buf);
		else if (action)
			form(v, out, gate, action);
		else
			strbuf_adds(out,
				"<p class=\"note\">Sign in with a browser to decide here.</p>");
	}
	binds_to(out, gate);
	strbuf_adds(out, "</div></section>");
}

/* ---- what it is about ---- */

/* Where the forge shows the commits between; NULL when we do not know such an address. */
static char *compare_url(struct visit *v, const struct json *run, const char *from,
	const char *to)
{
	_cleanup_(json_freep) struct json *repo = NULL;
	struct err err = ERR_INIT;
	const char *url, *forge;
	_cleanup_free_ char *base = NULL;

	if (query_repo(v->web->store, json_get_str(run, "repo", ""), &repo, &err) < 0)
		return NULL;
	url = json_get_str(repo, "url", "");
	forge = json_get_str(repo, "forge", "");
	if (!str_starts(url, "https://") || str_eq(forge, "generic"))
		return NULL;
	base = xstrndup(url, strlen(url) - (str_ends(url, ".git") ? 4 : 0));
	if (strchr(base, '@') || strchr(base, '?'))
		return NULL; /* an address with a password in it is nobody's to see */
	if (!from[0])
		return xasprintf("%s/%s/%s", base,
			str_eq(forge, "gitlab") ? "-/commits" : "commits", to);
	return xasprintf("%s/%s/%s...%s", base,
		str_eq(forge, "gitlab") ? "-/compare" : "compare", from, to);
}

static void what(struct visit *v, struct strbuf *out, const struct json *gate,
	const struct json *changes, const char *why)
{
	const struct json *before = json_get(gate, "before"), *run = json_get(gate, "run");
	const char *sha = json_get_str(gate, "sha", ""), *old = json_get_str(before, "sha", "");
	_cleanup_free_ char *compare = compare_url(v, run, old, sha);

	strbuf_adds(out, "<section class=\"panel\"><header><h2>What would change</h2><span>");
	if (old[0]) {
		html_put(out, "runs there now <code>$ · ", json_get_str(before, "branch", ""));
		html_textn(out, old, strlen(old) < 7 ? strlen(old) : 7);
		strbuf_adds(out, "</code> → ");
	}
	html_put(out, "would run <b class=\"mono\">$ · ", json_get_str(run, "branch", ""));
	html_textn(out, sha, strlen(sha) < 7 ? strlen(sha) : 7);
	strbuf_adds(out, "</b></span></header>");
	if (old[0] && strcmp(old, sha) != 0)
		part_gate_commits(out, changes, why);
	strbuf_adds(out, "<dl class=\"pad\"><dt>runs there now</dt><dd>");
	if (old[0]) {
		html_put(out, "<b>$</b> <code>$</code> since ",
			json_get_str(before, "branch", ""), old);
		html_day(out, json_get_int(before, "completed_at", 0));
	} else {
		strbuf_adds(out,
			"nothing yet: this is the first deployment, the whole tree is new");
	}
	html_put(out,
		"</dd><dt>would run</dt><dd><b>$</b> <code>$</code></dd><dt>titled</dt><dd>$</dd>",
		json_get_str(run, "branch", ""), sha, json_get_str(run, "title", ""));
	html_put(out, "<dt>asked by</dt><dd>$, $", json_get_str(run, "actor", ""),
		json_get_str(run, "event", ""));
	if (!str_eq(json_get_str(run, "trust", "trusted"), "trusted"))
		strbuf_adds(out, " <b class=\"fail\">from a fork: untrusted</b>");
	strbuf_adds(out, "</dd><dt>commits</dt><dd>");
	if (str_eq(old, sha))
		strbuf_adds(out, "none: the same commit again");
	else if (compare)
		html_put(out,
			"<a rel=\"noopener noreferrer nofollow\" href=\"$\">what lies between, on the "
			"forge</a>",
			compare);
	else
		html_put(out, "<code>git log $@$</code>", old, old[0] ? ".." : "", sha);
	strbuf_adds(out, "</dd></dl></section>");
}

static void workflow(struct strbuf *out, const struct json *gate)
{
	const struct json *before = json_get(gate, "before"), *run = json_get(gate, "run");
	const char *old = json_get_str(before, "workflow_digest", "");
	const char *new = json_get_str(gate, "digest", "");
	bool differs = old[0] && strcmp(old, new) != 0;

	html_put(out,
		"<section class=\"panel\"><header><h2>@</h2><span class=\"mono\">$</span></header>"
		"<dl class=\"pad\"><dt>workflow</dt><dd>$</dd>",
		differs	 ? "This workflow differs from the one that last deployed here"
		: old[0] ? "The workflow is the one that last deployed here"
			 : "The workflow",
		json_get_str(run, "workflow_path", ""),
		json_get_str(run, "workflow", ""));
	if (differs)
		html_put(out, "<dt>was</dt><dd class=\"mono\">$</dd>", old);
	html_put(out, "<dt>digest</dt><dd class=\"mono\">$</dd></dl></section>", new);
}

static void given(struct strbuf *out, const struct json *gate)
{
	strbuf_adds(out, "<section class=\"panel\"><header><h2>What the job will be given</h2>"
			 "</header><dl class=\"pad\"><dt>Secrets, by name</dt><dd class=\"mono\">");
	names(out, json_get(gate, "secrets"), "none");
	strbuf_adds(out, "</dd><dt>Jobs</dt><dd>");
	names(out, json_get(gate, "jobs"), "all of the run");
	strbuf_adds(out, "</dd></dl></section>");
}

static void check(struct strbuf *out, const char *word, const char *text)
{
	strbuf_adds(out, "<li>");
	html_glyph(out, word);
	html_put(out, "<div>$</div></li>", text);
}

static void rules(struct strbuf *out, const struct json *gate, int64_t now)
{
	const struct json *reviewers = json_get(gate, "reviewers");
	const struct json *ids = json_get(gate, "identities");
	const char *environment = json_get_str(gate, "environment", "");
	int64_t opens = json_get_int(gate, "opens_at", 0);
	long long have = json_get_int(gate, "approvals", 0),
		  want = json_get_int(gate, "required", 1);
	_cleanup_free_ char *text = xasprintf("%lld of %lld approvals", have, want);

	html_put(out,
		"<section class=\"panel\"><header><h2>Rules of $</h2></header><ul class=\"list\">",
		environment[0] ? environment : "work from a fork");
	if (environment[0])
		check(out, "success", "The branch or tag is allowed here");
	if (opens > 0)
		check(out, opens <= now ? "success" : "queued",
			opens <= now ? "The wait timer has passed" : "The wait timer still runs");
	check(out, have >= want ? "success" : "queued", text);
	strbuf_adds(out, "<li>");
	html_glyph(out, "success");
	strbuf_adds(out, "<div>");
	if (json_get_bool(gate, "self_approval", false)) {
		strbuf_adds(out, "Who asked may approve too");
	} else {
		strbuf_adds(out, "No self-approval: not ");
		names(out, ids, "whoever asked");
	}
	strbuf_adds(out, "</div></li></ul><p class=\"foot\">Reviewers: ");
	if (names_hold(reviewers, "*"))
		strbuf_adds(out, "everybody with the right to approve");
	else
		names(out, reviewers, "maintainers");
	strbuf_adds(out, "</p></section>");
}

/* ---- the page ---- */

/* What of a page is known before core says what would change. */
struct showing {
	int64_t id;
	int status;
	char *action, *problem;
};

static void draw(struct visit *v, const struct showing *s, const struct json *changes,
	const char *not_told)
{
	struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *gate = NULL;
	_cleanup_free_ char *title = NULL, *href = NULL, *number = NULL, *last = NULL;
	const struct json *run;
	const char *environment;
	struct err err = ERR_INIT;
	int64_t now = clock_wall_ms();
	bool bound = v->who.gate || !v->who.kind;

	if (query_gate(v->web->store, s->id, &gate, &err) < 0) {
		page_err(v, &err);
		return;
	}
	run = json_get(gate, "run");
	environment = json_get_str(gate, "environment", "");
	href = xasprintf("/runs/%lld", (long long)json_get_int(run, "id", 0));
	number = xasprintf("%s #%lld", json_get_str(run, "workflow", ""),
		(long long)json_get_int(run, "number", 0));
	last = xasprintf("gate %s", environment[0] ? environment : "for a fork");
	title = environment[0] ? xasprintf("Deploy %s to %s?", json_get_str(run, "branch", ""),
					 environment) :
				 xasprintf("Run work from %s?", json_get_str(run, "actor", ""));
	if (v->session) {
		v->live = "gate";
		v->live_id = s->id;
	}
	page_begin(v, &out, title, "Runs");
	page_crumbs(&out, json_get_str(run, "repo", ""), NULL, number, bound ? NULL : href, last,
		NULL, NULL);
	html_put(&out, "<h1>$</h1>", title);
	part_gate_head(&out, gate, now);
	if (s->problem)
		html_put(&out, "<p class=\"note fail\" role=\"alert\">$</p>", s->problem);
	strbuf_adds(&out, "<div class=\"cols gatecols\"><div>");
	part_gate_files(&out, changes);
	what(v, &out, gate, changes, not_told);
	workflow(&out, gate);
	given(&out, gate);
	strbuf_adds(&out, "</div><div>");
	decision_panel(v, &out, gate, s->action, now);
	rules(&out, gate, now);
	strbuf_adds(&out, "</div></div>");
	page_answer(v, s->status, &out);
}

/* The page comes either way: what cannot be told is said to be so. */
static void on_changes(struct visit *v, const struct json *answer, void *data)
{
	struct showing *s = data;
	const struct json *error = json_get(answer, "error");

	draw(v, s, json_get(answer, "result"),
		!answer ? "the git worker has no time for it now" :
			  json_get_str(error, "message", NULL));
	free(s->action);
	free(s->problem);
	free(s);
}

static void show(struct visit *v, int64_t id, const char *action, int status,
	const char *problem)
{
	struct showing *s = xcalloc(1, sizeof(*s));
	struct json *args = json_new_object();

	*s = (struct showing){ id, status, xstrdup_null(action), xstrdup_null(problem) };
	json_set_int(args, "gate", id);
	web_look(v, "gate.changes", args, on_changes, s);
}

static char *own_path(int64_t id)
{
	return xasprintf("/gates/%lld", (long long)id);
}

static void on_decided(struct visit *v, const struct json *answer, void *data)
{
	struct decision *d = data;
	const struct json *error = json_get(answer, "error");
	const char *hint = json_get_str(error, "hint", NULL);
	_cleanup_free_ char *self = own_path(d->gate), *text = NULL;

	if (answer && json_get_bool(answer, "ok", false)) {
		http_redirect(v->r, 303, self);
	} else if (!answer) {
		page_refused(v, NULL);
	} else {
		text = xasprintf("Nothing was decided: %s%s%s",
			json_get_str(error, "message", "core gave no reason"), hint ? "; " : "",
			hint ? hint : "");
		show(v, d->gate, self, http_status_of_name(json_get_str(error, "code", "")), text);
	}
	decision_free(d);
}

/* D is taken. */
static void send_decision(struct visit *v, struct decision *d)
{
	struct json *args = json_new_object();

	json_set_int(args, "gate", d->gate);
	json_set_str(args, "decision", d->decision);
	json_set_str(args, "comment", d->comment);
	json_set_str(args, "digest", d->digest);
	json_set_str(args, "sha", d->sha);
	web_verb(v, "gate.decide", args, on_decided, d);
}

/* What the form says; NULL when it says too little, which is then answered. */
static struct decision *read_form(struct visit *v, int64_t id, const char *action)
{
	const char *decision = http_form(v->r, "decision");
	const char *comment = http_form(v->r, "comment");
	struct decision *d;

	if (!str_eq(decision, "approve") && !str_eq(decision, "reject")) {
		show(v, id, action, 400, "Nothing was decided: the form named no decision.");
		return NULL;
	}
	if (str_eq(decision, "reject") && !(comment && comment[strspn(comment, " \t\r\n")])) {
		show(v, id, action, 400,
			"A rejection needs a comment, so that whoever asked knows what to change. "
			"Nothing was decided.");
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	d->gate = id;
	d->decision = xstrdup(decision);
	d->comment = xstrdup(comment ? comment : "");
	d->digest = xstrdup_null(http_form(v->r, "digest"));
	d->sha = xstrdup_null(http_form(v->r, "sha"));
	return d;
}

void page_gate(struct visit *v, int64_t id)
{
	_cleanup_free_ char *self = own_path(id);
	struct decision *d;

	if (strcmp(http_method(v->r), "POST") != 0) {
		show(v, id, v->session ? self : NULL, 200, NULL);
		return;
	}
	if (!visit_may(v, SCOPE_APPROVE)) {
		page_denied(v, SCOPE_APPROVE);
		return;
	}
	if (!web_same_origin(v))
		return;
	d = read_form(v, id, self);
	if (d)
		send_decision(v, d);
}

/* ---- the bearer of a one-time link ---- */

static void dead_link(struct visit *v)
{
	page_error(v, 403, "This link does not work any more",
		"It was used already, or has expired. Nothing was decided by it.",
		"Ask for another one, or sign in and open the gate.");
}

/* The link is used up and became a session; with that the decision is made. */
static void on_link_session(struct visit *v, const struct json *answer, void *data)
{
	struct decision *d = data;
	const char *session = json_get_str(answer, "session", NULL);

	if (!session) {
		decision_free(d);
		if (answer)
			dead_link(v);
		else
			page_refused(v, NULL);
		return;
	}
	web_set_session(v, session);
	v->session = xstrdup(session);
	send_decision(v, d);
}

void page_approve(struct visit *v, const char *token)
{
	struct principal who;
	struct err err = ERR_INIT;
	_cleanup_free_ char *self = xasprintf("/approve/%s", token);
	struct decision *d;
	struct json *f;

	memset(&who, 0, sizeof(who));
	if (links_peek(v->web->store, token, &who, &err) < 0) {
		dead_link(v);
		return;
	}
	if (!who.gate) { /* it signs in, and says so on a page of its own */
		_cleanup_free_ char *to = xasprintf("/login?token=%s", token);

		principal_done(&who);
		http_redirect(v->r, 303, to);
		return;
	}
	/* Whoever holds the link is its user here, whatever else this browser is. */
	principal_done(&v->who);
	free(v->session);
	v->session = NULL;
	v->who = who;
	if (strcmp(http_method(v->r), "POST") != 0) {
		show(v, who.gate, self, 200, NULL);
		return;
	}
	if (!web_origin_is_ours(v)) {
		page_error(v, 403, "This form did not come from here",
			"It was sent by another site. Nothing was decided.", NULL);
		return;
	}
	d = read_form(v, who.gate, self);
	if (!d)
		return;
	f = json_new_object();
	json_set_str(f, "token", token);
	json_set_str(f, "peer", http_peer(v->r));
	web_call_core(v, "login", f, NULL, 0, on_link_session, d);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/v1: JSON of the store's queries for reading, core's verbs for everything else. The
 * routes are one table; docs/api.md and docs/openapi.json are checked against it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/web-internal.h"

int http_status_of(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return 200;
	case ERR_INPUT:
		return 400;
	case ERR_LIMIT:
		return 413;
	case ERR_NOT_FOUND:
		return 404;
	case ERR_CONFLICT:
		return 409;
	case ERR_DENIED:
		return 403;
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
		return 503;
	case ERR_UNSUPPORTED:
		return 501;
	case ERR_CORRUPT:
	case ERR_SYS:
	case ERR_BUG:
		return 500;
	}
	return 500;
}

int http_status_of_name(const char *name)
{
	for (int code = ERR_INPUT; code <= ERR_BUG; code++)
		if (str_eq(err_code_name((enum err_code)code), name))
			return http_status_of((enum err_code)code);
	return 500;
}

void api_json(struct visit *v, int status, struct json *j)
{
	struct strbuf out = STRBUF_INIT;

	json_write(j, 0, &out);
	strbuf_addc(&out, '\n');
	json_free(j);
	http_answer_take(v->r, status, "application/json", &out);
}

void api_error_json(struct visit *v, const struct json *error)
{
	struct json *j = json_new_object();
	struct json *e = error ? json_clone(error) : json_new_object();
	const char *code = json_get_str(e, "code", NULL);
	int status = http_status_of_name(code ? code : "unavailable");

	/* CODE lies in E: not to be looked at once E was changed. */
	if (!v->who.kind && str_eq(code, "denied"))
		status = 401;
	if (!code)
		json_set_str(e, "code", "unavailable");
	if (!error)
		json_set_str(e, "message", "the core process is restarting; running jobs go on");
	json_set_str(e, "request", http_id(v->r));
	json_set(j, "error", e);
	api_json(v, status, j);
}

void api_error(struct visit *v, const struct err *err, const char *hint)
{
	_cleanup_(json_freep) struct json *e = json_new_object();

	json_set_str(e, "code", err_code_name(err->code));
	json_set_str(e, "message", err->msg);
	if (hint)
		json_set_str(e, "hint", hint);
	api_error_json(v, e);
}

/* ---- reading ---- */

static int64_t query_int(const struct visit *v, const char *name, int64_t otherwise)
{
	const char *text = http_query(v->r, name);
	long long n;

	return text && str_to_int(text, 0, INT64_MAX, &n) == 0 ? n : otherwise;
}

static int64_t route_int(const struct visit *v, size_t i)
{
	long long n;

	return v->route[i] && str_to_int(v->route[i], 1, INT64_MAX, &n) == 0 ? n : 0;
}

static void answer_query(struct visit *v, int r, struct json **j, const struct err *err)
{
	if (r < 0) {
		api_error(v, err, NULL);
		return;
	}
	query_public(*j);
	api_json(v, 200, *j);
}

static void get_runs(struct visit *v)
{
	struct query_runs q = {
		.before = query_int(v, "before", 0),
		.limit = (int)query_int(v, "limit", 0),
		.repo = http_query(v->r, "repo"),
		.state = http_query(v->r, "state"),
		.branch = http_query(v->r, "branch"),
		.event = http_query(v->r, "event"),
		.actor = http_query(v->r, "actor"),
		.environment = http_query(v->r, "environment"),
		.sha = http_query(v->r, "sha"),
		.workflow = http_query(v->r, "workflow"),
	};
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_runs(v->web->store, &q, &j, &err), &j, &err);
}

static void get_run(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v,
		query_run(v->web->store, route_int(v, 0), query_int(v, "attempt", 0), &j, &err),
		&j, &err);
}

static void get_run_events(struct visit *v)
{
	live_run_events(v, route_int(v, 0));
}

static void get_job(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_job(v->web->store, route_int(v, 0), &j, &err), &j, &err);
}

static void get_job_log(struct visit *v)
{
	const char *accept = http_header(v->r, "accept");

	if (accept && strstr(accept, "text/event-stream"))
		live_job_log(v, route_int(v, 0));
	else
		live_raw_log(v, route_int(v, 0));
}

static void get_job_trace(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_trace(v->web->store, route_int(v, 0), &j, &err), &j, &err);
}

static void get_gates(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_gates_pending(v->web->store, &j, &err), &j, &err);
}

static void get_gate(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_gate(v->web->store, route_int(v, 0), &j, &err), &j, &err);
}

static void get_queue(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_queue(v->web->store, &j, &err), &j, &err);
}

static void get_environments(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v,
		query_environments(v->web->store, http_query(v->r, "repo"), &j, &err), &j, &err);
}

static void get_deployments(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v,
		query_deployments(v->web->store, http_query(v->r, "repo"),
			http_query(v->r, "environment"), query_int(v, "before", 0),
			(int)query_int(v, "limit", 0), &j, &err),
		&j, &err);
}

static void get_repos(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_repos(v->web->store, &j, &err), &j, &err);
}

static void get_repo(struct visit *v)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", v->route[0], v->route[1]);
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_repo(v->web->store, name, &j, &err), &j, &err);
}

static void get_deliveries(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v,
		query_deliveries(v->web->store, http_query(v->r, "repo"),
			query_int(v, "before", 0), (int)query_int(v, "limit", 0), &j, &err),
		&j, &err);
}

static void get_delivery(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_delivery(v->web->store, route_int(v, 0), &j, &err), &j, &err);
}

static void get_audit(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v,
		query_audit(v->web->store, query_int(v, "run", 0), http_query(v->r, "verb"),
			query_int(v, "before", 0), (int)query_int(v, "limit", 0), &j, &err),
		&j, &err);
}

static void get_status(struct visit *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer_query(v, query_status(v->web->store, &j, &err), &j, &err);
}

static void get_me(struct visit *v)
{
	api_json(v, 200, web_principal(v));
}

static void get_artifact(struct visit *v)
{
	web_artifact(v, route_int(v, 0));
}

/* ---- doing ---- */

static void on_verb(struct visit *v, const struct json *answer, void *data)
{
	if (!answer || !json_get_bool(answer, "ok", false)) {
		api_error_json(v, json_get(answer, "error"));
		return;
	}
	struct json *result = json_get(answer, "result");

	api_json(v, 200, result ? json_share(result) : json_new_object());
}

static void get_job_usage(struct visit *v)
{
	struct json *args = json_new_object();

	json_set_int(args, "job", route_int(v, 0));
	web_verb(v, "job.usage", args, on_verb, NULL);
}

static struct json *body_args(struct visit *v)
{
	const struct strbuf *body = http_body(v->r);
	struct json *args = NULL;
	struct err err = ERR_INIT;

	if (body->len == 0)
		return json_new_object();
	if (json_parse(body->buf, body->len, &args, &err) < 0 ||
		!json_is(args, JSON_KIND_OBJECT)) {
		if (err.code == ERR_NONE)
			err_set(&err, ERR_INPUT, "the body is no JSON object");
		err_wrap(&err, "body");
		json_free(args);
		api_error(v, &err, NULL);
		return NULL;
	}
	return args;
}

static void post_verb(struct visit *v)
{
	struct json *args = body_args(v);

	if (args)
		web_verb(v, v->route[0], args, on_verb, NULL);
}

static void post_about(struct visit *v, const char *verb, const char *what)
{
	struct json *args = body_args(v);

	if (!args)
		return;
	json_set_int(args, what, route_int(v, 0));
	web_verb(v, verb, args, on_verb, NULL);
}

static void post_run_cancel(struct visit *v)
{
	post_about(v, "run.cancel", "run");
}

static void post_run_rerun(struct visit *v)
{
	post_about(v, "run.rerun", "run");
}

static void post_gate_decision(struct visit *v)
{
	post_about(v, "gate.decide", "gate");
}

static void post_dispatch(struct visit *v)
{
	struct json *args = body_args(v);
	_cleanup_free_ char *name = xasprintf("%s/%s", v->route[0], v->route[1]);

	if (!args)
		return;
	json_set_str(args, "repo", name);
	web_verb(v, "run.dispatch", args, on_verb, NULL);
}

/* ---- the table: '*' is one part of the path, captured ---- */

static const struct {
	const char *method, *pattern;
	enum scope scope;
	void (*fn)(struct visit *v);
} routes[] = {
	{ "GET", "/api/v1/runs", SCOPE_READ, get_runs },
	{ "GET", "/api/v1/runs/*", SCOPE_READ, get_run },
	{ "GET", "/api/v1/runs/*/events", SCOPE_READ, get_run_events },
	{ "POST", "/api/v1/runs/*/cancel", SCOPE_RUN, post_run_cancel },
	{ "POST", "/api/v1/runs/*/rerun", SCOPE_RUN, post_run_rerun },
	{ "GET", "/api/v1/jobs/*", SCOPE_READ, get_job },
	{ "GET", "/api/v1/jobs/*/log", SCOPE_READ, get_job_log },
	{ "GET", "/api/v1/jobs/*/trace", SCOPE_READ, get_job_trace },
	{ "GET", "/api/v1/jobs/*/usage", SCOPE_READ, get_job_usage },
	{ "GET", "/api/v1/gates", SCOPE_READ, get_gates },
	{ "GET", "/api/v1/gates/*", SCOPE_READ, get_gate },
	{ "POST", "/api/v1/gates/*/decision", SCOPE_APPROVE, post_gate_decision },
	{ "GET", "/api/v1/queue", SCOPE_READ, get_queue },
	{ "GET", "/api/v1/environments", SCOPE_READ, get_environments },
	{ "GET", "/api/v1/deployments", SCOPE_READ, get_deployments },
	{ "GET", "/api/v1/artifacts/*", SCOPE_READ, get_artifact },
	{ "GET", "/api/v1/repos", SCOPE_READ, get_repos },
	{ "GET", "/api/v1/repos/*/*", SCOPE_READ, get_repo },
	{ "POST", "/api/v1/repos/*/*/dispatches", SCOPE_RUN, post_dispatch },
	{ "GET", "/api/v1/deliveries", SCOPE_ADMIN, get_deliveries },
	{ "GET", "/api/v1/deliveries/*", SCOPE_ADMIN, get_delivery },
	{ "GET", "/api/v1/audit", SCOPE_ADMIN, get_audit },
	{ "GET", "/api/v1/status", SCOPE_READ, get_status },
	{ "GET", "/api/v1/me", 0, get_me },
	/* Core's table of verbs knows the scope of each. */
	{ "POST", "/api/v1/verbs/*", 0, post_verb },
};

static void deny(struct visit *v, enum scope scope)
{
	struct err err = ERR_INIT;
	char buf[64];

	if (!v->who.kind) {
		http_add_header(v->r, "WWW-Authenticate", "Bearer realm=\"sluice\"");
		err_set(&err, ERR_DENIED, "a token is needed");
		api_error(v, &err, "send Authorization: Bearer TOKEN; sluice token create makes "
				   "one");
		return;
	}
	err_set(&err, ERR_DENIED, "'%s' may not do this: it takes the scope %s", v->who.name,
		scopes_text(scope, buf));
	api_error(v, &err, NULL);
}

bool api_route(struct visit *v, const char *path)
{
	const char *method = http_method(v->r);
	bool other_method = false;

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!web_match(v, routes[i].pattern, path))
			continue;
		if (strcmp(method, routes[i].method) != 0) {
			other_method = true;
			continue;
		}
		if (!v->who.kind || (routes[i].scope && !visit_may(v, routes[i].scope))) {
			deny(v, routes[i].scope);
			return true;
		}
		/* A link for one gate opens that gate and nothing else. */
		if (v->who.gate && !str_starts(path, "/api/v1/gates/")) {
			deny(v, SCOPE_READ);
			return true;
		}
		/* Browsers send cookies by themselves; only our own pages may act by them. */
		if (v->session && strcmp(method, "POST") == 0 &&
			!str_eq(http_header(v->r, "sec-fetch-site"), "same-origin")) {
			deny(v, routes[i].scope);
			return true;
		}
		routes[i].fn(v);
		return true;
	}
	if (!other_method)
		return false;
	http_answer(v->r, 405, "text/plain", "method not allowed\n", 19);
	return true;
}

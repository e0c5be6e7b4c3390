/* SPDX-License-Identifier: Apache-2.0 */
/* Runs, jobs, gates, status: what people do all day. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "runner/disk.h"
#include "runner/ingest.h"
#include "runner/verbs.h"
#include "store/check.h"
#include "store/deliveries.h"
#include "store/environments.h"
#include "store/gates.h"
#include "store/query.h"

/*
 * Answers with what a query gave; its times become text. By pointer: the query and the
 * value it makes stand in one argument list, whose order of evaluation is nobody's.
 */
static void answer(struct verb_call *v, int r, struct json **j, const struct err *err)
{
	if (r < 0) {
		verb_fail(v, err, NULL);
		return;
	}
	query_public(*j);
	verb_ok(v, *j);
}

/* ---- runs ---- */

static int64_t int_arg(const struct json *args, const char *name)
{
	const struct json *j = json_get(args, name);
	long long n;

	if (json_is(j, JSON_KIND_STRING))
		return str_to_int(json_as_str(j, ""), 0, INT64_MAX, &n) == 0 ? n : 0;
	return json_as_int(j, 0);
}

static void run_list(struct verb_call *v)
{
	struct query_runs q = {
		.before = int_arg(v->args, "before"),
		.limit = (int)int_arg(v->args, "limit"),
		.repo = json_get_str(v->args, "repo", NULL),
		.state = json_get_str(v->args, "state", NULL),
		.branch = json_get_str(v->args, "branch", NULL),
		.event = json_get_str(v->args, "event", NULL),
		.actor = json_get_str(v->args, "actor", NULL),
		.environment = json_get_str(v->args, "environment", NULL),
		.sha = json_get_str(v->args, "sha", NULL),
		.workflow = json_get_str(v->args, "workflow", NULL),
	};
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_runs(v->core->store, &q, &j, &err), &j, &err);
}

static void run_show(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	int64_t run;

	if (verb_arg_run(v, &run))
		answer(v,
			query_run(v->core->store, run, int_arg(v->args, "attempt"), &j, &err), &j,
			&err);
}

static void run_cancel(struct verb_call *v)
{
	bool force = json_get_bool(v->args, "force", false);
	struct err err = ERR_INIT;
	char reason[160];
	int64_t run;

	if (!verb_arg_run(v, &run))
		return;
	snprintf(reason, sizeof(reason), "cancelled by %.100s", v->who->name);
	if (runs_cancel(v->core->store, run, reason, force, &v->actor, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	core_wake(v->core);
	verb_ok(v, NULL);
}

static void run_rerun(struct verb_call *v)
{
	const char *job = json_get_str(v->args, "job", NULL);
	enum rerun_what what = job && job[0]	  ? RERUN_JOB :
		json_get_bool(v->args, "failed", false) ? RERUN_FAILED :
							  RERUN_ALL;
	struct json *ret;
	struct err err = ERR_INIT;
	int64_t run, attempt = 0;

	if (!verb_arg_run(v, &run))
		return;
	if (runs_rerun(v->core->store, run, what, job, &v->actor, &attempt, &err) < 0) {
		verb_fail(v, &err, err.code == ERR_CONFLICT ? "wait for it to end, or cancel it" :
							      NULL);
		return;
	}
	core_wake(v->core);
	ret = json_new_object();
	json_set_int(ret, "run", run);
	json_set_int(ret, "attempt", attempt);
	verb_ok(v, ret);
}

/* ---- dispatch: the ref is resolved first, then an event is born like any other ---- */

struct dispatch {
	struct verb_call *v;
	struct repo repo;
	char *ref;
	char *tag; /* what a bare name may mean besides a branch; NULL: tried or not asked */
};

static void dispatch_free(struct dispatch *d)
{
	repo_done(&d->repo);
	free(d->ref);
	free(d->tag);
	free(d);
}

static struct json *dispatch_payload(const struct dispatch *d, const char *workflow)
{
	struct json *p = json_new_object(), *r = json_new_object(), *s = json_new_object();
	struct json *owner = json_new_object();
	const struct json *inputs = json_get(d->v->args, "inputs");
	_cleanup_free_ char *login =
		xstrndup(d->repo.full_name, strcspn(d->repo.full_name, "/"));

	json_set_str(owner, "login", login);
	json_set_str(r, "full_name", d->repo.full_name);
	json_set_str(r, "name", strchr(d->repo.full_name, '/') + 1);
	json_set_str(r, "default_branch", d->repo.default_branch);
	json_set(r, "owner", owner);
	json_set_str(s, "login", d->v->who->name);
	json_set(p, "inputs", inputs ? json_clone(inputs) : json_new_object());
	json_set_str(p, "ref", d->ref);
	json_set_str(p, "workflow", workflow);
	json_set(p, "repository", r);
	json_set(p, "sender", s);
	return p;
}

static struct json *dispatch_github(const struct dispatch *d, const char *sha,
	struct json *payload)
{
	struct json *g = json_new_object();
	const char *slash = strchr(d->ref + strlen("refs/"), '/');

	json_set_str(g, "event_name", "workflow_dispatch");
	json_set_str(g, "repository", d->repo.full_name);
	json_set_str(g, "repository_owner",
		json_as_str(json_path(payload, "repository.owner.login"), ""));
	json_set_str(g, "actor", d->v->who->name);
	json_set_str(g, "triggering_actor", d->v->who->name);
	json_set_str(g, "ref", d->ref);
	json_set_str(g, "ref_name", slash ? slash + 1 : d->ref);
	json_set_str(g, "ref_type", str_starts(d->ref, "refs/tags/") ? "tag" : "branch");
	json_set_str(g, "sha", sha);
	json_set(g, "event", payload);
	return g;
}

static void dispatch_accept(struct dispatch *d, const char *sha)
{
	const char *name = json_get_str(d->v->args, "workflow", "");
	_cleanup_free_ char *path = strchr(name, '/') ? xstrdup(name) :
							xasprintf(".github/workflows/%s", name);
	_cleanup_(json_freep) struct json *doc = json_new_object();
	struct json *payload = dispatch_payload(d, path), *ret, *ids = json_new_array();
	_cleanup_free_ char *text = json_text(payload);
	_cleanup_free_ char *key = crypto_random_hex(16);
	struct delivery_new delivery = { .repo = d->repo.id, .forge = "generic", .key = key,
		.event = "workflow_dispatch", .body_len = (int64_t)strlen(text),
		.peer = d->v->who->name, .request = d->v->who->request };
	struct event_new event = { .kind = "dispatch", .name = "workflow_dispatch", .action = "",
		.ref = d->ref, .head_sha = sha, .base_sha = "", .merge_sha = "", .title = "",
		.actor = d->v->who->name, .actor_id = "", .trust = TRUST_TRUSTED };
	struct accept_result got;
	struct err err = ERR_INIT;

	/* The nonce makes two equal dispatches two deliveries. */
	crypto_sha256(key, strlen(key), delivery.body_sha256);
	json_push_str(ids, d->v->who->name);
	json_set(doc, "github", dispatch_github(d, sha, payload));
	json_set_str(doc, "workflow", path);
	json_set_str(doc, "ref", d->ref);
	json_set(doc, "identities", ids);
	if (json_get(d->v->args, "inputs"))
		json_set(doc, "inputs", json_clone(json_get(d->v->args, "inputs")));
	event.document = doc;
	if (core_begin(d->v->core, &err) < 0 ||
		deliveries_accept(d->v->core->store, &delivery, &event, &got, &err) < 0) {
		verb_fail(d->v, &err, NULL);
		return;
	}
	core_wake(d->v->core);
	ret = json_new_object();
	json_set_int(ret, "event", got.event);
	json_set_int(ret, "delivery", got.delivery);
	json_set_str(ret, "ref", d->ref);
	json_set_str(ret, "sha", sha);
	verb_ok(d->v, ret);
}

/* What a forge does not give is no fault of this server's: asking it again changes nothing. */
static void forge_refuses(struct verb_call *v, const struct err *why, const char *hint)
{
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_NOT_FOUND, "%s", why->msg);
	verb_fail(v, &err, hint);
}

static int dispatch_fetch(struct dispatch *d, struct err *err);

static void on_dispatch_refs(struct json *result, const struct err *why, void *data)
{
	struct dispatch *d = data;
	_cleanup_(json_freep) struct json *owned = result;
	const char *sha = json_get_str(json_get(owned, "refs"), d->ref, NULL);
	struct err err = ERR_INIT;

	if (!sha && d->tag) { /* no such branch: a bare name may be a tag */
		free(d->ref);
		d->ref = take_ptr(d->tag);
		if (dispatch_fetch(d, &err) == 0)
			return;
		why = &err;
	}
	if (sha) {
		dispatch_accept(d, sha);
	} else {
		if (!why)
			err_set(&err, ERR_NOT_FOUND, "'%s' has no branch or tag '%s'",
				d->repo.full_name, d->ref);
		forge_refuses(d->v, why ? why : &err,
			"sluice repo check says whether it can be reached");
	}
	dispatch_free(d);
}

static int dispatch_fetch(struct dispatch *d, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	struct json *refs = json_new_array(), *head = NULL;

	json_push_str(refs, d->ref);
	if (git_fetch_head(d->v->core, &d->repo, refs, NULL, &head, &body, err) < 0)
		return -1;
	git_ask(d->v->core, head, body.buf, body.len, 0, on_dispatch_refs, d);
	return 0;
}

static void run_dispatch(struct verb_call *v)
{
	struct dispatch *d;
	const char *workflow, *ref;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "workflow", &workflow))
		return;
	d = xcalloc(1, sizeof(*d));
	d->v = v;
	if (!verb_arg_repo(v, &d->repo)) {
		free(d);
		return;
	}
	ref = json_get_str(v->args, "ref", d->repo.default_branch);
	d->ref = str_starts(ref, "refs/") ? xstrdup(ref) : xasprintf("refs/heads/%s", ref);
	if (!str_starts(ref, "refs/"))
		d->tag = xasprintf("refs/tags/%s", ref);
	if (dispatch_fetch(d, &err) < 0) {
		verb_fail(v, &err, NULL);
		dispatch_free(d);
	}
}

static void event_replan(struct verb_call *v)
{
	struct err err = ERR_INIT;

	if (events_replan(v->core->store, int_arg(v->args, "event"), &v->actor, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	core_wake(v->core);
	verb_ok(v, NULL);
}

/* ---- jobs and gates ---- */

static void job_show(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_job(v->core->store, int_arg(v->args, "job"), &j, &err), &j, &err);
}

static void job_trace(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (query_trace(v->core->store, int_arg(v->args, "job"), &j, &err) < 0)
		verb_fail(v, &err, NULL);
	else
		verb_ok(v, j);
}

/* A lost job: nobody knows how it ended, so a person says. */
static void job_resolve(struct verb_call *v)
{
	const char *conclusion;
	enum conclusion c;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "conclusion", &conclusion))
		return;
	c = conclusion_parse(conclusion);
	if (c != CONCLUSION_SUCCESS && c != CONCLUSION_FAILURE)
		err_set(&err, ERR_INPUT, "'conclusion' is '%.32s'; it is success or failure",
			conclusion);
	else if (jobs_resolve_lost(v->core->store, int_arg(v->args, "job"), c,
			 json_get_str(v->args, "comment", ""), &v->actor, &err) == 0) {
		core_wake(v->core);
		verb_ok(v, NULL);
		return;
	}
	verb_fail(v, &err, NULL);
}

static void delivery_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v,
		query_deliveries(v->core->store, json_get_str(v->args, "repo", NULL),
			int_arg(v->args, "before"), (int)int_arg(v->args, "limit"), &j, &err),
		&j, &err);
}

static void gate_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_gates_pending(v->core->store, &j, &err), &j, &err);
}

static void gate_show(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_gate(v->core->store, int_arg(v->args, "gate"), &j, &err), &j, &err);
}

static void gate_decide(struct verb_call *v)
{
	const char *decision;
	struct gate_vote vote = { .gate = int_arg(v->args, "gate"), .who = v->actor };
	struct gate_result got;
	struct json *ret;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "decision", &decision))
		return;
	if (strcmp(decision, "approve") != 0 && strcmp(decision, "reject") != 0) {
		err_set(&err, ERR_INPUT, "'decision' is '%.32s'; it is approve or reject",
			decision);
		verb_fail(v, &err, NULL);
		return;
	}
	vote.has_scope = scopes_have(v->who->scopes, SCOPE_APPROVE);
	vote.approves = strcmp(decision, "approve") == 0;
	vote.digest = json_get_str(v->args, "digest", NULL);
	vote.sha = json_get_str(v->args, "sha", NULL);
	vote.comment = json_get_str(v->args, "comment", NULL);
	if (gates_vote(v->core->store, &vote, &got, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	core_wake(v->core);
	ret = json_new_object();
	json_set_str(ret, "state", state_name(MACHINE_GATE, (int)got.state));
	json_set_int(ret, "approvals", got.approvals);
	json_set_int(ret, "required", got.required);
	verb_ok(v, ret);
}

/* ---- places ---- */

static void queue_show(struct verb_call *v)
{
	struct json *j = NULL, *offered = json_new_array();
	struct err err = ERR_INIT;

	if (query_queue(v->core->store, &j, &err) < 0) {
		json_free(offered);
		verb_fail(v, &err, NULL);
		return;
	}
	query_public(j);
	json_set_int(j, "slots", core_capacity(v->core));
	json_set(j, "offered", offered);
	strvec_foreach(label, &v->core->o->labels)
		json_push_str(offered, *label);
	json_set_int(j, "label_wait_ms", v->core->o->label_wait_ms);
	verb_ok(v, j);
}

static void env_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v,
		query_environments(v->core->store, json_get_str(v->args, "repo", NULL), &j, &err),
		&j, &err);
}

static void deployment_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v,
		query_deployments(v->core->store, json_get_str(v->args, "repo", NULL),
			json_get_str(v->args, "environment", NULL), int_arg(v->args, "before"),
			(int)int_arg(v->args, "limit"), &j, &err),
		&j, &err);
}

/* ---- the whole ---- */

static void status(struct verb_call *v)
{
	struct disk_space disk;
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (query_status(v->core->store, &j, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	query_public(j);
	json_set_str(j, "version", SLUICE_VERSION);
	json_set_str(j, "url", v->core->o->base_url);
	json_set_int(j, "slots", core_capacity(v->core));
	json_set_int(j, "slots_used", (int64_t)core_live_count(v->core));
	json_set_int(j, "up_ms", clock_boot_ms() - v->core->began);
	json_set_str(j, "profile", v->core->o->profile);
	json_set_str(j, "confinement", v->core->o->weaker ? v->core->o->weaker : "full");
	json_set(j, "pids", core_pids(v->core));
	disk_space(v->core->data, &disk);
	disk_describe(&disk, j);
	verb_ok(v, j);
}

static void set_pause(struct verb_call *v, bool on)
{
	const char *why = json_get_str(v->args, "why", "");
	struct err err = ERR_INIT;

	if (store_pause(v->core->store, on, v->who->name, why, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	core_wake(v->core);
	verb_ok(v, NULL);
}

static void pause_jobs(struct verb_call *v)
{
	set_pause(v, true);
}

static void resume_jobs(struct verb_call *v)
{
	set_pause(v, false);
}

static void on_finding(const struct check_finding *f, void *data)
{
	struct json *j = json_new_object();

	json_set_str(j, "invariant", f->id);
	json_set_str(j, "message", f->text);
	json_push(data, j);
}

static void check(struct verb_call *v)
{
	struct json *ret = json_new_object(), *findings = json_new_array();
	struct check_summary s = { 0 };
	struct err err = ERR_INIT;
	int64_t began = clock_boot_ms();
	char words[160];

	json_set(ret, "findings", findings);
	if (store_check(v->core->store, 0, on_finding, findings, &s, &err) < 0) {
		json_free(ret);
		verb_fail(v, &err, NULL);
		return;
	}
	snprintf(words, sizeof(words),
		"%lld runs, %lld jobs, %lld audit rows (chain whole), database ok",
		(long long)s.runs, (long long)s.jobs, (long long)s.audit_rows);
	json_set_int(ret, "took_ms", clock_boot_ms() - began);
	json_set_str(ret, "summary", words);
	json_set_int(ret, "invariants", s.invariants);
	json_set_int(ret, "broken", s.broken);
	verb_ok(v, ret);
}

static void audit_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	int64_t run = 0;

	if (json_get(v->args, "run") && !verb_arg_run(v, &run))
		return;
	answer(v,
		query_audit(v->core->store, run, json_get_str(v->args, "verb", NULL),
			int_arg(v->args, "before"), (int)int_arg(v->args, "limit"), &j, &err),
		&j, &err);
}

const struct verb verbs_work[] = {
	{ "run.list", SCOPE_READ, false, run_list },
	{ "run.show", SCOPE_READ, false, run_show },
	{ "run.cancel", SCOPE_RUN, true, run_cancel },
	{ "run.rerun", SCOPE_RUN, true, run_rerun },
	{ "run.dispatch", SCOPE_RUN, false, run_dispatch },
	{ "event.replan", SCOPE_RUN, true, event_replan },
	{ "delivery.list", SCOPE_READ, false, delivery_list },
	{ "job.show", SCOPE_READ, false, job_show },
	{ "job.trace", SCOPE_READ, false, job_trace },
	{ "job.resolve", SCOPE_RUN, true, job_resolve },
	{ "gate.list", SCOPE_READ, false, gate_list },
	{ "gate.show", SCOPE_READ, false, gate_show },
	{ "gate.changes", SCOPE_READ, false, gate_changes },
	{ "gate.decide", SCOPE_APPROVE, true, gate_decide },
	{ "queue", SCOPE_READ, false, queue_show },
	{ "env.list", SCOPE_READ, false, env_list },
	{ "deployment.list", SCOPE_READ, false, deployment_list },
	{ "status", SCOPE_READ, false, status },
	{ "pause", SCOPE_ADMIN, true, pause_jobs },
	{ "resume", SCOPE_ADMIN, true, resume_jobs },
	{ "check", SCOPE_ADMIN, false, check },
	{ "audit.list", SCOPE_ADMIN, false, audit_list },
	{ NULL, 0, false, NULL },
};

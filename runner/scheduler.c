/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler: which nodes can be expanded now (their needs are done), which rows can be
 * claimed now (capacity, labels, fairness). It holds no state that the store does not
 * have: a pass looks, acts, and is called again when something has changed.
 */
#include "runner/core-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/labels.h"

enum {
	READY_MAX = 256,
	PLANS_KEPT = 8,
	EXPAND_TRIES = 3,
	SPAWNER_RETRY_MS = 100,
	LABELS_MAX = 32,
};

struct expanding { /* a question at the planner */
	struct expanding *next;
	struct core *core;
	int64_t job, run;
	int tries;
	bool is_outputs;
	bool with_plan;
};

struct cached { /* what expansion and specs of one run ask for again and again */
	int64_t run, attempt;
	char *plan_digest;
	struct json *plan, *github;
	struct json *roots; /* {node: expansion} of the planning, once */
	unsigned long used;
};

struct scheduler {
	struct expanding *expanding;
	struct cached cached[PLANS_KEPT];
	unsigned long clock;
};

static struct scheduler *sched(struct core *c)
{
	if (!c->scheduler)
		c->scheduler = xcalloc(1, sizeof(*c->scheduler));
	return c->scheduler;
}

static void cached_done(struct cached *k)
{
	free(k->plan_digest);
	json_free(k->plan);
	json_free(k->github);
	json_free(k->roots);
	*k = (struct cached){ 0 };
}

void scheduler_done(struct core *c)
{
	struct scheduler *s = c->scheduler;

	if (!s)
		return;
	while (s->expanding) {
		struct expanding *e = s->expanding;

		s->expanding = e->next;
		free(e);
	}
	for (size_t i = 0; i < PLANS_KEPT; i++)
		cached_done(&s->cached[i]);
	free(s);
	c->scheduler = NULL;
}

/* ---- what is known of a run -------------------------------------------------------- */

static struct cached *cached_slot(struct core *c, int64_t run)
{
	struct scheduler *s = sched(c);
	struct cached *oldest = &s->cached[0];

	for (size_t i = 0; i < PLANS_KEPT; i++) {
		if (s->cached[i].run == run) {
			s->cached[i].used = ++s->clock;
			return &s->cached[i];
		}
		if (s->cached[i].used < oldest->used)
			oldest = &s->cached[i];
	}
	cached_done(oldest);
	oldest->run = run;
	oldest->used = ++s->clock;
	return oldest;
}

/* Plan and contexts of RUN; lent until the next call. */
static struct cached *cached_get(struct core *c, int64_t run, struct err *err)
{
	struct cached *k = cached_slot(c, run);
	struct run r = { 0 };

	if (runs_get(c->store, run, &r, err) < 0) {
		cached_done(k);
		return NULL;
	}
	if (k->attempt != r.attempt) {
		json_free(take_ptr(k->github));
		k->attempt = r.attempt;
	}
	if (!k->plan_digest)
		k->plan_digest = xstrdup(r.plan_digest);
	if ((!k->plan && runs_plan(c->store, run, &k->plan, err) < 0) ||
		(!k->github && spec_github(c, &r, &k->github, err) < 0)) {
		run_done(&r);
		cached_done(k);
		return NULL;
	}
	run_done(&r);
	return k;
}

struct json *scheduler_github(struct core *c, int64_t run, struct err *err)
{
	struct cached *k = cached_get(c, run, err);

	return k ? k->github : NULL;
}

void scheduler_learn(struct core *c, int64_t run, struct json *plan, struct json *roots)
{
	struct cached *k = cached_slot(c, run);

	json_free(k->plan);
	json_free(k->roots);
	k->plan = json_share(plan);
	k->roots = json_share(roots);
}

static const struct json *node_of(const struct json *plan, const char *id)
{
	const struct json *jobs = json_get(plan, "jobs");

	for (size_t i = 0; i < json_count(jobs); i++)
		if (str_eq(json_get_str(json_at(jobs, i), "id", ""), id))
			return json_at(jobs, i);
	return NULL;
}

/* ---- from the planner's rows to the store's ---------------------------------------- */

/* The member "job" of spec.json (executor/spec.h): the row as it stands, and whose it is. */
static struct json *row_spec(
	const struct core *c, const struct json *node, const struct json *row)
{
	struct json *j = json_new_object();

	json_foreach (it, row)
		json_set(j, it.key, json_share(it.value));
	json_set_str(j, "id", json_get_str(node, "id", ""));
	json_set_str(
		j, "job_id", json_get_str(node, "job_id", json_get_str(node, "id", "")));
	json_set_str(j, "file", json_get_str(node, "file", ""));
	json_set_int(j, "line", json_get_int(node, "line", 0));
	if (c->o->job_minutes &&
		!json_is(json_get(node, "timeout_minutes"), JSON_KIND_INT) &&
		!json_is(json_get(node, "timeout_minutes"), JSON_KIND_REAL) &&
		!json_is(json_get(node, "timeout_minutes"), JSON_KIND_STRING))
		json_set_int(j, "timeout_minutes", c->o->job_minutes);
	return j;
}

struct rows {
	struct job_row_new *v;
	const char **labels; /* LABELS_MAX + 1 for each row */
	struct json **specs;
	size_t len;
};

static void rows_done(struct rows *r)
{
	for (size_t i = 0; i < r->len; i++)
		json_free(r->specs[i]);
	free(r->v);
	free(r->labels);
	free(r->specs);
}

static void row_labels(const struct json *row, const char **labels)
{
	const struct json *on = json_get(row, "runs_on");
	size_t n = 0;

	if (json_is(on, JSON_KIND_STRING))
		labels[n++] = json_as_str(on, "");
	for (size_t i = 0; i < json_count(on) && n < LABELS_MAX; i++)
		labels[n++] = json_as_str(json_at(on, i), "");
	labels[n] = NULL;
}

static struct concurrency concurrency_of(const struct json *j)
{
	return (struct concurrency){ .group = json_get_str(j, "group", ""),
		.cancels_running = json_get_bool(j, "cancel-in-progress",
			json_get_bool(j, "cancel_in_progress", false)),
		.keeps_queue = str_eq(json_get_str(j, "queue", ""), "max") };
}

static int rows_of(const struct core *c, const struct json *node, const struct json *x,
	struct rows *ret, struct err *err)
{
	const struct json *rows = json_get(x, "rows");
	size_t n = json_count(rows);

	*ret = (struct rows){ 0 };
	if (n == 0 || n > LIMIT_JOBS)
		return err_set(err, ERR_LIMIT, "%zu jobs of one node", n);
	ret->v = xcalloc(n, sizeof(*ret->v));
	ret->labels = xcalloc(n * (LABELS_MAX + 1), sizeof(*ret->labels));
	ret->specs = xcalloc(n, sizeof(*ret->specs));
	ret->len = n;
	for (size_t i = 0; i < n; i++) {
		const struct json *row = json_at(rows, i),
				  *env = json_get(row, "environment");
		const char **labels = &ret->labels[i * (LABELS_MAX + 1)];
		const char *environment = json_get_str(env, "name", "");

		row_labels(row, labels);
		ret->specs[i] = row_spec(c, node, row);
		ret->v[i] = (struct job_row_new){ .name = json_get_str(row, "name",
							  json_get_str(node, "id", "")),
			.spec = ret->specs[i],
			.labels = labels,
			.environment = environment,
			.is_deployment = json_get_bool(env, "deployment", true),
			.is_once = *environment ||
				   json_get_bool(node, "effects_once", false),
			.continues_on_error =
				json_get_bool(row, "continue_on_error", false),
			.concurrency = concurrency_of(json_get(row, "concurrency")) };
	}
	return 0;
}

/* The planner's word on a node, checked and stored. */
static int apply_expansion(struct core *c, const struct job *j, const struct json *node,
	struct json *x, struct err *err)
{
	const struct json *strategy =
		json_get(json_at(json_get(x, "rows"), 0), "strategy");
	struct job_expansion e = { 0 };
	struct rows rows;
	int rc;

	if (c->run.expansion)
		c->run.expansion(x, c->run.data);
	if (!json_get_bool(x, "run", false))
		return jobs_settle(c->store, j->id, CONCLUSION_SKIPPED,
			json_get_str(x, "reason", "its condition is false"), NULL,
			json_get(x, "trace"), err);
	if (rows_of(c, node, x, &rows, err) < 0)
		return -1;
	e.rows = rows.v;
	e.rows_len = rows.len;
	e.max_parallel = json_get_int(strategy, "max-parallel", 0);
	if (e.max_parallel >= (int64_t)rows.len)
		e.max_parallel = 0;
	e.fail_fast = json_get_bool(strategy, "fail-fast", true);
	e.trace = json_get(x, "trace");
	rc = jobs_expand(c->store, j->id, &e, err);
	rows_done(&rows);
	return rc;
}

static void settle_failed(struct core *c, int64_t job, const struct err *why)
{
	struct err err = ERR_INIT;

	if (core_begin(c, &err) < 0 || jobs_settle(c->store, job, CONCLUSION_FAILURE,
					       why->msg, NULL, NULL, &err) < 0) {
		if (err.code != ERR_CONFLICT && err.code != ERR_NOT_FOUND)
			core_trouble(c, "cannot settle a job", &err);
	}
	core_wake(c);
}

/* ---- contexts ---------------------------------------------------------------------- */

static bool is_listed(const struct json *list, const char *name)
{
	for (size_t i = 0; i < json_count(list); i++)
		if (str_eq(json_as_str(json_at(list, i), ""), name))
			return true;
	return false;
}

static const char *last_part(const char *id)
{
	const char *slash = strrchr(id, '/');

	return slash ? slash + 1 : id;
}

/* "caller/" of "caller/inner", heap; "" for a job of the file itself. */
static char *prefix_of(const char *id)
{
	return xstrndup(id, (size_t)(last_part(id) - id));
}

/*
 * needs and ancestors of one node as its own file sees them. The store's edges also hold
 * a called job back until its caller may start; those are no needs of the language.
 */
static struct json *level_of(const struct json *node, const struct json *known)
{
	const struct json *needs = json_get(node, "needs");
	const char *id = json_get_str(node, "id", "");
	_cleanup_free_ char *prefix = prefix_of(id);
	struct json *level = json_new_object(), *n = json_new_object(),
		    *a = json_new_object();

	for (size_t i = 0; i < json_count(needs); i++) {
		const char *need = json_as_str(json_at(needs, i), "");
		struct json *v = json_get(json_get(known, "all"), need);

		if (v)
			json_set(n, last_part(need), json_share(v));
	}
	json_foreach (it, json_get(known, "results")) {
		_cleanup_free_ char *theirs = prefix_of(it.key);

		if (str_eq(theirs, prefix) &&
			is_listed(json_get(known, "ancestors"), it.key))
			json_set(a, it.key, json_share(it.value));
	}
	json_set_str(level, "node", id);
	json_set(level, "needs", n);
	json_set(level, "ancestors", a);
	return level;
}

/* jobs_contexts of a row, with every direct need it names under "all". */
static int known_of(struct core *c, int64_t job, struct json **ret, struct err *err)
{
	struct json *known = NULL;

	if (jobs_contexts(c->store, job, &known, err) < 0)
		return -1;
	json_set(known, "all", json_share(json_get(known, "needs")));
	*ret = known;
	return 0;
}

/* The callers from the outside in, then the node itself. */
static struct json *levels_of(
	const struct json *plan, const struct json *node, const struct json *known)
{
	const struct json *chain[LIMIT_CALL_DEPTH + 1];
	struct json *levels = json_new_array();
	size_t n = 0;

	for (const struct json *at = node; at && n < ARRAY_SIZE(chain);) {
		const char *parent = json_get_str(at, "parent", NULL);

		chain[n++] = at;
		at = parent ? node_of(plan, parent) : NULL;
	}
	while (n > 0)
		json_push(levels, level_of(chain[--n], known));
	return levels;
}

int scheduler_needs(struct core *c, int64_t run, int64_t job, const char *node_id,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *known = NULL, *level = NULL;
	struct cached *k = cached_get(c, run, err);
	const struct json *node = k ? node_of(k->plan, node_id) : NULL;

	if (!k)
		return -1;
	if (!node)
		return err_set(err, ERR_CORRUPT, "the plan has no job '%s'", node_id);
	if (json_count(json_get(node, "needs")) == 0) {
		*ret = json_new_object();
		return 0;
	}
	if (known_of(c, job, &known, err) < 0)
		return -1;
	level = level_of(node, known);
	*ret = json_share(json_get(level, "needs"));
	return 0;
}

/* ---- asking the planner ------------------------------------------------------------ */

static struct expanding *find_expanding(struct core *c, int64_t job)
{
	for (struct expanding *e = sched(c)->expanding; e; e = e->next)
		if (e->job == job)
			return e;
	return NULL;
}

static void expanding_free(struct expanding *e)
{
	struct expanding **at;

	for (at = &sched(e->core)->expanding; *at != e; at = &(*at)->next)
		;
	*at = e->next;
	free(e);
}

static int ask(struct expanding *e, struct err *err);

/* Result of a called workflow from those of its jobs. */
static enum conclusion call_result(const struct json *known, const struct json *children)
{
	bool has_success = false, has_cancelled = false;

	for (size_t i = 0; i < json_count(children); i++) {
		const char *r = json_get_str(json_get(known, "results"),
			json_as_str(json_at(children, i), ""), "skipped");

		if (str_eq(r, "failure"))
			return CONCLUSION_FAILURE;
		has_cancelled = has_cancelled || str_eq(r, "cancelled");
		has_success = has_success || str_eq(r, "success");
	}
	if (has_cancelled)
		return CONCLUSION_CANCELLED;
	return has_success ? CONCLUSION_SUCCESS : CONCLUSION_SKIPPED;
}

static int take_outputs(struct core *c, const struct job *j, const struct json *node,
	const struct json *answer, struct err *err)
{
	_cleanup_(json_freep) struct json *known = NULL;
	enum conclusion result;

	if (known_of(c, j->id, &known, err) < 0)
		return -1;
	result = call_result(known, json_path(node, "call.children"));
	return jobs_settle(c->store, j->id, result,
		result == CONCLUSION_SKIPPED ? "its jobs were skipped" : "",
		json_get(answer, "outputs"), NULL, err);
}

static int take_answer(struct expanding *e, const struct chan_msg *m, struct err *err)
{
	struct core *c = e->core;
	_cleanup_(json_freep) struct json *x = NULL;
	struct cached *k = cached_get(c, e->run, err);
	const struct json *node;
	struct job j = { 0 };
	int rc;

	if (!k || json_parse(m->body.buf, m->body.len, &x, err) < 0 ||
		core_begin(c, err) < 0 || jobs_get(c->store, e->job, &j, err) < 0)
		return -1;
	node = node_of(k->plan, j.node);
	if (!node)
		rc = err_set(err, ERR_CORRUPT, "the plan has no job '%s'", j.node);
	else if (e->is_outputs)
		rc = take_outputs(c, &j, node, x, err);
	else
		rc = apply_expansion(c, &j, node, x, err);
	job_done(&j);
	return rc;
}

static void on_planner(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	struct expanding *e = data;
	struct core *c = e->core;
	struct err err = ERR_INIT;
	int64_t job = e->job;

	(void)hint;
	FP("scheduler.expanded");
	if (answer) {
		int rc = take_answer(e, answer, &err);

		expanding_free(e);
		core_wake(c);
		if (rc < 0 && err.code == ERR_CONFLICT)
			log_debug("job=%" PRId64 " moved on meanwhile: %s", job, err.msg);
		else if (rc < 0)
			settle_failed(c, job, &err);
		return;
	}
	if (why->code == ERR_NOT_FOUND && str_eq(why->msg, "plan") && !e->with_plan) {
		e->with_plan = true;
		if (ask(e, &err) == 0)
			return;
		why = &err;
	} else if (why->code == ERR_UNAVAILABLE && ++e->tries < EXPAND_TRIES) {
		if (ask(e, &err) == 0)
			return;
		why = &err;
	}
	expanding_free(e);
	settle_failed(c, job, why);
}

static struct json *request_of(struct core *c, struct expanding *e,
	const struct cached *k, const struct json *node, const struct json *known,
	const struct run *r, struct err *err)
{
	struct json *req = json_new_object(), *vars = NULL, *jobs;
	const struct json *children = json_path(node, "call.children");

	if (vars_context(c->store, r->repo, "", &vars, err) < 0) {
		json_free(req);
		return NULL;
	}
	json_set_str(req, "key", k->plan_digest);
	if (e->with_plan)
		json_set(req, "plan", json_share(k->plan));
	json_set(req, "github", json_share(k->github));
	json_set(req, "vars", vars);
	json_set_bool(req, "cancelled", json_get_bool(known, "cancelled", false));
	if (!e->is_outputs) {
		json_set(req, "levels", levels_of(k->plan, node, known));
		return req;
	}
	jobs = json_new_object();
	for (size_t i = 0; i < json_count(children); i++) {
		const char *child = json_as_str(json_at(children, i), "");
		struct json *v = json_get(json_get(known, "all"), child);

		if (v)
			json_set(jobs, last_part(child), json_share(v));
	}
	json_set_str(req, "node", json_get_str(node, "id", ""));
	json_set(req, "jobs", jobs);
	return req;
}

/* E lives on when it returns 0. */
static int ask(struct expanding *e, struct err *err)
{
	struct core *c = e->core;
	_cleanup_(json_freep) struct json *known = NULL, *req = NULL;
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	struct cached *k = cached_get(c, e->run, err);
	const struct json *node;
	struct json *head;
	struct job j = { 0 };
	struct run r = { 0 };

	if (!k || jobs_get(c->store, e->job, &j, err) < 0)
		return -1;
	node = node_of(k->plan, j.node);
	job_done(&j);
	if (!node)
		return err_set(err, ERR_CORRUPT, "the plan has no such job");
	if (known_of(c, e->job, &known, err) < 0 ||
		runs_get(c->store, e->run, &r, err) < 0)
		return -1;
	req = request_of(c, e, k, node, known, &r, err);
	run_done(&r);
	if (!req)
		return -1;
	json_write(req, 0, &body);
	head = json_new_object();
	json_set_str(head, "op", e->is_outputs ? "outputs" : "expand");
	/* A full queue answers at once, and then E may be gone already. */
	(void)worker_call(c->planner, head, body.buf, body.len, 0, on_planner, e);
	return 0;
}

/* Nodes without needs were expanded together with the plan. */
static bool take_root(struct core *c, const struct job *j, const struct cached *k,
	const struct json *node)
{
	struct json *x = json_get(k->roots, j->node);
	struct err err = ERR_INIT;

	if (!x || j->attempt != 1)
		return false;
	if (core_begin(c, &err) == 0 && apply_expansion(c, j, node, x, &err) == 0) {
		core_wake(c);
		return true;
	}
	log_debug("job=%" PRId64 " is expanded anew: %s", j->id, err.msg);
	return false;
}

static void start_expansion(struct core *c, int64_t job)
{
	struct err err = ERR_INIT;
	struct expanding *e;
	struct cached *k;
	const struct json *node;
	struct job j = { 0 };
	bool is_done;

	if (find_expanding(c, job))
		return;
	if (jobs_get(c->store, job, &j, &err) < 0) {
		core_trouble(c, "cannot read a job", &err);
		return;
	}
	k = cached_get(c, j.run, &err);
	node = k ? node_of(k->plan, j.node) : NULL;
	is_done = node && take_root(c, &j, k, node);
	job_done(&j);
	if (is_done)
		return;
	if (!node) {
		if (k)
			(void)err_set(&err, ERR_CORRUPT, "the plan has no such job");
		settle_failed(c, job, &err);
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->core = c;
	e->job = job;
	e->run = k->run;
	e->is_outputs = json_is(json_get(node, "call"), JSON_KIND_OBJECT);
	e->next = sched(c)->expanding;
	sched(c)->expanding = e;
	if (ask(e, &err) < 0) {
		expanding_free(e);
		settle_failed(c, job, &err);
	}
}

static void expand_ready(struct core *c)
{
	int64_t ids[READY_MAX];
	struct err err = ERR_INIT;
	int n = jobs_ready(c->store, 0, ids, READY_MAX, &err);

	if (n < 0)
		core_trouble(c, "cannot look for jobs to expand", &err);
	for (int i = 0; i < n; i++)
		start_expansion(c, ids[i]);
}

/* ---- claims ------------------------------------------------------------------------ */

/* The first label of the row that nobody here offers, heap; NULL: all are. */
static char *label_missing(const struct core *c, const char *labels_json)
{
	_cleanup_(json_freep) struct json *labels = NULL;
	struct err err = ERR_INIT;

	if (json_parse(labels_json, strlen(labels_json), &labels, &err) < 0)
		return NULL;
	return xstrdup_null(labels_missing(&c->o->labels, labels));
}

/* A label that nobody offers: the wait is bounded, and says why it ends. */
static void wait_for_label(struct core *c, const struct job_ready *r, const char *label)
{
	int64_t left = r->queued_at + c->o->label_wait_ms - clock_wall_ms();
	_cleanup_free_ char *reason = NULL;
	struct err err = ERR_INIT;

	if (left > 0) {
		core_retry_in(c, left < 60000 ? left : 60000);
		return;
	}
	reason =
		xasprintf("nothing here offers the label '%s'; add it to 'labels' of the "
			  "configuration, or change runs-on",
			label);
	if (core_begin(c, &err) < 0 || jobs_fail(c->store, r->job, reason, &err) < 0)
		core_trouble(c, "cannot end a job without a runner", &err);
	core_wake(c);
}

struct claim {
	int64_t job, epoch, try;
};

static void after_claim(struct core *c, const struct err *why, void *data)
{
	struct claim *k = data;

	FP("scheduler.claimed");
	if (!why)
		attend_claimed(c, k->job, k->epoch, k->try);
	free(k);
}

/* 1 one was claimed, 0 there is none to claim. */
static int claim_one(struct core *c, struct err *err)
{
	struct job_ready *list = NULL;
	size_t len = 0;
	int rc = 0;

	if (jobs_claimable(c->store, READY_MAX, &list, &len, err) < 0)
		return -1;
	for (size_t i = 0; i < len && rc == 0; i++) {
		_cleanup_free_ char *label = label_missing(c, list[i].labels);
		struct claim *k;

		if (label) {
			wait_for_label(c, &list[i], label);
			continue;
		}
		k = xcalloc(1, sizeof(*k));
		k->job = list[i].job;
		rc = core_begin(c, err);
		if (rc == 0)
			rc = jobs_claim(
				c->store, k->job, "local", &k->epoch, &k->try, err);
		if (rc < 0) {
			free(k);
			if (err->code == ERR_UNAVAILABLE)
				rc = 0; /* paused */
			break;
		}
		core_after(c, after_claim, k);
		rc = 1;
	}
	jobs_ready_free(list, len);
	return rc;
}

int64_t core_capacity(const struct core *c)
{
	long n =
		c->o->capacity > 0 ? (long)c->o->capacity : sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? n : 1;
}

static void claim_ready(struct core *c)
{
	struct err err = ERR_INIT;
	int64_t active;
	int rc = 1;

	if (!spawn_is_up(c->spawn))
		return; /* its return wakes us */
	if (disk_is_low(c))
		return;
	if (jobs_active_count(c->store, &active, &err) < 0) {
		core_trouble(c, "cannot count jobs", &err);
		return;
	}
	for (; active < core_capacity(c) && rc > 0; active++)
		rc = claim_one(c, &err);
	if (rc < 0)
		core_trouble(c, "cannot claim", &err);
}

void scheduler_pass(struct core *c)
{
	expand_ready(c);
	claim_ready(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a pending event to its runs: the commit is fetched into the mirror, its workflow
 * files are read, the planner says what they make of the event, and the runs are stored.
 * Each event is one piece of work that goes from question to question; the store has it
 * pending until it ends, so that work that is lost with this process is begun again.
 */
#include "runner/core-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "runner/ingest.h"

enum {
	AT_ONCE = 8,
	PENDING_MAX = 2 * AT_ONCE, /* not more than those are at work already */
	ROUNDS_MAX = 2 * LIMIT_CALL_DEPTH, /* of files that turned out to be missing */
	PLAN_TRIES = 3,
	RETRY_MS = 1000,
};

struct work {
	struct work *next;
	struct core *core;
	int64_t event, repo;
	bool is_local;	/* files were given: `sluice run` */
	bool is_asking; /* something was asked and is not answered yet */
	int rounds, tries;
	struct event e;
	struct repo r;
	char *mirror;
	const char *sha;	  /* checked out; of E */
	const char *workflow_sha; /* whose workflow files count */
	struct json *files, *sources, *changed;
	struct json *wanted; /* sources still to be had */
};

struct ingest {
	struct work *works;
	size_t len;
};

static void work_free(struct work *w)
{
	struct core *c = w->core;
	struct work **at;

	for (at = &c->ingest->works; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	c->ingest->len--;
	event_done(&w->e);
	repo_done(&w->r);
	free(w->mirror);
	json_free(w->files);
	json_free(w->sources);
	json_free(w->changed);
	json_free(w->wanted);
	free(w);
	core_wake(c);
}

void ingest_done(struct core *c)
{
	while (c->ingest && c->ingest->works)
		work_free(c->ingest->works);
	free(c->ingest);
	c->ingest = NULL;
}

/* ---- how it ends ------------------------------------------------------------------- */

static void fail(struct work *w, const char *reason, const struct json *detail)
{
	struct err err = ERR_INIT;

	if (w->core->run.planned)
		w->core->run.planned(reason, detail, w->core->run.data);
	log_info("event=%" PRId64 " failed: %s", w->event, reason);
	if (core_begin(w->core, &err) < 0 ||
		events_fail(w->core->store, w->event, reason, detail, &err) < 0) {
		if (err.code != ERR_CONFLICT)
			core_trouble(w->core, "cannot fail an event", &err);
	}
	work_free(w);
}

static void ignore(struct work *w, const char *reason)
{
	struct err err = ERR_INIT;

	if (w->core->run.planned)
		w->core->run.planned(reason, NULL, w->core->run.data);
	log_info("event=%" PRId64 " ignored: %s", w->event, reason);
	if (core_begin(w->core, &err) < 0 ||
		events_ignore(w->core->store, w->event, reason, &err) < 0) {
		if (err.code != ERR_CONFLICT)
			core_trouble(w->core, "cannot ignore an event", &err);
	}
	work_free(w);
}

/* Nothing of the event's fault: it stays pending and is begun again (a counted try). */
static void give_back(struct work *w, const char *why)
{
	log_warnx("event=%" PRId64 " is tried again: %s", w->event, why);
	core_retry_in(w->core, RETRY_MS);
	work_free(w);
}

/* ---- runs -------------------------------------------------------------------------- */

struct building {
	struct run_new *runs;
	struct json **plans, **roots; /* lent; roots may be NULL */
	struct node_new **nodes;
	const char ***needs; /* all lists of one run in one block */
	char **own;	     /* strings made here */
	size_t len, own_len, own_cap;
};

static void building_done(struct building *b)
{
	for (size_t i = 0; i < b->len; i++) {
		free(b->nodes[i]);
		free(b->needs[i]);
	}
	for (size_t i = 0; i < b->own_len; i++)
		free(b->own[i]);
	free(b->runs);
	free(b->plans);
	free(b->roots);
	free(b->nodes);
	free(b->needs);
	free(b->own);
}

static const struct json *node_by_id(const struct json *jobs, const char *id)
{
	for (size_t i = 0; i < json_count(jobs); i++)
		if (str_eq(json_get_str(json_at(jobs, i), "id", ""), id))
			return json_at(jobs, i);
	return NULL;
}

static size_t push_needs(const char **list, size_t n, size_t max, const struct json *ids)
{
	for (size_t i = 0; i < json_count(ids) && n < max; i++) {
		const char *id = json_as_str(json_at(ids, i), "");
		bool is_there = false;

		for (size_t k = 0; k < n; k++)
			is_there = is_there || str_eq(list[k], id);
		if (!is_there)
			list[n++] = id;
	}
	return n;
}

/*
 * The edges of the store: needs as written; a job of a called workflow also waits for what
 * its callers wait for; and a caller is done when all its jobs are.
 */
static size_t edges_of(
	const struct json *jobs, const struct json *node, const char **list, size_t max)
{
	size_t n = push_needs(list, 0, max, json_get(node, "needs"));
	const struct json *at = node;

	for (int depth = 0; depth <= LIMIT_CALL_DEPTH; depth++) {
		const char *parent = json_get_str(at, "parent", NULL);

		at = parent ? node_by_id(jobs, parent) : NULL;
		if (!at)
			break;
		n = push_needs(list, n, max, json_get(at, "needs"));
	}
	n = push_needs(list, n, max, json_path(node, "call.children"));
	list[n] = NULL;
	return n + 1;
}

static const char *short_ref(const char *ref)
{
	static const char *const prefixes[] = { "refs/heads/", "refs/tags/", "refs/" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(ref, prefixes[i]))
			return ref + strlen(prefixes[i]);
	return ref;
}

static int add_nodes(
	struct building *b, size_t i, const struct json *plan, struct err *err)
{
	const struct json *jobs = json_get(plan, "jobs");
	size_t n = json_count(jobs), max = n + 1, used = 0;

	if (n == 0 || n > LIMIT_JOBS)
		return err_set(err, ERR_LIMIT, "%zu jobs in one workflow", n);
	b->nodes[i] = xcalloc(n, sizeof(**b->nodes));
	b->needs[i] = xcalloc(n * (max + 1), sizeof(**b->needs));
	for (size_t k = 0; k < n; k++) {
		const struct json *node = json_at(jobs, k);
		const char **list = b->needs[i] + used;
		const char *name = json_get_str(node, "name", NULL);

		used += edges_of(jobs, node, list, max);
		b->nodes[i][k] = (struct node_new){ .key = json_get_str(node, "id", ""),
			/* A name with expressions is known when the node is expanded. */
			.name = name && !strstr(name, "${{")
					? name
					: json_get_str(node, "id", ""),
			.needs = list,
			.is_call = json_is(json_get(node, "call"), JSON_KIND_OBJECT) };
	}
	b->runs[i].nodes = b->nodes[i];
	b->runs[i].nodes_len = n;
	return 0;
}

static void add_run(struct building *b, const struct work *w, const struct json *p,
	struct json *plan, const char *const *identities)
{
	const struct json *conc = json_get(plan, "concurrency");
	struct run_new *r = &b->runs[b->len];

	b->plans[b->len] = plan;
	/* An edited plan is another one than the planner knows: it gets it with a question. */
	b->roots[b->len] = w->core->run.plan ? NULL : json_get(p, "roots");
	*r = (struct run_new){ .event = w->event,
		.workflow_path = json_get_str(p, "path", ""),
		.workflow_name = json_as_str(json_path(plan, "workflow.name"), ""),
		.title = json_get_str(p, "title", ""),
		.plan = plan,
		.workflow_digest = json_as_str(json_path(plan, "workflow.digest"), ""),
		.sha = w->sha,
		.ref = w->e.ref,
		.branch = short_ref(w->e.ref),
		.needs_maintainer = w->e.trust != TRUST_TRUSTED,
		.identities = identities };
	if (!*r->title)
		r->title = *w->e.title ? w->e.title : r->workflow_name;
	if (json_is(conc, JSON_KIND_OBJECT))
		r->concurrency = (struct concurrency){ .group = json_get_str(
							       conc, "group", ""),
			.cancels_running =
				json_get_bool(conc, "cancel_in_progress", false),
			.keeps_queue = str_eq(json_get_str(conc, "queue", ""), "max") };
	else
		r->concurrency.group = "";
	b->len++;
}

/* A file that cannot be planned still shows where people look: a run that failed. */
static struct json *broken_plan(const struct json *p)
{
	struct json *plan = json_new_object(), *wf = json_new_object(),
		    *jobs = json_new_array(), *node = json_new_object();
	_cleanup_free_ char *text = json_text(p);
	char digest[SHA256_HEX_MAX];

	json_set_int(plan, "version", 1);
	json_set_str(wf, "path", json_get_str(p, "path", ""));
	json_set_str(wf, "name", path_base(json_get_str(p, "path", "")));
	json_set_str(wf, "digest", crypto_sha256_hex(text, strlen(text), digest));
	json_set(plan, "workflow", wf);
	json_set(plan, "error", json_share(json_get(p, "error")));
	json_set_str(node, "id", "workflow");
	json_set_str(node, "name", "Read the workflow");
	json_set(node, "needs", json_new_array());
	json_push(jobs, node);
	json_set(plan, "jobs", jobs);
	return plan;
}

static int settle_broken(
	struct core *c, int64_t run, const struct json *plan, struct err *err)
{
	int64_t job;

	if (jobs_resolve(c->store, run, "workflow", &job, err) < 0)
		return -1;
	return jobs_settle(c->store, job, CONCLUSION_FAILURE,
		json_as_str(json_path(plan, "error.message"), "the file is no workflow"),
		NULL, json_path(plan, "error.findings"), err);
}

static int store_runs(struct work *w, struct building *b, struct err *err)
{
	struct core *c = w->core;
	int64_t ids[LIMIT_WORKFLOW_FILES];
	struct store_tx tx = STORE_TX_INIT;
	int rc;

	FP("ingest.runs.before");
	if (core_begin(c, err) < 0 || store_begin(&tx, c->store, err) < 0)
		return -1;
	rc = runs_create(c->store, w->event, b->runs, b->len, ids, err);
	for (size_t i = 0; i < b->len && rc == 0; i++) {
		if (json_get(b->plans[i], "error"))
			rc = settle_broken(c, ids[i], b->plans[i], err);
		else
			scheduler_learn(c, ids[i], b->plans[i], b->roots[i]);
	}
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_end(&tx);
	return rc;
}

/* Who must not open a gate of what he brought about. NULL-ended, lent. */
static const char **identities_of(const struct work *w)
{
	const struct json *more = json_get(w->e.document, "identities");
	size_t n = json_count(more), len = 0;
	const char **list = xcalloc(n + 2, sizeof(*list));

	if (*w->e.actor)
		list[len++] = w->e.actor;
	for (size_t i = 0; i < n && i < 64; i++) {
		const char *name = json_as_str(json_at(more, i), "");

		if (*name)
			list[len++] = name;
	}
	return list;
}

static void first_error(const struct json *plans, const struct json **ret)
{
	for (size_t i = 0; i < json_count(plans) && !*ret; i++)
		*ret = json_get(json_at(plans, i), "error");
}

static const char *why_none(const struct json *plans)
{
	if (json_count(plans) == 0)
		return "no workflow file in .github/workflows at this commit";
	if (json_count(plans) == 1)
		return json_get_str(
			json_at(plans, 0), "reason", "its workflow does not want it");
	return "none of its workflows wants this event";
}

static void planned(struct work *w)
{
	if (w->core->run.planned)
		w->core->run.planned(NULL, NULL, w->core->run.data);
	work_free(w);
}

static void make_runs(struct work *w, const struct json *plans)
{
	size_t n = json_count(plans);
	struct building b = { 0 };
	const struct json *error = NULL;
	const char **identities = identities_of(w);
	struct json **made = xcalloc(n + 1, sizeof(*made));
	struct err err = ERR_INIT;
	int rc = 0;

	b.runs = xcalloc(n + 1, sizeof(*b.runs));
	b.plans = xcalloc(n + 1, sizeof(*b.plans));
	b.roots = xcalloc(n + 1, sizeof(*b.roots));
	b.nodes = xcalloc(n + 1, sizeof(*b.nodes));
	b.needs = xcalloc(n + 1, sizeof(*b.needs));
	first_error(plans, &error);
	for (size_t i = 0; i < n && w->core->run.plan; i++)
		if (json_get(json_at(plans, i), "plan"))
			w->core->run.plan(
				json_get(json_at(plans, i), "plan"), w->core->run.data);
	for (size_t i = 0; i < n && rc == 0 && !(error && w->is_local); i++) {
		const struct json *p = json_at(plans, i);
		struct json *plan = json_get(p, "plan");

		if (json_get(p, "error"))
			plan = made[i] = broken_plan(p);
		else if (!json_get_bool(p, "triggered", false))
			continue;
		if (!json_is(plan, JSON_KIND_OBJECT)) {
			rc = err_set(&err, ERR_CORRUPT,
				"the planner gave no plan for '%s'",
				json_get_str(p, "path", ""));
			continue;
		}
		add_run(&b, w, p, plan, identities);
		rc = add_nodes(&b, b.len - 1, plan, &err);
	}
	if (rc == 0 && b.len > 0)
		rc = store_runs(w, &b, &err);
	if (rc < 0)
		fail(w, err.msg, NULL);
	else if (b.len > 0)
		planned(w);
	else if (error)
		fail(w, json_get_str(error, "message", "cannot be planned"), error);
	else
		ignore(w, why_none(plans));
	building_done(&b);
	for (size_t i = 0; i < n; i++)
		json_free(made[i]);
	free(made);
	free(identities);
}

/* ---- the planner ------------------------------------------------------------------- */

static void ask_plan(struct work *w);
static void want_sources(struct work *w);

static bool collect_missing(struct work *w, const struct json *plans)
{
	json_free(w->wanted);
	w->wanted = json_new_array();
	for (size_t i = 0; i < json_count(plans); i++) {
		const struct json *missing = json_get(json_at(plans, i), "missing");

		for (size_t k = 0; k < json_count(missing); k++)
			json_push(w->wanted, json_share(json_at(missing, k)));
	}
	return json_count(w->wanted) > 0;
}

static void on_planned(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	struct work *w = data;
	_cleanup_(json_freep) struct json *doc = NULL;
	const struct json *plans;
	struct err err = ERR_INIT;

	(void)hint;
	w->is_asking = false;
	FP("ingest.planned");
	if (!answer && why->code == ERR_UNAVAILABLE && ++w->tries < PLAN_TRIES) {
		ask_plan(w);
		return;
	}
	if (!answer || json_parse(answer->body.buf, answer->body.len, &doc, &err) < 0) {
		fail(w, answer ? err.msg : why->msg, NULL);
		return;
	}
	plans = json_get(doc, "plans");
	if (json_count(plans) > LIMIT_WORKFLOW_FILES)
		fail(w, "the planner gave more plans than there are files", NULL);
	else if (!collect_missing(w, plans))
		make_runs(w, plans);
	else if (++w->rounds > ROUNDS_MAX)
		fail(w, "called workflows and actions lead to ever more files", NULL);
	else
		want_sources(w);
}

static struct json *plan_request(struct work *w, struct err *err)
{
	struct json *req = json_new_object(), *vars = NULL, *only;
	const struct json *doc = w->e.document;
	const char *path = json_get_str(doc, "workflow", NULL);

	if (vars_context(w->core->store, w->repo, "", &vars, err) < 0) {
		json_free(req);
		return NULL;
	}
	json_set_str(req, "event", w->e.name);
	json_set(req, "github",
		json_get(doc, "github") ? json_share(json_get(doc, "github"))
					: json_new_object());
	json_set(req, "vars", vars);
	if (json_get(doc, "inputs"))
		json_set(req, "inputs", json_share(json_get(doc, "inputs")));
	if (w->is_local)
		json_set_bool(req, "is_own", true);
	if (w->changed)
		json_set(req, "changed", json_share(w->changed));
	json_set(req, "files", json_share(w->files));
	if (w->sources)
		json_set(req, "sources", json_share(w->sources));
	if (path) {
		only = json_new_array();
		json_push_str(only, path);
		json_set(req, "only", only);
	} else if (json_is(json_get(doc, "only"), JSON_KIND_ARRAY)) {
		json_set(req, "only", json_share(json_get(doc, "only")));
	}
	return req;
}

static void ask_plan(struct work *w)
{
	_cleanup_(json_freep) struct json *req = NULL;
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	struct err err = ERR_INIT;
	struct json *head;

	req = plan_request(w, &err);
	if (!req) {
		give_back(w, err.msg);
		return;
	}
	json_write(req, 0, &body);
	head = json_new_object();
	json_set_str(head, "op", "plan");
	w->is_asking = true;
	(void)worker_call(w->core->planner, head, body.buf, body.len, 0, on_planned, w);
}

static void got_sources(struct json *sources, const struct err *why, void *data)
{
	struct work *w = data;

	w->is_asking = false;
	if (why) {
		json_free(sources);
		if (why->code == ERR_UNAVAILABLE)
			give_back(w, why->msg);
		else
			fail(w, why->msg, NULL);
		return;
	}
	if (!w->sources)
		w->sources = json_new_array();
	for (size_t i = 0; i < json_count(sources); i++)
		json_push(w->sources, json_share(json_at(sources, i)));
	json_free(sources);
	ask_plan(w);
}

/* `sluice run`: the tree is at hand. */
static struct json *local_sources(const struct work *w)
{
	struct core *c = w->core;
	struct json *out = json_new_array();

	for (size_t i = 0; i < json_count(w->wanted); i++) {
		struct json *o = json_clone(json_at(w->wanted, i));
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		struct err err = ERR_INIT;

		json_set(o, "text", NULL);
		if (!c->run.source)
			json_set_str(o, "error", "there is no tree to look in");
		else if (c->run.source(json_get_str(o, "repository", NULL),
				 json_get_str(o, "ref", NULL),
				 json_get_str(o, "path", ""), &text, c->run.data,
				 &err) < 0)
			json_set_str(o, "error", err.msg);
		else
			json_set(o, "text", json_new_strn(text.buf, text.len));
		json_push(out, o);
	}
	return out;
}

static void want_sources(struct work *w)
{
	w->is_asking = true;
	if (w->is_local)
		got_sources(local_sources(w), NULL, w);
	else
		git_sources(w->core, w->repo, w->workflow_sha, w->wanted, got_sources, w);
}

/* ---- the mirror -------------------------------------------------------------------- */

/* Path filters are the only reason to ask what a commit changed. */
static bool wants_changes(const struct work *w)
{
	for (size_t i = 0; i < json_count(w->files); i++)
		if (strstr(json_get_str(json_at(w->files, i), "text", ""), "paths"))
			return true;
	return false;
}

static void on_changes(struct json *paths, const struct err *why, void *data)
{
	struct work *w = data;

	w->is_asking = false;
	if (why) /* cannot be told: then path filters hold, as on GitHub */
		log_info("event=%" PRId64 " changes are unknown: %s", w->event, why->msg);
	w->changed = paths;
	ask_plan(w);
}

static void on_files(struct json *files, const struct err *why, void *data)
{
	struct work *w = data;
	const char *from, *to;

	w->is_asking = false;
	if (why) {
		if (why->code == ERR_UNAVAILABLE)
			give_back(w, why->msg);
		else
			fail(w, why->msg, NULL);
		return;
	}
	w->files = files;
	from = w->e.base_sha;
	to = w->e.head_sha;
	if (json_is(json_get(w->e.document, "changed"), JSON_KIND_ARRAY))
		w->changed = json_share(json_get(w->e.document, "changed"));
	if (w->changed || !wants_changes(w) || !*to ||
		str_starts(w->e.ref, "refs/tags/")) {
		ask_plan(w);
		return;
	}
	w->is_asking = true;
	git_changes(w->core, w->repo, *from ? from : NULL, to, w->r.default_branch,
		str_starts(w->e.kind, "pull_request"), on_changes, w);
}

static void on_fetched(struct json *none, const struct err *why, void *data)
{
	struct work *w = data;

	(void)none;
	w->is_asking = false;
	if (why) {
		if (why->code == ERR_UNAVAILABLE && w->e.tries < LIMIT_EVENT_TRIES)
			give_back(w, why->msg);
		else
			fail(w, why->msg, NULL);
		return;
	}
	w->is_asking = true;
	git_files(w->core, w->repo, w->workflow_sha, on_files, w);
}

/* ---- beginning --------------------------------------------------------------------- */

static struct work *work_new(struct core *c, int64_t event)
{
	struct work *w = xcalloc(1, sizeof(*w));

	if (!c->ingest)
		c->ingest = xcalloc(1, sizeof(*c->ingest));
	w->core = c;
	w->event = event;
	w->next = c->ingest->works;
	c->ingest->works = w;
	c->ingest->len++;
	return w;
}

static int load_event(struct work *w, struct err *err)
{
	struct core *c = w->core;
	const struct json *doc;

	if (core_begin(c, err) < 0 || events_note_try(c->store, w->event, err) < 0 ||
		events_get(c->store, w->event, &w->e, err) < 0)
		return -1;
	w->repo = w->e.repo;
	if (repos_get(c->store, w->repo, &w->r, err) < 0)
		return -1;
	doc = w->e.document;
	w->sha = *w->e.merge_sha ? w->e.merge_sha : w->e.head_sha;
	w->workflow_sha = json_get_str(doc, "workflow_sha", w->sha);
	if (!*w->workflow_sha)
		w->workflow_sha = w->sha;
	return 0;
}

static void start(struct core *c, int64_t event)
{
	struct work *w = work_new(c, event);
	struct err err = ERR_INIT;

	if (load_event(w, &err) < 0) {
		give_back(w, err.msg);
		return;
	}
	if (w->e.state != EVENT_PENDING) { /* too many tries: it has failed just now */
		work_free(w);
		return;
	}
	w->is_asking = true;
	git_fetch_event(c, &w->e, &w->r, on_fetched, w);
}

static bool is_at_work(const struct core *c, int64_t event)
{
	for (const struct work *w = c->ingest ? c->ingest->works : NULL; w; w = w->next)
		if (w->event == event)
			return true;
	return false;
}

void ingest_pass(struct core *c)
{
	int64_t ids[PENDING_MAX];
	struct err err = ERR_INIT;
	int n;

	if (!c->o->has_git || (c->ingest && c->ingest->len >= AT_ONCE) || disk_is_low(c))
		return;
	n = events_pending(c->store, ids, PENDING_MAX, &err);
	if (n < 0)
		core_trouble(c, "cannot look for events", &err);
	for (int i = 0; i < n && (!c->ingest || c->ingest->len < AT_ONCE); i++)
		if (!is_at_work(c, ids[i]))
			start(c, ids[i]);
}

void core_plan_files(
	struct core *c, int64_t event, const struct core_file *files, size_t len)
{
	struct work *w = work_new(c, event);
	struct err err = ERR_INIT;

	w->is_local = true;
	w->files = json_new_array();
	for (size_t i = 0; i < len; i++) {
		struct json *f = json_new_object();

		json_set_str(f, "path", files[i].path);
		if (files[i].shown)
			json_set_str(f, "shown", files[i].shown);
		json_set(f, "text", json_new_strn(files[i].text, files[i].len));
		json_push(w->files, f);
	}
	if (load_event(w, &err) < 0) {
		fail(w, err.msg, NULL);
		return;
	}
	if (json_is(json_get(w->e.document, "changed"), JSON_KIND_ARRAY))
		w->changed = json_share(json_get(w->e.document, "changed"));
	ask_plan(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Runs: made from plans, admitted, derived from their jobs, cancelled. */
#include "store/runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/store-internal.h"

/* ---- plans ------------------------------------------------------------------------- */

int plans_put(struct store *s, const char *text, size_t len,
	char ret_digest[SHA256_HEX_MAX], struct err *err)
{
	char digest[SHA256_HEX_MAX];

	crypto_sha256_hex(text, len, digest);
	if (db_run(s->db, err, "INSERT OR IGNORE INTO plans VALUES (?,?,?)", S(digest),
		    I(clock_wall_ms()), S(text)))
		return -1;
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

int runs_plan(struct store *s, int64_t run, struct json **ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	char digest[SHA256_HEX_MAX];
	int got = db_first(s->db, &r, err,
		"SELECT p.digest, p.body FROM runs r JOIN plans p ON p.digest ="
		" r.plan_digest"
		" WHERE r.id = ?",
		I(run));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no run %lld",
					 (long long)run);
	crypto_sha256_hex(db_str(&r, 1), strlen(db_str(&r, 1)), digest);
	if (!str_eq(digest, db_str(&r, 0)))
		return err_set(err, ERR_CORRUPT,
			"the plan of run %lld is not what was stored", (long long)run);
	return json_parse(db_str(&r, 1), strlen(db_str(&r, 1)), ret, err);
}

/* ---- creation ---------------------------------------------------------------------- */

struct origin {
	int64_t event;
	int64_t repo;
	char *name;
	char *actor;
	char *trust;
};

static void origin_done(struct origin *o)
{
	free(o->name);
	free(o->actor);
	free(o->trust);
}

static int read_origin(
	struct store *s, int64_t event, struct origin *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT repo_id, name, actor, trust FROM events WHERE id = ?", I(event));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no event %lld",
					 (long long)event);
	*ret = (struct origin){ event, db_int(&r, 0), col_dup(&r, 1), col_dup(&r, 2),
		col_dup(&r, 3) };
	return 0;
}

static int insert_row(struct store *s, const struct origin *o, const struct run_new *in,
	int64_t *ret_id, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf plan = STRBUF_INIT;
	const struct concurrency *c = &in->concurrency;
	char digest[SHA256_HEX_MAX];
	int64_t number, now = clock_wall_ms();

	json_write(in->plan, JSON_WRITE_SORTED, &plan);
	if (plans_put(s, plan.buf, plan.len, digest, err) ||
		db_value(s->db, &number, 0, err,
			"UPDATE repos SET last_run = last_run + 1 WHERE id = ?"
			" RETURNING last_run",
			I(o->repo)))
		return -1;
	if (db_run(s->db, err,
		    "INSERT INTO runs (repo_id, number, event_id, workflow_path,"
		    " workflow_name,"
		    " workflow_digest, plan_digest, event_name, title, sha, ref,"
		    " branch, actor,"
		    " trust, needs_maintainer, state, phase, conc_group, conc_cancels,"
		    " conc_keeps,"
		    " created_at, attempt_at, changed_at) VALUES"
		    " (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'pending','pending',?,?,?,?,?,?)",
		    I(o->repo), I(number), I(o->event), S(in->workflow_path),
		    S(in->workflow_name), S(in->workflow_digest), S(digest), S(o->name),
		    S(in->title), S(in->sha), S(in->ref), S(in->branch), S(o->actor),
		    S(o->trust), I(in->needs_maintainer), S(c->group ? c->group : ""),
		    I(c->cancels_running), I(c->keeps_queue), I(now), I(now), I(now)))
		return -1;
	*ret_id = db_last_id(s->db);
	return db_run(s->db, err,
		"INSERT INTO attempts (run_id, attempt, by, what, created_at)"
		" VALUES (?, 1, ?, 'event', ?)",
		I(*ret_id), S(o->actor), I(now));
}

static int insert_node(struct store *s, const struct origin *o, int64_t run, int64_t ord,
	const struct node_new *n, struct err *err)
{
	struct state_move born = {
		.machine = MACHINE_JOB,
		.to = JOB_WAITING,
		.who = ACTOR_CORE,
		.run = run,
	};
	int64_t now = clock_wall_ms();

	if (db_run(s->db, err,
		    "INSERT INTO jobs (run_id, repo_id, attempt, ord, node, name,"
		    " state, is_call,"
		    " created_at, changed_at) VALUES (?,?,1,?,?,?,'waiting',?,?,?)",
		    I(run), I(o->repo), I(ord), S(n->key), S(n->name ? n->name : n->key),
		    I(n->is_call), I(now), I(now)))
		return -1;
	born.id = born.job = db_last_id(s->db);
	if (state_born(s, &born, err))
		return -1;
	for (const char *const *need = n->needs; need && *need; need++)
		if (db_run(s->db, err, "INSERT OR IGNORE INTO needs VALUES (?,?,?)",
			    I(run), S(n->key), S(*need)))
			return -1;
	return 0;
}

/* Nodes come from a process that may be hostile: names of needs are checked here. */
static int check_needs(struct store *s, int64_t run, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT n.node, n.need FROM needs n WHERE n.run_id = ?1 AND NOT EXISTS"
		" (SELECT 1 FROM jobs j WHERE j.run_id = ?1 AND j.attempt = 1 AND"
		" j.node = n.need)"
		" LIMIT 1",
		I(run));

	if (got <= 0)
		return got;
	return err_set(err, ERR_INPUT, "node '%.64s' needs '%.64s', which is no node",
		db_str(&r, 0), db_str(&r, 1));
}

static int create_one(struct store *s, const struct origin *o, const struct run_new *in,
	int64_t *ret_id, struct err *err)
{
	struct state_move born = {
		.machine = MACHINE_RUN,
		.epoch = 1,
		.to = RUN_PENDING,
		.who = { "user", o->actor, NULL },
	};

	if (in->nodes_len == 0 || in->nodes_len > LIMIT_JOBS)
		return err_set(err, ERR_LIMIT, "%zu jobs in '%.80s', allowed are 1 to %d",
			in->nodes_len, in->workflow_path, LIMIT_JOBS);
	FP("run.insert.before");
	if (insert_row(s, o, in, ret_id, err))
		return -1;
	born.id = born.run = *ret_id;
	if (state_born(s, &born, err) || runs_add_identity(s, *ret_id, o->actor, err))
		return -1;
	for (const char *const *id = in->identities; id && *id; id++)
		if (runs_add_identity(s, *ret_id, *id, err))
			return -1;
	for (size_t i = 0; i < in->nodes_len; i++)
		if (insert_node(s, o, *ret_id, (int64_t)i, &in->nodes[i], err))
			return -1;
	FP("run.insert.after");
	return check_needs(s, *ret_id, err);
}

int runs_create(struct store *s, int64_t event, const struct run_new *runs, size_t len,
	int64_t *ids, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(origin_done) struct origin o = { 0 };
	struct state_move planned = {
		.machine = MACHINE_EVENT,
		.id = event,
		.from = EVENT_PENDING,
		.to = EVENT_PLANNED,
		.who = ACTOR_CORE,
	};

	if (len == 0)
		return err_set(err, ERR_BUG, "no runs: the event is to be ignored");
	if (store_begin(&tx, s, err) || read_origin(s, event, &o, err) ||
		state_move(s, &planned, err))
		return -1;
	for (size_t i = 0; i < len; i++)
		if (create_one(s, &o, &runs[i], &ids[i], err))
			return -1;
	for (size_t i = 0; i < len; i++)
		if (runs_admit(s, ids[i], err))
			return -1;
	return store_commit(&tx, err);
}

int runs_add_identity(
	struct store *s, int64_t run, const char *principal, struct err *err)
{
	if (!principal || !*principal)
		return 0;
	return db_run(s->db, err, "INSERT OR IGNORE INTO run_identities VALUES (?,?)",
		I(run), S(principal));
}

/* ---- reading ----------------------------------------------------------------------- */

void run_done(struct run *r)
{
	char *const texts[] = { r->repo_name, r->workflow_path, r->workflow_name,
		r->workflow_digest, r->plan_digest, r->event_name, r->title, r->sha,
		r->ref, r->branch, r->actor, r->reason, r->phase };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	*r = (struct run){ 0 };
}

int runs_get(struct store *s, int64_t id, struct run *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT r.id, r.number, r.repo_id, r.event_id, r.attempt, r.version,"
		" r.state,"
		" r.conclusion, r.trust, r.is_cancelled, r.needs_maintainer, p.name,"
		" r.workflow_path, r.workflow_name, r.workflow_digest, r.plan_digest,"
		" r.event_name, r.title, r.sha, r.ref, r.branch, r.actor, r.reason,"
		" r.phase,"
		" r.created_at, r.started_at, r.completed_at, r.attempt_at"
		" FROM runs r JOIN repos p ON p.id = r.repo_id WHERE r.id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no run %lld",
					 (long long)id);
	*ret = (struct run){
		.id = db_int(&r, 0),
		.number = db_int(&r, 1),
		.repo = db_int(&r, 2),
		.event = db_int(&r, 3),
		.attempt = db_int(&r, 4),
		.version = db_int(&r, 5),
		.state = (enum run_state)state_parse(MACHINE_RUN, db_str(&r, 6)),
		.conclusion = conclusion_parse(db_str(&r, 7)),
		.trust = str_eq(db_str(&r, 8), "trusted") ? TRUST_TRUSTED
							  : TRUST_UNTRUSTED,
		.is_cancelled = db_int(&r, 9) != 0,
		.needs_maintainer = db_int(&r, 10) != 0,
		.repo_name = col_dup(&r, 11),
		.workflow_path = col_dup(&r, 12),
		.workflow_name = col_dup(&r, 13),
		.workflow_digest = col_dup(&r, 14),
		.plan_digest = col_dup(&r, 15),
		.event_name = col_dup(&r, 16),
		.title = col_dup(&r, 17),
		.sha = col_dup(&r, 18),
		.ref = col_dup(&r, 19),
		.branch = col_dup(&r, 20),
		.actor = col_dup(&r, 21),
		.reason = col_dup(&r, 22),
		.phase = col_dup(&r, 23),
		.created_at = db_int(&r, 24),
		.started_at = db_int(&r, 25),
		.completed_at = db_int(&r, 26),
		.attempt_at = db_int(&r, 27),
	};
	return 0;
}

int runs_resolve(struct store *s, const char *text, int64_t *ret_id, struct err *err)
{
	const char *hash = strrchr(text, '#');
	_cleanup_free_ char *repo = hash ? xstrndup(text, (size_t)(hash - text)) : NULL;
	long long n;
	int64_t id;

	if (str_to_int(hash ? hash + 1 : text, 1, INT64_MAX, &n))
		return err_set(err, ERR_INPUT,
			"'%.80s' is no run: give its number, or OWNER/NAME#N", text);
	if (repo ? db_value(s->db, &id, 0, err,
			   "SELECT r.id FROM runs r JOIN repos p ON p.id = r.repo_id"
			   " WHERE p.name = ? AND r.number = ? ORDER BY r.id DESC LIMIT"
			   " 1",
			   S(repo), I(n))
		 : db_value(s->db, &id, 0, err, "SELECT id FROM runs WHERE id = ?", I(n)))
		return -1;
	if (!id)
		return err_set(err, ERR_NOT_FOUND, "no run %.80s", text);
	*ret_id = id;
	return 0;
}

int runs_active(struct store *s, int64_t after, int64_t *ids, size_t max, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int n = 0, got;

	if (db_query(s->db, &r, err,
		    "SELECT id FROM runs WHERE state IN ('pending', 'queued', 'running')"
		    " AND id > ? ORDER BY id LIMIT ?",
		    I(after), I(max)))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		ids[n++] = db_int(&r, 0);
	return got < 0 ? -1 : n;
}

/* ---- admission --------------------------------------------------------------------- */

struct pending_run {
	int64_t repo;
	int64_t attempt;
	bool needs_maintainer;
	bool cancels;
	bool keeps;
	char *group;
};

static void pending_run_done(struct pending_run *p)
{
	free(p->group);
}

/* 1 it is pending, 0 not, -1. */
static int read_pending(
	struct store *s, int64_t run, struct pending_run *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT repo_id, attempt, needs_maintainer, conc_cancels, conc_keeps,"
		" conc_group"
		" FROM runs WHERE id = ? AND state = 'pending'",
		I(run));

	if (got > 0)
		*ret = (struct pending_run){ db_int(&r, 0), db_int(&r, 1),
			db_int(&r, 2) != 0, db_int(&r, 3) != 0, db_int(&r, 4) != 0,
			col_dup(&r, 5) };
	return got;
}

static int say_why(struct store *s, int64_t run, const char *why, struct err *err)
{
	return db_run(
		s->db, err, "UPDATE runs SET reason = ? WHERE id = ?", S(why), I(run));
}

/* *RET: nothing holds it. */
static int may_begin(struct store *s, int64_t run, const struct pending_run *p, bool *ret,
	struct err *err)
{
	enum gate_state gate = GATE_APPROVED;
	_cleanup_free_ char *why = NULL;
	struct err full = ERR_INIT;

	*ret = false;
	if (p->needs_maintainer && gates_maintainer(s, run, &gate, err))
		return -1;
	if (gate != GATE_APPROVED)
		return say_why(
			s, run, "a fork's pull request waits for a maintainer", err);
	*ret = true;
	if (!*p->group)
		return 0;
	if (concurrency_enter(s, p->repo, p->group, p->cancels, p->keeps, OWNER_RUN, run,
		    run, ret, &full)) {
		const struct actor core = ACTOR_CORE;

		*ret = false;
		if (full.code != ERR_LIMIT)
			return err_set(err, full.code, "%s", full.msg);
		return runs_cancel(s, run, full.msg, true, &core, err);
	}
	why = xasprintf("waits for its concurrency group '%s'", p->group);
	return *ret ? 0 : say_why(s, run, why, err);
}

/* Rows of a matrix that run again as they were need no expansion, only admission. */
static int admit_rows(struct store *s, int64_t run, struct err *err)
{
	int64_t after = 0;

	for (;;) {
		int64_t id;

		if (db_value(s->db, &id, 0, err,
			    "SELECT min(j.id) FROM jobs j JOIN runs r ON r.id = j.run_id"
			    " AND r.attempt = j.attempt WHERE r.id = ? AND j.state ="
			    " 'waiting'"
			    " AND j.is_expanded = 1 AND j.id > ?",
			    I(run), I(after)))
			return -1;
		if (!id)
			return 0;
		if (jobs_admit(s, id, err))
			return -1;
		after = id;
	}
}

int runs_admit(struct store *s, int64_t run, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(pending_run_done) struct pending_run p = { 0 };
	int64_t still;
	bool may;
	int got;

	if (store_begin(&tx, s, err))
		return -1;
	got = read_pending(s, run, &p, err);
	if (got < 0 || (got > 0 && may_begin(s, run, &p, &may, err)))
		return -1;
	/* What it pushed out of its group may have admitted it on the way. */
	if (got > 0 &&
		db_value(s->db, &still, 0, err,
			"SELECT count(*) FROM runs WHERE id = ? AND state = 'pending'",
			I(run)))
		return -1;
	if (got > 0 && may && still) {
		struct state_move m = {
			.machine = MACHINE_RUN,
			.id = run,
			.epoch = p.attempt,
			.from = RUN_PENDING,
			.to = RUN_QUEUED,
			.who = ACTOR_CORE,
			.run = run,
			.set = "reason = ''",
		};

		if (state_move(s, &m, err) || admit_rows(s, run, err))
			return -1;
	}
	if (got > 0 && runs_refresh(s, run, err))
		return -1;
	return store_commit(&tx, err);
}

/* ---- derivation -------------------------------------------------------------------- */

struct tally {
	int64_t all;
	int64_t completed;
	int64_t active;
	int64_t at_gate;
	int64_t lost;
	int64_t released;
	int64_t failed;
	int64_t cancelled;
	int64_t succeeded;
	int64_t first_start;
};

static int count_jobs(
	struct store *s, int64_t run, int64_t attempt, struct tally *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

	if (db_first(s->db, &r, err,
		    "SELECT count(*), sum(state = 'completed'),"
		    " sum(state IN ('claimed', 'released', 'running', 'finalising',"
		    " 'cancelling')),"
		    " sum(state = 'awaiting_approval'), sum(state = 'lost'),"
		    " sum(releases > 0 AND carried_from = 0),"
		    " sum(conclusion = 'failure' AND continues_on_error = 0),"
		    " sum(conclusion = 'cancelled'),"
		    " sum(conclusion = 'success' OR (conclusion = 'failure' AND"
		    " continues_on_error = 1)),"
		    " min(CASE WHEN carried_from = 0 AND released_at > 0 THEN"
		    " released_at END)"
		    " FROM jobs WHERE run_id = ? AND attempt = ?",
		    I(run), I(attempt)) < 0)
		return -1;
	*ret = (struct tally){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2), db_int(&r, 3),
		db_int(&r, 4), db_int(&r, 5), db_int(&r, 6), db_int(&r, 7), db_int(&r, 8),
		db_int(&r, 9) };
	return 0;
}

static enum conclusion conclude(const struct tally *t, bool is_cancelled)
{
	if (is_cancelled && t->cancelled > 0)
		return CONCLUSION_CANCELLED;
	if (t->failed > 0)
		return CONCLUSION_FAILURE;
	if (t->cancelled > 0)
		return CONCLUSION_CANCELLED;
	return t->succeeded > 0 ? CONCLUSION_SUCCESS : CONCLUSION_SKIPPED;
}

static const char *phase_of(
	const struct tally *t, enum run_state state, bool at_maintainer)
{
	if (t->lost > 0)
		return "lost";
	if (t->at_gate > 0 || (state == RUN_PENDING && at_maintainer))
		return "waiting";
	if (t->active > 0 || state == RUN_RUNNING)
		return "running";
	return state == RUN_PENDING ? "pending" : "queued";
}

static int complete(struct store *s, int64_t run, int64_t attempt, enum run_state from,
	enum conclusion c, struct err *err)
{
	const char *word = conclusion_name(c);
	const struct actor core = ACTOR_CORE;
	int64_t now = clock_wall_ms();
	const struct db_arg args[] = { S(word), I(now) };
	struct state_move m = {
		.machine = MACHINE_RUN,
		.id = run,
		.epoch = attempt,
		.from = from,
		.to = RUN_COMPLETED,
		.who = core,
		.reason = word,
		.run = run,
		.set = "conclusion = ?1, phase = ?1, completed_at = ?2",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	if (state_move(s, &m, err) ||
		db_run(s->db, err,
			"UPDATE attempts SET conclusion = ?, completed_at = ?,"
			" started_at ="
			" (SELECT started_at FROM runs WHERE id = attempts.run_id)"
			" WHERE run_id = ? AND attempt = ? AND conclusion = ''",
			S(word), I(now), I(run), I(attempt)))
		return -1;
	if (gates_close_run(s, run, GATE_VOID, "the run has ended", &core, err))
		return -1;
	return concurrency_leave(s, OWNER_RUN, run, err);
}

static int begin(
	struct store *s, int64_t run, int64_t attempt, int64_t at, struct err *err)
{
	const struct db_arg args[] = { I(at) };
	struct state_move m = {
		.machine = MACHINE_RUN,
		.id = run,
		.epoch = attempt,
		.from = RUN_QUEUED,
		.to = RUN_RUNNING,
		.who = ACTOR_CORE,
		.run = run,
		.set = "started_at = ?1",
		.args = args,
		.args_len = 1,
	};

	return state_move(s, &m, err);
}

int runs_refresh(struct store *s, int64_t run, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct tally t;
	enum run_state state;
	int64_t attempt;
	bool is_cancelled, at_maintainer;
	int got = db_first(s->db, &r, err,
		"SELECT state, attempt, is_cancelled, EXISTS (SELECT 1 FROM gates g WHERE"
		" g.run_id = runs.id AND g.attempt = runs.attempt AND g.environment = ''"
		" AND g.state = 'pending') FROM runs WHERE id = ?",
		I(run));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no run %lld",
					 (long long)run);
	state = (enum run_state)state_parse(MACHINE_RUN, db_str(&r, 0));
	attempt = db_int(&r, 1);
	is_cancelled = db_int(&r, 2) != 0;
	at_maintainer = db_int(&r, 3) != 0;
	db_rows_done(&r);
	store_touch(s, run, 0, 0, 0);
	if (state == RUN_COMPLETED)
		return 0;
	if (count_jobs(s, run, attempt, &t, err))
		return -1;
	if (t.completed == t.all)
		return complete(s, run, attempt, state, conclude(&t, is_cancelled), err);
	if (state == RUN_QUEUED && t.released > 0) {
		if (begin(s, run, attempt, t.first_start, err))
			return -1;
		state = RUN_RUNNING;
	}
	return db_run(s->db, err,
		"UPDATE runs SET phase = ?1 WHERE id = ?2 AND phase <> ?1",
		S(phase_of(&t, state, at_maintainer)), I(run));
}

/* ---- cancelling -------------------------------------------------------------------- */

/* The ids first, since cancelling one may change others. */
static int live_rows(
	struct store *s, int64_t run, int64_t **ret, size_t *ret_len, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_free_ int64_t *ids = NULL;
	size_t len = 0, cap = 0;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT j.id FROM jobs j JOIN runs r ON r.id = j.run_id AND"
		    " r.attempt = j.attempt WHERE r.id = ? AND j.state <> 'completed'"
		    " ORDER BY j.id",
		    I(run)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		GROW(ids, cap, len + 1);
		ids[len++] = db_int(&r, 0);
	}
	if (got < 0)
		return -1;
	*ret = take_ptr(ids);
	*ret_len = len;
	return 0;
}

int runs_cancel(struct store *s, int64_t run, const char *reason, bool force,
	const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_free_ int64_t *ids = NULL;
	size_t len = 0;
	int got;

	if (store_begin(&tx, s, err))
		return -1;
	got = db_first(s->db, &r, err, "SELECT state FROM runs WHERE id = ?", I(run));
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no run %lld",
					 (long long)run);
	if (str_eq(db_str(&r, 0), "completed"))
		return err_set(
			err, ERR_CONFLICT, "run %lld has ended already", (long long)run);
	/* A run that never began has no scheduler to ask about always(). */
	force = force || str_eq(db_str(&r, 0), "pending");
	db_rows_done(&r);
	json_set_str(detail, "reason", reason);
	if (db_run(s->db, err,
		    "UPDATE runs SET is_cancelled = 1, reason = ? WHERE id = ?",
		    S(reason), I(run)) ||
		audit_add(s, who, "run.cancel", "run", run, run, detail, err) ||
		gates_close_run(s, run, GATE_VOID, "the run was cancelled", who, err) ||
		live_rows(s, run, &ids, &len, err))
		return -1;
	for (size_t i = 0; i < len; i++)
		if (jobs_cancel_row(s, ids[i], reason, force, who, err))
			return -1;
	if (runs_refresh(s, run, err))
		return -1;
	return store_commit(&tx, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs with an executor: claim, release, end, death, cancellation. */
#include "store/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-internal.h"

#define EPOCH_STEP 1000000 /* claims one instance can make of one job before a restore */

/* States in which a row holds a slot; the text is also an index's condition. */
#define ACTIVE "('claimed', 'released', 'running', 'finalising', 'cancelling')"

struct held {
	int64_t run;
	int64_t repo;
	int64_t attempt;
	int64_t epoch;
	int64_t tries;
	int64_t gate;
	enum job_state state;
	bool is_once;
	bool is_cancel_asked;
	bool is_expanded;
	char *node;
	char *environment;
	char *outcome;
	char *exit_reason;
};

static void held_done(struct held *h)
{
	free(h->node);
	free(h->environment);
	free(h->outcome);
	free(h->exit_reason);
}

static int read_held(struct store *s, int64_t id, struct held *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT run_id, repo_id, attempt, epoch, tries, gate_id, state, is_once,"
		" is_cancel_asked, is_expanded, node, environment, outcome, exit_reason"
		" FROM jobs WHERE id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no job %lld",
					 (long long)id);
	*ret = (struct held){
		.run = db_int(&r, 0),
		.repo = db_int(&r, 1),
		.attempt = db_int(&r, 2),
		.epoch = db_int(&r, 3),
		.tries = db_int(&r, 4),
		.gate = db_int(&r, 5),
		.state = (enum job_state)state_parse(MACHINE_JOB, db_str(&r, 6)),
		.is_once = db_int(&r, 7) != 0,
		.is_cancel_asked = db_int(&r, 8) != 0,
		.is_expanded = db_int(&r, 9) != 0,
		.node = col_dup(&r, 10),
		.environment = col_dup(&r, 11),
		.outcome = col_dup(&r, 12),
		.exit_reason = col_dup(&r, 13),
	};
	return 0;
}

/* ---- choosing ---------------------------------------------------------------------- */

void jobs_ready_free(struct job_ready *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		free(list[i].labels);
	free(list);
}

#define WITHIN_PARALLEL                                                                 \
	"(j.max_parallel = 0 OR (SELECT count(*) FROM jobs a WHERE a.run_id = j.run_id" \
	" AND a.attempt = j.attempt AND a.node = j.node AND a.state IN " ACTIVE         \
	") < j.max_parallel)"

int jobs_claimable(struct store *s, size_t max, struct job_ready **ret, size_t *ret_len,
	struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct job_ready *list = NULL;
	size_t len = 0, cap = 0;
	int got = 0;

	if (!store_is_paused(s)) {
		if (db_query(s->db, &r, err,
			    "SELECT j.id, j.run_id, j.repo_id, j.queued_at, (SELECT"
			    " count(*) FROM"
			    " jobs b WHERE b.repo_id = j.repo_id AND b.state IN " ACTIVE
			    ") AS busy, p.priority, r.trust = 'trusted', j.labels FROM"
			    " jobs j"
			    " JOIN repos p ON p.id = j.repo_id JOIN runs r ON r.id ="
			    " j.run_id"
			    " WHERE j.state = 'queued' AND " WITHIN_PARALLEL
			    " ORDER BY p.priority DESC, busy, j.queued_at, j.id LIMIT ?",
			    I(max)))
			return -1;
		while ((got = db_step(&r, err)) > 0) {
			GROW(list, cap, len + 1);
			list[len++] = (struct job_ready){ db_int(&r, 0), db_int(&r, 1),
				db_int(&r, 2), db_int(&r, 3), db_int(&r, 4),
				db_int(&r, 5), db_int(&r, 6) != 0, col_dup(&r, 7) };
		}
	}
	if (got < 0) {
		jobs_ready_free(list, len);
		return -1;
	}
	*ret = list;
	*ret_len = len;
	return 0;
}

int jobs_active_count(struct store *s, int64_t *ret, struct err *err)
{
	return db_value(
		s->db, ret, 0, err, "SELECT count(*) FROM jobs WHERE state IN " ACTIVE);
}

/* ---- claiming ---------------------------------------------------------------------- */

int jobs_claim(struct store *s, int64_t id, const char *placement, int64_t *ret_epoch,
	int64_t *ret_try, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	const struct db_arg args[] = { I(s->instance_epoch * EPOCH_STEP),
		I(clock_wall_ms()), S(placement) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = id,
		.job = id,
		.from = JOB_QUEUED,
		.to = JOB_CLAIMED,
		.who = ACTOR_CORE,
		.reason = placement,
		.set = "epoch = max(epoch, ?1) + 1, tries = tries + 1, claimed_at = ?2,"
		       " placement = ?3, reason = ''",
		.where = "max_parallel = 0 OR (SELECT count(*) FROM jobs a WHERE"
			 " a.run_id = jobs.run_id AND a.attempt = jobs.attempt AND"
			 " a.node = jobs.node AND a.state IN " ACTIVE ") < max_parallel",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	if (store_is_paused(s))
		return err_set(err, ERR_UNAVAILABLE, "the server is paused");
	if (store_begin(&tx, s, err) || read_held(s, id, &h, err))
		return -1;
	m.run = h.run;
	m.epoch = h.epoch;
	if (state_move(s, &m, err) || runs_refresh(s, h.run, err))
		return -1;
	held_done(&h);
	h = (struct held){ 0 };
	if (read_held(s, id, &h, err) || store_commit(&tx, err))
		return -1;
	*ret_epoch = h.epoch;
	*ret_try = h.tries;
	return 0;
}

/* A new try has a new journal and a new log: nothing of the old one may remain. */
static int forget_try(struct store *s, int64_t id, struct err *err)
{
	static const char *const cuts[] = {
		"DELETE FROM steps WHERE job_id = ?",
		"DELETE FROM annotations WHERE job_id = ?",
		"DELETE FROM job_notes WHERE job_id = ?",
		"DELETE FROM job_net WHERE job_id = ?",
		"DELETE FROM summaries WHERE job_id = ?",
		"DELETE FROM artifacts WHERE job_id = ?",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		if (db_run(s->db, err, cuts[i], I(id)))
			return -1;
	return 0;
}

static int requeue(struct store *s, int64_t id, const struct held *h, const char *reason,
	struct err *err)
{
	const struct db_arg args[] = { S(reason), I(clock_wall_ms()) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = id,
		.job = id,
		.run = h->run,
		.epoch = h->epoch,
		.from = h->state,
		.to = JOB_QUEUED,
		.who = ACTOR_CORE,
		.reason = reason,
		/* The epoch grows here too: the old executor is a stranger from now on. */
		.set = "epoch = epoch + 1, reason = ?1, queued_at = ?2, claimed_at = 0,"
		       " released_at = 0, started_at = 0, frames = 0, log_size = 0,"
		       " outputs = '{}',"
		       " outcome = '', exit_reason = '', placement = '', url = ''",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	if (forget_try(s, id, err) || state_move(s, &m, err))
		return -1;
	return runs_refresh(s, h->run, err);
}

static int check_epoch(int64_t id, const struct held *h, int64_t epoch, struct err *err)
{
	if (h->epoch == epoch)
		return 0;
	return err_set(err, ERR_CONFLICT, "job %lld has epoch %lld and no longer %lld",
		(long long)id, (long long)h->epoch, (long long)epoch);
}

int jobs_unclaim(
	struct store *s, int64_t id, int64_t epoch, const char *reason, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	const struct actor core = ACTOR_CORE;

	if (store_begin(&tx, s, err) || read_held(s, id, &h, err) ||
		check_epoch(id, &h, epoch, err))
		return -1;
	if (h.state == JOB_CLAIMED && h.tries >= LIMIT_JOB_CLAIMS) {
		_cleanup_free_ char *why = xasprintf(
			"it could not be started %d times: %s", LIMIT_JOB_CLAIMS, reason);

		if (jobs_end(s, id, epoch, JOB_CLAIMED, CONCLUSION_FAILURE, why, &core,
			    err))
			return -1;
		return store_commit(&tx, err);
	}
	if (h.state != JOB_CLAIMED)
		return err_set(err, ERR_CONFLICT, "job %lld is %s", (long long)id,
			state_name(MACHINE_JOB, h.state));
	if (requeue(s, id, &h, reason, err))
		return -1;
	return store_commit(&tx, err);
}

/* ---- releasing --------------------------------------------------------------------- */

static int check_trust(
	struct store *s, const struct held *h, bool *ret_trusted, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int64_t gate;
	int got = db_first(s->db, &r, err,
		"SELECT r.trust, r.needs_maintainer, coalesce(g.id, 0), r.attempt FROM"
		" runs r"
		" LEFT JOIN gates g ON g.run_id = r.id AND g.attempt = r.attempt"
		" AND g.environment = '' WHERE r.id = ?",
		I(h->run));

	if (got <= 0)
		return got < 0 ? -1 : err_set(err, ERR_NOT_FOUND, "its run is gone");
	if (db_int(&r, 3) != h->attempt)
		return err_set(err, ERR_DENIED, "its attempt is over");
	*ret_trusted = str_eq(db_str(&r, 0), "trusted");
	if (db_int(&r, 1) == 0)
		return 0;
	gate = db_int(&r, 2);
	db_rows_done(&r);
	if (!gate)
		return err_set(err, ERR_DENIED, "no maintainer has let this run begin");
	return gates_permit(s, gate, h->run, h->attempt, err);
}

static int check_gate(struct store *s, const struct held *h, struct err *err)
{
	_cleanup_(env_rules_done) struct env_rules rules = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

	if (!*h->environment)
		return 0;
	if (!h->gate)
		return err_set(err, ERR_DENIED, "environment '%s' has no gate for it",
			h->environment);
	if (environments_rules(s, h->repo, h->environment, &rules, err) ||
		db_first(s->db, &r, err, "SELECT ref FROM runs WHERE id = ?", I(h->run)) <
			0)
		return -1;
	if (!env_rules_allow_ref(&rules, db_str(&r, 0)))
		return err_set(err, ERR_DENIED, "environment '%s' refuses '%s'",
			h->environment, db_str(&r, 0));
	return gates_permit(s, h->gate, h->run, h->attempt, err);
}

static int audit_secrets(struct store *s, int64_t id, const struct held *h,
	const struct secret_list *list, struct err *err)
{
	_cleanup_(json_freep) struct json *detail = json_new_object();
	const struct actor core = ACTOR_CORE;
	struct json *names = json_new_array();

	json_set(detail, "names", names);
	json_set_str(detail, "environment", h->environment);
	json_set_int(detail, "gate", h->gate);
	for (size_t i = 0; i < list->len; i++)
		json_push_str(names, list->v[i].name);
	if (list->len == 0)
		return 0;
	return audit_add(s, &core, "secret.decrypt", "job", id, h->run, detail, err);
}

static int release_row(struct store *s, const struct job_release *rel,
	const struct held *h, struct err *err)
{
	const struct db_arg args[] = { I(clock_wall_ms()), I(h->gate) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = rel->job,
		.job = rel->job,
		.run = h->run,
		.epoch = rel->epoch,
		.from = JOB_CLAIMED,
		.to = JOB_RELEASED,
		.who = ACTOR_CORE,
		.set = "released_at = ?1, releases = releases + 1",
		/* At most once: never a second release of the same row (I3). */
		.where = "(is_once = 0 OR releases = 0) AND gate_id = ?2",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	FP("job.release.before");
	if (state_move(s, &m, err) || deployments_begin(s, rel->job, err))
		return -1;
	FP("job.release.after");
	return runs_refresh(s, h->run, err);
}

int jobs_release(struct store *s, const struct job_release *rel, struct secret_list *ret,
	struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	bool trusted = false;

	if (store_begin(&tx, s, err) || read_held(s, rel->job, &h, err) ||
		check_epoch(rel->job, &h, rel->epoch, err))
		return -1;
	if (store_is_paused(s))
		return err_set(err, ERR_UNAVAILABLE, "the server is paused");
	if (check_trust(s, &h, &trusted, err) || check_gate(s, &h, err))
		return err_wrap(err, "job %lld is not released", (long long)rel->job);
	if (release_row(s, rel, &h, err))
		return -1;
	if (trusted && rel->secrets && *rel->secrets &&
		(secrets_open(s, h.repo, h.environment, rel->secrets, &list, err) ||
			audit_secrets(s, rel->job, &h, &list, err)))
		return -1;
	if (store_commit(&tx, err))
		return -1;
	*ret = list;
	list = (struct secret_list)SECRET_LIST_INIT;
	return 0;
}

/* ---- ending ------------------------------------------------------------------------ */

/* The other rows of a failed matrix row, when it fails fast. */
static int fail_fast(struct store *s, int64_t id, struct err *err)
{
	const struct actor core = ACTOR_CORE;
	int64_t other = 0;

	for (;;) {
		if (db_value(s->db, &other, 0, err,
			    "SELECT min(o.id) FROM jobs o JOIN jobs j ON o.run_id ="
			    " j.run_id"
			    " AND o.attempt = j.attempt AND o.node = j.node WHERE j.id"
			    " = ?"
			    " AND j.fail_fast = 1 AND j.continues_on_error = 0"
			    " AND o.state NOT IN ('completed', 'lost', 'finalising',"
			    " 'cancelling')"
			    " AND o.id > ?",
			    I(id), I(other)))
			return -1;
		if (!other)
			return 0;
		if (jobs_cancel_row(s, other,
			    "another row of its matrix failed (fail-fast)", true, &core,
			    err))
			return -1;
	}
}

static int after_end(
	struct store *s, int64_t id, int64_t run, enum conclusion c, struct err *err)
{
	if (deployments_end(s, id, conclusion_name(c), err) ||
		concurrency_leave(s, OWNER_JOB, id, err) ||
		(c == CONCLUSION_FAILURE && fail_fast(s, id, err)))
		return -1;
	return runs_refresh(s, run, err);
}

int jobs_end(struct store *s, int64_t job, int64_t epoch, enum job_state from,
	enum conclusion c, const char *reason, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	const struct db_arg args[] = { S(conclusion_name(c)), S(reason ? reason : ""),
		I(clock_wall_ms()) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = job,
		.job = job,
		.epoch = epoch,
		.from = from,
		.to = JOB_COMPLETED,
		.who = *who,
		.reason = reason && *reason ? reason : conclusion_name(c),
		.set = "conclusion = ?1, reason = ?2, completed_at = ?3",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	if (store_begin(&tx, s, err) ||
		db_value(s->db, &m.run, 0, err, "SELECT run_id FROM jobs WHERE id = ?",
			I(job)) ||
		state_move(s, &m, err) || after_end(s, job, m.run, c, err))
		return -1;
	return store_commit(&tx, err);
}

int jobs_finish(struct store *s, int64_t id, int64_t epoch, const char *log_sha256,
	int64_t log_lines, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	const struct actor core = ACTOR_CORE;

	if (store_begin(&tx, s, err) || read_held(s, id, &h, err) ||
		check_epoch(id, &h, epoch, err))
		return -1;
	if (conclusion_parse(h.outcome) == CONCLUSION_NONE)
		return err_set(
			err, ERR_CONFLICT, "job %lld has no exit record", (long long)id);
	if (db_run(s->db, err,
		    "UPDATE jobs SET log_sha256 = ?, log_lines = ? WHERE id = ?",
		    S(log_sha256 ? log_sha256 : ""), I(log_lines), I(id)))
		return -1;
	FP("job.finish.before");
	if (jobs_end(s, id, epoch, JOB_FINALISING, conclusion_parse(h.outcome),
		    h.exit_reason, &core, err))
		return -1;
	return store_commit(&tx, err);
}

int jobs_fail(struct store *s, int64_t id, const char *reason, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	const struct actor core = ACTOR_CORE;

	if (store_begin(&tx, s, err) || read_held(s, id, &h, err))
		return -1;
	if (h.state != JOB_WAITING && h.state != JOB_AWAITING_APPROVAL &&
		h.state != JOB_QUEUED && h.state != JOB_CLAIMED)
		return err_set(err, ERR_CONFLICT, "job %lld is %s", (long long)id,
			state_name(MACHINE_JOB, h.state));
	if (jobs_end(s, id, h.epoch, h.state, CONCLUSION_FAILURE, reason, &core, err))
		return -1;
	return store_commit(&tx, err);
}

static int become_lost(struct store *s, int64_t id, const struct held *h,
	const char *reason, struct err *err)
{
	const struct db_arg args[] = { S(reason) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = id,
		.job = id,
		.run = h->run,
		.epoch = h->epoch,
		.from = h->state,
		.to = JOB_LOST,
		.who = ACTOR_CORE,
		.reason = reason,
		.set = "reason = ?1",
		.args = args,
		.args_len = 1,
	};

	if (state_move(s, &m, err) || deployments_end(s, id, "lost", err))
		return -1;
	return runs_refresh(s, h->run, err);
}

static int bury(struct store *s, int64_t id, const struct held *h, const char *reason,
	struct err *err)
{
	const struct actor core = ACTOR_CORE;
	_cleanup_free_ char *often = NULL;

	switch (h->state) {
	case JOB_CLAIMED:
		return jobs_unclaim(s, id, h->epoch, reason, err);
	case JOB_CANCELLING:
		return jobs_end(s, id, h->epoch, h->state, CONCLUSION_CANCELLED, reason,
			&core, err);
	case JOB_RELEASED:
	case JOB_RUNNING:
		if (h->is_once)
			return become_lost(s, id, h, reason, err);
		if (h->tries < LIMIT_JOB_TRIES)
			return requeue(s, id, h, reason, err);
		often = xasprintf(
			"its executor died %lld times: %s", (long long)h->tries, reason);
		return jobs_end(
			s, id, h->epoch, h->state, CONCLUSION_FAILURE, often, &core, err);
	case JOB_WAITING:
	case JOB_AWAITING_APPROVAL:
	case JOB_QUEUED:
	case JOB_FINALISING:
	case JOB_LOST:
	case JOB_COMPLETED:
		break; /* nothing of it was alive */
	}
	return 0;
}

int jobs_died(struct store *s, int64_t id, int64_t epoch, const char *reason,
	enum job_state *ret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	_cleanup_(held_done) struct held now = { 0 };

	if (store_begin(&tx, s, err) || read_held(s, id, &h, err) ||
		check_epoch(id, &h, epoch, err) || bury(s, id, &h, reason, err) ||
		read_held(s, id, &now, err) || store_commit(&tx, err))
		return -1;
	*ret = now.state;
	return 0;
}

int jobs_resolve_lost(struct store *s, int64_t id, enum conclusion c, const char *comment,
	const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };
	_cleanup_free_ char *reason = xasprintf("decided by %s%s%s", who->name,
		comment && *comment ? ": " : "", comment ? comment : "");

	if (c != CONCLUSION_SUCCESS && c != CONCLUSION_FAILURE &&
		c != CONCLUSION_CANCELLED)
		return err_set(err, ERR_INPUT,
			"a lost job ends as success, failure or cancelled");
	if (store_begin(&tx, s, err) || read_held(s, id, &h, err))
		return -1;
	if (h.state != JOB_LOST)
		return err_set(err, ERR_CONFLICT, "job %lld is %s, not lost",
			(long long)id, state_name(MACHINE_JOB, h.state));
	if (jobs_end(s, id, h.epoch, JOB_LOST, c, reason, who, err))
		return -1;
	return store_commit(&tx, err);
}

/* ---- cancelling -------------------------------------------------------------------- */

static int ask_executor(struct store *s, int64_t id, const struct held *h,
	const char *reason, const struct actor *who, struct err *err)
{
	const struct db_arg args[] = { S(reason) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = id,
		.job = id,
		.run = h->run,
		.epoch = h->epoch,
		.from = h->state,
		.to = JOB_CANCELLING,
		.who = *who,
		.reason = reason,
		.set = "reason = ?1, is_cancel_asked = 1",
		.args = args,
		.args_len = 1,
	};

	return state_move(s, &m, err);
}

int jobs_cancel_row(struct store *s, int64_t job, const char *reason, bool force,
	const struct actor *who, struct err *err)
{
	_cleanup_(held_done) struct held h = { 0 };

	if (read_held(s, job, &h, err))
		return -1;
	switch (h.state) {
	case JOB_WAITING:
		if (!h.is_expanded && !force)
			return 0; /* its condition may want to run it all the same */
		return jobs_end(
			s, job, h.epoch, h.state, CONCLUSION_CANCELLED, reason, who, err);
	case JOB_AWAITING_APPROVAL:
	case JOB_QUEUED:
		return jobs_end(
			s, job, h.epoch, h.state, CONCLUSION_CANCELLED, reason, who, err);
	case JOB_CLAIMED:
	case JOB_RELEASED:
	case JOB_RUNNING:
		return ask_executor(s, job, &h, reason, who, err);
	case JOB_FINALISING: /* it has ended, what it did stands */
	case JOB_CANCELLING:
	case JOB_LOST: /* nobody to ask: a person decides */
	case JOB_COMPLETED:
		break;
	}
	return 0;
}

int jobs_cancel(struct store *s, int64_t id, const char *reason, const struct actor *who,
	struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(held_done) struct held h = { 0 };

	if (store_begin(&tx, s, err) || read_held(s, id, &h, err))
		return -1;
	if (h.state == JOB_COMPLETED || h.state == JOB_FINALISING)
		return err_set(
			err, ERR_CONFLICT, "job %lld has ended already", (long long)id);
	if (jobs_cancel_row(s, id, reason, true, who, err) || runs_refresh(s, h.run, err))
		return -1;
	return store_commit(&tx, err);
}

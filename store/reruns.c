/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Re-runs: a new attempt with a full set of rows. A node is, in the new attempt,
 *   carried  all its rows with their results, not run again;
 *   mixed    its failed rows run again as they were expanded, the others are carried;
 *   fresh    one unexpanded row, because something it depends on runs again.
 */
#include "store/runs.h"

#include "store/store-internal.h"

enum fate { FATE_CARRIED, FATE_MIXED, FATE_FRESH };

/* Nodes by name with their fate, as a JSON object of numbers. */
static enum fate fate_of(const struct json *fates, const char *node)
{
	return (enum fate)json_get_int(fates, node, FATE_CARRIED);
}

static int begin_fates(struct store *s, int64_t run, int64_t attempt,
	enum rerun_what what, const char *node, struct json *fates, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT node, max(conclusion IN ('failure', 'cancelled')),"
		    " min(is_expanded)"
		    " FROM jobs WHERE run_id = ? AND attempt = ? GROUP BY node ORDER BY"
		    " min(ord)",
		    I(run), I(attempt)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		const char *name = db_str(&r, 0);
		bool again = what == RERUN_ALL ||
			     (what == RERUN_FAILED && db_int(&r, 1) != 0) ||
			     (what == RERUN_JOB && str_eq(node, name));
		bool keeps_rows = what == RERUN_FAILED && db_int(&r, 2) != 0;

		json_set_int(fates, name,
			!again	     ? FATE_CARRIED
			: keeps_rows ? FATE_MIXED
				     : FATE_FRESH);
	}
	return got;
}

/* What depends on a node that runs again has to be expanded anew: to a fixed point. */
static int spread_fates(struct store *s, int64_t run, struct json *fates, struct err *err)
{
	for (bool grew = true; grew;) {
		_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
		int got;

		grew = false;
		if (db_query(s->db, &r, err,
			    "SELECT node, need FROM needs WHERE run_id = ?", I(run)))
			return -1;
		while ((got = db_step(&r, err)) > 0) {
			if (fate_of(fates, db_str(&r, 1)) == FATE_CARRIED ||
				fate_of(fates, db_str(&r, 0)) == FATE_FRESH)
				continue;
			json_set_int(fates, db_str(&r, 0), FATE_FRESH);
			grew = true;
		}
		if (got < 0)
			return -1;
	}
	return 0;
}

static bool any_again(const struct json *fates)
{
	json_foreach (it, fates)
		if (json_as_int(it.value, FATE_CARRIED) != FATE_CARRIED)
			return true;
	return false;
}

static int birth(struct store *s, int64_t run, int64_t job, enum job_state state,
	const struct actor *who, struct err *err)
{
	struct state_move born = {
		.machine = MACHINE_JOB,
		.id = job,
		.to = state,
		.who = *who,
		.reason = state == JOB_COMPLETED ? "carried" : NULL,
		.run = run,
		.job = job,
	};

	return state_born(s, &born, err);
}

static int copy_texts(struct store *s, int64_t from, int64_t to, struct err *err)
{
	return db_run(s->db, err,
		"INSERT INTO job_texts (job_id, trace, spec) SELECT ?, trace, spec FROM"
		" job_texts"
		" WHERE job_id = ?",
		I(to), I(from));
}

static int carry_row(struct store *s, int64_t run, int64_t attempt, int64_t job,
	const struct actor *who, struct err *err)
{
	int64_t now = clock_wall_ms(), id;

	/* carried_from names the row that ran, however often it was carried since. */
	if (db_run(s->db, err,
		    "INSERT INTO jobs (run_id, repo_id, attempt, ord, node, row, name,"
		    " state,"
		    " conclusion, reason, is_call, is_expanded, is_once,"
		    " continues_on_error,"
		    " fail_fast, max_parallel, environment, gate_id, labels, url,"
		    " outputs, outcome,"
		    " log_size, log_lines, log_sha256, carried_from, created_at,"
		    " queued_at,"
		    " started_at, completed_at, changed_at)"
		    " SELECT run_id, repo_id, ?, ord, node, row, name, 'completed',"
		    " conclusion,"
		    " reason, is_call, is_expanded, is_once, continues_on_error,"
		    " fail_fast,"
		    " max_parallel, environment, gate_id, labels, url, outputs,"
		    " outcome, log_size,"
		    " log_lines, log_sha256, CASE carried_from WHEN 0 THEN id ELSE"
		    " carried_from"
		    " END, ?, queued_at, started_at, completed_at, ? FROM jobs WHERE id"
		    " = ?",
		    I(attempt), I(now), I(now), I(job)))
		return -1;
	id = db_last_id(s->db);
	return copy_texts(s, job, id, err) || birth(s, run, id, JOB_COMPLETED, who, err)
		       ? -1
		       : 0;
}

static int again_row(struct store *s, int64_t run, int64_t attempt, int64_t job,
	const struct actor *who, struct err *err)
{
	int64_t now = clock_wall_ms(), id;

	if (db_run(s->db, err,
		    "INSERT INTO jobs (run_id, repo_id, attempt, ord, node, row, name,"
		    " state,"
		    " is_call, is_expanded, is_once, is_deployment, continues_on_error,"
		    " fail_fast,"
		    " max_parallel, environment, labels, conc_group, conc_cancels,"
		    " conc_keeps,"
		    " created_at, changed_at)"
		    " SELECT run_id, repo_id, ?, ord, node, row, name, 'waiting',"
		    " is_call,"
		    " is_expanded, is_once, is_deployment, continues_on_error, fail_fast,"
		    " max_parallel, environment, labels, conc_group, conc_cancels,"
		    " conc_keeps, ?, ?"
		    " FROM jobs WHERE id = ?",
		    I(attempt), I(now), I(now), I(job)))
		return -1;
	id = db_last_id(s->db);
	return copy_texts(s, job, id, err) || birth(s, run, id, JOB_WAITING, who, err)
		       ? -1
		       : 0;
}

static int fresh_row(struct store *s, int64_t run, int64_t attempt, int64_t job,
	const struct actor *who, struct err *err)
{
	int64_t now = clock_wall_ms();

	if (db_run(s->db, err,
		    "INSERT INTO jobs (run_id, repo_id, attempt, ord, node, name,"
		    " state, is_call,"
		    " created_at, changed_at) SELECT run_id, repo_id, ?, ord, node, node,"
		    " 'waiting', is_call, ?, ? FROM jobs WHERE id = ?",
		    I(attempt), I(now), I(now), I(job)))
		return -1;
	return birth(s, run, db_last_id(s->db), JOB_WAITING, who, err);
}

static int make_rows(struct store *s, int64_t run, int64_t attempt,
	const struct json *fates, const struct actor *who, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got;

	/* Reading attempt N while inserting rows of N + 1 does not disturb the cursor. */
	if (db_query(s->db, &r, err,
		    "SELECT id, node, row, conclusion FROM jobs WHERE run_id = ? AND"
		    " attempt = ?"
		    " ORDER BY ord, row",
		    I(run), I(attempt)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		enum fate fate = fate_of(fates, db_str(&r, 1));
		bool failed = str_eq(db_str(&r, 3), "failure") ||
			      str_eq(db_str(&r, 3), "cancelled");
		int bad;

		if (fate == FATE_FRESH)
			bad = db_int(&r, 2) == 0 &&
			      fresh_row(s, run, attempt + 1, db_int(&r, 0), who, err);
		else if (fate == FATE_MIXED && failed)
			bad = again_row(s, run, attempt + 1, db_int(&r, 0), who, err);
		else
			bad = carry_row(s, run, attempt + 1, db_int(&r, 0), who, err);
		if (bad)
			return -1;
	}
	return got;
}

static const char *const what_names[] = { "all", "failed", "job" };

static int begin_attempt(struct store *s, int64_t run, int64_t attempt,
	enum rerun_what what, const struct actor *who, struct err *err)
{
	int64_t now = clock_wall_ms();
	const struct db_arg args[] = { I(attempt + 1), I(now) };
	struct state_move m = {
		.machine = MACHINE_RUN,
		.id = run,
		.epoch = attempt,
		.from = RUN_COMPLETED,
		.to = RUN_PENDING,
		.who = *who,
		.reason = what_names[what],
		.run = run,
		.set = "attempt = ?1, attempt_at = ?2, conclusion = '', phase ="
		       " 'pending',"
		       " is_cancelled = 0, reason = '', started_at = 0, completed_at = 0",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	if (state_move(s, &m, err))
		return -1;
	return db_run(s->db, err,
		"INSERT INTO attempts (run_id, attempt, by, what, created_at) VALUES"
		" (?,?,?,?,?)",
		I(run), I(attempt + 1), S(who->name), S(what_names[what]), I(now));
}

int runs_rerun(struct store *s, int64_t run, enum rerun_what what, const char *node,
	const struct actor *who, int64_t *ret_attempt, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *fates = json_new_object();
	_cleanup_(run_done) struct run r = { 0 };
	int64_t attempt;

	if (store_begin(&tx, s, err) || runs_get(s, run, &r, err))
		return -1;
	attempt = r.attempt;
	if (r.state != RUN_COMPLETED)
		return err_set(err, ERR_CONFLICT,
			"run %lld has not ended: cancel it first, or wait",
			(long long)run);
	if (begin_fates(s, run, attempt, what, node, fates, err) ||
		spread_fates(s, run, fates, err))
		return -1;
	if (!any_again(fates))
		return err_set(err, what == RERUN_JOB ? ERR_NOT_FOUND : ERR_CONFLICT,
			what == RERUN_JOB ? "run %lld has no such job"
					  : "no job of run %lld has failed",
			(long long)run);
	if (begin_attempt(s, run, attempt, what, who, err) ||
		make_rows(s, run, attempt, fates, who, err) ||
		runs_add_identity(s, run, who->name, err))
		return -1;
	FP("run.rerun.rows");
	if (runs_admit(s, run, err) || store_commit(&tx, err))
		return -1;
	if (ret_attempt)
		*ret_attempt = attempt + 1;
	return 0;
}

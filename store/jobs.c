/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs before they have an executor: needs, expansion, admission to the queue. */
#include "store/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/store-internal.h"

/* ---- reading ----------------------------------------------------------------------- */

void job_done(struct job *j)
{
	char *const texts[] = { j->node, j->name, j->environment, j->labels, j->reason,
		j->placement };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	json_free(j->outputs);
	*j = (struct job){ 0 };
}

static struct json *parse_object(const char *text)
{
	struct json *j = NULL;

	if (json_parse(text, strlen(text), &j, NULL))
		return json_new_object();
	return j;
}

int jobs_get(struct store *s, int64_t id, struct job *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT id, run_id, repo_id, attempt, row, epoch, tries, state,"
		" conclusion,"
		" is_call, is_expanded, is_once, continues_on_error, gate_id,"
		" carried_from, node,"
		" name, environment, labels, reason, placement, outputs, frames,"
		" log_size,"
		" created_at, queued_at, claimed_at, released_at, started_at,"
		" completed_at"
		" FROM jobs WHERE id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no job %lld",
					 (long long)id);
	*ret = (struct job){
		.id = db_int(&r, 0),
		.run = db_int(&r, 1),
		.repo = db_int(&r, 2),
		.attempt = db_int(&r, 3),
		.row = db_int(&r, 4),
		.epoch = db_int(&r, 5),
		.tries = db_int(&r, 6),
		.state = (enum job_state)state_parse(MACHINE_JOB, db_str(&r, 7)),
		.conclusion = conclusion_parse(db_str(&r, 8)),
		.is_call = db_int(&r, 9) != 0,
		.is_expanded = db_int(&r, 10) != 0,
		.is_once = db_int(&r, 11) != 0,
		.continues_on_error = db_int(&r, 12) != 0,
		.gate = db_int(&r, 13),
		.carried_from = db_int(&r, 14),
		.node = col_dup(&r, 15),
		.name = col_dup(&r, 16),
		.environment = col_dup(&r, 17),
		.labels = col_dup(&r, 18),
		.reason = col_dup(&r, 19),
		.placement = col_dup(&r, 20),
		.outputs = parse_object(db_str(&r, 21)),
		.frames = db_int(&r, 22),
		.log_size = db_int(&r, 23),
		.created_at = db_int(&r, 24),
		.queued_at = db_int(&r, 25),
		.claimed_at = db_int(&r, 26),
		.released_at = db_int(&r, 27),
		.started_at = db_int(&r, 28),
		.completed_at = db_int(&r, 29),
	};
	return 0;
}

/* "api" names the row "Build images (api)", "2" the second row. */
static bool row_is(const char *name, int64_t row, const char *label)
{
	const char *open = strrchr(name, '(');
	long long n;

	if (str_to_int(label, 1, LIMIT_MATRIX_ROWS, &n) == 0 && n == row + 1)
		return true;
	return open && strlen(open) == strlen(label) + 2 &&
	       strncasecmp(open + 1, label, strlen(label)) == 0;
}

static int find_row(struct store *s, int64_t run, const char *node, const char *label,
	int64_t *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int64_t found = 0;
	int got, rows = 0;

	if (db_query(s->db, &r, err,
		    "SELECT j.id, j.name, j.row FROM jobs j JOIN runs r ON r.id ="
		    " j.run_id AND"
		    " r.attempt = j.attempt WHERE r.id = ? AND j.node = ? COLLATE NOCASE"
		    " ORDER BY j.row",
		    I(run), S(node)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		rows++;
		if (label ? row_is(db_str(&r, 1), db_int(&r, 2), label) : rows == 1)
			found = found ? found : db_int(&r, 0);
	}
	if (got < 0)
		return -1;
	if (found && !label && rows > 1)
		return err_set(err, ERR_INPUT,
			"job '%.64s' has %d rows: name one, as %.64s:1", node, rows,
			node);
	*ret = found;
	return 0;
}

int jobs_resolve(
	struct store *s, int64_t run, const char *key, int64_t *ret_id, struct err *err)
{
	const char *colon = strrchr(key, ':');
	_cleanup_free_ char *node = colon ? xstrndup(key, (size_t)(colon - key)) : NULL;
	int64_t id = 0;

	if (colon && find_row(s, run, node, colon + 1, &id, err))
		return -1;
	if (!id && find_row(s, run, key, NULL, &id, err))
		return -1;
	if (!id)
		return err_set(err, ERR_NOT_FOUND, "run %lld has no job '%.64s'",
			(long long)run, key);
	*ret_id = id;
	return 0;
}

int jobs_spec(struct store *s, int64_t id, struct json **ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT spec FROM job_texts WHERE job_id = ? AND spec IS NOT NULL",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "job %lld has no spec",
					 (long long)id);
	return json_parse(db_str(&r, 0), strlen(db_str(&r, 0)), ret, err);
}

/* ---- needs ------------------------------------------------------------------------- */

static int read_ids(struct db_rows *r, int64_t *ids, size_t max, struct err *err)
{
	size_t n = 0;
	int got = 0;

	while (n < max && (got = db_step(r, err)) > 0)
		ids[n++] = db_int(r, 0);
	return got < 0 ? -1 : (int)n;
}

int jobs_ready(struct store *s, int64_t run, int64_t *ids, size_t max, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

#define READY                                                                                 \
	" AND j.state = 'waiting' AND j.is_expanded = 0 AND r.state IN ('queued', 'running')" \
	" AND NOT EXISTS (SELECT 1 FROM needs n JOIN jobs d ON d.run_id = j.run_id"           \
	" AND d.attempt = j.attempt AND d.node = n.need WHERE n.run_id = j.run_id"            \
	" AND n.node = j.node AND d.state <> 'completed') ORDER BY j.id LIMIT ?"
	if (run ? db_query(s->db, &r, err,
			  "SELECT j.id FROM runs r CROSS JOIN jobs j ON j.run_id = r.id"
			  " AND j.attempt = r.attempt WHERE r.id = ?" READY,
			  I(run), I(max))
		: db_query(s->db, &r, err,
			  "SELECT j.id FROM jobs j CROSS JOIN runs r ON r.id = j.run_id"
			  " AND r.attempt = j.attempt WHERE 1 = 1" READY,
			  I(max)))
		return -1;
#undef READY
	return read_ids(&r, ids, max, err);
}

struct node_sum {
	int64_t rows;
	int64_t completed;
	int64_t failed;
	int64_t cancelled;
	int64_t succeeded;
};

static const char *result_of(const struct node_sum *n)
{
	if (n->failed > 0)
		return "failure";
	if (n->cancelled > 0)
		return "cancelled";
	return n->succeeded > 0 ? "success" : "skipped";
}

/* Results of all nodes whose rows are all completed. */
static int read_results(struct store *s, int64_t run, int64_t attempt,
	struct json *results, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT node, count(*), sum(state = 'completed'),"
		    " sum(conclusion = 'failure' AND continues_on_error = 0),"
		    " sum(conclusion = 'cancelled'), sum(conclusion = 'success' OR"
		    " (conclusion = 'failure' AND continues_on_error = 1))"
		    " FROM jobs WHERE run_id = ? AND attempt = ? GROUP BY node",
		    I(run), I(attempt)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		struct node_sum n = { db_int(&r, 1), db_int(&r, 2), db_int(&r, 3),
			db_int(&r, 4), db_int(&r, 5) };

		if (n.completed == n.rows)
			json_set_str(results, db_str(&r, 0), result_of(&n));
	}
	return got;
}

static void merge_outputs(struct json *into, const char *text)
{
	_cleanup_(json_freep) struct json *outputs = parse_object(text);

	json_foreach (it, outputs) {
		const char *value = json_as_str(it.value, "");

		if (*value || !json_get(into, it.key))
			json_set(into, it.key, json_share(it.value));
	}
}

static int read_direct(struct store *s, int64_t run, int64_t attempt, const char *node,
	const struct json *results, struct json *needs, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT n.need, j.outputs FROM needs n JOIN jobs j ON j.run_id ="
		    " n.run_id"
		    " AND j.node = n.need AND j.attempt = ? WHERE n.run_id = ? AND"
		    " n.node = ?"
		    " ORDER BY j.ord, j.completed_at, j.id",
		    I(attempt), I(run), S(node)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		const char *need = db_str(&r, 0);
		struct json *entry = json_get(needs, need);

		if (!entry) {
			entry = json_new_object();
			json_set_str(entry, "result", json_get_str(results, need, ""));
			json_set(entry, "outputs", json_new_object());
			json_set(needs, need, entry);
		}
		merge_outputs(json_get(entry, "outputs"), db_str(&r, 1));
	}
	return got;
}

static int read_ancestors(struct store *s, int64_t run, const char *node,
	struct json *ancestors, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got;

	if (db_query(s->db, &r, err,
		    "WITH RECURSIVE up(node) AS (SELECT need FROM needs WHERE run_id ="
		    " ?1 AND"
		    " node = ?2 UNION SELECT n.need FROM needs n JOIN up ON n.node ="
		    " up.node"
		    " WHERE n.run_id = ?1) SELECT node FROM up ORDER BY node",
		    I(run), S(node)))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		json_push_str(ancestors, db_str(&r, 0));
	return got;
}

int jobs_contexts(struct store *s, int64_t id, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *j = json_new_object();
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct json *needs = json_new_object();
	struct json *results = json_new_object();
	struct json *ancestors = json_new_array();
	int got = db_first(s->db, &r, err,
		"SELECT j.run_id, j.attempt, j.node, r.is_cancelled FROM jobs j"
		" JOIN runs r ON r.id = j.run_id WHERE j.id = ?",
		I(id));

	json_set(j, "needs", needs);
	json_set(j, "results", results);
	json_set(j, "ancestors", ancestors);
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no job %lld",
					 (long long)id);
	json_set_bool(j, "cancelled", db_int(&r, 3) != 0);
	if (read_results(s, db_int(&r, 0), db_int(&r, 1), results, err) ||
		read_direct(s, db_int(&r, 0), db_int(&r, 1), db_str(&r, 2), results,
			needs, err) ||
		read_ancestors(s, db_int(&r, 0), db_str(&r, 2), ancestors, err))
		return -1;
	*ret = take_ptr(j);
	return 0;
}

/* ---- expansion --------------------------------------------------------------------- */

struct node_row {
	int64_t run;
	int64_t attempt;
	int64_t epoch;
	bool is_open; /* waiting and not expanded */
};

static int read_node(struct store *s, int64_t id, struct node_row *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT run_id, attempt, epoch, state = 'waiting' AND is_expanded = 0"
		" FROM jobs WHERE id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no job %lld",
					 (long long)id);
	*ret = (struct node_row){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2),
		db_int(&r, 3) != 0 };
	return 0;
}

static char *labels_text(const char *const *labels)
{
	_cleanup_(json_freep) struct json *j = json_new_array();

	for (; labels && *labels; labels++)
		json_push_str(j, *labels);
	return json_text(j);
}

static int put_texts(struct store *s, int64_t job, const struct json *spec,
	const struct json *trace, struct err *err)
{
	_cleanup_free_ char *spec_text = spec ? json_text(spec) : NULL;
	_cleanup_free_ char *trace_text = trace ? json_text(trace) : NULL;

	return db_run(s->db, err,
		"INSERT INTO job_texts (job_id, trace, spec) VALUES (?,?,?) ON CONFLICT"
		" (job_id)"
		" DO UPDATE SET trace = excluded.trace, spec = excluded.spec",
		I(job), S(trace_text), S(spec_text));
}

/* The row of the node, or a new one beside it, becomes ROW number N. */
static int fill_row(struct store *s, int64_t id, const struct job_expansion *x, size_t n,
	struct err *err)
{
	const struct job_row_new *row = &x->rows[n];
	_cleanup_free_ char *labels = labels_text(row->labels);
	const char *environment = row->environment ? row->environment : "";
	const struct concurrency *c = &row->concurrency;

	if (db_run(s->db, err,
		    "UPDATE jobs SET name = ?, labels = ?, environment = ?,"
		    " is_deployment = ?,"
		    " is_once = ?, continues_on_error = ?, fail_fast = ?, max_parallel"
		    " = ?,"
		    " conc_group = ?, conc_cancels = ?, conc_keeps = ?, is_expanded = 1"
		    " WHERE id = ?",
		    S(row->name), S(labels), S(environment), I(row->is_deployment),
		    I(row->is_once || *environment), I(row->continues_on_error),
		    I(x->fail_fast), I(x->max_parallel), S(c->group ? c->group : ""),
		    I(c->cancels_running), I(c->keeps_queue), I(id)))
		return -1;
	return put_texts(s, id, row->spec, n == 0 ? x->trace : NULL, err);
}

static int insert_sibling(struct store *s, int64_t first, int64_t run, size_t n,
	int64_t *ret, struct err *err)
{
	int64_t now = clock_wall_ms();
	struct state_move born = {
		.machine = MACHINE_JOB,
		.to = JOB_WAITING,
		.who = ACTOR_CORE,
		.run = run,
	};

	if (db_run(s->db, err,
		    "INSERT INTO jobs (run_id, repo_id, attempt, ord, node, row, name,"
		    " state,"
		    " created_at, changed_at) SELECT run_id, repo_id, attempt, ord,"
		    " node, ?,"
		    " node, 'waiting', ?, ? FROM jobs WHERE id = ?",
		    I(n), I(now), I(now), I(first)))
		return -1;
	*ret = born.id = born.job = db_last_id(s->db);
	return state_born(s, &born, err);
}

static int check_counts(
	struct store *s, const struct node_row *node, size_t rows, struct err *err)
{
	int64_t have;

	if (rows == 0)
		return err_set(
			err, ERR_BUG, "an expansion without rows is to be settled");
	if (rows > LIMIT_MATRIX_ROWS)
		return err_set(err, ERR_LIMIT, "%zu rows of one job, allowed are %d",
			rows, LIMIT_MATRIX_ROWS);
	if (db_value(s->db, &have, 0, err,
		    "SELECT count(*) FROM jobs WHERE run_id = ? AND attempt = ?",
		    I(node->run), I(node->attempt)))
		return -1;
	if (have + (int64_t)rows - 1 > LIMIT_JOBS)
		return err_set(err, ERR_LIMIT, "%lld jobs in one run, allowed are %d",
			(long long)(have + (int64_t)rows - 1), LIMIT_JOBS);
	return 0;
}

int jobs_expand(
	struct store *s, int64_t id, const struct job_expansion *x, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ int64_t *ids = xcalloc(x->rows_len + 1, sizeof(*ids));
	struct node_row node;

	if (store_begin(&tx, s, err) || read_node(s, id, &node, err))
		return -1;
	if (!node.is_open)
		return err_set(
			err, ERR_CONFLICT, "job %lld is expanded already", (long long)id);
	if (check_counts(s, &node, x->rows_len, err))
		return -1;
	ids[0] = id;
	for (size_t i = 0; i < x->rows_len; i++)
		if ((i > 0 && insert_sibling(s, id, node.run, i, &ids[i], err)) ||
			fill_row(s, ids[i], x, i, err))
			return -1;
	FP("job.expand.rows");
	for (size_t i = 0; i < x->rows_len; i++)
		if (jobs_admit(s, ids[i], err))
			return -1;
	if (runs_refresh(s, node.run, err))
		return -1;
	return store_commit(&tx, err);
}

int jobs_settle(struct store *s, int64_t id, enum conclusion c, const char *reason,
	const struct json *outputs, const struct json *trace, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *text = outputs ? json_text(outputs) : xstrdup("{}");
	const struct actor core = ACTOR_CORE;
	struct node_row node;

	if (store_begin(&tx, s, err) || read_node(s, id, &node, err))
		return -1;
	if (db_run(s->db, err, "UPDATE jobs SET outputs = ? WHERE id = ?", S(text),
		    I(id)) ||
		(trace && put_texts(s, id, NULL, trace, err)) ||
		jobs_end(s, id, node.epoch, JOB_WAITING, c, reason, &core, err))
		return -1;
	return store_commit(&tx, err);
}

/* ---- admission --------------------------------------------------------------------- */

struct waiting_row {
	int64_t run;
	int64_t repo;
	int64_t epoch;
	bool cancels;
	bool keeps;
	char *group;
	char *environment;
};

static void waiting_row_done(struct waiting_row *w)
{
	free(w->group);
	free(w->environment);
}

/* 1 it may be admitted, 0 it is not waiting for that, -1. */
static int read_waiting(
	struct store *s, int64_t id, struct waiting_row *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT j.run_id, j.repo_id, j.epoch, j.conc_cancels, j.conc_keeps,"
		" j.conc_group,"
		" j.environment FROM jobs j JOIN runs r ON r.id = j.run_id"
		" AND r.attempt = j.attempt WHERE j.id = ? AND j.state = 'waiting'"
		" AND j.is_expanded = 1 AND r.state IN ('queued', 'running')",
		I(id));

	if (got > 0)
		*ret = (struct waiting_row){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2),
			db_int(&r, 3) != 0, db_int(&r, 4) != 0, col_dup(&r, 5),
			col_dup(&r, 6) };
	return got;
}

static int set_reason(struct store *s, int64_t id, const char *reason, struct err *err)
{
	return db_run(
		s->db, err, "UPDATE jobs SET reason = ? WHERE id = ?", S(reason), I(id));
}

static int leave_waiting(struct store *s, int64_t id, const struct waiting_row *w,
	enum job_state to, int64_t gate, const char *reason, struct err *err)
{
	int64_t now = clock_wall_ms();
	const struct db_arg args[] = { I(to == JOB_QUEUED ? now : 0), I(gate),
		S(reason) };
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = id,
		.epoch = w->epoch,
		.from = JOB_WAITING,
		.to = to,
		.who = ACTOR_CORE,
		.reason = reason,
		.run = w->run,
		.job = id,
		.set = "queued_at = ?1, gate_id = ?2, reason = ?3",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	return state_move(s, &m, err);
}

/* An environment that refuses ends the row as failure, with the rule's words. */
static int to_gate(
	struct store *s, int64_t id, const struct waiting_row *w, struct err *err)
{
	_cleanup_free_ char *reason = NULL;
	const struct actor core = ACTOR_CORE;
	struct err why = ERR_INIT;
	enum gate_state state;
	int64_t gate;

	if (gates_open(s, id, &gate, &state, &why)) {
		if (why.code != ERR_DENIED)
			return err_set(err, why.code, "%s", why.msg);
		return jobs_end(s, id, w->epoch, JOB_WAITING, CONCLUSION_FAILURE, why.msg,
			&core, err);
	}
	if (state == GATE_APPROVED)
		return leave_waiting(s, id, w, JOB_QUEUED, gate, "", err);
	reason = xasprintf("waits for approval of %s", w->environment);
	return leave_waiting(s, id, w, JOB_AWAITING_APPROVAL, gate, reason, err);
}

/* *RET: its group lets it on. */
static int to_group(struct store *s, int64_t id, const struct waiting_row *w, bool *ret,
	struct err *err)
{
	_cleanup_free_ char *reason = NULL;
	const struct actor core = ACTOR_CORE;
	struct err why = ERR_INIT;

	*ret = true;
	if (!*w->group)
		return 0;
	if (concurrency_enter(s, w->repo, w->group, w->cancels, w->keeps, OWNER_JOB, id,
		    w->run, ret, &why)) {
		*ret = false;
		if (why.code != ERR_LIMIT)
			return err_set(err, why.code, "%s", why.msg);
		return jobs_end(s, id, w->epoch, JOB_WAITING, CONCLUSION_CANCELLED,
			why.msg, &core, err);
	}
	if (*ret)
		return 0;
	reason = xasprintf("waits for its concurrency group '%s'", w->group);
	return set_reason(s, id, reason, err);
}

int jobs_admit(struct store *s, int64_t id, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(waiting_row_done) struct waiting_row w = { 0 };
	int64_t still;
	bool may;
	int got;

	if (store_begin(&tx, s, err))
		return -1;
	got = read_waiting(s, id, &w, err);
	if (got <= 0)
		return got < 0 ? -1 : store_commit(&tx, err);
	if (to_group(s, id, &w, &may, err))
		return -1;
	/* What it pushed out of its group may have admitted it on the way. */
	if (db_value(s->db, &still, 0, err,
		    "SELECT count(*) FROM jobs WHERE id = ? AND state = 'waiting'",
		    I(id)))
		return -1;
	if (may && still &&
		(*w.environment ? to_gate(s, id, &w, err)
				: leave_waiting(s, id, &w, JOB_QUEUED, 0, "", err)))
		return -1;
	if (runs_refresh(s, w.run, err))
		return -1;
	return store_commit(&tx, err);
}

int jobs_in_state(
	struct store *s, enum job_state state, int64_t *ids, size_t max, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

	if (db_query(s->db, &r, err,
		    "SELECT id FROM jobs WHERE state = ? ORDER BY queued_at, id LIMIT ?",
		    S(state_name(MACHINE_JOB, state)), I(max)))
		return -1;
	return read_ids(&r, ids, max, err);
}

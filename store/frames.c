/* SPDX-License-Identifier: Apache-2.0 */
/* What executors report: journal frames, applied once and in order. */
#include "store/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/store-internal.h"

#define NOTES_MAX   64
#define NET_MAX	    1000
#define OUTPUTS_MAX 256
/* Number 0 is the set-up; pre, post and composite steps come on top of the file's. */
#define FRAMES_STEPS_MAX (4 * LIMIT_STEPS)
#define TEXT_MAX	 (64 * 1024) /* one message or name; the log has the rest */

struct target {
	int64_t id;
	int64_t run;
	int64_t attempt;
	int64_t epoch;
	int64_t frames;
	enum job_state state;
};

/* Text from an executor: never longer than a row should be. */
static char *bounded(const char *s)
{
	return s ? xstrndup(s, strnlen(s, TEXT_MAX)) : xstrdup("");
}

static int move_job(struct store *s, struct target *t, enum job_state to, const char *set,
	const struct db_arg *args, size_t args_len, struct err *err)
{
	struct state_move m = {
		.machine = MACHINE_JOB,
		.id = t->id,
		.job = t->id,
		.run = t->run,
		.epoch = t->epoch,
		.from = t->state,
		.to = to,
		.who = { "system", "executor", NULL },
		.set = set,
		.args = args,
		.args_len = args_len,
	};

	if (state_move(s, &m, err))
		return -1;
	t->state = to;
	return 0;
}

static int apply_started(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	const struct db_arg args[] = { I(u->at) };

	/* A job that is being cancelled began all the same, but stays what it is. */
	if (t->state != JOB_RELEASED)
		return db_run(s->db, err,
			"UPDATE jobs SET started_at = ? WHERE id = ? AND started_at = 0",
			I(u->at), I(t->id));
	return move_job(s, t, JOB_RUNNING, "started_at = ?1", args, 1, err);
}

/* ---- steps ------------------------------------------------------------------------- */

static int insert_step(struct store *s, const struct target *t,
	const struct job_step *step, struct err *err)
{
	_cleanup_free_ char *key = bounded(step->key);
	_cleanup_free_ char *name = bounded(step->name);
	struct state_move born = { .machine = MACHINE_STEP, .to = (int)step->state };

	if (step->number < 0 || step->number > FRAMES_STEPS_MAX)
		return err_set(err, ERR_LIMIT, "step %lld: a job has at most %d",
			(long long)step->number, FRAMES_STEPS_MAX);
	if (db_run(s->db, err,
		    "INSERT INTO steps (job_id, number, key, name, state, changed_at)"
		    " VALUES (?,?,?,?,?,?)",
		    I(t->id), I(step->number), S(key), S(name),
		    S(state_name(MACHINE_STEP, (int)step->state)), I(clock_wall_ms())))
		return -1;
	born.id = db_last_id(s->db);
	return state_born(s, &born, err);
}

static int fill_step(struct store *s, const struct target *t, const struct job_step *step,
	struct err *err)
{
	_cleanup_free_ char *name = bounded(step->name);
	_cleanup_free_ char *reason = bounded(step->reason);

	return db_run(s->db, err,
		"UPDATE steps SET name = CASE ?1 WHEN '' THEN name ELSE ?1 END,"
		" outcome = ?2, conclusion = ?3, reason = ?4, exit_code = ?5,"
		" started_at = CASE ?6 WHEN 0 THEN started_at ELSE ?6 END,"
		" completed_at = ?7, log_start = CASE ?8 WHEN 0 THEN log_start ELSE ?8"
		" END,"
		" log_end = ?9 WHERE job_id = ?10 AND number = ?11",
		S(name), S(conclusion_name(step->outcome)),
		S(conclusion_name(step->conclusion)), S(reason), I(step->exit_code),
		I(step->started_at), I(step->completed_at), I(step->log_start),
		I(step->log_end), I(t->id), I(step->number));
}

static int apply_step(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	const struct job_step *step = &u->step;
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct state_move m = {
		.machine = MACHINE_STEP, .to = (int)step->state, .who = ACTOR_CORE
	};
	int got = db_first(s->db, &r, err,
		"SELECT id, state FROM steps WHERE job_id = ? AND number = ?", I(t->id),
		I(step->number));

	if (got < 0 || (got == 0 && insert_step(s, t, step, err)))
		return -1;
	if (got > 0) {
		m.id = db_int(&r, 0);
		m.from = state_parse(MACHINE_STEP, db_str(&r, 1));
		db_rows_done(&r);
		if (m.from != m.to && !state_allows(MACHINE_STEP, m.from, m.to))
			return err_set(err, ERR_INPUT, "step %lld cannot be %s again",
				(long long)step->number, state_name(MACHINE_STEP, m.to));
		if (m.from != m.to && state_move(s, &m, err))
			return -1;
	}
	return fill_step(s, t, step, err);
}

/* ---- the rest ---------------------------------------------------------------------- */

static int apply_output(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *outputs = NULL;
	_cleanup_free_ char *text = NULL;

	if (db_first(s->db, &r, err, "SELECT outputs FROM jobs WHERE id = ?", I(t->id)) <
		0)
		return -1;
	if (json_parse(db_str(&r, 0), strlen(db_str(&r, 0)), &outputs, err))
		return -1;
	db_rows_done(&r);
	json_set_str(outputs, u->name ? u->name : "", u->value ? u->value : "");
	text = json_text(outputs);
	if (json_count(outputs) > OUTPUTS_MAX || strlen(text) > LIMIT_OUTPUT_TOTAL)
		return err_set(err, ERR_LIMIT,
			"outputs of a job: at most %d of 1 MiB together", OUTPUTS_MAX);
	return db_run(s->db, err, "UPDATE jobs SET outputs = ? WHERE id = ?", S(text),
		I(t->id));
}

static int apply_annotation(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	const struct job_annotation *a = &u->annotation;
	_cleanup_free_ char *title = bounded(a->title);
	_cleanup_free_ char *message = bounded(a->message);
	_cleanup_free_ char *file = bounded(a->file);
	int64_t have;

	/* The executor counts as well; this is for one that does not. */
	if (db_value(s->db, &have, 0, err,
		    "SELECT count(*) FROM annotations WHERE job_id = ? AND step = ? AND"
		    " level = ?",
		    I(t->id), I(a->step), S(a->level)))
		return -1;
	if (have >= LIMIT_ANNOTATIONS_STEP)
		return 0;
	return db_run(s->db, err,
		"INSERT INTO annotations (job_id, run_id, attempt, step, level, title,"
		" message,"
		" file, line, end_line, col, end_col, log_line)"
		" VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
		I(t->id), I(t->run), I(t->attempt), I(a->step),
		S(a->level ? a->level : "notice"), S(title), S(message), S(file),
		I(a->line), I(a->end_line), I(a->column), I(a->end_column),
		I(a->log_line));
}

static int apply_summary(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	uint8_t raw[SHA256_LEN];

	if (!u->digest || hex_decode(u->digest, strlen(u->digest), raw, sizeof(raw)))
		return err_set(err, ERR_INPUT, "a summary without a digest");
	if (db_run(s->db, err, "INSERT OR IGNORE INTO blobs VALUES (?,?,?)", S(u->digest),
		    I(u->size), I(clock_wall_ms())))
		return -1;
	return db_run(s->db, err, "INSERT OR REPLACE INTO summaries VALUES (?,?,?,?)",
		I(t->id), I(u->step.number), S(u->digest), I(u->size));
}

/* Only what a browser may follow: anything else is dropped, not an error of the job. */
static int apply_url(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	_cleanup_free_ char *url = bounded(u->value);

	if (!str_starts(url, "https://") && !str_starts(url, "http://"))
		return 0;
	return db_run(
		s->db, err, "UPDATE jobs SET url = ? WHERE id = ?", S(url), I(t->id));
}

/* Over the limit no new line is begun; those that are there go on being added to. */
static int apply_net(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	const struct job_net *n = &u->net;
	_cleanup_free_ char *host = bounded(n->host);
	_cleanup_free_ char *allow = bounded(n->allow);
	const char *verdict = n->verdict ? n->verdict : "", *rule = n->rule ? n->rule : "";
	int64_t have;

	if (db_run(s->db, err,
		    "UPDATE job_net SET count = count + ?, bytes_in = bytes_in + ?,"
		    " bytes_out = bytes_out + ? WHERE job_id = ? AND step = ? AND"
		    " host = ? AND port = ? AND verdict = ? AND rule = ?",
		    I(n->count), I(n->bytes_in), I(n->bytes_out), I(t->id), I(n->step),
		    S(host), I(n->port), S(verdict), S(rule)))
		return -1;
	if (db_changes(s->db) > 0)
		return 0;
	if (db_value(s->db, &have, 0, err,
		    "SELECT count(*) FROM job_net WHERE job_id = ?", I(t->id)))
		return -1;
	if (have >= NET_MAX)
		return 0;
	return db_run(s->db, err,
		"INSERT INTO job_net (job_id, host, port, verdict, rule, step, count,"
		" bytes_in, bytes_out, allow) VALUES (?,?,?,?,?,?,?,?,?,?)",
		I(t->id), S(host), I(n->port), S(verdict), S(rule), I(n->step),
		I(n->count), I(n->bytes_in), I(n->bytes_out), S(allow));
}

static int apply_note(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	_cleanup_free_ char *note = bounded(u->value);
	int64_t have;

	if (db_value(s->db, &have, 0, err,
		    "SELECT count(*) FROM job_notes WHERE job_id = ?", I(t->id)))
		return -1;
	if (have >= NOTES_MAX)
		return 0;
	return db_run(s->db, err, "INSERT INTO job_notes (job_id, note) VALUES (?,?)",
		I(t->id), S(note));
}

/* Steps that never came to their end did not end well. */
static int close_steps(struct store *s, const struct target *t, struct err *err)
{
	for (;;) {
		_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
		struct state_move m = {
			.machine = MACHINE_STEP, .to = STEP_COMPLETED, .who = ACTOR_CORE
		};
		int got = db_first(s->db, &r, err,
			"SELECT id, state FROM steps WHERE job_id = ? AND state <>"
			" 'completed'"
			" LIMIT 1",
			I(t->id));

		if (got <= 0)
			return got;
		m.id = db_int(&r, 0);
		m.from = state_parse(MACHINE_STEP, db_str(&r, 1));
		m.set = m.from == STEP_PENDING
				? "outcome = 'skipped', conclusion = 'skipped'"
				: "outcome = 'cancelled', conclusion = 'cancelled'";
		db_rows_done(&r);
		if (state_move(s, &m, err))
			return -1;
	}
}

static int apply_exit(
	struct store *s, struct target *t, const struct job_update *u, struct err *err)
{
	_cleanup_free_ char *reason = bounded(u->value);
	const struct db_arg args[] = { S(conclusion_name(u->conclusion)), S(reason),
		I(u->memory_peak), I(u->pids_peak), I(u->cpu_us) };

	if (u->conclusion == CONCLUSION_NONE)
		return err_set(err, ERR_INPUT, "an exit record without a conclusion");
	if (!state_allows(MACHINE_JOB, (int)t->state, JOB_FINALISING))
		return err_set(err, ERR_CONFLICT, "job %lld has its exit record already",
			(long long)t->id);
	if (close_steps(s, t, err))
		return -1;
	FP("job.exit.before");
	return move_job(s, t, JOB_FINALISING, "outcome = ?1, exit_reason = ?2,"
		" memory_peak = ?3, pids_peak = ?4, cpu_us = ?5",
		args, ARRAY_SIZE(args), err);
}

typedef int apply_fn(
	struct store *s, struct target *t, const struct job_update *u, struct err *err);

static apply_fn *const appliers[] = {
	[JOB_UPDATE_STARTED] = apply_started,
	[JOB_UPDATE_STEP] = apply_step,
	[JOB_UPDATE_OUTPUT] = apply_output,
	[JOB_UPDATE_ANNOTATION] = apply_annotation,
	[JOB_UPDATE_SUMMARY] = apply_summary,
	[JOB_UPDATE_URL] = apply_url,
	[JOB_UPDATE_NET] = apply_net,
	[JOB_UPDATE_NOTE] = apply_note,
	[JOB_UPDATE_EXIT] = apply_exit,
};

/* ---- frames ------------------------------------------------------------------------ */

static int read_target(struct store *s, int64_t id, struct target *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT id, run_id, attempt, epoch, frames, state FROM jobs WHERE id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no job %lld",
					 (long long)id);
	*ret = (struct target){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2),
		db_int(&r, 3), db_int(&r, 4),
		(enum job_state)state_parse(MACHINE_JOB, db_str(&r, 5)) };
	return 0;
}

static int check_frames(
	const struct target *t, const struct job_frames *f, struct err *err)
{
	if (t->epoch != f->epoch)
		return err_set(err, ERR_CONFLICT,
			"job %lld has epoch %lld and no longer %lld", (long long)t->id,
			(long long)t->epoch, (long long)f->epoch);
	if (t->state == JOB_COMPLETED || t->state < JOB_CLAIMED)
		return err_set(err, ERR_CONFLICT,
			"job %lld is %s: nobody may write for it", (long long)t->id,
			state_name(MACHINE_JOB, t->state));
	if (f->first != t->frames + 1)
		return err_set(err, ERR_CONFLICT,
			"job %lld: frame %lld is next, not %lld", (long long)t->id,
			(long long)t->frames + 1, (long long)f->first);
	return 0;
}

int jobs_apply(struct store *s, const struct job_frames *f, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	struct target t;
	enum job_state before;

	if (store_begin(&tx, s, err) || read_target(s, f->job, &t, err))
		return -1;
	if (t.epoch == f->epoch && f->last <= t.frames)
		return store_commit(&tx, err); /* seen before */
	if (check_frames(&t, f, err))
		return -1;
	before = t.state;
	FP("job.frames.before");
	for (size_t i = 0; i < f->len; i++)
		if (appliers[f->updates[i].kind](s, &t, &f->updates[i], err))
			return err_wrap(err, "job %lld", (long long)t.id);
	if (db_run(s->db, err,
		    "UPDATE jobs SET frames = ?, log_size = max(log_size, ?) WHERE id ="
		    " ?",
		    I(f->last), I(f->log_size), I(f->job)))
		return -1;
	FP("job.frames.after");
	store_touch(s, t.run, t.id, 0, 0);
	if (before != t.state && runs_refresh(s, t.run, err))
		return -1;
	return store_commit(&tx, err);
}

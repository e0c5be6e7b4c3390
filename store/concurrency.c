/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `concurrency:` groups of a repository, shared by its runs and jobs: at most one runs
 * (a unique index says so too), one waits, or up to QUEUE_MAX in order of arrival.
 */
#include "store/runs.h"
#include "store/store-internal.h"

#define QUEUE_MAX 100 /* GitHub's, for queue: max */

static const char *const kinds[] = { "run", "job" };

struct owner {
	enum owner_kind kind;
	int64_t id;
};

static int read_owner(struct store *s, const char *sql, int64_t repo, const char *group,
	int64_t not_seq, struct owner *ret, int64_t *ret_seq, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err, sql, I(repo), S(group), I(not_seq));

	if (got > 0) {
		ret->kind = str_eq(db_str(&r, 0), "job") ? OWNER_JOB : OWNER_RUN;
		ret->id = db_int(&r, 1);
		*ret_seq = db_int(&r, 2);
	}
	return got;
}

static int cancel_owner(struct store *s, const struct owner *o, bool waits,
	const char *why, struct err *err)
{
	const struct actor core = ACTOR_CORE;

	if (o->kind == OWNER_RUN)
		return runs_cancel(s, o->id, why, waits, &core, err);
	return jobs_cancel_row(s, o->id, why, true, &core, err);
}

/* Everybody else who waits goes, as GitHub does it: the newest is what people want. */
static int drop_waiting(struct store *s, int64_t repo, const char *group, int64_t own_seq,
	struct err *err)
{
	for (;;) {
		struct owner o;
		int64_t seq;
		int got = read_owner(s,
			"SELECT kind, owner_id, seq FROM concurrency WHERE repo_id = ?"
			" AND grp = ? AND is_running = 0 AND seq < ? ORDER BY seq LIMIT"
			" 1",
			repo, group, own_seq, &o, &seq, err);

		if (got <= 0)
			return got;
		/* Off the list first, so that whatever its end sets free is not given to it. */
		if (db_run(s->db, err, "DELETE FROM concurrency WHERE seq = ?", I(seq)) ||
			cancel_owner(s, &o, true,
				"a newer one waits in its concurrency group", err))
			return -1;
	}
}

static int cancel_running(struct store *s, int64_t repo, const char *group,
	int64_t own_seq, struct err *err)
{
	struct owner o;
	int64_t seq;
	int got = read_owner(s,
		"SELECT kind, owner_id, seq FROM concurrency WHERE repo_id = ? AND grp"
		" = ?"
		" AND is_running = 1 AND seq <> ?",
		repo, group, own_seq, &o, &seq, err);

	if (got <= 0)
		return got;
	return cancel_owner(
		s, &o, false, "a newer one of its concurrency group begins", err);
}

static int insert(struct store *s, int64_t repo, const char *group, enum owner_kind kind,
	int64_t owner, int64_t run, bool keeps, int64_t *ret_seq, struct err *err)
{
	int64_t others, waiting;

	if (db_value(s->db, &others, 0, err,
		    "SELECT count(*) FROM concurrency WHERE repo_id = ? AND grp = ?",
		    I(repo), S(group)) ||
		db_value(s->db, &waiting, 0, err,
			"SELECT count(*) FROM concurrency WHERE repo_id = ? AND grp = ?"
			" AND is_running = 0",
			I(repo), S(group)))
		return -1;
	if (keeps && waiting >= QUEUE_MAX)
		return err_set(err, ERR_LIMIT,
			"%d wait in concurrency group '%.80s' already", QUEUE_MAX, group);
	if (db_run(s->db, err,
		    "INSERT INTO concurrency (repo_id, grp, kind, owner_id, run_id,"
		    " is_running)"
		    " VALUES (?,?,?,?,?,?)",
		    I(repo), S(group), S(kinds[kind]), I(owner), I(run), I(others == 0)))
		return -1;
	*ret_seq = db_last_id(s->db);
	return 0;
}

/* *RET -1: it is not in the group; else whether it runs. */
static int own_place(struct store *s, enum owner_kind kind, int64_t owner, int64_t *ret,
	struct err *err)
{
	return db_value(s->db, ret, -1, err,
		"SELECT is_running FROM concurrency WHERE kind = ? AND owner_id = ?",
		S(kinds[kind]), I(owner));
}

int concurrency_enter(struct store *s, int64_t repo, const char *group, bool cancels,
	bool keeps, enum owner_kind kind, int64_t owner, int64_t run, bool *ret,
	struct err *err)
{
	int64_t place, run_holds = 0, seq = 0;

	if (own_place(s, kind, owner, &place, err))
		return -1;
	if (kind == OWNER_JOB &&
		db_value(s->db, &run_holds, 0, err,
			"SELECT count(*) FROM concurrency WHERE repo_id = ? AND grp = ?"
			" AND kind = 'run' AND owner_id = ?",
			I(repo), S(group), I(run)))
		return -1;
	/* A job in the group its own run holds would wait for itself. */
	if (run_holds || place >= 0) {
		*ret = run_holds || place == 1;
		return 0;
	}
	if (insert(s, repo, group, kind, owner, run, keeps, &seq, err))
		return -1;
	if (!keeps && drop_waiting(s, repo, group, seq, err))
		return -1;
	if (cancels && cancel_running(s, repo, group, seq, err))
		return -1;
	/* What was cancelled may have ended at once and let us in. */
	if (own_place(s, kind, owner, &place, err))
		return -1;
	*ret = place == 1;
	return 0;
}

int concurrency_leave(
	struct store *s, enum owner_kind kind, int64_t owner, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_free_ char *group = NULL;
	struct owner next;
	int64_t repo, seq;
	bool was_running;
	int got = db_first(s->db, &r, err,
		"SELECT repo_id, grp, is_running FROM concurrency WHERE kind = ? AND"
		" owner_id = ?",
		S(kinds[kind]), I(owner));

	if (got <= 0)
		return got;
	repo = db_int(&r, 0);
	group = col_dup(&r, 1);
	was_running = db_int(&r, 2) != 0;
	db_rows_done(&r);
	if (db_run(s->db, err, "DELETE FROM concurrency WHERE kind = ? AND owner_id = ?",
		    S(kinds[kind]), I(owner)))
		return -1;
	if (!was_running)
		return 0;
	got = read_owner(s,
		"SELECT kind, owner_id, seq FROM concurrency WHERE repo_id = ? AND grp"
		" = ?"
		" AND is_running = 0 AND seq > ? ORDER BY seq LIMIT 1",
		repo, group, 0, &next, &seq, err);
	if (got <= 0)
		return got;
	if (db_run(s->db, err, "UPDATE concurrency SET is_running = 1 WHERE seq = ?",
		    I(seq)))
		return -1;
	return next.kind == OWNER_RUN ? runs_admit(s, next.id, err)
				      : jobs_admit(s, next.id, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of held jobs, and of logs that were kept long enough. */
#include "store/holds.h"

#include "store/store-internal.h"

/* 1 it may be held, 0 not; *RET_RUN its run. */
static int may_hold(
	struct store *s, int64_t job, int64_t try, int64_t *ret_run, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT j.run_id FROM jobs j JOIN runs r ON r.id = j.run_id WHERE j.id ="
		" ? AND j.tries = ? AND j.state = 'completed' AND j.conclusion ="
		" 'failure' AND j.releases > 0 AND r.trust = 'trusted'",
		I(job), I(try));

	if (got > 0)
		*ret_run = db_int(&r, 0);
	return got;
}

int holds_state(
	struct store *s, int64_t job, int64_t try, enum hold_state *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int64_t run = 0, early = 0;
	int got = db_first(s->db, &r, err,
		"SELECT removed_at FROM holds WHERE job_id = ? AND try = ?", I(job),
		I(try));

	if (got < 0)
		return -1;
	if (got > 0) {
		*ret = db_int(&r, 0) ? HOLD_REMOVED : HOLD_KEPT;
		return 0;
	}
	db_rows_done(&r);
	if (db_value(s->db, &early, 0, err,
		    "SELECT count(*) FROM jobs WHERE id = ? AND tries = ? AND state <>"
		    " 'completed'",
		    I(job), I(try)))
		return -1;
	got = may_hold(s, job, try, &run, err);
	if (got < 0)
		return -1;
	*ret = got ? HOLD_UNKNOWN : early ? HOLD_EARLY : HOLD_REFUSED;
	return 0;
}

int holds_add(struct store *s, const struct hold_new *h, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_free_ char *removed = h->removed ? json_text(h->removed) : xstrdup("[]");
	const struct actor core = ACTOR_CORE;
	int64_t run = 0;
	int got;

	if (store_begin(&tx, s, err))
		return -1;
	got = may_hold(s, h->job, h->try, &run, err);
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_DENIED,
					 "job %lld is no failed job of a trusted run",
					 (long long)h->job);
	if (db_run(s->db, err,
		    "INSERT OR IGNORE INTO holds (job_id, try, step, files, bytes,"
		    " removed, held_at, expires_at) VALUES (?,?,?,?,?,?,?,?)",
		    I(h->job), I(h->try), I(h->step), I(h->files), I(h->bytes),
		    S(removed), I(clock_wall_ms()), I(h->expires_at)))
		return -1;
	if (db_changes(s->db) == 0)
		return store_commit(&tx, err);
	json_set_int(detail, "bytes", h->bytes);
	json_set_int(detail, "expires_at", h->expires_at);
	if (audit_add(s, &core, "job.hold", "job", h->job, run, detail, err))
		return -1;
	store_touch(s, run, h->job, 0, 0);
	return store_commit(&tx, err);
}

#define HOLD_COLUMNS                                                                \
	"SELECT h.job_id, h.try, j.run_id, h.bytes, h.expires_at FROM holds h JOIN" \
	" jobs j ON j.id = h.job_id WHERE h.removed_at = 0"

static struct hold_row read_hold(const struct db_rows *r)
{
	return (struct hold_row){ db_int(r, 0), db_int(r, 1), db_int(r, 2), db_int(r, 3),
		db_int(r, 4) };
}

int holds_list(struct store *s, struct hold_row *ret, size_t max, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	size_t n = 0;
	int got = 0;

	if (db_query(s->db, &r, err,
		    HOLD_COLUMNS " ORDER BY h.expires_at, h.job_id LIMIT ?", I(max)))
		return -1;
	while (n < max && (got = db_step(&r, err)) > 0)
		ret[n++] = read_hold(&r);
	return got < 0 ? -1 : (int)n;
}

int holds_get(struct store *s, int64_t job, struct hold_row *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err, HOLD_COLUMNS " AND h.job_id = ?", I(job));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "job %lld is not held",
					 (long long)job);
	*ret = read_hold(&r);
	return 0;
}

int holds_remove(struct store *s, int64_t job, const char *why, const struct actor *who,
	struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	struct hold_row h;

	if (store_begin(&tx, s, err) || holds_get(s, job, &h, err) ||
		db_run(s->db, err, "UPDATE holds SET removed_at = ? WHERE job_id = ?",
			I(clock_wall_ms()), I(job)))
		return -1;
	json_set_str(detail, "why", why);
	if (audit_add(s, who, "job.unhold", "job", job, h.run, detail, err))
		return -1;
	store_touch(s, h.run, job, 0, 0);
	FP("hold.removed");
	return store_commit(&tx, err);
}

int holds_note(struct store *s, int64_t job, const char *why, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *note = xasprintf("not held: %.500s", why);

	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"INSERT INTO job_notes (job_id, note) SELECT ?1, ?2 WHERE NOT"
			" EXISTS (SELECT 1 FROM job_notes WHERE job_id = ?1 AND note ="
			" ?2)",
			I(job), S(note)))
		return -1;
	store_touch(s, 0, job, 0, 0);
	return store_commit(&tx, err);
}

/* ---- logs -------------------------------------------------------------------------- */

int logs_due(
	struct store *s, int64_t before, struct log_row *ret, size_t max, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	size_t n = 0;
	int got = 0;

	/* What was deployed is explained for as long as its row stands. */
	if (db_query(s->db, &r, err,
		    "SELECT id, tries, log_size FROM jobs j INDEXED BY jobs_logs WHERE"
		    " state = 'completed' AND tries > 0 AND log_removed_at = 0 AND"
		    " completed_at < ? AND NOT EXISTS (SELECT 1 FROM deployments d"
		    " WHERE d.job_id = j.id) ORDER BY completed_at LIMIT ?",
		    I(before), I(max)))
		return -1;
	while (n < max && (got = db_step(&r, err)) > 0)
		ret[n++] =
			(struct log_row){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2) };
	return got < 0 ? -1 : (int)n;
}

int logs_removed(struct store *s, int64_t job, struct err *err)
{
	return db_run(s->db, err, "UPDATE jobs SET log_removed_at = ? WHERE id = ?",
		I(clock_wall_ms()), I(job));
}

int logs_deployed(struct store *s, int64_t *ret, struct err *err)
{
	return db_value(s->db, ret, 0, err, "SELECT count(*) FROM deployments");
}

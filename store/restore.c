/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restored copy knows less than the world does: what was approved or under way then may
 * have happened since. So nothing of it may go on by itself (SECURITY 4.6, DB14).
 */
#include "store/store.h"

#include "store/store-internal.h"

struct counts {
	int lost;
	int cancelled;
	int voided;
};

static int void_gates(struct store *s, const struct actor *who, int *ret, struct err *err)
{
	for (*ret = 0;; ++*ret) {
		_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
		struct state_move m = { .machine = MACHINE_GATE,
			.to = GATE_VOID,
			.who = *who,
			.reason = "restored",
			.set = "reason = 'restored'" };
		/* Approved ones too, unless what they let through has ended. */
		int got = db_first(s->db, &r, err,
			"SELECT id, state, run_id FROM gates WHERE state = 'pending'"
			" UNION ALL"
			" SELECT g.id, g.state, g.run_id FROM gates g JOIN jobs j ON"
			" j.gate_id = g.id"
			" WHERE g.state = 'approved' AND j.state NOT IN ('completed',"
			" 'lost')"
			" UNION ALL SELECT g.id, g.state, g.run_id FROM gates g JOIN"
			" runs r ON"
			" r.id = g.run_id AND r.attempt = g.attempt WHERE g.state ="
			" 'approved' AND"
			" g.environment = '' AND r.state <> 'completed' LIMIT 1");

		if (got <= 0)
			return got;
		m.id = db_int(&r, 0);
		m.from = state_parse(MACHINE_GATE, db_str(&r, 1));
		m.run = db_int(&r, 2);
		db_rows_done(&r);
		if (state_move(s, &m, err))
			return -1;
	}
}

static int lose_or_cancel(struct store *s, int64_t id, const char *state,
	bool may_have_run, const struct actor *who, struct counts *n, struct err *err)
{
	struct state_move m = { .machine = MACHINE_JOB,
		.id = id,
		.job = id,
		.who = *who,
		.from = state_parse(MACHINE_JOB, state),
		.to = JOB_LOST,
		.reason = "restored",
		.set = "reason = 'the store was restored: its outcome is"
		       " unknown'" };

	if (db_value(s->db, &m.run, 0, err, "SELECT run_id FROM jobs WHERE id = ?",
		    I(id)) ||
		db_value(s->db, &m.epoch, 0, err, "SELECT epoch FROM jobs WHERE id = ?",
			I(id)))
		return -1;
	if (may_have_run && state_allows(MACHINE_JOB, m.from, JOB_LOST)) {
		n->lost++;
		return state_move(s, &m, err) || deployments_end(s, id, "lost", err) ? -1
										     : 0;
	}
	n->cancelled++;
	m.to = JOB_COMPLETED;
	m.set = "conclusion = 'cancelled', reason = 'restored'";
	return state_move(s, &m, err) || deployments_end(s, id, "cancelled", err) ||
			       concurrency_leave(s, OWNER_JOB, id, err)
		       ? -1
		       : 0;
}

/*
 * At most once, and approved or claimed in the copy: it may have run since, so its row
 * goes through claimed and released on paper to lost. Rows that waited are cancelled.
 */
static int walk_to_released(struct store *s, int64_t id, const char *state,
	const struct actor *who, struct err *err)
{
	static const int path[] = { JOB_QUEUED, JOB_CLAIMED, JOB_RELEASED };
	int from = state_parse(MACHINE_JOB, state);

	for (size_t i = 0; i + 1 < ARRAY_SIZE(path); i++) {
		struct state_move m = { .machine = MACHINE_JOB,
			.id = id,
			.job = id,
			.who = *who,
			.from = path[i],
			.to = path[i + 1],
			.reason = "restored" };

		if (path[i] != from)
			continue;
		if (db_value(s->db, &m.run, 0, err,
			    "SELECT run_id FROM jobs WHERE id = ?", I(id)) ||
			db_value(s->db, &m.epoch, 0, err,
				"SELECT epoch FROM jobs WHERE id = ?", I(id)) ||
			state_move(s, &m, err))
			return -1;
		from = path[i + 1];
	}
	return 0;
}

static int settle_jobs(
	struct store *s, const struct actor *who, struct counts *n, struct err *err)
{
	for (;;) {
		_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
		_cleanup_free_ char *state = NULL;
		bool once;
		int64_t id;
		int got = db_first(s->db, &r, err,
			"SELECT id, state, is_once FROM jobs WHERE state NOT IN"
			" ('completed', 'lost')"
			" ORDER BY id LIMIT 1");

		if (got <= 0)
			return got;
		id = db_int(&r, 0);
		state = col_dup(&r, 1);
		once = db_int(&r, 2) != 0;
		db_rows_done(&r);
		if (once && (str_eq(state, "queued") || str_eq(state, "claimed"))) {
			if (walk_to_released(s, id, state, who, err))
				return -1;
			free(state);
			state = xstrdup("released");
		}
		if (lose_or_cancel(s, id, state, once, who, n, err))
			return -1;
	}
}

static int refresh_runs(struct store *s, struct err *err)
{
	int64_t ids[64], after = 0;

	for (;;) {
		int n = runs_active(s, after, ids, ARRAY_SIZE(ids), err);

		if (n <= 0)
			return n;
		for (int i = 0; i < n; i++)
			if (runs_refresh(s, ids[i], err))
				return -1;
		after = ids[n - 1];
	}
}

static int next_instance(struct store *s, struct err *err)
{
	_cleanup_free_ char *text = xasprintf("%lld", (long long)s->instance_epoch + 1);

	if (store_set_meta(s, "instance_epoch", text, err))
		return -1;
	s->instance_epoch++;
	return 0;
}

int store_after_restore(struct store *s, const char *from, int *ret_lost,
	int *ret_cancelled, int *ret_void, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	const struct actor who = { "system", "restore", NULL };
	struct counts n = { 0 };

	if (store_begin(&tx, s, err))
		return -1;
	/* Groups first: nothing may be let in by what is cancelled here. */
	if (db_run(s->db, err, "DELETE FROM concurrency") || next_instance(s, err) ||
		settle_jobs(s, &who, &n, err) || void_gates(s, &who, &n.voided, err) ||
		db_run(s->db, err, "DELETE FROM sessions") ||
		db_run(s->db, err, "DELETE FROM links") || refresh_runs(s, err))
		return -1;
	json_set_str(detail, "from", from);
	json_set_int(detail, "lost", n.lost);
	json_set_int(detail, "cancelled", n.cancelled);
	json_set_int(detail, "void", n.voided);
	if (audit_add(s, &who, "server.restore", "server", 0, 0, detail, err) ||
		store_commit(&tx, err))
		return -1;
	if (ret_lost)
		*ret_lost = n.lost;
	if (ret_cancelled)
		*ret_cancelled = n.cancelled;
	if (ret_void)
		*ret_void = n.voided;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The state tables and the one compare-and-set. */
#include "store/state.h"

#include <string.h>

#include "store/outbox.h"
#include "store/store-internal.h"

#define STATES_MAX 12
#define BIT(n)	   (1u << (n))

struct machine {
	const char *name;
	const char *table;
	const char *epoch; /* column that fences, NULL none */
	int count;
	bool is_audited;
	bool is_told;  /* commit statuses are made of it */
	unsigned born; /* states a row may begin in */
	const char *states[STATES_MAX];
	unsigned next[STATES_MAX]; /* by state: where it may go */
};

static const struct machine machines[MACHINES] = {
	[MACHINE_DELIVERY] = {
		.name = "delivery", .table = "deliveries", .count = 3, .is_audited = true,
		.states = { "accepted", "ignored", "rejected" },
		.born = BIT(DELIVERY_ACCEPTED) | BIT(DELIVERY_IGNORED) |
			BIT(DELIVERY_REJECTED),
	},
	[MACHINE_EVENT] = {
		.name = "event", .table = "events", .count = 4, .is_audited = true,
		.states = { "pending", "planned", "ignored", "failed" },
		.born = BIT(EVENT_PENDING) | BIT(EVENT_IGNORED),
		.next = {
			[EVENT_PENDING] = BIT(EVENT_PLANNED) | BIT(EVENT_IGNORED) |
				BIT(EVENT_FAILED),
			[EVENT_FAILED] = BIT(EVENT_PENDING),
		},
	},
	[MACHINE_RUN] = {
		.name = "run", .table = "runs", .epoch = "attempt", .count = 4,
		.is_audited = true, .is_told = true,
		.states = { "pending", "queued", "running", "completed" },
		.born = BIT(RUN_PENDING),
		.next = {
			[RUN_PENDING] = BIT(RUN_QUEUED) | BIT(RUN_COMPLETED),
			[RUN_QUEUED] = BIT(RUN_RUNNING) | BIT(RUN_COMPLETED),
			[RUN_RUNNING] = BIT(RUN_COMPLETED),
			[RUN_COMPLETED] = BIT(RUN_PENDING), /* attempt + 1 */
		},
	},
	[MACHINE_JOB] = {
		.name = "job", .table = "jobs", .epoch = "epoch", .count = 10,
		.is_audited = true,
		.states = { "waiting", "awaiting_approval", "queued", "claimed", "released",
			"running", "finalising", "cancelling", "lost", "completed" },
		/* Completed at birth: a row carried over from an earlier attempt. */
		.born = BIT(JOB_WAITING) | BIT(JOB_COMPLETED),
		.next = {
			[JOB_WAITING] = BIT(JOB_AWAITING_APPROVAL) | BIT(JOB_QUEUED) |
				BIT(JOB_COMPLETED),
			[JOB_AWAITING_APPROVAL] = BIT(JOB_QUEUED) | BIT(JOB_COMPLETED),
			[JOB_QUEUED] = BIT(JOB_CLAIMED) | BIT(JOB_COMPLETED),
			/* Not released is certainly not run: safe to queue again. */
			[JOB_CLAIMED] = BIT(JOB_RELEASED) | BIT(JOB_QUEUED) |
				BIT(JOB_FINALISING) | BIT(JOB_CANCELLING) |
				BIT(JOB_COMPLETED),
			[JOB_RELEASED] = BIT(JOB_RUNNING) | BIT(JOB_FINALISING) |
				BIT(JOB_CANCELLING) | BIT(JOB_QUEUED) | BIT(JOB_LOST) |
				BIT(JOB_COMPLETED),
			[JOB_RUNNING] = BIT(JOB_FINALISING) | BIT(JOB_CANCELLING) |
				BIT(JOB_QUEUED) | BIT(JOB_LOST) | BIT(JOB_COMPLETED),
			[JOB_FINALISING] = BIT(JOB_COMPLETED),
			[JOB_CANCELLING] = BIT(JOB_FINALISING) | BIT(JOB_COMPLETED),
			/* It answered after all, or a person has decided. */
			[JOB_LOST] = BIT(JOB_FINALISING) | BIT(JOB_COMPLETED),
		},
	},
	[MACHINE_STEP] = {
		.name = "step", .table = "steps", .count = 3,
		.states = { "pending", "running", "completed" },
		.born = BIT(STEP_PENDING) | BIT(STEP_RUNNING) | BIT(STEP_COMPLETED),
		.next = {
			[STEP_PENDING] = BIT(STEP_RUNNING) | BIT(STEP_COMPLETED),
			[STEP_RUNNING] = BIT(STEP_COMPLETED),
		},
	},
	[MACHINE_GATE] = {
		.name = "gate", .table = "gates", .count = 6, .is_audited = true,
		.states = { "pending", "approved", "rejected", "expired", "superseded",
			"void" },
		/* Approved at birth: rules that ask for nobody. */
		.born = BIT(GATE_PENDING) | BIT(GATE_APPROVED),
		.next = {
			[GATE_PENDING] = BIT(GATE_APPROVED) | BIT(GATE_REJECTED) |
				BIT(GATE_EXPIRED) | BIT(GATE_SUPERSEDED) | BIT(GATE_VOID),
			/* After a restore nobody's old word counts (SECURITY 4.6). */
			[GATE_APPROVED] = BIT(GATE_VOID),
		},
	},
};

static const char *const conclusions[] = { "", "success", "failure", "cancelled",
	"skipped" };

const char *state_name(enum state_machine m, int state)
{
	return state >= 0 && state < machines[m].count ? machines[m].states[state] : "";
}

int state_parse(enum state_machine m, const char *name)
{
	for (int i = 0; i < machines[m].count; i++)
		if (str_eq(machines[m].states[i], name))
			return i;
	return STATE_NONE;
}

const char *state_machine_name(enum state_machine m)
{
	return machines[m].name;
}

int state_count(enum state_machine m)
{
	return machines[m].count;
}

bool state_allows(enum state_machine m, int from, int to)
{
	const struct machine *d = &machines[m];

	if (to < 0 || to >= d->count || from >= d->count || from < STATE_NONE)
		return false;
	return ((from == STATE_NONE ? d->born : d->next[from]) & BIT(to)) != 0;
}

bool state_is_terminal(enum state_machine m, int state)
{
	/* A completed run only ever begins anew as another attempt. */
	return (m == MACHINE_RUN && state == RUN_COMPLETED) ||
	       machines[m].next[state] == 0;
}

const char *conclusion_name(enum conclusion c)
{
	return conclusions[c];
}

enum conclusion conclusion_parse(const char *name)
{
	for (size_t i = 1; i < ARRAY_SIZE(conclusions); i++)
		if (str_eq(conclusions[i], name))
			return (enum conclusion)i;
	return CONCLUSION_NONE;
}

/* ---- moves ------------------------------------------------------------------------- */

static int check_allowed(const struct state_move *m, struct err *err)
{
	if (state_allows(m->machine, m->from, m->to))
		return 0;
	return err_set(err, ERR_BUG, "%s %lld cannot go from '%s' to '%s'",
		machines[m->machine].name, (long long)m->id,
		state_name(m->machine, m->from), state_name(m->machine, m->to));
}

/* Says what the row is instead: whoever lost a race wants to know to whom. */
static int lost_race(struct store *s, const struct state_move *m, struct err *err)
{
	const struct machine *d = &machines[m->machine];
	_cleanup_(strbuf_done) struct strbuf sql = STRBUF_INIT;
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got;

	strbuf_addf(&sql, "SELECT state, %s FROM %s WHERE id = ?",
		d->epoch ? d->epoch : "0", d->table);
	got = db_first(s->db, &r, err, sql.buf, I(m->id));
	if (got < 0)
		return -1;
	if (!got)
		return err_set(
			err, ERR_NOT_FOUND, "no %s %lld", d->name, (long long)m->id);
	if (!str_eq(db_str(&r, 0), state_name(m->machine, m->from)))
		return err_set(err, ERR_CONFLICT, "%s %lld is %s and no longer %s",
			d->name, (long long)m->id, db_str(&r, 0),
			state_name(m->machine, m->from));
	if (d->epoch && db_int(&r, 1) != m->epoch)
		return err_set(err, ERR_CONFLICT,
			"%s %lld has %s %lld and no longer %lld", d->name,
			(long long)m->id, d->epoch, (long long)db_int(&r, 1),
			(long long)m->epoch);
	return err_set(err, ERR_CONFLICT, "%s %lld is %s, but not as expected", d->name,
		(long long)m->id, db_str(&r, 0));
}

static int compare_and_set(struct store *s, const struct state_move *m, struct err *err)
{
	const struct machine *d = &machines[m->machine];
	_cleanup_(strbuf_done) struct strbuf sql = STRBUF_INIT;
	struct db_arg args[STATE_ARGS + 5];
	size_t n = m->args_len;

	if (n > STATE_ARGS)
		return err_set(err, ERR_BUG, "too many arguments for a move");
	if (n > 0)
		memcpy(args, m->args, n * sizeof(*args));
	args[n] = S(state_name(m->machine, m->to));
	args[n + 1] = I(clock_wall_ms());
	args[n + 2] = I(m->id);
	args[n + 3] = S(state_name(m->machine, m->from));
	args[n + 4] = I(m->epoch);
	if (m->machine == MACHINE_DELIVERY)
		return err_set(err, ERR_BUG, "deliveries do not move");
	strbuf_addf(&sql, "UPDATE %s SET state = ?%zu, changed_at = ?%zu%s%s", d->table,
		n + 1, n + 2, m->set ? ", " : "", m->set ? m->set : "");
	strbuf_addf(&sql, " WHERE id = ?%zu AND state = ?%zu", n + 3, n + 4);
	if (d->epoch)
		strbuf_addf(&sql, " AND %s = ?%zu", d->epoch, n + 5);
	if (m->where)
		strbuf_addf(&sql, " AND (%s)", m->where);
	if (db_run_args(s->db, err, sql.buf, args, n + (d->epoch ? 5 : 4)))
		return -1;
	return db_changes(s->db) == 1 ? 0 : lost_race(s, m, err);
}

/* The commit status of a run, when its repository wants them. */
static int tell_forge(struct store *s, const struct state_move *m, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *payload = NULL;
	_cleanup_free_ char *context = NULL;
	int got;

	if (!machines[m->machine].is_told)
		return 0;
	got = db_first(s->db, &r, err,
		"SELECT r.id AS run, r.number, r.sha, r.workflow_path, r.workflow_name,"
		" r.event_name, r.state, r.conclusion, r.attempt, r.repo_id"
		" FROM runs r JOIN repos p ON p.id = r.repo_id"
		" WHERE r.id = ? AND p.wants_statuses = 1",
		I(m->id));
	if (got <= 0)
		return got;
	payload = db_row_json(&r);
	context =
		xasprintf("status/%s/%s/%s", db_str(&r, 2), db_str(&r, 3), db_str(&r, 5));
	return outbox_add(s, db_int(&r, 9), "status", context, payload, err);
}

static int record(struct store *s, const struct state_move *m, struct err *err)
{
	FP("state.cas.after");
	if (machines[m->machine].is_audited && audit_state(s, m, err))
		return -1;
	if (tell_forge(s, m, err))
		return -1;
	if (m->run)
		store_touch(s, m->run, m->job, m->machine == MACHINE_GATE ? m->id : 0, 0);
	return 0;
}

int state_move(struct store *s, const struct state_move *m, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;

	if (m->from == STATE_NONE)
		return err_set(err, ERR_BUG, "a move needs a state to come from");
	if (check_allowed(m, err) || store_begin(&tx, s, err))
		return -1;
	FP("state.cas.before");
	if (compare_and_set(s, m, err) || record(s, m, err))
		return -1;
	return store_commit(&tx, err);
}

int state_born(struct store *s, const struct state_move *m, struct err *err)
{
	struct state_move birth = *m;

	birth.from = STATE_NONE;
	if (db_tx_depth(s->db) == 0)
		return err_set(err, ERR_BUG, "a birth outside of its transaction");
	return check_allowed(&birth, err) || record(s, &birth, err) ? -1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invariants of SECURITY 4.4 as statements that find what breaks them: each row they
 * give is one line for people. What needs the file system (locks, cgroups, blobs on disk)
 * is checked by core; here is what the rows alone can say.
 */
#include "store/check.h"

#include <string.h>

#include "store/store-internal.h"

static const struct {
	const char *id;
	const char *text;
} invariants[] = {
	{ "I1", "each accepted delivery has exactly one event, each (event, workflow)"
		" one run" },
	{ "I2", "whoever has a job has it by one epoch" },
	{ "I3", "a job that runs at most once was released at most once" },
	{ "I4", "nothing waits that nothing holds" },
	{ "I5", "what has ended stays ended, with one conclusion" },
	{ "I6", "no job passed a gate that was not approved for this very workflow" },
	{ "I7", "no secret was opened for untrusted work or before its gate" },
	{ "I8", "a completed job has a sealed log and nothing left open" },
	{ "I9", "every state has its audit row, and the chain is whole" },
	{ "I10", "every file named is known" },
	{ "I11", "success has an exit record and no failed step" },
	{ "I12", "one unsent word for each context, the last one" },
};

#define LAST_STATE(machine, table)                                                    \
	"SELECT printf('" machine                                                     \
	" %d is %s, but the audit log says %s', t.id, t.state,"                       \
	" coalesce((SELECT to_state FROM audit a WHERE a.object = '" machine          \
	"' AND a.object_id = t.id AND a.to_state <> '' ORDER BY a.id DESC LIMIT 1),"  \
	" 'nothing')) FROM " table                                                    \
	" t WHERE t.state IS NOT (SELECT to_state FROM audit a"                       \
	" WHERE a.object = '" machine "' AND a.object_id = t.id AND a.to_state <> ''" \
	" ORDER BY a.id DESC LIMIT 1) LIMIT ?"

static const struct {
	const char *id;
	const char *sql; /* one parameter: how many rows at most */
} statements[] = {
	{ "I1", "SELECT printf('delivery %d is accepted and has no event', d.id) FROM"
		" deliveries d"
		" WHERE d.state = 'accepted' AND NOT EXISTS (SELECT 1 FROM events e WHERE"
		" e.delivery_id = d.id) LIMIT ?" },
	{ "I1", "SELECT printf('event %d is planned and has no run', e.id) FROM events"
		" e WHERE"
		" e.state = 'planned' AND NOT EXISTS (SELECT 1 FROM runs r WHERE"
		" r.event_id = e.id) LIMIT ?" },
	{ "I1", "SELECT printf('event %d is %s and has run %d', e.id, e.state, r.id)"
		" FROM events e"
		" JOIN runs r ON r.event_id = e.id WHERE e.state <> 'planned' LIMIT ?" },
	{ "I1", "SELECT printf('event %d has several runs of %s', event_id,"
		" workflow_path) FROM"
		" runs GROUP BY event_id, workflow_path HAVING count(*) > 1 LIMIT ?" },

	{ "I2", "SELECT printf('job %d is %s without an epoch', id, state) FROM jobs"
		" WHERE state IN"
		" ('claimed', 'released', 'running', 'finalising', 'cancelling',"
		" 'lost') AND"
		" (epoch = 0 OR tries = 0) AND reason <> 'restored' AND NOT EXISTS"
		" (SELECT 1 FROM"
		" audit a WHERE a.object = 'job' AND a.object_id = jobs.id AND"
		" a.actor = 'restore') LIMIT ?" },

	{ "I3", "SELECT printf('job %d runs at most once and was released %d times',"
		" id, releases)"
		" FROM jobs WHERE is_once = 1 AND releases > 1 LIMIT ?" },
	{ "I3", "SELECT printf('job %d runs at most once, the audit log has %d"
		" releases', j.id,"
		" count(*)) FROM jobs j JOIN audit a ON a.object = 'job' AND"
		" a.object_id = j.id"
		" AND a.to_state = 'released' WHERE j.is_once = 1 GROUP BY j.id"
		" HAVING count(*) > 1 LIMIT ?" },

	{ "I4", "SELECT printf('job %d is %s in an attempt that is over', j.id,"
		" j.state) FROM jobs j"
		" JOIN runs r ON r.id = j.run_id WHERE j.state <> 'completed' AND"
		" (r.attempt <> j.attempt OR r.state = 'completed') LIMIT ?" },
	{ "I4", "SELECT printf('run %d is %s, but all its jobs have ended', r.id,"
		" r.state) FROM runs"
		" r WHERE r.state <> 'completed' AND NOT EXISTS (SELECT 1 FROM jobs j"
		" WHERE"
		" j.run_id = r.id AND j.attempt = r.attempt AND j.state <> 'completed')"
		" LIMIT ?" },
	{ "I4", "SELECT printf('concurrency group %s has one who waits and none who"
		" runs', grp) FROM"
		" concurrency GROUP BY repo_id, grp HAVING max(is_running) = 0 LIMIT ?" },
	{ "I4", "SELECT printf('run %d has ended and still holds group %s', c.owner_id,"
		" c.grp) FROM"
		" concurrency c JOIN runs r ON c.kind = 'run' AND r.id = c.owner_id WHERE"
		" r.state = 'completed' LIMIT ?" },
	{ "I4", "SELECT printf('job %d has ended and still holds group %s', c.owner_id,"
		" c.grp) FROM"
		" concurrency c JOIN jobs j ON c.kind = 'job' AND j.id = c.owner_id WHERE"
		" j.state = 'completed' LIMIT ?" },
	{ "I4", "SELECT printf('job %d waits at gate %d, which is %s', j.id, g.id,"
		" g.state) FROM"
		" jobs j JOIN gates g ON g.id = j.gate_id WHERE j.state ="
		" 'awaiting_approval'"
		" AND g.state <> 'pending' LIMIT ?" },

	{ "I5", "SELECT printf('job %d is %s with conclusion ''%s''', id, state,"
		" conclusion) FROM"
		" jobs WHERE (state = 'completed') <> (conclusion <> '') LIMIT ?" },
	{ "I5", "SELECT printf('run %d is %s with conclusion ''%s''', id, state,"
		" conclusion) FROM"
		" runs WHERE (state = 'completed') <> (conclusion <> '') LIMIT ?" },
	{ "I5", "SELECT printf('job %d had ended and became %s', object_id, to_state)"
		" FROM audit"
		" WHERE object = 'job' AND from_state = 'completed' LIMIT ?" },
	{ "I5", "SELECT printf('run %d had ended and became %s', object_id, to_state)"
		" FROM audit"
		" WHERE object = 'run' AND from_state = 'completed' AND to_state <>"
		" 'pending'"
		" LIMIT ?" },
	{ "I5", "SELECT printf('gate %d was %s and became %s', object_id, from_state,"
		" to_state) FROM"
		" audit WHERE object = 'gate' AND from_state NOT IN ('', 'pending') AND"
		" NOT"
		" (from_state = 'approved' AND to_state = 'void') LIMIT ?" },

	{ "I6", "SELECT printf('run %d job %s passed gate %d without an approved row"
		" for digest"
		" %.4s...', j.run_id, j.node, j.gate_id, r.workflow_digest) FROM jobs j"
		" JOIN runs r"
		" ON r.id = j.run_id WHERE j.environment <> '' AND j.releases > 0 AND"
		" j.carried_from = 0 AND NOT EXISTS (SELECT 1 FROM gates g WHERE g.id ="
		" j.gate_id"
		" AND g.run_id = j.run_id AND g.attempt = j.attempt AND g.sha = r.sha AND"
		" g.digest = r.workflow_digest AND g.environment = j.environment AND"
		" EXISTS"
		" (SELECT 1 FROM audit a WHERE a.object = 'gate' AND a.object_id = g.id"
		" AND"
		" a.to_state = 'approved')) LIMIT ?" },
	{ "I6", "SELECT printf('run %d job %s passed a fork''s gate that was not"
		" approved',"
		" j.run_id, j.node) FROM jobs j JOIN runs r ON r.id = j.run_id WHERE"
		" r.needs_maintainer = 1 AND j.releases > 0 AND NOT EXISTS (SELECT 1"
		" FROM gates g"
		" JOIN audit a ON a.object = 'gate' AND a.object_id = g.id AND"
		" a.to_state = 'approved' WHERE g.run_id = j.run_id AND g.attempt ="
		" j.attempt AND"
		" g.environment = '') LIMIT ?" },
	{ "I6", "SELECT printf('gate %d was approved with %d of %d votes', g.id,"
		" (SELECT count(*)"
		" FROM votes v WHERE v.gate_id = g.id AND v.decision = 'approve'),"
		" g.required)"
		" FROM gates g WHERE g.state = 'approved' AND (SELECT count(*) FROM"
		" votes v WHERE"
		" v.gate_id = g.id AND v.decision = 'approve') < g.required LIMIT ?" },

	{ "I7", "SELECT printf('secrets were opened for job %d of untrusted run %d',"
		" a.object_id,"
		" r.id) FROM audit a JOIN runs r ON r.id = a.run_id WHERE"
		" a.verb = 'secret.decrypt' AND r.trust <> 'trusted' LIMIT ?" },
	{ "I7", "SELECT printf('secrets were opened for job %d before its release',"
		" a.object_id)"
		" FROM audit a WHERE a.verb = 'secret.decrypt' AND NOT EXISTS (SELECT 1"
		" FROM"
		" audit b WHERE b.object = 'job' AND b.object_id = a.object_id AND"
		" b.to_state = 'released' AND b.id < a.id) LIMIT ?" },

	{ "I8", "SELECT printf('job %d has ended and its log of %d bytes is not"
		" sealed', id,"
		" log_size) FROM jobs WHERE state = 'completed' AND outcome <> '' AND"
		" log_size > 0 AND log_sha256 = '' AND carried_from = 0 LIMIT ?" },
	{ "I8", "SELECT printf('job %d has ended and its step %d is %s', j.id,"
		" p.number, p.state)"
		" FROM jobs j JOIN steps p ON p.job_id = j.id WHERE j.state ="
		" 'completed' AND"
		" j.outcome <> '' AND p.state <> 'completed' LIMIT ?" },
	{ "I8", "SELECT printf('job %d has ended and deployment %d is in progress',"
		" j.id, d.id) FROM"
		" jobs j JOIN deployments d ON d.job_id = j.id WHERE j.state ="
		" 'completed' AND"
		" d.state IN ('in_progress', 'lost') LIMIT ?" },

	{ "I9", LAST_STATE("delivery", "deliveries") },
	{ "I9", LAST_STATE("event", "events") },
	{ "I9", LAST_STATE("run", "runs") },
	{ "I9", LAST_STATE("job", "jobs") },
	{ "I9", LAST_STATE("gate", "gates") },

	{ "I10",
		"SELECT printf('artifact %d names a blob nobody knows', a.id) FROM"
		" artifacts a WHERE"
		" NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = a.digest) LIMIT ?" },
	{ "I10", "SELECT printf('a summary of job %d names a blob nobody knows',"
		 " u.job_id) FROM"
		 " summaries u WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest ="
		 " u.digest)"
		 " LIMIT ?" },
	{ "I10", "SELECT printf('artifact %d has %d bytes, its blob %d', a.id, a.size,"
		 " b.size) FROM"
		 " artifacts a JOIN blobs b ON b.digest = a.digest WHERE a.size <>"
		 " b.size LIMIT ?" },

	{ "I11", "SELECT printf('job %d is success, its exit record says ''%s''', id,"
		 " outcome) FROM"
		 " jobs WHERE conclusion = 'success' AND releases > 0 AND carried_from ="
		 " 0 AND"
		 " outcome <> 'success' AND NOT EXISTS (SELECT 1 FROM audit a WHERE"
		 " a.object = 'job' AND a.object_id = jobs.id AND a.from_state = 'lost')"
		 " LIMIT ?" },
	{ "I11", "SELECT printf('job %d is success, its step %d is failure', j.id,"
		 " p.number) FROM"
		 " jobs j JOIN steps p ON p.job_id = j.id WHERE j.outcome = 'success' AND"
		 " j.conclusion = 'success' AND p.conclusion = 'failure' LIMIT ?" },

	{ "I12", "SELECT printf('context %s has %d unsent words', context, count(*))"
		 " FROM outbox"
		 " WHERE sent_at = 0 AND failed_at = 0 GROUP BY context HAVING count(*)"
		 " > 1"
		 " LIMIT ?" },
	{ "I12", "SELECT printf('context %s: word %d was sent after word %d', a.context,"
		 " a.id, b.id)"
		 " FROM outbox a JOIN outbox b ON b.context = a.context AND b.id > a.id"
		 " WHERE"
		 " a.sent_at > b.sent_at AND b.sent_at <> 0 LIMIT ?" },
};

const char *check_invariant_id(int i)
{
	return i >= 0 && i < (int)ARRAY_SIZE(invariants) ? invariants[i].id : NULL;
}

const char *check_invariant_text(int i)
{
	return i >= 0 && i < (int)ARRAY_SIZE(invariants) ? invariants[i].text : NULL;
}

struct checker {
	struct store *s;
	check_finding_fn *fn;
	void *data;
};

static void report(const struct checker *c, const char *id, const char *text)
{
	const struct check_finding f = { id, text };

	if (c->fn)
		c->fn(&f, c->data);
}

/* How many findings one statement gives. */
static int run_statement(
	const struct checker *c, const char *id, const char *sql, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int n = 0, got;

	if (db_query(c->s->db, &r, err, sql, I(LIMIT_CHECK_FINDINGS)))
		return -1;
	for (; (got = db_step(&r, err)) > 0; n++)
		report(c, id, db_str(&r, 0));
	return got < 0 ? -1 : n;
}

static int check_chain(const struct checker *c, int64_t *ret_rows, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	int64_t bad = 0;
	int whole = audit_verify(c->s, ret_rows, &bad, NULL, err);

	if (whole != 0)
		return whole < 0 ? -1 : 0;
	text = xasprintf(
		"audit row %lld does not follow from the one before it", (long long)bad);
	report(c, "I9", text);
	return 1;
}

static int check_invariant(
	const struct checker *c, const char *id, int64_t *audit_rows, struct err *err)
{
	int found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		int n;

		if (!str_eq(statements[i].id, id))
			continue;
		n = run_statement(c, id, statements[i].sql, err);
		if (n < 0)
			return err_wrap(err, "check %s", id);
		found += n;
	}
	if (str_eq(id, "I9")) {
		int n = check_chain(c, audit_rows, err);

		if (n < 0)
			return -1;
		found += n;
	}
	return found;
}

/* What SQLite itself checks: pages, indexes, foreign keys. */
static int check_database(
	const struct checker *c, enum check_flags flags, int *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(db_rows_done) struct db_rows f = DB_ROWS_INIT;
	int got;

	*ret = 0;
	if (db_query(c->s->db, &r, err,
		    (flags & CHECK_QUICK) ? "PRAGMA quick_check(20)"
					  : "PRAGMA integrity_check(20)"))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		if (str_eq(db_str(&r, 0), "ok"))
			continue;
		report(c, "database", db_str(&r, 0));
		++*ret;
	}
	if (got < 0 || db_query(c->s->db, &f, err, "PRAGMA foreign_key_check"))
		return -1;
	while (*ret < LIMIT_CHECK_FINDINGS && (got = db_step(&f, err)) > 0) {
		_cleanup_free_ char *text =
			xasprintf("row %lld of %s names a row of %s that is "
				  "not there",
				(long long)db_int(&f, 1), db_str(&f, 0), db_str(&f, 2));

		report(c, "database", text);
		++*ret;
	}
	return got < 0 ? -1 : 0;
}

int store_check(struct store *s, enum check_flags flags, check_finding_fn *fn, void *data,
	struct check_summary *ret, struct err *err)
{
	const struct checker c = { s, fn, data };
	struct check_summary sum = { .invariants = ARRAY_SIZE(invariants) };
	int bad = 0;

	if (check_database(&c, flags, &bad, err))
		return -1;
	sum.broken += bad > 0;
	for (size_t i = 0; i < ARRAY_SIZE(invariants); i++) {
		int n = check_invariant(&c, invariants[i].id, &sum.audit_rows, err);

		if (n < 0)
			return -1;
		sum.broken += n > 0;
	}
	if (db_value(s->db, &sum.runs, 0, err, "SELECT count(*) FROM runs") ||
		db_value(s->db, &sum.jobs, 0, err, "SELECT count(*) FROM jobs"))
		return -1;
	*ret = sum;
	return 0;
}

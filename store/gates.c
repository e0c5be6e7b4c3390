/* SPDX-License-Identifier: Apache-2.0 */
/* Gates: opened by jobs, decided by people, closed by time, cancellation and newer runs. */
#include "store/gates.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-internal.h"

/* ---- reading ----------------------------------------------------------------------- */

void gate_done(struct gate *g)
{
	free(g->environment);
	free(g->sha);
	free(g->digest);
	free(g->reviewers);
	free(g->decided_by);
	free(g->reason);
	*g = (struct gate){ 0 };
}

int gates_get(struct store *s, int64_t id, struct gate *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT id, run_id, repo_id, attempt, wave, state, environment, sha,"
		" digest,"
		" reviewers, required, (SELECT count(*) FROM votes v WHERE v.gate_id ="
		" gates.id"
		" AND v.decision = 'approve'), opens_at, expires_at, created_at,"
		" decided_at,"
		" decided_by, reason FROM gates WHERE id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no gate %lld",
					 (long long)id);
	*ret = (struct gate){
		.id = db_int(&r, 0),
		.run = db_int(&r, 1),
		.repo = db_int(&r, 2),
		.attempt = db_int(&r, 3),
		.wave = db_int(&r, 4),
		.state = (enum gate_state)state_parse(MACHINE_GATE, db_str(&r, 5)),
		.environment = col_dup(&r, 6),
		.sha = col_dup(&r, 7),
		.digest = col_dup(&r, 8),
		.reviewers = col_dup(&r, 9),
		.required = db_int(&r, 10),
		.approvals = db_int(&r, 11),
		.opens_at = db_int(&r, 12),
		.expires_at = db_int(&r, 13),
		.created_at = db_int(&r, 14),
		.decided_at = db_int(&r, 15),
		.decided_by = col_dup(&r, 16),
		.reason = col_dup(&r, 17),
	};
	return 0;
}

int gates_find(struct store *s, int64_t run, const char *environment, int64_t *ret_id,
	struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int64_t id;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT g.id FROM gates g JOIN runs r ON r.id = g.run_id"
		    " AND r.attempt = g.attempt WHERE g.run_id = ?1 AND g.state ="
		    " 'pending'"
		    " AND (?2 IS NULL OR g.environment = ?2) ORDER BY g.id DESC LIMIT 2",
		    I(run), S(environment)))
		return -1;
	got = db_step(&r, err);
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND,
					 "run %lld waits at no such gate",
					 (long long)run);
	id = db_int(&r, 0);
	got = db_step(&r, err);
	if (got > 0 && !environment)
		return err_set(err, ERR_INPUT,
			"run %lld waits at several gates: name one", (long long)run);
	if (got < 0)
		return -1;
	*ret_id = id;
	return 0;
}

/* ---- moving ------------------------------------------------------------------------ */

static int move_gate(struct store *s, const struct gate *g, enum gate_state to,
	const char *reason, const struct actor *who, const char *where, struct err *err)
{
	int64_t now = clock_wall_ms();
	const struct db_arg args[] = { I(now), S(who->name), S(reason ? reason : "") };
	struct state_move m = {
		.machine = MACHINE_GATE,
		.id = g->id,
		.from = GATE_PENDING,
		.to = to,
		.who = *who,
		.reason = reason,
		.run = g->run,
		.set = "decided_at = ?1, decided_by = ?2, reason = ?3",
		.where = where,
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};

	return state_move(s, &m, err);
}

/* The next job waiting at a gate after AFTER, 0 none. */
static int next_job(
	struct store *s, int64_t gate, int64_t after, int64_t *ret, struct err *err)
{
	return db_value(s->db, ret, 0, err,
		"SELECT min(id) FROM jobs WHERE gate_id = ? AND gate_id <> 0"
		" AND state = 'awaiting_approval' AND id > ?",
		I(gate), I(after));
}

static int queue_jobs(struct store *s, const struct gate *g, struct err *err)
{
	int64_t job = 0;

	for (;;) {
		const struct db_arg args[] = { I(clock_wall_ms()) };
		struct state_move m = {
			.machine = MACHINE_JOB,
			.from = JOB_AWAITING_APPROVAL,
			.to = JOB_QUEUED,
			.who = ACTOR_CORE,
			.run = g->run,
			.set = "queued_at = ?1, reason = ''",
			.args = args,
			.args_len = 1,
		};

		if (next_job(s, g->id, job, &job, err))
			return -1;
		if (!job)
			return 0;
		m.id = m.job = job;
		if (db_value(s->db, &m.epoch, 0, err,
			    "SELECT epoch FROM jobs WHERE id = ?", I(job)) ||
			state_move(s, &m, err))
			return -1;
	}
}

static int end_jobs(struct store *s, const struct gate *g, enum conclusion c,
	const char *reason, const struct actor *who, struct err *err)
{
	int64_t job = 0, epoch;

	for (;;) {
		if (next_job(s, g->id, job, &job, err))
			return -1;
		if (!job)
			return 0;
		if (db_value(s->db, &epoch, 0, err, "SELECT epoch FROM jobs WHERE id = ?",
			    I(job)) ||
			jobs_end(s, job, epoch, JOB_AWAITING_APPROVAL, c, reason, who,
				err))
			return -1;
	}
}

/* What an end of each kind means for those who wait: a refusal fails, an overtaking cancels. */
static enum conclusion end_of(enum gate_state state)
{
	return state == GATE_SUPERSEDED || state == GATE_VOID ? CONCLUSION_CANCELLED
							      : CONCLUSION_FAILURE;
}

static int close_gate(struct store *s, const struct gate *g, enum gate_state to,
	const char *reason, const struct actor *who, struct err *err)
{
	if (move_gate(s, g, to, reason, who, NULL, err) ||
		end_jobs(s, g, end_of(to), reason, who, err))
		return -1;
	/* A maintainer's gate holds the whole run. */
	if (*g->environment == '\0' && to != GATE_VOID)
		return runs_cancel(s, g->run, reason, true, who, err);
	return to == GATE_VOID ? 0 : runs_refresh(s, g->run, err);
}

static int open_gate(struct store *s, const struct gate *g, const struct actor *who,
	const char *reason, struct err *err)
{
	/* In the predicate, so that no click can overtake the clock (SECURITY AP06). */
	if (move_gate(s, g, GATE_APPROVED, reason, who,
		    "expires_at = 0 OR expires_at > ?1", err))
		return -1;
	FP("gate.approved");
	if (*g->environment == '\0')
		return runs_admit(s, g->run, err);
	return queue_jobs(s, g, err) || runs_refresh(s, g->run, err) ? -1 : 0;
}

/* ---- votes that count -------------------------------------------------------------- */

/* Rules as they are now: whoever is no reviewer any more does not count any more. */
static int rules_now(
	struct store *s, const struct gate *g, struct env_rules *ret, struct err *err)
{
	if (*g->environment)
		return environments_rules(s, g->repo, g->environment, ret, err);
	*ret = (struct env_rules){ .reviewers = STRVEC_INIT,
		.branches = STRVEC_INIT,
		.tags = STRVEC_INIT,
		.required = 1 };
	strvec_push(&ret->reviewers, "*");
	return 0;
}

static bool is_reviewer(const struct env_rules *r, const char *principal, bool has_scope)
{
	strvec_foreach (name, &r->reviewers) {
		if (str_eq(*name, "*") && has_scope)
			return true;
		if (strcasecmp(*name, principal) == 0)
			return true;
	}
	return false;
}

static int count_votes(struct store *s, const struct gate *g,
	const struct env_rules *rules, int64_t *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int64_t n = 0;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT principal, has_scope, EXISTS (SELECT 1 FROM run_identities"
		    " i WHERE"
		    " i.run_id = ?1 AND i.principal = votes.principal) FROM votes"
		    " WHERE gate_id = ?2 AND decision = 'approve'",
		    I(g->run), I(g->id)))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		if (is_reviewer(rules, db_str(&r, 0), db_int(&r, 1) != 0) &&
			(rules->self_approval || db_int(&r, 2) == 0))
			n++;
	*ret = n;
	return got;
}

/* *RET: votes suffice by the rules of then and of now. */
static int has_enough(struct store *s, const struct gate *g, int64_t *ret_votes,
	bool *ret, struct err *err)
{
	_cleanup_(env_rules_done) struct env_rules rules = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	int64_t votes;

	if (rules_now(s, g, &rules, err) || count_votes(s, g, &rules, &votes, err))
		return -1;
	*ret = votes >= g->required && votes >= rules.required;
	if (ret_votes)
		*ret_votes = votes;
	return 0;
}

/* ---- opening ----------------------------------------------------------------------- */

struct gate_wish {
	int64_t run;
	int64_t repo;
	int64_t attempt;
	char *environment;
	char *sha;
	char *digest;
};

static void gate_wish_done(struct gate_wish *w)
{
	free(w->environment);
	free(w->sha);
	free(w->digest);
}

/* 1 joined, 0 a new one is needed, -1. A gate born open lets later rows through as well. */
static int join(struct store *s, const struct gate_wish *w, int64_t *ret_gate,
	enum gate_state *ret_state, int64_t *ret_wave, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT id, state, wave, required, opens_at FROM gates WHERE run_id = ?"
		" AND attempt = ? AND environment = ? ORDER BY wave DESC LIMIT 1",
		I(w->run), I(w->attempt), S(w->environment));
	bool is_pending, is_free;

	*ret_wave = 1;
	if (got <= 0)
		return got;
	is_pending = str_eq(db_str(&r, 1), "pending");
	is_free = str_eq(db_str(&r, 1), "approved") && db_int(&r, 3) == 0 &&
		  db_int(&r, 4) == 0;
	*ret_wave = db_int(&r, 2) + 1;
	if (!is_pending && !is_free)
		return 0;
	*ret_gate = db_int(&r, 0);
	*ret_state = is_pending ? GATE_PENDING : GATE_APPROVED;
	return 1;
}

static int insert_gate(struct store *s, const struct gate_wish *w, int64_t wave,
	const struct env_rules *rules, int64_t *ret_gate, enum gate_state *ret_state,
	struct err *err)
{
	_cleanup_(json_freep) struct json *reviewers = json_new_array();
	_cleanup_free_ char *text = NULL;
	bool is_free = rules->required == 0 && rules->wait_ms == 0;
	enum gate_state state = is_free ? GATE_APPROVED : GATE_PENDING;
	int64_t now = clock_wall_ms();
	struct state_move born = {
		.machine = MACHINE_GATE,
		.to = state,
		.who = ACTOR_CORE,
		.reason = is_free ? "its rules ask for nobody" : NULL,
		.run = w->run,
	};

	strvec_foreach (name, &rules->reviewers)
		json_push_str(reviewers, *name);
	text = json_text(reviewers);
	if (db_run(s->db, err,
		    "INSERT INTO gates (run_id, repo_id, attempt, environment, wave,"
		    " state, sha,"
		    " digest, reviewers, required, self_approval, opens_at, expires_at,"
		    " created_at, decided_at, decided_by, changed_at)"
		    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		    I(w->run), I(w->repo), I(w->attempt), S(w->environment), I(wave),
		    S(state_name(MACHINE_GATE, state)), S(w->sha), S(w->digest), S(text),
		    I(rules->required), I(rules->self_approval),
		    I(rules->wait_ms ? now + rules->wait_ms : 0),
		    I(rules->expires_ms ? now + rules->wait_ms + rules->expires_ms : 0),
		    I(now), I(is_free ? now : 0), S(is_free ? "rules" : ""), I(now)))
		return -1;
	born.id = *ret_gate = db_last_id(s->db);
	*ret_state = state;
	return state_born(s, &born, err);
}

/* Older commits of the same workflow and ref at the same environment have been overtaken. */
static int supersede(struct store *s, const struct gate_wish *w, struct err *err)
{
	for (;;) {
		_cleanup_(gate_done) struct gate g = { 0 };
		_cleanup_free_ char *reason = NULL;
		const struct actor core = ACTOR_CORE;
		int64_t old;

		if (db_value(s->db, &old, 0, err,
			    "SELECT g.id FROM gates g JOIN runs o ON o.id = g.run_id,"
			    " runs n WHERE n.id = ?1 AND g.state = 'pending' AND"
			    " g.repo_id = ?2"
			    " AND g.environment = ?3 AND o.id < n.id AND o.sha <> n.sha"
			    " AND o.workflow_path = n.workflow_path AND o.ref = n.ref"
			    " LIMIT 1",
			    I(w->run), I(w->repo), S(w->environment)))
			return -1;
		if (!old)
			return 0;
		reason = xasprintf(
			"superseded by run %lld (%.7s)", (long long)w->run, w->sha);
		if (gates_get(s, old, &g, err) ||
			close_gate(s, &g, GATE_SUPERSEDED, reason, &core, err))
			return -1;
	}
}

static int open_or_join(struct store *s, const struct gate_wish *w,
	const struct env_rules *rules, int64_t *ret_gate, enum gate_state *ret_state,
	struct err *err)
{
	int64_t wave;
	int got = join(s, w, ret_gate, ret_state, &wave, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	if (insert_gate(s, w, wave, rules, ret_gate, ret_state, err))
		return -1;
	return *w->environment ? supersede(s, w, err) : 0;
}

int gates_open(struct store *s, int64_t job, int64_t *ret_gate,
	enum gate_state *ret_state, struct err *err)
{
	_cleanup_(gate_wish_done) struct gate_wish w = { 0 };
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(env_rules_done) struct env_rules rules = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	int got = db_first(s->db, &r, err,
		"SELECT j.run_id, j.repo_id, j.attempt, j.environment, r.sha,"
		" r.workflow_digest,"
		" r.ref FROM jobs j JOIN runs r ON r.id = j.run_id WHERE j.id = ?",
		I(job));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no job %lld",
					 (long long)job);
	w = (struct gate_wish){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2),
		col_dup(&r, 3), col_dup(&r, 4), col_dup(&r, 5) };
	if (environments_rules(s, w.repo, w.environment, &rules, err))
		return -1;
	if (!env_rules_allow_ref(&rules, db_str(&r, 6)))
		return err_set(err, ERR_DENIED,
			"environment '%s' refuses '%s': none of its "
			"rules names it",
			w.environment, db_str(&r, 6));
	return open_or_join(s, &w, &rules, ret_gate, ret_state, err);
}

int gates_maintainer(
	struct store *s, int64_t run, enum gate_state *ret_state, struct err *err)
{
	_cleanup_(gate_wish_done) struct gate_wish w = { 0 };
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(env_rules_done) struct env_rules rules = { .reviewers = STRVEC_INIT,
		.branches = STRVEC_INIT,
		.tags = STRVEC_INIT,
		.required = 1,
		.expires_ms = 30LL * 24 * 3600 * 1000 };
	int64_t gate;
	int got = db_first(s->db, &r, err,
		"SELECT r.repo_id, r.attempt, r.sha, r.workflow_digest, g.state FROM"
		" runs r"
		" LEFT JOIN gates g ON g.run_id = r.id AND g.attempt = r.attempt"
		" AND g.environment = '' WHERE r.id = ?",
		I(run));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no run %lld",
					 (long long)run);
	if (!db_is_null(&r, 4)) {
		*ret_state = (enum gate_state)state_parse(MACHINE_GATE, db_str(&r, 4));
		return 0;
	}
	w = (struct gate_wish){ run, db_int(&r, 0), db_int(&r, 1), xstrdup(""),
		col_dup(&r, 2), col_dup(&r, 3) };
	strvec_push(&rules.reviewers, "*");
	return open_or_join(s, &w, &rules, &gate, ret_state, err);
}

int gates_close_run(struct store *s, int64_t run, enum gate_state to, const char *reason,
	const struct actor *who, struct err *err)
{
	for (;;) {
		_cleanup_(gate_done) struct gate g = { 0 };
		int64_t id;

		if (db_value(s->db, &id, 0, err,
			    "SELECT id FROM gates WHERE run_id = ? AND state ="
			    " 'pending' LIMIT 1",
			    I(run)))
			return -1;
		if (!id)
			return 0;
		if (gates_get(s, id, &g, err) || close_gate(s, &g, to, reason, who, err))
			return -1;
	}
}

/* ---- voting ------------------------------------------------------------------------ */

static int check_pending(const struct gate *g, struct err *err)
{
	if (g->state != GATE_PENDING)
		return err_set(err, ERR_CONFLICT, "gate %lld of run %lld is %s%s%s: %s",
			(long long)g->id, (long long)g->run,
			state_name(MACHINE_GATE, g->state), *g->decided_by ? " by " : "",
			g->decided_by, *g->reason ? g->reason : "nothing was changed");
	if (g->expires_at && g->expires_at <= clock_wall_ms())
		return err_set(err, ERR_CONFLICT, "gate %lld of run %lld has expired",
			(long long)g->id, (long long)g->run);
	return 0;
}

/* What the voter saw has to be what would run now (SECURITY AP02). */
static int check_seen(const struct gate *g, const struct gate_vote *v, struct err *err)
{
	if (!v->digest || !*v->digest)
		return err_set(err, ERR_INPUT,
			"a vote names the workflow digest that was shown: 'digest' of gate %lld "
			"is missing",
			(long long)g->id);
	if (!str_eq(v->digest, g->digest))
		return err_set(err, ERR_CONFLICT,
			"the workflow of gate %lld is not the one that was shown",
			(long long)g->id);
	if (v->sha && !str_eq(v->sha, g->sha))
		return err_set(err, ERR_CONFLICT,
			"the commit of gate %lld is not the one that was shown",
			(long long)g->id);
	return 0;
}

static int use_nonce(struct store *s, const struct gate_vote *v, struct err *err)
{
	struct err why = ERR_INIT;

	if (!v->nonce)
		return 0;
	if (db_run(s->db, &why, "INSERT INTO nonces VALUES (?,?,?)", S(v->who.name),
		    S(v->nonce), I(v->nonce_expires)) == 0)
		return 0;
	return why.code == ERR_CONFLICT
		       ? err_set(err, ERR_CONFLICT,
				 "this call was made before (same nonce)")
		       : err_set(err, why.code, "%s", why.msg);
}

static int check_voter(
	struct store *s, const struct gate *g, const struct gate_vote *v, struct err *err)
{
	_cleanup_(env_rules_done) struct env_rules rules = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	int64_t is_own;

	if (rules_now(s, g, &rules, err) ||
		db_value(s->db, &is_own, 0, err,
			"SELECT count(*) FROM run_identities WHERE run_id = ? AND"
			" principal = ?",
			I(g->run), S(v->who.name)))
		return -1;
	if (!is_reviewer(&rules, v->who.name, v->has_scope))
		return err_set(err, ERR_DENIED, "'%.64s' is no reviewer of %s%s",
			v->who.name, *g->environment ? "environment " : "this run",
			g->environment);
	if (is_own && !rules.self_approval && v->approves)
		return err_set(err, ERR_DENIED,
			"'%.64s' had a part in run %lld: somebody else has to approve it",
			v->who.name, (long long)g->run);
	return 0;
}

static int insert_vote(struct store *s, const struct gate_vote *v, struct err *err)
{
	struct err why = ERR_INIT;

	if (db_run(s->db, &why,
		    "INSERT INTO votes (gate_id, principal, has_scope, decision,"
		    " comment, at)"
		    " VALUES (?,?,?,?,?,?)",
		    I(v->gate), S(v->who.name), I(v->has_scope),
		    S(v->approves ? "approve" : "reject"),
		    S(v->comment ? v->comment : ""), I(clock_wall_ms())) == 0)
		return 0;
	return why.code == ERR_CONFLICT
		       ? err_set(err, ERR_CONFLICT,
				 "'%.64s' has voted at gate %lld already", v->who.name,
				 (long long)v->gate)
		       : err_set(err, why.code, "%s", why.msg);
}

static int audit_vote(
	struct store *s, const struct gate *g, const struct gate_vote *v, struct err *err)
{
	_cleanup_(json_freep) struct json *detail = json_new_object();

	json_set_str(detail, "decision", v->approves ? "approve" : "reject");
	json_set_str(detail, "comment", v->comment ? v->comment : "");
	json_set_str(detail, "environment", g->environment);
	json_set_str(detail, "sha", g->sha);
	json_set_str(detail, "digest", g->digest);
	store_touch(s, g->run, 0, g->id, 0);
	return audit_add(s, &v->who, "gate.vote", "gate", g->id, g->run, detail, err);
}

static int decide(struct store *s, const struct gate *g, const struct gate_vote *v,
	struct gate_result *ret, struct err *err)
{
	bool enough;

	*ret = (struct gate_result){ GATE_PENDING, 0, g->required, 0 };
	if (has_enough(s, g, &ret->approvals, &enough, err))
		return -1;
	if (!v->approves) {
		_cleanup_free_ char *why = xasprintf("rejected by %s%s%s", v->who.name,
			v->comment && *v->comment ? ": " : "",
			v->comment ? v->comment : "");

		ret->state = GATE_REJECTED;
		return close_gate(s, g, GATE_REJECTED, why, &v->who, err);
	}
	if (!enough)
		return 0;
	if (g->opens_at > clock_wall_ms()) {
		ret->opens_at = g->opens_at;
		return 0;
	}
	ret->state = GATE_APPROVED;
	return open_gate(s, g, &v->who, v->comment, err);
}

int gates_vote(struct store *s, const struct gate_vote *v, struct gate_result *ret,
	struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(gate_done) struct gate g = { 0 };
	struct gate_result result;

	if (store_begin(&tx, s, err) || gates_get(s, v->gate, &g, err))
		return -1;
	if (check_pending(&g, err) || check_seen(&g, v, err) || use_nonce(s, v, err) ||
		check_voter(s, &g, v, err) || insert_vote(s, v, err) ||
		audit_vote(s, &g, v, err))
		return -1;
	FP("gate.vote.inserted");
	if (decide(s, &g, v, &result, err) || store_commit(&tx, err))
		return -1;
	*ret = result;
	return 0;
}

/* ---- release ----------------------------------------------------------------------- */

int gates_permit(
	struct store *s, int64_t gate, int64_t run, int64_t attempt, struct err *err)
{
	_cleanup_(gate_done) struct gate g = { 0 };
	int64_t same;
	bool enough;

	if (gates_get(s, gate, &g, err))
		return -1;
	if (g.state != GATE_APPROVED)
		return err_set(err, ERR_DENIED, "its gate is %s",
			state_name(MACHINE_GATE, g.state));
	if (g.expires_at && g.expires_at <= clock_wall_ms())
		return err_set(err, ERR_DENIED, "the approval of its gate has expired");
	if (g.opens_at > clock_wall_ms())
		return err_set(err, ERR_DENIED, "its wait timer runs until later");
	if (db_value(s->db, &same, 0, err,
		    "SELECT count(*) FROM runs WHERE id = ? AND attempt = ? AND sha = ?"
		    " AND workflow_digest = ?",
		    I(run), I(attempt), S(g.sha), S(g.digest)))
		return -1;
	if (!same || g.run != run || g.attempt != attempt)
		return err_set(err, ERR_DENIED, "its gate was opened for something else");
	if (has_enough(s, &g, NULL, &enough, err))
		return -1;
	return enough ? 0
		      : err_set(err, ERR_DENIED,
				"its approvals no longer count: reviewers were changed");
}

/* ---- time -------------------------------------------------------------------------- */

static int expire(struct store *s, int64_t now, struct err *err)
{
	for (;;) {
		_cleanup_(gate_done) struct gate g = { 0 };
		const struct actor core = ACTOR_CORE;
		int64_t id;

		if (db_value(s->db, &id, 0, err,
			    "SELECT id FROM gates WHERE state = 'pending' AND"
			    " expires_at <> 0"
			    " AND expires_at <= ? LIMIT 1",
			    I(now)))
			return -1;
		if (!id)
			return 0;
		if (gates_get(s, id, &g, err) ||
			close_gate(s, &g, GATE_EXPIRED, "nobody approved it in time",
				&core, err))
			return -1;
	}
}

static int open_timers(struct store *s, int64_t now, struct err *err)
{
	int64_t id = 0;

	for (;;) {
		_cleanup_(gate_done) struct gate g = { 0 };
		const struct actor core = ACTOR_CORE;
		bool enough;

		if (db_value(s->db, &id, 0, err,
			    "SELECT min(id) FROM gates WHERE state = 'pending' AND"
			    " opens_at <> 0"
			    " AND opens_at <= ? AND id > ?",
			    I(now), I(id)))
			return -1;
		if (!id)
			return 0;
		if (gates_get(s, id, &g, err) || has_enough(s, &g, NULL, &enough, err))
			return -1;
		if (enough && open_gate(s, &g, &core, "its wait timer has passed", err))
			return -1;
	}
}

int gates_tick(struct store *s, int64_t *ret_next, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	int64_t now = clock_wall_ms(), due, next;

	/* Cheap when nothing is due: no write transaction then. */
	if (db_value(s->db, &due, 0, err,
		    "SELECT count(*) FROM gates WHERE state = 'pending' AND"
		    " ((expires_at <> 0 AND expires_at <= ?1) OR"
		    " (opens_at <> 0 AND opens_at <= ?1))",
		    I(now)))
		return -1;
	if (due && (store_begin(&tx, s, err) || expire(s, now, err) ||
			   open_timers(s, now, err) || store_commit(&tx, err)))
		return -1;
	if (db_value(s->db, &next, 0, err,
		    "SELECT min(at) FROM (SELECT expires_at AS at FROM gates WHERE"
		    " state = 'pending' AND expires_at > ?1 UNION ALL SELECT opens_at"
		    " FROM gates"
		    " WHERE state = 'pending' AND opens_at > ?1)",
		    I(now)))
		return -1;
	*ret_next = next;
	return 0;
}

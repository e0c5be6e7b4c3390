/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#define TWO_OF_THREE \
	"{\"reviewers\": [\"mira\", \"lena\", \"key:demo\"], \"required\": 2}"
#define DAY_MS (24 * 3600 * 1000LL)

/* A run whose one job waits at the gate of production; *RET_JOB may be NULL. */
static int64_t gated(struct world *w, const char *rules, int64_t *ret_job)
{
	int64_t run, job;

	world_environment(w, "production", rules);
	run = world_run(w, "deploy");
	job = world_job(w, run, "deploy", 0);
	world_expand(w, job, &(struct world_rows){ .environment = "production" });
	if (ret_job)
		*ret_job = job;
	return run;
}

static void opens_with_the_last_vote_needed(void **state)
{
	struct world *w = *state;
	int64_t job, run = gated(w, TWO_OF_THREE, &job), gate = world_gate(w, run);
	struct gate_result r;
	_cleanup_(gate_done) struct gate g = { 0 };

	assert_int_equal(world_state(w, job), JOB_AWAITING_APPROVAL);
	assert_ok(world_vote(w, gate, &mira, true, &r), &w->err);
	assert_int_equal(r.state, GATE_PENDING);
	assert_int_equal(r.approvals, 1);
	assert_int_equal(r.required, 2);
	assert_int_equal(world_state(w, job), JOB_AWAITING_APPROVAL);
	assert_ok(world_vote(w, gate, &lena, true, &r), &w->err);
	assert_int_equal(r.state, GATE_APPROVED);
	assert_int_equal(world_state(w, job), JOB_QUEUED);
	assert_ok(gates_get(w->s, gate, &g, &w->err), &w->err);
	assert_string_equal(g.decided_by, "lena");
	assert_string_equal(g.sha, HEX_A);
	assert_string_equal(g.digest, DIGEST);
	world_check(w);
}

static void a_person_counts_once(void **state)
{
	struct world *w = *state;
	int64_t gate = world_gate(w, gated(w, TWO_OF_THREE, NULL));
	const struct actor other_case = { "user", "MIRA", NULL };

	assert_ok(world_vote(w, gate, &mira, true, NULL), &w->err);
	assert_int_equal(world_vote(w, gate, &mira, true, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "'mira' has voted at gate");
	assert_int_equal(world_vote(w, gate, &other_case, true, NULL), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	world_check(w);
}

static void strangers_and_identities_of_the_run_are_refused(void **state)
{
	struct world *w = *state;
	int64_t run = gated(w, "{\"reviewers\": [\"mira\", \"omar\"]}", NULL);
	int64_t gate = world_gate(w, run);

	assert_int_equal(world_vote(w, gate, &lena, true, NULL), -1);
	assert_err(
		&w->err, ERR_DENIED, "'lena' is no reviewer of environment production");
	/* omar pushed. */
	assert_int_equal(world_vote(w, gate, &omar, true, NULL), -1);
	assert_err_has(&w->err, ERR_DENIED, "'omar' had a part in run");
	assert_ok(runs_add_identity(w->s, run, "mira", &w->err), &w->err);
	assert_int_equal(world_vote(w, gate, &mira, true, NULL), -1);
	assert_err(&w->err, ERR_DENIED, NULL);
	/* Who had a part may still refuse. */
	assert_ok(world_vote(w, gate, &omar, false, NULL), &w->err);
	world_run_is(w, run, "failure");
	world_check(w);
}

static void self_approval_is_a_rule_that_can_be_set(void **state)
{
	struct world *w = *state;
	int64_t job,
		run = gated(
			w, "{\"reviewers\": [\"omar\"], \"self_approval\": true}", &job);

	assert_ok(world_vote(w, world_gate(w, run), &omar, true, NULL), &w->err);
	assert_int_equal(world_state(w, job), JOB_QUEUED);
	world_check(w);
}

static void anybody_means_anybody_with_the_scope(void **state)
{
	struct world *w = *state;
	int64_t gate = world_gate(w, gated(w, "{\"reviewers\": [\"*\"]}", NULL));
	struct gate_vote v = { .gate = gate, .who = lena, .approves = true, .digest = DIGEST };
	struct gate_result r;

	assert_int_equal(gates_vote(w->s, &v, &r, &w->err), -1);
	assert_err(&w->err, ERR_DENIED, NULL);
	v.has_scope = true;
	assert_ok(gates_vote(w->s, &v, &r, &w->err), &w->err);
	assert_int_equal(r.state, GATE_APPROVED);
	world_check(w);
}

static void a_refusal_ends_the_job_as_failure(void **state)
{
	struct world *w = *state;
	int64_t job, run = gated(w, TWO_OF_THREE, &job), gate = world_gate(w, run);
	const struct gate_vote v = {
		.gate = gate, .who = lena, .comment = "not on a Friday", .digest = DIGEST
	};
	_cleanup_(job_done) struct job j = { 0 };
	struct gate_result r;

	assert_ok(world_vote(w, gate, &mira, true, NULL), &w->err);
	assert_ok(gates_vote(w->s, &v, &r, &w->err), &w->err);
	assert_int_equal(r.state, GATE_REJECTED);
	assert_ok(jobs_get(w->s, job, &j, &w->err), &w->err);
	assert_int_equal(j.conclusion, CONCLUSION_FAILURE);
	assert_string_equal(j.reason, "rejected by lena: not on a Friday");
	assert_int_equal(world_vote(w, gate, &mira, true, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "is rejected by lena: rejected by lena");
	world_check(w);
}

static void what_was_shown_has_to_be_what_would_run(void **state)
{
	struct world *w = *state;
	int64_t gate = world_gate(w, gated(w, "{\"reviewers\": [\"mira\"]}", NULL));
	struct gate_vote v = {
		.gate = gate, .who = mira, .approves = true, .digest = "other"
	};
	struct gate_result r;

	assert_int_equal(gates_vote(w->s, &v, &r, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "not the one that was shown");
	v.digest = NULL;
	assert_int_equal(gates_vote(w->s, &v, &r, &w->err), -1);
	assert_err_has(&w->err, ERR_INPUT, "names the workflow digest that was shown");
	v.digest = DIGEST;
	v.sha = HEX_B;
	assert_int_equal(gates_vote(w->s, &v, &r, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "not the one that was shown");
	v.sha = HEX_A;
	assert_ok(gates_vote(w->s, &v, &r, &w->err), &w->err);
	world_check(w);
}

static void a_nonce_is_good_for_one_call(void **state)
{
	struct world *w = *state;
	int64_t gate = world_gate(w, gated(w, TWO_OF_THREE, NULL)), other;
	const struct actor key = { "key", "key:demo", NULL };
	struct gate_vote v = { .gate = gate,
		.who = key,
		.approves = true,
		.digest = DIGEST,
		.nonce = "n1",
		.nonce_expires = clock_wall_ms() + 600000 };
	struct gate_result r;

	assert_ok(gates_vote(w->s, &v, &r, &w->err), &w->err);
	other = world_gate(w, gated(w, TWO_OF_THREE, NULL));
	v.gate = other;
	assert_int_equal(gates_vote(w->s, &v, &r, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "same nonce");
	v.nonce = "n2";
	assert_ok(gates_vote(w->s, &v, &r, &w->err), &w->err);
	clock_skew_wall(700000);
	assert_ok(sessions_sweep(w->s, &w->err), &w->err);
	world_check(w);
}

static void rows_that_come_while_it_is_pending_join_later_ones_ask_again(void **state)
{
	struct world *w = *state;
	int64_t run, first, second;

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	run = world_run(w, "a b:a");
	world_expand(w, world_job(w, run, "a", 0),
		&(struct world_rows){ .len = 3, .environment = "production" });
	first = world_gate(w, run);
	assert_ok(world_vote(w, first, &mira, true, NULL), &w->err);
	for (int i = 0; i < 3; i++)
		world_finish(w, world_job(w, run, "a", i), CONCLUSION_SUCCESS);
	world_expand(w, world_job(w, run, "b", 0),
		&(struct world_rows){ .environment = "production" });
	second = world_gate(w, run);
	assert_int_not_equal(first, second);
	assert_ok(world_vote(w, second, &mira, true, NULL), &w->err);
	assert_int_equal(world_state(w, world_job(w, run, "b", 0)), JOB_QUEUED);
	world_check(w);
}

static void an_environment_without_reviewers_lets_pass_and_says_so(void **state)
{
	struct world *w = *state;
	int64_t job, run = gated(w, "{}", &job), epoch;
	_cleanup_(job_done) struct job j = { 0 };
	_cleanup_(gate_done) struct gate g = { 0 };

	assert_int_equal(world_state(w, job), JOB_QUEUED);
	assert_ok(jobs_get(w->s, job, &j, &w->err), &w->err);
	assert_ok(gates_get(w->s, j.gate, &g, &w->err), &w->err);
	assert_int_equal(g.state, GATE_APPROVED);
	assert_string_equal(g.decided_by, "rules");
	epoch = world_claim(w, job);
	assert_ok(world_try_release(w, job, epoch), &w->err);
	world_run_is(w, run, "running");
	world_check(w);
}

static void an_environment_nobody_set_up_asks_for_somebody(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "deploy"), job = world_job(w, run, "deploy", 0);

	world_expand(w, job, &(struct world_rows){ .environment = "unknown" });
	assert_int_equal(world_state(w, job), JOB_AWAITING_APPROVAL);
	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	assert_int_equal(world_state(w, job), JOB_QUEUED);
	world_check(w);
}

static const struct {
	const char *rules;
	const char *ref;
	bool is_allowed;
} refs[] = {
	{ "{}", "refs/heads/anything", true },
	{ "{\"branches\": [\"main\"]}", "refs/heads/main", true },
	{ "{\"branches\": [\"main\"]}", "refs/heads/mainly", false },
	{ "{\"branches\": [\"main\"]}", "refs/tags/main", false },
	{ "{\"branches\": [\"main\"]}", "refs/pull/1/merge", false },
	{ "{\"branches\": [\"release/*\"]}", "refs/heads/release/1", true },
	{ "{\"branches\": [\"*\"]}", "refs/heads/a/b", false },
	{ "{\"tags\": [\"v*\"]}", "refs/tags/v1.8.0", true },
	{ "{\"tags\": [\"v*\"]}", "refs/heads/v1", false },
	{ "{\"branches\": [], \"tags\": []}", "refs/heads/main", false },
};

static void a_ref_no_rule_names_is_refused(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		_cleanup_(env_rules_done) struct env_rules r = { 0 };
		_cleanup_(json_freep) struct json *j = NULL;

		assert_ok(json_parse(refs[i].rules, strlen(refs[i].rules), &j, &w->err),
			&w->err);
		assert_ok(env_rules_parse(j, &r, &w->err), &w->err);
		if (env_rules_allow_ref(&r, refs[i].ref) != refs[i].is_allowed)
			fail_msg("%s with %s", refs[i].ref, refs[i].rules);
	}
}

static void a_refused_ref_fails_the_job_with_the_rule(void **state)
{
	struct world *w = *state;
	int64_t job, run = gated(w, "{\"branches\": [\"stable\"]}", &job);
	_cleanup_(job_done) struct job j = { 0 };

	assert_ok(jobs_get(w->s, job, &j, &w->err), &w->err);
	assert_int_equal(j.conclusion, CONCLUSION_FAILURE);
	assert_string_equal(j.reason,
		"environment 'production' refuses 'refs/heads/main': none of its rules names it");
	world_run_is(w, run, "failure");
	world_check(w);
}

static const char *const bad_rules[] = {
	"[]",
	"{\"reviewers\": \"mira\"}",
	"{\"reviewers\": [1]}",
	"{\"required\": -1}",
	"{\"required\": 1.5}",
	"{\"required\": 3, \"reviewers\": [\"mira\"]}",
	"{\"required\": 1}",
	"{\"self_approval\": \"no\"}",
	"{\"wait_minutes\": 99999999}",
	"{\"reviewer\": [\"mira\"]}",
	"{\"url\": 1}",
};

static void rules_that_make_no_sense_are_refused(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad_rules); i++) {
		_cleanup_(json_freep) struct json *j = NULL;

		assert_ok(json_parse(bad_rules[i], strlen(bad_rules[i]), &j, &w->err),
			&w->err);
		if (environments_set(w->s, w->repo, "x", j, &mira, NULL, &w->err) == 0)
			fail_msg("accepted: %s", bad_rules[i]);
		assert_int_equal(w->err.code, ERR_INPUT);
	}
}

/* ---- time -------------------------------------------------------------------------- */

static void expires_by_the_clock_and_in_the_predicate(void **state)
{
	struct world *w = *state;
	int64_t job,
		run = gated(
			w, "{\"reviewers\": [\"mira\"], \"expires_minutes\": 60}", &job);
	int64_t gate = world_gate(w, run), next;

	assert_ok(gates_tick(w->s, &next, &w->err), &w->err);
	assert_true(
		next > clock_wall_ms() + 3500000 && next <= clock_wall_ms() + 3600000);
	clock_skew_wall(3600000);
	assert_int_equal(world_vote(w, gate, &mira, true, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "has expired");
	assert_int_equal(world_state(w, job), JOB_AWAITING_APPROVAL);
	assert_ok(gates_tick(w->s, &next, &w->err), &w->err);
	assert_int_equal(next, 0);
	assert_int_equal(world_conclusion(w, job), CONCLUSION_FAILURE);
	world_check(w);
}

static void a_wait_timer_holds_even_an_approved_gate(void **state)
{
	struct world *w = *state;
	int64_t job,
		run = gated(w, "{\"reviewers\": [\"mira\"], \"wait_minutes\": 5}", &job),
		next;
	struct gate_result r;

	assert_ok(world_vote(w, world_gate(w, run), &mira, true, &r), &w->err);
	assert_int_equal(r.state, GATE_PENDING);
	assert_true(r.opens_at > clock_wall_ms());
	assert_ok(gates_tick(w->s, &next, &w->err), &w->err);
	assert_int_equal(next, r.opens_at);
	assert_int_equal(world_state(w, job), JOB_AWAITING_APPROVAL);
	clock_skew_wall(301000);
	assert_ok(gates_tick(w->s, &next, &w->err), &w->err);
	assert_int_equal(world_state(w, job), JOB_QUEUED);
	world_check(w);
}

static void a_newer_commit_supersedes_an_older_gate(void **state)
{
	struct world *w = *state;
	int64_t old_job, old = gated(w, "{\"reviewers\": [\"mira\"]}", &old_job);
	int64_t old_gate = world_gate(w, old), run, other;

	/* Another workflow does not. */
	other = world_run_as(w, &(struct world_run){ .shape = "deploy",
					.trust = TRUST_TRUSTED,
					.sha = HEX_B,
					.path = ".github/workflows/other.yml" });
	world_expand(w, world_job(w, other, "deploy", 0),
		&(struct world_rows){ .environment = "production" });
	assert_int_equal(world_state(w, old_job), JOB_AWAITING_APPROVAL);
	run = world_run_as(
		w, &(struct world_run){
			   .shape = "deploy", .trust = TRUST_TRUSTED, .sha = HEX_B });
	world_expand(w, world_job(w, run, "deploy", 0),
		&(struct world_rows){ .environment = "production" });
	assert_int_equal(world_conclusion(w, old_job), CONCLUSION_CANCELLED);
	assert_int_equal(world_vote(w, old_gate, &mira, true, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "superseded by run 3 (bbbbbbb)");
	world_run_is(w, run, "waiting");
	world_check(w);
}

static void a_cancelled_run_closes_its_gates(void **state)
{
	struct world *w = *state;
	int64_t run = gated(w, TWO_OF_THREE, NULL), gate = world_gate(w, run);

	assert_ok(runs_cancel(w->s, run, "asked", false, &mira, &w->err), &w->err);
	assert_int_equal(world_vote(w, gate, &mira, true, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "is void");
	world_run_is(w, run, "cancelled");
	world_check(w);
}

/* ---- release ----------------------------------------------------------------------- */

static void release_looks_at_the_gate_again(void **state)
{
	struct world *w = *state;
	int64_t job, run = gated(w, "{\"reviewers\": [\"mira\", \"lena\"]}", &job), epoch;

	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	epoch = world_claim(w, job);
	/* mira is no reviewer any more: her approval no longer counts (SECURITY AP04). */
	world_environment(w, "production", "{\"reviewers\": [\"lena\"]}");
	assert_int_equal(world_try_release(w, job, epoch), -1);
	assert_err_has(&w->err, ERR_DENIED, "its approvals no longer count");
	world_environment(
		w, "production", "{\"reviewers\": [\"mira\"], \"branches\": [\"x\"]}");
	assert_int_equal(world_try_release(w, job, epoch), -1);
	assert_err_has(&w->err, ERR_DENIED, "refuses 'refs/heads/main'");
	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	clock_skew_wall(31 * DAY_MS);
	assert_int_equal(world_try_release(w, job, epoch), -1);
	assert_err_has(&w->err, ERR_DENIED, "has expired");
	clock_skew_wall(0);
	assert_ok(world_try_release(w, job, epoch), &w->err);
	world_check(w);
}

static void a_rerun_asks_again(void **state)
{
	struct world *w = *state;
	int64_t job, run = gated(w, "{\"reviewers\": [\"mira\"]}", &job), attempt;

	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	world_finish(w, job, CONCLUSION_FAILURE);
	assert_ok(runs_rerun(w->s, run, RERUN_FAILED, NULL, &lena, &attempt, &w->err),
		&w->err);
	job = world_job(w, run, "deploy", 0);
	assert_int_equal(world_state(w, job), JOB_AWAITING_APPROVAL);
	/* Whoever ran it again had a part in it. */
	world_environment(w, "production", "{\"reviewers\": [\"mira\", \"lena\"]}");
	assert_int_equal(world_vote(w, world_gate(w, run), &lena, true, NULL), -1);
	assert_err(&w->err, ERR_DENIED, NULL);
	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	assert_int_equal(world_state(w, job), JOB_QUEUED);
	world_check(w);
}

/* ---- forks ------------------------------------------------------------------------- */

static void a_forks_run_waits_for_a_maintainer_and_gets_no_secret(void **state)
{
	struct world *w = *state;
	int64_t run = world_run_as(w, &(struct world_run){ .shape = "a",
					      .trust = TRUST_UNTRUSTED,
					      .needs_maintainer = true });
	int64_t job = world_job(w, run, "a", 0), ids[2], epoch;
	static const char *const names[] = { "TOKEN", NULL };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	struct job_release r = { .secrets = names };

	assert_ok(secrets_set(w->s, w->repo, "", "TOKEN", "hush-hush", 9, &mira, &w->err),
		&w->err);
	world_run_is(w, run, "waiting");
	assert_int_equal(jobs_ready(w->s, 0, ids, 2, &w->err), 0);
	assert_int_equal(world_vote(w, world_gate(w, run), &omar, true, NULL), -1);
	assert_err(&w->err, ERR_DENIED, NULL);
	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	world_run_is(w, run, "queued");
	world_expand(w, job, NULL);
	epoch = world_claim(w, job);
	r.job = job;
	r.epoch = epoch;
	assert_ok(jobs_release(w->s, &r, &list, &w->err), &w->err);
	assert_int_equal(list.len, 0);
	world_check(w);
}

static void a_maintainer_who_refuses_ends_the_run(void **state)
{
	struct world *w = *state;
	int64_t run = world_run_as(w, &(struct world_run){ .shape = "a b:a",
					      .trust = TRUST_UNTRUSTED,
					      .needs_maintainer = true });

	assert_ok(world_vote(w, world_gate(w, run), &mira, false, NULL), &w->err);
	world_run_is(w, run, "cancelled");
	world_check(w);
}

/* Every order of two voters, cancel and expiry over one gate: one wins, the rest is told. */
static void one_of_many_deciders_wins_in_every_order(void **state)
{
	struct world *w = *state;

	for (int order = 0; order < 24; order++) {
		int64_t job,
			run = gated(w, "{\"reviewers\": [\"mira\", \"lena\"]}", &job);
		int64_t gate = world_gate(w, run), next;
		int left[4] = { 0, 1, 2, 3 }, x = order, first = -1;
		_cleanup_(gate_done) struct gate g = { 0 };
		static const enum gate_state wins[] = { GATE_APPROVED, GATE_REJECTED,
			GATE_VOID, GATE_EXPIRED };

		for (int n = 4; n > 0; n--) {
			int pick = x % n, what = left[pick];

			x /= n;
			memmove(&left[pick], &left[pick + 1],
				(size_t)(n - pick - 1) * sizeof(left[0]));
			if (first < 0)
				first = what;
			if (what == 0)
				(void)world_vote(w, gate, &mira, true, NULL);
			else if (what == 1)
				(void)world_vote(w, gate, &lena, false, NULL);
			else if (what == 2)
				(void)runs_cancel(w->s, run, "x", true, &mira, &w->err);
			else {
				clock_skew_wall(31 * DAY_MS);
				assert_ok(gates_tick(w->s, &next, &w->err), &w->err);
				clock_skew_wall(0);
			}
		}
		assert_ok(gates_get(w->s, gate, &g, &w->err), &w->err);
		assert_int_equal(g.state, wins[first]);
		if (first != 0)
			assert_int_equal(world_state(w, job), JOB_COMPLETED);
	}
	world_check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(opens_with_the_last_vote_needed),
		WORLD(a_person_counts_once),
		WORLD(strangers_and_identities_of_the_run_are_refused),
		WORLD(self_approval_is_a_rule_that_can_be_set),
		WORLD(anybody_means_anybody_with_the_scope),
		WORLD(a_refusal_ends_the_job_as_failure),
		WORLD(what_was_shown_has_to_be_what_would_run),
		WORLD(a_nonce_is_good_for_one_call),
		WORLD(rows_that_come_while_it_is_pending_join_later_ones_ask_again),
		WORLD(an_environment_without_reviewers_lets_pass_and_says_so),
		WORLD(an_environment_nobody_set_up_asks_for_somebody),
		WORLD(a_ref_no_rule_names_is_refused),
		WORLD(a_refused_ref_fails_the_job_with_the_rule),
		WORLD(rules_that_make_no_sense_are_refused),
		WORLD(expires_by_the_clock_and_in_the_predicate),
		WORLD(a_wait_timer_holds_even_an_approved_gate),
		WORLD(a_newer_commit_supersedes_an_older_gate),
		WORLD(a_cancelled_run_closes_its_gates),
		WORLD(release_looks_at_the_gate_again),
		WORLD(a_rerun_asks_again),
		WORLD(a_forks_run_waits_for_a_maintainer_and_gets_no_secret),
		WORLD(a_maintainer_who_refuses_ends_the_run),
		WORLD(one_of_many_deciders_wins_in_every_order),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}

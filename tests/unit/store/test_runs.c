/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

static void runs_are_numbered_in_their_repository(void **state)
{
	struct world *w = *state;
	_cleanup_(run_done) struct run r = { 0 };
	int64_t id, a = world_run(w, "a"), b = world_run(w, "a");

	assert_ok(runs_get(w->s, b, &r, &w->err), &w->err);
	assert_int_equal(r.number, 2);
	assert_int_equal(r.attempt, 1);
	assert_string_equal(r.repo_name, "acme/archive");
	assert_ok(runs_resolve(w->s, "acme/archive#1", &id, &w->err), &w->err);
	assert_int_equal(id, a);
	assert_int_equal(runs_resolve(w->s, "acme/archive#9", &id, &w->err), -1);
	assert_err(&w->err, ERR_NOT_FOUND, "no run acme/archive#9");
	assert_int_equal(runs_resolve(w->s, "latest", &id, &w->err), -1);
	assert_err_has(&w->err, ERR_INPUT, "give its number");
	world_check(w);
}

static void planning_an_event_twice_makes_no_second_run(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a"), id;
	_cleanup_(run_done) struct run r = { 0 };
	_cleanup_(json_freep) struct json *plan = json_new_object();
	const struct node_new node = { "a", NULL, NULL, false };
	struct run_new in = { .workflow_path = "x.yml",
		.workflow_name = "X",
		.title = "t",
		.plan = plan,
		.workflow_digest = DIGEST,
		.sha = HEX_A,
		.ref = "refs/heads/main",
		.branch = "main",
		.nodes = &node,
		.nodes_len = 1 };

	assert_ok(runs_get(w->s, run, &r, &w->err), &w->err);
	assert_int_equal(runs_create(w->s, r.event, &in, 1, &id, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "is planned and no longer pending");
	world_check(w);
}

static void a_plan_is_stored_once_and_verified_when_read(void **state)
{
	struct world *w = *state;
	int64_t a = world_run(w, "a"), n;
	_cleanup_(json_freep) struct json *plan = NULL;
	struct json *none = NULL;

	world_run(w, "a");
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err, "SELECT count(*) FROM plans"),
		&w->err);
	assert_int_equal(n, 1);
	assert_ok(runs_plan(w->s, a, &plan, &w->err), &w->err);
	assert_string_equal(json_get_str(plan, "shape", ""), "a");
	assert_ok(db_run(store_db(w->s), &w->err,
			  "UPDATE plans SET body = '{\"shape\":\"b\"}'"),
		&w->err);
	assert_int_equal(runs_plan(w->s, a, &none, &w->err), -1);
	assert_err_has(&w->err, ERR_CORRUPT, "is not what was stored");
}

static void a_node_needing_what_is_not_there_makes_no_run(void **state)
{
	struct world *w = *state;
	int64_t event = world_event(w, TRUST_TRUSTED), id, n;
	_cleanup_(json_freep) struct json *plan = json_new_object();
	static const char *const needs[] = { "ghost", NULL };
	const struct node_new node = { "a", NULL, needs, false };
	struct run_new in = { .workflow_path = "x.yml",
		.workflow_name = "X",
		.title = "t",
		.plan = plan,
		.workflow_digest = DIGEST,
		.sha = HEX_A,
		.ref = "refs/heads/main",
		.branch = "main",
		.nodes = &node,
		.nodes_len = 1 };

	assert_int_equal(runs_create(w->s, event, &in, 1, &id, &w->err), -1);
	assert_err(&w->err, ERR_INPUT, "node 'a' needs 'ghost', which is no node");
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err, "SELECT count(*) FROM runs"),
		&w->err);
	assert_int_equal(n, 0);
	assert_int_equal(events_pending(w->s, &id, 1, &w->err), 1);
	world_check(w);
}

static void nodes_are_ready_when_their_needs_are_done(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a c:a,b"), ids[8];

	assert_int_equal(jobs_ready(w->s, 0, ids, 8, &w->err), 1);
	assert_int_equal(ids[0], world_job(w, run, "a", 0));
	world_expand(w, ids[0], NULL);
	assert_int_equal(jobs_ready(w->s, run, ids, 8, &w->err), 0);
	world_finish(w, world_job(w, run, "a", 0), CONCLUSION_SUCCESS);
	assert_int_equal(jobs_ready(w->s, run, ids, 8, &w->err), 1);
	assert_int_equal(ids[0], world_job(w, run, "b", 0));
	assert_ok(jobs_settle(w->s, ids[0], CONCLUSION_SKIPPED, "its if is false", NULL,
			  NULL, &w->err),
		&w->err);
	assert_int_equal(jobs_ready(w->s, 0, ids, 8, &w->err), 1);
	assert_int_equal(ids[0], world_job(w, run, "c", 0));
	world_check(w);
}

static void contexts_hold_direct_needs_and_all_results(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a c:b"), b, epoch;
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(json_freep) struct json *k = NULL;
	_cleanup_free_ char *text = NULL;
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_OUTPUT, .name = "tag", .value = "v1" },
		{ .kind = JOB_UPDATE_EXIT, .conclusion = CONCLUSION_SUCCESS },
	};

	world_expand(w, world_job(w, run, "a", 0), NULL);
	world_finish(w, world_job(w, run, "a", 0), CONCLUSION_FAILURE);
	b = world_job(w, run, "b", 0);
	assert_ok(jobs_contexts(w->s, b, &j, &w->err), &w->err);
	assert_string_equal(json_as_str(json_path(j, "needs.a.result"), ""), "failure");
	assert_int_equal(json_count(json_get(j, "ancestors")), 1);
	world_expand(w, b, NULL);
	epoch = world_claim(w, b);
	assert_ok(world_try_release(w, b, epoch), &w->err);
	assert_ok(world_frames(w, b, epoch, 1, u, 2), &w->err);
	assert_ok(jobs_finish(w->s, b, epoch, DIGEST, 1, &w->err), &w->err);
	assert_ok(jobs_contexts(w->s, world_job(w, run, "c", 0), &k, &w->err), &w->err);
	assert_string_equal(json_as_str(json_path(k, "needs.b.outputs.tag"), ""), "v1");
	assert_null(json_path(k, "needs.a"));
	assert_string_equal(json_as_str(json_path(k, "results.a"), ""), "failure");
	text = json_text(json_get(k, "ancestors"));
	assert_string_equal(text, "[\"a\",\"b\"]");
	assert_false(json_get_bool(k, "cancelled", true));
	world_check(w);
}

/* Rows as "C" with C of s f c k(skipped) e(failure under continue-on-error). */
static const struct {
	const char *rows;
	const char *phase;
} conclusions[] = {
	{ "ss", "success" },
	{ "sf", "failure" },
	{ "kk", "skipped" },
	{ "sk", "success" },
	{ "e", "success" },
	{ "ek", "success" },
	{ "fk", "failure" },
	{ "ef", "failure" },
};

static void the_end_of_a_run_follows_from_its_jobs(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(conclusions); i++) {
		size_t n = strlen(conclusions[i].rows);
		int64_t run = world_run(w, n == 1 ? "a" : "a b");

		for (size_t k = 0; k < n; k++) {
			int64_t job = world_job(w, run, k == 0 ? "a" : "b", 0);
			char c = conclusions[i].rows[k];

			if (c == 'k') {
				assert_ok(jobs_settle(w->s, job, CONCLUSION_SKIPPED, "if",
						  NULL, NULL, &w->err),
					&w->err);
				continue;
			}
			world_expand(w, job,
				&(struct world_rows){ .continues_on_error = c == 'e' });
			world_finish(w, job,
				c == 's' ? CONCLUSION_SUCCESS : CONCLUSION_FAILURE);
		}
		world_run_is(w, run, conclusions[i].phase);
	}
	world_check(w);
}

static void the_phase_says_what_a_person_needs_to_know(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b"), a = world_job(w, run, "a", 0), epoch;
	int64_t b = world_job(w, run, "b", 0);
	enum job_state now;

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	world_run_is(w, run, "queued");
	world_expand(w, a, &(struct world_rows){ .once = true });
	epoch = world_claim(w, a);
	world_run_is(w, run, "running");
	world_expand(w, b, &(struct world_rows){ .environment = "production" });
	world_run_is(w, run, "waiting");
	assert_ok(world_try_release(w, a, epoch), &w->err);
	assert_ok(jobs_died(w->s, a, epoch, "its executor is gone", &now, &w->err),
		&w->err);
	assert_int_equal(now, JOB_LOST);
	world_run_is(w, run, "lost");
	assert_ok(jobs_resolve_lost(w->s, a, CONCLUSION_FAILURE, "it was half done",
			  &mira, &w->err),
		&w->err);
	world_run_is(w, run, "waiting");
	world_check(w);
}

/* ---- cancelling -------------------------------------------------------------------- */

static void cancelling_ends_what_waits_and_asks_what_runs(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b c d:a"), a = world_job(w, run, "a", 0);
	int64_t b = world_job(w, run, "b", 0), d = world_job(w, run, "d", 0), epoch,
		ids[4];
	enum job_state now;

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	world_expand(w, a, NULL);
	world_expand(w, b, NULL);
	world_expand(w, world_job(w, run, "c", 0),
		&(struct world_rows){ .environment = "production" });
	epoch = world_claim(w, a);
	assert_ok(
		runs_cancel(w->s, run, "asked by mira", false, &mira, &w->err), &w->err);
	assert_string_equal(world_state_name(w, a), "cancelling");
	assert_string_equal(world_state_name(w, b), "completed");
	assert_string_equal(world_state_name(w, world_job(w, run, "c", 0)), "completed");
	/* always() may still want it. */
	assert_string_equal(world_state_name(w, d), "waiting");
	assert_ok(jobs_died(w->s, a, epoch, "killed", &now, &w->err), &w->err);
	assert_int_equal(world_conclusion(w, a), CONCLUSION_CANCELLED);
	assert_int_equal(jobs_ready(w->s, run, ids, 4, &w->err), 1);
	assert_ok(jobs_settle(w->s, d, CONCLUSION_SKIPPED, "its need was cancelled", NULL,
			  NULL, &w->err),
		&w->err);
	world_run_is(w, run, "cancelled");
	assert_int_equal(runs_cancel(w->s, run, "again", true, &mira, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "has ended already");
	world_check(w);
}

static void forced_cancelling_leaves_nothing_waiting(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a c:b");

	assert_ok(runs_cancel(w->s, run, "now", true, &mira, &w->err), &w->err);
	world_run_is(w, run, "cancelled");
	world_check(w);
}

/* ---- matrices ---------------------------------------------------------------------- */

static void a_failed_row_ends_its_siblings_when_it_fails_fast(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "m"), epoch;
	enum job_state now;

	world_expand(w, world_job(w, run, "m", 0),
		&(struct world_rows){ .len = 3, .fail_fast = true });
	epoch = world_claim(w, world_job(w, run, "m", 1));
	world_finish(w, world_job(w, run, "m", 0), CONCLUSION_FAILURE);
	assert_string_equal(world_state_name(w, world_job(w, run, "m", 1)), "cancelling");
	assert_int_equal(
		world_conclusion(w, world_job(w, run, "m", 2)), CONCLUSION_CANCELLED);
	assert_ok(jobs_died(w->s, world_job(w, run, "m", 1), epoch, "killed", &now,
			  &w->err),
		&w->err);
	world_run_is(w, run, "failure");
	world_check(w);
}

static void rows_beyond_max_parallel_are_not_claimable(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "m"), epoch, try;
	struct job_ready *list = NULL;
	size_t len = 0;

	world_expand(w, world_job(w, run, "m", 0),
		&(struct world_rows){ .len = 4, .max_parallel = 2 });
	world_claim(w, world_job(w, run, "m", 0));
	assert_ok(jobs_claimable(w->s, 10, &list, &len, &w->err), &w->err);
	assert_int_equal(len, 3);
	assert_string_equal(list[0].labels, "[\"ubuntu-latest\"]");
	jobs_ready_free(list, len);
	world_claim(w, world_job(w, run, "m", 1));
	assert_ok(jobs_claimable(w->s, 10, &list, &len, &w->err), &w->err);
	assert_int_equal(len, 0);
	jobs_ready_free(list, len);
	assert_int_equal(jobs_claim(w->s, world_job(w, run, "m", 2), "local", &epoch,
				 &try, &w->err),
		-1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	world_check(w);
}

static void an_expansion_has_its_limits(void **state)
{
	struct world *w = *state;
	int64_t job = world_job(w, world_run(w, "a"), "a", 0);
	const struct job_row_new row = { .name = "x" };
	struct job_expansion x = { &row, 0, 0, false, NULL };

	assert_int_equal(jobs_expand(w->s, job, &x, &w->err), -1);
	assert_err(&w->err, ERR_BUG, NULL);
	x.rows_len = 257;
	assert_int_equal(jobs_expand(w->s, job, &x, &w->err), -1);
	assert_err(&w->err, ERR_LIMIT, "257 rows of one job, allowed are 256");
	world_expand(w, job, NULL);
	assert_int_equal(world_try_expand(w, job, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "is expanded already");
}

/* ---- concurrency ------------------------------------------------------------------- */

static int64_t grouped(struct world *w, bool cancels, bool keeps)
{
	return world_run_as(w, &(struct world_run){ .shape = "a",
				       .trust = TRUST_TRUSTED,
				       .concurrency = { "deploy", cancels, keeps } });
}

static void one_run_of_a_group_runs_and_one_waits(void **state)
{
	struct world *w = *state;
	int64_t a = grouped(w, false, false), b = grouped(w, false, false), c;
	_cleanup_(run_done) struct run r = { 0 };

	world_run_is(w, a, "queued");
	world_run_is(w, b, "pending");
	assert_ok(runs_get(w->s, b, &r, &w->err), &w->err);
	assert_string_equal(r.reason, "waits for its concurrency group 'deploy'");
	c = grouped(w, false, false);
	world_run_is(w, b, "cancelled"); /* replaced by the newer one */
	world_run_is(w, c, "pending");
	world_expand(w, world_job(w, a, "a", 0), NULL);
	world_finish(w, world_job(w, a, "a", 0), CONCLUSION_SUCCESS);
	world_run_is(w, c, "queued");
	world_check(w);
}

static void a_queue_keeps_everybody_in_order(void **state)
{
	struct world *w = *state;
	int64_t a = grouped(w, false, true), b = grouped(w, false, true),
		c = grouped(w, false, true);

	world_run_is(w, b, "pending");
	world_run_is(w, c, "pending");
	assert_ok(runs_cancel(w->s, a, "x", true, &mira, &w->err), &w->err);
	world_run_is(w, b, "queued");
	world_run_is(w, c, "pending");
	assert_ok(runs_cancel(w->s, b, "x", true, &mira, &w->err), &w->err);
	world_run_is(w, c, "queued");
	world_check(w);
}

static void cancel_in_progress_takes_over_at_once_or_when_the_other_is_gone(void **state)
{
	struct world *w = *state;
	int64_t a = grouped(w, true, false), b, epoch;
	enum job_state now;

	world_expand(w, world_job(w, a, "a", 0), NULL);
	b = grouped(w, true, false);
	world_run_is(w, a, "cancelled"); /* nothing of it ran */
	world_run_is(w, b, "queued");
	world_expand(w, world_job(w, b, "a", 0), NULL);
	epoch = world_claim(w, world_job(w, b, "a", 0));
	a = grouped(w, true, false);
	world_run_is(w, b, "running");
	world_run_is(w, a, "pending");
	assert_ok(
		jobs_died(w->s, world_job(w, b, "a", 0), epoch, "killed", &now, &w->err),
		&w->err);
	world_run_is(w, b, "cancelled");
	world_run_is(w, a, "queued");
	world_check(w);
}

static void groups_of_jobs_share_names_with_groups_of_runs(void **state)
{
	struct world *w = *state;
	const struct world_rows in_group = { .concurrency = { "Deploy", false, false } };
	int64_t run = world_run(w, "a b"), a = world_job(w, run, "a", 0),
		b = world_job(w, run, "b", 0), other;

	world_expand(w, a, &in_group);
	world_expand(w, b, &in_group);
	assert_string_equal(world_state_name(w, a), "queued");
	assert_string_equal(world_state_name(w, b), "waiting");
	other = grouped(
		w, false, false); /* the same name, in other case: b is replaced */
	world_run_is(w, other, "pending");
	assert_int_equal(world_conclusion(w, b), CONCLUSION_CANCELLED);
	world_finish(w, a, CONCLUSION_SUCCESS);
	world_run_is(w, other, "queued");
	/* A job in the group that its own run holds does not wait for itself. */
	world_expand(w, world_job(w, other, "a", 0), &in_group);
	assert_string_equal(world_state_name(w, world_job(w, other, "a", 0)), "queued");
	world_check(w);
}

/* ---- re-runs ----------------------------------------------------------------------- */

static void a_rerun_of_failed_jobs_carries_the_others(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a c:b d"), attempt = 0, ids[8], old_a, old_m1;
	_cleanup_(job_done) struct job a = { 0 };
	_cleanup_(job_done) struct job m0 = { 0 };

	old_a = world_job(w, run, "a", 0);
	world_expand(w, old_a, NULL);
	world_finish(w, old_a, CONCLUSION_SUCCESS);
	world_expand(w, world_job(w, run, "b", 0), &(struct world_rows){ .len = 2 });
	world_finish(w, world_job(w, run, "b", 0), CONCLUSION_FAILURE);
	old_m1 = world_job(w, run, "b", 1);
	world_finish(w, old_m1, CONCLUSION_SUCCESS);
	assert_ok(jobs_settle(w->s, world_job(w, run, "c", 0), CONCLUSION_SKIPPED, "need",
			  NULL, NULL, &w->err),
		&w->err);
	assert_int_equal(
		runs_rerun(w->s, run, RERUN_FAILED, NULL, &mira, &attempt, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "has not ended");
	world_expand(w, world_job(w, run, "d", 0), NULL);
	world_finish(w, world_job(w, run, "d", 0), CONCLUSION_SUCCESS);
	world_run_is(w, run, "failure");

	assert_ok(runs_rerun(w->s, run, RERUN_FAILED, NULL, &mira, &attempt, &w->err),
		&w->err);
	assert_int_equal(attempt, 2);
	assert_ok(jobs_get(w->s, world_job(w, run, "a", 0), &a, &w->err), &w->err);
	assert_int_equal(a.carried_from, old_a);
	assert_int_equal(a.conclusion, CONCLUSION_SUCCESS);
	/* The failed row runs again as it was expanded, its sibling is carried. */
	assert_ok(jobs_get(w->s, world_job(w, run, "b", 0), &m0, &w->err), &w->err);
	assert_int_equal(m0.state, JOB_QUEUED);
	assert_int_equal(m0.carried_from, 0);
	assert_int_equal(world_state(w, world_job(w, run, "b", 1)), JOB_COMPLETED);
	/* What depends on it is fresh. */
	assert_int_equal(world_state(w, world_job(w, run, "c", 0)), JOB_WAITING);
	world_finish(w, world_job(w, run, "b", 0), CONCLUSION_SUCCESS);
	assert_int_equal(jobs_ready(w->s, run, ids, 8, &w->err), 1);
	assert_int_equal(ids[0], world_job(w, run, "c", 0));
	world_expand(w, ids[0], NULL);
	world_finish(w, ids[0], CONCLUSION_SUCCESS);
	world_run_is(w, run, "success");
	world_check(w);

	/* Carried again, the row still names the one that ran. */
	assert_ok(
		runs_rerun(w->s, run, RERUN_JOB, "c", &mira, &attempt, &w->err), &w->err);
	job_done(&a);
	assert_ok(jobs_get(w->s, world_job(w, run, "a", 0), &a, &w->err), &w->err);
	assert_int_equal(a.carried_from, old_a);
	world_check(w);
}

static void a_rerun_of_all_starts_from_nothing(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a"), attempt, n;

	world_expand(w, world_job(w, run, "a", 0), &(struct world_rows){ .len = 3 });
	for (int i = 0; i < 3; i++)
		world_finish(w, world_job(w, run, "a", i), CONCLUSION_SUCCESS);
	assert_ok(jobs_settle(w->s, world_job(w, run, "b", 0), CONCLUSION_SKIPPED, "",
			  NULL, NULL, &w->err),
		&w->err);
	assert_int_equal(
		runs_rerun(w->s, run, RERUN_FAILED, NULL, &mira, &attempt, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "no job of run");
	assert_int_equal(
		runs_rerun(w->s, run, RERUN_JOB, "zz", &mira, &attempt, &w->err), -1);
	assert_err_has(&w->err, ERR_NOT_FOUND, "no such job");
	assert_ok(runs_rerun(w->s, run, RERUN_ALL, NULL, &mira, &attempt, &w->err),
		&w->err);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM jobs WHERE attempt = 2"),
		&w->err);
	assert_int_equal(n, 2);
	assert_int_equal(jobs_ready(w->s, run, &n, 1, &w->err), 1);
	world_check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(runs_are_numbered_in_their_repository),
		WORLD(planning_an_event_twice_makes_no_second_run),
		WORLD(a_plan_is_stored_once_and_verified_when_read),
		WORLD(a_node_needing_what_is_not_there_makes_no_run),
		WORLD(nodes_are_ready_when_their_needs_are_done),
		WORLD(contexts_hold_direct_needs_and_all_results),
		WORLD(the_end_of_a_run_follows_from_its_jobs),
		WORLD(the_phase_says_what_a_person_needs_to_know),
		WORLD(cancelling_ends_what_waits_and_asks_what_runs),
		WORLD(forced_cancelling_leaves_nothing_waiting),
		WORLD(a_failed_row_ends_its_siblings_when_it_fails_fast),
		WORLD(rows_beyond_max_parallel_are_not_claimable),
		WORLD(an_expansion_has_its_limits),
		WORLD(one_run_of_a_group_runs_and_one_waits),
		WORLD(a_queue_keeps_everybody_in_order),
		WORLD(cancel_in_progress_takes_over_at_once_or_when_the_other_is_gone),
		WORLD(groups_of_jobs_share_names_with_groups_of_runs),
		WORLD(a_rerun_of_failed_jobs_carries_the_others),
		WORLD(a_rerun_of_all_starts_from_nothing),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}

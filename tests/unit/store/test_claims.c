/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#include "store/artifacts.h"

static int64_t queued(struct world *w, bool once)
{
	int64_t job = world_job(w, world_run(w, "a"), "a", 0);

	world_expand(w, job, &(struct world_rows){ .once = once });
	return job;
}

static void each_claim_has_a_new_epoch_and_fences_the_old_one(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), first = world_claim(w, job), second;

	assert_ok(
		jobs_unclaim(w->s, job, first, "the spawner was gone", &w->err), &w->err);
	assert_int_equal(world_state(w, job), JOB_QUEUED);
	second = world_claim(w, job);
	assert_true(second > first);
	assert_int_equal(world_try_release(w, job, first), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	assert_int_equal(jobs_unclaim(w->s, job, first, "x", &w->err), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	assert_ok(world_try_release(w, job, second), &w->err);
	assert_int_equal(world_try_release(w, job, second), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "is released and no longer claimed");
	world_check(w);
}

static void a_job_that_never_starts_is_given_up(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, true);

	for (int i = 0; i < LIMIT_JOB_CLAIMS; i++)
		assert_ok(jobs_unclaim(
				  w->s, job, world_claim(w, job), "no memory", &w->err),
			&w->err);
	assert_int_equal(world_conclusion(w, job), CONCLUSION_FAILURE);
	world_check(w);
}

static void nothing_is_claimed_while_paused(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch, try;
	struct job_ready *list = NULL;
	size_t len = 7;

	assert_ok(store_pause(w->s, true, "mira", "maintenance", &w->err), &w->err);
	assert_true(store_is_paused(w->s));
	assert_ok(jobs_claimable(w->s, 9, &list, &len, &w->err), &w->err);
	assert_int_equal(len, 0);
	jobs_ready_free(list, len);
	assert_int_equal(jobs_claim(w->s, job, "local", &epoch, &try, &w->err), -1);
	assert_err(&w->err, ERR_UNAVAILABLE, "the server is paused");
	assert_ok(store_pause(w->s, false, "mira", NULL, &w->err), &w->err);
	world_claim(w, job);
}

static void the_least_served_repository_comes_first(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b"), other, theirs, mine;
	const struct repo_new repo = { "acme/other", "gitea", "https://x.example/o.git",
		NULL, NULL };
	struct world v = { .s = w->s, .next = 900 };
	struct job_ready *list = NULL;
	size_t len;

	world_expand(w, world_job(w, run, "a", 0), NULL);
	world_expand(w, world_job(w, run, "b", 0), NULL);
	world_claim(w, world_job(w, run, "a", 0));
	mine = world_job(w, run, "b", 0);
	assert_ok(repos_add(w->s, &repo, &mira, &v.repo, &w->err), &w->err);
	other = world_run(&v, "a");
	theirs = world_job(w, other, "a", 0);
	world_expand(w, theirs, NULL);
	assert_ok(jobs_claimable(w->s, 9, &list, &len, &w->err), &w->err);
	assert_int_equal(len, 2);
	assert_int_equal(
		list[0].job, theirs); /* queued later, but its repository has nothing */
	assert_int_equal(list[1].job, mine);
	assert_int_equal(list[1].repo_active, 1);
	jobs_ready_free(list, len);
	assert_ok(repos_set(w->s, w->repo, "priority", json_new_int(5), &mira, &w->err),
		&w->err);
	assert_ok(jobs_claimable(w->s, 9, &list, &len, &w->err), &w->err);
	assert_int_equal(list[0].job, mine);
	jobs_ready_free(list, len);
}

/* ---- frames ------------------------------------------------------------------------ */

static void frames_are_applied_once_and_in_order(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch = world_claim(w, job), n;
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_STARTED, .at = 1000 },
		{ .kind = JOB_UPDATE_STEP,
			.step = { .number = 1,
				.key = "lint",
				.name = "Lint",
				.state = STEP_RUNNING,
				.started_at = 1000,
				.exit_code = -1,
				.log_end = -1 } },
		{ .kind = JOB_UPDATE_ANNOTATION,
			.annotation = { .step = 1,
				.level = "error",
				.message = "bad",
				.file = "a.c",
				.line = 3 } },
	};
	const struct job_update end[] = {
		{ .kind = JOB_UPDATE_STEP,
			.step = { .number = 1,
				.name = "Lint",
				.state = STEP_COMPLETED,
				.outcome = CONCLUSION_FAILURE,
				.conclusion = CONCLUSION_FAILURE,
				.exit_code = 2,
				.completed_at = 2000,
				.log_end = 55 } },
		{ .kind = JOB_UPDATE_EXIT,
			.conclusion = CONCLUSION_FAILURE,
			.value = "exit 2" },
	};
	_cleanup_(json_freep) struct json *j = NULL;
	const struct json *step;

	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(world_frames(w, job, epoch, 1, u, 3), &w->err);
	assert_int_equal(world_state(w, job), JOB_RUNNING);
	assert_ok(world_frames(w, job, epoch, 1, u, 3),
		&w->err); /* replayed: nothing twice */
	assert_int_equal(world_frames(w, job, epoch, 5, end, 2), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "frame 4 is next, not 5");
	assert_int_equal(world_frames(w, job, epoch - 1, 4, end, 2), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	assert_ok(world_frames(w, job, epoch, 4, end, 2), &w->err);
	assert_int_equal(world_state(w, job), JOB_FINALISING);
	assert_ok(jobs_finish(w->s, job, epoch, DIGEST, 9, &w->err), &w->err);
	assert_int_equal(jobs_finish(w->s, job, epoch, DIGEST, 9, &w->err), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM annotations"),
		&w->err);
	assert_int_equal(n, 1);
	assert_ok(query_job(w->s, job, &j, &w->err), &w->err);
	step = json_at(json_get(j, "steps"), 0);
	assert_string_equal(json_get_str(step, "id", ""), "lint");
	assert_string_equal(json_get_str(step, "conclusion", ""), "failure");
	assert_int_equal(json_get_int(step, "exit_code", 0), 2);
	assert_int_equal(json_get_int(step, "started_at", 0), 1000);
	assert_string_equal(json_get_str(j, "reason", ""), "exit 2");
	world_check(w);
}

static void one_bad_frame_undoes_its_whole_call(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch = world_claim(w, job);
	_cleanup_(job_done) struct job j = { 0 };
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_OUTPUT, .name = "a", .value = "1" },
		{ .kind = JOB_UPDATE_STEP,
			.step = { .number = 100000, .state = STEP_RUNNING } },
	};

	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_int_equal(world_frames(w, job, epoch, 1, u, 2), -1);
	assert_err_has(&w->err, ERR_LIMIT, "step 100000: a job has at most");
	assert_ok(jobs_get(w->s, job, &j, &w->err), &w->err);
	assert_int_equal(j.frames, 0);
	assert_int_equal(json_count(j.outputs), 0);
	world_check(w);
}

static void what_an_executor_sends_is_bounded(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch = world_claim(w, job), n, at = 1;
	char *long_text = xmalloc(300001);
	struct job_update u = { .kind = JOB_UPDATE_ANNOTATION,
		.annotation = { .step = 1, .level = "warning", .message = long_text } };

	memset(long_text, 'x', 300000);
	long_text[300000] = '\0';
	assert_ok(world_try_release(w, job, epoch), &w->err);
	for (; at <= 30; at++)
		assert_ok(world_frames(w, job, epoch, at, &u, 1), &w->err);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM annotations"),
		&w->err);
	assert_int_equal(n, 10);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT max(length(message)) FROM annotations"),
		&w->err);
	assert_int_equal(n, 65536);
	u = (struct job_update){
		.kind = JOB_UPDATE_OUTPUT, .name = "a", .value = long_text
	};
	for (int i = 0; i < 3; i++, at++) {
		char name[2] = { (char)('a' + i), '\0' };

		u.name = name;
		assert_ok(world_frames(w, job, epoch, at, &u, 1), &w->err);
	}
	u.name = "d";
	assert_int_equal(world_frames(w, job, epoch, at, &u, 1), -1);
	assert_err_has(&w->err, ERR_LIMIT, "outputs of a job");
	u = (struct job_update){ .kind = JOB_UPDATE_URL, .value = "javascript:alert(1)" };
	assert_ok(world_frames(w, job, epoch, at, &u, 1), &w->err);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM jobs WHERE url <> ''"),
		&w->err);
	assert_int_equal(n, 0);
	free(long_text);
	world_check(w);
}

static void steps_that_did_not_end_are_closed_with_the_job(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch = world_claim(w, job), n;
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_STEP,
			.step = { .number = 1, .state = STEP_RUNNING } },
		{ .kind = JOB_UPDATE_STEP,
			.step = { .number = 2, .state = STEP_PENDING } },
		{ .kind = JOB_UPDATE_EXIT, .conclusion = CONCLUSION_CANCELLED },
	};

	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(world_frames(w, job, epoch, 1, u, 3), &w->err);
	assert_ok(jobs_finish(w->s, job, epoch, DIGEST, 0, &w->err), &w->err);
	assert_ok(
		db_value(store_db(w->s), &n, 0, &w->err,
			"SELECT count(*) FROM steps WHERE state = 'completed' AND conclusion ="
			" CASE number WHEN 1 THEN 'cancelled' ELSE 'skipped' END"),
		&w->err);
	assert_int_equal(n, 2);
	world_check(w);
}

/* ---- death ------------------------------------------------------------------------- */

/* How far a job had come, its class, and what its executor's death makes of it. */
static const struct {
	int stage; /* 0 claimed, 1 released, 2 running, 3 finalising, 4 cancelling */
	bool once;
	enum job_state becomes;
} deaths[] = {
	{ 0, false, JOB_QUEUED },
	{ 0, true, JOB_QUEUED },
	{ 1, false, JOB_QUEUED },
	{ 1, true, JOB_LOST },
	{ 2, false, JOB_QUEUED },
	{ 2, true, JOB_LOST },
	{ 3, false, JOB_FINALISING },
	{ 3, true, JOB_FINALISING },
	{ 4, false, JOB_COMPLETED },
	{ 4, true, JOB_COMPLETED },
};

static void death_is_answered_by_class_and_state(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(deaths); i++) {
		int64_t job = queued(w, deaths[i].once), epoch = world_claim(w, job);
		int stage = deaths[i].stage;
		const struct job_update u[] = {
			{ .kind = JOB_UPDATE_STARTED, .at = 1 },
			{ .kind = JOB_UPDATE_EXIT, .conclusion = CONCLUSION_SUCCESS },
		};
		enum job_state now;

		if (stage >= 1)
			assert_ok(world_try_release(w, job, epoch), &w->err);
		if (stage >= 2)
			assert_ok(world_frames(w, job, epoch, 1, u, stage == 3 ? 2 : 1),
				&w->err);
		if (stage == 4)
			assert_ok(
				jobs_cancel(w->s, job, "asked", &mira, &w->err), &w->err);
		assert_int_equal(jobs_died(w->s, job, epoch + 1, "x", &now, &w->err), -1);
		assert_err(&w->err, ERR_CONFLICT, NULL);
		assert_ok(jobs_died(w->s, job, epoch, "its executor is gone", &now,
				  &w->err),
			&w->err);
		if (now != deaths[i].becomes || world_state(w, job) != now)
			fail_msg("case %zu: %s", i, world_state_name(w, job));
	}
	world_check(w);
}

static void a_test_job_is_tried_twice_and_no_more(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch, n;
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_OUTPUT, .name = "a", .value = "1" },
		{ .kind = JOB_UPDATE_STEP,
			.step = { .number = 1, .state = STEP_RUNNING } },
	};
	enum job_state now;

	epoch = world_claim(w, job);
	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(world_frames(w, job, epoch, 1, u, 2), &w->err);
	assert_ok(jobs_died(w->s, job, epoch, "gone", &now, &w->err), &w->err);
	assert_int_equal(now, JOB_QUEUED);
	/* Nothing of the first try is left, so that the second journal starts at 1. */
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err, "SELECT count(*) FROM steps"),
		&w->err);
	assert_int_equal(n, 0);
	epoch = world_claim(w, job);
	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(world_frames(w, job, epoch, 1, u, 2), &w->err);
	assert_ok(jobs_died(w->s, job, epoch, "gone", &now, &w->err), &w->err);
	assert_int_equal(world_conclusion(w, job), CONCLUSION_FAILURE);
	world_check(w);
}

static void a_lost_deploy_waits_for_a_person_and_is_never_released_again(void **state)
{
	struct world *w = *state;
	int64_t run, job, epoch, n;
	enum job_state now;

	world_environment(w, "production", "{}");
	run = world_run(w, "deploy after:deploy");
	job = world_job(w, run, "deploy", 0);
	world_expand(w, job, &(struct world_rows){ .environment = "production" });
	epoch = world_claim(w, job);
	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(jobs_died(w->s, job, epoch, "the machine was restarted", &now, &w->err),
		&w->err);
	world_run_is(w, run, "lost");
	assert_int_equal(jobs_ready(w->s, run, &n, 1, &w->err), 0);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM deployments WHERE state = 'lost'"),
		&w->err);
	assert_int_equal(n, 1);
	assert_int_equal(
		jobs_resolve_lost(w->s, job, CONCLUSION_SKIPPED, "", &mira, &w->err), -1);
	assert_err(&w->err, ERR_INPUT, NULL);
	assert_ok(jobs_resolve_lost(
			  w->s, job, CONCLUSION_SUCCESS, "I looked", &mira, &w->err),
		&w->err);
	assert_int_equal(jobs_ready(w->s, run, &n, 1, &w->err), 1);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM deployments WHERE state = 'success'"),
		&w->err);
	assert_int_equal(n, 1);
	assert_int_equal(
		jobs_resolve_lost(w->s, job, CONCLUSION_SUCCESS, "", &mira, &w->err), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	world_check(w);
}

static void deployments_follow_their_job(void **state)
{
	struct world *w = *state;
	int64_t run, job, epoch;
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_URL, .value = "https://app.example.com" },
		{ .kind = JOB_UPDATE_EXIT, .conclusion = CONCLUSION_SUCCESS },
	};
	_cleanup_(deployment_done) struct deployment d = { 0 };
	_cleanup_(json_freep) struct json *j = NULL;

	world_environment(w, "Production", "{}");
	assert_int_equal(
		deployments_last_good(w->s, w->repo, "production", 0, &d, &w->err), -1);
	assert_err(&w->err, ERR_NOT_FOUND, NULL);
	run = world_run(w, "deploy");
	job = world_job(w, run, "deploy", 0);
	world_expand(w, job, &(struct world_rows){ .environment = "production" });
	epoch = world_claim(w, job);
	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(deployments_find(w->s, w->repo, 1, &d, &w->err), &w->err);
	assert_string_equal(d.state, "in_progress");
	deployment_done(&d);
	assert_ok(world_frames(w, job, epoch, 1, u, 2), &w->err);
	assert_ok(jobs_finish(w->s, job, epoch, DIGEST, 1, &w->err), &w->err);
	assert_ok(deployments_last_good(w->s, w->repo, "PRODUCTION", 0, &d, &w->err),
		&w->err);
	assert_string_equal(d.state, "success");
	assert_string_equal(d.url, "https://app.example.com");
	assert_string_equal(d.sha, HEX_A);
	assert_ok(query_environments(w->s, NULL, &j, &w->err), &w->err);
	assert_string_equal(
		json_as_str(json_path(json_at(json_get(j, "items"), 0), "now.sha"), ""),
		HEX_A);
	world_check(w);
}

/* ---- artifacts --------------------------------------------------------------------- */

static void an_artifact_is_written_once_by_the_job_that_runs(void **state)
{
	struct world *w = *state;
	int64_t job = queued(w, false), epoch = world_claim(w, job), id;
	struct artifact_new a = { .job = job,
		.epoch = epoch,
		.name = "bin",
		.digest = DIGEST,
		.size = 10,
		.files = 1,
		.expires_at = clock_wall_ms() + 1000 };
	_cleanup_(artifact_done) struct artifact got = { 0 };
	char digests[4][SHA256_HEX_MAX];
	int count;

	assert_int_equal(artifacts_publish(w->s, &a, &id, &w->err), -1);
	assert_err_has(
		&w->err, ERR_CONFLICT, "does not run any more"); /* not released yet */
	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(artifacts_publish(w->s, &a, &id, &w->err), &w->err);
	assert_int_equal(artifacts_publish(w->s, &a, &id, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "artifacts are not changed");
	a.overwrites = true;
	assert_ok(artifacts_publish(w->s, &a, &id, &w->err), &w->err);
	a.epoch--;
	assert_int_equal(artifacts_publish(w->s, &a, &id, &w->err), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	a.epoch++;
	a.name = "../x";
	assert_int_equal(artifacts_publish(w->s, &a, &id, &w->err), -1);
	assert_err(&w->err, ERR_INPUT, NULL);
	assert_ok(artifacts_find(w->s, 1, 1, "bin", &got, &w->err), &w->err);
	assert_string_equal(got.digest, DIGEST);
	assert_int_equal(blobs_collect(w->s, 0, digests, 4, &w->err), 0);
	clock_skew_wall(2000);
	assert_ok(artifacts_expire(w->s, &count, &w->err), &w->err);
	assert_int_equal(count, 1);
	assert_int_equal(blobs_collect(w->s, 60000, digests, 4, &w->err), 0); /* grace */
	assert_int_equal(blobs_collect(w->s, 0, digests, 4, &w->err), 1);
	assert_string_equal(digests[0], DIGEST);
	assert_int_equal(blobs_is_known(w->s, DIGEST, &w->err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(each_claim_has_a_new_epoch_and_fences_the_old_one),
		WORLD(a_job_that_never_starts_is_given_up),
		WORLD(nothing_is_claimed_while_paused),
		WORLD(the_least_served_repository_comes_first),
		WORLD(frames_are_applied_once_and_in_order),
		WORLD(one_bad_frame_undoes_its_whole_call),
		WORLD(what_an_executor_sends_is_bounded),
		WORLD(steps_that_did_not_end_are_closed_with_the_job),
		WORLD(death_is_answered_by_class_and_state),
		WORLD(a_test_job_is_tried_twice_and_no_more),
		WORLD(a_lost_deploy_waits_for_a_person_and_is_never_released_again),
		WORLD(deployments_follow_their_job),
		WORLD(an_artifact_is_written_once_by_the_job_that_runs),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}

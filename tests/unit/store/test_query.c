/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

static struct json *list(struct world *w, const struct query_runs *q)
{
	struct json *page = NULL;

	assert_ok(query_runs(w->s, q, &page, &w->err), &w->err);
	return page;
}

static size_t found(struct world *w, struct query_runs q)
{
	_cleanup_(json_freep) struct json *page = list(w, &q);

	return json_count(json_get(page, "items"));
}

static void pages_follow_each_other_without_gap_or_overlap(void **state)
{
	struct world *w = *state;
	struct query_runs q = { .limit = 10 };
	int64_t want = 27;
	int pages = 0;

	for (int i = 0; i < 27; i++)
		world_run(w, "a");
	for (bool more = true; more; pages++) {
		_cleanup_(json_freep) struct json *page = list(w, &q);
		const struct json *items = json_get(page, "items");

		for (size_t i = 0; i < json_count(items); i++)
			assert_int_equal(
				json_get_int(json_at(items, i), "id", 0), want--);
		more = json_is(json_get(page, "next"), JSON_KIND_INT);
		q.before = json_get_int(page, "next", 0);
	}
	assert_int_equal(want, 0);
	assert_int_equal(pages, 3);
}

static void filters_narrow_the_list(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b");

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	world_expand(w, world_job(w, run, "a", 0), NULL);
	world_expand(w, world_job(w, run, "b", 0),
		&(struct world_rows){ .environment = "production" });
	world_run_as(w, &(struct world_run){ .shape = "a",
				.trust = TRUST_TRUSTED,
				.sha = HEX_B,
				.path = ".github/workflows/deploy.yml" });
	assert_int_equal(found(w, (struct query_runs){ .repo = "ACME/archive" }), 2);
	assert_int_equal(found(w, (struct query_runs){ .repo = "acme/nope" }), 0);
	assert_int_equal(found(w, (struct query_runs){ .state = "waiting" }), 1);
	assert_int_equal(found(w, (struct query_runs){ .state = "live" }), 1);
	assert_int_equal(found(w, (struct query_runs){ .state = "attention" }), 1);
	assert_int_equal(found(w, (struct query_runs){ .state = "x' OR 1=1 --" }), 0);
	assert_int_equal(found(w, (struct query_runs){ .branch = "main" }), 2);
	assert_int_equal(found(w, (struct query_runs){ .branch = "other" }), 0);
	assert_int_equal(found(w, (struct query_runs){ .event = "push" }), 2);
	assert_int_equal(found(w, (struct query_runs){ .actor = "omar" }), 2);
	assert_int_equal(found(w, (struct query_runs){ .environment = "Production" }), 1);
	assert_int_equal(found(w, (struct query_runs){ .sha = "bbbb" }), 1);
	assert_int_equal(found(w, (struct query_runs){ .sha = HEX_A }), 1);
	assert_int_equal(found(w, (struct query_runs){ .workflow = "deploy.yml" }), 1);
	assert_int_equal(found(w, (struct query_runs){ .repo = "acme/archive",
					  .state = "waiting",
					  .branch = "main",
					  .event = "push",
					  .actor = "omar",
					  .environment = "production",
					  .sha = "aaaa",
					  .workflow = "ci.yml",
					  .before = 100 }),
		1);
	{
		struct query_runs q = { .sha = "zz" };
		struct json *none;

		assert_int_equal(query_runs(w->s, &q, &none, &w->err), -1);
		assert_err(&w->err, ERR_INPUT, "'zz' is no commit: 4 or more hex digits");
	}
}

static void a_row_of_the_list_has_its_jobs_and_gates(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a");
	struct query_runs q = { 0 };
	_cleanup_(json_freep) struct json *page = NULL;
	const struct json *row;

	world_run(w, "z");
	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	world_expand(w, world_job(w, run, "a", 0),
		&(struct world_rows){ .environment = "production" });
	page = list(w, &q);
	row = json_at(json_get(page, "items"), 1);
	assert_int_equal(json_get_int(row, "id", 0), run);
	assert_string_equal(json_get_str(row, "state", ""), "waiting");
	assert_string_equal(json_get_str(row, "repo", ""), "acme/archive");
	assert_int_equal(json_count(json_get(row, "jobs")), 2);
	assert_string_equal(json_get_str(json_at(json_get(row, "jobs"), 0), "state", ""),
		"awaiting_approval");
	assert_int_equal(json_count(json_get(row, "gates")), 1);
	assert_string_equal(
		json_get_str(json_at(json_get(row, "gates"), 0), "environment", ""),
		"production");
	assert_int_equal(
		json_count(json_get(json_at(json_get(page, "items"), 0), "gates")), 0);
	assert_true(json_is(json_get(row, "completed_at"), JSON_KIND_NULL));
}

static void one_run_is_whole_in_every_attempt(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a b:a"), attempt, a = world_job(w, run, "a", 0);
	_cleanup_(json_freep) struct json *now = NULL, *then = NULL, *live = NULL;
	struct json *none;
	const struct json *job;

	world_expand(w, a, NULL);
	world_finish(w, a, CONCLUSION_SUCCESS);
	world_expand(w, world_job(w, run, "b", 0), NULL);
	world_finish(w, world_job(w, run, "b", 0), CONCLUSION_FAILURE);
	assert_ok(runs_rerun(w->s, run, RERUN_FAILED, NULL, &mira, &attempt, &w->err),
		&w->err);
	assert_ok(query_run(w->s, run, 0, &now, &w->err), &w->err);
	assert_string_equal(json_get_str(now, "state", ""), "queued");
	assert_int_equal(json_get_int(now, "attempt", 0), 2);
	assert_int_equal(json_count(json_get(now, "attempts")), 2);
	job = json_at(json_get(now, "jobs"), 0);
	assert_int_equal(json_get_int(job, "carried_from", 0), a);
	assert_int_equal(json_get_int(job, "log_job", 0), a);
	assert_string_equal(
		json_as_str(
			json_at(json_get(json_at(json_get(now, "jobs"), 1), "needs"), 0),
			""),
		"a");
	assert_int_equal(json_count(json_get(now, "edges")), 1);
	assert_ok(query_run(w->s, run, 1, &then, &w->err), &w->err);
	assert_string_equal(json_get_str(then, "state", ""), "failure");
	assert_int_equal(json_get_int(then, "attempt", 0), 1);
	assert_int_equal(json_get_int(then, "last_attempt", 0), 2);
	assert_int_equal(query_run(w->s, run, 9, &none, &w->err), -1);
	assert_err(&w->err, ERR_NOT_FOUND, NULL);
	assert_int_equal(query_run(w->s, 4711, 0, &none, &w->err), -1);
	assert_err(&w->err, ERR_NOT_FOUND, "no such run");
	assert_ok(query_run_live(w->s, run, &live, &w->err), &w->err);
	assert_int_equal(json_count(json_get(live, "jobs")), 2);
}

static void a_gate_shows_what_would_change(void **state)
{
	struct world *w = *state;
	int64_t run, gate;
	_cleanup_(json_freep) struct json *g = NULL, *queue = NULL, *pending = NULL;

	world_environment(w, "production",
		"{\"reviewers\": [\"mira\", \"lena\"], \"required\": 2}");
	assert_ok(secrets_set(w->s, w->repo, "production", "DEPLOY_KEY", "x", 1, &mira,
			  &w->err),
		&w->err);
	run = world_run(w, "a");
	world_expand(w, world_job(w, run, "a", 0),
		&(struct world_rows){ .environment = "production" });
	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	assert_ok(world_vote(w, world_gate(w, run), &lena, true, NULL), &w->err);
	world_finish(w, world_job(w, run, "a", 0), CONCLUSION_SUCCESS);
	run = world_run(w, "a");
	world_expand(w, world_job(w, run, "a", 0),
		&(struct world_rows){ .environment = "production" });
	gate = world_gate(w, run);
	assert_ok(world_vote(w, gate, &mira, true, NULL), &w->err);
	assert_ok(query_gate(w->s, gate, &g, &w->err), &w->err);
	assert_string_equal(json_get_str(g, "state", ""), "pending");
	assert_int_equal(json_get_int(g, "approvals", 0), 1);
	assert_int_equal(json_get_int(g, "required", 0), 2);
	assert_string_equal(json_get_str(g, "digest", ""), DIGEST);
	assert_false(json_get_bool(g, "self_approval", true));
	assert_string_equal(json_as_str(json_path(g, "before.sha"), ""), HEX_A);
	assert_string_equal(json_as_str(json_path(g, "run.actor"), ""), "omar");
	assert_string_equal(json_get_str(json_at(json_get(g, "secrets"), 0), "name", ""),
		"DEPLOY_KEY");
	assert_string_equal(
		json_get_str(json_at(json_get(g, "votes"), 0), "principal", ""), "mira");
	assert_ok(query_queue(w->s, &queue, &w->err), &w->err);
	assert_int_equal(json_count(json_get(queue, "held")), 1);
	assert_true(json_is(json_get(queue, "paused"), JSON_KIND_NULL));
	assert_ok(query_gates_pending(w->s, &pending, &w->err), &w->err);
	assert_int_equal(json_count(json_get(pending, "items")), 1);
}

static void the_queue_is_explained_by_groups_and_by_what_ran(void **state)
{
	struct world *w = *state;
	_cleanup_(json_freep) struct json *story = NULL;
	const struct json *g, *recent;
	const struct world_run of_group = {
		.shape = "a", .trust = TRUST_TRUSTED, .concurrency = { .group = "ci-main" }
	};
	int64_t first = world_run_as(w, &of_group), second = world_run_as(w, &of_group);

	world_expand(w, world_job(w, first, "a", 0), &(struct world_rows){ 0 });
	assert_ok(query_queue_story(w->s, &story, &w->err), &w->err);
	assert_int_equal(json_count(json_get(story, "groups")), 1);
	assert_int_equal(json_count(json_get(story, "recent")), 0);
	g = json_at(json_get(story, "groups"), 0);
	assert_string_equal(json_get_str(g, "kind", ""), "run");
	assert_string_equal(json_get_str(g, "name", ""), "ci-main");
	assert_int_equal(json_get_int(g, "run_id", 0), second);
	assert_int_equal(json_get_int(g, "holder_id", 0), first);
	assert_int_equal(json_get_int(g, "before", -1), 0);
	json_free(story);
	story = NULL;
	world_finish(w, world_job(w, first, "a", 0), CONCLUSION_SUCCESS);
	assert_ok(query_queue_story(w->s, &story, &w->err), &w->err);
	assert_int_equal(json_count(json_get(story, "groups")), 0);
	recent = json_get(story, "recent");
	assert_int_equal(json_count(recent), 1);
	assert_string_equal(json_get_str(json_at(recent, 0), "node", ""), "a");
	assert_true(json_get_int(json_at(recent, 0), "claimed_at", 0) > 0);
}

static void settings_and_lists_never_show_a_secret(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *token = NULL, *key = NULL;
	int64_t run = world_run(w, "a");

	assert_ok(secrets_set(
			  w->s, w->repo, "", "CANARY", "canary-5521", 11, &mira, &w->err),
		&w->err);
	assert_ok(vars_set(w->s, w->repo, "", "REGION", "eu", &mira, &w->err), &w->err);
	assert_ok(tokens_create(
			  w->s, "dash", "mira", SCOPE_READ, 0, &mira, &token, &w->err),
		&w->err);
	assert_ok(keys_create(w->s, "demo", &mira, &key, &w->err), &w->err);
	world_environment(
		w, "production", "{\"reviewers\": [\"*\"], \"branches\": [\"main\"]}");
	for (int i = 0; i < 12; i++) {
		_cleanup_(json_freep) struct json *j = NULL;
		_cleanup_free_ char *text = NULL;
		int got = i == 0   ? query_repos(w->s, &j, &w->err)
			  : i == 1 ? query_repo(w->s, "acme/archive", &j, &w->err)
			  : i == 2 ? query_secrets(w->s, w->repo, &j, &w->err)
			  : i == 3 ? query_vars(w->s, w->repo, &j, &w->err)
			  : i == 4 ? query_tokens(w->s, &j, &w->err)
			  : i == 5 ? query_keys(w->s, &j, &w->err)
			  : i == 6 ? query_environments(w->s, "acme/archive", &j, &w->err)
			  : i == 7 ? query_environment(w->s, "acme/archive", "production",
					     &j, &w->err)
			  : i == 8 ? query_audit(w->s, 0, NULL, 0, 100, &j, &w->err)
			  : i == 9 ? query_status(w->s, &j, &w->err)
			  : i == 10 ? query_delivery(w->s, 1, &j, &w->err)
				    : query_trace(w->s, world_job(w, run, "a", 0), &j,
					      &w->err);

		assert_ok(got, &w->err);
		text = json_text(j);
		assert_null(strstr(text, "canary-5521"));
		assert_null(strstr(text, "0123456789abcdef0123"));
		assert_null(strstr(text, token));
		assert_null(strstr(text, key));
		if (i == 6)
			assert_has(text, "1 of anybody, not self, main");
		if (i == 1)
			assert_has(text, "REGION");
		if (i == 4)
			assert_has(text, "\"scope\":\"read\"");
	}
}

static void times_become_text_for_the_public(void **state)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	static const char in[] =
		"{\"created_at\": 1778760123004, \"x\": [{\"at\": 1000, \"n\": 7}],"
		" \"done_at\": null}";
	_cleanup_free_ char *text = NULL;

	assert_ok(json_parse(in, strlen(in), &j, &err), &err);
	query_public(j);
	text = json_text(j);
	assert_string_equal(text,
		"{\"created_at\":\"2026-05-14T12:02:03.004Z\",\"x\":[{\"at\":"
		"\"1970-01-01T00:00:01.000Z\",\"n\":7}],\"done_at\":null}");
	json_free(j);
}

/* No statement of a page reads a table that grows with time from end to end. */
static void lists_are_served_by_indexes(void **state)
{
	struct world *w = *state;
	static const char *const statements[] = {
		"SELECT id FROM runs r WHERE r.phase = 'waiting' AND r.id < 9 ORDER BY r.id DESC LIMIT 9",
		"SELECT id FROM runs r WHERE r.repo_id = 1 ORDER BY r.id DESC LIMIT 9",
		"SELECT id FROM runs r WHERE r.branch = 'main' ORDER BY r.id DESC LIMIT 9",
		"SELECT id FROM runs r WHERE r.sha >= 'a' AND r.sha < 'b' ORDER BY r.id DESC LIMIT 9",
		"SELECT id FROM jobs WHERE run_id = 1 AND attempt = 1",
		"SELECT id FROM jobs WHERE state = 'queued' ORDER BY queued_at, id LIMIT 9",
		"SELECT id FROM jobs WHERE state = 'completed' AND queued_at > 0 AND claimed_at > 0"
		" ORDER BY queued_at DESC, id DESC LIMIT 9",
		"SELECT id FROM deliveries WHERE hook_id = 1 AND body_sha256 = x'00' AND"
		" received_at > 3 AND state = 'accepted' ORDER BY id DESC LIMIT 1",
		"SELECT id FROM deliveries WHERE hook_id = 1 AND key = 'k' AND state = 'accepted' AND"
		" hook_id <> 0 AND key <> ''",
		"SELECT id FROM events WHERE state = 'pending' ORDER BY id LIMIT 9",
		"SELECT id FROM audit WHERE run_id = 1 AND run_id <> 0 ORDER BY id DESC LIMIT 9",
		"SELECT id FROM gates WHERE state = 'pending'",
		"SELECT id FROM deployments WHERE repo_id = 1 AND environment = 'x' ORDER BY id DESC",
		"SELECT count(*) FROM jobs b WHERE b.repo_id = 1 AND b.state IN"
		" ('claimed', 'released', 'running', 'finalising', 'cancelling')",
		"SELECT to_state FROM audit a WHERE a.object = 'job' AND a.object_id = 4 ORDER BY a.id",
	};

	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		_cleanup_free_ char *sql =
			xasprintf("EXPLAIN QUERY PLAN %s", statements[i]);
		_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

		assert_ok(db_query_args(store_db(w->s), &r, &w->err, sql, NULL, 0),
			&w->err);
		while (db_step(&r, &w->err) > 0)
			if (str_starts(db_str(&r, 3), "SCAN"))
				fail_msg("%s: %s", statements[i], db_str(&r, 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(pages_follow_each_other_without_gap_or_overlap),
		WORLD(filters_narrow_the_list),
		WORLD(a_row_of_the_list_has_its_jobs_and_gates),
		WORLD(one_run_is_whole_in_every_attempt),
		WORLD(a_gate_shows_what_would_change),
		WORLD(the_queue_is_explained_by_groups_and_by_what_ran),
		WORLD(settings_and_lists_never_show_a_secret),
		TEST(times_become_text_for_the_public),
		WORLD(lists_are_served_by_indexes),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for the tests of the store: one repository with a hook, a way to make
 * runs of a given shape, and to walk a job from state to state. Fails the test on errors.
 */
#ifndef TESTS_UNIT_STORE_WORLD_H
#define TESTS_UNIT_STORE_WORLD_H

#include "tests/lib/test.h"

#include "base/clock.h"
#include "base/json.h"
#include "store/check.h"
#include "store/deliveries.h"
#include "store/environments.h"
#include "store/gates.h"
#include "store/jobs.h"
#include "store/query.h"
#include "store/repos.h"
#include "store/runs.h"
#include "store/secrets.h"
#include "store/store.h"
#include "store/tokens.h"

struct world {
	struct test_dir *dir; /* NULL: in memory */
	char *path;
	struct store *s;
	int64_t repo;
	int64_t hook;
	int64_t next; /* makes bodies differ */
	struct err err;
};

static const uint8_t world_key[CRYPTO_MASTER_LEN] = "the key of tests: 32 bytes long.";
static const struct actor mira = { "user", "mira", NULL };
static const struct actor lena = { "user", "lena", NULL };
static const struct actor omar = { "user", "omar", NULL };

#define HEX_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

__attribute__((unused)) static void world_fill(struct world *w)
{
	const struct repo_new repo = { "acme/archive", "gitea",
		"https://git.example.com/acme/archive.git", "main", NULL };

	assert_ok(store_set_key(w->s, world_key, &w->err), &w->err);
	assert_ok(repos_add(w->s, &repo, &mira, &w->repo, &w->err), &w->err);
	assert_ok(hooks_add(w->s, w->repo, "gitea", "0123456789abcdef0123", &mira,
			  &w->hook, NULL, &w->err),
		&w->err);
}

__attribute__((unused)) static int world_setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	*state = w;
	assert_ok(store_open(":memory:", STORE_CREATE, &w->s, &w->err), &w->err);
	world_fill(w);
	return 0;
}

__attribute__((unused)) static int world_setup_disk(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	*state = w;
	w->dir = test_tempdir();
	w->path = xasprintf("%s/sluice.db", w->dir->path);
	assert_ok(store_open(w->path, STORE_CREATE | STORE_ANY_FS, &w->s, &w->err),
		&w->err);
	world_fill(w);
	return 0;
}

__attribute__((unused)) static int world_teardown(void **state)
{
	struct world *w = *state;

	clock_skew_wall(0);
	store_free(w->s);
	test_tempdir_free(w->dir);
	free(w->path);
	free(w);
	return 0;
}

#define WORLD(fn)      TEST_WITH(fn, world_setup, world_teardown)
#define WORLD_DISK(fn) TEST_WITH(fn, world_setup_disk, world_teardown)

/* ---- events and runs --------------------------------------------------------------- */

__attribute__((unused)) static struct delivery_new world_delivery(
	struct world *w, const char *key, const char *body)
{
	struct delivery_new d = { .hook = w->hook,
		.repo = w->repo,
		.forge = "gitea",
		.key = key,
		.event = "push",
		.body_len = (int64_t)strlen(body),
		.peer = "192.0.2.1",
		.request = "r1" };

	crypto_sha256(body, strlen(body), d.body_sha256);
	return d;
}

static struct event_new world_push = { .kind = "push",
	.name = "push",
	.ref = "refs/heads/main",
	.head_sha = HEX_A,
	.base_sha = HEX_B,
	.title = "Say hello",
	.actor = "omar",
	.actor_id = "7",
	.trust = TRUST_TRUSTED };

__attribute__((unused)) static int64_t world_event(struct world *w, enum trust trust)
{
	_cleanup_free_ char *body = xasprintf("{\"n\": %lld}", (long long)++w->next);
	_cleanup_free_ char *key = xasprintf("k%lld", (long long)w->next);
	struct delivery_new d = world_delivery(w, key, body);
	struct event_new e = world_push;
	struct accept_result r;

	e.trust = trust;
	assert_ok(deliveries_accept(w->s, &d, &e, &r, &w->err), &w->err);
	assert_int_equal(r.outcome, ACCEPT_NEW);
	return r.event;
}

/* Which nodes a run has: "a b:a c:a,b" is a, b needs a, c needs a and b. */
struct world_shape {
	struct node_new nodes[16];
	size_t len;
	struct strvec names;
	char **needs[16];
};

__attribute__((unused)) static void world_shape_init(
	struct world_shape *x, const char *text)
{
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;

	*x = (struct world_shape){ .names = STRVEC_INIT };
	strvec_split(&words, text, ' ');
	strvec_foreach (word, &words) {
		_cleanup_(strvec_done) struct strvec needs = STRVEC_INIT;
		char *colon = strchr(*word, ':');

		if (colon) {
			*colon = '\0';
			strvec_split(&needs, colon + 1, ',');
		}
		x->needs[x->len] = strvec_take(&needs);
		x->nodes[x->len].key = strvec_push(&x->names, *word);
		x->nodes[x->len].needs = (const char *const *)x->needs[x->len];
		x->len++;
	}
}

__attribute__((unused)) static void world_shape_done(struct world_shape *x)
{
	for (size_t i = 0; i < x->len; i++) {
		for (char **n = x->needs[i]; n && *n; n++)
			free(*n);
		if (x->needs[i] && *x->needs[i])
			free(x->needs[i]);
		else if (x->needs[i] && x->needs[i] != strvec_empty)
			free(x->needs[i]);
	}
	strvec_done(&x->names);
}

struct world_run {
	const char *shape;
	enum trust trust;
	const char *sha;
	const char *path;
	struct concurrency concurrency;
	bool needs_maintainer;
};

__attribute__((unused)) static int64_t world_run_as(
	struct world *w, const struct world_run *x)
{
	int64_t event = world_event(w, x->trust), run = 0;
	_cleanup_(json_freep) struct json *plan = json_new_object();
	struct world_shape shape;
	struct run_new in = { .event = event,
		.workflow_path = x->path ? x->path : ".github/workflows/ci.yml",
		.workflow_name = "CI",
		.title = "Say hello",
		.workflow_digest = DIGEST,
		.sha = x->sha ? x->sha : HEX_A,
		.ref = "refs/heads/main",
		.branch = "main",
		.concurrency = x->concurrency,
		.needs_maintainer = x->needs_maintainer };
	int got;

	world_shape_init(&shape, x->shape);
	json_set_str(plan, "shape", x->shape);
	in.plan = plan;
	in.nodes = shape.nodes;
	in.nodes_len = shape.len;
	got = runs_create(w->s, event, &in, 1, &run, &w->err);
	world_shape_done(&shape);
	assert_ok(got, &w->err);
	return run;
}

__attribute__((unused)) static int64_t world_run(struct world *w, const char *shape)
{
	return world_run_as(
		w, &(struct world_run){ .shape = shape, .trust = TRUST_TRUSTED });
}

/* ---- jobs -------------------------------------------------------------------------- */

/* The row ROW of NODE in the latest attempt. */
__attribute__((unused)) static int64_t world_job(
	struct world *w, int64_t run, const char *node, int64_t row)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	const struct db_arg args[] = { db_arg_int(run), db_arg_str(node),
		db_arg_int(row) };

	assert_int_equal(
		db_first_args(store_db(w->s), &r, &w->err,
			"SELECT j.id FROM jobs j JOIN runs r ON r.id = j.run_id AND"
			" r.attempt = j.attempt WHERE r.id = ? AND j.node = ? AND j.row = ?",
			args, 3),
		1);
	return db_int(&r, 0);
}

struct world_rows {
	size_t len;
	const char *environment;
	bool fail_fast;
	int64_t max_parallel;
	bool once;
	bool continues_on_error;
	struct concurrency concurrency;
};

__attribute__((unused)) static int world_try_expand(
	struct world *w, int64_t job, const struct world_rows *x)
{
	struct job_row_new rows[8];
	_cleanup_(json_freep) struct json *spec = json_new_object();
	static const char *const labels[] = { "ubuntu-latest", NULL };
	static const char *const names[] = { "x (1)", "x (2)", "x (3)", "x (4)", "x (5)",
		"x (6)", "x (7)", "x (8)" };
	size_t len = x && x->len ? x->len : 1;
	struct job_expansion e = { rows, len, x ? x->max_parallel : 0, x && x->fail_fast,
		NULL };

	json_set_str(spec, "hello", "world");
	for (size_t i = 0; i < len; i++)
		rows[i] = (struct job_row_new){ .name = names[i],
			.spec = spec,
			.labels = labels,
			.environment = x ? x->environment : NULL,
			.is_deployment = x && x->environment,
			.is_once = x && x->once,
			.continues_on_error = x && x->continues_on_error,
			.concurrency = x ? x->concurrency : (struct concurrency){ 0 } };
	return jobs_expand(w->s, job, &e, &w->err);
}

__attribute__((unused)) static void world_expand(
	struct world *w, int64_t job, const struct world_rows *x)
{
	assert_ok(world_try_expand(w, job, x), &w->err);
}

__attribute__((unused)) static enum job_state world_state(struct world *w, int64_t job)
{
	_cleanup_(job_done) struct job j = { 0 };

	assert_ok(jobs_get(w->s, job, &j, &w->err), &w->err);
	return j.state;
}

__attribute__((unused)) static const char *world_state_name(struct world *w, int64_t job)
{
	return state_name(MACHINE_JOB, (int)world_state(w, job));
}

__attribute__((unused)) static enum conclusion world_conclusion(
	struct world *w, int64_t job)
{
	_cleanup_(job_done) struct job j = { 0 };

	assert_ok(jobs_get(w->s, job, &j, &w->err), &w->err);
	return j.conclusion;
}

__attribute__((unused)) static int64_t world_claim(struct world *w, int64_t job)
{
	int64_t epoch, try;

	assert_ok(jobs_claim(w->s, job, "local", &epoch, &try, &w->err), &w->err);
	return epoch;
}

__attribute__((unused)) static int world_try_release(
	struct world *w, int64_t job, int64_t epoch)
{
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	const struct job_release r = { job, epoch, NULL };

	return jobs_release(w->s, &r, &list, &w->err);
}

__attribute__((unused)) static int world_frames(struct world *w, int64_t job,
	int64_t epoch, int64_t first, const struct job_update *u, size_t len)
{
	const struct job_frames f = { job, epoch, first, first + (int64_t)len - 1, 100, u,
		len };

	return jobs_apply(w->s, &f, &w->err);
}

/* Claims, releases, runs and ends a queued job. */
__attribute__((unused)) static void world_finish(
	struct world *w, int64_t job, enum conclusion c)
{
	int64_t epoch = world_claim(w, job);
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_STARTED, .at = clock_wall_ms() },
		{ .kind = JOB_UPDATE_EXIT, .conclusion = c },
	};

	assert_ok(world_try_release(w, job, epoch), &w->err);
	assert_ok(world_frames(w, job, epoch, 1, u, 2), &w->err);
	assert_ok(jobs_finish(w->s, job, epoch, DIGEST, 3, &w->err), &w->err);
}

__attribute__((unused)) static void world_run_is(
	struct world *w, int64_t run, const char *phase)
{
	_cleanup_(run_done) struct run r = { 0 };

	assert_ok(runs_get(w->s, run, &r, &w->err), &w->err);
	assert_string_equal(r.phase, phase);
}

/* ---- environments ------------------------------------------------------------------ */

__attribute__((unused)) static void world_environment(
	struct world *w, const char *name, const char *rules)
{
	_cleanup_(json_freep) struct json *j = NULL;

	assert_ok(json_parse(rules, strlen(rules), &j, &w->err), &w->err);
	assert_ok(
		environments_set(w->s, w->repo, name, j, &mira, NULL, &w->err), &w->err);
}

__attribute__((unused)) static int64_t world_gate(struct world *w, int64_t run)
{
	int64_t id = 0;

	assert_ok(gates_find(w->s, run, NULL, &id, &w->err), &w->err);
	return id;
}

__attribute__((unused)) static int world_vote(struct world *w, int64_t gate,
	const struct actor *who, bool approves, struct gate_result *ret)
{
	struct gate_result unused;
	const struct gate_vote v = {
		.gate = gate, .who = *who, .has_scope = true, .approves = approves,
		.digest = DIGEST
	};

	return gates_vote(w->s, &v, ret ? ret : &unused, &w->err);
}

/* ---- the invariants ---------------------------------------------------------------- */

__attribute__((unused)) static void world_print_finding(
	const struct check_finding *f, void *data)
{
	struct strbuf *b = data;

	strbuf_addf(b, "%s %s\n", f->id, f->text);
}

__attribute__((unused)) static void world_check(struct world *w)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	struct check_summary sum;

	assert_ok(store_check(w->s, 0, world_print_finding, &b, &sum, &w->err), &w->err);
	assert_string_equal(b.buf, "");
	assert_int_equal(sum.broken, 0);
}

#endif

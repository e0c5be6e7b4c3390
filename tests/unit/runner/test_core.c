/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core with a real planner and a store in memory; spawner and executors are played here:
 * what is spawned when, what READY, GO, frames, exit and death lead to.
 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "executor/journal.h"
#include "executor/link.h"
#include "runner/core.h"
#include "store/environments.h"
#include "store/jobs.h"
#include "store/query.h"
#include "store/repos.h"
#include "store/runs.h"

struct fake { /* one executor */
	int64_t job, try, epoch;
	int dir, lock, listener, link;
	struct journal *journal;
};

struct fixture {
	struct test_dir *dir;
	struct loop *loop;
	struct core_options o;
	struct core *core;
	int spawner; /* our end */
	int64_t repo, event;
	char *data;
	struct fake fakes[8];
	size_t fakes_len;
};

static int setup_with(void **state, int64_t capacity, const char *label)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct err err = ERR_INIT;
	void *dir = NULL;
	int pair[2];
	const struct actor who = ACTOR_CORE;
	const struct repo_new repo = {
		.full_name = "acme/app", .forge = "generic", .url = "/nowhere"
	};

	log_open("test", LOG_ERR);
	if (test_dir_setup(&dir) < 0)
		return -1;
	f->dir = dir;
	f->data = xasprintf("%s/data", f->dir->path);
	if (core_prepare_dirs(f->data, &err) < 0 || chan_pair(pair, &err) < 0 ||
		loop_new(&f->loop, &err) < 0)
		return -1;
	f->spawner = pair[1];
	(void)fd_set_nonblock(f->spawner, true);
	f->o = (struct core_options){ .data_dir = f->data,
		.store = ":memory:",
		.helper = "/nowhere",
		.spawner_chan = pair[0],
		.is_run = true,
		.capacity = capacity,
		.profile = "standard",
		.network = "none",
		.network_untrusted = "none",
		.labels = STRVEC_INIT,
		.network_allow = STRVEC_INIT,
		.network_relay = STRVEC_INIT };
	(void)strvec_push(&f->o.labels, label);
	if (core_new(f->loop, &f->o, NULL, &f->core, &err) < 0 ||
		core_start(f->core, &err) < 0 || core_begin(f->core, &err) < 0 ||
		repos_add(core_store(f->core), &repo, &who, &f->repo, &err) < 0) {
		print_error("%s\n", err.msg);
		return -1;
	}
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 2, "*");
}

static int setup_one_slot(void **state)
{
	return setup_with(state, 1, "ubuntu-latest");
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *dir = f->dir;

	core_free(f->core);
	loop_free(f->loop);
	(void)close(f->spawner);
	for (size_t i = 0; i < f->fakes_len; i++) {
		struct fake *x = &f->fakes[i];

		journal_free(x->journal);
		for (size_t k = 0; k < 4; k++) {
			int fd = ((int[]){ x->dir, x->lock, x->listener, x->link })[k];

			if (fd >= 0)
				(void)close(fd);
		}
	}
	strvec_done(&f->o.labels);
	strvec_done(&f->o.network_allow);
	free(f->data);
	free(f);
	return test_dir_teardown(&dir);
}

/* ---- driving ------------------------------------------------------------------------- */

static void turn(struct fixture *f, int ms)
{
	struct err err = ERR_INIT;

	assert_ok(loop_once(f->loop, ms, &err), &err);
}

static void start(struct fixture *f, const char *text)
{
	const struct core_file file = { ".github/workflows/ci.yml", NULL, text,
		strlen(text) };
	struct delivery_new d = { .repo = f->repo,
		.forge = "generic",
		.key = "",
		.event = "push",
		.peer = "",
		.request = "" };
	struct event_new e = { .kind = "push",
		.name = "push",
		.action = "",
		.ref = "refs/heads/main",
		.head_sha = "1111111111111111111111111111111111111111",
		.base_sha = "",
		.merge_sha = "",
		.title = "t",
		.actor = "mira",
		.actor_id = "",
		.trust = TRUST_TRUSTED };
	struct accept_result r;
	struct err err = ERR_INIT;

	e.document = json_new_object();
	assert_ok(core_begin(f->core, &err), &err);
	assert_ok(deliveries_accept(core_store(f->core), &d, &e, &r, &err), &err);
	json_free((struct json *)e.document);
	f->event = r.event;
	core_plan_files(f->core, r.event, &file, 1);
}

/* The next request of core to its spawner, or NULL after MS. The caller frees. */
static struct json *spawner_recv(struct fixture *f, int ms)
{
	int64_t end = clock_boot_ms() + ms;

	do {
		struct chan_msg m = CHAN_MSG_INIT;
		struct err err = ERR_INIT;

		if (chan_recv(f->spawner, &m, &err) > 0) {
			struct json *head = json_share(m.head);

			chan_msg_done(&m);
			return head;
		}
		turn(f, 20);
	} while (clock_boot_ms() < end);
	return NULL;
}

static void spawner_answer(
	struct fixture *f, const struct json *request, enum err_code code)
{
	_cleanup_(json_freep) struct json *a = json_new_object();
	struct err err = ERR_INIT;

	json_set_str(a, "op", "answer");
	json_set_int(a, "seq", json_get_int(request, "seq", 0));
	json_set_bool(a, "ok", code == ERR_NONE);
	if (code == ERR_NONE) {
		json_set_int(a, "pid", 1);
	} else {
		struct json *e = json_new_object();

		json_set_str(e, "code", err_code_name(code));
		json_set_str(e, "message", "refused by the test");
		json_set(a, "error", e);
	}
	assert_ok(chan_send(f->spawner, a, NULL, 0, NULL, 0, &err), &err);
}

/* Waits for `spawn`, and becomes its executor: lock, socket, journal. */
static struct fake *take_spawn(struct fixture *f)
{
	struct json *req = spawner_recv(f, 20000);
	struct fake *x = &f->fakes[f->fakes_len++];
	struct err err = ERR_INIT;
	_cleanup_free_ char *dir = NULL, *sock = NULL;

	assert_non_null(req);
	assert_string_equal(json_get_str(req, "op", ""), "spawn");
	*x = (struct fake){ .job = json_get_int(req, "job", 0),
		.lock = -1,
		.listener = -1,
		.link = -1,
		.try = json_get_int(req, "try", 0) };
	dir = xasprintf("%s/jobs/%" PRId64 "/%" PRId64, f->data, x->job, x->try);
	sock = xasprintf("%s/sock", dir);
	x->dir = open(dir, O_DIRECTORY | O_CLOEXEC);
	assert_true(x->dir >= 0);
	x->lock = openat(x->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_lock(x->lock), 1);
	assert_ok(chan_listen(sock, &x->listener, &err), &err);
	assert_ok(journal_open(x->dir, "journal", &x->journal, &err), &err);
	spawner_answer(f, req, ERR_NONE);
	json_free(req);
	return x;
}

static struct json *spec_of(struct fake *x)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct json *spec = NULL;
	struct err err = ERR_INIT;

	assert_ok(fd_read_file(x->dir, "spec.json", 1 << 20, &text, &err), &err);
	assert_ok(json_parse(text.buf, text.len, &spec, &err), &err);
	x->epoch = json_get_int(spec, "epoch", -1);
	return spec;
}

static void say(struct fake *x, struct json *head)
{
	struct err err = ERR_INIT;

	assert_ok(chan_send(x->link, head, NULL, 0, NULL, 0, &err), &err);
	json_free(head);
}

static void add_frame(struct fake *x, enum journal_type type, const char *members)
{
	struct json *p = NULL;
	struct err err = ERR_INIT;

	assert_ok(json_parse(members, strlen(members), &p, &err), &err);
	assert_ok(journal_add(x->journal, type, p, &err), &err);
}

/* Accepts core and says hello in STATE. */
static void meet(struct fixture *f, struct fake *x, const char *state)
{
	struct link_hello h = { .job = x->job,
		.attempt = 1,
		.try = x->try,
		.epoch = x->epoch,
		.state = state,
		.frames = journal_seq(x->journal),
		.log = 0 };
	int64_t end = clock_boot_ms() + 20000;
	struct err err = ERR_INIT;

	(void)fd_set_nonblock(x->listener, true);
	if (x->link >= 0)
		(void)close(x->link);
	while (chan_accept(x->listener, &x->link, &err) < 0) {
		assert_true(clock_boot_ms() < end);
		turn(f, 10);
	}
	(void)fd_set_nonblock(x->link, true);
	say(x, link_hello(&h));
}

static void ready(struct fake *x)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", "ready");
	json_set_int(head, "epoch", x->epoch);
	say(x, head);
}

/* What core says to the executor next; its op is checked, the body goes to *RET. */
static void hear(struct fixture *f, struct fake *x, const char *op, struct json **ret)
{
	int64_t end = clock_boot_ms() + 20000;

	for (;;) {
		struct chan_msg m = CHAN_MSG_INIT;
		struct err err = ERR_INIT;
		int n = chan_recv(x->link, &m, &err);

		if (n > 0) {
			assert_string_equal(chan_msg_op(&m), op);
			if (ret)
				assert_ok(json_parse(m.body.buf, m.body.len, ret, &err),
					&err);
			chan_msg_done(&m);
			return;
		}
		assert_int_not_equal(n, 0);
		assert_true(clock_boot_ms() < end);
		turn(f, 10);
	}
}

static void ring(struct fake *x)
{
	say(x, link_frames(journal_seq(x->journal), 0));
}

static void die(struct fake *x)
{
	(void)close(take_fd(&x->link));
	(void)close(take_fd(&x->listener));
	(void)close(take_fd(&x->lock));
}

static enum job_state state_of(struct fixture *f, int64_t job, enum conclusion *ret)
{
	struct job j = { 0 };
	struct err err = ERR_INIT;
	enum job_state s;

	assert_ok(jobs_get(core_store(f->core), job, &j, &err), &err);
	s = j.state;
	if (ret)
		*ret = j.conclusion;
	job_done(&j);
	return s;
}

static void await_state(struct fixture *f, int64_t job, enum job_state want)
{
	int64_t end = clock_boot_ms() + 20000;

	while (state_of(f, job, NULL) != want && clock_boot_ms() < end)
		turn(f, 10);
	assert_string_equal(state_name(MACHINE_JOB, (int)state_of(f, job, NULL)),
		state_name(MACHINE_JOB, (int)want));
}

/* A whole life with CONCLUSION. */
static void live_and_end(struct fixture *f, struct fake *x, const char *conclusion)
{
	char text[256];

	json_free(spec_of(x));
	meet(f, x, "setup");
	ready(x);
	hear(f, x, "go", NULL);
	add_frame(x, JOURNAL_GO, "{}");
	(void)snprintf(text, sizeof(text),
		"{\"conclusion\":\"%s\",\"released\":true,\"log\":0}", conclusion);
	add_frame(x, JOURNAL_EXIT, text);
	ring(x);
	hear(f, x, "bye", NULL);
	die(x);
}

static const char *const one_job = "on: push\n"
				   "jobs:\n"
				   "  a:\n"
				   "    runs-on: ubuntu-latest\n"
				   "    env: {X: 1}\n"
				   "    steps: [{run: 'echo ${{ secrets.TOKEN }}'}]\n";

/* ---- tests ------------------------------------------------------------------------------- */

static void a_job_goes_from_spawn_over_ready_to_go_and_bye(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	_cleanup_(json_freep) struct json *spec = NULL, *go = NULL;
	enum conclusion c = CONCLUSION_NONE;

	start(f, one_job);
	x = take_spawn(f);
	spec = spec_of(x);
	assert_int_equal(json_get_int(spec, "job_id", 0), x->job);
	assert_string_equal(json_as_str(json_path(spec, "job.job_id"), ""), "a");
	assert_string_equal(
		json_as_str(json_at(json_get(spec, "secret_names"), 0), ""), "TOKEN");
	assert_true(json_get_bool(spec, "trusted", false));
	meet(f, x, "setup");
	assert_int_equal(state_of(f, x->job, NULL), JOB_CLAIMED);
	ready(x);
	hear(f, x, "go", &go);
	/* Durable before anything of the user's can run. */
	assert_int_equal(state_of(f, x->job, NULL), JOB_RELEASED);
	assert_true(json_is(json_get(go, "secrets"), JSON_KIND_OBJECT));
	add_frame(x, JOURNAL_GO, "{}");
	add_frame(x, JOURNAL_STEP,
		"{\"n\":1,\"name\":\"one\",\"state\":\"running\",\"log\":0}");
	ring(x);
	await_state(f, x->job, JOB_RUNNING);
	add_frame(x, JOURNAL_EXIT,
		"{\"conclusion\":\"success\",\"released\":true,\"log\":0}");
	ring(x);
	hear(f, x, "bye", NULL);
	assert_int_equal(state_of(f, x->job, &c), JOB_COMPLETED);
	assert_int_equal(c, CONCLUSION_SUCCESS);
}

static void a_need_waits_and_a_failed_one_skips(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	struct job j = { 0 };
	struct err err = ERR_INIT;
	int64_t b;
	enum conclusion c = CONCLUSION_NONE;

	start(f, "on: push\njobs:\n"
		 "  a: {runs-on: x, steps: [{run: echo}]}\n"
		 "  b: {needs: a, runs-on: x, steps: [{run: echo}]}\n");
	x = take_spawn(f);
	assert_null(spawner_recv(f, 100));
	assert_ok(jobs_get(core_store(f->core), x->job, &j, &err), &err);
	assert_ok(jobs_resolve(core_store(f->core), j.run, "b", &b, &err), &err);
	job_done(&j);
	live_and_end(f, x, "failure");
	await_state(f, b, JOB_COMPLETED);
	(void)state_of(f, b, &c);
	assert_int_equal(c, CONCLUSION_SKIPPED);
	assert_null(spawner_recv(f, 100));
}

static void no_more_jobs_run_than_there_are_slots(void **state)
{
	struct fixture *f = *state;
	struct fake *a;

	start(f, "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n"
		 "    strategy: {matrix: {v: [1, 2, 3]}}\n    steps: [{run: echo}]\n");
	a = take_spawn(f);
	assert_null(spawner_recv(f, 100));
	live_and_end(f, a, "success");
	a = take_spawn(f);
	assert_null(spawner_recv(f, 100));
	live_and_end(f, a, "success");
	live_and_end(f, take_spawn(f), "success");
	assert_null(spawner_recv(f, 50));
}

static void a_label_nobody_offers_ends_with_that_reason(void **state)
{
	struct fixture *f = *state;
	_cleanup_(json_freep) struct json *run = NULL;
	struct err err = ERR_INIT;
	int64_t end = clock_boot_ms() + 20000;
	const struct json *job = NULL;

	start(f,
		"on: push\njobs:\n  a: {runs-on: windows-latest, steps: [{run: echo}]}\n");
	assert_null(spawner_recv(f, 100));
	while (clock_boot_ms() < end) {
		turn(f, 20);
		json_free(run);
		run = NULL;
		assert_ok(query_run(core_store(f->core), 1, 0, &run, &err), &err);
		job = json_at(json_get(run, "jobs"), 0);
		if (*json_get_str(job, "conclusion", ""))
			break;
	}
	assert_string_equal(json_get_str(job, "conclusion", ""), "failure");
	assert_non_null(strstr(json_get_str(job, "reason", ""), "'windows-latest'"));
}

static void a_spawner_that_refuses_gets_it_again(void **state)
{
	struct fixture *f = *state;
	struct json *req;
	struct fake *x;

	start(f, one_job);
	req = spawner_recv(f, 20000);
	assert_non_null(req);
	spawner_answer(f, req, ERR_SYS);
	json_free(req);
	x = take_spawn(f);
	assert_int_equal(x->try, 2);
	live_and_end(f, x, "success");
}

static void one_that_dies_before_go_is_queued_again(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	struct json *req;
	int64_t job;

	start(f, one_job);
	x = take_spawn(f);
	json_free(spec_of(x));
	meet(f, x, "setup");
	job = x->job;
	die(x);
	/* Nothing is given back before the spawner has proven it dead. */
	req = spawner_recv(f, 20000);
	assert_non_null(req);
	assert_string_equal(json_get_str(req, "op", ""), "bury");
	assert_int_equal(state_of(f, job, NULL), JOB_CLAIMED);
	spawner_answer(f, req, ERR_NONE);
	json_free(req);
	x = take_spawn(f);
	assert_int_equal(x->job, job);
	assert_int_equal(x->try, 2);
}

static void a_deploy_that_dies_after_go_is_lost(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	struct json *req;
	_cleanup_(json_freep) struct json *rules = NULL;
	const char *text = "{\"reviewers\":[],\"required\":0}";
	struct err err = ERR_INIT;

	assert_ok(json_parse(text, strlen(text), &rules, &err), &err);
	assert_ok(core_begin(f->core, &err), &err);
	assert_ok(environments_set_default(core_store(f->core), rules, &err), &err);
	start(f, "on: push\njobs:\n  a: {runs-on: x, environment: prod, "
		 "steps: [{run: echo}]}\n");
	x = take_spawn(f);
	json_free(spec_of(x));
	meet(f, x, "setup");
	ready(x);
	hear(f, x, "go", NULL);
	die(x);
	req = spawner_recv(f, 20000);
	assert_non_null(req);
	assert_string_equal(json_get_str(req, "op", ""), "bury");
	spawner_answer(f, req, ERR_NONE);
	json_free(req);
	await_state(f, x->job, JOB_LOST);
	assert_null(spawner_recv(f, 200));
}

static void an_exit_record_counts_though_nobody_is_there_to_say_it(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	enum conclusion c = CONCLUSION_NONE;

	start(f, one_job);
	x = take_spawn(f);
	json_free(spec_of(x));
	meet(f, x, "setup");
	ready(x);
	hear(f, x, "go", NULL);
	add_frame(x, JOURNAL_GO, "{}");
	add_frame(x, JOURNAL_EXIT,
		"{\"conclusion\":\"failure\",\"released\":true,\"log\":0}");
	die(x);
	await_state(f, x->job, JOB_COMPLETED);
	(void)state_of(f, x->job, &c);
	assert_int_equal(c, CONCLUSION_FAILURE);
}

static void a_link_that_breaks_is_made_again_while_the_lock_is_held(void **state)
{
	struct fixture *f = *state;
	struct fake *x;

	start(f, one_job);
	x = take_spawn(f);
	json_free(spec_of(x));
	meet(f, x, "setup");
	ready(x);
	hear(f, x, "go", NULL);
	add_frame(x, JOURNAL_GO, "{}");
	meet(f, x, "running"); /* closes the old one first */
	add_frame(x, JOURNAL_EXIT,
		"{\"conclusion\":\"success\",\"released\":true,\"log\":0}");
	ring(x);
	hear(f, x, "bye", NULL);
	await_state(f, x->job, JOB_COMPLETED);
}

static void another_epoch_is_told_to_go(void **state)
{
	struct fixture *f = *state;
	struct fake *x;

	start(f, one_job);
	x = take_spawn(f);
	json_free(spec_of(x));
	x->epoch += 7;
	meet(f, x, "setup");
	hear(f, x, "abort", NULL);
	assert_int_equal(state_of(f, x->job, NULL), JOB_CLAIMED);
}

static void a_cancel_before_go_aborts_and_after_go_cancels(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	enum conclusion c = CONCLUSION_NONE;

	start(f, "on: push\njobs:\n"
		 "  a: {runs-on: x, steps: [{run: echo}]}\n"
		 "  b: {runs-on: x, steps: [{run: echo}]}\n");
	x = take_spawn(f);
	json_free(spec_of(x));
	meet(f, x, "setup");
	ready(x);
	hear(f, x, "go", NULL);
	add_frame(x, JOURNAL_GO, "{}");
	ring(x);
	(void)take_spawn(f);
	json_free(spec_of(&f->fakes[1]));
	meet(f, &f->fakes[1], "setup");
	turn(f, 20);
	core_cancel_all(f->core, "enough", false);
	hear(f, x, "cancel", NULL);
	hear(f, &f->fakes[1], "abort", NULL);
	add_frame(x, JOURNAL_EXIT,
		"{\"conclusion\":\"cancelled\",\"released\":true,\"log\":0}");
	ring(x);
	hear(f, x, "bye", NULL);
	assert_int_equal(state_of(f, x->job, &c), JOB_COMPLETED);
	assert_int_equal(c, CONCLUSION_CANCELLED);
}

static void frames_the_store_refuses_still_end_the_job(void **state)
{
	struct fixture *f = *state;
	struct fake *x;
	struct job j = { 0 };
	struct err err = ERR_INIT;

	start(f, one_job);
	x = take_spawn(f);
	json_free(spec_of(x));
	meet(f, x, "setup");
	ready(x);
	hear(f, x, "go", NULL);
	add_frame(x, JOURNAL_GO, "{}");
	add_frame(
		x, JOURNAL_STEP, "{\"n\":99999999,\"name\":\"x\",\"state\":\"running\"}");
	add_frame(x, JOURNAL_EXIT,
		"{\"conclusion\":\"success\",\"released\":true,\"log\":0}");
	ring(x);
	hear(f, x, "bye", NULL);
	assert_ok(jobs_get(core_store(f->core), x->job, &j, &err), &err);
	assert_int_equal(j.conclusion, CONCLUSION_FAILURE);
	assert_non_null(strstr(j.reason, "cannot be stored"));
	job_done(&j);
}

#define WITH(fn) TEST_WITH(fn, setup, teardown)
TEST_MAIN(WITH(a_job_goes_from_spawn_over_ready_to_go_and_bye),
	WITH(a_need_waits_and_a_failed_one_skips),
	TEST_WITH(no_more_jobs_run_than_there_are_slots, setup_one_slot, teardown),
	TEST_WITH(a_label_nobody_offers_ends_with_that_reason, setup_one_slot, teardown),
	WITH(a_spawner_that_refuses_gets_it_again),
	WITH(one_that_dies_before_go_is_queued_again),
	WITH(a_deploy_that_dies_after_go_is_lost),
	WITH(an_exit_record_counts_though_nobody_is_there_to_say_it),
	WITH(a_link_that_breaks_is_made_again_while_the_lock_is_held),
	WITH(another_epoch_is_told_to_go),
	WITH(a_cancel_before_go_aborts_and_after_go_cancels),
	WITH(frames_the_store_refuses_still_end_the_job))

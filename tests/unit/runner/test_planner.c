/* SPDX-License-Identifier: Apache-2.0 */
/* The planner as core sees it: a confined process that plans and expands. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "runner/planner.h"
#include "runner/worker.h"

struct fixture {
	struct loop *loop;
	struct worker_options o;
	struct worker_pool *pool;
	struct json *answer;
	struct err why;
	bool is_done;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct err err = ERR_INIT;

	log_open("test", LOG_ERR);
	f->o = (struct worker_options)WORKER_OPTIONS_INIT;
	f->o.name = "planner";
	f->o.run = planner_main;
	if (loop_new(&f->loop, &err) < 0 ||
		worker_pool_new(f->loop, &f->o, &f->pool, &err) < 0)
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_pool_free(f->pool);
	loop_free(f->loop);
	json_free(f->answer);
	free(f);
	return 0;
}

static void on_done(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	struct fixture *f = data;

	(void)hint;
	f->is_done = true;
	if (why)
		f->why = *why;
	else if (json_parse(answer->body.buf, answer->body.len, &f->answer, &f->why) < 0)
		f->why.code = ERR_BUG;
}

/* The answer, or NULL with f->why. BODY in JSON with single quotes for double ones. */
static struct json *ask(struct fixture *f, const char *op, const char *body)
{
	_cleanup_free_ char *text = xstrdup(body);
	struct json *head = json_new_object();
	int64_t end = clock_boot_ms() + 10000;
	struct err err = ERR_INIT;

	for (char *p = text; *p; p++)
		if (*p == '`')
			*p = '"';
	json_free(f->answer);
	f->answer = NULL;
	f->is_done = false;
	err_clear(&f->why);
	json_set_str(head, "op", op);
	(void)worker_call(f->pool, head, text, strlen(text), 0, on_done, f);
	while (!f->is_done && clock_boot_ms() < end)
		assert_int_equal(loop_once(f->loop, 200, &err), 0);
	assert_true(f->is_done);
	return f->answer;
}

#define FILE_OF(text) "{`path`:`.github/workflows/a.yml`,`text`:`" text "`}"
#define TWO_JOBS                                                                        \
	"on: push\\njobs:\\n  a:\\n    runs-on: x\\n    steps: [{run: echo}]\\n"        \
	"  b:\\n    needs: a\\n    runs-on: x\\n    strategy: {matrix: {v: [1, 2]}}\\n" \
	"    steps: [{run: echo}]\\n"
#define PLAN_OF(text)                                                                                \
	"{`event`:`push`,`github`:{`ref`:`refs/heads/main`,`event`:{}},`vars`:{},`files`:[" FILE_OF( \
		text) "]}"

static void a_file_becomes_a_plan_and_roots_are_expanded_with_it(void **state)
{
	const struct json *p =
		json_at(json_get(ask(*state, "plan", PLAN_OF(TWO_JOBS)), "plans"), 0);

	assert_true(json_get_bool(p, "triggered", false));
	assert_int_equal(json_count(json_path(p, "plan.jobs")), 2);
	assert_true(json_as_bool(json_path(p, "roots.a.run"), false));
	assert_null(json_path(p, "roots.b"));
	assert_int_equal(strlen(json_get_str(p, "key", "")), 64);
}

static void a_node_is_expanded_by_the_key_of_its_plan(void **state)
{
	struct fixture *f = *state;
	char body[512], key[65];
	const struct json *x;

	ask(f, "plan", PLAN_OF(TWO_JOBS));
	(void)snprintf(key, sizeof(key), "%s",
		json_get_str(json_at(json_get(f->answer, "plans"), 0), "key", ""));
	(void)snprintf(body, sizeof(body),
		"{`key`:`%s`,`github`:{},`vars`:{},`cancelled`:false,`levels`:[{`node`:`b`,"
		"`needs`:{`a`:{`result`:`success`,`outputs`:{}}},`ancestors`:{`a`:`success`}}]}",
		key);
	x = ask(f, "expand", body);
	assert_true(json_get_bool(x, "run", false));
	assert_int_equal(json_count(json_get(x, "rows")), 2);
	assert_string_equal(
		json_get_str(json_at(json_get(x, "rows"), 1), "name", ""), "b (2)");
}

static void a_node_whose_need_failed_does_not_run(void **state)
{
	struct fixture *f = *state;
	char body[512];

	ask(f, "plan", PLAN_OF(TWO_JOBS));
	(void)snprintf(body, sizeof(body),
		"{`key`:`%s`,`github`:{},`vars`:{},`cancelled`:false,`levels`:[{`node`:`b`,"
		"`needs`:{`a`:{`result`:`failure`,`outputs`:{}}},`ancestors`:{`a`:`failure`}}]}",
		json_get_str(json_at(json_get(f->answer, "plans"), 0), "key", ""));
	assert_false(json_get_bool(ask(f, "expand", body), "run", true));
}

static void an_unknown_key_asks_for_the_plan(void **state)
{
	struct fixture *f = *state;

	assert_null(ask(f, "expand", "{`key`:`feed`,`levels`:[{`node`:`a`}]}"));
	assert_int_equal(f->why.code, ERR_NOT_FOUND);
	assert_string_equal(f->why.msg, "plan");
}

static void a_broken_file_says_where(void **state)
{
	const struct json *p = json_at(
		json_get(ask(*state, "plan",
				 PLAN_OF("on: push\\njobs:\\n  a:\\n    runs_on: x\\n")),
			"plans"),
		0);

	assert_non_null(json_get(p, "error"));
	assert_null(strstr(json_as_str(json_path(p, "error.message"), ""), "planner"));
	assert_non_null(strstr(json_as_str(json_path(p, "error.message"), ""), "a.yml:"));
}

static void another_event_does_not_trigger(void **state)
{
	const struct json *p = json_at(
		json_get(
			ask(*state, "plan",
				"{`event`:`release`,`github`:{},`vars`:{},`files`:[" FILE_OF(
					TWO_JOBS) "]}"),
			"plans"),
		0);

	assert_false(json_get_bool(p, "triggered", true));
	assert_true(strlen(json_get_str(p, "reason", "")) > 0);
	assert_null(json_get(p, "plan"));
}

#define CALLER                                                                  \
	"on: push\\njobs:\\n  a:\\n    uses: ./.github/workflows/called.yml\\n" \
	"    with: {n: 3}\\n"
#define CALLED                                                                        \
	"on:\\n  workflow_call:\\n    inputs: {n: {type: number, required: true}}\\n" \
	"jobs:\\n  in:\\n    runs-on: x\\n    strategy: {matrix: {i: [1, 2]}}\\n"     \
	"    steps: [{run: echo}]\\n"

static void a_called_workflow_that_is_not_there_is_asked_for_once(void **state)
{
	struct fixture *f = *state;
	const struct json *p =
		json_at(json_get(ask(f, "plan", PLAN_OF(CALLER)), "plans"), 0);

	assert_string_equal(json_get_str(json_at(json_get(p, "missing"), 0), "path", ""),
		".github/workflows/called.yml");
	p = json_at(
		json_get(
			ask(f, "plan",
				"{`event`:`push`,`github`:{},`vars`:{},`files`:[" FILE_OF(
					CALLER) "],`sources`:[{`path`:`.github/workflows/"
						"called.yml`,`text`:null}]}"),
			"plans"),
		0);
	assert_non_null(json_get(p, "error"));
}

static void a_job_of_a_called_workflow_is_expanded_through_its_caller(void **state)
{
	struct fixture *f = *state;
	const struct json *p, *x;
	char body[512];

	p = json_at(
		json_get(
			ask(f, "plan",
				"{`event`:`push`,`github`:{},`vars`:{},`files`:[" FILE_OF(
					CALLER) ",{`path`:`.github/workflows/called.yml`,"
						"`text`:`" CALLED "`}],`only`:[`.github/"
						"workflows/a.yml`]}"),
			"plans"),
		0);
	assert_int_equal(json_count(json_get(f->answer, "plans")), 1);
	assert_int_equal(json_count(json_path(p, "plan.jobs")), 2);
	(void)snprintf(body, sizeof(body),
		"{`key`:`%s`,`github`:{},`vars`:{},`cancelled`:false,`levels`:["
		"{`node`:`a`,`needs`:{},`ancestors`:{}},"
		"{`node`:`a/in`,`needs`:{},`ancestors`:{}}]}",
		json_get_str(p, "key", ""));
	x = ask(f, "expand", body);
	assert_int_equal(json_count(json_get(x, "rows")), 2);
	assert_int_equal(
		json_as_int(json_path(json_at(json_get(x, "rows"), 0), "inputs.n"), 0),
		3);
}

static void nonsense_is_refused_and_the_planner_lives_on(void **state)
{
	struct fixture *f = *state;
	pid_t before = 0, after = 0;

	(void)worker_pids(f->pool, &before, 1);
	assert_null(ask(f, "plan", "no json"));
	assert_int_equal(f->why.code, ERR_INPUT);
	assert_null(ask(f, "dance", "{}"));
	assert_int_equal(f->why.code, ERR_UNSUPPORTED);
	assert_non_null(ask(f, "plan", PLAN_OF(TWO_JOBS)));
	(void)worker_pids(f->pool, &after, 1);
	assert_int_equal(before, after);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_becomes_a_plan_and_roots_are_expanded_with_it),
		T(a_node_is_expanded_by_the_key_of_its_plan),
		T(a_node_whose_need_failed_does_not_run),
		T(an_unknown_key_asks_for_the_plan),
		T(a_broken_file_says_where),
		T(another_event_does_not_trigger),
		T(a_called_workflow_that_is_not_there_is_asked_for_once),
		T(a_job_of_a_called_workflow_is_expanded_through_its_caller),
		T(nonsense_is_refused_and_the_planner_lives_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

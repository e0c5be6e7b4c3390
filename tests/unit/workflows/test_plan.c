/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "workflows/plan.h"

/* Files that the workflow under test can name: path (or repository:path@ref), text. */
struct file {
	const char *name, *text;
};

struct fixture {
	struct json *plan, *answer;
	const struct file *files;
	struct err err;
	struct diagnostics d;
};

static int setup(void **state)
{
	*state = xcalloc(1, sizeof(struct fixture));
	return 0;
}

static void clear(struct fixture *f)
{
	json_free(f->plan);
	json_free(f->answer);
	diagnostics_done(&f->d);
	f->plan = f->answer = NULL;
	err_clear(&f->err);
}

static int teardown(void **state)
{
	clear(*state);
	free(*state);
	return 0;
}

static int load(const struct source *s, struct strbuf *out, struct err *err, void *data)
{
	_cleanup_free_ char *name =
		s->repository ? xasprintf("%s:%s@%s", s->repository, s->path, s->ref)
			      : xstrdup(s->path);

	for (const struct file *f = data; f && f->name; f++)
		if (strcmp(f->name, name) == 0) {
			strbuf_adds(out, f->text);
			return 0;
		}
	return err_set(err, ERR_NOT_FOUND, "there is no '%s'", name);
}

static struct json *parsed(const char *text)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	assert_ok(json_parse(text, strlen(text), &j, &err), &err);
	return j;
}

static int build(struct fixture *f, const char *text, const char *event,
	const char *github, const char *inputs)
{
	struct plan_request req = PLAN_REQUEST_INIT;
	struct json *g = github ? parsed(github) : NULL,
		    *in = inputs ? parsed(inputs) : NULL;
	int rc;

	clear(f);
	req.path = ".github/workflows/w.yml";
	req.shown = "w.yml";
	req.data = text;
	req.len = strlen(text);
	req.event = event;
	req.github = g;
	req.inputs = in;
	req.load = load;
	req.load_data = (void *)f->files;
	rc = plan_build(&req, &f->plan, &f->d, &f->err);
	json_free(g);
	json_free(in);
	return rc;
}

static void planned(struct fixture *f, const char *text)
{
	assert_ok(build(f, text, NULL, NULL, NULL), &f->err);
}

/* plan_expand, with the answer kept. */
static int expand(struct fixture *f, const char *node, const char *contexts)
{
	struct json *c = parsed(contexts);
	int rc;

	json_free(f->answer);
	f->answer = NULL;
	err_clear(&f->err);
	rc = plan_expand(f->plan, node, c, &f->answer, &f->err);
	json_free(c);
	return rc;
}

static void expanded(struct fixture *f, const char *node, const char *contexts)
{
	assert_ok(expand(f, node, contexts), &f->err);
}

/* A member of row N as JSON text equals WANT. */
static void row_is(struct fixture *f, size_t n, const char *path, const char *want)
{
	const struct json *row = json_at(json_get(f->answer, "rows"), n);
	_cleanup_free_ char *text = json_text(json_path(row, path));

	assert_non_null(row);
	if (strcmp(text, want) != 0)
		fail_msg("%s of row %zu is %s, not %s", path, n, text, want);
}

static void at_is(const struct json *j, const char *path, const char *want)
{
	_cleanup_free_ char *text = json_text(json_path(j, path));

	if (strcmp(text, want) != 0)
		fail_msg("%s is %s, not %s", path, text, want);
}

#define STEP	  "    steps:\n      - run: x\n"
#define ONE(rest) "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n" rest STEP

/* ---- building --------------------------------------------------------------------- */

static void keeps_texts_and_types_as_the_syntax_says(void **state)
{
	struct fixture *f = *state;
	const struct json *n;

	planned(f,
		"name: W\non: push\nenv: {A: 1.0, B: true, C: }\n"
		"defaults: {run: {shell: sh, working-directory: w}}\n"
		"jobs:\n  a:\n    runs-on: [x, 3]\n    timeout-minutes: 5\n    if: ${{ "
		"true }}\n"
		"    defaults: {run: {shell: bash}}\n    permissions: {contents: read}\n"
		"    environment: prod\n    concurrency: {group: g, queue: max}\n"
		"    steps:\n      - uses: a/b@v1\n        with: {n: 1.50, t: yes}\n"
		"      - run: |\n          echo\n        continue-on-error: true\n"
		"      - id: own\n        run: y\n");
	at_is(f->plan, "workflow.name", "\"W\"");
	at_is(f->plan, "workflow.path", "\".github/workflows/w.yml\"");
	assert_int_equal(
		strlen(json_as_str(json_path(f->plan, "workflow.digest"), "")), 64);
	n = plan_node(f->plan, "a");
	at_is(n, "workflow_env", "{\"A\":\"1\",\"B\":\"true\",\"C\":\"\"}");
	at_is(n, "runs_on", "[\"x\",\"3\"]");
	at_is(n, "timeout_minutes", "5");
	at_is(n, "if", "\"${{ true }}\"");
	at_is(n, "defaults.run", "{\"shell\":\"bash\",\"working-directory\":\"w\"}");
	at_is(n, "permissions", "{\"contents\":\"read\"}");
	at_is(n, "environment", "{\"name\":\"prod\"}");
	at_is(n, "concurrency", "{\"group\":\"g\",\"queue\":\"max\"}");
	at_is(json_at(json_get(n, "steps"), 0), "with", "{\"n\":\"1.5\",\"t\":\"yes\"}");
	at_is(json_at(json_get(n, "steps"), 0), "id", "\"__a_b\"");
	at_is(json_at(json_get(n, "steps"), 0), "generated_id", "true");
	at_is(json_at(json_get(n, "steps"), 1), "run", "\"echo\\n\"");
	at_is(json_at(json_get(n, "steps"), 1), "continue-on-error", "true");
	at_is(json_at(json_get(n, "steps"), 2), "id", "\"own\"");
	at_is(json_at(json_get(n, "steps"), 2), "generated_id", "false");
	at_is(n, "line", "6");
}

static void knows_steps_that_run_beside_others(void **state)
{
	struct fixture *f = *state;
	const struct json *steps;

	planned(f, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n"
		   "      - {id: db, run: serve, background: true}\n"
		   "      - {id: web, run: serve, background: true}\n      - {wait: [db, "
		   "web]}\n"
		   "      - {wait-all: }\n      - {cancel: db}\n"
		   "      - parallel:\n          - run: a\n          - uses: ./b\n");
	steps = json_get(plan_node(f->plan, "a"), "steps");
	assert_int_equal(json_count(steps), 6);
	at_is(json_at(steps, 0), "background", "true");
	at_is(json_at(steps, 2), "wait", "[\"db\",\"web\"]");
	at_is(json_at(steps, 3), "wait-all", "true");
	at_is(json_at(steps, 4), "cancel", "\"db\"");
	assert_int_equal(json_count(json_get(json_at(steps, 5), "parallel")), 2);
	at_is(json_at(json_get(json_at(steps, 5), "parallel"), 1), "id", "\"__self\"");
}

static void refuses_with_place_and_reason(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - wait: b\n",
			"w.yml:6:15: there is no step 'b' before this one" },
		{ "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {id: b, "
		  "run: x, "
		  "background: true}\n      - wait-all: false\n",
			"w.yml:7:19: 'wait-all' must be true or left empty" },
		{ ONE("    concurrency: ''\n"),
			"w.yml:5:18: 'concurrency' must not be empty" },
		{ "on: push\njobs:\n  a:\n    uses: ./../x.yml\n",
			"w.yml:4:11: './../x.yml' does not name a workflow" },
		{ "on: push\njobs:\n  a:\n    uses: ./x.yml\n",
			"w.yml:4:11: cannot read the called workflow './x.yml': there is "
			"no "
			"'x.yml'" },
		{ "on: push\njobs:\n  a:\n    uses: ${{ github.sha }}\n",
			"w.yml:4:11: 'uses' of a job cannot be an expression" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(build(f, cases[i][0], NULL, NULL, NULL), -1);
		assert_err(&f->err, ERR_INPUT, cases[i][1]);
	}
}

static void says_whether_and_why_the_event_starts_it(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *on, *event, *github;
		bool is_triggered;
	} cases[] = {
		{ "push", "push", "{\"ref\":\"refs/heads/x\"}", true },
		{ "push", "release", "{}", false },
		{ "{push: {branches: [main]}}", "push", "{\"ref\":\"refs/heads/main\"}",
			true },
		{ "{push: {branches: [main]}}", "push", "{\"ref\":\"refs/heads/dev\"}",
			false },
		{ "{push: {branches: [main]}}", "push", "{\"ref\":\"refs/tags/main\"}",
			false },
		{ "{push: {tags: ['v*']}}", "push", "{\"ref\":\"refs/tags/v1\"}", true },
		{ "push", "push",
			"{\"ref\":\"refs/heads/x\",\"event\":{\"deleted\":true}}",
			false },
		{ "pull_request", "pull_request", "{\"event\":{\"action\":\"opened\"}}",
			true },
		{ "pull_request", "pull_request", "{\"event\":{\"action\":\"closed\"}}",
			false },
		{ "{pull_request: {types: closed}}", "pull_request",
			"{\"event\":{\"action\":\"closed\"}}", true },
		{ "{pull_request: {branches: [main]}}", "pull_request",
			"{\"event\":{\"action\":\"opened\",\"pull_request\":"
			"{\"base\":{\"ref\":\"main\"},\"head\":{\"ref\":\"dev\"}}}}",
			true },
		{ "{pull_request: {branches: [main]}}", "pull_request",
			"{\"event\":{\"action\":\"opened\",\"pull_request\":"
			"{\"base\":{\"ref\":\"dev\"},\"head\":{\"ref\":\"main\"}}}}",
			false },
		{ "{schedule: [{cron: '0 1 * * *'}]}", "schedule",
			"{\"event\":{\"schedule\":\"0 1 * * *\"}}", true },
		{ "{schedule: [{cron: '0 1 * * *'}]}", "schedule",
			"{\"event\":{\"schedule\":\"0 2 * * *\"}}", false },
		{ "{workflow_run: {workflows: [CI], branches: [main]}}", "workflow_run",
			"{\"event\":{\"action\":\"completed\",\"workflow_run\":"
			"{\"name\":\"CI\",\"head_branch\":\"main\"}}}",
			true },
		{ "{workflow_run: {workflows: [CI]}}", "workflow_run",
			"{\"event\":{\"action\":\"completed\",\"workflow_run\":{\"name\":"
			"\"Other\"}}}",
			false },
		{ "{repository_dispatch: {types: [go]}}", "repository_dispatch",
			"{\"event\":{\"action\":\"go\"}}", true },
		{ "{repository_dispatch: {types: [go]}}", "repository_dispatch",
			"{\"event\":{\"action\":\"stop\"}}", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = xasprintf(
			"on: %s\njobs:\n  a:\n    runs-on: x\n" STEP, cases[i].on);

		assert_ok(build(f, text, cases[i].event, cases[i].github, NULL), &f->err);
		if (json_get_bool(f->plan, "triggered", false) != cases[i].is_triggered)
			fail_msg("%s on %s: %s", cases[i].event, cases[i].on,
				json_get_str(f->plan, "reason", ""));
		assert_true(*json_get_str(f->plan, "reason", "") != '\0');
	}
}

static void types_the_inputs_of_a_dispatch(void **state)
{
	struct fixture *f = *state;
	const char *text =
		"on:\n  workflow_dispatch:\n    inputs:\n      b: {type: boolean}\n"
		"      n: {type: number, default: 3}\n      s: {default: d}\n"
		"      c: {type: choice, options: [x, y]}\n"
		"      r: {required: true}\n"
		"jobs:\n  a:\n    runs-on: x\n" STEP;
	static const char *const bad[][2] = {
		{ "{}", "w.yml: input 'r' is required" },
		{ "{\"r\":\"\",\"b\":\"yes\"}", "w.yml: input 'b' must be a boolean" },
		{ "{\"r\":\"\",\"n\":\"x\"}", "w.yml: input 'n' must be a number" },
		{ "{\"r\":\"\",\"c\":\"z\"}",
			"w.yml: 'z' is not one of the options of input 'c'" },
		{ "{\"r\":\"\",\"zz\":1}", "w.yml: the workflow has no input 'zz'" },
		{ "{\"r\":[1]}", "w.yml: input 'r' must be a string" },
	};

	assert_ok(build(f, text, "workflow_dispatch", "{}",
			  "{\"b\":\"true\",\"n\":\"1.5\",\"R\":7,\"c\":\"y\"}"),
		&f->err);
	at_is(f->plan, "inputs",
		"{\"b\":true,\"n\":1.5,\"s\":\"d\",\"c\":\"y\",\"r\":\"7\"}");
	assert_ok(build(f, text, "workflow_dispatch", "{}", NULL), &f->err);
	at_is(f->plan, "inputs",
		"{\"b\":false,\"n\":3,\"s\":\"d\",\"c\":\"x\",\"r\":\"\"}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			build(f, text, "workflow_dispatch", "{}", bad[i][0]), -1);
		assert_err(&f->err, ERR_INPUT, bad[i][1]);
	}
}

/* ---- expanding -------------------------------------------------------------------- */

static void a_matrix_becomes_rows_with_their_own_values(void **state)
{
	struct fixture *f = *state;

	planned(f,
		ONE("    name: n ${{ matrix.os }}\n    timeout-minutes: ${{ matrix.t }}\n"
		    "    continue-on-error: ${{ matrix.os == 'b' }}\n"
		    "    environment: {name: 'e-${{ matrix.os }}', url: '${{ steps.x "
		    "}}'}\n"
		    "    concurrency: {group: 'g-${{ matrix.os }}', cancel-in-progress: "
		    "true}\n"
		    "    strategy:\n      fail-fast: false\n      max-parallel: 1\n"
		    "      matrix: {os: [a, b], t: [5]}\n"));
	expanded(f, "a", "{}");
	at_is(f->answer, "run", "true");
	assert_int_equal(json_count(json_get(f->answer, "rows")), 2);
	row_is(f, 1, "name", "\"n b\"");
	row_is(f, 1, "matrix", "{\"os\":\"b\",\"t\":5}");
	row_is(f, 1, "strategy",
		"{\"fail-fast\":false,\"job-index\":1,\"job-total\":2,\"max-parallel\":"
		"1}");
	row_is(f, 1, "timeout_minutes", "5");
	row_is(f, 0, "continue_on_error", "false");
	row_is(f, 1, "continue_on_error", "true");
	row_is(f, 1, "environment",
		"{\"name\":\"e-b\",\"url\":\"${{ steps.x }}\",\"deployment\":true}");
	row_is(f, 1, "concurrency",
		"{\"group\":\"g-b\",\"cancel-in-progress\":true,\"queue\":\"single\"}");
	row_is(f, 0, "runs_on", "[\"ubuntu-latest\"]");
	row_is(f, 0, "secrets_map", "null");
}

static void a_job_without_matrix_is_one_row(void **state)
{
	struct fixture *f = *state;

	planned(f, ONE(""));
	expanded(f, "a", "{}");
	row_is(f, 0, "name", "\"a\"");
	row_is(f, 0, "matrix", "null");
	row_is(f, 0, "timeout_minutes", "360");
	row_is(f, 0, "cancel_timeout_minutes", "5");
	row_is(f, 0, "environment", "null");
	row_is(f, 0, "strategy",
		"{\"fail-fast\":true,\"job-index\":0,\"job-total\":1,\"max-parallel\":"
		"1}");
	assert_int_equal(expand(f, "zz", "{}"), -1);
	assert_err(&f->err, ERR_NOT_FOUND, "the plan has no job 'zz'");
}

static void a_dynamic_matrix_comes_from_needs(void **state)
{
	struct fixture *f = *state;
	const char *rest = "\"needs\":{\"list\":{\"result\":\"success\",\"outputs\":{"
			   "\"m\":\"%s\"}}}";
	_cleanup_free_ char *good = NULL, *bad = NULL;

	planned(f,
		"on: push\njobs:\n  list:\n    runs-on: x\n" STEP
		"  a:\n    needs: list\n    runs-on: ${{ fromJSON('[\"p\",\"q\"]') }}\n"
		"    strategy:\n      matrix:\n        v: ${{ "
		"fromJSON(needs.list.outputs.m) }}\n"
		"        w: [1, '${{ fromJSON(''[2,3]'') }}']\n" STEP);
	good = xasprintf(rest, "[\\\"x\\\"]");
	bad = xasprintf(rest, "[");
	{
		_cleanup_free_ char *c = xasprintf("{%s}", good);

		expanded(f, "a", c);
	}
	/* A list that an expression gives inside of a list is spliced in. */
	assert_int_equal(json_count(json_get(f->answer, "rows")), 3);
	row_is(f, 2, "matrix", "{\"v\":\"x\",\"w\":3}");
	row_is(f, 2, "name", "\"a (x, 3)\"");
	row_is(f, 2, "runs_on", "[\"p\",\"q\"]");
	{
		_cleanup_free_ char *c = xasprintf("{%s}", bad);

		assert_int_equal(expand(f, "a", c), -1);
	}
	assert_err_has(&f->err, ERR_INPUT, "w.yml:11:7: ");
}

static void conditions_follow_the_results_above(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *cond, *results;
		bool is_run;
	} cases[] = {
		{ "", "'b':'success','a':'success'", true },
		{ "", "'b':'success','a':'failure'", false }, /* transitive */
		{ "", "'b':'skipped','a':'success'", false },
		{ "", "'b':'success'", false }, /* not known counts as skipped */
		{ "github.x == 1", "'b':'success','a':'success'", true },
		{ "github.x == 2", "'b':'success','a':'success'", false },
		{ "github.x == 1", "'b':'failure','a':'success'", false },
		{ "always()", "'b':'failure','a':'failure'", true },
		{ "${{ always() && github.x == 2 }}", "'b':'success','a':'success'",
			false },
		{ "failure()", "'b':'skipped','a':'failure'", true },
		{ "failure('b')", "'b':'skipped','a':'failure'", false },
		{ "failure('A')", "'b':'skipped','a':'failure'", true },
		{ "success('b')", "'b':'success','a':'failure'", true },
		{ "${{ !cancelled() }}", "'b':'failure','a':'failure'", true },
		{ "${{ 'failure()' == 'x' }}", "'b':'success','a':'success'", false },
		{ "${{ false }} ", "'b':'success','a':'success'", false },
		{ "'${{ false }} '", "'b':'success','a':'success'", true }, /* a string */
		{ "\"${{ false }}\\n\"", "'b':'failure','a':'success'", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text =
			xasprintf("on: push\njobs:\n  a:\n    runs-on: x\n" STEP
				  "  b:\n    needs: a\n    runs-on: x\n" STEP
				  "  c:\n    needs: b\n    runs-on: x\n"
				  "    if: %s\n" STEP,
				cases[i].cond);
		_cleanup_free_ char *contexts = xasprintf(
			"{'github':{'x':1},'ancestors':{%s}}", cases[i].results);

		for (char *c = contexts; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		planned(f, text);
		expanded(f, "c", contexts);
		if (json_get_bool(f->answer, "run", false) != cases[i].is_run)
			fail_msg("'%s' with %s: %s", cases[i].cond, cases[i].results,
				json_get_str(f->answer, "reason", ""));
		assert_true(*json_get_str(f->answer, "reason", "") != '\0');
	}
}

static void a_cancelled_run_starts_only_what_asks_for_it(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *cond;
		bool is_run;
	} cases[] = { { "", false }, { "true", false }, { "cancelled()", true },
		{ "always()", true }, { "failure()", false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text =
			xasprintf("on: push\njobs:\n  a:\n    runs-on: x\n"
				  "    if: %s\n" STEP,
				cases[i].cond);

		planned(f, text);
		expanded(f, "a", "{\"cancelled\":true}");
		assert_true(json_get_bool(f->answer, "run", false) == cases[i].is_run);
	}
}

static void the_trace_tells_each_operand(void **state)
{
	struct fixture *f = *state;
	const struct json *t;

	planned(f, ONE("    if: ${{ github.ref == 'x' && github.actor }}\n"));
	expanded(f, "a", "{\"github\":{\"ref\":\"y\"}}");
	at_is(f->answer, "run", "false");
	at_is(f->answer, "implicit", "true");
	t = json_get(f->answer, "trace");
	assert_true(json_count(t) >= 5);
	at_is(json_at(t, 0), "text", "\"github.ref == 'x' && github.actor\"");
	at_is(json_at(t, 0), "value", "false");
	at_is(json_at(t, 0), "offset", "4");
	at_is(json_at(t, 1), "text", "\"github.ref == 'x'\"");
	at_is(json_at(t, 2), "text", "\"github.ref\"");
	at_is(json_at(t, 2), "value", "\"y\"");
	at_is(json_at(t, json_count(t) - 1), "reached", "false");
}

static void values_that_do_not_fit_are_errors_with_a_place(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "    timeout-minutes: ${{ github.zero }}\n",
			"w.yml:5:22: 'timeout-minutes' must be a number of minutes above "
			"0" },
		{ "    continue-on-error: ${{ 'x' }}\n",
			"w.yml:5:24: 'continue-on-error' must be a boolean" },
		{ "    concurrency: ${{ github.none }}\n",
			"w.yml:5:18: the concurrency group is empty" },
		{ "    strategy: {max-parallel: -1, matrix: {a: [1]}}\n",
			"w.yml:5:15: 'max-parallel' must be a number, 0 or more" },
		{ "    strategy: {matrix: {a: '${{ fromJSON(''[]'') }}'}}\n",
			"w.yml:5:24: matrix key 'a' has no values" },
		{ "    strategy: {matrix: {a: [1], include: '${{ github.ref }}'}}\n",
			"w.yml:5:24: 'include' of the matrix must be a list" },
		{ "    if: fromJSON(github.ref)\n", "w.yml:5:9: " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = xasprintf(
			"on: push\njobs:\n  a:\n    runs-on: x\n%s" STEP, cases[i][0]);

		planned(f, text);
		assert_int_equal(
			expand(f, "a", "{\"github\":{\"zero\":0,\"ref\":\"{\"}}"), -1);
		if (!str_starts(f->err.msg, cases[i][1]))
			fail_msg("'%s' is not '%s'", f->err.msg, cases[i][1]);
	}
}

static void an_empty_environment_is_none(void **state)
{
	struct fixture *f = *state;

	planned(f, ONE("    environment: ${{ github.none }}\n"));
	expanded(f, "a", "{}");
	row_is(f, 0, "environment", "null");
	planned(f, ONE("    environment: ${{ fromJSON('{\"name\":\"p\",\"url\":\"u\"}') "
		       "}}\n"));
	expanded(f, "a", "{}");
	row_is(f, 0, "environment.name", "\"p\"");
}

/* ---- called workflows -------------------------------------------------------------- */

#define CALLED                                                                          \
	"on:\n  workflow_call:\n    inputs:\n      v: {type: string, required: true}\n" \
	"      n: {type: number}\n      b: {type: boolean, default: true}\n"            \
	"    secrets:\n      key: {required: true}\n"                                   \
	"    outputs:\n      o: {value: '${{ jobs.build.outputs.o }}-${{ inputs.v "     \
	"}}'}\n"                                                                        \
	"env: {INNER: 1}\njobs:\n  build:\n    runs-on: x\n    outputs: {o: y}\n" STEP  \
	"  test:\n    needs: build\n    runs-on: x\n    name: t ${{ inputs.v }}\n" STEP

static const struct file called[] = { { ".github/workflows/c.yml", CALLED },
	{ "o/r:w/c.yml@v1", CALLED }, { NULL, NULL } };

#define CALL(uses)                                                                      \
	"on: push\nenv: {OUTER: 1}\njobs:\n  pre:\n    runs-on: x\n" STEP               \
	"  call:\n    needs: pre\n    name: C\n    uses: " uses                         \
	"\n    with: {v: 'x${{ github.n }}', n: 4}\n    secrets: {key: '${{ secrets.K " \
	"}}'}\n"                                                                        \
	"  after:\n    needs: call\n    runs-on: x\n" STEP

static void inlines_called_workflows_with_their_scope(void **state)
{
	struct fixture *f = *state;
	const struct json *n;

	f->files = called;
	planned(f, CALL("./.github/workflows/c.yml"));
	assert_int_equal(json_count(json_get(f->plan, "jobs")), 5);
	n = plan_node(f->plan, "call");
	at_is(n, "call.children", "[\"call/build\",\"call/test\"]");
	at_is(n, "call.with", "{\"v\":\"x${{ github.n }}\",\"n\":4}");
	n = plan_node(f->plan, "call/test");
	at_is(n, "parent", "\"call\"");
	at_is(n, "job_id", "\"test\"");
	at_is(n, "needs", "[\"call/build\"]");
	at_is(n, "workflow_env", "{\"INNER\":\"1\"}");
	at_is(n, "file", "\".github/workflows/c.yml\"");
	assert_int_equal(json_count(json_get(f->plan, "files")), 2);

	expanded(f, "call",
		"{\"github\":{\"n\":1},\"needs\":{\"pre\":{\"result\":\"success\"}}}");
	row_is(f, 0, "inputs", "{\"v\":\"x1\",\"n\":4,\"b\":true}");
	row_is(f, 0, "name", "\"C\"");
	row_is(f, 0, "secrets_map",
		"[{\"secrets\":{\"key\":\"${{ secrets.K "
		"}}\"},\"contexts\":{\"inputs\":{},"
		"\"needs\":{\"pre\":{\"result\":\"success\"}},\"matrix\":null,"
		"\"strategy\":"
		"{\"fail-fast\":true,\"job-index\":0,\"job-total\":1,\"max-parallel\":1}}"
		"}]");
}

static void a_row_of_the_caller_gives_the_inner_jobs_their_inputs(void **state)
{
	struct fixture *f = *state;

	f->files = called;
	planned(f, CALL("o/r/w/c.yml@v1"));
	at_is(plan_node(f->plan, "call"), "call.repository", "\"o/r\"");
	expanded(f, "call/test",
		"{\"ancestors\":{\"call/build\":\"success\"},"
		"\"call\":{\"name\":\"C "
		"(1)\",\"inputs\":{\"v\":\"q\"},\"secrets_map\":null}}");
	row_is(f, 0, "name", "\"C (1) / t q\"");
	row_is(f, 0, "inputs", "{\"v\":\"q\"}");
	/* Without it, it is worked out from the caller as it stands. */
	expanded(f, "call/build", "{\"github\":{\"n\":7}}");
	row_is(f, 0, "name", "\"C / build\"");
	row_is(f, 0, "inputs.v", "\"x7\"");
}

static void outputs_of_a_call_come_from_its_jobs(void **state)
{
	struct fixture *f = *state;
	struct json *jobs =
		parsed("{\"build\":{\"result\":\"success\",\"outputs\":{\"o\":\"y\"}}}");
	struct json *contexts = parsed("{\"inputs\":{\"v\":\"z\"}}");

	f->files = called;
	planned(f, CALL("./.github/workflows/c.yml"));
	assert_ok(plan_call_outputs(f->plan, "call", jobs, contexts, &f->answer, &f->err),
		&f->err);
	at_is(f->answer, "o", "\"y-z\"");
	json_free(jobs);
	json_free(contexts);
}

static void refuses_calls_that_do_not_fit(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{ "    with: {w: 1}\n    secrets: inherit\n",
			"the workflow '.github/workflows/c.yml' has no input 'w'" },
		{ "    secrets: inherit\n", "requires input 'v'" },
		{ "    with: {v: 1, n: x}\n    secrets: inherit\n",
			"input 'n' must be a number" },
		{ "    with: {v: 1, b: 'true'}\n    secrets: inherit\n",
			"input 'b' must be a boolean" },
		{ "    with: {v: 1}\n", "requires secret 'key'" },
		{ "    with: {v: 1}\n    secrets: {key: x, other: y}\n",
			"has no secret 'other'" },
	};

	f->files = called;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = xasprintf(
			"on: push\njobs:\n  a:\n    uses: ./.github/workflows/c.yml\n%s",
			cases[i][0]);

		assert_int_equal(build(f, text, NULL, NULL, NULL), -1);
		assert_err_has(&f->err, ERR_INPUT, cases[i][1]);
	}
}

static void permissions_only_shrink_on_the_way_down(void **state)
{
	struct fixture *f = *state;
	static const struct file files[] = {
		{ "more.yml",
			"on: workflow_call\npermissions: {actions: write}\njobs:\n  j:\n"
			"    runs-on: x\n" STEP },
		{ "less.yml", "on: workflow_call\njobs:\n  j:\n    permissions: "
			      "{actions: read}\n"
			      "    runs-on: x\n" STEP },
		{ NULL, NULL }
	};

	f->files = files;
	assert_int_equal(build(f,
				 "on: push\npermissions: {actions: read}\njobs:\n  a:\n"
				 "    uses: ./more.yml\n",
				 NULL, NULL, NULL),
		-1);
	assert_err(&f->err, ERR_INPUT,
		"w.yml:4:3: the called workflow 'more.yml' asks for 'actions: write' but "
		"is only "
		"allowed 'actions: read'");
	planned(f,
		"on: push\npermissions: write-all\njobs:\n  a:\n    uses: ./less.yml\n");
	at_is(plan_node(f->plan, "a/j"), "permissions", "{\"actions\":\"read\"}");
	planned(f, "on: push\njobs:\n  a:\n    uses: ./more.yml\n");
	at_is(plan_node(f->plan, "a/j"), "permissions", "{\"actions\":\"write\"}");
}

static void workflows_that_call_each_other_end(void **state)
{
	struct fixture *f = *state;
	static const struct file files[] = {
		{ "a.yml", "on: workflow_call\njobs:\n  j:\n    uses: ./a.yml\n" },
		{ "wide.yml", "on: workflow_call\njobs:\n  a: {uses: ./wide.yml}\n"
			      "  b: {uses: ./wide.yml}\n  c: {uses: ./wide.yml}\n"
			      "  d: {uses: ./wide.yml}\n" },
		{ NULL, NULL }
	};

	f->files = files;
	assert_int_equal(
		build(f, "on: push\njobs:\n  a: {uses: ./a.yml}\n", NULL, NULL, NULL),
		-1);
	assert_err_has(&f->err, ERR_INPUT, "more than 10 levels deep");
	assert_int_equal(
		build(f, "on: push\njobs:\n  a: {uses: ./wide.yml}\n", NULL, NULL, NULL),
		-1);
	assert_true(f->d.len > 0);
}

static void the_digest_is_of_all_files_that_have_a_say(void **state)
{
	struct fixture *f = *state;
	static struct file files[] = {
		{ "act/action.yml",
			"runs:\n  using: composite\n  steps: [{uses: ./deep}]\n" },
		{ "deep/action.yml", "runs: {using: node20, main: i.js}\n" },
		{ NULL, NULL }
	};
	const char *text =
		"on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{uses: ./act/}]\n";
	_cleanup_free_ char *before = NULL;

	f->files = files;
	planned(f, text);
	assert_int_equal(json_count(json_get(f->plan, "files")), 3);
	before = xstrdup(json_as_str(json_path(f->plan, "workflow.digest"), ""));
	planned(f, text);
	assert_string_equal(
		json_as_str(json_path(f->plan, "workflow.digest"), ""), before);
	files[1].text = "runs: {using: node20, main: j.js}\n";
	planned(f, text);
	assert_string_not_equal(
		json_as_str(json_path(f->plan, "workflow.digest"), ""), before);
}

/* ---- the rest ---------------------------------------------------------------------- */

static void lists_what_can_be_known_beforehand(void **state)
{
	struct fixture *f = *state;
	struct json *contexts = parsed("{}");

	planned(f, "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {matrix: {v: "
		   "[1, 2]}}\n"
		   "    name: a ${{ matrix.v }}\n" STEP
		   "  b:\n    needs: a\n    runs-on: ${{ needs.a.outputs.l }}\n"
		   "    strategy: {matrix: '${{ fromJSON(needs.a.outputs.m) }}'}\n" STEP);
	assert_ok(plan_list(f->plan, contexts, &f->answer, &f->err), &f->err);
	json_free(contexts);
	assert_int_equal(json_count(f->answer), 3);
	at_is(json_at(f->answer, 1), "name", "\"a 2\"");
	at_is(json_at(f->answer, 1), "id", "\"a\"");
	at_is(json_at(f->answer, 2), "runs_on", "\"${{ needs.a.outputs.l }}\"");
	at_is(json_at(f->answer, 2), "matrix", "\"${{ fromJSON(needs.a.outputs.m) }}\"");
}

static void names_the_run(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][3] = {
		{ "run-name: by ${{ github.actor }}\n", "{\"github\":{\"actor\":\"me\"}}",
			"by me" },
		{ "run-name: ${{ github.none }}\nname: N\n", "{}", "N" },
		{ "",
			"{\"github\":{\"event\":{\"head_commit\":{\"message\":\"Fix "
			"it\\n\\nmore\"}}}}",
			"Fix it" },
		{ "", "{\"github\":{\"event\":{\"pull_request\":{\"title\":\"T\"}}}}",
			"T" },
		{ "", "{}", ".github/workflows/w.yml" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = xasprintf(
			"%son: push\njobs:\n  a:\n    runs-on: x\n" STEP, cases[i][0]);
		struct json *contexts = parsed(cases[i][1]);
		struct strbuf out = STRBUF_INIT;

		planned(f, text);
		assert_ok(plan_run_name(f->plan, contexts, &out, &f->err), &f->err);
		assert_string_equal(out.buf, cases[i][2]);
		strbuf_done(&out);
		json_free(contexts);
	}
}

static void the_run_s_concurrency_is_known_with_the_event(void **state)
{
	struct fixture *f = *state;
	const char *text = "on: push\nconcurrency:\n  group: ci-${{ github.ref }}\n"
			   "  cancel-in-progress: ${{ github.ref != 'main' }}\n"
			   "jobs:\n  a:\n    runs-on: x\n" STEP;

	assert_ok(build(f, text, "push", "{\"ref\":\"main\"}", NULL), &f->err);
	at_is(f->plan, "concurrency",
		"{\"group\":\"ci-main\",\"cancel_in_progress\":false}");
	planned(f, text);
	at_is(f->plan, "concurrency.group", "\"ci-${{ github.ref }}\"");
}

TEST_MAIN(TEST_WITH(keeps_texts_and_types_as_the_syntax_says, setup, teardown),
	TEST_WITH(knows_steps_that_run_beside_others, setup, teardown),
	TEST_WITH(refuses_with_place_and_reason, setup, teardown),
	TEST_WITH(says_whether_and_why_the_event_starts_it, setup, teardown),
	TEST_WITH(types_the_inputs_of_a_dispatch, setup, teardown),
	TEST_WITH(a_matrix_becomes_rows_with_their_own_values, setup, teardown),
	TEST_WITH(a_job_without_matrix_is_one_row, setup, teardown),
	TEST_WITH(a_dynamic_matrix_comes_from_needs, setup, teardown),
	TEST_WITH(conditions_follow_the_results_above, setup, teardown),
	TEST_WITH(a_cancelled_run_starts_only_what_asks_for_it, setup, teardown),
	TEST_WITH(the_trace_tells_each_operand, setup, teardown),
	TEST_WITH(values_that_do_not_fit_are_errors_with_a_place, setup, teardown),
	TEST_WITH(an_empty_environment_is_none, setup, teardown),
	TEST_WITH(inlines_called_workflows_with_their_scope, setup, teardown),
	TEST_WITH(a_row_of_the_caller_gives_the_inner_jobs_their_inputs, setup, teardown),
	TEST_WITH(outputs_of_a_call_come_from_its_jobs, setup, teardown),
	TEST_WITH(refuses_calls_that_do_not_fit, setup, teardown),
	TEST_WITH(permissions_only_shrink_on_the_way_down, setup, teardown),
	TEST_WITH(workflows_that_call_each_other_end, setup, teardown),
	TEST_WITH(the_digest_is_of_all_files_that_have_a_say, setup, teardown),
	TEST_WITH(lists_what_can_be_known_beforehand, setup, teardown),
	TEST_WITH(names_the_run, setup, teardown),
	TEST_WITH(the_run_s_concurrency_is_known_with_the_event, setup, teardown))

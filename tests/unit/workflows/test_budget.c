/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a stranger that keep every limit and are as bad as they can be: each is linted,
 * and planned with its last job expanded, in a child whose processor time and memory are
 * measured. 100 ms and 32 MiB is what they may take; the test grants the time ten times,
 * for slow and busy machines. What once took minutes or gigabytes is among them.
 */
#include "tests/lib/test.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "workflows/lint.h"
#include "workflows/plan.h"

#define CPU_MS_MAX 1000
#define MEMORY_MAX (32 * MiB)
#define FILE_MAX   (LIMIT_WORKFLOW_FILE - 8 * KiB)

#define HEAD	   "on: push\njobs:\n"
#define JOB	   "  a:\n    runs-on: x\n"
#define STEPS	   "    steps: [{run: a}]\n"
#define ROWS                                              \
	"x: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15], y: " \
	"[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]"

/* HEAD, so many times ITEM (in which %d counts), TAIL; within the size of a file. */
static void fill(struct strbuf *out, const char *head, const char *item, int count,
	const char *tail)
{
	strbuf_adds(out, head);
	for (int i = 0; i < count && out->len < FILE_MAX; i++) {
		const char *at = strstr(item, "%d");

		if (at)
			strbuf_addf(out, "%.*s%d%s", (int)(at - item), item, i, at + 2);
		else
			strbuf_adds(out, item);
	}
	strbuf_adds(out, tail);
}

/* Jobs of which each needs up to MOST before it. */
static void make_needs(struct strbuf *out, int jobs, int most)
{
	strbuf_adds(out, HEAD);
	for (int i = 0; i < jobs; i++) {
		int from = i > most ? i - most : 0;

		strbuf_addf(out, "  a%d:\n    runs-on: x\n" STEPS, i);
		for (int k = from; k < i; k++)
			strbuf_addf(out, "%sa%d", k == from ? "    needs: [" : ",", k);
		strbuf_adds(out, i > 0 ? "]\n" : "");
	}
}

static void dense_needs(struct strbuf *out)
{
	make_needs(out, 430, 430);
}

static void recent_needs(struct strbuf *out)
{
	make_needs(out, 1000, 75);
}

static void chain_of_needs(struct strbuf *out)
{
	make_needs(out, 1000, 1);
}

/* An env of the workflow, which each job has. */
static void env_for_all(struct strbuf *out)
{
	fill(out, "on: push\nenv:\n", "  A%d: b\n", 44000, "jobs:\n");
	fill(out, "", "  a%d:\n    runs-on: x\n" STEPS, 1000, "");
}

/* It calls itself, ten deep. */
static void many_calls(struct strbuf *out)
{
	fill(out, "on: [push, workflow_call]\njobs:\n",
		"  c%d:\n    uses: ./.github/workflows/x.yml\n", 30,
		"  z:\n    runs-on: x\n    steps:\n");
	fill(out, "", "      - run: a\n", 1000, "");
}

static void inputs_of_a_call(struct strbuf *out)
{
	fill(out, "on:\n  push:\n  workflow_call:\n    inputs:\n",
		"      i%d: {type: string}\n", 10000,
		"jobs:\n  a:\n    uses: ./.github/workflows/x.yml\n    with:\n");
	fill(out, "", "      I%d: a\n", 10000, "");
}

static void labels_of_rows(struct strbuf *out)
{
	fill(out,
		HEAD "  a:\n    strategy: {matrix: {" ROWS "}}\n" STEPS "    runs-on: [b",
		",b", 98000, "]\n");
}

static void values_of_rows(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS "    strategy: {matrix: {" ROWS ", z: [[", "b,", 98000,
		"]]}}\n");
}

static void names_of_rows(struct strbuf *out)
{
	strbuf_adds(
		out, HEAD JOB STEPS "    strategy: {matrix: {" ROWS "}}\n    name: ${{ ");
	for (int i = 0; i < 4; i++)
		fill(out, "format('", "{0}", 16, "', ");
	strbuf_adds(out, "'aaaa')))) }}\n");
}

static void keys_of_a_matrix(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS "    strategy: {matrix: {", "k%d: [0],", 30000,
		ROWS "}}\n");
}

static void excludes(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS "    strategy: {matrix: {", "k%d: [0,1],", 14,
		"exclude: [");
	fill(out, "", "{k0: 7%d},", 1020, "{k0: 0}, {k0: 1}]}}\n");
}

/* Two texts that differ at their ends, compared for each row and each exclude. */
static void long_excludes(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS "    strategy: {matrix: {" ROWS ", z: [\"", "b", 400000,
		"\"], exclude: [{z: &t \"");
	fill(out, "", "b", 399999, "c\"}");
	fill(out, "", ", {z: *t}", 3, "]}}\n");
}

static void includes(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB STEPS "    strategy: {matrix: {" ROWS ", include: [");
	for (int i = 0; i < 1020; i++)
		fill(out, "{", "e%d: 1,", 45, "},");
	strbuf_adds(out, "]}}\n");
}

static void paths(struct strbuf *out)
{
	fill(out, "on:\n  push:\n    paths: [", "'**/a*a*a*a*a*b%d',", 6500,
		"]\njobs:\n" JOB STEPS);
}

static void branches(struct strbuf *out)
{
	fill(out, "on:\n  push:\n    branches: [", "'a*a*a*a*a*a*b',", 60000,
		"]\njobs:\n" JOB STEPS);
}

static void schedules(struct strbuf *out)
{
	fill(out, "on:\n  push:\n  schedule:\n", "  - cron: '* * 29 2 *'\n", 24000,
		"jobs:\n" JOB STEPS);
}

static void wrong_types(struct strbuf *out)
{
	fill(out, "on:\n  issues:\n    types: [", "opene,", 98000,
		"]\njobs:\n" JOB STEPS);
}

static void unknown_keys(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS, "    run%d: b\n", 49000, "");
}

static void one_text_of_expressions(struct strbuf *out)
{
	fill(out, HEAD JOB "    steps:\n      - run: \"", "${{github.event.issue.title}}",
		50000, "\"\n");
}

/* Findings in long texts, all in one line. */
static void one_line_of_texts(struct strbuf *out)
{
	strbuf_adds(out, "{on: push, jobs: {a: {runs-on: x, steps: [");
	for (int i = 0; i < 49; i++)
		fill(out, "{run: \"", "${{github.s%d}}${{github.head_ref}}", 120, "\"},");
	for (int i = 0; i < 900; i++)
		fill(out, "{run: \"", "${{github.s%d}}", 30, "\"},");
	strbuf_adds(out, "]}}}");
}

static void unknown_steps(struct strbuf *out)
{
	fill(out, HEAD JOB "    steps:\n", "      - id: s%d\n        run: a\n", 900, "");
	for (int i = 0; i < 100; i++)
		fill(out, "      - run: \"", "${{steps.x%d.outputs.y}}", 250, "\"\n");
}

static void long_conditions(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 45; i++)
		fill(out, "      - run: a\n        if: github.ref",
			"&&github.event.a.*.b[0]", 900, "\n");
}

static void conditions_that_make_text(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 1000; i++) {
		strbuf_adds(out, "      - run: a\n        if: \"");
		for (int k = 0; k < 4; k++)
			fill(out, "format('", "{0}", 16, "', ");
		strbuf_adds(out, "'aaaa')))) == 'a'\"\n");
	}
}

static void shared_text(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS "    env:\n      A: &a \"", "${{github.ref}}", 100,
		"\"\n");
	fill(out, "", "      B%d: *a\n", 6000, "");
}

static void steps_without_end(struct strbuf *out)
{
	strbuf_adds(out, HEAD);
	for (int i = 0; i < 22; i++) {
		strbuf_addf(out, "  a%d:\n    runs-on: x\n    steps:\n", i);
		fill(out, "", "      - uses: actions/checkout@v4\n", 1000, "");
	}
}

static const struct {
	const char *name;
	void (*make)(struct strbuf *out);
} files[] = {
#define X(fn)           \
	{               \
#fn, fn \
	}
	X(dense_needs), X(recent_needs), X(chain_of_needs), X(env_for_all), X(many_calls),
	X(inputs_of_a_call), X(labels_of_rows), X(values_of_rows), X(names_of_rows),
	X(keys_of_a_matrix), X(excludes), X(long_excludes), X(includes), X(paths),
	X(branches), X(schedules), X(wrong_types), X(unknown_keys),
	X(one_text_of_expressions), X(one_line_of_texts), X(unknown_steps),
	X(long_conditions), X(conditions_that_make_text), X(shared_text),
	X(steps_without_end)
};

static int load(const struct source *src, struct strbuf *out, struct err *err, void *data)
{
	const struct strbuf *self = data;

	if (!str_ends(src->path, "x.yml"))
		return err_set(err, ERR_NOT_FOUND, "no '%s'", src->path);
	strbuf_add(out, self->buf, self->len);
	return 0;
}

static void do_lint(struct strbuf *file)
{
	struct lint_options opt = { .with_extra = true, .load = load, .load_data = file };
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct strbuf out = STRBUF_INIT;

	lint_workflow("f.yml", file->buf, file->len, &opt, &d);
	for (size_t i = 0; i < d.len; i++)
		diag_write_text(&d.items[i], file->buf, file->len, &out);
}

/* A push of as many paths as are looked at; the last job is expanded. */
static void do_plan(struct strbuf *file)
{
	static const char github[] =
		"{\"ref\":\"refs/heads/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";
	const char *changed[LIMIT_CHANGED_FILES];
	struct plan_request req = PLAN_REQUEST_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct json *plan = NULL, *rows = NULL, *contexts = json_new_object(), *g = NULL;
	struct err err = ERR_INIT;
	const struct json *jobs;

	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		changed[i] = xasprintf("aaaaaaaaaaaaaaa/aaaaaaaaaaaaa/aaaaa/aaa%zu.c", i);
	if (json_parse(github, strlen(github), &g, &err) < 0)
		abort();
	json_set(contexts, "github", g);
	req.path = "f.yml";
	req.data = file->buf;
	req.len = file->len;
	req.event = "push";
	req.github = g;
	req.changed_files = changed;
	req.changed_files_len = ARRAY_SIZE(changed);
	req.load = load;
	req.load_data = file;
	if (plan_build(&req, &plan, &d, &err) < 0)
		return;
	jobs = json_get(plan, "jobs");
	(void)plan_expand(plan,
		json_get_str(json_at(jobs, json_count(jobs) - 1), "id", ""), contexts,
		&rows, &err); /* a refusal is an answer too */
}

struct cost {
	long ms, memory;
	bool has_died;
};

static struct cost measure(void (*fn)(struct strbuf *file), struct strbuf *file)
{
	struct rusage use;
	struct cost c;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit cpu = { 10, 10 };

		(void)setrlimit(RLIMIT_CPU, &cpu); /* a hang shall end */
		if (fn)
			fn(file);
		_exit(0);
	}
	if (pid < 0 || wait4(pid, &status, 0, &use) != pid)
		abort();
	c.ms = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000 +
	       (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000;
	c.memory = use.ru_maxrss * 1024;
	c.has_died = status != 0;
	return c;
}

static void check_cost(const char *what, const char *name,
	void (*fn)(struct strbuf *file), struct strbuf *file)
{
	struct cost none = measure(NULL, file), c = measure(fn, file);

	if (c.has_died || c.ms > CPU_MS_MAX || c.memory - none.memory > MEMORY_MAX)
		fail_msg("%s of %s: %ld ms, %ld KiB%s", what, name, c.ms,
			(c.memory - none.memory) / 1024, c.has_died ? ", died" : "");
	if (getenv("SLUICE_VERBOSE"))
		printf("# %s of %s: %ld ms, %ld KiB\n", what, name, c.ms,
			(c.memory - none.memory) / 1024);
}

static void no_file_takes_long_or_much(void **state)
{
	if (TEST_ASAN)
		test_skip("the address sanitizer answers for time and memory");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(strbuf_done) struct strbuf file = STRBUF_INIT;

		files[i].make(&file);
		assert_true(file.len <= (size_t)LIMIT_WORKFLOW_FILE);
		check_cost("lint", files[i].name, do_lint, &file);
		check_cost("plan", files[i].name, do_plan, &file);
	}
}

TEST_MAIN(TEST(no_file_takes_long_or_much))

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions as workflows have them: nanoseconds to compile and to evaluate each, and the
 * time for a million evaluations of all together; then a curve over the length of one
 * expression, which must be a line. Processor time. Contexts are those of a push with 20 commits.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "workflows/expr.h"
#include "workflows/glob.h"

static const char *const conditions[] = {
	"github.event_name == 'push'",
	"github.ref == 'refs/heads/main' && github.event_name != 'pull_request'",
	"startsWith(github.ref, 'refs/tags/v')",
	"contains(github.event.head_commit.message, '[skip ci]')",
	"matrix.os == 'ubuntu-latest' && steps.build.outputs.changed == 'true'",
	"always() && (needs.test.result == 'success' || needs.test.result == 'skipped')",
	"!cancelled() && github.repository_owner == 'acme'",
	"format('{0}-{1}-{2}', runner.os, matrix.node, github.sha)",
	"fromJSON(steps.build.outputs.list)[1].name",
	"contains(github.event.commits.*.author.name, 'mona')",
	"env.DEPLOY == 'true' && inputs.target || 'staging'",
	"github.event.pull_request.head.repo.full_name == github.repository",
};

/* Of the processor: on a busy machine the clock tells of the others. */
static int64_t cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail */
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static bool all_well(const char *name, const char *const *args, size_t len, void *data)
{
	(void)data; /* the same answer always */
	return name[0] == 's' || name[0] == 'a';
}

static struct value *make_contexts(void)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	strbuf_adds(&sb,
		"{\"github\":{\"event_name\":\"push\",\"ref\":\"refs/heads/"
		"main\",\"sha\":"
		"\"2ce6b095f4cceb616efed52266e3e3c0367ba795\",\"actor\":\"mona\","
		"\"repository\":"
		"\"acme/"
		"archive\",\"repository_owner\":\"acme\",\"workflow\":\"CI\",\"job\":"
		"\"build\","
		"\"run_id\":\"17\",\"run_number\":\"4\",\"ref_name\":\"main\",\"event\":{"
		"\"head_commit\":{\"message\":\"Update the documents and the list of "
		"what is new\"},"
		"\"commits\":[");
	for (int i = 0; i < 20; i++)
		strbuf_addf(&sb, "%s{\"id\":\"%d\",\"author\":{\"name\":\"user %d\"}}",
			i > 0 ? "," : "", i, i);
	strbuf_adds(&sb,
		"]}},\"env\":{\"DEPLOY\":\"true\"},\"matrix\":{\"os\":\"ubuntu-latest\","
		"\"node\":20},"
		"\"runner\":{\"os\":\"Linux\"},\"inputs\":{\"target\":\"\"},\"needs\":{"
		"\"test\":{"
		"\"result\":\"success\"}},\"steps\":{\"build\":{\"outputs\":{\"changed\":"
		"\"true\","
		"\"list\":\"[{\\\"name\\\":\\\"a\\\"},{\\\"name\\\":\\\"b\\\"}]\"}}}}");
	if (json_parse(sb.buf, sb.len, &j, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return NULL;
	}
	return value_from_json(j);
}

static const struct expr_rules rules = { NULL, EXPR_FN_STATUS };

static struct expr *compiled(const char *text, size_t len)
{
	struct expr_error error;
	struct expr *e = NULL;

	if (expr_compile(text, len, &rules, &e, &error) < 0)
		(void)fprintf(stderr, "%s: %s\n", text, error.msg);
	return e;
}

/* Microseconds for N evaluations. */
static int64_t time_eval(const struct expr *e, const struct expr_env *env, int n)
{
	int64_t start = cpu_us();

	for (int i = 0; i < n; i++) {
		struct value *v = NULL;
		struct err err = ERR_INIT;

		if (expr_eval(e, env, &v, &err) < 0)
			(void)fprintf(stderr, "%s\n", err.msg);
		value_unref(v);
	}
	return cpu_us() - start;
}

static int64_t time_compile(const char *text, int n)
{
	int64_t start = cpu_us();

	for (int i = 0; i < n; i++)
		expr_free(compiled(text, strlen(text)));
	return cpu_us() - start;
}

static void measure_conditions(const struct expr_env *env)
{
	const int rounds = 1000000 / (int)ARRAY_SIZE(conditions);
	int64_t all = 0;

	(void)printf("%8s %8s\n", "compile", "evaluate");
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		struct expr *e = compiled(conditions[i], strlen(conditions[i]));
		int64_t us = time_eval(e, env, rounds);

		all += us;
		(void)printf("%5.0f ns %5.0f ns  %s\n",
			1e3 * (double)time_compile(conditions[i], 20000) / 20000,
			1e3 * (double)us / rounds, conditions[i]);
		expr_free(e);
	}
	(void)printf("a million evaluations of typical conditions: %.0f ms\n",
		(double)all / 1e3);
}

/* The longest expression takes as much a character as the shortest. */
static void measure_curve(const struct expr_env *env)
{
	for (int n = 100; n <= 1600; n *= 2) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
		struct expr *e;
		int64_t us;

		for (int i = 0; i < n; i++)
			strbuf_adds(&sb, "env.X == 'y' ||");
		sb.buf[sb.len - 2] = sb.buf[sb.len - 1] = ' ';
		if (sb.len > 21000)
			strbuf_truncate(&sb, 21000 / 15 * 15 - 2);
		us = time_compile(sb.buf, 100);
		e = compiled(sb.buf, sb.len);
		(void)printf("%6zu characters: compile %5.1f ns, evaluate %4.1f ns a "
			     "character\n",
			sb.len, 10.0 * (double)us / (double)sb.len,
			1.0 * (double)time_eval(e, env, 1000) / (double)sb.len);
		expr_free(e);
	}
}

static void measure_globs(void)
{
	static const char *const patterns[] = { "src/**", "**/*.md", "docs/**/*.[ch]",
		"v[0-9]+.[0-9]+.[0-9]+" };
	static const char path[] = "src/module/component/deep/file_with_a_name.c";

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		struct glob *g = NULL;
		int64_t start;
		int found = 0;

		if (glob_compile(patterns[i], strlen(patterns[i]), &g, NULL) < 0)
			continue;
		start = cpu_us();
		for (int k = 0; k < 100000; k++)
			found += glob_match(g, path, sizeof(path) - 1);
		(void)printf("100,000 paths against %-22s %5.1f ms (%d match)\n",
			patterns[i], (double)(cpu_us() - start) / 1e3, found);
		glob_free(g);
	}
}

int main(void)
{
	_cleanup_(value_unrefp) struct value *contexts = make_contexts();
	struct expr_env env = { .contexts = contexts, .status = all_well };

	if (!contexts)
		return 1;
	measure_conditions(&env);
	measure_curve(&env);
	measure_globs();
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as people have them: microseconds to parse, lint, plan and expand a small, a large
 * (4,000 lines) and a wide one (256 rows, 1,000 steps); then a curve over the number of
 * jobs, which must be a line. Processor time, not the clock: on a busy machine the clock
 * makes long runs look longer than they are, and the curve bends.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "workflows/lint.h"
#include "workflows/plan.h"

static void add_job(struct strbuf *sb, int n, int steps)
{
	strbuf_addf(sb,
		"  job%d:\n    runs-on: ubuntu-latest\n    env:\n      SHA: ${{ "
		"github.sha }}\n"
		"    steps:\n",
		n);
	for (int i = 0; i < steps; i++)
		strbuf_addf(sb,
			"      - name: step %d\n        if: github.ref == "
			"'refs/heads/main'\n"
			"        run: |\n          echo ${{ github.sha }}\n          "
			"make test\n",
			i);
}

static void make_file(struct strbuf *sb, int jobs, int steps)
{
	strbuf_adds(sb, "name: bench\non:\n  push:\n    branches: [main]\njobs:\n");
	for (int i = 0; i < jobs; i++)
		add_job(sb, i, steps);
}

static void make_wide(struct strbuf *sb)
{
	strbuf_adds(sb,
		"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    strategy:\n      "
		"matrix:\n"
		"        x: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]\n"
		"        y: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]\n    "
		"steps:\n");
	for (int i = 0; i < 1000; i++)
		strbuf_adds(sb, "      - run: echo ${{ matrix.x }}\n");
}

typedef void work_fn(const struct strbuf *file);

static void parse(const struct strbuf *file)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct workflow *w = NULL;

	if (workflow_parse("f.yml", file->buf, file->len, &w, &d) < 0)
		fprintf(stderr, "refused: %s\n", d.items[0].msg);
	workflow_free(w);
	diagnostics_done(&d);
}

static void lint(const struct strbuf *file)
{
	struct lint_options opt = LINT_OPTIONS_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;

	lint_workflow("f.yml", file->buf, file->len, &opt, &d);
	diagnostics_done(&d);
}

static struct json *build(const struct strbuf *file)
{
	struct plan_request req = PLAN_REQUEST_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct json *p = NULL;
	struct err err = ERR_INIT;

	req.path = "f.yml";
	req.data = file->buf;
	req.len = file->len;
	if (plan_build(&req, &p, &d, &err) < 0)
		fprintf(stderr, "refused: %s\n", err.msg);
	diagnostics_done(&d);
	return p;
}

static void plan(const struct strbuf *file)
{
	json_free(build(file));
}

static void expand(const struct strbuf *file)
{
	struct json *p = build(file), *c = json_new_object(), *listed = NULL;
	struct err err = ERR_INIT;

	if (plan_list(p, c, &listed, &err) < 0)
		fprintf(stderr, "refused: %s\n", err.msg);
	json_free(listed);
	json_free(c);
	json_free(p);
}

static int64_t cpu_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* there is one */
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Microseconds of one call: the best of several rounds. */
static double measure(work_fn *fn, const struct strbuf *file)
{
	int64_t best = INT64_MAX, took;

	for (int round = 0; round < 9; round++) {
		int64_t start = cpu_us();
		int n = 0;

		do {
			fn(file);
			n++;
		} while (cpu_us() - start < 20000);
		took = (cpu_us() - start) / n;
		best = took < best ? took : best;
	}
	return (double)best;
}

static void print_case(const char *name, const struct strbuf *file)
{
	double us = measure(plan, file);

	printf("%-22s %8zu bytes  parse %8.0f us  lint %8.0f us  plan %8.0f us  "
	       "plan and rows %8.0f us  %7.0f plans/s\n",
		name, file->len, measure(parse, file), measure(lint, file), us,
		measure(expand, file), 1e6 / us);
}

int main(void)
{
	struct strbuf small = STRBUF_INIT, large = STRBUF_INIT, wide = STRBUF_INIT;

	make_file(&small, 4, 5);
	make_file(&large, 40, 19);
	make_wide(&wide);
	print_case("small (4 jobs)", &small);
	print_case("large (4,000 lines)", &large);
	print_case("wide (256 x 1,000)", &wide);
	for (int jobs = 10; jobs <= 640; jobs *= 2) {
		struct strbuf sb = STRBUF_INIT;
		double us, lint_us;

		make_file(&sb, jobs, 10);
		us = measure(plan, &sb);
		lint_us = measure(lint, &sb);
		printf("curve: %4d jobs %8zu bytes  plan %8.0f us %6.1f us a job  lint %8.0f us "
		       "%6.1f us a job\n", jobs,
			sb.len, us, us / jobs, lint_us, lint_us / jobs);
		strbuf_done(&sb);
	}
	strbuf_done(&small);
	strbuf_done(&large);
	strbuf_done(&wide);
	return 0;
}

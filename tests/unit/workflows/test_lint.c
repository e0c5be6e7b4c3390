/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden files: tests/data/workflows/mistakes/NAME.yml has one mistake, NAME.txt what lint
 * says about it, line for line. A new mistake is two new files.
 */
#include "tests/lib/test.h"

#include <dirent.h>

#include "workflows/lint.h"

#define MISTAKES "tests/data/workflows/mistakes"

static char *lint_text(const char *name, const char *data, const struct lint_options *opt)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct strbuf out = STRBUF_INIT;

	lint_workflow(name, data, strlen(data), opt, &d);
	for (size_t i = 0; i < d.len; i++)
		diag_write_text(&d.items[i], data, strlen(data), &out);
	diagnostics_done(&d);
	return strbuf_take(&out);
}

/* The codes alone: "a b". */
static char *codes_of(const char *data, const struct lint_options *opt)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct strbuf out = STRBUF_INIT;

	lint_workflow("f.yml", data, strlen(data), opt, &d);
	for (size_t i = 0; i < d.len; i++)
		strbuf_addf(&out, "%s%s", i ? " " : "", d.items[i].code);
	diagnostics_done(&d);
	return strbuf_take(&out);
}

static void says_of_each_mistake_what_the_golden_file_says(void **state)
{
	struct lint_options opt = LINT_OPTIONS_INIT;
	DIR *dir = opendir(MISTAKES);
	struct dirent *e;
	size_t count = 0;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		_cleanup_free_ char *in = NULL, *want = NULL, *path = NULL, *text = NULL,
				    *got = NULL;

		if (!str_ends(e->d_name, ".yml"))
			continue;
		path = xasprintf("%s/%s", MISTAKES, e->d_name);
		text = xasprintf(
			"%s/%.*stxt", MISTAKES, (int)strlen(e->d_name) - 3, e->d_name);
		in = test_read(path);
		want = test_read(text);
		got = lint_text(e->d_name, in, &opt);
		if (strcmp(got, want) != 0) {
			(void)closedir(dir);
			fail_msg("%s: wanted\n%s\ngot\n%s", e->d_name, want, got);
		}
		count++;
	}
	(void)closedir(dir);
	assert_true(count >= 50);
}

#define STEPS(run)                                                                \
	"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - " \
	"run: " run "\n"

static void our_own_kinds_come_when_asked_for(void **state)
{
	struct lint_options all = { .with_extra = true }, some = LINT_OPTIONS_INIT;
	static const struct {
		const char *text;
		const char *codes;
	} cases[] = {
		{ STEPS("sudo apt-get install x"), "sudo" },
		{ STEPS("echo sudoku"), "" },
		{ "on: push\njobs:\n  deploy-prod:\n    runs-on: ubuntu-latest\n    "
		  "steps:\n"
		  "      - run: x\n",
			"deploy-without-environment" },
		{ "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
		  "      - uses: a/b@main\n"
		  "      - uses: a/b@0123456789012345678901234567890123456789\n",
			"unpinned-action" },
		{ "on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-latest\n    "
		  "steps:\n"
		  "      - uses: "
		  "actions/checkout@0123456789012345678901234567890123456789\n"
		  "        with:\n          ref: ${{ github.event.pull_request.head.sha "
		  "}}\n",
			"stranger-checkout" },
		{ STEPS("x\n        env:\n          V: 3.10"), "number-text" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *with = codes_of(cases[i].text, &all);
		_cleanup_free_ char *without = codes_of(cases[i].text, &some);

		assert_string_equal(with, cases[i].codes);
		assert_string_equal(without, "");
	}
}

static void inputs_are_counted(void **state)
{
	struct lint_options opt = LINT_OPTIONS_INIT;
	static const char after[] = "jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: "
				    "[{run: x}]\n";

	for (int count = 25; count <= 26; count++) {
		_cleanup_(strbuf_done) struct strbuf file = STRBUF_INIT;
		_cleanup_free_ char *got = NULL;

		strbuf_adds(&file, "on:\n  workflow_dispatch:\n    inputs:\n");
		for (int i = 0; i < count; i++)
			strbuf_addf(&file, "      i%d: {type: string}\n", i);
		strbuf_adds(&file, after);
		got = lint_text("f.yml", file.buf, &opt);
		assert_string_equal(got, count == 25
						 ? ""
						 : "f.yml:2:3: 26 inputs: GitHub takes "
						   "25 [too-many-inputs]\n"
						   " 2 |   workflow_dispatch:\n"
						   "   |   ^^^^^^^^^^^^^^^^^\n");
	}
}

/* Of all expressions of a file; one more than there may be is told once, where it is. */
static void parts_of_expressions_are_counted(void **state)
{
	struct lint_options opt = LINT_OPTIONS_INIT;

	/* 37 times three, and the operators between. */
	for (int lines = 1020; lines <= 1021; lines++) {
		_cleanup_(strbuf_done) struct strbuf file = STRBUF_INIT;
		_cleanup_free_ char *got = NULL;

		strbuf_adds(&file, "on: push\njobs:\n");
		for (int i = 0; i < lines; i++) {
			if (i % 1000 == 0)
				strbuf_addf(&file,
					"  a%d:\n    runs-on: ubuntu-latest\n"
					"    steps:\n",
					i);
			strbuf_adds(&file, "      - run: a\n        if: vars.a");
			for (int k = 0; k < 36; k++)
				strbuf_adds(&file, "&&vars.a");
			strbuf_adds(&file, "\n");
		}
		got = codes_of(file.buf, &opt);
		assert_string_equal(got, lines == 1020 ? "" : "limit");
	}
}

#define JOB(id, rest) \
	"  " id ":\n    runs-on: ubuntu-latest\n" rest "    steps: [{run: x}]\n"

static void finds_jobs_that_can_never_run(void **state)
{
	struct lint_options all = { .with_extra = true };
	static const struct {
		const char *need, *job;
		bool is_never;
	} cases[] = {
		{ "github.ref == 'refs/heads/main'",
			"startsWith(github.ref, 'refs/tags/v')", true },
		{ "github.ref == 'refs/heads/main'", "github.ref == 'refs/heads/dev'",
			true },
		{ "github.ref == 'refs/heads/main'", "github.ref == 'refs/heads/MAIN'",
			false },
		{ "github.ref == 'refs/heads/main'",
			"startsWith(github.ref, 'refs/heads/')", false },
		{ "github.event_name == 'push'", "${{ github.event_name != 'push' }}",
			true },
		{ "github.event_name == 'push' || true", "github.event_name != 'push'",
			false },
		{ "github.event_name == 'push'",
			"always() && github.event_name != 'push'", false },
		{ "github.ref == 'a' && github.actor == 'x'", "github.actor == 'y' && 1",
			true },
		{ "${{ 'push' == github.event_name }}", "github.event_name == 'release'",
			true },
		{ "startsWith(github.ref, 'a')", "startsWith(github.ref, 'b')", true },
		{ "startsWith(github.ref, 'a')", "startsWith(github.ref, 'ab')", false },
		{ "github.actor && github.sha && github.ref == 'a'",
			"1 && 2 && 3 && github.ref == 'b'", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text =
			xasprintf("on: push\njobs:\n" JOB("a", "    if: %s\n")
					  JOB("b", "    needs: a\n")
						  JOB("c", "    needs: b\n    if: %s\n"),
				cases[i].need, cases[i].job);
		_cleanup_free_ char *got = codes_of(text, &all);

		if ((strstr(got, "job-never-runs") != NULL) != cases[i].is_never)
			fail_msg("'%s' then '%s': %s", cases[i].need, cases[i].job, got);
	}
}

static void a_comment_silences_its_line_or_the_next(void **state)
{
	struct lint_options opt = LINT_OPTIONS_INIT;
	static const struct {
		const char *text;
		const char *codes;
	} cases[] = {
		{ STEPS("echo ::add-path::x"), "deprecated-command" },
		{ STEPS("echo ::add-path::x # sluice: ignore deprecated-command"), "" },
		{ STEPS("echo ::add-path::x # sluice: ignore sudo, deprecated-command"),
			"" },
		{ STEPS("echo ::add-path::x # sluice: ignore other"),
			"deprecated-command" },
		{ "on: push\njobs:\n  a:\n    # sluice: ignore runner-label\n"
		  "    runs-on: nowhere\n    steps: [{run: x}]\n",
			"" },
		/* What makes the file invalid stays. */
		{ "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n"
		  "    stepps: [] # sluice: ignore unknown-key\n",
			"unknown-key" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = codes_of(cases[i].text, &opt);

		assert_string_equal(got, cases[i].codes);
	}
}

static void knows_the_labels_of_the_configuration(void **state)
{
	static const char *const labels[] = { "big-box", NULL };
	struct lint_options opt = { .labels = labels };
	_cleanup_free_ char *got =
		codes_of("on: push\njobs:\n  a:\n    runs-on: [self-hosted, x]\n"
			 "    steps: [{run: x}]\n  b:\n    runs-on: Big-Box\n"
			 "    steps: [{run: x}]\n  c:\n    runs-on: other\n"
			 "    steps: [{run: x}]\n",
			&opt);

	assert_string_equal(got, "runner-label");
}

#define ONE_JOB                                     \
	"jobs:\n  a:\n    runs-on: ubuntu-latest\n" \
	"    steps: [{run: x}]\n"

/* Kinds that no golden file shows. */
static void each_kind_has_a_file_that_shows_it(void **state)
{
	struct lint_options opt = LINT_OPTIONS_INIT;
	static const struct {
		const char *code, *text;
	} cases[] = {
		{ "expression-not-here", "on: ${{ github.ref }}\n" ONE_JOB },
		{ "unknown-step",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: x\n      - wait: [gone]\n" },
		{ "runner-group",
			"on: push\njobs:\n  a:\n    runs-on: {group: a/b/c}\n    steps: [{run: x}]\n" },
		{ "input-options",
			"on:\n  workflow_dispatch:\n    inputs:\n      i: {type: choice}\n" ONE_JOB },
		{ "no-properties",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ github.ref.x }}'}]\n" },
		{ "wrong-index",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ github[1] }}'}]\n" },
		{ "wrong-argument",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: \"echo ${{ startsWith(github.event, 'x') }}\"}]\n" },
		{ "wrong-result",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: ${{ github.event_name == 'push' }}\n    steps: [{run: x}]\n" },
		{ "cron-never", "on:\n  schedule:\n    - cron: '0 0 31 2 *'\n" ONE_JOB },
		{ "schedule-empty", "on: schedule\n" ONE_JOB },
		{ "required-default",
			"on:\n  workflow_call:\n    inputs:\n      i: {type: string, required: true, default: x}\n" ONE_JOB },
		{ "empty-list", "on:\n  push:\n    branches: []\n" ONE_JOB },
		{ "whole-number",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    strategy: {max-parallel: 1.5, matrix: {x: [1]}}\n    steps: [{run: x}]\n" },
		{ "env-name",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env: {'A B': x}\n    steps: [{run: x}]\n" },
		{ "repeated-need",
			"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: x}]\n  b:\n    needs: [a, a]\n    runs-on: ubuntu-latest\n    steps: [{run: x}]\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = codes_of(cases[i].text, &opt);

		assert_has(got, cases[i].code);
	}
}

static int load(const struct source *src, struct strbuf *out, struct err *err, void *data)
{
	static const char *const files[][2] = {
		{ "act/action.yml",
			"name: x\ninputs:\n  need: {required: true}\n  may: {default: "
			"1}\n"
			"outputs:\n  done: {value: y}\n"
			"runs:\n  using: composite\n  steps: [{run: x, shell: sh}]\n" },
		{ "bad/action.yml", "runs: {using: composite}\n" },
		{ ".github/workflows/call.yml",
			"on:\n  workflow_call:\n    inputs:\n      v: {type: number}\n"
			"    outputs:\n      o: {value: x}\n"
			"jobs:\n  j:\n    runs-on: ubuntu-latest\n    steps: [{run: "
			"x}]\n" },
		{ ".github/workflows/strict.yml",
			"on:\n  workflow_call:\n    inputs:\n      v: {type: string, "
			"required: true}\n    secrets:\n      s: {required: true}\n"
			"jobs:\n  j:\n    runs-on: ubuntu-latest\n    steps: [{run: "
			"x}]\n" },
	};

	(void)data;
	if (src->repository)
		return err_set(err, ERR_UNAVAILABLE, "not here");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(files[i][0], src->path) == 0) {
			strbuf_adds(out, files[i][1]);
			return 0;
		}
	return err_set(err, ERR_NOT_FOUND, "no '%s'", src->path);
}

static void looks_at_called_files_together_with_the_caller(void **state)
{
	struct lint_options opt = { .load = load };
	static const struct {
		const char *text;
		const char *codes;
	} cases[] = {
		{ "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
		  "      - uses: ./act\n        id: x\n        with: {need: 1, mya: 2}\n"
		  "      - run: echo ${{ steps.x.outputs.done }} ${{ "
		  "steps.x.outputs.gone }}\n"
		  "      - uses: ./act\n      - uses: ./bad\n      - uses: ./nowhere\n",
			"action-input unknown-property action-input local-action" },
		{ "on: push\njobs:\n  a:\n    uses: ./.github/workflows/call.yml\n"
		  "    with: {v: x, w: 1}\n  b:\n    needs: a\n    runs-on: "
		  "ubuntu-latest\n"
		  "    steps: [{run: 'echo ${{ needs.a.outputs.o }} ${{ "
		  "needs.a.outputs.p }}'}]\n",
			"wrong-type unknown-input unknown-property" },
		{ "on: push\njobs:\n  a:\n    uses: ./.github/workflows/strict.yml\n"
		  "    secrets: {t: x}\n",
			"missing-input missing-secret unknown-secret" },
		{ "on: push\njobs:\n  a:\n    uses: ./.github/workflows/call.yml\n"
		  "    with: {v: }\n",
			"null-input" },
		{ "on: push\njobs:\n  a:\n    uses: ./.github/workflows/gone.yml\n",
			"called-workflow" },
		{ "on: push\njobs:\n  a:\n    uses: o/r/.github/workflows/x.yml@v1\n",
			"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = codes_of(cases[i].text, &opt);

		assert_string_equal(got, cases[i].codes);
	}
}

static int load_zone(const char *name, struct strbuf *out, struct err *err, void *data)
{
	(void)out;
	(void)data;
	return err_set(err, ERR_NOT_FOUND, "no zone '%s'", name);
}

static void asks_for_time_zones_only_by_name(void **state)
{
	struct lint_options with = { .load_tz = load_zone }, without = LINT_OPTIONS_INIT;
	const char *text =
		"on:\n  schedule:\n    - cron: '0 0 * * *'\n"
		"      timezone: Europe/Atlantis\n"
		"jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: x}]\n";
	_cleanup_free_ char *a = codes_of(text, &with), *b = codes_of(text, &without);

	assert_string_equal(a, "timezone");
	assert_string_equal(b, "");
}

static void every_code_has_a_rule_and_a_page(void **state)
{
	for (const struct lint_rule *r = lint_rules; r->code; r++) {
		_cleanup_free_ char *path = xasprintf("docs/lint/%s.md", r->code);

		assert_ptr_equal(lint_find_rule(r->code), r);
		if (access(path, R_OK) < 0)
			fail_msg("there is no %s", path);
	}
}

TEST_MAIN(TEST(says_of_each_mistake_what_the_golden_file_says),
	TEST(our_own_kinds_come_when_asked_for), TEST(inputs_are_counted),
	TEST(parts_of_expressions_are_counted), TEST(finds_jobs_that_can_never_run),
	TEST(a_comment_silences_its_line_or_the_next),
	TEST(knows_the_labels_of_the_configuration),
	TEST(each_kind_has_a_file_that_shows_it),
	TEST(looks_at_called_files_together_with_the_caller),
	TEST(asks_for_time_zones_only_by_name), TEST(every_code_has_a_rule_and_a_page))

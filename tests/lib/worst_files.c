/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a stranger that keep every limit and are as bad as they can be. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/strbuf.h"
#include "tests/lib/worst.h"

#define FILE_MAX (LIMIT_WORKFLOW_FILE - 8 * KiB)

#define HEAD	 "on: push\njobs:\n"
#define JOB	 "  a:\n    runs-on: x\n"
#define STEPS	 "    steps: [{run: a}]\n"
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

/* As many nodes of expressions as a file can hold. */
static void dense_expressions(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 48; i++) {
		strbuf_adds(out, "      - run: a\n        if: ");
		for (int k = 0; k < 206; k++)
			fill(out, k ? "&&vars" : "vars", ".b", 47, "");
		strbuf_adds(out, "\n");
	}
}

static void filters_on_filters(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 48; i++) {
		strbuf_adds(out, "      - run: a\n        if: ");
		for (int k = 0; k < 206; k++)
			fill(out, k ? "&&vars" : "vars", ".*", 47, "");
		strbuf_adds(out, "\n");
	}
}

static void filters_over_inputs(struct strbuf *out)
{
	fill(out, "on:\n  push:\n  workflow_call:\n    inputs:\n",
		"      i%d: {type: string}\n", 15000, "jobs:\n" JOB "    steps:\n");
	for (int i = 0; i < 200; i++)
		fill(out, "      - run: \"", "${{inputs.*}}", 250, "\"\n");
}

/* Lists whose elements are objects of ever other keys. */
static void objects_in_a_matrix(struct strbuf *out)
{
	fill(out, HEAD JOB STEPS "    strategy:\n      matrix:\n        x: [",
		"{a%d: 1},", 33000, "]\n");
}

static void objects_of_json(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 50; i++)
		fill(out, "      - run: a\n        if: fromJSON('[", "{\"a%d\":1},", 1800,
			"0]')\n");
}

static void choices_of_objects(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 50; i++)
		fill(out, "      - run: a\n        if: github", "||inputs||github", 1250,
			"\n");
}

/* A comment that silences, of very many codes, behind a line with many findings. */
static void long_ignore(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n      - run: \"");
	fill(out, "", "${{github.event.issue.title}}", 200, "\"");
	fill(out, " # sluice: ignore", " a", 510000, "\n");
}

/* Names as long as those that are compared for likeness, and unlike at their ends. */
static void near_names(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 200; i++)
		strbuf_addf(out,
			"      - id: s%03dababababababababababababababababababababababab"
			"ababababab\n        run: a\n",
			i);
	for (int i = 0; i < 250; i++)
		strbuf_addf(out,
			"      - run: \"${{steps.t%03dbabababababababababababababababababa"
			"bababababababababab}}\"\n",
			i);
}

static void near_needs(struct strbuf *out)
{
	strbuf_adds(out, HEAD);
	for (int i = 0; i < 1000; i++)
		strbuf_addf(out,
			"  s%03dababababababababababababababababababababababababababab:\n"
			"    runs-on: x\n" STEPS
			"    needs: t%03dbabababababababababababababababababababababababababa\n",
			i, i);
}

/* Anchors whose names hash alike, and aliases of the last of them. */
static void colliding_anchors(struct strbuf *out)
{
	unsigned found = 0;

	strbuf_adds(out, HEAD JOB STEPS "    env:\n");
	for (unsigned n = 0; found < 4000; n++) {
		char name[16];
		uint32_t hash = 2166136261u;

		(void)snprintf(name, sizeof(name), "%x", n);
		for (const char *p = name; *p; p++)
			hash = (hash ^ (unsigned char)*p) * 16777619u;
		if (hash & 4095)
			continue;
		strbuf_addf(out, "      k%u: &%s a\n", found++, name);
		if (found == 4000)
			fill(out, "    runs-on: [", "", 0, "");
		if (found == 4000)
			for (int i = 0; i < 80000 && out->len < FILE_MAX; i++)
				strbuf_addf(out, "*%s ,", name);
	}
	strbuf_adds(out, "]\n");
}

/* Keys of one hash, should it be known. */
static void colliding_keys(struct strbuf *out)
{
	unsigned found = 0;

	strbuf_adds(out, HEAD JOB STEPS "    strategy:\n      matrix:\n        x: [{");
	for (unsigned n = 0; found < 40000 && out->len < FILE_MAX; n++) {
		char name[16];
		uint32_t hash = 2166136261u;

		(void)snprintf(name, sizeof(name), "%X", n);
		for (const char *p = name; *p; p++)
			hash = (hash ^ (unsigned char)*p) * 16777619u;
		if ((hash & 1023) == 0)
			found += (strbuf_addf(out, "K%s: 1,", name), 1);
	}
	strbuf_adds(out, "}]\n");
}

static void many_anchors(struct strbuf *out)
{
	fill(out, HEAD JOB "    steps:\n", "      - run: &a%d b\n", 1000, "    env:\n");
	for (int i = 0; i < 3000; i++)
		strbuf_addf(out, "      A%d: &b%d b\n", i, i);
}

/* Each line has a finding, far down. */
static void many_lines(struct strbuf *out)
{
	fill(out, "", "#\n", 400000, HEAD JOB "    steps:\n");
	fill(out, "", "      - run: a\n        shell: b%d\n", 900, "");
}

static void labels_times_matrix(struct strbuf *out)
{
	fill(out, HEAD "  a:\n" STEPS "    runs-on: [", "'${{matrix.x}}',", 20000, "]\n");
	fill(out, "    strategy: {matrix: {x: [", "b%d,", 60000, "]}}\n");
}

static void triggers(struct strbuf *out)
{
	fill(out, "on: [push, ", "x%d,", 60000, "]\njobs:\n" JOB STEPS);
}

static void deep_sequences(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB STEPS "    strategy: {matrix: {x: [");
	for (int i = 0; i < 900; i++) {
		for (int k = 0; k < 90; k++)
			strbuf_addc(out, '[');
		for (int k = 0; k < 90; k++)
			strbuf_addc(out, ']');
		strbuf_addc(out, ',');
	}
	strbuf_adds(out, "]}}\n");
}

/* Conditions that do not exclude each other, in a chain of jobs. */
static void conditions_of_jobs(struct strbuf *out)
{
	strbuf_adds(out, HEAD);
	for (int i = 0; i < 900; i++) {
		strbuf_addf(out, "  a%d:\n    runs-on: x\n" STEPS, i);
		if (i > 0)
			strbuf_addf(out, "    needs: a%d\n", i - 1);
		fill(out, "    if: github.ref != 'a'", "&& github.ref != 'b%d'", 30,
			"\n");
	}
}

static void long_globs(struct strbuf *out)
{
	strbuf_adds(out, "on:\n  push:\n    paths: [");
	for (int i = 0; i < 31; i++)
		fill(out, "'", "[a-z0-9]+?", 400, "',");
	strbuf_adds(out, "]\njobs:\n" JOB STEPS);
}

static void quoted_escapes(struct strbuf *out)
{
	fill(out, HEAD JOB "    steps:\n      - run: \"", "\\x41", 255000, "\"\n");
}

/* Text that YAML hides from a search for its place. */
static void hidden_places(struct strbuf *out)
{
	strbuf_adds(out, HEAD JOB "    steps:\n");
	for (int i = 0; i < 20; i++)
		fill(out, "      - run: \"", "\\x24{{github.head_ref}}", 240, "\"\n");
	for (int i = 0; i < 200; i++) {
		fill(out, "      - run: \"", "aaaaaaaaaaaaaaaa", 250,
			"\\x24{{github.head_ref}}\"\n");
	}
}

const struct worst_file worst_files[] = {
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
	X(steps_without_end), X(dense_expressions), X(filters_on_filters),
	X(filters_over_inputs), X(objects_in_a_matrix), X(objects_of_json),
	X(choices_of_objects), X(long_ignore), X(near_names), X(near_needs),
	X(colliding_anchors), X(colliding_keys), X(many_anchors), X(many_lines),
	X(labels_times_matrix), X(triggers), X(deep_sequences), X(conditions_of_jobs),
	X(long_globs), X(quoted_escapes), X(hidden_places)
};
const size_t worst_files_len = ARRAY_SIZE(worst_files);

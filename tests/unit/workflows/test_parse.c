/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "workflows/permissions.h"
#include "workflows/workflow.h"

struct fixture {
	struct diagnostics d;
	struct workflow *w;
	struct strbuf text;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strbuf_init(&f->text);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	diagnostics_done(&f->d);
	workflow_free(f->w);
	strbuf_done(&f->text);
	free(f);
	return 0;
}

static int parse(struct fixture *f, const char *text)
{
	diagnostics_done(&f->d);
	workflow_free(f->w);
	f->w = NULL;
	return workflow_parse("f.yml", text, strlen(text), &f->w, &f->d);
}

static void parsed(struct fixture *f, const char *text)
{
	if (parse(f, text) < 0)
		fail_msg("refused: %u:%u %s", f->d.items[0].mark.line,
			f->d.items[0].mark.column, f->d.items[0].msg);
}

#define STEP "    steps: [{run: x}]\n"

static void gives_triggers_inputs_and_needs(void **state)
{
	struct fixture *f = *state;
	const struct trigger *t;

	parsed(f,
		"on:\n  push: {branches: main, tags: [1.0, v2]}\n"
		"  schedule:\n    - {cron: '0 0 * * *', timezone: Europe/Berlin}\n"
		"  workflow_dispatch:\n    inputs:\n      x: {type: choice, options: "
		"[a]}\n      y:\n"
		"  workflow_call:\n    inputs: {z: {type: number, required: true}}\n"
		"    secrets: {s: {required: true}, o: }\n    outputs: {p: {value: v}}\n"
		"jobs:\n  a:\n    runs-on: x\n" STEP
		"  B:\n    needs: [A, a]\n    runs-on: x\n" STEP);
	assert_int_equal(f->w->triggers_len, 4);
	t = workflow_find_trigger(f->w, "push");
	assert_string_equal(t->rules.branches[0], "main");
	assert_null(t->rules.branches[1]);
	assert_string_equal(t->rules.tags[0], "1");
	assert_string_equal(t->rules.tags[1], "v2");
	assert_null(t->rules.paths);
	t = workflow_find_trigger(f->w, "schedule");
	assert_int_equal(t->crons_len, 1);
	assert_string_equal(t->crons[0].timezone->str, "Europe/Berlin");
	assert_int_equal(f->w->dispatch_inputs_len, 2);
	assert_int_equal(f->w->dispatch_inputs[0].type, INPUT_CHOICE);
	assert_int_equal(f->w->dispatch_inputs[1].type, INPUT_STRING);
	assert_int_equal(f->w->call_inputs[0].type, INPUT_NUMBER);
	assert_true(f->w->call_inputs[0].is_required);
	assert_int_equal(f->w->call_secrets_len, 2);
	assert_int_equal(f->w->call_outputs_len, 1);
	/* Ids are compared without case, and a need counts once. */
	assert_int_equal(f->w->jobs[1].needs_len, 1);
	assert_string_equal(f->w->jobs[1].needs[0].id, "a");
	assert_int_equal(workflow_find_job(f->w, "b"), 1);
}

static void makes_ids_for_steps_without_one(void **state)
{
	struct fixture *f = *state;
	static const char *const ids[] = { "__run", "__actions_checkout", "__run_2",
		"__actions_checkout_2", "__self", "__alpine_3_8", "__org_with_space_repo",
		"mine", "__run_3" };

	parsed(f, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: x\n"
		  "      - uses: actions/checkout@v4\n      - run: x\n"
		  "      - uses: actions/checkout/sub@v4\n      - uses: ./x\n"
		  "      - uses: docker://alpine:3.8\n      - uses: org with "
		  "space/repo@v1\n"
		  "      - id: mine\n        run: x\n      - run: x\n");
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_string_equal(f->w->jobs[0].steps[i].id, ids[i]);
		assert_true(f->w->jobs[0].steps[i].is_generated == (ids[i][0] == '_'));
	}
}

static void knows_what_may_be_an_id(void **state)
{
	static const struct {
		const char *id;
		bool is_good;
	} cases[] = { { "a", true }, { "_", true }, { "a-b_1", true }, { "a__", true },
		{ "", false }, { "1a", false }, { "-a", false }, { "__", false },
		{ "__a", false }, { "a.b", false }, { "a b", false },
		{ "\xc3\xbc", false } };
	char longest[101];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if ((id_problem(cases[i].id) == NULL) != cases[i].is_good)
			fail_msg("'%s'", cases[i].id);
	memset(longest, 'a', sizeof(longest));
	longest[99] = '\0';
	assert_null(id_problem(longest));
	longest[99] = 'a';
	longest[100] = '\0';
	assert_non_null(id_problem(longest));
}

static void reads_what_uses_names(void **state)
{
	static const struct {
		const char *text;
		enum uses_kind kind;
		const char *owner, *path, *ref;
	} cases[] = {
		{ "o/r@v1", USES_REMOTE, "o", NULL, "v1" },
		{ "o/r/a/b@main", USES_REMOTE, "o", "a/b", "main" },
		{ "./a/b", USES_LOCAL, NULL, "a/b", NULL },
		{ "./", USES_LOCAL, NULL, "", NULL },
		{ "$/a", USES_SELF, NULL, "a", NULL },
		{ "docker://a:1", USES_DOCKER, NULL, "a:1", NULL },
		{ "../x", USES_INVALID, NULL, NULL, NULL },
		{ "./../x", USES_INVALID, NULL, NULL, NULL },
		{ "./a/../../x", USES_INVALID, NULL, NULL, NULL },
		{ "/etc", USES_INVALID, NULL, NULL, NULL },
		{ "../r@v1", USES_INVALID, NULL, NULL, NULL },
		{ "o/..@v1", USES_INVALID, NULL, NULL, NULL },
		{ "o/r/../x@v1", USES_INVALID, NULL, NULL, NULL },
		{ "o/r@", USES_INVALID, NULL, NULL, NULL },
		{ "o/r", USES_INVALID, NULL, NULL, NULL },
		{ "o/r@-x", USES_INVALID, NULL, NULL, NULL },
		{ "o/r@a@b", USES_INVALID, NULL, NULL, NULL },
		{ "o@v1", USES_INVALID, NULL, NULL, NULL },
	};
	_cleanup_(arena_freep) struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uses u = uses_parse(cases[i].text, a);

		if (u.kind != cases[i].kind)
			fail_msg("'%s' is kind %d", cases[i].text, u.kind);
		if (u.kind == USES_INVALID)
			continue;
		assert_true(str_eq(u.owner, cases[i].owner));
		assert_true(str_eq(u.path, cases[i].path));
		assert_true(str_eq(u.ref, cases[i].ref));
	}
}

static void tells_every_mistake_of_a_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		parse(f, "on: pusch\njobs:\n  a:\n    runs-on: x\n    stepps: []\n  1b:\n"
			 "    runs-on: x\n    needs: z\n" STEP),
		-1);
	assert_int_equal(f->d.len, 4);
}

static void a_chain_of_a_thousand_jobs_is_no_problem(void **state)
{
	struct fixture *f = *state;

	strbuf_adds(&f->text, "on: push\njobs:\n");
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&f->text, "  j%d:\n    needs: j%d\n    runs-on: x\n" STEP, i,
			i + 1);
	strbuf_adds(&f->text, "  j1000:\n    runs-on: x\n" STEP);
	parsed(f, f->text.buf);
	strbuf_adds(&f->text, "    needs: j0\n");
	assert_int_equal(parse(f, f->text.buf), -1);
	/* Each need on the ring is told, as far as the list goes. */
	assert_int_equal(f->d.len + f->d.dropped, 1001);
	assert_string_equal(f->d.items[0].code, "needs-cycle");
}

static void limits_hold(void **state)
{
	struct fixture *f = *state;

	strbuf_adds(&f->text, "on: push\njobs:\n");
	for (int i = 0; i <= LIMIT_JOBS; i++)
		strbuf_addf(&f->text, "  j%d:\n    runs-on: x\n" STEP, i);
	assert_int_equal(parse(f, f->text.buf), -1);
	assert_has(f->d.items[0].msg, "more than 1024 jobs");
	strbuf_clear(&f->text);
	strbuf_adds(&f->text, "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n");
	for (int i = 0; i <= LIMIT_STEPS; i++)
		strbuf_adds(&f->text, "      - run: x\n");
	assert_int_equal(parse(f, f->text.buf), -1);
	assert_has(f->d.items[0].msg, "more than 1024 steps");
	strbuf_clear(&f->text);
	strbuf_adds(&f->text, "on: push\njobs:\n  a:\n    runs-on: x\n    strategy:\n"
			      "      matrix:\n        x: ");
	for (int i = 0; i < 60; i++)
		strbuf_addc(&f->text, '[');
	for (int i = 0; i < 60; i++)
		strbuf_addc(&f->text, ']');
	strbuf_adds(&f->text, "\n" STEP);
	assert_int_equal(parse(f, f->text.buf), -1);
	assert_has(f->d.items[0].msg, "nested deeper than 50");
}

static void lists_of_findings_are_bounded(void **state)
{
	struct fixture *f = *state;

	strbuf_adds(&f->text, "on: push\njobs:\n  a:\n    runs-on: x\n" STEP);
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&f->text, "k%d: 1\n", i);
	assert_int_equal(parse(f, f->text.buf), -1);
	assert_int_equal(f->d.len, DIAG_MAX);
	assert_int_equal(f->d.dropped, 1000 - DIAG_MAX);
}

static void every_scope_of_permissions_is_in_the_table(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PERMISSION_SCOPES; i++) {
		const char *scope = permission_scope_name(i);
		bool can_read = strcmp(scope, "id-token") != 0;
		struct permissions p;

		strbuf_clear(&f->text);
		strbuf_addf(&f->text,
			"on: push\npermissions: {%s: %s}\njobs:\n  a:\n    runs-on: "
			"x\n" STEP,
			scope, can_read ? "read" : "write");
		parsed(f, f->text.buf);
		p = permissions_of(yaml_get(f->w->root, "permissions"));
		for (unsigned k = 0; k < PERMISSION_SCOPES; k++)
			assert_true((p.level[k] != PERMISSION_NONE) == (k == i));
	}
	assert_null(permission_scope_name(PERMISSION_SCOPES));
}

TEST_MAIN(TEST_WITH(gives_triggers_inputs_and_needs, setup, teardown),
	TEST_WITH(makes_ids_for_steps_without_one, setup, teardown),
	TEST(knows_what_may_be_an_id), TEST(reads_what_uses_names),
	TEST_WITH(tells_every_mistake_of_a_file, setup, teardown),
	TEST_WITH(a_chain_of_a_thousand_jobs_is_no_problem, setup, teardown),
	TEST_WITH(limits_hold, setup, teardown),
	TEST_WITH(lists_of_findings_are_bounded, setup, teardown),
	TEST_WITH(every_scope_of_permissions_is_in_the_table, setup, teardown))

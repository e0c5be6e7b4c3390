/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "executor/spec.h"

#define IDS                                                                              \
	"\"version\":1,\"run\":1,\"run_number\":2,\"job_id\":3,\"attempt\":4,\"epoch\":" \
	"5,\"try\":6"

static struct spec *parse(const char *text, struct err *err)
{
	struct spec *s = NULL;

	err_clear(err);
	if (spec_parse(text, strlen(text), &s, err) < 0)
		return NULL;
	return s;
}

static void reads_a_row_as_the_planner_gives_it(void **state)
{
	struct err err = ERR_INIT;
	_cleanup_(spec_freep) struct spec *s = parse(
		"{" IDS ",\"trusted\":true,\"env\":{\"CLI\":\"1\"},\"job\":{\"id\":"
			"\"call/build\","
		"\"job_id\":\"build\",\"name\":\"call / build (1)\",\"matrix\":{\"n\":1},"
		"\"timeout_minutes\":30,\"environment\":{\"name\":\"prod\",\"url\":"
		"\"https://x\","
		"\"deployment\":true},\"secrets_map\":[{\"A\":\"${{ secrets.B "
		"}}\"}],\"spec\":{"
		"\"workflow_env\":{\"W\":\"1\"},\"env\":{\"J\":\"2\"},\"defaults\":{"
		"\"run\":{"
		"\"shell\":\"bash\",\"working-directory\":\"sub\"}},\"container\":null,"
		"\"services\":{},\"steps\":[{\"id\":\"a\",\"generated_id\":false,\"run\":"
		"\"x\","
		"\"uses\":null,\"if\":null,\"timeout-minutes\":5,\"continue_on_error\":"
		"true,"
		"\"line\":9},{\"id\":\"__acme_x\",\"generated_id\":true,\"uses\":\"acme/"
		"x@v1\","
		"\"with\":{\"k\":1},\"background\":false}]}}}",
		&err);

	assert_ok(s ? 0 : -1, &err);
	assert_string_equal(s->key, "build");
	assert_string_equal(s->name, "call / build (1)");
	assert_int_equal(s->epoch, 5);
	assert_int_equal(s->try, 6);
	assert_string_equal(s->profile, "standard");
	assert_string_equal(s->network, "none");
	assert_string_equal(s->default_shell, "bash");
	assert_string_equal(s->default_directory, "sub");
	assert_string_equal(s->environment_name, "prod");
	assert_non_null(s->env_layers[0]);
	assert_non_null(s->env_layers[1]);
	assert_non_null(s->env_layers[2]);
	assert_int_equal(json_count(s->secret_maps), 1);
	assert_null(s->refused);
	assert_int_equal(s->steps_len, 2);
	assert_false(s->steps[0].is_generated);
	assert_null(s->steps[0].condition);
	assert_non_null(s->steps[0].timeout_minutes);
	assert_non_null(s->steps[0].continue_on_error);
	assert_int_equal(s->steps[0].line, 9);
	assert_true(s->steps[1].is_generated);
	assert_null(s->steps[1].refused);
}

static void only_trusted_work_is_held(void **state)
{
	static const char *const forms[] = { "true", "false" };

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_(spec_freep) struct spec *s = NULL;
		_cleanup_free_ char *text = xasprintf(
			"{" IDS ",\"trusted\":%s,\"hold\":{\"bytes\":7},\"job\":{\"id\":\"a\",\"job_id\":"
			"\"a\",\"name\":\"a\",\"spec\":{\"steps\":[]}}}",
			forms[i]);
		struct err err = ERR_INIT;

		(void)state;
		assert_int_equal(spec_parse(text, strlen(text), &s, &err), 0);
		assert_int_equal(s->hold, i == 0);
	}
}

static void untrusted_work_is_strict_unless_told(void **state)
{
	struct err err = ERR_INIT;
	_cleanup_(spec_freep) struct spec *s =
		parse("{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[]}}", &err);

	assert_ok(s ? 0 : -1, &err);
	assert_false(s->trusted);
	assert_string_equal(s->profile, "strict");
}

static const struct {
	const char *text, *words;
} faults[] = {
	{ "", "the spec: " },
	{ "[]", "the spec is not of version 1" },
	{ "{\"version\":2}", "the spec is not of version 1" },
	{ "{\"version\":1}", "'run' is missing" },
	{ "{" IDS "}", "'job' is not an object" },
	{ "{" IDS ",\"job\":{\"steps\":[]}}", "the job has no 'id'" },
	{ "{" IDS ",\"job\":{\"id\":\"a\"}}", "'steps' is not a list" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[{}]}}",
		"step 1: needs either 'run' or 'uses'" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[{\"run\":\"a\",\"uses\":\"b\"}]}}",
		"step 1: needs either 'run' or 'uses'" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[{\"run\":1}]}}",
		"'run' is not a string" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[{\"run\":\"a\\u0000b\"}]}}",
		"'run' holds a NUL byte" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[],\"env\":[]}}",
		"'env' is not an object" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[]},\"source\":{\"kind\":\"ftp\"}}",
		"unknown source 'ftp'" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[]},\"source\":{\"kind\":\"mirror\","
	  "\"mirror\":\"../x\",\"sha\":\"1\"}}",
		"the mirror's name" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[]},\"source\":{\"kind\":\"tree\","
	  "\"path\":\"rel\"}}",
		"the path of the tree is not absolute" },
	{ "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[]},\"actions_dir\":\"rel\"}",
		"'actions_dir' is not absolute" },
};

static void names_the_member_at_fault(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct err err = ERR_INIT;

		assert_null(parse(faults[i].text, &err));
		assert_err_has(&err, ERR_INPUT, faults[i].words);
	}
}

static void too_many_steps_are_refused_before_they_are_stored(void **state)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;

	strbuf_adds(&text, "{" IDS ",\"job\":{\"id\":\"a\",\"steps\":[");
	for (int i = 0; i <= LIMIT_STEPS; i++)
		strbuf_addf(&text, "%s{\"run\":\"x\"}", i ? "," : "");
	strbuf_adds(&text, "]}}");
	assert_null(parse(text.buf, &err));
	assert_err(&err, ERR_LIMIT, NULL);
}

static void what_is_not_built_is_named(void **state)
{
	struct err err = ERR_INIT;
	_cleanup_(spec_freep) struct spec *s = parse(
		"{" IDS ",\"job\":{\"id\":\"a\","
		"\"container\":\"alpine\",\"steps\":[{\"run\":\"x\",\"background\":true},"
		"{\"parallel\":[]}]}}",
		&err);

	assert_ok(s ? 0 : -1, &err);
	assert_string_equal(s->refused, "container");
	assert_string_equal(s->steps[0].refused, "background");
	assert_string_equal(s->steps[1].refused, "parallel");
}

static void a_boolean_condition_is_text(void **state)
{
	struct err err = ERR_INIT;
	_cleanup_(spec_freep) struct spec *s =
		parse("{" IDS ",\"job\":{\"id\":\"a\","
		      "\"steps\":[{\"run\":\"x\",\"if\":false},{\"run\":\"x\",\"if\":\"a "
		      "== b\"}]}}",
			&err);

	assert_ok(s ? 0 : -1, &err);
	assert_string_equal(s->steps[0].condition, "false");
	assert_string_equal(s->steps[1].condition, "a == b");
	assert_string_equal(s->steps[1].id, "__run_2");
}

TEST_MAIN(TEST(reads_a_row_as_the_planner_gives_it),
	TEST(untrusted_work_is_strict_unless_told), TEST(only_trusted_work_is_held), TEST(names_the_member_at_fault),
	TEST(too_many_steps_are_refused_before_they_are_stored),
	TEST(what_is_not_built_is_named), TEST(a_boolean_condition_is_text))

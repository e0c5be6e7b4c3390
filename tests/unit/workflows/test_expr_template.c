/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "workflows/expr.h"

static struct value *contexts;
static bool is_success;

static int setup(void **state)
{
	static const char text[] =
		"{\"github\":{\"ref\":\"main\",\"n\":3},\"list\":[1,2],\"yes\":true}";
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(text, strlen(text), &j, &err) < 0)
		return -1;
	contexts = value_from_json(j);
	is_success = true;
	return 0;
}

static int teardown(void **state)
{
	value_unref(contexts);
	contexts = NULL;
	return 0;
}

static bool status(const char *name, const char *const *args, size_t len, void *data)
{
	if (strcmp(name, "always") == 0)
		return true;
	return is_success == (strcmp(name, "success") == 0);
}

static const struct expr_rules rules = { NULL, EXPR_FN_STATUS };

static char *run(const char *text)
{
	struct expr_env env = { .contexts = contexts, .status = status };
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (template_eval(text, strlen(text), &rules, &env, &v, &err) < 0)
		strbuf_addf(&sb, "%s: %s", err_code_name(err.code), err.msg);
	else
		value_write_json(v, false, &sb);
	return strbuf_take(&sb);
}

struct template_case {
	const char *text, *want;
};

static void check(const struct template_case *cases, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		_cleanup_free_ char *got = run(cases[i].text);

		if (strcmp(got, cases[i].want) != 0)
			fail_msg("'%s'\n  gives %s\n  wanted %s", cases[i].text, got,
				cases[i].want);
	}
}

static void an_expression_alone_keeps_its_type(void **state)
{
	static const struct template_case cases[] = {
		{ "${{ github.n }}", "3" },
		{ "${{list}}", "[1,2]" },
		{ "${{ yes }}", "true" },
		{ "${{ github.none }}", "null" },
		{ "${{ '}}' }}", "\"}}\"" },
		{ "${{ 'it''s }} here' }}", "\"it's }} here\"" },
		{ "${{\n  yes\n}}", "true" },
	};

	check(cases, ARRAY_SIZE(cases));
}

static void text_around_makes_a_string(void **state)
{
	static const struct template_case cases[] = {
		{ "", "\"\"" },
		{ "plain }} text", "\"plain }} text\"" },
		{ "a ${{ github.n }} b", "\"a 3 b\"" },
		{ " ${{ yes }}", "\" true\"" },
		{ "${{ github.n }}${{ list }}", "\"3Array\"" },
		{ "{0} ${{ github.none }}'", "\"{0} '\"" },
		{ "$${{ 1 }}", "\"$1\"" },
		{ "${ {1} }", "\"${ {1} }\"" },
		{ "${{ 1 }}}}", "\"1}}\"" },
	};

	check(cases, ARRAY_SIZE(cases));
}

static void mistakes_are_located_in_the_whole_text(void **state)
{
	static const struct template_case cases[] = {
		{ "a ${{ b", "input: '${{' without its '}}' (character 3)" },
		{ "${{ 'b }}", "input: '${{' without its '}}' (character 1)" },
		{ "a ${{ }}", "input: an expression is missing between '${{' and '}}' "
			      "(character 6)" },
		{ "${{}}", "input: an expression is missing between '${{' and '}}' "
			   "(character 4)" },
		{ "a ${{ b = c }}",
			"input: unexpected '='; to compare, write '==' (character 9)" },
		{ "x\ny ${{ 1 2 }}", "input: unexpected '2'; is an operator missing "
				     "before it? (line 2, character "
				     "9)" },
		{ "x ${{ fromJSON('') }}",
			"input: 'fromJSON('')': fromJSON: empty text is no JSON" },
	};

	check(cases, ARRAY_SIZE(cases));
}

static int note(const char *inner, size_t len, size_t offset, void *data)
{
	strbuf_addf(data, "%zu:%.*s|", offset, (int)len, inner);
	return 0;
}

static int stop(const char *inner, size_t len, size_t offset, void *data)
{
	(*(int *)data)++;
	return -1;
}

static void each_expression_is_shown_with_its_place(void **state)
{
	static const char text[] = "a ${{ b }} c ${{d}}";
	_cleanup_(strbuf_done) struct strbuf seen = STRBUF_INIT;
	struct expr_error error;
	int calls = 0;

	assert_int_equal(template_each(text, strlen(text), note, &seen, &error), 0);
	assert_string_equal(seen.buf, "5: b |16:d|");
	assert_int_equal(template_each(text, strlen(text), stop, &calls, &error), -1);
	assert_int_equal(calls, 1);
	assert_int_equal(template_each("${{", 3, note, &seen, &error), -1);
	assert_int_equal(error.offset, 0);
}

static void a_compiled_template_lends_its_expressions(void **state)
{
	static const char text[] = "a ${{ github }} ${{ list.x }}";
	_cleanup_(template_freep) struct template *t = NULL;
	struct expr_error error;
	size_t offset = 0;

	assert_int_equal(template_compile(text, strlen(text), &rules, &t, &error), 0);
	assert_int_equal(template_expr_count(t), 2);
	assert_true(expr_uses_context(template_expr(t, 1, &offset), "list"));
	assert_int_equal(offset, 19);
	assert_null(template_expr(t, 2, NULL));
	assert_false(template_is_typed(t));
}

static char *filled(const char *head, size_t n, const char *tail)
{
	struct strbuf sb = STRBUF_INIT;

	strbuf_adds(&sb, head);
	for (size_t i = 0; i < n; i++)
		strbuf_addc(&sb, 'x');
	strbuf_adds(&sb, tail);
	return strbuf_take(&sb);
}

static void long_text_around_an_expression_is_refused_as_github_does(void **state)
{
	/* format('x...x{0}', 1): 10 for the call, 3 for {0}, 3 for ", 1" */
	size_t fits = 21000 - 10 - 3 - 3;
	_cleanup_free_ char *good = filled("", fits, "${{ 1 }}");
	_cleanup_free_ char *bad = filled("", fits + 1, "${{ 1 }}");
	_cleanup_free_ char *plain = filled("", 100000, "");
	_cleanup_free_ char *a = run(good), *b = run(bad), *c = run(plain);

	assert_int_equal(strlen(a), fits + 3);
	assert_has(b, "longer than 21000 characters");
	assert_int_equal(strlen(c), 100002);
}

static void conditions_imply_success(void **state)
{
	static const struct {
		const char *text;
		bool ok, failed; /* the answer while all succeeded, and after a failure */
	} cases[] = {
		{ "", true, false },
		{ "  ", true, false },
		{ "true", true, false },
		{ "false", false, false },
		{ "always()", true, true },
		{ "failure()", false, true },
		{ "!failure()", true, false },
		{ "${{ always() }}", true, true },
		{ "${{ yes }}", true, false },
		{ "github.ref == 'main'", true, false },
		{ "'always()' != ''", true, false },
		{ "${{ false }} == true", true, false },     /* text: always true */
		{ "${{ always() && false }} ", true, true }, /* text again */
		{ "always() && false", false, false },
		{ "success() || failure()", true, true },
		{ "github.none", false, false },
		{ "${{ '' }}${{ '' }}", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct expr_env env = { .contexts = contexts, .status = status };
		struct err err = ERR_INIT;

		for (int failed = 0; failed < 2; failed++) {
			bool got = false, want = failed ? cases[i].failed : cases[i].ok;

			is_success = !failed;
			assert_ok(condition_eval(cases[i].text, strlen(cases[i].text),
					  &rules, &env, &got, &err),
				&err);
			if (got != want)
				fail_msg("'%s' is %d after %s", cases[i].text, got,
					failed ? "a failure" : "success");
		}
	}
}

static void a_condition_that_is_not_reached_is_traced_as_such(void **state)
{
	struct expr_trace trace = { 0 };
	struct expr_env env = { .contexts = contexts, .status = status, .trace = &trace };
	struct err err = ERR_INIT;
	bool got = true, reached;
	size_t len;

	is_success = false;
	assert_ok(condition_eval("yes == true", 11, &rules, &env, &got, &err), &err);
	len = trace.len;
	reached = trace.items[0].reached;
	expr_trace_done(&trace);
	assert_false(got);
	assert_false(reached);
	assert_int_equal(len, 3);
}

static void a_condition_with_a_mistake_is_an_error(void **state)
{
	struct expr_env env = { .contexts = contexts, .status = status };
	struct err err = ERR_INIT;
	bool got = false;

	assert_int_equal(condition_eval("a ==", 4, &rules, &env, &got, &err), -1);
	assert_err(&err, ERR_INPUT, "the expression ends too early (character 4)");
	assert_int_equal(condition_eval("${{ }}", 6, &rules, &env, &got, &err), -1);
	assert_err_has(&err, ERR_INPUT, "an expression is missing");
}

TEST_MAIN(TEST_WITH(an_expression_alone_keeps_its_type, setup, teardown),
	TEST_WITH(text_around_makes_a_string, setup, teardown),
	TEST_WITH(mistakes_are_located_in_the_whole_text, setup, teardown),
	TEST(each_expression_is_shown_with_its_place),
	TEST(a_compiled_template_lends_its_expressions),
	TEST_WITH(long_text_around_an_expression_is_refused_as_github_does, setup,
		teardown),
	TEST_WITH(conditions_imply_success, setup, teardown),
	TEST_WITH(a_condition_that_is_not_reached_is_traced_as_such, setup, teardown),
	TEST_WITH(a_condition_with_a_mistake_is_an_error, setup, teardown))

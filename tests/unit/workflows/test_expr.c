/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "workflows/expr.h"

/* The contexts of all cases. */
static const char contexts_json[] =
	"{\"github\":{\"ref\":\"refs/heads/main\",\"event\":{\"n\":0,\"labels\":["
	"{\"name\":\"bug\",\"id\":1},{\"id\":2},{\"name\":\"Help\"}]}},"
	"\"a\":[\"zero\",\"one\",\"two\"],"
	"\"nested\":[[\"00\",\"01\"],[\"10\",\"11\"],\"x\"],"
	"\"o\":{\"one\":{\"v\":1},\"two\":{\"v\":2},\"\":\"empty\",\"1.5\":\"half\",\"*"
	"\":\"star\","
	"\"null\":\"nil\",\"Object\":\"obj\"},"
	"\"s\":\"text\",\"n\":12.5,\"nil\":null,\"t\":true,\"big\":1e20}";

static struct value *contexts;

static int setup(void **state)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(contexts_json, strlen(contexts_json), &j, &err) < 0)
		return -1;
	contexts = value_from_json(j);
	return 0;
}

static int teardown(void **state)
{
	value_unref(contexts);
	contexts = NULL;
	return 0;
}

static bool job_failed(const char *name, const char *const *args, size_t len, void *data)
{
	int *calls = data;

	if (calls)
		(*calls)++;
	if (len > 0)
		return strcmp(args[0], "build") == 0;
	return strcmp(name, "failure") == 0 || strcmp(name, "always") == 0;
}

static int hash_of_names(const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err, void *data)
{
	if (strcmp(patterns[0], "bad") == 0)
		return err_set(err, ERR_INPUT, "hashFiles: bad pattern");
	for (size_t i = 0; i < len; i++)
		strbuf_addf(out, "<%s>", patterns[i]);
	return 0;
}

static const struct expr_rules any_rules = { NULL,
	EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES };

/* The value as JSON, or "error: words"; heap. */
static char *run(const char *text, size_t memory)
{
	_cleanup_(expr_freep) struct expr *e = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct strbuf sb = STRBUF_INIT;
	struct expr_env env = { .contexts = contexts,
		.status = job_failed,
		.hash_files = hash_of_names,
		.memory_max = memory };
	struct expr_error error;
	struct err err = ERR_INIT;

	if (expr_compile(text, strlen(text), &any_rules, &e, &error) < 0)
		strbuf_addf(&sb, "syntax: %s", error.msg);
	else if (expr_eval(e, &env, &v, &err) < 0)
		strbuf_addf(&sb, "%s: %s", err_code_name(err.code), err.msg);
	else
		value_write_json(v, false, &sb);
	return strbuf_take(&sb);
}

struct expr_case {
	const char *text, *want;
};

static void check(const struct expr_case *cases, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		_cleanup_free_ char *got = run(cases[i].text, 0);

		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s\n  gives %s\n  wanted %s", cases[i].text, got,
				cases[i].want);
	}
}

#define CHECK(cases) check((cases), ARRAY_SIZE(cases))

static void literals_are_what_they_say(void **state)
{
	static const struct expr_case cases[] = {
		{ "", "null" },
		{ "  \t\n ", "null" },
		{ "null", "null" },
		{ "true", "true" },
		{ "false", "false" },
		{ "42", "42" },
		{ "-7", "-7" },
		{ "+3", "3" },
		{ ".5", "0.5" },
		{ "0x10", "16" },
		{ "0o10", "8" },
		{ "1e3", "1000" },
		{ "NaN", "\"NaN\"" },
		{ "-Infinity", "\"-Infinity\"" },
		{ "''", "\"\"" },
		{ "'it''s'", "\"it's\"" },
		{ "'a\\n'", "\"a\\\\n\"" },
		{ "'}}'", "\"}}\"" },
		{ "''''", "\"'\"" },
		{ "\xC2\xA0"
		  "1\xE3\x80\x80",
			"1" },
	};

	CHECK(cases);
}

static void operators_choose_and_compare(void **state)
{
	static const struct expr_case cases[] = {
		{ "1 && 2", "2" },
		{ "0 && 2", "0" },
		{ "'' || 'x'", "\"x\"" },
		{ "false || null", "null" },
		{ "0 || ''", "\"\"" },
		{ "t && 'yes' || 'no'", "\"yes\"" },
		{ "nil && 'yes' || 'no'", "\"no\"" },
		{ "!s", "false" },
		{ "!!nil", "false" },
		{ "!nil == true", "true" },
		{ "1 < 2 == true", "true" },
		{ "1 == 1 && 2 == 2", "true" },
		{ "3 > 2 > 1", "false" },
		{ "2 <= 2", "true" },
		{ "NaN <= NaN", "false" },
		{ "NaN != NaN", "true" },
		{ "null <= null", "true" },
		{ "null < null", "false" },
		{ "'a' < 'B'", "true" },
		{ "'10' < 9", "false" },
		{ "false < true", "true" },
		{ "'abc' == 'ABC'", "true" },
		{ "true == 'true'", "false" },
		{ "github == github", "true" },
		{ "github <= github", "true" },
		{ "fromJSON('[]') == fromJSON('[]')", "false" },
		{ "1 || 2 && 0", "1" },
		{ "(1 || 2) && 0", "0" },
		{ "a != o", "true" },
		{ "a < o", "false" },
		{ "a >= 1", "false" },
	};

	CHECK(cases);
}

static void an_index_never_fails(void **state)
{
	static const struct expr_case cases[] = {
		{ "github.ref", "\"refs/heads/main\"" },
		{ "GitHub.REF", "\"refs/heads/main\"" },
		{ "github['ref']", "\"refs/heads/main\"" },
		{ "github.none.at.all", "null" }, { "missing.x", "null" },
		{ "s.x", "null" }, { "n[0]", "null" }, { "a[1]", "\"one\"" },
		{ "a[1.9]", "\"one\"" }, { "a['2']", "\"two\"" }, { "a[-1]", "null" },
		{ "a[3]", "null" }, { "a[NaN]", "null" }, { "a[1e300]", "null" },
		{ "a[null]", "\"zero\"" }, { "a[true]", "\"one\"" }, { "a['x']", "null" },
		{ "a.one", "null" }, { "o[null]", "\"empty\"" }, { "o[1.5]", "\"half\"" },
		{ "o['*']", "\"star\"" }, { "o.null", "\"nil\"" },
		{ "o[github]", "null" }, { "o[format('{0}', o)]", "\"obj\"" },
		{ "(o).one.v", "1" }, { "a[o.one.v]", "\"one\"" },
		{ "nil[fromJSON('bad')]",
			"null" }, /* the key of nothing is not looked at */
	};

	CHECK(cases);
}

static void a_filter_maps_what_follows(void **state)
{
	static const struct expr_case cases[] = {
		{ "github.event.labels.*.name", "[\"bug\",\"Help\"]" },
		{ "github.event.labels[*]['NAME']", "[\"bug\",\"Help\"]" },
		{ "a.*", "[\"zero\",\"one\",\"two\"]" },
		{ "s.*", "[]" },
		{ "nil.*.x.y", "[]" },
		{ "nested.*[1]", "[\"01\",\"11\"]" },
		{ "nested.*.*", "[\"00\",\"01\",\"10\",\"11\"]" },
		{ "(github.event.labels.*.name)[0]", "[]" },
		{ "(nested.*)[0]", "[\"00\",\"10\"]" },
		{ "(nested.* || a)[0]", "[\"00\",\"10\"]" },
		{ "o.*.v", "[1,2]" },
		{ "join(o.*, '-')", "\"Object-Object-empty-half-star-nil-obj\"" },
		{ "contains(github.event.labels.*.name, 'BUG')", "true" },
		{ "fromJSON(toJSON(nested.*))[0]", "[\"00\",\"01\"]" },
		{ "nested.*[a]", "[]" },
	};

	CHECK(cases);
}

static void functions_do_as_github_does(void **state)
{
	static const struct expr_case cases[] = {
		{ "contains('Hello', 'ELL')", "true" },
		{ "contains(s, nil)", "true" },
		{ "contains(12.5, 2.5)", "true" },
		{ "contains(a, 'ONE')", "true" },
		{ "contains(a, 1)", "false" },
		{ "contains(o, 'one')", "false" },
		{ "contains(s, a)", "false" },
		{ "startsWith('Abc', 'aB')", "true" },
		{ "startsWith(s, a)", "false" },
		{ "startsWith(a, 'z')", "false" },
		{ "endsWith('abC', 'Bc')", "true" },
		{ "endsWith(12.5, .5)", "false" },
		{ "endsWith(true, 'E')", "true" },
		{ "join(a)", "\"zero,one,two\"" },
		{ "join(a, ', ')", "\"zero, one, two\"" },
		{ "join(a, a)", "\"zero,one,two\"" },
		{ "join(a, '')", "\"zeroonetwo\"" },
		{ "join(s, '-')", "\"text\"" },
		{ "join(o)", "\"\"" },
		{ "join(nil)", "\"\"" },
		{ "format('{0} {1} {0}', 1, 'x')", "\"1 x 1\"" },
		{ "format('{{{0}}}', a)", "\"{Array}\"" },
		{ "format(12)", "\"12\"" },
		{ "format('{0}', 1, fromJSON('x'))",
			"\"1\"" }, /* not used, not evaluated */
		{ "format('{01}', 1, 2)", "\"2\"" },
		{ "toJSON('x')", "\"\\\"x\\\"\"" },
		{ "toJSON(big)", "\"1E+20\"" },
		{ "toJSON(nested.*[0])", "\"[\\n  \\\"00\\\",\\n  \\\"10\\\"\\n]\"" },
		{ "fromJSON('{\"a\":[1]}').A[0]", "1" },
		{ "fromJSON('\"x\"')", "\"x\"" },
		{ "fromJSON(' 1.0 ')", "1" },
		{ "toJSON(fromJSON('1E2'))", "\"100\"" },
		{ "case(true, 1, 2)", "1" },
		{ "case(false, 1, true, 2, 3)", "2" },
		{ "case(false, fromJSON('x'), 3)", "3" },
		{ "TOjson(NULL.x || 1)", "\"1\"" },
		{ "hashFiles('a', s)", "\"<a><text>\"" },
		{ "failure()", "true" },
		{ "success()", "false" },
		{ "success('build')", "true" },
		{ "ALWAYS()", "true" },
	};
	static const struct expr_case errors[] = {
		{ "fromJSON('')", "input: fromJSON: empty text is no JSON" },
		{ "fromJSON(nil)", "input: fromJSON: empty text is no JSON" },
		{ "fromJSON(a)", "input: fromJSON: an array or object is no JSON" },
		{ "case(1, 2, 3)",
			"input: case: condition 1 gives Number, not true or false" },
		{ "case(false, 2, 's', 3, 4)",
			"input: case: condition 2 gives String, not true or false" },
		{ "format('{1}', 1)",
			"input: format: '{1}' has no argument in '{1}'; 1 given" },
		{ "format('{}')", "input: format: a lone '{' in '{}'; write '{{' for the "
				  "character, '{0}' for an "
				  "argument" },
		{ "format('{0:x}', 1)", "input: format: a lone '{' in '{0:x}'; write "
					"'{{' for the character, '{0}' for "
					"an argument" },
		{ "format('{256}')", "input: format: a lone '{' in '{256}'; write '{{' "
				     "for the character, '{0}' for "
				     "an argument" },
		{ "format('a}b')", "input: format: a lone '}' in 'a}b'; write '}}' for "
				   "the character, '{0}' for an "
				   "argument" },
		{ "hashFiles('bad')", "input: hashFiles: bad pattern" },
		{ "hashFiles(fromJSON('\"a\\u0000b\"'))",
			"input: hashFiles: argument 1 holds a NUL" },
	};

	CHECK(cases);
	CHECK(errors);
}

/* NULL is a name here (only `null` is a literal), so it is a missing context. */
static void words_for_values_keep_their_case(void **state)
{
	static const struct expr_case cases[] = {
		{ "True", "null" },
		{ "o.true", "null" },
		{ "NULL.x", "null" },
	};

	CHECK(cases);
}

static const char *const some_contexts[] = { "github", "needs", "inputs", NULL };

struct error_case {
	const char *text;
	size_t offset, len;
	const char *msg;
};

static void errors_say_where_and_what(void **state)
{
	static const struct error_case cases[] = {
		{ "foo()", 0, 3,
			"unknown function 'foo'; the functions here are: case, contains, "
			"endsWith, "
			"format, fromJSON, join, startsWith, toJSON" },
		{ "startWith('a', 'b')", 0, 9,
			"unknown function 'startWith'; did you mean 'startsWith'?" },
		{ "github.x && always()", 12, 6,
			"function 'always' is not available here" },
		{ "hashFiles('x')", 0, 9, "function 'hashFiles' is not available here" },
		{ "secrets.TOKEN", 0, 7,
			"context 'secrets' is not available here; available: github, "
			"needs, inputs" },
		{ "1 == gihub.ref", 5, 5,
			"unknown name 'gihub'; did you mean 'github'?" },
		{ "github.ref == main", 14, 4,
			"unknown name 'main'; text takes single quotes, and the contexts "
			"here are: "
			"github, needs, inputs" },
		{ "True", 0, 4, "unknown name 'True'; did you mean 'true'?" },
		{ "github.ref == \"x\"", 14, 3,
			"text takes single quotes, not double ones" },
		{ "github.ref = 'x'", 11, 1, "unexpected '='; to compare, write '=='" },
		{ "1 & 2", 2, 1, "unexpected '&'; the operator is '&&'" },
		{ "'abc", 0, 4, "text starts with ' and never ends" },
		{ "1 2", 2, 1, "unexpected '2'; is an operator missing before it?" },
		{ "github.ref 'x'", 11, 3,
			"unexpected ''x''; is an operator missing before it?" },
		{ "1 ==", 3, 1, "the expression ends too early" },
		{ "!", 0, 1, "the expression ends too early" },
		{ "(1", 0, 1, "'(' is never closed" },
		{ "github[1", 6, 1, "'[' is never closed" },
		{ "1)", 1, 1, "unexpected ')'" },
		{ "format('x'", 6, 1, "'(' is never closed" },
		{ "(github]", 7, 1, "unexpected ']'" },
		{ "github[1)", 8, 1, "unexpected ')'" },
		{ "(1, 2)", 2, 1, "unexpected ','" },
		{ "github[1, 2]", 8, 1, "unexpected ','" },
		{ "()", 1, 1, "unexpected ')'" },
		{ "github[]", 7, 1, "unexpected ']'" },
		{ "github.1", 7, 1, "unexpected '1'; is an operator missing before it?" },
		{ "github..x", 7, 1, "unexpected '.'" },
		{ "'a'.b", 3, 1, "unexpected '.'" },
		{ "'a'[0]", 3, 1, "unexpected '['" },
		{ "github[*.x]", 7, 1, "'*' stands alone in '[*]'" },
		{ "*", 0, 1, "unexpected '*'" },
		{ "github.ref!", 10, 1, "unexpected '!'" },
		{ "1 + 2", 2, 1, "'+' is not a number" },
		{ "1-2", 0, 3, "'1-2' is not a number" },
		{ "0x1G", 0, 4, "'0x1G' is not a number" },
		{ "a@b", 0, 3, "unexpected 'a@b'" },
		{ "contains('a')", 0, 13, "'contains' takes 2 arguments, 1 given" },
		{ "format()", 0, 8, "'format' takes at least 1 argument, 0 given" },
		{ "join('a', 'b', 'c')", 0, 19,
			"'join' takes at most 2 arguments, 3 given" },
		{ "toJSON(1, 2)", 0, 12, "'toJSON' takes 1 argument, 2 given" },
		{ "case(true, 1, false, 2)", 0, 23,
			"'case' takes pairs of a condition and a value, and a default "
			"last: an odd "
			"number of arguments, 4 given" },
		{ "format(,)", 7, 1, "unexpected ','" },
		{ "format('x',)", 11, 1, "unexpected ')'" },
	};
	static const struct expr_rules rules = { some_contexts, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct error_case *c = &cases[i];
		struct expr_error error = { 0 };
		struct expr *e = NULL;

		if (expr_compile(c->text, strlen(c->text), &rules, &e, &error) == 0)
			fail_msg("'%s' was accepted", c->text);
		if (error.offset != c->offset || error.len != c->len ||
			strcmp(error.msg, c->msg) != 0)
			fail_msg("'%s'\n  says %zu+%zu %s\n  wanted %zu+%zu %s", c->text,
				error.offset, error.len, error.msg, c->offset, c->len,
				c->msg);
		assert_null(e);
	}
}

static void status_functions_take_no_names_in_a_step(void **state)
{
	static const struct expr_rules step = { NULL, EXPR_FN_STATUS };
	struct expr_error error;
	struct expr *e = NULL;

	assert_int_equal(expr_compile("success('x')", 12, &step, &e, &error), -1);
	assert_string_equal(error.msg, "'success' takes 0 arguments, 1 given");
}

/* ---- limits ---- */

static char *repeated(const char *head, const char *part, size_t n, const char *tail)
{
	struct strbuf sb = STRBUF_INIT;

	strbuf_adds(&sb, head);
	for (size_t i = 0; i < n; i++)
		strbuf_adds(&sb, part);
	strbuf_adds(&sb, tail);
	return strbuf_take(&sb);
}

static void depth_is_limited_where_nodes_nest(void **state)
{
	static const struct {
		const char *head, *part;
		size_t fits;
		const char *value;
	} cases[] = {
		{ "nil", ".x", 49, "null" },
		{ "nil", "[*]", 49, "[]" },
		{ "nil", "[0]", 49, "null" },
		{ "1", " == 1", 49, "true" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *fits =
			repeated(cases[i].head, cases[i].part, cases[i].fits, "");
		_cleanup_free_ char *over =
			repeated(cases[i].head, cases[i].part, cases[i].fits + 1, "");
		_cleanup_free_ char *good = run(fits, 0), *bad = run(over, 0);

		assert_string_equal(good, cases[i].value);
		assert_string_equal(
			bad, "syntax: the expression nests deeper than 50 levels");
	}
}

static void parentheses_and_chains_take_no_depth(void **state)
{
	_cleanup_free_ char *open = repeated("", "(", 10000, "1");
	_cleanup_free_ char *groups = repeated(open, ")", 10000, "");
	_cleanup_free_ char *chain = repeated("0", " || 0", 4000, " || 7");
	_cleanup_free_ char *unclosed = repeated("", "(", 20999, "1");
	_cleanup_free_ char *a = run(groups, 0), *b = run(chain, 0),
			    *c = run(unclosed, 0);

	assert_string_equal(a, "1");
	assert_string_equal(b, "7");
	assert_string_equal(c, "syntax: '(' is never closed");
}

static void length_is_limited_in_utf16_units(void **state)
{
	_cleanup_free_ char *fits = repeated("'", "€", LIMIT_EXPR_LEN - 2, "'");
	_cleanup_free_ char *over = repeated("'", "€", LIMIT_EXPR_LEN - 1, "'");
	_cleanup_free_ char *good = run(fits, 0), *bad = run(over, 0);

	assert_int_equal(strlen(good), 2 + 3 * (LIMIT_EXPR_LEN - 2));
	assert_string_equal(
		bad, "syntax: the expression is longer than 21000 characters");
}

static void memory_is_limited(void **state)
{
	static const char *const bombs[] = {
		"format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', "
		"format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', "
		"format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', "
		"format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', "
		"format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', '1234567890')))))",
		"toJSON(toJSON(toJSON(toJSON(toJSON(toJSON(toJSON(toJSON(toJSON(toJSON("
		"toJSON("
		"toJSON(toJSON(toJSON(toJSON(toJSON(toJSON(toJSON('\"'))))))))))))))))))",
		"join(fromJSON(format('[{0}0]', format('{0}{0}{0}{0}{0}{0}{0}{0}', "
		"format('{0}{0}{0}{0}{0}{0}{0}{0}', format('{0}{0}{0}{0}{0}{0}{0}{0}', "
		"format('{0}{0}{0}{0}{0}{0}{0}{0}', format('{0}{0}{0}{0}{0}{0}{0}{0}', "
		"'0,'))))))))",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bombs); i++) {
		_cleanup_free_ char *got = run(bombs[i], 0);

		assert_string_equal(
			got, "limit: the expression needs more than 1024 KiB of memory");
	}
}

/* Each operand is within the memory; what is made and compared in all of them is not. */
static void work_is_limited(void **state)
{
	_cleanup_free_ char *sixteen = repeated("'", "{0}", 16, "'");
	_cleanup_free_ char *part = xasprintf(
		"contains(format('{0}{0}{0}{0}{0}{0}{0}{0}', format(%s, format(%s, format(%s, "
		"'12345678')))), 'y') || ",
		sixteen, sixteen, sixteen);
	_cleanup_free_ char *few = repeated("", part, 10, "'z'");
	_cleanup_free_ char *many = repeated("", part, 75, "'z'");
	_cleanup_free_ char *good = run(few, 0), *bad = run(many, 0);

	assert_string_equal(good, "\"z\"");
	assert_string_equal(
		bad, "limit: expressions go through more than 32 MiB of text and values");
}

static void memory_is_given_back_between_operands(void **state)
{
	/* Each operand takes some 2,000 bytes; together they are far over the limit. */
	_cleanup_free_ char *part =
		repeated("contains(format('", "x", 1000, "{0}', 1), 'y') || ");
	_cleanup_free_ char *text = repeated("", part, 15, "'z'");
	_cleanup_free_ char *good = run(text, 4000), *bad = run(text, 1500);

	assert_string_equal(good, "\"z\"");
	assert_string_equal(bad, "limit: the expression needs more than 1 KiB of memory");
}

/* ---- the tree ---- */

static void printing_gives_the_same_tree_again(void **state)
{
	static const struct expr_case cases[] = {
		{ "", "null" },
		{ "((1))", "1" },
		{ "1&&2&&(3&&4)", "1 && 2 && 3 && 4" },
		{ "(1||2)&&3", "(1 || 2) && 3" },
		{ "!(a==b)", "!(a == b)" },
		{ "!a.b", "!a.b" },
		{ "(!a).b", "(!a).b" },
		{ "(1).x", "(1).x" },
		{ "a['b'].c[ 'd e' ][*][0]", "a.b.c['d e'].*[0]" },
		{ "'it''s'", "'it''s'" },
		{ "0x10", "16" },
		{ "-Infinity", "-Infinity" },
		{ "1e400", "Infinity" },
		{ "1<2==true", "(1 < 2) == true" },
		{ "1==(2==3)", "1 == (2 == 3)" },
		{ "TOJSON ( github )", "toJSON(github)" },
		{ "!!a", "!(!a)" },
		{ "(a||b)[0]", "(a || b)[0]" },
		{ "-0", "-0" },
		{ "0.1", "0.1" },
		{ "a[b.c]", "a[b.c]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) struct strbuf once = STRBUF_INIT,
						     twice = STRBUF_INIT;
		_cleanup_(expr_freep) struct expr *e = NULL, *again = NULL;
		struct expr_error error;

		assert_int_equal(expr_compile(cases[i].text, strlen(cases[i].text),
					 &any_rules, &e, &error),
			0);
		expr_print(e, &once);
		assert_string_equal(once.buf, cases[i].want);
		assert_int_equal(
			expr_compile(once.buf, once.len, &any_rules, &again, &error), 0);
		expr_print(again, &twice);
		assert_string_equal(once.buf, twice.buf);
	}
}

static bool note_node(const struct expr_node *n, void *data)
{
	static const char *const kinds[] = { "literal", "context", "index", "filter",
		"call", "operator" };

	strbuf_addf(data, "%s:%s:%zu+%zu ", kinds[n->kind], n->name ? n->name : "",
		n->offset, n->len);
	return n->kind != EXPR_NODE_CALL;
}

static void a_walk_sees_parents_first_with_their_places(void **state)
{
	static const char text[] = "github.ref == 'x' && toJSON(1)";
	_cleanup_(strbuf_done) struct strbuf seen = STRBUF_INIT;
	_cleanup_(expr_freep) struct expr *e = NULL;
	struct expr_error error;

	assert_int_equal(expr_compile(text, strlen(text), &any_rules, &e, &error), 0);
	expr_walk(e, note_node, &seen);
	assert_string_equal(seen.buf,
		"operator:&&:0+30 operator:==:0+17 index::0+10 context:github:0+6 "
		"literal::7+3 literal::14+3 call:toJSON:21+9 ");
}

static void a_compiled_expression_knows_what_it_uses(void **state)
{
	static const struct {
		const char *text;
		bool status;
	} cases[] = {
		{ "always()", true },
		{ "'always()'", false },
		{ "!cancelled() && x", true },
		{ "github.success", false },
		{ "contains(needs.*.result, 'failure')", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(expr_freep) struct expr *e = NULL;
		struct expr_error error;

		assert_int_equal(expr_compile(cases[i].text, strlen(cases[i].text),
					 &any_rules, &e, &error),
			0);
		assert_int_equal(expr_calls_status(e), cases[i].status);
		assert_int_equal(expr_uses_context(e, "NEEDS"), i == 4);
	}
}

static void a_trace_shows_each_operand_and_what_was_not_reached(void **state)
{
	static const char text[] = "github.ref == 'x' && contains(s, 'y')";
	struct expr_trace trace = { 0 };
	struct expr_env env = { .contexts = contexts, .trace = &trace };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	_cleanup_(expr_freep) struct expr *e = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct expr_error error;
	struct err err = ERR_INIT;

	assert_int_equal(expr_compile(text, strlen(text), &any_rules, &e, &error), 0);
	assert_ok(expr_eval(e, &env, &v, &err), &err);
	for (size_t i = 0; i < trace.len; i++) {
		const struct expr_trace_item *item = &trace.items[i];

		strbuf_addf(&sb, "%u %.*s ", item->depth, (int)item->node->len,
			text + item->node->offset);
		if (!item->reached)
			strbuf_adds(&sb, "-");
		else if (value_kind_of(item->value) == VALUE_OBJECT)
			strbuf_adds(&sb, "{}");
		else
			value_write_json(item->value, false, &sb);
		strbuf_addc(&sb, '\n');
	}
	expr_trace_done(&trace);
	assert_string_equal(sb.buf, "0 github.ref == 'x' && contains(s, 'y') false\n"
				    "1 github.ref == 'x' false\n"
				    "2 github.ref \"refs/heads/main\"\n"
				    "3 github {}\n"
				    "3 ref \"ref\"\n"
				    "2 'x' \"x\"\n"
				    "1 contains(s, 'y') -\n"
				    "2 s -\n"
				    "2 'y' -\n");
}

static void a_trace_keeps_the_beginning_of_a_long_text(void **state)
{
	_cleanup_free_ char *text = repeated("format('", "x", 9000, "') != ''");
	struct expr_trace trace = { 0 };
	struct expr_env env = { .contexts = contexts, .trace = &trace };
	_cleanup_(expr_freep) struct expr *e = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct expr_error error;
	struct err err = ERR_INIT;
	size_t len;

	assert_int_equal(expr_compile(text, strlen(text), &any_rules, &e, &error), 0);
	assert_ok(expr_eval(e, &env, &v, &err), &err);
	len = value_str_len(trace.items[1].value);
	expr_trace_done(&trace);
	assert_int_equal(len, 4096 + 3);
}

static void a_status_that_nobody_answers_is_an_error(void **state)
{
	struct expr_env env = { .contexts = contexts };
	_cleanup_(expr_freep) struct expr *e = NULL;
	struct value *v = NULL;
	struct expr_error error;
	struct err err = ERR_INIT;

	assert_int_equal(expr_compile("success()", 9, &any_rules, &e, &error), 0);
	assert_int_equal(expr_eval(e, &env, &v, &err), -1);
	assert_err(&err, ERR_INPUT, "success(): there is no status to ask here");
}

TEST_MAIN(TEST_WITH(literals_are_what_they_say, setup, teardown),
	TEST_WITH(operators_choose_and_compare, setup, teardown),
	TEST_WITH(an_index_never_fails, setup, teardown),
	TEST_WITH(a_filter_maps_what_follows, setup, teardown),
	TEST_WITH(functions_do_as_github_does, setup, teardown),
	TEST_WITH(words_for_values_keep_their_case, setup, teardown),
	TEST(errors_say_where_and_what), TEST(status_functions_take_no_names_in_a_step),
	TEST_WITH(depth_is_limited_where_nodes_nest, setup, teardown),
	TEST_WITH(parentheses_and_chains_take_no_depth, setup, teardown),
	TEST_WITH(length_is_limited_in_utf16_units, setup, teardown),
	TEST_WITH(memory_is_limited, setup, teardown),
	TEST_WITH(work_is_limited, setup, teardown),
	TEST_WITH(memory_is_given_back_between_operands, setup, teardown),
	TEST(printing_gives_the_same_tree_again),
	TEST(a_walk_sees_parents_first_with_their_places),
	TEST(a_compiled_expression_knows_what_it_uses),
	TEST_WITH(a_trace_shows_each_operand_and_what_was_not_reached, setup, teardown),
	TEST_WITH(a_trace_keeps_the_beginning_of_a_long_text, setup, teardown),
	TEST_WITH(a_status_that_nobody_answers_is_an_error, setup, teardown))

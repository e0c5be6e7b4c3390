/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <math.h>

#include "base/limits.h"
#include "workflows/yaml.h"

struct fixture {
	struct diagnostics d;
	struct yaml_doc *doc;
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
	yaml_doc_free(f->doc);
	strbuf_done(&f->text);
	free(f);
	return 0;
}

static struct yaml_node *parsed(struct fixture *f, const char *text)
{
	diagnostics_done(&f->d);
	yaml_doc_free(f->doc);
	f->doc = NULL;
	if (yaml_parse("f.yml", text, strlen(text), &f->doc, &f->d) < 0)
		fail_msg("'%s' is refused: %s", text, f->d.items[0].msg);
	return f->doc->root;
}

static void refused(struct fixture *f, const char *text, size_t len, const char *words)
{
	diagnostics_done(&f->d);
	if (yaml_parse("f.yml", text, len, &f->doc, &f->d) == 0)
		fail_msg("'%.60s' is accepted", text);
	assert_true(f->d.len > 0);
	assert_has(f->d.items[0].msg, words);
}

static void types_scalars_by_the_core_schema(void **state)
{
	static const struct {
		const char *text;
		enum yaml_kind kind;
		double number;
	} cases[] = {
		{ "on", YAML_STRING, 0 },
		{ "yes", YAML_STRING, 0 },
		{ "No", YAML_STRING, 0 },
		{ "true", YAML_BOOL, 0 },
		{ "True", YAML_BOOL, 0 },
		{ "FALSE", YAML_BOOL, 0 },
		{ "tRUE", YAML_STRING, 0 },
		{ "~", YAML_NULL, 0 },
		{ "Null", YAML_NULL, 0 },
		{ "nULL", YAML_STRING, 0 },
		{ "012", YAML_NUMBER, 12 },
		{ "0o17", YAML_NUMBER, 15 },
		{ "0x1F", YAML_NUMBER, 31 },
		{ "-0x1F", YAML_STRING, 0 },
		{ "0o8", YAML_STRING, 0 },
		{ "1e3", YAML_NUMBER, 1000 },
		{ ".5", YAML_NUMBER, 0.5 },
		{ "5.", YAML_NUMBER, 5 },
		{ "+1", YAML_NUMBER, 1 },
		{ ".", YAML_STRING, 0 },
		{ "e1", YAML_STRING, 0 },
		{ "1e", YAML_STRING, 0 },
		{ "12_345", YAML_STRING, 0 },
		{ "1:30", YAML_STRING, 0 },
		{ "2001-12-14", YAML_STRING, 0 },
		{ ".inf", YAML_NUMBER, INFINITY },
		{ "-.INF", YAML_NUMBER, -INFINITY },
		{ "inf", YAML_STRING, 0 },
		{ "'1'", YAML_STRING, 0 },
		{ "\"true\"", YAML_STRING, 0 },
		{ "!!str 1", YAML_STRING, 0 },
		{ "! 1", YAML_STRING, 0 },
		{ "!!float 1", YAML_NUMBER, 1 },
		{ "!!int 0o10", YAML_NUMBER, 8 },
		{ "3.10", YAML_NUMBER, 3.1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct yaml_node *n = parsed(*state, cases[i].text);

		if (n->kind != cases[i].kind)
			fail_msg("'%s' is %s, not %s", cases[i].text,
				yaml_kind_name(n->kind), yaml_kind_name(cases[i].kind));
		if (n->kind == YAML_NUMBER && n->number != cases[i].number)
			fail_msg("'%s' is %g", cases[i].text, n->number);
	}
	assert_true(isnan(parsed(*state, ".NaN")->number));
}

static void coerces_scalars_to_text_as_github_does(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = { { "1.0", "1" }, { "True", "true" },
		{ "~", "" }, { "0755", "755" }, { "3.10", "3.1" }, { "'3.10'", "3.10" },
		{ ".inf", "Infinity" },
		{ "1587106672383762434", "1.58710667238376E+18" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct yaml_node *n = parsed(f, cases[i][0]);

		assert_string_equal(yaml_text(n, f->doc->arena), cases[i][1]);
	}
}

static void refuses_what_workflows_may_not_use(void **state)
{
	static const char *const cases[][2] = {
		{ "!!timestamp 2022-10-26", "not of the YAML core schema" },
		{ "!!int \"300\"", "a value in quotes cannot have the tag" },
		{ "!!float test", "'test' is not valid for the tag '!!float'" },
		{ "!!int 1.5", "not valid for the tag '!!int'" },
		{ "!!python/object:os.system x", "not of the YAML core schema" },
		{ "!!set {a, b}", "not of the YAML core schema" },
		{ "a: 1\nA: 2", "key 'A' is already defined" },
		{ "a: &x {b: 1}\nc:\n  <<: *x", "merge key" },
		{ "a: *x", "no anchor" },
		{ "a: &x [*x]", "inside of its own anchor" },
		{ "[a]: b", "a key must be a scalar" },
		{ "a: 1\n---\nb: 2", "a second YAML document" },
		{ "", "the file is empty" },
		{ "# nothing\n", "the file is empty" },
		{ "a: \"\\0\"", "NUL" },
		{ "a: [1, 2", "not YAML" },
		{ "\ta: 1", "not YAML" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(*state, cases[i][0], strlen(cases[i][0]), cases[i][1]);
	refused(*state, "a: b\0c", 6, "NUL byte");
	refused(*state,
		"\xff\xfe"
		"a\0",
		4, "UTF-16");
}

static void a_key_that_is_an_expression_may_stand_twice(void **state)
{
	const struct yaml_node *n =
		parsed(*state, "${{ insert }}: 1\n${{ insert }}: 2\n<<: text");

	assert_int_equal(n->len, 3);
}

static void keeps_marks_in_characters_from_one(void **state)
{
	const struct yaml_node *n =
		parsed(*state, "\xef\xbb\xbfü: ß\nlist:\n  - 'äx'\n  - {a: b}\n");
	const struct yaml_node *list = yaml_get(n, "list");

	assert_int_equal(n->pairs[0].value->mark.line, 1);
	assert_int_equal(n->pairs[0].value->mark.column, 4);
	assert_int_equal(n->pairs[0].value->mark.end_column, 5);
	assert_int_equal(list->items[0]->mark.line, 3);
	assert_int_equal(list->items[0]->mark.column, 5);
	assert_int_equal(list->items[0]->mark.end_column, 9);
	assert_int_equal(list->items[1]->pairs[0].value->mark.column, 9);
}

static void finds_places_inside_of_scalars(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text;
		const char *part;
		unsigned nth, line, column;
	} cases[] = {
		{ "run: echo ${{ a.b }}", "a.b", 0, 1, 15 },
		{ "run: 'it''s ${{ a }}'", "a }", 0, 1, 17 },
		{ "run: |\n  one\n  two ${{ x.y }}\n", "x.y", 0, 3, 11 },
		{ "run: |\n  x x\n   x\n", "x", 2, 3, 4 },
		{ "run: >-\n  one\n  two ${{ q }}\n", "q", 0, 3, 11 },
		{ "run: \"a\\tb ${{ z }}\"", "z", 0, 1, 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct yaml_node *n = yaml_get(parsed(f, cases[i].text), "run");
		const char *at = strstr(n->str, cases[i].part);
		struct mark m;

		for (unsigned k = 0; at && k < cases[i].nth; k++)
			at = strstr(at + 1, cases[i].part);
		assert_non_null(at);
		m = yaml_mark_at(f->doc, n, (size_t)(at - n->str), strlen(cases[i].part));
		if (m.line != cases[i].line || m.column != cases[i].column)
			fail_msg("'%s' in '%s' is at %u:%u", cases[i].part, cases[i].text,
				m.line, m.column);
	}
}

static void shares_aliases_without_expanding_them(void **state)
{
	const struct yaml_node *n = parsed(*state, "a: &x {k: [1, 2]}\nb: *x\nc: *x\n");

	assert_ptr_equal(yaml_get(n, "b"), yaml_get(n, "a"));
	assert_ptr_equal(yaml_get(n, "c"), yaml_get(n, "a"));
	/* The root, three keys, and three times (mapping, key, list, two numbers). */
	assert_int_equal(n->weight, 1 + 3 + 3 * 5);
}

static void an_anchor_may_be_given_again(void **state)
{
	const struct yaml_node *n = parsed(*state, "a: &x 1\nb: *x\nc: &x 2\nd: *x\n");

	assert_true(yaml_get(n, "b")->number == 1);
	assert_true(yaml_get(n, "d")->number == 2);
}

static void a_bomb_is_refused_by_what_it_would_expand_to(void **state)
{
	struct fixture *f = *state;

	strbuf_adds(&f->text, "a: &a [x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c <= 'i'; c++) {
		strbuf_addf(&f->text, "%c: &%c [", c, c);
		for (int i = 0; i < 9; i++)
			strbuf_addf(&f->text, "%s*%c", i ? "," : "", c - 1);
		strbuf_adds(&f->text, "]\n");
	}
	refused(f, f->text.buf, f->text.len, "aliases expand to more than");
}

static void limits_hold(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5000; i++)
		strbuf_addc(&f->text, '[');
	refused(f, f->text.buf, f->text.len, "nested deeper than 100");
	strbuf_clear(&f->text);
	for (int i = 0; i < LIMIT_YAML_NODES + 10; i++)
		strbuf_adds(&f->text, "- 1\n");
	refused(f, f->text.buf, f->text.len, "more than 100000 YAML nodes");
	strbuf_clear(&f->text);
	for (int i = 0; i < LIMIT_WORKFLOW_FILE; i++)
		strbuf_addc(&f->text, 'a');
	strbuf_addc(&f->text, 'a');
	refused(f, f->text.buf, f->text.len, "larger than 1024 KiB");
}

static void the_lenient_tree_has_what_could_be_read(void **state)
{
	struct fixture *f = *state;
	const char *text = "a: 1\na: 2\nb: *gone\nc: 3\n";

	yaml_parse_lenient("f.yml", text, strlen(text), &f->doc, &f->d);
	assert_non_null(f->doc);
	assert_int_equal(f->d.len, 2);
	assert_true(yaml_get(f->doc->root, "b")->is_lost);
	assert_true(yaml_get(f->doc->root, "c")->number == 3);
}

static void becomes_json_and_values_with_types(void **state)
{
	const struct yaml_node *n =
		parsed(*state, "a: [1, 1.5, true, null, x, .inf]\nb: {c: '1'}\n");
	_cleanup_(json_freep) struct json *j = yaml_to_json(n);
	_cleanup_(value_unrefp) struct value *v = yaml_to_value(n);
	_cleanup_free_ char *text = json_text(j);
	struct strbuf out = STRBUF_INIT;

	assert_string_equal(
		text, "{\"a\":[1,1.5,true,null,\"x\",\"Infinity\"],\"b\":{\"c\":\"1\"}}");
	value_write_json(value_get(v, "b"), false, &out);
	assert_string_equal(out.buf, "{\"c\":\"1\"}");
	strbuf_done(&out);
}

TEST_MAIN(TEST_WITH(types_scalars_by_the_core_schema, setup, teardown),
	TEST_WITH(coerces_scalars_to_text_as_github_does, setup, teardown),
	TEST_WITH(refuses_what_workflows_may_not_use, setup, teardown),
	TEST_WITH(a_key_that_is_an_expression_may_stand_twice, setup, teardown),
	TEST_WITH(keeps_marks_in_characters_from_one, setup, teardown),
	TEST_WITH(finds_places_inside_of_scalars, setup, teardown),
	TEST_WITH(shares_aliases_without_expanding_them, setup, teardown),
	TEST_WITH(an_anchor_may_be_given_again, setup, teardown),
	TEST_WITH(a_bomb_is_refused_by_what_it_would_expand_to, setup, teardown),
	TEST_WITH(limits_hold, setup, teardown),
	TEST_WITH(the_lenient_tree_has_what_could_be_read, setup, teardown),
	TEST_WITH(becomes_json_and_values_with_types, setup, teardown))

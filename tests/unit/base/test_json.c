/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <math.h>
#include <time.h>

#include "base/json.h"

static struct json *parse(const char *text)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(text, strlen(text), &j, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return j;
}

/* TEXT, parsed and written compactly, is WANT. */
static void assert_json(const char *text, const char *want)
{
	struct json *j = parse(text);
	_cleanup_free_ char *got = json_text(j);

	json_free(j);
	if (!str_eq(got, want))
		fail_msg("%s became %s, not %s", text, got, want);
}

static void documents_come_back_as_they_were(void **state)
{
	assert_json("{\"b\":1,\"a\":[true,false,null,\"x\"]}",
		"{\"b\":1,\"a\":[true,false,null,\"x\"]}");
	assert_json(" [ ] ", "[]");
	assert_json("\"\\u00e9\\n\\u0000\\ud83d\\ude00\"",
		"\"\xc3\xa9\\n\\u0000\xf0\x9f\x98\x80\"");
	assert_json("-0.5e1", "-5.0");
	assert_json("null", "null");
	assert_json("9223372036854775807", "9223372036854775807");
	assert_json("-9223372036854775808", "-9223372036854775808");
}

static void numbers_beyond_64_bits_become_reals(void **state)
{
	struct json *j = parse("{\"n\":[9223372036854775808,-9223372036854775808,"
			       "1234567890123456789012345,0.12345678901234567890123,"
			       "\"99999999999999999999\",12],\"e\":1e-3}");
	struct json *n = json_get(j, "n");

	assert_int_equal(json_kind_of(json_at(n, 0)), JSON_KIND_REAL);
	assert_true(json_as_real(json_at(n, 0), 0) == 9223372036854775808.0);
	assert_int_equal(json_kind_of(json_at(n, 1)), JSON_KIND_INT);
	assert_true(json_as_int(json_at(n, 1), 0) == INT64_MIN);
	assert_true(json_as_real(json_at(n, 2), 0) == 1234567890123456789012345.0);
	assert_int_equal(json_kind_of(json_at(n, 3)), JSON_KIND_REAL);
	assert_string_equal(json_as_str(json_at(n, 4), ""), "99999999999999999999");
	assert_int_equal(json_kind_of(json_at(n, 5)), JSON_KIND_INT);
	json_free(j);
	j = parse("99999999999999999999");
	assert_true(json_as_real(j, 0) == 1e20);
	json_free(j);
}

static void hostile_documents_are_refused_with_their_place(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0: strlen */
		const char *words;
	} rows[] = {
		{ "", 0, "json:1:" },
		{ "{\"a\":1,\n\"a\":2}", 0, "json:2:3: duplicate object key" },
		{ "{} x", 0, "json:1:4: end of file expected" },
		{ "[1] [2]", 0, "end of file expected" },
		{ "{\"a\\u0000b\":1}", 0, "NUL byte in object key" },
		{ "\"\\ud800\"", 0, "json:1:" },
		{ "\"\\udc00x\"", 0, "json:1:" },
		{ "\"\\ud800\\u0041\"", 0, "json:1:" },
		{ "\"\xff\"", 0, "json:1:" },
		{ "\"\xc0\x80\"", 0, "json:1:" },
		{ "\"\xed\xa0\x80\"", 0, "json:1:" },
		{ "\"a\nb\"", 0, "json:1:" },
		{ "[1,]", 0, "json:1:" },
		{ "{a:1}", 0, "json:1:" },
		{ "01", 0, "json:1:" },
		{ "+1", 0, "json:1:" },
		{ "NaN", 0, "json:1:" },
		{ "[1", 0, "json:1:" },
		{ "\"", 0, "json:1:" },
		{ "1e999", 0, "json:1:" },
		{ "[1]\0", 4, "json:1:" },
		{ "\xef\xbb\xbf{}", 0, "json:1:" },
		{ "[99999999999999999999, x]", 0, "json:1:24:" },
		{ "[99999999999999999999,\n1e999]", 0, "json:2:5:" },
		{ "[99999999999999999999,\n 88888888888888888888, \"a\",, 2]", 0,
			"json:2:28:" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json *j = NULL;
		struct err err = ERR_INIT;
		size_t len = rows[i].len ? rows[i].len : strlen(rows[i].text);

		if (json_parse(rows[i].text, len, &j, &err) == 0)
			fail_msg("taken: %s", rows[i].text);
		assert_null(j);
		assert_err_has(&err, ERR_INPUT, rows[i].words);
	}
}

static void depth_is_limited_outside_strings_only(void **state)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	struct json *j = NULL;
	struct err err = ERR_INIT;

	for (int i = 0; i < 64; i++)
		strbuf_addc(&b, '[');
	strbuf_adds(&b, "\"[[[{{{\\\"[\"");
	for (int i = 0; i < 64; i++)
		strbuf_addc(&b, ']');
	assert_int_equal(json_parse(b.buf, b.len, &j, &err), 0);
	json_free(take_ptr(j));

	strbuf_clear(&b);
	strbuf_addc(&b, '\n');
	for (int i = 0; i < 65; i++)
		strbuf_adds(&b, "{\"\xc3\xa9\":");
	assert_int_equal(json_parse(b.buf, b.len, &j, &err), -1);
	assert_err(&err, ERR_INPUT, "json:2:321: nested deeper than 64");

	strbuf_clear(&b);
	for (int i = 0; i < 1000000; i++)
		strbuf_addc(&b, '[');
	assert_int_equal(json_parse(b.buf, b.len, &j, &err), -1);
	assert_null(j);
}

static void wrong_kinds_give_the_default(void **state)
{
	struct json *j =
		parse("{\"s\":\"x\",\"n\":5,\"r\":1.5,\"b\":true,\"a\":[1],\"z\":null}");

	assert_int_equal(json_get_int(j, "s", -7), -7);
	assert_int_equal(json_get_int(j, "n", -7), 5);
	assert_int_equal(json_get_int(j, "r", -7), -7);
	assert_true(json_get_real(j, "n", 0) == 5.0);
	assert_true(json_get_bool(j, "b", false));
	assert_true(json_get_bool(j, "n", true));
	assert_string_equal(json_get_str(j, "s", "?"), "x");
	assert_string_equal(json_get_str(j, "z", "?"), "?");
	assert_null(json_get_str(j, "none", NULL));
	assert_null(json_get(NULL, "x"));
	assert_null(json_get(json_get(j, "a"), "x"));
	assert_null(json_at(j, 0));
	assert_null(json_at(json_get(j, "a"), 1));
	assert_int_equal(json_count(json_get(j, "a")), 1);
	assert_int_equal(json_count(j), 6);
	assert_int_equal(json_count(json_get(j, "s")), 0);
	assert_int_equal(json_count(NULL), 0);
	assert_int_equal(json_kind_of(NULL), JSON_KIND_NULL);
	assert_false(json_is(NULL, JSON_KIND_NULL));
	assert_true(json_is(json_get(j, "z"), JSON_KIND_NULL));
	assert_int_equal(json_str_len(NULL), 0);
	json_free(j);
	json_free(NULL);
	assert_null(json_share(NULL));
}

static void paths_walk_members(void **state)
{
	struct json *j = parse("{\"a\":{\"b\":{\"c\":3}},\"x\":1}");

	assert_int_equal(json_as_int(json_path(j, "a.b.c"), 0), 3);
	assert_ptr_equal(json_path(j, ""), j);
	assert_null(json_path(j, "a.c"));
	assert_null(json_path(j, "x.y"));
	assert_null(json_path(j, "a..b"));
	assert_null(json_path(NULL, "a"));
	json_free(j);
}

static void strings_are_always_utf8(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *want;
	} rows[] = {
		{ "plain", 5, "plain" },
		{ "\xff", 1, "\xef\xbf\xbd" },
		{ "a\xc3", 2, "a\xef\xbf\xbd" },
		{ "\xc3\xa9\xe2\x82", 4, "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", 4,
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x9f\x98\x80z", 5, "\xf0\x9f\x98\x80z" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json *s = json_new_strn(rows[i].bytes, rows[i].len);

		assert_string_equal(json_as_str(s, ""), rows[i].want);
		json_free(s);
	}
	{
		struct json *o = json_new_object();
		struct json *back = NULL;
		struct err err = ERR_INIT;
		_cleanup_free_ char *text = NULL;

		json_set_str(o, "k\xff", "v\xfe");
		json_set(o, "nul", json_new_strn("a\0b", 3));
		text = json_text(o);
		assert_ok(json_parse(text, strlen(text), &back, &err), &err);
		assert_true(json_same(o, back));
		assert_int_equal(json_str_len(json_get(back, "nul")), 3);
		json_free(o);
		json_free(back);
	}
}

static void objects_change_and_keep_their_order(void **state)
{
	struct json *o = json_new_object();
	struct json *shared = json_new_int(5);
	struct json *copy;
	_cleanup_free_ char *text = NULL;

	json_set(o, "z", json_share(shared));
	json_set_bool(o, "b", true);
	json_set_str(o, "s", NULL);
	json_set_real(o, "r", NAN);
	json_set_real(o, "inf", INFINITY);
	json_set(o, "null", NULL);
	json_set(o, "list", json_new_array());
	json_push_str(json_get(o, "list"), "one");
	json_push(json_get(o, "list"), NULL);
	json_set_int(o, "gone", 1);
	json_unset(o, "gone");
	json_unset(o, "never there");
	json_set_int(o, "z", 6);
	assert_int_equal(json_as_int(shared, 0), 5);
	json_free(shared);
	text = json_text(o);
	assert_string_equal(text,
		"{\"z\":6,\"b\":true,\"s\":null,\"r\":null,\"inf\":null,"
		"\"null\":null,\"list\":[\"one\",null]}");
	copy = json_clone(o);
	json_push_str(json_get(copy, "list"), "two");
	assert_int_equal(json_count(json_get(o, "list")), 2);
	assert_false(json_same(o, copy));
	assert_false(json_same(o, NULL));
	assert_true(json_same(NULL, NULL));
	json_free(copy);
	json_free(o);
}

static void walking_visits_members_in_order(void **state)
{
	struct json *o = parse("{\"c\":1,\"a\":2,\"b\":3}");
	_cleanup_(strbuf_done) struct strbuf keys = STRBUF_INIT;
	int visits = 0;

	json_foreach (it, o)
		strbuf_addf(&keys, "%s%d", it.key, (int)json_as_int(it.value, 0));
	assert_string_equal(keys.buf, "c1a2b3");
	json_foreach (it, NULL)
		visits++;
	json_foreach (it, json_get(o, "a"))
		visits++;
	assert_int_equal(visits, 0);
	json_free(o);
}

static void sorted_and_pretty_are_as_promised(void **state)
{
	struct json *o = parse("{\"b\":[],\"a\":{\"\xc3\xa9\":1,\"Z\":2},\"aa\":3}");
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

	json_write(o, JSON_WRITE_SORTED, &b);
	assert_string_equal(b.buf, "{\"a\":{\"Z\":2,\"\xc3\xa9\":1},\"aa\":3,\"b\":[]}");
	strbuf_clear(&b);
	json_write(json_get(o, "a"), JSON_WRITE_PRETTY, &b);
	assert_string_equal(b.buf, "{\n  \"\xc3\xa9\": 1,\n  \"Z\": 2\n}\n");
	strbuf_clear(&b);
	json_write(NULL, 0, &b);
	assert_string_equal(b.buf, "null");
	json_free(o);
}

/* A commit message of nothing but newlines: the work of a pull request's author. */
static void a_text_of_escapes_costs_what_its_length_costs(void **state)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;
	clock_t before = clock();

	strbuf_addc(&text, '"');
	for (int i = 0; i < 2 * 1024 * 1024; i++)
		strbuf_adds(&text, "\\n");
	strbuf_addc(&text, '"');
	assert_ok(json_parse(text.buf, text.len, &j, &err), &err);
	assert_int_equal(strlen(json_as_str(j, "")), 2 * 1024 * 1024);
	assert_true(clock() - before < 5 * CLOCKS_PER_SEC); /* 0.1 s; the square: minutes */
}

TEST_MAIN(TEST(documents_come_back_as_they_were),
	TEST(numbers_beyond_64_bits_become_reals),
	TEST(hostile_documents_are_refused_with_their_place),
	TEST(depth_is_limited_outside_strings_only), TEST(wrong_kinds_give_the_default),
	TEST(paths_walk_members), TEST(strings_are_always_utf8),
	TEST(objects_change_and_keep_their_order), TEST(walking_visits_members_in_order),
	TEST(sorted_and_pretty_are_as_promised),
	TEST(a_text_of_escapes_costs_what_its_length_costs))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <math.h>
#include <time.h>

#include "workflows/fold.h"
#include "workflows/value.h"

static struct value *from(const char *json)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	assert_ok(json_parse(json, strlen(json), &j, &err), &err);
	return value_from_json(j);
}

static char *json_of(const struct value *v, bool pretty)
{
	struct strbuf sb = STRBUF_INIT;

	value_write_json(v, pretty, &sb);
	return strbuf_take(&sb);
}

static void numbers_are_read_as_github_coerces_text(void **state)
{
	static const struct {
		const char *text;
		double number;
	} cases[] = {
		{ "", 0 },
		{ "  ", 0 },
		{ "\xC2\xA0", 0 },
		{ "0", 0 },
		{ "12", 12 },
		{ " 12 ", 12 },
		{ "+1", 1 },
		{ "-1", -1 },
		{ ".5", .5 },
		{ "-.5", -.5 },
		{ "1.", 1 },
		{ "1e3", 1000 },
		{ "1E+3", 1000 },
		{ "1.5e-3", 0.0015 },
		{ "123456789012345", 123456789012345 },
		{ "1234567890123456", 1234567890123456 },
		{ "0x1F", 31 },
		{ "0xff", 255 },
		{ "0xFFFFFFFF", -1 },
		{ "0x0000000001", 1 },
		{ "0o17", 15 },
		{ "0o37777777777", -1 },
		{ "1e400", INFINITY },
		{ "Infinity", INFINITY },
		{ "-Infinity", -INFINITY },
		{ "007", 7 },
		{ "0x", NAN },
		{ "0o", NAN },
		{ "0x1G", NAN },
		{ "0o8", NAN },
		{ "-0x1", NAN },
		{ "0X1F", NAN },
		{ "0x100000000", NAN },
		{ "1e", NAN },
		{ ".", NAN },
		{ "-", NAN },
		{ "1,000", NAN },
		{ "1 2", NAN },
		{ "abc", NAN },
		{ "NaN", NAN },
		{ "infinity", NAN },
		{ "+Infinity", NAN },
		{ "1_000", NAN },
		{ "0b1", NAN },
		{ "1f", NAN },
		{ "nan", NAN },
		{ "1e5.0", NAN },
		{ "--1", NAN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		double n = number_from_text(cases[i].text, strlen(cases[i].text));

		if (isnan(cases[i].number) ? !isnan(n) : n != cases[i].number)
			fail_msg("'%s' is %g, not %g", cases[i].text, n, cases[i].number);
	}
}

static void numbers_print_with_fifteen_digits(void **state)
{
	static const struct {
		double number;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ -0.0, "0" },
		{ 1, "1" },
		{ -2, "-2" },
		{ 1.5, "1.5" },
		{ 0.1, "0.1" },
		{ 1.0 / 3, "0.333333333333333" },
		{ 0.84551240822557006, "0.84551240822557" },
		{ 123456789012345, "123456789012345" },
		{ 1e15, "1E+15" },
		{ 12345678901234567890.0, "1.23456789012346E+19" },
		{ 1e100, "1E+100" },
		{ 0.0001, "0.0001" },
		{ 0.00001, "1E-05" },
		{ -1.5e-7, "-1.5E-07" },
		{ NAN, "NaN" },
		{ INFINITY, "Infinity" },
		{ -INFINITY, "-Infinity" },
		{ 999999999999999.9, "1E+15" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

		number_to_text(cases[i].number, &sb);
		assert_string_equal(sb.buf, cases[i].text);
	}
}

static void equality_coerces_all_but_collections(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "null", "null", true },
		{ "null", "0", true },
		{ "null", "\"\"", true },
		{ "null", "false", true },
		{ "null", "\"null\"", false },
		{ "0", "\"\"", true },
		{ "0", "\" 0 \"", true },
		{ "1", "\"1.0\"", true },
		{ "1", "\"a\"", false },
		{ "true", "1", true },
		{ "true", "\"1\"", true },
		{ "true", "\"true\"", false },
		{ "false", "\"\"", true },
		{ "true", "2", false },
		{ "\"A\"", "\"a\"", true },
		{ "\"a\"", "\"b\"", false },
		{ "\"1\"", "\"1.0\"", false },
		{ "[]", "[]", false },
		{ "{}", "{}", false },
		{ "[]", "0", false },
		{ "{}", "\"Object\"", false },
		{ "[]", "null", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(value_unrefp) struct value *a = from(cases[i].a),
						     *b = from(cases[i].b);

		if (value_equals(a, b) != cases[i].equal ||
			value_equals(b, a) != cases[i].equal)
			fail_msg("%s == %s", cases[i].a, cases[i].b);
	}
}

static void a_collection_equals_itself(void **state)
{
	_cleanup_(value_unrefp) struct value *a = value_new_array();
	_cleanup_(value_unrefp) struct value *n = value_new_number(NAN);

	assert_true(value_equals(a, a));
	assert_false(value_equals(n, n));
}

static void falsy_are_null_false_zero_nan_and_the_empty_text(void **state)
{
	static const char *const truthy[] = { "true", "1", "-1", "\"0\"", "\"false\"",
		"[]", "{}" };
	static const char *const falsy[] = { "null", "false", "0", "-0.0", "\"\"" };
	_cleanup_(value_unrefp) struct value *nan = value_new_number(NAN);

	for (size_t i = 0; i < ARRAY_SIZE(truthy); i++) {
		_cleanup_(value_unrefp) struct value *v = from(truthy[i]);

		assert_true(value_truthy(v));
	}
	for (size_t i = 0; i < ARRAY_SIZE(falsy); i++) {
		_cleanup_(value_unrefp) struct value *v = from(falsy[i]);

		assert_false(value_truthy(v));
	}
	assert_false(value_truthy(nan));
	assert_false(value_truthy(NULL));
}

static void text_of_a_collection_is_its_kind(void **state)
{
	_cleanup_(value_unrefp) struct value *a = from("[1]"), *o = from("{\"a\":1}");
	_cleanup_free_ char *at = value_text(a), *ot = value_text(o),
			    *nt = value_text(NULL);

	assert_string_equal(at, "Array");
	assert_string_equal(ot, "Object");
	assert_string_equal(nt, "");
}

static void keys_are_found_without_case_and_keep_their_order(void **state)
{
	_cleanup_(value_unrefp) struct value *o = from("{\"Beta\":1,\"alpha\":2}");

	value_set(o, "BETA", value_new_number(3));
	assert_int_equal(value_count(o), 2);
	assert_string_equal(value_key_at(o, 0), "Beta");
	assert_true(value_number(value_get(o, "beta")) == 3);
	assert_true(value_number(value_member_at(o, 1)) == 2);
	assert_null(value_get(o, "gamma"));
	assert_null(value_key_at(o, 2));
}

static void keys_may_keep_their_case(void **state)
{
	_cleanup_(value_unrefp) struct value *o = value_new_object_cs();
	_cleanup_(value_unrefp) struct value *copy = NULL;

	value_set_str(o, "Path", "1");
	value_set_str(o, "PATH", "2");
	copy = value_clone(o);
	assert_int_equal(value_count(copy), 2);
	assert_string_equal(value_str(value_get(copy, "PATH")), "2");
	assert_null(value_get(copy, "path"));
}

static void many_keys_are_all_found_again(void **state)
{
	_cleanup_(value_unrefp) struct value *o = value_new_object();
	char key[32];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "Key-%d", i);
		value_set(o, key, value_new_number(i));
	}
	for (int i = 0; i < 1000; i += 2) {
		(void)snprintf(key, sizeof(key), "kEY-%d", i);
		value_unset(o, key);
	}
	value_unset(o, "no such key");
	assert_int_equal(value_count(o), 500);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "key-%d", i);
		if (i % 2 == 0)
			assert_null(value_get(o, key));
		else
			assert_true(value_number(value_get(o, key)) == i);
	}
}

/* ---- keys of one hash ---- */

#define BLOCKS	    8
#define VARIANTS    3
#define FLOOD	    6561 /* so often all of them */
#define HASH_PRIME  16777619u
#define IDEOGRAPH_A 0x4E00u
#define IDEOGRAPH_Z 0x9FFFu

/* Characters without case. */
static bool is_ideograph(uint32_t c)
{
	return (c >= IDEOGRAPH_A && c <= IDEOGRAPH_Z) || (c >= 0x20000 && c <= 0x10FFFF);
}

static void add_utf8(struct strbuf *out, uint32_t c)
{
	if (c >= 0x10000) {
		strbuf_addc(out, (char)(0xF0 | c >> 18));
		strbuf_addc(out, (char)(0x80 | (c >> 12 & 0x3F)));
	} else {
		strbuf_addc(out, (char)(0xE0 | c >> 12));
	}
	strbuf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
	strbuf_addc(out, (char)(0x80 | (c & 0x3F)));
}

/* Two characters that lead from the hash FROM to another, which is the same for all pairs. */
static uint32_t find_pairs(uint32_t from, uint32_t pairs[VARIANTS][2])
{
	for (uint32_t first = IDEOGRAPH_A; first <= IDEOGRAPH_Z; first++) {
		uint32_t to = (from ^ first) * HASH_PRIME ^ 0x80000;
		size_t found = 0;

		for (uint32_t c = IDEOGRAPH_A; c <= IDEOGRAPH_Z && found < VARIANTS;
			c++) {
			uint32_t next = to ^ (from ^ c) * HASH_PRIME;

			if (!is_ideograph(next))
				continue;
			pairs[found][0] = c;
			pairs[found++][1] = next;
		}
		if (found == VARIANTS)
			return to * HASH_PRIME;
	}
	fail_msg("no pairs");
	return 0;
}

static double fill_ms(char **keys, struct value **ret)
{
	clock_t start = clock();
	struct value *obj = value_new_object();

	for (size_t i = 0; i < FLOOD; i++)
		value_set(obj, keys[i], value_new_number((double)i));
	*ret = obj;
	return (double)(clock() - start) * 1000 / CLOCKS_PER_SEC;
}

static void keys_of_one_hash_cost_no_square(void **state)
{
	uint32_t pairs[BLOCKS][VARIANTS][2], at = 2166136261u;
	char **flood = xcalloc(FLOOD, sizeof(*flood));
	char **plain = xcalloc(FLOOD, sizeof(*plain));
	double flood_ms, plain_ms;
	struct value *obj, *other;

	for (size_t b = 0; b < BLOCKS; b++)
		at = find_pairs(at, pairs[b]);
	for (size_t i = 0; i < FLOOD; i++) {
		struct strbuf key = STRBUF_INIT;

		for (size_t b = 0, left = i; b < BLOCKS; b++, left /= VARIANTS)
			for (size_t k = 0; k < 2; k++)
				add_utf8(&key, pairs[b][left % VARIANTS][k]);
		assert_int_equal(fold_hash(key.buf, key.len), at);
		flood[i] = strbuf_take(&key);
		plain[i] = xasprintf("an ordinary key %zu", i);
	}
	plain_ms = fill_ms(plain, &other);
	flood_ms = fill_ms(flood, &obj);
	/* The square would be some thousand times as much. */
	if (flood_ms > 50 * plain_ms + 50)
		fail_msg("%.0f ms, ordinary keys %.0f ms", flood_ms, plain_ms);
	assert_int_equal(value_count(obj), FLOOD);
	for (size_t i = 0; i < FLOOD; i++) {
		assert_true(value_number(value_get(obj, flood[i])) == (double)i);
		free(flood[i]);
		free(plain[i]);
	}
	free(flood);
	free(plain);
	value_unref(obj);
	value_unref(other);
}

static void a_clone_is_independent(void **state)
{
	_cleanup_(value_unrefp) struct value *o = from("{\"a\":[1,{\"b\":2}]}");
	_cleanup_(value_unrefp) struct value *copy = value_clone(o);
	_cleanup_free_ char *before = json_of(o, false), *after = NULL;

	value_push(value_get(copy, "a"), value_new_null());
	value_set(value_at(value_get(copy, "a"), 1), "c", value_new_bool(true));
	after = json_of(o, false);
	assert_string_equal(before, after);
}

static void json_prints_with_two_spaces_and_tight_empties(void **state)
{
	_cleanup_(value_unrefp) struct value *v =
		from("{\"a\":[1,\"x\"],\"b\":{},\"c\":[],\"d\":null}");
	_cleanup_free_ char *pretty = json_of(v, true), *compact = json_of(v, false);

	assert_string_equal(pretty, "{\n  \"a\": [\n    1,\n    \"x\"\n  ],\n  \"b\": "
				    "{},\n  \"c\": [],\n  \"d\": null\n}");
	assert_string_equal(compact, "{\"a\":[1,\"x\"],\"b\":{},\"c\":[],\"d\":null}");
}

static void json_escapes_what_must_be(void **state)
{
	_cleanup_(value_unrefp) struct value *v =
		value_new_strn("a\"\\/\b\f\n\r\t\x01\0\xE2\x80\xA8\xC2\x85é", 18);
	_cleanup_free_ char *s = json_of(v, true);

	assert_string_equal(
		s, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u0000\\u2028\\u0085é\"");
}

static void json_for_machines_keeps_all_digits(void **state)
{
	_cleanup_(value_unrefp) struct value *a = value_new_array();
	_cleanup_free_ char *s = NULL;

	value_push(a, value_new_number(0.84551240822557006));
	value_push(a, value_new_number(1e21));
	value_push(a, value_new_number(NAN));
	value_push(a, value_new_number(-INFINITY));
	s = json_of(a, false);
	assert_string_equal(s, "[0.8455124082255701,1e+21,\"NaN\",\"-Infinity\"]");
}

static void json_values_go_there_and_back(void **state)
{
	static const char text[] = "{\"a\":[true,null,2.5,\"x\"],\"B\":{\"c\":-7}}";
	_cleanup_(value_unrefp) struct value *v = from(text);
	_cleanup_(json_freep) struct json *j = value_to_json(v);
	_cleanup_free_ char *s = json_text(j);

	assert_string_equal(s, text);
}

TEST_MAIN(TEST(numbers_are_read_as_github_coerces_text),
	TEST(numbers_print_with_fifteen_digits),
	TEST(equality_coerces_all_but_collections), TEST(a_collection_equals_itself),
	TEST(falsy_are_null_false_zero_nan_and_the_empty_text),
	TEST(text_of_a_collection_is_its_kind),
	TEST(keys_are_found_without_case_and_keep_their_order),
	TEST(keys_may_keep_their_case), TEST(many_keys_are_all_found_again),
	TEST(keys_of_one_hash_cost_no_square), TEST(a_clone_is_independent),
	TEST(json_prints_with_two_spaces_and_tight_empties),
	TEST(json_escapes_what_must_be), TEST(json_for_machines_keeps_all_digits),
	TEST(json_values_go_there_and_back))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

static void an_empty_buffer_is_an_empty_string(void **state)
{
	struct strbuf b = STRBUF_INIT;
	_cleanup_free_ char *s = NULL;

	assert_string_equal(b.buf, "");
	strbuf_clear(&b);
	strbuf_truncate(&b, 0);
	strbuf_remove(&b, 0, 0);
	strbuf_commit(&b, 0);
	strbuf_add(&b, NULL, 0);
	strbuf_adds(&b, "");
	assert_int_equal(b.alloc, 0);
	strbuf_done(&b);
	s = strbuf_take(&b);
	assert_string_equal(s, "");
}

static void it_ends_with_nul_after_every_change(void **state)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

	for (int i = 0; i < 1000; i++) {
		strbuf_addc(&b, 'x');
		assert_int_equal(b.buf[b.len], 0);
		assert_true(b.len < b.alloc);
	}
	strbuf_truncate(&b, 10);
	assert_string_equal(b.buf, "xxxxxxxxxx");
	strbuf_adds(&b, "yz");
	strbuf_remove(&b, 1, 9);
	assert_string_equal(b.buf, "xyz");
	strbuf_remove(&b, 2, 1);
	assert_string_equal(b.buf, "xy");
	strbuf_reserve(&b, 100000);
	assert_string_equal(b.buf, "xy");
}

static void it_holds_nul_bytes(void **state)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

	strbuf_add(&b, "a\0b", 3);
	strbuf_addc(&b, '\0');
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.buf, "a\0b\0", 5);
}

static void formatted_text_of_any_length_fits(void **state)
{
	for (int width = 0; width < 300; width++) {
		_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

		strbuf_adds(&b, "p");
		strbuf_addf(&b, "%*s%d", width, "", 7);
		assert_int_equal(b.len, 1 + (size_t)width + 1);
		assert_int_equal(b.buf[b.len - 1], '7');
	}
}

static void taking_moves_the_bytes_out(void **state)
{
	struct strbuf b = STRBUF_INIT;
	_cleanup_free_ char *s = NULL;

	strbuf_adds(&b, "mine");
	s = strbuf_take(&b);
	assert_string_equal(s, "mine");
	assert_int_equal(b.len, 0);
	strbuf_adds(&b, "new");
	assert_string_equal(s, "mine");
	strbuf_done(&b);
}

static void suffixes_and_prefixes_are_told(void **state)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

	strbuf_adds(&b, "file.yml");
	assert_true(strbuf_ends_with(&b, ".yml"));
	assert_true(strbuf_ends_with(&b, ""));
	assert_false(strbuf_ends_with(&b, "a-file.yml"));
	assert_true(str_starts("abc", "ab"));
	assert_false(str_starts("a", "ab"));
	assert_true(str_ends("abc", "bc"));
	assert_false(str_ends("c", "bc"));
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_false(str_eq("", NULL));
	assert_true(str_eq("a", "a"));
}

static void numbers_are_whole_plain_and_in_range(void **state)
{
	static const struct {
		const char *text;
		int r;
		long long v;
	} rows[] = {
		{ "0", 0, 0 },
		{ "-5", 0, -5 },
		{ "007", 0, 7 },
		{ "100", 0, 100 },
		{ "101", -1, 0 },
		{ "-101", -1, 0 },
		{ "", -1, 0 },
		{ "-", -1, 0 },
		{ "+5", -1, 0 },
		{ " 5", -1, 0 },
		{ "5 ", -1, 0 },
		{ "--5", -1, 0 },
		{ "0x10", -1, 0 },
		{ "1e2", -1, 0 },
		{ "5.0", -1, 0 },
		{ "99999999999999999999", -1, 0 },
		{ "-99999999999999999999", -1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		long long v = 42;

		assert_int_equal(str_to_int(rows[i].text, -100, 100, &v), rows[i].r);
		assert_int_equal(v, rows[i].r ? 42 : rows[i].v);
	}
	{
		long long v = 42;

		assert_int_equal(str_to_int(NULL, 0, 1, &v), -1);
		assert_int_equal(
			str_to_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
		assert_true(v == INT64_MIN);
	}
}

static void the_nearest_name_is_a_slip_away_or_none(void **state)
{
	static const char *const names[] = { "push", "pull_request", "schedule",
		"runs-on", "timeout-minutes", NULL };
	static const struct {
		const char *word, *nearest;
	} rows[] = {
		{ "psuh", "push" },
		{ "pull_requset", "pull_request" },
		{ "runs_on", "runs-on" },
		{ "timeout_minutes", "timeout-minutes" },
		{ "scheduled", "schedule" },
		{ "push", "push" },
		{ "banana", NULL },
		{ "", NULL },
		{ "xy", NULL },
	};
	char huge[200];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = str_nearest(rows[i].word, names);

		if (!str_eq(got, rows[i].nearest))
			fail_msg("'%s' is nearest to '%s'", rows[i].word,
				got ? got : "none");
	}
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_null(str_nearest(huge, names));
}

TEST_MAIN(TEST(an_empty_buffer_is_an_empty_string),
	TEST(it_ends_with_nul_after_every_change), TEST(it_holds_nul_bytes),
	TEST(formatted_text_of_any_length_fits), TEST(taking_moves_the_bytes_out),
	TEST(suffixes_and_prefixes_are_told), TEST(numbers_are_whole_plain_and_in_range),
	TEST(the_nearest_name_is_a_slip_away_or_none))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/strvec.h"

static void it_is_an_argv_at_any_time(void **state)
{
	struct strvec v = STRVEC_INIT;

	assert_null(v.v[0]);
	for (int i = 0; i < 100; i++) {
		strvec_pushf(&v, "%d", i);
		assert_null(v.v[v.len]);
	}
	assert_string_equal(v.v[99], "99");
	strvec_clear(&v);
	assert_null(v.v[0]);
	strvec_push(&v, "again");
	assert_int_equal(v.len, 1);
	strvec_done(&v);
	assert_null(v.v[0]);
	strvec_done(&v);
}

static void lists_and_owned_strings_join(void **state)
{
	static const char *const list[] = { "a", "b", NULL };
	_cleanup_(strvec_done) struct strvec v = STRVEC_INIT;
	size_t n = 0;

	strvec_push_all(&v, list);
	strvec_push_take(&v, xstrdup("c"));
	strvec_foreach (s, &v)
		n += strlen(*s);
	assert_int_equal(n, 3);
	assert_true(strvec_has(&v, "c"));
	assert_false(strvec_has(&v, "d"));
}

static void a_variable_is_there_once_or_not(void **state)
{
	_cleanup_(strvec_done) struct strvec v = STRVEC_INIT;

	strvec_push(&v, "PATHS=no");
	strvec_push(&v, "PATH=1");
	strvec_push(&v, "X=y");
	strvec_push(&v, "PATH=2");
	assert_string_equal(strvec_getenv(&v, "PATH"), "1");
	strvec_setenv(&v, "PATH", "3=4");
	assert_string_equal(strvec_getenv(&v, "PATH"), "3=4");
	assert_int_equal(v.len, 3);
	strvec_setenv(&v, "NEW", "");
	assert_string_equal(strvec_getenv(&v, "NEW"), "");
	strvec_setenv(&v, "PATH", NULL);
	strvec_setenv(&v, "NOT_THERE", NULL);
	assert_null(strvec_getenv(&v, "PATH"));
	assert_string_equal(strvec_getenv(&v, "PATHS"), "no");
	assert_null(strvec_getenv(&v, "PAT"));
	assert_int_equal(v.len, 3);
	assert_null(v.v[3]);
}

static void splitting_keeps_empty_pieces(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} rows[] = { { "", 1 }, { ",", 2 }, { "a,b", 2 }, { ",a,,b,", 5 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(strvec_done) struct strvec v = STRVEC_INIT;

		strvec_split(&v, rows[i].text, ',');
		assert_int_equal(v.len, rows[i].len);
	}
}

static void taking_leaves_an_empty_list(void **state)
{
	struct strvec v = STRVEC_INIT;
	char **none = strvec_take(&v);
	char **one;

	assert_null(none[0]);
	free(none);
	strvec_push(&v, "x");
	one = strvec_take(&v);
	assert_string_equal(one[0], "x");
	assert_null(one[1]);
	assert_int_equal(v.len, 0);
	free(one[0]);
	free(one);
}

TEST_MAIN(TEST(it_is_an_argv_at_any_time), TEST(lists_and_owned_strings_join),
	TEST(a_variable_is_there_once_or_not), TEST(splitting_keeps_empty_pieces),
	TEST(taking_leaves_an_empty_list))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "workflows/names.h"

static int setup(void **state)
{
	*state = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static void finds_what_was_put_in_whatever_the_case(void **state)
{
	struct names *n = names_new(*state, 2);

	assert_true(names_add(n, "Build", 7));
	assert_true(names_add(n, "test", 0));
	assert_int_equal(names_find(n, "bUILD", 5), 7);
	assert_int_equal(names_find(n, "test", 4), 0);
	assert_int_equal(names_find(n, "tes", 3), NAMES_NONE);
	assert_int_equal(names_find(n, "", 0), NAMES_NONE);
	assert_int_equal(names_find(NULL, "x", 1), NAMES_NONE);
}

static void the_first_of_a_name_stays(void **state)
{
	struct names *n = names_new(*state, 1);

	assert_true(names_add(n, "a", 1));
	assert_false(names_add(n, "A", 2));
	assert_int_equal(names_find(n, "a", 1), 1);
}

static void a_full_table_still_ends_a_search(void **state)
{
	enum { MANY = 5000 };
	struct names *n = names_new(*state, MANY);
	char name[16];

	for (size_t i = 0; i < MANY; i++)
		assert_true(names_add(n, arena_printf(*state, "n%zu", i), i));
	for (size_t i = 0; i < 2 * MANY; i++) {
		size_t len = (size_t)snprintf(name, sizeof(name), "N%zu", i);

		assert_int_equal(names_find(n, name, len), i < MANY ? i : NAMES_NONE);
	}
}

TEST_MAIN(TEST_WITH(finds_what_was_put_in_whatever_the_case, setup, teardown),
	TEST_WITH(the_first_of_a_name_stays, setup, teardown),
	TEST_WITH(a_full_table_still_ends_a_search, setup, teardown))

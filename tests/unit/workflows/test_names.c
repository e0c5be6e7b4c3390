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
	struct names n = NAMES_INIT;

	assert_null(names_find(&n, "x", 1));
	names_add(&n, *state, "Build", 7, NULL);
	names_add(&n, *state, "test", 0, NULL);
	assert_int_equal(names_find(&n, "bUILD", 5)->value, 7);
	assert_int_equal(names_find(&n, "test", 4)->value, 0);
	assert_null(names_find(&n, "tes", 3));
	assert_null(names_find(&n, "", 0));
}

static void the_first_of_a_name_stays(void **state)
{
	struct names n = NAMES_INIT;
	bool is_new;

	names_add(&n, *state, "a", 1, &is_new);
	assert_true(is_new);
	assert_int_equal(names_add(&n, *state, "A", 2, &is_new)->value, 1);
	assert_false(is_new);
	assert_int_equal(n.len, 1);
}

static void grows_and_keeps_what_it_has(void **state)
{
	enum { MANY = 5000 };
	struct names n = NAMES_INIT;
	char name[16];

	names_reserve(&n, *state, 100);
	assert_int_equal(n.len, 0);
	for (size_t i = 0; i < MANY; i++)
		names_add(&n, *state, arena_printf(*state, "n%zu", i), i, NULL);
	for (size_t i = 0; i < 2 * MANY; i++) {
		size_t len = (size_t)snprintf(name, sizeof(name), "N%zu", i);
		struct name_entry *e = names_find(&n, name, len);

		if ((e != NULL) != (i < MANY) || (e && e->value != i))
			fail_msg("%s", name);
	}
}

TEST_MAIN(TEST_WITH(finds_what_was_put_in_whatever_the_case, setup, teardown),
	TEST_WITH(the_first_of_a_name_stays, setup, teardown),
	TEST_WITH(grows_and_keeps_what_it_has, setup, teardown))

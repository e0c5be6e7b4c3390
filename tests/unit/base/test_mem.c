/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void nothing_is_something_that_can_be_freed(void **state)
{
	_cleanup_free_ void *a = xmalloc(0);
	_cleanup_free_ void *b = xcalloc(0, 8);
	_cleanup_free_ void *c = xrealloc(NULL, 0);

	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_null(xstrdup_null(NULL));
	mem_wipe_free(NULL, 5);
}

static void copies_stop_at_their_end(void **state)
{
	_cleanup_free_ char *s = xstrndup("hello", 3);
	_cleanup_free_ char *all = xstrndup("hello", 99);
	_cleanup_free_ char *bytes = xmemdup("a\0b", 3);
	_cleanup_free_ char *f = xasprintf("%d-%s", 5, "x");

	assert_string_equal(s, "hel");
	assert_string_equal(all, "hello");
	assert_memory_equal(bytes, "a\0b", 3);
	assert_string_equal(f, "5-x");
}

static void grow_doubles_and_never_shrinks(void **state)
{
	int *v = NULL;
	size_t cap = 0;

	GROW(v, cap, 1);
	assert_int_equal(cap, 8);
	GROW(v, cap, 9);
	assert_int_equal(cap, 16);
	GROW(v, cap, 1000);
	assert_int_equal(cap, 1000);
	GROW(v, cap, 5);
	assert_int_equal(cap, 1000);
	free(v);
}

static void arena_hands_out_zeroed_aligned_memory_of_any_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 3, 16, 17, 1000, 16 * 1024, 64 * 1024,
		300 * 1024 };
	_cleanup_(arena_freep) struct arena *a = arena_new();
	size_t total = 0;

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned char *p = arena_alloc(a, sizes[i]);

			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xaa, sizes[i]); /* so that an overlap shows above */
			total += sizes[i];
		}
	}
	assert_true(arena_used(a) >= total);
}

static void arena_strings_live_with_it(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();
	_cleanup_free_ char *long_text = xmalloc(200001);
	char *s;

	assert_string_equal(arena_strdup(a, "x"), "x");
	assert_string_equal(arena_strndup(a, "hello", 2), "he");
	assert_string_equal(arena_printf(a, "%s=%d", "k", 1), "k=1");
	memset(long_text, 'y', 200000);
	long_text[200000] = '\0';
	s = arena_printf(a, "%s", long_text);
	assert_int_equal(strlen(s), 200000);
}

/* The status of a child that runs FN with 512 MiB of address space. */
static int status_of(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit space = { 512u << 20, 512u << 20 };
		struct rlimit core = { 0, 0 };

		(void)setrlimit(RLIMIT_AS, &space);
		(void)setrlimit(RLIMIT_CORE, &core);
		(void)close(2);
		(void)signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void take_too_much(void)
{
	volatile size_t size = (size_t)1 << 40;

	free(xmalloc(size));
}

static void overflow_the_product(void)
{
	volatile size_t n = SIZE_MAX / 4;

	free(xreallocarray(NULL, n, 8));
}

static void out_of_memory_aborts(void **state)
{
	if (TEST_ASAN)
		test_skip("the address sanitizer answers for malloc");
	assert_true(WIFSIGNALED(status_of(take_too_much)));
	assert_true(WIFSIGNALED(status_of(overflow_the_product)));
}

TEST_MAIN(TEST(nothing_is_something_that_can_be_freed), TEST(copies_stop_at_their_end),
	TEST(grow_doubles_and_never_shrinks),
	TEST(arena_hands_out_zeroed_aligned_memory_of_any_size),
	TEST(arena_strings_live_with_it), TEST(out_of_memory_aborts))

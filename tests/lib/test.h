/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test includes first: cmocka with what it needs before it, assertions on
 * struct err, and a temporary folder. A failed assertion jumps over cleanups, so what must
 * be released lives in a setup and teardown; no assertion in a forked child.
 *
 *	static void says_which_root_is_missing(void **state) { ... }
 *
 *	TEST_MAIN(TEST(says_which_root_is_missing),
 *		TEST_DIR(writes_a_file),               // *state is a struct test_dir
 *		TEST_WITH(answers, setup, teardown))
 *
 * Tests run in the top folder of the source, so "tests/data/..." can be opened as such.
 */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define TEST(fn) cmocka_unit_test(fn)
#define TEST_DIR(fn) \
	cmocka_unit_test_setup_teardown(fn, test_dir_setup, test_dir_teardown)
#define TEST_WITH(fn, setup, teardown) \
	cmocka_unit_test_setup_teardown(fn, setup, teardown)
/* The same for a test that shows a case of tests/attack/cases.tsv, or several: "SB26 RS01". */
#define TEST_CASE(ids, fn)                            \
	{                                             \
		#fn " [" ids "]", fn, NULL, NULL, NULL \
	}
#define TEST_CASE_WITH(ids, fn, setup, teardown)          \
	{                                                 \
		#fn " [" ids "]", fn, setup, teardown, NULL \
	}
#define TEST_MAIN(...)                                                            \
	int main(void)                                                            \
	{                                                                         \
		const struct CMUnitTest tests_[] = { __VA_ARGS__ };               \
		return cmocka_run_group_tests_name(__FILE__, tests_, NULL, NULL); \
	}

/* CALL did not return -1 (or NULL cast to 0); else its error is shown. */
#define assert_ok(call, err)                                                      \
	do {                                                                      \
		long ok_ = (long)(call);                                          \
		if (ok_ < 0)                                                      \
			fail_msg("%s: %s: %s", #call, err_code_name((err)->code), \
				(err)->msg);                                      \
	} while (0)

/* *ERR has CODE and, unless WORDS is NULL, says exactly WORDS. */
#define assert_err(err, want_code, words)                                               \
	do {                                                                            \
		const char *words_ = (words);                                           \
		if ((err)->code != (want_code))                                         \
			fail_msg("error is %s, not %s: %s", err_code_name((err)->code), \
				err_code_name(want_code), (err)->msg);                  \
		if (words_)                                                             \
			assert_string_equal((err)->msg, words_);                        \
	} while (0)

/* *ERR has CODE and PART is somewhere in its words. */
#define assert_err_has(err, want_code, part)                                 \
	do {                                                                 \
		assert_err(err, want_code, NULL);                            \
		if (!strstr((err)->msg, (part)))                             \
			fail_msg("'%s' is not in '%s'", (part), (err)->msg); \
	} while (0)

/* PART is somewhere in TEXT. */
#define assert_has(text, part)                                          \
	do {                                                            \
		const char *text_ = (text);                             \
		if (!strstr(text_, (part)))                             \
			fail_msg("'%s' is not in '%s'", (part), text_); \
	} while (0)

/* A private empty folder; removed with all that is in it. */
struct test_dir {
	char *path;
	int fd;
};

struct test_dir *test_tempdir(void);	      /* aborts if there can be none */
void test_tempdir_free(struct test_dir *dir); /* NULL is fine */
/* As fixtures, with *state the struct test_dir. */
int test_dir_setup(void **state);
int test_dir_teardown(void **state);

/* Creates DIR/NAME (folders on the way too) with TEXT; aborts on failure. */
void test_write(const struct test_dir *dir, const char *name, const char *text);
/* The whole file as a heap string; fails the test if it cannot be read. */
char *test_read(const char *path);

/* Ends the running test as skipped; the reason is printed with it. */
#define test_skip(reason)                                      \
	do {                                                   \
		(void)printf("# skip reason: %s\n", (reason)); \
		(void)fflush(stdout);                          \
		skip();                                        \
	} while (0)

/* Whether the address sanitizer is in: it answers for malloc and needs much memory. */
#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0
#endif

/* How many descriptors this process has open, to tell a leak. */
size_t test_count_fds(void);

#endif

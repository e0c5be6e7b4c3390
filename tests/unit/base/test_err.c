/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>

static void set_keeps_code_and_words(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(err_set(&err, ERR_LIMIT, "%d is over %d", 7, 5), -1);
	assert_err(&err, ERR_LIMIT, "7 is over 5");
	assert_int_equal(err.sys, 0);
}

static void sys_keeps_errno_and_adds_its_words(void **state)
{
	struct err err = ERR_INIT;

	errno = ENOENT;
	assert_int_equal(err_sys(&err, "cannot open '%s'", "x"), -1);
	assert_err(&err, ERR_SYS, "cannot open 'x': no such file or directory");
	assert_int_equal(err.sys, ENOENT);
	assert_int_equal(errno, ENOENT);
}

static void wrap_puts_the_prefix_in_front_and_keeps_the_rest(void **state)
{
	struct err err = ERR_INIT;

	errno = EIO;
	err_sys(&err, "cannot read");
	assert_int_equal(err_wrap(&err, "step %d", 3), -1);
	assert_err(&err, ERR_SYS, "step 3: cannot read: input/output error");
	assert_int_equal(err.sys, EIO);
}

static void wrap_may_quote_its_own_message(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_INPUT, "bad");
	err_wrap(&err, "%s", err.msg);
	assert_err(&err, ERR_INPUT, "bad: bad");
	err_set(&err, ERR_INPUT, "<%s>", err.msg);
	assert_err(&err, ERR_INPUT, "<bad: bad>");
}

static void nobody_needs_to_care(void **state)
{
	assert_int_equal(err_set(NULL, ERR_BUG, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
}

static void long_messages_are_cut_between_letters(void **state)
{
	static const char *const letters[] = { "a", "\xc3\xa9", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80" };
	struct err err = ERR_INIT;

	for (size_t l = 0; l < ARRAY_SIZE(letters); l++) {
		size_t n = strlen(letters[l]);

		for (size_t shift = 0; shift < 4; shift++) {
			_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

			for (size_t i = 0; i < shift; i++)
				strbuf_addc(&b, '.');
			while (b.len < 2 * ERR_MSG_MAX)
				strbuf_adds(&b, letters[l]);
			err_set(&err, ERR_INPUT, "%s", b.buf);
			assert_int_equal((strlen(err.msg) - shift) % n, 0);
			assert_true(strlen(err.msg) > ERR_MSG_MAX - 5);
			assert_memory_equal(err.msg, b.buf, strlen(err.msg));
		}
	}
}

static void a_full_message_that_ends_with_a_whole_letter_stays(void **state)
{
	struct err err = ERR_INIT;
	char text[ERR_MSG_MAX];

	memset(text, 'x', sizeof(text));
	memcpy(text + ERR_MSG_MAX - 3, "\xc3\xa9", 3);
	err_set(&err, ERR_INPUT, "%s", text);
	assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
}

static void every_code_has_its_name(void **state)
{
	static const char *const names[] = { "none", "input", "limit", "not_found",
		"conflict", "denied", "unavailable", "timeout", "corrupt", "unsupported",
		"sys", "bug" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(err_code_name((enum err_code)i), names[i]);
	assert_string_equal(err_code_name((enum err_code)99), "bug");
}

static void words_of_an_errno_are_never_missing(void **state)
{
	assert_string_equal(err_sys_text(0), "no error");
	assert_string_equal(err_sys_text(EACCES), "permission denied");
	assert_string_equal(err_sys_text(-1), "unknown error");
	assert_string_equal(err_sys_text(99999), "unknown error");
	for (int i = 1; i < 134; i++)
		assert_true(*err_sys_text(i));
}

TEST_MAIN(TEST(set_keeps_code_and_words), TEST(sys_keeps_errno_and_adds_its_words),
	TEST(wrap_puts_the_prefix_in_front_and_keeps_the_rest),
	TEST(wrap_may_quote_its_own_message), TEST(nobody_needs_to_care),
	TEST(long_messages_are_cut_between_letters),
	TEST(a_full_message_that_ends_with_a_whole_letter_stays),
	TEST(every_code_has_its_name), TEST(words_of_an_errno_are_never_missing))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/clock.h"

static void times_are_written_and_read_back(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1, "1970-01-01T00:00:00.001Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ 1778760123004, "2026-05-14T12:02:03.004Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
		{ -62167219200000, "0000-01-01T00:00:00.000Z" },
	};
	char buf[CLOCK_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = 7;

		assert_string_equal(clock_format(rows[i].ms, buf), rows[i].text);
		assert_int_equal(clock_parse(rows[i].text, &ms), 0);
		assert_true(ms == rows[i].ms);
	}
}

static void no_time_overflows_its_buffer(void **state)
{
	char buf[CLOCK_TEXT_MAX];

	clock_format(INT64_MAX, buf);
	assert_true(strlen(buf) < CLOCK_TEXT_MAX);
	clock_format(INT64_MIN, buf);
	assert_true(strlen(buf) < CLOCK_TEXT_MAX);
	assert_int_equal(buf[strlen(buf) - 1], 'Z');
}

static void offsets_and_fractions_are_understood(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "2026-05-14T14:02:03+02:00", 1778760123000 },
		{ "2026-05-14t06:32:03-05:30", 1778760123000 },
		{ "2026-05-14 12:02:03z", 1778760123000 },
		{ "2026-05-14T12:02:03+0000", 1778760123000 },
		{ "2026-05-14T12:02:03.5Z", 1778760123500 },
		{ "2026-05-14T12:02:03.123456789Z", 1778760123123 },
		{ "2026-05-14T12:02:03.000000000000000000000000001Z", 1778760123000 },
		{ "2016-12-31T23:59:60Z", 1483228800000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = 0;

		assert_int_equal(clock_parse(rows[i].text, &ms), 0);
		assert_true(ms == rows[i].ms);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const rows[] = { "", "2026", "2026-05-14",
		"2026-05-14T12:02:03", "2026-05-14T12:02Z", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-05-00T00:00:00Z", "2026-05-14T24:00:00Z",
		"2026-05-14T12:60:00Z", "2026-05-14T12:02:61Z", "2026-05-14T12:02:03.Z",
		"2026-05-14T12:02:03ZZ", "2026-05-14T12:02:03+2",
		"2026-05-14T12:02:03+24:00", "2026-5-14T12:02:03Z",
		" 2026-05-14T12:02:03Z", "-026-05-14T12:02:03Z",
		"2026-05-14T12:02:03+02:00x" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = 42;

		if (clock_parse(rows[i], &ms) == 0)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(ms, 42);
	}
}

static void durations_read_as_people_say_them(void **state)
{
	static const struct {
		int64_t ms;
		const char *duration, *age;
	} rows[] = {
		{ -5, "0ms", "0s" },
		{ 0, "0ms", "0s" },
		{ 40, "40ms", "0s" },
		{ 999, "999ms", "0s" },
		{ 1000, "1.0s", "1s" },
		{ 9870, "9.8s", "9s" },
		{ 59999, "59.9s", "59s" },
		{ 64000, "1m04s", "1m" },
		{ 3599999, "59m59s", "59m" },
		{ 7500000, "2h05m", "2h" },
		{ 86399999, "23h59m", "23h" },
		{ 6 * 86400000LL, "6d", "6d" },
		{ INT64_MAX, "106751991167d", "106751991167d" },
	};
	char buf[CLOCK_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(clock_duration(rows[i].ms, buf), rows[i].duration);
		assert_string_equal(clock_age(rows[i].ms, buf), rows[i].age);
	}
}

static void skew_moves_the_wall_clock_alone(void **state)
{
	int64_t wall = clock_wall_ms();
	int64_t boot = clock_boot_ms();

	clock_skew_wall(86400000);
	assert_true(clock_wall_ms() - wall >= 86400000);
	assert_true(clock_wall_ms() - wall < 86400000 + 60000);
	assert_true(clock_boot_ms() - boot < 60000);
	assert_true(clock_boot_us() / 1000 >= boot);
	clock_skew_wall(0);
	assert_true(clock_wall_ms() - wall < 60000);
	assert_true(wall > 1600000000000);
}

TEST_MAIN(TEST(times_are_written_and_read_back), TEST(no_time_overflows_its_buffer),
	TEST(offsets_and_fractions_are_understood), TEST(what_is_no_time_is_refused),
	TEST(durations_read_as_people_say_them), TEST_CASE("RS17", skew_moves_the_wall_clock_alone))

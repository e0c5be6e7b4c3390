/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "tests/unit/workflows/tzif.h"
#include "workflows/civil.h"
#include "workflows/cron.h"

static int64_t at(int64_t year, int month, int day, int hour, int minute)
{
	return civil_days(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

static struct cron parsed(const char *text)
{
	struct cron c = { 0 };
	struct cron_error error = { 0 };

	if (cron_parse(text, strlen(text), &c, &error) < 0)
		fail_msg("'%s' is refused: %s", text, error.msg);
	return c;
}

static char *stamp(int64_t t)
{
	int64_t year;
	int month, day;

	civil_date(civil_floor_div(t, 86400), &year, &month, &day);
	return xasprintf("%lld-%02d-%02d %02d:%02d", (long long)year, month, day,
		(int)(t % 86400 / 3600), (int)(t % 3600 / 60));
}

static void the_next_slot_is_found(void **state)
{
	/* From Saturday 2026-11-21 10:07:30 UTC. */
	static const struct {
		const char *cron, *next;
	} cases[] = {
		{ "* * * * *", "2026-11-21 10:08" },
		{ "*/15 * * * *", "2026-11-21 10:15" },
		{ "20/15 * * * *", "2026-11-21 10:20" },
		{ "7 10 * * *", "2026-11-22 10:07" },
		{ "8 10 * * *", "2026-11-21 10:08" },
		{ "0 0 * * *", "2026-11-22 00:00" },
		{ "30 5 * * 1,3", "2026-11-23 05:30" },
		{ "30 5 * * MON-FRI", "2026-11-23 05:30" },
		{ "0 0 1 * *", "2026-12-01 00:00" },
		{ "0 0 1 JAN *", "2027-01-01 00:00" },
		{ "0 0 29 2 *", "2028-02-29 00:00" },
		{ "0 0 31 * *", "2026-12-31 00:00" },
		{ "0 0 13 * 5", "2026-11-27 00:00" }, /* either the 13th or a Friday */
		{ "0 0 * * 0", "2026-11-22 00:00" },
		{ "0 12 * * sat", "2026-11-21 12:00" },
		{ "5,1-3 10 * * *", "2026-11-22 10:01" },
		{ "0-10/5 * * * *", "2026-11-21 10:10" },
		{ "59 23 31 12 *", "2026-12-31 23:59" },
		{ "  0\t0 * * * ", "2026-11-22 00:00" },
		{ "0 0 * 3-5/2 *", "2027-03-01 00:00" },
		{ "00 07 * * *", "2026-11-22 07:00" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cron c = parsed(cases[i].cron);
		_cleanup_free_ char *got = NULL;
		int64_t next = 0;

		assert_int_equal(
			cron_next(&c, NULL, at(2026, 11, 21, 10, 7) + 30, &next), 1);
		got = stamp(next);
		if (strcmp(got, cases[i].next) != 0)
			fail_msg("'%s' gives %s, not %s", cases[i].cron, got,
				cases[i].next);
	}
}

static void mistakes_are_explained_at_their_place(void **state)
{
	static const struct {
		const char *cron;
		size_t offset, len;
		const char *msg;
	} cases[] = {
		{ "", 0, 1,
			"a schedule has 5 fields (minute hour day month weekday), this "
			"has 0" },
		{ "* * * *", 0, 7,
			"a schedule has 5 fields (minute hour day month weekday), this "
			"has 4" },
		{ "0 * * * * *", 0, 11,
			"a schedule has 5 fields (minute hour day month weekday), this "
			"has 6; seconds "
			"are not taken" },
		{ "@daily", 0, 6, "'@daily' is not taken; write the five fields" },
		{ "60 * * * *", 0, 2, "the minute goes from 0 to 59, not to 60" },
		{ "0 24 * * *", 2, 2, "the hour goes from 0 to 23, not to 24" },
		{ "0 0 0 * *", 4, 1, "the day of the month goes from 1 to 31, not to 0" },
		{ "0 0 * 13 *", 6, 2, "the month goes from 1 to 12, not to 13" },
		{ "0 0 * * 7", 8, 1, "Sunday is 0 (or SUN), not 7" },
		{ "0 0 * FOO *", 6, 3, "'FOO' is no month" },
		{ "0 0 * * MONDAY", 8, 6, "'MONDAY' is no day of the week" },
		{ "5-1 * * * *", 0, 3, "the range '5-1' runs backwards" },
		{ "*/0 * * * *", 2, 1, "a step is at least 1" },
		{ "*/ * * * *", 1, 1, "'/' needs a number behind it" },
		{ "*/x * * * *", 1, 1, "'/' needs a number behind it" },
		{ "1- * * * *", 1, 1, "the minute '1-' lacks a value" },
		{ ",1 * * * *", 0, 1, "the minute ',1' lacks a value" },
		{ "-5 * * * *", 0, 1, "the minute '-5' lacks a value" },
		{ "0 0 ? * *", 4, 1,
			"'?' is not taken; write '*' for any day of the month" },
		{ "0 0 L * *", 4, 1, "'L' is no day of the month" },
		{ "0 0 * * 1#2", 9, 1,
			"unexpected '#' in the day of the week; a field has values, '*', "
			"and , - / "
			"between them" },
		{ "99999999999999999999 * * * *", 0, 20,
			"'99999999999999999999' is no minute" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cron_error error = { 0 };
		struct cron c;

		if (cron_parse(cases[i].cron, strlen(cases[i].cron), &c, &error) == 0)
			fail_msg("'%s' was accepted", cases[i].cron);
		if (error.offset != cases[i].offset || error.len != cases[i].len ||
			strcmp(error.msg, cases[i].msg) != 0)
			fail_msg("'%s': %zu+%zu %s", cases[i].cron, error.offset,
				error.len, error.msg);
	}
}

static void a_date_that_never_comes_is_known(void **state)
{
	struct cron never = parsed("0 0 31 2 *"), rare = parsed("0 0 29 FEB *");
	struct cron weekday = parsed("0 0 31 2 1");
	int64_t next = 0;

	assert_true(cron_is_never(&never));
	assert_int_equal(cron_next(&never, NULL, 0, &next), 0);
	assert_false(cron_is_never(&rare));
	assert_false(cron_is_never(&weekday));
	/* No 29 February in 2100: eight years from one to the next. */
	assert_int_equal(cron_next(&rare, NULL, at(2096, 3, 1, 0, 0), &next), 1);
	assert_int_equal(next, at(2104, 2, 29, 0, 0));
	assert_int_equal(cron_next(&rare, NULL, INT64_MAX, &next), 0);
	assert_int_equal(cron_next(&rare, NULL, INT64_MIN, &next), 0);
}

static void the_shortest_gap_is_measured(void **state)
{
	static const struct {
		const char *cron;
		int minutes;
	} cases[] = {
		{ "* * * * *", 1 },
		{ "*/5 * * * *", 5 },
		{ "0 0 * * *", 1440 },
		{ "0,59 * * * *", 1 },
		{ "0 */6 * * *", 360 },
		{ "58 23 * * *", 1440 },
		{ "0,58 0,23 * * *", 2 },
		{ "*/7 * * * *", 4 },
		{ "0,58 0,12 * * *", 58 },
		{ "5,10 3 * * *", 5 },
		{ "30 4,22 * * *", 360 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cron c = parsed(cases[i].cron);

		if (cron_shortest_gap(&c) != cases[i].minutes)
			fail_msg("'%s': %d", cases[i].cron, cron_shortest_gap(&c));
	}
}

static struct tz *berlin(void)
{
	static const int32_t offsets[] = { 3600 };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct tz *tz = NULL;
	struct err err = ERR_INIT;

	tzif_make(&sb, offsets, 1, NULL, 0, "CET-1CEST,M3.5.0,M10.5.0/3");
	assert_ok(tz_parse(sb.buf, sb.len, &tz, &err), &err);
	return tz;
}

/* The runs from START on, as UTC. */
static char *runs(const char *text, int64_t start, int n)
{
	_cleanup_(tz_freep) struct tz *tz = berlin();
	struct cron c = parsed(text);
	struct strbuf sb = STRBUF_INIT;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *s = NULL;

		assert_int_equal(cron_next(&c, tz, start, &start), 1);
		s = stamp(start);
		strbuf_addf(&sb, "%s%s", i > 0 ? ", " : "", s + 5);
	}
	return strbuf_take(&sb);
}

static void a_skipped_slot_runs_at_the_shift(void **state)
{
	_cleanup_free_ char *daily = runs("30 2 * * *", at(2026, 3, 27, 12, 0), 3);
	_cleanup_free_ char *often = runs("*/30 * * * *", at(2026, 3, 29, 0, 0), 4);

	assert_string_equal(daily, "03-28 01:30, 03-29 01:00, 03-30 00:30");
	assert_string_equal(often, "03-29 00:30, 03-29 01:00, 03-29 01:30, 03-29 02:00");
}

static void a_repeated_slot_runs_once(void **state)
{
	_cleanup_free_ char *daily = runs("30 2 * * *", at(2026, 10, 24, 12, 0), 3);
	_cleanup_free_ char *often = runs("*/30 * * * *", at(2026, 10, 25, 0, 0), 4);

	assert_string_equal(daily, "10-25 00:30, 10-26 01:30, 10-27 01:30");
	/* 02:00 and 02:30 in summer time; the same in winter time are left out. */
	assert_string_equal(often, "10-25 00:30, 10-25 02:00, 10-25 02:30, 10-25 03:00");
}

static void a_year_of_slots_has_no_repetition(void **state)
{
	_cleanup_(tz_freep) struct tz *tz = berlin();
	struct cron c = parsed("0 * * * *");
	int64_t now = at(2025, 12, 31, 22, 30), before;
	int n = 0;

	for (;;) {
		before = now;
		assert_int_equal(cron_next(&c, tz, now, &now), 1);
		if (now >= at(2026, 12, 31, 22, 30))
			break;
		assert_true(now > before);
		n++;
	}
	/* One hour less in spring (two slots share the shift), one repeated in autumn. */
	assert_int_equal(n, 365 * 24 - 1);
}

static void schedules_are_put_into_words(void **state)
{
	static const struct {
		const char *cron, *words;
	} cases[] = {
		{ "30 5 * * 1", "at 05:30 on Monday" },
		{ "*/15 * * * *", "every 15 minutes" },
		{ "0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00" },
		{ "0 */2 * * *", "at minute 0 every 2 hours" },
		{ "* * * * *", "every minute" },
		{ "5,35 * * * *", "at minute 5 and 35 of every hour" },
		{ "0 0 1,15 * *", "at 00:00 on days 1 and 15" },
		{ "0 0 1 1 *", "at 00:00 on day 1 in January" },
		{ "0 0 13 * 5", "at 00:00 on day 13 or on Friday" },
		{ "*/10 9-11 * * MON-FRI", "every 10 minutes of hours 9, 10 and 11 on "
					   "Monday, Tuesday, Wednesday, "
					   "Thursday and Friday" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
		struct cron c = parsed(cases[i].cron);

		cron_describe(&c, &sb);
		assert_string_equal(sb.buf, cases[i].words);
	}
}

TEST_MAIN(TEST(the_next_slot_is_found), TEST(mistakes_are_explained_at_their_place),
	TEST(a_date_that_never_comes_is_known), TEST(the_shortest_gap_is_measured),
	TEST(a_skipped_slot_runs_at_the_shift), TEST(a_repeated_slot_runs_once),
	TEST(a_year_of_slots_has_no_repetition), TEST(schedules_are_put_into_words))

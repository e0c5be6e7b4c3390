/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "tests/unit/workflows/tzif.h"
#include "workflows/civil.h"
#include "workflows/tz.h"

static int64_t at(int64_t year, int month, int day, int hour, int minute)
{
	return civil_days(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

static struct tz *zone(const char *footer)
{
	static const int32_t none[] = { 0 };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct tz *tz = NULL;
	struct err err = ERR_INIT;

	tzif_make(&sb, none, 1, NULL, 0, footer);
	assert_ok(tz_parse(sb.buf, sb.len, &tz, &err), &err);
	return tz;
}

static void dates_go_there_and_back(void **state)
{
	for (int64_t day = -1000000; day < 4000000; day += 37) {
		int64_t year;
		int month, d;

		civil_date(day, &year, &month, &d);
		if (civil_days(year, month, d) != day || d < 1 ||
			d > civil_month_days(year, month))
			fail_msg("day %lld", (long long)day);
	}
	assert_int_equal(civil_days(1970, 1, 1), 0);
	assert_int_equal(civil_days(2026, 11, 21), 20778);
	assert_int_equal(civil_weekday(civil_days(2026, 11, 21)), 6);
	assert_int_equal(civil_weekday(-1), 3);
	assert_int_equal(civil_year(-1), 1969);
}

static void rules_of_the_footer_switch_on_their_days(void **state)
{
	static const struct {
		const char *rule;
		int month, day, hour; /* UTC, of 2026 */
		int32_t offset;
	} cases[] = {
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 3, 29, 0, 3600 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 3, 29, 1, 7200 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 10, 25, 0, 7200 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 10, 25, 1, 3600 },
		{ "EST5EDT,M3.2.0,M11.1.0", 3, 8, 6, -18000 },
		{ "EST5EDT,M3.2.0,M11.1.0", 3, 8, 7, -14400 },
		{ "EST5EDT,M3.2.0,M11.1.0", 11, 1, 6, -18000 },
		{ "AEST-10AEDT,M10.1.0,M4.1.0/3", 1, 1, 0, 39600 },
		{ "AEST-10AEDT,M10.1.0,M4.1.0/3", 7, 1, 0, 36000 },
		{ "<+0530>-5:30", 1, 1, 0, 19800 },
		{ "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1, 1, 0, 39600 },
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 3, 29, 0, -7200 },
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 3, 29, 1, -3600 },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", 1, 1, 0, 0 },
		{ "XST0XDT,J60,J300", 3, 1, 1, 0 },
		{ "XST0XDT,J60,J300", 3, 1, 2, 3600 },
		{ "XST0XDT,59,300", 3, 1, 2, 3600 },
		{ "XXX3EDT4,0/0,J365/23", 7, 1, 0, -14400 }, /* summer time all year */
		{ "XXX3EDT4,0/0,J365/23", 1, 1, 3, -14400 },
		{ "UTC0", 6, 1, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tz *tz = zone(cases[i].rule);
		int32_t got = tz_offset(
			tz, at(2026, cases[i].month, cases[i].day, cases[i].hour, 0));

		tz_free(tz);
		if (got != cases[i].offset)
			fail_msg("%s on %d-%d %d: %d", cases[i].rule, cases[i].month,
				cases[i].day, cases[i].hour, got);
	}
}

static void the_table_comes_before_the_rule(void **state)
{
	static const int32_t offsets[] = { 1000, 3600, 7200 };
	const struct tzif_switch switches[] = {
		{ at(1900, 1, 1, 0, 0), 1 },
		{ at(1980, 4, 6, 1, 0), 2 },
		{ at(1980, 10, 26, 1, 0), 1 },
	};
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	_cleanup_(tz_freep) struct tz *tz = NULL;
	struct err err = ERR_INIT;

	tzif_make(&sb, offsets, 3, switches, 3, "CET-1CEST,M3.5.0,M10.5.0/3");
	assert_ok(tz_parse(sb.buf, sb.len, &tz, &err), &err);
	assert_int_equal(tz_offset(tz, at(1800, 1, 1, 0, 0)), 1000);
	assert_int_equal(tz_offset(tz, at(1950, 7, 1, 0, 0)), 3600);
	assert_int_equal(tz_offset(tz, at(1980, 7, 1, 0, 0)), 7200);
	assert_int_equal(tz_offset(tz, at(1980, 10, 26, 0, 59)), 7200);
	assert_int_equal(tz_offset(tz, at(1980, 10, 26, 1, 0)), 3600);
	assert_int_equal(tz_offset(tz, at(2040, 7, 1, 0, 0)), 7200);
}

static void a_local_time_is_first_read_once(void **state)
{
	_cleanup_(tz_freep) struct tz *tz = zone("CET-1CEST,M3.5.0,M10.5.0/3");
	_cleanup_(tz_freep) struct tz *utc = tz_utc();

	assert_int_equal(tz_first_at(utc, 12345), 12345);
	assert_int_equal(tz_first_at(tz, at(2026, 1, 1, 12, 0)), at(2026, 1, 1, 11, 0));
	assert_int_equal(tz_first_at(tz, at(2026, 7, 1, 12, 0)), at(2026, 7, 1, 10, 0));
	/* 02:30 does not exist on 29 March, and comes twice on 25 October. */
	assert_int_equal(tz_first_at(tz, at(2026, 3, 29, 2, 30)), at(2026, 3, 29, 1, 0));
	assert_int_equal(tz_first_at(tz, at(2026, 3, 29, 3, 0)), at(2026, 3, 29, 1, 0));
	assert_int_equal(
		tz_first_at(tz, at(2026, 10, 25, 2, 30)), at(2026, 10, 25, 0, 30));
	assert_int_equal(tz_first_at(tz, at(2026, 10, 25, 3, 0)), at(2026, 10, 25, 2, 0));
}

/* Samoa left out 30 December 2011. */
static void a_day_that_is_left_out_begins_at_the_shift(void **state)
{
	static const int32_t offsets[] = { -36000, 50400 };
	const struct tzif_switch switches[] = { { at(2011, 12, 30, 10, 0), 1 } };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	_cleanup_(tz_freep) struct tz *tz = NULL;
	struct err err = ERR_INIT;

	tzif_make(&sb, offsets, 2, switches, 1, "<+14>-14");
	assert_ok(tz_parse(sb.buf, sb.len, &tz, &err), &err);
	assert_int_equal(
		tz_first_at(tz, at(2011, 12, 30, 12, 0)), at(2011, 12, 30, 10, 0));
	assert_int_equal(
		tz_first_at(tz, at(2011, 12, 31, 1, 0)), at(2011, 12, 30, 11, 0));
}

static void broken_data_are_refused(void **state)
{
	static const int32_t offsets[] = { 3600, 7200 };
	static const struct tzif_switch switches[] = { { 100, 1 }, { 200, 0 } };
	static const char *const bad_rules[] = { "X", "CET", "CET-1CEST",
		"CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST,M3.6.0,M10.5.0", "CET-30", "CET-1CEST,M3.5.0,M10.5.0x",
		"<+01-1", "CET-1CEST,J0,J5", "CET-1CEST,M3.0.0,J5", "CET-1CEST,M3.5.7,J5",
		"CET-1CEST,M3.5.0/168,J5" };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct tz *tz = NULL;
	struct err err = ERR_INIT;

	tzif_make(&sb, offsets, 2, switches, 2, "CET-1");
	for (size_t len = 0; len < sb.len; len++) /* cut anywhere */
		if (tz_parse(sb.buf, len, &tz, &err) == 0)
			fail_msg("%zu bytes of %zu were enough", len, sb.len);
	for (size_t i = 0; i < ARRAY_SIZE(bad_rules); i++) {
		strbuf_clear(&sb);
		tzif_make(&sb, offsets, 2, switches, 2, bad_rules[i]);
		if (tz_parse(sb.buf, sb.len, &tz, &err) == 0)
			fail_msg("'%s' was accepted", bad_rules[i]);
	}
	assert_int_equal(tz_parse("TZif2", 5, &tz, &err), -1);
	assert_err(&err, ERR_INPUT, "no TZif data");
}

static int load_berlin(const char *name, struct strbuf *out, struct err *err, void *data)
{
	static const int32_t offsets[] = { 3600 };

	(*(int *)data)++;
	if (strcmp(name, "Europe/Berlin") != 0)
		return err_set(err, ERR_NOT_FOUND, "no such zone");
	tzif_make(out, offsets, 1, NULL, 0, "CET-1CEST,M3.5.0,M10.5.0/3");
	return 0;
}

/* RFC 8536, 3.3.1: the end of one year's summer lies in the next year. */
static void a_rule_may_reach_into_the_next_year(void **state)
{
	struct tz *all_year = zone("EST5EDT,0/0,J365/25");
	struct tz *late = zone("XXX3EDEC,0/1,J365/64");

	for (int64_t t = at(2031, 12, 20, 0, 0); t < at(2032, 1, 10, 0, 0); t += 1800)
		if (tz_offset(all_year, t) != -4 * 3600)
			fail_msg("all year: %lld", (long long)t);
	assert_int_equal(tz_offset(late, at(2031, 12, 31, 23, 59)), -3 * 3600);
	assert_int_equal(tz_offset(late, at(2032, 1, 1, 3, 59)), -3 * 3600);
	assert_int_equal(tz_offset(late, at(2032, 1, 1, 4, 0)), -2 * 3600);
	assert_int_equal(tz_offset(late, at(2032, 1, 2, 17, 59)), -2 * 3600);
	assert_int_equal(tz_offset(late, at(2032, 1, 2, 18, 0)), -3 * 3600);
	tz_free(all_year);
	tz_free(late);
}

static void zones_are_asked_for_by_a_clean_name(void **state)
{
	static const char *const bad[] = { "", "/etc/passwd", "../x", "a/../b", "a//b",
		"a/", "Europe/Ber lin", ".hidden" };
	struct tz *tz = NULL;
	struct err err = ERR_INIT;
	int calls = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(tz_open(bad[i], load_berlin, &calls, &tz, &err), -1);
		assert_int_equal(calls, 0);
	}
	assert_ok(tz_open("UTC", load_berlin, &calls, &tz, &err), &err);
	tz_free(tz);
	assert_int_equal(calls, 0);
	assert_ok(tz_open("Europe/Berlin", load_berlin, &calls, &tz, &err), &err);
	tz_free(tz);
	assert_int_equal(tz_open("Mars/Base_1", load_berlin, &calls, &tz, &err), -1);
	assert_err(&err, ERR_NOT_FOUND, "time zone 'Mars/Base_1': no such zone");
}

TEST_MAIN(TEST(dates_go_there_and_back), TEST(rules_of_the_footer_switch_on_their_days),
	TEST(the_table_comes_before_the_rule), TEST(a_local_time_is_first_read_once),
	TEST(a_day_that_is_left_out_begins_at_the_shift), TEST(a_rule_may_reach_into_the_next_year),
	TEST(broken_data_are_refused), TEST(zones_are_asked_for_by_a_clean_name))

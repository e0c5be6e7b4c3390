/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "CRON\nFOOTER\n" and then TZif bytes, if any. A schedule that is read has a next run
 * that is the first minute after the last one whose fields all hold (checked minute by
 * minute); with a zone, runs only ever move on, and no slot of the wall clock runs twice.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "tests/unit/workflows/tzif.h"
#include "workflows/civil.h"
#include "workflows/cron.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool fields_hold(const struct cron *c, int64_t minute)
{
	int64_t days = civil_floor_div(minute, 1440), year;
	int of_day = (int)(minute - days * 1440), month, day;
	bool is_day, is_weekday;

	civil_date(days, &year, &month, &day);
	is_day = c->days >> day & 1;
	is_weekday = c->weekdays >> civil_weekday(days) & 1;
	return (c->minutes >> of_day % 60 & 1) && (c->hours >> of_day / 60 & 1) &&
	       (c->months >> month & 1) &&
	       (c->any_day || c->any_weekday ? is_day && is_weekday
					     : is_day || is_weekday);
}

/* Against a walk over a few days in UTC. */
static void check_utc(const struct cron *c, int64_t after)
{
	int64_t minute = civil_floor_div(after, 60) + 1, next = 0;
	int r = cron_next(c, NULL, after, &next);

	must(r == 0 || (next > after && next % 60 == 0 && fields_hold(c, next / 60)));
	for (int64_t at = minute; at < minute + 3 * 1440; at++) {
		if (!fields_hold(c, at))
			continue;
		must(r == 1 && next == at * 60);
		return;
	}
	must(r == 0 || next >= (minute + 3 * 1440) * 60);
}

static void check_zone(const struct cron *c, const struct tz *tz, int64_t now)
{
	int64_t slot = INT64_MIN;

	for (int i = 0; i < 50; i++) {
		int64_t next = 0, local;

		if (cron_next(c, tz, now, &next) == 0)
			return;
		must(next > now);
		/* The wall clock, first read: it moves on too. */
		local = next + tz_offset(tz, next);
		must(tz_first_at(tz, local) <= next);
		must(local > slot);
		slot = local;
		now = next;
	}
}

static void check_tz(const struct cron *c, const void *data, size_t len)
{
	struct tz *tz = NULL;
	struct err err = ERR_INIT;

	if (tz_parse(data, len, &tz, &err) < 0) {
		must(err.msg[0] != '\0');
		return;
	}
	check_zone(c, tz, 1774742400); /* the night of a shift in Europe */
	check_zone(c, tz, -1000000000);
	check_zone(c, tz, 4102444800);
	tz_free(tz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int32_t none[] = { 0 };
	const char *text = (const char *)data;
	const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
	size_t len = end ? (size_t)(end - text) : size, left = size - len;
	struct cron_error error = { 0 };
	struct strbuf sb = STRBUF_INIT;
	struct cron c;

	if (cron_parse(text, len, &c, &error) < 0) {
		must(error.msg[0] != '\0' && error.offset <= len && error.len > 0);
		return 0;
	}
	must(cron_shortest_gap(&c) >= 1 && cron_shortest_gap(&c) <= 1440);
	cron_describe(&c, &sb);
	must(sb.len > 0);
	strbuf_clear(&sb);
	check_utc(&c, 1763719650);
	check_utc(&c, -1);
	if (end && left > 1) {
		const char *footer = end + 1, *stop = memchr(footer, '\n', left - 1);
		size_t footer_len = stop ? (size_t)(stop - footer) : left - 1;
		char rule[128] = "";

		if (footer_len < sizeof(rule))
			memcpy(rule, footer, footer_len);
		if (strlen(rule) == footer_len) {
			tzif_make(&sb, none, 1, NULL, 0, rule);
			check_tz(&c, sb.buf, sb.len);
		}
		if (stop)
			check_tz(&c, stop + 1, (size_t)(text + size - stop - 1));
	}
	strbuf_done(&sb);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Cron expressions: reading them, and finding the next slot. */
#include "workflows/cron.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "workflows/civil.h"

/* 29 February comes at the latest after eight years; a weekday on top needs no more,
 * since day and weekday are alternatives. */
#define SEARCH_DAYS (9 * 366)
/* The year 10000 and then some; nothing overflows within. */
#define TIME_MAX (300000000000LL)

static const char *const month_names[] = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN",
	"JUL", "AUG", "SEP", "OCT", "NOV", "DEC", NULL };
static const char *const weekday_names[] = { "SUN", "MON", "TUE", "WED", "THU", "FRI",
	"SAT", NULL };

enum field_kind { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY };

static const struct field {
	const char *name;
	int min, max;
	const char *const *names; /* of MIN and up; NULL-ended */
} fields[] = {
	[FIELD_MINUTE] = { "minute", 0, 59, NULL },
	[FIELD_HOUR] = { "hour", 0, 23, NULL },
	[FIELD_DAY] = { "day of the month", 1, 31, NULL },
	[FIELD_MONTH] = { "month", 1, 12, month_names },
	[FIELD_WEEKDAY] = { "day of the week", 0, 6, weekday_names },
};

#define FIELDS_LEN 5

/* ---- reading ---- */

struct reader {
	const char *text;
	size_t from, at, end; /* of the field */
	const struct field *field;
	struct cron_error *error;
};

static int __attribute__((format(printf, 4, 5)))
fail(struct cron_error *error, size_t offset, size_t len, const char *fmt, ...)
{
	va_list ap;

	if (!error)
		return -1;
	error->offset = offset;
	error->len = len > 0 ? len : 1;
	va_start(ap, fmt);
	(void)vsnprintf(
		error->msg, sizeof(error->msg), fmt, ap); /* cut if it is too long */
	va_end(ap);
	return -1;
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return upper(c) >= 'A' && upper(c) <= 'Z';
}

static size_t word_len(const struct reader *r)
{
	size_t at = r->at;

	while (at < r->end && (is_digit(r->text[at]) || is_letter(r->text[at])))
		at++;
	return at - r->at;
}

static int find_name(const struct field *f, const char *s, size_t len)
{
	for (int i = 0; f->names && f->names[i]; i++) {
		size_t k = 0;

		while (k < len && f->names[i][k] == upper(s[k]))
			k++;
		if (k == len && f->names[i][k] == '\0')
			return f->min + i;
	}
	return -1;
}

static int read_digits(const char *s, size_t len, int *ret)
{
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!is_digit(s[i]) || n > 9999)
			return -1;
		n = n * 10 + (s[i] - '0');
	}
	*ret = n;
	return len > 0 ? 0 : -1;
}

static int value_missing(struct reader *r)
{
	size_t len = r->end - r->from, bad = r->at < r->end ? r->at : r->end - 1;

	if (r->text[bad] == '?')
		return fail(r->error, bad, 1, "'?' is not taken; write '*' for any %s",
			r->field->name);
	return fail(r->error, bad, 1, "the %s '%.*s' lacks a value", r->field->name,
		(int)(len > 40 ? 40 : len), r->text + r->from);
}

static int read_value(struct reader *r, int *ret)
{
	const char *s = r->text + r->at;
	size_t len = word_len(r), from = r->at;
	int n;

	if (len == 0)
		return value_missing(r);
	r->at += len;
	n = find_name(r->field, s, len);
	if (n < 0 && read_digits(s, len, &n) < 0)
		return fail(r->error, from, len, "'%.*s' is no %s",
			(int)(len > 40 ? 40 : len), s, r->field->name);
	if (n == 7 && r->field == &fields[FIELD_WEEKDAY])
		return fail(r->error, from, len, "Sunday is 0 (or SUN), not 7");
	if (n < r->field->min || n > r->field->max)
		return fail(r->error, from, len, "the %s goes from %d to %d, not to %.*s",
			r->field->name, r->field->min, r->field->max,
			(int)(len > 40 ? 40 : len), s);
	*ret = n;
	return 0;
}

static int read_step(struct reader *r, int *ret)
{
	size_t len, from = ++r->at; /* behind the '/' */

	len = word_len(r);
	if (read_digits(r->text + from, len, ret) < 0)
		return fail(r->error, from - 1, 1, "'/' needs a number behind it");
	r->at += len;
	if (*ret < 1)
		return fail(r->error, from, len, "a step is at least 1");
	return 0;
}

/* One element of a list: `*`, N, N-M, each with /STEP. */
static int read_element(struct reader *r, uint64_t *set)
{
	int first = r->field->min, last = r->field->max, step = 1;
	size_t from = r->at;
	bool is_star = r->at < r->end && r->text[r->at] == '*', is_single = false;

	if (is_star) {
		r->at++;
	} else {
		if (read_value(r, &first) < 0)
			return -1;
		last = first;
		is_single = true;
		if (r->at < r->end && r->text[r->at] == '-') {
			r->at++;
			is_single = false;
			if (read_value(r, &last) < 0)
				return -1;
		}
	}
	if (last < first)
		return fail(r->error, from, r->at - from,
			"the range '%.*s' runs backwards", (int)(r->at - from),
			r->text + from);
	if (r->at < r->end && r->text[r->at] == '/') {
		if (read_step(r, &step) < 0)
			return -1;
		if (is_single) /* 20/15: from 20 to the end */
			last = r->field->max;
	}
	for (int i = first; i <= last; i += step)
		*set |= 1ull << i;
	return 0;
}

static int read_field(struct reader *r, uint64_t *ret)
{
	uint64_t set = 0;

	for (;;) {
		if (read_element(r, &set) < 0)
			return -1;
		if (r->at == r->end)
			break;
		if (r->text[r->at] != ',')
			return fail(r->error, r->at, 1,
				"unexpected '%c' in the %s; a field has "
				"values, '*', and , - / between them",
				r->text[r->at], r->field->name);
		r->at++;
	}
	*ret = set;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int read_shape(
	const char *text, size_t len, struct reader *ret, struct cron_error *error)
{
	size_t n = 0, at = 0;

	while (at < len && is_blank(text[at]))
		at++;
	if (at < len && text[at] == '@')
		return fail(error, at, len - at,
			"'%.*s' is not taken; write the five fields",
			(int)(len - at > 40 ? 40 : len - at), text + at);
	while (at < len) {
		if (n < FIELDS_LEN)
			ret[n].from = ret[n].at = at;
		while (at < len && !is_blank(text[at]))
			at++;
		if (n < FIELDS_LEN)
			ret[n].end = at;
		n++;
		while (at < len && is_blank(text[at]))
			at++;
	}
	if (n != FIELDS_LEN)
		return fail(error, 0, len,
			"a schedule has 5 fields (minute hour day month "
			"weekday), this has %zu%s",
			n, n == FIELDS_LEN + 1 ? "; seconds are not taken" : "");
	return 0;
}

int cron_parse(const char *text, size_t len, struct cron *ret, struct cron_error *error)
{
	struct reader r[FIELDS_LEN] = { 0 };
	uint64_t sets[FIELDS_LEN] = { 0 };
	struct cron c = { 0 };

	if (read_shape(text, len, r, error) < 0)
		return -1;
	for (size_t i = 0; i < FIELDS_LEN; i++) {
		bool is_any = r[i].end - r[i].at == 1 && text[r[i].at] == '*';

		r[i].text = text;
		r[i].field = &fields[i];
		r[i].error = error;
		if (read_field(&r[i], &sets[i]) < 0)
			return -1;
		if (i == FIELD_DAY)
			c.any_day = is_any;
		if (i == FIELD_WEEKDAY)
			c.any_weekday = is_any;
	}
	c.minutes = sets[FIELD_MINUTE];
	c.hours = (uint32_t)sets[FIELD_HOUR];
	c.days = (uint32_t)sets[FIELD_DAY];
	c.months = (uint16_t)sets[FIELD_MONTH];
	c.weekdays = (uint8_t)sets[FIELD_WEEKDAY];
	*ret = c;
	return 0;
}

/* ---- slots ---- */

static bool has_day(const struct cron *c, int64_t days)
{
	int64_t year;
	int month, day;
	bool is_day, is_weekday;

	civil_date(days, &year, &month, &day);
	if (!(c->months >> month & 1))
		return false;
	is_day = c->days >> day & 1;
	is_weekday = c->weekdays >> civil_weekday(days) & 1;
	if (c->any_day || c->any_weekday)
		return is_day && is_weekday; /* `*` is always true */
	return is_day || is_weekday;
}

/* The first minute of the day that is a slot, from FROM on; -1 if there is none. */
static int slot_from(const struct cron *c, int from)
{
	for (int hour = from / 60; hour < 24; hour++) {
		uint64_t left = c->minutes;

		if (!(c->hours >> hour & 1))
			continue;
		if (hour == from / 60)
			left &= ~0ull << from % 60;
		if (left)
			return hour * 60 + __builtin_ctzll(left);
	}
	return -1;
}

/* The smallest step from one member of SET below N to the next; N if there is none. */
static int smallest_step(uint64_t set, int n)
{
	int last = -1, step = n;

	for (int i = 0; i < n; i++) {
		if (!(set >> i & 1))
			continue;
		if (last >= 0 && i - last < step)
			step = i - last;
		last = i;
	}
	return step;
}

int cron_shortest_gap(const struct cron *c)
{
	int first = __builtin_ctzll(c->minutes), last = 63 - __builtin_clzll(c->minutes);
	int within = smallest_step(c->minutes, 60);
	/* Over midnight too, taking it that the next day has slots. */
	int hours = smallest_step(c->hours | (uint64_t)c->hours << 24, 48);
	/* From the last minute of an hour to the first of the next that counts. */
	int across = hours * 60 - last + first;

	return first < last && within < across ? within : across;
}

bool cron_is_never(const struct cron *c)
{
	int64_t start = civil_days(2000, 1, 1);

	for (int64_t day = start; day < start + SEARCH_DAYS; day++)
		if (has_day(c, day))
			return false;
	return true;
}

static int64_t slot_time(const struct tz *tz, int64_t local)
{
	return tz ? tz_first_at(tz, local) : local;
}

int cron_next(const struct cron *c, const struct tz *tz, int64_t after, int64_t *ret)
{
	int64_t local, minute, first_day;

	if (after < -TIME_MAX || after > TIME_MAX)
		return 0;
	local = after + (tz ? tz_offset(tz, after) : 0);
	minute = civil_floor_div(local, 60) + 1;
	first_day = civil_floor_div(minute, 1440);
	/*
	 * Slots up to the present wall clock have run: the first moment that reads a time
	 * never comes later than one that reads it. So the search starts there, and leaves
	 * out what ran already in the hour that clocks repeat.
	 */
	for (int64_t day = first_day; day < first_day + SEARCH_DAYS; day++) {
		int slot = day == first_day ? (int)(minute - day * 1440) : 0;

		if (!has_day(c, day))
			continue;
		while (slot < 1440 && (slot = slot_from(c, slot)) >= 0) {
			int64_t at = slot_time(tz, (day * 1440 + slot) * 60);

			if (at > after) {
				*ret = at;
				return 1;
			}
			slot++;
		}
	}
	return 0;
}

/* ---- in words ---- */

static int count(uint64_t set)
{
	return __builtin_popcountll(set);
}

static int lowest(uint64_t set)
{
	return __builtin_ctzll(set);
}

static void list_set(uint64_t set, const char *const *names, int base, struct strbuf *out)
{
	int left = count(set);

	for (int i = base; i < 60; i++) {
		if (!(set >> i & 1))
			continue;
		left--;
		if (names)
			strbuf_adds(out, names[i - base]);
		else
			strbuf_addf(out, "%d", i);
		strbuf_adds(out, left > 1 ? ", " : left == 1 ? " and " : "");
	}
}

/* The step of a set that runs through the whole of its field, or 0. */
static int even_step(uint64_t set, int size)
{
	int n = count(set);
	uint64_t want = 0;

	if (n < 2 || size % n != 0 || lowest(set) != 0)
		return 0;
	for (int i = 0; i < size; i += size / n)
		want |= 1ull << i;
	return want == set ? size / n : 0;
}

static void describe_time(const struct cron *c, struct strbuf *out)
{
	int minutes = even_step(c->minutes, 60);
	bool every_hour = count(c->hours) == 24;

	if (count(c->minutes) == 1 && count(c->hours) <= 4) {
		int left = count(c->hours);

		strbuf_adds(out, "at ");
		for (int h = 0; h < 24; h++) {
			if (!(c->hours >> h & 1))
				continue;
			left--;
			strbuf_addf(out, "%02d:%02d%s", h, lowest(c->minutes),
				left > 1    ? ", "
				: left == 1 ? " and "
					    : "");
		}
		return;
	}
	if (minutes == 1) {
		strbuf_adds(out, "every minute");
	} else if (minutes > 1) {
		strbuf_addf(out, "every %d minutes", minutes);
	} else {
		strbuf_adds(out, "at minute ");
		list_set(c->minutes, NULL, 0, out);
		if (every_hour)
			strbuf_adds(out, " of every hour");
	}
	if (every_hour)
		return;
	if (even_step(c->hours, 24) > 1) {
		strbuf_addf(out, " every %d hours", even_step(c->hours, 24));
		return;
	}
	strbuf_adds(out, count(c->hours) == 1 ? " of hour " : " of hours ");
	list_set(c->hours, NULL, 0, out);
}

void cron_describe(const struct cron *c, struct strbuf *out)
{
	static const char *const weekdays[] = { "Sunday", "Monday", "Tuesday",
		"Wednesday", "Thursday", "Friday", "Saturday" };
	static const char *const months[] = { "January", "February", "March", "April",
		"May", "June", "July", "August", "September", "October", "November",
		"December" };

	describe_time(c, out);
	if (!c->any_day) {
		strbuf_adds(out, count(c->days) == 1 ? " on day " : " on days ");
		list_set(c->days, NULL, 0, out);
	}
	if (!c->any_weekday && count(c->weekdays) < 7) {
		strbuf_adds(out, c->any_day ? " on " : " or on ");
		list_set(c->weekdays, weekdays, 0, out);
	}
	if (count(c->months) < 12) {
		strbuf_adds(out, " in ");
		list_set(c->months, months, 1, out);
	}
}

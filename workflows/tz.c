/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones: the table of TZif, then the rule of its footer (a POSIX TZ string). */
#include "workflows/tz.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/civil.h"

#define TZ_NAME_MAX   64
#define TZ_TIMES_MAX  8192	  /* the zones there are need under 300 */
#define TZ_OFFSET_MAX (26 * 3600) /* RFC 8536: -25 to 26 hours */

/* When a rule switches: the day by one of three ways to count, and the time on it. */
enum day_kind {
	DAY_JULIAN,    /* Jn: 1-365, 29 February is never counted */
	DAY_OF_YEAR,   /* n: 0-365 */
	DAY_OF_WEEK_N, /* Mm.w.d */
};

struct rule_day {
	enum day_kind kind;
	int day, week, month;
	int32_t time; /* seconds after midnight, -167 to 167 hours */
};

struct tz {
	int64_t *times;
	uint8_t *kinds;
	size_t times_len;
	int32_t offsets[256];
	size_t offsets_len;
	bool has_rule, has_dst;
	int32_t std_offset, dst_offset;
	struct rule_day dst_from, dst_to;
};

/* A stretch of time with one offset: FROM <= t < TO. */
struct stretch {
	int64_t from, to;
	int32_t offset;
};

/* ---- the footer ---- */

struct cursor {
	const char *s;
	const char *end;
};

static bool take(struct cursor *c, char what)
{
	if (c->s == c->end || *c->s != what)
		return false;
	c->s++;
	return true;
}

static int take_number(struct cursor *c, int max, int *ret)
{
	int n = 0;
	const char *from = c->s;

	for (; c->s < c->end && *c->s >= '0' && *c->s <= '9'; c->s++) {
		n = n * 10 + (*c->s - '0');
		if (n > max)
			return -1;
	}
	if (c->s == from)
		return -1;
	*ret = n;
	return 0;
}

/* [+-]hh[:mm[:ss]] */
static int take_time(struct cursor *c, int hours_max, int32_t *ret)
{
	int sign = take(c, '-') ? -1 : (take(c, '+'), 1);
	int h, m = 0, s = 0;

	if (take_number(c, hours_max, &h) < 0)
		return -1;
	if (take(c, ':')) {
		if (take_number(c, 59, &m) < 0)
			return -1;
		if (take(c, ':') && take_number(c, 59, &s) < 0)
			return -1;
	}
	*ret = sign * (h * 3600 + m * 60 + s);
	return 0;
}

/* A name of three letters or more, or <...>; its letters do not matter here. */
static int take_name(struct cursor *c)
{
	const char *from = c->s;

	if (take(c, '<')) {
		while (c->s < c->end && *c->s != '>')
			c->s++;
		return take(c, '>') ? 0 : -1;
	}
	while (c->s < c->end &&
		((*c->s >= 'a' && *c->s <= 'z') || (*c->s >= 'A' && *c->s <= 'Z')))
		c->s++;
	return c->s - from >= 3 ? 0 : -1;
}

static int take_day(struct cursor *c, struct rule_day *ret)
{
	ret->time = 2 * 3600;
	if (take(c, 'M')) {
		ret->kind = DAY_OF_WEEK_N;
		if (take_number(c, 12, &ret->month) < 0 || !take(c, '.') ||
			take_number(c, 5, &ret->week) < 0 || !take(c, '.') ||
			take_number(c, 6, &ret->day) < 0 || ret->month < 1 ||
			ret->week < 1)
			return -1;
	} else {
		ret->kind = take(c, 'J') ? DAY_JULIAN : DAY_OF_YEAR;
		if (take_number(c, 365, &ret->day) < 0 ||
			(ret->kind == DAY_JULIAN && ret->day < 1))
			return -1;
	}
	return take(c, '/') ? take_time(c, 167, &ret->time) : 0;
}

static int rule_parse(struct tz *tz, const char *s, size_t len)
{
	struct cursor c = { s, s + len };

	if (len == 0)
		return 0;
	if (take_name(&c) < 0 || take_time(&c, 25, &tz->std_offset) < 0)
		return -1;
	tz->std_offset = -tz->std_offset; /* POSIX counts westwards */
	tz->has_rule = true;
	if (c.s == c.end)
		return 0;
	tz->dst_offset = tz->std_offset + 3600;
	if (take_name(&c) < 0)
		return -1;
	if (c.s < c.end && *c.s != ',') {
		if (take_time(&c, 25, &tz->dst_offset) < 0)
			return -1;
		tz->dst_offset = -tz->dst_offset;
	}
	if (!take(&c, ',') || take_day(&c, &tz->dst_from) < 0 || !take(&c, ',') ||
		take_day(&c, &tz->dst_to) < 0 || c.s != c.end)
		return -1;
	tz->has_dst = true;
	return 0;
}

static int64_t rule_local(const struct rule_day *r, int64_t year)
{
	int64_t first, day = civil_days(year, 1, 1);

	switch (r->kind) {
	case DAY_JULIAN:
		day += r->day - 1 + (civil_is_leap(year) && r->day >= 60);
		break;
	case DAY_OF_YEAR:
		day += r->day;
		break;
	case DAY_OF_WEEK_N:
		first = civil_days(year, r->month, 1);
		day = first + (r->day - civil_weekday(first) + 7) % 7 + 7 * (r->week - 1);
		if (day >= first + civil_month_days(year, r->month))
			day -= 7; /* week 5 is the last one */
		break;
	}
	return day * 86400 + r->time;
}

/* The stretch of the rule around UTC. */
static struct stretch rule_stretch(const struct tz *tz, int64_t utc)
{
	struct stretch s = { INT64_MIN, INT64_MAX, tz->std_offset };
	int64_t year;

	if (!tz->has_dst)
		return s;
	year = civil_year(utc);
	/*
	 * Switches of the years around; the last before and the first after count. A time
	 * of up to a week moves that of the year before last into the last one.
	 */
	for (int64_t y = year - 2; y <= year + 1; y++) {
		int64_t on = rule_local(&tz->dst_from, y) - tz->std_offset;
		int64_t off = rule_local(&tz->dst_to, y) - tz->dst_offset;

		for (int i = 0; i < 2; i++) {
			int64_t at = i == 0 ? on : off;

			if (at <= utc && at >= s.from) {
				s.from = at;
				s.offset = i == 0 ? tz->dst_offset : tz->std_offset;
			} else if (at > utc && at < s.to) {
				s.to = at;
			}
		}
	}
	return s;
}

/* ---- the table ---- */

static struct stretch stretch_at(const struct tz *tz, int64_t utc)
{
	struct stretch s = { INT64_MIN, INT64_MAX, tz->offsets[0] };
	size_t low = 0, high = tz->times_len;

	while (low < high) { /* low: the first switch after UTC */
		size_t mid = (low + high) / 2;

		if (tz->times[mid] <= utc)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == tz->times_len && tz->has_rule) {
		s = rule_stretch(tz, utc);
		if (low > 0 && s.from < tz->times[low - 1])
			s.from = tz->times[low - 1];
		return s;
	}
	if (low > 0) {
		s.from = tz->times[low - 1];
		s.offset = tz->offsets[tz->kinds[low - 1]];
	}
	if (low < tz->times_len)
		s.to = tz->times[low];
	return s;
}

int32_t tz_offset(const struct tz *tz, int64_t utc)
{
	return stretch_at(tz, utc).offset;
}

int64_t tz_first_at(const struct tz *tz, int64_t local)
{
	struct stretch s = stretch_at(tz, local - TZ_OFFSET_MAX);

	/* Before that moment no clock reads LOCAL yet. */
	for (;;) {
		int64_t at = local - s.offset;

		if (at < s.from)
			at = s.from;
		if (at < s.to)
			return at;
		s = stretch_at(tz, s.to);
	}
}

/* ---- TZif ---- */

struct header {
	uint32_t isut, isstd, leap, time, type, chars;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

#define HEADER_LEN 44

static int header_read(const uint8_t *p, size_t len, struct header *ret, struct err *err)
{
	if (len < HEADER_LEN || memcmp(p, "TZif", 4) != 0)
		return err_set(err, ERR_INPUT, "no TZif data");
	ret->isut = be32(p + 20);
	ret->isstd = be32(p + 24);
	ret->leap = be32(p + 28);
	ret->time = be32(p + 32);
	ret->type = be32(p + 36);
	ret->chars = be32(p + 40);
	if (ret->time > TZ_TIMES_MAX || ret->type == 0 || ret->type > 256 ||
		ret->chars > 4096 || ret->leap > 4096 || ret->isut > 256 ||
		ret->isstd > 256)
		return err_set(err, ERR_INPUT, "impossible counts in TZif data");
	return 0;
}

static size_t body_len(const struct header *h, size_t time_size)
{
	return h->time * (time_size + 1) + h->type * 6 + h->chars +
	       h->leap * (time_size + 4) + h->isstd + h->isut;
}

static int table_read(
	struct tz *tz, const uint8_t *p, const struct header *h, struct err *err)
{
	const uint8_t *kinds = p + (size_t)h->time * 8, *types = kinds + h->time;

	tz->times = xcalloc(h->time + 1, sizeof(*tz->times));
	tz->kinds = xcalloc(h->time + 1, 1);
	tz->times_len = h->time;
	tz->offsets_len = h->type;
	for (uint32_t i = 0; i < h->type; i++) {
		tz->offsets[i] = (int32_t)be32(types + (size_t)i * 6);
		if (tz->offsets[i] < -TZ_OFFSET_MAX || tz->offsets[i] > TZ_OFFSET_MAX)
			return err_set(err, ERR_INPUT, "impossible offset in TZif data");
	}
	for (uint32_t i = 0; i < h->time; i++) {
		tz->times[i] = be64(p + (size_t)i * 8);
		tz->kinds[i] = kinds[i];
		if (kinds[i] >= h->type || (i > 0 && tz->times[i] <= tz->times[i - 1]))
			return err_set(err, ERR_INPUT, "times out of order in TZif data");
	}
	return 0;
}

static int footer_read(struct tz *tz, const uint8_t *p, size_t len, struct err *err)
{
	const uint8_t *end;

	if (len < 2 || p[0] != '\n' || !(end = memchr(p + 1, '\n', len - 1)))
		return err_set(err, ERR_INPUT, "no footer in TZif data");
	if (rule_parse(tz, (const char *)p + 1, (size_t)(end - p - 1)) < 0)
		return err_set(err, ERR_INPUT, "unreadable rule in TZif data");
	return 0;
}

int tz_parse(const void *data, size_t len, struct tz **ret, struct err *err)
{
	_cleanup_(tz_freep) struct tz *tz = xcalloc(1, sizeof(*tz));
	const uint8_t *p = data;
	struct header h;
	size_t skip;

	if (len > LIMIT_TZ_DATA)
		return err_set(err, ERR_LIMIT, "more than %lld bytes of TZif data",
			LIMIT_TZ_DATA);
	if (header_read(p, len, &h, err) < 0)
		return -1;
	if (p[4] < '2')
		return err_set(err, ERR_UNSUPPORTED, "TZif data of version 1");
	skip = HEADER_LEN + body_len(&h, 4); /* the block of version 1 */
	if (skip > len || header_read(p + skip, len - skip, &h, err) < 0)
		return err_set(err, ERR_INPUT, "TZif data ends too early");
	p += skip + HEADER_LEN;
	len -= skip + HEADER_LEN;
	if (body_len(&h, 8) > len)
		return err_set(err, ERR_INPUT, "TZif data ends too early");
	if (table_read(tz, p, &h, err) < 0 ||
		footer_read(tz, p + body_len(&h, 8), len - body_len(&h, 8), err) < 0)
		return -1;
	*ret = take_ptr(tz);
	return 0;
}

void tz_free(struct tz *tz)
{
	if (!tz)
		return;
	free(tz->times);
	free(tz->kinds);
	free(tz);
}

struct tz *tz_utc(void)
{
	return xcalloc(1, sizeof(struct tz)); /* no switches, offset 0 */
}

/* ---- names ---- */

bool tz_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > TZ_NAME_MAX || name[0] == '/' || name[len - 1] == '/')
		return false;
	for (size_t i = 0; i < len; i++) {
		bool is_first = i == 0 || name[i - 1] == '/';
		char c = name[i];

		if (c == '/' ? is_first
			     : !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				       (c >= '0' && c <= '9') || (c && strchr("_+-", c))))
			return false;
	}
	return true;
}

int tz_open(
	const char *name, tz_load_fn *load, void *data, struct tz **ret, struct err *err)
{
	static const char *const utc[] = { "UTC", "Etc/UTC", "Etc/GMT", "GMT", "UCT",
		"Zulu", "Etc/UCT", "Etc/Zulu" };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(utc); i++)
		if (strcmp(utc[i], name) == 0) {
			*ret = tz_utc();
			return 0;
		}
	if (!tz_name_is_valid(name))
		return err_set(err, ERR_INPUT,
			"'%.64s' is not the name of a time zone, such as 'Europe/Berlin'",
			name);
	if (load(name, &sb, err, data) < 0)
		return err_wrap(err, "time zone '%s'", name);
	if (tz_parse(sb.buf, sb.len, ret, err) < 0)
		return err_wrap(err, "time zone '%s'", name);
	return 0;
}

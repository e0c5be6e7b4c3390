/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks and how their readings are written. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t wall_skew_ms; /* tests only, see clock_skew_wall */

static int64_t read_us(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	/* Neither clock can fail on a kernel this program starts on. */
	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000 + wall_skew_ms;
}

int64_t clock_boot_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_boot_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

void clock_skew_wall(int64_t ms)
{
	wall_skew_ms = ms;
}

char *clock_format(int64_t wall_ms, char *buf)
{
	int64_t ms = wall_ms % 1000;
	time_t sec = wall_ms / 1000;
	struct tm tm;
	size_t n;

	if (ms < 0) {
		ms += 1000;
		sec--;
	}
	memset(&tm, 0, sizeof(tm));
	/* Cannot overflow: years of 64-bit milliseconds fit an int. */
	(void)gmtime_r(&sec, &tm);
	(void)snprintf(buf, CLOCK_TEXT_MAX, "%04lld", tm.tm_year + 1900LL);
	n = strlen(buf);
	(void)snprintf(buf + n, CLOCK_TEXT_MAX - n, "-%02u-%02uT%02u:%02u:%02u.%03uZ",
		(unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
		(unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		(unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
	return buf;
}

/* N digits of *S, which moves on; -1 if there are fewer. */
static int take_digits(const char **s, int n)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

/* One of the letters of SET moves *S on. */
static int take_any(const char **s, const char *set)
{
	if (**s == '\0' || !strchr(set, **s))
		return -1;
	(*s)++;
	return 0;
}

static int take_date(const char **s, struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = take_digits(s, 4);
	int month, day, last;

	if (year < 0 || take_any(s, "-") < 0)
		return -1;
	month = take_digits(s, 2);
	if (month < 1 || month > 12 || take_any(s, "-") < 0)
		return -1;
	day = take_digits(s, 2);
	last = days[month - 1];
	if (month == 2 && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0))
		last = 29;
	if (day < 1 || day > last)
		return -1;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return 0;
}

static int take_time(const char **s, struct tm *tm, int *ret_ms)
{
	int scale = 100;

	tm->tm_hour = take_digits(s, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || take_any(s, ":") < 0)
		return -1;
	tm->tm_min = take_digits(s, 2);
	if (tm->tm_min < 0 || tm->tm_min > 59 || take_any(s, ":") < 0)
		return -1;
	tm->tm_sec = take_digits(s, 2);
	if (tm->tm_sec < 0 || tm->tm_sec > 60) /* 60 is a leap second */
		return -1;
	*ret_ms = 0;
	if (**s != '.')
		return 0;
	(*s)++;
	if (**s < '0' || **s > '9')
		return -1;
	for (; **s >= '0' && **s <= '9'; (*s)++, scale /= 10)
		*ret_ms += (**s - '0') * scale;
	return 0;
}

/* "Z", "+02:00", "-0530" as minutes east of UTC. */
static int take_offset(const char **s, int *ret_minutes)
{
	int sign = **s == '-' ? -1 : 1;
	int hours, minutes;

	*ret_minutes = 0;
	if (take_any(s, "Zz") == 0)
		return 0;
	if (take_any(s, "+-") < 0)
		return -1;
	hours = take_digits(s, 2);
	(void)take_any(s, ":"); /* "+0200" is common enough */
	minutes = take_digits(s, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -1;
	*ret_minutes = sign * (hours * 60 + minutes);
	return 0;
}

int clock_parse(const char *s, int64_t *ret_wall_ms)
{
	struct tm tm;
	int ms, offset;

	memset(&tm, 0, sizeof(tm));
	if (take_date(&s, &tm) < 0 || take_any(&s, "Tt ") < 0 ||
		take_time(&s, &tm, &ms) < 0 || take_offset(&s, &offset) < 0 || *s)
		return -1;
	*ret_wall_ms = ((int64_t)timegm(&tm) - offset * 60LL) * 1000 + ms;
	return 0;
}

#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

char *clock_duration(int64_t ms, char *buf)
{
	if (ms < 0)
		ms = 0;
	if (ms < SECOND)
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%lldms", (long long)ms);
	else if (ms < MINUTE)
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%lld.%llds", ms / SECOND,
			ms % SECOND / 100);
	else if (ms < HOUR)
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%lldm%02llds", ms / MINUTE,
			ms % MINUTE / SECOND);
	else if (ms < DAY)
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%lldh%02lldm", ms / HOUR,
			ms % HOUR / MINUTE);
	else
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%lldd", ms / DAY);
	return buf;
}

char *clock_age(int64_t ms, char *buf)
{
	static const struct {
		int64_t unit;
		char letter;
	} units[] = { { DAY, 'd' }, { HOUR, 'h' }, { MINUTE, 'm' } };

	if (ms < 0)
		ms = 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ms < units[i].unit)
			continue;
		(void)snprintf(buf, CLOCK_TEXT_MAX, "%lld%c",
			(long long)(ms / units[i].unit), units[i].letter);
		return buf;
	}
	(void)snprintf(buf, CLOCK_TEXT_MAX, "%llds", (long long)(ms / SECOND));
	return buf;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Days and dates of the Gregorian calendar, for any year; no time zone is involved. */
#ifndef WORKFLOWS_CIVIL_H
#define WORKFLOWS_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

static inline int64_t civil_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static inline bool civil_is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static inline int civil_month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && civil_is_leap(year));
}

/* Days from 1970-01-01 to the date. */
int64_t civil_days(int64_t year, int month, int day);
/* The date of a number of days. */
void civil_date(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);
int civil_weekday(int64_t days);     /* 0 is Sunday */
int64_t civil_year(int64_t seconds); /* of a count of seconds */

#endif

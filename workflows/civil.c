/* SPDX-License-Identifier: Apache-2.0 */
/* Calendar arithmetic over years that begin in March, so that leap days come last. */
#include "workflows/civil.h"

int64_t civil_days(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = civil_floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void civil_date(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	int64_t shifted = days + 719468;
	int64_t era = civil_floor_div(shifted, 146097), of_era = shifted - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int m = (int)((5 * of_year + 2) / 153);

	*ret_day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*ret_month = m < 10 ? m + 3 : m - 9;
	*ret_year = era * 400 + y + (*ret_month <= 2);
}

int civil_weekday(int64_t days)
{
	int64_t n = (days + 4) % 7; /* 1970-01-01 was a Thursday */

	return (int)(n < 0 ? n + 7 : n);
}

int64_t civil_year(int64_t seconds)
{
	int64_t year;
	int month, day;

	civil_date(civil_floor_div(seconds, 86400), &year, &month, &day);
	return year;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `schedule` expressions: five fields (minute hour day month weekday), each a list of
 * values, ranges and steps; names for months and weekdays; 0-6 for Sunday to Saturday.
 * Not taken: `@daily` and its kin, seconds, `?`, `L`, `W`, `#`. When day and weekday are
 * both restricted, either suffices.
 *
 * A slot is a minute of the wall clock in the zone given. Each slot runs at most once (the
 * first time, when clocks go back); slots that clocks skip run together at the shift.
 */
#ifndef WORKFLOWS_CRON_H
#define WORKFLOWS_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "workflows/tz.h"

struct cron {
	uint64_t minutes; /* bit N: minute N */
	uint32_t hours;	  /* bit N: hour N */
	uint32_t days;	  /* bit N: day N, from 1 */
	uint16_t months;  /* bit N: month N, from 1 */
	uint8_t weekdays; /* bit N: weekday N, 0 is Sunday */
	bool any_day;	  /* the field is `*` */
	bool any_weekday;
};

struct cron_error {
	size_t offset; /* byte in the text */
	size_t len;
	char msg[ERR_MSG_MAX];
};

int cron_parse(const char *text, size_t len, struct cron *ret, struct cron_error *error);

/* GitHub runs nothing more often: a shorter gap is worth a word to the author. */
#define CRON_GRAIN_MINUTES 5
/* The shortest time between two slots, in minutes (up to a day: 1440). */
int cron_shortest_gap(const struct cron *c);
/* The days named exist in no month named (31 February). */
bool cron_is_never(const struct cron *c);

/* The first run after AFTER (seconds, UTC): 1 with *RET, or 0 for none. TZ NULL: UTC. */
int cron_next(const struct cron *c, const struct tz *tz, int64_t after, int64_t *ret);

/* "at 05:30 on Monday", "every 15 minutes"...; best effort, appended to OUT. */
void cron_describe(const struct cron *c, struct strbuf *out);

#endif

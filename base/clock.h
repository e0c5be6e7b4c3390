/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two clocks, never mixed: wall (UTC, milliseconds since 1970) for what a person or the
 * database sees, boot (CLOCK_BOOTTIME, milliseconds) for timeouts. Tests may set both.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_boot_ms(void);
int64_t clock_boot_us(void); /* microseconds, for measuring */
/* Tests: add to the wall clock from now on (0 = the true one); this process only. */
void clock_skew_wall(int64_t ms);

#define CLOCK_TEXT_MAX 32
/* RFC 3339 UTC, "2026-05-14T12:02:03.004Z", into BUF of CLOCK_TEXT_MAX; returns BUF. */
char *clock_format(int64_t wall_ms, char *buf);
/* The reverse, with any offset and any number of fraction digits; 0 or -1. */
int clock_parse(const char *s, int64_t *ret_wall_ms);
/* Durations as people read them: "40ms" "9.8s" "1m04s" "2h05m" "6d"; returns BUF. */
char *clock_duration(int64_t ms, char *buf);
/* Ages as lists show them: "20s" "16m" "2h" "6d"; returns BUF. */
char *clock_age(int64_t ms, char *buf);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A time zone out of TZif bytes (RFC 8536, version 2 and up, with the rule in the footer
 * for times after the table). The bytes come through a callback, so this reads no file.
 * Times are seconds since 1970, UTC; "local" is the same count as a wall clock reads it.
 */
#ifndef WORKFLOWS_TZ_H
#define WORKFLOWS_TZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/strbuf.h"

struct tz;

#define TZ_DATA_MAX LIMIT_TZ_DATA /* what a tz_load_fn may append */

/* Appends the TZif bytes of the zone NAME to OUT; -1 with *ERR (ERR_NOT_FOUND). */
typedef int tz_load_fn(const char *name, struct strbuf *out, struct err *err, void *data);

/* "Europe/Berlin" as a name: parts of [A-Za-z0-9_+-], none led by '.'. */
bool tz_name_is_valid(const char *name);
/* "UTC" and its kin need no LOAD. ERR_INPUT names the zone. */
int tz_open(
	const char *name, tz_load_fn *load, void *data, struct tz **ret, struct err *err);
int tz_parse(const void *data, size_t len, struct tz **ret, struct err *err);
struct tz *tz_utc(void);
void tz_free(struct tz *tz); /* NULL is fine */
DEFINE_CLEANUP(struct tz, tz_free);

/* Seconds to add to UTC to get local time at UTC. */
int32_t tz_offset(const struct tz *tz, int64_t utc);
/*
 * The first moment at which the wall clock reads LOCAL or later: the first of two when
 * clocks go back, the shift itself for a time that clocks skip.
 */
int64_t tz_first_at(const struct tz *tz, int64_t local);

#endif

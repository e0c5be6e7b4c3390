/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failed jobs whose files were put aside (held/JOB-TRY) for a while, and job logs past
 * their time. A row goes before the files it speaks of: `removed_at` is set, and whoever
 * finds files of such a row removes them again.
 */
#ifndef STORE_HOLDS_H
#define STORE_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "store/audit.h"
#include "store/store.h"

struct hold_new {
	int64_t job;
	int64_t try;
	int64_t step; /* the one that failed, -1 unknown */
	int64_t files;
	int64_t bytes;
	const struct json *removed; /* paths that held a secret and were left out */
	int64_t expires_at;
};
/*
 * ERR_DENIED unless the job is a completed failure of a trusted run and TRY its last try.
 * A job that has a row already keeps it: 0.
 */
int holds_add(struct store *s, const struct hold_new *h, struct err *err);

enum hold_state {
	HOLD_EARLY,   /* its job has not ended as far as this store knows */
	HOLD_UNKNOWN, /* no row, but its job is one that may be held */
	HOLD_REFUSED, /* nor may it be */
	HOLD_KEPT,
	HOLD_REMOVED,
};
/* What to think of held/JOB-TRY. */
int holds_state(
	struct store *s, int64_t job, int64_t try, enum hold_state *ret, struct err *err);

struct hold_row {
	int64_t job, try, run, bytes, expires_at;
};
/* Those that are kept, the first to expire first; the count, or -1. */
int holds_list(struct store *s, struct hold_row *ret, size_t max, struct err *err);
/* Of one job; ERR_NOT_FOUND. */
int holds_get(struct store *s, int64_t job, struct hold_row *ret, struct err *err);
/* WHY: "expired", "the disk is short" ... Audited. */
int holds_remove(struct store *s, int64_t job, const char *why, const struct actor *who,
	struct err *err);
/* A fact about a job for its page: why it is not held. */
int holds_note(struct store *s, int64_t job, const char *why, struct err *err);

/* ---- logs -------------------------------------------------------------------------- */

struct log_row {
	int64_t job, tries, size;
};
/*
 * Completed jobs older than BEFORE whose logs are still there, except those of
 * deployments; the count, or -1.
 */
int logs_due(struct store *s, int64_t before, struct log_row *ret, size_t max,
	struct err *err);
/* How many deployments keep theirs for that. */
int logs_deployed(struct store *s, int64_t *ret, struct err *err);
int logs_removed(struct store *s, int64_t job, struct err *err);

#endif

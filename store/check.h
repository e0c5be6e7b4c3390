/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice check`: the invariants I1 to I12 as SQL with words, the audit chain, and what
 * SQLite itself checks. Read-only; works on a serving store.
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct check_finding {
	const char *id;	  /* "I6", "audit", "database" */
	const char *text; /* one line, words for people; lives during the call */
};
typedef void check_finding_fn(const struct check_finding *f, void *data);

struct check_summary {
	int64_t runs;
	int64_t jobs;
	int64_t audit_rows;
	int64_t broken; /* invariants with at least one finding */
	int invariants;
};

enum check_flags {
	CHECK_QUICK =
		1 << 0, /* quick_check instead of integrity_check; for every start */
};

/* At most LIMIT_CHECK_FINDINGS of each invariant are reported. 0 even if some are broken. */
#define LIMIT_CHECK_FINDINGS 20
int store_check(struct store *s, enum check_flags flags, check_finding_fn *fn, void *data,
	struct check_summary *ret, struct err *err);

/* The table itself, for documentation and tests: NULL after the last. */
const char *check_invariant_id(int i);
const char *check_invariant_text(int i);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by mask.c (values, streams), mask_forms.c (the spellings of a value) and
 * mask_scan.c (finding patterns in bytes).
 */
#ifndef EXECUTOR_MASK_INTERNAL_H
#define EXECUTOR_MASK_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Called for every pattern of a value; may be called twice with the same bytes. */
typedef void mask_form_fn(const char *pattern, size_t len, void *ctx);

/* VALUE is trimmed and not empty. Patterns under LIMIT_MASK_MIN are left out. */
void mask_forms(const char *value, size_t len, mask_form_fn *fn, void *ctx);

struct mask_scan;

struct mask_scan *mask_scan_new(void);
void mask_scan_free(struct mask_scan *s);
DEFINE_CLEANUP(struct mask_scan, mask_scan_free);
/* LEN in [4, MASK_PIECE]. IS_NEXT: the piece of a long value that follows another piece. */
void mask_scan_add(struct mask_scan *s, const char *pattern, size_t len, bool is_next);
size_t mask_scan_patterns(const struct mask_scan *s);
size_t mask_scan_bytes(const struct mask_scan *s);

struct mask_hit {
	size_t at;  /* where it starts; the text's length when there is none */
	size_t len; /* 0: none, or undecided when at < the text's length */
	bool is_next;
};

/* One walk over one text; start with zeroes. */
struct mask_cursor {
	size_t work;		   /* bucket steps so far */
	size_t flat_from, flat_to; /* positions the automaton has decided */
};

/*
 * The leftmost-longest match at or after FROM. IS_END false: more text may follow, and
 * hit.at < LEN with hit.len 0 says that everything before hit.at is decided and the rest
 * is not. A cursor serves one text, from front to back, without another scan between.
 */
struct mask_hit mask_scan_next(struct mask_scan *s, const char *text, size_t len,
	size_t from, bool is_end, struct mask_cursor *cur);

/* Tests and the bench: use the automaton from the first byte on. */
void mask_scan_force_flat(struct mask_scan *s, bool on);

#endif

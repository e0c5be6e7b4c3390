/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names without case and a number for each, in constant time: for lists that a stranger
 * makes long (jobs, ids, inputs, outputs), where a walk for each name would cost the
 * square. It lives in an arena. Where a name lies depends on an address, so that no file
 * can be written whose names all fall into one place; what is found does not.
 */
#ifndef WORKFLOWS_NAMES_H
#define WORKFLOWS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct name_entry {
	const char *name; /* lent */
	uint32_t hash;
	uint32_t value;
};

struct names {
	struct name_entry *entries; /* in the arena */
	size_t cap, len;
	uint32_t seed;
};
#define NAMES_INIT            \
	{                     \
		NULL, 0, 0, 0 \
	}

/* Makes room for MAX names at once. */
void names_reserve(struct names *n, struct arena *arena, size_t max);
/* The entry of NAME, which is added with VALUE when it is new (RET_IS_NEW may be NULL). */
struct name_entry *names_add(struct names *n, struct arena *arena, const char *name,
	uint32_t value, bool *ret_is_new);
/* NAME of LEN bytes; NULL when it is not there. */
struct name_entry *names_find(const struct names *n, const char *name, size_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, at most half full. */
#include "workflows/names.h"

#include <string.h>
#include <strings.h>

static uint32_t hash_of(const struct names *n, const char *name, size_t len)
{
	uint32_t h = 2166136261u ^ n->seed;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		h = (h ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 16777619u;
	}
	h ^= h >> 15;
	return h * 0x2c1b3c6du;
}

/* The entry of NAME, or the free one for it. */
static struct name_entry *entry_of(
	const struct names *n, const char *name, size_t len, uint32_t hash)
{
	for (size_t i = hash >> 7;; i++) {
		struct name_entry *e = &n->entries[i & (n->cap - 1)];

		if (!e->name ||
			(e->hash == hash && strncasecmp(e->name, name, len) == 0 &&
				e->name[len] == '\0'))
			return e;
	}
}

static void grow(struct names *n, struct arena *arena, size_t cap)
{
	struct names bigger = { .cap = cap, .len = n->len };

	bigger.entries = arena_alloc(arena, bigger.cap * sizeof(*bigger.entries));
	bigger.seed = n->cap ? n->seed : (uint32_t)((uintptr_t)bigger.entries >> 4);
	for (size_t i = 0; i < n->cap; i++) {
		const struct name_entry *e = &n->entries[i];

		if (e->name)
			*entry_of(&bigger, e->name, strlen(e->name), e->hash) = *e;
	}
	*n = bigger;
}

void names_reserve(struct names *n, struct arena *arena, size_t max)
{
	size_t cap = n->cap ? n->cap : 16;

	while (cap < 2 * max)
		cap *= 2;
	if (cap > n->cap)
		grow(n, arena, cap);
}

struct name_entry *names_add(struct names *n, struct arena *arena, const char *name,
	uint32_t value, bool *ret_is_new)
{
	size_t len = strlen(name);
	struct name_entry *e;
	uint32_t hash;
	bool is_new;

	if (n->len * 2 >= n->cap)
		grow(n, arena, n->cap ? n->cap * 2 : 16);
	hash = hash_of(n, name, len);
	e = entry_of(n, name, len, hash);
	is_new = !e->name;
	if (is_new) {
		*e = (struct name_entry){ name, hash, value };
		n->len++;
	}
	if (ret_is_new)
		*ret_is_new = is_new;
	return e;
}

struct name_entry *names_find(const struct names *n, const char *name, size_t len)
{
	struct name_entry *e =
		n->cap ? entry_of(n, name, len, hash_of(n, name, len)) : NULL;

	return e && e->name ? e : NULL;
}

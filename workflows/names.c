/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, at most half full. */
#include "workflows/names.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slot {
	const char *name; /* NULL: free */
	uint32_t len, hash;
	size_t at;
};

struct names {
	struct slot *slots;
	size_t mask, room;
	uint32_t seed;
};

struct names *names_new(struct arena *a, size_t max)
{
	struct names *n = arena_alloc(a, sizeof(*n));
	size_t size = 8;

	while (size < 2 * max)
		size *= 2;
	n->slots = arena_alloc(a, size * sizeof(*n->slots));
	n->mask = size - 1;
	n->room = max;
	n->seed = (uint32_t)((uintptr_t)n->slots >> 4);
	return n;
}

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

/* The slot that holds NAME, or the free one for it. */
static struct slot *slot_of(
	const struct names *n, const char *name, size_t len, uint32_t hash)
{
	for (size_t i = hash >> 7;; i++) {
		struct slot *s = &n->slots[i & n->mask];

		if (!s->name || (s->hash == hash && s->len == len &&
					strncasecmp(s->name, name, len) == 0))
			return s;
	}
}

bool names_add(struct names *n, const char *name, size_t at)
{
	size_t len = strlen(name);
	uint32_t hash = hash_of(n, name, len);
	struct slot *s = slot_of(n, name, len, hash);

	if (s->name)
		return false;
	assert(n->room > 0);
	n->room--;
	*s = (struct slot){ name, (uint32_t)len, hash, at };
	return true;
}

size_t names_find(const struct names *n, const char *name, size_t len)
{
	const struct slot *s;

	if (!n)
		return NAMES_NONE;
	s = slot_of(n, name, len, hash_of(n, name, len));
	return s->name ? s->at : NAMES_NONE;
}

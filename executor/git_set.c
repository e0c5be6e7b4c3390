/* SPDX-License-Identifier: Apache-2.0 */
/* A set of object ids that keeps the order they came in. */
#include <string.h>

#include "base/mem.h"
#include "executor/git-internal.h"

struct git_set {
	git_oid *ids;
	size_t len, cap;
	uint32_t *slots; /* open addressing, index + 1 */
	size_t size;
};

struct git_set *git_set_new(void)
{
	return xcalloc(1, sizeof(struct git_set));
}

void git_set_free(struct git_set *s)
{
	if (!s)
		return;
	free(s->ids);
	free(s->slots);
	free(s);
}

static uint32_t *slot_of(const struct git_set *s, const git_oid *oid)
{
	size_t at;

	memcpy(&at, oid->id, sizeof(at)); /* it is a hash already */
	for (at &= s->size - 1;; at = (at + 1) & (s->size - 1)) {
		if (s->slots[at] == 0 || git_oid_equal(&s->ids[s->slots[at] - 1], oid))
			return &s->slots[at];
	}
}

bool git_set_has(const struct git_set *s, const git_oid *oid)
{
	return s->size > 0 && *slot_of(s, oid) != 0;
}

static void grow(struct git_set *s)
{
	if (s->size >= 2 * (s->len + 1))
		return;
	s->size = s->size ? s->size * 4 : 64;
	free(s->slots);
	s->slots = xcalloc(s->size, sizeof(*s->slots));
	for (size_t i = 0; i < s->len; i++)
		*slot_of(s, &s->ids[i]) = (uint32_t)i + 1;
}

bool git_set_add(struct git_set *s, const git_oid *oid)
{
	uint32_t *slot;

	grow(s);
	slot = slot_of(s, oid);
	if (*slot != 0)
		return false;
	GROW(s->ids, s->cap, s->len + 1);
	s->ids[s->len++] = *oid;
	*slot = (uint32_t)s->len;
	return true;
}

size_t git_set_len(const struct git_set *s)
{
	return s->len;
}

const git_oid *git_set_at(const struct git_set *s, size_t i)
{
	return &s->ids[i];
}

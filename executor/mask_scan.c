/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the leftmost-longest of many byte patterns. Two engines with one answer:
 *
 * Wu-Manber. A window as long as the shortest pattern (at most WINDOW_MAX) slides over the
 * text; a table says for the last four bytes of the window how far it may jump. Most
 * bytes are never looked at. Its weak spot are texts full of near misses.
 *
 * The automaton (Aho-Corasick over the reversed patterns, run backwards over a stretch):
 * its state at a position knows the longest pattern that begins there, so one pass back
 * and one pass forth decide the stretch at a flat cost. Built when the first engine has
 * spent its budget, kept until a pattern is added.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/mask-internal.h"
#include "executor/mask.h"

#define BLOCK	       4 /* bytes of text that index the jump table */
#define WINDOW_MAX     32
#define NARROW	       8 /* windows below this are scanned place by place */
#define SHIFT_BITS_MIN 12
#define SHIFT_BITS_MAX 20
#define NONE	       UINT32_MAX
#define STRETCH	       (32 * 1024) /* positions the automaton decides at a time */
#define WORK_PER_BYTE  4 /* bucket steps per byte before the automaton takes over */
#define WORK_FREE      4096

_Static_assert(LIMIT_MASK_MIN >= BLOCK, "a pattern is at least one block long");

struct pattern {
	size_t at;	    /* in bytes */
	uint32_t next;	    /* of its bucket, longest first */
	uint32_t head_next; /* of its first-four-bytes chain */
	uint16_t len;
	bool is_next;
};

struct node {
	uint32_t child; /* children are adjacent */
	uint32_t fail;
	uint16_t children;
	uint16_t longest; /* longest pattern that ends here, also by the failure links */
	uint8_t label;
	bool is_next;
};

struct automaton {
	struct node *nodes;
	size_t len, cap;
	uint32_t root[256];
};

struct mask_scan {
	unsigned char *bytes;
	size_t bytes_len, bytes_cap;
	struct pattern *patterns;
	size_t len, cap;
	uint32_t *known; /* open addressing by content */
	size_t known_size;

	/* Wu-Manber; valid for INDEXED patterns and WINDOW. */
	size_t indexed;
	size_t window;
	unsigned bits;
	uint8_t *shift;
	uint32_t *bucket;   /* by first and last block of the window */
	uint32_t *head;	    /* by first block, for what is undecided at the end */
	unsigned head_bits; /* of both */
	uint8_t first[256 / 8];
	uint8_t first2[65536 / 8];
	uint8_t third[256 / 8];
	size_t longest;

	struct automaton *flat; /* NULL: to be built */
	uint16_t *starts;	/* STRETCH: the pattern that begins there */
	uint8_t *starts_next;
	bool is_forced;
};

struct mask_scan *mask_scan_new(void)
{
	struct mask_scan *s = xcalloc(1, sizeof(*s));

	s->window = WINDOW_MAX;
	return s;
}

static void automaton_free(struct automaton *a)
{
	if (!a)
		return;
	mem_wipe_free(a->nodes, a->len * sizeof(*a->nodes));
	free(a);
}

void mask_scan_free(struct mask_scan *s)
{
	if (!s)
		return;
	mem_wipe_free(s->bytes, s->bytes_len);
	free(s->patterns);
	free(s->known);
	free(s->shift);
	free(s->bucket);
	free(s->head);
	free(s->starts);
	free(s->starts_next);
	automaton_free(s->flat);
	free(s);
}

size_t mask_scan_patterns(const struct mask_scan *s)
{
	return s->len;
}

size_t mask_scan_bytes(const struct mask_scan *s)
{
	return s->bytes_len;
}

void mask_scan_force_flat(struct mask_scan *s, bool on)
{
	s->is_forced = on;
}

static uint32_t load(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t hash(uint32_t v, unsigned bits)
{
	return v * 2654435761u >> (32 - bits);
}

static uint32_t hash2(uint32_t a, uint32_t b, unsigned bits)
{
	return (a * 2654435761u ^ b * 2246822519u) * 2654435761u >> (32 - bits);
}

static const unsigned char *bytes_of(const struct mask_scan *s, const struct pattern *p)
{
	return s->bytes + p->at;
}

/* ---- the set ---- */

static size_t content_hash(const char *p, size_t len)
{
	uint64_t h = 1469598103934665603ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 1099511628211ull;
	return (size_t)(h ^ h >> 29);
}

/* The slot of the pattern, or the empty one where it belongs. */
static uint32_t *known_slot(struct mask_scan *s, const char *p, size_t len)
{
	size_t i = content_hash(p, len) & (s->known_size - 1);

	for (;; i = (i + 1) & (s->known_size - 1)) {
		const struct pattern *have;

		if (s->known[i] == NONE)
			return &s->known[i];
		have = &s->patterns[s->known[i]];
		if (have->len == len && memcmp(bytes_of(s, have), p, len) == 0)
			return &s->known[i];
	}
}

static void known_grow(struct mask_scan *s)
{
	if (s->known_size >= 2 * (s->len + 1))
		return;
	s->known_size = s->known_size ? s->known_size * 4 : 64;
	s->known = xreallocarray(s->known, s->known_size, sizeof(*s->known));
	memset(s->known, 0xff, s->known_size * sizeof(*s->known));
	for (size_t i = 0; i < s->len; i++) {
		const struct pattern *p = &s->patterns[i];

		*known_slot(s, (const char *)bytes_of(s, p), p->len) = (uint32_t)i;
	}
}

/* Grown by hand: realloc would leave a copy of secrets behind. */
static void bytes_reserve(struct mask_scan *s, size_t extra)
{
	size_t cap = s->bytes_cap ? s->bytes_cap : 4096;
	unsigned char *grown;

	if (s->bytes_len + extra <= s->bytes_cap)
		return;
	while (cap < s->bytes_len + extra)
		cap *= 2;
	grown = xmalloc(cap);
	if (s->bytes_len > 0)
		memcpy(grown, s->bytes, s->bytes_len);
	mem_wipe_free(s->bytes, s->bytes_len);
	s->bytes = grown;
	s->bytes_cap = cap;
}

void mask_scan_add(struct mask_scan *s, const char *pattern, size_t len, bool is_next)
{
	uint32_t *slot;

	assert(len >= BLOCK && len <= MASK_PIECE);
	known_grow(s);
	slot = known_slot(s, pattern, len);
	if (*slot != NONE) {
		struct pattern *have = &s->patterns[*slot];

		if (have->is_next && !is_next) {
			have->is_next = false;
			automaton_free(take_ptr(s->flat));
		}
		return;
	}
	*slot = (uint32_t)s->len;
	bytes_reserve(s, len);
	memcpy(s->bytes + s->bytes_len, pattern, len);
	GROW(s->patterns, s->cap, s->len + 1);
	s->patterns[s->len++] = (struct pattern){ .at = s->bytes_len,
		.next = NONE,
		.head_next = NONE,
		.len = (uint16_t)len,
		.is_next = is_next };
	s->bytes_len += len;
	automaton_free(take_ptr(s->flat));
}

/* ---- Wu-Manber ---- */

static void index_one(struct mask_scan *s, size_t i)
{
	struct pattern *p = &s->patterns[i];
	const unsigned char *b = bytes_of(s, p);
	size_t last = s->window - BLOCK;
	uint32_t *at = &s->bucket[hash2(load(b), load(b + last), s->head_bits)];
	uint32_t *head = &s->head[hash(load(b), s->head_bits)];

	for (size_t j = 0; j <= last; j++) {
		uint8_t *shift = &s->shift[hash(load(b + j), s->bits)];

		if (*shift > last - j)
			*shift = (uint8_t)(last - j);
	}
	while (*at != NONE && s->patterns[*at].len > p->len)
		at = &s->patterns[*at].next;
	p->next = *at;
	*at = (uint32_t)i;
	p->head_next = *head;
	*head = (uint32_t)i;
	s->first[b[0] >> 3] |= (uint8_t)(1u << (b[0] & 7));
	s->first2[b[0] << 5 | b[1] >> 3] |= (uint8_t)(1u << (b[1] & 7));
	s->third[b[2] >> 3] |= (uint8_t)(1u << (b[2] & 7));
	if (p->len > s->longest)
		s->longest = p->len;
}

static unsigned bits_for(size_t entries)
{
	unsigned bits = SHIFT_BITS_MIN;

	while (bits < SHIFT_BITS_MAX && ((size_t)1 << bits) < entries)
		bits++;
	return bits;
}

static void index_reset(
	struct mask_scan *s, size_t window, unsigned bits, unsigned head_bits)
{
	size_t n = (size_t)1 << bits, heads = (size_t)1 << head_bits;

	s->window = window;
	s->bits = bits;
	s->head_bits = head_bits;
	s->shift = xreallocarray(s->shift, n, sizeof(*s->shift));
	memset(s->shift, (int)(window - BLOCK + 1), n);
	s->bucket = xreallocarray(s->bucket, heads, sizeof(*s->bucket));
	memset(s->bucket, 0xff, heads * sizeof(*s->bucket));
	s->head = xreallocarray(s->head, heads, sizeof(*s->head));
	memset(s->head, 0xff, heads * sizeof(*s->head));
	s->indexed = 0;
}

/* Takes new patterns into the tables; from the start when the window or the size changes. */
static void index_patterns(struct mask_scan *s)
{
	size_t window = s->window;
	unsigned bits, head_bits;

	if (s->indexed == s->len)
		return;
	for (size_t i = s->indexed; i < s->len; i++) {
		if (s->patterns[i].len < window)
			window = s->patterns[i].len;
	}
	bits = bits_for(s->len * (window - BLOCK + 1) * (window < NARROW ? 64 : 4));
	head_bits = bits_for(s->len * 2);
	if (!s->shift || window != s->window || bits > s->bits ||
		head_bits > s->head_bits)
		index_reset(s, window, bits, head_bits);
	for (; s->indexed < s->len; s->indexed++)
		index_one(s, s->indexed);
}

/* What the window at AT holds. hit.at is AT for a match or an undecided place, else LEN. */
static struct mask_hit look(const struct mask_scan *s, const unsigned char *text,
	size_t len, size_t at, bool is_end, size_t *work)
{
	const unsigned char *t = text + at;
	size_t left = len - at;
	uint32_t i = s->bucket[hash2(load(t), load(t + s->window - BLOCK), s->head_bits)];

	for (; i != NONE; i = s->patterns[i].next) {
		const struct pattern *p = &s->patterns[i];
		size_t n = p->len < left ? p->len : left;

		*work += 1 + n / 16;
		if (memcmp(bytes_of(s, p), t, n) != 0)
			continue;
		if (n == p->len)
			return (struct mask_hit){ at, n, p->is_next };
		if (!is_end)
			return (struct mask_hit){ at, 0, false };
	}
	return (struct mask_hit){ len, 0, false };
}

/* Whether the LEFT bytes at T, fewer than a window, begin a pattern. */
static bool begins(
	const struct mask_scan *s, const unsigned char *t, size_t left, size_t *work)
{
	if (!(s->first[t[0] >> 3] & 1u << (t[0] & 7)))
		return false;
	if (left == 1)
		return true;
	if (!(s->first2[t[0] << 5 | t[1] >> 3] & 1u << (t[1] & 7)))
		return false;
	if (left < BLOCK) /* perhaps: holding three bytes too long does no harm */
		return left == 2 || (s->third[t[2] >> 3] & 1u << (t[2] & 7));
	for (uint32_t i = s->head[hash(load(t), s->head_bits)]; i != NONE;
		i = s->patterns[i].head_next) {
		const struct pattern *p = &s->patterns[i];

		*work += 1;
		if (p->len > left && memcmp(bytes_of(s, p), t, left) == 0)
			return true;
	}
	return false;
}

/* ---- the automaton ---- */

struct range {
	uint32_t lo, hi; /* of the sorted patterns */
	uint32_t node;
};

struct sort_key {
	const unsigned char *last; /* the pattern's last byte */
	uint32_t len;
	uint32_t index;
};

static int compare_reversed(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	uint32_t n = x->len < y->len ? x->len : y->len;

	for (uint32_t i = 0; i < n; i++) {
		if (x->last[-(ptrdiff_t)i] != y->last[-(ptrdiff_t)i])
			return x->last[-(ptrdiff_t)i] < y->last[-(ptrdiff_t)i] ? -1 : 1;
	}
	return x->len < y->len ? -1 : x->len > y->len;
}

static uint32_t automaton_node(struct automaton *a, uint8_t label)
{
	GROW(a->nodes, a->cap, a->len + 1);
	a->nodes[a->len] = (struct node){ .label = label };
	return (uint32_t)a->len++;
}

static uint32_t child_of(const struct automaton *a, uint32_t at, uint8_t c)
{
	const struct node *n = &a->nodes[at];

	if (at == 0)
		return a->root[c];
	for (uint32_t i = n->child; i < n->child + n->children; i++) {
		if (a->nodes[i].label == c)
			return i;
	}
	return 0;
}

static uint32_t step(const struct automaton *a, uint32_t at, uint8_t c)
{
	for (;;) {
		uint32_t next = child_of(a, at, c);

		if (next || at == 0)
			return next;
		at = a->nodes[at].fail;
	}
}

/* Gives NODE one child for each byte found at DEPTH in KEYS; pushes their ranges. */
static void automaton_children(struct automaton *a, const struct mask_scan *s,
	const struct sort_key *keys, struct range r, uint32_t depth, struct range **queue,
	size_t *queue_len, size_t *queue_cap)
{
	uint32_t i = r.lo;

	while (i < r.hi &&
		keys[i].len == depth) { /* patterns are distinct: at most one */
		a->nodes[r.node].longest = (uint16_t)depth;
		a->nodes[r.node].is_next = s->patterns[keys[i].index].is_next;
		i++;
	}
	a->nodes[r.node].child = (uint32_t)a->len;
	while (i < r.hi) {
		uint8_t c = keys[i].last[-(ptrdiff_t)depth];
		uint32_t lo = i;
		uint32_t node = automaton_node(a, c);

		while (i < r.hi && keys[i].last[-(ptrdiff_t)depth] == c)
			i++;
		a->nodes[r.node].children++;
		GROW(*queue, *queue_cap, *queue_len + 1);
		(*queue)[(*queue_len)++] = (struct range){ lo, i, node };
		if (r.node == 0)
			a->root[c] = node;
	}
}

/* Breadth first, so a failure link always points to a finished node. */
static void automaton_link(struct automaton *a)
{
	for (uint32_t n = 0; n < a->len; n++) {
		for (uint32_t i = a->nodes[n].child;
			i < a->nodes[n].child + a->nodes[n].children; i++) {
			struct node *c = &a->nodes[i];
			const struct node *f;

			c->fail = n == 0 ? 0 : step(a, a->nodes[n].fail, c->label);
			f = &a->nodes[c->fail];
			if (c->longest == 0) {
				c->longest = f->longest;
				c->is_next = f->is_next;
			}
		}
	}
}

static struct automaton *automaton_new(const struct mask_scan *s)
{
	struct automaton *a = xcalloc(1, sizeof(*a));
	_cleanup_free_ struct sort_key *keys = xcalloc(s->len, sizeof(*keys));
	_cleanup_free_ struct range *queue = NULL;
	size_t queue_len = 0, queue_cap = 0, level_end;
	uint32_t depth = 0;

	for (size_t i = 0; i < s->len; i++) {
		const struct pattern *p = &s->patterns[i];

		keys[i] = (struct sort_key){ bytes_of(s, p) + p->len - 1, p->len,
			(uint32_t)i };
	}
	qsort(keys, s->len, sizeof(*keys), compare_reversed);
	automaton_node(a, 0);
	GROW(queue, queue_cap, 1);
	queue[queue_len++] = (struct range){ 0, (uint32_t)s->len, 0 };
	level_end = 1;
	for (size_t i = 0; i < queue_len; i++) {
		if (i == level_end) {
			depth++;
			level_end = queue_len;
		}
		automaton_children(
			a, s, keys, queue[i], depth, &queue, &queue_len, &queue_cap);
	}
	automaton_link(a);
	return a;
}

/* Decides the positions [from, from + n), backwards from where the longest pattern ends. */
static void flat_decide(
	struct mask_scan *s, const unsigned char *text, size_t len, size_t from, size_t n)
{
	size_t reach = len - from - n < s->longest ? len : from + n + s->longest;
	uint32_t at = 0;

	if (!s->flat)
		s->flat = automaton_new(s);
	if (!s->starts) {
		s->starts = xcalloc(STRETCH, sizeof(*s->starts));
		s->starts_next = xcalloc(STRETCH, sizeof(*s->starts_next));
	}
	for (size_t i = reach; i-- > from;) {
		at = step(s->flat, at, text[i]);
		if (i < from + n) {
			s->starts[i - from] = s->flat->nodes[at].longest;
			s->starts_next[i - from] = s->flat->nodes[at].is_next;
		}
	}
}

/* Nothing in the last longest - 1 bytes is decided while more text may come. */
static struct mask_hit flat_next(struct mask_scan *s, const unsigned char *text,
	size_t len, size_t from, bool is_end, struct mask_cursor *cur)
{
	size_t end = is_end ? len : len >= s->longest ? len - s->longest + 1 : 0;

	while (from < end) {
		if (from < cur->flat_from || from >= cur->flat_to) {
			size_t n = end - from < STRETCH ? end - from : STRETCH;

			flat_decide(s, text, len, from, n);
			cur->flat_from = from;
			cur->flat_to = from + n;
		}
		for (size_t i = from - cur->flat_from; from < cur->flat_to; i++, from++) {
			if (s->starts[i])
				return (struct mask_hit){ from, s->starts[i],
					s->starts_next[i] };
		}
	}
	return (struct mask_hit){ from, 0, false };
}

/* ---- both ---- */

/* A narrow window jumps a byte or two, and each jump waits for the last: look at four
 * places at once instead. One window is always left. */
static size_t skip_narrow(
	const struct mask_scan *s, const unsigned char *t, size_t len, size_t i)
{
	const unsigned char *end = t + s->window - BLOCK;

	while (len - i >= s->window + 4 && s->shift[hash(load(end + i), s->bits)] &&
		s->shift[hash(load(end + i + 1), s->bits)] &&
		s->shift[hash(load(end + i + 2), s->bits)] &&
		s->shift[hash(load(end + i + 3), s->bits)])
		i += 4;
	return i;
}

struct mask_hit mask_scan_next(struct mask_scan *s, const char *text, size_t len,
	size_t from, bool is_end, struct mask_cursor *cur)
{
	const unsigned char *t = (const unsigned char *)text;
	size_t budget = WORK_FREE + len * WORK_PER_BYTE;
	size_t i = from;

	if (s->len == 0)
		return (struct mask_hit){ len, 0, false };
	index_patterns(s);
	while (len - i >= s->window && cur->work <= budget && !s->is_forced) {
		uint8_t shift;
		struct mask_hit hit;

		if (s->window < NARROW)
			i = skip_narrow(s, t, len, i);
		shift = s->shift[hash(load(t + i + s->window - BLOCK), s->bits)];
		if (shift > 0) {
			i += shift;
			continue;
		}
		hit = look(s, t, len, i, is_end, &cur->work);
		if (hit.at < len)
			return hit;
		i++;
	}
	if (cur->work > budget || s->is_forced)
		return flat_next(s, t, len, i, is_end, cur);
	for (; !is_end && i < len; i++) {
		if (begins(s, t + i, len - i, &cur->work) || cur->work > budget)
			return (struct mask_hit){ i, 0, false };
	}
	return (struct mask_hit){ len, 0, false };
}

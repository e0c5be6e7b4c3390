/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching a list of atoms by simulating all places at once: the set of atoms that wait
 * for the next character. No pattern can make that slow.
 */
#include "workflows/glob.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/fold.h"
#include "workflows/glob-internal.h"

/* A pattern has at most one atom a byte; one place more is the end. */
#define PLACES_WORDS ((LIMIT_GLOB_PATTERN + 1) / 64 + 1)

/* ---- building ---- */

int glob_fail(struct glob_error *error, size_t offset, const char *fmt, ...)
{
	va_list ap;

	if (!error)
		return -1;
	error->offset = offset;
	va_start(ap, fmt);
	(void)vsnprintf(
		error->msg, sizeof(error->msg), fmt, ap); /* cut if it is too long */
	va_end(ap);
	return -1;
}

struct glob *glob_new(void)
{
	struct glob *g = xcalloc(1, sizeof(*g));

	strbuf_init(&g->prefix);
	return g;
}

struct glob_atom *glob_add(struct glob *g, enum glob_kind kind)
{
	struct glob_atom *a;

	GROW(g->atoms, g->atoms_alloc, g->atoms_len + 1);
	a = &g->atoms[g->atoms_len++];
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	return a;
}

void glob_add_range(struct glob *g, struct glob_atom *a, uint32_t first, uint32_t last)
{
	GROW(g->ranges, g->ranges_alloc, g->ranges_len + 1);
	if (a->ranges_len == 0)
		a->ranges_from = (uint32_t)g->ranges_len;
	g->ranges[g->ranges_len].first = first;
	g->ranges[g->ranges_len++].last = last;
	a->ranges_len++;
}

void glob_finish(struct glob *g)
{
	while (g->prefix_atoms < g->atoms_len) {
		const struct glob_atom *a = &g->atoms[g->prefix_atoms];

		if (a->kind != GLOB_CHAR || a->c >= 0x80 || a->repeats || a->is_optional)
			break;
		strbuf_addc(&g->prefix, (char)a->c);
		g->prefix_atoms++;
	}
}

void glob_free(struct glob *g)
{
	if (!g)
		return;
	free(g->atoms);
	free(g->ranges);
	free(g->base);
	strbuf_done(&g->prefix);
	free(g);
}

bool glob_is_negated(const struct glob *g)
{
	return g->is_negated;
}

const char *glob_path_base(const struct glob *g)
{
	return g->base ? g->base : "";
}

/* ---- places ---- */

struct places {
	uint64_t bits[PLACES_WORDS];
};

static size_t places_words(const struct glob *g)
{
	return g->atoms_len / 64 + 1;
}

static void places_add(struct places *p, size_t i)
{
	p->bits[i / 64] |= 1ull << (i % 64);
}

static bool places_has(const struct places *p, size_t i)
{
	return p->bits[i / 64] >> (i % 64) & 1;
}

static bool places_is_empty(const struct places *p, size_t words)
{
	for (size_t w = 0; w < words; w++)
		if (p->bits[w])
			return false;
	return true;
}

/* Follows the atoms that may take nothing: they only lead onwards, so one pass does. */
static void places_close(struct places *p, const struct glob *g)
{
	for (size_t w = 0; w < places_words(g); w++) {
		uint64_t seen = 0, todo;

		while ((todo = p->bits[w] & ~seen) != 0) {
			unsigned bit = (unsigned)__builtin_ctzll(todo);
			size_t i = w * 64 + bit;

			seen |= 1ull << bit;
			if (i >= g->atoms_len)
				continue;
			if (g->atoms[i].is_optional)
				places_add(p, i + 1);
			if (g->atoms[i].kind == GLOB_SPLIT) {
				places_add(p, i + 1);
				places_add(p, i + g->atoms[i].skip);
			}
		}
	}
}

static bool set_has(const struct glob *g, const struct glob_atom *a, uint32_t c)
{
	for (size_t i = 0; i < a->ranges_len; i++) {
		const struct glob_range *r = &g->ranges[a->ranges_from + i];

		if (c >= r->first && c <= r->last)
			return true;
	}
	return false;
}

static bool atom_takes(const struct glob *g, const struct glob_atom *a, uint32_t c)
{
	switch (a->kind) {
	case GLOB_CHAR:
		return a->c == c;
	case GLOB_ANY:
		return true;
	case GLOB_NO_SLASH:
		return c != '/';
	case GLOB_SET:
		if (a->is_inverse)
			return c != '/' && !set_has(g, a, c);
		return set_has(g, a, c);
	case GLOB_SPLIT:
		break;
	}
	return false;
}

/* Moves all places over one character; how many there were. */
static size_t places_step(
	const struct glob *g, const struct places *from, uint32_t c, struct places *to)
{
	size_t words = places_words(g), looked_at = words;

	memset(to->bits, 0, words * sizeof(to->bits[0]));
	for (size_t w = 0; w < words; w++) {
		for (uint64_t left = from->bits[w]; left; left &= left - 1) {
			size_t i = w * 64 + (size_t)__builtin_ctzll(left);

			looked_at++;
			if (i >= g->atoms_len || !atom_takes(g, &g->atoms[i], c))
				continue;
			if (g->atoms[i].repeats)
				places_add(to, i);
			places_add(to, i + 1);
		}
	}
	places_close(to, g);
	return looked_at;
}

/* A name on its way through a pattern. */
struct walk {
	const struct glob *g;
	struct places places[2];
	int now;
	size_t work; /* places looked at */
};

static void walk_start(struct walk *w, const struct glob *g, size_t place)
{
	w->g = g;
	w->now = 0;
	w->work = 0;
	memset(w->places[0].bits, 0, places_words(g) * sizeof(w->places[0].bits[0]));
	places_add(&w->places[0], place);
	places_close(&w->places[0], g);
}

static void walk_step(struct walk *w, uint32_t c)
{
	w->work += places_step(w->g, &w->places[w->now], c, &w->places[!w->now]);
	w->now = !w->now;
}

/* False when no place is left. */
static bool walk_text(struct walk *w, const char *s, size_t len)
{
	while (len > 0) {
		size_t bytes;

		walk_step(w, fold_decode(s, len, &bytes));
		if (places_is_empty(&w->places[w->now], places_words(w->g)))
			return false;
		s += bytes;
		len -= bytes;
	}
	return true;
}

static bool walk_is_at_end(const struct walk *w)
{
	return places_has(&w->places[w->now], w->g->atoms_len);
}

static bool is_anything(const struct glob_atom *a)
{
	return a->kind == GLOB_ANY && a->repeats && a->is_optional;
}

/* Adds to WORK how many places were looked at: a few ns each. */
static bool match(const struct glob *g, const char *name, size_t len, size_t *work)
{
	struct walk w;
	bool does_match;

	++*work;
	if (len < g->prefix.len || memcmp(name, g->prefix.buf, g->prefix.len) != 0)
		return false;
	/* What ends in `**` needs no look at the rest of the name. */
	if (g->prefix_atoms + 1 == g->atoms_len &&
		is_anything(&g->atoms[g->prefix_atoms]))
		return true;
	walk_start(&w, g, g->prefix_atoms);
	does_match = walk_text(&w, name + g->prefix.len, len - g->prefix.len) &&
		     walk_is_at_end(&w);
	*work += w.work;
	return does_match;
}

bool glob_match(const struct glob *g, const char *name, size_t len)
{
	size_t ignored = 0;

	return match(g, name, len, &ignored);
}

bool glob_path_may_match_below(const struct glob *g, const char *dir, size_t len)
{
	struct walk w;

	walk_start(&w, g, 0);
	if (len > 0 && (!walk_text(&w, dir, len) || !walk_text(&w, "/", 1)))
		return false;
	for (size_t i = 0; i < g->atoms_len; i++)
		if (places_has(&w.places[w.now], i))
			return true;
	return false;
}

bool glob_path_match_tree(const struct glob *g, const char *name, size_t len, bool is_dir)
{
	struct walk w;
	size_t from = 0;

	walk_start(&w, g, 0);
	if (walk_is_at_end(&w)) /* the root */
		return true;
	for (size_t i = 0; i < len; i++) {
		if (name[i] != '/')
			continue;
		if (!walk_text(&w, name + from, i - from))
			return false;
		if (walk_is_at_end(&w)) /* a folder that stands for all in it */
			return true;
		from = i;
	}
	return walk_text(&w, name + from, len - from) && walk_is_at_end(&w) &&
	       (is_dir || !g->wants_dir);
}

/* ---- lists ---- */

/* Places looked at: some hundredths of a second. */
#define LIST_WORK_MAX 4000000

struct glob_list {
	struct glob **globs;
	size_t len;
	size_t work;
};

int glob_list_compile(const char *const *patterns, size_t len, struct glob_list **ret,
	size_t *ret_bad, struct glob_error *error)
{
	_cleanup_(glob_list_freep) struct glob_list *l = xcalloc(1, sizeof(*l));

	l->globs = xcalloc(len + 1, sizeof(*l->globs));
	for (l->len = 0; l->len < len; l->len++) {
		const char *pattern = patterns[l->len];

		if (glob_compile(pattern, strlen(pattern), &l->globs[l->len], error) == 0)
			continue;
		if (ret_bad)
			*ret_bad = l->len;
		return -1;
	}
	*ret = take_ptr(l);
	return 0;
}

void glob_list_free(struct glob_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->len; i++)
		glob_free(l->globs[i]);
	free(l->globs);
	free(l);
}

bool glob_list_selects(
	struct glob_list *l, const char *name, size_t name_len, size_t *ret_which)
{
	size_t i = l->len;

	if (ret_which)
		*ret_which = l->len;
	while (i-- > 0 && !glob_list_is_spent(l)) {
		if (!match(l->globs[i], name, name_len, &l->work))
			continue;
		if (ret_which)
			*ret_which = i;
		return !l->globs[i]->is_negated;
	}
	return false;
}

bool glob_list_is_spent(const struct glob_list *l)
{
	return l->work > LIST_WORK_MAX;
}

bool glob_list_has_positive(const struct glob_list *l)
{
	for (size_t i = 0; i < l->len; i++)
		if (!l->globs[i]->is_negated)
			return true;
	return false;
}

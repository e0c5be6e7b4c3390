/* SPDX-License-Identifier: Apache-2.0 */
/* The two dialects of patterns, read into atoms; and the mistakes people make in them. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/fold.h"
#include "workflows/glob-internal.h"

struct reader {
	const char *s;
	size_t len, at;
	struct glob *g;
	struct glob_error *error;
};

static bool reader_sees(const struct reader *r, size_t ahead, char c)
{
	return r->at + ahead < r->len && r->s[r->at + ahead] == c;
}

static uint32_t reader_char(struct reader *r)
{
	size_t bytes;
	uint32_t c = fold_decode(r->s + r->at, r->len - r->at, &bytes);

	r->at += bytes;
	return c;
}

/* One character as it is, after a `\` if there is one. */
static int reader_literal(struct reader *r, uint32_t *ret)
{
	size_t from = r->at;

	if (r->s[r->at] == '\\' && ++r->at >= r->len)
		return glob_fail(r->error, from,
			"'\\' at the end has no character to escape; for a backslash "
			"write '\\\\'");
	*ret = reader_char(r);
	return 0;
}

static int check_length(const char *pattern, size_t len, struct glob_error *error)
{
	if (len == 0)
		return glob_fail(error, 0, "the pattern is empty");
	if (len > LIMIT_GLOB_PATTERN)
		return glob_fail(error, LIMIT_GLOB_PATTERN,
			"the pattern is longer than %d characters", LIMIT_GLOB_PATTERN);
	if (memchr(pattern, '\0', len))
		return glob_fail(error, 0, "the pattern holds a NUL");
	return 0;
}

/* What is in a set up to its ']'; r->at stands behind the '['. */
static int read_ranges(struct reader *r, struct glob_atom *a, size_t open)
{
	size_t first_at = r->at;

	while (r->at < r->len && (r->s[r->at] != ']' || r->at == first_at)) {
		uint32_t first = 0, last;
		size_t from = r->at;

		if (r->s[r->at] == ']')
			return glob_fail(r->error, open, "'[]' lists no character");
		if (reader_literal(r, &first) < 0)
			return -1;
		last = first;
		if (reader_sees(r, 0, '-')) {
			r->at++;
			if (r->at >= r->len)
				break;
			if (r->s[r->at] == ']')
				return glob_fail(r->error, r->at - 1,
					"the range in '[]' has no end");
			if (reader_literal(r, &last) < 0)
				return -1;
		}
		if (last < first)
			return glob_fail(r->error, from,
				"the range '%.*s' runs backwards", (int)(r->at - from),
				r->s + from);
		glob_add_range(r->g, a, first, last);
	}
	if (r->at >= r->len)
		return glob_fail(r->error, open,
			"'[' without its ']'; for the character itself write '\\['");
	r->at++;
	return 0;
}

/* ---- filter patterns ---- */

/* `?` or `+`: changes the atom before it, if that is a single character. */
static int filter_quantify(struct reader *r, bool is_after_single)
{
	char c = r->s[r->at];
	struct glob_atom *a;

	if (!is_after_single)
		return glob_fail(r->error, r->at,
			"'%c' needs a plain character before it: it means %s of that; "
			"for "
			"the character itself write '\\%c'",
			c, c == '?' ? "zero or one" : "one or more", c);
	r->at++;
	a = &r->g->atoms[r->g->atoms_len - 1];
	if (c == '?')
		a->is_optional = true;
	else
		a->repeats = true;
	return 0;
}

static void add_star(struct glob *g, enum glob_kind kind)
{
	struct glob_atom *a = glob_add(g, kind);

	a->repeats = a->is_optional = true;
}

/* Any folders and a slash, or nothing at all. */
static void add_folders(struct glob *g)
{
	glob_add(g, GLOB_SPLIT)->skip = 3;
	glob_add(g, GLOB_ANY)->repeats = true;
	glob_add(g, GLOB_CHAR)->c = '/';
}

static void filter_star(struct reader *r)
{
	if (!reader_sees(r, 1, '*')) {
		add_star(r->g, GLOB_NO_SLASH);
		r->at++;
	} else if (reader_sees(r, 2, '/')) {
		add_folders(r->g);
		r->at += 3;
	} else {
		add_star(r->g, GLOB_ANY);
		r->at += 2;
	}
}

static int filter_read(struct reader *r)
{
	bool is_single = false; /* the last atom is one that `?` and `+` apply to */

	while (r->at < r->len) {
		char c = r->s[r->at];
		size_t open = r->at;
		uint32_t literal = 0;

		if (c == '?' || c == '+') {
			if (filter_quantify(r, is_single) < 0)
				return -1;
			is_single = false;
		} else if (c == '*') {
			filter_star(r);
			is_single = false;
		} else if (c == '[') {
			r->at++;
			if (read_ranges(r, glob_add(r->g, GLOB_SET), open) < 0)
				return -1;
			is_single = true;
		} else {
			if (reader_literal(r, &literal) < 0)
				return -1;
			glob_add(r->g, GLOB_CHAR)->c = literal;
			is_single = true;
		}
	}
	return 0;
}

int glob_compile(
	const char *pattern, size_t len, struct glob **ret, struct glob_error *error)
{
	_cleanup_(glob_freep) struct glob *g = NULL;
	struct reader r = { .s = pattern, .len = len, .error = error };

	if (check_length(pattern, len, error) < 0)
		return -1;
	g = r.g = glob_new();
	if (pattern[0] == '!') {
		g->is_negated = true;
		r.at++;
	}
	if (r.at == len)
		return glob_fail(error, 0, "'!' excludes a pattern, and there is none");
	if (filter_read(&r) < 0)
		return -1;
	glob_finish(g);
	*ret = take_ptr(g);
	return 0;
}

/* ---- path patterns ---- */

/* A set, or a plain '[' where none is closed within the part (as minimatch reads it). */
static int path_set(struct reader *r, size_t part_end)
{
	size_t open = r->at;
	struct glob_atom *a;
	struct reader in = *r;

	in.len = part_end;
	in.at++;
	a = glob_add(r->g, GLOB_SET);
	if (in.at < in.len && (in.s[in.at] == '!' || in.s[in.at] == '^')) {
		a->is_inverse = true;
		in.at++;
	}
	in.error = NULL;
	if (read_ranges(&in, a, open) < 0) {
		memset(a, 0, sizeof(*a));
		a->kind = GLOB_CHAR;
		a->c = '[';
		r->at++;
		return 0;
	}
	r->at = in.at;
	return 0;
}

/* One part between slashes, with its wildcards. */
static int path_part(struct reader *r, size_t end)
{
	size_t from = r->at;

	while (r->at < end) {
		char c = r->s[r->at];
		uint32_t literal = 0;

		if (c == '*') {
			bool is_alone = r->at == from;

			while (r->at < end && r->s[r->at] == '*')
				r->at++;
			/* A part of stars alone is a name: it has a character at least. */
			if (is_alone && r->at == end)
				glob_add(r->g, GLOB_NO_SLASH)->repeats = true;
			else
				add_star(r->g, GLOB_NO_SLASH);
		} else if (c == '?') {
			glob_add(r->g, GLOB_NO_SLASH);
			r->at++;
		} else if (c == '[') {
			if (path_set(r, end) < 0)
				return -1;
		} else {
			if (c == '\\' && r->at + 1 >= end)
				literal = reader_char(r); /* escapes nothing: itself */
			else if (reader_literal(r, &literal) < 0)
				return -1;
			glob_add(r->g, GLOB_CHAR)->c = literal;
		}
	}
	return 0;
}

static size_t part_end(const struct reader *r)
{
	size_t end = r->at;

	while (end < r->len && r->s[end] != '/')
		end++;
	return end;
}

static bool part_is(const struct reader *r, size_t end, const char *word)
{
	return end - r->at == strlen(word) &&
	       memcmp(r->s + r->at, word, end - r->at) == 0;
}

/* The parts that hold no wildcard, as the folder where the search begins. */
static char *path_base_of(const struct glob *g)
{
	size_t end = 0;

	for (size_t i = 0; i < g->prefix.len; i++)
		if (g->prefix.buf[i] == '/')
			end = i;
	if (g->prefix_atoms == g->atoms_len)
		end = g->prefix.len;
	/* `a/` and then any folders: the slash belongs to what may be left out. */
	else if (g->atoms[g->prefix_atoms].kind == GLOB_SPLIT &&
		 g->prefix_atoms + 1 < g->atoms_len &&
		 g->atoms[g->prefix_atoms + 1].kind == GLOB_CHAR)
		end = g->prefix.len;
	return xstrndup(g->prefix.buf, end);
}

/* `**` as a part (several in a row are one): up to the part behind it. */
static void path_folders(struct reader *r, size_t end, bool needs_slash)
{
	struct reader next = *r;

	for (next.at = end; next.at < r->len; next.at = end) {
		while (next.at < r->len && r->s[next.at] == '/')
			next.at++;
		end = part_end(&next);
		if (!part_is(&next, end, "**"))
			break;
	}
	r->at = next.at;
	if (r->at < r->len) {
		if (needs_slash)
			glob_add(r->g, GLOB_CHAR)->c = '/';
		add_folders(r->g);
		return;
	}
	if (needs_slash) { /* the folder in front matches too */
		glob_add(r->g, GLOB_SPLIT)->skip = 3;
		glob_add(r->g, GLOB_CHAR)->c = '/';
	}
	add_star(r->g, GLOB_ANY);
}

static int path_read(struct reader *r)
{
	bool is_first = true, needs_slash = false;

	while (r->at < r->len) {
		size_t end = part_end(r);

		if (end == r->at) { /* repeated slashes are one */
			r->at++;
			continue;
		}
		if (part_is(r, end, "..") || (part_is(r, end, ".") && !is_first))
			return glob_fail(r->error, r->at,
				"'.' and '..' are not allowed as parts of a path "
				"pattern");
		if (part_is(r, end, ".")) {
			r->at = end;
		} else if (part_is(r, end, "**")) {
			path_folders(r, end, needs_slash);
			needs_slash = false;
		} else {
			if (needs_slash)
				glob_add(r->g, GLOB_CHAR)->c = '/';
			if (path_part(r, end) < 0)
				return -1;
			needs_slash = true;
		}
		is_first = false;
	}
	return 0;
}

int glob_path_compile(
	const char *pattern, size_t len, struct glob **ret, struct glob_error *error)
{
	_cleanup_(glob_freep) struct glob *g = NULL;
	struct reader r = { .s = pattern, .len = len, .error = error };

	if (check_length(pattern, len, error) < 0)
		return -1;
	g = r.g = glob_new();
	g->is_path = true;
	while (r.at < len && pattern[r.at] == '!') {
		g->is_negated = !g->is_negated;
		for (r.at++; r.at < len && pattern[r.at] == ' '; r.at++)
			;
	}
	if (r.at == len)
		return glob_fail(error, 0, "'!' excludes a pattern, and there is none");
	if (pattern[r.at] == '/')
		return glob_fail(error, r.at, "the path pattern is not relative");
	g->wants_dir = pattern[len - 1] == '/';
	if (path_read(&r) < 0)
		return -1;
	glob_finish(g);
	g->base = path_base_of(g);
	*ret = take_ptr(g);
	return 0;
}

/* ---- mistakes ---- */

struct checker {
	const char *s;
	size_t len;
	void (*fn)(const struct glob_error *mistake, void *data);
	void *data;
	size_t found;
};

static void __attribute__((format(printf, 3, 4)))
mistake(struct checker *k, size_t offset, const char *fmt, ...)
{
	struct glob_error m = { .offset = offset };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(m.msg, sizeof(m.msg), fmt, ap); /* cut if it is too long */
	va_end(ap);
	k->found++;
	k->fn(&m, k->data);
}

static void check_ref(struct checker *k, size_t from)
{
	size_t i = from;

	if (i < k->len && k->s[i] == '/')
		mistake(k, i, "the name of a branch or tag never begins with '/'");
	for (; i < k->len; i++) {
		char c = k->s[i];

		if (c == '[') { /* what is in a set is looked at elsewhere */
			const char *end = memchr(k->s + i, ']', k->len - i);

			if (!end)
				return;
			i = (size_t)(end - k->s);
		} else if (c == '\\' && i + 1 < k->len) {
			i++;
			if (strchr("[?*", k->s[i]))
				mistake(k, i,
					"the name of a branch or tag never holds '%c'",
					k->s[i]);
			else if (!strchr("+\\!", k->s[i]))
				mistake(k, i - 1,
					"the name of a branch or tag never holds a '\\'; "
					"only "
					"[ ? + * \\ ! are escaped with it");
		} else if (strchr(" \t~^:", c)) {
			mistake(k, i, "the name of a branch or tag never holds '%c'", c);
		}
	}
	if (k->len > from + 1 && strchr("/.", k->s[k->len - 1]))
		mistake(k, k->len - 1, "the name of a branch or tag never ends in '%c'",
			k->s[k->len - 1]);
}

static void check_path(struct checker *k, size_t from)
{
	struct reader r = { .s = k->s, .len = k->len, .at = from };

	if (k->s[0] == ' ' || k->s[k->len - 1] == ' ')
		mistake(k, k->s[0] == ' ' ? 0 : k->len - 1,
			"a space at the end of a pattern is part of the path");
	for (; r.at <= k->len; r.at++) {
		size_t end = part_end(&r);

		if (part_is(&r, end, ".") || part_is(&r, end, ".."))
			mistake(k, r.at,
				"'%.*s' matches no path: paths are counted from the top "
				"of the "
				"repository, without '.' and '..'",
				(int)(end - r.at), k->s + r.at);
		r.at = end;
	}
}

/* Sets of one character, line breaks. */
static void check_any(struct checker *k)
{
	for (size_t i = 0; i < k->len; i++) {
		if (k->s[i] == '\\')
			i++;
		else if (k->s[i] == '[' && i + 2 < k->len && k->s[i + 1] != '\\' &&
			 k->s[i + 2] == ']')
			mistake(k, i, "'[%c]' is just '%c'", k->s[i + 1], k->s[i + 1]);
		else if (k->s[i] == '\n' || k->s[i] == '\r')
			mistake(k, i, "a pattern holds no line break");
	}
}

size_t glob_check(const char *pattern, size_t len, bool is_ref,
	void (*fn)(const struct glob_error *mistake, void *data), void *data)
{
	struct checker k = { pattern, len, fn, data, 0 };
	_cleanup_(glob_freep) struct glob *g = NULL;
	struct glob_error error;

	if (glob_compile(pattern, len, &g, &error) < 0) {
		fn(&error, data);
		return 1;
	}
	check_any(&k);
	if (is_ref)
		check_ref(&k, pattern[0] == '!');
	else
		check_path(&k, pattern[0] == '!');
	return k.found;
}

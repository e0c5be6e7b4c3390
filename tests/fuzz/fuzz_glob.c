/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of both dialects (first byte) against a name: "PATTERN\nNAME". The answer must
 * be that of a naive matcher that backtracks, as long as its fuel lasts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workflows/fold.h"
#include "workflows/glob.h"

#define FUEL 200000

static void must(bool holds)
{
	if (!holds)
		abort();
}

struct naive {
	const char *p, *p_end;
	const char *n_end;
	long fuel;
};

static uint32_t next(const char **s, const char *end)
{
	size_t bytes;
	uint32_t c = fold_decode(*s, (size_t)(end - *s), &bytes);

	*s += bytes;
	return c;
}

static uint32_t next_literal(const char **s, const char *end)
{
	if (**s == '\\' && *s + 1 < end)
		(*s)++;
	return next(s, end);
}

/* The set at P (behind '['): whether C is in it; moves P behind the ']'. */
static bool in_set(const char **p, const char *end, uint32_t c)
{
	bool found = false;

	while (**p != ']') {
		uint32_t first = next_literal(p, end), last = first;

		if (**p == '-') {
			(*p)++;
			last = next_literal(p, end);
		}
		found = found || (c >= first && c <= last);
	}
	(*p)++;
	return found;
}

/* 1, 0, or -1 out of fuel. Filter patterns, by the words of their definition. */
static int filter_match(struct naive *m, const char *p, const char *n);

/* Some characters of N that are not '/' (or any), then the rest of the pattern. */
static int star(struct naive *m, const char *p, const char *n, bool any)
{
	for (;;) {
		int r = filter_match(m, p, n);

		if (r != 0)
			return r;
		if (n >= m->n_end || (!any && *n == '/'))
			return 0;
		(void)next(&n, m->n_end); /* only its length matters */
	}
}

static int folders(struct naive *m, const char *p, const char *n)
{
	int r = filter_match(m, p, n);

	for (const char *at = n; r == 0 && at < m->n_end; at++)
		if (*at == '/' && at > n)
			r = filter_match(m, p, at + 1);
	return r;
}

static int filter_match(struct naive *m, const char *p, const char *n)
{
	const char *item = p, *rest = n;
	uint32_t c = 0;
	bool takes;
	int r;

	if (--m->fuel < 0)
		return -1;
	if (p >= m->p_end)
		return n >= m->n_end;
	if (*p == '*') {
		if (p + 1 < m->p_end && p[1] == '*') {
			if (p + 2 < m->p_end && p[2] == '/')
				return folders(m, p + 3, n);
			return star(m, p + 2, n, true);
		}
		return star(m, p + 1, n, false);
	}
	if (n < m->n_end)
		c = next(&rest, m->n_end);
	if (*item == '[') {
		item++;
		takes = in_set(&item, m->p_end, c) && n < m->n_end;
	} else {
		takes = next_literal(&item, m->p_end) == c && n < m->n_end;
	}
	if (item < m->p_end && *item == '?') {
		r = filter_match(m, item + 1, n);
		return r != 0 || !takes ? r : filter_match(m, item + 1, rest);
	}
	if (item < m->p_end && *item == '+') {
		const char *from = p;

		while (takes) {
			r = filter_match(m, item + 1, rest);
			if (r != 0)
				return r;
			if (rest >= m->n_end)
				return 0;
			c = next(&rest, m->n_end);
			from = p;
			if (*from == '[') {
				from++;
				takes = in_set(&from, m->p_end, c);
			} else {
				takes = next_literal(&from, m->p_end) == c;
			}
		}
		return 0;
	}
	return takes ? filter_match(m, item, rest) : 0;
}

static void check_filter(const char *p, size_t p_len, const char *n, size_t n_len)
{
	struct glob_error error = { 0 };
	struct glob *g = NULL;
	struct naive m = { p, p + p_len, n + n_len, FUEL };
	int r;

	if (glob_compile(p, p_len, &g, &error) < 0) {
		must(error.msg[0] != '\0' && error.offset <= p_len);
		return;
	}
	r = filter_match(&m, p + glob_is_negated(g), n);
	if (r >= 0)
		must(glob_match(g, n, n_len) == (r == 1));
	glob_free(g);
}

/* What must hold between the questions a walk of a tree asks. */
static void check_path(const char *p, size_t p_len, const char *n, size_t n_len)
{
	struct glob *g = NULL;

	if (glob_path_compile(p, p_len, &g, NULL) < 0)
		return;
	must(strstr(glob_path_base(g), "//") == NULL);
	if (n_len > 0 && n[0] != '/' && n[n_len - 1] != '/' &&
		!memmem(n, n_len, "//", 2) && glob_path_match_tree(g, n, n_len, false)) {
		/* Then each folder above it is entered, or stands for all in it. */
		for (size_t i = 0; i < n_len; i++)
			if (n[i] == '/')
				must(glob_path_may_match_below(g, n, i) ||
					glob_path_match_tree(g, n, i, true));
		must(glob_path_may_match_below(g, "", 0) ||
			glob_path_match_tree(g, "", 0, true));
		must(glob_path_match_tree(g, n, n_len, true));
	}
	glob_free(g);
}

static void ignore(const struct glob_error *mistake, void *data)
{
	must(mistake->msg[0] != '\0');
	(*(size_t *)data)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *n;
	size_t p_len, found = 0;

	n = size > 0 ? memchr(p, '\n', size) : NULL;
	if (!n || size > 300)
		return 0;
	p_len = (size_t)(n - p);
	n++;
	check_filter(p, p_len, n, size - p_len - 1);
	check_path(p, p_len, n, size - p_len - 1);
	must(glob_check(p, p_len, size % 2, ignore, &found) == found);
	return 0;
}

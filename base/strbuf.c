/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte string and a few string helpers. */
#include "base/strbuf.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Shared by all empty buffers; never written to. */
char strbuf_empty[1];

void strbuf_init(struct strbuf *sb)
{
	*sb = (struct strbuf)STRBUF_INIT;
}

void strbuf_done(struct strbuf *sb)
{
	if (sb->alloc)
		free(sb->buf);
	strbuf_init(sb);
}

void strbuf_clear(struct strbuf *sb)
{
	strbuf_truncate(sb, 0);
}

void strbuf_reserve(struct strbuf *sb, size_t extra)
{
	size_t need;
	bool is_new = sb->alloc == 0;

	if (__builtin_add_overflow(sb->len, extra, &need) || need == SIZE_MAX)
		abort(); /* no such memory: as xmalloc would */
	need++;
	if (need <= sb->alloc)
		return;
	if (need < 64)
		need = 64;
	if (sb->alloc <= SIZE_MAX / 2 && need < sb->alloc * 2)
		need = sb->alloc * 2;
	sb->buf = xrealloc(is_new ? NULL : sb->buf, need);
	sb->alloc = need;
	sb->buf[sb->len] = '\0';
}

void strbuf_truncate(struct strbuf *sb, size_t len)
{
	assert(len <= sb->len);
	sb->len = len;
	if (sb->alloc)
		sb->buf[len] = '\0';
}

void strbuf_remove(struct strbuf *sb, size_t at, size_t len)
{
	assert(at <= sb->len && len <= sb->len - at);
	if (len == 0)
		return;
	memmove(sb->buf + at, sb->buf + at + len, sb->len - at - len);
	strbuf_truncate(sb, sb->len - len);
}

void strbuf_add(struct strbuf *sb, const void *data, size_t len)
{
	if (len == 0)
		return;
	strbuf_reserve(sb, len);
	memcpy(sb->buf + sb->len, data, len);
	strbuf_commit(sb, len);
}

void strbuf_adds(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_addc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(sb, fmt, ap);
	va_end(ap);
}

void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int n;

	strbuf_reserve(sb, 64);
	room = sb->alloc - sb->len;
	va_copy(again, ap);
	n = vsnprintf(sb->buf + sb->len, room, fmt, ap);
	if (n < 0)
		abort(); /* over INT_MAX bytes: no caller of ours means that */
	if ((size_t)n >= room) {
		strbuf_reserve(sb, (size_t)n);
		(void)vsnprintf(sb->buf + sb->len, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	strbuf_commit(sb, (size_t)n);
}

void strbuf_commit(struct strbuf *sb, size_t n)
{
	if (n == 0)
		return;
	assert(sb->len + n < sb->alloc);
	sb->len += n;
	sb->buf[sb->len] = '\0';
}

bool strbuf_ends_with(const struct strbuf *sb, const char *suffix)
{
	size_t n = strlen(suffix);

	return sb->len >= n && memcmp(sb->buf + sb->len - n, suffix, n) == 0;
}

char *strbuf_take(struct strbuf *sb)
{
	char *s = sb->alloc ? sb->buf : xstrdup("");

	strbuf_init(sb);
	return s;
}

bool str_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s);
	size_t n = strlen(suffix);

	return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

int str_to_int(const char *s, long long min, long long max, long long *ret)
{
	const char *digits = s && *s == '-' ? s + 1 : s;
	char *end = NULL;
	long long v;

	/* strtoll alone would take blanks and a plus sign. */
	if (!digits || *digits < '0' || *digits > '9')
		return -1;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno || *end || v < min || v > max)
		return -1;
	*ret = v;
	return 0;
}

#define NEAREST_LEN_MAX	  64
#define NEAREST_SLIPS_MAX 8

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/*
 * Levenshtein with swaps of neighbours, the commonest slip of fingers. Only cells that can
 * lie on a way of at most MAX slips are looked at; more than MAX: some number above it.
 */
static size_t edit_distance(
	const char *a, size_t a_len, const char *b, size_t b_len, size_t max)
{
	size_t rows[3][NEAREST_LEN_MAX + 1];
	size_t *before = rows[0];
	size_t *prev = rows[1];
	size_t *cur = rows[2];

	for (size_t j = 0; j <= b_len; j++) {
		before[j] = j;
		prev[j] = j;
	}
	for (size_t i = 1; i <= a_len; i++) {
		size_t from = i > max ? i - max : 1;
		size_t to = i + max < b_len ? i + max : b_len;
		size_t *spare = before;

		cur[from - 1] = from == 1 ? i : max + 1;
		if (to == i + max) /* the row above did not come so far */
			prev[to] = max + 1;
		for (size_t j = from; j <= to; j++) {
			size_t swap = a[i - 1] != b[j - 1];

			cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + swap);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
				a[i - 2] == b[j - 1] && before[j - 2] + 1 < cur[j])
				cur[j] = before[j - 2] + 1;
		}
		before = prev;
		prev = cur;
		cur = spare;
	}
	return prev[b_len];
}

const char *str_nearest(const char *word, const char *const *names)
{
	size_t len = strlen(word);
	size_t best = len / 3 < NEAREST_SLIPS_MAX ? 1 + len / 3 : NEAREST_SLIPS_MAX;
	const char *found = NULL;

	if (len == 0 || len > NEAREST_LEN_MAX)
		return NULL;
	for (; *names; names++) {
		size_t n = strlen(*names);
		size_t d;

		if (n > NEAREST_LEN_MAX || (n > len ? n - len : len - n) > best)
			continue;
		d = edit_distance(word, len, *names, n, best);
		/* All letters changed is another word, not a slip. */
		if (d >= len || d > best || (found && d == best))
			continue;
		best = d;
		found = *names;
	}
	return found;
}

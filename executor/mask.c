/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a job and the streams they are masked in; see mask.h. */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/mask-internal.h"
#include "executor/mask.h"

struct mask {
	struct mask_scan *scan;
	size_t values;
};

struct mask_stream {
	struct mask *m;
	struct strbuf held;
	bool is_after_hit; /* the last thing written was the end of a match */
};

struct mask *mask_new(void)
{
	struct mask *m = xcalloc(1, sizeof(*m));

	m->scan = mask_scan_new();
	return m;
}

void mask_free(struct mask *m)
{
	if (!m)
		return;
	mask_scan_free(m->scan);
	free(m);
}

bool mask_is_empty(const struct mask *m)
{
	return mask_scan_patterns(m->scan) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static void count_form(const char *pattern, size_t len, void *ctx)
{
	*(size_t *)ctx += len;
}

/* Pieces of equal length, so that the last is no short word. */
static void add_form(const char *pattern, size_t len, void *ctx)
{
	struct mask *m = ctx;
	size_t pieces = (len + MASK_PIECE - 1) / MASK_PIECE;
	size_t size = (len + pieces - 1) / pieces;

	for (size_t at = 0; at < len; at += size)
		mask_scan_add(
			m->scan, pattern + at, len - at < size ? len - at : size, at > 0);
}

int mask_add(struct mask *m, const char *value, size_t len, enum mask_verdict *ret,
	struct err *err)
{
	size_t bytes = 0, before = mask_scan_patterns(m->scan);

	while (len > 0 && is_blank(*value))
		value++, len--;
	while (len > 0 && is_blank(value[len - 1]))
		len--;
	if (len == 0) {
		*ret = MASK_BLANK;
		return 0;
	}
	/* Base64 at its three alignments alone is four times the value: what cannot fit is not
	 * spelled out in all its forms first, the largest of which is a hundred times as long. */
	if (len > MASK_PATTERN_BYTES / 4)
		return err_set(err, ERR_LIMIT,
			"a value to mask has %zu bytes: it needs more than %u MiB of patterns",
			len, MASK_PATTERN_BYTES >> 20);
	mask_forms(value, len, count_form, &bytes);
	if (bytes == 0) {
		*ret = MASK_SHORT;
		return 0;
	}
	if (m->values >= LIMIT_MASKS)
		return err_set(err, ERR_LIMIT, "more than %d values to mask in one job",
			LIMIT_MASKS);
	if (mask_scan_bytes(m->scan) + bytes > MASK_PATTERN_BYTES)
		return err_set(err, ERR_LIMIT,
			"the values to mask need more than %u MiB of patterns",
			MASK_PATTERN_BYTES >> 20);
	mask_forms(value, len, add_form, m);
	*ret = mask_scan_patterns(m->scan) > before ? MASK_ADDED : MASK_KNOWN;
	if (*ret == MASK_ADDED)
		m->values++;
	return 0;
}

/*
 * Masks the decided part of TEXT into OUT; returns how many bytes that was.
 * *IS_AFTER_HIT is the stream's memory over calls.
 */
static size_t mask_run(struct mask *m, const char *text, size_t len, bool is_end,
	bool *is_after_hit, struct strbuf *out)
{
	struct mask_cursor cur = { 0 };
	size_t at = 0;

	while (at < len) {
		struct mask_hit hit =
			mask_scan_next(m->scan, text, len, at, is_end, &cur);

		if (hit.at > at) {
			strbuf_add(out, text + at, hit.at - at);
			*is_after_hit = false;
		}
		at = hit.at;
		if (hit.len == 0)
			return at;
		if (!(hit.is_next && *is_after_hit))
			strbuf_adds(out, MASK_STARS);
		*is_after_hit = true;
		at += hit.len;
	}
	return at;
}

void mask_text(struct mask *m, const char *data, size_t len, struct strbuf *out)
{
	bool is_after_hit = false;

	(void)mask_run(
		m, data, len, true, &is_after_hit, out); /* all of it, at the end */
}

char *mask_str(struct mask *m, const char *s)
{
	struct strbuf out = STRBUF_INIT;

	if (!s)
		return NULL;
	mask_text(m, s, strlen(s), &out);
	return strbuf_take(&out);
}

bool mask_contains(struct mask *m, const char *data, size_t len)
{
	struct mask_cursor cur = { 0 };

	return mask_scan_next(m->scan, data, len, 0, true, &cur).len > 0;
}

struct mask_stream *mask_stream_new(struct mask *m)
{
	struct mask_stream *s = xcalloc(1, sizeof(*s));

	s->m = m;
	strbuf_init(&s->held);
	return s;
}

static void held_drop(struct mask_stream *s, size_t n)
{
	strbuf_remove(&s->held, 0, n);
	explicit_bzero(s->held.buf + s->held.len, n);
}

void mask_stream_free(struct mask_stream *s)
{
	if (!s)
		return;
	explicit_bzero(s->held.buf, s->held.len);
	strbuf_done(&s->held);
	free(s);
}

void mask_stream_write(
	struct mask_stream *s, const char *data, size_t len, struct strbuf *out)
{
	size_t done;

	if (s->held.len == 0) {
		done = mask_run(s->m, data, len, false, &s->is_after_hit, out);
		strbuf_add(&s->held, data + done, len - done);
		return;
	}
	strbuf_add(&s->held, data, len);
	done = mask_run(s->m, s->held.buf, s->held.len, false, &s->is_after_hit, out);
	held_drop(s, done);
}

void mask_stream_flush(struct mask_stream *s, struct strbuf *out)
{
	(void)mask_run(s->m, s->held.buf, s->held.len, true, &s->is_after_hit, out);
	held_drop(s, s->held.len); /* all was decided */
	s->is_after_hit = false;
}

size_t mask_stream_held(const struct mask_stream *s)
{
	return s->held.len;
}

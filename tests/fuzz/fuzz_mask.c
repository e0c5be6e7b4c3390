/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "SECRET\nSECRET\n\nTEXT", first byte: how the text is cut. Whatever the cut, the output
 * is that of one piece, with both engines; and no form of a secret is left in it, unless
 * the stars put there have made it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "executor/mask-internal.h"
#include "executor/mask.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* PATTERN may not be in the output but across stars. */
static void not_there(const char *pattern, size_t len, void *ctx)
{
	const struct strbuf *out = ctx;
	size_t at = 0;

	if (len > MASK_PIECE || memchr(pattern, '*', len))
		return;
	for (;;) {
		const char *hit = memmem(out->buf + at, out->len - at, pattern, len);

		if (!hit)
			return;
		must(false);
		at = (size_t)(hit - out->buf) + 1;
	}
}

static void cut_up(
	struct mask *m, const char *text, size_t len, size_t cut, struct strbuf *out)
{
	struct mask_stream *s = mask_stream_new(m);
	size_t step = cut % 7 + 1;

	for (size_t at = 0; at < len;) {
		size_t n = len - at < step ? len - at : step;

		mask_stream_write(s, text + at, n, out);
		must(mask_stream_held(s) < MASK_PIECE);
		at += n;
		step = step * 5 % (cut + 3) + 1;
	}
	mask_stream_flush(s, out);
	must(mask_stream_held(s) == 0);
	mask_stream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	struct mask *m = mask_new();
	struct strbuf whole = STRBUF_INIT, parts = STRBUF_INIT;
	const char *values[8];
	size_t lens[8], n = 0, cut = size ? (unsigned char)*p++ : 0;

	while (p < end && n < 8) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		enum mask_verdict v;
		struct err err;

		if (!lf || lf == p)
			break;
		values[n] = p;
		lens[n] = (size_t)(lf - p);
		must(mask_add(m, p, lens[n], &v, &err) == 0);
		n += v == MASK_ADDED || v == MASK_KNOWN;
		p = lf + 1;
	}
	mask_text(m, p, (size_t)(end - p), &whole);
	cut_up(m, p, (size_t)(end - p), cut, &parts);
	must(whole.len == parts.len && memcmp(whole.buf, parts.buf, whole.len) == 0);
	must(mask_contains(m, p, (size_t)(end - p)) ==
			(whole.len != (size_t)(end - p) ||
				memcmp(whole.buf, p, whole.len) != 0) ||
		memmem(whole.buf, whole.len, "***", 3));
	for (size_t i = 0; i < n; i++) {
		const char *v = values[i];
		size_t len = lens[i];

		while (len > 0 && strchr(" \t\r\n\v\f", *v) && *v)
			v++, len--;
		while (len > 0 && v[len - 1] && strchr(" \t\r\n\v\f", v[len - 1]))
			len--;
		if (len > 0)
			mask_forms(v, len, not_there, &whole);
	}
	strbuf_done(&whole);
	strbuf_done(&parts);
	mask_free(m);
	return 0;
}

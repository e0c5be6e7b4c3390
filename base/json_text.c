/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from text and to text, by jansson where the quick way does not lead. */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "base/json-internal.h"
#include "base/mem.h"

#define DIGITS_SAFE 18 /* any integer of so many digits fits 64 bits */
#define READ_FLAGS  (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)

/* ---- parse ---- */

struct scan {
	const char *at;
	const char *end;
	size_t line;
	size_t column;
};

/* From behind an opening quote to behind the closing one. */
static void scan_string(struct scan *s)
{
	while (s->at < s->end && *s->at != '"') {
		size_t step = *s->at == '\\' && s->end - s->at > 1 ? 2 : 1;

		/* Columns count letters, not bytes. */
		for (size_t i = 0; i < step; i++)
			s->column += ((unsigned char)s->at[i] & 0xc0) != 0x80;
		s->at += step;
	}
	if (s->at < s->end) {
		s->at++;
		s->column++;
	}
}

/* jansson would let 2048 levels through. Anything else that is wrong is left to it. */
static int check_depth(const char *data, size_t len, struct err *err)
{
	struct scan s = { data, data + len, 1, 0 };
	size_t depth = 0;

	while (s.at < s.end) {
		char c = *s.at++;

		s.column++;
		if (c == '\n') {
			s.line++;
			s.column = 0;
		} else if (c == '"') {
			scan_string(&s);
		} else if ((c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX) {
			return err_set(err, ERR_INPUT,
				"json:%zu:%zu: nested deeper than %d", s.line, s.column,
				JSON_DEPTH_MAX);
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

static size_t number_len(const char *at, const char *end)
{
	const char *start = at;

	while (at < end && *at && strchr("+-.0123456789eE", *at))
		at++;
	return (size_t)(at - start);
}

/* Copies one number, with ".0" behind it if it is an integer beyond 64 bits. */
static size_t widen_number(const char *token, size_t len, struct strbuf *wide)
{
	bool is_integer = len > DIGITS_SAFE && !memchr(token, '.', len) &&
			  !memchr(token, 'e', len) && !memchr(token, 'E', len);
	long long v;

	strbuf_add(wide, token, len);
	if (is_integer) {
		_cleanup_free_ char *text = xstrndup(token, len);

		if (str_to_int(text, INT64_MIN, INT64_MAX, &v) < 0) {
			strbuf_adds(wide, ".0");
			return 2;
		}
	}
	return 0;
}

/*
 * Copies the document with its large integers made reals, until WIDE is STOP long.
 * Returns by how many letters the last line grew.
 */
static size_t widen_integers(
	const char *data, size_t len, size_t stop, struct strbuf *wide)
{
	struct scan s = { data, data + len, 1, 0 };
	size_t grown = 0;

	while (s.at < s.end && wide->len < stop) {
		const char *start = s.at++;
		size_t digits = number_len(start, s.end);

		if (*start == '"')
			scan_string(&s);
		else if (*start == '\n')
			grown = 0;
		if (*start != '-' && (*start < '0' || *start > '9')) {
			strbuf_add(wide, start, (size_t)(s.at - start));
			continue;
		}
		s.at = start + digits;
		grown += widen_number(start, digits, wide);
	}
	return grown;
}

int json_read_strict(const char *data, size_t len, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf wide = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf scratch = STRBUF_INIT;
	json_error_t why;
	size_t grown = 0;
	json_t *j;

	if (check_depth(data, len, err) < 0)
		return -1;
	j = json_loadb(data, len, READ_FLAGS, &why);
	if (!j && json_error_code(&why) == json_error_numeric_overflow) {
		widen_integers(data, len, SIZE_MAX, &wide);
		j = json_loadb(wide.buf, wide.len, READ_FLAGS, &why);
		if (!j)
			grown = widen_integers(data, len, (size_t)why.position, &scratch);
	}
	if (!j)
		return err_set(err, ERR_INPUT, "json:%d:%d: %s", why.line,
			why.column - (int)grown, why.text);
	*ret = (struct json *)j;
	return 0;
}

struct json *json_read_leaf(const char *data, size_t len)
{
	return (struct json *)json_loadb(data, len, READ_FLAGS, NULL);
}

int json_parse(const char *data, size_t len, struct json **ret, struct err *err)
{
	struct json *j = json_read_quick(data, len);

	if (!j)
		return json_read_strict(data, len, ret, err);
	*ret = j;
	return 0;
}

/* ---- write ---- */

static int dump_to_strbuf(const char *bytes, size_t len, void *data)
{
	strbuf_add(data, bytes, len);
	return 0;
}

void json_write_strict(
	const struct json *j, enum json_write_flags flags, struct strbuf *out)
{
	size_t how = JSON_ENCODE_ANY;
	int failed;

	how |= flags & JSON_WRITE_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;
	if (flags & JSON_WRITE_SORTED)
		how |= JSON_SORT_KEYS;
	if (j) {
		failed = json_dump_callback((const json_t *)j, dump_to_strbuf, out, how);
		assert(!failed); /* only a document that holds itself fails */
		(void)failed;
	} else {
		strbuf_adds(out, "null");
	}
	if (flags & JSON_WRITE_PRETTY)
		strbuf_addc(out, '\n');
}

void json_write(const struct json *j, enum json_write_flags flags, struct strbuf *out)
{
	if (j && !flags)
		json_write_quick(j, out);
	else
		json_write_strict(j, flags, out);
}

char *json_text(const struct json *j)
{
	struct strbuf b = STRBUF_INIT;

	json_write(j, 0, &b);
	return strbuf_take(&b);
}

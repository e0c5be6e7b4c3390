/* SPDX-License-Identifier: Apache-2.0 */
/* Well-formed JSON at the pace of memory, see json-internal.h. */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/json-internal.h"

#define DIGITS_SAFE 18 /* any integer of so many digits fits 64 bits */
#define EACH(byte)  (0x0101010101010101ULL * (byte))

struct reader {
	const char *at, *end;
	int depth;
};

/* ---- plain text ---- */

/* One of these eight bytes is a control, a quote, a backslash; or not ASCII, if WIDE. */
static bool has_special(uint64_t x, bool wide)
{
	uint64_t quote = x ^ EACH('"'), slash = x ^ EACH('\\');
	uint64_t found = ((x - EACH(0x20)) & ~x) | ((quote - EACH(1)) & ~quote) |
			 ((slash - EACH(1)) & ~slash);

	return ((found | (wide ? x : 0)) & EACH(0x80)) != 0;
}

static bool is_special(unsigned char c, bool wide)
{
	return c < 0x20 || c == '"' || c == '\\' || (wide && c >= 0x80);
}

/* How many bytes from S on are none of those. */
static size_t plain_run(const char *s, const char *end, bool wide)
{
	const char *at = s;
	uint64_t x;

	for (; end - at >= (ptrdiff_t)sizeof(x); at += sizeof(x)) {
		memcpy(&x, at, sizeof(x));
		if (has_special(x, wide))
			break;
	}
	while (at < end && !is_special((unsigned char)*at, wide))
		at++;
	return (size_t)(at - s);
}

/* ---- read ---- */

static json_t *read_value(struct reader *r);

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end &&
		(*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
}

static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* Behind an opening quote: to the closing one. False when none of this is a string. */
static bool skip_text(struct reader *r, bool *ret_is_plain)
{
	*ret_is_plain = true;
	for (;;) {
		size_t n;

		r->at += plain_run(r->at, r->end, true);
		if (r->at == r->end || (unsigned char)*r->at < 0x20)
			return false;
		if (*r->at == '"')
			return true;
		if (*r->at == '\\') {
			n = 2;
			*ret_is_plain = false;
		} else {
			n = json_utf8_letter(
				(const unsigned char *)r->at, (size_t)(r->end - r->at));
		}
		if (n == 0 || n >= (size_t)(r->end - r->at))
			return false;
		r->at += n;
	}
}

static json_t *read_string(struct reader *r)
{
	const char *start = ++r->at;
	size_t len;
	bool is_plain;

	if (!skip_text(r, &is_plain))
		return NULL;
	len = (size_t)(r->at++ - start);
	return is_plain ? json_stringn_nocheck(start, len)
			: (json_t *)json_read_leaf(start - 1, len + 2);
}

static json_t *read_number(struct reader *r)
{
	const char *start = r->at, *digits;
	bool is_negative = *start == '-';
	json_int_t v = 0;

	for (digits = r->at += is_negative;
		r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
		if (r->at - digits < DIGITS_SAFE)
			v = v * 10 + (*r->at - '0');
	if (r->at - digits > DIGITS_SAFE ||
		(r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E'))) {
		while (r->at < r->end && *r->at && strchr("+-.0123456789eE", *r->at))
			r->at++;
		return (json_t *)json_read_leaf(start, (size_t)(r->at - start));
	}
	if (r->at == digits || (*digits == '0' && r->at - digits > 1))
		return NULL;
	return json_integer(is_negative ? -v : v);
}

static json_t *read_word(struct reader *r)
{
	static const struct {
		const char *word;
		json_t *(*make)(void);
	} words[] = { { "true", json_true }, { "false", json_false },
		{ "null", json_null } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);

		if ((size_t)(r->end - r->at) < n || memcmp(r->at, words[i].word, n) != 0)
			continue;
		r->at += n;
		return words[i].make();
	}
	return NULL;
}

static bool read_items(struct reader *r, json_t *array)
{
	if (take(r, ']'))
		return true;
	do {
		if (json_array_append_new(array, read_value(r)) < 0)
			return false;
	} while (take(r, ','));
	return take(r, ']');
}

/* A key that is there already does not make the object larger: it came twice. */
static bool read_member(struct reader *r, json_t *object)
{
	size_t before = json_object_size(object), len;
	const char *key;
	bool is_plain;

	if (!take(r, '"'))
		return false;
	key = r->at;
	if (!skip_text(r, &is_plain) || !is_plain)
		return false;
	len = (size_t)(r->at++ - key);
	return take(r, ':') &&
	       json_object_setn_new_nocheck(object, key, len, read_value(r)) == 0 &&
	       json_object_size(object) > before;
}

static bool read_members(struct reader *r, json_t *object)
{
	if (take(r, '}'))
		return true;
	do {
		if (!read_member(r, object))
			return false;
	} while (take(r, ','));
	return take(r, '}');
}

/* VALUE, empty and taken, with what READ finds in it. */
static json_t *read_inside(
	struct reader *r, json_t *value, bool (*read)(struct reader *r, json_t *value))
{
	r->at++;
	if (++r->depth > JSON_DEPTH_MAX || !read(r, value)) {
		json_decref(value);
		return NULL;
	}
	r->depth--;
	return value;
}

static json_t *read_value(struct reader *r)
{
	skip_blanks(r);
	if (r->at == r->end)
		return NULL;
	switch (*r->at) {
	case '{':
		return read_inside(r, json_object(), read_members);
	case '[':
		return read_inside(r, json_array(), read_items);
	case '"':
		return read_string(r);
	default:
		return *r->at == '-' || (*r->at >= '0' && *r->at <= '9') ? read_number(r)
									 : read_word(r);
	}
}

struct json *json_read_quick(const char *data, size_t len)
{
	struct reader r = { data, data + len, 0 };
	json_t *j = read_value(&r);

	skip_blanks(&r);
	if (r.at == r.end)
		return (struct json *)j;
	json_decref(j);
	return NULL;
}

/* ---- write ---- */

static void write_escaped(unsigned char c, struct strbuf *out)
{
	static const char letters[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	char letter = c < 0x20 ? letters[c] : (char)c;

	if (!letter) {
		strbuf_addf(out, "\\u%04X", c);
		return;
	}
	strbuf_addc(out, '\\');
	strbuf_addc(out, letter);
}

static void write_string(const char *s, size_t len, struct strbuf *out)
{
	const char *end = s + len;

	strbuf_reserve(out, len + 2);
	strbuf_addc(out, '"');
	for (;;) {
		size_t n = plain_run(s, end, false);

		strbuf_add(out, s, n);
		s += n;
		if (s == end)
			break;
		write_escaped((unsigned char)*s++, out);
	}
	strbuf_addc(out, '"');
}

static void write_value(json_t *v, struct strbuf *out);

static void write_array(json_t *v, struct strbuf *out)
{
	strbuf_addc(out, '[');
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (i)
			strbuf_addc(out, ',');
		write_value(json_array_get(v, i), out);
	}
	strbuf_addc(out, ']');
}

static void write_object(json_t *v, struct strbuf *out)
{
	char before = '{';

	if (json_object_size(v) == 0)
		strbuf_addc(out, before);
	for (void *at = json_object_iter(v); at; at = json_object_iter_next(v, at)) {
		strbuf_addc(out, before);
		write_string(json_object_iter_key(at), json_object_iter_key_len(at), out);
		strbuf_addc(out, ':');
		write_value(json_object_iter_value(at), out);
		before = ',';
	}
	strbuf_addc(out, '}');
}

static void write_value(json_t *v, struct strbuf *out)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		write_object(v, out);
		return;
	case JSON_ARRAY:
		write_array(v, out);
		return;
	case JSON_STRING:
		write_string(json_string_value(v), json_string_length(v), out);
		return;
	case JSON_TRUE:
		strbuf_adds(out, "true");
		return;
	case JSON_FALSE:
		strbuf_adds(out, "false");
		return;
	case JSON_NULL:
		strbuf_adds(out, "null");
		return;
	case JSON_INTEGER:
		strbuf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return;
	case JSON_REAL:
		json_write_strict((const struct json *)v, 0, out);
		return;
	}
}

void json_write_quick(const struct json *j, struct strbuf *out)
{
	write_value((json_t *)(uintptr_t)j, out);
}

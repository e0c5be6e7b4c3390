/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to values. jansson reads a byte at a time, which made it the larger part of the cost
 * of a webhook: well-formed text is read here, and whatever this does not take is left to
 * jansson, which words what is wrong (and knows numbers no machine holds).
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/json-internal.h"
#include "base/mem.h"

/* jansson itself recurses up to 2048 levels; our readers recurse too. */
#define DEPTH_MAX   64
#define DIGITS_SAFE 18 /* any integer of so many digits fits 64 bits */
#define REAL_MAX    64 /* letters of a number with a fraction */

/* ---- letters ---- */

#define EACH(byte) (0x0101010101010101ull * (byte))

/* Which of eight bytes are zero: exact up to the first that is. */
static uint64_t zeros(uint64_t w)
{
	return (w - EACH(1)) & ~w & EACH(0x80);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t json_plain_len(const char *s, size_t len)
{
	size_t i = 0;

	for (; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t w;

		memcpy(&w, s + i, sizeof(w));
		if ((w & EACH(0x80)) | ((w - EACH(0x20)) & ~w & EACH(0x80)) |
			zeros(w ^ EACH('"')) | zeros(w ^ EACH('\\')))
			break;
	}
	while (i < len && is_plain((unsigned char)s[i]))
		i++;
	return i;
}

/* Of the letter that starts with this byte, 0 if none does. */
static size_t utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2) /* the middle of one, or an overlong form */
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf5 ? 4 : 0;
}

size_t json_letter_len(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = utf8_length(s[0]);

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* ---- the reader: NULL and false mean no more than "not by me" ---- */

struct reader {
	const char *at;
	const char *end;
	size_t depth;
	struct strbuf text; /* of a string with escapes */
};

static json_t *read_value(struct reader *r);

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end &&
		(*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

/* The next letter that is no blank, if it is C. */
static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits behind a "\u"; -1 if they are not. */
static long read_unit(struct reader *r)
{
	long unit = 0;

	if (r->end - r->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(*r->at++);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

static void add_letter(struct strbuf *b, long c)
{
	if (c < 0x80) {
		strbuf_addc(b, (char)c);
		return;
	}
	if (c < 0x800) {
		strbuf_addc(b, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			strbuf_addc(b, (char)(0xe0 | c >> 12));
		} else {
			strbuf_addc(b, (char)(0xf0 | c >> 18));
			strbuf_addc(b, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		strbuf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	strbuf_addc(b, (char)(0x80 | (c & 0x3f)));
}

static bool read_escaped_unit(struct reader *r)
{
	long unit = read_unit(r), low;

	if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return false;
		r->at += 2;
		low = read_unit(r);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
	}
	add_letter(&r->text, unit);
	return true;
}

/* Behind a backslash. */
static bool read_escape(struct reader *r)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char c = r->at < r->end ? *r->at++ : '\0';
	const char *found = c ? strchr(names, c) : NULL;

	if (c == 'u')
		return read_escaped_unit(r);
	if (!found)
		return false;
	strbuf_addc(&r->text, values[found - names]);
	return true;
}

/*
 * Behind an opening quote, to behind the closing one. Without an escape the string is lent
 * from the text itself, with one from the reader's buffer, until the next.
 */
static bool read_string(struct reader *r, const char **ret, size_t *ret_len)
{
	const char *start = r->at;

	strbuf_clear(&r->text);
	for (;;) {
		size_t n;

		r->at += json_plain_len(r->at, (size_t)(r->end - r->at));
		if (r->at == r->end)
			return false;
		if (*r->at == '"')
			break;
		if (*r->at == '\\') {
			strbuf_add(&r->text, start, (size_t)(r->at++ - start));
			if (!read_escape(r))
				return false;
			start = r->at;
			continue;
		}
		if ((unsigned char)*r->at < 0x20)
			return false;
		n = json_letter_len(r->at, (size_t)(r->end - r->at));
		if (n == 0)
			return false;
		r->at += n;
	}
	*ret = start;
	*ret_len = (size_t)(r->at++ - start);
	/* Each escape gives a letter: no text, no escape. */
	if (r->text.len > 0) {
		strbuf_add(&r->text, *ret, *ret_len);
		*ret = r->text.buf;
		*ret_len = r->text.len;
	}
	return true;
}

static json_t *read_text(struct reader *r)
{
	const char *s;
	size_t len;

	return read_string(r, &s, &len) ? json_must(json_stringn_nocheck(s, len)) : NULL;
}

static bool read_member(struct reader *r, json_t *obj)
{
	_cleanup_free_ char *kept = NULL;
	const char *key;
	size_t len;
	json_t *v;

	if (!take(r, '"') || !read_string(r, &key, &len) || memchr(key, '\0', len))
		return false;
	if (key == r->text.buf) { /* the value's strings need the buffer */
		kept = xmemdup(key, len);
		key = kept;
	}
	if (json_object_getn(obj, key, len) || !take(r, ':'))
		return false;
	v = read_value(r);
	if (!v)
		return false;
	if (json_object_setn_new_nocheck(obj, key, len, v) < 0)
		abort();
	return true;
}

static bool read_element(struct reader *r, json_t *arr)
{
	json_t *v = read_value(r);

	if (v && json_array_append_new(arr, v) < 0)
		abort();
	return v != NULL;
}

/* Behind the opening bracket, to behind the closing one. INTO is taken. */
static json_t *read_all(struct reader *r, json_t *into, char close,
	bool (*read)(struct reader *r, json_t *into))
{
	bool is_good = true;

	if (take(r, close))
		return into;
	do
		is_good = read(r, into);
	while (is_good && take(r, ','));
	if (is_good && take(r, close))
		return into;
	json_decref(into);
	return NULL;
}

static size_t digits_len(const char *at, const char *end)
{
	size_t n = 0;

	while (at + n < end && at[n] >= '0' && at[n] <= '9')
		n++;
	return n;
}

static json_t *read_real(const char *text, size_t len)
{
	char buf[REAL_MAX];
	double v;

	if (len >= sizeof(buf))
		return NULL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	v = strtod(buf, NULL); /* LC_NUMERIC is never set */
	return isfinite(v) ? json_must(json_real(v)) : NULL;
}

static json_t *read_number(struct reader *r)
{
	const char *start = r->at, *digits = start + (*start == '-');
	size_t n = digits_len(digits, r->end), more;
	bool is_real = false;
	int64_t v = 0;

	if (n == 0 || (n > 1 && *digits == '0'))
		return NULL;
	r->at = digits + n;
	if (r->at < r->end && *r->at == '.') {
		is_real = true;
		more = digits_len(r->at + 1, r->end);
		if (more == 0)
			return NULL;
		r->at += 1 + more;
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		const char *exp = r->at + 1;

		is_real = true;
		exp += exp < r->end && (*exp == '+' || *exp == '-');
		more = digits_len(exp, r->end);
		if (more == 0)
			return NULL;
		r->at = exp + more;
	}
	if (is_real)
		return read_real(start, (size_t)(r->at - start));
	if (n > DIGITS_SAFE)
		return NULL;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (digits[i] - '0');
	return json_must(json_integer(*start == '-' ? -v : v));
}

static json_t *read_word(struct reader *r, const char *word, json_t *value)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return NULL;
	r->at += n;
	return value;
}

static json_t *read_value(struct reader *r)
{
	json_t *v = NULL;

	skip_blanks(r);
	if (r->at == r->end)
		return NULL;
	switch (*r->at) {
	case '"':
		r->at++;
		return read_text(r);
	case 't':
		return read_word(r, "true", json_true());
	case 'f':
		return read_word(r, "false", json_false());
	case 'n':
		return read_word(r, "null", json_null());
	case '{':
	case '[':
		if (++r->depth > DEPTH_MAX)
			return NULL;
		v = *r->at++ == '{'
			    ? read_all(r, json_must(json_object()), '}', read_member)
			    : read_all(r, json_must(json_array()), ']', read_element);
		r->depth--;
		return v;
	default:
		return read_number(r);
	}
}

static json_t *read_document(const char *data, size_t len)
{
	struct reader r = { data, data + len, 0, STRBUF_INIT };
	json_t *v = read_value(&r);

	skip_blanks(&r);
	if (v && r.at != r.end) {
		json_decref(v);
		v = NULL;
	}
	strbuf_done(&r.text);
	return v;
}

/* ---- what is wrong, and numbers beyond 64 bits ---- */

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
		} else if ((c == '[' || c == '{') && ++depth > DEPTH_MAX) {
			return err_set(err, ERR_INPUT,
				"json:%zu:%zu: nested deeper than %d", s.line, s.column,
				DEPTH_MAX);
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

static int read_slowly(const char *data, size_t len, json_t **ret, struct err *err)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
	_cleanup_(strbuf_done) struct strbuf wide = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf scratch = STRBUF_INIT;
	json_error_t why;
	size_t grown = 0;
	json_t *j;

	if (check_depth(data, len, err) < 0)
		return -1;
	j = json_loadb(data, len, flags, &why);
	if (!j && json_error_code(&why) == json_error_numeric_overflow) {
		widen_integers(data, len, SIZE_MAX, &wide);
		j = json_loadb(wide.buf, wide.len, flags, &why);
		if (!j)
			grown = widen_integers(data, len, (size_t)why.position, &scratch);
	}
	if (!j)
		return err_set(err, ERR_INPUT, "json:%d:%d: %s", why.line,
			why.column - (int)grown, why.text);
	*ret = j;
	return 0;
}

int json_parse(const char *data, size_t len, struct json **ret, struct err *err)
{
	json_t *j = read_document(data, len);

	if (!j && read_slowly(data, len, &j, err) < 0)
		return -1;
	*ret = json_out(j);
	return 0;
}

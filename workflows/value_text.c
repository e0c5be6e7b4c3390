/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and values as text: parsing as GitHub coerces, printing as it prints; JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/fold.h"
#include "workflows/value-internal.h"

/* ---- numbers ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Optional sign, digits with an optional point, optional exponent; nothing else. */
static bool is_decimal(const char *s, size_t len)
{
	size_t i = 0, digits = 0;

	if (i < len && (s[i] == '-' || s[i] == '+'))
		i++;
	for (; i < len && is_digit(s[i]); i++)
		digits++;
	if (i < len && s[i] == '.')
		for (i++; i < len && is_digit(s[i]); i++)
			digits++;
	if (digits == 0)
		return false;
	if (i < len && (s[i] == 'e' || s[i] == 'E')) {
		i++;
		if (i < len && (s[i] == '-' || s[i] == '+'))
			i++;
		if (i == len || !is_digit(s[i]))
			return false;
		while (i < len && is_digit(s[i]))
			i++;
	}
	return i == len;
}

static double decimal_value(const char *s, size_t len)
{
	char small[64];
	_cleanup_free_ char *heap = NULL;
	char *copy = small;
	uint64_t whole = 0;
	size_t i = 0;

	/* Most numbers are short and whole. */
	while (i < len && i < 15 && is_digit(s[i]))
		whole = whole * 10 + (uint64_t)(s[i++] - '0');
	if (i == len)
		return (double)whole;
	if (len >= sizeof(small)) {
		heap = xmalloc(len + 1);
		copy = heap;
	}
	memcpy(copy, s, len);
	copy[len] = '\0';
	return strtod(copy, NULL);
}

static int digit_of(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits of BASE that fit 32 bits, read as a signed number, as .NET does. */
static double radix_value(const char *s, size_t len, int base)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int digit = digit_of(s[i]);

		if (digit >= base)
			return NAN;
		n = n * (unsigned)base + (unsigned)digit;
		if (n > UINT32_MAX)
			return NAN;
	}
	return (double)(int32_t)(uint32_t)n;
}

double number_from_text(const char *s, size_t len)
{
	fold_trim(&s, &len);
	if (len == 0)
		return 0;
	if (is_decimal(s, len))
		return decimal_value(s, len);
	if (len > 2 && s[0] == '0' && s[1] == 'x')
		return radix_value(s + 2, len - 2, 16);
	if (len > 2 && s[0] == '0' && s[1] == 'o')
		return radix_value(s + 2, len - 2, 8);
	if (len == 8 && memcmp(s, "Infinity", 8) == 0)
		return INFINITY;
	if (len == 9 && memcmp(s, "-Infinity", 9) == 0)
		return -INFINITY;
	return NAN;
}

void number_to_text(double n, struct strbuf *out)
{
	if (isnan(n))
		strbuf_adds(out, "NaN");
	else if (isinf(n))
		strbuf_adds(out, n < 0 ? "-Infinity" : "Infinity");
	else if (fabs(n) < 1e15 && n == (double)(int64_t)n)
		strbuf_addf(out, "%" PRId64, (int64_t)n); /* -0 prints 0 */
	else
		strbuf_addf(out, "%.15G", n);
}

/* The shortest digits that read back as the same number. */
static void number_to_json(double n, struct strbuf *out)
{
	char buf[32];

	if (fabs(n) < 1e15 && n == (double)(int64_t)n && !(n == 0 && signbit(n))) {
		strbuf_addf(out, "%" PRId64, (int64_t)n);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(
			buf, sizeof(buf), "%.*g", digits, n); /* 24 bytes at most */
		if (strtod(buf, NULL) == n)
			break;
	}
	strbuf_adds(out, buf);
}

/* ---- JSON ---- */

struct writer {
	struct strbuf *out;
	size_t end; /* give up when OUT is longer than this */
	bool pretty;
};

static void write_string(struct strbuf *out, const char *s, size_t len)
{
	size_t from = 0;

	strbuf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		const char *short_form = NULL;
		size_t bytes = 1;
		uint32_t code = c;

		if (c == 0xC2 || c == 0xE2)
			code = fold_decode(s + i, len - i, &bytes);
		if (c >= 0x20 && c != '"' && c != '\\' && code != 0x85 &&
			code != 0x2028 && code != 0x2029)
			continue;
		strbuf_add(out, s + from, i - from);
		if (c == '"' || c == '\\')
			short_form = c == '"' ? "\\\"" : "\\\\";
		else if (c == '\n' || c == '\r')
			short_form = c == '\n' ? "\\n" : "\\r";
		else if (c == '\t')
			short_form = "\\t";
		else if (c == '\b' || c == '\f')
			short_form = c == '\b' ? "\\b" : "\\f";
		if (short_form)
			strbuf_adds(out, short_form);
		else
			strbuf_addf(out, "\\u%04x", (unsigned)code);
		i += bytes - 1;
		from = i + 1;
	}
	strbuf_add(out, s + from, len - from);
	strbuf_addc(out, '"');
}

static void write_break(struct writer *w, unsigned depth)
{
	if (!w->pretty)
		return;
	strbuf_addc(w->out, '\n');
	for (unsigned i = 0; i < depth; i++)
		strbuf_adds(w->out, "  ");
}

static int write_value(struct writer *w, const struct value *v, unsigned depth);

static int write_array(struct writer *w, const struct value *v, unsigned depth)
{
	strbuf_addc(w->out, '[');
	for (size_t i = 0; i < v->u.array.len; i++) {
		if (i > 0)
			strbuf_addc(w->out, ',');
		write_break(w, depth + 1);
		if (write_value(w, v->u.array.items[i], depth + 1) < 0)
			return -1;
	}
	if (v->u.array.len > 0)
		write_break(w, depth);
	strbuf_addc(w->out, ']');
	return 0;
}

static int write_object(struct writer *w, const struct value *v, unsigned depth)
{
	strbuf_addc(w->out, '{');
	for (size_t i = 0; i < v->u.object.len; i++) {
		const struct value_member *m = &v->u.object.members[i];

		if (i > 0)
			strbuf_addc(w->out, ',');
		write_break(w, depth + 1);
		write_string(w->out, m->key, m->key_len);
		strbuf_adds(w->out, w->pretty ? ": " : ":");
		if (write_value(w, m->value, depth + 1) < 0)
			return -1;
	}
	if (v->u.object.len > 0)
		write_break(w, depth);
	strbuf_addc(w->out, '}');
	return 0;
}

static void write_number(struct writer *w, double n)
{
	bool is_finite = isfinite(n);

	if (w->pretty || !is_finite) {
		if (!w->pretty) /* JSON has no word for these */
			strbuf_addc(w->out, '"');
		number_to_text(n, w->out);
		if (!w->pretty)
			strbuf_addc(w->out, '"');
		return;
	}
	number_to_json(n, w->out);
}

static int write_value(struct writer *w, const struct value *v, unsigned depth)
{
	if (w->out->len > w->end)
		return -1;
	switch (value_kind_of(v)) {
	case VALUE_NULL:
		strbuf_adds(w->out, "null");
		return 0;
	case VALUE_BOOL:
		strbuf_adds(w->out, v->boolean ? "true" : "false");
		return 0;
	case VALUE_NUMBER:
		write_number(w, v->u.number);
		return 0;
	case VALUE_STRING:
		write_string(w->out, v->text, v->u.text_len);
		return 0;
	case VALUE_ARRAY:
		return write_array(w, v, depth);
	case VALUE_OBJECT:
		return write_object(w, v, depth);
	}
	return 0;
}

int value_write_json_max(
	const struct value *v, bool pretty, size_t max, struct strbuf *out)
{
	size_t end = max > SIZE_MAX - out->len ? SIZE_MAX : out->len + max;
	struct writer w = { out, end, pretty };

	if (write_value(&w, v, 0) < 0 || out->len > end)
		return -1;
	return 0;
}

void value_write_json(const struct value *v, bool pretty, struct strbuf *out)
{
	(void)value_write_json_max(
		v, pretty, SIZE_MAX, out); /* there is no limit to hit */
}

struct value *value_from_json(const struct json *j)
{
	struct value *v;

	switch (json_kind_of(j)) {
	case JSON_KIND_NULL:
		break;
	case JSON_KIND_BOOL:
		return value_new_bool(json_as_bool(j, false));
	case JSON_KIND_INT:
		return value_new_number((double)json_as_int(j, 0));
	case JSON_KIND_REAL:
		return value_new_number(json_as_real(j, 0));
	case JSON_KIND_STRING:
		return value_new_strn(json_as_str(j, ""), json_str_len(j));
	case JSON_KIND_ARRAY:
		v = value_new_array();
		for (size_t i = 0; i < json_count(j); i++)
			value_push(v, value_from_json(json_at(j, i)));
		return v;
	case JSON_KIND_OBJECT:
		v = value_new_object();
		json_foreach (it, j)
			value_set(v, it.key, value_from_json(it.value));
		return v;
	}
	return value_new_null();
}

static struct json *number_json(double n)
{
	if (!isfinite(n))
		return json_new_str(isnan(n) ? "NaN" : n < 0 ? "-Infinity" : "Infinity");
	if (fabs(n) < 9007199254740992.0 && n == (double)(int64_t)n)
		return json_new_int((int64_t)n);
	return json_new_real(n);
}

struct json *value_to_json(const struct value *v)
{
	struct json *j;

	switch (value_kind_of(v)) {
	case VALUE_NULL:
		break;
	case VALUE_BOOL:
		return json_new_bool(v->boolean);
	case VALUE_NUMBER:
		return number_json(v->u.number);
	case VALUE_STRING:
		return json_new_strn(v->text, v->u.text_len);
	case VALUE_ARRAY:
		j = json_new_array();
		for (size_t i = 0; i < v->u.array.len; i++)
			json_push(j, value_to_json(v->u.array.items[i]));
		return j;
	case VALUE_OBJECT:
		j = json_new_object();
		for (size_t i = 0; i < v->u.object.len; i++)
			json_set(j, v->u.object.members[i].key,
				value_to_json(v->u.object.members[i].value));
		return j;
	}
	return json_new_null();
}

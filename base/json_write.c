/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to text. The compact form is what processes say to each other and what the store
 * keeps: strings are copied in spans, not letter by letter. jansson writes the rest.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json-internal.h"
#include "base/mem.h"

#define DEPTH_MAX 2048 /* of jansson: only a document that holds itself is deeper */

static void write_escape(unsigned char c, struct strbuf *out)
{
	static const char names[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";
	const char *found = c ? strchr(values, c) : NULL;

	if (found) {
		strbuf_addc(out, '\\');
		strbuf_addc(out, names[found - values]);
	} else {
		strbuf_addf(out, "\\u%04X", c);
	}
}

/* S is UTF-8: what is made from outside was checked or repaired. */
static void write_text(const char *s, size_t len, struct strbuf *out)
{
	size_t start = 0, i = 0;

	strbuf_addc(out, '"');
	for (;;) {
		i += json_plain_len(s + i, len - i);
		while (i < len && (unsigned char)s[i] >= 0x80)
			i++;
		if (i < len && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
			continue;
		strbuf_add(out, s + start, i - start);
		if (i == len)
			break;
		write_escape((unsigned char)s[i], out);
		start = ++i;
	}
	strbuf_addc(out, '"');
}

static void write_number(const json_t *j, struct strbuf *out)
{
	char buf[64];
	size_t n;

	if (json_is_integer(j)) {
		n = (size_t)snprintf(
			buf, sizeof(buf), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
	} else {
		n = json_dumpb(j, buf, sizeof(buf), JSON_ENCODE_ANY);
	}
	strbuf_add(out, buf, n);
}

static void write_value(json_t *j, size_t depth, struct strbuf *out);

static void write_object(json_t *j, size_t depth, struct strbuf *out)
{
	char before = '{';

	if (json_object_size(j) == 0)
		strbuf_addc(out, before);
	for (void *it = json_object_iter(j); it; it = json_object_iter_next(j, it)) {
		strbuf_addc(out, before);
		write_text(json_object_iter_key(it), json_object_iter_key_len(it), out);
		strbuf_addc(out, ':');
		write_value(json_object_iter_value(it), depth, out);
		before = ',';
	}
	strbuf_addc(out, '}');
}

static void write_array(json_t *j, size_t depth, struct strbuf *out)
{
	strbuf_addc(out, '[');
	for (size_t i = 0; i < json_array_size(j); i++) {
		if (i > 0)
			strbuf_addc(out, ',');
		write_value(json_array_get(j, i), depth, out);
	}
	strbuf_addc(out, ']');
}

static void write_value(json_t *j, size_t depth, struct strbuf *out)
{
	assert(depth < DEPTH_MAX);
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		write_object(j, depth + 1, out);
		break;
	case JSON_ARRAY:
		write_array(j, depth + 1, out);
		break;
	case JSON_STRING:
		write_text(json_string_value(j), json_string_length(j), out);
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		write_number(j, out);
		break;
	case JSON_TRUE:
		strbuf_adds(out, "true");
		break;
	case JSON_FALSE:
		strbuf_adds(out, "false");
		break;
	case JSON_NULL:
		strbuf_adds(out, "null");
		break;
	}
}

static int dump_to_strbuf(const char *bytes, size_t len, void *data)
{
	strbuf_add(data, bytes, len);
	return 0;
}

void json_write(const struct json *j, enum json_write_flags flags, struct strbuf *out)
{
	size_t how = JSON_ENCODE_ANY;
	int failed;

	if (!j) {
		strbuf_adds(out, "null");
	} else if (flags == 0) {
		write_value(json_in(j), 0, out);
	} else {
		how |= flags & JSON_WRITE_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;
		if (flags & JSON_WRITE_SORTED)
			how |= JSON_SORT_KEYS;
		failed = json_dump_callback(json_in(j), dump_to_strbuf, out, how);
		assert(!failed); /* only a document that holds itself fails */
		(void)failed;
	}
	if (flags & JSON_WRITE_PRETTY)
		strbuf_addc(out, '\n');
}

char *json_text(const struct json *j)
{
	struct strbuf b = STRBUF_INIT;

	json_write(j, 0, &b);
	return strbuf_take(&b);
}

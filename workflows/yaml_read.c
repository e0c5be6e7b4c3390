/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a tree that was loaded: keys, places, conversions. Does not know the library. */
#include "workflows/yaml.h"

#include <math.h>
#include <string.h>

#include "workflows/yaml-internal.h"

/* ---- reading ---------------------------------------------------------------------- */

static struct yaml_pair *find_pair(const struct yaml_node *map, const char *key)
{
	size_t len = strlen(key);

	if (!yaml_is(map, YAML_MAPPING))
		return NULL;
	for (size_t i = 0; i < map->len; i++)
		if (map->pairs[i].key->str_len == len &&
			memcmp(map->pairs[i].key->str, key, len) == 0)
			return &map->pairs[i];
	return NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	struct yaml_pair *p = find_pair(map, key);

	return p ? p->value : NULL;
}

struct yaml_node *yaml_get_key(const struct yaml_node *map, const char *key)
{
	struct yaml_pair *p = find_pair(map, key);

	return p ? p->key : NULL;
}

bool yaml_is(const struct yaml_node *n, enum yaml_kind kind)
{
	return n && n->kind == kind;
}

bool yaml_is_scalar(const struct yaml_node *n)
{
	return n && n->kind < YAML_SEQUENCE;
}

const char *yaml_kind_name(enum yaml_kind kind)
{
	static const char *const names[] = { "null", "a boolean", "a number", "a string",
		"a sequence", "a mapping" };

	return names[kind];
}

const char *yaml_text(const struct yaml_node *n, struct arena *arena)
{
	struct strbuf sb = STRBUF_INIT;
	const char *s;

	if (!yaml_is_scalar(n) || n->kind == YAML_NULL)
		return "";
	if (n->kind == YAML_STRING)
		return n->str;
	if (n->kind == YAML_BOOL)
		return n->boolean ? "true" : "false";
	number_to_text(n->number, &sb);
	s = arena_strndup(arena, sb.buf, sb.len);
	strbuf_done(&sb);
	return s;
}

/* ---- places ----------------------------------------------------------------------- */

static size_t utf8_len(unsigned char c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Bytes of the source before a line and column. */
size_t yaml_byte_of(const struct yaml_doc *doc, unsigned line, unsigned column)
{
	const char *s, *end = doc->source + doc->source_len;
	struct yaml_places *p = doc->places;
	unsigned from = 1;

	if (line == 0 || line > doc->lines_len)
		return doc->source_len;
	s = doc->source + doc->lines[line - 1];
	if (p->line == line && p->column <= column) { /* a file may be one line */
		s = doc->source + p->byte;
		from = p->column;
	}
	for (; from < column && s < end && *s != '\n'; from++)
		s += utf8_len((unsigned char)*s);
	if (s >= end)
		return doc->source_len;
	p->line = line;
	p->column = from;
	p->byte = (size_t)(s - doc->source);
	return p->byte;
}

static struct yaml_place move_to(
	const struct yaml_doc *doc, struct yaml_place from, size_t byte)
{
	for (; from.byte < byte; from.byte++) {
		unsigned char c = (unsigned char)doc->source[from.byte];

		if (c == '\n') {
			from.line++;
			from.column = 1;
		} else if ((c & 0xc0) != 0x80)
			from.column++;
	}
	return from;
}

/* The last place at OFFSET or before it that is known. */
static struct yaml_place place_before(
	const struct yaml_doc *doc, const struct yaml_node *scalar, size_t offset)
{
	struct yaml_places *p = doc->places;
	const struct mark *m = &scalar->mark;
	size_t i;

	if (p->scalar != scalar) {
		p->scalar = scalar;
		p->at[0] = (struct yaml_place){ 0, yaml_byte_of(doc, m->line, m->column),
			m->line, m->column };
		p->end = yaml_byte_of(doc, m->end_line, m->end_column);
		p->len = 1;
	}
	for (i = p->len - 1; p->at[i].offset > offset; i--)
		;
	return p->at[i];
}

static void remember(const struct yaml_doc *doc, const struct yaml_node *scalar,
	const struct yaml_place *found)
{
	struct yaml_places *p = doc->places;
	size_t apart = scalar->str_len / (YAML_PLACES_MAX - 1) + 1;

	if (p->len < YAML_PLACES_MAX &&
		found->offset >= p->at[p->len - 1].offset + (apart > 256 ? apart : 256))
		p->at[p->len++] = *found;
}

/*
 * The piece of text is looked for in the source of the scalar; of several, the one that
 * has as many before it as it has in the scalar's text. So indentation, quotes and folding
 * need no model of their own.
 */
struct mark yaml_mark_at(const struct yaml_doc *doc, const struct yaml_node *scalar,
	size_t offset, size_t len)
{
	const char *text = scalar->str, *nl;
	struct yaml_place at;
	size_t skip = 0;

	if (offset >= scalar->str_len)
		return scalar->mark;
	if (len == 0 || len > scalar->str_len - offset)
		len = scalar->str_len - offset;
	nl = memchr(text + offset, '\n', len);
	if (nl)
		len = (size_t)(nl - text) - offset;
	if (len == 0)
		return scalar->mark;
	at = place_before(doc, scalar, offset);
	for (size_t i = at.offset; i < offset; i++)
		skip += memcmp(text + i, text + offset, len) == 0;
	for (size_t i = at.byte; i + len <= doc->places->end; i++) {
		if (memcmp(doc->source + i, text + offset, len) != 0 || skip-- > 0)
			continue;
		at = move_to(doc, at, i);
		at.offset = offset;
		remember(doc, scalar, &at);
		return (struct mark){ at.line, at.column, at.line,
			move_to(doc, at, i + len).column };
	}
	return scalar->mark;
}

/* ---- conversions ------------------------------------------------------------------ */

static struct json *number_to_json(double d)
{
	if (isnan(d))
		return json_new_str("NaN");
	if (isinf(d))
		return json_new_str(d < 0 ? "-Infinity" : "Infinity");
	if (d == floor(d) && fabs(d) < 9007199254740992.0)
		return json_new_int((int64_t)d);
	return json_new_real(d);
}

struct json *yaml_to_json(const struct yaml_node *n)
{
	struct json *j;

	if (!n || n->kind == YAML_NULL)
		return json_new_null();
	switch (n->kind) {
	case YAML_BOOL:
		return json_new_bool(n->boolean);
	case YAML_NUMBER:
		return number_to_json(n->number);
	case YAML_SEQUENCE:
		j = json_new_array();
		for (size_t i = 0; i < n->len; i++)
			json_push(j, yaml_to_json(n->items[i]));
		return j;
	case YAML_MAPPING:
		j = json_new_object();
		for (size_t i = 0; i < n->len; i++)
			json_set(
				j, n->pairs[i].key->str, yaml_to_json(n->pairs[i].value));
		return j;
	case YAML_NULL:
	case YAML_STRING:
		break;
	}
	return json_new_strn(n->str, n->str_len);
}

struct value *yaml_to_value(const struct yaml_node *n)
{
	struct value *v;

	if (!n || n->kind == YAML_NULL)
		return value_new_null();
	switch (n->kind) {
	case YAML_BOOL:
		return value_new_bool(n->boolean);
	case YAML_NUMBER:
		return value_new_number(n->number);
	case YAML_SEQUENCE:
		v = value_new_array();
		for (size_t i = 0; i < n->len; i++)
			value_push(v, yaml_to_value(n->items[i]));
		return v;
	case YAML_MAPPING:
		v = value_new_object();
		for (size_t i = 0; i < n->len; i++)
			value_set(v, n->pairs[i].key->str,
				yaml_to_value(n->pairs[i].value));
		return v;
	case YAML_NULL:
	case YAML_STRING:
		break;
	}
	return value_new_strn(n->str, n->str_len);
}

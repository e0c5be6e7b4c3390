/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's events to a tree. The library is given no say in types, aliases or limits: it
 * only finds tokens and marks.
 */
#include "workflows/yaml.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/limits.h"
#include "workflows/names.h"
#include "workflows/yaml-internal.h"

/* What a file may hold in bytes once aliases are counted out. */
#define YAML_BYTES_MAX	 (2 * LIMIT_WORKFLOW_FILE)
#define YAML_ANCHORS_MAX 4096
#define ANCHOR_BUCKETS	 8192 /* a power of two, over YAML_ANCHORS_MAX */

struct frame {
	struct yaml_node *node;
	size_t first; /* of its children on the stack */
};

struct loader {
	yaml_parser_t parser;
	struct yaml_doc *doc;
	struct diagnostics *diags;
	struct yaml_node **stack;
	size_t stack_len, stack_alloc;
	struct frame frames[LIMIT_YAML_DEPTH + 1];
	size_t frames_len;
	struct yaml_anchor *anchors;
	size_t anchors_len, anchors_alloc;
	uint16_t buckets[ANCHOR_BUCKETS]; /* 1 + index of the latest of that name */
	size_t nodes;
};

static struct mark mark_of(const yaml_mark_t *start, const yaml_mark_t *end)
{
	return (struct mark){ (unsigned)start->line + 1, (unsigned)start->column + 1,
		(unsigned)end->line + 1, (unsigned)end->column + 1 };
}

static int fail(struct loader *l, struct mark mark, const char *code, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

static int fail(
	struct loader *l, struct mark mark, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)diag_vadd(l->diags, l->doc->file, mark, SEVERITY_ERROR, code, fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- the core schema -------------------------------------------------------------- */

static bool all_digits(const char *s, const char *set)
{
	return *s && s[strspn(s, set)] == '\0';
}

static bool one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

static const char *const null_words[] = { "", "~", "null", "Null", "NULL", NULL };
static const char *const true_words[] = { "true", "True", "TRUE", NULL };
static const char *const false_words[] = { "false", "False", "FALSE", NULL };
static const char *const inf_words[] = { ".inf", ".Inf", ".INF", NULL };
static const char *const nan_words[] = { ".nan", ".NaN", ".NAN", NULL };

static bool parse_int(const char *s, double *ret)
{
	const char *p = s;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'o')) {
		int base = p[1] == 'x' ? 16 : 8;

		if (!all_digits(
			    p + 2, base == 16 ? "0123456789abcdefABCDEF" : "01234567"))
			return false;
		*ret = 0;
		for (p += 2; *p; p++)
			*ret = *ret * base + (isdigit((unsigned char)*p)
							     ? *p - '0'
							     : (*p | 32) - 'a' + 10);
		return true;
	}
	if (*p == '-' || *p == '+')
		p++;
	if (!all_digits(p, "0123456789"))
		return false;
	*ret = strtod(s, NULL);
	return true;
}

static bool parse_float(const char *s, double *ret)
{
	const char *p = s;
	size_t whole, fraction = 0;
	int sign = 1;

	if (*p == '-' || *p == '+')
		sign = *p++ == '-' ? -1 : 1;
	if (one_of(p, inf_words)) {
		*ret = sign * INFINITY;
		return true;
	}
	if (one_of(s, nan_words)) {
		*ret = NAN;
		return true;
	}
	whole = strspn(p, "0123456789");
	p += whole;
	if (*p == '.') {
		p++;
		fraction = strspn(p, "0123456789");
		p += fraction;
	}
	if (whole + fraction == 0)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		if (*p == '-' || *p == '+')
			p++;
		if (!isdigit((unsigned char)*p))
			return false;
		p += strspn(p, "0123456789");
	}
	if (*p)
		return false;
	*ret = strtod(s, NULL);
	return true;
}

static void type_plain(struct yaml_node *n)
{
	double d;

	/* Most are plain text: nothing else begins as they do. */
	if (n->str[0] && !strchr("~nNtTfF.+-0123456789", n->str[0]))
		n->kind = YAML_STRING;
	else if (one_of(n->str, null_words))
		n->kind = YAML_NULL;
	else if (one_of(n->str, true_words) || one_of(n->str, false_words)) {
		n->kind = YAML_BOOL;
		n->boolean = (n->str[0] | 32) == 't';
	} else if (parse_int(n->str, &d) || parse_float(n->str, &d)) {
		n->kind = YAML_NUMBER;
		n->number = d;
	} else
		n->kind = YAML_STRING;
}

#define TAG_PREFIX "tag:yaml.org,2002:"

static int bad_tag(struct loader *l, struct mark mark, const char *tag)
{
	(void)fail(l, mark, "yaml", "tag '%s' is not of the YAML core schema", tag);
	/* `if: !cancelled()` is the way most meet tags for the first time. */
	if (tag[0] == '!')
		diag_hint(&l->diags->items[l->diags->len - 1],
			"to YAML a '!' in front is a tag: write ${{ %s ... }}", tag);
	return -1;
}

static int type_tagged(struct loader *l, struct yaml_node *n, const char *tag)
{
	const char *name = tag;
	enum yaml_kind want;
	double d;

	if (strcmp(tag, "!") == 0) {
		n->kind = YAML_STRING;
		return 0;
	}
	if (str_starts(tag, TAG_PREFIX))
		name = tag + strlen(TAG_PREFIX);
	if (strcmp(name, "str") == 0) {
		n->kind = YAML_STRING;
		return 0;
	}
	if (strcmp(name, "int") == 0 || strcmp(name, "float") == 0)
		want = YAML_NUMBER;
	else if (strcmp(name, "bool") == 0)
		want = YAML_BOOL;
	else if (strcmp(name, "null") == 0)
		want = YAML_NULL;
	else
		return bad_tag(l, n->mark, tag);
	if (n->quoted)
		return fail(l, n->mark, "yaml",
			"a value in quotes cannot have the tag '!!%s'", name);
	type_plain(n);
	if (n->kind != want || (strcmp(name, "int") == 0 && !parse_int(n->str, &d)))
		return fail(l, n->mark, "yaml", "'%.40s' is not valid for the tag '!!%s'",
			n->str, name);
	return 0;
}

static int check_collection_tag(
	struct loader *l, struct mark mark, const yaml_char_t *tag, const char *want)
{
	const char *t = (const char *)tag;

	if (!t || strcmp(t, "!") == 0 ||
		(str_starts(t, TAG_PREFIX) && strcmp(t + strlen(TAG_PREFIX), want) == 0))
		return 0;
	return bad_tag(l, mark, t);
}

/* ---- building --------------------------------------------------------------------- */

static struct yaml_node *new_node(struct loader *l, struct mark mark)
{
	struct yaml_node *n = arena_alloc(l->doc->arena, sizeof(*n));

	n->mark = mark;
	n->weight = 1;
	n->height = 1;
	l->nodes++;
	return n;
}

static int check_budget(struct loader *l, struct mark mark)
{
	if (l->nodes > LIMIT_YAML_NODES)
		return fail(l, mark, "limit", "the file has more than %d YAML nodes",
			LIMIT_YAML_NODES);
	return 0;
}

static void push(struct loader *l, struct yaml_node *n)
{
	GROW(l->stack, l->stack_alloc, l->stack_len + 1);
	l->stack[l->stack_len++] = n;
}

/* In place of what cannot be had; an error has been noted. */
static void push_null(struct loader *l, struct mark mark)
{
	struct yaml_node *n = new_node(l, mark);

	n->str = "";
	n->is_lost = true;
	push(l, n);
}

/* The bucket that holds NAME or is free for it. */
static uint16_t *anchor_bucket(struct loader *l, const char *name)
{
	uint32_t hash = 2166136261u ^ (uint32_t)((uintptr_t)l->doc >> 4);

	/* From an address, so that nobody can write names that all lie in one place. */
	for (const char *p = name; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	hash ^= hash >> 15;
	hash *= 0x2c1b3c6du;
	hash ^= hash >> 12;
	for (;; hash++) {
		uint16_t *b = &l->buckets[hash & (ANCHOR_BUCKETS - 1)];

		if (*b == 0 || strcmp(l->anchors[*b - 1].name, name) == 0)
			return b;
	}
}

static int add_anchor(
	struct loader *l, const yaml_char_t *name, struct mark mark, struct yaml_node *n)
{
	if (!name)
		return 0;
	if (l->anchors_len == YAML_ANCHORS_MAX)
		return fail(l, mark, "limit", "the file has more than %d anchors",
			YAML_ANCHORS_MAX);
	GROW(l->anchors, l->anchors_alloc, l->anchors_len + 1);
	l->anchors[l->anchors_len++] = (struct yaml_anchor){
		.name = arena_strdup(l->doc->arena, (const char *)name),
		.mark = mark,
		.node = n,
	};
	/* A name may be given again: from here on it means this node. */
	*anchor_bucket(l, (const char *)name) = (uint16_t)l->anchors_len;
	return 0;
}

static int on_scalar(struct loader *l, const yaml_event_t *e)
{
	struct mark mark = mark_of(&e->start_mark, &e->end_mark);
	struct yaml_node *n = new_node(l, mark);
	const char *text = (const char *)e->data.scalar.value;
	yaml_scalar_style_t style = e->data.scalar.style;

	if (memchr(text, '\0', e->data.scalar.length))
		return fail(l, mark, "yaml", "a value must not hold a NUL character");
	n->str = arena_strndup(l->doc->arena, text, e->data.scalar.length);
	n->str_len = n->bytes = (uint32_t)e->data.scalar.length;
	n->quoted = style != YAML_PLAIN_SCALAR_STYLE;
	n->block =
		style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
	if (e->data.scalar.tag) {
		if (type_tagged(l, n, (const char *)e->data.scalar.tag) < 0)
			return -1;
	} else if (n->quoted)
		n->kind = YAML_STRING;
	else
		type_plain(n);
	push(l, n);
	return add_anchor(l, e->data.scalar.anchor, mark, n);
}

static int on_start(struct loader *l, const yaml_event_t *e, enum yaml_kind kind)
{
	struct mark mark = mark_of(&e->start_mark, &e->start_mark);
	bool is_map = kind == YAML_MAPPING;
	const yaml_char_t *tag =
		is_map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
	const yaml_char_t *anchor =
		is_map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
	struct yaml_node *n = new_node(l, mark);

	n->kind = kind;
	if (l->frames_len >= LIMIT_YAML_DEPTH)
		return fail(l, mark, "limit", "YAML nested deeper than %d levels",
			LIMIT_YAML_DEPTH);
	if (check_collection_tag(l, mark, tag, is_map ? "map" : "seq") < 0)
		return -1;
	push(l, n);
	l->frames[l->frames_len++] = (struct frame){ n, l->stack_len };
	return add_anchor(l, anchor, mark, n);
}

static int on_alias(struct loader *l, const yaml_event_t *e)
{
	struct mark mark = mark_of(&e->start_mark, &e->end_mark);
	const char *name = (const char *)e->data.alias.anchor;

	uint16_t at = *anchor_bucket(l, name);
	struct yaml_anchor *a = at ? &l->anchors[at - 1] : NULL;

	if (!a) {
		(void)fail(l, mark, "yaml", "alias '*%s' has no anchor '&%s' before it",
			name, name);
		push_null(l, mark);
		return 0;
	}
	a->is_used = true;
	for (size_t f = 0; f < l->frames_len; f++)
		if (l->frames[f].node == a->node) {
			(void)fail(l, mark, "yaml",
				"alias '*%s' is inside of its own anchor", name);
			push_null(l, mark);
			return 0;
		}
	push(l, a->node);
	return 0;
}

/* A key that is an expression can hold anything once evaluated. */
static bool is_template(const struct yaml_node *n)
{
	return strstr(n->str, "${{") != NULL;
}

static void tell_double(
	struct loader *l, const struct yaml_node *first, const struct yaml_node *key)
{
	struct diag *d = diag_add(l->diags, l->doc->file, key->mark, SEVERITY_ERROR,
		"duplicate-key", "key '%.60s' is already defined", key->str);

	diag_hint(d, "first at line %u%s", first->mark.line,
		strcmp(first->str, key->str) == 0 ? ""
						  : "; keys are compared without case");
}

/* So many keys are compared with each other; more are found by name. */
#define COMPARED_MAX 8

static void check_unique(struct loader *l, const struct yaml_node *map)
{
	_cleanup_(arena_freep) struct arena *scratch = NULL;
	struct names seen = NAMES_INIT;

	if (map->len > COMPARED_MAX) {
		scratch = arena_new();
		names_reserve(&seen, scratch, map->len);
	}
	for (size_t i = 0; i < map->len; i++) {
		const struct yaml_node *key = map->pairs[i].key, *first = NULL;
		bool is_new = true;

		if (is_template(key))
			continue;
		if (scratch) {
			const struct name_entry *e =
				names_add(&seen, scratch, key->str, (uint32_t)i, &is_new);

			first = map->pairs[e->value].key;
		}
		for (size_t k = 0; !scratch && is_new && k < i; k++) {
			first = map->pairs[k].key;
			is_new = strcasecmp(first->str, key->str) != 0;
		}
		if (!is_new)
			tell_double(l, first, key);
	}
}

static int build_mapping(
	struct loader *l, struct yaml_node *map, struct yaml_node **kids, size_t n)
{
	map->len = (uint32_t)(n / 2);
	map->pairs = arena_alloc(l->doc->arena, (map->len + 1) * sizeof(*map->pairs));
	for (size_t i = 0; i < map->len; i++) {
		struct yaml_node *key = kids[2 * i], *value = kids[2 * i + 1];

		if (!yaml_is_scalar(key))
			return fail(l, key->mark, "yaml", "a key must be a scalar");
		if (!key->quoted && strcmp(key->str, "<<") == 0 &&
			!yaml_is_scalar(value)) {
			(void)fail(l, key->mark, "merge-key",
				"the merge key '<<' is not supported, as on GitHub");
			diag_hint(&l->diags->items[l->diags->len - 1],
				"write the keys out, or alias the whole value");
			return -1;
		}
		map->pairs[i] = (struct yaml_pair){ key, value };
	}
	check_unique(l, map);
	return 0;
}

static int on_end(struct loader *l, const yaml_event_t *e)
{
	struct frame f = l->frames[--l->frames_len];
	struct yaml_node **kids = l->stack + f.first, *n = f.node;
	size_t count = l->stack_len - f.first, weight = 1, bytes = 0;

	n->mark.end_line = (unsigned)e->end_mark.line + 1;
	n->mark.end_column = (unsigned)e->end_mark.column + 1;
	for (size_t i = 0; i < count; i++) {
		weight += kids[i]->weight;
		bytes += kids[i]->bytes;
		if (kids[i]->height >= n->height)
			n->height = kids[i]->height + 1;
	}
	if (weight > LIMIT_YAML_NODES || bytes > YAML_BYTES_MAX)
		return fail(l, n->mark, "limit",
			"aliases expand to more than %d nodes or %d MiB",
			LIMIT_YAML_NODES, (int)(YAML_BYTES_MAX / MiB));
	n->weight = (uint32_t)weight;
	n->bytes = (uint32_t)bytes;
	if (n->height + l->frames_len > LIMIT_YAML_DEPTH)
		return fail(l, n->mark, "limit", "aliases nest deeper than %d levels",
			LIMIT_YAML_DEPTH);
	if (n->kind == YAML_MAPPING) {
		if (build_mapping(l, n, kids, count) < 0)
			return -1;
	} else {
		n->len = (uint32_t)count;
		n->items = arena_alloc(l->doc->arena, (count + 1) * sizeof(*n->items));
		if (count)
			memcpy(n->items, kids, count * sizeof(*kids));
	}
	l->stack_len = f.first;
	return 0;
}

/* libyaml's words name the token; what was meant is mostly one of these. */
static const struct {
	const char *problem;
	const char *hint;
} yaml_hints[] = {
	{ "mapping values are not allowed",
		"is the indentation right? a value with ': ' in it needs quotes" },
	{ "did not find expected key", "is the indentation that of the keys above?" },
	{ "did not find expected '-'", "is the indentation that of the items above?" },
	{ "could not find expected ':'", "a key needs ': ' behind it" },
	{ "block sequence entries are not allowed",
		"a list starts on a line of its own" },
	{ "unexpected end of stream", "a quote is not closed" },
};

static void add_yaml_hint(struct loader *l, struct mark mark, const char *what)
{
	struct diag *d = &l->diags->items[l->diags->len - 1];
	size_t at = yaml_byte_of(l->doc, mark.line, mark.column);

	if (at < l->doc->source_len && l->doc->source[at] == '\t') {
		diag_hint(d, "indent with blanks, not with tabs");
		return;
	}
	if (at < l->doc->source_len && strchr("@`%", l->doc->source[at])) {
		diag_hint(d, "a value cannot start with '%c': put it in quotes",
			l->doc->source[at]);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(yaml_hints); i++)
		if (strstr(what, yaml_hints[i].problem))
			diag_hint(d, "%s", yaml_hints[i].hint);
}

static int parser_error(struct loader *l)
{
	const yaml_parser_t *p = &l->parser;
	const yaml_mark_t *m = &p->problem_mark;
	struct mark mark = { (unsigned)m->line + 1, (unsigned)m->column + 1, 0, 0 };
	const char *what = p->problem ? p->problem : "unreadable";

	/* Reader errors have an offset alone; the mark is where reading had come to. */
	if (p->error == YAML_READER_ERROR) {
		mark.line = (unsigned)p->mark.line + 1;
		mark.column = (unsigned)p->mark.column + 1;
	}
	mark.end_line = mark.line;
	mark.end_column = mark.column + 1;
	if (p->context && p->context_mark.line != m->line)
		(void)fail(l, mark, "yaml", "not YAML: %s, %s (since line %zu)",
			p->context, what, p->context_mark.line + 1);
	else
		(void)fail(l, mark, "yaml", "not YAML: %s", what);
	add_yaml_hint(l, mark, what);
	return -1;
}

static int on_event(struct loader *l, const yaml_event_t *e, bool *is_done)
{
	switch (e->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if (l->stack_len > 0)
			return fail(l, mark_of(&e->start_mark, &e->end_mark), "yaml",
				"a second YAML document: one file is one workflow");
		return 0;
	case YAML_STREAM_END_EVENT:
		*is_done = true;
		return 0;
	case YAML_ALIAS_EVENT:
		l->nodes++;
		return on_alias(l, e);
	case YAML_SCALAR_EVENT:
		return on_scalar(l, e);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(l, e, YAML_SEQUENCE);
	case YAML_MAPPING_START_EVENT:
		return on_start(l, e, YAML_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(l, e);
	}
	return 0;
}

static int load(struct loader *l)
{
	bool is_done = false;

	while (!is_done) {
		yaml_event_t e;
		int rc;

		if (!yaml_parser_parse(&l->parser, &e))
			return parser_error(l);
		rc = on_event(l, &e, &is_done);
		if (rc == 0)
			rc = check_budget(l, mark_of(&e.start_mark, &e.end_mark));
		yaml_event_delete(&e);
		if (rc < 0)
			return -1;
	}
	if (l->stack_len == 0)
		return fail(l, (struct mark){ 1, 1, 1, 2 }, "yaml", "the file is empty");
	l->doc->root = l->stack[0];
	return 0;
}

static int check_bytes(struct loader *l, const char *data, size_t len)
{
	struct mark start = { 1, 1, 1, 2 };

	if (len > LIMIT_WORKFLOW_FILE)
		return fail(l, start, "limit", "the file is larger than %d KiB",
			(int)(LIMIT_WORKFLOW_FILE / KiB));
	if (len >= 2 &&
		(memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0))
		return fail(l, start, "yaml", "the file is UTF-16: save it as UTF-8");
	if (memchr(data, '\0', len))
		return fail(
			l, start, "yaml", "the file holds a NUL byte: it is not a text");
	return 0;
}

static void index_lines(struct yaml_doc *doc)
{
	const char *p = doc->source, *end = p + doc->source_len;
	uint32_t *lines;
	size_t n = 1;

	for (const char *c = p; (c = memchr(c, '\n', (size_t)(end - c))); c++)
		n++;
	lines = arena_alloc(doc->arena, n * sizeof(*lines));
	n = 1;
	for (const char *c = p; (c = memchr(c, '\n', (size_t)(end - c))); c++)
		lines[n++] = (uint32_t)(c + 1 - p);
	doc->lines = lines;
	doc->lines_len = n;
}

void yaml_parse_lenient(const char *file, const char *data, size_t len,
	struct yaml_doc **ret, struct diagnostics *d)
{
	struct loader l = { .diags = d };
	struct arena *arena = arena_new();
	size_t bom = len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	int rc;

	l.doc = arena_alloc(arena, sizeof(*l.doc));
	*l.doc = (struct yaml_doc){ .arena = arena,
		.file = arena_strdup(arena, file),
		.source = data + bom,
		.source_len = len - bom,
		.places = arena_alloc(arena, sizeof(*l.doc->places)) };
	rc = check_bytes(&l, data, len);
	if (rc == 0) {
		index_lines(l.doc);
		if (!yaml_parser_initialize(&l.parser))
			abort(); /* its only failure is out of memory */
		yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&l.parser,
			(const unsigned char *)l.doc->source, l.doc->source_len);
		rc = load(&l);
		yaml_parser_delete(&l.parser);
	}
	if (rc == 0 && l.anchors_len > 0) {
		size_t size = l.anchors_len * sizeof(*l.anchors);

		l.doc->anchors = arena_alloc(arena, size);
		memcpy(l.doc->anchors, l.anchors, size);
		l.doc->anchors_len = l.anchors_len;
	}
	free(l.stack);
	free(l.anchors);
	*ret = rc < 0 ? NULL : l.doc;
	if (rc < 0)
		arena_free(arena);
}

int yaml_parse(const char *file, const char *data, size_t len, struct yaml_doc **ret,
	struct diagnostics *d)
{
	size_t before = d->len + d->dropped;
	struct yaml_doc *doc;

	yaml_parse_lenient(file, data, len, &doc, d);
	if (!doc || d->len + d->dropped > before) {
		yaml_doc_free(doc);
		return -1;
	}
	*ret = doc;
	return 0;
}

void yaml_doc_free(struct yaml_doc *doc)
{
	if (doc)
		arena_free(doc->arena);
}

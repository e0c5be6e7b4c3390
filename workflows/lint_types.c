/* SPDX-License-Identifier: Apache-2.0 */
/* Types of values, as far as a file tells them. */
#include "workflows/lint-types.h"

#include <string.h>
#include <strings.h>

const struct lint_type type_any = { .kind = TYPE_ANY };
const struct lint_type type_null = { .kind = TYPE_NULL };
const struct lint_type type_bool = { .kind = TYPE_BOOL };
const struct lint_type type_number = { .kind = TYPE_NUMBER };
const struct lint_type type_string = { .kind = TYPE_STRING };
const struct lint_type type_any_object = { .kind = TYPE_OBJECT };
const struct lint_type type_any_array = { .kind = TYPE_ARRAY };
const struct lint_type type_strings = { .kind = TYPE_OBJECT, .elem = &type_string };
const struct lint_type type_empty_object = { .kind = TYPE_OBJECT, .is_strict = true };

/* So few properties are found by a walk. */
#define WALK_MAX 16

struct lint_type *type_new_object(struct arena *a, size_t props_max, bool is_strict)
{
	struct lint_type *t = arena_alloc(a, sizeof(*t));

	t->kind = TYPE_OBJECT;
	t->is_strict = is_strict;
	t->props = arena_alloc(a, (props_max + 1) * sizeof(*t->props));
	if (props_max > WALK_MAX) {
		t->names = arena_alloc(a, sizeof(*t->names));
		names_reserve(t->names, a, props_max);
		t->arena = a;
	}
	return t;
}

static size_t find_prop(const struct lint_type *t, const char *name, size_t len)
{
	if (t->names) {
		const struct name_entry *e = names_find(t->names, name, len);

		return e ? e->value : SIZE_MAX;
	}
	for (size_t i = 0; i < t->len; i++)
		if (strlen(t->props[i].name) == len &&
			strncasecmp(t->props[i].name, name, len) == 0)
			return i;
	return SIZE_MAX;
}

void type_add(struct lint_type *type, const char *name, const struct lint_type *prop)
{
	struct lint_prop *props = (struct lint_prop *)type->props; /* made above */

	size_t at = find_prop(type, name, strlen(name));

	if (at != SIZE_MAX) {
		props[at].type = prop;
		return;
	}
	if (type->names)
		names_add(type->names, type->arena, name, (uint32_t)type->len, NULL);
	props[type->len++] = (struct lint_prop){ name, prop };
}

const struct lint_type *type_new_array(struct arena *a, const struct lint_type *elem)
{
	struct lint_type *t = arena_alloc(a, sizeof(*t));

	t->kind = TYPE_ARRAY;
	t->elem = elem;
	return t;
}

const struct lint_type *type_prop(const struct lint_type *t, const char *name, size_t len)
{
	size_t at = find_prop(t, name, len);

	return at != SIZE_MAX ? t->props[at].type : NULL;
}

static const struct lint_type *elem_of(const struct lint_type *t)
{
	return t->elem ? t->elem : &type_any;
}

/* Merging objects of objects of ... is cut: deeper they are just objects. */
#define MERGE_PROPS_MAX 256

static const struct lint_type *merge_objects(
	struct arena *a, const struct lint_type *x, const struct lint_type *y)
{
	struct lint_type *t;

	if (x->len + y->len > MERGE_PROPS_MAX)
		return &type_any_object;
	t = type_new_object(a, x->len + y->len, x->is_strict && y->is_strict);
	for (size_t i = 0; i < x->len; i++) {
		const struct lint_type *other =
			type_prop(y, x->props[i].name, strlen(x->props[i].name));

		type_add(t, x->props[i].name,
			other ? type_merge(a, x->props[i].type, other)
			      : x->props[i].type);
	}
	for (size_t i = 0; i < y->len; i++)
		if (!type_prop(t, y->props[i].name, strlen(y->props[i].name)))
			type_add(t, y->props[i].name, y->props[i].type);
	if (!t->is_strict)
		t->elem =
			x->elem && y->elem ? type_merge(a, x->elem, y->elem) : &type_any;
	return t;
}

const struct lint_type *type_merge(
	struct arena *a, const struct lint_type *x, const struct lint_type *y)
{
	struct lint_type *t;

	if (x == y || y->kind == TYPE_NULL)
		return x;
	if (x->kind == TYPE_NULL)
		return y;
	if (x->kind != y->kind)
		return &type_any;
	if (x->kind == TYPE_OBJECT)
		return merge_objects(a, x, y);
	if (x->kind != TYPE_ARRAY)
		return x;
	t = (struct lint_type *)type_new_array(a, type_merge(a, elem_of(x), elem_of(y)));
	t->is_filter = x->is_filter && y->is_filter;
	return t;
}

const struct lint_type *type_of_value(struct arena *a, const struct value *v)
{
	const struct lint_type *elem = NULL;
	struct lint_type *t;

	switch (value_kind_of(v)) {
	case VALUE_NULL:
		return &type_null;
	case VALUE_BOOL:
		return &type_bool;
	case VALUE_NUMBER:
		return &type_number;
	case VALUE_STRING:
		return &type_string;
	case VALUE_ARRAY:
		for (size_t i = 0; i < value_count(v); i++) {
			const struct lint_type *one = type_of_value(a, value_at(v, i));

			elem = elem ? type_merge(a, elem, one) : one;
		}
		return type_new_array(a, elem ? elem : &type_any);
	case VALUE_OBJECT:
		break;
	}
	t = type_new_object(a, value_count(v), true);
	for (size_t i = 0; i < value_count(v); i++)
		type_add(t, arena_strdup(a, value_key_at(v, i)),
			type_of_value(a, value_member_at(v, i)));
	return t;
}

bool type_fits(const struct lint_type *from, const struct lint_type *to)
{
	if (from->kind == TYPE_ANY || to->kind == TYPE_ANY)
		return true;
	switch (to->kind) {
	case TYPE_STRING:
		return from->kind == TYPE_BOOL || from->kind == TYPE_NUMBER ||
		       from->kind == TYPE_STRING;
	case TYPE_BOOL:
		return from->kind == TYPE_BOOL;
	case TYPE_NUMBER:
		return from->kind == TYPE_NUMBER;
	case TYPE_ARRAY:
		return from->kind == TYPE_ARRAY && type_fits(elem_of(from), elem_of(to));
	case TYPE_OBJECT:
		return from->kind == TYPE_OBJECT;
	case TYPE_NULL:
	case TYPE_ANY:
		break;
	}
	return from->kind == to->kind;
}

#define WORDS_PROPS_MAX 8

void type_words(const struct lint_type *t, struct strbuf *out)
{
	static const char *const words[] = { "anything", "null", "a boolean", "a number",
		"a string", "a list", "an object" };

	strbuf_adds(out, words[t->kind]);
	if (t->kind != TYPE_OBJECT || !t->is_strict)
		return;
	if (t->len == 0)
		strbuf_adds(out, " without properties");
	for (size_t i = 0; i < t->len && i < WORDS_PROPS_MAX; i++)
		strbuf_addf(out, "%s%s", i ? ", " : " with ", t->props[i].name);
	if (t->len > WORDS_PROPS_MAX)
		strbuf_adds(out, ", ...");
}

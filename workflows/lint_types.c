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
const struct lint_type type_any_filter = {
	.kind = TYPE_ARRAY, .elem = &type_any, .is_filter = true
};
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

/* Objects of so many properties are just objects, and so are all after so many in all. */
#define MERGE_PROPS_MAX 256
#define MERGED_MAX	50000

static bool may_merge(struct lint_types *ts, size_t props)
{
	if (props > MERGE_PROPS_MAX || ts->merged > MERGED_MAX)
		return false;
	ts->merged += props + 1;
	return true;
}

static const struct lint_type *merge_objects(
	struct lint_types *ts, const struct lint_type *x, const struct lint_type *y)
{
	struct lint_type *t;

	if (!may_merge(ts, x->len + y->len))
		return &type_any_object;
	t = type_new_object(ts->arena, x->len + y->len, x->is_strict && y->is_strict);
	for (size_t i = 0; i < x->len; i++) {
		const struct lint_type *other =
			type_prop(y, x->props[i].name, strlen(x->props[i].name));

		type_add(t, x->props[i].name,
			other ? type_merge(ts, x->props[i].type, other)
			      : x->props[i].type);
	}
	for (size_t i = 0; i < y->len; i++)
		if (!type_prop(t, y->props[i].name, strlen(y->props[i].name)))
			type_add(t, y->props[i].name, y->props[i].type);
	if (!t->is_strict)
		t->elem =
			x->elem && y->elem ? type_merge(ts, x->elem, y->elem) : &type_any;
	return t;
}

const struct lint_type *type_merge(
	struct lint_types *ts, const struct lint_type *x, const struct lint_type *y)
{
	struct lint_type *t;

	if (x == y || y->kind == TYPE_NULL)
		return x;
	if (x->kind == TYPE_NULL)
		return y;
	if (x->kind != y->kind)
		return &type_any;
	if (x->kind == TYPE_OBJECT)
		return merge_objects(ts, x, y);
	if (x->kind != TYPE_ARRAY)
		return x;
	if (!may_merge(ts, 1))
		return &type_any_array;
	t = (struct lint_type *)type_new_array(
		ts->arena, type_merge(ts, elem_of(x), elem_of(y)));
	t->is_filter = x->is_filter && y->is_filter;
	return t;
}

/* So many properties are looked at for what `.*` gives; more are anything. */
#define FILTER_PROPS_MAX 64

static const struct lint_type *elem_of_object(
	struct lint_types *ts, const struct lint_type *t)
{
	const struct lint_type *elem = NULL;

	if (t->len > FILTER_PROPS_MAX)
		return &type_any;
	for (size_t i = 0; i < t->len; i++)
		elem = elem ? type_merge(ts, elem, t->props[i].type) : t->props[i].type;
	if (t->is_strict)
		return elem ? elem : &type_any;
	if (!t->elem)
		return &type_any;
	return elem ? type_merge(ts, elem, t->elem) : t->elem;
}

const struct lint_type *type_filter(struct lint_types *ts, const struct lint_type *t)
{
	const struct lint_type *elem =
		t->kind == TYPE_OBJECT ? elem_of_object(ts, t) : elem_of(t);
	struct lint_type *a;

	if (t->kind == TYPE_ARRAY && t->is_filter)
		return t;
	if (elem == &type_any)
		return &type_any_filter;
	a = (struct lint_type *)type_new_array(ts->arena, elem);
	a->is_filter = true;
	return a;
}

const struct lint_type *type_of_value(struct lint_types *ts, const struct value *v)
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
		if (value_count(v) == 0)
			return &type_any_array;
		for (size_t i = 0; i < value_count(v); i++) {
			const struct lint_type *one = type_of_value(ts, value_at(v, i));

			elem = elem ? type_merge(ts, elem, one) : one;
		}
		return type_new_array(ts->arena, elem);
	case VALUE_OBJECT:
		if (value_count(v) == 0)
			return &type_empty_object;
		break;
	}
	t = type_new_object(ts->arena, value_count(v), true);
	for (size_t i = 0; i < value_count(v); i++)
		type_add(t, arena_strdup(ts->arena, value_key_at(v, i)),
			type_of_value(ts, value_member_at(v, i)));
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

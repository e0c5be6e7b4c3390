/* SPDX-License-Identifier: Apache-2.0 */
/* The values of the expression language: their storage, and GitHub's coercions. */
#include "workflows/value.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/fold.h"
#include "workflows/value-internal.h"

/* With so few members a walk over the hashes beats a tree. */
#define VALUE_SMALL_OBJECT 8

const struct value value_null = { .kind = VALUE_NULL };
const struct value value_true = { .kind = VALUE_BOOL, .boolean = true };
const struct value value_false = { .kind = VALUE_BOOL };

/* ---- making and freeing ---- */

static struct value *value_alloc(enum value_kind kind, size_t extra)
{
	struct value *v = xmalloc(sizeof(*v) + extra);

	memset(v, 0, sizeof(*v));
	v->refs = 1;
	v->kind = kind;
	return v;
}

/* Constants are shared by cast: refs 0 keeps everybody from writing to them. */
struct value *value_new_null(void)
{
	return (struct value *)&value_null;
}

struct value *value_new_bool(bool v)
{
	return (struct value *)(v ? &value_true : &value_false);
}

struct value *value_new_number(double n)
{
	struct value *v = value_alloc(VALUE_NUMBER, 0);

	v->u.number = n;
	return v;
}

struct value *value_new_blank(size_t len)
{
	struct value *v = value_alloc(VALUE_STRING, len + 1);

	v->u.text_len = len;
	v->text[len] = '\0';
	return v;
}

struct value *value_new_strn(const char *s, size_t len)
{
	struct value *v;

	if (!s)
		return value_new_null();
	v = value_new_blank(len);
	if (len > 0)
		memcpy(v->text, s, len);
	return v;
}

struct value *value_new_str(const char *s)
{
	return value_new_strn(s, s ? strlen(s) : 0);
}

struct value *value_new_array(void)
{
	return value_alloc(VALUE_ARRAY, 0);
}

struct value *value_new_object(void)
{
	return value_alloc(VALUE_OBJECT, 0);
}

struct value *value_new_object_cs(void)
{
	struct value *v = value_alloc(VALUE_OBJECT, 0);

	v->keeps_case = true;
	return v;
}

struct value *value_ref(struct value *v)
{
	if (v && v->refs > 0)
		v->refs++;
	return v;
}

void value_unref(struct value *v)
{
	if (!v || v->refs == 0 || --v->refs > 0)
		return;
	if (v->kind == VALUE_ARRAY) {
		for (size_t i = 0; i < v->u.array.len; i++)
			value_unref(v->u.array.items[i]);
		free(v->u.array.items);
	} else if (v->kind == VALUE_OBJECT) {
		for (size_t i = 0; i < v->u.object.len; i++) {
			free(v->u.object.members[i].key);
			value_unref(v->u.object.members[i].value);
		}
		free(v->u.object.members);
		free(v->u.object.slots);
	}
	free(v);
}

struct value *value_clone(const struct value *v)
{
	struct value *copy;

	if (!v)
		return value_new_null();
	if (v->kind == VALUE_ARRAY) {
		copy = value_new_array();
		for (size_t i = 0; i < v->u.array.len; i++)
			value_push(copy, value_clone(v->u.array.items[i]));
		return copy;
	}
	if (v->kind == VALUE_OBJECT) {
		copy = v->keeps_case ? value_new_object_cs() : value_new_object();
		for (size_t i = 0; i < v->u.object.len; i++) {
			const struct value_member *m = &v->u.object.members[i];

			value_setn(copy, m->key, m->key_len, value_clone(m->value));
		}
		return copy;
	}
	return value_ref((struct value *)v); /* scalars never change */
}

/* ---- reading ---- */

enum value_kind value_kind_of(const struct value *v)
{
	return v ? (enum value_kind)v->kind : VALUE_NULL;
}

const char *value_kind_name(enum value_kind kind)
{
	static const char *const names[] = { "Null", "Boolean", "Number", "String",
		"Array", "Object" };

	return names[kind];
}

bool value_bool(const struct value *v)
{
	assert(value_kind_of(v) == VALUE_BOOL);
	return v->boolean;
}

double value_number(const struct value *v)
{
	assert(value_kind_of(v) == VALUE_NUMBER);
	return v->u.number;
}

const char *value_str(const struct value *v)
{
	assert(value_kind_of(v) == VALUE_STRING);
	return v->text;
}

size_t value_str_len(const struct value *v)
{
	return value_kind_of(v) == VALUE_STRING ? v->u.text_len : 0;
}

size_t value_count(const struct value *v)
{
	switch (value_kind_of(v)) {
	case VALUE_ARRAY:
		return v->u.array.len;
	case VALUE_OBJECT:
		return v->u.object.len;
	case VALUE_NULL:
	case VALUE_BOOL:
	case VALUE_NUMBER:
	case VALUE_STRING:
		break;
	}
	return 0;
}

struct value *value_at(const struct value *v, size_t i)
{
	if (value_kind_of(v) != VALUE_ARRAY || i >= v->u.array.len)
		return NULL;
	return v->u.array.items[i];
}

static bool member_is(const struct value *obj, const struct value_member *m,
	const char *key, size_t len, uint32_t hash)
{
	if (m->hash != hash)
		return false;
	if (m->key_len == len && memcmp(m->key, key, len) == 0)
		return true;
	return !obj->keeps_case && fold_equal(m->key, m->key_len, key, len);
}

/*
 * More members than a few are in a table, until one of them is PROBES_MAX places from where
 * it belongs: then somebody writes keys whose hashes are alike, which nothing that is pure
 * could keep from him. From there on that object has a balanced tree (Andersson's) instead,
 * in the order of hashes and then of keys.
 */
#define PROBES_MAX 64

static int member_order(const struct value *obj, const struct value_member *m,
	const char *key, size_t len, uint32_t hash)
{
	int c;

	if (hash != m->hash)
		return hash < m->hash ? -1 : 1;
	if (m->key_len == len && memcmp(m->key, key, len) == 0)
		return 0;
	if (!obj->keeps_case)
		return fold_compare(key, len, m->key, m->key_len);
	c = memcmp(key, m->key, len < m->key_len ? len : m->key_len);
	return c != 0 ? c : len < m->key_len ? -1 : 1;
}

static struct value_member *member_find(
	const struct value *obj, const char *key, size_t len, uint32_t hash)
{
	struct value_member *members = obj->u.object.members;
	uint32_t at = obj->u.object.root;
	size_t mask = obj->u.object.slots_len - 1;

	/* Nothing is further from its place; a search for what is not there ends too. */
	for (size_t n = 0, i = hash; obj->u.object.slots_len > 0; n++, i++) {
		uint32_t slot = n < PROBES_MAX ? obj->u.object.slots[i & mask] : 0;

		if (slot == 0)
			return NULL;
		if (member_is(obj, &members[slot - 1], key, len, hash))
			return &members[slot - 1];
	}
	if (at == 0) {
		for (size_t i = 0; i < obj->u.object.len; i++)
			if (member_is(obj, &members[i], key, len, hash))
				return &members[i];
		return NULL;
	}
	while (at) {
		struct value_member *m = &members[at - 1];
		int order = member_order(obj, m, key, len, hash);

		if (order == 0)
			return m;
		at = order < 0 ? m->left : m->right;
	}
	return NULL;
}

struct value *value_find(
	const struct value *v, const char *key, size_t len, uint32_t hash)
{
	struct value_member *m;

	if (value_kind_of(v) != VALUE_OBJECT)
		return NULL;
	m = member_find(v, key, len, hash);
	return m ? m->value : NULL;
}

struct value *value_getn(const struct value *v, const char *key, size_t len)
{
	if (value_kind_of(v) != VALUE_OBJECT)
		return NULL;
	return value_find(v, key, len, fold_hash(key, len));
}

struct value *value_get(const struct value *v, const char *key)
{
	return value_getn(v, key, strlen(key));
}

const char *value_key_at(const struct value *v, size_t i)
{
	if (value_kind_of(v) != VALUE_OBJECT || i >= v->u.object.len)
		return NULL;
	return v->u.object.members[i].key;
}

struct value *value_member_at(const struct value *v, size_t i)
{
	if (value_kind_of(v) != VALUE_OBJECT || i >= v->u.object.len)
		return NULL;
	return v->u.object.members[i].value;
}

/* ---- building ---- */

void value_push(struct value *arr, struct value *member)
{
	assert(arr->kind == VALUE_ARRAY);
	GROW(arr->u.array.items, arr->u.array.alloc, arr->u.array.len + 1);
	arr->u.array.items[arr->u.array.len++] = member ? member : value_new_null();
}

/* A left child of the same level changes places with its parent. */
static uint32_t tree_skew(struct value_member *members, uint32_t at)
{
	struct value_member *m = &members[at - 1];
	uint32_t left = m->left;

	if (left == 0 || members[left - 1].level != m->level)
		return at;
	m->left = members[left - 1].right;
	members[left - 1].right = at;
	return left;
}

/* Two right children in a row of the same level: the middle one goes up. */
static uint32_t tree_split(struct value_member *members, uint32_t at)
{
	struct value_member *m = &members[at - 1], *right;
	uint32_t up = m->right;

	if (up == 0)
		return at;
	right = &members[up - 1];
	if (right->right == 0 || members[right->right - 1].level != m->level)
		return at;
	m->right = right->left;
	right->left = at;
	right->level++;
	return up;
}

/* No key stands twice. As deep as twice the logarithm of the members. */
static uint32_t tree_insert(struct value *obj, uint32_t at, uint32_t added)
{
	struct value_member *members = obj->u.object.members, *m;
	const struct value_member *new = &members[added - 1];

	if (at == 0)
		return added;
	m = &members[at - 1];
	if (member_order(obj, m, new->key, new->key_len, new->hash) < 0)
		m->left = tree_insert(obj, m->left, added);
	else
		m->right = tree_insert(obj, m->right, added);
	return tree_split(members, tree_skew(members, at));
}

static void object_link(struct value *obj, size_t i)
{
	struct value_member *m = &obj->u.object.members[i];

	m->left = m->right = 0;
	m->level = 1;
	obj->u.object.root = tree_insert(obj, obj->u.object.root, (uint32_t)i + 1);
}

/* False: it would be too far from its place. */
static bool object_slot(struct value *obj, size_t i)
{
	size_t mask = obj->u.object.slots_len - 1;
	size_t at = obj->u.object.members[i].hash & mask;

	for (size_t probes = 0; probes < PROBES_MAX; probes++, at = (at + 1) & mask)
		if (!obj->u.object.slots[at]) {
			obj->u.object.slots[at] = (uint32_t)i + 1;
			return true;
		}
	return false;
}

static void object_drop_index(struct value *obj)
{
	free(obj->u.object.slots);
	obj->u.object.slots = NULL;
	obj->u.object.slots_len = 0;
	obj->u.object.root = 0;
}

static void object_make_tree(struct value *obj)
{
	object_drop_index(obj);
	for (size_t i = 0; i < obj->u.object.len; i++)
		object_link(obj, i);
}

/* Makes the table anew: at most half full, so that a search ends soon. */
static void object_index(struct value *obj)
{
	size_t want = 4 * VALUE_SMALL_OBJECT;

	object_drop_index(obj);
	if (obj->u.object.len <= VALUE_SMALL_OBJECT)
		return;
	while (want < 4 * obj->u.object.len)
		want *= 2;
	obj->u.object.slots = xcalloc(want, sizeof(*obj->u.object.slots));
	obj->u.object.slots_len = want;
	for (size_t i = 0; i < obj->u.object.len; i++)
		if (!object_slot(obj, i)) {
			object_make_tree(obj);
			return;
		}
}

void value_setn(struct value *obj, const char *key, size_t len, struct value *member)
{
	uint32_t hash = fold_hash(key, len);
	struct value_member *m;

	assert(obj->kind == VALUE_OBJECT);
	if (!member)
		member = value_new_null();
	m = member_find(obj, key, len, hash);
	if (m) {
		value_unref(m->value);
		m->value = member;
		return;
	}
	GROW(obj->u.object.members, obj->u.object.alloc, obj->u.object.len + 1);
	assert(obj->u.object.members); /* GROW makes room for one at least */
	m = &obj->u.object.members[obj->u.object.len++];
	m->key = xmalloc(len + 1);
	memcpy(m->key, key, len);
	m->key[len] = '\0';
	m->key_len = len;
	m->hash = hash;
	m->value = member;
	if (obj->u.object.root)
		object_link(obj, obj->u.object.len - 1);
	else if (2 * obj->u.object.len > obj->u.object.slots_len)
		object_index(obj);
	else if (!object_slot(obj, obj->u.object.len - 1))
		object_make_tree(obj);
}

void value_set(struct value *obj, const char *key, struct value *member)
{
	value_setn(obj, key, strlen(key), member);
}

void value_set_str(struct value *obj, const char *key, const char *s)
{
	value_set(obj, key, value_new_str(s));
}

void value_unset(struct value *obj, const char *key)
{
	size_t len = strlen(key), at;
	struct value_member *m;

	assert(obj->kind == VALUE_OBJECT);
	m = member_find(obj, key, len, fold_hash(key, len));
	if (!m)
		return;
	at = (size_t)(m - obj->u.object.members);
	free(m->key);
	value_unref(m->value);
	memmove(m, m + 1, (obj->u.object.len - at - 1) * sizeof(*m));
	obj->u.object.len--;
	object_index(obj);
}

/* ---- coercions and comparisons ---- */

bool value_truthy(const struct value *v)
{
	switch (value_kind_of(v)) {
	case VALUE_NULL:
		return false;
	case VALUE_BOOL:
		return v->boolean;
	case VALUE_NUMBER:
		return v->u.number != 0 && !isnan(v->u.number);
	case VALUE_STRING:
		return v->u.text_len > 0;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		break;
	}
	return true;
}

double value_to_number(const struct value *v)
{
	switch (value_kind_of(v)) {
	case VALUE_NULL:
		return 0;
	case VALUE_BOOL:
		return v->boolean;
	case VALUE_NUMBER:
		return v->u.number;
	case VALUE_STRING:
		return number_from_text(v->text, v->u.text_len);
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		break;
	}
	return NAN;
}

void value_to_text(const struct value *v, struct strbuf *out)
{
	switch (value_kind_of(v)) {
	case VALUE_NULL:
		break;
	case VALUE_BOOL:
		strbuf_adds(out, v->boolean ? "true" : "false");
		break;
	case VALUE_NUMBER:
		number_to_text(v->u.number, out);
		break;
	case VALUE_STRING:
		strbuf_add(out, v->text, v->u.text_len);
		break;
	case VALUE_ARRAY:
		strbuf_adds(out, "Array");
		break;
	case VALUE_OBJECT:
		strbuf_adds(out, "Object");
		break;
	}
}

char *value_text(const struct value *v)
{
	struct strbuf sb = STRBUF_INIT;

	value_to_text(v, &sb);
	return strbuf_take(&sb);
}

static bool is_collection(enum value_kind kind)
{
	return kind == VALUE_ARRAY || kind == VALUE_OBJECT;
}

bool value_equals(const struct value *a, const struct value *b)
{
	enum value_kind kind = value_kind_of(a), other = value_kind_of(b);

	if (is_collection(kind) || is_collection(other))
		return a == b;
	if (kind != other) /* every mixed pair ends as two numbers */
		return value_to_number(a) == value_to_number(b);
	switch (kind) {
	case VALUE_BOOL:
		return a->boolean == b->boolean;
	case VALUE_NUMBER:
		return a->u.number == b->u.number;
	case VALUE_STRING:
		return fold_equal(a->text, a->u.text_len, b->text, b->u.text_len);
	case VALUE_NULL:
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		break;
	}
	return true;
}

bool value_less(const struct value *a, const struct value *b)
{
	enum value_kind kind = value_kind_of(a), other = value_kind_of(b);

	if (is_collection(kind) || is_collection(other))
		return false;
	if (kind == VALUE_STRING && other == VALUE_STRING)
		return fold_compare(a->text, a->u.text_len, b->text, b->u.text_len) < 0;
	return value_to_number(a) < value_to_number(b);
}

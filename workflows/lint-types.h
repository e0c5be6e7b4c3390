/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about a value before anything runs. Types live in an arena; those of the
 * contexts every workflow has are constants.
 */
#ifndef WORKFLOWS_LINT_TYPES_H
#define WORKFLOWS_LINT_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "workflows/names.h"
#include "workflows/value.h"

enum lint_kind {
	TYPE_ANY,
	TYPE_NULL,
	TYPE_BOOL,
	TYPE_NUMBER,
	TYPE_STRING,
	TYPE_ARRAY,
	TYPE_OBJECT,
};

struct lint_type;

struct lint_prop {
	const char *name;
	const struct lint_type *type;
};

struct lint_type {
	enum lint_kind kind;
	bool is_strict;		      /* an object: it has these properties and no more */
	bool is_filter;		      /* an array made by `.*`: `.x` goes to its elements */
	const struct lint_type *elem; /* of arrays, and of further properties; NULL: any */
	const struct lint_prop *props;
	size_t len;
	struct names *names; /* of many properties, with the arena they are in; else NULL */
	struct arena *arena;
};

extern const struct lint_type type_any, type_null, type_bool, type_number, type_string;
extern const struct lint_type type_any_object;	  /* anything inside */
extern const struct lint_type type_any_array;
extern const struct lint_type type_any_filter;	  /* what `.*` gives of who knows what */
extern const struct lint_type type_strings;	  /* an object of strings */
extern const struct lint_type type_empty_object;  /* strict, without properties */

/*
 * Where types are made. Merging objects makes ever new ones: after so many properties looked
 * at, what would be merged is just anything, so that no file makes it cost the square.
 */
struct lint_types {
	struct arena *arena;
	size_t merged;
};

struct lint_type *type_new_object(struct arena *a, size_t props_max, bool is_strict);
/* TYPE was made by type_new_object with room for it. */
void type_add(struct lint_type *type, const char *name, const struct lint_type *prop);
const struct lint_type *type_new_array(struct arena *a, const struct lint_type *elem);
const struct lint_type *type_prop(const struct lint_type *t, const char *name, size_t len);
/* What `.*` over OBJECT or a list gives: the list of what is in it. */
const struct lint_type *type_filter(struct lint_types *ts, const struct lint_type *t);
/* What fits both. */
const struct lint_type *type_merge(struct lint_types *ts, const struct lint_type *x,
	const struct lint_type *y);
const struct lint_type *type_of_value(struct lint_types *ts, const struct value *v);
/* A value of FROM can stand where TO is wanted. */
bool type_fits(const struct lint_type *from, const struct lint_type *to);
/* "a string", "an object with name, os": for messages. */
void type_words(const struct lint_type *t, struct strbuf *out);

#endif

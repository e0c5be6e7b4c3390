/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the expression language: null, boolean, number (double), string, array,
 * object. Counted references; a value must not be changed once it has been shared with an
 * evaluation, except by its builder between evaluations. Objects keep insertion order and
 * find keys without case (as GitHub's dictionaries do), except those made with
 * value_new_object_cs (the `env` context on Linux).
 *
 * Rules of coercion, comparison and printing follow actions/runner
 * src/Sdk/Expressions/EvaluationResult.cs and Sdk/ExpressionUtility.cs.
 */
#ifndef WORKFLOWS_VALUE_H
#define WORKFLOWS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/strbuf.h"

enum value_kind {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_ARRAY,
	VALUE_OBJECT,
};

struct value;

struct value *value_new_null(void); /* null, true, false are shared constants */
struct value *value_new_bool(bool v);
struct value *value_new_number(double v);
struct value *value_new_str(const char *s); /* NULL gives null */
struct value *value_new_strn(const char *s, size_t len);
struct value *value_new_array(void);
struct value *value_new_object(void);
struct value *value_new_object_cs(void);  /* keys with case */
struct value *value_ref(struct value *v); /* one more reference; NULL is fine */
void value_unref(struct value *v);	  /* NULL is fine */
DEFINE_CLEANUP(struct value, value_unref);
struct value *value_clone(const struct value *v); /* deep, changeable */

enum value_kind value_kind_of(const struct value *v); /* NULL counts as null */
const char *value_kind_name(enum value_kind kind);    /* "Null" "Boolean" "Number" ... */
bool value_bool(const struct value *v);		      /* only for VALUE_BOOL */
double value_number(const struct value *v);	      /* only for VALUE_NUMBER */
const char *value_str(const struct value *v); /* only VALUE_STRING; NUL-ended, lent */
size_t value_str_len(const struct value *v);
size_t value_count(const struct value *v); /* of arrays and objects, else 0 */
struct value *value_at(const struct value *v, size_t i); /* lent; NULL past the end */
struct value *value_get(const struct value *v, const char *key); /* lent; NULL if none */
struct value *value_getn(const struct value *v, const char *key, size_t len);
const char *value_key_at(const struct value *v, size_t i);	/* of an object, lent */
struct value *value_member_at(const struct value *v, size_t i); /* of an object, lent */

/* Builders; MEMBER is taken. Setting an existing key replaces its value, keeps its place. */
void value_push(struct value *arr, struct value *member);
void value_set(struct value *obj, const char *key, struct value *member);
void value_setn(struct value *obj, const char *key, size_t len, struct value *member);
void value_set_str(struct value *obj, const char *key, const char *s);
void value_unset(struct value *obj, const char *key);

/* GitHub's rules. */
bool value_truthy(const struct value *v);
bool value_equals(const struct value *a, const struct value *b); /* `==` */
double value_to_number(const struct value *v); /* NaN where it is none */
void value_to_text(
	const struct value *v, struct strbuf *out); /* "" 'true' "Object" ... */
char *value_text(const struct value *v);	    /* the same, heap */
void number_to_text(double n, struct strbuf *out);  /* C# "G15" */
double number_from_text(
	const char *s, size_t len); /* trims; "" is 0; NaN if it is none */

/* As toJSON prints it (two spaces) when PRETTY, else compact. */
void value_write_json(const struct value *v, bool pretty, struct strbuf *out);
struct value *value_from_json(const struct json *j); /* NULL gives null */
struct json *value_to_json(const struct value *v);   /* NaN, infinities as strings */

#endif

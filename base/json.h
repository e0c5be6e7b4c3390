/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values; the only module that includes jansson. Values are counted: json_new_* and
 * json_parse give one reference to the caller, json_set and json_push *take* the
 * reference of the value given, json_get and json_at lend (until the parent changes).
 * Object keys keep their order. Readers of a missing or mistyped member get the default,
 * so hostile documents need no ladder of checks: ask for the kind where it matters.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"

struct json;

enum json_kind {
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_INT,
	JSON_KIND_REAL,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

/*
 * Parses LEN bytes. Refused with ERR_INPUT and line:column: trailing data, duplicate keys,
 * NUL in keys, depth over 64, lone surrogates. Numbers beyond 64 bits become reals.
 */
int json_parse(const char *data, size_t len, struct json **ret, struct err *err);
/*
 * A look before parsing: behind the first bracket that is nested deeper than DEPTH_MAX, or
 * NULL; how many values there are near enough, by what stands between them.
 */
const char *json_look(const char *data, size_t len, size_t depth_max, size_t *ret_values);

enum json_write_flags {
	JSON_WRITE_PRETTY = 1 << 0, /* two spaces, a newline at the end */
	JSON_WRITE_SORTED = 1 << 1, /* keys in byte order: for digests */
};
void json_write(const struct json *j, enum json_write_flags flags, struct strbuf *out);
char *json_text(const struct json *j); /* compact, heap */

struct json *json_share(struct json *j); /* one more reference; NULL stays NULL */
void json_free(struct json *j);		 /* one less; NULL is fine */
DEFINE_CLEANUP(struct json, json_free);
struct json *json_clone(const struct json *j); /* deep */

struct json *json_new_object(void);
struct json *json_new_array(void);
/* Invalid UTF-8 is replaced by U+FFFD, so this never fails. NULL gives null. */
struct json *json_new_str(const char *s);
struct json *json_new_strn(const char *s, size_t len);
struct json *json_new_int(int64_t v);
struct json *json_new_real(double v); /* NaN and infinities give null */
struct json *json_new_bool(bool v);
struct json *json_new_null(void);

enum json_kind json_kind_of(const struct json *j); /* NULL counts as null */
bool json_is(const struct json *j, enum json_kind kind); /* NULL is of no kind */
size_t json_count(const struct json *j); /* elements of an array or object, else 0 */
bool json_same(const struct json *a, const struct json *b);

/* Lent. NULL if J is NULL or of another kind, or has no such member. */
struct json *json_get(const struct json *j, const char *key);
struct json *json_at(const struct json *j, size_t i);
/* json_get along "a.b.c". */
struct json *json_path(const struct json *j, const char *dotted);

const char *json_as_str(const struct json *j, const char *otherwise);
size_t json_str_len(const struct json *j); /* bytes; strings may hold NUL */
int64_t json_as_int(const struct json *j, int64_t otherwise);
double json_as_real(const struct json *j, double otherwise);
bool json_as_bool(const struct json *j, bool otherwise);

/* A member of an object with a default. */
const char *json_get_str(const struct json *j, const char *key, const char *otherwise);
int64_t json_get_int(const struct json *j, const char *key, int64_t otherwise);
double json_get_real(const struct json *j, const char *key, double otherwise);
bool json_get_bool(const struct json *j, const char *key, bool otherwise);

/* VALUE is taken (also when NULL, which sets null). */
void json_set(struct json *obj, const char *key, struct json *value);
void json_set_str(struct json *obj, const char *key, const char *s);
void json_set_int(struct json *obj, const char *key, int64_t v);
void json_set_real(struct json *obj, const char *key, double v);
void json_set_bool(struct json *obj, const char *key, bool v);
void json_unset(struct json *obj, const char *key);
void json_push(struct json *arr, struct json *value);
void json_push_str(struct json *arr, const char *s);

/* Walks an object in order; KEY and VALUE are lent. */
struct json_iter {
	const struct json *obj;
	void *at;
	const char *key;
	struct json *value;
};
struct json_iter json_iter_first(const struct json *obj);
struct json_iter json_iter_next(struct json_iter it);
#define json_foreach(it, obj)                                            \
	for (struct json_iter it = json_iter_first(obj); (it).at != NULL; \
		(it) = json_iter_next(it))

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ways to read and write the same JSON. jansson is the judge of what is a document, but
 * calls a function for every byte (16 ns each), which was two thirds of the price of a
 * webhook. The quick way goes over structure and plain text itself and hands jansson only
 * what needs thought: escapes, reals, large integers. It takes nothing that jansson would
 * not take, and makes the same of it; the fuzzer compares the two.
 */
#ifndef BASE_JSON_INTERNAL_H
#define BASE_JSON_INTERNAL_H

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"

/* jansson itself recurses up to 2048 levels; our readers recurse too. */
#define JSON_DEPTH_MAX 64

/* NULL: not well-formed, or more than this way knows. Then jansson decides, and says why. */
struct json *json_read_quick(const char *data, size_t len);
/* Compact, as jansson writes it. J is not NULL. */
void json_write_quick(const struct json *j, struct strbuf *out);

/* The judge's own; json_parse and json_write without the quick way. */
int json_read_strict(const char *data, size_t len, struct json **ret, struct err *err);
void json_write_strict(
	const struct json *j, enum json_write_flags flags, struct strbuf *out);

/* A number, or a string with its quotes; NULL when it is none. */
struct json *json_read_leaf(const char *data, size_t len);

/* Length of the well-formed UTF-8 letter at S, 0 if it is none. */
size_t json_utf8_letter(const unsigned char *s, size_t len);

#endif

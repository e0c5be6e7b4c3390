/* SPDX-License-Identifier: Apache-2.0 */
/* What json.c, json_read.c and json_write.c share: a struct json is a json_t. */
#ifndef BASE_JSON_INTERNAL_H
#define BASE_JSON_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"

static inline json_t *json_in(const struct json *j)
{
	return (json_t *)(uintptr_t)j;
}

static inline struct json *json_out(json_t *j)
{
	return (struct json *)j;
}

static inline json_t *json_must(json_t *j)
{
	if (!j)
		abort(); /* jansson fails here only when out of memory */
	return j;
}

/* How many bytes from S on are ASCII that stands in a string as it is. */
size_t json_plain_len(const char *s, size_t len);
/* Length of the well-formed UTF-8 letter at S, 0 if it is none. */
size_t json_letter_len(const char *s, size_t len);

#endif

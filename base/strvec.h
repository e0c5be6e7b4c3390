/* SPDX-License-Identifier: Apache-2.0 */
/* An argv-like list of owned strings; v is NULL-ended and never NULL. */
#ifndef BASE_STRVEC_H
#define BASE_STRVEC_H

#include <stdbool.h>
#include <stddef.h>

struct strvec {
	char **v;
	size_t len;
	size_t alloc;
};

extern char *strvec_empty[1];

#define STRVEC_INIT { strvec_empty, 0, 0 }

#define strvec_foreach(item, vec) \
	for (char **item = (vec)->v; *item; item++)

void strvec_done(struct strvec *vec);
void strvec_clear(struct strvec *vec);
const char *strvec_push(struct strvec *vec, const char *s);
const char *strvec_pushf(struct strvec *vec, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void strvec_push_take(struct strvec *vec, char *s); /* ownership of S moves here */
void strvec_push_all(struct strvec *vec, const char *const *list); /* NULL-ended */
bool strvec_has(const struct strvec *vec, const char *s);
/* Environment lists "K=V": replaces K, or adds it. NULL value removes. */
void strvec_setenv(struct strvec *vec, const char *name, const char *value);
const char *strvec_getenv(const struct strvec *vec, const char *name);
/* Splits at each SEP; empty pieces are kept. */
void strvec_split(struct strvec *vec, const char *s, char sep);
/* The list as its own heap array; the vec is empty afterwards. */
char **strvec_take(struct strvec *vec);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte string. Invariants: buf is never NULL after STRBUF_INIT, buf[len] is
 * always NUL, bytes before it may hold NUL too. strbuf_take is the only way to move the
 * bytes out. Growth aborts on out of memory: check outside sizes first.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	size_t alloc;
	size_t len;
	char *buf;
};

extern char strbuf_empty[1];

#define STRBUF_INIT { 0, 0, strbuf_empty }

void strbuf_init(struct strbuf *sb);
void strbuf_done(struct strbuf *sb); /* frees; the buffer is empty and usable again */
void strbuf_clear(struct strbuf *sb); /* length 0, memory kept */
void strbuf_reserve(struct strbuf *sb, size_t extra);
void strbuf_truncate(struct strbuf *sb, size_t len);
void strbuf_remove(struct strbuf *sb, size_t at, size_t len);
void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_adds(struct strbuf *sb, const char *s);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
/* After writing N bytes into buf + len by hand (after strbuf_reserve). */
void strbuf_commit(struct strbuf *sb, size_t n);
bool strbuf_ends_with(const struct strbuf *sb, const char *suffix);
/* The bytes as a heap string of the caller; the buffer is empty afterwards. */
char *strbuf_take(struct strbuf *sb);

/* String helpers without an owner. */
bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Whole string as a decimal number in [min, max]; 0 or -1. No blanks, no sign but '-'. */
int str_to_int(const char *s, long long min, long long max, long long *ret);
/* The name of NAMES (NULL-ended) nearest to WORD by edit distance, or NULL if none is near. */
const char *str_nearest(const char *word, const char *const *names);

#endif

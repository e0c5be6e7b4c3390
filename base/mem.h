/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that cannot fail: out of memory aborts the process. Sizes that come from
 * outside are therefore checked against limits.h *before* they get here.
 *
 * struct arena is for one tree that lives and dies as a whole (a parsed workflow).
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/cleanup.h"

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *xcalloc(size_t n, size_t size)
	__attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull, nonnull));
char *xstrdup_null(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t len) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* Says LINE, which ends in a newline, and aborts: also for what the kernel has no memory for. */
_Noreturn void mem_exhausted(const char *line);

/* Grows an array so that it holds at least NEED elements; doubles, never shrinks. */
#define GROW(array, cap, need)                                                       \
	do {                                                                         \
		if ((need) > (cap)) {                                                \
			size_t grow_ = (cap) ? (size_t)(cap)*2 : 8;                  \
			if (grow_ < (size_t)(need))                                  \
				grow_ = (need);                                      \
			(array) = xreallocarray((array), grow_, sizeof(*(array)));   \
			(cap) = grow_;                                               \
		}                                                                    \
	} while (0)

/* Overwrites before freeing; for secrets. NULL is fine. */
void mem_wipe_free(void *p, size_t len);

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
DEFINE_CLEANUP(struct arena, arena_free);
void *arena_alloc(struct arena *a, size_t size) /* zeroed, aligned for any type */
	__attribute__((malloc, returns_nonnull));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t len)
	__attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));
size_t arena_used(const struct arena *a); /* bytes handed out so far */

#endif

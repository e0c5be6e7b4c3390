/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound ownership. A variable marked _cleanup_(fn) is handed to fn by address
 * when its scope ends; take_ptr and take_fd move the value out so that nothing is
 * released. Cleanups do not run on exit, exec or longjmp; no goto in such functions.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((__cleanup__(fn)))

/* Makes T_freep(T **) from T_free(T *), for use as _cleanup_(T_freep). */
#define DEFINE_CLEANUP(type, fn)              \
	static inline void fn##p(type **p) \
	{                                     \
		if (*p)                       \
			fn(*p);               \
	}                                     \
	struct cleanup_needs_semicolon_

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing to do about a failed close on the way out */
}

static inline void cleanup_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* writers check fflush before they leave */
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)
#define _cleanup_fclose_ _cleanup_(cleanup_fclosep)

/* Moves a pointer out of VAR, which becomes NULL. */
#define take_ptr(var)                           \
	__extension__({                         \
		__typeof__(var) taken_ = (var); \
		(var) = NULL;                   \
		taken_;                         \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif

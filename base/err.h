/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error value: a code, an errno and one line of text, on the caller's stack.
 * Nothing is allocated and nothing needs to be freed. Functions that can fail take a
 * struct err * last, return 0 or -1 (or NULL), and leave their outputs untouched when
 * they fail. ERR may be NULL where a caller does not care for the words.
 *
 * Messages are lower case, without a full stop, name what failed first and put names in
 * single quotes. They never hold a secret.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

enum err_code {
	ERR_NONE = 0,
	ERR_INPUT,	 /* what we were given is wrong: the sender must change it */
	ERR_LIMIT,	 /* over a limit of limits.h */
	ERR_NOT_FOUND,	 /* no such thing, or not visible to the asker */
	ERR_CONFLICT,	 /* the state is no longer the one expected (compare-and-set lost) */
	ERR_DENIED,	 /* the asker may not */
	ERR_UNAVAILABLE, /* not now: trying again may help */
	ERR_TIMEOUT,	 /* a deadline passed */
	ERR_CORRUPT,	 /* stored bytes do not verify */
	ERR_UNSUPPORTED, /* this kernel, build or account lacks it */
	ERR_SYS,	 /* a system call failed: see sys */
	ERR_BUG,	 /* we broke a promise of our own */
};

#define ERR_MSG_MAX 256

struct err {
	enum err_code code;
	int sys; /* errno, 0 if none */
	char msg[ERR_MSG_MAX];
};

#define ERR_INIT { ERR_NONE, 0, "" }

/* Each sets *ERR and returns -1, so that `return err_set(...)` is one line. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* Keeps errno and appends its words: "cannot open 'x': no such file or directory". */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " in front of the message; the code stays. Once per level that knows more. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The analyser sees one file at a time and cannot know that these always return -1. */
#if defined(__clang_analyzer__) && !defined(ERR_IMPLEMENTATION)
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_vset(...) (err_vset(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)
#endif

void err_clear(struct err *err);

/* "input", "limit", "not_found" ...: stable, used by the API and by --format json. */
const char *err_code_name(enum err_code code);

/* The words of an errno, lower case, never NULL; for messages built elsewhere. */
const char *err_sys_text(int sys);

#endif

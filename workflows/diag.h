/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a file, where, and what to do about it: a bounded list, since one
 * mistake in a large file can be found ten thousand times. `plan`, `run`, `lint`, the
 * pages and `config check` print the same three lines from it:
 *
 *   build.yml:9:5: unknown key 'timeout_minutes' in job 'lint' [unknown-key]
 *    9 |     timeout_minutes: 10
 *      |     ^^^^^^^^^^^^^^^ did you mean 'timeout-minutes'?
 */
#ifndef WORKFLOWS_DIAG_H
#define WORKFLOWS_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"

/* Of one file: more are counted, not kept. */
#define DIAG_MAX 200

/* A place in a text. Lines and columns count characters from 1; 0: unknown. */
struct mark {
	unsigned line, column;
	unsigned end_line, end_column; /* behind the last character */
};

enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTE };

struct diag {
	char *file;	  /* owned */
	struct mark mark;
	enum severity severity;
	const char *code; /* static: "unknown-key" */
	char *msg;	  /* owned */
	char *hint;	  /* owned, or NULL */
};

struct diagnostics {
	struct diag *items;
	size_t len, alloc;
	size_t dropped; /* found but not kept */
};

#define DIAGNOSTICS_INIT { NULL, 0, 0, 0 }

void diagnostics_done(struct diagnostics *d); /* empty and usable again */

/*
 * Adds one; the very same place, code and words are kept once (a shared YAML node is seen
 * more than once). Returns it so that diag_hint can follow, or NULL when it was dropped.
 */
struct diag *diag_add(struct diagnostics *d, const char *file, struct mark mark,
	enum severity severity, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
struct diag *diag_vadd(struct diagnostics *d, const char *file, struct mark mark,
	enum severity severity, const char *code, const char *fmt, va_list ap)
	__attribute__((format(printf, 6, 0)));
void diag_hint(struct diag *item, const char *fmt, ...) /* NULL item: nothing */
	__attribute__((format(printf, 2, 3)));
/* "did you mean 'x'?" from the NULL-ended NAMES, when one is near. */
void diag_nearest(struct diag *item, const char *word, const char *const *names);

void diag_drop_last(struct diagnostics *d); /* takes the last one back */

/* By file, line, column, code. */
void diagnostics_sort(struct diagnostics *d);
/* What comes now is counted alone: its place need not be looked for. */
bool diagnostics_is_full(const struct diagnostics *d);
bool diagnostics_has_errors(const struct diagnostics *d);
/* The first error as one line with its place, for callers that want one. ERR_INPUT. */
int diagnostics_to_err(const struct diagnostics *d, struct err *err);

/* The three lines; SOURCE NULL: the first alone. Control characters are shown as \xNN. */
void diag_write_text(const struct diag *item, const char *source, size_t source_len,
	struct strbuf *out);
/* All of them; SOURCE is the text of FILE, for findings in other files the line is not shown. */
void diagnostics_write_text(const struct diagnostics *d, const char *file,
	const char *source, size_t source_len, struct strbuf *out);
/* {file,line,column,end_column,severity,code,message,hint} */
struct json *diag_to_json(const struct diag *item);
const char *severity_name(enum severity s); /* "error" "warning" "note" */

#endif

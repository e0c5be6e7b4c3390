/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings about a workflow file: everything GitHub would refuse, and what it would take
 * but which is surely not meant. Each has a code; docs/lint/CODE.md explains it.
 *
 * A comment `# sluice: ignore CODE, CODE` silences a finding on its own line or, standing
 * alone, on the next one. What makes the file invalid cannot be silenced.
 */
#ifndef WORKFLOWS_LINT_H
#define WORKFLOWS_LINT_H

#include <stdbool.h>
#include <stddef.h>

#include "workflows/diag.h"
#include "workflows/tz.h"
#include "workflows/workflow.h"

enum lint_class {
	LINT_INVALID, /* the reader refuses it: cannot be silenced */
	LINT_DEFAULT, /* kinds that actionlint has too */
	LINT_EXTRA,   /* our own: with --rules all */
};

struct lint_rule {
	const char *code;
	enum lint_class class;
	enum severity severity;
	const char *what; /* one line: what it finds */
	const char *why;  /* one or two lines: why, and what to do instead */
};

/* The one table of findings; ends with a NULL code. */
extern const struct lint_rule lint_rules[];
const struct lint_rule *lint_find_rule(const char *code);

struct lint_options {
	bool with_extra;	       /* LINT_EXTRA too */
	const char *path;	       /* of the file in its tree; NULL: as shown */
	source_load_fn *load;	       /* called workflows, local actions; may be NULL */
	void *load_data;
	tz_load_fn *load_tz;	       /* NULL: names of zones are not looked up */
	void *tz_data;
	const char *const *labels; /* further runner labels, NULL-ended; "*": any */
};
#define LINT_OPTIONS_INIT { 0 }

/* Appends the findings of FILE, sorted by place. DATA is the file's bytes. */
void lint_workflow(const char *file, const char *data, size_t len,
	const struct lint_options *opt, struct diagnostics *d);

/* A comment of DATA silences D (findings that are made elsewhere: shellcheck). */
bool lint_is_silenced(const char *data, size_t len, const struct diag *d);

#endif

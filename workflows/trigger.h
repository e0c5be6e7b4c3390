/* SPDX-License-Identifier: Apache-2.0 */
/* Does an event, as the `github` context describes it, start a workflow? And its inputs. */
#ifndef WORKFLOWS_TRIGGER_H
#define WORKFLOWS_TRIGGER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "workflows/workflow.h"

struct trigger_change {
	const char *const *files; /* NULL: unknown */
	size_t len;
};

/* *RET and one line of REASON. -1 with *ERR for a filter pattern that is invalid. */
int trigger_match(const struct workflow *w, const char *event, const struct json *github,
	const struct trigger_change *change, bool *ret, struct strbuf *reason,
	struct err *err);

/*
 * The inputs of a run started by workflow_dispatch or, directly, by workflow_call, typed
 * by their declarations ("true" is true), defaults filled in. GIVEN is an object or NULL.
 * -1 with *ERR (ERR_INPUT): unknown or missing name, a value that does not fit.
 */
int trigger_inputs(const struct input_decl *decls, size_t len, const struct json *given,
	struct json **ret, struct err *err);

/* One value for a declaration. EXACT: a boolean must be one, not "true" (called workflows). */
int trigger_input_value(enum input_type type, const struct json *given, bool is_exact,
	struct json **ret);

#endif

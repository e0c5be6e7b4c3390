/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the parts of planning. */
#ifndef WORKFLOWS_PLAN_INTERNAL_H
#define WORKFLOWS_PLAN_INTERNAL_H

#include "workflows/expr.h"
#include "workflows/permissions.h"
#include "workflows/plan.h"

/* ---- model to JSON (plan_json.c) -------------------------------------------------- */

/* NODE as its definition types it: a number where a string belongs becomes its text. */
struct json *schema_to_json(const struct yaml_node *node, const struct schema_def *def);
struct json *workflow_env_to_json(const struct workflow *w); /* for all its jobs */
/* The members of NODE that stem from the file itself; ids are prefixed with PREFIX. */
struct json *job_to_json(const struct workflow *w, const struct job *job,
	const char *prefix);
struct json *steps_to_json(const struct step *steps, size_t len,
	const struct schema_def *def);

/* ---- evaluation (plan_eval.c) ----------------------------------------------------- */

struct plan_eval {
	struct value *contexts; /* owned: object of contexts */
	unsigned scope;		/* enum schema_scope: which of them are known */
	bool is_partial;	/* what is not known stays text instead of failing */
	const struct json *plan;
	const struct json *node;
	const struct json *given; /* the CONTEXTS of plan_expand */
	size_t work;		  /* of all its expressions: expr_env */
};

/* CONTEXTS as of plan_expand; takes nothing. SCOPE says what counts as known. */
void plan_eval_init(struct plan_eval *ev, const struct json *plan, const struct json *contexts,
	unsigned scope);
void plan_eval_done(struct plan_eval *ev);
void plan_eval_set(struct plan_eval *ev, const char *context, struct value *v); /* takes V */

/* All contexts and functions that TEXT uses are known. */
bool plan_eval_knows(const struct plan_eval *ev, const char *text);
/*
 * A text, or a tree with texts in it: one expression alone keeps its type, lists in lists
 * are spliced in, `${{ insert }}` keys merge a mapping. Errors have the place of MARK (a
 * member of the node's "marks").
 */
int plan_eval_text(struct plan_eval *ev, const char *text, const char *mark, struct value **ret,
	struct err *err);
int plan_eval_json(struct plan_eval *ev, const struct json *j, const char *mark, struct value **ret,
	struct err *err);
/* No text in J is out of reach. */
bool plan_eval_knows_json(const struct plan_eval *ev, const struct json *j);
int plan_eval_error(const struct plan_eval *ev, const char *mark, struct err *err);

/* The job's condition with its trace; sets run, reason, trace, implicit of RET. */
int plan_eval_condition(struct plan_eval *ev, bool *ret_run, struct json *ret, struct err *err);

/* ---- building (plan.c) ------------------------------------------------------------ */

/* What plan_build would refuse of W beyond the file itself: calls. For lint. */
void plan_check(const struct plan_request *req, const struct workflow *w,
	struct diagnostics *d);

/* ---- rows (plan_rows.c) ----------------------------------------------------------- */

/* Appends the rows of ev->node to ROWS. CALL is the caller's row or NULL. */
int expand_rows(struct plan_eval *ev, const struct json *call, struct json *rows,
	struct err *err);
/* The caller's row for NODE, from CONTEXTS or worked out; *RET NULL at the top. */
int expand_call(const struct plan_eval *ev, struct json **ret, struct err *err);

#endif

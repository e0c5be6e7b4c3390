/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the parts of lint. */
#ifndef WORKFLOWS_LINT_INTERNAL_H
#define WORKFLOWS_LINT_INTERNAL_H

#include "workflows/action.h"
#include "workflows/lint-types.h"
#include "workflows/lint.h"

/* A file that the workflow names, read once. */
struct lint_file {
	struct lint_file *next;
	char *name;
	struct strbuf data;
	struct workflow *w; /* of a called workflow, as far as it could be read */
	struct action *action;
	bool is_there;
	bool is_unknown; /* nothing can be said: the loader cannot look there */
	bool has_errors;
};

struct lint {
	const struct lint_options *opt;
	const struct workflow *w;
	const struct yaml_doc *doc;
	const char *file;
	struct arena *arena;
	struct lint_types types; /* made in it */
	struct diagnostics *d;
	struct lint_file *files;
	/* Types of the contexts where the walk is; NULL: not known, anything goes. */
	const struct lint_type *inputs, *github, *secrets, *needs, *matrix, *steps, *jobs;
	size_t expr_nodes; /* of the expressions that were looked at */
	const struct lint_type **results; /* what `needs.X` is, of each job */
	const struct job *job;
	const struct step *step;
};

/* A finding; its severity is the rule's. NULL when dropped. */
struct diag *lint_add(struct lint *l, struct mark mark, const char *code, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

/* lint_expr.c: the type of an expression, and what is wrong in it. */
struct lint_expr {
	struct lint *l;
	const struct yaml_node *scalar;
	size_t base; /* of the expression in the scalar's text */
};
struct expr_node;
const struct lint_type *lint_expr_type(struct lint_expr *x, const struct expr_node *n);
const struct lint_type *lint_context(struct lint *l, const char *name);
struct mark lint_expr_mark(const struct lint_expr *x, const struct expr_node *n);

/* lint_scope.c: expressions with what is known where they stand. */
void lint_expressions(struct lint *l);
/* The type of a YAML value, with its expressions looked at; nothing is reported. */
const struct lint_type *lint_node_type(struct lint *l, const struct yaml_node *n);
const struct lint_type *lint_matrix_type(struct lint *l, const struct yaml_node *strategy);

/* lint_if.c, lint_script.c */
struct expr;
/* N is a condition, E all of it: nothing in it may depend on the run. */
void lint_constant(struct lint *l, const struct yaml_node *n, const struct expr *e);
/* N is a condition with text beside its `${{ }}`. */
void lint_text_around(struct lint *l, const struct yaml_node *n);
void lint_script_expr(struct lint *l, const struct yaml_node *script, size_t base,
	const struct expr_node *root);
void lint_scripts(struct lint *l);

/* lint_on.c, lint_job.c, lint_call.c, lint_own.c */
void lint_on(struct lint *l);
void lint_jobs(struct lint *l);
void lint_calls(struct lint *l);
void lint_own(struct lint *l);

/* lint_call.c: NULL when there is nothing to be known. */
struct lint_file *lint_load_workflow(struct lint *l, const struct job *job);
struct lint_file *lint_load_action(struct lint *l, const struct step *step);
void lint_files_free(struct lint *l);

#endif

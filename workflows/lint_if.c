/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions whose outcome is known before anything runs. */
#include <string.h>
#include <strings.h>

#include "workflows/expr.h"
#include "workflows/lint-internal.h"

/* Bytes for an evaluation: a bomb in each of ten thousand conditions costs nothing. */
#define CONSTANT_MAX 4096

/* Functions whose result depends on the run. */
static bool is_variable_call(const char *name)
{
	static const char *const names[] = { "success", "failure", "always", "cancelled",
		"hashFiles" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static bool is_constant(const struct expr_node *n)
{
	if (n->kind == EXPR_NODE_CONTEXT ||
		(n->kind == EXPR_NODE_CALL && is_variable_call(n->name)))
		return false;
	for (size_t i = 0; i < n->children_len; i++)
		if (!is_constant(n->children[i]))
			return false;
	return true;
}

void lint_constant(struct lint *l, const struct yaml_node *n, const struct expr *e)
{
	_cleanup_(value_unrefp) struct value *v = NULL, *contexts = NULL;
	struct expr_env env = { .memory_max = CONSTANT_MAX };
	struct err err = ERR_INIT;

	if (!is_constant(expr_root(e)))
		return;
	contexts = value_new_object();
	env.contexts = contexts;
	if (expr_eval(e, &env, &v, &err) < 0)
		return;
	diag_hint(lint_add(l, n->mark, "if-constant", "condition is always %s",
			  value_truthy(v) ? "true" : "false"),
		value_truthy(v) ? "drop the 'if'"
				: "remove what it guards, or silence this on purpose");
}

void lint_text_around(struct lint *l, const struct yaml_node *n)
{
	diag_hint(lint_add(l, n->mark, "if-always-true",
			  "condition is always true: text outside '${{ }}' makes it a "
			  "string"),
		n->block ? "write '|-' or leave out '${{ }}': the line end is such text"
			 : "put all of it inside, or drop '${{ }}'");
}

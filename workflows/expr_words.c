/* SPDX-License-Identifier: Apache-2.0 */
/* What the parser says of names it does not know and of calls that do not fit. */
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

static void append_list(struct strbuf *out, const char *const *list)
{
	for (size_t i = 0; list[i]; i++)
		strbuf_addf(out, "%s%s", i > 0 ? ", " : "", list[i]);
}

static const char *const every_context[] = { "github", "env", "vars", "job", "jobs",
	"steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs", NULL };

int words_unknown_name(struct expr_error *error, const struct token *t, const char *name,
	const char *const *legal)
{
	static const char *const words[] = { "true", "false", "null", "NaN", "Infinity",
		NULL };
	_cleanup_(strbuf_done) struct strbuf available = STRBUF_INIT;
	const char *near;

	append_list(&available, legal);
	for (size_t i = 0; words[i]; i++)
		if (fold_equal(words[i], strlen(words[i]), name, t->len))
			return expr_fail(error, t->offset, t->len,
				"unknown name '%s'; did you mean '%s'?", name, words[i]);
	for (size_t i = 0; every_context[i]; i++)
		if (fold_equal(every_context[i], strlen(every_context[i]), name, t->len))
			return expr_fail(error, t->offset, t->len,
				"context '%s' is not available here; available: %s", name,
				available.len > 0 ? available.buf : "none");
	near = str_nearest(name, legal);
	if (near)
		return expr_fail(error, t->offset, t->len,
			"unknown name '%s'; did you mean '%s'?", name, near);
	if (available.len == 0)
		return expr_fail(error, t->offset, t->len,
			"unknown name '%s'; no context is available here", name);
	return expr_fail(error, t->offset, t->len,
		"unknown name '%s'; text takes single quotes, and the contexts here are: "
		"%s",
		name, available.buf);
}

int words_unknown_function(struct expr_error *error, const struct token *t,
	const char *name, unsigned functions)
{
	_cleanup_(strbuf_done) struct strbuf known = STRBUF_INIT;
	const char *legal[EXPR_FUNCTION_MAX + 1], *near;
	const struct expr_function *f = expr_function_find(name, t->len);

	if (f)
		return expr_fail(error, t->offset, t->len,
			"function '%s' is not available here", f->name);
	expr_function_names(functions, legal);
	near = str_nearest(name, legal);
	if (near)
		return expr_fail(error, t->offset, t->len,
			"unknown function '%s'; did you mean '%s'?", name, near);
	append_list(&known, legal);
	return expr_fail(error, t->offset, t->len,
		"unknown function '%s'; the functions here are: %s", name, known.buf);
}

int words_arguments(
	struct expr_error *error, const struct node *n, unsigned min, unsigned max)
{
	const char *name = n->function->name;
	unsigned given = n->children_count;

	if (min == max)
		return expr_fail(error, n->pub.offset, n->pub.len,
			"'%s' takes %u argument%s, %u given", name, min,
			min == 1 ? "" : "s", given);
	if (given < min)
		return expr_fail(error, n->pub.offset, n->pub.len,
			"'%s' takes at least %u argument%s, %u given", name, min,
			min == 1 ? "" : "s", given);
	return expr_fail(error, n->pub.offset, n->pub.len,
		"'%s' takes at most %u arguments, %u given", name, max, given);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Types through an expression tree: unknown properties, arguments and comparisons. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "workflows/expr.h"
#include "workflows/lint-internal.h"

struct mark lint_expr_mark(const struct lint_expr *x, const struct expr_node *n)
{
	if (diagnostics_is_full(x->l->d)) /* a search for nothing */
		return x->scalar->mark;
	return yaml_mark_at(x->l->doc, x->scalar, x->base + n->offset, n->len);
}

/* ---- contexts that are the same everywhere ---------------------------------------- */

#define S(name)                    \
	{                          \
		name, &type_string \
	}
static const struct lint_prop runner_props[] = { S("arch"), S("debug"), S("environment"),
	S("name"), S("os"), S("temp"), S("tool_cache"), S("workspace") };
static const struct lint_type type_runner = { .kind = TYPE_OBJECT,
	.is_strict = true,
	.props = runner_props,
	.len = ARRAY_SIZE(runner_props) };

static const struct lint_prop container_props[] = { S("id"), S("network") };
static const struct lint_type type_container = { .kind = TYPE_OBJECT,
	.is_strict = true,
	.props = container_props,
	.len = ARRAY_SIZE(container_props) };
static const struct lint_prop service_props[] = { S("id"), S("network"),
	{ "ports", &type_strings } };
static const struct lint_type type_service = { .kind = TYPE_OBJECT,
	.is_strict = true,
	.props = service_props,
	.len = ARRAY_SIZE(service_props) };
static const struct lint_type type_services = { .kind = TYPE_OBJECT,
	.elem = &type_service };
static const struct lint_prop job_props[] = { { "container", &type_container },
	{ "services", &type_services }, S("status"), { "check_run_id", &type_number },
	S("workflow_ref"), S("workflow_sha"), S("workflow_repository"),
	S("workflow_file_path") };
static const struct lint_type type_job = { .kind = TYPE_OBJECT,
	.is_strict = true,
	.props = job_props,
	.len = ARRAY_SIZE(job_props) };

static const struct lint_prop strategy_props[] = { { "fail-fast", &type_bool },
	{ "job-index", &type_number }, { "job-total", &type_number },
	{ "max-parallel", &type_number } };
static const struct lint_type type_strategy = { .kind = TYPE_OBJECT,
	.is_strict = true,
	.props = strategy_props,
	.len = ARRAY_SIZE(strategy_props) };

const struct lint_type *lint_context(struct lint *l, const char *name)
{
	const struct {
		const char *name;
		const struct lint_type *type;
	} table[] = { { "github", l->github }, { "inputs", l->inputs },
		{ "vars", &type_strings }, { "needs", l->needs },
		{ "strategy", &type_strategy }, { "matrix", l->matrix },
		{ "secrets", l->secrets }, { "steps", l->steps }, { "job", &type_job },
		{ "runner", &type_runner }, { "env", &type_strings },
		{ "jobs", l->jobs } };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcasecmp(table[i].name, name) == 0)
			return table[i].type ? table[i].type : &type_any;
	return &type_any;
}

/* ---- properties ------------------------------------------------------------------- */

/* The source of the receiver: "github.event" of `github.event.x`. */
static void receiver_words(
	const struct lint_expr *x, const struct expr_node *n, struct strbuf *out)
{
	const char *text = x->scalar->str + x->base + n->offset;

	strbuf_add(out, text, n->len > 60 ? 60 : n->len);
}

/* A job that is there but not needed, a step that comes later. */
static bool hint_order(
	struct lint_expr *x, const struct expr_node *n, struct diag *d, const char *name)
{
	const struct expr_node *context = n->children[0];
	const struct job *job = x->l->job;

	if (!job || context->kind != EXPR_NODE_CONTEXT)
		return false;
	if (strcasecmp(context->name, "needs") == 0 &&
		workflow_find_job(x->l->w, name) != SIZE_MAX) {
		if (strcasecmp(job->id, name) == 0)
			diag_hint(d, "that is this very job");
		else
			diag_hint(
				d, "add '%s' to the 'needs' of job '%s'", name, job->id);
		return true;
	}
	for (size_t i = 0; strcasecmp(context->name, "steps") == 0 && i < job->steps_len;
		i++)
		if (strcasecmp(job->steps[i].id, name) == 0) {
			diag_hint(d, "step '%s' (line %u) has not run by then", name,
				job->steps[i].node->mark.line);
			return true;
		}
	return false;
}

static void unknown_property(struct lint_expr *x, const struct expr_node *n,
	const struct lint_type *t, const char *name)
{
	struct strbuf words = STRBUF_INIT, all = STRBUF_INIT;
	const char *names[128], *near;
	size_t len = 0;
	struct diag *d;

	receiver_words(x, n->children[0], &words);
	if (n->children[0]->kind == EXPR_NODE_CONTEXT)
		d = lint_add(x->l, lint_expr_mark(x, n), "unknown-property",
			"context '%s' has no property '%.60s'", words.buf, name);
	else
		d = lint_add(x->l, lint_expr_mark(x, n), "unknown-property",
			"'%s' has no property '%.60s'", words.buf, name);
	if (!d) { /* told before, or too many */
		strbuf_done(&words);
		return;
	}
	for (; len < t->len && len < ARRAY_SIZE(names) - 1; len++) {
		names[len] = t->props[len].name;
		if (len < 12)
			strbuf_addf(&all, "%s%s", len ? ", " : "", names[len]);
	}
	names[len] = NULL;
	near = str_nearest(name, names);
	if (hint_order(x, n, d, name))
		near = NULL;
	else if (near)
		diag_hint(d, "did you mean '%s.%s'?", words.buf, near);
	else if (len > 0)
		diag_hint(d, "there are: %s%s", all.buf, len > 12 ? ", ..." : "");
	else
		diag_hint(d, "there is none here");
	strbuf_done(&words);
	strbuf_done(&all);
}

static const struct lint_type *filtered(struct lint_expr *x, const struct lint_type *elem)
{
	struct lint_type *a;

	if (elem == &type_any)
		return &type_any_filter;
	a = (struct lint_type *)type_new_array(x->l->arena, elem);
	a->is_filter = true;
	return a;
}

static const struct lint_type *property(struct lint_expr *x, const struct expr_node *n,
	const struct lint_type *t, const char *name, size_t len)
{
	const struct lint_type *p;
	struct strbuf words = STRBUF_INIT, recv = STRBUF_INIT;

	switch (t->kind) {
	case TYPE_ANY:
		return &type_any;
	case TYPE_OBJECT:
		p = type_prop(t, name, len);
		if (p)
			return p;
		if (t->is_strict) {
			unknown_property(x, n, t, name);
			return &type_any;
		}
		return t->elem ? t->elem : &type_any;
	case TYPE_ARRAY:
		if (t->is_filter)
			return filtered(x,
				property(x, n, t->elem ? t->elem : &type_any, name, len));
		break;
	case TYPE_NULL:
	case TYPE_BOOL:
	case TYPE_NUMBER:
	case TYPE_STRING:
		break;
	}
	type_words(t, &words);
	receiver_words(x, n->children[0], &recv);
	(void)lint_add(x->l, lint_expr_mark(x, n), "no-properties",
		"'%s' is %s: it has no property '%.60s'", recv.buf, words.buf, name);
	strbuf_done(&words);
	strbuf_done(&recv);
	return &type_any;
}

static const struct lint_type *bad_index(struct lint_expr *x, const struct expr_node *n,
	const char *want, const struct lint_type *got)
{
	struct strbuf words = STRBUF_INIT;

	type_words(got, &words);
	(void)lint_add(x->l, lint_expr_mark(x, n->children[1]), "wrong-index",
		"the index of %s, not %s", want, words.buf);
	strbuf_done(&words);
	return &type_any;
}

static const struct lint_type *index_type(struct lint_expr *x, const struct expr_node *n)
{
	const struct lint_type *t = lint_expr_type(x, n->children[0]), *i;
	const struct expr_node *at = n->children[1];

	if (at->kind == EXPR_NODE_LITERAL && value_kind_of(at->value) == VALUE_STRING)
		return property(x, n, t, value_str(at->value), value_str_len(at->value));
	i = lint_expr_type(x, at);
	if (t->kind == TYPE_ARRAY) {
		if (i->kind != TYPE_NUMBER && i->kind != TYPE_ANY)
			return bad_index(x, n, "a list must be a number", i);
		return t->elem ? t->elem : &type_any;
	}
	if (t->kind != TYPE_OBJECT)
		return &type_any;
	if (i->kind != TYPE_STRING && i->kind != TYPE_ANY)
		return bad_index(x, n, "an object must be a string", i);
	return t->elem && t->len == 0 ? t->elem : &type_any;
}

static const struct lint_type *filter_type(struct lint_expr *x, const struct expr_node *n)
{
	const struct lint_type *t = lint_expr_type(x, n->children[0]);
	struct strbuf words = STRBUF_INIT;

	switch (t->kind) {
	case TYPE_ANY:
		break;
	case TYPE_ARRAY:
	case TYPE_OBJECT:
		return type_filter(&x->l->types, t);
	case TYPE_NULL:
	case TYPE_BOOL:
	case TYPE_NUMBER:
	case TYPE_STRING:
		type_words(t, &words);
		(void)lint_add(x->l, lint_expr_mark(x, n), "no-properties",
			"'.*' needs a list or an object, not %s", words.buf);
		strbuf_done(&words);
		break;
	}
	return &type_any_filter;
}

/* ---- calls ------------------------------------------------------------------------ */

struct signature {
	const char *name;
	const struct lint_type *args[2]; /* a NULL ends; the last repeats when variadic */
	const struct lint_type *ret;
	bool is_variadic;
};

static const struct lint_type type_list_of_strings = { .kind = TYPE_ARRAY,
	.elem = &type_string };

/* Several of one name are alternatives. */
static const struct signature signatures[] = {
	{ "contains", { &type_string, &type_string }, &type_bool, false },
	{ "contains", { &type_any_array, &type_any }, &type_bool, false },
	{ "startsWith", { &type_string, &type_string }, &type_bool, false },
	{ "endsWith", { &type_string, &type_string }, &type_bool, false },
	{ "format", { &type_string, &type_any }, &type_string, true },
	{ "join", { &type_list_of_strings, &type_string }, &type_string, false },
	{ "join", { &type_string, &type_string }, &type_string, false },
	{ "toJSON", { &type_any, NULL }, &type_string, false },
	{ "fromJSON", { &type_string, NULL }, &type_any, false },
	{ "hashFiles", { &type_string, &type_string }, &type_string, true },
	{ "success", { NULL, NULL }, &type_bool, true },
	{ "failure", { NULL, NULL }, &type_bool, true },
	{ "always", { NULL, NULL }, &type_bool, true },
	{ "cancelled", { NULL, NULL }, &type_bool, true },
};

static size_t first_misfit(
	const struct signature *s, const struct lint_type **types, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const struct lint_type *want = i < 2 ? s->args[i] : s->args[1];

		if (want && !type_fits(types[i], want))
			return i;
	}
	return len;
}

static bool is_string_literal(const struct expr_node *n)
{
	return n->kind == EXPR_NODE_LITERAL && value_kind_of(n->value) == VALUE_STRING;
}

/* The greatest number in braces, and which are there; -1: none. */
static int placeholders(const char *s, bool used[256])
{
	int max = -1;

	for (; *s; s++) {
		int n = 0;

		if ((s[0] == '{' || s[0] == '}') && s[1] == s[0]) {
			s++;
			continue;
		}
		if (s[0] != '{' || !isdigit((unsigned char)s[1]))
			continue;
		for (s++; isdigit((unsigned char)*s); s++)
			n = n < 1000 ? n * 10 + (*s - '0') : n;
		if (n < 256)
			used[n] = true;
		max = n > max ? n : max;
		if (*s == '\0')
			break;
	}
	return max;
}

static void check_format(struct lint_expr *x, const struct expr_node *n)
{
	bool used[256] = { false };
	int max;

	if (!is_string_literal(n->children[0]))
		return;
	max = placeholders(value_str(n->children[0]->value), used);
	if (max >= (int)n->children_len - 1)
		(void)lint_add(x->l, lint_expr_mark(x, n), "format-arguments",
			"format has '{%d}' but only %zu argument%s for it", max,
			n->children_len - 1, n->children_len == 2 ? "" : "s");
	for (size_t i = 0; i + 1 < n->children_len && i < 256; i++)
		if (!used[i])
			diag_hint(lint_add(x->l, lint_expr_mark(x, n->children[i + 1]),
					  "format-arguments",
					  "format has no '{%zu}': this argument is not "
					  "used",
					  i),
				"drop it, or put {%zu} into the text", i);
}

/* A longer text given to fromJSON is read, but its type is not made out. */
#define JSON_TYPED_MAX 4096

static const struct lint_type *from_json_type(
	struct lint_expr *x, const struct expr_node *n)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	const struct expr_node *arg = n->children[0];
	struct err err = ERR_INIT;

	if (!is_string_literal(arg))
		return &type_any;
	if (json_parse(value_str(arg->value), value_str_len(arg->value), &j, &err) < 0) {
		(void)lint_add(x->l, lint_expr_mark(x, arg), "bad-json",
			"the text given to fromJSON is not JSON: %s", err.msg);
		return &type_any;
	}
	if (value_str_len(arg->value) > JSON_TYPED_MAX)
		return &type_any;
	v = value_from_json(j);
	return type_of_value(&x->l->types, v);
}

static const struct lint_type *case_type(
	struct lint_expr *x, const struct lint_type **types, size_t len)
{
	const struct lint_type *t = len ? types[len - 1] : &type_any;

	for (size_t i = 1; i + 1 < len; i += 2)
		t = type_merge(&x->l->types, t, types[i]);
	return t;
}

static void bad_argument(struct lint_expr *x, const struct expr_node *n, size_t i,
	const struct lint_type *want, const struct lint_type *got)
{
	struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;

	type_words(want, &a);
	type_words(got, &b);
	(void)lint_add(x->l, lint_expr_mark(x, n->children[i]), "wrong-argument",
		"argument %zu of %s must be %s, not %s", i + 1, n->name, a.buf, b.buf);
	strbuf_done(&a);
	strbuf_done(&b);
}

#define ARGS_MAX 64

static const struct lint_type *call_type(struct lint_expr *x, const struct expr_node *n)
{
	const struct lint_type *types[ARGS_MAX], *ret = &type_any;
	const struct signature *best = NULL;
	size_t len = n->children_len, best_at = 0;

	for (size_t i = 0; i < len; i++) {
		const struct lint_type *t = lint_expr_type(x, n->children[i]);

		if (i < ARGS_MAX)
			types[i] = t;
	}
	len = len > ARGS_MAX ? ARGS_MAX : len;
	if (strcasecmp(n->name, "case") == 0)
		return case_type(x, types, len);
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++) {
		const struct signature *s = &signatures[i];
		size_t at;

		if (strcasecmp(s->name, n->name) != 0)
			continue;
		at = first_misfit(s, types, len);
		ret = s->ret;
		if (at == len) {
			best = NULL;
			break;
		}
		if (!best || at > best_at) {
			best = s;
			best_at = at;
		}
	}
	if (best)
		bad_argument(x, n, best_at, best->args[best_at < 2 ? best_at : 1],
			types[best_at]);
	if (strcasecmp(n->name, "format") == 0 && len > 0)
		check_format(x, n);
	if (strcasecmp(n->name, "fromJSON") == 0 && len > 0)
		return from_json_type(x, n);
	return ret;
}

/* ---- operators -------------------------------------------------------------------- */

static bool is_collection(const struct lint_type *t)
{
	return t->kind == TYPE_ARRAY || t->kind == TYPE_OBJECT;
}

static bool comparable(
	const char *op, const struct lint_type *a, const struct lint_type *b)
{
	if (a->kind == TYPE_ANY || b->kind == TYPE_ANY)
		return true;
	if (op[0] == '=' || op[0] == '!') {
		if (!is_collection(a) && !is_collection(b))
			return true;
		if (a->kind == TYPE_NULL || b->kind == TYPE_NULL)
			return true;
		if (a->kind == TYPE_ARRAY && b->kind == TYPE_ARRAY)
			return comparable(op, a->elem ? a->elem : &type_any,
				b->elem ? b->elem : &type_any);
		return a->kind == b->kind;
	}
	return (a->kind == TYPE_NUMBER || a->kind == TYPE_STRING) &&
	       (b->kind == TYPE_NUMBER || b->kind == TYPE_STRING);
}

/* `&&` and `||` of two operands and more. */
static const struct lint_type *choice_type(struct lint_expr *x, const struct expr_node *n)
{
	const struct lint_type *t = NULL;
	bool gives_way = false;

	for (size_t i = 0; i < n->children_len; i++) {
		const struct expr_node *child = n->children[i];
		const struct lint_type *own = lint_expr_type(x, child);

		t = t && !gives_way ? type_merge(&x->l->types, t, own) : own;
		/* `c && x || y`: a string in front that is there gives way to x. */
		gives_way = n->name[0] == '&' && child->kind == EXPR_NODE_LITERAL &&
			    value_truthy(child->value);
	}
	return t;
}

static const struct lint_type *operator_type(
	struct lint_expr *x, const struct expr_node *n)
{
	const struct lint_type *a, *b;
	struct strbuf wa = STRBUF_INIT, wb = STRBUF_INIT;

	if (strcmp(n->name, "&&") == 0 || strcmp(n->name, "||") == 0)
		return choice_type(x, n);
	a = lint_expr_type(x, n->children[0]);
	if (n->children_len < 2)
		return &type_bool; /* ! */
	b = lint_expr_type(x, n->children[1]);
	if (!comparable(n->name, a, b)) {
		type_words(a, &wa);
		type_words(b, &wb);
		(void)lint_add(x->l, lint_expr_mark(x, n), "wrong-comparison",
			"'%s' between %s and %s makes no sense", n->name, wa.buf, wb.buf);
		strbuf_done(&wa);
		strbuf_done(&wb);
	}
	return &type_bool;
}

const struct lint_type *lint_expr_type(struct lint_expr *x, const struct expr_node *n)
{
	switch (n->kind) {
	case EXPR_NODE_LITERAL:
		return type_of_value(&x->l->types, n->value);
	case EXPR_NODE_CONTEXT:
		return lint_context(x->l, n->name);
	case EXPR_NODE_INDEX:
		return index_type(x, n);
	case EXPR_NODE_FILTER:
		return filter_type(x, n);
	case EXPR_NODE_CALL:
		return call_type(x, n);
	case EXPR_NODE_OPERATOR:
		break;
	}
	return operator_type(x, n);
}

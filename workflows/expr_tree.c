/* SPDX-License-Identifier: Apache-2.0 */
/* A finished tree: questions about it, walking it, and printing it as text that compiles
 * to the same tree. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "workflows/expr-internal.h"
#include "workflows/fold.h"

void expr_free(struct expr *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->nodes_len; i++)
		value_unref(e->nodes[i].pub.value);
	free(e->nodes);
	free(e->slots);
	free(e->names);
	free(e);
}

bool expr_calls_status(const struct expr *e)
{
	return e->calls_status;
}

bool expr_uses_context(const struct expr *e, const char *name)
{
	for (size_t i = 0; i < e->nodes_len; i++) {
		const struct expr_node *n = &e->nodes[i].pub;

		if (n->kind == EXPR_NODE_CONTEXT &&
			fold_equal(n->name, strlen(n->name), name, strlen(name)))
			return true;
	}
	return false;
}

size_t expr_size(const struct expr *e)
{
	return e->nodes_len;
}

const struct expr_node *expr_root(const struct expr *e)
{
	return &e->root->pub;
}

/* Depth is bounded by the parser, so recursion is safe here. */
static void walk(const struct expr_node *n, bool (*fn)(const struct expr_node *, void *),
	void *data)
{
	if (!fn(n, data))
		return;
	for (size_t i = 0; i < n->children_len; i++)
		walk(n->children[i], fn, data);
}

void expr_walk(const struct expr *e, bool (*fn)(const struct expr_node *n, void *data),
	void *data)
{
	walk(&e->root->pub, fn, data);
}

static void print_string(const char *s, size_t len, struct strbuf *out)
{
	strbuf_addc(out, '\'');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\'')
			strbuf_addc(out, '\'');
		strbuf_addc(out, s[i]);
	}
	strbuf_addc(out, '\'');
}

static void print_number(double n, struct strbuf *out)
{
	char buf[32];

	if (!isfinite(n)) {
		number_to_text(n, out);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(
			buf, sizeof(buf), "%.*g", digits, n); /* 24 bytes at most */
		if (number_from_text(buf, strlen(buf)) == n)
			break;
	}
	strbuf_adds(out, buf);
}

static void print_literal(const struct value *v, struct strbuf *out)
{
	assert(v); /* every literal has one */
	if (v->kind == VALUE_STRING)
		print_string(v->text, v->u.text_len, out);
	else if (v->kind == VALUE_NUMBER)
		print_number(v->u.number, out);
	else if (v->kind == VALUE_NULL)
		strbuf_adds(out, "null");
	else
		value_to_text(v, out);
}

static void print(const struct expr_node *n, bool is_operand, struct strbuf *out);

/* What stands before `.` or `[`: a literal or an operator needs parentheses there. */
static void print_base(const struct expr_node *n, struct strbuf *out)
{
	bool needs = n->kind == EXPR_NODE_LITERAL;

	if (needs)
		strbuf_addc(out, '(');
	print(n, true, out);
	if (needs)
		strbuf_addc(out, ')');
}

static void print_index(const struct expr_node *n, struct strbuf *out)
{
	const struct expr_node *key = n->children[1];
	const struct value *v = key->kind == EXPR_NODE_LITERAL ? key->value : NULL;

	print_base(n->children[0], out);
	if (v && v->kind == VALUE_STRING && expr_is_keyword(v->text, v->u.text_len)) {
		strbuf_addc(out, '.');
		strbuf_add(out, v->text, v->u.text_len);
		return;
	}
	strbuf_addc(out, '[');
	print(key, false, out);
	strbuf_addc(out, ']');
}

static void print_call(const struct expr_node *n, struct strbuf *out)
{
	strbuf_adds(out, n->name);
	strbuf_addc(out, '(');
	for (size_t i = 0; i < n->children_len; i++) {
		if (i > 0)
			strbuf_adds(out, ", ");
		print(n->children[i], false, out);
	}
	strbuf_addc(out, ')');
}

static void print_operator(const struct expr_node *n, bool is_operand, struct strbuf *out)
{
	if (n->children_len == 1) {
		if (is_operand) /* `(!a).b` is not `!a.b` */
			strbuf_addc(out, '(');
		strbuf_adds(out, n->name);
		print(n->children[0], true, out);
		if (is_operand)
			strbuf_addc(out, ')');
		return;
	}
	if (is_operand)
		strbuf_addc(out, '(');
	for (size_t i = 0; i < n->children_len; i++) {
		if (i > 0)
			strbuf_addf(out, " %s ", n->name);
		print(n->children[i], true, out);
	}
	if (is_operand)
		strbuf_addc(out, ')');
}

static void print(const struct expr_node *n, bool is_operand, struct strbuf *out)
{
	switch (n->kind) {
	case EXPR_NODE_LITERAL:
		print_literal(n->value, out);
		break;
	case EXPR_NODE_CONTEXT:
		strbuf_adds(out, n->name);
		break;
	case EXPR_NODE_INDEX:
		print_index(n, out);
		break;
	case EXPR_NODE_FILTER:
		print_base(n->children[0], out);
		strbuf_adds(out, ".*");
		break;
	case EXPR_NODE_CALL:
		print_call(n, out);
		break;
	case EXPR_NODE_OPERATOR:
		print_operator(n, is_operand, out);
		break;
	}
}

void expr_print(const struct expr *e, struct strbuf *out)
{
	print(&e->root->pub, false, out);
}

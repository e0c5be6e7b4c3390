/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to a tree, with two explicit stacks (operands, and operators with the brackets
 * still open), so that no input can exhaust ours. Nodes live in one growing array and
 * refer to each other by index until the tree is whole.
 *
 * GitHub's shapes are kept where a limit or a trace can tell the difference: `&&` and `||`
 * take any number of operands, parentheses leave no node, depth counts from the root.
 */
#include "workflows/expr.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

struct pending {
	struct token token; /* an operator, or an open bracket */
	uint32_t call;	    /* node of the function that TOKEN_CALL opens */
};

struct parser {
	struct lexer lx;
	const struct expr_rules *rules;
	struct expr_error *error;
	unsigned depth_max;
	struct node *nodes;
	size_t nodes_len, nodes_alloc;
	uint32_t *operands;
	size_t operands_len, operands_alloc;
	struct pending *pending;
	size_t pending_len, pending_alloc;
	struct strbuf names;
	bool calls_status;
};

static const struct {
	const char *text;
	int precedence;
} operators[] = {
	[OPERATOR_NOT] = { "!", 5 },
	[OPERATOR_AND] = { "&&", 2 },
	[OPERATOR_OR] = { "||", 1 },
	[OPERATOR_EQ] = { "==", 3 },
	[OPERATOR_NE] = { "!=", 3 },
	[OPERATOR_LT] = { "<", 4 },
	[OPERATOR_LE] = { "<=", 4 },
	[OPERATOR_GT] = { ">", 4 },
	[OPERATOR_GE] = { ">=", 4 },
};

/* ---- nodes ---- */

static uint32_t node_new(
	struct parser *p, enum expr_node_kind kind, const struct token *t)
{
	struct node *n;

	GROW(p->nodes, p->nodes_alloc, p->nodes_len + 1);
	n = &p->nodes[p->nodes_len];
	memset(n, 0, sizeof(*n));
	n->pub.kind = kind;
	n->pub.offset = t->offset;
	n->pub.len = t->len;
	n->first = n->last = n->next = NODE_NIL;
	n->height = 1;
	return (uint32_t)p->nodes_len++;
}

/* A name of the text's: copied once all are known. */
static void node_name(struct parser *p, uint32_t at, const char *name, size_t len)
{
	struct node *n = &p->nodes[at];

	n->name_at = (uint32_t)p->names.len;
	n->has_own_name = true;
	strbuf_add(&p->names, name, len);
	strbuf_addc(&p->names, '\0');
}

static void node_literal(struct parser *p, uint32_t at, struct value *v)
{
	struct node *n = &p->nodes[at];

	n->pub.value = v;
	if (v->kind == VALUE_STRING)
		n->hash = fold_hash(v->text, v->u.text_len);
}

/* The place of a node grows to hold its children's. */
static void node_cover(struct node *n, size_t offset, size_t len)
{
	size_t end = n->pub.offset + n->pub.len;

	if (offset + len > end)
		end = offset + len;
	if (offset < n->pub.offset)
		n->pub.offset = offset;
	n->pub.len = end - n->pub.offset;
}

static int node_adopt(struct parser *p, uint32_t parent, uint32_t child)
{
	struct node *n = &p->nodes[parent], *c = &p->nodes[child];

	if (n->last == NODE_NIL)
		n->first = child;
	else
		p->nodes[n->last].next = child;
	n->last = child;
	n->children_count++;
	node_cover(n, c->pub.offset, c->pub.len);
	if (c->height + 1u > n->height)
		n->height = (uint8_t)(c->height + 1);
	if (n->height > p->depth_max)
		return expr_fail(p->error, n->pub.offset, n->pub.len,
			"the expression nests deeper than %d levels", LIMIT_EXPR_DEPTH);
	return 0;
}

/* `a && b && c` is one node: the children of an operand of the same kind move over. */
static int node_merge(struct parser *p, uint32_t parent, uint32_t child)
{
	struct node *n = &p->nodes[parent], *c = &p->nodes[child];

	if (c->pub.kind != EXPR_NODE_OPERATOR || c->op != n->op || c->first == NODE_NIL)
		return node_adopt(p, parent, child);
	if (n->last == NODE_NIL)
		n->first = c->first;
	else
		p->nodes[n->last].next = c->first;
	n->last = c->last;
	n->children_count += c->children_count;
	node_cover(n, c->pub.offset, c->pub.len);
	if (c->height > n->height)
		n->height = c->height;
	c->first = c->last = NODE_NIL; /* out of the tree */
	return 0;
}

/* ---- stacks ---- */

static void operand_push(struct parser *p, uint32_t node)
{
	GROW(p->operands, p->operands_alloc, p->operands_len + 1);
	p->operands[p->operands_len++] = node;
}

static uint32_t operand_pop(struct parser *p)
{
	assert(p->operands_len > 0);
	return p->operands[--p->operands_len];
}

static void pending_push(struct parser *p, const struct token *t, uint32_t call)
{
	GROW(p->pending, p->pending_alloc, p->pending_len + 1);
	assert(p->pending); /* GROW makes room for one at least */
	p->pending[p->pending_len].token = *t;
	p->pending[p->pending_len++].call = call;
}

static struct pending *pending_top(struct parser *p)
{
	return p->pending_len > 0 ? &p->pending[p->pending_len - 1] : NULL;
}

/* Makes the node of the operator on top. */
static int reduce(struct parser *p)
{
	struct token t = p->pending[--p->pending_len].token;
	uint32_t node = node_new(p, EXPR_NODE_OPERATOR, &t), left, right;

	p->nodes[node].op = (uint8_t)t.op;
	p->nodes[node].pub.name = operators[t.op].text;
	right = operand_pop(p);
	if (t.op == OPERATOR_NOT) {
		operand_push(p, node);
		return node_adopt(p, node, right);
	}
	left = operand_pop(p);
	operand_push(p, node);
	if (t.op == OPERATOR_AND || t.op == OPERATOR_OR)
		return node_merge(p, node, left) < 0 ? -1 : node_merge(p, node, right);
	return node_adopt(p, node, left) < 0 ? -1 : node_adopt(p, node, right);
}

/* Reduces down to the innermost open bracket, or all. */
static int reduce_all(struct parser *p)
{
	while (pending_top(p) && pending_top(p)->token.kind == TOKEN_OPERATOR)
		if (reduce(p) < 0)
			return -1;
	return 0;
}

/* ---- tokens ---- */

static int on_name(struct parser *p, const struct token *t)
{
	const char *const *legal = p->rules->contexts;
	const char *s = p->lx.text + t->offset;
	uint32_t node;
	size_t i;

	for (i = 0; legal && legal[i]; i++)
		if (fold_equal(legal[i], strlen(legal[i]), s, t->len))
			break;
	if (legal && !legal[i]) {
		_cleanup_free_ char *name = xstrndup(s, t->len);

		return words_unknown_name(p->error, t, name, legal);
	}
	node = node_new(p, EXPR_NODE_CONTEXT, t);
	node_name(p, node, legal ? legal[i] : s, t->len);
	p->nodes[node].hash = fold_hash(s, t->len);
	operand_push(p, node);
	return 0;
}

static int on_function(struct parser *p, const struct token *t)
{
	const char *s = p->lx.text + t->offset;
	const struct expr_function *f = expr_function_find(s, t->len);
	uint32_t node;

	if (!f || (f->needs && !(f->needs & p->rules->functions))) {
		_cleanup_free_ char *name = xstrndup(s, t->len);

		return words_unknown_function(p->error, t, name, p->rules->functions);
	}
	node = node_new(p, EXPR_NODE_CALL, t);
	p->nodes[node].pub.name = f->name;
	p->nodes[node].function = f;
	if (f->needs & (EXPR_FN_STATUS | EXPR_FN_JOB_STATUS))
		p->calls_status = true;
	operand_push(p, node);
	return 0;
}

static int call_check(struct parser *p, uint32_t at)
{
	struct node *n = &p->nodes[at];
	const struct expr_function *f = n->function;
	unsigned max = f->max;

	if (f->needs & EXPR_FN_STATUS && !(p->rules->functions & EXPR_FN_JOB_STATUS))
		max = 0;
	if (n->children_count < f->min || n->children_count > max)
		return words_arguments(p->error, n, f->min, max);
	if (strcmp(f->name, "case") == 0 && n->children_count % 2 == 0)
		return expr_fail(p->error, n->pub.offset, n->pub.len,
			"'case' takes pairs of a condition and a value, and a default "
			"last: an odd number of arguments, %u given",
			n->children_count);
	return 0;
}

static int unexpected(struct parser *p, const struct token *t)
{
	return expr_fail(p->error, t->offset, t->len, "unexpected '%.*s'", (int)t->len,
		p->lx.text + t->offset);
}

/* `)`: ends a call or a group. */
static int on_close(struct parser *p, const struct token *t, enum token_kind before)
{
	struct pending *top;
	uint32_t call;

	if (reduce_all(p) < 0)
		return -1;
	top = pending_top(p);
	if (!top || top->token.kind == TOKEN_INDEX ||
		(before == TOKEN_CALL && top->token.kind != TOKEN_CALL))
		return unexpected(p, t);
	call = top->call;
	p->pending_len--;
	if (top->token.kind == TOKEN_GROUP)
		return 0;
	if (before != TOKEN_CALL && node_adopt(p, call, operand_pop(p)) < 0)
		return -1;
	node_cover(&p->nodes[call], t->offset, t->len);
	return call_check(p, call);
}

static int on_comma(struct parser *p, const struct token *t)
{
	struct pending *top;

	if (reduce_all(p) < 0)
		return -1;
	top = pending_top(p);
	if (!top || top->token.kind != TOKEN_CALL)
		return unexpected(p, t);
	return node_adopt(p, top->call, operand_pop(p));
}

/* `[`, `.`: the operand on top becomes the first child of the node made at the end. */
static int index_make(struct parser *p, uint32_t key, const struct token *end)
{
	uint32_t node = node_new(p, EXPR_NODE_INDEX, end), base = operand_pop(p);

	operand_push(p, node);
	return node_adopt(p, node, base) < 0 ? -1 : node_adopt(p, node, key);
}

static int filter_make(struct parser *p, const struct token *end)
{
	uint32_t node = node_new(p, EXPR_NODE_FILTER, end), base = operand_pop(p);

	operand_push(p, node);
	return node_adopt(p, node, base);
}

static int on_index_close(struct parser *p, const struct token *t)
{
	struct pending *top;

	if (reduce_all(p) < 0)
		return -1;
	top = pending_top(p);
	if (!top || top->token.kind != TOKEN_INDEX)
		return unexpected(p, t);
	p->pending_len--;
	return index_make(p, operand_pop(p), t);
}

static int on_property(struct parser *p, const struct token *t)
{
	uint32_t key = node_new(p, EXPR_NODE_LITERAL, t);

	node_literal(p, key, value_new_strn(p->lx.text + t->offset, t->len));
	return index_make(p, key, t);
}

static int on_star(struct parser *p, const struct token *t, enum token_kind before)
{
	struct token close;

	if (before == TOKEN_DOT)
		return filter_make(p, t);
	if (lexer_next(&p->lx, &close) < 0)
		return -1;
	if (close.kind != TOKEN_INDEX_CLOSE) {
		value_unref(close.value);
		return expr_fail(
			p->error, t->offset, t->len, "'*' stands alone in '[*]'");
	}
	p->pending_len--; /* the '[' */
	return filter_make(p, &close);
}

static int on_operator(struct parser *p, const struct token *t)
{
	/* `!` comes before its operand: nothing to its left is complete yet. */
	while (t->op != OPERATOR_NOT && pending_top(p) &&
		pending_top(p)->token.kind == TOKEN_OPERATOR &&
		operators[t->op].precedence <=
			operators[pending_top(p)->token.op].precedence)
		if (reduce(p) < 0)
			return -1;
	pending_push(p, t, NODE_NIL);
	return 0;
}

static int on_token(struct parser *p, const struct token *t, enum token_kind before)
{
	uint32_t node;

	switch (t->kind) {
	case TOKEN_GROUP:
	case TOKEN_INDEX:
		pending_push(p, t, NODE_NIL);
		return 0;
	case TOKEN_CALL:
		pending_push(p, t, p->operands[p->operands_len - 1]);
		return 0;
	case TOKEN_CLOSE:
		return on_close(p, t, before);
	case TOKEN_INDEX_CLOSE:
		return on_index_close(p, t);
	case TOKEN_COMMA:
		return on_comma(p, t);
	case TOKEN_STAR:
		return on_star(p, t, before);
	case TOKEN_OPERATOR:
		return on_operator(p, t);
	case TOKEN_LITERAL:
		node = node_new(p, EXPR_NODE_LITERAL, t);
		node_literal(p, node, t->value);
		operand_push(p, node);
		return 0;
	case TOKEN_PROPERTY:
		return on_property(p, t);
	case TOKEN_FUNCTION:
		return on_function(p, t);
	case TOKEN_NAME:
		return on_name(p, t);
	case TOKEN_NONE:
	case TOKEN_DOT:
	case TOKEN_END:
		break;
	}
	return 0;
}

static int parse_end(struct parser *p)
{
	struct token t = { .kind = TOKEN_LITERAL };

	if (reduce_all(p) < 0)
		return -1;
	if (p->pending_len > 0) {
		const struct token *open = &pending_top(p)->token;

		return expr_fail(p->error, open->offset, open->len,
			"'%c' is never closed", p->lx.text[open->offset]);
	}
	if (p->operands_len == 0) { /* empty text */
		uint32_t node = node_new(p, EXPR_NODE_LITERAL, &t);

		node_literal(p, node, value_new_null());
		operand_push(p, node);
	}
	return 0;
}

static int parse(struct parser *p)
{
	for (;;) {
		enum token_kind before = p->lx.last;
		struct token t;

		if (lexer_next(&p->lx, &t) < 0)
			return -1;
		if (t.kind == TOKEN_END)
			return parse_end(p);
		if (on_token(p, &t, before) < 0)
			return -1;
	}
}

/* ---- the finished tree ---- */

/* Depth is at most LIMIT_EXPR_DEPTH here, so recursion is safe. */
static void node_number(struct expr *e, struct node *n, unsigned depth, uint32_t *order)
{
	n->depth = (uint8_t)depth;
	n->order = (*order)++;
	for (size_t i = 0; i < n->pub.children_len; i++)
		node_number(e, (struct node *)n->pub.children[i], depth + 1, order);
}

static struct expr *parser_finish(struct parser *p)
{
	struct expr *e = xcalloc(1, sizeof(*e));
	struct expr_node **slot;
	uint32_t order = 0;

	e->nodes_len = p->nodes_len;
	e->nodes = take_ptr(p->nodes);
	e->names = strbuf_take(&p->names);
	e->calls_status = p->calls_status;
	e->slots = slot = xcalloc(e->nodes_len, sizeof(*e->slots));
	for (size_t i = 0; i < e->nodes_len; i++) {
		struct node *n = &e->nodes[i];

		if (n->has_own_name)
			n->pub.name = e->names + n->name_at;
		n->pub.children = slot;
		for (uint32_t c = n->first; c != NODE_NIL; c = e->nodes[c].next)
			*slot++ = &e->nodes[c].pub;
		n->pub.children_len = (size_t)(slot - n->pub.children);
	}
	e->root = &e->nodes[p->operands[0]];
	node_number(e, e->root, 0, &order);
	e->tree_len = order;
	return e;
}

static void parser_done(struct parser *p)
{
	for (size_t i = 0; p->nodes && i < p->nodes_len; i++)
		value_unref(p->nodes[i].pub.value);
	free(p->nodes);
	free(p->operands);
	free(p->pending);
	strbuf_done(&p->names);
}

int expr_compile_within(const char *text, size_t len, const struct expr_rules *rules,
	unsigned depth, struct expr **ret, struct expr_error *error)
{
	struct parser p = {
		.lx = { .text = text, .len = len, .error = error },
		.rules = rules,
		.error = error,
		.depth_max = depth,
		.names = STRBUF_INIT,
	};
	int r;

	if (len > 4 * LIMIT_EXPR_LEN ||
		(len > LIMIT_EXPR_LEN && fold_utf16_len(text, len) > LIMIT_EXPR_LEN))
		return expr_fail(error, 0, len,
			"the expression is longer than %d characters", LIMIT_EXPR_LEN);
	r = parse(&p);
	if (r == 0)
		*ret = parser_finish(&p);
	parser_done(&p);
	return r;
}

int expr_compile(const char *text, size_t len, const struct expr_rules *rules,
	struct expr **ret, struct expr_error *error)
{
	return expr_compile_within(text, len, rules, LIMIT_EXPR_DEPTH, ret, error);
}

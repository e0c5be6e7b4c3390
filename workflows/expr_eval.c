/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluating a tree. Recursion is bounded by the depth limit of the parser. Memory is
 * counted as GitHub counts it: the bytes of the values made on the way and still needed.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

/* What GitHub charges for an object, an element and the head of a string. */
#define OBJECT_BYTES  24
#define ELEMENT_BYTES 8
#define STRING_BYTES  26

/* A trace keeps longer texts as their beginning, and so much altogether. */
#define TRACE_TEXT_MAX 4096
#define TRACE_KEEP_MAX (4 * MiB)

int eval_charge(struct eval *ev, size_t bytes)
{
	if (bytes > ev->max - ev->used)
		return err_set(ev->err, ERR_LIMIT,
			"the expression needs more than %zu KiB of memory",
			ev->max / 1024);
	ev->used += bytes;
	return eval_work(ev, bytes);
}

int eval_work(struct eval *ev, size_t bytes)
{
	*ev->work += bytes;
	if (*ev->work <= (size_t)LIMIT_EXPR_WORK)
		return 0;
	return err_set(ev->err, ERR_LIMIT,
		"expressions go through more than %d MiB of text and values",
		(int)(LIMIT_EXPR_WORK / MiB));
}

size_t eval_string_bytes(const char *s, size_t len)
{
	return STRING_BYTES + 2 * fold_utf16_len(s, len);
}

static struct value *or_null(struct value *v)
{
	return v ? v : value_new_null();
}

/* ---- indexing ---- */

/* The key of an index, looked at as a number or as text when that is asked for. */
struct key {
	const struct value *v;
	struct strbuf own;
	const char *s; /* NULL for a collection */
	size_t len;
	uint32_t hash;
	bool is_number_known, is_in_range;
	size_t at; /* as an array index */
};

static void key_init(struct key *k, const struct node *n, const struct value *v)
{
	memset(k, 0, sizeof(*k));
	strbuf_init(&k->own);
	k->v = v;
	if (v->kind == VALUE_STRING) {
		k->s = v->text;
		k->len = v->u.text_len;
		k->hash = n->pub.kind == EXPR_NODE_LITERAL ? n->hash
							   : fold_hash(k->s, k->len);
	} else if (v->kind != VALUE_ARRAY && v->kind != VALUE_OBJECT) {
		value_to_text(v, &k->own);
		k->s = k->own.buf;
		k->len = k->own.len;
		k->hash = fold_hash(k->s, k->len);
	}
}

static bool key_as_index(struct key *k)
{
	if (!k->is_number_known) {
		double n = floor(value_to_number(k->v));

		k->is_number_known = true;
		k->is_in_range = n >= 0 && n <= INT32_MAX; /* not NaN either */
		k->at = k->is_in_range ? (size_t)n : 0;
	}
	return k->is_in_range;
}

/* Lent; NULL when V has nothing there. */
static struct value *key_lookup(struct key *k, const struct value *v)
{
	if (v->kind == VALUE_OBJECT)
		return k->s ? value_find(v, k->s, k->len, k->hash) : NULL;
	if (v->kind == VALUE_ARRAY && key_as_index(k))
		return value_at(v, k->at);
	return NULL;
}

static struct value *filtered_new(void)
{
	struct value *v = value_new_array();

	v->is_filtered = true;
	return v;
}

static int filtered_push(struct eval *ev, struct result *out, struct value *item)
{
	if (eval_charge(ev, ELEMENT_BYTES) < 0)
		return -1;
	out->bytes += ELEMENT_BYTES;
	value_push(out->v, value_ref(item));
	return 0;
}

static int filtered_push_all(struct eval *ev, struct result *out, const struct value *v)
{
	size_t len = value_count(v);

	for (size_t i = 0; i < len; i++) {
		struct value *item = v->kind == VALUE_ARRAY
					     ? v->u.array.items[i]
					     : v->u.object.members[i].value;

		if (filtered_push(ev, out, item) < 0)
			return -1;
	}
	return 0;
}

static int filtered_open(struct eval *ev, struct result *out)
{
	if (eval_charge(ev, OBJECT_BYTES) < 0)
		return -1;
	out->v = filtered_new();
	out->bytes = OBJECT_BYTES;
	return 0;
}

/* `.x` after a filter: each element's x, where it has one. */
static int index_filtered(
	struct eval *ev, const struct value *base, struct key *k, struct result *out)
{
	if (filtered_open(ev, out) < 0)
		return -1;
	for (size_t i = 0; i < base->u.array.len; i++) {
		struct value *item = key_lookup(k, base->u.array.items[i]);

		if (item && filtered_push(ev, out, item) < 0)
			return -1;
	}
	return 0;
}

static int index_eval(struct eval *ev, const struct node *n, const struct value *base,
	struct result *out)
{
	const struct node *key_node = node_child(n, 1);
	struct result key = { NULL, 0 };
	struct key k;
	int r = 0;

	/* Nothing in a scalar: GitHub does not even look at the key. */
	if (base->kind != VALUE_ARRAY && base->kind != VALUE_OBJECT) {
		out->v = value_new_null();
		return 0;
	}
	if (eval_node(ev, key_node, &key) < 0)
		return -1;
	key_init(&k, key_node, key.v);
	if (base->is_filtered)
		r = index_filtered(ev, base, &k, out);
	else
		out->v = value_ref(or_null(key_lookup(&k, base)));
	strbuf_done(&k.own);
	value_unref(key.v);
	return r;
}

static int filter_eval(struct eval *ev, const struct value *base, struct result *out)
{
	if (filtered_open(ev, out) < 0)
		return -1;
	if (!base->is_filtered)
		return filtered_push_all(ev, out, base);
	for (size_t i = 0; i < base->u.array.len; i++)
		if (filtered_push_all(ev, out, base->u.array.items[i]) < 0)
			return -1;
	return 0;
}

/* Both kinds: evaluates what is indexed, and lets go of it afterwards. */
static int access_eval(struct eval *ev, const struct node *n, struct result *out)
{
	struct result base = { NULL, 0 };
	int r;

	if (eval_node(ev, node_child(n, 0), &base) < 0)
		return -1;
	if (n->pub.kind == EXPR_NODE_INDEX)
		r = index_eval(ev, n, base.v, out);
	else
		r = filter_eval(ev, base.v, out);
	/* A part of a value made on the way keeps the whole of it accounted for. */
	if (r == 0 && out->bytes == 0 &&
		(out->v->kind == VALUE_STRING || out->v->kind == VALUE_ARRAY ||
			out->v->kind == VALUE_OBJECT))
		out->bytes = base.bytes;
	value_unref(base.v);
	return r;
}

/* ---- operators ---- */

static bool compare(enum operator op, const struct value *a, const struct value *b)
{
	switch (op) {
	case OPERATOR_EQ:
		return value_equals(a, b);
	case OPERATOR_NE:
		return !value_equals(a, b);
	case OPERATOR_LT:
		return value_less(a, b);
	case OPERATOR_LE:
		return value_equals(a, b) || value_less(a, b);
	case OPERATOR_GT:
		return value_less(b, a);
	case OPERATOR_GE:
		return value_equals(a, b) || value_less(b, a);
	case OPERATOR_NOT:
	case OPERATOR_AND:
	case OPERATOR_OR:
		break;
	}
	return false;
}

/* `&&` and `||` give the operand that decided. */
static int choice_eval(struct eval *ev, const struct node *n, struct result *out)
{
	bool stop_at = n->op == OPERATOR_OR;

	for (size_t i = 0; i < n->pub.children_len; i++) {
		size_t before = ev->used;

		if (eval_node(ev, node_child(n, i), out) < 0)
			return -1;
		if (value_truthy(out->v) == stop_at || i + 1 == n->pub.children_len)
			break;
		value_unref(out->v);
		out->v = NULL;
		ev->used = before;
	}
	return 0;
}

static int operator_eval(struct eval *ev, const struct node *n, struct result *out)
{
	struct result a = { NULL, 0 }, b = { NULL, 0 };
	int r;

	if (n->op == OPERATOR_AND || n->op == OPERATOR_OR)
		return choice_eval(ev, n, out);
	if (eval_node(ev, node_child(n, 0), &a) < 0)
		return -1;
	if (n->op == OPERATOR_NOT) {
		out->v = value_new_bool(!value_truthy(a.v));
		value_unref(a.v);
		return 0;
	}
	if (eval_node(ev, node_child(n, 1), &b) < 0) {
		value_unref(a.v);
		return -1;
	}
	r = eval_work(ev, value_str_len(a.v) + value_str_len(b.v));
	if (r == 0)
		out->v = value_new_bool(compare((enum operator)n->op, a.v, b.v));
	value_unref(a.v);
	value_unref(b.v);
	return r;
}

/* ---- nodes ---- */

static struct value *context_lookup(struct eval *ev, const struct node *n)
{
	return or_null(
		value_find(ev->env->contexts, n->pub.name, strlen(n->pub.name), n->hash));
}

static int node_value(struct eval *ev, const struct node *n, struct result *out)
{
	switch (n->pub.kind) {
	case EXPR_NODE_LITERAL:
		out->v = value_ref(n->pub.value);
		return 0;
	case EXPR_NODE_CONTEXT:
		out->v = value_ref(context_lookup(ev, n));
		return 0;
	case EXPR_NODE_INDEX:
	case EXPR_NODE_FILTER:
		return access_eval(ev, n, out);
	case EXPR_NODE_CALL:
		return n->function->eval(ev, n, out);
	case EXPR_NODE_OPERATOR:
		return operator_eval(ev, n, out);
	}
	return err_set(ev->err, ERR_BUG, "unknown kind of expression node");
}

static struct value *trace_copy(struct eval *ev, const struct result *r)
{
	static const char cut[] = "...";
	struct value *v;
	size_t len = TRACE_TEXT_MAX;

	if (r->bytes <= TRACE_TEXT_MAX)
		return value_ref(r->v);
	if (r->v->kind != VALUE_STRING) {
		if (ev->trace_kept + r->bytes > TRACE_KEEP_MAX)
			return value_new_str("(too large to keep)");
		ev->trace_kept += r->bytes;
		return value_ref(r->v);
	}
	if (r->v->u.text_len <= TRACE_TEXT_MAX)
		return value_ref(r->v);
	while (len > 0 && ((unsigned char)r->v->text[len] & 0xC0) == 0x80)
		len--;
	v = value_new_blank(len + sizeof(cut) - 1);
	memcpy(v->text, r->v->text, len);
	memcpy(v->text + len, cut, sizeof(cut) - 1);
	return v;
}

int eval_node(struct eval *ev, const struct node *n, struct result *ret)
{
	size_t before = ev->used;
	struct result out = { NULL, 0 };

	if (node_value(ev, n, &out) < 0) {
		value_unref(out.v);
		return -1;
	}
	/* Operands are gone; what stays is the result. */
	ev->used = before + out.bytes;
	if (ev->env->trace) {
		struct expr_trace_item *item = &ev->env->trace->items[n->order];

		item->reached = true;
		item->value = trace_copy(ev, &out);
	}
	*ret = out;
	return 0;
}

static void trace_nodes(struct expr_trace *t, const struct node *n)
{
	struct expr_trace_item *item = &t->items[n->order];

	item->node = &n->pub;
	item->depth = n->depth;
	for (size_t i = 0; i < n->pub.children_len; i++)
		trace_nodes(t, node_child(n, i));
}

void eval_trace_open(struct expr_trace *t, const struct expr *e)
{
	expr_trace_done(t);
	t->items = xcalloc(e->tree_len, sizeof(*t->items));
	t->len = t->alloc = e->tree_len;
	trace_nodes(t, e->root);
}

void expr_trace_done(struct expr_trace *t)
{
	for (size_t i = 0; i < t->len; i++)
		value_unref(t->items[i].value);
	free(t->items);
	memset(t, 0, sizeof(*t));
}

int expr_eval(const struct expr *e, const struct expr_env *env, struct value **ret,
	struct err *err)
{
	struct eval ev = { .env = env, .err = err };
	struct result out = { NULL, 0 };
	size_t own = 0;

	ev.work = env->work ? env->work : &own;
	ev.max = env->memory_max > 0 ? env->memory_max : LIMIT_EXPR_MEMORY;
	if (env->trace)
		eval_trace_open(env->trace, e);
	if (eval_node(&ev, e->root, &out) < 0)
		return -1;
	assert(out.v);
	/* Filtering is of this expression alone: stored, it is an array like any other. */
	if (out.v->is_filtered)
		out.v->is_filtered = false;
	*ret = out.v;
	return 0;
}

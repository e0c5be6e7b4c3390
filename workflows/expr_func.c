/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the expression language, behind one table. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

/* ---- arguments ---- */

void text_of(struct text *t)
{
	const struct value *v = t->from.v;

	t->is_primitive = v->kind != VALUE_ARRAY && v->kind != VALUE_OBJECT;
	switch ((enum value_kind)v->kind) {
	case VALUE_NULL:
		t->s = "";
		break;
	case VALUE_BOOL:
		t->s = v->boolean ? "true" : "false";
		break;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		t->s = value_kind_name((enum value_kind)v->kind);
		break;
	case VALUE_NUMBER:
		number_to_text(v->u.number, &t->own);
		t->s = t->own.buf;
		break;
	case VALUE_STRING:
		t->s = v->text;
		t->len = v->u.text_len;
		return;
	}
	t->len = strlen(t->s);
}

int eval_text(struct eval *ev, const struct node *n, struct text *ret)
{
	if (eval_node(ev, n, &ret->from) < 0)
		return -1;
	text_of(ret);
	return 0;
}

void text_done(struct text *t)
{
	strbuf_done(&t->own);
	value_unref(t->from.v);
	t->from.v = NULL;
}

/* Makes the result a string of what SB holds. */
static int string_result(struct eval *ev, const char *s, size_t len, struct result *ret)
{
	size_t bytes = eval_string_bytes(s, len);

	if (eval_charge(ev, bytes) < 0)
		return -1;
	ret->v = value_new_strn(s, len);
	ret->bytes = bytes;
	return 0;
}

static const struct node *arg(const struct node *n, size_t i)
{
	return node_child(n, i);
}

#define ITEM_WORK 8 /* of a look at one element, in bytes */

/* ---- contains, startsWith, endsWith ---- */

typedef bool text_test_fn(const char *s, size_t len, const char *part, size_t part_len);

/* Both sides must be primitives; TEST compares them as text. */
static int text_test(
	struct eval *ev, const struct node *n, text_test_fn *test, struct result *ret)
{
	_cleanup_(text_done) struct text whole = TEXT_INIT, part = TEXT_INIT;

	if (eval_text(ev, arg(n, 0), &whole) < 0)
		return -1;
	if (!whole.is_primitive) {
		ret->v = value_new_bool(false);
		return 0;
	}
	if (eval_text(ev, arg(n, 1), &part) < 0 || eval_work(ev, part.len) < 0)
		return -1;
	ret->v = value_new_bool(
		part.is_primitive && test(whole.s, whole.len, part.s, part.len));
	return 0;
}

static int fn_starts_with(struct eval *ev, const struct node *n, struct result *ret)
{
	return text_test(ev, n, fold_starts, ret);
}

static int fn_ends_with(struct eval *ev, const struct node *n, struct result *ret)
{
	return text_test(ev, n, fold_ends, ret);
}

static bool any_equals(const struct value *array, const struct value *v)
{
	for (size_t i = 0; i < array->u.array.len; i++)
		if (value_equals(array->u.array.items[i], v))
			return true;
	return false;
}

static bool contains(struct text *whole, struct text *part)
{
	if (whole->from.v->kind == VALUE_ARRAY)
		return any_equals(whole->from.v, part->from.v);
	return whole->is_primitive && part->is_primitive &&
	       fold_contains(whole->s, whole->len, part->s, part->len);
}

static size_t contains_work(const struct text *whole, const struct text *part)
{
	size_t items = whole->from.v->kind == VALUE_ARRAY ? whole->from.v->u.array.len : 0;

	return whole->len + part->len + items * (ITEM_WORK + part->len / 8);
}

static int fn_contains(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(text_done) struct text whole = TEXT_INIT, part = TEXT_INIT;

	if (eval_text(ev, arg(n, 0), &whole) < 0 ||
		eval_text(ev, arg(n, 1), &part) < 0 ||
		eval_work(ev, contains_work(&whole, &part)) < 0)
		return -1;
	ret->v = value_new_bool(contains(&whole, &part));
	return 0;
}

/* ---- join ---- */

static int join_array(struct eval *ev, const struct value *items, const char *sep,
	size_t sep_len, struct strbuf *out)
{
	for (size_t i = 0; i < items->u.array.len; i++) {
		if (i > 0)
			strbuf_add(out, sep, sep_len);
		value_to_text(items->u.array.items[i], out);
		/* At least so much: three bytes of UTF-8 make one unit of UTF-16. */
		if (out->len / 3 * 2 > ev->max - ev->used)
			return eval_charge(ev, out->len / 3 * 2);
	}
	return 0;
}

static int fn_join(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(text_done) struct text items = TEXT_INIT, sep = TEXT_INIT;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	bool has_sep = n->pub.children_len > 1;

	if (eval_text(ev, arg(n, 0), &items) < 0)
		return -1;
	if (items.from.v->kind != VALUE_ARRAY)
		return items.is_primitive ? string_result(ev, items.s, items.len, ret)
					  : string_result(ev, "", 0, ret);
	if (has_sep && eval_text(ev, arg(n, 1), &sep) < 0)
		return -1;
	has_sep = has_sep && sep.is_primitive;
	if (join_array(ev, items.from.v, has_sep ? sep.s : ",", has_sep ? sep.len : 1,
		    &out) < 0)
		return -1;
	return string_result(ev, out.buf, out.len, ret);
}

/* ---- toJSON, fromJSON ---- */

static int fn_to_json(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct result v = { NULL, 0 };
	size_t max = ev->max - ev->used;
	int r;

	if (eval_node(ev, arg(n, 0), &v) < 0)
		return -1;
	r = value_write_json_max(v.v, true, max + max / 2, &out);
	value_unref(v.v);
	if (r < 0)
		return eval_charge(
			ev, ev->max - ev->used + 1); /* says that it is too much */
	return string_result(ev, out.buf, out.len, ret);
}

/* A lower bound of what the text will take as values, without building them. */
static size_t json_estimate(const char *s, size_t len)
{
	size_t bytes = 24;
	bool in_text = false;

	for (size_t i = 0; i < len; i++) {
		if (in_text) {
			bytes += 2;
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				in_text = false;
		} else if (s[i] == '"') {
			in_text = true;
		} else if (s[i] == ',' || s[i] == '[' || s[i] == '{') {
			bytes += 32;
		}
	}
	return bytes;
}

static int fn_from_json(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(text_done) struct text t = TEXT_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	struct err why = ERR_INIT;

	if (eval_text(ev, arg(n, 0), &t) < 0)
		return -1;
	if (t.len == 0 || !t.is_primitive)
		return err_set(ev->err, ERR_INPUT, "fromJSON: %s is no JSON",
			t.is_primitive ? "empty text" : "an array or object");
	ret->bytes = json_estimate(t.s, t.len);
	if (eval_charge(ev, ret->bytes) < 0)
		return -1;
	if (json_parse(t.s, t.len, &j, &why) < 0)
		return err_set(ev->err, why.code, "fromJSON: %s", why.msg);
	ret->v = value_from_json(j);
	return 0;
}

/* ---- case ---- */

static int fn_case(struct eval *ev, const struct node *n, struct result *ret)
{
	size_t last = n->pub.children_len - 1;

	for (size_t i = 0; i < last; i += 2) {
		struct result p = { NULL, 0 };
		enum value_kind kind;
		bool holds;

		if (eval_node(ev, arg(n, i), &p) < 0)
			return -1;
		kind = value_kind_of(p.v);
		holds = kind == VALUE_BOOL && p.v->boolean;
		value_unref(p.v);
		if (kind != VALUE_BOOL)
			return err_set(ev->err, ERR_INPUT,
				"case: condition %zu gives %s, not true or false",
				i / 2 + 1, value_kind_name(kind));
		if (holds)
			return eval_node(ev, arg(n, i + 1), ret);
	}
	return eval_node(ev, arg(n, last), ret);
}

/* ---- what needs the world ---- */

struct names {
	struct text *texts;
	const char **list; /* NULL-ended */
	size_t len;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; names->texts && i < names->len; i++)
		text_done(&names->texts[i]);
	free(names->texts);
	free(names->list);
}

static int names_eval(struct eval *ev, const struct node *n, struct names *ret)
{
	static const struct text empty = TEXT_INIT;

	ret->len = n->pub.children_len;
	ret->texts = xcalloc(ret->len + 1, sizeof(*ret->texts));
	ret->list = xcalloc(ret->len + 1, sizeof(*ret->list));
	for (size_t i = 0; i < ret->len; i++)
		ret->texts[i] = empty;
	for (size_t i = 0; i < ret->len; i++) {
		if (eval_text(ev, arg(n, i), &ret->texts[i]) < 0)
			return -1;
		ret->list[i] = ret->texts[i].s;
		if (strlen(ret->texts[i].s) != ret->texts[i].len)
			return err_set(ev->err, ERR_INPUT, "%s: argument %zu holds a NUL",
				n->function->name, i + 1);
	}
	return 0;
}

static int fn_status(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(names_done) struct names names = { NULL, NULL, 0 };
	bool holds;

	if (!ev->env->status)
		return err_set(ev->err, ERR_INPUT, "%s(): there is no status to ask here",
			n->function->name);
	if (n->pub.children_len > 0 && names_eval(ev, n, &names) < 0)
		return -1;
	holds = ev->env->status(n->function->name, names.list, names.len, ev->env->data);
	ret->v = value_new_bool(holds);
	return 0;
}

static int fn_hash_files(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(names_done) struct names names = { NULL, NULL, 0 };
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	if (!ev->env->hash_files)
		return err_set(ev->err, ERR_INPUT, "hashFiles: there are no files here");
	if (names_eval(ev, n, &names) < 0 || ev->env->hash_files(names.list, names.len,
						     &out, ev->err, ev->env->data) < 0)
		return -1;
	return string_result(ev, out.buf, out.len, ret);
}

#define ANY_STATUS (EXPR_FN_STATUS | EXPR_FN_JOB_STATUS)

static const struct expr_function functions[] = {
	{ "always", 0, 255, ANY_STATUS, fn_status },
	{ "cancelled", 0, 255, ANY_STATUS, fn_status },
	{ "case", 3, 255, 0, fn_case },
	{ "contains", 2, 2, 0, fn_contains },
	{ "endsWith", 2, 2, 0, fn_ends_with },
	{ "failure", 0, 255, ANY_STATUS, fn_status },
	{ "format", 1, 255, 0, expr_fn_format },
	{ "fromJSON", 1, 1, 0, fn_from_json },
	{ "hashFiles", 1, 255, EXPR_FN_HASHFILES, fn_hash_files },
	{ "join", 1, 2, 0, fn_join },
	{ "startsWith", 2, 2, 0, fn_starts_with },
	{ "success", 0, 255, ANY_STATUS, fn_status },
	{ "toJSON", 1, 1, 0, fn_to_json },
};

const struct expr_function *expr_function_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (fold_equal(functions[i].name, strlen(functions[i].name), name, len))
			return &functions[i];
	return NULL;
}

void expr_function_names(unsigned allowed, const char **list)
{
	size_t n = 0;

	_Static_assert(
		ARRAY_SIZE(functions) <= EXPR_FUNCTION_MAX, "the list must hold all");
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!functions[i].needs || (functions[i].needs & allowed))
			list[n++] = functions[i].name;
	list[n] = NULL;
}

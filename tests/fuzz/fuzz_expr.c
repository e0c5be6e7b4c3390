/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions against fixed contexts. Whatever compiles must print as text that compiles
 * to the same text again, and both must evaluate alike, with a trace and without, and as
 * a slow walk over the tree says; the limits hold; as a template and as a condition
 * nothing breaks either.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "workflows/expr.h"
#include "workflows/fold.h"
#include "workflows/value-internal.h"

static const char contexts_json[] =
	"{\"github\":{\"ref\":\"refs/heads/"
	"main\",\"event\":{\"labels\":[{\"name\":\"a\"},"
	"{\"name\":\"B\"},{}],\"n\":1.5}},\"env\":{\"X\":\"\xC3\xBC\",\"E\":\"\"},"
	"\"a\":[[1,[2,3]],[\"x\"],{}],\"s\":\"text\",\"t\":true,\"z\":null}";

static bool status(const char *name, const char *const *args, size_t len, void *data)
{
	(void)data; /* the same answer for all */
	return len == 0 && name[0] == 's';
}

static int hash_files(const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err, void *data)
{
	(void)data; /* no files here */
	if (patterns[0][0] == '!')
		return err_set(err, ERR_INPUT, "no");
	strbuf_addf(out, "%zu", len);
	return 0;
}

static const struct expr_rules rules = { NULL,
	EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES };

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- the slow walk ---------------------------------------------------------------- */

/*
 * By the words of the language's definition, a copy for everything. NULL: it cannot say
 * (functions that make text, errors); then nothing is compared.
 */
struct slow {
	struct value *v;
	bool is_filtered; /* an array that `.*` made */
};

static const struct slow unknown = { NULL, false };

static struct slow plain(struct value *v)
{
	return (struct slow){ v ? v : value_new_null(), false };
}

static bool is_collection(const struct value *v)
{
	return value_kind_of(v) == VALUE_ARRAY || value_kind_of(v) == VALUE_OBJECT;
}

static struct value *child_at(const struct value *v, size_t i)
{
	return value_kind_of(v) == VALUE_ARRAY ? value_at(v, i) : value_member_at(v, i);
}

/* Lent. */
static struct value *look_up(const struct value *v, const struct value *key)
{
	struct value *found = NULL;
	char *text;
	double n;

	if (value_kind_of(v) == VALUE_ARRAY) {
		n = floor(value_to_number(key));
		return n >= 0 && n < (double)value_count(v) ? value_at(v, (size_t)n)
							    : NULL;
	}
	if (value_kind_of(v) != VALUE_OBJECT || is_collection(key))
		return NULL;
	text = value_text(key);
	/* A key holds no NUL here: then the text cannot be one. */
	if (value_kind_of(key) != VALUE_STRING || strlen(text) == value_str_len(key))
		found = value_get(v, text);
	free(text);
	return found;
}

static struct slow walk(const struct expr_node *n, const struct expr_env *env);

static struct slow walk_index(
	const struct expr_node *n, const struct expr_env *env, struct slow base)
{
	struct slow key = unknown, out;

	if (!is_collection(base.v))
		return plain(NULL);
	key = walk(n->children[1], env);
	if (!key.v)
		return unknown;
	if (base.is_filtered) {
		out = (struct slow){ value_new_array(), true };
		for (size_t i = 0; i < value_count(base.v); i++) {
			struct value *found = look_up(value_at(base.v, i), key.v);

			if (found)
				value_push(out.v, value_ref(found));
		}
	} else
		out = plain(value_ref(look_up(base.v, key.v)));
	value_unref(key.v);
	return out;
}

static struct slow walk_filter(struct slow base)
{
	struct slow out = { value_new_array(), true };

	for (size_t i = 0; i < value_count(base.v); i++) {
		struct value *item = child_at(base.v, i);

		if (!base.is_filtered)
			value_push(out.v, value_ref(item));
		for (size_t k = 0; base.is_filtered && k < value_count(item); k++)
			value_push(out.v, value_ref(child_at(item, k)));
	}
	return out;
}

static struct slow walk_choice(const struct expr_node *n, const struct expr_env *env)
{
	struct slow out = unknown;

	for (size_t i = 0; i < n->children_len; i++) {
		value_unref(out.v);
		out = walk(n->children[i], env);
		if (!out.v || value_truthy(out.v) == (n->name[0] == '|'))
			break;
	}
	return out;
}

static bool compares(const char *op, const struct value *a, const struct value *b)
{
	bool is_equal = value_equals(a, b);

	if (op[0] == '=' || op[0] == '!')
		return is_equal == (op[0] == '=');
	return (op[0] == '<' ? value_less(a, b) : value_less(b, a)) ||
	       (op[1] == '=' && is_equal);
}

/* PART at AT of S, character by character. */
static bool stands_at(const char *s, size_t len, size_t at, const char *part, size_t plen)
{
	while (plen > 0) {
		size_t a, b;

		if (at >= len || fold_upper(fold_decode(s + at, len - at, &a)) !=
					 fold_upper(fold_decode(part, plen, &b)))
			return false;
		at += a;
		part += b;
		plen -= b;
	}
	return true;
}

static struct slow walk_contains(const struct value *whole, const struct value *part)
{
	char *s, *p;
	size_t len, step;
	bool holds = false;

	if (value_kind_of(whole) == VALUE_ARRAY) {
		for (size_t i = 0; i < value_count(whole); i++)
			holds = holds || value_equals(value_at(whole, i), part);
		return plain(value_new_bool(holds));
	}
	if (is_collection(whole) || is_collection(part))
		return plain(value_new_bool(false));
	s = value_text(whole);
	p = value_text(part);
	len = strlen(s);
	for (size_t at = 0; !holds && at <= len; at += step) {
		holds = stands_at(s, len, at, p, strlen(p));
		step = 1;
		if (at < len)
			(void)fold_decode(s + at, len - at, &step); /* its length */
	}
	free(s);
	free(p);
	return plain(value_new_bool(holds));
}

static struct slow walk_starts(const struct value *whole, const struct value *part)
{
	char *s, *p;
	bool holds;

	if (is_collection(whole) || is_collection(part))
		return plain(value_new_bool(false));
	s = value_text(whole);
	p = value_text(part);
	holds = stands_at(s, strlen(s), 0, p, strlen(p));
	free(s);
	free(p);
	return plain(value_new_bool(holds));
}

static bool holds_nul(const struct value *v)
{
	return value_kind_of(v) == VALUE_STRING &&
	       strlen(value_str(v)) != value_str_len(v);
}

static struct slow walk_case(const struct expr_node *n, const struct expr_env *env)
{
	for (size_t i = 0; i + 1 < n->children_len; i += 2) {
		struct slow p = walk(n->children[i], env);
		bool is_bool = p.v && value_kind_of(p.v) == VALUE_BOOL;
		bool holds = is_bool && value_bool(p.v);

		value_unref(p.v);
		if (!is_bool)
			return unknown;
		if (holds)
			return walk(n->children[i + 1], env);
	}
	return walk(n->children[n->children_len - 1], env);
}

static struct slow walk_call(const struct expr_node *n, const struct expr_env *env)
{
	struct slow a, b, out = unknown;

	if (strcmp(n->name, "case") == 0)
		return walk_case(n, env);
	if (n->children_len == 0)
		return plain(value_new_bool(n->name[0] == 's'));
	if (strcmp(n->name, "contains") != 0 && strcmp(n->name, "startsWith") != 0)
		return unknown;
	a = walk(n->children[0], env);
	b = a.v ? walk(n->children[1], env) : unknown;
	if (b.v && !holds_nul(a.v) && !holds_nul(b.v))
		out = n->name[0] == 'c' ? walk_contains(a.v, b.v) : walk_starts(a.v, b.v);
	value_unref(a.v);
	value_unref(b.v);
	return out;
}

static struct slow walk_operator(const struct expr_node *n, const struct expr_env *env)
{
	struct slow a, b, out = unknown;

	if (n->name[0] == '&' || n->name[0] == '|')
		return walk_choice(n, env);
	a = walk(n->children[0], env);
	b = a.v && n->children_len > 1 ? walk(n->children[1], env) : unknown;
	if (a.v && n->children_len == 1)
		out = plain(value_new_bool(!value_truthy(a.v)));
	else if (b.v)
		out = plain(value_new_bool(compares(n->name, a.v, b.v)));
	value_unref(a.v);
	value_unref(b.v);
	return out;
}

static struct slow walk(const struct expr_node *n, const struct expr_env *env)
{
	struct slow base, out;

	switch (n->kind) {
	case EXPR_NODE_LITERAL:
		return plain(value_ref(n->value));
	case EXPR_NODE_CONTEXT:
		return plain(value_ref(value_get(env->contexts, n->name)));
	case EXPR_NODE_CALL:
		return walk_call(n, env);
	case EXPR_NODE_OPERATOR:
		return walk_operator(n, env);
	case EXPR_NODE_INDEX:
	case EXPR_NODE_FILTER:
		break;
	}
	base = walk(n->children[0], env);
	if (!base.v)
		return unknown;
	out = n->kind == EXPR_NODE_INDEX ? walk_index(n, env, base) : walk_filter(base);
	value_unref(base.v);
	return out;
}

/* What the evaluator answered, in the words of answer(), is what the slow walk says. */
static void check_slowly(
	const struct expr *e, const struct expr_env *env, const char *answered)
{
	struct slow s = walk(expr_root(e), env);
	struct strbuf text = STRBUF_INIT;

	if (s.v) {
		value_write_json(s.v, false, &text);
		must(strcmp(text.buf, answered) == 0 || strstr(answered, "memory") ||
			strstr(answered, "go through"));
	}
	value_unref(s.v);
	strbuf_done(&text);
}

/* The value as JSON, or the words of the error. */
static void answer(const struct expr *e, struct expr_env *env, struct strbuf *out)
{
	struct value *v = NULL;
	struct err err = ERR_INIT;

	if (expr_eval(e, env, &v, &err) < 0) {
		must(err.msg[0] != '\0' && v == NULL);
		strbuf_adds(out, err.msg);
		return;
	}
	value_write_json(v, false, out);
	value_unref(v);
}

static void check_expr(const char *text, size_t len, struct expr_env *env)
{
	struct strbuf print = STRBUF_INIT, again = STRBUF_INIT, first = STRBUF_INIT,
		      second = STRBUF_INIT, traced = STRBUF_INIT;
	struct expr *e = NULL, *copy = NULL;
	struct expr_trace trace = { 0 };
	struct expr_error error = { 0 };

	if (expr_compile(text, len, &rules, &e, &error) < 0) {
		must(error.msg[0] != '\0' && error.offset <= len && error.len > 0);
		return;
	}
	expr_print(e, &print);
	answer(e, env, &first);
	check_slowly(e, env, first.buf);
	env->trace = &trace;
	answer(e, env, &traced);
	env->trace = NULL;
	must(trace.len > 0);
	must(strcmp(first.buf, traced.buf) == 0);
	/* Printing spells out what was short: only then may the limit be passed. */
	if (expr_compile(print.buf, print.len, &rules, &copy, &error) == 0) {
		expr_print(copy, &again);
		must(strcmp(print.buf, again.buf) == 0);
		answer(copy, env, &second);
		must(strcmp(first.buf, second.buf) == 0);
		must(expr_calls_status(e) == expr_calls_status(copy));
	} else {
		must(strstr(error.msg, "longer than") != NULL);
	}
	expr_free(e);
	expr_free(copy);
	expr_trace_done(&trace);
	strbuf_done(&print);
	strbuf_done(&again);
	strbuf_done(&first);
	strbuf_done(&second);
	strbuf_done(&traced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct value *contexts;
	struct expr_env env = {
		.status = status, .hash_files = hash_files, .memory_max = 64 * 1024
	};
	const char *text = (const char *)data;
	struct value *v = NULL;
	struct err err = ERR_INIT;
	bool holds;

	if (!contexts) { /* once for the whole run */
		struct json *j = NULL;

		must(json_parse(contexts_json, strlen(contexts_json), &j, &err) == 0);
		contexts = value_from_json(j);
		json_free(j);
	}
	env.contexts = contexts;
	check_expr(text, size, &env);
	if (template_eval(text, size, &rules, &env, &v, &err) == 0)
		value_unref(v);
	(void)condition_eval(text, size, &rules, &env, &holds, &err); /* either is fine */
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation of what stands in a plan, with what is known at the time. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "workflows/names.h"
#include "workflows/plan-internal.h"

#define FN_ALL (EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES)

static const struct expr_rules any_rules = { NULL, FN_ALL };

void plan_eval_set(struct plan_eval *ev, const char *context, struct value *v)
{
	value_set(ev->contexts, context, v);
}

void plan_eval_init(struct plan_eval *ev, const struct json *plan,
	const struct json *contexts, unsigned scope)
{
	static const char *const plain[] = { "github", "vars", "needs" };

	*ev = (struct plan_eval){ .contexts = value_new_object(),
		.scope = scope,
		.plan = plan,
		.given = contexts };
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		const struct json *j = json_get(contexts, plain[i]);

		plan_eval_set(ev, plain[i], j ? value_from_json(j) : value_new_object());
	}
	plan_eval_set(ev, "inputs",
		value_from_json(json_get(contexts, "inputs")
					? json_get(contexts, "inputs")
					: json_get(plan, "inputs")));
}

void plan_eval_done(struct plan_eval *ev)
{
	value_unref(ev->contexts);
	ev->contexts = NULL;
}

int plan_eval_error(const struct plan_eval *ev, const char *mark, struct err *err)
{
	const struct json *pair = json_get(json_get(ev->node, "marks"), mark);
	const char *file = json_get_str(ev->node, "file",
		json_as_str(json_path(ev->plan, "workflow.path"), "workflow"));

	if (!pair)
		return err_wrap(err, "%s", file);
	return err_wrap(err, "%s:%lld:%lld", file,
		(long long)json_as_int(json_at(pair, 0), 0),
		(long long)json_as_int(json_at(pair, 1), 0));
}

/* ---- what is known ---------------------------------------------------------------- */

struct knows {
	const struct plan_eval *ev;
	bool is_known;
};

static bool node_known(const struct plan_eval *ev, const struct expr_node *n)
{
	if (n->kind == EXPR_NODE_CONTEXT && !(ev->scope & scope_of_name(n->name)))
		return false;
	if (n->kind == EXPR_NODE_CALL && (strcasecmp(n->name, "hashFiles") == 0 ||
						 strcasecmp(n->name, "success") == 0 ||
						 strcasecmp(n->name, "failure") == 0 ||
						 strcasecmp(n->name, "cancelled") == 0 ||
						 strcasecmp(n->name, "always") == 0))
		return false;
	for (size_t i = 0; i < n->children_len; i++)
		if (!node_known(ev, n->children[i]))
			return false;
	return true;
}

static int inner_known(const char *inner, size_t len, size_t offset, void *data)
{
	struct knows *k = data;
	_cleanup_(expr_freep) struct expr *e = NULL;
	struct expr_error error;

	(void)offset;
	if (len > 0 && memmem(inner, len, "insert", 6) &&
		expr_compile(inner, len, &any_rules, &e, &error) == 0 &&
		expr_root(e)->kind == EXPR_NODE_CONTEXT)
		return 0;
	expr_free(take_ptr(e));
	if (expr_compile(inner, len, &any_rules, &e, &error) < 0 ||
		!node_known(k->ev, expr_root(e)))
		k->is_known = false;
	return 0;
}

bool plan_eval_knows(const struct plan_eval *ev, const char *text)
{
	struct knows k = { ev, true };
	struct expr_error error;

	if (!strstr(text, "${{"))
		return true;
	return template_each(text, strlen(text), inner_known, &k, &error) == 0 &&
	       k.is_known;
}

bool plan_eval_knows_json(const struct plan_eval *ev, const struct json *j)
{
	if (json_is(j, JSON_KIND_STRING))
		return plan_eval_knows(ev, json_as_str(j, ""));
	if (json_is(j, JSON_KIND_ARRAY))
		for (size_t i = 0; i < json_count(j); i++)
			if (!plan_eval_knows_json(ev, json_at(j, i)))
				return false;
	if (json_is(j, JSON_KIND_OBJECT))
		json_foreach (it, j)
			if (!plan_eval_knows(ev, it.key) ||
				!plan_eval_knows_json(ev, it.value))
				return false;
	return true;
}

/* ---- values ----------------------------------------------------------------------- */

int plan_eval_text(struct plan_eval *ev, const char *text, const char *mark,
	struct value **ret, struct err *err)
{
	struct expr_env env = { .contexts = ev->contexts, .work = &ev->work };

	if (!strstr(text, "${{")) {
		*ret = value_new_str(text);
		return 0;
	}
	if (template_eval(text, strlen(text), &any_rules, &env, ret, err) < 0)
		return plan_eval_error(ev, mark, err);
	return 0;
}

/* The only text is one expression: its list takes the place of the item. */
static bool is_one_expr(const char *s)
{
	size_t len = strlen(s);

	return len > 5 && memcmp(s, "${{", 3) == 0 && memcmp(s + len - 2, "}}", 2) == 0;
}

static bool is_insert(const char *key)
{
	const char *p = key;

	if (strncmp(p, "${{", 3) != 0)
		return false;
	p += 3;
	p += strspn(p, " \t");
	if (strncmp(p, "insert", 6) != 0)
		return false;
	p += 6;
	p += strspn(p, " \t");
	return strcmp(p, "}}") == 0;
}

static int plan_array(struct plan_eval *ev, const struct json *j, const char *mark,
	struct value **ret, struct err *err)
{
	_cleanup_(value_unrefp) struct value *arr = value_new_array();

	for (size_t i = 0; i < json_count(j); i++) {
		const struct json *item = json_at(j, i);
		_cleanup_(value_unrefp) struct value *v = NULL;

		if (plan_eval_json(ev, item, mark, &v, err) < 0)
			return -1;
		if (value_kind_of(v) == VALUE_ARRAY && json_is(item, JSON_KIND_STRING) &&
			is_one_expr(json_as_str(item, ""))) {
			for (size_t k = 0; k < value_count(v); k++)
				value_push(arr, value_ref(value_at(v, k)));
			continue;
		}
		value_push(arr, take_ptr(v));
	}
	*ret = take_ptr(arr);
	return 0;
}

static int eval_member(struct plan_eval *ev, struct value *obj, const char *key,
	const struct json *j, const char *mark, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL, *name = NULL;
	_cleanup_free_ char *text = NULL;

	if (plan_eval_json(ev, j, mark, &v, err) < 0)
		return -1;
	if (is_insert(key)) {
		if (value_kind_of(v) != VALUE_OBJECT) {
			(void)err_set(err, ERR_INPUT, "'insert' needs a mapping, not %s",
				value_kind_name(value_kind_of(v)));
			return plan_eval_error(ev, mark, err);
		}
		for (size_t i = 0; i < value_count(v); i++)
			value_set(obj, value_key_at(v, i),
				value_ref(value_member_at(v, i)));
		return 0;
	}
	if (plan_eval_text(ev, key, mark, &name, err) < 0)
		return -1;
	text = value_text(name);
	value_set(obj, text, take_ptr(v));
	return 0;
}

int plan_eval_json(struct plan_eval *ev, const struct json *j, const char *mark,
	struct value **ret, struct err *err)
{
	_cleanup_(value_unrefp) struct value *obj = NULL;

	switch (json_kind_of(j)) {
	case JSON_KIND_STRING:
		return plan_eval_text(ev, json_as_str(j, ""), mark, ret, err);
	case JSON_KIND_ARRAY:
		return plan_array(ev, j, mark, ret, err);
	case JSON_KIND_OBJECT:
		obj = value_new_object();
		json_foreach (it, j)
			if (eval_member(ev, obj, it.key, it.value, mark, err) < 0)
				return -1;
		*ret = take_ptr(obj);
		return 0;
	case JSON_KIND_NULL:
	case JSON_KIND_BOOL:
	case JSON_KIND_INT:
	case JSON_KIND_REAL:
		break;
	}
	*ret = value_from_json(j);
	return 0;
}

/* ---- the condition ---------------------------------------------------------------- */

struct status {
	const struct plan_eval *ev;
	const char **seen; /* node ids above the job */
	size_t seen_len;
};

/* Ids, of which no two are the same but for case, and where each node is. */
static void add_ancestors(struct status *s)
{
	const struct json *jobs = json_get(s->ev->plan, "jobs");
	const struct json *needs = json_get(s->ev->node, "needs");
	size_t n = json_count(jobs);
	_cleanup_(arena_freep) struct arena *arena = NULL;
	_cleanup_free_ bool *is_seen = NULL;
	struct names names = NAMES_INIT;

	if (json_count(needs) == 0)
		return;
	arena = arena_new();
	is_seen = xcalloc(n + 1, sizeof(*is_seen));
	s->seen = xcalloc(n + 1, sizeof(*s->seen));
	for (size_t i = 0; i < n; i++)
		names_add(&names, arena, json_get_str(json_at(jobs, i), "id", ""), i,
			NULL);
	for (size_t at = 0;; at++) {
		for (size_t i = 0; i < json_count(needs); i++) {
			const char *id = json_as_str(json_at(needs, i), "");
			const struct name_entry *e = names_find(&names, id, strlen(id));

			if (!e || is_seen[e->value])
				continue;
			is_seen[e->value] = true;
			s->seen[s->seen_len++] = e->name;
		}
		if (at == s->seen_len)
			return;
		needs = json_get(
			json_at(jobs, names_find(&names, s->seen[at],
					      strlen(s->seen[at]))->value),
			"needs");
	}
}

static const char *last_part(const char *id)
{
	const char *slash = strrchr(id, '/');

	return slash ? slash + 1 : id;
}

/* What is not known to have ended well did not. */
static const char *result_of(const struct plan_eval *ev, const char *id)
{
	const char *r = json_get_str(json_get(ev->given, "ancestors"), id, NULL);
	const struct json *needs = json_get(ev->given, "needs");

	if (!r)
		r = json_get_str(json_get(needs, last_part(id)), "result", NULL);
	return r ? r : "skipped";
}

static bool any_named(const char *const *args, size_t len, const char *id)
{
	for (size_t i = 0; i < len; i++)
		if (strcasecmp(args[i], last_part(id)) == 0)
			return true;
	return len == 0;
}

static bool job_status(
	const char *name, const char *const *args, size_t args_len, void *data)
{
	struct status *s = data;
	bool is_cancelled = json_get_bool(s->ev->given, "cancelled", false);
	bool has_failed = false, is_good = true;

	if (strcasecmp(name, "always") == 0)
		return true;
	if (strcasecmp(name, "cancelled") == 0)
		return is_cancelled;
	for (size_t i = 0; i < s->seen_len; i++) {
		const char *r = result_of(s->ev, s->seen[i]);

		if (!any_named(args, args_len, s->seen[i]))
			continue;
		has_failed = has_failed || strcmp(r, "failure") == 0;
		is_good = is_good && strcmp(r, "success") == 0;
	}
	if (strcasecmp(name, "failure") == 0)
		return has_failed && !is_cancelled;
	return is_good && !is_cancelled;
}

static struct json *trace_to_json(
	const struct expr_trace *t, const char *text, size_t base)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < t->len; i++) {
		const struct expr_trace_item *it = &t->items[i];
		struct json *j = json_new_object();

		json_set_int(j, "offset", (int64_t)(base + it->node->offset));
		json_set_int(j, "len", (int64_t)it->node->len);
		json_set(
			j, "text", json_new_strn(text + it->node->offset, it->node->len));
		json_set_int(j, "depth", it->depth);
		json_set_bool(j, "reached", it->reached);
		if (it->reached)
			json_set(j, "value", value_to_json(it->value));
		json_push(list, j);
	}
	return list;
}

struct one {
	const char *inner;
	size_t len, offset, count;
};

static int take_one(const char *inner, size_t len, size_t offset, void *data)
{
	struct one *o = data;

	o->inner = inner;
	o->len = len;
	o->offset = offset;
	o->count++;
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * The expression of a condition: all of it, or what the braces hold. False: there is text
 * around the braces, if only a newline, which makes it a string, as on GitHub.
 */
static bool condition_expr(const char *text, struct one *ret)
{
	size_t len = strlen(text);
	struct expr_error error;

	*ret = (struct one){ .inner = text, .len = len };
	if (!strstr(text, "${{"))
		return true;
	ret->count = 0;
	if (template_each(text, len, take_one, ret, &error) < 0)
		return true; /* compiling it gives the words */
	return ret->count == 1 && ret->offset == 3 && ret->offset + ret->len + 2 == len;
}

static bool is_blank(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_space(s[i]))
			return false;
	return true;
}

static int eval_condition_expr(struct plan_eval *ev, const struct one *o,
	struct expr_env *env, bool *ret_run, struct json *ret, struct err *err)
{
	_cleanup_(expr_freep) struct expr *e = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct expr_trace trace = { 0 };
	struct expr_error error;
	bool is_implicit, is_good = true;
	int rc;

	if (expr_compile(o->inner, o->len, &any_rules, &e, &error) < 0) {
		(void)err_set(err, ERR_INPUT, "%s", error.msg);
		return plan_eval_error(ev, "if", err);
	}
	is_implicit = !expr_calls_status(e);
	if (is_implicit)
		is_good = job_status("success", NULL, 0, env->data);
	json_set_bool(ret, "implicit", is_implicit);
	if (!is_good) {
		json_set(ret, "trace", json_new_array());
		json_set_str(ret, "reason",
			"success() is false: not all jobs it needs ended in success");
		*ret_run = false;
		return 0;
	}
	env->trace = &trace;
	rc = expr_eval(e, env, &v, err);
	env->trace = NULL;
	if (rc == 0) {
		*ret_run = value_truthy(v);
		json_set(ret, "trace", trace_to_json(&trace, o->inner, o->offset));
		json_set_str(ret, "reason",
			*ret_run ? "its condition is true" : "its condition is false");
	}
	expr_trace_done(&trace);
	return rc < 0 ? plan_eval_error(ev, "if", err) : 0;
}

int plan_eval_condition(
	struct plan_eval *ev, bool *ret_run, struct json *ret, struct err *err)
{
	const char *text = json_get_str(ev->node, "if", "");
	struct status status = { .ev = ev };
	struct expr_env env = {
		.contexts = ev->contexts,
		.status = job_status,
		.data = &status,
		.work = &ev->work,
	};
	struct one o;
	int rc = 0;

	add_ancestors(&status);
	if (is_blank(text, strlen(text))) {
		*ret_run = job_status("success", NULL, 0, &status);
		json_set_bool(ret, "implicit", true);
		json_set(ret, "trace", json_new_array());
		json_set_str(ret, "reason",
			!*ret_run	  ? "not all jobs it needs ended in success"
			: status.seen_len ? "all jobs it needs ended in success"
					  : "it needs no other job");
	} else if (condition_expr(text, &o))
		rc = eval_condition_expr(ev, &o, &env, ret_run, ret, err);
	else {
		rc = condition_eval(text, strlen(text), &any_rules, &env, ret_run, err);
		if (rc < 0)
			(void)plan_eval_error(ev, "if", err);
		json_set(ret, "trace", json_new_array());
		json_set_str(ret, "reason",
			"text outside of '${{ }}' makes the condition a string, which is "
			"true");
	}
	json_set_bool(ret, "run", rc == 0 && *ret_run);
	free(status.seen);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One node to its rows: strategy, then what each row evaluates for itself. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/matrix.h"
#include "workflows/names.h"
#include "workflows/plan-internal.h"
#include "workflows/trigger.h"

struct strategy {
	bool is_fail_fast;
	double max_parallel;  /* 0: all */
	struct json *unknown; /* the matrix as text, when it cannot be known yet */
};

struct rows {
	struct plan_eval *ev;
	const struct json *call; /* the caller's row, or NULL */
	const struct json *spec; /* shared */
	struct strategy strategy;
	struct matrix matrix;
	size_t index, total;
	/* Of the rows made, the spec aside; and of the last one. */
	size_t values, bytes, last_values, last_bytes;
	const struct matrix_row *row; /* NULL: no matrix */
};

static int bad(struct plan_eval *ev, const char *mark, struct err *err, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

static int bad(
	struct plan_eval *ev, const char *mark, struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset(err, ERR_INPUT, fmt, ap);
	va_end(ap);
	return plan_eval_error(ev, mark, err);
}

/* A member of the node evaluated; NULL when there is none. 1: it stays text. */
static int eval_member_of(
	struct plan_eval *ev, const char *key, struct value **ret, struct err *err)
{
	const struct json *j = json_get(ev->node, key);

	*ret = NULL;
	if (!j || json_is(j, JSON_KIND_NULL))
		return 0;
	if (ev->is_partial && !plan_eval_knows_json(ev, j))
		return 1;
	return plan_eval_json(ev, j, key, ret, err);
}

/* ---- strategy --------------------------------------------------------------------- */

static int read_limits(struct rows *r, const struct value *v, struct err *err)
{
	const struct value *fast = value_get(v, "fail_fast");
	const struct value *max = value_get(v, "max_parallel");

	if (!fast)
		fast = value_get(v, "fail-fast");
	if (!max)
		max = value_get(v, "max-parallel");
	r->strategy.is_fail_fast = true;
	if (fast && value_kind_of(fast) != VALUE_NULL) {
		if (value_kind_of(fast) != VALUE_BOOL)
			return bad(
				r->ev, "strategy", err, "'fail-fast' must be a boolean");
		r->strategy.is_fail_fast = value_bool(fast);
	}
	if (max && value_kind_of(max) != VALUE_NULL) {
		if (value_kind_of(max) != VALUE_NUMBER || !(value_number(max) >= 0))
			return bad(r->ev, "strategy", err,
				"'max-parallel' must be a number, 0 or more");
		r->strategy.max_parallel = floor(value_number(max));
	}
	return 0;
}

static int read_strategy(struct rows *r, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	const struct json *j = json_get(r->ev->node, "strategy");
	const struct value *matrix;

	r->strategy.is_fail_fast = true;
	r->total = 1;
	switch (eval_member_of(r->ev, "strategy", &v, err)) {
	case -1:
		return -1;
	case 1:
		r->strategy.unknown = json_get(j, "matrix");
		if (!r->strategy.unknown)
			r->strategy.unknown = (struct json *)j;
		return 0;
	default:
		break;
	}
	if (!v || value_kind_of(v) == VALUE_NULL)
		return 0;
	if (value_kind_of(v) != VALUE_OBJECT)
		return bad(r->ev, "strategy", err, "'strategy' must be a mapping");
	if (read_limits(r, v, err) < 0)
		return -1;
	matrix = value_get(v, "matrix");
	if (!matrix || value_kind_of(matrix) == VALUE_NULL)
		return 0;
	if (matrix_expand(matrix, &r->matrix, err) < 0)
		return plan_eval_error(r->ev,
			json_get(json_get(r->ev->node, "marks"), "matrix") ? "matrix"
									   : "strategy",
			err);
	r->total = r->matrix.len;
	return 0;
}

static struct value *strategy_context(const struct rows *r)
{
	struct value *v = value_new_object();
	double max = r->strategy.max_parallel;

	value_set(v, "fail-fast", value_new_bool(r->strategy.is_fail_fast));
	value_set(v, "job-index", value_new_number((double)r->index));
	value_set(v, "job-total", value_new_number((double)r->total));
	value_set(v, "max-parallel",
		value_new_number(max > 0  ? max
				 : r->row ? (double)r->total
					  : 1));
	return v;
}

/* ---- members of a row ------------------------------------------------------------- */

static const char *call_name(const struct rows *r)
{
	return json_get_str(r->call, "name", NULL);
}

static int set_name(struct rows *r, struct json *row, struct err *err)
{
	const char *text = json_get_str(r->ev->node, "name", NULL);
	const char *id = json_get_str(r->ev->node, "job_id", "");
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct strbuf name = STRBUF_INIT;
	bool is_template = text && strstr(text, "${{");

	if (call_name(r))
		strbuf_addf(&name, "%s / ", call_name(r));
	switch (is_template ? eval_member_of(r->ev, "name", &v, err) : 0) {
	case -1:
		strbuf_done(&name);
		return -1;
	case 1:
		strbuf_adds(&name, text);
		break;
	default:
		if (v)
			value_to_text(v, &name);
		if (v && (name.len == 0 || strbuf_ends_with(&name, " / ")))
			is_template = false; /* it came out empty: as if not given */
		if (!is_template) {
			struct strbuf own = STRBUF_INIT;

			text = text && *text && !strstr(text, "${{") ? text : id;
			if (r->row)
				matrix_row_name(text, r->row, &own);
			else
				strbuf_adds(&own, text);
			strbuf_add(&name, own.buf, own.len);
			strbuf_done(&own);
		}
	}
	json_set(row, "name", json_new_strn(name.buf, name.len));
	strbuf_done(&name);
	return 0;
}

static int push_labels(
	struct rows *r, struct json *labels, const struct value *v, struct err *err)
{
	enum value_kind kind = value_kind_of(v);
	_cleanup_free_ char *text = NULL;

	if (kind == VALUE_ARRAY) {
		for (size_t i = 0; i < value_count(v); i++)
			if (push_labels(r, labels, value_at(v, i), err) < 0)
				return -1;
		return 0;
	}
	if (kind == VALUE_OBJECT)
		return bad(
			r->ev, "runs_on", err, "a label of 'runs-on' must be a string");
	text = value_text(v);
	if (*text == '\0')
		return bad(r->ev, "runs_on", err, "a label of 'runs-on' is empty");
	json_push_str(labels, text);
	return 0;
}

static int set_runs_on(struct rows *r, struct json *row, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	_cleanup_(json_freep) struct json *labels = json_new_array();
	_cleanup_free_ char *group = NULL;
	const struct value *list;

	switch (eval_member_of(r->ev, "runs_on", &v, err)) {
	case -1:
		return -1;
	case 1:
		json_set(row, "runs_on", json_share(json_get(r->ev->node, "runs_on")));
		return 0;
	default:
		break;
	}
	if (!v) {
		json_set(row, "runs_on",
			take_ptr(labels)); /* a job that calls a workflow */
		return 0;
	}
	list = v;
	if (value_kind_of(v) == VALUE_OBJECT) {
		const struct value *g = value_get(v, "group");

		list = value_get(v, "labels");
		if (g)
			group = value_text(g);
	}
	if (list && push_labels(r, labels, list, err) < 0)
		return -1;
	if (json_count(labels) == 0 && !group)
		return bad(r->ev, "runs_on", err, "'runs-on' names no label");
	json_set(row, "runs_on", take_ptr(labels));
	if (group)
		json_set_str(row, "group", group);
	return 0;
}

/* A mapping whose texts are evaluated, or one text that stands for KEY. */
static int eval_mapping(struct rows *r, const struct json *j, const char *mark,
	const char *key, struct value **ret, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct value *inner;

	if (plan_eval_json(r->ev, j, mark, &v, err) < 0)
		return -1;
	inner = value_get(v, key);
	/* `environment: ${{ fromJSON(...) }}` may give the mapping itself. */
	if (value_kind_of(inner) == VALUE_OBJECT && value_count(v) == 1)
		*ret = value_ref(inner);
	else
		*ret = take_ptr(v);
	return 0;
}

static int set_environment(struct rows *r, struct json *row, struct err *err)
{
	const struct json *j = json_get(r->ev->node, "environment");
	_cleanup_(json_freep) struct json *known = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	_cleanup_free_ char *name = NULL;
	struct json *out;

	json_set(row, "environment", NULL);
	if (!json_is(j, JSON_KIND_OBJECT))
		return 0;
	/* The address may speak of steps: it is evaluated after them. */
	known = json_new_object();
	json_foreach (it, j)
		if (strcmp(it.key, "url") != 0)
			json_set(known, it.key, json_share(it.value));
	if (r->ev->is_partial && !plan_eval_knows_json(r->ev, known)) {
		json_set(row, "environment", json_clone(j));
		return 0;
	}
	if (eval_mapping(r, known, "environment", "name", &v, err) < 0)
		return -1;
	name = value_text(value_get(v, "name"));
	if (*name == '\0')
		return 0; /* an empty name is no environment, as on GitHub */
	out = json_new_object();
	json_set_str(out, "name", name);
	if (json_get(j, "url"))
		json_set(out, "url", json_share(json_get(j, "url")));
	json_set_bool(out, "deployment",
		!value_get(v, "deployment") || value_truthy(value_get(v, "deployment")));
	json_set(row, "environment", out);
	return 0;
}

#define GROUP_MAX 400

static int set_concurrency(struct rows *r, struct json *row, struct err *err)
{
	const struct json *j = json_get(r->ev->node, "concurrency");
	_cleanup_(value_unrefp) struct value *v = NULL;
	_cleanup_free_ char *group = NULL, *queue = NULL;
	const struct value *cancel;
	struct json *out;

	json_set(row, "concurrency", NULL);
	if (!json_is(j, JSON_KIND_OBJECT))
		return 0;
	if (r->ev->is_partial && !plan_eval_knows_json(r->ev, j)) {
		json_set(row, "concurrency", json_clone(j));
		return 0;
	}
	if (eval_mapping(r, j, "concurrency", "group", &v, err) < 0)
		return -1;
	group = value_text(value_get(v, "group"));
	if (*group == '\0')
		return bad(r->ev, "concurrency", err, "the concurrency group is empty");
	if (strlen(group) > GROUP_MAX)
		return bad(r->ev, "concurrency", err,
			"the concurrency group is longer than %d characters", GROUP_MAX);
	cancel = value_get(v, "cancel_in_progress");
	if (!cancel)
		cancel = value_get(v, "cancel-in-progress");
	queue = value_text(value_get(v, "queue"));
	out = json_new_object();
	json_set_str(out, "group", group);
	json_set_bool(out, "cancel-in-progress", cancel && value_truthy(cancel));
	json_set_str(out, "queue", *queue ? queue : "single");
	json_set(row, "concurrency", out);
	return 0;
}

static int set_minutes(struct rows *r, struct json *row, const char *key,
	double otherwise, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	double d = otherwise;

	switch (eval_member_of(r->ev, key, &v, err)) {
	case -1:
		return -1;
	case 1:
		json_set(row, key, json_share(json_get(r->ev->node, key)));
		return 0;
	default:
		break;
	}
	if (v && value_kind_of(v) != VALUE_NULL)
		d = value_to_number(v);
	if (!(d > 0) || d > 1e6)
		return bad(r->ev, key, err, "'%s' must be a number of minutes above 0",
			strcmp(key, "timeout_minutes") == 0 ? "timeout-minutes"
							    : "cancel-timeout-minutes");
	json_set(row, key, d == floor(d) ? json_new_int((int64_t)d) : json_new_real(d));
	return 0;
}

static int set_continue(struct rows *r, struct json *row, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;

	switch (eval_member_of(r->ev, "continue_on_error", &v, err)) {
	case -1:
		return -1;
	case 1:
		json_set(row, "continue_on_error",
			json_share(json_get(r->ev->node, "continue_on_error")));
		return 0;
	default:
		break;
	}
	if (v && value_kind_of(v) != VALUE_BOOL && value_kind_of(v) != VALUE_NULL)
		return bad(r->ev, "continue_on_error", err,
			"'continue-on-error' must be a boolean");
	json_set_bool(row, "continue_on_error", v && value_truthy(v));
	return 0;
}

/* ---- calls ------------------------------------------------------------------------ */

static enum input_type type_of(const char *name)
{
	return strcmp(name, "boolean") == 0  ? INPUT_BOOLEAN
	       : strcmp(name, "number") == 0 ? INPUT_NUMBER
					     : INPUT_STRING;
}

static struct json *empty_of(enum input_type type)
{
	if (type == INPUT_BOOLEAN)
		return json_new_bool(false);
	return type == INPUT_NUMBER ? json_new_int(0) : json_new_str("");
}

/* The members of WITH and how their names are found. */
struct given {
	struct names names;
	const struct json **values;
};

static const struct json *find_given(const struct given *g, const char *name)
{
	const struct name_entry *e = names_find(&g->names, name, strlen(name));

	return e ? g->values[e->value] : NULL;
}

/* 1: not known yet. */
static int call_input(struct rows *r, const struct json *decl, const struct given *with,
	struct json *out, struct err *err)
{
	const char *name = json_get_str(decl, "name", "");
	enum input_type type = type_of(json_get_str(decl, "type", "string"));
	const struct json *given = find_given(with, name);
	_cleanup_(value_unrefp) struct value *v = NULL;
	_cleanup_(json_freep) struct json *j = NULL;
	struct json *typed = NULL;

	if (!given)
		given = json_get(decl, "default");
	if (!given || json_is(given, JSON_KIND_NULL)) {
		json_set(out, name, empty_of(type));
		return 0;
	}
	if (r->ev->is_partial && !plan_eval_knows_json(r->ev, given)) {
		json_set(out, name, json_share((struct json *)given));
		return 1;
	}
	if (plan_eval_json(r->ev, given, "with", &v, err) < 0)
		return -1;
	j = value_to_json(v);
	if (json_is(j, JSON_KIND_NULL))
		typed = empty_of(type);
	else if (trigger_input_value(type, j, true, &typed) < 0)
		return bad(r->ev, "with", err, "input '%s' must be a %s", name,
			input_type_name(type));
	json_set(out, name, typed);
	return 0;
}

static int call_inputs(
	struct rows *r, const struct json *call, struct json *row, struct err *err)
{
	const struct json *decls = json_get(call, "inputs"), *with = json_get(call, "with");
	_cleanup_(arena_freep) struct arena *arena = arena_new();
	struct json *out = json_new_object();
	struct given given = { NAMES_INIT, NULL };
	bool is_known = true;

	given.values = arena_alloc(arena, (json_count(with) + 1) * sizeof(*given.values));
	json_foreach (it, with) {
		given.values[given.names.len] = it.value;
		names_add(&given.names, arena, it.key, given.names.len, NULL);
	}
	json_set(row, "inputs", out);
	for (size_t i = 0; i < json_count(decls); i++) {
		int rc = call_input(r, json_at(decls, i), &given, out, err);

		if (rc < 0)
			return -1;
		is_known = is_known && rc == 0;
	}
	if (!is_known)
		json_set_bool(row, "inputs_unknown", true);
	return 0;
}

/* What the secrets of the called workflow are made of, seen from the run's. */
static struct json *call_secrets(struct rows *r, const struct json *call)
{
	static const char *const names[] = { "inputs", "needs", "matrix", "strategy" };
	const struct json *secrets = json_get(call, "secrets");
	const struct json *outer = json_get(r->call, "secrets_map");
	struct json *list, *level, *contexts;

	if (str_eq(json_as_str(secrets, NULL), "inherit"))
		return outer ? json_share((struct json *)outer) : json_new_null();
	list = json_is(outer, JSON_KIND_ARRAY) ? json_clone(outer) : json_new_array();
	level = json_new_object();
	contexts = json_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_set(contexts, names[i],
			value_to_json(value_get(r->ev->contexts, names[i])));
	json_set(level, "secrets",
		json_is(secrets, JSON_KIND_OBJECT) ? json_share((struct json *)secrets)
						   : json_new_object());
	json_set(level, "contexts", contexts);
	json_push(list, level);
	return list;
}

static int set_call(struct rows *r, struct json *row, struct err *err)
{
	const struct json *call = json_get(r->ev->node, "call");

	if (json_is(call, JSON_KIND_OBJECT)) {
		json_set(row, "secrets_map", call_secrets(r, call));
		return call_inputs(r, call, row, err);
	}
	json_set(row, "inputs", value_to_json(value_get(r->ev->contexts, "inputs")));
	json_set(row, "secrets_map", json_share(json_get(r->call, "secrets_map")));
	return 0;
}

/* ---- rows ------------------------------------------------------------------------- */

static struct json *make_spec(const struct json *node)
{
	static const char *const keys[] = { "workflow_env", "env", "defaults", "steps",
		"outputs", "container", "services", "snapshot", "permissions", "call" };
	struct json *spec = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_set(spec, keys[i], json_share(json_get(node, keys[i])));
	return spec;
}

static int fill_row(struct rows *r, struct json *row, struct err *err)
{
	struct value *strategy = strategy_context(r);

	json_set(row, "strategy", value_to_json(strategy));
	plan_eval_set(r->ev, "strategy", strategy);
	plan_eval_set(
		r->ev, "matrix", r->row ? value_ref(r->row->values) : value_new_null());
	if (r->strategy.unknown)
		json_set(row, "matrix", json_share(r->strategy.unknown));
	else
		json_set(row, "matrix",
			r->row ? value_to_json(r->row->values) : json_new_null());
	if (set_name(r, row, err) < 0 || set_runs_on(r, row, err) < 0 ||
		set_environment(r, row, err) < 0 || set_concurrency(r, row, err) < 0 ||
		set_minutes(r, row, "timeout_minutes", LIMIT_JOB_MINUTES, err) < 0 ||
		set_minutes(r, row, "cancel_timeout_minutes", 5, err) < 0 ||
		set_continue(r, row, err) < 0 || set_call(r, row, err) < 0)
		return -1;
	json_set(row, "spec", json_share((struct json *)r->spec));
	return 0;
}

/* What a row has of its own: labels, values of the matrix, names. */
static void weigh(struct rows *r, const struct json *j)
{
	r->values++;
	r->bytes += json_is(j, JSON_KIND_STRING) ? strlen(json_as_str(j, "")) : 0;
	if (json_is(j, JSON_KIND_ARRAY))
		for (size_t i = 0; i < json_count(j); i++)
			weigh(r, json_at(j, i));
	if (json_is(j, JSON_KIND_OBJECT))
		json_foreach (it, j)
			if (strcmp(it.key, "spec") != 0)
				weigh(r, it.value);
}

/* Rows are much alike: the next one is as heavy as the last. */
static int check_weight(struct rows *r, struct err *err)
{
	if (r->values + r->last_values <= LIMIT_PLAN_VALUES &&
		r->bytes + r->last_bytes <= LIMIT_PLAN_TEXT)
		return 0;
	return bad(r->ev, "strategy", err,
		"the rows of job '%s' hold more than %d values or %d MiB: give each row less "
		"(name, labels, values of the matrix)",
		json_get_str(r->ev->node, "id", ""), LIMIT_PLAN_VALUES,
		(int)(LIMIT_PLAN_TEXT / MiB));
}

static int make_rows(struct rows *r, struct json *rows, struct err *err)
{
	unsigned scope = r->ev->scope;

	if (read_strategy(r, err) < 0)
		return -1;
	r->ev->scope |= r->strategy.unknown ? 0 : SCOPE_MATRIX | SCOPE_STRATEGY;
	for (r->index = 0; r->index < r->total; r->index++) {
		struct json *row = json_new_object();
		size_t values = r->values, bytes = r->bytes;

		r->row = r->matrix.len ? &r->matrix.rows[r->index] : NULL;
		json_push(rows, row);
		if (check_weight(r, err) < 0 || fill_row(r, row, err) < 0)
			return -1;
		weigh(r, row);
		r->last_values = r->values - values;
		r->last_bytes = r->bytes - bytes;
	}
	r->ev->scope = scope;
	return 0;
}

int expand_rows(
	struct plan_eval *ev, const struct json *call, struct json *rows, struct err *err)
{
	_cleanup_(json_freep) struct json *spec = make_spec(ev->node);
	struct rows r = { .ev = ev, .call = call, .spec = spec, .matrix = MATRIX_INIT };
	int rc = make_rows(&r, rows, err);

	matrix_done(&r.matrix);
	return rc;
}

/*
 * Without the caller's row, one is made from the caller as it stands. Its own matrix and
 * needs are then unknown, so an input that uses them cannot be had.
 */
int expand_call(const struct plan_eval *ev, struct json **ret, struct err *err)
{
	const char *parent = json_get_str(ev->node, "parent", NULL);
	const struct json *given = json_get(ev->given, "call");
	_cleanup_(json_freep) struct json *rows = json_new_array(), *outer = NULL;
	struct plan_eval up;
	int rc;

	*ret = NULL;
	if (!parent)
		return 0;
	if (json_is(given, JSON_KIND_OBJECT)) {
		*ret = json_share((struct json *)given);
		return 0;
	}
	plan_eval_init(
		&up, ev->plan, ev->given, SCOPE_GITHUB | SCOPE_VARS | SCOPE_INPUTS);
	up.is_partial = true;
	up.node = plan_node(ev->plan, parent);
	rc = expand_call(&up, &outer, err);
	if (rc == 0 && outer) {
		plan_eval_set(&up, "inputs", value_from_json(json_get(outer, "inputs")));
		if (json_get_bool(outer, "inputs_unknown", false))
			up.scope &= ~(unsigned)SCOPE_INPUTS;
	}
	if (rc == 0)
		rc = expand_rows(&up, outer, rows, err);
	if (rc == 0) {
		struct json *row = json_share(json_at(rows, 0));

		/* Rows of a matrix may differ: nothing of them is known here. */
		if (json_count(rows) > 1) {
			json_set_bool(row, "inputs_unknown", true);
			json_set(row, "name",
				json_share(json_get(up.node,
					json_get_str(up.node, "name", NULL) ? "name"
									    : "job_id")));
		}
		*ret = row;
	}
	plan_eval_done(&up);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over all expressions, in the order in which things come to exist: a step knows
 * the steps before it, a job the jobs it needs, and its matrix.
 */
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "workflows/expr.h"
#include "workflows/lint-internal.h"
#include "workflows/parse-internal.h"

static const struct expr_rules any_rules = { NULL,
	EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES };

/* ---- inputs, github, secrets ------------------------------------------------------ */

static const struct lint_type *input_type_of(enum input_type t)
{
	return t == INPUT_BOOLEAN  ? &type_bool
	       : t == INPUT_NUMBER ? &type_number
				   : &type_string;
}

static void add_inputs(
	struct lint *l, struct lint_type *t, const struct input_decl *list, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const struct lint_type *own = input_type_of(list[i].type);
		const struct lint_type *other =
			type_prop(t, list[i].name, strlen(list[i].name));

		type_add(
			t, list[i].name, other ? type_merge(&l->types, own, other) : own);
	}
}

static const struct lint_type *inputs_type(struct lint *l)
{
	const struct workflow *w = l->w;
	struct lint_type *t = type_new_object(
		l->arena, w->dispatch_inputs_len + w->call_inputs_len, true);

	add_inputs(l, t, w->dispatch_inputs, w->dispatch_inputs_len);
	add_inputs(l, t, w->call_inputs, w->call_inputs_len);
	return t;
}

static const char *const github_strings[] = { "action", "action_path", "action_ref",
	"action_repository", "action_status", "actor", "actor_id", "api_url",
	"artifact_cache_size_limit", "base_ref", "env", "event_name", "event_path",
	"graphql_url", "head_ref", "job", "output", "path", "ref", "ref_name", "ref_type",
	"repository", "repository_id", "repository_owner", "repository_owner_id",
	"repository_visibility", "repositoryUrl", "retention_days", "run_attempt",
	"run_id", "run_number", "secret_source", "server_url", "sha", "state",
	"step_summary", "token", "triggering_actor", "workflow", "workflow_ref",
	"workflow_sha", "workspace" };

static const struct lint_type *github_type(struct lint *l)
{
	struct lint_type *t =
		type_new_object(l->arena, ARRAY_SIZE(github_strings) + 2, true);
	const struct workflow *w = l->w;
	struct lint_type *event, *inputs;

	for (size_t i = 0; i < ARRAY_SIZE(github_strings); i++)
		type_add(t, github_strings[i], &type_string);
	type_add(t, "ref_protected", &type_bool);
	if (!workflow_find_trigger(w, "workflow_dispatch")) {
		type_add(t, "event", &type_any_object);
		return t;
	}
	/* The payload has the inputs as text. */
	inputs = type_new_object(l->arena, w->dispatch_inputs_len,
		!workflow_find_trigger(w, "workflow_call"));
	for (size_t i = 0; i < w->dispatch_inputs_len; i++)
		type_add(inputs, w->dispatch_inputs[i].name, &type_string);
	event = type_new_object(l->arena, 1, false);
	event->elem = &type_any;
	type_add(event, "inputs", inputs);
	type_add(t, "event", event);
	return t;
}

static const struct lint_type *secrets_type(struct lint *l)
{
	static const char *const always[] = { "GITHUB_TOKEN", "ACTIONS_STEP_DEBUG",
		"ACTIONS_RUNNER_DEBUG" };
	const struct trigger *t = workflow_find_trigger(l->w, "workflow_call");
	struct lint_type *type;

	/* Only a workflow that is always called, and says what it gets, is sure of it. */
	if (!t || l->w->triggers_len > 1 || !yaml_get_key(t->config, "secrets"))
		return &type_strings;
	type = type_new_object(
		l->arena, l->w->call_secrets_len + ARRAY_SIZE(always), true);
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		type_add(type, always[i], &type_string);
	for (size_t i = 0; i < l->w->call_secrets_len; i++)
		type_add(type, l->w->call_secrets[i].name, &type_string);
	return type;
}

/* ---- jobs, needs ------------------------------------------------------------------ */

static const struct lint_type *called_outputs(struct lint *l, const struct job *job)
{
	struct lint_file *f = lint_load_workflow(l, job);
	struct lint_type *t;

	if (!f || !f->w)
		return &type_strings;
	t = type_new_object(l->arena, f->w->call_outputs_len, true);
	for (size_t i = 0; i < f->w->call_outputs_len; i++)
		type_add(t, f->w->call_outputs[i].name, &type_string);
	return t;
}

static const struct lint_type *outputs_type(struct lint *l, const struct job *job)
{
	const struct yaml_node *n = yaml_get(job->node, "outputs");
	struct lint_type *t;

	if (job->uses)
		return called_outputs(l, job);
	if (n && !yaml_is(n, YAML_MAPPING))
		return &type_strings;
	t = type_new_object(l->arena, n ? n->len : 0, true);
	for (size_t i = 0; n && i < n->len; i++) {
		if (has_template(n->pairs[i].key)) {
			t->is_strict = false;
			t->elem = &type_string;
		} else
			type_add(t, n->pairs[i].key->str, &type_string);
	}
	return t;
}

static const struct lint_type *job_result_type(struct lint *l, const struct job *job)
{
	const struct lint_type **kept = &l->results[job - l->w->jobs];
	const struct lint_type *had = *kept;
	struct lint_type *t;

	if (had)
		return had;
	t = type_new_object(l->arena, 2, true);
	*kept = t;
	type_add(t, "result", &type_string);
	type_add(t, "outputs", outputs_type(l, job));
	return t;
}

static const struct lint_type *needs_type(struct lint *l, const struct job *job)
{
	const struct yaml_node *n = yaml_get(job->node, "needs");
	struct lint_type *t = type_new_object(l->arena, job->needs_len, true);

	for (size_t i = 0; i < job->needs_len; i++)
		type_add(t, job->needs[i].id,
			job_result_type(l, &l->w->jobs[job->needs[i].job]));
	if (has_template_below(n))
		t->is_strict = false;
	return t;
}

/* ---- matrix ----------------------------------------------------------------------- */

static const struct lint_type *text_type(struct lint *l, const struct yaml_node *n);

const struct lint_type *lint_node_type(struct lint *l, const struct yaml_node *n)
{
	const struct lint_type *elem = NULL;
	struct lint_type *t;

	switch (n->kind) {
	case YAML_NULL:
		return &type_null;
	case YAML_BOOL:
		return &type_bool;
	case YAML_NUMBER:
		return &type_number;
	case YAML_STRING:
		return text_type(l, n);
	case YAML_SEQUENCE:
		for (size_t i = 0; i < n->len; i++) {
			const struct lint_type *one = lint_node_type(l, n->items[i]);

			/* A list that an expression gives is spliced in. */
			if (has_template(n->items[i]) && one->kind == TYPE_ARRAY)
				one = one->elem ? one->elem : &type_any;
			elem = elem ? type_merge(&l->types, elem, one) : one;
		}
		return type_new_array(l->arena, elem ? elem : &type_any);
	case YAML_MAPPING:
		break;
	}
	t = type_new_object(l->arena, n->len, true);
	for (size_t i = 0; i < n->len; i++) {
		if (has_template(n->pairs[i].key))
			t->is_strict = false;
		else
			type_add(t, n->pairs[i].key->str,
				lint_node_type(l, n->pairs[i].value));
	}
	return t;
}

static void add_include(
	struct lint *l, struct lint_type *t, const struct yaml_node *include)
{
	if (!yaml_is(include, YAML_SEQUENCE)) {
		t->is_strict = t->is_strict && !include;
		return;
	}
	for (size_t i = 0; i < include->len; i++) {
		const struct yaml_node *row = include->items[i];

		if (!yaml_is(row, YAML_MAPPING)) {
			t->is_strict = false;
			continue;
		}
		for (size_t k = 0; k < row->len; k++) {
			const char *key = row->pairs[k].key->str;
			const struct lint_type *own =
				lint_node_type(l, row->pairs[k].value);
			const struct lint_type *old = type_prop(t, key, strlen(key));

			if (has_template(row->pairs[k].key))
				t->is_strict = false;
			else
				type_add(t, key,
					old ? type_merge(&l->types, old, own) : own);
		}
	}
}

static size_t include_keys(const struct yaml_node *include)
{
	size_t n = 0;

	for (size_t i = 0; yaml_is(include, YAML_SEQUENCE) && i < include->len; i++)
		n += yaml_is(include->items[i], YAML_MAPPING) ? include->items[i]->len
							      : 0;
	return n;
}

const struct lint_type *lint_matrix_type(struct lint *l, const struct yaml_node *strategy)
{
	const struct yaml_node *m = yaml_get(strategy, "matrix");
	const struct yaml_node *include = yaml_get(m, "include");
	struct lint_type *t;

	if (yaml_is_scalar(strategy) || yaml_is_scalar(m))
		return &type_any_object;
	if (!yaml_is(m, YAML_MAPPING))
		return &type_empty_object;
	t = type_new_object(l->arena, m->len + include_keys(include), true);
	for (size_t i = 0; i < m->len; i++) {
		const char *key = m->pairs[i].key->str;
		const struct lint_type *v;

		if (has_template(m->pairs[i].key)) {
			t->is_strict = false;
			continue;
		}
		if (strcmp(key, "include") == 0 || strcmp(key, "exclude") == 0)
			continue;
		v = lint_node_type(l, m->pairs[i].value);
		type_add(t, key, v->kind == TYPE_ARRAY && v->elem ? v->elem : &type_any);
	}
	add_include(l, t, include);
	return t;
}

/* ---- one scalar ------------------------------------------------------------------- */

struct visit {
	struct lint *l;
	const struct schema_place *place;
	const struct lint_type *type; /* of the last expression */
	size_t count;
	bool is_whole;
	bool is_condition;
	bool is_alone; /* the last expression was all of the text */
};

static bool is_whole(const struct yaml_node *n)
{
	return n->str_len > 5 && memcmp(n->str, "${{", 3) == 0 &&
	       memcmp(n->str + n->str_len - 2, "}}", 2) == 0;
}

static bool is_script(const struct visit *v)
{
	const struct schema_place *p = v->place;
	const struct yaml_node *uses =
		v->l->step ? yaml_get(v->l->step->node, "uses") : NULL;

	if (!p->def || !p->owner || strcmp(p->owner, "step") != 0 || !p->key)
		return false;
	if (strcmp(p->key, "run") == 0)
		return true;
	return strcmp(p->key, "with") == 0 && p->name && strcmp(p->name, "script") == 0 &&
	       uses && yaml_is_scalar(uses) &&
	       str_starts(uses->str, "actions/github-script@");
}

static void check_text_type(struct visit *v, struct lint_expr *x,
	const struct expr_node *n, const struct lint_type *t)
{
	const struct schema_def *def = v->place->def;
	struct strbuf words = STRBUF_INIT;
	bool wants_text = !def || ((def->kinds & KIND_STRING) &&
					  !(def->kinds & (KIND_SEQ | KIND_MAP)));

	if ((def && (def->flags & SCHEMA_EXPRESSION)) || (v->is_whole && !wants_text))
		return;
	if (t->kind != TYPE_NULL && t->kind != TYPE_ARRAY && t->kind != TYPE_OBJECT)
		return;
	type_words(t, &words);
	diag_hint(lint_add(v->l, lint_expr_mark(x, n), "object-in-text",
			  "%s becomes text here, which says nothing", words.buf),
		t->kind == TYPE_NULL ? "an empty text comes out"
				     : "write toJSON(...) around it");
	strbuf_done(&words);
}

static int visit_inner(const char *inner, size_t len, size_t offset, void *data)
{
	struct visit *v = data;
	struct lint_expr x = { v->l, v->place->node, offset };
	_cleanup_(expr_freep) struct expr *e = NULL;
	struct expr_error error;

	v->count++;
	v->type = &type_any;
	v->is_alone = len == v->place->node->str_len ||
		      (offset == 3 && offset + len + 2 == v->place->node->str_len);
	if (strspn(inner, " \t\r\n") >= len || v->l->expr_nodes > LIMIT_EXPR_NODES)
		return 0; /* the schema has told of too many */
	if (expr_compile(inner, len, &any_rules, &e, &error) < 0)
		return 0; /* the schema has told */
	v->l->expr_nodes += expr_size(e);
	v->type = lint_expr_type(&x, expr_root(e));
	check_text_type(v, &x, expr_root(e), v->type);
	if (is_script(v))
		lint_script_expr(v->l, v->place->node, offset, expr_root(e));
	if (v->is_condition && v->is_alone)
		lint_constant(v->l, v->place->node, e);
	return 0;
}

/* One expression stands for the whole value: its type must be the one wanted. */
static void check_whole_type(struct visit *v)
{
	static const struct {
		unsigned kind;
		const struct lint_type *type;
	} kinds[] = { { KIND_BOOL, &type_bool }, { KIND_NUMBER, &type_number },
		{ KIND_SEQ, &type_any_array }, { KIND_MAP, &type_any_object } };
	const struct schema_def *def = v->place->def;
	struct strbuf words = STRBUF_INIT, want = STRBUF_INIT;
	bool fits = false;

	if (!def || (def->kinds & KIND_STRING) || (def->flags & SCHEMA_EXPRESSION))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!(def->kinds & kinds[i].kind))
			continue;
		fits = fits || type_fits(v->type, kinds[i].type);
		strbuf_adds(&want, want.len ? " or " : "");
		type_words(kinds[i].type, &want);
	}
	type_words(v->type, &words);
	if (!fits)
		(void)lint_add(v->l, v->place->node->mark, "wrong-result",
			"'%s' must be %s, but the expression gives %s",
			v->place->name ? v->place->name : "value", want.buf, words.buf);
	strbuf_done(&words);
	strbuf_done(&want);
}

static void visit_scalar(const struct schema_place *p, void *data)
{
	struct visit v = { .l = data, .place = p };
	struct expr_error error;
	int r;

	v.is_condition = p->def && (p->def->flags & SCHEMA_EXPRESSION) &&
			 p->node->kind != YAML_NULL;
	if (strstr(p->node->str, "${{")) {
		if (schema_text_is_too_long(p->node->str, p->node->str_len))
			return; /* the schema has told */
		v.is_whole = is_whole(p->node);
		r = template_each(
			p->node->str, p->node->str_len, visit_inner, &v, &error);
		if (v.is_whole && v.count == 1)
			check_whole_type(&v);
		if (r == 0 && v.is_condition && !v.is_alone)
			lint_text_around(v.l, p->node);
	} else if (v.is_condition)
		(void)visit_inner(p->node->str, p->node->str_len, 0, &v);
}

static void visit_below(struct lint *l, const struct yaml_node *map,
	const struct schema_def *def, const char *key)
{
	const struct schema_prop *p = schema_prop(def, key);
	const struct yaml_node *n = p ? yaml_get(map, key) : NULL;

	if (n)
		schema_each_scalar(n, p->def, key, visit_scalar, l);
}

/* Types alone: what is wrong is told where the expression stands. */
static const struct lint_type *text_type(struct lint *l, const struct yaml_node *n)
{
	struct schema_place place = { .node = n };
	struct diagnostics ignored = DIAGNOSTICS_INIT, *d = l->d;
	struct visit v = { .l = l, .place = &place };
	struct expr_error error;

	if (!has_template(n))
		return &type_string;
	l->d = &ignored;
	(void)template_each(n->str, n->str_len, visit_inner, &v, &error);
	l->d = d;
	diagnostics_done(&ignored);
	return is_whole(n) && v.count == 1 ? v.type : &type_string;
}

/* ---- steps ------------------------------------------------------------------------ */

static const struct lint_type *step_outputs(struct lint *l, const struct step *s)
{
	struct lint_file *f = lint_load_action(l, s);
	struct lint_type *t;

	if (!f || !f->action)
		return &type_strings;
	t = type_new_object(l->arena, f->action->outputs_len, true);
	for (size_t i = 0; i < f->action->outputs_len; i++)
		type_add(t, f->action->outputs[i].name, &type_string);
	return t;
}

static void add_step(struct lint *l, struct lint_type *steps, const struct step *s)
{
	struct lint_type *t;

	if (!s->is_generated) {
		t = type_new_object(l->arena, 3, true);
		type_add(t, "outputs", step_outputs(l, s));
		type_add(t, "outcome", &type_string);
		type_add(t, "conclusion", &type_string);
		type_add(steps, s->id, t);
	}
	for (size_t i = 0; i < s->members_len; i++)
		add_step(l, steps, &s->members[i]);
}

static size_t count_steps(const struct step *steps, size_t len)
{
	size_t n = len;

	for (size_t i = 0; i < len; i++)
		n += count_steps(steps[i].members, steps[i].members_len);
	return n;
}

static void visit_steps(struct lint *l, const struct job *job)
{
	struct lint_type *steps =
		type_new_object(l->arena, count_steps(job->steps, job->steps_len), true);

	l->steps = steps;
	for (size_t i = 0; i < job->steps_len; i++) {
		l->step = &job->steps[i];
		schema_each_scalar(
			job->steps[i].node, &schema_step, NULL, visit_scalar, l);
		add_step(l, steps, &job->steps[i]);
	}
	l->step = NULL;
}

/* ---- the whole -------------------------------------------------------------------- */

static void visit_job(struct lint *l, const struct job *job)
{
	l->job = job;
	l->needs = needs_type(l, job);
	/* The matrix itself may use needs; what it is made of comes after. */
	l->matrix = NULL;
	visit_below(l, job->node, &schema_job, "strategy");
	l->matrix = lint_matrix_type(l, yaml_get(job->node, "strategy"));
	visit_steps(l, job);
	for (size_t i = 0; i < job->node->len; i++) {
		const char *key = job->node->pairs[i].key->str;

		if (strcmp(key, "steps") != 0 && strcmp(key, "strategy") != 0)
			visit_below(l, job->node, &schema_job, key);
	}
	l->job = NULL;
	l->needs = l->matrix = l->steps = NULL;
}

static const struct lint_type *jobs_type(struct lint *l)
{
	struct lint_type *t = type_new_object(l->arena, l->w->jobs_len, true);

	for (size_t i = 0; i < l->w->jobs_len; i++)
		type_add(t, l->w->jobs[i].id, job_result_type(l, &l->w->jobs[i]));
	return t;
}

void lint_expressions(struct lint *l)
{
	const struct yaml_node *root = l->w->root;

	l->results = arena_alloc(l->arena, (l->w->jobs_len + 1) * sizeof(*l->results));
	l->inputs = inputs_type(l);
	l->github = github_type(l);
	l->secrets = secrets_type(l);
	l->jobs = jobs_type(l);
	for (size_t i = 0; i < root->len; i++) {
		const char *key = root->pairs[i].key->str;

		if (strcmp(key, "jobs") != 0)
			visit_below(l, root, &schema_workflow, key);
	}
	for (size_t i = 0; i < l->w->jobs_len; i++)
		visit_job(l, &l->w->jobs[i]);
}

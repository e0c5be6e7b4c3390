/* SPDX-License-Identifier: Apache-2.0 */
/* Checked YAML to the JSON of plans. The syntax table says what is text and what a value. */
#include <string.h>

#include "base/mem.h"
#include "workflows/plan-internal.h"

static struct json *scalar_to_json(
	const struct yaml_node *n, const struct schema_def *def)
{
	struct arena *arena;
	struct json *j;

	if (n->kind == YAML_STRING || !def || (def->kinds & (1u << n->kind)) ||
		!(def->kinds & KIND_STRING))
		return yaml_to_json(n);
	arena = arena_new();
	j = json_new_str(yaml_text(n, arena));
	arena_free(arena);
	return j;
}

struct json *schema_to_json(const struct yaml_node *n, const struct schema_def *def)
{
	struct json *j;

	if (!n)
		return json_new_null();
	if (yaml_is_scalar(n))
		return scalar_to_json(n, def);
	if (n->kind == YAML_SEQUENCE) {
		j = json_new_array();
		for (size_t i = 0; i < n->len; i++)
			json_push(j, schema_to_json(n->items[i], def ? def->item : NULL));
		return j;
	}
	j = json_new_object();
	for (size_t i = 0; i < n->len; i++) {
		const char *key = n->pairs[i].key->str;
		const struct schema_prop *p = def ? schema_prop(def, key) : NULL;
		const struct schema_def *value = p ? p->def : def ? def->value : NULL;

		json_set(j, key, schema_to_json(n->pairs[i].value, value));
	}
	return j;
}

/* ---- steps ------------------------------------------------------------------------ */

static struct json *step_to_json(const struct step *s, const struct schema_def *def)
{
	struct json *j = json_new_object();

	json_set_str(j, "id", s->id);
	json_set_bool(j, "generated_id", s->is_generated);
	for (size_t i = 0; i < s->node->len; i++) {
		const struct yaml_node *key = s->node->pairs[i].key;
		const struct schema_prop *p = schema_prop(def, key->str);

		if (!p || strcmp(key->str, "id") == 0 ||
			strcmp(key->str, "parallel") == 0)
			continue;
		json_set(j, key->str, schema_to_json(s->node->pairs[i].value, p->def));
	}
	if (s->kind == STEP_PARALLEL)
		json_set(j, "parallel", steps_to_json(s->members, s->members_len, def));
	if (s->kind == STEP_WAIT_ALL)
		json_set_bool(j, "wait-all", true);
	json_set_int(j, "line", s->node->mark.line);
	json_set_int(j, "column", s->node->mark.column);
	return j;
}

struct json *steps_to_json(
	const struct step *steps, size_t len, const struct schema_def *def)
{
	struct json *j = json_new_array();

	for (size_t i = 0; i < len; i++)
		json_push(j, step_to_json(&steps[i], def));
	return j;
}

/* ---- jobs ------------------------------------------------------------------------- */

static struct json *member(
	const struct yaml_node *map, const struct schema_def *def, const char *key)
{
	return schema_to_json(yaml_get(map, key), schema_prop(def, key)->def);
}

/* A scalar that may also be a mapping: {KEY: scalar}. */
static struct json *wrapped(const struct yaml_node *map, const struct schema_def *def,
	const char *key, const char *inner)
{
	const struct yaml_node *n = yaml_get(map, key);
	struct json *j;

	if (!n || !yaml_is_scalar(n))
		return member(map, def, key);
	if (n->kind == YAML_NULL || n->str_len == 0)
		return json_new_null();
	j = json_new_object();
	json_set(j, inner, member(map, def, key));
	return j;
}

/* Keys inside are spelled with '_' in the plan. */
static void respell(struct json *j, const char *from, const char *to)
{
	struct json *v = json_get(j, from);

	if (!v)
		return;
	json_set(j, to, json_share(v));
	json_unset(j, from);
}

static struct json *strategy_to_json(
	const struct yaml_node *n, const struct schema_def *def)
{
	struct json *j = member(n, def, "strategy");

	respell(j, "fail-fast", "fail_fast");
	respell(j, "max-parallel", "max_parallel");
	return j;
}

static const struct {
	const char *key, *name;
} plain[] = {
	{ "name", "name" },
	{ "if", "if" },
	{ "runs-on", "runs_on" },
	{ "timeout-minutes", "timeout_minutes" },
	{ "cancel-timeout-minutes", "cancel_timeout_minutes" },
	{ "continue-on-error", "continue_on_error" },
	{ "env", "env" },
	{ "outputs", "outputs" },
	{ "container", "container" },
	{ "services", "services" },
	{ "snapshot", "snapshot" },
};

static const char *const marked[] = { "name", "if", "runs-on", "timeout-minutes",
	"cancel-timeout-minutes", "continue-on-error", "environment", "concurrency",
	"strategy", "matrix", "with", "uses" };

static void set_mark(struct json *marks, const char *key, struct mark m)
{
	struct json *pair = json_new_array();
	char name[32];
	size_t n = 0;

	for (; key[n] && n + 1 < sizeof(name); n++)
		name[n] = key[n] == '-' ? '_' : key[n];
	name[n] = '\0';
	json_push(pair, json_new_int(m.line));
	json_push(pair, json_new_int(m.column));
	json_set(marks, name, pair);
}

static struct json *marks_to_json(const struct job *job)
{
	struct json *marks = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(marked); i++) {
		const struct yaml_node *n =
			strcmp(marked[i], "matrix") == 0
				? yaml_get(yaml_get(job->node, "strategy"), "matrix")
				: yaml_get(job->node, marked[i]);

		if (n)
			set_mark(marks, marked[i], n->mark);
	}
	return marks;
}

/* Job over workflow, key by key; what is empty does not count. */
static struct json *defaults_to_json(const struct workflow *w, const struct job *job)
{
	static const char *const keys[] = { "shell", "working-directory" };
	const struct yaml_node *outer = yaml_get(yaml_get(w->root, "defaults"), "run");
	const struct yaml_node *whole = yaml_get(job->node, "defaults");
	const struct yaml_node *inner = yaml_get(whole, "run");
	struct json *j = json_new_object(), *run = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct yaml_node *n = yaml_get(inner, keys[i]);

		if (!n || n->str_len == 0)
			n = yaml_get(outer, keys[i]);
		if (yaml_is_scalar(n) && n->str_len > 0)
			json_set(run, keys[i], json_new_str(n->str));
	}
	json_set(j, "run", run);
	return j;
}

struct json *workflow_env_to_json(const struct workflow *w)
{
	return member(w->root, &schema_workflow, "env");
}

struct json *job_to_json(
	const struct workflow *w, const struct job *job, const char *prefix)
{
	struct json *j = json_new_object(), *needs = json_new_array();
	_cleanup_free_ char *id = xasprintf("%s%s", prefix, job->id);

	json_set_str(j, "id", id);
	json_set_str(j, "job_id", job->id);
	json_set_str(j, "file", w->path);
	json_set_int(j, "line", job->key->mark.line);
	json_set_int(j, "column", job->key->mark.column);
	for (size_t i = 0; i < job->needs_len; i++) {
		_cleanup_free_ char *need = xasprintf("%s%s", prefix, job->needs[i].id);

		json_push_str(needs, need);
	}
	json_set(j, "needs", needs);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (schema_prop(&schema_job, plain[i].key))
			json_set(j, plain[i].name,
				member(job->node, &schema_job, plain[i].key));
	json_set(
		j, "environment", wrapped(job->node, &schema_job, "environment", "name"));
	json_set(j, "concurrency",
		wrapped(job->node, &schema_job, "concurrency", "group"));
	respell(json_get(j, "concurrency"), "cancel-in-progress", "cancel_in_progress");
	json_set(j, "strategy", strategy_to_json(job->node, &schema_job));
	json_set(j, "defaults", defaults_to_json(w, job));
	json_set(j, "steps", steps_to_json(job->steps, job->steps_len, &schema_step));
	json_set(j, "marks", marks_to_json(job));
	return j;
}

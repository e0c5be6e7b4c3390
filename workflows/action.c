/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata of an action: the table checks the shape, this file what `using` asks for. */
#include "workflows/action.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "workflows/parse-internal.h"
#include "workflows/plan-internal.h"

struct using
{
	const char *text;
	enum action_using kind;
};

static const struct using usings[] = {
	{ "composite", ACTION_COMPOSITE },
	{ "docker", ACTION_DOCKER },
	{ "node12", ACTION_NODE },
	{ "node16", ACTION_NODE },
	{ "node20", ACTION_NODE },
	{ "node24", ACTION_NODE },
};

/* Keys of `runs:` and the kinds they belong to. */
static const struct {
	const char *key;
	unsigned kinds;
	unsigned required_by;
} runs_keys[] = {
	{ "steps", 1 << ACTION_COMPOSITE, 1 << ACTION_COMPOSITE },
	{ "main", 1 << ACTION_NODE, 1 << ACTION_NODE },
	{ "pre", 1 << ACTION_NODE, 0 },
	{ "post", 1 << ACTION_NODE, 0 },
	{ "pre-if", 1 << ACTION_NODE | 1 << ACTION_DOCKER, 0 },
	{ "post-if", 1 << ACTION_NODE | 1 << ACTION_DOCKER, 0 },
	{ "image", 1 << ACTION_DOCKER, 1 << ACTION_DOCKER },
	{ "entrypoint", 1 << ACTION_DOCKER, 0 },
	{ "pre-entrypoint", 1 << ACTION_DOCKER, 0 },
	{ "post-entrypoint", 1 << ACTION_DOCKER, 0 },
	{ "args", 1 << ACTION_DOCKER, 0 },
	{ "env", 1 << ACTION_DOCKER, 0 },
};

static const char *text_of(struct action *a, const struct yaml_node *n)
{
	return yaml_is_scalar(n) && n->kind != YAML_NULL ? yaml_text(n, a->doc->arena)
							 : NULL;
}

static void parse_inputs(struct action *a)
{
	const struct yaml_node *n = yaml_get(a->doc->root, "inputs");

	if (!yaml_is(n, YAML_MAPPING))
		return;
	a->inputs = arena_alloc(a->doc->arena, (n->len + 1) * sizeof(*a->inputs));
	for (size_t i = 0; i < n->len; i++) {
		const struct yaml_node *v = n->pairs[i].value;
		const char *required = text_of(a, yaml_get(v, "required"));

		a->inputs[i] = (struct action_input){
			.name = n->pairs[i].key->str,
			.otherwise = text_of(a, yaml_get(v, "default")),
			.deprecation = text_of(a, yaml_get(v, "deprecationMessage")),
			.is_required = required && strcasecmp(required, "true") == 0,
			.mark = n->pairs[i].key->mark,
		};
		names_add(&a->input_names, a->doc->arena, a->inputs[i].name, (uint32_t)i,
			NULL);
	}
	a->inputs_len = n->len;
}

static void parse_outputs(struct action *a)
{
	const struct yaml_node *n = yaml_get(a->doc->root, "outputs");

	if (!yaml_is(n, YAML_MAPPING))
		return;
	a->outputs = arena_alloc(a->doc->arena, (n->len + 1) * sizeof(*a->outputs));
	for (size_t i = 0; i < n->len; i++)
		a->outputs[i] = (struct action_output){
			.name = n->pairs[i].key->str,
			.value = text_of(a, yaml_get(n->pairs[i].value, "value")),
			.mark = n->pairs[i].key->mark,
		};
	a->outputs_len = n->len;
}

static bool parse_using(
	struct action *a, const struct yaml_node *runs, struct diagnostics *d)
{
	const struct yaml_node *n = yaml_get(runs, "using");
	const char *names[ARRAY_SIZE(usings) + 1] = { NULL };
	struct diag *diag;

	a->using_text = text_of(a, n);
	if (!a->using_text)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(usings); i++) {
		names[i] = usings[i].text;
		if (strcasecmp(usings[i].text, a->using_text) == 0) {
			a->using = usings[i].kind;
			return true;
		}
	}
	diag = diag_add(d, a->doc->file, n->mark, SEVERITY_ERROR, "unknown-value",
		"'%.40s' is no way to run an action", a->using_text);
	diag_nearest(diag, a->using_text, names);
	if (diag && !diag->hint)
		diag_hint(diag, "one of: composite, docker, node20, node24");
	return false;
}

static void check_keys(
	struct action *a, const struct yaml_node *runs, struct diagnostics *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(runs_keys); i++) {
		const struct yaml_node *key = yaml_get_key(runs, runs_keys[i].key);

		if (key && !(runs_keys[i].kinds & (1u << a->using)))
			(void)diag_add(d, a->doc->file, key->mark, SEVERITY_ERROR,
				"unknown-key", "'%s' does not go with 'using: %s'",
				runs_keys[i].key, a->using_text);
		if (!key && (runs_keys[i].required_by & (1u << a->using)))
			(void)diag_add(d, a->doc->file, runs->mark, SEVERITY_ERROR,
				"missing-key", "'runs' with 'using: %s' has no '%s'",
				a->using_text, runs_keys[i].key);
	}
}

static void parse_runs(struct action *a, struct diagnostics *d)
{
	const struct yaml_node *runs = yaml_get(a->doc->root, "runs");
	struct workflow w = { .doc = a->doc, .path = a->doc->file };
	struct parser p = { .w = &w, .arena = a->doc->arena, .diags = d };
	struct job job = { .id = "action", .node = runs };

	a->pre_if = a->post_if = "always()";
	if (!yaml_is(runs, YAML_MAPPING) || !parse_using(a, runs, d))
		return;
	check_keys(a, runs, d);
	a->main = text_of(a, yaml_get(runs, "main"));
	a->pre = text_of(a, yaml_get(runs, "pre"));
	a->post = text_of(a, yaml_get(runs, "post"));
	a->image = text_of(a, yaml_get(runs, "image"));
	a->args = yaml_get(runs, "args");
	a->env = yaml_get(runs, "env");
	if (a->using == ACTION_DOCKER) {
		a->main = text_of(a, yaml_get(runs, "entrypoint"));
		a->pre = text_of(a, yaml_get(runs, "pre-entrypoint"));
		a->post = text_of(a, yaml_get(runs, "post-entrypoint"));
	}
	if (text_of(a, yaml_get(runs, "pre-if")))
		a->pre_if = text_of(a, yaml_get(runs, "pre-if"));
	if (text_of(a, yaml_get(runs, "post-if")))
		a->post_if = text_of(a, yaml_get(runs, "post-if"));
	if (a->using != ACTION_COMPOSITE)
		return;
	a->steps_node = yaml_get(runs, "steps");
	parse_steps(&p, &job);
	a->steps = steps_to_json(job.steps, job.steps_len, &schema_step);
}

int action_parse(const char *file, const char *data, size_t len, struct action **ret,
	struct diagnostics *d, struct err *err)
{
	size_t before = d->len + d->dropped;
	struct yaml_doc *doc;
	struct action *a;

	if (yaml_parse(file, data, len, &doc, d) < 0)
		return diagnostics_to_err(d, err);
	a = arena_alloc(doc->arena, sizeof(*a));
	a->doc = doc;
	(void)schema_check(doc, doc->root, &schema_action, d);
	a->name = text_of(a, yaml_get(doc->root, "name"));
	a->description = text_of(a, yaml_get(doc->root, "description"));
	parse_inputs(a);
	parse_outputs(a);
	parse_runs(a, d);
	if (d->len + d->dropped > before) {
		action_free(a);
		return diagnostics_to_err(d, err);
	}
	*ret = a;
	return 0;
}

void action_free(struct action *a)
{
	if (!a)
		return;
	json_free(a->steps);
	yaml_doc_free(a->doc);
}

const struct action_input *action_find_input(const struct action *a, const char *name)
{
	const struct name_entry *e = names_find(&a->input_names, name, strlen(name));

	return e ? &a->inputs[e->value] : NULL;
}

struct json *action_args(const struct action *a)
{
	static const struct schema_def text = { .kinds = KIND_STRING };
	static const struct schema_def texts = { .kinds = KIND_SEQ, .item = &text };

	return schema_to_json(a->args, &texts);
}

struct json *action_env(const struct action *a)
{
	static const struct schema_def text = { .kinds = KIND_STRING };
	static const struct schema_def texts = { .kinds = KIND_MAP, .value = &text };

	return schema_to_json(a->env, &texts);
}

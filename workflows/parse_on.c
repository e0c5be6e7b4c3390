/* SPDX-License-Identifier: Apache-2.0 */
/* `on:`: events with their filters, schedules, and the inputs that are declared there. */
#include <string.h>

#include "base/limits.h"
#include "workflows/cron.h"
#include "workflows/parse-internal.h"

const char *input_type_name(enum input_type type)
{
	static const char *const names[] = { "string", "boolean", "number", "choice",
		"environment" };

	return names[type];
}

static enum input_type parse_type(const struct yaml_node *n)
{
	/* What is no text has been reported by the table of the syntax. */
	if (!n || !yaml_is_scalar(n))
		return INPUT_STRING;
	for (enum input_type t = INPUT_STRING; t <= INPUT_ENVIRONMENT; t++)
		if (strcmp(n->str, input_type_name(t)) == 0)
			return t;
	return INPUT_STRING;
}

static bool in_options(
	const struct yaml_node *options, const char *text, struct arena *arena)
{
	for (size_t i = 0; i < options->len; i++)
		if (strcmp(yaml_text(options->items[i], arena), text) == 0)
			return true;
	return false;
}

static void check_options(struct parser *p, const struct input_decl *in)
{
	if (in->type != INPUT_CHOICE) {
		if (in->options)
			diag_hint(parse_error(p, in->options->mark, "input-options",
					  "input '%s' has options but is no choice",
					  in->name),
				"add 'type: choice', or drop the options");
		return;
	}
	if (!yaml_is(in->options, YAML_SEQUENCE) || in->options->len == 0) {
		(void)parse_error(p, in->key->mark, "input-options",
			"input '%s' is a choice without options", in->name);
		return;
	}
	if (in->otherwise && yaml_is_scalar(in->otherwise) &&
		!in_options(in->options, yaml_text(in->otherwise, p->arena), p->arena))
		(void)parse_error(p, in->otherwise->mark, "input-default",
			"default '%.60s' of input '%s' is not one of its options",
			in->otherwise->str, in->name);
}

static void check_default(struct parser *p, const struct input_decl *in)
{
	const struct yaml_node *d = in->otherwise;
	bool is_wrong;

	if (!d || has_template(d) || !yaml_is_scalar(d) || d->kind == YAML_NULL)
		return;
	is_wrong = (in->type == INPUT_BOOLEAN && d->kind != YAML_BOOL) ||
		   (in->type == INPUT_NUMBER && d->kind != YAML_NUMBER);
	if (!is_wrong)
		return;
	diag_hint(parse_error(p, d->mark, "input-default",
			  "default of input '%s' must be a %s, not '%.40s'", in->name,
			  input_type_name(in->type), d->str),
		d->quoted ? "write it without quotes" : "");
}

static struct input_decl *parse_inputs(struct parser *p, const struct yaml_node *inputs,
	bool is_dispatch, size_t *ret_len, struct names *names)
{
	struct input_decl *list;

	*ret_len = 0;
	if (!yaml_is(inputs, YAML_MAPPING))
		return NULL;
	list = arena_alloc(p->arena, (inputs->len + 1) * sizeof(*list));
	for (size_t i = 0; i < inputs->len; i++) {
		struct input_decl *in = &list[i];
		const struct yaml_node *n = inputs->pairs[i].value;
		const struct yaml_node *required = yaml_get(n, "required");

		in->key = inputs->pairs[i].key;
		in->name = in->key->str;
		names_add(names, p->arena, in->name, (uint32_t)i, NULL);
		in->type = parse_type(yaml_get(n, "type"));
		in->is_required = yaml_is(required, YAML_BOOL) && required->boolean;
		in->otherwise = yaml_get(n, "default");
		in->options = yaml_get(n, "options");
		if (is_dispatch)
			check_options(p, in);
		check_default(p, in);
	}
	*ret_len = inputs->len;
	return list;
}

static void parse_secrets(struct parser *p, const struct yaml_node *secrets)
{
	struct secret_decl *list;

	if (!yaml_is(secrets, YAML_MAPPING))
		return;
	list = arena_alloc(p->arena, (secrets->len + 1) * sizeof(*list));
	for (size_t i = 0; i < secrets->len; i++) {
		const struct yaml_node *required =
			yaml_get(secrets->pairs[i].value, "required");

		list[i] = (struct secret_decl){ secrets->pairs[i].key->str,
			yaml_is(required, YAML_BOOL) && required->boolean,
			secrets->pairs[i].key };
		names_add(&p->w->call_secret_names, p->arena, list[i].name, (uint32_t)i, NULL);
	}
	p->w->call_secrets = list;
	p->w->call_secrets_len = secrets->len;
}

static void parse_outputs(struct parser *p, const struct yaml_node *outputs)
{
	struct output_decl *list;

	if (!yaml_is(outputs, YAML_MAPPING))
		return;
	list = arena_alloc(p->arena, (outputs->len + 1) * sizeof(*list));
	for (size_t i = 0; i < outputs->len; i++)
		list[i] = (struct output_decl){ outputs->pairs[i].key->str,
			outputs->pairs[i].key,
			yaml_get(outputs->pairs[i].value, "value") };
	p->w->call_outputs = list;
	p->w->call_outputs_len = outputs->len;
}

static void check_cron(struct parser *p, const struct yaml_node *n)
{
	struct cron cron;
	struct cron_error error;

	if (cron_parse(n->str, n->str_len, &cron, &error) < 0)
		diag_hint(parse_error(p,
				  yaml_mark_at(p->w->doc, n, error.offset, error.len),
				  "cron", "%s", error.msg),
			"five fields: minute hour day month weekday");
}

static void parse_schedule(struct parser *p, struct trigger *t)
{
	const struct yaml_node *n = t->config;

	if (!yaml_is(n, YAML_SEQUENCE))
		return;
	t->crons = arena_alloc(p->arena, (n->len + 1) * sizeof(*t->crons));
	for (size_t i = 0; i < n->len; i++) {
		struct trigger_cron c = { yaml_get(n->items[i], "cron"),
			yaml_get(n->items[i], "timezone") };

		if (!yaml_is_scalar(c.cron))
			continue;
		check_cron(p, c.cron);
		t->crons[t->crons_len++] = c;
	}
}

/* `branches` and `branches-ignore` of one event. */
static void check_both(struct parser *p, const struct trigger *t, const char *kind)
{
	_cleanup_free_ char *ignore = xasprintf("%s-ignore", kind);
	const struct yaml_node *a = yaml_get_key(t->config, kind);
	const struct yaml_node *b = yaml_get_key(t->config, ignore);
	const struct yaml_node *later;

	if (!a || !b)
		return;
	later = a->mark.line > b->mark.line || (a->mark.line == b->mark.line &&
						       a->mark.column > b->mark.column)
			? a
			: b;
	diag_hint(parse_error(p, later->mark, "both-filters",
			  "event '%s' has '%s' and '%s'", t->event, kind, ignore),
		"use '%s' alone, with '!' before what to leave out", kind);
}

static void check_length(struct parser *p, const struct trigger *t, const char *list)
{
	const struct yaml_node *n = yaml_get(t->config, list);

	if (n && n->bytes > LIMIT_GLOB_LIST)
		diag_hint(parse_error(p, n->mark, "limit",
				  "the patterns of '%s' are longer than %d KiB together",
				  list, (int)(LIMIT_GLOB_LIST / KiB)),
			"'**' stands for any number of folders");
}

static void parse_config(struct parser *p, struct trigger *t)
{
	const struct yaml_node *c = t->config;

	t->rules = (struct filter_rules){
		.event = t->event,
		.types = parse_strings(p, yaml_get(c, "types")),
		.branches = parse_strings(p, yaml_get(c, "branches")),
		.branches_ignore = parse_strings(p, yaml_get(c, "branches-ignore")),
		.tags = parse_strings(p, yaml_get(c, "tags")),
		.tags_ignore = parse_strings(p, yaml_get(c, "tags-ignore")),
		.paths = parse_strings(p, yaml_get(c, "paths")),
		.paths_ignore = parse_strings(p, yaml_get(c, "paths-ignore")),
		.workflows = parse_strings(p, yaml_get(c, "workflows")),
	};
	for (enum filter_list l = 0; l < FILTER_LIST_COUNT; l++)
		check_length(p, t, filter_list_name(l));
	check_both(p, t, "branches");
	check_both(p, t, "tags");
	check_both(p, t, "paths");
	if (strcmp(t->event, "schedule") == 0)
		parse_schedule(p, t);
	if (strcmp(t->event, "workflow_dispatch") == 0)
		p->w->dispatch_inputs = parse_inputs(p, yaml_get(c, "inputs"), true,
			&p->w->dispatch_inputs_len, &(struct names)NAMES_INIT);
	if (strcmp(t->event, "workflow_call") != 0)
		return;
	p->w->call_inputs = parse_inputs(p, yaml_get(c, "inputs"), false,
		&p->w->call_inputs_len, &p->w->call_input_names);
	parse_secrets(p, yaml_get(c, "secrets"));
	parse_outputs(p, yaml_get(c, "outputs"));
}

static void add_trigger(
	struct parser *p, const struct yaml_node *key, const struct yaml_node *config)
{
	struct trigger *t = &p->w->triggers[p->w->triggers_len];
	const char *name = yaml_text(key, p->arena);

	if (!yaml_is_scalar(key) || *name == '\0' || workflow_find_trigger(p->w, name))
		return;
	p->w->triggers_len++;
	*t = (struct trigger){ .event = name, .key = key, .config = config };
	parse_config(p, t);
}

void parse_on(struct parser *p)
{
	const struct yaml_node *on = yaml_get(p->w->root, "on");
	size_t max = on && !yaml_is_scalar(on) ? on->len : 1;

	if (!on)
		return;
	/* Only known events count, and each once. */
	if (max > 64)
		max = 64;
	p->w->triggers = arena_alloc(p->arena, (max + 1) * sizeof(*p->w->triggers));
	if (yaml_is_scalar(on))
		add_trigger(p, on, NULL);
	for (size_t i = 0; on->kind == YAML_SEQUENCE && i < max; i++)
		add_trigger(p, on->items[i], NULL);
	for (size_t i = 0; on->kind == YAML_MAPPING && i < max; i++)
		add_trigger(p, on->pairs[i].key, on->pairs[i].value);
}

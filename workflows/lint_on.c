/* SPDX-License-Identifier: Apache-2.0 */
/* `on:`: patterns, schedules, inputs that contradict themselves. */
#include <string.h>

#include "workflows/cron.h"
#include "workflows/glob.h"
#include "workflows/lint-internal.h"
#include "workflows/parse-internal.h"

#define DISPATCH_INPUTS_MAX 25

/* ---- patterns --------------------------------------------------------------------- */

struct pattern {
	struct lint *l;
	const struct yaml_node *node;
};

static void on_mistake(const struct glob_error *mistake, void *data)
{
	const struct pattern *p = data;

	(void)lint_add(p->l, yaml_mark_at(p->l->doc, p->node, mistake->offset, 1), "glob",
		"%s", mistake->msg);
}

static void check_pattern(struct lint *l, const struct yaml_node *n, bool is_ref)
{
	struct pattern p = { l, n };

	if (!yaml_is_scalar(n) || n->str_len == 0 || has_template(n))
		return;
	(void)glob_check(n->str, n->str_len, is_ref, on_mistake, &p);
}

static void check_patterns(struct lint *l, const struct yaml_node *n, bool is_ref)
{
	if (yaml_is_scalar(n))
		check_pattern(l, n, is_ref);
	for (size_t i = 0; yaml_is(n, YAML_SEQUENCE) && i < n->len; i++)
		check_pattern(l, n->items[i], is_ref);
}

/* `branches: ['!x']` alone never matches. */
static void check_negated(struct lint *l, const struct yaml_node *n)
{
	if (!yaml_is(n, YAML_SEQUENCE) || n->len == 0)
		return;
	for (size_t i = 0; i < n->len; i++)
		if (!yaml_is_scalar(n->items[i]) || n->items[i]->str[0] != '!')
			return;
	diag_hint(lint_add(l, n->items[0]->mark, "glob",
			  "patterns with '!' alone match nothing"),
		"put '**' before them, or use the -ignore form");
}

static const struct {
	const char *key;
	bool is_ref, is_positive;
} pattern_keys[] = {
	{ "branches", true, true },
	{ "branches-ignore", true, false },
	{ "tags", true, true },
	{ "tags-ignore", true, false },
	{ "paths", false, true },
	{ "paths-ignore", false, false },
	{ "names", true, true },
	{ "versions", true, true },
};

static void check_filters(struct lint *l, const struct trigger *t)
{
	static const char *const lists[] = { "types", "names", "versions", "branches",
		"branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore",
		"workflows" };

	for (size_t i = 0; i < ARRAY_SIZE(pattern_keys); i++) {
		const struct yaml_node *n = yaml_get(t->config, pattern_keys[i].key);

		check_patterns(l, n, pattern_keys[i].is_ref);
		if (pattern_keys[i].is_positive)
			check_negated(l, n);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct yaml_node *n = yaml_get(t->config, lists[i]);

		if (yaml_is(n, YAML_SEQUENCE) && n->len == 0)
			diag_hint(lint_add(l, n->mark, "empty-list", "'%s' is empty",
					  lists[i]),
				"name something, or leave the key out");
	}
}

/* ---- schedule --------------------------------------------------------------------- */

static void check_zone(struct lint *l, const struct yaml_node *n)
{
	struct tz *tz = NULL;
	struct err err = ERR_INIT;
	struct diag *d;

	if (!yaml_is_scalar(n) || n->str_len == 0)
		return;
	if (tz_name_is_valid(n->str)) {
		if (!l->opt->load_tz)
			return;
		if (tz_open(n->str, l->opt->load_tz, l->opt->tz_data, &tz, &err) == 0) {
			tz_free(tz);
			return;
		}
		if (err.code == ERR_UNAVAILABLE)
			return;
	}
	d = lint_add(l, n->mark, "timezone", "there is no time zone '%.60s'", n->str);
	diag_hint(d, "an IANA name, such as Europe/Berlin");
}

static void check_crons(struct lint *l, const struct trigger *t)
{
	if (strcmp(t->event, "schedule") == 0 && t->crons_len == 0 &&
		!yaml_is(t->config, YAML_SEQUENCE))
		diag_hint(lint_add(l, t->key->mark, "schedule-empty",
				  "a schedule without times never runs"),
			"write: schedule: [{cron: '30 5 * * 1-5'}]");
	for (size_t i = 0; i < t->crons_len; i++) {
		const struct yaml_node *n = t->crons[i].cron;
		struct cron_error error;
		struct cron c;

		check_zone(l, t->crons[i].timezone);
		if (cron_parse(n->str, n->str_len, &c, &error) < 0)
			continue;
		if (cron_is_never(&c))
			(void)lint_add(l, n->mark, "cron-never",
				"no month named has the day named: this never runs");
		else if (cron_shortest_gap(&c) < CRON_GRAIN_MINUTES)
			diag_hint(lint_add(l, n->mark, "cron-too-often",
					  "runs every %d minute%s: the shortest is every "
					  "%d",
					  cron_shortest_gap(&c),
					  cron_shortest_gap(&c) == 1 ? "" : "s",
					  CRON_GRAIN_MINUTES),
				"*/5 * * * *");
	}
}

/* ---- inputs ----------------------------------------------------------------------- */

static void check_inputs(struct lint *l)
{
	const struct workflow *w = l->w;
	const struct trigger *t = workflow_find_trigger(w, "workflow_dispatch");

	if (t && w->dispatch_inputs_len > DISPATCH_INPUTS_MAX)
		(void)lint_add(l, t->key->mark, "too-many-inputs",
			"%zu inputs: GitHub takes %d", w->dispatch_inputs_len,
			DISPATCH_INPUTS_MAX);
	for (size_t i = 0; i < w->call_inputs_len; i++) {
		const struct input_decl *in = &w->call_inputs[i];

		if (in->is_required && in->otherwise)
			diag_hint(lint_add(l, in->otherwise->mark, "required-default",
					  "input '%s' is required: its default is never "
					  "used",
					  in->name),
				"drop one of the two");
	}
}

void lint_on(struct lint *l)
{
	for (size_t i = 0; i < l->w->triggers_len; i++) {
		check_filters(l, &l->w->triggers[i]);
		check_crons(l, &l->w->triggers[i]);
	}
	check_inputs(l);
	for (size_t i = 0; i < l->w->jobs_len; i++)
		check_pattern(l,
			yaml_get(yaml_get(l->w->jobs[i].node, "snapshot"), "version"),
			true);
}

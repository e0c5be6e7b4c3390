/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a workflow names, looked at together with it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "workflows/lint-internal.h"
#include "workflows/parse-internal.h"
#include "workflows/plan-internal.h"

/* ---- loading ---------------------------------------------------------------------- */

void lint_files_free(struct lint *l)
{
	while (l->files) {
		struct lint_file *f = l->files;

		l->files = f->next;
		workflow_free(f->w);
		action_free(f->action);
		strbuf_done(&f->data);
		free(f->name);
		free(f);
	}
}

static struct lint_file *load(struct lint *l, const struct source *src)
{
	_cleanup_free_ char *name =
		src->repository
			? xasprintf("%s/%s@%s", src->repository, src->path, src->ref)
			: xstrdup(src->path);
	struct err err = ERR_INIT;
	struct lint_file *f;

	for (f = l->files; f; f = f->next)
		if (strcmp(f->name, name) == 0)
			return f;
	f = xcalloc(1, sizeof(*f));
	strbuf_init(&f->data);
	f->name = take_ptr(name);
	f->next = l->files;
	l->files = f;
	if (!l->opt->load)
		f->is_unknown = true;
	else if (l->opt->load(src, &f->data, &err, l->opt->load_data) == 0)
		f->is_there = true;
	else
		f->is_unknown = err.code == ERR_UNAVAILABLE;
	return f;
}

struct lint_file *lint_load_workflow(struct lint *l, const struct job *job)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	_cleanup_free_ char *repository = NULL;
	struct lint_file *f;
	struct uses u;

	if (!yaml_is_scalar(job->uses) || has_template(job->uses))
		return NULL;
	u = uses_parse(job->uses->str, l->arena);
	if ((u.kind != USES_LOCAL && u.kind != USES_REMOTE && u.kind != USES_SELF) ||
		!u.path)
		return NULL;
	if (u.owner)
		repository = xasprintf("%s/%s", u.owner, u.repo);
	f = load(l, &(struct source){ repository, u.ref, u.path });
	if (!f->is_there || f->w || f->has_errors)
		return f;
	workflow_parse_lenient(f->name, f->data.buf, f->data.len, &f->w, &d);
	f->has_errors = d.len > 0;
	diagnostics_done(&d);
	return f;
}

struct lint_file *lint_load_action(struct lint *l, const struct step *step)
{
	static const char *const names[] = { "action.yml", "action.yaml" };
	const struct yaml_node *n = yaml_get(step->node, "uses");
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct err err = ERR_INIT;
	struct uses u;

	if (!yaml_is_scalar(n) || has_template(n))
		return NULL;
	u = uses_parse(n->str, l->arena);
	if (u.kind != USES_LOCAL)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t len = strlen(u.path);
		const char *slash = len == 0 || u.path[len - 1] == '/' ? "" : "/";
		const char *path =
			arena_printf(l->arena, "%s%s%s", u.path, slash, names[i]);
		struct lint_file *f = load(l, &(struct source){ NULL, NULL, path });

		if (!f->is_there)
			continue;
		if (!f->action && !f->has_errors) {
			f->has_errors = action_parse(f->name, f->data.buf, f->data.len,
						&f->action, &d, &err) < 0;
			diagnostics_done(&d);
		}
		return f;
	}
	return NULL;
}

/* ---- called workflows ------------------------------------------------------------- */

static void check_null_inputs(struct lint *l, const struct job *job)
{
	struct lint_file *f = lint_load_workflow(l, job);
	const struct yaml_node *with = yaml_get(job->node, "with");

	for (size_t i = 0; f && f->w && yaml_is(with, YAML_MAPPING) && i < with->len;
		i++) {
		const struct yaml_node *v = with->pairs[i].value;

		if (yaml_is(v, YAML_NULL))
			diag_hint(lint_add(l, v->mark, "null-input",
					  "input '%.60s' gets nothing: it will be empty",
					  with->pairs[i].key->str),
				"write '' for an empty text, or leave the input out");
	}
}

/* What planning would refuse: inputs, secrets, permissions, depth. */
static void check_plan(struct lint *l)
{
	struct plan_request req = PLAN_REQUEST_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	bool is_own = false;

	req.path = l->opt->path ? l->opt->path : l->file;
	req.shown = l->file;
	req.load = l->opt->load;
	req.load_data = l->opt->load_data;
	req.allow_missing = true;
	plan_check(&req, l->w, &d);
	for (size_t i = 0; i < d.len; i++)
		is_own = is_own || strcmp(d.items[i].file, l->file) == 0;
	/* Mistakes of a called file are its own lint's, unless nothing else says so here. */
	for (size_t i = 0; i < d.len; i++) {
		const struct diag *it = &d.items[i];

		if (strcmp(it->file, l->file) == 0 || !is_own)
			diag_hint(diag_add(l->d, it->file, it->mark, it->severity,
					  it->code, "%s", it->msg),
				"%s", it->hint ? it->hint : "");
	}
	diagnostics_done(&d);
}

/* ---- local actions ---------------------------------------------------------------- */

static bool is_docker_key(const struct action *a, const char *key)
{
	return a->using == ACTION_DOCKER &&
	       (strcasecmp(key, "args") == 0 || strcasecmp(key, "entrypoint") == 0);
}

static void check_action_inputs(
	struct lint *l, const struct step *s, const struct action *a)
{
	const struct yaml_node *with = yaml_get(s->node, "with");
	const struct yaml_node *uses = yaml_get(s->node, "uses");
	bool has_unknown = with && !yaml_is(with, YAML_MAPPING);

	for (size_t i = 0; with && !has_unknown && i < with->len; i++) {
		const struct yaml_node *key = with->pairs[i].key;
		const char *names[65];
		size_t n = 0;

		has_unknown = has_unknown || has_template(key);
		if (has_template(key) || action_find_input(a, key->str) ||
			is_docker_key(a, key->str))
			continue;
		for (; n < a->inputs_len && n < 64; n++)
			names[n] = a->inputs[n].name;
		names[n] = NULL;
		diag_nearest(lint_add(l, key->mark, "action-input",
				     "action '%.60s' has no input '%.60s'", uses->str,
				     key->str),
			key->str, names);
	}
	for (size_t i = 0; !has_unknown && i < a->inputs_len; i++) {
		bool is_given = false;

		for (size_t k = 0; with && k < with->len; k++)
			is_given = is_given || strcasecmp(with->pairs[k].key->str,
						       a->inputs[i].name) == 0;
		if (a->inputs[i].is_required && !a->inputs[i].otherwise && !is_given)
			diag_hint(lint_add(l, uses->mark, "action-input",
					  "action '%.60s' requires input '%s'", uses->str,
					  a->inputs[i].name),
				"add it under 'with'");
	}
}

static void check_actions(struct lint *l, const struct step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		struct lint_file *f = lint_load_action(l, &steps[i]);

		if (f && f->has_errors)
			(void)lint_add(l, yaml_get(steps[i].node, "uses")->mark,
				"local-action", "the action's '%s' has errors", f->name);
		if (f && f->action)
			check_action_inputs(l, &steps[i], f->action);
		check_actions(l, steps[i].members, steps[i].members_len);
	}
}

void lint_calls(struct lint *l)
{
	check_plan(l);
	for (size_t i = 0; i < l->w->jobs_len; i++) {
		const struct job *job = &l->w->jobs[i];

		if (job->uses)
			check_null_inputs(l, job);
		check_actions(l, job->steps, job->steps_len);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `uses:` steps: their inputs, and who runs them. R:Runner.Worker/ActionRunner.cs. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "executor/env.h"
#include "executor/step.h"

/* Inputs are found without case and kept as the action spells them. */
static const char *find_input(const struct strvec *inputs, const char *name)
{
	size_t n = strlen(name);

	strvec_foreach (v, inputs)
		if (strncasecmp(*v, name, n) == 0 && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

const char *step_input(const struct steprun *st, const char *name)
{
	const char *value = find_input(&st->inputs, name);

	return value ? value : "";
}

static bool is_declared(const struct used_action *a, const char *name, const char **spelt)
{
	if (a->kind == USED_BUILTIN) {
		for (size_t i = 0; a->builtin->inputs[i][0]; i++) {
			if (strcasecmp(a->builtin->inputs[i][0], name) == 0) {
				*spelt = a->builtin->inputs[i][0];
				return true;
			}
		}
		return false;
	}
	for (size_t i = 0; i < a->meta->inputs_len; i++) {
		if (strcasecmp(a->meta->inputs[i].name, name) == 0) {
			*spelt = a->meta->inputs[i].name;
			return true;
		}
	}
	return false;
}

static void warn_unknown(struct steprun *st, const struct strvec *given)
{
	_cleanup_(strbuf_done) struct strbuf unknown = STRBUF_INIT, known = STRBUF_INIT;
	const struct used_action *a = st->action;

	strvec_foreach (v, given) {
		_cleanup_free_ char *name = xstrndup(*v, strcspn(*v, "="));
		const char *spelt;

		if (!is_declared(a, name, &spelt))
			strbuf_addf(&unknown, "%s'%s'", unknown.len ? ", " : "", name);
	}
	if (unknown.len == 0)
		return;
	for (size_t i = 0; a->meta && i < a->meta->inputs_len; i++)
		strbuf_addf(&known, "%s'%s'", i ? ", " : "", a->meta->inputs[i].name);
	for (size_t i = 0; a->builtin && a->builtin->inputs[i][0]; i++)
		strbuf_addf(&known, "%s'%s'", i ? ", " : "", a->builtin->inputs[i][0]);
	step_warning(st, "Unexpected input(s) %s, valid inputs are [%s]", unknown.buf,
		known.buf);
}

/* A default may use the place's contexts, not the step's. */
static int add_default(
	struct steprun *st, const char *name, const char *text, struct err *err)
{
	struct eval_at at = step_at(st, EVAL_INPUT_DEFAULT);
	_cleanup_free_ char *value = NULL;

	if (find_input(&st->inputs, name))
		return 0;
	if (text && eval_string(&at, text, &value, err) < 0)
		return err_wrap(err, "the default of the input '%s'", name);
	(void)strvec_pushf(&st->inputs, "%s=%s", name, value ? value : "");
	return 0;
}

int step_read_inputs(struct steprun *st, struct err *err)
{
	_cleanup_(strvec_done) struct strvec given = STRVEC_INIT;
	struct eval_at at = step_at(st, step_key(st));
	const struct used_action *a = st->action;

	if (st->def->with && eval_map(&at, st->def->with, &given, err) < 0)
		return err_wrap(err, "with");
	strvec_clear(&st->inputs);
	strvec_foreach (v, &given) {
		_cleanup_free_ char *name = xstrndup(*v, strcspn(*v, "="));
		const char *spelt = name;

		(void)is_declared(a, name, &spelt);
		(void)strvec_pushf(&st->inputs, "%s%s", spelt, *v + strlen(name));
	}
	if (st->stage == STAGE_MAIN)
		warn_unknown(st, &given);
	for (size_t i = 0; a->meta && i < a->meta->inputs_len; i++) {
		const struct action_input *in = &a->meta->inputs[i];

		if (in->deprecation && find_input(&st->inputs, in->name) &&
			st->stage == STAGE_MAIN)
			step_warning(st,
				"Input '%s' has been deprecated with message: %s",
				in->name, in->deprecation);
		if (add_default(st, in->name, in->otherwise, err) < 0)
			return -1;
	}
	for (size_t i = 0; a->builtin && a->builtin->inputs[i][0]; i++)
		if (add_default(st, a->builtin->inputs[i][0], a->builtin->inputs[i][1],
			    err) < 0)
			return -1;
	return 0;
}

void step_inputs_env(const struct steprun *st, struct strvec *env)
{
	strvec_foreach (v, &st->inputs) {
		_cleanup_free_ char *name = xstrndup(*v, strcspn(*v, "="));
		_cleanup_free_ char *key = env_input_name(name);

		strvec_setenv(env, key, *v + strlen(name) + 1);
	}
}

static void show_header(struct steprun *st)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	bool any = false;

	strbuf_addf(&sb, "##[group]Run %s%s\n", st->def->uses,
		st->action->kind == USED_BUILTIN ? " (built in)" : "");
	strvec_foreach (v, &st->inputs) {
		size_t n = strcspn(*v, "=");

		if (!(*v)[n + 1])
			continue;
		if (!any)
			strbuf_adds(&sb, "with:\n");
		any = true;
		strbuf_addf(&sb, "  %.*s: %s\n", (int)n, *v, *v + n + 1);
	}
	if (st->env.len)
		strbuf_adds(&sb, "env:\n");
	strvec_foreach (v, &st->env) {
		size_t n = strcspn(*v, "=");

		strbuf_addf(&sb, "  %.*s: %s\n", (int)n, *v, *v + n + 1);
	}
	strbuf_adds(&sb, "##[endgroup]\n");
	job_say_text(st->job, st->n, sb.buf, sb.len);
}

static int run_action(struct steprun *st, struct err *err)
{
	const char *uses = st->def->uses;

	if (action_for(st->job, st->scope, uses, &st->action, err) < 0 ||
		step_read_inputs(st, err) < 0)
		return -1;
	step_enter(st);
	show_header(st);
	if (st->action->kind == USED_BUILTIN)
		return st->action->builtin->run(st, err);
	if (action_is_composite(st->action)) {
		composite_run(st);
		return 0;
	}
	if (st->action->kind == USED_LOCAL && st->action->meta->pre)
		step_warning(st,
			"`pre` execution is not supported for local action from '%s'",
			uses);
	steps_register_post(st, NULL);
	node_run(st, st->action->meta->main);
	return 0;
}

void step_run_action(struct steprun *st)
{
	struct err err = ERR_INIT;

	if (run_action(st, &err) == 0)
		return;
	if (st->is_cancelled) {
		st->outcome = RESULT_CANCELLED;
		step_error(st, "The operation was canceled.");
		return;
	}
	step_error(st, "%s", err.msg);
	st->outcome = RESULT_FAILURE;
}

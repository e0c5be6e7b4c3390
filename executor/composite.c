/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Composite actions: a list of steps with a scope of its own.
 * R:Runner.Worker/Handlers/CompositeActionHandler.cs.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/step.h"

/* Inputs are strings always; the caller's env beats GITHUB_ENV in here. */
static struct scope *scope_open(struct steprun *st)
{
	struct scope *sc = xcalloc(1, sizeof(*sc));

	sc->parent = st->scope;
	sc->steps = value_new_object();
	sc->inputs = value_new_object();
	sc->overrides = (struct strvec)STRVEC_INIT;
	sc->action = st->action;
	sc->status = RESULT_SUCCESS;
	sc->depth = st->scope->depth + 1;
	strvec_foreach (v, &st->inputs) {
		size_t n = strcspn(*v, "=");

		value_setn(sc->inputs, *v, n, value_new_str(*v + n + 1));
	}
	strvec_push_all(&sc->overrides, (const char *const *)st->own.v);
	return sc;
}

static bool too_deep(struct steprun *st)
{
	if (st->scope->depth + 1 <= LIMIT_COMPOSITE_DEPTH)
		return false;
	step_error(st, "composite actions are nested more than %d deep",
		LIMIT_COMPOSITE_DEPTH);
	st->outcome = RESULT_FAILURE;
	return true;
}

/* Evaluated at the end, also when the action failed. */
static void set_outputs(struct steprun *st, struct scope *sc)
{
	const struct action *meta = st->action->meta;
	struct steprun inner = *st;
	struct eval_at at;

	/* As one of its own steps would see it, but without any env of theirs. */
	inner.scope = sc;
	inner.caller = st;
	step_enter(&inner);
	at = step_at(&inner, EVAL_COMPOSITE);
	for (size_t i = 0; i < meta->outputs_len; i++) {
		_cleanup_free_ char *value = NULL;
		struct err err = ERR_INIT;

		if (!meta->outputs[i].value)
			continue;
		if (eval_string(&at, meta->outputs[i].value, &value, &err) < 0 ||
			step_set_output(st, meta->outputs[i].name, value, strlen(value),
				&err) < 0) {
			step_error(st, "output '%s': %s", meta->outputs[i].name, err.msg);
			st->outcome = RESULT_FAILURE;
		}
	}
	step_enter(st);
}

void composite_run(struct steprun *st)
{
	const struct used_action *a = st->action;
	struct scope *sc;

	if (too_deep(st))
		return;
	sc = scope_open(st);
	memory_grow(st->memory, a->steps_len);
	for (size_t i = 0; i < a->steps_len && !sc->is_ended && !step_is_stopped(st); i++)
		steps_run_nested(st, sc, &a->steps[i], &st->memory->children[i]);
	set_outputs(st, sc);
	if (st->is_cancelled)
		st->outcome = RESULT_CANCELLED;
	else if (sc->status != RESULT_SUCCESS)
		st->outcome = sc->status;
	steps_register_post(st, sc);
}

bool composite_has_pre(struct jobrun *job, const struct used_action *a, int depth)
{
	struct scope sc = { .action = a };

	if (depth >= LIMIT_COMPOSITE_DEPTH)
		return false;
	for (size_t i = 0; i < a->steps_len; i++) {
		const struct used_action *inner =
			a->steps[i].uses ? action_known(job, &sc, a->steps[i].uses)
					 : NULL;

		if (!inner)
			continue;
		if (action_is_node(inner) && inner->meta->pre)
			return true;
		if (action_is_composite(inner) &&
			composite_has_pre(job, inner, depth + 1))
			return true;
	}
	return false;
}

/* The pre of the actions inside, as one step; what they register becomes its post. */
void composite_pre(struct steprun *st)
{
	const struct used_action *a = st->action;
	struct scope *sc;

	if (too_deep(st))
		return;
	sc = scope_open(st);
	memory_grow(st->memory, a->steps_len);
	for (size_t i = 0; i < a->steps_len && !step_is_stopped(st); i++)
		steps_pre_nested(st, sc, &a->steps[i], &st->memory->children[i]);
	steps_register_post(st, sc);
}

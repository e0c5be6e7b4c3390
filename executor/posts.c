/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Post steps: registered when the main (or pre) of an action starts, run last in, first
 * out after all steps. R:Runner.Worker/ExecutionContext.cs RegisterPostJobStep.
 */
#include <string.h>

#include "base/mem.h"
#include "executor/step.h"
#include "executor/wayout.h"

static void scope_free(struct scope *sc)
{
	if (!sc)
		return;
	value_unref(sc->steps);
	value_unref(sc->inputs);
	strvec_done(&sc->overrides);
	posts_free(sc->posts);
	scope_free(sc->kept);
	free(sc);
}

void posts_free(struct post *list)
{
	while (list) {
		struct post *p = list;

		list = p->next;
		posts_free(p->nested);
		scope_free(p->owned);
		strvec_done(&p->env);
		strvec_done(&p->own);
		strvec_done(&p->inputs);
		free(p->name);
		free(p);
	}
}

static void copy_vec(struct strvec *to, const struct strvec *from)
{
	strvec_push_all(to, (const char *const *)from->v);
}

static struct post **post_list(struct steprun *st)
{
	return st->scope->parent ? &st->scope->posts : &st->job->posts;
}

/* The pre of a composite registered a post already: what its main adds goes in front. */
static bool join_post(struct steprun *st, struct scope *owned)
{
	struct post *p = *post_list(st), **tail;

	while (p && p->memory != st->memory)
		p = p->next;
	if (!p)
		return false;
	for (tail = &owned->posts; *tail; tail = &(*tail)->next)
		continue;
	*tail = p->nested;
	p->nested = owned->posts;
	owned->posts = NULL;
	owned->kept = p->owned;
	p->owned = owned;
	return true;
}

/*
 * When the main (or pre) starts, also if it fails afterwards. A composite's post is made
 * of those that its own steps registered.
 */
void steps_register_post(struct steprun *st, struct scope *owned)
{
	struct post *p;

	if (owned && !owned->posts) {
		scope_free(owned);
		return;
	}
	if (owned && join_post(st, owned))
		return;
	if (!owned && (!action_is_node(st->action) || !st->action->meta->post ||
			      st->memory->pre_ran))
		return;
	st->memory->pre_ran = true;
	p = xcalloc(1, sizeof(*p));
	p->scope = st->scope;
	p->def = st->def;
	p->action = st->action;
	p->memory = st->memory;
	p->env = p->own = p->inputs = (struct strvec)STRVEC_INIT;
	copy_vec(&p->own, &st->own);
	copy_vec(&p->inputs, &st->inputs);
	p->name = xstrdup(st->name ? st->name : "");
	if (owned) {
		p->nested = owned->posts;
		owned->posts = NULL;
		p->owned = owned;
	}
	p->next = *post_list(st);
	*post_list(st) = p;
}

/* The env of its main step over what is global by now. */
static void open_post(struct steprun *st, const struct post *p, struct jobrun *job, int n)
{
	step_init(st, job, p->scope, p->def, p->memory, n);
	st->stage = STAGE_POST;
	st->action = p->action;
	/* Both lists were within the limit; one over it only shows in execve. */
	(void)env_merge(&st->env, &job->env, NULL);
	(void)env_merge(&st->env, &p->own, NULL);
	copy_vec(&st->own, &p->own);
	copy_vec(&st->inputs, &p->inputs);
}

static bool post_wanted(struct steprun *st)
{
	struct eval_at at = step_at(st, EVAL_ACTION_IF);
	const char *text =
		action_is_node(st->action) ? st->action->meta->post_if : "always()";
	struct err err = ERR_INIT;
	bool runs = true;

	if (eval_condition(&at, text, &runs, &err) < 0) {
		step_error(st, "post-if: %s", err.msg);
		st->outcome = RESULT_FAILURE;
		return false;
	}
	if (!runs)
		st->outcome = RESULT_SKIPPED;
	return runs;
}

static void run_posts_nested(struct steprun *caller, struct post *list)
{
	for (struct post *p = list; p; p = p->next) {
		struct steprun st;

		open_post(&st, p, caller->job, caller->n);
		st.caller = caller;
		step_enter(&st);
		if (p->nested)
			run_posts_nested(&st, p->nested);
		else if (post_wanted(&st))
			node_run(&st, p->action->meta->post);
		if (st.outcome == RESULT_FAILURE) {
			caller->outcome = RESULT_FAILURE;
			if (!caller->reason && st.reason)
				caller->reason = xstrdup(st.reason);
		}
		step_done(&st);
	}
}

void posts_run_one(struct jobrun *job, struct post *p)
{
	struct steprun st;

	open_post(&st, p, job, job->next_n++);
	job->step = &st;
	way_out_step(job, st.n);
	st.name = xasprintf("Post %s", p->name);
	step_enter(&st);
	if (!p->nested && !post_wanted(&st) && st.outcome == RESULT_SKIPPED) {
		step_announce(job, st.n, p->def, st.name, "post");
	} else {
		step_announce(job, st.n, p->def, st.name, "post");
		step_frame(&st, "running");
		if (p->nested)
			run_posts_nested(&st, p->nested);
		else if (st.outcome == RESULT_SUCCESS)
			node_run(&st, p->action->meta->post);
	}
	st.conclusion = st.outcome;
	if (st.outcome == RESULT_FAILURE)
		job_fail(job, st.reason ? st.reason : "a post step failed");
	step_frame_dropped(&st);
	step_frame(&st, "completed");
	job->step = NULL;
	job_sync(job);
	step_done(&st);
}

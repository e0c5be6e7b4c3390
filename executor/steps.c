/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of things: pre steps of remote actions, the steps of the job, post steps last
 * in, first out. R:Runner.Worker/StepsRunner.cs. One step at a time; the loop turns while
 * it runs.
 */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/hold.h"
#include "executor/step.h"
#include "executor/wayout.h"

/* ---- names ---- */

static char *first_line(const char *text)
{
	const char *from = text + strspn(text, " \t\r\n");

	return xstrndup(from, strcspn(from, "\r\n"));
}

static char *default_name(const struct spec_step *def)
{
	_cleanup_free_ char *line = NULL;

	if (def->uses)
		return xasprintf("Run %s", def->uses);
	line = first_line(def->run ? def->run : def->id);
	return xasprintf("Run %s", line);
}

/* The name's expressions, or its text when they cannot be had yet. */
static char *step_name(const struct steprun *st)
{
	_cleanup_free_ char *base =
		st->def->name ? xstrdup(st->def->name) : default_name(st->def);
	struct eval_at at = step_at(st, step_key(st));
	char *name = NULL;

	if (eval_string(&at, base, &name, NULL) == 0 && *name)
		return name;
	free(name);
	return take_ptr(base);
}

/* ---- frames ---- */

void step_frame(const struct steprun *st, const char *state)
{
	struct jobrun *job = st->job;
	struct json *j = json_new_object();
	_cleanup_free_ char *name = mask_str(job->mask, st->name);
	_cleanup_free_ char *reason = mask_str(job->mask, st->reason);
	bool is_over = str_eq(state, "completed");

	json_set_int(j, "n", st->n);
	json_set_str(j, "name", name);
	json_set_str(j, "state", state);
	json_set_int(j, "started", st->began_wall);
	json_set_int(j, "log", (int64_t)joblog_size(job->log));
	if (is_over) {
		json_set_int(j, "ended", clock_wall_ms());
		json_set_int(j, "elapsed_ms", clock_boot_ms() - st->began_ms);
		json_set_str(j, "outcome", result_name(st->outcome));
		json_set_str(j, "conclusion", result_name(st->conclusion));
		if (st->has_code && st->signal == 0)
			json_set_int(j, "exit_code", st->code);
		if (st->signal)
			json_set_int(j, "signal", st->signal);
		if (reason)
			json_set_str(j, "reason", reason);
	}
	job_frame(job, JOURNAL_STEP, j);
}

void step_frame_dropped(const struct steprun *st)
{
	static const char *const levels[] = { "error", "warning", "notice" };

	for (int i = 0; i < NOTE_KINDS; i++) {
		struct json *j;

		if (!st->dropped[i])
			continue;
		j = json_new_object();
		json_set_int(j, "n", st->n);
		json_set_str(j, "level", levels[i]);
		json_set_int(j, "count", st->dropped[i]);
		job_frame(st->job, JOURNAL_DROPPED, j);
	}
}

static struct json *describe(int n, const char *id, const char *name, const char *kind,
	const struct spec_step *def)
{
	struct json *j = json_new_object();

	json_set_int(j, "n", n);
	json_set_str(j, "id", id);
	json_set_str(j, "name", name);
	json_set_str(j, "kind", kind);
	if (def && def->uses)
		json_set_str(j, "uses", def->uses);
	if (def && def->run) {
		_cleanup_free_ char *line = first_line(def->run);

		json_set_str(j, "run", line);
	}
	if (def && def->line)
		json_set_int(j, "line", def->line);
	return j;
}

struct json *steps_describe(struct jobrun *job)
{
	struct json *frame = json_new_object(), *list = json_new_array();

	json_push(list, describe(0, "__setup", "Set up job", "setup", NULL));
	for (size_t i = 0; i < job->spec->steps_len; i++) {
		const struct spec_step *def = &job->spec->steps[i];
		_cleanup_free_ char *name =
			def->name ? xstrdup(def->name) : default_name(def);

		json_push(list, describe((int)i + 1, def->id, name, "main", def));
	}
	json_set(frame, "steps", list);
	return frame;
}

void step_announce(struct jobrun *job, int n, const struct spec_step *def,
	const char *name, const char *kind)
{
	struct json *frame = json_new_object(), *list = json_new_array();
	_cleanup_free_ char *shown = mask_str(job->mask, name);

	json_push(list, describe(n, def->id, shown, kind, def));
	json_set(frame, "steps", list);
	job_frame(job, JOURNAL_STEPS, frame);
}

/* ---- deadlines and cancels ---- */

static int set_deadline(struct steprun *st, struct err *err)
{
	struct eval_at at = step_at(st, step_key(st));
	double minutes = 0;

	if (st->caller) {
		st->deadline_ms = st->caller->deadline_ms;
		return 0;
	}
	if (eval_number(&at, st->def->timeout_minutes, 0, &minutes, err) < 0)
		return err_wrap(err, "timeout-minutes");
	if (minutes > 0 && minutes < 1e7) {
		st->timeout_minutes = minutes;
		st->deadline_ms = clock_boot_ms() + (int64_t)(minutes * 60000.0);
	}
	return 0;
}

static void say_timeout(struct steprun *st)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	number_to_text(st->timeout_minutes, &text);
	step_error(st, "The action '%s' has timed out after %s minutes.", st->name,
		text.buf);
}

static const char *condition_of(const struct steprun *st)
{
	if (st->stage == STAGE_MAIN)
		return st->def->condition;
	if (!action_is_node(st->action))
		return "always()"; /* of a composite: those inside are asked in their turn */
	return st->stage == STAGE_PRE ? st->action->meta->pre_if
				      : st->action->meta->post_if;
}

/*
 * A cancel reaches the running step unless its own condition still holds (always(),
 * cancelled()); later steps are judged in their turn.
 */
void steps_cancelled(struct jobrun *job)
{
	struct steprun *st = job->step;
	struct eval_at at;
	bool goes_on = false;

	if (!st || st->is_cancelled)
		return;
	at = step_at(st, st->stage == STAGE_MAIN ? step_if_key(st) : EVAL_ACTION_IF);
	if (!job->is_forced &&
		eval_condition(&at, condition_of(st), &goes_on, NULL) == 0 && goes_on)
		return;
	st->is_cancelled = true;
	process_cancel(job, job->is_forced);
}

static bool is_stopped(const struct steprun *st)
{
	for (; st; st = st->caller)
		if (st->is_cancelled || st->is_timed_out)
			return true;
	return false;
}

/* ---- one step ---- */

/* Evaluated after the failure, as the runner does. */
static void conclude(struct steprun *st)
{
	struct eval_at at = step_at(st, step_key(st));
	struct err err = ERR_INIT;
	bool goes_on = false;

	st->conclusion = st->outcome;
	if (st->outcome != RESULT_FAILURE || st->stage != STAGE_MAIN)
		return;
	if (eval_bool(&at, st->def->continue_on_error, false, &goes_on, &err) < 0)
		step_error(st, "continue-on-error: %s", err.msg);
	else if (goes_on)
		st->conclusion = RESULT_SUCCESS;
}

static void run_body(struct steprun *st)
{
	struct err err = ERR_INIT;

	if (st->def->refused) {
		step_error(st, "steps with '%s' are not built yet", st->def->refused);
		st->outcome = RESULT_FAILURE;
		return;
	}
	if (set_deadline(st, &err) < 0) {
		step_error(st, "%s", err.msg);
		st->outcome = RESULT_FAILURE;
		return;
	}
	step_enter(st);
	if (st->def->run)
		step_run_script(st);
	else
		step_run_action(st);
	if (st->deadline_ms && clock_boot_ms() >= st->deadline_ms &&
		st->outcome == RESULT_FAILURE)
		st->is_timed_out = true;
	if (st->is_timed_out && !st->caller) {
		st->outcome = RESULT_FAILURE;
		say_timeout(st);
	}
}

/*
 * Its env, then its condition, then what it does. True when it ran; false when it was
 * skipped or its condition could not be told (then outcome says failure).
 */
static bool judge_and_run(struct steprun *st, bool shown)
{
	struct eval_at at;
	struct err err = ERR_INIT;
	bool runs = false;

	if (step_open_env(st, &err) < 0) {
		st->name = step_name(st);
		if (shown)
			step_frame(st, "running");
		step_error(st, "%s", err.msg);
		st->outcome = RESULT_FAILURE;
		return false;
	}
	step_enter(st);
	st->name = step_name(st);
	at = step_at(st, step_if_key(st));
	if (eval_condition(&at, st->def->condition, &runs, &err) < 0) {
		if (shown)
			step_frame(st, "running");
		step_error(
			st, "The condition of the step cannot be evaluated: %s", err.msg);
		st->outcome = RESULT_FAILURE;
		st->scope->is_ended = true; /* a composite ends there */
		return false;
	}
	if (!runs) {
		st->outcome = RESULT_SKIPPED;
		return false;
	}
	if (shown)
		step_frame(st, "running");
	run_body(st);
	return true;
}

static void keep_result(struct steprun *st)
{
	if (!st->def->is_generated)
		contexts_set_step(st->scope, st->def->id,
			st->outcome == RESULT_SKIPPED ? NULL : st->outputs, st->outcome,
			st->conclusion);
}

static void run_main(struct jobrun *job, size_t i, struct memory *memory)
{
	struct steprun st;

	step_init(&st, job, &job->root, &job->spec->steps[i], memory, (int)i + 1);
	job->step = &st;
	way_out_step(job, st.n);
	(void)judge_and_run(&st, true);
	conclude(&st);
	keep_result(&st);
	if (st.conclusion == RESULT_FAILURE) {
		hold_failed(&st);
		job_fail(job, st.reason ? st.reason : "a step failed");
	}
	step_frame_dropped(&st);
	step_frame(&st, "completed");
	job->step = NULL;
	/* After the last one comes the exit record, which syncs log and journal. */
	if (i + 1 < job->spec->steps_len || job->posts)
		job_sync(job);
	step_done(&st);
}

void steps_run_nested(struct steprun *caller, struct scope *scope,
	const struct spec_step *def, struct memory *memory)
{
	struct steprun st;

	step_init(&st, caller->job, scope, def, memory, caller->n);
	st.caller = caller;
	(void)judge_and_run(&st, false);
	conclude(&st);
	keep_result(&st);
	if (st.conclusion == RESULT_FAILURE) {
		scope->status = RESULT_FAILURE;
		if (!caller->reason && st.reason)
			caller->reason = xstrdup(st.reason);
		if (!caller->has_code && st.has_code) {
			caller->has_code = true;
			caller->code = st.code;
			caller->signal = st.signal;
		}
	} else if (st.conclusion == RESULT_CANCELLED && scope->status == RESULT_SUCCESS) {
		scope->status = RESULT_CANCELLED;
	}
	caller->is_timed_out |= st.is_timed_out;
	step_enter(caller);
	step_done(&st);
}

/* ---- pre ---- */

static bool has_pre(struct jobrun *job, const struct used_action *a, int depth)
{
	if (!a)
		return false;
	if (action_is_node(a))
		return a->meta->pre != NULL;
	return action_is_composite(a) && composite_has_pre(job, a, depth);
}

static void run_pre_of(struct steprun *st)
{
	const struct used_action *a = st->action;
	struct eval_at at = step_at(st, EVAL_ACTION_IF);
	struct err err = ERR_INIT;
	bool runs = true;

	if (action_is_composite(a)) {
		composite_pre(st);
		return;
	}
	if (eval_condition(&at, a->meta->pre_if, &runs, &err) < 0) {
		step_error(st, "pre-if: %s", err.msg);
		st->outcome = RESULT_FAILURE;
		return;
	}
	if (!runs) {
		st->outcome = RESULT_SKIPPED;
		return;
	}
	steps_register_post(st, NULL);
	node_run(st, a->meta->pre);
}

/* Also for the nested actions of a composite, under its number. */
void steps_pre_nested(struct steprun *caller, struct scope *scope,
	const struct spec_step *def, struct memory *memory)
{
	struct steprun st;
	struct err err = ERR_INIT;
	const struct used_action *a =
		def->uses ? action_known(caller->job, scope, def->uses) : NULL;

	if (!has_pre(caller->job, a, scope->depth))
		return;
	step_init(&st, caller->job, scope, def, memory, caller->n);
	st.caller = caller;
	st.stage = STAGE_PRE;
	st.action = a;
	if (step_open_env(&st, &err) < 0 || step_read_inputs(&st, &err) < 0) {
		step_error(&st, "%s", err.msg);
		st.outcome = RESULT_FAILURE;
	} else {
		st.name = step_name(&st);
		step_enter(&st);
		run_pre_of(&st);
	}
	if (st.outcome == RESULT_FAILURE)
		caller->outcome = RESULT_FAILURE;
	step_enter(caller);
	step_done(&st);
}

static void run_pre(struct jobrun *job, size_t i, struct memory *memory)
{
	const struct spec_step *def = &job->spec->steps[i];
	const struct used_action *a =
		def->uses ? action_known(job, &job->root, def->uses) : NULL;
	_cleanup_free_ char *name = NULL;
	struct err err = ERR_INIT;
	struct steprun st;

	if (!has_pre(job, a, 0))
		return;
	step_init(&st, job, &job->root, def, memory, job->next_n++);
	st.stage = STAGE_PRE;
	st.action = a;
	job->step = &st;
	way_out_step(job, st.n);
	if (step_open_env(&st, &err) < 0 || step_read_inputs(&st, &err) < 0)
		st.outcome = RESULT_FAILURE;
	name = step_name(&st);
	st.name = xasprintf("Pre %s", name);
	step_announce(job, st.n, def, st.name, "pre");
	step_frame(&st, "running");
	step_enter(&st);
	if (st.outcome == RESULT_FAILURE)
		step_error(&st, "%s", err.msg);
	else
		run_pre_of(&st);
	st.conclusion = st.outcome;
	if (st.outcome == RESULT_FAILURE) {
		hold_failed(&st);
		job_fail(job, st.reason ? st.reason : "a pre step failed");
	}
	step_frame_dropped(&st);
	step_frame(&st, "completed");
	job->step = NULL;
	job_sync(job);
	step_done(&st);
}

/* ---- all ---- */

void steps_run_all(struct jobrun *job)
{
	struct memory memory = { .state = STRVEC_INIT };
	size_t n = job->spec->steps_len;

	memory_grow(&memory, n);
	for (size_t i = 0; i < n && !job->is_broken && !job->is_forced; i++)
		run_pre(job, i, &memory.children[i]);
	for (size_t i = 0; i < n && !job->is_broken && !job->is_forced; i++)
		run_main(job, i, &memory.children[i]);
	while (job->posts && !job->is_broken && !job->is_forced) {
		struct post *p = job->posts;

		job->posts = p->next;
		p->next = NULL;
		posts_run_one(job, p);
		posts_free(p);
	}
	posts_free(job->posts);
	job->posts = NULL;
	memory_done(&memory);
}

bool step_is_stopped(const struct steprun *st)
{
	return st->job->is_broken || st->job->is_forced || is_stopped(st);
}

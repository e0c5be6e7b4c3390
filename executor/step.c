/* SPDX-License-Identifier: Apache-2.0 */
/* What a step is made of, and what it may set. */
#include "executor/step.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

/* ---- memory ---- */

void memory_grow(struct memory *m, size_t len)
{
	if (m->children_len >= len)
		return;
	m->children = xcalloc(len, sizeof(*m->children));
	m->children_len = len;
	for (size_t i = 0; i < len; i++)
		m->children[i].state = (struct strvec)STRVEC_INIT;
}

void memory_done(struct memory *m)
{
	for (size_t i = 0; i < m->children_len; i++)
		memory_done(&m->children[i]);
	free(m->children);
	strvec_done(&m->state);
	m->children = NULL;
	m->children_len = 0;
}

/* ---- life ---- */

void step_init(struct steprun *st, struct jobrun *job, struct scope *scope,
	const struct spec_step *def, struct memory *memory, int n)
{
	*st = (struct steprun){
		.job = job,
		.scope = scope,
		.def = def,
		.memory = memory,
		.stage = STAGE_MAIN,
		.n = n,
		.env = STRVEC_INIT,
		.own = STRVEC_INIT,
		.inputs = STRVEC_INIT,
		.outputs = value_new_object(),
		.outcome = RESULT_SUCCESS,
		.began_ms = clock_boot_ms(),
		.began_wall = clock_wall_ms(),
	};
}

void step_done(struct steprun *st)
{
	strvec_done(&st->env);
	strvec_done(&st->own);
	strvec_done(&st->inputs);
	value_unref(st->outputs);
	free(st->name);
	free(st->reason);
}

/* ---- expressions ---- */

static bool in_composite(const struct steprun *st)
{
	return st->scope->parent != NULL;
}

enum eval_key step_key(const struct steprun *st)
{
	return in_composite(st) ? EVAL_COMPOSITE : EVAL_STEP;
}

enum eval_key step_if_key(const struct steprun *st)
{
	return in_composite(st) ? EVAL_COMPOSITE_IF : EVAL_STEP_IF;
}

struct eval_at step_at(const struct steprun *st, enum eval_key key)
{
	return (struct eval_at){
		.job = st->job,
		.scope = st->scope,
		.env = &st->env,
		.key = key,
		.uses_job_status = st->stage != STAGE_MAIN,
	};
}

/*
 * Precedence: a step's own env, then that of the steps that call the composite, then
 * GITHUB_ENV over the job's (both in job->env). The block sees the env of before itself.
 */
int step_open_env(struct steprun *st, struct err *err)
{
	_cleanup_(strvec_done) struct strvec block = STRVEC_INIT;
	struct eval_at at = step_at(st, step_key(st));

	if (env_merge(&st->env, &st->job->env, err) < 0 ||
		env_merge(&st->env, &st->scope->overrides, err) < 0 ||
		env_merge(&st->own, &st->scope->overrides, err) < 0)
		return -1;
	if (!st->def->env)
		return 0;
	if (eval_map(&at, st->def->env, &block, err) < 0)
		return err_wrap(err, "env");
	return env_merge(&st->env, &block, err) < 0 ? -1
						    : env_merge(&st->own, &block, err);
}

void step_enter(struct steprun *st)
{
	const struct used_action *a = st->action && !action_is_composite(st->action)
					      ? st->action
					      : st->scope->action;

	contexts_set_github(st->job, "action", st->def->id);
	contexts_set_github(st->job, "action_path", a ? a->inside : NULL);
	contexts_set_github(
		st->job, "action_repository", a && a->repository ? a->repository : "");
	contexts_set_github(st->job, "action_ref", a && a->ref ? a->ref : "");
	contexts_set_github(st->job, "action_status",
		in_composite(st) ? result_name(st->scope->status) : NULL);
	value_set_str(st->job->job_context, "status", result_name(job_status(st->job)));
}

int64_t step_time_left(const struct steprun *st)
{
	int64_t left;

	if (!st->deadline_ms)
		return 0;
	left = st->deadline_ms - clock_boot_ms();
	return left > 0 ? left : 1;
}

/* ---- saying ---- */

void step_note(struct steprun *st, enum note_kind kind, const struct job_note *note)
{
	struct steprun *top = st;

	/* The limit is of the step that a page shows. */
	while (top->caller)
		top = top->caller;
	if (top->notes[kind] >= LIMIT_ANNOTATIONS_STEP) {
		top->dropped[kind]++;
		return;
	}
	top->notes[kind]++;
	job_annotate(st->job, st->n, note);
}

static void say(struct steprun *st, enum note_kind kind, const char *fmt, va_list ap)
{
	static const char *const levels[] = { "error", "warning", "notice" };
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct job_note note = { .level = levels[kind] };

	strbuf_vaddf(&text, fmt, ap);
	job_say(st->job, st->n, "##[%s]%s", levels[kind], text.buf);
	note.message = text.buf;
	step_note(st, kind, &note);
	if (kind == NOTE_ERROR && !st->reason)
		st->reason = xstrdup(text.buf);
}

void step_error(struct steprun *st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(st, NOTE_ERROR, fmt, ap);
	va_end(ap);
}

void step_warning(struct steprun *st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(st, NOTE_WARNING, fmt, ap);
	va_end(ap);
}

/* ---- setting ---- */

int step_set_output(struct steprun *st, const char *name, const char *value, size_t len,
	struct err *err)
{
	if (!*name)
		return 0;
	st->job->outputs_bytes += strlen(name) + len;
	if (len > (size_t)LIMIT_OUTPUT_TOTAL)
		return err_set(err, ERR_LIMIT,
			"the output '%s' is larger than %lld bytes", name,
			LIMIT_OUTPUT_TOTAL);
	/* All outputs of a job are in memory at once: many large ones must end somewhere. */
	if (st->job->outputs_bytes > 32u * (size_t)LIMIT_OUTPUT_TOTAL)
		return err_set(err, ERR_LIMIT, "the outputs of this job are too large");
	value_set(st->outputs, name, value_new_strn(value, len));
	return 0;
}

int step_set_state(
	struct steprun *st, const char *name, const char *value, struct err *err)
{
	if (st->memory->state.len >= LIMIT_ENV_KEYS)
		return err_set(
			err, ERR_LIMIT, "more than %d values of state", LIMIT_ENV_KEYS);
	strvec_setenv(&st->memory->state, name, value);
	return 0;
}

/*
 * Names that decide what code the programs of later steps load or run first. They are
 * legal; that they were set is worth a line (SECURITY CMD03).
 */
static bool is_loader_name(const char *name)
{
	static const char *const names[] = { "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT",
		"BASH_ENV", "ENV", "IFS", "PROMPT_COMMAND", "PYTHONSTARTUP", "PYTHONPATH",
		"PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND", "GCONV_PATH", "PATH", "HOME" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return str_starts(name, "GIT_CONFIG");
}

int step_set_env(struct steprun *st, const char *name, const char *value, struct err *err)
{
	struct jobrun *job = st->job;

	if (!*name || strchr(name, '='))
		return err_set(err, ERR_INPUT, "'%s' cannot be a name", name);
	if (job->env.len >= LIMIT_ENV_KEYS && !strvec_getenv(&job->env, name))
		return err_set(err, ERR_LIMIT, "more than %d environment variables",
			LIMIT_ENV_KEYS);
	if (is_loader_name(name))
		job_say(job, st->n,
			"##[notice]%s is set for later steps: it decides what their "
			"programs load",
			name);
	strvec_setenv(&job->env, name, value);
	return 0;
}

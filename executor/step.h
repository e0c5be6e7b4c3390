/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step while it runs: its environment, its command files, its outputs, what the
 * workflow commands in its output did. A step of a composite action is a step like any
 * other, under the number of the step that called the action.
 */
#ifndef EXECUTOR_STEP_H
#define EXECUTOR_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strvec.h"
#include "executor/action.h"
#include "executor/command.h"
#include "executor/eval.h"
#include "executor/job.h"
#include "executor/process.h"
#include "executor/spec.h"

/* What pre, main and post of one step share; composites have one for each step inside. */
struct memory {
	struct strvec state; /* GITHUB_STATE */
	struct memory *children;
	size_t children_len;
	bool pre_ran; /* its post is registered already */
};
void memory_grow(struct memory *m, size_t len); /* children, once */
void memory_done(struct memory *m);

enum note_kind { NOTE_ERROR, NOTE_WARNING, NOTE_NOTICE, NOTE_KINDS };

enum stage { STAGE_PRE, STAGE_MAIN, STAGE_POST };

struct steprun {
	struct jobrun *job;
	struct scope *scope;
	struct steprun *caller; /* the step whose composite action this is in */
	const struct spec_step *def;
	struct memory *memory;
	enum stage stage;
	int n;	    /* number in the journal */
	char *name; /* as shown, before masks */

	struct strvec env; /* the env context: global, callers', own; "K=V" */
	struct strvec own; /* the names of its own env block (and the callers') */
	const struct used_action *action;
	struct strvec inputs; /* `with` and defaults, evaluated: "name=value" */
	struct value *outputs;
	int64_t deadline_ms;	/* CLOCK_BOOTTIME; 0: none */
	double timeout_minutes; /* what set it */

	bool echo;
	bool command_failed; /* a workflow command or a command file was refused */
	int notes[NOTE_KINDS], dropped[NOTE_KINDS];
	bool is_cancelled, is_timed_out;
	enum result outcome, conclusion;
	int code, signal;
	bool has_code;
	char *reason;
	int64_t began_ms, began_wall;
};

void step_init(struct steprun *st, struct jobrun *job, struct scope *scope,
	const struct spec_step *def, struct memory *memory, int n);
void step_done(struct steprun *st);
/* Where expressions of this step stand. */
struct eval_at step_at(const struct steprun *st, enum eval_key key);
enum eval_key step_key(const struct steprun *st);    /* EVAL_STEP or EVAL_COMPOSITE */
enum eval_key step_if_key(const struct steprun *st); /* likewise for conditions */
/* Fills st->env from the job, the scope and DEF's env. */
int step_open_env(struct steprun *st, struct err *err);
/* Sets what the github context says of this step. */
void step_enter(struct steprun *st);
/* Milliseconds until its deadline: 0 none, at least 1. */
int64_t step_time_left(const struct steprun *st);

/* "##[error]MESSAGE" in the log and an annotation; counts as the step's reason. */
void step_error(struct steprun *st, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void step_warning(struct steprun *st, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* One annotation under the limit of its kind. */
void step_note(struct steprun *st, enum note_kind kind, const struct job_note *note);
/* An output or a state value of this step; bounded. */
int step_set_output(struct steprun *st, const char *name, const char *value, size_t len,
	struct err *err);
int step_set_state(
	struct steprun *st, const char *name, const char *value, struct err *err);
/* GITHUB_ENV and set-env: the global environment. */
int step_set_env(
	struct steprun *st, const char *name, const char *value, struct err *err);

/* A workflow command of its output (commands.c). */
void step_command(struct steprun *st, struct output *out, const struct command *c,
	const char *line, size_t len);

/* ---- running a program (exec.c) ---- */

struct step_program {
	const char *const *argv; /* "{0}" in it stands for the script's path */
	const char *cwd;
	const char *script, *script_ext; /* text to be written, NULL: none */
	const struct strvec *extra;	 /* more environment: INPUT_*, STATE_* */
	const char *fallback; /* argv[0] when the first is not found, or NULL */
};

/*
 * Runs it with fresh command files, handles them when it ends, and sets outcome, code and
 * reason of the step. -1 only when it could not be started; *ERR says why.
 */
int step_exec(struct steprun *st, const struct step_program *p, struct err *err);

/* A `run` step, and the main stage of what `uses` names. Set outcome and reason. */
void step_run_script(struct steprun *st);
void step_run_action(struct steprun *st);
/* `with` over the defaults of the action, into st->inputs; NULL-able input value. */
int step_read_inputs(struct steprun *st, struct err *err);
const char *step_input(const struct steprun *st, const char *name);
void step_inputs_env(const struct steprun *st, struct strvec *env);

/* composite.c, javascript.c */
void composite_run(struct steprun *st);
void composite_pre(struct steprun *st);
bool composite_has_pre(struct jobrun *job, const struct used_action *a, int depth);
void node_run(struct steprun *st, const char *file);

/* ---- lists of steps (steps.c) ---- */

struct post {
	struct post *next;
	struct scope *scope; /* of the step that registered it */
	const struct spec_step *def;
	const struct used_action *action;
	struct memory *memory;
	struct strvec env, own, inputs;
	char *name;
	struct post *nested; /* of a composite: newest first */
	struct scope *owned; /* the composite's scope lives until its post has run */
};

/* Runs one step of a composite under the number of its caller. */
void steps_run_nested(struct steprun *caller, struct scope *scope,
	const struct spec_step *def, struct memory *memory);
void steps_pre_nested(struct steprun *caller, struct scope *scope,
	const struct spec_step *def, struct memory *memory);
/* It, or a step that calls it, was cancelled or is over its time. */
bool step_is_stopped(const struct steprun *st);
/* Registers the post of ST's action, once. */
void steps_register_post(struct steprun *st, struct scope *owned);
void posts_free(struct post *list);
void posts_run_one(struct jobrun *job, struct post *p);
/* The frames of a step: running, completed; annotations over the limit; a step more. */
void step_frame(const struct steprun *st, const char *state);
void step_frame_dropped(const struct steprun *st);
void step_announce(struct jobrun *job, int n, const struct spec_step *def,
	const char *name, const char *kind);
/* All of the job: pre, main, post; after go. */
void steps_run_all(struct jobrun *job);
/* The running step's condition does not hold any more: the cancel reaches it. */
void steps_cancelled(struct jobrun *job);
/* The STEPS frame. */
struct json *steps_describe(struct jobrun *job);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions of a running job: which contexts and functions each key of a step may use,
 * and what they are at this moment. The planner has compiled all of it before; here the
 * values are known.
 */
#ifndef EXECUTOR_EVAL_H
#define EXECUTOR_EVAL_H

#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strvec.h"
#include "executor/job.h"
#include "workflows/value.h"

enum eval_key {
	EVAL_JOB_ENV,	  /* github needs strategy matrix vars secrets inputs */
	EVAL_STEP_IF,	  /* no secrets; status functions, hashFiles */
	EVAL_STEP,	  /* run, with, env, name ...: all; hashFiles */
	EVAL_JOB_OUTPUTS, /* all, no hashFiles */
	EVAL_DEPLOY_URL,  /* no secrets */
	EVAL_DEFAULTS,	  /* github needs strategy matrix env vars inputs */
	EVAL_COMPOSITE, /* inputs github env job steps runner strategy matrix; hashFiles */
	EVAL_COMPOSITE_IF,  /* the same with status functions */
	EVAL_INPUT_DEFAULT, /* github strategy matrix job runner; hashFiles */
	EVAL_ACTION_IF,	    /* pre-if and post-if of an action: as EVAL_COMPOSITE_IF */
};

/* Where an expression stands. */
struct eval_at {
	struct jobrun *job;
	const struct scope *scope;
	const struct strvec *env; /* "K=V" in the env context; NULL: empty */
	enum eval_key key;
	bool uses_job_status; /* pre and post steps: not the action's status */
};

/* TEXT as a string; a text without `${{` is itself. Heap. */
int eval_string(const struct eval_at *at, const char *text, char **ret, struct err *err);
int eval_value(
	const struct eval_at *at, const char *text, struct value **ret, struct err *err);
/* A literal or a text: timeout-minutes, continue-on-error. NULL gives OTHERWISE. */
int eval_bool(const struct eval_at *at, const struct json *j, bool otherwise, bool *ret,
	struct err *err);
int eval_number(const struct eval_at *at, const struct json *j, double otherwise,
	double *ret, struct err *err);
/* An `if`; NULL is success(). */
int eval_condition(
	const struct eval_at *at, const char *text, bool *ret, struct err *err);
/* A mapping of scalars (or one expression that gives an object) as "K=V" in order. */
int eval_map(const struct eval_at *at, const struct json *map, struct strvec *ret,
	struct err *err);

/* "K=V" added over what is there; ERR_LIMIT over LIMIT_ENV_KEYS. */
int env_merge(struct strvec *to, const struct strvec *from, struct err *err);

/* The contexts of the job that do not change; after go. */
void contexts_open(struct jobrun *job, const struct json *secrets, const char *token);
void contexts_done(struct jobrun *job);
/* steps.ID = {outputs, outcome, conclusion}; OUTPUTS is shared, may be NULL. */
void contexts_set_step(struct scope *sc, const char *id, struct value *outputs,
	enum result outcome, enum result conclusion);
/* github.action, action_path and their kin, for the step that runs now; NULL unsets. */
void contexts_set_github(struct jobrun *job, const char *key, const char *value);

#endif

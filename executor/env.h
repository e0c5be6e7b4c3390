/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step's process finds in its environment. From below: what every job has (HOME,
 * LANG, the proxy), the env context of the step, INPUT_* and STATE_*, then GITHUB_* and
 * RUNNER_*, which nothing can override, and PATH with what GITHUB_PATH put in front.
 * Nothing of the server's own environment.
 */
#ifndef EXECUTOR_ENV_H
#define EXECUTOR_ENV_H

#include "base/strvec.h"
#include "executor/job.h"
#include "executor/step.h"

/* The lowest layer into job->base_env. */
void env_base(struct jobrun *job);
void env_for_step(
	const struct steprun *st, const struct strvec *extra, struct strvec *ret);

/* Pure: GITHUB_* and RUNNER_* of the contexts, for tests too. */
void env_of_github(const struct value *github, struct strvec *ret);
void env_of_runner(const struct value *runner, struct strvec *ret);
/* INPUT_NAME: upper case, blanks to '_', dashes kept; heap. */
char *env_input_name(const char *name);

#endif

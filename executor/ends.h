/* SPDX-License-Identifier: Apache-2.0 */
/* Before the first step and after the last one. */
#ifndef EXECUTOR_ENDS_H
#define EXECUTOR_ENDS_H

#include "base/err.h"
#include "executor/job.h"

/* Takes job->go_body: every secret is masked before it is anywhere else. */
int ends_open_contexts(struct jobrun *job, struct err *err);
/* --env, the workflow's and the job's env, in this order, into job->env. */
int ends_open_env(struct jobrun *job, struct err *err);
/* github.event as the file GITHUB_EVENT_PATH names; posted, see agent_settle. */
int ends_write_event(struct jobrun *job, struct err *err);
int ends_arm_timeout(struct jobrun *job, struct err *err);

/* Outputs of the job, and the environment's URL, told under step N. */
void ends_outputs(struct jobrun *job, int n);
void ends_deploy(struct jobrun *job, int n);

#endif

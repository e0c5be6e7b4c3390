/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images and containers of a job's own, with profile `build`: a podman service per job
 * behind DOCKER_HOST and a docker command, both inside the sandbox, on the job's own ids,
 * network and disk. No daemon and no socket of the host takes part.
 */
#ifndef EXECUTOR_CONTAINERS_H
#define EXECUTOR_CONTAINERS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/strvec.h"
#include "executor/job.h"
#include "sandbox/sandbox.h"

#define INSIDE_CONTAINERS "/var/lib/containers" /* images, volumes; goes with the job */

bool containers_wanted(const struct jobrun *job);
/* Our commands and the engine's settings, read-only inside. */
void containers_files(struct sandbox_options *o);
/* PATH, DOCKER_HOST and the like, over what ENV holds. */
void containers_env(struct strvec *env);
/*
 * Starts the service, before anything of the user's: ERR_UNSUPPORTED and the reason where
 * this host's programs do not do. What is weaker goes to job->containers_weaker.
 */
int containers_up(struct jobrun *job, struct err *err);

#endif

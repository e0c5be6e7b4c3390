/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands below / in a job (spec "root"): the host's system, a prepared folder, a root
 * of the store; and, with profile root, how the job may change it.
 */
#ifndef EXECUTOR_ROOTFS_H
#define EXECUTOR_ROOTFS_H

#include "base/err.h"
#include "base/json.h"
#include "executor/job.h"
#include "sandbox/sandbox.h"

/* Is / the job's own, to be changed? Then DIR_ROOT is there. */
bool rootfs_is_own(const struct jobrun *job);
/* Opens it for the sandbox of OPTIONS, whose ids and profile stand. */
int rootfs_open(struct jobrun *job, struct sandbox_options *options, struct err *err);
/* By the agent, once it is there: the copy, where the root is one. */
int rootfs_fill(struct jobrun *job, struct err *err);
/* Into READY's facts: "root", and into WEAKER that it is a copy. */
void rootfs_facts(const struct jobrun *job, struct json *facts, struct json *weaker);
void rootfs_close(struct jobrun *job);
/* ACCESS(2) to PATH (relative) in it: is there such a program? */
bool rootfs_has(const struct jobrun *job, const char *path);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all files of a job take, and how many they are: counted by a process beside the agent,
 * with its rights but for reading alone, every few seconds, less often where there is much. Over
 * limits.disk or limits.files the job ends with that reason (contract 3.6: the fallback where a
 * file system has no quota for it). Between two counts a job may go past its limit; the reserve
 * of the data directory is the server's. A file with several names counts once, more or less.
 */
#ifndef EXECUTOR_DISKWATCH_H
#define EXECUTOR_DISKWATCH_H

#include "base/err.h"
#include "executor/job.h"

/* Forked while nothing secret is in memory, as the agent is. Without a limit: nothing. */
int disk_watch_start(struct jobrun *job, const struct sandbox *sandbox, struct err *err);
/* It is heard from here on. */
void disk_watch_listen(struct jobrun *job);
void disk_watch_stop(struct jobrun *job);

#endif

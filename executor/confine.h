/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place a job runs in: its folders, the sandbox over them, its agent, its way out to
 * the network. All of it before READY, before any secret is in memory.
 */
#ifndef EXECUTOR_CONFINE_H
#define EXECUTOR_CONFINE_H

#include "base/chan.h"
#include "base/err.h"
#include "base/json.h"
#include "executor/job.h"

/* Asks the spawner and waits for its answer, which becomes *ERR when it is none. HEAD is
 * not taken. */
int confine_ask_spawner(
	struct jobrun *job, struct json *head, struct chan_msg *ret, struct err *err);
/* Folders below the job's directory; paths of the workspace. */
int confine_dirs(struct jobrun *job, struct err *err);
/* The sandbox, its agent, workspace, event.json; ERR_UNSUPPORTED, ERR_DENIED: not here. */
int confine_open(struct jobrun *job, struct err *err);
/* What stands, for READY: {"profile", "network", "weaker": [..], ...}. */
struct json *confine_facts(const struct jobrun *job);
/* Everything inside is dead afterwards; counts what was left behind. */
void confine_kill(struct jobrun *job);
/* Removes what the job wrote, as far as its folders let go; IS_HELD: they were put aside. */
void confine_clean(struct jobrun *job, bool is_held);
/* The name of a folder below the job's directory; those before DIR_STAGE are the job's. */
const char *confine_place(enum job_dir dir);
void confine_close(struct jobrun *job);

#endif

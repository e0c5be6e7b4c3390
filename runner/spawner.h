/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner: a small process that forks executors without exec and does for them what
 * they may not do themselves (id maps, cgroups, removing what a job left behind). It has
 * never seen the database or a secret, and no child's fault ends it.
 *
 * Core to spawner (run/spawner.sock, or the chan of `sluice run`), each with "seq":
 *  spawn   {job, try}  forks the executor of jobs/JOB/TRY -> {pid}; ERR_CONFLICT if it is
 *          there already
 *  bury    {job, try}  proves a job dead: kills and empties its group, waits for its
 *          executor -> {} ; ERR_CONFLICT while its lock is held
 *  shell   {job, try}  forks the executor of a person's shell in held/JOB-TRY -> {pid};
 *          ERR_CONFLICT if somebody is in there
 *  discard {job, try, is_new}  held/JOB-TRY (or JOB-TRY.new) is thrown away -> {};
 *          ERR_CONFLICT while somebody is in there
 *  web     {}, descriptors: chan, stderr, program  starts core's web with a uid of its own
 *          -> {pid, weaker: [text]}; ERR_UNSUPPORTED where it has none to give
 *  status  {} -> {children, slots, idmap, weaker: [text]}
 *  leave   {} -> {} : ends as soon as it has no child (a stopped server's last word)
 * Spawner to core, unasked:
 *  gone    {job, try, status}  a child ended
 */
#ifndef RUNNER_SPAWNER_H
#define RUNNER_SPAWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

#define SPAWNER_SOCK "run/spawner.sock"
#define SPAWNER_LOCK "run/spawner.lock"

struct spawner_options {
	const char *data_dir; /* absolute */
	const char *helper;   /* absolute path of sluice-helper */
	bool has_user;	      /* as root: executors run as UID and GID */
	uid_t uid;
	gid_t gid;
	int chan;     /* of `sluice run`: core's; -1: listen on SPAWNER_SOCK */
	bool lingers; /* stays without a core and without children (a unit of systemd) */
};

#define SPAWNER_OPTIONS_INIT                       \
	{                                          \
		NULL, NULL, false, 0, 0, -1, false \
	}

/* Exit statuses of `sluice spawner`, as of all verbs (runner/cli.h). */
enum { SPAWNER_DONE = 0, SPAWNER_FAILED = 1, SPAWNER_USAGE = 2, SPAWNER_LOCKED = 3 };

/*
 * Serves until there is nothing left to serve. SPAWNER_FAILED was said in the log;
 * SPAWNER_LOCKED: the lock is held by another spawner.
 */
int spawner_run(const struct spawner_options *o);
/*
 * Becomes the program sluice-spawner, which calls spawner_run with O (without a chan).
 * Returns only when that cannot be, -1.
 */
int spawner_exec(const struct spawner_options *o, struct err *err);

/*
 * Starts a spawner of its own session for DATA_DIR, kept alive by a small parent that
 * restarts it; ARGV is the program for it. Returns when it holds the lock and listens.
 */
int spawner_start(const char *data_dir, const char *const *argv, struct err *err);
/* Somebody holds SPAWNER_LOCK of DATA_DIR: 1 yes, 0 no, -1 error. */
int spawner_is_there(const char *data_dir, struct err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job from its spec to its exit record, in a process of its own. The spawner forks and
 * calls executor_main in the child; it does not return before the job is over and `bye`
 * was said (or waited for in vain). See link.h for the conversation, spec.h for what to
 * run, journal.h for what it leaves behind.
 */
#ifndef EXECUTOR_EXECUTOR_H
#define EXECUTOR_EXECUTOR_H

#include <stdbool.h>

#include "sandbox/sandbox.h"

struct executor_options {
	int job_dir;   /* jobs/ID/TRY, a directory; spec.json is there */
	int listener;  /* chan_listen on its `sock` */
	int spawner;   /* chan to the spawner, or -1: this executor needs nothing of it */
	int store_dir; /* store/ (content-addressed, sha256/AA/HEX below it), or -1 */
	int repos_dir; /* repos/, the bare mirrors, or -1 */
	int actions_dir;      /* actions/OWNER/REPO/SHA, prepared by core, or -1 */
	int held_dir;	      /* held/, where failed jobs are put aside, or -1 */
	bool is_shell; /* job_dir is one of those: a person enters it (shell.h) */
	int roots_dir; /* roots/, the prepared ones (rootstore.h), or -1 */
	const char *job_path; /* absolute path of job_dir, for bind mounts */
	const char *helper;   /* absolute path of sluice-helper */
	/* What the spawner gives by the fork; all borrowed. */
	const struct sandbox_host *host; /* probed once; NULL: probe here */
	struct sandbox_ids ids;		 /* of this job's slot */
	bool asks_spawner; /* id maps and cgroups are the spawner's to make (link.h) */
	const struct sandbox_cgroup_tree
		*cgroups;	 /* NULL: the spawner's, if it is asked */
	const char *cgroup_name; /* NULL: no group */
	bool cancel_on_eof; /* `sluice run`: the end of core's connection cancels the job */
	int bye_wait_ms;    /* how long an ended job waits for core; 0: for ever */
};

#define EXECUTOR_OPTIONS_INIT                                                  \
	{                                                                      \
		.job_dir = -1, .listener = -1, .spawner = -1, .store_dir = -1, \
		.repos_dir = -1, .actions_dir = -1, .held_dir = -1,            \
		.roots_dir = -1,                                               \
		.ids = { .how = SANDBOX_IDMAP_SELF },                          \
	}

/*
 * Call in a child that has closed what it does not need; descriptors given are owned from
 * here on. Returns the exit status for _exit: 0 an exit record stands in the journal
 * (whatever the conclusion), 3 not released (abort, other epoch), 4 the lock is held by
 * another, 1 it could not even write its journal.
 */
int executor_main(const struct executor_options *opt);

#endif
